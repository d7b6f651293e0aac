-- SPDX-License-Identifier: MIT
--
-- Moves an order_audit_log that is a plain table into an append-only log of the same name: every row,
-- in the order of its id, which stays with it as legacy_id. Prints what it did, or what is wrong; the
-- exit code is 0 only when all is well.
--
--     RUSTYBT_ENCRYPTION_KEY_FILE=… sqlite3 -batch trading.db < sql/import.sql
--
-- Before: back up the database, stop what writes to it, and edit the declaration below: your origin, and
-- a column for each one of the old table (it refuses when one has no place in the log).
--
-- It is one transaction. Rows that the log would refuse are listed before anything is written; then, or
-- on any error, or when it is killed, the database is as it was. It commits only after the count and a
-- SHA3-256 of all rows, read back from the log, are equal to those of the old table (JSON without spaces
-- between its tokens, as the log keeps it). The old table stays, as order_audit_log_legacy, and takes no
-- change; run again, this script compares both anew. DROP TABLE order_audit_log_legacy when you like.
--
-- Views and triggers that name order_audit_log work on the log. Foreign keys that named the table refer
-- to order_audit_log_ids, for a virtual table cannot be a parent in SQLite: triggers on their tables put an id
-- there once the log has it, so every entry, old or new, can be referred to and nothing else can. Where
-- the old ids had gaps, ids in the log differ from them: the columns of foreign keys are changed to the
-- log's ids. Numbers that no foreign key declares are old ids: join them to legacy_id.
--
-- Without `make install`: sqlite3 -batch -cmd '.load ./build/rustybt' trading.db < sql/import.sql

.bail on
.mode list
.headers off
.timeout 60000

-- Loads rustybt unless that was done already. No row comes back.
SELECT 1 WHERE CASE
    WHEN EXISTS(SELECT 1 FROM pragma_function_list WHERE name = 'rustybt_version') THEN 0
    ELSE load_extension('rustybt') IS NOT NULL END;

PRAGMA foreign_keys = OFF; -- what refers to the table is moved, and checked at the end
BEGIN IMMEDIATE;

CREATE TEMP TABLE goal(
    found INTEGER CONSTRAINT "this database has no table order_audit_log" CHECK(found),
    misfits INTEGER CONSTRAINT "the old table does not fit, see above; nothing was changed"
        CHECK(misfits = 0),
    refused INTEGER CONSTRAINT "the log refuses the rows above; nothing was changed"
        CHECK(refused = 0),
    lost INTEGER CONSTRAINT "the log does not hold what order_audit_log_legacy holds"
        CHECK(lost = 0),
    dangling INTEGER CONSTRAINT "references to order_audit_log would dangle; nothing was changed"
        CHECK(dangling = 0)
);
INSERT INTO goal(found) SELECT EXISTS(
    SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = 'order_audit_log');

-- One row while the table is to be moved, none when that is done.
CREATE TEMP TABLE moving AS SELECT 1 FROM main.sqlite_schema
WHERE type = 'table' AND name = 'order_audit_log'
    AND NOT EXISTS(SELECT 1 FROM audit_logs WHERE schema = 'main' AND name = 'order_audit_log');

CREATE TEMP TABLE child AS
SELECT DISTINCT m.name AS name, '"' || replace(m.name, '"', '""') || '"' AS quoted,
    '"' || replace(f."from", '"', '""') || '"' AS quoted_column, f."from" AS column_name
FROM temp.moving, main.sqlite_schema AS m, pragma_foreign_key_list(m.name, 'main') AS f
WHERE m.type = 'table' AND lower(f."table") = 'order_audit_log';

-- What stands in the way of a move, line by line.
CREATE TEMP TABLE misfit AS
SELECT 'order_audit_log_legacy exists already: rename or drop it' AS detail
FROM temp.moving WHERE EXISTS(SELECT 1 FROM main.sqlite_schema WHERE name = 'order_audit_log_legacy')
UNION ALL
SELECT 'the primary key of order_audit_log must be the column id alone' FROM temp.moving
WHERE (SELECT group_concat(lower(name)) FROM pragma_table_info('order_audit_log', 'main')
    WHERE pk) IS NOT 'id'
UNION ALL
SELECT 'the table ' || m.name || ' refers to order_audit_log by more than its id, or order_audit_log '
    || 'refers to itself: make the table anew without that foreign key'
FROM temp.moving, main.sqlite_schema AS m, pragma_foreign_key_list(m.name, 'main') AS f
WHERE m.type = 'table' AND lower(f."table") = 'order_audit_log'
    AND (f.seq > 0 OR lower(ifnull(f."to", 'id')) <> 'id' OR lower(m.name) = 'order_audit_log');
SELECT detail FROM temp.misfit;
INSERT INTO goal(misfits) SELECT count(*) FROM temp.misfit;

-- The shell has no condition and no loop, but it reads what it wrote, through a file that is named after
-- its process.
--
-- With legacy_alter_table, and foreign_keys off, a renamed table takes nothing along. Without it a rename
-- changes foreign keys, but views and triggers too: so these are set aside while order_audit_log_ids, under
-- the old name, is renamed.
CREATE TEMP TABLE aside AS
SELECT rowid AS place, type, '"' || replace(name, '"', '""') || '"' AS quoted, sql
FROM main.sqlite_schema AS s
WHERE EXISTS(SELECT 1 FROM temp.child)
    AND (type = 'view' OR (type = 'trigger' AND tbl_name <> 'order_audit_log' COLLATE NOCASE
        AND NOT EXISTS(SELECT 1 FROM audit_logs AS l
            WHERE s.tbl_name IN (l.name || '_rows', l.name || '_gate'))));
.once '|f="${TMPDIR:-/tmp}/rustybt-import-$PPID"; rm -f "$f"; umask 077; set -C; cat > "$f"'
SELECT 'DROP ' || type || ' main.' || quoted || ';' FROM temp.aside
UNION ALL
SELECT 'PRAGMA legacy_alter_table = ON;
ALTER TABLE main.order_audit_log RENAME TO order_audit_log_legacy;' FROM temp.moving
UNION ALL
SELECT 'CREATE TABLE main.order_audit_log(id INTEGER PRIMARY KEY);
PRAGMA legacy_alter_table = OFF;
ALTER TABLE main.order_audit_log RENAME TO order_audit_log_ids;'
FROM temp.moving WHERE EXISTS(SELECT 1 FROM temp.child);
.read '|f="${TMPDIR:-/tmp}/rustybt-import-$PPID"; cat "$f"; rm -f "$f"'

-- The log. Choose an origin for good, as in sql/schema.sql; legacy_id stays last.
CREATE VIRTUAL TABLE IF NOT EXISTS main.order_audit_log USING audit_log(
    strategy_id TEXT NOT NULL,
    broker_connection_id INTEGER,
    order_id TEXT NOT NULL,
    broker_order_id TEXT,
    asset_sid INTEGER NOT NULL,
    event_type TEXT NOT NULL CHECK(event_type IN ('submitted', 'accepted', 'partially_filled',
        'filled', 'cancelled', 'rejected', 'expired', 'amended', 'deleted')),
    event_timestamp INTEGER NOT NULL,
    event_data JSON NOT NULL,
    legacy_id INTEGER,
    INDEX(order_id), INDEX(event_timestamp), INDEX(strategy_id), INDEX(asset_sid, event_timestamp),
    INDEX(legacy_id),
    archive='cold', archive_after='1 year', retain='7 years'
);

-- One row while there is an old table to compare with.
CREATE TEMP TABLE old AS
SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = 'order_audit_log_legacy';

-- The log's own columns, with what the old table gives for each. SQLite calls JSON columns TEXT; leaf 0 has
-- the declaration.
CREATE TEMP TABLE argument AS
SELECT lower(ltrim(replace(replace(value, char(9), ' '), char(10), ' '))) AS text
FROM json_each(audit_leaf('main.order_audit_log', 0), '$.arguments');
CREATE TEMP TABLE field AS
SELECT n.cid, n.name, '"' || replace(n.name, '"', '""') || '"' AS quoted,
    iif(EXISTS(SELECT 1 FROM temp.argument WHERE substr(text, 1, length(n.name) + 1) = lower(n.name) || ' '
            AND ltrim(substr(text, length(n.name) + 1)) GLOB 'json*'), 'JSON', n.type) AS type,
    CASE WHEN n.name = 'legacy_id' THEN 'id'
        WHEN o.name IS NULL THEN 'NULL'
        ELSE '"' || replace(o.name, '"', '""') || '"' END AS given
FROM pragma_table_xinfo('order_audit_log', 'main') AS n
LEFT JOIN pragma_table_xinfo('order_audit_log_legacy', 'main') AS o ON lower(o.name) = lower(n.name)
WHERE n.hidden = 0 AND n.name NOT IN ('id', 'recorded_at') ORDER BY n.cid;
DELETE FROM temp.misfit;
INSERT INTO temp.misfit
SELECT 'the log has no column for ' || name || ' of the old table; add it to the declaration'
FROM pragma_table_xinfo('order_audit_log_legacy', 'main')
WHERE lower(name) <> 'id' AND lower(name) NOT IN (SELECT lower(name) FROM temp.field)
UNION ALL
SELECT 'the log has no column legacy_id' FROM temp.old
WHERE NOT EXISTS(SELECT 1 FROM temp.field WHERE name = 'legacy_id');
SELECT detail FROM temp.misfit;
INSERT INTO goal(misfits) SELECT count(*) FROM temp.misfit;

-- Refused rows first, then the move, then both sides through one query, whose text is part of the digest.
CREATE TEMP TABLE refused(id, why TEXT);
CREATE TEMP TABLE side(name TEXT, entries INTEGER, digest TEXT);
.once '|f="${TMPDIR:-/tmp}/rustybt-import-$PPID"; rm -f "$f"; umask 077; set -C; cat > "$f"'
SELECT 'INSERT INTO temp.refused SELECT * FROM (SELECT id, audit_error(''main.order_audit_log'', '
    || group_concat(given, ', ') || ') AS why FROM main.order_audit_log_legacy ORDER BY id) '
    || 'WHERE why IS NOT NULL;
SELECT ''row '' || id || '': '' || why FROM temp.refused LIMIT 1000;
SELECT ''… and '' || (count(*) - 1000) || '' more'' FROM temp.refused HAVING count(*) > 1000;
INSERT INTO goal(refused) SELECT count(*) FROM temp.refused;
INSERT INTO main.order_audit_log(' || group_concat(quoted, ', ') || ') SELECT '
    || group_concat(given, ', ') || ' FROM main.order_audit_log_legacy ORDER BY id;'
FROM (SELECT * FROM temp.field ORDER BY cid) WHERE EXISTS(SELECT 1 FROM temp.moving)
HAVING count(*) > 0
UNION ALL
SELECT 'CREATE TEMP VIEW rows_to_compare AS SELECT id AS place, ' || group_concat(
        CASE type WHEN 'JSON' THEN 'json(' || given || ')' WHEN 'REAL' THEN given || ' + 0.0'
            ELSE given END || ' AS ' || quoted, ', ') || ' FROM main.order_audit_log_legacy;
INSERT INTO temp.side SELECT ''old'', (SELECT count(*) FROM temp.rows_to_compare), lower(hex('
    || 'sha3_query(''SELECT ' || replace(group_concat(quoted, ', '), '''', '''''')
    || ' FROM temp.rows_to_compare ORDER BY place'', 256)));
DROP VIEW temp.rows_to_compare;
CREATE TEMP VIEW rows_to_compare AS SELECT id AS place, ' || group_concat(quoted, ', ')
    || ' FROM main.order_audit_log WHERE legacy_id IS NOT NULL;
INSERT INTO temp.side SELECT ''log'', (SELECT count(*) FROM temp.rows_to_compare), lower(hex('
    || 'sha3_query(''SELECT ' || replace(group_concat(quoted, ', '), '''', '''''')
    || ' FROM temp.rows_to_compare ORDER BY place'', 256)));
DROP VIEW temp.rows_to_compare;'
FROM (SELECT * FROM temp.field ORDER BY cid) WHERE EXISTS(SELECT 1 FROM temp.old)
HAVING count(*) > 0;
.read '|f="${TMPDIR:-/tmp}/rustybt-import-$PPID"; cat "$f"; rm -f "$f"'
SELECT name || ': ' || entries || ' rows, SHA3-256 ' || digest FROM temp.side;
INSERT INTO goal(lost) SELECT count(DISTINCT entries || ' ' || digest) > 1 FROM temp.side;

-- References, through negative numbers so that no two are ever equal; what was set aside; the old table's
-- guards. Views are tried. A reference to a row that is not there is refused, for the number would be lost.
.once '|f="${TMPDIR:-/tmp}/rustybt-import-$PPID"; rm -f "$f"; umask 077; set -C; cat > "$f"'
SELECT 'SELECT ' || quote(name || '.' || column_name || ' names the missing row ') || ' || '
    || quoted_column || ' FROM main.' || quoted || ' WHERE ' || quoted_column || ' IS NOT NULL AND '
    || quoted_column || ' NOT IN (SELECT id FROM main.order_audit_log_legacy) LIMIT 1000;
INSERT INTO goal(dangling) SELECT count(*) FROM main.' || quoted || ' WHERE ' || quoted_column
    || ' IS NOT NULL AND ' || quoted_column || ' NOT IN (SELECT id FROM main.order_audit_log_legacy);'
    || iif(EXISTS(SELECT 1 FROM main.order_audit_log WHERE id <> legacy_id LIMIT 1), '
UPDATE main.' || quoted || ' SET ' || quoted_column || ' = -(SELECT l.id FROM main.order_audit_log '
    || 'AS l WHERE l.legacy_id = ' || quoted || '.' || quoted_column || ') WHERE ' || quoted_column
    || ' IS NOT NULL;
UPDATE main.' || quoted || ' SET ' || quoted_column || ' = -' || quoted_column || ' WHERE '
    || quoted_column || ' IS NOT NULL;', '') || '
INSERT OR IGNORE INTO main.order_audit_log_ids SELECT ' || quoted_column || ' FROM main.' || quoted
    || ' WHERE ' || quoted_column || ' IS NOT NULL;
CREATE TRIGGER main."' || replace(name || '_' || column_name, '"', '""')
    || '_insert_refers" BEFORE INSERT ON ' || quoted
    || ' WHEN NOT EXISTS(SELECT 1 FROM order_audit_log_ids WHERE id = NEW.' || quoted_column || ')
BEGIN
    INSERT INTO order_audit_log_ids SELECT id FROM order_audit_log WHERE id = NEW.'
    || quoted_column || ';
END;
CREATE TRIGGER main."' || replace(name || '_' || column_name, '"', '""')
    || '_update_refers" BEFORE UPDATE OF ' || quoted_column || ' ON ' || quoted
    || ' WHEN NOT EXISTS(SELECT 1 FROM order_audit_log_ids WHERE id = NEW.' || quoted_column || ')
BEGIN
    INSERT INTO order_audit_log_ids SELECT id FROM order_audit_log WHERE id = NEW.'
    || quoted_column || ';
END;
INSERT INTO goal(dangling) SELECT count(*) FROM pragma_foreign_key_check(' || quote(name)
    || ', ''main'') WHERE parent = ''order_audit_log_ids'';'
FROM temp.child
UNION ALL
SELECT sql || '
;' FROM (SELECT * FROM temp.aside ORDER BY place)
UNION ALL
SELECT 'CREATE TRIGGER main.order_audit_log_legacy_' || event || ' BEFORE ' || event
    || ' ON order_audit_log_legacy
BEGIN
    SELECT RAISE(ABORT, ''order_audit_log_legacy is kept as it was imported'');
END;' FROM temp.moving,
    (SELECT 'insert' AS event UNION ALL SELECT 'update' UNION ALL SELECT 'delete')
UNION ALL
SELECT 'SELECT 1 FROM main.' || quoted || ' LIMIT 0;'
FROM temp.moving, (
    SELECT '"' || replace(name, '"', '""') || '"' AS quoted, sql FROM main.sqlite_schema
    WHERE type = 'view'
    UNION ALL SELECT quoted, sql FROM temp.aside WHERE type = 'view')
WHERE sql LIKE '%order_audit_log%';
.read '|f="${TMPDIR:-/tmp}/rustybt-import-$PPID"; cat "$f"; rm -f "$f"'

COMMIT;
SELECT audit_verify('main.order_audit_log');
SELECT CASE
    WHEN EXISTS(SELECT 1 FROM temp.moving)
        THEN 'moved; the old table stays as order_audit_log_legacy until you drop it'
    WHEN EXISTS(SELECT 1 FROM temp.old) THEN 'moved already; both tables hold the same'
    ELSE 'nothing to move: order_audit_log is a log, and there is no order_audit_log_legacy' END;
