-- SPDX-License-Identifier: MIT
-- What USING audit_log(…) takes: types in any case, comments and odd names, every constraint and
-- option, and what SQLite then shows of the log.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=

-- test: the columns are id, recorded_at, the declared ones in order, and hidden tier
CREATE VIRTUAL TABLE plain USING audit_log(a text, b Integer, c REAL, d blob, e JSON);
SELECT cid, name, type, "notnull", hidden FROM pragma_table_xinfo('plain');
-- expect: 0|id|INTEGER|0|0
-- expect: 1|recorded_at|INTEGER|0|0
-- expect: 2|a|TEXT|0|0
-- expect: 3|b|INTEGER|0|0
-- expect: 4|c|REAL|0|0
-- expect: 5|d|BLOB|0|0
-- expect: 6|e|TEXT|0|0
-- expect: 7|tier|TEXT|0|1
-- test: the storage is five tables with their index and triggers
SELECT type, name FROM sqlite_schema WHERE name <> 'plain' AND name NOT LIKE 'sqlite_%' ORDER BY 1, 2;
-- expect: index|plain_rows_guard
-- expect: table|plain_gate
-- expect: table|plain_meta
-- expect: table|plain_rows
-- expect: table|plain_segments
-- expect: table|plain_tree
-- expect: trigger|plain_gate_delete
-- expect: trigger|plain_gate_insert
-- expect: trigger|plain_gate_update
-- expect: trigger|plain_rows_delete
-- expect: trigger|plain_rows_insert
-- expect: trigger|plain_rows_update

-- test: constraints, in any order, with comments between and quotes within
CREATE VIRTUAL TABLE odd USING audit_log(
  "select" TEXT /* a keyword */ CHECK(NOT "select" = ');' AND [select] NOT LIKE '%--%' -- not a comment
  ) NOT NULL,
  [two words] INTEGER DEFAULT -5 CHECK(`two words` BETWEEN -10 AND (10)),
  "quo""te" REAL DEFAULT (1.0 / 4),
  größe TEXT DEFAULT 'it''s; /* no comment */',
  index TEXT, check JSON, default BLOB DEFAULT x'00ff',
  CHECK(NOT "select" = größe), INDEX("two words", "quo""te"), INDEX(recorded_at), INDEX(index));
INSERT INTO odd("select", "index") VALUES('a', 'b');
SELECT id, "select", "two words", "quo""te", größe, "index", "check", "default" FROM odd;
-- expect: 1|a|-5|0.25|it's; /* no comment */|b|NULL|X'00FF'
-- test: names stand in the leaf as they are declared
SELECT substr(audit_leaf('odd', 1), instr(audit_leaf('odd', 1), '"select"'));
-- expect: "select":"a","two words":-5,"quo\"te":0.25,"größe":"it's; /* no comment */","index":"b","check":null,"default":"AP8="}
-- test: the first CHECK holds
INSERT INTO odd("select") VALUES(');');
-- error: odd: CHECK constraint failed: NOT "select" = ');' AND [select] NOT LIKE '%--%'
-- test: the CHECK of the whole entry holds
INSERT INTO odd("select", größe) VALUES('b', 'b');
-- error: odd: CHECK constraint failed: NOT "select" = größe
-- test: indexes are made, under the log's name
SELECT name, sql FROM sqlite_schema WHERE tbl_name = 'odd_rows' AND type = 'index' ORDER BY 1;
-- expect: odd_rows_1|CREATE INDEX "odd_rows_1" ON "odd_rows"("two words", "quo""te")
-- expect: odd_rows_2|CREATE INDEX "odd_rows_2" ON "odd_rows"(recorded_at)
-- expect: odd_rows_3|CREATE INDEX "odd_rows_3" ON "odd_rows"("index")
-- expect: odd_rows_guard|CREATE INDEX "odd_rows_guard" ON "odd_rows"((0)) WHERE 0
-- test: it verifies
SELECT audit_verify('odd');
-- glob: odd: 1 entry, root *, sealed under key fe6b3e115b099239

-- test: options, in any case, as words, texts or quoted names
CREATE VIRTUAL TABLE options USING audit_log(e JSON, ORIGIN='example.com/a', archive=cold, "archive_after"='90 days',
  retain="7 years", seal=OFF, Reads=HOT, salt=on, secrets=allow);
SELECT name, archive, archive_after, retain, sealed, origin FROM audit_logs WHERE name = 'options';
-- expect: options|cold|90 days|7 years|0|example.com/a
-- test: the genesis holds every argument as it was typed
SELECT audit_leaf('options', 0);
-- glob: {"id":0,"recorded_at":[0-9]*,"rustybt_log":1,"log_id":"[0-9a-f]*","origin":"example.com/a","sealed":false,"arguments":[[]"e JSON","ORIGIN='example.com/a'","archive=cold","\"archive_after\"='90 days'","retain=\"7 years\"","seal=OFF","Reads=HOT","salt=on","secrets=allow"]}
-- test: a salted leaf has 16 random bytes as its third key
INSERT INTO options(e) VALUES('{}'), ('{}');
SELECT audit_leaf('options', 1);
-- glob: {"id":1,"recorded_at":[0-9]*,"salt":"[A-Za-z0-9+/]*==","e":{}}
SELECT count(DISTINCT salt), min(length(salt)), max(length(salt)) FROM options_rows;
-- expect: 2|16|16
-- test: the default origin is the log's own identity
SELECT origin = 'rustybt/' || substr(audit_leaf('plain', 0), instr(audit_leaf('plain', 0), 'log_id":"') + 9, 32)
  FROM (SELECT origin FROM audit_logs WHERE name = 'plain');
-- expect: 1

-- test: IF NOT EXISTS leaves a log as it is
CREATE VIRTUAL TABLE IF NOT EXISTS options USING audit_log(other TEXT);
SELECT audit_size('options');
-- expect: 3
-- test: a log in the temporary schema, which no file holds
CREATE VIRTUAL TABLE temp.passing USING audit_log(a TEXT);
INSERT INTO passing(a) VALUES('x');
SELECT audit_verify('passing');
-- glob: passing: 1 entry, root *, sealed under key fe6b3e115b099239
-- test: a log in an attached database, and one of the same name here
ATTACH 'second.db' AS "2nd";
CREATE VIRTUAL TABLE "2nd".plain USING audit_log(z TEXT);
INSERT INTO "2nd".plain(z) VALUES('x'), ('y');
SELECT audit_size('plain'), audit_size('main.plain'), audit_size('2nd.plain'), audit_size('2ND.PLAIN');
-- expect: 1|1|3|3
-- test: an attached database whose name holds a dot
ATTACH ':memory:' AS "a.b";
CREATE VIRTUAL TABLE "a.b"."c.d" USING audit_log(z TEXT);
SELECT audit_size('a.b.c.d');
-- expect: 1
-- test: audit_logs lists them by schema and name
SELECT schema, name, entries FROM audit_logs;
-- expect: main|odd|1
-- expect: main|options|2
-- expect: main|plain|0
-- expect: temp|passing|1
-- expect: 2nd|plain|2
-- expect: a.b|c.d|0
-- test: a star means them all, whatever PRAGMA case_sensitive_like says
PRAGMA case_sensitive_like = ON;
SELECT length(audit_verify('*')) - length(replace(audit_verify('*'), char(10), ''));
-- expect: 5
PRAGMA case_sensitive_like = OFF;

-- test: a log named with quotes and spaces works in every statement
CREATE VIRTUAL TABLE "it's ""odd""; --" USING audit_log(a TEXT, INDEX(a));
INSERT INTO "it's ""odd""; --"(a) VALUES('x'), ('y');
SELECT id, a FROM "it's ""odd""; --" WHERE a = 'y';
-- expect: 2|y
SELECT audit_verify('it''s "odd"; --');
-- glob: it's "odd"; --: 2 entries, root *, sealed under key fe6b3e115b099239
-- test: and its storage still refuses by name
DELETE FROM "it's ""odd""; --_rows";
-- error: it's "odd"; -- is append-only: entries are never deleted
