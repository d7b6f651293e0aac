-- SPDX-License-Identifier: MIT
-- What is never done to a log, with the sentence that says why: through the log, on its storage, with
-- the extension and without; and the one way to drop a log.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE VIRTUAL TABLE log USING audit_log(who TEXT NOT NULL, what JSON, INDEX(who));
INSERT INTO log(who, what) VALUES('ann', '{"n":1}'), ('bob', '{"n":2}'), ('cy', '{"n":3}');

-- test: UPDATE
UPDATE log SET who = 'eve' WHERE id = 1;
-- error: log is append-only: entries are never changed
-- test: UPDATE to the same value
UPDATE log SET who = who;
-- error: log is append-only: entries are never changed
-- test: UPDATE OR IGNORE
UPDATE OR IGNORE log SET who = 'eve';
-- error: log is append-only: entries are never changed
-- test: UPDATE OR REPLACE of the id
UPDATE OR REPLACE log SET id = 2 WHERE id = 1;
-- error: log is append-only: entries are never changed
-- an UPDATE of nothing does nothing
UPDATE log SET who = 'eve' WHERE id = 99;
-- test: DELETE
DELETE FROM log WHERE who = 'ann';
-- error: log is append-only: entries are never deleted
-- test: DELETE of everything
DELETE FROM log;
-- error: log is append-only: entries are never deleted
-- test: DELETE by rowid
DELETE FROM log WHERE rowid = 2;
-- error: log is append-only: entries are never deleted
-- test: INSERT OR REPLACE over an entry
INSERT OR REPLACE INTO log(id, who) VALUES(1, 'eve');
-- error: log: id is given by the log; leave it out or NULL
-- test: UPSERT is SQLite's own refusal
INSERT INTO log(who) VALUES('eve') ON CONFLICT(id) DO UPDATE SET who = 'eve';
-- error: UPSERT not implemented for virtual table "log"
-- test: RENAME
ALTER TABLE log RENAME TO diary;
-- error: log: a log keeps its name, which its archives carry; it cannot become "diary"
-- test: ADD COLUMN is SQLite's own refusal
ALTER TABLE log ADD COLUMN more TEXT;
-- error: virtual tables may not be altered
-- test: an index on the log is SQLite's own refusal
CREATE INDEX by_who ON log(who);
-- error: virtual tables may not be indexed
-- test: a trigger on the log is SQLite's own refusal
CREATE TRIGGER t AFTER INSERT ON log BEGIN SELECT 1; END;
-- error: cannot create triggers on virtual tables
-- test: DROP of a log with entries; SQLite does not show the log's own sentence
DROP TABLE log;
-- error: attempt to write a readonly database
-- test: all of it in a transaction, which goes on
BEGIN;
INSERT INTO log(who) VALUES('dan');
UPDATE log SET who = 'eve';
-- error: log is append-only: entries are never changed
DELETE FROM log;
-- error: log is append-only: entries are never deleted
DROP TABLE log;
-- error: attempt to write a readonly database
INSERT INTO log(who) VALUES('eve');
COMMIT;
SELECT group_concat(who) FROM log;
-- expect: ann,bob,cy,dan,eve

-- test: INSERT into the storage
INSERT INTO log_rows(id, recorded_at, who) VALUES(6, 0, 'mallory');
-- error: log is append-only: insert into the log, not into its storage
-- test: INSERT OR REPLACE into the storage
INSERT OR REPLACE INTO log_rows(id, recorded_at, who) VALUES(1, 0, 'mallory');
-- error: log is append-only: insert into the log, not into its storage
-- test: UPDATE of the storage
UPDATE log_rows SET who = 'mallory' WHERE id = 1;
-- error: log is append-only: entries are never changed
-- test: UPDATE OR IGNORE of the storage
UPDATE OR IGNORE log_rows SET who = 'mallory';
-- error: log is append-only: entries are never changed
-- test: UPSERT on the storage
INSERT INTO log_rows(id, recorded_at, who) VALUES(1, 0, 'm') ON CONFLICT(id) DO UPDATE SET who = 'm';
-- error: log is append-only: insert into the log, not into its storage
-- test: DELETE from the storage
DELETE FROM log_rows WHERE id = 1;
-- error: log is append-only: entries are never deleted
-- test: DELETE of all of the storage, which has triggers and so is no truncation
DELETE FROM log_rows;
-- error: log is append-only: entries are never deleted
-- test: opening the gate
UPDATE log_gate SET size = 0 WHERE id = 1;
-- error: log is append-only: its gate is opened by the log alone
-- test: opening the prune gate
UPDATE log_gate SET size = 100 WHERE id = 2;
-- error: log is append-only: its gate is opened by the log alone
-- test: a gate of one's own
INSERT INTO log_gate(id, size) VALUES(3, 0);
-- error: log is append-only: its gate is opened by the log alone
-- test: removing the gate
DELETE FROM log_gate;
-- error: log is append-only: its gate is opened by the log alone
-- test: while the log has its gate open, the past stays shut
BEGIN;
INSERT INTO log(who) VALUES('fay');
INSERT INTO log_rows(id, recorded_at, who) VALUES(3, 0, 'mallory');
-- error: log is append-only: insert into the log, not into its storage
UPDATE log_rows SET who = 'mallory' WHERE id = 6;
-- error: log is append-only: entries are never changed
DELETE FROM log_rows WHERE id = 6;
-- error: log is append-only: entries are never deleted
UPDATE log_gate SET size = -1 WHERE id = 1;
-- error: log is append-only: its gate is opened by the log alone
-- test: a row put behind the log's back meanwhile makes its COMMIT fail
INSERT INTO log_rows(id, recorded_at, who) VALUES(7, 0, 'mallory');
COMMIT;
-- error: log: the last stored entry is 7, the log's own count is 6; the transaction is refused
SELECT audit_verify('log') GLOB 'log: 5 entries*';
-- expect: 1

-- test: without the extension, rows say why
-- plain
UPDATE log_rows SET who = 'mallory';
-- error: log is append-only: entries are never changed
-- plain
DELETE FROM log_rows;
-- error: log is append-only: entries are never deleted
-- plain
INSERT INTO log_rows(id, recorded_at, who) VALUES(6, 0, 'mallory');
-- error: log is append-only: insert into the log, not into its storage
-- test: without the extension, the gate lacks its function
-- plain
UPDATE log_gate SET size = 0;
-- error: no such function: rustybt_append_only
-- test: without the extension, the log is no module
-- plain
INSERT INTO log(who) VALUES('mallory');
-- error: no such module: audit_log
-- test: without the extension, rows can be read
-- plain
SELECT group_concat(who) FROM log_rows;
-- expect: ann,bob,cy,dan,eve

-- test: the gate's question is answered no from outside
SELECT rustybt_append_only();
-- expect: 0

-- test: a trigger that makes appends vanish is noticed at once
CREATE TRIGGER vanish BEFORE INSERT ON log_rows BEGIN SELECT RAISE(IGNORE); END;
INSERT INTO log(who) VALUES('gil');
-- error: log: a trigger on the log's storage made the entry vanish; SELECT * FROM audit_verify('log') tells more
-- test: and named
SELECT kind, detail FROM audit_verify('log');
-- expect: foreign|log: trigger "vanish" in schema main stands on the log's storage log_rows
DROP TRIGGER vanish;
-- test: so is one that makes the tree, the head or the gate stay behind; the transaction is refused
CREATE TRIGGER vanish BEFORE INSERT ON log_tree BEGIN SELECT RAISE(IGNORE); END;
INSERT INTO log(who) VALUES('gil');
-- error: log: the tree of the log is missing or blocked; SELECT * FROM audit_verify('log') tells more
DROP TRIGGER vanish;
CREATE TRIGGER vanish BEFORE INSERT ON log_meta BEGIN SELECT RAISE(IGNORE); END;
BEGIN;
INSERT INTO log(who) VALUES('gil');
COMMIT;
-- error: log: the meta table of the log is missing or blocked; SELECT * FROM audit_verify('log') tells more
DROP TRIGGER vanish;
CREATE TEMP TRIGGER vanish BEFORE UPDATE ON log_gate BEGIN SELECT RAISE(IGNORE); END;
INSERT INTO log(who) VALUES('gil');
-- error: log: the gate of the log is missing or blocked; SELECT * FROM audit_verify('log') tells more
DROP TRIGGER vanish;
SELECT audit_verify('log') GLOB 'log: 5 entries*';
-- expect: 1
-- test: a temporary trigger, too
CREATE TEMP TRIGGER vanish BEFORE INSERT ON log_rows BEGIN SELECT RAISE(IGNORE); END;
INSERT INTO log(who) VALUES('gil');
-- error: log: a trigger on the log's storage made the entry vanish; SELECT * FROM audit_verify('log') tells more
SELECT kind, detail FROM audit_verify('log');
-- expect: foreign|log: trigger "vanish" in schema temp stands on the log's storage log_rows
DROP TRIGGER vanish;
-- test: a trigger that fails behind the row leaves a transaction that cannot commit
CREATE TRIGGER late AFTER INSERT ON log_rows BEGIN SELECT RAISE(FAIL, 'late'); END;
BEGIN;
INSERT INTO log(who) VALUES('gil');
-- error: log: late
COMMIT;
-- error: log: the last stored entry is 6, the log's own count is 5; the transaction is refused
DROP TRIGGER late;
-- test: temporary tables and views of the storage's names do not shadow it
CREATE TEMP TABLE log_rows(id INTEGER PRIMARY KEY, recorded_at, who, what);
CREATE TEMP VIEW log_meta AS SELECT 'head' AS key, x'00' AS value;
INSERT INTO log(who) VALUES('gil');
SELECT who FROM log WHERE id = 6;
-- expect: gil
SELECT audit_verify('log') GLOB 'log: 6 entries*';
-- expect: 1
DROP TABLE temp.log_rows;
DROP VIEW temp.log_meta;

-- test: REPLACE INTO orders reaches a log through a trigger
CREATE TABLE orders(id INTEGER PRIMARY KEY, state TEXT);
CREATE TRIGGER orders_insert AFTER INSERT ON orders BEGIN INSERT INTO log(who) VALUES('order ' || NEW.id || NEW.state); END;
INSERT INTO orders VALUES(1, ' new');
REPLACE INTO orders VALUES(1, ' again');
SELECT group_concat(who) FROM log WHERE id > 6;
-- expect: order 1 new,order 1 again
-- test: UPDATE OR IGNORE of orders does not swallow an entry that the log refuses
CREATE TRIGGER orders_update AFTER UPDATE ON orders BEGIN INSERT INTO log(who) VALUES(NEW.state); END;
UPDATE OR IGNORE orders SET state = NULL;
-- error: log: who must not be NULL
SELECT state FROM orders;
-- expect:  again

-- test: audit_discard of no log
SELECT audit_discard('nothing', 'a reason');
-- error: audit_discard: no log is named "nothing"; SELECT name FROM audit_logs lists them
-- test: of NULL
SELECT audit_discard(NULL, 'a reason');
-- error: audit_discard: log must be TEXT, not NULL
-- test: for NULL
SELECT audit_discard('log', NULL);
-- error: audit_discard: reason must be TEXT, not NULL
-- test: for nothing
SELECT audit_discard('log', '');
-- error: audit_discard: reason must not be empty
-- test: of an ordinary table
SELECT audit_discard('orders', 'a reason');
-- error: audit_discard: no log is named "orders"; SELECT name FROM audit_logs lists them
-- test: without a reason
SELECT audit_discard('log');
-- error: wrong number of arguments to function audit_discard()
CREATE VIRTUAL TABLE empty USING audit_log(a TEXT);
DROP TABLE empty;
-- test: a log without entries is dropped without more
SELECT count(*) FROM sqlite_schema WHERE name LIKE 'empty%';
-- expect: 0
-- test: a discard that is rolled back opens nothing
BEGIN;
SELECT audit_discard('log', 'not really');
-- expect: log: recorded; DROP TABLE log may go on, on this connection
ROLLBACK;
DROP TABLE log;
-- error: attempt to write a readonly database
-- test: also when a savepoint rolls it back
BEGIN;
SAVEPOINT s;
SELECT audit_discard('log', 'not really');
ROLLBACK TO s;
DROP TABLE log;
-- error: attempt to write a readonly database
COMMIT;
SELECT count(*) FROM sqlite_schema WHERE name LIKE 'rustybt%';
-- expect: 0
-- test: discarding lets DROP go on, on this connection alone
DROP TRIGGER orders_insert;
DROP TRIGGER orders_update;
SELECT audit_discard('log', 'set up "by" mistake');
-- expect: log: recorded; DROP TABLE log may go on, on this connection
-- other
DROP TABLE log;
-- error: attempt to write a readonly database
DROP TABLE log;
SELECT count(*) FROM sqlite_schema WHERE name LIKE 'log%';
-- expect: 0
-- test: and is recorded
SELECT action, log, json_extract(detail, '$.reason'), json_extract(detail, '$.entries'), length(json_extract(detail, '$.root'))
  FROM rustybt_events;
-- expect: discard|log|set up "by" mistake|8|64
-- test: a log of the same name begins anew, and is not discarded
CREATE VIRTUAL TABLE log USING audit_log(who TEXT NOT NULL, what JSON, INDEX(who));
INSERT INTO log(who) VALUES('ann');
SELECT id, who FROM log;
-- expect: 1|ann
DROP TABLE log;
-- error: attempt to write a readonly database
-- test: rolling the DROP back brings the log back
SELECT audit_discard('log', 'again');
BEGIN;
DROP TABLE log;
ROLLBACK;
INSERT INTO log(who) VALUES('bob');
SELECT audit_verify('log') GLOB 'log: 2 entries*';
-- expect: 1
-- test: a damaged log can be discarded and dropped, too
-- plain
DELETE FROM log_meta WHERE key = 'head';
INSERT INTO log(who) VALUES('cy');
-- error: log: the head of the log is missing or damaged; SELECT * FROM audit_verify('log') tells more
SELECT audit_discard('log', 'damaged');
DROP TABLE log;
SELECT detail FROM rustybt_events ORDER BY id DESC LIMIT 1;
-- expect: {"reason":"damaged","damaged":true}
-- test: the record of all that verifies
SELECT audit_verify('rustybt_events') GLOB 'rustybt_events: 3 entries*';
-- expect: 1

-- test: rustybt_events that is not a log
SELECT audit_discard('rustybt_events', 'the test is over');
DROP TABLE rustybt_events;
CREATE TABLE rustybt_events(action, log, detail);
CREATE VIRTUAL TABLE log USING audit_log(a TEXT);
SELECT audit_discard('log', 'a reason');
-- error: audit_discard: rustybt_events exists and is not an audit log
