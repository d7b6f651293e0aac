# SPDX-License-Identifier: MIT
"""How the audit log's costs grow with its size, as one table.

    python3 bench/growth.py [rows …]      default 10000 1000000

Each log grows out of the one before it. Of each size: microseconds of processor time for one of the last
10000 appends (one transaction), a durable commit (wall time), the specification's query, a point lookup,
count(*), and for audit_verify the microseconds an entry; beside each, in brackets, what the plain table
with the same indexes takes. Needs 0.6 GB of disk for a million rows.
"""
import os
import sqlite3
import sys
import tempfile
import time

import audit_log
import table

BATCH = 10000
HEADINGS = ("append", "commit", "query", "lookup", "count(*)", "verify, an entry")


def grow(db, first, size):
    """Appends rows first … size - 1; microseconds of processor time for each of the last batch."""
    took = 0
    for start in range(first, size, BATCH):
        rows = list(audit_log.events(min(BATCH, size - start), start))
        begin = time.process_time()
        db.execute("BEGIN")
        db.executemany(audit_log.INSERT, rows)
        db.execute("COMMIT")
        took = (time.process_time() - begin) / len(rows) * 1e6
    return took


def commit_time(db, size, count=100):
    """Microseconds of wall time for a commit of one row, which is then part of the log: count rows."""
    rows = list(audit_log.events(count, size))
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # not what the appends before have left
    start = time.perf_counter()
    for row in rows:
        db.execute(audit_log.INSERT, row)
    took = (time.perf_counter() - start) / count * 1e6
    db.execute("PRAGMA synchronous=OFF")
    return took


def read_times(db, size):
    """Microseconds of processor time for the query, a point lookup and count(*)."""
    for sql, arguments, repeat in ((audit_log.QUERY, (), 1),
                                   ("SELECT * FROM t WHERE id = ?", (size // 2,), 1000),
                                   ("SELECT count(*) FROM t", (), 10)):
        yield table.best_time(lambda: db.execute(sql, arguments).fetchall(), repeat, 3) / repeat * 1e6


def measure(log, plain, first, size):
    pairs = [[grow(db, first, size - 100), commit_time(db, size - 100), *read_times(db, size)]
             for db in (log, plain)]
    verified = table.best_time(lambda: log.execute("SELECT audit_verify('t')").fetchall(), 1, 1)
    for ours, theirs in zip(*pairs):
        yield f"{ours:.1f} ({theirs:.1f})"
    yield f"{verified / size * 1e6:.2f}"


def main():
    sizes = sorted({int(size) for size in sys.argv[1:]} or {10000, 1000000})
    if sizes[0] < 1000:
        sys.exit("growth.py: a log of fewer than 1000 rows shows nothing")
    os.environ.setdefault("RUSTYBT_ENCRYPTION_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    print(f"SQLite {sqlite3.sqlite_version}; microseconds, in brackets the plain table's")
    print(f"{'rows':>9}" + "".join(f"{heading:>22}" for heading in HEADINGS), flush=True)
    with tempfile.TemporaryDirectory(prefix="rustybt-bench-") as folder:
        log, plain = (audit_log.open_database(audit_log.database_path(folder, kind, 0), kind)
                      for kind in (True, False))
        for db in (log, plain):
            db.execute("PRAGMA journal_mode=WAL").fetchall()
            db.execute("PRAGMA synchronous=OFF")
        first = 0
        for size in sizes:
            cells = measure(log, plain, first, size)
            print(f"{size:>9}" + "".join(f"{cell:>22}" for cell in cells), flush=True)
            first = size


if __name__ == "__main__":
    main()
