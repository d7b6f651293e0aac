# SPDX-License-Identifier: MIT
"""The audit log against plain tables with the same columns and indexes: appends, commits, reads; its
audit_verify against reading and hashing alone (verify_bench.c); its appends against a PostgreSQL table
with the same indexes and a trigger that chains pgcrypto hashes.

All but the commits is processor time. PostgreSQL's is what its executor logs for one INSERT … SELECT, so
no client and no round trip is in it; into our log go the same rows, bound one by one.
"""
import os
import re
import sqlite3
import subprocess
import time

import postgres
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
LENGTHS = ", ".join(f"sum(length({name}))" for name in NAMES.split(", "))
PROGRAM = table.BUILD / "bench" / "verify_bench"

# What a PostgreSQL user would build: one writer at a time, each row's hash over the last row's and the row
# as JSON, no UPDATE and no DELETE. (A head row updated for each insert would be 80 times slower: in one
# transaction, none of its versions can be cleaned up.)
CHAIN = """
    SET client_min_messages = warning;
    CREATE EXTENSION IF NOT EXISTS pgcrypto;
    DROP TABLE IF EXISTS t;
    CREATE TABLE t(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        recorded_at timestamptz NOT NULL DEFAULT now(), strategy_id text NOT NULL,
        broker_connection_id bigint, order_id text NOT NULL, broker_order_id text,
        asset_sid bigint NOT NULL,
        event_type text NOT NULL CHECK(event_type IN ('submitted', 'filled', 'cancelled')),
        event_timestamp bigint NOT NULL, event_data json NOT NULL, hash bytea);
    CREATE INDEX ON t(order_id); CREATE INDEX ON t(event_timestamp); CREATE INDEX ON t(strategy_id);
    CREATE OR REPLACE FUNCTION chain() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE previous bytea;
    BEGIN
        PERFORM pg_advisory_xact_lock(1);
        SELECT hash INTO previous FROM t ORDER BY id DESC LIMIT 1;
        NEW.hash := digest(coalesce(previous, '') ||
                           convert_to(row_to_json(NEW)::text, 'UTF8'), 'sha256');
        RETURN NEW;
    END $$;
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'append-only'; END $$;
    CREATE TRIGGER chain BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION chain();
    CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION refuse();
    SET client_min_messages = log; SET log_executor_stats = on;
    """
CHAIN_INSERT = f"""INSERT INTO t({NAMES})
    SELECT 'm' || i % 7, i % 3, 'order-' || lpad((i / 3)::text, 9, '0'),
        'b' || lpad((i / 3)::text, 8, '0'), i % 50,
        (ARRAY['submitted', 'filled', 'cancelled'])[1 + i % 3], 1672531200 + i,
        format('{{"fill_price":"%s.%s","filled_amount":"%s","venue":"XNAS","liquidity":"maker"}}',
               100 + i % 50, lpad((i % 100)::text, 2, '0'), i % 1000)::json
    FROM generate_series(1, COUNT) AS i;
    """


def events(count, first=0):
    """Rows first … first + count - 1 of the one endless series."""
    kinds = ("submitted", "filled", "cancelled")
    for i in range(first, first + count):
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


def database_path(folder, log, round_number):
    return os.path.join(folder, f"{'log' if log else 'plain'}-{round_number}.db")


def append(folder, rows, log, round_number):
    db = open_database(database_path(folder, log, round_number), log)
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


def verification(log_path, plain_path):
    """Microseconds of processor time an entry, of each of verify_bench's contestants."""
    output = subprocess.run([PROGRAM, table.EXTENSION, log_path, plain_path], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    return {name: float(best) for name, best in (line.split("\t") for line in output.splitlines())}


def verification_rows(cost):
    read = cost["read"] + cost["leaves"] + cost["nodes"]
    table.row("audit_verify, an entry", "SELECT * and nettle's SHA-256 of leaves and nodes", cost["verify"], read)
    table.row("audit_verify, an entry", "the same and PRAGMA integrity_check of the table", cost["verify"],
              read + cost["integrity"])


def chain_time(server, count, rounds=3):
    """Microseconds a row of PostgreSQL's hash chain, in the best of the rounds."""
    best = []
    for _ in range(rounds):
        output = server.run(CHAIN + CHAIN_INSERT.replace("COUNT", str(count)))
        found = re.findall(r"([0-9.]+) s user, ([0-9.]+) s system, [0-9.]+ s elapsed", output)
        # one report a statement, the INSERT's last; the trigger's own work is in it
        if not found:
            raise postgres.Unavailable("log_executor_stats does not tell the processor time")
        best.append(sum(map(float, found[-1])) / count * 1e6)
    return min(best)


def postgresql(ours, count):
    """ours: microseconds a row."""
    try:
        with postgres.server() as server:
            table.row("append, one transaction",
                      f"PostgreSQL {server.version}, a trigger that chains pgcrypto hashes", ours,
                      chain_time(server, min(count, 20000)))
    except postgres.Unavailable as reason:
        table.note("PostgreSQL's hash chain", f"skipped: {reason}")


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
            ("scan of event_data", "SELECT sum(length(event_data)) FROM t", (), 1),
            ("scan of all columns", f"SELECT {LENGTHS} FROM t", (), 1),
            ("count(*)", "SELECT count(*) FROM t", (), 1)):
        ours = table.best_time(lambda: log.execute(sql, arguments).fetchall(), repeat)
        theirs = table.best_time(lambda: plain.execute(sql, arguments).fetchall(), repeat)
        report(name, "the same SQL on the plain table", ours, theirs, repeat)
    verification_rows(verification(database_path(folder, True, 2), database_path(folder, False, 2)))
    postgresql(min(t for t, _ in logs) / count * 1e6, count)
