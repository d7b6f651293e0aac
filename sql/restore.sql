-- SPDX-License-Identifier: MIT
--
-- Makes logs again from their segments, in a database that does not have them: the same ids, times, leaves
-- and roots, on a machine that has only the segments and the key. Prints a line for each log, or what is
-- wrong; the exit code is 0 only when all is well.
--
--     RUSTYBT_RESTORE_LOGS='rustybt_events order_audit_log' \
--     RUSTYBT_ENCRYPTION_KEY_FILE=… sqlite3 -batch trading.db < sql/restore.sql
--
-- The segments stand in the folder RUSTYBT_RESTORE_DIR, by default `cold` in the current folder; put them
-- where they are to stay first, best into the log's own folder beside the new database. Logs are restored
-- in the order given, by default rustybt_events, when it has segments, and then order_audit_log. With
-- rustybt_events come holds, settings and what audit_set added; so it must come first. Signers that the ring
-- does not have go into RUSTYBT_VERIFY_KEYS.
--
-- Each log is one transaction: killed, or on any error, it is not there, and the same command begins again
-- with it. A log that is there already is left alone, so long as it verifies. Entries that no segment holds
-- are lost; the line and an event of action 'restore' say up to where. Compare with a checkpoint that was
-- kept outside: SELECT * FROM audit_verify('order_audit_log', readfile('checkpoints/order_audit_log.txt')).
--
-- Without `make install`: sqlite3 -batch -cmd '.load ./build/rustybt' trading.db < sql/restore.sql

.bail on
.mode list
.headers off
.timeout 60000

-- Loads rustybt unless that was done already. No row comes back.
SELECT 1 WHERE CASE
    WHEN EXISTS(SELECT 1 FROM pragma_function_list WHERE name = 'rustybt_version') THEN 0
    ELSE load_extension('rustybt') IS NOT NULL END;

-- The names come in hexadecimal, so that none of their characters means anything here.
CREATE TEMP TABLE given(folder TEXT, logs TEXT);
.read "|hex() { printf %s \"$1\" | od -An -v -tx1 | tr -d ' \\n'; }; printf \"INSERT INTO temp.given VALUES(CAST(x'%s' AS TEXT), CAST(x'%s' AS TEXT));\" \"$(hex \"${RUSTYBT_RESTORE_DIR:-cold}\")\" \"$(hex \"$RUSTYBT_RESTORE_LOGS\")\""

-- A name is a word; without any, the defaults.
CREATE TEMP TABLE wanted(place INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO temp.wanted(name)
WITH RECURSIVE word(name, rest) AS (
    SELECT NULL, trim(logs) || ' ' FROM temp.given
    UNION ALL
    SELECT substr(rest, 1, instr(rest, ' ') - 1), ltrim(substr(rest, instr(rest, ' ') + 1)) FROM word
    WHERE rest <> ''
)
SELECT name FROM word WHERE name <> '';
INSERT INTO temp.wanted(name)
SELECT value FROM json_each('["rustybt_events","order_audit_log"]')
WHERE NOT EXISTS(SELECT 1 FROM temp.wanted)
    AND (value <> 'rustybt_events' OR EXISTS(
        SELECT 1 FROM temp.given, fsdir(folder) AS f
        WHERE f.name LIKE '%/rustybt^_events-%.jsonl.zst' ESCAPE '^'));

-- audit_restore stands without FROM, so there is a statement for each log; the shell reads what it wrote,
-- through a file that is named after its process.
.once '|f="${TMPDIR:-/tmp}/rustybt-restore-$PPID"; rm -f "$f"; umask 077; set -C; cat > "$f"'
SELECT CASE WHEN EXISTS(SELECT 1 FROM audit_logs AS l WHERE l.schema = 'main' AND l.name = w.name)
    THEN 'SELECT ''there already: '' || audit_verify(CAST(x''' || hex('main.' || w.name) || ''' AS TEXT));'
    ELSE 'SELECT audit_restore(CAST(x''' || hex('main.' || w.name) || ''' AS TEXT), CAST(x'''
        || hex(folder || '/' || w.name || '-*.jsonl.zst') || ''' AS TEXT));' END
FROM temp.wanted AS w, temp.given ORDER BY place;
.read '|f="${TMPDIR:-/tmp}/rustybt-restore-$PPID"; cat "$f"; rm -f "$f"'

CREATE TEMP TABLE verdict(
    problems INTEGER CONSTRAINT "not all logs are sound: see above" CHECK(problems = 0)
);
CREATE TEMP TABLE finding AS SELECT detail FROM audit_verify('*') WHERE level = 'error';
SELECT 'error: ' || detail FROM temp.finding;
INSERT INTO verdict SELECT count(*) FROM temp.finding;
