-- SPDX-License-Identifier: MIT
--
-- Part of the demo: a made-up trading day, Thursday 12 January 2023, 14:30 to 21:00 UTC, of 2400
-- orders, the same in every run. One in 33 is rejected, one in 8 cancelled, the rest is filled,
-- some of it in two parts.

CREATE TEMP TABLE market(sid INTEGER PRIMARY KEY, cents INTEGER NOT NULL);
INSERT INTO market VALUES (1, 13341), (2, 23882), (3, 16511), (4, 9527), (5, 12322), (6, 39652);

-- seed: a linear congruential generator; its high bits are used.
CREATE TEMP TABLE day AS
WITH RECURSIVE step(n, seed) AS (
    SELECT 1, 20230112
    UNION ALL
    SELECT n + 1, (seed * 1103515245 + 12345) % 2147483648 FROM step WHERE n < 2400
), drawn AS (
    SELECT n, 1673533800 + n * 39 / 4 AS time, seed >> 8 AS r, 1 + (seed >> 12) % 6 AS sid FROM step
)
SELECT n, time, r, sid,
    cents + abs((time / 60 + sid * 37) % 160 - 80) + r % 7 - 3 AS cents,
    10 * (1 + (r >> 5) % 40) AS amount,
    CASE WHEN r % 33 = 0 THEN 'rejected' WHEN r % 8 = 1 THEN 'cancelled'
        ELSE 'filled' END AS outcome
FROM drawn JOIN market USING(sid);

CREATE TEMP TABLE reports AS
SELECT time, n AS order_number, 0 AS step, 'submitted' AS kind, sid,
    CASE r % 3 WHEN 0 THEN 'momentum' WHEN 1 THEN 'pairs' ELSE 'market_maker' END AS strategy,
    iif(r % 2, 'buy', 'sell') AS side, amount,
    iif(r % 5 < 3, printf('%d.%02d', cents / 100, cents % 100), NULL) AS limit_price,
    NULL AS filled, NULL AS price
FROM day
UNION ALL
SELECT time + 1 + r % 4, n, 1, 'partially_filled', sid, NULL, NULL, NULL, NULL, amount / 2,
    printf('%d.%02d', cents / 100, cents % 100)
FROM day WHERE outcome = 'filled' AND amount % 20 = 0
UNION ALL
SELECT time + 5 + r % 40, n, 2, outcome, sid, NULL, NULL, NULL, NULL,
    iif(outcome = 'filled', amount, NULL),
    iif(outcome = 'filled', printf('%d.%02d', cents / 100, cents % 100), NULL)
FROM day;
