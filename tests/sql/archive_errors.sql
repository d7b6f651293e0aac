-- SPDX-License-Identifier: MIT
-- audit_archive and audit_prune: what they say, and every refusal that SQL can reach. Segments
-- themselves are tested in C and Python.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE VIRTUAL TABLE bare USING audit_log(a TEXT);
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, n INTEGER, archive=cold, archive_after='90 days', retain='7 years', INDEX(n));
INSERT INTO log(a, n) VALUES('x', 1), ('y', 2), ('z', 3);
INSERT INTO bare(a) VALUES('x');

-- test: no log
SELECT audit_archive('nothing');
-- error: audit_archive: no log is named "nothing"; SELECT name FROM audit_logs lists them
-- test: NULL
SELECT audit_archive(NULL);
-- error: audit_archive: log must be TEXT, not NULL
-- test: a number
SELECT audit_archive(1);
-- error: audit_archive: log must be TEXT, not INTEGER
-- test: a directory of NULL
SELECT audit_archive('log', NULL);
-- error: audit_archive: directory must be TEXT, not NULL
-- test: an empty directory
SELECT audit_archive('log', '');
-- error: audit_archive: directory must not be empty
-- test: before NULL
SELECT audit_archive('log', 'cold', NULL);
-- error: audit_archive: before must be TEXT, not NULL
-- test: before something that is no date
SELECT audit_archive('log', 'cold', 'last week');
-- error: audit_archive: before must be a date like '2026-01-31', 'now', or Unix microseconds
-- test: before a blob
SELECT audit_archive('log', 'cold', x'00');
-- error: audit_archive: before must be TEXT, not BLOB
-- test: a log without archive=
SELECT audit_archive('bare');
-- error: audit_archive: bare has no archive='directory'; name one: SELECT audit_archive('bare', 'directory')
-- test: a log without archive_after=
SELECT audit_archive('bare', 'cold');
-- error: audit_archive: bare has no archive_after; say before when, or 'now' for all: SELECT audit_archive('bare', 'directory', 'now')
-- test: four arguments
SELECT audit_archive('log', 'cold', 'now', 1);
-- error: wrong number of arguments to function audit_archive()
-- test: inside a transaction
BEGIN;
SELECT audit_archive('log', 'cold', 'now');
-- error: audit_archive: it makes its own transactions; COMMIT or ROLLBACK first
SELECT audit_prune('log');
-- error: audit_prune: it makes its own transactions; COMMIT or ROLLBACK first
ROLLBACK;
-- test: inside a savepoint
SAVEPOINT s;
SELECT audit_archive('*');
-- error: audit_archive: it makes its own transactions; COMMIT or ROLLBACK first
RELEASE s;
-- test: with a FROM that reads the database
SELECT audit_archive(name) FROM sqlite_schema WHERE name = 'log';
-- error: audit_archive: a statement of this connection is reading the database; call it without FROM: SELECT audit_archive('log')
SELECT audit_prune('log') FROM bare;
-- error: audit_prune: a statement of this connection is reading the database; call it without FROM: SELECT audit_prune('log')
-- test: a directory that is a file
-- run: touch file
SELECT audit_archive('log', 'file', 'now');
-- error glob: audit_archive: cannot make directory '*/file': *
-- test: a directory below a file
SELECT audit_archive('log', 'file/below', 'now');
-- error glob: audit_archive: cannot make directory '*/file/below': *
-- test: none of these left a segment planned, or a file
SELECT count(*) FROM audit_segments('log');
-- expect: 0
-- run: ls
-- expect: file
-- expect: test.db

-- test: nothing is old enough: a sentence, not silence
SELECT audit_archive('log');
-- glob: log: nothing to archive: none of 3 entries outside segments is recorded before 20*Z
-- test: nor before a date
SELECT audit_archive('log', 'cold', '2020-01-31');
-- expect: log: nothing to archive: none of 3 entries outside segments is recorded before 2020-01-31T00:00:00Z
-- test: nor before some microseconds
SELECT audit_archive('log', 'cold', 1700000000000000);
-- expect: log: nothing to archive: none of 3 entries outside segments is recorded before 2023-11-14T22:13:20Z
-- test: nothing to prune
SELECT audit_prune('log');
-- expect: log: nothing to prune: no published segment holds hot entries
-- test: a star passes over logs that declare no archive
SELECT audit_archive('*');
-- glob: log: nothing to archive: none of 3 *
SELECT audit_prune('*');
-- expect: log: nothing to prune: no published segment holds hot entries

-- test: 'now' archives all, and says how much
SELECT audit_archive('log', 'cold', 'now');
-- glob: log: archived 3 entries in 1 segment, * bytes as * (0.* to 1): log-000000000000-000000000003.jsonl.zst
-- test: and once more finds nothing left
SELECT audit_archive('log', 'cold', 'now');
-- expect: log: nothing to archive: all 3 entries are in segments
-- test: the segment is listed, relative to the database
SELECT path GLOB '*/cold/log-000000000000-000000000003.jsonl.zst', first_id, last_id, rows, raw_bytes > 0, file_bytes > 0,
  root = audit_root('log', 4), published_us > 1700000000000000, expires_us - published_us > 6 * 365 * 86400 * 1000000, status
  FROM audit_segments('log');
-- expect: 1|0|3|4|1|1|1|1|1|published
-- test: before the prune nothing is cold
SELECT group_concat(tier) FROM log;
-- expect: hot,hot,hot
-- test: audit_prune
SELECT audit_prune('log');
-- expect: log: pruned 3 entries that 1 verified segment holds
SELECT id, a, n, tier FROM log;
-- expect: 1|x|1|cold
-- expect: 2|y|2|cold
-- expect: 3|z|3|cold
-- test: ids go on, and a query spans both
INSERT INTO log(a, n) VALUES('hot', 4);
SELECT id, a, tier FROM log WHERE n >= 3 ORDER BY id DESC;
-- expect: 4|hot|hot
-- expect: 3|z|cold
-- test: a pruned entry's leaf comes from its segment
SELECT audit_leaf('log', 2);
-- glob: {"id":2,"recorded_at":[0-9]*,"a":"y","n":2}
-- test: audit_verify covers both
SELECT audit_verify('log');
-- glob: log: 4 entries (1 hot, 3 cold), 1 signed segment, root *, sealed under key fe6b3e115b099239
-- test: audit_logs tells how far
SELECT entries, hot, archived_to, pruned_to, segments FROM audit_logs WHERE name = 'log';
-- expect: 4|1|3|3|1
-- test: what was done is recorded
SELECT action, log, json_extract(detail, '$.first_id'), json_extract(detail, '$.last_id') FROM rustybt_events;
-- expect: archive|log|0|3
-- expect: prune|log|0|3
-- expect: pruned|log|0|3
-- test: a missing segment is an error, never fewer rows
-- run: mv cold away
SELECT count(a) FROM log;
-- error glob: *: cannot open '*/cold/log-000000000000-000000000003.jsonl.zst': No such file or directory
-- test: also for a leaf
SELECT audit_leaf('log', 1);
-- error glob: *: cannot open '*/cold/log-000000000000-000000000003.jsonl.zst': No such file or directory
-- test: but what is hot, and what is counted, needs no segment
SELECT a FROM log WHERE id = 4;
-- expect: hot
SELECT count(*) FROM log;
-- expect: 4
-- test: audit_verify names it
SELECT kind, id, detail FROM audit_verify('log');
-- glob: segment|0|log: segment */cold/log-000000000000-000000000003.jsonl.zst is missing: entries 0 to 3
-- run: mv away cold
-- test: a file in its place that is none
-- run: cd cold; cp log-*.zst ../good; echo nonsense > log-000000000000-000000000003.jsonl.zst
SELECT a FROM log;
-- error glob: *log-000000000000-000000000003.jsonl.zst: the file does not begin with a zstd frame that can be read; *
-- run: cp good cold/log-000000000000-000000000003.jsonl.zst; rm good
SELECT group_concat(a, '') FROM log;
-- expect: xyzhot
-- test: another process that archives into the same directory
-- run: (flock cold/.rustybt-archive.lock sleep 2 &) >/dev/null 2>&1; sleep 0.3
SELECT audit_archive('log', 'cold', 'now');
-- error glob: audit_archive: another process is archiving log into *cold
-- run: flock cold/.rustybt-archive.lock true
-- test: an unwritable place for the lock
-- run: mkdir -p dir/.rustybt-archive.lock
SELECT audit_archive('log', 'dir', 'now');
-- error glob: audit_archive: cannot open *dir/.rustybt-archive.lock: Is a directory
-- test: RUSTYBT_ARCHIVE_DIR overrides every directory
-- env: RUSTYBT_ARCHIVE_DIR=elsewhere
SELECT a FROM log WHERE id = 1;
-- error glob: *: cannot open 'elsewhere/log-000000000000-000000000003.jsonl.zst': No such file or directory
-- env: RUSTYBT_ARCHIVE_DIR
-- test: reads=hot sees only the database
CREATE VIRTUAL TABLE hot USING audit_log(a TEXT, reads=hot, archive=cold);
INSERT INTO hot(a) VALUES('x'), ('y');
SELECT audit_archive('hot', 'cold', 'now');
-- glob: hot: archived 2 entries in 1 segment, *
SELECT audit_prune('hot');
-- expect: hot: pruned 2 entries that 1 verified segment holds
INSERT INTO hot(a) VALUES('z');
SELECT id, a, tier, (SELECT count(*) FROM hot) FROM hot;
-- expect: 3|z|hot|1
-- test: a log may be archived piece by piece; the segments form one series
SELECT audit_archive('log', 'cold', 'now');
-- glob: log: archived 1 entry in 1 segment, *: log-000000000004-000000000004.jsonl.zst
SELECT audit_verify('log');
-- glob: log: 4 entries (1 hot, 3 cold), 2 signed segments, root *
-- test: the log of events is archived, too, up to where the run began: its own event is the next run's
SELECT audit_archive('rustybt_events', 'cold', 'now');
-- glob: rustybt_events: archived * entries in 1 segment, *
SELECT audit_archive('rustybt_events', 'cold', 'now');
-- glob: rustybt_events: archived 1 entry in 1 segment, *
SELECT audit_prune('rustybt_events');
-- glob: rustybt_events: pruned * entries that 2 verified segments hold
SELECT audit_verify('rustybt_events');
-- glob: rustybt_events: * entries (5 hot, * cold), 2 signed segments, root *
-- test: one entry is one entry
SELECT audit_archive('bare', 'cold', '2020-01-31');
-- glob: bare: nothing to archive: none of 1 entry outside segments is recorded before *
SELECT audit_archive('bare', 'cold', 'now'), audit_prune('bare'), audit_archive('bare', 'cold', 'now');
-- glob: bare: archived 1 entry in 1 segment, *|bare: pruned 1 entry that 1 verified segment holds|bare: nothing to archive: the one entry is in a segment
-- test: with no key to trust by, cold entries are not given out
-- env: RUSTYBT_ENCRYPTION_KEY
-- reopen
SELECT a FROM log WHERE id = 1;
-- error glob: *: signed by key ???????? of rustybt/*, and there is no key to trust; give the vkey, or set RUSTYBT_VERIFY_KEYS
-- test: nor is anything archived
SELECT audit_archive('log', 'cold', 'now');
-- error: audit_archive: a segment is signed, and there is no key; set RUSTYBT_SIGNING_KEY or RUSTYBT_ENCRYPTION_KEY
-- test: and audit_verify says why it cannot vouch
SELECT level, kind, detail FROM audit_verify('log') WHERE kind = 'untrusted';
-- expect: error|untrusted|log: archive: *rustybt_events-*: signed by key *, and there is no key to trust; *
-- expect: error|untrusted|log: the log is sealed under key fe6b3e115b099239, which the ring does not have; set RUSTYBT_ENCRYPTION_KEY to check the seal
-- expect: error|untrusted|log: there is no key to trust the segments' signatures by; set RUSTYBT_VERIFY_KEYS or give vkeys
-- glob: error|untrusted|log: *-000000000003.jsonl.zst: signed by key *, and there is no key to trust; *
-- glob: error|untrusted|log: *-000000000004.jsonl.zst: signed by key *, and there is no key to trust; *
