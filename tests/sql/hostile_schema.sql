-- SPDX-License-Identifier: MIT
-- A schema that somebody edited cannot blind '*'.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE VIRTUAL TABLE l USING audit_log(a TEXT, seal=no);
INSERT INTO l(a) VALUES('one'), ('two');
-- test: a table named like the pragma function hides no log
CREATE TABLE pragma_database_list(seq, name);
SELECT audit_verify('*') GLOB 'l: 2 entries*';
-- expect: 1
-- test: a virtual table of another module that names audit_log is none
SELECT audit_archive('l', 'cold', 'now') IS NOT NULL;
CREATE VIRTUAL TABLE "using audit_log" USING archive('cold/*.zst');
SELECT name FROM audit_logs;
-- expect: l
-- expect: rustybt_events
-- test: a log that was replaced by a view is missed
PRAGMA writable_schema=ON;
UPDATE sqlite_schema SET type = 'view', rootpage = 0, sql = 'CREATE VIEW l AS SELECT id, a FROM l_rows WHERE id <> 2' WHERE name = 'l';
PRAGMA writable_schema=RESET;
-- reopen
SELECT level, kind, detail FROM audit_verify('*') WHERE level = 'error';
-- expect: error|orphaned|l: the log is gone from schema main, its storage is not: its entry was removed or replaced
