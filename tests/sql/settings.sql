-- SPDX-License-Identifier: MIT
-- audit_set: which options of a log may change, from when on it counts, and that it is on record.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, archive='cold', archive_after='1 year', retain='7 years');
CREATE VIRTUAL TABLE plain USING audit_log(n INTEGER);
INSERT INTO log(n) VALUES(1);

-- test: retain grows
SELECT audit_set('log', 'retain', '10 years');
-- expect: log: retain is '10 years' now, was '7 years'
-- test: in other units too, when it is longer whatever the calendar
SELECT audit_set('log', 'retain', '4000 days');
-- expect: log: retain is '4000 days' now, was '10 years'
-- test: it never shrinks
SELECT audit_set('log', 'retain', '8 years');
-- error: audit_set: retain of log is '4000 days' and only grows
-- test: nor may it where the calendar decides
SELECT audit_set('log', 'retain', '131 months');
-- error: audit_set: retain of log is '4000 days' and only grows
-- test: a log that keeps all for ever goes on to
SELECT audit_set('plain', 'retain', '7 years');
-- error: audit_set: plain declares no retain, so its entries are kept for ever; retain only grows
-- test: archive and archive_after change
SELECT audit_set('log', 'archive', 'colder');
-- expect: log: archive is 'colder' now, was 'cold'
-- test: to what it was is no change
SELECT audit_set('log', 'archive', 'colder');
-- expect: log: archive is 'colder' already
-- test: shorter is fine for archive_after
SELECT audit_set('log', 'archive_after', '1 us');
-- expect: log: archive_after is '1 us' now, was '1 year'
-- test: a log without an archive may be given one
SELECT audit_set('plain', 'archive', 'cold');
-- expect: plain: archive is 'cold' now
-- test: audit_logs says what holds
SELECT name, archive, archive_after, retain FROM audit_logs WHERE name <> 'rustybt_events';
-- expect: log|colder|1 us|4000 days
-- expect: plain|cold|NULL|NULL
-- test: what identifies a log does not change
SELECT audit_set('log', 'origin', 'example.com/log');
-- error: audit_set: option must be archive, archive_after, retain, add_column or add_index; the others are part of the log's identity
-- test: nor does a misspelt option pass
SELECT audit_set('log', 'Retain', '20 years');
-- error: audit_set: option must be archive, archive_after, retain, add_column or add_index; the others are part of the log's identity
-- test: a duration is one
SELECT audit_set('log', 'archive_after', 'soon');
-- error: audit_set: archive_after must be a duration such as '90 days' or '7 years'
-- test: nothing is no value
SELECT audit_set('log', 'archive', '');
-- error: audit_set: value must not be empty
-- test: nor is NULL
SELECT audit_set('log', 'archive', NULL);
-- error: audit_set: value must be TEXT, not NULL
-- test: a log that is none
SELECT audit_set('no', 'archive', 'x');
-- error: audit_set: no log is named "no"; SELECT name FROM audit_logs lists them
CREATE TABLE t(x);
CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT audit_set('log', 'archive', 'elsewhere'); END;
-- test: it is not called from another statement's work
INSERT INTO t VALUES(1);
-- error: audit_set: it must be called by itself, as SELECT audit_set(log, option, value)
-- test: every change is on record, and nothing else
SELECT log, json_extract(detail, '$.option', '$.value', '$.previous') FROM rustybt_events WHERE action = 'set';
-- expect: log|["retain","10 years","7 years"]
-- expect: log|["retain","4000 days","10 years"]
-- expect: log|["archive","colder","cold"]
-- expect: log|["archive_after","1 us","1 year"]
-- expect: plain|["archive","cold",null]
-- test: the declaration in the genesis stays, and the logs verify
SELECT level, count(*) FROM audit_verify('*');
-- expect: info|3
-- test: archiving goes by what was set
SELECT audit_archive('*') GLOB 'log: archived 1 entry in 1 segment, *';
-- expect: 1
-- test: into the folder that was set, kept as long as was set
SELECT path LIKE '%colder/log-%', expires_us - published_us > 3999 * 86400000000 FROM audit_segments('log');
-- expect: 1|1
SELECT audit_prune('*');
-- test: the cold entry is read from there
SELECT id, n, tier FROM log;
-- expect: 1|1|cold
SELECT audit_set('log', 'archive', 'cold');
-- test: old segments stay where they are
SELECT id, n, tier FROM log;
-- expect: 1|1|cold
-- test: a change is taken back with its transaction
BEGIN; 
-- nothing
SELECT audit_set('log', 'archive', 'nowhere');
ROLLBACK;
-- test: and then holds no more
SELECT archive FROM audit_logs WHERE name = 'log';
-- expect: cold
-- test: a later log of the same name begins with its declaration
SELECT audit_discard('plain', 'made anew') IS NOT NULL;
-- expect: 1
DROP TABLE plain;
CREATE VIRTUAL TABLE plain USING audit_log(n INTEGER);
-- test: so what was set for the first does not count
SELECT archive FROM audit_logs WHERE name = 'plain';
-- expect: NULL
DROP TRIGGER rustybt_events_rows_update;
UPDATE rustybt_events_rows SET detail = replace(detail, '4000 days', '1 day') WHERE action = 'set';
-- test: an edited record does not make retain shorter than declared
SELECT retain FROM audit_logs WHERE name = 'log';
-- expect: 10 years
-- test: and is found
SELECT kind, id FROM audit_verify('rustybt_events') WHERE kind = 'changed';
-- glob: changed|*
UPDATE rustybt_events_rows SET detail = '{}' WHERE action = 'set';
-- test: what is no record of audit_set is an error
SELECT audit_archive('log', 'cold', 'now');
-- error: audit_archive: an event of action 'set' in rustybt_events is not one of audit_set; SELECT * FROM audit_verify('rustybt_events') tells more
