# SPDX-License-Identifier: MIT
"""Queries on archived entries, in ten segments, against DuckDB's read_json on the same files (npm's
@duckdb/node-api, kept in build/duckdb; columns and types are told to it), or where there is no DuckDB,
against Python's json over `zstd -dc`.

    python3 bench/archive.py [rows]       default 200000

Wall time, since both use all processors: the best of several runs on an open connection, which has seen
the segments before.
"""
import base64
import json
import os
import subprocess
import sys
import tempfile
import time

import audit_log
import table

SEGMENTS = 10
START = 1672531200  # audit_log.events: one event a second
PROGRAM = """
const {DuckDBInstance} = require('@duckdb/node-api');
(async () => {
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    const answers = {};
    for (const [name, sql] of Object.entries(JSON.parse(process.argv[1]))) {
        let best = Infinity, answer;
        for (let i = 0; i < 4; i++) {
            const start = process.hrtime.bigint();
            answer = (await connection.runAndReadAll(sql)).getRows()[0].map(String);
            best = Math.min(best, Number(process.hrtime.bigint() - start) / 1e3);
        }
        answers[name] = [best, answer];
    }
    console.log(JSON.stringify(answers));
})();
"""


class Unavailable(Exception):
    """There is no DuckDB here, and why."""


def queries(source, count):
    middle = START + count // 2
    return {
        "cold, five minutes of events":
            f"SELECT count(*) FROM {source} WHERE event_timestamp BETWEEN {middle} AND {middle + 300}",
        "cold, one entry by id": f"SELECT order_id FROM {source} WHERE id = {count // 2}",
        "cold, an order_id": f"SELECT count(*) FROM {source} WHERE order_id = 'order-{count // 7:09d}'",
        "cold, all entries": f"SELECT sum(id) FROM {source} WHERE id > 0",
    }


def archived(folder, count):
    """A log whose entries are all in segments below folder/cold."""
    db = audit_log.open_database(os.path.join(folder, "cold.db"), log=True)
    db.execute("CREATE VIRTUAL TABLE cold USING audit_log("
               f"{audit_log.COLUMNS}, event_data JSON NOT NULL, INDEX(order_id), "
               "INDEX(event_timestamp), INDEX(strategy_id), archive='cold')")
    insert = audit_log.INSERT.replace("INTO t(", "INTO cold(")
    for first in range(0, count, count // SEGMENTS):
        db.execute("BEGIN")
        db.executemany(insert, audit_log.events(count // SEGMENTS, first))
        db.execute("COMMIT")
        db.execute("SELECT audit_archive('cold', 'cold', 'now')").fetchall()
    db.execute("SELECT audit_prune('cold')").fetchall()
    return db


def ours(db, count):
    answers = {}
    for name, sql in queries("cold", count).items():
        best = None
        for _ in range(6):
            start = time.perf_counter()
            answer = [str(value) for value in db.execute(sql).fetchone()]
            spent = (time.perf_counter() - start) * 1e6
            best = spent if best is None else min(best, spent)
        answers[name] = (best, answer)
    return answers


def duckdb(files, count):
    folder = table.BUILD / "duckdb"
    module = folder / "node_modules" / "@duckdb" / "node-api"
    try:
        if not module.exists():
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(["npm", "install", "--silent", "--no-save", "--prefix", str(folder),
                            "@duckdb/node-api@1.5.6-r.1"], check=True, capture_output=True)
        source = (f"read_json('{files}', format='newline_delimited', columns={{id: 'BIGINT', "
                  "event_timestamp: 'BIGINT', order_id: 'VARCHAR'})")
        output = subprocess.run(
            ["node", "-e", PROGRAM, json.dumps(queries(source, count))], check=True, text=True,
            capture_output=True, cwd=folder).stdout
    except FileNotFoundError as error:
        raise Unavailable(f"{error.filename} is not installed") from error
    except subprocess.CalledProcessError as error:
        text = error.stderr if isinstance(error.stderr, str) else error.stderr.decode()
        raise Unavailable(text.strip().splitlines()[-1] if text.strip() else "npm failed") from error
    return json.loads(output)


def python(files, count):
    """What a script would do: every line of every file, whatever is asked."""
    start = time.perf_counter()
    total = 0
    for name in sorted(os.listdir(os.path.dirname(files))):
        path = os.path.join(os.path.dirname(files), name)
        with subprocess.Popen(["zstd", "-dcq", path], stdout=subprocess.PIPE) as process:
            for line in process.stdout:
                total += json.loads(line)["id"]
    spent = (time.perf_counter() - start) * 1e6
    if total != count * (count + 1) // 2:
        raise SystemExit("bench/archive.py: Python read other entries")
    return {name: (spent, None) for name in queries("", count)}


def measure(folder, count):
    count -= count % SEGMENTS
    db = archived(folder, count)
    files = os.path.join(folder, "cold", "*.zst")
    mine = ours(db, count)
    try:
        theirs, baseline = duckdb(files, count), "DuckDB, read_json on the same files"
    except Unavailable as error:
        table.note("DuckDB", f"skipped: {error}")
        theirs, baseline = python(files, count), "Python, json over zstd -dc"
    for name, (spent, answer) in mine.items():
        if theirs[name][1] not in (None, answer):
            raise SystemExit(f"bench/archive.py: {name}: {answer}, and DuckDB says {theirs[name][1]}")
        table.row(name, baseline, spent, theirs[name][0])


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200000
    os.environ["RUSTYBT_ENCRYPTION_KEY"] = base64.urlsafe_b64encode(os.urandom(32)).decode()
    table.header(f"{count} archived entries in {SEGMENTS} segments; microseconds a query")
    with tempfile.TemporaryDirectory(prefix="rustybt-bench-") as folder:
        measure(folder, count)


if __name__ == "__main__":
    main()
