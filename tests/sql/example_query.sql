-- SPDX-License-Identifier: MIT
-- The specification's example query, word for word, over a log of 20,000 entries: right rows, and by
-- the log's own indexes. How many steps it takes is measured in log_cost_test.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE TABLE equities(sid INTEGER PRIMARY KEY, symbol TEXT UNIQUE);
INSERT INTO equities VALUES(24, 'AAPL'), (8554, 'SPY'), (5061, 'MSFT');
CREATE VIRTUAL TABLE order_audit_log USING audit_log(
  strategy_id TEXT NOT NULL, broker_connection_id INTEGER, order_id TEXT NOT NULL, broker_order_id TEXT,
  asset_sid INTEGER NOT NULL,
  event_type TEXT NOT NULL CHECK(event_type IN ('submitted', 'filled', 'canceled', 'rejected')),
  event_timestamp INTEGER NOT NULL, event_data JSON NOT NULL,
  INDEX(order_id), INDEX(event_timestamp), INDEX(strategy_id));
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO order_audit_log(strategy_id, broker_connection_id, order_id, asset_sid, event_type, event_timestamp, event_data)
  SELECT 'm' || (i % 7), 1, 'order ' || (i / 2), CASE i % 3 WHEN 0 THEN 24 WHEN 1 THEN 8554 ELSE 5061 END,
         CASE i % 2 WHEN 0 THEN 'filled' ELSE 'submitted' END, 1672531200 + (i - 1000) * 3600,
         json_object('fill_price', 100.0 + i, 'filled_amount', i) FROM n;

-- test: the query as it is written
SELECT count(*), min(event_timestamp), max(event_timestamp), min(fill_price), max(filled_amount) FROM (
-- Find all trades for AAPL in January 2023
SELECT
    event_timestamp,
    event_type,
    json_extract(event_data, '$.fill_price') as fill_price,
    json_extract(event_data, '$.filled_amount') as filled_amount
FROM order_audit_log
WHERE
    asset_sid = (SELECT sid FROM equities WHERE symbol = 'AAPL')
    AND event_timestamp BETWEEN 1672531200 AND 1675209600
    AND event_type = 'filled'
ORDER BY event_timestamp
);
-- expect: 124|1672538400|1675195200|1102.0|1740
-- test: the same rows as from an ordinary table
SELECT count(*) FROM (
  SELECT id FROM order_audit_log WHERE asset_sid = 24 AND event_timestamp BETWEEN 1672531200 AND 1675209600 AND event_type = 'filled'
  EXCEPT
  SELECT id FROM order_audit_log_rows WHERE +asset_sid = 24 AND +event_timestamp BETWEEN 1672531200 AND 1675209600 AND +event_type = 'filled');
-- expect: 0
-- test: the plan hands all three conditions to one SELECT on the rows
EXPLAIN QUERY PLAN SELECT order_id FROM order_audit_log WHERE asset_sid = (SELECT sid FROM equities WHERE symbol = 'AAPL')
  AND event_timestamp BETWEEN 1672531200 AND 1675209600 AND event_type = 'filled';
-- glob: *SCAN order_audit_log VIRTUAL TABLE INDEX 0:*SELECT id*FROM "main"."order_audit_log_rows" WHERE *"event_timestamp" >= ?*"event_timestamp" <= ?*
-- glob: *
-- glob: *
-- test: and that SELECT uses the log's index on event_timestamp
EXPLAIN QUERY PLAN SELECT id, "order_id" FROM "main"."order_audit_log_rows" WHERE "asset_sid" = ?1 AND "event_timestamp" >= ?2
  AND "event_timestamp" <= ?3 AND "event_type" = ?4;
-- glob: *SEARCH *order_audit_log_rows USING INDEX order_audit_log_rows_2 (event_timestamp>? AND event_timestamp<?)
-- test: by order, by id, by what is not indexed, by nothing
SELECT group_concat(id) FROM order_audit_log WHERE order_id = 'order 500';
-- expect: 1000,1001
SELECT order_id FROM order_audit_log WHERE id = 777;
-- expect: order 388
SELECT id FROM order_audit_log WHERE broker_order_id IS NOT NULL OR id IN (5, 7);
-- expect: 5
-- expect: 7
SELECT count(*), min(id), max(id) FROM order_audit_log;
-- expect: 20000|1|20000
-- test: in both orders, with a limit and an offset
SELECT id FROM order_audit_log ORDER BY id DESC LIMIT 3;
-- expect: 20000
-- expect: 19999
-- expect: 19998
SELECT id FROM order_audit_log WHERE event_type = 'filled' ORDER BY id LIMIT 2 OFFSET 3;
-- expect: 8
-- expect: 10
-- test: a collation of the query's own finds what it should
SELECT count(*) FROM order_audit_log WHERE event_type = 'FILLED' COLLATE NOCASE;
-- expect: 10000
SELECT count(*) FROM order_audit_log WHERE event_type = 'FILLED';
-- expect: 0
-- test: LIKE, GLOB, IS NULL, OR, joins
SELECT count(*) FROM order_audit_log WHERE order_id LIKE 'ORDER 1__';
-- expect: 200
SELECT count(*) FROM order_audit_log WHERE order_id GLOB 'order 1??' AND broker_order_id IS NULL;
-- expect: 200
SELECT symbol, count(*) FROM equities JOIN order_audit_log ON asset_sid = sid WHERE id <= 300 GROUP BY symbol ORDER BY 1;
-- expect: AAPL|100
-- expect: MSFT|100
-- expect: SPY|100
-- test: a type that does not fit the column compares as in an ordinary table
SELECT count(*) FROM order_audit_log WHERE asset_sid = '24' AND id < 10;
-- expect: 3
SELECT count(*) FROM order_audit_log WHERE order_id = 5;
-- expect: 0
SELECT count(*) FROM order_audit_log WHERE id > 19998.5;
-- expect: 2
-- test: the hidden column can be asked for, and asked by
SELECT count(*) FROM order_audit_log WHERE tier = 'hot' AND id < 10;
-- expect: 9
-- test: it verifies
SELECT audit_verify('order_audit_log') GLOB 'order_audit_log: 20000 entries*';
-- expect: 1
