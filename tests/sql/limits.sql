-- SPDX-License-Identifier: MIT
-- Rate limits in memory: decisions, policies, corrections, several at once, and where they may stand.
-- test: a decision as a row
SELECT allowed, quota, remaining, retry_after_us, reset_after_us, ratelimit_policy, ratelimit FROM rate_take('api.anonymous', 'a');
-- expect: 1|100|99|0|3600000000|"api.anonymous";q=100;w=3600|"api.anonymous";r=99;t=3600
-- test: a cost, and a key of another user
SELECT rate_allow('api.anonymous', 'a', 99), rate_allow('api.anonymous', 'a'), rate_allow('api.anonymous', 'b');
-- expect: 1|0|1
-- test: a look takes nothing
SELECT remaining FROM rate_peek('api.anonymous', 'b') UNION ALL SELECT remaining FROM rate_peek('api.anonymous', 'b', 50) UNION ALL SELECT remaining FROM rate_peek('api.anonymous', 'nobody');
-- expect: 99
-- expect: 99
-- expect: 100
-- test: an integer key is its digits
SELECT rate_allow('api.anonymous', 42, 60), rate_allow('api.anonymous', '42', 60);
-- expect: 1|0
-- test: the other connections of the process count along
-- other
SELECT rate_allow('api.anonymous', 'a'), remaining FROM rate_peek('api.anonymous', '42');
-- expect: 0|40
-- test: and so does one that opens later
-- reopen
SELECT rate_allow('api.anonymous', 'a'), remaining FROM rate_peek('api.anonymous', '42');
-- expect: 0|40
-- test: a statement of many rows decides for each row
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 30) SELECT sum(rate_allow('binance.orders', 'x')) FROM n;
-- expect: 10
-- test: the table decides once in a join, whatever the order
CREATE TABLE three(x);
INSERT INTO three VALUES(1), (2), (3);
SELECT count(*), max(remaining) FROM three, rate_take('api.anonymous', 'join');
-- expect: 3|99
SELECT remaining FROM rate_peek('api.anonymous', 'join');
-- expect: 99
-- test: and once for each row that gives it a key
SELECT group_concat(remaining) FROM three, rate_take('api.anonymous', 'row' || x);
-- expect: 99,99,99

-- test: wrong arguments
SELECT rate_allow('nothing', 'a');
-- error: rate_allow: no policy 'nothing'; rate_policy defines one, rate_policies lists them
SELECT * FROM rate_take('nothing', 'a');
-- error: rate_take: no policy 'nothing'; rate_policy defines one, rate_policies lists them
SELECT rate_allow('bybit', NULL);
-- error: rate_allow: key must be TEXT or INTEGER, not NULL
SELECT rate_allow(NULL, 'a');
-- error: rate_allow: policy must be TEXT, not NULL
SELECT rate_allow('bybit', x'00');
-- error: rate_allow: key must be TEXT or INTEGER, not BLOB
SELECT rate_allow('bybit', '');
-- error: rate_allow: key has 0 bytes, expected 1 to 1024
SELECT rate_allow('bybit', printf('%1025d', 1));
-- error: rate_allow: key has 1025 bytes, expected 1 to 1024
SELECT rate_allow('bybit', 'a', 0);
-- error: rate_allow: cost must be at least 1, not 0
SELECT rate_allow('bybit', 'a', -1);
-- error: rate_allow: cost must be at least 1, not -1
SELECT rate_allow('bybit', 'a', 1.5);
-- error: rate_allow: cost must be an INTEGER of at least 1, not REAL
SELECT rate_allow('bybit', 'a', NULL);
-- error: rate_allow: cost must be an INTEGER of at least 1, not NULL
SELECT rate_allow('bybit', 'a', 21);
-- error: rate_allow: cost 21 is more than policy 'bybit' ever admits, 20 at once
SELECT rate_allow('bybit', 'a', 9223372036854775807);
-- error: rate_allow: cost 9223372036854775807 is more than policy 'bybit' ever admits, 20 at once
SELECT rate_allow('websocket', 'a');
-- error: rate_allow: policy 'websocket' is a lease; lease_acquire takes one
SELECT * FROM rate_take('bybit');
-- error: rate_take: expected at least 2 arguments
SELECT remaining FROM rate_peek('bybit', 'a');
-- expect: 20

-- test: policies are defined and changed
SELECT rate_policy('{"name": "p", "algorithm": "bucket", "quota": 10, "period": "1 day"}');
-- expect: policy 'p' defined: bucket, 10 in 86400 s, burst 10, in memory
SELECT rate_allow('p', 'half', 5), rate_allow('p', 'all', 10);
-- expect: 1|1
SELECT rate_policy('{"name": "p", "quota": 1000}');
-- expect: policy 'p' in force: bucket, 1000 in 86400 s, burst 1000, in memory
-- test: what was used stays used in proportion: no free burst, and no denial
SELECT (SELECT remaining BETWEEN 500 AND 501 FROM rate_peek('p', 'half')), (SELECT remaining FROM rate_peek('p', 'all')), (SELECT remaining FROM rate_peek('p', 'new'));
-- expect: 1|0|1000
SELECT rate_policy('{"name": "p", "burst": 20, "period": 100}');
-- expect: policy 'p' in force: bucket, 1000 in 100 s, burst 20, in memory
SELECT rate_policy('{"name": "p", "algorithm": "window"}');
-- expect: policy 'p' in force: window, 1000 in 100 s, in memory
SELECT rate_policy('{"name": "p", "algorithm": "lease"}');
-- error: rate_policy: policy 'p' is a window and cannot become a lease; give the new one another name
-- test: wrong definitions
SELECT rate_policy(NULL);
-- error: rate_policy: definition must be TEXT, not NULL
SELECT rate_policy('[]');
-- error: rate_policy: the definition must be a JSON object
SELECT rate_policy('{}');
-- error: rate_policy: the definition has no name
SELECT rate_policy('{"name": "new"}');
-- error: rate_policy: there is no policy 'new' yet; a new one needs algorithm, quota and period
SELECT rate_policy('{"name": "new", "algorithm": "bucket", "quota": 0, "period": 1}');
-- error: rate_policy: policy 'new': quota must be from 1 to 1000000000
SELECT rate_policy('{"name": "new", "algorithm": "bucket", "quota": 1, "period": "1 month"}');
-- error: rate_policy: period must not be in months or years, which differ in length; give days
SELECT rate_policy('{"name": "new", "algorithm": "bucket", "quota": 1, "period": "soon"}');
-- error: rate_policy: period must be a duration like "15 min", or whole seconds
SELECT rate_policy('{"name": "new", "algorithm": "gcra", "quota": 1, "period": 1}');
-- error: rate_policy: algorithm must be "bucket", "window" or "lease"
SELECT rate_policy('{"name": "new", "algorithm": "window", "quota": 1, "period": 1, "burst": 2}');
-- error: rate_policy: policy 'new': burst is for buckets
SELECT rate_policy('{"name": "new", "algorithm": "bucket", "quota": 1.5, "period": 1}');
-- error: rate_policy: quota must be a whole number
SELECT rate_policy('{"name": "new", "qouta": 1}');
-- error: rate_policy: unknown member 'qouta'; there are name, algorithm, quota, period, burst, penalty, penalty_max, enforce and store
SELECT rate_policy('{"name": "ümlaut"}');
-- error: rate_policy: name must be text of 1 to 64 printable ASCII characters
SELECT rate_policy('{"name": "new", "algorithm": "bucket", "quota": 999999937, "period": "366 days", "burst": 1000000000}');
-- error: rate_policy: policy 'new': burst times period is beyond exact arithmetic; give a rounder quota or a smaller burst
SELECT rate_policy('{"name": "new"');
-- error glob: rate_policy: invalid JSON at byte 14: *

-- test: shadow mode tells what it would do, and lets everyone in
SELECT rate_policy('{"name": "shadow", "algorithm": "window", "quota": 1, "period": "1 hour", "enforce": false}');
-- expect: policy 'shadow' defined: window, 1 in 3600 s, not enforced, in memory
SELECT rate_allow('shadow', 'a'), rate_allow('shadow', 'a');
-- expect: 1|1
SELECT allowed, remaining, retry_after_us > 0 FROM rate_take('shadow', 'a');
-- expect: 1|0|1
SELECT allowed, denied FROM rate_policies WHERE name = 'shadow';
-- expect: 1|2

-- test: refunds, resets, penalties
SELECT rate_allow('api.authenticated', 'r', 9999), rate_refund('api.authenticated', 'r', 100), rate_refund('api.authenticated', 's');
-- expect: 1|100|0
SELECT remaining FROM rate_peek('api.authenticated', 'r');
-- expect: 101
SELECT rate_reset('api.authenticated', 'r'), rate_reset('api.authenticated', 'r');
-- expect: 1|0
SELECT remaining FROM rate_peek('api.authenticated', 'r');
-- expect: 10000
SELECT rate_penalize('bybit', 'k', '1 hour'), rate_penalize('bybit', 'k', 1.5) > 3000000000;
-- expect: 3600000000|1
SELECT allowed, remaining, retry_after_us BETWEEN 3500000000 AND 3600000000, rate_allow('bybit', 'other') FROM rate_take('bybit', 'k');
-- expect: 0|0|1|1
SELECT rate_reset('bybit', 'k'), rate_allow('bybit', 'k');
-- expect: 1|1
SELECT rate_penalize('bybit', 'k', 'long');
-- error: rate_penalize: duration must be a duration like '30 s', or a number of seconds
SELECT rate_penalize('bybit', 'k', -1);
-- error: rate_penalize: duration must be from 0 to 366 days
SELECT rate_refund('bybit', 'k', -1);
-- error: rate_refund: cost must be at least 1, not -1
SELECT rate_refund('websocket', 'k');
-- error: rate_refund: policy 'websocket' is a lease; lease_release gives one back
-- test: failed logins: the sixth blocks for a quarter of an hour
SELECT sum(rate_allow('auth.failed', 'eve')) FROM (VALUES(1), (2), (3), (4), (5));
-- expect: 5
SELECT allowed, retry_after_us FROM rate_take('auth.failed', 'eve');
-- expect: 0|900000000

-- test: several at once or none
SELECT policy, key, allowed, remaining FROM rate_take_all('[{"policy": "hyperliquid", "key": "m", "cost": 60}, {"policy": "alpaca", "key": 7}]');
-- expect: hyperliquid|m|1|40
-- expect: alpaca|7|1|19
SELECT policy, allowed, remaining >= 40, retry_after_us > 0 FROM rate_take_all('[{"policy": "hyperliquid", "key": "m", "cost": 60}, {"policy": "alpaca", "key": 7}]');
-- expect: hyperliquid|0|1|1
-- expect: alpaca|0|0|0
SELECT remaining FROM rate_peek('alpaca', 7);
-- expect: 19
SELECT * FROM rate_take_all('[]');
-- error: rate_take_all: the request must be a JSON array of 1 to 64 items
SELECT * FROM rate_take_all('{}');
-- error: rate_take_all: the request must be a JSON array of 1 to 64 items
SELECT * FROM rate_take_all('[{"policy": "bybit", "key": "a"}, {"policy": "bybit", "key": "a"}]');
-- error: rate_take_all: item 2: an item before has the same policy and key; add their costs
SELECT * FROM rate_take_all('[{"policy": "bybit", "key": "a", "cots": 2}]');
-- error: rate_take_all: item 1: expected an object of policy, key and, if not 1, cost: {"policy": "bybit", "key": "main", "cost": 2}
SELECT * FROM rate_take_all('[{"policy": "bybit", "key": "a"}, {"policy": "nothing", "key": "a"}]');
-- error: rate_take_all: no policy 'nothing'; rate_policy defines one, rate_policies lists them
SELECT remaining FROM rate_peek('bybit', 'a');
-- expect: 20

-- test: leases, with numbers that grow
CREATE TEMP TABLE l AS SELECT * FROM lease_acquire('websocket', 'alice', '1 hour');
INSERT INTO l SELECT * FROM lease_acquire('websocket', 'alice');
SELECT count(*), min(length(lease_id)), max(fencing) - min(fencing), group_concat(remaining) FROM l;
-- expect: 2|32|1|9,8
SELECT max(expires_at_us) - min(expires_at_us) BETWEEN 3539000000 AND 3541000000 FROM l;
-- expect: 1
SELECT lease_renew('websocket', 'alice', (SELECT lease_id FROM l LIMIT 1), 60) > 0, lease_release('websocket', 'alice', (SELECT lease_id FROM l LIMIT 1)), lease_release('websocket', 'alice', (SELECT lease_id FROM l LIMIT 1));
-- expect: 1|1|0
SELECT remaining FROM rate_peek('websocket', 'alice');
-- expect: 9
SELECT lease_renew('websocket', 'alice', (SELECT lease_id FROM l LIMIT 1));
-- error: lease_renew: the lease has expired or was released; acquire a new one
SELECT lease_renew('websocket', 'alice', 'x');
-- error: lease_renew: lease_id must be the 32 hex digits that lease_acquire gave
SELECT lease_renew('websocket', 'alice', NULL), lease_release('websocket', 'alice', NULL);
-- expect: NULL|NULL
SELECT * FROM lease_acquire('bybit', 'a');
-- error: lease_acquire: policy 'bybit' is a bucket, not a lease; rate_take takes of it
SELECT * FROM lease_acquire('websocket', 'a', 0);
-- error: lease_acquire: ttl must be more than 0
-- test: as many as the quota
SELECT rate_policy('{"name": "one", "algorithm": "lease", "quota": 1, "period": "1 hour"}');
-- expect: policy 'one' defined: lease, 1 at a time, each for 3600 s, in memory
SELECT allowed, remaining FROM lease_acquire('one', 'x');
-- expect: 1|0
SELECT allowed, lease_id, fencing, expires_at_us, remaining FROM lease_acquire('one', 'x');
-- expect: 0|NULL|NULL|NULL|0
SELECT allowed, retry_after_us > 3500000000, ratelimit_policy FROM rate_peek('one', 'x');
-- expect: 0|1|"one";q=1;qu="concurrent-requests"

-- test: in a transaction that is rolled back, what was taken stays taken
BEGIN;
SELECT rate_allow('api.anonymous', 'transaction', 40);
-- expect: 1
ROLLBACK;
SELECT remaining FROM rate_peek('api.anonymous', 'transaction');
-- expect: 60
-- test: a view or a trigger of the schema cannot take
CREATE VIEW v AS SELECT rate_allow('bybit', 'v');
SELECT * FROM v;
-- error: unsafe use of rate_allow()
CREATE VIEW w AS SELECT * FROM rate_take('bybit', 'v');
SELECT * FROM w;
-- error: unsafe use of virtual table "rate_take"
CREATE TABLE t(x);
CREATE TRIGGER tr BEFORE INSERT ON t BEGIN SELECT rate_allow('bybit', 'v'); END;
INSERT INTO t VALUES(1);
-- error: unsafe use of rate_allow()
DROP TRIGGER tr;
-- test: a TEMP trigger of the application may, as a brake
CREATE TEMP TRIGGER brake BEFORE INSERT ON t WHEN NOT rate_allow('one per key', NEW.x) BEGIN SELECT RAISE(ABORT, 'slow down'); END;
SELECT rate_policy('{"name": "one per key", "algorithm": "window", "quota": 1, "period": "1 hour"}');
-- expect: policy 'one per key' defined: window, 1 in 3600 s, in memory
INSERT INTO t VALUES('a');
INSERT INTO t VALUES('b');
INSERT INTO t VALUES('a');
-- error: slow down
SELECT count(*) FROM t;
-- expect: 2
-- test: what makes a limit laxer does not run inside a write, so also in no CHECK
CREATE TEMP TABLE c(x CHECK(rate_refund('bybit', 'v') >= 0));
INSERT INTO c VALUES(1);
-- error glob: *rate_refund*
INSERT INTO three SELECT rate_reset('bybit', 'v');
-- error: rate_reset: it must not stand in a statement that writes; call it in a SELECT of its own
INSERT INTO three SELECT rate_policy('{"name": "bybit", "quota": 1000000}');
-- error: rate_policy: it must not stand in a statement that writes; call it in a SELECT of its own
INSERT INTO three SELECT rate_penalize('bybit', 'v', 60);
-- error: rate_penalize: it must not stand in a statement that writes; call it in a SELECT of its own
INSERT INTO three SELECT lease_release('websocket', 'a', '00');
-- error: lease_release: it must not stand in a statement that writes; call it in a SELECT of its own
-- test: a read-only connection limits as well
-- database: file:test.db?mode=ro
SELECT rate_allow('api.anonymous', 'transaction', 60), rate_allow('api.anonymous', 'transaction');
-- expect: 1|0

-- test: delays grow to the cap, with full jitter
SELECT min(d) >= 0, max(d) <= 4.0, count(DISTINCT d) > 90 FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) SELECT retry_delay(3) AS d FROM n);
-- expect: 1|1|1
SELECT max(retry_delay(i, '{"base": 1, "cap": "250 ms"}')) <= 0.25 FROM (SELECT 1 AS i UNION ALL SELECT 40 UNION ALL SELECT 1000000);
-- expect: 1
-- test: a seed makes them repeatable
SELECT retry_delay(3, '{"seed": 7}') = retry_delay(3, '{"seed": 7}'), retry_delay(3, '{"seed": 7}') = retry_delay(4, '{"seed": 7}'), retry_delay(2, '{"seed": 7}'), retry_delay(9, '{"seed": 7, "base": 0.5, "cap": "1 min"}');
-- glob: 1|0|*|*
-- test: a server's Retry-After is never undercut, and the cap does not touch it
SELECT retry_delay(1, '{"retry_after": "120"}'), retry_delay(1, '{"retry_after": 120, "cap": 5}'), retry_delay(1, '{"retry_after": null}') <= 1, retry_delay(1, '{"retry_after": "1.5"}');
-- expect: 120.0|120.0|1|1.5
-- test: dates in the three forms of RFC 9110
SELECT retry_delay(1, '{"retry_after": "Sun, 06 Nov 1994 08:49:37 GMT", "now": 784111757}'), retry_delay(1, '{"retry_after": "Sunday, 06-Nov-94 08:49:37 GMT", "now": 784111757}'), retry_delay(1, '{"retry_after": "Sun Nov  6 08:49:37 1994", "now": 784111757}'), retry_delay(1, '{"retry_after": "Sun Nov  6 08:49:37 1994", "now": 784111778}') <= 1;
-- expect: 20.0|20.0|20.0|1
SELECT retry_delay(1, '{"retry_after": "soon"}');
-- error: retry_delay: retry_after must be seconds or an HTTP date, as the field Retry-After has them
SELECT retry_delay(1, '{"retry_after": "-1"}');
-- error: retry_delay: retry_after must be seconds or an HTTP date, as the field Retry-After has them
SELECT retry_delay(1, '{"retry_after": "Sun, 31 Feb 1994 08:49:37 GMT"}');
-- error: retry_delay: retry_after must be seconds or an HTTP date, as the field Retry-After has them
SELECT retry_delay(0);
-- error: retry_delay: attempt must be an INTEGER from 1 to 1000000; 1 is the first that failed
SELECT retry_delay(NULL);
-- error: retry_delay: attempt must be an INTEGER from 1 to 1000000; 1 is the first that failed
SELECT retry_delay(1, '{"bass": 1}');
-- error: retry_delay: options must be a JSON object of base, cap, retry_after, now and seed
SELECT retry_delay(1, '{"cap": "2 years"}');
-- error: retry_delay: cap must be a duration like "500 ms" or a number of seconds, at most 366 days
