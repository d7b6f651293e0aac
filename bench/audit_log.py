# SPDX-License-Identifier: MIT
"""The audit log against plain tables with the same columns and indexes: appends, commits, reads."""
import os
import sqlite3
import time

import table

COLUMNS = """strategy_id TEXT NOT NULL, broker_connection_id INTEGER, order_id TEXT NOT NULL,
    broker_order_id TEXT, asset_sid INTEGER NOT NULL,
    event_type TEXT NOT NULL CHECK(event_type IN ('submitted', 'filled', 'cancelled')),
    event_timestamp INTEGER NOT NULL"""
NAMES = ("strategy_id, broker_connection_id, order_id, broker_order_id, asset_sid, event_type, "
         "event_timestamp, event_data")
INSERT = f"INSERT INTO t({NAMES}) VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
QUERY = """SELECT event_timestamp, event_type, json_extract(event_data, '$.fill_price')
    FROM t WHERE asset_sid = 7 AND event_timestamp BETWEEN 1672531200 AND 1672581200
    AND event_type = 'filled' ORDER BY event_timestamp"""


def events(count):
    kinds = ("submitted", "filled", "cancelled")
    for i in range(count):
        yield (f"m{i % 7}", i % 3, f"order-{i // 3:09d}", f"b{i // 3:08d}", i % 50, kinds[i % 3],
               1672531200 + i,
               f'{{"fill_price":"{100 + i % 50}.{i % 100:02d}","filled_amount":"{i % 1000}",'
               f'"venue":"XNAS","liquidity":"maker"}}')


def open_database(path, log):
    db = sqlite3.connect(path, isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(table.EXTENSION)
    if log:
        db.execute(f"CREATE VIRTUAL TABLE t USING audit_log({COLUMNS}, event_data JSON NOT NULL, "
                   "INDEX(order_id), INDEX(event_timestamp), INDEX(strategy_id))")
    else:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, recorded_at INTEGER NOT NULL DEFAULT 0, "
                   f"{COLUMNS}, event_data TEXT NOT NULL)")
        for column in ("order_id", "event_timestamp", "strategy_id"):
            db.execute(f"CREATE INDEX by_{column} ON t({column})")
    return db


def append(folder, rows, log, round_number):
    db = open_database(os.path.join(folder, f"{log}-{round_number}.db"), log)
    start = time.process_time()
    db.execute("BEGIN")
    db.executemany(INSERT, rows)
    db.execute("COMMIT")
    return time.process_time() - start, db


def commits(folder, rows, log):
    """Durable single commits: wall time, since fsync is what they wait for."""
    db = open_database(os.path.join(folder, f"commits-{log}.db"), log)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    start = time.perf_counter()
    for row in rows[:500]:
        db.execute(INSERT, row)
    return time.perf_counter() - start


def report(name, baseline, ours, theirs, count):
    """Seconds for count operations."""
    table.row(name, baseline, ours / count * 1e6, theirs / count * 1e6)


def measure(folder, count):
    rows = list(events(count))
    logs, plains = [], []
    for round_number in range(3):
        logs.append(append(folder, rows, True, round_number))
        plains.append(append(folder, rows, False, round_number))
    report("append, one transaction", "plain table, three indexes", min(t for t, _ in logs),
           min(t for t, _ in plains), count)
    log, plain = logs[-1][1], plains[-1][1]
    report("durable single commit", "plain table, WAL, synchronous=FULL",
           commits(folder, rows, True), commits(folder, rows, False), 500)
    for name, sql, arguments, repeat in (
            ("the specification's query", QUERY, (), 1),
            ("point lookup by id", "SELECT * FROM t WHERE id = ?", (777,), 2000),
            ("scan of event_data", "SELECT sum(length(event_data)) FROM t", (), 1)):
        ours = table.best_time(lambda: log.execute(sql, arguments).fetchall(), repeat)
        theirs = table.best_time(lambda: plain.execute(sql, arguments).fetchall(), repeat)
        report(name, "the same SQL on the plain table", ours, theirs, repeat)
