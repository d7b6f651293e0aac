# SPDX-License-Identifier: MIT
"""encrypt and decrypt of 64-byte values with a context, against: the same libsodium calls in a C loop
(credentials_bench.c), Python's Fernet as a SQL function, and PostgreSQL's pgp_sym_encrypt and
pgp_sym_decrypt with the same key as passphrase.

All is processor time. PostgreSQL's is what its executor logs for one statement over a table, so no client
and no round trip is in it. By default it stretches the passphrase anew for each value, which a random key
does not need: s2k-mode=0 is without.
"""
import os
import pathlib
import re
import sqlite3
import subprocess
import tempfile

import postgres
import table

COUNT = 1000
ENCRYPT = "SELECT count(encrypt(x, 'ctx')) FROM v"
DECRYPT = "SELECT count(decrypt(t, 'ctx')) FROM c"
PROGRAM = table.BUILD / "bench" / "credentials_bench"


def c_loop():
    lines = subprocess.run([PROGRAM, table.EXTENSION], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    compare_with_loop({name: float(best) for name, best in (line.split("\t") for line in lines)}, "")
    if os.environ.get("INSTRUCTIONS"):
        compare_with_loop({line.split("\t")[0]: instructions(line.split("\t")[0]) for line in lines},
                          ", instructions")


def compare_with_loop(cost, unit):
    table.row(f"encrypt, 64 bytes{unit}", "the same libsodium calls in a C loop, a getrandom each",
              cost["encrypt_sql"], cost["encrypt_loop"])
    table.row(f"encrypt, 64 bytes{unit}", "the same, a getrandom for 64 values as encrypt does it",
              cost["encrypt_sql"], cost["encrypt_loop_batched"])
    table.row(f"decrypt, 64 bytes{unit}", "the same libsodium calls in a C loop",
              cost["decrypt_sql"], cost["decrypt_loop"])
    table.note(f"a function that does nothing{unit}", f"{cost['idle_sql']:.2f}, the scan with it")


def instructions(contestant, values=1000):
    """Instructions a value (outside the kernel) of one of the C program's functions and its callees."""
    with tempfile.TemporaryDirectory(prefix="rustybt-bench-") as folder:
        out = pathlib.Path(folder, "callgrind.out")
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                        f"--toggle-collect={contestant}", PROGRAM, table.EXTENSION, str(values), "1"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return int(re.search(r"^totals: (\d+)$", out.read_text(), re.MULTILINE).group(1)) / values


def open_database():
    db = sqlite3.connect(":memory:")
    db.enable_load_extension(True)
    db.load_extension(table.EXTENSION)
    db.execute("CREATE TABLE v AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
               f"LIMIT {COUNT}) SELECT printf('%064d', i) AS x FROM n")
    db.execute("CREATE TABLE c AS SELECT encrypt(x, 'ctx') AS t FROM v")
    return db


def our_times(db):
    """Microseconds a value of encrypt and of decrypt."""
    return [table.best_time(lambda: db.execute(sql).fetchall(), best_of=100) / COUNT * 1e6
            for sql in (ENCRYPT, DECRYPT)]


def python_fernet(db, key):
    try:
        from cryptography.fernet import Fernet
    except ImportError:
        table.note("Python's Fernet", "skipped: python3-cryptography is not installed")
        return
    fernet = Fernet(key)
    db.create_function("py_encrypt", 1, lambda text: fernet.encrypt(text.encode()))
    db.create_function("py_decrypt", 1, lambda token: fernet.decrypt(token).decode())
    db.execute("CREATE TABLE f AS SELECT py_encrypt(x) AS t FROM v")
    theirs = [table.best_time(lambda: db.execute(sql).fetchall(), best_of=20) / COUNT * 1e6
              for sql in ("SELECT count(py_encrypt(x)) FROM v", "SELECT count(py_decrypt(t)) FROM f")]
    for name, ours, baseline in zip(("encrypt", "decrypt"), our_times(db), theirs):
        table.row(f"{name}, 64 bytes", "Python's Fernet as a SQL function", ours, baseline)


def server_times(server, key, options, rounds=10):
    """Microseconds a value of pgp_sym_encrypt and of pgp_sym_decrypt, in the best of the rounds."""
    times = []
    for statement in (f"SELECT count(pgp_sym_encrypt(x, '{key}', '{options}')) FROM v;",
                      f"SELECT count(pgp_sym_decrypt(t, '{key}')) FROM c;"):
        output = server.run(f"""
            SET client_min_messages = warning;
            SET jit = off; SET max_parallel_workers_per_gather = 0;
            DROP TABLE IF EXISTS v, c;
            CREATE TABLE v AS SELECT lpad(i::text, 64, '0') AS x FROM generate_series(1, {COUNT}) AS i;
            CREATE TABLE c AS SELECT pgp_sym_encrypt(x, '{key}', '{options}') AS t FROM v;
            ANALYZE v, c;
            SET client_min_messages = log; SET log_executor_stats = on;
            """ + statement * rounds)
        found = re.findall(r"([0-9.]+) s user, ([0-9.]+) s system, [0-9.]+ s elapsed", output)
        if len(found) != rounds:
            raise postgres.Unavailable("log_executor_stats does not tell the processor time")
        times.append(min(float(user) + float(system) for user, system in found) / COUNT * 1e6)
    return times


def postgresql(db, key):
    try:
        with postgres.server() as server:
            server.run("CREATE EXTENSION pgcrypto")
            for options, label in (("", "its defaults"), ("s2k-mode=0", "s2k-mode=0")):
                theirs = server_times(server, key, options)
                for name, ours, baseline in zip(("encrypt", "decrypt"), our_times(db), theirs):
                    table.row(f"{name}, 64 bytes",
                              f"PostgreSQL {server.version}'s pgp_sym_{name}, {label}", ours, baseline)
    except postgres.Unavailable as reason:
        table.note("PostgreSQL's pgp_sym_encrypt", f"skipped: {reason}")


def measure(key):
    """key is what RUSTYBT_ENCRYPTION_KEY holds."""
    c_loop()
    db = open_database()
    python_fernet(db, key)
    postgresql(db, key)
