-- SPDX-License-Identifier: MIT
--
-- Puts every secret of broker_connections (sql/schema.sql) under the primary key:
--
--     1. make a key, and put it in front of the old one: new,old in the file that
--        RUSTYBT_ENCRYPTION_KEY_FILE names (or in RUSTYBT_ENCRYPTION_KEY)
--     2. sqlite3 -batch trading.db < sql/rotate.sql
--     3. when it has said "finished" for every database, remove the old key
--
-- Without `make install`: sqlite3 -batch -cmd '.load ./build/rustybt' trading.db < sql/rotate.sql
--
-- All of it is one transaction: it finishes, or nothing has changed. It may run again at any time.
-- Fernet tokens stay Fernet and keep their time.
--
-- Audit logs use the ring too. A log is sealed under the primary key with its next entry; one that
-- is still sealed under another key is named at the end, and that key has to stay until then. And
-- where no RUSTYBT_SIGNING_KEY is set, the primary key signs segments: before step 3, put what
-- audit_public_key('order_audit_log') said before step 1 into RUSTYBT_VERIFY_KEYS, with the new
-- one.
--
-- Copies keep the old tokens: backups, replicas, the write-ahead log until its checkpoint, and, where
-- PRAGMA secure_delete was off at times, the free space in the file until a VACUUM.

.bail on
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
    SELECT id, 'api_key' AS field, api_key_encrypted AS token,
        broker_name || '/' || connection_type || '/' AS place
    FROM main.broker_connections
    UNION ALL
    SELECT id, 'api_secret', api_secret_encrypted, broker_name || '/' || connection_type || '/'
    FROM main.broker_connections
    UNION ALL
    SELECT id, 'additional_credentials', additional_credentials,
        broker_name || '/' || connection_type || '/'
    FROM main.broker_connections
)
SELECT id, field, token, place || field AS context,
    json_extract(token_info(token), '$.format') = 'fernet' AS fernet,
    json_extract(token_info(token), '$.key_id') AS key_id
FROM each WHERE token IS NOT NULL;

CREATE TEMP TABLE goal(
    unopened INTEGER CONSTRAINT "no key in the ring opens the tokens above" CHECK(unopened = 0),
    left_over INTEGER CONSTRAINT "not finished: secrets are left under an old key"
        CHECK(left_over = 0)
);

BEGIN IMMEDIATE;

-- Named before key_rotate stops at the first.
SELECT context || ': under key ' || ifnull(key_id, 'unknown') || ', which is not in the ring'
FROM secrets WHERE NOT fernet AND ifnull(key_id NOT IN (SELECT key_id FROM key_ring), 1);
INSERT INTO goal(unopened) SELECT count(*)
FROM secrets WHERE NOT fernet AND ifnull(key_id NOT IN (SELECT key_id FROM key_ring), 1);

CREATE TEMP TABLE rotated AS
SELECT id, field, token AS old, iif(fernet, key_rotate(token), key_rotate(token, context)) AS new
FROM secrets;

UPDATE main.broker_connections AS c SET
    api_key_encrypted = (SELECT new FROM rotated r WHERE r.id = c.id AND field = 'api_key'),
    api_secret_encrypted = (SELECT new FROM rotated r WHERE r.id = c.id AND field = 'api_secret'),
    additional_credentials = (SELECT new FROM rotated r WHERE r.id = c.id
        AND field = 'additional_credentials')
WHERE id IN (SELECT id FROM rotated WHERE new IS NOT old);

SELECT count(*) || ' secrets: ' || ifnull(sum(new IS NOT old), 0) || ' rotated, '
    || ifnull(sum(new IS old), 0) || ' under key ' || key_id() || ' already'
FROM rotated;

-- What is stored now is asked, not what was meant to be: each token opens, under the primary key.
INSERT INTO goal(left_over) SELECT count(*) FROM secrets
WHERE CASE WHEN fernet THEN key_rotate(token) IS NOT token
    ELSE key_id IS NOT key_id() OR key_rotate(token, context) IS NOT token END;

COMMIT;

SELECT 'keep its key: ' || detail FROM audit_verify('*')
WHERE kind = 'verified' AND detail LIKE '%sealed under key%' AND instr(detail, key_id()) = 0;

SELECT 'finished: no secret of broker_connections needs a key other than ' || key_id();
