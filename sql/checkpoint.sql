-- SPDX-License-Identifier: MIT
--
-- What cron runs, for every log of a database: makes a checkpoint of each and appends it to a file
-- outside the database, after it has verified that the log extends the last checkpoint there. So an
-- older copy of the database, or one that was written anew, is found. Prints a line for each log, or
-- what is wrong; the exit code is 0 only when all is well.
--
--     7 * * * *  RUSTYBT_ENCRYPTION_KEY_FILE=… sqlite3 -batch trading.db < sql/checkpoint.sql
--
-- The files, <log>.txt, stand in the folder RUSTYBT_CHECKPOINT_DIR, by default `checkpoints` in the
-- current folder. Better one that those who write the database cannot write: another machine's, or
-- files under `chattr +a`. The notes follow one another, each as audit_checkpoint gave it, the last
-- one last. When the file is missing of a log that has checkpoints, the script refuses: whoever took
-- it away may have hidden something. An empty file (`touch`) begins anew.
--
-- Without `make install`, load the extension first:
--
--     sqlite3 -batch -cmd '.load ./build/rustybt' trading.db < sql/checkpoint.sql

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
    logs INTEGER CONSTRAINT "this database has no audit log" CHECK(logs > 0),
    folders INTEGER CONSTRAINT "the folder for checkpoints cannot be made" CHECK(folders > 0)
);
INSERT INTO expected(logs) SELECT count(*) FROM audit_logs WHERE schema = 'main';

-- The folder's name comes in hexadecimal, so that none of its characters means anything here.
CREATE TEMP TABLE place(folder TEXT);
.read "|d=\"${RUSTYBT_CHECKPOINT_DIR:-checkpoints}\"; mkdir -p \"$d\" && printf \"INSERT INTO temp.place VALUES(CAST(x'%s' AS TEXT));\" \"$(printf %s \"$d\" | od -An -v -tx1 | tr -d ' \\n')\""
INSERT INTO expected(folders) SELECT count(*) FROM temp.place;

-- One run at a time: this file stays locked until the shell ends, however it ends.
ATTACH (SELECT folder || '/.lock.db' FROM temp.place) AS checkpoint_lock;
.once /dev/null
PRAGMA checkpoint_lock.locking_mode = EXCLUSIVE;
.once /dev/null
PRAGMA checkpoint_lock.journal_mode = MEMORY;
BEGIN EXCLUSIVE;
CREATE TABLE IF NOT EXISTS checkpoint_lock.lock(held);
COMMIT;

-- What each file ends in. A note begins with the log's origin as a line of its own. In a file's name,
-- what is no plain letter is written in hexadecimal with all the rest.
CREATE TEMP TABLE kept AS
    SELECT name, 'main.' || name AS log, origin, last_checkpoint_size, NULL AS size, NULL AS last,
        iif(name GLOB '*[^A-Za-z0-9_-]*', 'x' || hex(name), name) || '.txt' AS file, NULL AS path
    FROM audit_logs WHERE schema = 'main';
UPDATE temp.kept SET path = (SELECT folder || '/' || file FROM temp.place);
UPDATE temp.kept SET size = length(readfile(path));
UPDATE temp.kept SET last = (
    WITH RECURSIVE note(rest) AS (
        SELECT char(10) || CAST(substr(readfile(path), -131072) AS TEXT)
        UNION ALL
        SELECT substr(rest, instr(rest, char(10) || origin || char(10)) + 1) FROM note
        WHERE instr(rest, char(10) || origin || char(10)) > 0
    )
    SELECT rest FROM note WHERE instr(rest, char(10) || origin || char(10)) = 0
) WHERE size > 0;

-- What is wrong is told line by line, then the script ends.
CREATE TEMP TABLE problem AS
    SELECT log, path || ' is missing, but the log has a checkpoint of ' || last_checkpoint_size
        || ' leaves; touch it to begin anew' AS detail
    FROM temp.kept WHERE size IS NULL AND last_checkpoint_size IS NOT NULL
    UNION ALL
    SELECT log, path || ' holds no checkpoint of ' || origin FROM temp.kept
    WHERE size > 0 AND substr(last, 1, length(origin) + 1) IS NOT origin || char(10)
    UNION ALL
    SELECT kept.log, path || ': ' || v.detail FROM temp.kept, audit_verify(kept.log, last) AS v
    WHERE substr(last, 1, length(origin) + 1) IS origin || char(10) AND v.level = 'error'
    UNION ALL
    SELECT kept.log, v.detail FROM temp.kept, audit_verify(kept.log) AS v
    WHERE last IS NULL AND v.level = 'error';
SELECT log || ': ' || detail FROM temp.problem;
CREATE TEMP TABLE verdict(
    problems INTEGER CONSTRAINT "the logs do not follow the checkpoints outside" CHECK(problems = 0)
);
INSERT INTO verdict SELECT count(*) FROM temp.problem;

-- audit_checkpoint stands without FROM, so there is a statement for each log, whose note goes to the end of
-- its file unless that is there already.
.once /dev/null
SELECT writefile((SELECT folder || '/.run.sql' FROM temp.place), group_concat(
    '.once "|f=\"${RUSTYBT_CHECKPOINT_DIR:-checkpoints}/' || file
    || '\"; cat >>\"$f\" && sync \"$f\""' || char(10)
    || 'WITH made(note) AS MATERIALIZED (SELECT audit_checkpoint(CAST(x''' || hex(log)
    || ''' AS TEXT)' || iif(last IS NULL, '', ', x''' || hex(last) || '''') || ')) '
    || 'SELECT note FROM made WHERE CAST(note AS BLOB) <> x''' || hex(ifnull(last, '')) || ''';'
    || char(10), '')) FROM temp.kept;
.separator "|" ""
.read "|cat \"${RUSTYBT_CHECKPOINT_DIR:-checkpoints}/.run.sql\""
.separator "|" "\n"

-- A full disk leaves a torn note: each file must end in what its log has stored, which stands in a request
-- to a witness that knows nothing yet.
CREATE TEMP TABLE written(
    log TEXT,
    whole INTEGER CONSTRAINT "a checkpoint did not reach its file whole" CHECK(whole)
);
INSERT INTO written
    SELECT log, substr(CAST(readfile(path) AS TEXT), -length(note)) IS note
    FROM (SELECT log, path, substr(audit_consistency(log, 0), 8) AS note FROM temp.kept);
SELECT kept.log || ': checkpoint of ' || audit_logs.last_checkpoint_size || ' leaves in ' || path
FROM temp.kept JOIN audit_logs ON audit_logs.schema = 'main' AND audit_logs.name = kept.name;
