# SPDX-License-Identifier: MIT
"""Decisions of a rate limit, against Redis with a GCRA script over one connection to its Unix socket
(limits_bench.c): wall time, since Redis' part is in another process.

    python3 bench/limits.py        alone; make bench runs it with the others
"""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import table

PROGRAM = table.BUILD / "bench" / "limits_bench"


def start_redis(folder):
    """The server, and its socket; None where Redis is not installed."""
    if not shutil.which("redis-server"):
        return None, None
    path = pathlib.Path(folder, "redis.sock")
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "",
                               "--appendonly", "no", "--dir", folder], stdout=subprocess.DEVNULL)
    for _ in range(300):
        if path.exists():
            return server, path
        time.sleep(0.1)
    server.kill()
    raise SystemExit("Redis does not start")


def measure():
    with tempfile.TemporaryDirectory(prefix="rustybt-bench-") as folder:
        server, path = start_redis(folder)
        try:
            lines = subprocess.run([PROGRAM, os.path.abspath(table.EXTENSION), folder] +
                                   ([path] if path else []),
                                   check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()
        finally:
            if server:
                server.terminate()
                server.wait()
    cost = {name: float(us) for name, us in (line.split("\t") for line in lines)}
    if server:
        for ours in ("memory, 1000 keys", "file, 1000 keys"):
            table.row(f"limit in {ours}", "Redis, GCRA script, one Unix socket connection", cost[ours],
                      cost["redis, 1000 keys"])
    else:
        table.note("Redis", "skipped: redis-server is not installed")
    table.row("limit in memory, 1000000 keys", "1000 keys", cost["memory, 1000000 keys"],
              cost["memory, 1000 keys"])
    for name, us in cost.items():
        table.note(f"  {name}", f"{1e6 / us:,.0f} decisions a second")


if __name__ == "__main__":
    table.header("microseconds of wall time a decision")
    measure()
