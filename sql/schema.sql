-- SPDX-License-Identifier: MIT
--
-- The tables of a trading platform on rustybt: encrypted broker credentials, instruments, orders,
-- and the append-only log that the orders write by themselves.
--
--     sqlite3 -bail -cmd '.load rustybt' trading.db < sql/schema.sql
--
-- Plain SQL, so any program can run it. Running it again changes nothing. The log is sealed: making
-- it, and every order, needs RUSTYBT_ENCRYPTION_KEY or RUSTYBT_ENCRYPTION_KEY_FILE.
--
-- Before production, choose two things, for they are part of the log's identity and cannot be
-- changed later: add  origin='your-domain.example/orders'  to the log's options, a name that your
-- signatures carry (without it the log gives itself a random one), and check archive_after and
-- retain.
--
-- Times are Unix seconds, UTC. Amounts and prices are decimals as TEXT, so that 0.1 stays 0.1.

BEGIN;

-- One row a broker and kind of access. The secrets are tokens of encrypt(), each tied to its place:
--
--     api_key_encrypted       encrypt(key,    'binance/live/api_key')
--     api_secret_encrypted    encrypt(secret, 'binance/live/api_secret')
--     additional_credentials  encrypt(json,   'binance/live/additional_credentials')
--
-- so a token copied into another row or column does not open there. Fernet tokens that Python's
-- cryptography wrote are as welcome; they know no place. Anything else is refused: a secret that
-- somebody forgot to encrypt never reaches the file.
CREATE TABLE IF NOT EXISTS broker_connections(
    id INTEGER PRIMARY KEY,
    -- No slash in either: they make up the context.
    broker_name TEXT NOT NULL
        CHECK(broker_name <> '' AND broker_name NOT GLOB '*[^a-z0-9_-]*'),
    connection_type TEXT NOT NULL DEFAULT 'live'
        CHECK(connection_type <> '' AND connection_type NOT GLOB '*[^a-z0-9_-]*'),
    api_key_encrypted BLOB NOT NULL
        CONSTRAINT "api_key_encrypted must be a token of encrypt()"
        CHECK((substr(api_key_encrypted, 1, 4) = x'52425401' AND length(api_key_encrypted) > 92)
            OR CAST(api_key_encrypted AS TEXT) GLOB 'gAAAAA*'),
    api_secret_encrypted BLOB
        CONSTRAINT "api_secret_encrypted must be a token of encrypt()"
        CHECK((substr(api_secret_encrypted, 1, 4) = x'52425401'
                AND length(api_secret_encrypted) > 92)
            OR CAST(api_secret_encrypted AS TEXT) GLOB 'gAAAAA*'),
    additional_credentials TEXT
        CONSTRAINT "additional_credentials must be a token of encrypt()"
        CHECK((substr(additional_credentials, 1, 4) = x'52425401'
                AND length(additional_credentials) > 92)
            OR CAST(additional_credentials AS TEXT) GLOB 'gAAAAA*'),
    base_url TEXT CHECK(base_url GLOB 'https://?*' OR base_url GLOB 'wss://?*'),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK(is_active IN (0, 1)),
    created_at INTEGER NOT NULL DEFAULT (unixepoch()) CHECK(typeof(created_at) = 'integer'),
    updated_at INTEGER NOT NULL DEFAULT (unixepoch()) CHECK(typeof(updated_at) = 'integer'),
    last_connected_at INTEGER CHECK(typeof(last_connected_at) IN ('integer', 'null')),
    UNIQUE(broker_name, connection_type)
);

-- Renaming a connection would leave tokens behind that no longer open, unless they are made anew in
-- the same statement.
CREATE TRIGGER IF NOT EXISTS broker_connections_place
BEFORE UPDATE OF broker_name, connection_type ON broker_connections
WHEN (NEW.broker_name IS NOT OLD.broker_name OR NEW.connection_type IS NOT OLD.connection_type)
    AND ((substr(NEW.api_key_encrypted, 1, 4) = x'52425401'
            AND NEW.api_key_encrypted IS OLD.api_key_encrypted)
        OR (substr(NEW.api_secret_encrypted, 1, 4) = x'52425401'
            AND NEW.api_secret_encrypted IS OLD.api_secret_encrypted)
        OR (substr(NEW.additional_credentials, 1, 4) = x'52425401'
            AND NEW.additional_credentials IS OLD.additional_credentials))
BEGIN
    SELECT RAISE(ABORT,
        'broker_connections: secrets are tied to the name; encrypt them anew in the same UPDATE');
END;

-- The comparison with the clock keeps it from calling itself under recursive_triggers.
CREATE TRIGGER IF NOT EXISTS broker_connections_updated_at
AFTER UPDATE OF api_key_encrypted, api_secret_encrypted, additional_credentials, base_url,
    is_active, broker_name, connection_type ON broker_connections
WHEN NEW.updated_at IS OLD.updated_at AND NEW.updated_at < unixepoch()
BEGIN
    UPDATE broker_connections SET updated_at = unixepoch() WHERE id = NEW.id;
END;

CREATE TABLE IF NOT EXISTS equities(
    sid INTEGER PRIMARY KEY,
    symbol TEXT NOT NULL UNIQUE
        CHECK(length(symbol) BETWEEN 1 AND 20 AND symbol NOT GLOB '*[^A-Z0-9._/:^=-]*'),
    name TEXT,
    exchange TEXT
);

-- Every order event, for ever in order: no UPDATE, no DELETE. Entries older than archive_after go
-- to the folder cold beside the database (sql/archive.sql) and stay readable through this table.
-- Retention counts from recorded_at, the log's own clock, never from event_timestamp, which callers
-- give.
CREATE VIRTUAL TABLE IF NOT EXISTS order_audit_log USING audit_log(
    strategy_id TEXT NOT NULL,
    broker_connection_id INTEGER,
    order_id TEXT NOT NULL,
    broker_order_id TEXT,
    asset_sid INTEGER NOT NULL,
    event_type TEXT NOT NULL CHECK(event_type IN ('submitted', 'accepted', 'partially_filled',
        'filled', 'cancelled', 'rejected', 'expired', 'amended', 'deleted')),
    event_timestamp INTEGER NOT NULL,
    event_data JSON NOT NULL,
    INDEX(order_id), INDEX(event_timestamp), INDEX(strategy_id), INDEX(asset_sid, event_timestamp),
    archive='cold', archive_after='1 year', retain='7 years'
);

-- What each order is now; how it came to be so is in the log. STRICT: the types are kept.
CREATE TABLE IF NOT EXISTS orders(
    id TEXT PRIMARY KEY NOT NULL CHECK(id <> ''),
    strategy_id TEXT NOT NULL CHECK(strategy_id <> ''),
    broker_connection_id INTEGER REFERENCES broker_connections(id),
    broker_order_id TEXT,
    asset_sid INTEGER NOT NULL REFERENCES equities(sid),
    side TEXT NOT NULL CHECK(side IN ('buy', 'sell')),
    order_type TEXT NOT NULL CHECK(order_type IN ('market', 'limit', 'stop')),
    amount TEXT NOT NULL CHECK(amount NOT GLOB '*[^0-9.]*' AND amount GLOB '[0-9]*'
        AND amount NOT GLOB '*.*.*' AND CAST(amount AS REAL) > 0),
    limit_price TEXT CHECK(limit_price NOT GLOB '*[^0-9.]*' AND limit_price GLOB '[0-9]*'
        AND limit_price NOT GLOB '*.*.*' AND CAST(limit_price AS REAL) > 0),
    stop_price TEXT CHECK(stop_price NOT GLOB '*[^0-9.]*' AND stop_price GLOB '[0-9]*'
        AND stop_price NOT GLOB '*.*.*' AND CAST(stop_price AS REAL) > 0),
    status TEXT NOT NULL DEFAULT 'submitted' CHECK(status IN ('submitted', 'accepted',
        'partially_filled', 'filled', 'cancelled', 'rejected', 'expired')),
    filled_amount TEXT NOT NULL DEFAULT '0' CHECK(filled_amount NOT GLOB '*[^0-9.]*'
        AND filled_amount GLOB '[0-9]*' AND filled_amount NOT GLOB '*.*.*'),
    fill_price TEXT CHECK(fill_price NOT GLOB '*[^0-9.]*' AND fill_price GLOB '[0-9]*'
        AND fill_price NOT GLOB '*.*.*' AND CAST(fill_price AS REAL) > 0),
    updated_at INTEGER NOT NULL DEFAULT (unixepoch()),
    CONSTRAINT "a limit order needs limit_price"
        CHECK(order_type <> 'limit' OR limit_price IS NOT NULL),
    CONSTRAINT "a stop order needs stop_price"
        CHECK(order_type <> 'stop' OR stop_price IS NOT NULL),
    CONSTRAINT "what is filled needs fill_price"
        CHECK(status NOT IN ('partially_filled', 'filled') OR fill_price IS NOT NULL)
) STRICT;

CREATE INDEX IF NOT EXISTS orders_asset_sid ON orders(asset_sid);
CREATE INDEX IF NOT EXISTS orders_broker_connection_id ON orders(broker_connection_id);

-- The log is written in the order's own transaction: both happen or neither. The triggers also work
-- under PRAGMA trusted_schema=OFF, where SQLite 3.40 does not allow json_object(); printf() does as
-- well, for the CHECKs above leave no character in these columns that JSON would have to escape.

CREATE TRIGGER IF NOT EXISTS orders_keep_their_id
BEFORE UPDATE OF id ON orders WHEN NEW.id IS NOT OLD.id
BEGIN
    SELECT RAISE(ABORT, 'orders: an order keeps its id');
END;

CREATE TRIGGER IF NOT EXISTS orders_log_insert AFTER INSERT ON orders
BEGIN
    INSERT INTO order_audit_log(strategy_id, broker_connection_id, order_id, broker_order_id,
        asset_sid, event_type, event_timestamp, event_data)
    VALUES(NEW.strategy_id, NEW.broker_connection_id, NEW.id, NEW.broker_order_id, NEW.asset_sid,
        NEW.status, NEW.updated_at,
        printf('{"side":"%s","order_type":"%s","amount":"%s","limit_price":%s,"stop_price":%s,'
            || '"status":"%s","filled_amount":"%s","fill_price":%s}',
            NEW.side, NEW.order_type, NEW.amount, ifnull('"' || NEW.limit_price || '"', 'null'),
            ifnull('"' || NEW.stop_price || '"', 'null'), NEW.status, NEW.filled_amount,
            ifnull('"' || NEW.fill_price || '"', 'null')));
END;

-- A change of status or fill is named by the new status, any other change of what was ordered is an
-- amendment.
CREATE TRIGGER IF NOT EXISTS orders_log_update AFTER UPDATE ON orders
BEGIN
    INSERT INTO order_audit_log(strategy_id, broker_connection_id, order_id, broker_order_id,
        asset_sid, event_type, event_timestamp, event_data)
    VALUES(NEW.strategy_id, NEW.broker_connection_id, NEW.id, NEW.broker_order_id, NEW.asset_sid,
        CASE WHEN NEW.status IS OLD.status AND NEW.filled_amount IS OLD.filled_amount
            AND NEW.fill_price IS OLD.fill_price THEN 'amended' ELSE NEW.status END,
        NEW.updated_at,
        printf('{"side":"%s","order_type":"%s","amount":"%s","limit_price":%s,"stop_price":%s,'
            || '"status":"%s","filled_amount":"%s","fill_price":%s}',
            NEW.side, NEW.order_type, NEW.amount, ifnull('"' || NEW.limit_price || '"', 'null'),
            ifnull('"' || NEW.stop_price || '"', 'null'), NEW.status, NEW.filled_amount,
            ifnull('"' || NEW.fill_price || '"', 'null')));
END;

-- At the time of the deletion, which the row does not know.
CREATE TRIGGER IF NOT EXISTS orders_log_delete AFTER DELETE ON orders
BEGIN
    INSERT INTO order_audit_log(strategy_id, broker_connection_id, order_id, broker_order_id,
        asset_sid, event_type, event_timestamp, event_data)
    VALUES(OLD.strategy_id, OLD.broker_connection_id, OLD.id, OLD.broker_order_id, OLD.asset_sid,
        'deleted', unixepoch(),
        printf('{"side":"%s","order_type":"%s","amount":"%s","limit_price":%s,"stop_price":%s,'
            || '"status":"%s","filled_amount":"%s","fill_price":%s}',
            OLD.side, OLD.order_type, OLD.amount, ifnull('"' || OLD.limit_price || '"', 'null'),
            ifnull('"' || OLD.stop_price || '"', 'null'), OLD.status, OLD.filled_amount,
            ifnull('"' || OLD.fill_price || '"', 'null')));
END;

COMMIT;
