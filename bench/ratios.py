# SPDX-License-Identifier: MIT
"""Ratios against named baselines, each pair measured in this one run (process time, best of several).

    python3 bench/ratios.py [rows]        default 200000
"""
import base64
import os
import pathlib
import sqlite3
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXTENSION = os.environ.get("RUSTYBT_SO", str(ROOT / "build" / "rustybt.so"))
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
    db.load_extension(EXTENSION)
    if log:
        db.execute(f"CREATE VIRTUAL TABLE t USING audit_log({COLUMNS}, event_data JSON NOT NULL, "
                   "INDEX(order_id), INDEX(event_timestamp), INDEX(strategy_id))")
    else:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, recorded_at INTEGER NOT NULL DEFAULT 0, "
                   f"{COLUMNS}, event_data TEXT NOT NULL)")
        for column in ("order_id", "event_timestamp", "strategy_id"):
            db.execute(f"CREATE INDEX by_{column} ON t({column})")
    return db


def measure(work, repeat=1, best_of=5):
    times = []
    for _ in range(best_of):
        start = time.process_time()
        for _ in range(repeat):
            work()
        times.append(time.process_time() - start)
    return min(times)


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
    print(f"{name:<34} {ours / count * 1e6:>10.2f} {theirs / count * 1e6:>10.2f} "
          f"{ours / theirs:>7.2f}   {baseline}")


def audit_log(folder, count):
    rows = list(events(count))
    logs, plains = [], []
    for round_number in range(3):
        logs.append(append(folder, rows, True, round_number))
        plains.append(append(folder, rows, False, round_number))
    report("append, one transaction", "plain table, three indexes", min(t for t, _ in logs),
           min(t for t, _ in plains), count)
    log, plain = logs[-1][1], plains[-1][1]
    pairs = [(commits(folder, rows, True), commits(folder, rows, False)) for _ in range(1)]
    report("durable single commit", "plain table, WAL, synchronous=FULL", pairs[0][0], pairs[0][1],
           500)
    for name, sql, arguments, repeat in (
            ("the specification's query", QUERY, (), 1),
            ("point lookup by id", "SELECT * FROM t WHERE id = ?", (777,), 2000),
            ("scan of event_data", "SELECT sum(length(event_data)) FROM t", (), 1)):
        ours = measure(lambda: log.execute(sql, arguments).fetchall(), repeat)
        theirs = measure(lambda: plain.execute(sql, arguments).fetchall(), repeat)
        report(name, "the same SQL on the plain table", ours, theirs, repeat)


def credentials():
    try:
        from cryptography.fernet import Fernet
    except ImportError:
        print("credentials: skipped, python3-cryptography is not installed")
        return
    db = sqlite3.connect(":memory:")
    db.enable_load_extension(True)
    db.load_extension(EXTENSION)
    fernet = Fernet(os.environ["RUSTYBT_ENCRYPTION_KEY"])
    db.create_function("py_encrypt", 1, lambda text: fernet.encrypt(text.encode()))
    db.create_function("py_decrypt", 1, lambda token: fernet.decrypt(token).decode())
    count = 5000
    db.execute("CREATE TABLE v AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
               f"LIMIT {count}) SELECT printf('%064d', i) AS x FROM n")
    db.execute("CREATE TABLE c AS SELECT encrypt(x, 'ctx') AS ours, py_encrypt(x) AS theirs FROM v")
    for name, ours, theirs in (("encrypt, 64 bytes", "encrypt(x, 'ctx')", "py_encrypt(x)"),
                               ("decrypt, 64 bytes", "decrypt(ours, 'ctx')", "py_decrypt(theirs)")):
        table = "v" if "encrypt(x" in ours else "c"
        report(name, "Python's Fernet as a SQL function",
               measure(lambda: db.execute(f"SELECT count({ours}) FROM {table}").fetchall()),
               measure(lambda: db.execute(f"SELECT count({theirs}) FROM {table}").fetchall(), 1, 2),
               count)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200000
    os.environ["RUSTYBT_ENCRYPTION_KEY"] = base64.urlsafe_b64encode(os.urandom(32)).decode()
    print(f"SQLite {sqlite3.sqlite_version}, {count} rows; microseconds an operation")
    print(f"{'':<34} {'ours':>10} {'baseline':>10} {'ratio':>7}")
    with tempfile.TemporaryDirectory(prefix="rustybt-bench-") as folder:
        audit_log(folder, count)
        credentials()


if __name__ == "__main__":
    main()
