-- SPDX-License-Identifier: MIT
--
-- What cron runs, for every log of a database that declares archive and archive_after: entries that
-- are old enough go into signed segments, every log is verified, and what verified segments hold is
-- deleted from the database. One line a log; the exit code is 0 only when all of it succeeded. A
-- run that was killed is finished by the next.
--
--     17 3 * * *  RUSTYBT_ENCRYPTION_KEY_FILE=… sqlite3 -batch trading.db < sql/archive.sql
--
-- Without `make install`, load the extension first:
--
--     sqlite3 -batch -cmd '.load ./build/rustybt' trading.db < sql/archive.sql

.bail on
.timeout 60000

-- Loads rustybt unless that was done already. No row comes back.
SELECT 1 WHERE CASE
    WHEN EXISTS(SELECT 1 FROM pragma_function_list WHERE name = 'rustybt_version') THEN 0
    ELSE load_extension('rustybt') IS NOT NULL END;

-- A path with a typing error opens a new, empty database, which is no success.
CREATE TEMP TABLE expected(
    logs INTEGER CONSTRAINT "this database has no audit log" CHECK(logs > 0)
);
INSERT INTO expected SELECT count(*) FROM audit_logs;

SELECT audit_archive('*');
SELECT audit_verify('*');
SELECT audit_prune('*');
