-- SPDX-License-Identifier: MIT
--
-- Part of the demo, with DATA=file.csv: every trade of a file with the columns Time, Price and
-- Volume becomes an order of ours that was filled by it, from 100 shares on in two parts. A Price
-- without a point is in 1/10000 dollars (as in LOBSTER's files), one with a point in dollars.
--
-- The time of day is kept and read as New York's; the day becomes 12 January 2023 and the symbol
-- AAPL, so that the specification's query finds the trades.

CREATE TEMP TABLE reports AS
WITH trade AS (
    SELECT row_number() OVER (ORDER BY rowid) AS n,
        unixepoch('2023-01-12 ' || substr(Time, 12, 8)) + 5 * 3600 AS time,
        CAST(Volume AS INTEGER) AS amount,
        iif(instr(Price, '.'), Price,
            printf('%d.%04d', Price / 10000, Price % 10000)) AS price
    FROM trades
)
SELECT time, n AS order_number, 0 AS step, 'submitted' AS kind, 1 AS sid, 'replay' AS strategy,
    iif(n % 2, 'buy', 'sell') AS side, amount, NULL AS limit_price, NULL AS filled, NULL AS price
FROM trade
UNION ALL
SELECT time, n, 1, 'partially_filled', 1, NULL, NULL, NULL, NULL, amount / 2, price
FROM trade WHERE amount >= 100
UNION ALL
SELECT time, n, 2, 'filled', 1, NULL, NULL, NULL, NULL, amount, price FROM trade;
