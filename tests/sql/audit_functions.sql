-- SPDX-License-Identifier: MIT
-- audit_root, audit_size, audit_leaf, audit_public_key, audit_verify, audit_logs: results, and every
-- error that SQL can reach.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE VIRTUAL TABLE log USING audit_log(who TEXT NOT NULL, n INTEGER, origin='example.com/audit');
INSERT INTO log(who, n) VALUES('ann', 1), ('bob', 2), ('cy', 3);

-- test: audit_size counts the genesis
SELECT audit_size('log'), typeof(audit_size('log'));
-- expect: 4|integer
-- test: audit_size finds a log in any case of its name
SELECT audit_size('LOG'), audit_size('Main.Log');
-- expect: 4|4
-- test: audit_size of no log
SELECT audit_size('nothing');
-- error: audit_size: no log is named "nothing"; SELECT name FROM audit_logs lists them
-- test: audit_size of an ordinary table
SELECT audit_size('log_rows');
-- error: audit_size: no log is named "log_rows"; SELECT name FROM audit_logs lists them
-- test: audit_size of an empty name
SELECT audit_size('');
-- error: audit_size: no log is named ""; SELECT name FROM audit_logs lists them
-- test: audit_size of a star, which names no single log
SELECT audit_size('*');
-- error: audit_size: no log is named "*"; SELECT name FROM audit_logs lists them
-- test: audit_size of NULL
SELECT audit_size(NULL);
-- error: audit_size: log must be TEXT, not NULL
-- test: audit_size of a number
SELECT audit_size(1);
-- error: audit_size: log must be TEXT, not INTEGER
-- test: audit_size of a blob
SELECT audit_size(x'6c6f67');
-- error: audit_size: log must be TEXT, not BLOB
-- test: audit_size of a name that is not UTF-8
SELECT audit_size(CAST(x'6cff' AS TEXT));
-- error: audit_size: log must be valid UTF-8
-- test: audit_size of a name with a NUL
SELECT audit_size(CAST(x'6c6f670061' AS TEXT));
-- error: audit_size: log must not contain a NUL

-- test: audit_root is 64 hex digits and equals the root of all leaves
SELECT audit_root('log') GLOB printf('%.64c', '?'), audit_root('log') = audit_root('log', audit_size('log'));
-- expect: 1|1
-- test: roots of earlier sizes differ from one another and never change
CREATE TABLE roots AS SELECT value AS size, NULL AS root FROM json_each('[1,2,3,4]');
UPDATE roots SET root = audit_root('log', size);
INSERT INTO log(who) VALUES('dan');
SELECT count(DISTINCT root), sum(root = audit_root('log', size)) FROM roots;
-- expect: 4|4
-- test: audit_root of size NULL is NULL
SELECT audit_root('log', NULL);
-- expect: NULL
-- test: audit_root of size 0
SELECT audit_root('log', 0);
-- error: audit_root: size must be an integer from 1 to 5
-- test: audit_root of more than there is
SELECT audit_root('log', 6);
-- error: audit_root: size must be an integer from 1 to 5
-- test: audit_root of a negative size
SELECT audit_root('log', -9223372036854775808);
-- error: audit_root: size must be an integer from 1 to 5
-- test: audit_root of a size in words
SELECT audit_root('log', '3');
-- error: audit_root: size must be an integer from 1 to 5
-- test: audit_root of a fractional size
SELECT audit_root('log', 3.0);
-- error: audit_root: size must be an integer from 1 to 5
-- test: audit_root of NULL
SELECT audit_root(NULL);
-- error: audit_root: log must be TEXT, not NULL
-- test: audit_root of NULL at a size
SELECT audit_root(NULL, 1);
-- error: audit_root: log must be TEXT, not NULL
-- test: audit_root of no log
SELECT audit_root('nothing');
-- error: audit_root: no log is named "nothing"; SELECT name FROM audit_logs lists them
-- test: audit_root of three arguments
SELECT audit_root('log', 1, 2);
-- error: wrong number of arguments to function audit_root()

-- test: audit_leaf is the line itself
SELECT audit_leaf('log', 2);
-- glob: {"id":2,"recorded_at":[0-9]*,"who":"bob","n":2}
-- test: leaf 0 is the genesis
SELECT audit_leaf('log', 0);
-- glob: {"id":0,"recorded_at":[0-9]*,"rustybt_log":1,"log_id":"*","origin":"example.com/audit","sealed":true,"arguments":[[]"who TEXT NOT NULL","n INTEGER","origin='example.com/audit'"]}
-- test: audit_leaf of id NULL is NULL
SELECT audit_leaf('log', NULL);
-- expect: NULL
-- test: audit_leaf beyond the end
SELECT audit_leaf('log', 5);
-- error: audit_leaf: log has entries 0 to 4, not 5
-- test: audit_leaf before the beginning
SELECT audit_leaf('log', -1);
-- error: audit_leaf: log has entries 0 to 4, not -1
-- test: audit_leaf of an id in words
SELECT audit_leaf('log', '1');
-- error: audit_leaf: id must be INTEGER, not TEXT
-- test: audit_leaf of a fractional id
SELECT audit_leaf('log', 1.5);
-- error: audit_leaf: id must be INTEGER, not REAL
-- test: audit_leaf of NULL
SELECT audit_leaf(NULL, 1);
-- error: audit_leaf: log must be TEXT, not NULL
-- test: audit_leaf of no log
SELECT audit_leaf('nothing', 1);
-- error: audit_leaf: no log is named "nothing"; SELECT name FROM audit_logs lists them

-- test: within a transaction all of them see what it has appended
BEGIN;
INSERT INTO log(who) VALUES('eve');
SELECT audit_size('log'), audit_root('log') <> audit_root('log', 5), audit_leaf('log', 5) GLOB '*"eve"*';
-- expect: 6|1|1
SAVEPOINT s;
INSERT INTO log(who) VALUES('fay');
SELECT audit_size('log');
-- expect: 7
ROLLBACK TO s;
SELECT audit_size('log'), audit_verify('log') GLOB 'log: 5 entries*';
-- expect: 6|1
ROLLBACK;
SELECT audit_size('log');
-- expect: 5

-- test: audit_public_key as a vkey and in PEM
SELECT audit_public_key('log');
-- glob: example.com/audit+????????+*
SELECT audit_public_key('log', 'pem');
-- expect: -----BEGIN PUBLIC KEY-----
-- glob: MCowBQYDK2VwAyEA*
-- expect: -----END PUBLIC KEY-----
-- expect:
-- test: audit_public_key in another form
SELECT audit_public_key('log', 'der');
-- error: audit_public_key: form must be 'vkey' or 'pem'
-- test: audit_public_key in form NULL
SELECT audit_public_key('log', NULL);
-- error: audit_public_key: form must be TEXT, not NULL
-- test: audit_public_key of NULL
SELECT audit_public_key(NULL);
-- error: audit_public_key: log must be TEXT, not NULL
-- test: audit_public_key of no log
SELECT audit_public_key('nothing');
-- error: audit_public_key: no log is named "nothing"; SELECT name FROM audit_logs lists them

-- test: audit_verify as a function says what it checked
SELECT audit_verify('log');
-- glob: log: 4 entries, root ????????????????????????????????????????????????????????????????, sealed under key fe6b3e115b099239
-- test: audit_verify as a table has one row of level info
SELECT level, kind, id, detail GLOB 'log: 4 entries, root *' FROM audit_verify('log');
-- expect: info|verified|NULL|1
-- test: audit_verify of NULL
SELECT audit_verify(NULL);
-- error: audit_verify: log must be TEXT, not NULL
-- test: audit_verify of no log
SELECT audit_verify('nothing');
-- error: audit_verify: no log is named "nothing"; SELECT name FROM audit_logs lists them
-- test: the table, of NULL
SELECT * FROM audit_verify(NULL);
-- error: audit_verify: log must be TEXT, not NULL
-- test: the table, of no log
SELECT * FROM audit_verify('nothing');
-- error: audit_verify: no log is named "nothing"; SELECT name FROM audit_logs lists them
-- test: the table, of nothing at all
SELECT * FROM audit_verify;
-- error: audit_verify: expected at least 1 argument
-- test: a checkpoint of NULL: the file it was read from is not there
SELECT audit_verify('log', NULL);
-- error: audit_verify: checkpoint must be TEXT or BLOB, not NULL
-- test: a checkpoint that is a number
SELECT audit_verify('log', 5);
-- error: audit_verify: checkpoint must be TEXT or BLOB, not INTEGER
-- test: a checkpoint that is none
SELECT audit_verify('log', 'no checkpoint');
-- error: audit_verify: log: the checkpoint is no signed checkpoint: it has no empty line between text and signatures
-- test: keys of NULL
SELECT audit_verify('log', 'no checkpoint', NULL);
-- error: audit_verify: vkeys must be TEXT, not NULL
-- test: keys that are none, once they are needed
SELECT audit_verify('log', 'example.com/audit
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

— example.com/audit Kbh7/MMDZzUK+Vn5aeiirlU7DkzTjY8Q014NWv4lp/DhLnxVQP9jgD8Wxf7HAzHwZgfJfgl/Sxj8AshRwfohrAwzAw0=
', 'no keys');
-- error: audit_verify: public key 1 is malformed; expected <name>+<8 hex digits>+<base64>, as audit_public_key(log, 'vkey') gives it
-- test: an empty list of keys
SELECT audit_verify('log', 'example.com/audit
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

— example.com/audit Kbh7/MMDZzUK+Vn5aeiirlU7DkzTjY8Q014NWv4lp/DhLnxVQP9jgD8Wxf7HAzHwZgfJfgl/Sxj8AshRwfohrAwzAw0=
', ', ,');
-- error: audit_verify: the list of public keys is empty; expected <name>+<8 hex digits>+<base64>, …
-- test: a checkpoint of a longer log, signed by a trusted key: the log was rolled back
SELECT audit_verify('log', 'example.com/audit
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

— example.com/audit Kbh7/MMDZzUK+Vn5aeiirlU7DkzTjY8Q014NWv4lp/DhLnxVQP9jgD8Wxf7HAzHwZgfJfgl/Sxj8AshRwfohrAwzAw0=
', 'example.com/audit+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4');
-- error: audit_verify: log: the checkpoint is of 8 leaves, the log has only 5: it was rolled back
-- test: the same without a key that signed it
SELECT audit_verify('log', 'example.com/audit
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

— example.com/audit Kbh7/MMDZzUK+Vn5aeiirlU7DkzTjY8Q014NWv4lp/DhLnxVQP9jgD8Wxf7HAzHwZgfJfgl/Sxj8AshRwfohrAwzAw0=
');
-- error: audit_verify: log: no trusted key of example.com/audit signed the checkpoint
-- test: a checkpoint of another log
CREATE VIRTUAL TABLE second USING audit_log(a TEXT, origin='example.com/second');
SELECT audit_verify('second', 'example.com/audit
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

— example.com/audit Kbh7/MMDZzUK+Vn5aeiirlU7DkzTjY8Q014NWv4lp/DhLnxVQP9jgD8Wxf7HAzHwZgfJfgl/Sxj8AshRwfohrAwzAw0=
', 'example.com/audit+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4');
-- error: audit_verify: second: the checkpoint is of log example.com/audit, not of example.com/second
-- test: a log of that many leaves, but others: it was re-written
INSERT INTO log(who) VALUES('f'), ('g'), ('h'), ('i');
SELECT kind, detail FROM audit_verify('log', 'example.com/audit
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

— example.com/audit Kbh7/MMDZzUK+Vn5aeiirlU7DkzTjY8Q014NWv4lp/DhLnxVQP9jgD8Wxf7HAzHwZgfJfgl/Sxj8AshRwfohrAwzAw0=
', 'example.com/audit+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4');
-- expect: forked|log: the log's first 8 leaves are not those of the checkpoint, whose root is 5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328: it was re-written
-- test: a malformed signature line
SELECT kind, detail FROM audit_verify('log', 'example.com/audit
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

— example.com/audit !
');
-- expect: checkpoint|log: the checkpoint is no signed checkpoint: a signature line is malformed
-- test: a checkpoint whose size has a leading zero
SELECT kind, detail FROM audit_verify('log', 'example.com/audit
08
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

— example.com/audit Kbh7/MMDZzUK+Vn5aeiirlU7DkzTjY8Q014NWv4lp/DhLnxVQP9jgD8Wxf7HAzHwZgfJfgl/Sxj8AshRwfohrAwzAw0=
');
-- expect: checkpoint|log: the checkpoint is no signed checkpoint

-- test: a star verifies every log, and stops at the first problem
SELECT audit_verify('*');
-- glob: log: 8 entries, root *
-- glob: second: 0 entries, root *
SELECT level, count(*) FROM audit_verify('*') GROUP BY 1;
-- expect: info|2

-- test: audit_logs, column by column
SELECT name, schema, entries, hot, archived_to, pruned_to, segments, archive, archive_after, retain, sealed, origin FROM audit_logs;
-- expect: log|main|8|8|0|0|0|NULL|NULL|NULL|1|example.com/audit
-- expect: second|main|0|0|0|0|0|NULL|NULL|NULL|1|example.com/second
-- test: audit_segments of a log that has none
SELECT * FROM audit_segments('log');
-- nothing
-- test: audit_segments of nothing
SELECT * FROM audit_segments;
-- error: audit_segments: expected at least 1 argument
-- test: audit_segments of NULL
SELECT * FROM audit_segments(NULL);
-- error: audit_segments: log must be TEXT, not NULL
-- test: audit_segments of no log
SELECT * FROM audit_segments('nothing');
-- error: audit_segments: no log is named "nothing"; SELECT name FROM audit_logs lists them
-- test: the tables cannot be written
DELETE FROM audit_logs;
-- error: table audit_logs may not be modified
-- test: nor made anew
CREATE VIRTUAL TABLE mine USING audit_verify;
-- error: no such module: audit_verify

-- test: damage that only the plain shell can do is found and named
-- plain
DROP TRIGGER log_rows_update; UPDATE log_rows SET who = 'eve' WHERE id IN (2, 4);
SELECT level, kind, id, detail FROM audit_verify('log');
-- expect: error|schema|NULL|log: trigger log_rows_update is missing; it should read: CREATE TRIGGER "log_rows_update" BEFORE update ON "log_rows" BEGIN SELECT RAISE(ABORT, 'log is append-only: entries are never changed'); END
-- glob: error|changed|2|log: entry 2 was changed after it was logged; its hash was *, it is * now
-- glob: error|changed|4|log: entry 4 was changed after it was logged; its hash was *, it is * now
-- test: the function raises on the first of them and counts the rest
SELECT audit_verify('log');
-- error glob: audit_verify: log: trigger log_rows_update is missing; it should read: * (and 2 more; SELECT [*] FROM audit_verify('log') lists them)
-- test: a star stops there, too
SELECT audit_verify('*');
-- error glob: audit_verify: log: trigger log_rows_update is missing; *
-- test: the rows can still be read, as they are
SELECT group_concat(who) FROM log WHERE id < 5;
-- expect: ann,eve,cy,eve
-- test: and audit_leaf writes the row as it is, which is what its hash no longer fits
SELECT audit_leaf('log', 2);
-- glob: {"id":2,"recorded_at":[0-9]*,"who":"eve","n":2}
-- test: a head that was tampered with is told on use
-- plain
UPDATE log_meta SET value = x'00' WHERE key = 'head';
SELECT audit_size('log');
-- error: log: the head of the log is missing or damaged; SELECT * FROM audit_verify('log') tells more
SELECT kind, detail FROM audit_verify('log') WHERE kind = 'damaged';
-- expect: damaged|log: the head of the log is missing or damaged; SELECT * FROM audit_verify('log') tells more
-- test: audit_logs lists such a log with NULLs
SELECT name, entries, archived_to, sealed, origin FROM audit_logs;
-- expect: log|NULL|NULL|1|NULL
-- expect: second|0|0|1|example.com/second
-- test: a log whose storage is gone
-- plain
DROP TABLE second_meta;
SELECT audit_size('second');
-- error: second: no such table: main.second_meta
SELECT kind, detail FROM audit_verify('second') WHERE kind = 'damaged';
-- expect: damaged|second: no such table: main.second_meta
-- test: a seal that was removed
CREATE VIRTUAL TABLE third USING audit_log(a TEXT);
-- plain
DELETE FROM third_meta WHERE key = 'seal';
INSERT INTO third(a) VALUES('x');
-- error: third: the seal is missing or damaged; SELECT * FROM audit_verify('third') tells more
SELECT kind, detail FROM audit_verify('third');
-- expect: seal|third: the seal is missing or damaged
-- test: a genesis that was removed
-- plain
DELETE FROM third_meta WHERE key = 'genesis';
-- reopen
SELECT audit_size('third');
-- error: third: the genesis is missing; SELECT * FROM audit_verify('third') tells more
-- test: a genesis of a later format
CREATE VIRTUAL TABLE fourth USING audit_log(a TEXT);
-- plain
UPDATE fourth_meta SET value = replace(value, '"rustybt_log":1', '"rustybt_log":2') WHERE key = 'genesis';
SELECT audit_size('fourth');
-- error: fourth: the log has format 2; this version of rustybt reads format 1
-- test: a genesis that is none
-- plain
UPDATE fourth_meta SET value = '{}' WHERE key = 'genesis';
SELECT audit_size('fourth');
-- error: fourth: the genesis is not one
-- test: a genesis that is no JSON
-- plain
UPDATE fourth_meta SET value = '{' WHERE key = 'genesis';
SELECT audit_size('fourth');
-- error: fourth: invalid JSON at byte 1: expected a key in double quotes, not the end of the text
-- test: a genesis whose log_id is cut
-- plain
UPDATE fourth_meta SET value = '{"id":0,"recorded_at":1,"rustybt_log":1,"log_id":"00","origin":"a","sealed":true,"arguments":[]}' WHERE key = 'genesis';
SELECT audit_size('fourth');
-- error: fourth: the genesis is damaged
-- test: pruned_to that is missing
CREATE VIRTUAL TABLE fifth USING audit_log(a TEXT);
-- plain
DELETE FROM fifth_meta WHERE key = 'pruned_to';
SELECT audit_size('fifth');
-- error: fifth: pruned_to is missing or damaged; SELECT * FROM audit_verify('fifth') tells more
SELECT a FROM fifth;
-- error: fifth: the log's meta table lacks pruned_to
-- test: a gate that is missing
CREATE VIRTUAL TABLE sixth USING audit_log(a TEXT);
-- plain
DROP TRIGGER sixth_gate_delete; DELETE FROM sixth_gate;
INSERT INTO sixth(a) VALUES('x');
-- error: sixth: the gate of the log is missing or blocked; SELECT * FROM audit_verify('sixth') tells more
SELECT kind, detail FROM audit_verify('sixth') WHERE kind = 'gate';
-- expect: gate|sixth: the gate of the log stands open or was changed; it should be 1: 9223372036854775807, 2: -1; it is empty
-- test: an empty meta table
CREATE VIRTUAL TABLE seventh USING audit_log(a TEXT);
-- plain
DELETE FROM seventh_meta;
SELECT audit_size('seventh');
-- error: seventh: the log's meta table is empty; SELECT * FROM audit_verify('seventh') tells more
-- test: a declaration that was changed in the schema
CREATE VIRTUAL TABLE eighth USING audit_log(a TEXT NOT NULL);
INSERT INTO eighth(a) VALUES('x');
-- plain
PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'a TEXT NOT NULL', 'a TEXT') WHERE name = 'eighth'; PRAGMA writable_schema = RESET;
-- reopen
INSERT INTO eighth(a) VALUES(NULL);
-- error: eighth: the log was created with another declaration than the schema has now; appends are refused
SELECT kind, detail FROM audit_verify('eighth') WHERE kind = 'declaration';
-- expect: declaration|eighth: the declaration in sqlite_schema is not the one the log was created with; it should read: a TEXT NOT NULL; it reads: a TEXT
