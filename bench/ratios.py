# SPDX-License-Identifier: MIT
"""make bench: ratios of the audit log, the credentials and the limits against named baselines, as one
table. Each pair is measured in this one run, the best of several.

    python3 bench/ratios.py [rows]        default 200000, for the audit log

Needs build/rustybt.so and build/bench (BENCH_BUILD and RUSTYBT_SO say where else). INSTRUCTIONS=1 also
counts processor instructions, with valgrind: those do not depend on what else the machine does (but the
kernel's are not in it, and a long wipe, which the processor does in one, counts by the byte).
"""
import base64
import os
import signal
import sqlite3
import sys
import tempfile

import archive
import audit_log
import credentials
import limits
import table


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200000
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that what was started is ended
        signal.signal(number, lambda *_: sys.exit("stopped"))
    key = base64.urlsafe_b64encode(os.urandom(32)).decode()
    os.environ["RUSTYBT_ENCRYPTION_KEY"] = key
    table.header(f"SQLite {sqlite3.sqlite_version}, logs of {count} rows; microseconds an operation")
    with tempfile.TemporaryDirectory(prefix="rustybt-bench-") as folder:
        audit_log.measure(folder, count)
        archive.measure(folder, count)
    credentials.measure(key)
    limits.measure()


if __name__ == "__main__":
    main()
