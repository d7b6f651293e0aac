-- SPDX-License-Identifier: MIT
--
-- Puts every secret of broker_connections (sql/schema.sql) under the primary key, and with them
-- whatever else in the database depends on the ring: subject keys, seals, the key that signs.
--
--     1. make a key, and put it behind the old one in every program: old,new. All can read now what
--        will be written under it (a program that runs reads its key file once more by itself)
--     2. turn them round, new,old, and let each program SELECT key_reload(), or start it anew: from
--        here on nothing is written under the old key
--     3. sqlite3 -batch trading.db < sql/rotate.sql
--     4. when it has said "finished" for every database, remove the old key: new
--
-- Without `make install`: sqlite3 -batch -cmd '.load ./build/rustybt' trading.db < sql/rotate.sql
--
-- It works in batches of 100 rows, each a transaction of its own, so programs go on reading and
-- writing; killed, it goes on where it was when it is run again. Fernet tokens stay Fernet and keep
-- their time. It ends with an error as long as anything in the database needs another key than the
-- primary, and names it.
--
-- Copies keep the old tokens: backups, replicas, the write-ahead log until its checkpoint, and, where
-- PRAGMA secure_delete was off at times, the free space in the file until a VACUUM.

.bail on
.mode list
.headers off
.timeout 60000

-- Loads rustybt unless that was done already. No row comes back.
SELECT 1 WHERE CASE
    WHEN EXISTS(SELECT 1 FROM pragma_function_list WHERE name = 'rustybt_version') THEN 0
    ELSE load_extension('rustybt') IS NOT NULL END;

-- The old tokens are overwritten with zeros, not only freed.
.once /dev/null
PRAGMA main.secure_delete = 1;

-- Every secret with its context; a NULL is none, and a Fernet token knows no context.
CREATE TEMP VIEW secrets AS
WITH each AS (
    SELECT id, api_key_encrypted AS token,
        broker_name || '/' || connection_type || '/api_key' AS context
    FROM main.broker_connections
    UNION ALL
    SELECT id, api_secret_encrypted, broker_name || '/' || connection_type || '/api_secret'
    FROM main.broker_connections
    UNION ALL
    SELECT id, additional_credentials,
        broker_name || '/' || connection_type || '/additional_credentials'
    FROM main.broker_connections
)
SELECT id, token, context, json_extract(token_info(token), '$.format') = 'fernet' AS fernet,
    json_extract(token_info(token), '$.key_id') AS key_id
FROM each WHERE token IS NOT NULL;

-- Those that are not under the primary key. A Fernet token does not say, so it is tried.
CREATE TEMP VIEW secrets_left AS SELECT * FROM secrets
WHERE CASE WHEN fernet THEN key_rotate(token) IS NOT token ELSE key_id IS NOT key_id() END;

CREATE TEMP TABLE goal(
    unopened INTEGER CONSTRAINT "no key in the ring opens the tokens above" CHECK(unopened = 0),
    left_over INTEGER CONSTRAINT "not finished: secrets are left under an old key; run it again"
        CHECK(left_over = 0),
    needed INTEGER CONSTRAINT "not finished: keep the keys above, or rotate what needs them"
        CHECK(needed = 0)
);

-- Named before key_rotate stops at the first.
SELECT context || ': under key ' || ifnull(key_id, 'unknown') || ', which is not in the ring'
FROM secrets WHERE NOT fernet AND ifnull(key_id NOT IN (SELECT key_id FROM key_ring), 1);
INSERT INTO goal(unopened) SELECT count(*)
FROM secrets WHERE NOT fernet AND ifnull(key_id NOT IN (SELECT key_id FROM key_ring), 1);
-- A Fernet token does not say which key made it, but whether one of the ring did shows.
CREATE TEMP TABLE foreign_fernet AS SELECT column_name, rows FROM key_usage
WHERE table_name = 'broker_connections' AND format = 'fernet' AND key_id IS NULL;
SELECT 'broker_connections.' || column_name || ': ' || rows
    || ' Fernet token' || iif(rows = 1, '', 's') || ' that no key in the ring made'
FROM foreign_fernet;
INSERT INTO goal(unopened) SELECT count(*) FROM foreign_fernet;

-- A row of rotate_batch is one batch: the next hundred connections by id that have secrets left.
CREATE TEMP TABLE progress(reached INTEGER, rotated INTEGER);
INSERT INTO progress VALUES(NULL, 0);
CREATE TEMP TABLE batch(id INTEGER PRIMARY KEY, secrets INTEGER);
CREATE TEMP VIEW rotate_batch AS SELECT reached FROM progress;
CREATE TEMP TRIGGER rotate_a_batch INSTEAD OF INSERT ON rotate_batch
WHEN NOT EXISTS(SELECT 1 FROM progress WHERE reached = 9223372036854775807)
BEGIN
    DELETE FROM batch;
    INSERT INTO batch SELECT id, count(*) FROM secrets_left
    WHERE id > (SELECT ifnull(reached, -9223372036854775808) FROM progress)
        OR (SELECT reached FROM progress) IS NULL
    GROUP BY id ORDER BY id LIMIT 100;
    UPDATE broker_connections SET
        api_key_encrypted = iif(json_extract(token_info(api_key_encrypted), '$.format') = 'fernet',
            key_rotate(api_key_encrypted),
            key_rotate(api_key_encrypted, broker_name || '/' || connection_type || '/api_key')),
        api_secret_encrypted =
            iif(json_extract(token_info(api_secret_encrypted), '$.format') = 'fernet',
            key_rotate(api_secret_encrypted),
            key_rotate(api_secret_encrypted,
                broker_name || '/' || connection_type || '/api_secret')),
        additional_credentials =
            iif(json_extract(token_info(additional_credentials), '$.format') = 'fernet',
            key_rotate(additional_credentials),
            key_rotate(additional_credentials,
                broker_name || '/' || connection_type || '/additional_credentials'))
    WHERE id IN (SELECT id FROM batch);
    UPDATE progress SET
        rotated = rotated + (SELECT ifnull(sum(secrets), 0) FROM batch),
        reached = (SELECT ifnull(max(id), 9223372036854775807) FROM batch);
END;

-- The shell has no loop, but it reads what a command writes. How many batches there are goes through a
-- file that is named after its process; the folder may be open to all, so that nothing but a number is
-- taken from there.
.once '|f="${TMPDIR:-/tmp}/rustybt-rotate-$PPID"; rm -f "$f"; umask 077; set -C; cat > "$f"'
SELECT (count(DISTINCT id) + 99) / 100 FROM secrets_left;
.read '|f="${TMPDIR:-/tmp}/rustybt-rotate-$PPID"; n=$(head -c 6 "$f" | tr -cd 0-9); rm -f "$f"; while [ "${n:-0}" -gt 0 ]; do echo "INSERT INTO rotate_batch VALUES(1);"; n=$(expr "$n" - 1); done'

-- What is stored now is asked, not what was meant to be: each token opens, under the primary key.
CREATE TEMP TABLE stored AS SELECT CASE WHEN fernet THEN key_rotate(token) IS NOT token
    ELSE key_id IS NOT key_id() OR key_rotate(token, context) IS NOT token END AS is_left
FROM secrets;
SELECT count(*) || ' secrets: ' || (SELECT rotated FROM progress) || ' rotated, '
    || (count(*) - ifnull(sum(is_left), 0) - (SELECT rotated FROM progress)) || ' under key '
    || key_id() || ' already' || iif(max(is_left), ', ' || sum(is_left) || ' left', '')
FROM stored;
INSERT INTO goal(left_over) SELECT count(*) FROM stored WHERE is_left;

-- The keys of subjects, the seals, and the key that signs, with its succession note.
SELECT subject_rotate();
SELECT audit_succession('*');

-- Whatever else needs a key that is about to go.
CREATE TEMP TABLE needed AS SELECT * FROM key_usage
WHERE format <> 'subject' AND key_id IS NOT key_id();
SELECT 'keep key ' || ifnull(key_id, '(unknown)') || ': ' || table_name
    || ifnull('.' || column_name, '') || ', ' || rows || ' of format ' || format
FROM needed;
INSERT INTO goal(needed) SELECT count(*) FROM needed;

-- Before the turn, with old,new, the one that is not needed yet is the new one.
SELECT 'key ' || key_id || ' is in the ring and not needed by this database'
FROM key_ring WHERE NOT is_primary;
SELECT 'finished: nothing in this database needs a key other than ' || key_id();
