-- SPDX-License-Identifier: MIT
-- Logs in one database, in ATTACHed ones and in temp: of one name, in one transaction, each with its own
-- archive folder and events.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- run: mkdir sub
ATTACH 'sub/other.db' AS "an aux";
CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, archive='cold');
CREATE VIRTUAL TABLE second USING audit_log(n INTEGER);
CREATE VIRTUAL TABLE "an aux".log USING audit_log(n INTEGER, archive='cold');
CREATE VIRTUAL TABLE temp.log USING audit_log(n INTEGER);
BEGIN;
INSERT INTO main.log(n) VALUES(1);
INSERT INTO second(n) VALUES(2);
INSERT INTO "an aux".log(n) VALUES(3), (4);
INSERT INTO temp.log(n) VALUES(5);
COMMIT;
BEGIN;
INSERT INTO main.log(n) VALUES(6);
INSERT INTO "an aux".log(n) VALUES(6);
INSERT INTO temp.log(n) VALUES(6);
ROLLBACK;
-- test: each log has its entries, and a rollback took back those of all
SELECT schema, name, entries FROM audit_logs;
-- expect: main|log|1
-- expect: main|second|1
-- expect: temp|log|1
-- expect: an aux|log|2
-- test: a name alone is looked for in temp first, as SQLite does
SELECT audit_root('log') = audit_root('temp.log'), audit_root('log') = audit_root('main.log');
-- expect: 1|0
-- test: all verify at once
SELECT level, kind, count(*) FROM audit_verify('*');
-- expect: info|verified|4
-- test: logs of one name have identities of their own
SELECT count(DISTINCT json_extract(audit_leaf(schema || '.' || name, 0), '$.log_id')) FROM audit_logs;
-- expect: 4
SELECT audit_archive('main.log', 'cold', 'now');
SELECT audit_archive('an aux.log', 'cold', 'now');
SELECT audit_prune('*');
-- test: each archives beside its own database
-- run: ls cold sub/cold
-- expect: cold:
-- expect: log-000000000000-000000000001.jsonl.zst
-- expect:
-- expect: sub/cold:
-- expect: log-000000000000-000000000002.jsonl.zst
-- test: and reads from there
SELECT id, n, tier FROM "an aux".log;
-- expect: 1|3|cold
-- expect: 2|4|cold
SELECT audit_discard('an aux.log', 'tried');
-- test: what is done to a log is recorded in its own database
SELECT (SELECT count(*) FROM "an aux".rustybt_events WHERE action = 'discard'),
    (SELECT count(*) FROM main.rustybt_events WHERE action = 'discard');
-- expect: 1|0
-- test: the discard of one does not let another go
DROP TABLE main.log;
-- error glob: *
DETACH "an aux";
ATTACH 'sub/other.db' AS renamed;
INSERT INTO renamed.log(n) VALUES(7);
-- test: attached under another name the log goes on
SELECT id, n, tier FROM renamed.log;
-- expect: 1|3|cold
-- expect: 2|4|cold
-- expect: 3|7|hot
-- test: and is intact
SELECT kind FROM audit_verify('renamed.log');
-- expect: verified
-- test: entries can be copied from one log into another, where they are new
INSERT INTO second(n) SELECT n FROM renamed.log;
-- nothing
-- test: with the other log's own ids
SELECT id, n FROM second;
-- expect: 1|2
-- expect: 2|3
-- expect: 3|4
-- expect: 4|7
CREATE TABLE t(n);
-- test: a trigger of temp may append to a log of main
CREATE TEMP TRIGGER x AFTER INSERT ON main.t BEGIN INSERT INTO second(n) VALUES(NEW.n); END;
-- nothing
INSERT INTO t VALUES(8);
-- test: and it did
SELECT max(n) FROM second;
-- expect: 8
-- test: SQLite cannot VACUUM main while temp has a table of the same name with an index of the same name
VACUUM;
-- error: index log_rows_guard already exists
-- test: json() takes away the spaces that the log takes away, and nothing else: sql/import.sql relies on it
SELECT json(' [ 1.50e+3 , -0 , "\u00e9\/ \n" , {"b" : 1E400, "a":null} ]');
-- expect: [1.50e+3,-0,"\u00e9\/ \n",{"b":1E400,"a":null}]
-- reopen
-- test: a log of temp is gone with its connection
SELECT schema, name, entries FROM audit_logs WHERE name <> 'rustybt_events';
-- expect: main|log|1
-- expect: main|second|5
-- test: what it leaves is intact
SELECT DISTINCT kind FROM audit_verify('*');
-- expect: verified
VACUUM INTO 'copy.db';
ATTACH 'copy.db' AS copy;
-- test: VACUUM INTO copies the logs of main, whole
SELECT kind, detail LIKE 'log: 1 entry (0 hot, 1 cold)%' FROM audit_verify('copy.log');
-- expect: verified|1
-- database: :memory:
CREATE VIRTUAL TABLE log USING audit_log(n INTEGER);
INSERT INTO log(n) VALUES(1);
-- test: a log in memory works as well
SELECT kind FROM audit_verify('log');
-- expect: verified
