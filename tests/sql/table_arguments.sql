-- SPDX-License-Identifier: MIT
-- Arguments of table-valued functions that come from a table. An optional one must not get lost: the
-- function would work on its default, and its rows would then be dropped.
SELECT rate_policy('{"name": "p", "algorithm": "window", "quota": 10, "period": "1 hour"}');
CREATE TABLE job(k TEXT, cost INTEGER);
INSERT INTO job VALUES('a', 1), ('b', 2), ('c', 3);
-- test: each row's optional argument is looked up
SELECT group_concat(job.cost || ' ' || remaining, ', ') FROM job JOIN rate_peek('p', 'x', job.cost);
-- expect: 1 10, 2 10, 3 10
-- test: whichever stands first in FROM
SELECT count(*) FROM rate_peek('p', 'x', job.cost) JOIN job;
-- expect: 3
-- test: a table that takes gives a row for each, and takes what it gives
SELECT count(*), sum(allowed) FROM job JOIN rate_take('p', 'y', job.cost);
-- expect: 3|3
-- test: which is their sum
SELECT remaining FROM rate_peek('p', 'y');
-- expect: 4
-- test: in an order that makes it impossible nothing is taken
SELECT count(*) FROM rate_take('p', 'z', job.cost) CROSS JOIN job;
-- error: no query solution
-- test: indeed nothing
SELECT remaining FROM rate_peek('p', 'z');
-- expect: 10
-- test: an argument that was given can be read
SELECT policy, key, cost FROM rate_peek('p', 'x', 2);
-- expect: p|x|2
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- reopen
CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, archive='cold');
INSERT INTO log(n) VALUES(1), (2);
CREATE TABLE kept(checkpoint TEXT);
SELECT audit_checkpoint('log');
INSERT INTO kept SELECT substr(body, instr(body, x'0a0a') + 2) FROM (SELECT CAST(audit_consistency('log', 1) AS BLOB) AS body);
UPDATE kept SET checkpoint = CAST(checkpoint AS TEXT);
-- test: verification against checkpoints in a table is done for each
SELECT count(*) FROM kept JOIN audit_verify('log', kept.checkpoint) WHERE kind = 'verified';
-- expect: 1
UPDATE kept SET checkpoint = replace(checkpoint, '
3
', '
4
');
-- test: and one that is not the log's own does not pass in silence
SELECT level, kind FROM kept JOIN audit_verify('log', kept.checkpoint);
-- expect: error|checkpoint
SELECT audit_archive('log', 'cold', 'now');
CREATE TABLE source(pattern TEXT, vkeys TEXT);
INSERT INTO source SELECT 'cold/log-*.zst', audit_public_key('log');
-- test: the tables of segments take both arguments from a table
SELECT (SELECT count(*) FROM source JOIN archive_entries(source.pattern, source.vkeys)),
    (SELECT count(*) FROM source JOIN archive_salvage(source.pattern, source.vkeys));
-- expect: 2|2
-- test: and refuse an order in which they cannot
SELECT count(*) FROM archive_salvage('cold/log-*.zst', source.vkeys) CROSS JOIN source;
-- error: no query solution
