-- SPDX-License-Identifier: MIT
-- What audit_set(log, 'add_column' or 'add_index', …) takes, and why it refuses the rest.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, t TEXT NOT NULL, INDEX(n));
INSERT INTO log(n, t) VALUES(1, 'a'), (7, 'b');

-- test: a column
SELECT audit_set('log', 'add_column', '  venue TEXT CHECK(venue <> '''') /* where */ ');
-- expect: log: column "venue" is there from entry 3 on
-- test: an index, of it and others
SELECT audit_set('log', 'add_index', 'venue, recorded_at');
-- expect: log: INDEX(venue, recorded_at) is there
-- test: older entries have NULL
SELECT id, n, t, venue FROM log;
-- expect: 1|1|a|NULL
-- expect: 2|7|b|NULL
-- test: the schema says since when
SELECT sql FROM sqlite_schema WHERE name = 'log';
-- expect: CREATE VIRTUAL TABLE "log" USING audit_log(n INTEGER, t TEXT NOT NULL, INDEX(n), venue TEXT CHECK(venue <> '') SINCE 3, INDEX(venue, recorded_at))
-- test: what the entries before cannot have had is refused
SELECT audit_set('log', 'add_column', 'a TEXT NOT NULL');
-- error: log: a column that older entries lack cannot be NOT NULL; leave that out in "a TEXT NOT NULL SINCE 3"
-- test: so is a CHECK that they do not pass
SELECT audit_set('log', 'add_column', 'a TEXT CHECK(a IS NOT NULL)');
-- error: log: CHECK refuses NULL as "a", which all entries before the column have; let it pass
-- test: also when it depends on other columns
SELECT audit_set('log', 'add_column', 'a TEXT CHECK(a IS NOT NULL OR n < 5)');
-- error: log: CHECK constraint failed
-- test: one that they pass is fine
SELECT audit_set('log', 'add_column', 'a TEXT CHECK(a IS NOT NULL OR n < 50)');
-- expect: log: column "a" is there from entry 3 on
-- test: a name that is taken, in whatever case
SELECT audit_set('log', 'add_column', 'VENUE TEXT');
-- error: log: column "VENUE" is declared twice
-- test: or is the log's own
SELECT audit_set('log', 'add_column', 'recorded_at INTEGER');
-- error: log: the log has its own column "recorded_at"
-- test: one column at a time
SELECT audit_set('log', 'add_column', 'b TEXT, c TEXT');
-- error: log: expected NOT NULL, CHECK, DEFAULT or REFERENCES in "b TEXT, c TEXT SINCE 3"
-- test: a column, not an option
SELECT audit_set('log', 'add_column', 'retain=''1 year''');
-- error: log: expected one word or one quoted text as the value of "retain"
-- test: nor a check of the whole row
SELECT audit_set('log', 'add_column', 'CHECK(n > 0)');
-- error: log: expected nothing after CHECK(…) in "CHECK(n > 0) SINCE 3"
-- test: SINCE is the log's to say
SELECT audit_set('log', 'add_column', 'b TEXT SINCE 3');
-- error: log: a second SINCE in "b TEXT SINCE 3 SINCE 3"
-- test: a type is one of five
SELECT audit_set('log', 'add_column', 'b NUMERIC');
-- error: log: expected TEXT, INTEGER, REAL, BLOB or JSON as the type of column "b"
-- test: nothing else can be said in the same breath
SELECT audit_set('log', 'add_column', 'b TEXT); DROP TABLE log_rows');
-- error: audit_set: a semicolon, a parameter or an unclosed quote in "b TEXT); DROP TABLE log_rows"
-- test: nor behind a remark
SELECT audit_set('log', 'add_column', 'b TEXT) --');
-- error: log: expected NOT NULL, CHECK, DEFAULT or REFERENCES in "b TEXT) SINCE 3"
-- test: a remark alone is nothing
SELECT audit_set('log', 'add_column', '-- b TEXT');
-- error: audit_set: value must not be empty
-- test: an index of what is not there
SELECT audit_set('log', 'add_index', 'nothing');
-- error: log: INDEX names column "nothing", which is not declared
-- test: an index is one
SELECT audit_set('log', 'add_index', 'n), INDEX(t');
-- error: log: expected nothing after INDEX(…) in "INDEX(n), INDEX(t)"
-- test: a default counts from then on
SELECT audit_set('log', 'add_column', 'side TEXT DEFAULT ''buy''');
-- expect: log: column "side" is there from entry 3 on
INSERT INTO log(n, t) VALUES(3, 'c');
-- test: and not for the entries of before
SELECT id, side FROM log;
-- expect: 1|NULL
-- expect: 2|NULL
-- expect: 3|buy
-- test: their leaves lack the keys
SELECT json_remove(audit_leaf('log', id), '$.recorded_at') FROM log WHERE id > 1;
-- expect: {"id":2,"n":7,"t":"b"}
-- expect: {"id":3,"n":3,"t":"c","venue":null,"a":null,"side":"buy"}
-- test: all of it verifies
SELECT level, kind, id FROM audit_verify('log');
-- expect: info|verified|NULL
-- test: options still change
SELECT audit_set('log', 'archive', 'cold');
-- expect: log: archive is 'cold' now
-- test: a new log is declared as it is
CREATE VIRTUAL TABLE fresh USING audit_log(n INTEGER, t TEXT SINCE 1);
-- error: fresh: SINCE is written by audit_set, which adds a column to a log that is there; leave it out
CREATE TABLE t(x);
CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT audit_set('log', 'add_column', 'z TEXT'); END;
-- test: it is not called from another statement's work
INSERT INTO t VALUES(1);
-- error: audit_set: it must be called by itself, as SELECT audit_set(log, option, value)
