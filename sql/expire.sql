-- SPDX-License-Identifier: MIT
--
-- Removes what is past its time, for every log of a database that declares retain: segments whose
-- entries are all older than that, and that no hold keeps. It cannot be undone, so no other script
-- does it. Each log, its archive and rustybt_events are verified first; where anything is wrong,
-- nothing of that log goes. One line for each segment and each log; the exit code is 0 only when all
-- is well. A run that was killed is finished by the next.
--
--     41 4 * * 0  RUSTYBT_ENCRYPTION_KEY_FILE=… sqlite3 -batch trading.db < sql/expire.sql
--
-- Without `make install`, load the extension first:
--
--     sqlite3 -batch -cmd '.load ./build/rustybt' trading.db < sql/expire.sql

.bail on
.timeout 60000
.headers off
.mode list

-- Loads rustybt unless that was done already. No row comes back.
SELECT 1 WHERE CASE
    WHEN EXISTS(SELECT 1 FROM pragma_function_list WHERE name = 'rustybt_version') THEN 0
    ELSE load_extension('rustybt') IS NOT NULL END;

-- A path with a typing error opens a new, empty database, which is no success.
CREATE TEMP TABLE expected(
    logs INTEGER CONSTRAINT "this database has no audit log" CHECK(logs > 0)
);
INSERT INTO expected SELECT count(*) FROM audit_logs;

-- From here on an error is told, counts for the exit code, and stops nothing.
.bail off

CREATE TEMP TABLE finding AS SELECT detail FROM audit_verify('*') WHERE level = 'error';
SELECT 'error: ' || detail FROM temp.finding;

CREATE TEMP TABLE there AS
    SELECT l.schema || '.' || l.name AS place, l.name, s.first_id, s.last_id, s.path
    FROM audit_logs AS l, audit_segments(l.schema || '.' || l.name) AS s
    WHERE s.status = 'published';

-- It looks for itself whether a log verifies: of one that does not, nothing expires.
SELECT audit_expire('*');
SELECT there.name || ': removed entries ' || max(there.first_id, 1) || ' to ' || there.last_id
    || ', with ' || there.path
FROM temp.there, audit_segments(there.place) AS s
WHERE s.first_id = there.first_id AND s.status = 'expired' ORDER BY there.place, s.first_id;
SELECT 'held: ' || log || ', ' || ifnull('entries ' || first_id || ' to ' || last_id, 'all entries')
    || ': ' || reason || ' (hold ' || hold_id || ')'
FROM audit_holds;

CREATE TEMP TABLE verdict(
    problems INTEGER CONSTRAINT "not all logs are sound: see above" CHECK(problems = 0)
);
INSERT INTO verdict SELECT count(*) FROM temp.finding;
