-- SPDX-License-Identifier: MIT
--
-- A night's work for every log of a database that declares archive and archive_after: entries that
-- are old enough go into signed segments, every log is verified, and what verified segments hold is
-- deleted from the database. One line for each segment written or pruned, and for each log; what is
-- wrong with one log is told and keeps no other from its turn; the exit code is 0 only when all is
-- well. A run that was killed is finished by the next.
--
--     17 3 * * *  RUSTYBT_ENCRYPTION_KEY_FILE=… sqlite3 -batch trading.db < sql/archive.sql
--
-- Without `make install`, load the extension first:
--
--     sqlite3 -batch -cmd '.load ./build/rustybt' trading.db < sql/archive.sql

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

CREATE TEMP TABLE before AS
    SELECT schema || '.' || name AS place, name, archived_to, pruned_to FROM audit_logs;

.once /dev/null
SELECT audit_archive('*');
SELECT name || ': archived entries ' || max(first_id, 1) || ' to ' || last_id || ', ' || raw_bytes
    || ' bytes as ' || file_bytes || ', into ' || path
FROM temp.before, audit_segments(place)
WHERE status = 'published' AND last_id > ifnull(archived_to, 0) ORDER BY place, first_id;

-- Each log's verdict: its problems, or one line. '*' also finds what stands in the file without a log.
CREATE TEMP TABLE finding AS
    SELECT schema || '.' || name AS place, level, kind, detail
    FROM audit_logs, audit_verify(schema || '.' || name)
    UNION ALL
    SELECT NULL, level, kind, detail FROM audit_verify('*') WHERE kind = 'orphaned';
SELECT iif(level = 'error', 'error: ', '') || detail FROM temp.finding
WHERE level = 'error' OR kind = 'verified';

CREATE TEMP TABLE sound(number INTEGER PRIMARY KEY, place TEXT);
INSERT INTO sound(place) SELECT schema || '.' || name FROM audit_logs
WHERE archive IS NOT NULL AND NOT EXISTS(
    SELECT 1 FROM temp.finding WHERE place = schema || '.' || name AND level = 'error');

-- Prune one after the other. audit_prune must not be called from a statement that reads, so the name comes
-- as a parameter. The shell has no loop, but it reads what a command writes. How many there are goes
-- through a file that is named after its process; the folder may be open to all, so that nothing but a
-- number is taken from there.
.parameter init
CREATE TEMP TABLE turn(number INTEGER PRIMARY KEY);
.once '|f="${TMPDIR:-/tmp}/rustybt-archive-$PPID"; rm -f "$f"; umask 077; set -C; cat > "$f"'
SELECT count(*) FROM temp.sound;
.read '|f="${TMPDIR:-/tmp}/rustybt-archive-$PPID"; n=$(head -c 6 "$f" | tr -cd 0-9); rm -f "$f"; while [ "${n:-0}" -gt 0 ]; do echo "INSERT INTO turn VALUES(NULL); REPLACE INTO temp.sqlite_parameters SELECT \":log\", place FROM sound WHERE number = (SELECT max(number) FROM turn);"; echo ".once /dev/null"; echo "SELECT audit_prune(:log);"; n=$(expr "$n" - 1); done'

SELECT b.name || ': pruned entries ' || max(s.first_id, b.pruned_to + 1) || ' to ' || s.last_id
    || ', which ' || s.path || ' holds'
FROM temp.before AS b JOIN audit_logs AS l ON l.schema || '.' || l.name = b.place,
    audit_segments(b.place) AS s
WHERE s.last_id > b.pruned_to AND s.last_id <= l.pruned_to ORDER BY b.place, s.first_id;

CREATE TEMP TABLE verdict(
    left_over INTEGER CONSTRAINT "not every log had its turn to be pruned" CHECK(left_over = 0),
    problems INTEGER CONSTRAINT "not all logs are sound: see above" CHECK(problems = 0)
);
INSERT INTO verdict(left_over) SELECT count(*) FROM sound WHERE number NOT IN (SELECT number FROM turn);
INSERT INTO verdict(problems) SELECT count(*) FROM temp.finding WHERE level = 'error';
