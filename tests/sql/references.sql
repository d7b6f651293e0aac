-- SPDX-License-Identifier: MIT
-- REFERENCES on a log's columns: deferred, so kept at COMMIT, and only with PRAGMA foreign_keys=ON.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE TABLE equities(sid INTEGER PRIMARY KEY, symbol TEXT UNIQUE);
INSERT INTO equities VALUES(24, 'AAPL');
CREATE VIRTUAL TABLE log USING audit_log(sid INTEGER REFERENCES equities(sid), symbol TEXT REFERENCES equities(symbol) DEFERRABLE INITIALLY DEFERRED,
  other INTEGER REFERENCES equities);

-- without foreign_keys nothing is asked
INSERT INTO log(sid) VALUES(1);
PRAGMA foreign_keys = ON;
-- an entry that refers to rows
INSERT INTO log(sid, symbol, other) VALUES(24, 'AAPL', 24);
-- test: one that refers to none fails at the end of its statement
INSERT INTO log(sid) VALUES(2);
-- error: FOREIGN KEY constraint failed
INSERT INTO log(symbol) VALUES('MSFT');
-- error: FOREIGN KEY constraint failed
INSERT INTO log(other) VALUES(5);
-- error: FOREIGN KEY constraint failed
-- within a transaction the row may come later
BEGIN;
INSERT INTO log(sid) VALUES(8554);
INSERT INTO equities VALUES(8554, 'SPY');
COMMIT;
-- test: or not at all, and then COMMIT fails and can be repeated once the row is there
BEGIN;
INSERT INTO log(sid) VALUES(700);
COMMIT;
-- error: FOREIGN KEY constraint failed
INSERT INTO log(sid) VALUES(24);
INSERT INTO equities VALUES(700, 'QQQ');
COMMIT;
SELECT id, sid FROM log;
-- expect: 1|1
-- expect: 2|24
-- expect: 3|8554
-- expect: 4|700
-- expect: 5|24
-- test: a row that entries refer to stays
DELETE FROM equities WHERE sid = 24;
-- error: FOREIGN KEY constraint failed
-- test: the log verifies
SELECT audit_verify('log') GLOB 'log: 5 entries*';
-- expect: 1
-- test: the storage says DEFERRABLE INITIALLY DEFERRED in any case
SELECT sql FROM sqlite_schema WHERE name = 'log_rows';
-- expect: CREATE TABLE "log_rows"(id INTEGER PRIMARY KEY, recorded_at INTEGER NOT NULL, "sid" INTEGER REFERENCES "equities"("sid") DEFERRABLE INITIALLY DEFERRED, "symbol" TEXT REFERENCES "equities"("symbol") DEFERRABLE INITIALLY DEFERRED, "other" INTEGER REFERENCES "equities" DEFERRABLE INITIALLY DEFERRED)
