-- SPDX-License-Identifier: MIT
-- audit_hold, audit_release, audit_expire, audit_relocate: arguments, what they say, what they refuse.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, archive='cold', retain='7 years');
CREATE VIRTUAL TABLE plain USING audit_log(n INTEGER);
INSERT INTO log(n) VALUES(1), (2), (3);

-- test: a database without holds has none
SELECT count(*) FROM audit_holds;
-- expect: 0
-- test: a hold on a whole log
SELECT audit_hold('log', 'court order 4/26');
-- expect: hold 1: all entries of log stay until audit_release(1, reason)
-- test: a hold on a range
SELECT audit_hold('main.log', 'inquiry', 2, 3);
-- expect: hold 2: entries 2 to 3 of log stay until audit_release(2, reason)
-- test: both are listed
SELECT hold_id, log, first_id, last_id, reason, since_us > 1600000000000000 FROM audit_holds;
-- expect: 1|log|NULL|NULL|court order 4/26|1
-- expect: 2|log|2|3|inquiry|1
-- test: and counted
SELECT name, held FROM audit_logs ORDER BY name;
-- expect: log|2
-- expect: plain|0
-- expect: rustybt_events|0
-- test: what a hold is made of
SELECT action, log, json_remove(detail, '$.log_id'), length(json_extract(detail, '$.log_id')) FROM rustybt_events;
-- expect: hold|log|{"reason":"court order 4/26","first_id":null,"last_id":null}|32
-- expect: hold|log|{"reason":"inquiry","first_id":2,"last_id":3}|32
-- test: a reason is required
SELECT audit_hold('log', ' ');
-- error: audit_hold: reason must not be empty
-- test: NULL is none
SELECT audit_hold('log', NULL);
-- error: audit_hold: reason must be TEXT, not NULL
-- test: nor a log
SELECT audit_hold(NULL, 'x');
-- error: audit_hold: log must be TEXT, not NULL
-- test: a range has two ends
SELECT audit_hold('log', 'x', 1);
-- error: audit_hold: first_id goes with last_id; give both, or neither
-- test: which are numbers
SELECT audit_hold('log', 'x', 1, '2');
-- error: audit_hold: last_id must be INTEGER, not TEXT
-- test: of entries
SELECT audit_hold('log', 'x', 2, 4);
-- error: audit_hold: first_id and last_id must be of entries of log, which are 1 to 3, in order; they are 2 and 4
-- test: in order
SELECT audit_hold('log', 'x', 3, 2);
-- error: audit_hold: first_id and last_id must be of entries of log, which are 1 to 3, in order; they are 3 and 2
-- test: the genesis is none
SELECT audit_hold('log', 'x', 0, 2);
-- error: audit_hold: first_id must be at least 1, not 0
-- test: the log of events never expires
SELECT audit_hold('rustybt_events', 'x');
-- error: audit_hold: rustybt_events never expires
-- test: a log that is none
SELECT audit_hold('no', 'x');
-- error: audit_hold: no log is named "no"; SELECT name FROM audit_logs lists them
-- test: held, it is not discarded
SELECT audit_discard('log', 'x');
-- error: audit_discard: hold 1 stands on log: court order 4/26; audit_release(1, reason) ends it
-- test: nor dropped
DROP TABLE log;
-- error: attempt to write a readonly database
-- test: an empty one that is held is not dropped either
SELECT audit_hold('plain', 'x');
-- expect: hold 3: all entries of plain stay until audit_release(3, reason)
DROP TABLE plain;
-- error glob: *
-- test: a release has a reason, too
SELECT audit_release(1, '');
-- error: audit_release: reason must not be empty
-- test: and a hold
SELECT audit_release('1', 'x');
-- error: audit_release: hold_id must be INTEGER, not TEXT
-- test: that stands
SELECT audit_release(9, 'x');
-- error: audit_release: no hold 9 stands: there never was one, or it was released before
-- test: the number of another event is none
SELECT audit_release(4, 'x');
-- error: audit_release: no hold 4 stands: there never was one, or it was released before
-- test: released, it is off the list
SELECT audit_release(1, 'lifted');
-- expect: hold 1 on log is released (entry 4 of rustybt_events)
SELECT group_concat(hold_id) FROM audit_holds;
-- expect: 2,3
-- test: a rollback takes both back
BEGIN;
SELECT audit_hold('log', 'y');
SELECT audit_release(2, 'y');
ROLLBACK;
SELECT group_concat(hold_id) FROM audit_holds;
-- expect: 2,3
-- test: it is called by itself
CREATE TABLE t(x);
INSERT INTO t VALUES(1);
SELECT audit_hold('log', 'x') FROM t;
-- error: audit_hold: it must be called by itself, without FROM: SELECT audit_hold(log, reason[, first_id, last_id])
-- test: not from another statement's work
CREATE TEMP TRIGGER on_t AFTER INSERT ON t BEGIN SELECT audit_release(2, 'x'); END;
INSERT INTO t VALUES(2);
-- error: audit_release: it must be called by itself, without FROM: SELECT audit_release(hold_id, reason)
-- test: nor is expiry
CREATE TEMP TRIGGER on_t2 AFTER DELETE ON t BEGIN SELECT audit_expire('log'); END;
DELETE FROM t;
-- error: audit_expire: it must be called by itself, as SELECT audit_expire(log)

-- test: without retain nothing expires
SELECT audit_expire('plain');
-- error: audit_expire: plain declares no retain, so its entries are kept for ever
-- test: nor do events
SELECT audit_expire('rustybt_events');
-- error: audit_expire: rustybt_events never expires
-- test: without segments there is nothing
SELECT audit_expire('log');
-- expect: log: nothing expired
-- test: as_of is a time
SELECT audit_expire('log', 'soon');
-- error: audit_expire: as_of must be a date like '2026-01-31', 'now', or Unix microseconds
-- test: NULL is none
SELECT audit_expire('log', NULL);
-- error: audit_expire: as_of must be TEXT, not NULL
-- test: it makes its own transactions
BEGIN;
SELECT audit_expire('log');
-- error: audit_expire: it makes its own transactions; COMMIT or ROLLBACK first
ROLLBACK;
-- test: '*' passes over what does not expire
SELECT audit_expire('*');
-- expect: log: nothing expired
-- test: a move of nothing
SELECT audit_relocate('log', 'colder');
-- expect: log: 0 segments moved to colder, each verified; 0 were there
-- test: a folder has a name
SELECT audit_relocate('log', '');
-- error: audit_relocate: directory must not be empty
-- test: which is not NULL
SELECT audit_relocate('log', NULL);
-- error: audit_relocate: directory must be TEXT, not NULL
SELECT audit_archive('log', 'cold', 'now');
-- test: not yet pruned, not yet due
SELECT audit_expire('log') GLOB 'log: nothing expired; the next is due at 2*Z';
-- expect: 1
-- test: a log whose segments could not be named is refused at once
CREATE VIRTUAL TABLE éééééééééééééééééééééééééééééééééééééééé USING audit_log(n INTEGER, archive='cold');
-- error glob: *: the name "*" is too long for an archive, whose files carry it: they would need names of 298 bytes, and 255 are possible
-- test: without archive it is not
CREATE VIRTUAL TABLE éééééééééééééééééééééééééééééééééééééééé USING audit_log(n INTEGER);
-- nothing
INSERT INTO éééééééééééééééééééééééééééééééééééééééé(n) VALUES(1);
-- test: but then it cannot be archived
SELECT audit_archive('éééééééééééééééééééééééééééééééééééééééé', 'cold', 'now');
-- error glob: audit_archive: the name "*" is too long for an archive, *
