-- SPDX-License-Identifier: MIT
--
-- Part of the demo: what a broker reports, as a table. A row put into feed changes the orders, and
-- the orders log themselves (sql/schema.sql).
--
-- kind is submitted, partially_filled, filled, cancelled or rejected; time in Unix seconds; amount
-- and filled in shares; prices in dollars.

CREATE TEMP TABLE feed(
    time INTEGER NOT NULL, order_number INTEGER NOT NULL, step INTEGER NOT NULL, kind TEXT NOT NULL,
    sid INTEGER, strategy TEXT, side TEXT, amount INTEGER, limit_price TEXT,
    filled INTEGER, price TEXT
);

CREATE TEMP TRIGGER feed_submitted AFTER INSERT ON feed WHEN NEW.kind = 'submitted'
BEGIN
    INSERT INTO orders(id, strategy_id, broker_connection_id, asset_sid, side, order_type, amount,
        limit_price, updated_at)
    VALUES(printf('ord-%06d', NEW.order_number), NEW.strategy, 1, NEW.sid, NEW.side,
        iif(NEW.limit_price IS NULL, 'market', 'limit'), NEW.amount, NEW.limit_price, NEW.time);
END;

CREATE TEMP TRIGGER feed_reported AFTER INSERT ON feed WHEN NEW.kind <> 'submitted'
BEGIN
    UPDATE orders SET status = NEW.kind, updated_at = NEW.time,
        broker_order_id = printf('A%08X', NEW.order_number * 7919),
        filled_amount = ifnull(NEW.filled, filled_amount),
        fill_price = ifnull(NEW.price, fill_price)
    WHERE id = printf('ord-%06d', NEW.order_number);
END;
