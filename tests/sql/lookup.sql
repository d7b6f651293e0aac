-- SPDX-License-Identifier: MIT
-- blind_index: the known value, what it tells apart, every refusal, and look-up by an index before, during
-- and after a rotation.
-- test: without a key there is no index
SELECT blind_index('a@b.example', 'users.email');
-- error: blind_index: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
-- test: but NULL stays NULL
SELECT blind_index(NULL, 'users.email'), blind_index(NULL, 'users.email', 'fe6b3e115b099239');
-- expect: NULL|NULL
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- reopen
-- test: the value of the vectors
SELECT blind_index('a@b.example', 'users.email');
-- expect: X'FE6B3E115B09923968E3029C14A61DDFDBC87D4682368A4E'
-- test: naming the primary gives the same, in digits of either case
SELECT blind_index('a@b.example', 'users.email', 'fe6b3e115b099239') = blind_index('a@b.example', 'users.email'),
  blind_index('a@b.example', 'users.email', 'FE6B3E115B099239') = blind_index('a@b.example', 'users.email');
-- expect: 1|1
-- test: another context gives another value, wherever the border between context and value lies
SELECT blind_index('x', 'ab') = blind_index('x', 'ac'), blind_index('bx', 'a') = blind_index('x', 'ab');
-- expect: 0|0
CREATE TABLE eight(v);
INSERT INTO eight VALUES(1), (1.0), ('1'), (x'31'), (0), (0.0), (''), (x'');
-- test: the types differ, as encrypt tells them apart: eight values of four types have eight
SELECT count(DISTINCT blind_index(v, 'c')), min(length(blind_index(v, 'c'))), max(length(blind_index(v, 'c'))), min(typeof(blind_index(v, 'c'))) FROM eight;
-- expect: 8|24|24|blob
-- test: -0.0 is found as 0.0, to which it is equal
SELECT blind_index(-0.0, 'c') = blind_index(0.0, 'c');
-- expect: 1
-- test: text counts whole, with its NUL
SELECT blind_index(CAST(x'610062' AS TEXT), 'c') = blind_index('a', 'c');
-- expect: 0
-- test: no context
SELECT blind_index('x');
-- error: wrong number of arguments to function blind_index()
SELECT blind_index('x', NULL);
-- error: blind_index: context must be TEXT, not NULL
SELECT blind_index(NULL, NULL);
-- error: blind_index: context must be TEXT, not NULL
SELECT blind_index('x', '');
-- error: blind_index: context must not be empty; name the column, as in 'users.email'
SELECT blind_index('x', 7);
-- error: blind_index: context must be TEXT, not INTEGER
-- test: no key of that id
SELECT blind_index('x', 'c', '0000000000000000');
-- error: blind_index: no key in the ring has id 0000000000000000
SELECT blind_index('x', 'c', NULL);
-- error: blind_index: key_id must be TEXT, not NULL
SELECT blind_index('x', 'c', x'fe6b3e115b099239');
-- error: blind_index: key_id must be TEXT, not BLOB
SELECT blind_index('x', 'c', 'fe6b3e115b09923');
-- error: blind_index: key_id must be 16 hex digits, as in key_ring, but has 15 characters
SELECT blind_index('x', 'c', 'fe6b3e115b09923g');
-- error: blind_index: key_id must be 16 hex digits, as in key_ring, but has 16 characters
-- test: a schema cannot call it
CREATE VIEW probe AS SELECT blind_index('x', 'c') AS i;
SELECT i FROM probe;
-- error: unsafe use of blind_index()
-- test: but a TEMP trigger can fill the column
CREATE TABLE users(id INTEGER PRIMARY KEY, email BLOB, email_index BLOB);
CREATE INDEX users_by_email ON users(email_index);
CREATE TEMP TRIGGER users_index AFTER UPDATE OF email ON main.users BEGIN
  UPDATE users SET email_index = blind_index(decrypt(NEW.email, 'users.email'), 'users.email') WHERE id = NEW.id;
END;
INSERT INTO users(id) VALUES(1), (2), (3);
UPDATE users SET email = encrypt(id || '@b.example', 'users.email');
SELECT count(DISTINCT email_index), sum(email_index = blind_index(id || '@b.example', 'users.email')) FROM users;
-- expect: 3|3
-- test: the look-up goes by the index
EXPLAIN QUERY PLAN SELECT id FROM users WHERE email_index = blind_index('2@b.example', 'users.email');
-- glob: *|SEARCH users USING COVERING INDEX users_by_email (email_index=?)
SELECT id FROM users WHERE email_index = blind_index('2@b.example', 'users.email');
-- expect: 2

-- test: during a rotation both the old and the new value are found, by the index
-- env: RUSTYBT_ENCRYPTION_KEY=ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=,AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- reopen
UPDATE users SET email_index = blind_index('2@b.example', 'users.email') WHERE id = 2;
SELECT id FROM users WHERE email_index = blind_index('1@b.example', 'users.email');
-- nothing
SELECT id FROM users WHERE email_index IN (SELECT blind_index('1@b.example', 'users.email', key_id) FROM key_ring);
-- expect: 1
SELECT id FROM users WHERE email_index IN (SELECT blind_index('2@b.example', 'users.email', key_id) FROM key_ring);
-- expect: 2
SELECT id FROM users WHERE email_index IN (SELECT blind_index('4@b.example', 'users.email', key_id) FROM key_ring);
-- nothing
EXPLAIN QUERY PLAN SELECT id FROM users WHERE email_index IN (SELECT blind_index('1@b.example', 'users.email', key_id) FROM key_ring);
-- glob: *|SEARCH users USING COVERING INDEX users_by_email (email_index=?)
-- glob: *LIST SUBQUERY*
-- glob: *|SCAN key_ring VIRTUAL TABLE INDEX 0:*
-- test: after it the old value is gone, and the old key no longer named
-- env: RUSTYBT_ENCRYPTION_KEY=ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=
-- reopen
SELECT id FROM users WHERE email_index IN (SELECT blind_index(column1 || '@b.example', 'users.email', key_id) FROM key_ring, (VALUES(1), (2), (3)));
-- expect: 2
SELECT blind_index('1@b.example', 'users.email', 'fe6b3e115b099239');
-- error: blind_index: no key in the ring has id fe6b3e115b099239
