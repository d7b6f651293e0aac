# SPDX-License-Identifier: MIT
"""Writing archives against the zstd command on the same lines, in this one run.

    python3 bench/archive_write.py [rows]      default 1000000; 10000000 needs 8 GB of disk

The file of a log of order events (order_events.py), in all and without manifest, note and seek table,
against `zstd -19` of the same lines as one file; audit_archive's wall time, which verifies what it has
written and waits for the disk, against `zstd -19 -T2`, with as many threads (THREADS=n for both); and the
memory that the archiving process takes at its peak, with the database's page cache and the interpreter in
it. A log of more than 1048576 lines is several segments, whose sizes are added up.
"""
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import time

import order_events
import table

THREADS = int(os.environ.get("THREADS", "2"))


def connect(path):
    db = sqlite3.connect(path, isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(table.EXTENSION)
    return db


def make_log(path, count):
    db = connect(path)
    db.execute("PRAGMA journal_mode=WAL").fetchall()
    db.execute("PRAGMA synchronous=OFF")
    db.execute(f"CREATE VIRTUAL TABLE t USING audit_log({order_events.COLUMNS})")
    db.execute("BEGIN")
    db.executemany(order_events.INSERT, order_events.events(count))
    db.execute("COMMIT")
    db.close()


def archive(path, folder):
    """In a process of its own: wall seconds, and the peak of its memory in MiB."""
    result = subprocess.run([sys.executable, __file__, "archive", path, folder], check=True,
                            stdout=subprocess.PIPE, encoding="ascii",
                            env={**os.environ, "RUSTYBT_THREADS": str(THREADS)})
    wall, peak = result.stdout.split()
    return float(wall), int(peak) / 1024


def archive_here(path, folder):
    db = connect(path)
    start = time.perf_counter()
    db.execute("SELECT audit_archive('t', ?, 'now')", (folder,)).fetchall()
    took = time.perf_counter() - start
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    print(took, peak)


def data_bytes(db, path):
    return db.execute("SELECT value FROM archive_info(?) WHERE key = 'data_bytes'",
                      (str(path),)).fetchone()[0]


def zstd(lines, output, *options):
    start = time.perf_counter()
    subprocess.run(["zstd", "-q", "-f", *options, lines, "-o", output], check=True)
    return time.perf_counter() - start, os.path.getsize(output)


def measure(folder, count):
    log, cold, lines = (os.path.join(folder, name) for name in ("t.db", "cold", "lines"))
    make_log(log, count)
    wall, peak = archive(log, cold)
    files = sorted(pathlib.Path(cold).glob("*.zst"))
    with open(lines, "wb") as output:
        for path in files:
            subprocess.run(["zstd", "-dc", str(path)], stdout=output, check=True)
    zstd_wall, _ = zstd(lines, os.path.join(folder, "lines.zst"), "-19", f"-T{THREADS}")
    _, size = zstd(lines, os.path.join(folder, "lines.zst"), "-19", "--single-thread")
    db = connect(":memory:")
    ours = sum(path.stat().st_size for path in files)
    frames = sum(data_bytes(db, path) for path in files)
    raw = os.path.getsize(lines)
    table.header(f"{count} entries, {raw / 1e6:.1f} MB of lines, {len(files)} segments; MB, seconds")
    table.row("size", "zstd -19, one file", ours / 1e6, size / 1e6)
    table.row("size of the frames alone", "zstd -19, one file", frames / 1e6, size / 1e6)
    table.row("wall time", f"zstd -19 -T{THREADS}", wall, zstd_wall)
    table.note("memory at its peak", f"{peak:.0f} MiB with {THREADS} threads")


def main():
    if sys.argv[1:2] == ["archive"]:
        archive_here(sys.argv[2], sys.argv[3])
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    os.environ["RUSTYBT_ENCRYPTION_KEY"] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    with tempfile.TemporaryDirectory(prefix="rustybt-bench-") as folder:
        measure(folder, count)


if __name__ == "__main__":
    main()
