-- SPDX-License-Identifier: MIT
-- audit_restore: a log made again from its segments, in a database that does not have it.

-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=

CREATE VIRTUAL TABLE orders USING audit_log(symbol TEXT NOT NULL, price REAL, detail JSON NOT NULL,
    raw BLOB, INDEX(symbol), origin='example.com/orders', archive='cold', salt=on);
WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 600)
INSERT INTO orders(symbol, price, detail, raw)
SELECT 'S' || (i % 7), i / 8.0, json_object('n', i, 't', 'é"' || i),
    iif(i % 3, NULL, unhex(printf('%04x', i))) FROM n;
SELECT audit_archive('orders', 'cold', 'now');
SELECT audit_checkpoint('orders');
SELECT audit_set('orders', 'add_column', 'venue TEXT CHECK(venue <> ''nowhere'')');
INSERT INTO orders(symbol, detail, venue) VALUES('LATE', '[1]', 'XNAS'), ('LATE', '[2]', NULL);
SELECT audit_archive('orders', 'cold', 'now');
-- test: the log as it was has a column that came later
SELECT count(*), sum(venue IS NOT NULL) FROM orders;
-- expect: 602|1
-- run: cp test.db before.db
SELECT audit_checkpoint('orders');
INSERT INTO orders(symbol, detail) VALUES('LOST', '[3]');
SELECT writefile('outside.txt', audit_checkpoint('orders'));
