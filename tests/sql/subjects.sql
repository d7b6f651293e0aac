-- SPDX-License-Identifier: MIT
-- Subjects: encrypting, decrypting, holds, forgetting; every argument that is refused; what the table of
-- keys refuses, with the extension and without.
SELECT subject_encrypt('customer/1', 'x');
-- error: subject_encrypt: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
SELECT subject_decrypt(x'00');
-- error: subject_decrypt: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
SELECT subject_forget('customer/1');
-- error: subject_forget: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
-- test: NULL stays NULL, and makes no table
SELECT subject_encrypt('customer/1', NULL), subject_decrypt(NULL), subject_encrypt('c', NULL, 'd'), (SELECT count(*) FROM sqlite_schema);
-- expect: NULL|NULL|NULL|0
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- reopen

-- test: each type comes back as it was
SELECT typeof(v) || ' ' || quote(v) FROM (SELECT subject_decrypt(subject_encrypt('customer/1', column1)) AS v FROM (VALUES(42), (-1.5), ('text'), (''), (x'00ff'), (x''), (char(0) || 'after'), (9223372036854775807)));
-- expect: integer 42
-- expect: real -1.5
-- expect: text 'text'
-- expect: text ''
-- expect: blob X'00FF'
-- expect: blob X''
-- glob: text *
-- expect: integer 9223372036854775807
-- test: one subject, one row; no name in clear
SELECT count(*), typeof(sid), length(sid), length(wrapped), length(subject), forgotten_us IS NULL, instr(name, 'customer') FROM rustybt_subject_keys;
-- expect: 1|blob|8|125|24|1|0
-- test: short values of any type make tokens of one length
SELECT DISTINCT length(subject_encrypt('customer/1', column1)) FROM (VALUES(1), (1.5), (''), ('123456789 123456789 123456789 '), (x'00'));
-- expect: 124
SELECT length(subject_encrypt('customer/1', '123456789 123456789 123456789 1'));
-- expect: 156
-- test: one value is never encrypted to the same bytes twice
SELECT subject_encrypt('customer/1', 'x') = subject_encrypt('customer/1', 'x');
-- expect: 0
CREATE TABLE people(id INTEGER PRIMARY KEY, name BLOB, email BLOB);
INSERT INTO people VALUES(1, subject_encrypt('customer/1', 'Alice'), subject_encrypt('customer/1', 'a@b.example', 'people/email'));
INSERT INTO people VALUES(2, subject_encrypt('customer/2', 'Bob'), subject_encrypt('customer/2', 'b@b.example', 'people/email'));
-- test: what was inserted comes back
SELECT subject_decrypt(name), subject_decrypt(email, 'people/email') FROM people;
-- expect: Alice|a@b.example
-- expect: Bob|b@b.example
-- test: the caller's last_insert_rowid() is not ours
INSERT INTO people VALUES(77, 'x', 'y');
UPDATE people SET name = subject_encrypt('customer/new', 'x') WHERE id = 77;
SELECT last_insert_rowid();
-- expect: 77
DELETE FROM people WHERE id = 77;

-- test: a context that is another's, absent, or too much
SELECT subject_decrypt(email, 'people/name') FROM people;
-- error: subject_decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT subject_decrypt(email) FROM people;
-- error: subject_decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT subject_decrypt(name, 'people/name') FROM people;
-- error: subject_decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
-- test: other tokens, a stump, nonsense
SELECT subject_decrypt(encrypt('x'));
-- error: subject_decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT subject_decrypt(substr(name, 1, length(name) - 1)) FROM people;
-- error: subject_decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT subject_decrypt('nonsense');
-- error: subject_decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT subject_decrypt(wrapped) FROM rustybt_subject_keys;
-- error: subject_decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT decrypt(name) FROM people;
-- error: decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT decrypt(wrapped) FROM rustybt_subject_keys;
-- error: decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT subject_decrypt(42);
-- error: subject_decrypt: token must be TEXT or BLOB, not INTEGER
-- test: one subject's token with another's sid
SELECT subject_decrypt((SELECT substr(name, 1, 4) FROM people WHERE id = 1) || (SELECT substr(name, 5, 8) FROM people WHERE id = 2) || (SELECT substr(name, 13) FROM people WHERE id = 1));
-- error: subject_decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
-- test: a sid that no row has
SELECT subject_decrypt(CAST(substr(name, 1, 4) || x'0011223344556677' || substr(name, 13) AS BLOB)) FROM people;
-- error: subject_decrypt: there is no subject 0011223344556677 here; rustybt_subject_keys of the database that encrypted has its key
-- test: bad arguments
SELECT subject_encrypt(NULL, 'x');
-- error: subject_encrypt: subject must be TEXT, not NULL
SELECT subject_encrypt(42, 'x');
-- error: subject_encrypt: subject must be TEXT, not INTEGER
SELECT subject_encrypt('', 'x');
-- error: subject_encrypt: subject must not be empty
SELECT subject_encrypt(CAST(x'ff' AS TEXT), 'x');
-- error: subject_encrypt: subject must be valid UTF-8
SELECT subject_encrypt('customer/1', 'x', NULL);
-- error: subject_encrypt: context must be TEXT, not NULL
SELECT subject_encrypt(NULL, NULL);
-- error: subject_encrypt: subject must be TEXT, not NULL
SELECT subject_encrypt('customer/1', 'x', '');
-- error: subject_encrypt: context must not be empty; leave it out for a token that belongs to no place
SELECT subject_encrypt('customer/1', 'customer/2', 'rustybt subject');
-- error: subject_encrypt: context 'rustybt subject' is that of subjects' own names
SELECT subject_decrypt(NULL, NULL);
-- error: subject_decrypt: context must be TEXT, not NULL
SELECT subject_forget(NULL);
-- error: subject_forget: subject must be TEXT, not NULL
SELECT subject_forget(1);
-- error: subject_forget: subject must be TEXT, not INTEGER
SELECT subject_hold(NULL, 'reason');
-- error: subject_hold: subject must be TEXT, not NULL
SELECT subject_hold('customer/1', NULL);
-- error: subject_hold: reason must be TEXT, not NULL
SELECT subject_hold('customer/1', '');
-- error: subject_hold: reason must not be empty
SELECT subject_hold('customer/1', '  ');
-- error: subject_hold: reason must not be empty
SELECT subject_release('1', 'reason');
-- error: subject_release: hold_id must be INTEGER, not TEXT
SELECT subject_release(NULL, 'reason');
-- error: subject_release: hold_id must be INTEGER, not NULL
SELECT subject_release(1, '');
-- error: subject_release: reason must not be empty
SELECT subject_release(1, NULL);
-- error: subject_release: reason must be TEXT, not NULL

-- test: holds
SELECT subject_hold('customer/9', 'no such customer');
-- error: subject_hold: the subject has no key, so there is nothing to hold; subject_encrypt gives it one
SELECT subject_release(1, 'no such hold');
-- error: subject_release: no hold 1 stands: there never was one, or it was released before
SELECT subject_hold('customer/1', 'tax audit 2026');
-- glob: hold 1: subject [0-9a-f]* keeps its key until subject_release(1, reason)
SELECT subject_hold('customer/1', 'lawsuit "A & B"');
-- glob: hold 2: *
SELECT subject_forget('customer/1');
-- error glob: subject_forget: hold 1 of 20??-??-??T??:??:??.*Z keeps the subject: tax audit 2026; subject_release(1, reason) ends the hold
SELECT subject_release(1, 'the audit is over');
-- glob: hold 1 on subject [0-9a-f]* is released (entry 3 of rustybt_events)
SELECT subject_release(1, 'again');
-- error: subject_release: no hold 1 stands: there never was one, or it was released before
SELECT subject_release(3, 'a release is no hold');
-- error: subject_release: no hold 3 stands: there never was one, or it was released before
SELECT subject_forget('customer/1');
-- error glob: subject_forget: hold 2 of * keeps the subject: lawsuit "A & B"; subject_release(2, reason) ends the hold
SELECT audit_discard('rustybt_events', 'get rid of the hold');
-- error: audit_discard: hold 2 on a subject would end with rustybt_events: lawsuit "A & B"; subject_release(2, reason) ends it
SELECT subject_decrypt(name) FROM people WHERE id = 1;
-- expect: Alice
SELECT subject_release(2, 'settled');
-- glob: hold 2 on subject *
-- test: a hold is part of the caller's transaction
BEGIN;
SELECT subject_hold('customer/1', 'taken back');
-- glob: hold 5: *
ROLLBACK;
SELECT subject_release(5, 'x');
-- error: subject_release: no hold 5 stands: there never was one, or it was released before
SELECT action, json_extract(detail, '$.reason'), json_extract(detail, '$.hold_id') FROM rustybt_events;
-- expect: subject_hold|tax audit 2026|NULL
-- expect: subject_hold|lawsuit "A & B"|NULL
-- expect: subject_release|the audit is over|1
-- expect: subject_release|settled|2

-- test: forgetting must be called by itself
BEGIN;
SELECT subject_forget('customer/1');
-- error: subject_forget: it makes its own transaction; COMMIT or ROLLBACK first
COMMIT;
SELECT subject_forget('customer/1') FROM people;
-- error: subject_forget: it must be called by itself, without FROM: SELECT subject_forget(subject)
SELECT subject_hold('customer/1', 'x') FROM people;
-- error: subject_hold: it must be called by itself, without FROM: SELECT subject_hold(subject, reason)
UPDATE people SET name = subject_forget('customer/1');
-- error: subject_forget: it must be called by itself, without FROM: SELECT subject_forget(subject)
UPDATE people SET name = subject_hold('customer/1', 'x');
-- error: subject_hold: it must be called by itself, without FROM: SELECT subject_hold(subject, reason)
UPDATE people SET name = subject_release(1, 'x');
-- error: subject_release: it must be called by itself, without FROM: SELECT subject_release(hold_id, reason)
-- test: nor may a schema call it
CREATE VIEW trap AS SELECT subject_forget('customer/1');
SELECT * FROM trap;
-- error: unsafe use of subject_forget()
DROP VIEW trap;
SELECT subject_decrypt(name) FROM people WHERE id = 1;
-- expect: Alice

-- test: an unknown subject
SELECT subject_forget('customer/9');
-- error: subject_forget: the subject has no key here: it was forgotten before, or nothing was encrypted for it under this name
-- test: forgetting
PRAGMA secure_delete = OFF;
PRAGMA journal_size_limit = 12345;
SELECT subject_forget('customer/1');
-- glob: subject [0-9a-f]* is forgotten (entry 5 of rustybt_events); its key is gone from the database file, its free pages and its journal; backups and replicas made before still hold it
SELECT subject_decrypt(name) FROM people WHERE id = 1;
-- error glob: subject_decrypt: subject [0-9a-f]* was forgotten on 20??-??-??T??:??:??.*Z
SELECT subject_decrypt(email, 'people/email') FROM people WHERE id = 1;
-- error glob: subject_decrypt: subject [0-9a-f]* was forgotten on *
-- test: destroys that key alone
SELECT subject_decrypt(name), subject_decrypt(email, 'people/email') FROM people WHERE id = 2;
-- expect: Bob|b@b.example
-- test: the caller's settings are as before
SELECT * FROM pragma_secure_delete, pragma_journal_size_limit;
-- expect: 0|12345
-- test: the row keeps sid and times alone
SELECT length(sid), wrapped, subject, name, forgotten_us >= created_us FROM rustybt_subject_keys WHERE forgotten_us IS NOT NULL;
-- expect: 8|NULL|NULL|NULL|1
-- test: the event has the sid alone
SELECT log, action, detail = '{"sid":"' || lower(hex(sid)) || '"}' FROM rustybt_events, rustybt_subject_keys WHERE action = 'subject_forget' AND forgotten_us IS NOT NULL;
-- expect: rustybt_subject_keys|subject_forget|1
SELECT audit_verify('*');
-- glob: rustybt_events: 5 entries, *
SELECT subject_forget('customer/1');
-- error: subject_forget: the subject has no key here: it was forgotten before, or nothing was encrypted for it under this name
SELECT subject_hold('customer/1', 'too late');
-- error: subject_hold: the subject has no key, so there is nothing to hold; subject_encrypt gives it one
-- test: encrypted for again, it is a new subject
SELECT subject_decrypt(subject_encrypt('customer/1', 'back'));
-- expect: back
SELECT subject_decrypt(name) FROM people WHERE id = 1;
-- error glob: subject_decrypt: subject [0-9a-f]* was forgotten on *
SELECT count(*), count(wrapped), count(DISTINCT sid) FROM rustybt_subject_keys;
-- expect: 4|3|4

-- test: no row is deleted or made by hand
DELETE FROM rustybt_subject_keys;
-- error: rustybt_subject_keys keeps its rows; subject_forget() destroys a key
INSERT INTO rustybt_subject_keys(sid, created_us) VALUES(x'00', 0);
-- error: rustybt_subject_keys is filled by subject_encrypt() alone
INSERT OR REPLACE INTO rustybt_subject_keys SELECT id, sid, NULL, NULL, NULL, 0, 0 FROM rustybt_subject_keys;
-- error: rustybt_subject_keys is filled by subject_encrypt() alone
-- test: no key is taken away or exchanged
UPDATE rustybt_subject_keys SET wrapped = NULL;
-- error: rustybt_subject_keys changes by subject_rotate() and subject_forget() alone
UPDATE rustybt_subject_keys SET wrapped = zeroblob(125);
-- error: rustybt_subject_keys changes by subject_rotate() and subject_forget() alone
UPDATE rustybt_subject_keys SET wrapped = name;
-- error: rustybt_subject_keys changes by subject_rotate() and subject_forget() alone
UPDATE rustybt_subject_keys SET sid = x'0000000000000000' WHERE id = 2;
-- error: rustybt_subject_keys changes by subject_rotate() and subject_forget() alone
UPDATE rustybt_subject_keys SET id = id + 100;
-- error: rustybt_subject_keys changes by subject_rotate() and subject_forget() alone
UPDATE rustybt_subject_keys SET name = x'00';
-- error: rustybt_subject_keys changes by subject_rotate() and subject_forget() alone
UPDATE rustybt_subject_keys SET subject = NULL;
-- error: rustybt_subject_keys changes by subject_rotate() and subject_forget() alone
UPDATE rustybt_subject_keys SET forgotten_us = 1;
-- error: rustybt_subject_keys changes by subject_rotate() and subject_forget() alone
UPDATE rustybt_subject_keys SET created_us = 1;
-- error: rustybt_subject_keys changes by subject_rotate() and subject_forget() alone
UPDATE OR REPLACE rustybt_subject_keys SET subject = (SELECT subject FROM rustybt_subject_keys WHERE id = 2) WHERE id = 3;
-- error: rustybt_subject_keys changes by subject_rotate() and subject_forget() alone
UPDATE rustybt_subject_keys SET wrapped = (SELECT wrapped FROM rustybt_subject_keys WHERE id = 2) WHERE id = 1;
-- error: rustybt_subject_keys changes by subject_rotate() and subject_forget() alone
UPDATE rustybt_subject_keys SET wrapped = CAST(x'52425403' || zeroblob(121) AS BLOB) WHERE id = 1;
-- error: rustybt_subject_keys changes by subject_rotate() and subject_forget() alone
-- test: nor without the extension
-- plain
DELETE FROM rustybt_subject_keys;
-- error: rustybt_subject_keys keeps its rows; subject_forget() destroys a key
-- plain
UPDATE rustybt_subject_keys SET wrapped = NULL;
-- error: no such function: rustybt_append_only
-- plain
INSERT OR REPLACE INTO rustybt_subject_keys SELECT * FROM rustybt_subject_keys;
-- error: no such function: rustybt_append_only
-- test: nothing was changed by all that
SELECT subject_decrypt(name), subject_decrypt(email, 'people/email') FROM people WHERE id = 2;
-- expect: Bob|b@b.example
SELECT count(*), count(wrapped) FROM rustybt_subject_keys;
-- expect: 4|3

-- test: a re-wrapped key is the same key
SELECT key_rotate(wrapped, sid) IS wrapped FROM rustybt_subject_keys WHERE id = 2;
-- expect: 1
SELECT key_rotate(wrapped, x'0000000000000000') FROM rustybt_subject_keys WHERE id = 2;
-- error: key_rotate: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT key_rotate(wrapped, x'00') FROM rustybt_subject_keys WHERE id = 2;
-- error: key_rotate: context must be TEXT, or for a wrapped subject key its sid, a BLOB of 8 bytes
SELECT key_rotate(wrapped) FROM rustybt_subject_keys WHERE id = 2;
-- error: key_rotate: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT key_rotate(encrypt('x', 'c'), x'0000000000000000');
-- error: key_rotate: context must be TEXT, not BLOB; only a wrapped subject key has a BLOB, its sid
SELECT key_rotate(name, sid) FROM rustybt_subject_keys WHERE id = 2;
-- error: key_rotate: context must be TEXT, not BLOB; only a wrapped subject key has a BLOB, its sid
SELECT key_rotate(NULL, x'0000000000000000');
-- expect: NULL

-- test: rows exchanged by someone who has taken the triggers away
DROP TRIGGER rustybt_subject_keys_update;
UPDATE rustybt_subject_keys SET subject = x'' WHERE id = 2;
UPDATE rustybt_subject_keys SET subject = (SELECT subject FROM rustybt_subject_keys WHERE id = 3) WHERE id = 2;
-- error: UNIQUE constraint failed: rustybt_subject_keys.subject
SELECT subject_encrypt('customer/2', 'x');
-- error: subject_encrypt: rustybt_subject_keys was altered: a subject's index is not 24 bytes
SELECT subject_forget('customer/2');
-- error: subject_forget: rustybt_subject_keys was altered: a subject's index is not 24 bytes
CREATE TEMP TABLE kept AS SELECT subject FROM rustybt_subject_keys WHERE id = 4;
UPDATE rustybt_subject_keys SET subject = NULL WHERE id = 4;
UPDATE rustybt_subject_keys SET subject = (SELECT subject FROM kept) WHERE id = 2;
SELECT subject_encrypt('customer/1', 'x');
-- error glob: subject_encrypt: the row of subject [0-9a-f]* in rustybt_subject_keys was altered: its key does not open, or is another subject's
SELECT subject_forget('customer/1');
-- error glob: subject_forget: the row of subject [0-9a-f]* in rustybt_subject_keys was altered: its key does not open, or is another subject's
-- test: a part of the table that reads otherwise keeps new subjects out, a missing one is made again
CREATE TRIGGER rustybt_subject_keys_update AFTER UPDATE ON rustybt_subject_keys BEGIN SELECT 1; END;
SELECT subject_encrypt('customer/5', 'x');
-- error glob: subject_encrypt: trigger rustybt_subject_keys_update was changed; it should read: CREATE TRIGGER *
DROP TRIGGER rustybt_subject_keys_update;
SELECT length(subject_encrypt('customer/5', 'x'));
-- expect: 124
UPDATE rustybt_subject_keys SET wrapped = NULL;
-- error: rustybt_subject_keys changes by subject_rotate() and subject_forget() alone
-- test: a trigger that makes rows vanish is found out
CREATE TEMP TABLE junk(x);
CREATE TEMP TRIGGER vanish BEFORE INSERT ON main.rustybt_subject_keys BEGIN INSERT INTO junk VALUES(1); SELECT RAISE(IGNORE); END;
SELECT subject_encrypt('customer/6', 'x');
-- error: subject_encrypt: a trigger or an authorizer keeps the subject's key from being stored
DROP TRIGGER vanish;
CREATE TEMP TRIGGER vanish BEFORE UPDATE ON main.rustybt_subject_keys BEGIN INSERT INTO junk VALUES(1); SELECT RAISE(IGNORE); END;
SELECT subject_forget('customer/5');
-- error: subject_forget: a trigger or an authorizer keeps the subject's key from being destroyed
DROP TRIGGER vanish;
SELECT count(*) FROM rustybt_events WHERE action = 'subject_forget';
-- expect: 1

-- test: what stands in the table's place is not taken for it
-- database: view.db
CREATE VIEW rustybt_subject_keys AS SELECT 1 AS id, x'0000000000000000' AS sid, zeroblob(125) AS wrapped, NULL AS subject, x'' AS name, 0 AS created_us, NULL AS forgotten_us;
SELECT subject_encrypt('customer/1', 'x');
-- error glob: subject_encrypt: table rustybt_subject_keys was changed; it should read: CREATE TABLE *
-- test: nor is one in temp
-- database: temp.db
CREATE TEMP TABLE rustybt_subject_keys(a);
CREATE TABLE t AS SELECT subject_encrypt('customer/1', 'x') AS x;
SELECT subject_decrypt(x) FROM t;
-- expect: x
SELECT count(*) FROM main.rustybt_subject_keys;
-- expect: 1
-- test: made within CREATE TABLE AS, the table of keys is sound
PRAGMA integrity_check;
-- expect: ok
-- other
SELECT subject_decrypt(x) || count(*) FROM t, sqlite_schema AS s WHERE s.name LIKE 'rustybt_subject_keys%' AND s.sql IS NOT NULL;
-- expect: x5
-- plain
PRAGMA integrity_check;
-- expect: ok
-- test: a log of temp does not stand in for rustybt_events
CREATE VIRTUAL TABLE temp."main.rustybt_events" USING audit_log(action TEXT, log TEXT, detail JSON);
SELECT subject_hold('customer/1', 'x');
-- glob: hold 1: *
SELECT subject_forget('customer/1');
-- error: subject_forget: log "main.rustybt_events" of schema temp hides main.rustybt_events
DROP TABLE temp."main.rustybt_events";
CREATE VIRTUAL TABLE temp.rustybt_events USING audit_log(action TEXT, log TEXT, detail JSON);
SELECT subject_forget('customer/1');
-- error glob: subject_forget: hold 1 of * keeps the subject: x; *
SELECT subject_release(1, 'x');
-- glob: hold 1 on *
SELECT subject_forget('customer/1');
-- glob: subject * is forgotten *
-- test: no one else writes the events that holds are read from
-- database: odd.db
CREATE TABLE t AS SELECT subject_encrypt('customer/1', 'x') AS x;
SELECT subject_hold('customer/1', 'x');
-- glob: hold 1: *
INSERT INTO rustybt_events(action, log, detail) VALUES('subject_release', 'rustybt_subject_keys', '{"hold_id":1}');
-- error: rustybt_events is written by rustybt alone, when something is done to a log
SELECT subject_forget('customer/1');
-- error glob: subject_forget: hold 1 of *
-- test: events that do not verify refuse the forgetting
-- database: damaged.db
CREATE TABLE t AS SELECT subject_encrypt('customer/1', 'x') AS x;
SELECT subject_hold('customer/1', 'x');
-- glob: hold 1: *
-- plain
DROP TRIGGER rustybt_events_rows_delete;
-- plain
DELETE FROM rustybt_events_rows;
SELECT subject_forget('customer/1');
-- error glob: subject_forget: it cannot be known which holds stand, since rustybt_events does not verify: rustybt_events: *
SELECT subject_decrypt(x) FROM t;
-- expect: x
-- test: nor can they be dropped in silence
PRAGMA writable_schema = ON;
DELETE FROM sqlite_schema WHERE name = 'rustybt_events';
PRAGMA writable_schema = RESET;
SELECT subject_forget('customer/1');
-- error: subject_forget: no log is named "main.rustybt_events"; SELECT name FROM audit_logs lists them
-- test: in memory
-- database: :memory:
CREATE TABLE t AS SELECT subject_encrypt('customer/1', 'x') AS x;
SELECT subject_forget('customer/1');
-- glob: subject [0-9a-f]* is forgotten (entry 1 of rustybt_events); its key is gone; the database has no file
SELECT subject_decrypt(x) FROM t;
-- error glob: subject_decrypt: subject [0-9a-f]* was forgotten on *
-- test: the examples of rustybt_help, in their order
-- database: examples.db
SELECT length(subject_encrypt('customer/42', 'alice@example.com', 'customers/email'));
-- expect: 124
SELECT subject_decrypt(subject_encrypt('customer/42', 'alice@example.com'));
-- expect: alice@example.com
SELECT subject_hold('customer/42', 'tax audit 2026');
-- glob: hold 1: *
SELECT subject_release(1, 'audit closed');
-- glob: hold 1 on *
SELECT subject_forget('customer/42');
-- glob: subject *
-- test: they are these
SELECT group_concat(replace(example, 'length(', ''), '; ') FROM rustybt_help WHERE name LIKE 'subject%';
-- expect: SELECT subject_encrypt('customer/42', 'alice@example.com', 'customers/email'); SELECT subject_decrypt(subject_encrypt('customer/42', 'alice@example.com')); SELECT subject_hold('customer/42', 'tax audit 2026'); SELECT subject_release(1, 'audit closed'); SELECT subject_forget('customer/42'); SELECT subject_rotate()
