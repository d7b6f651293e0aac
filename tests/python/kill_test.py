# SPDX-License-Identifier: MIT
"""kill -9 at random moments of appending, archiving and pruning: the next run finishes, no entry is lost,
and every file of the archive's folder belongs to the log (DESIGN §7, Protocol)."""

import os
import random
import signal
import subprocess
import sys
import time

import independent
import rbt

ROUNDS = 30


def work(path):
    """Appends, archives and prunes until it is killed. Tells when it begins."""
    db = rbt.connect(path)
    db.execute(
        "PRAGMA synchronous=OFF"
    )  # a killed process loses nothing that it gave to the kernel
    print("begun", flush=True)
    number = rbt.value(db, "SELECT count(*) FROM log")
    while True:
        db.execute("BEGIN IMMEDIATE")
        for _ in range(150):
            number += 1
            db.execute("INSERT INTO log(n, t) VALUES(?, hex(randomblob(60)))", (number,))
        db.execute("COMMIT")
        db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
        db.execute("SELECT audit_prune('log')").fetchall()


def check(db, place):
    """What must hold at any moment, before anything is repaired. Complaints."""
    wrong = []
    count, total, highest = db.execute("SELECT count(n), sum(n), max(id) FROM log").fetchone()
    if count and (total != count * (count + 1) // 2 or highest != count):
        wrong.append(f"{count} entries, sum {total}, last {highest}")
    wrong += rbt.rows(db, "SELECT kind, id, detail FROM audit_verify('*') WHERE level = 'error'")
    cold = place / "cold"
    for name in os.listdir(cold) if cold.exists() else ():
        if not (name.endswith((".jsonl.zst", ".tmp")) or name == ".rustybt-archive.lock"):
            wrong.append(name)
    return wrong


def main():
    rbt.plan(5)
    chance = random.Random(9)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        path = place / "test.db"
        db = rbt.connect(path)
        db.execute("PRAGMA journal_mode=WAL").fetchall()
        db.execute("CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, t TEXT, archive='cold')")
        db.close()
        wrong, temporaries, planned = [], 0, 0
        for number in range(ROUNDS):
            process = subprocess.Popen(
                [sys.executable, __file__, str(path)], stdout=subprocess.PIPE
            )
            process.stdout.readline()
            time.sleep(chance.uniform(0.0005, 0.12))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            db = rbt.connect(path)
            wrong += [(number, problem) for problem in check(db, place)]
            temporaries += (
                any(name.endswith(".tmp") for name in os.listdir(place / "cold"))
                if (place / "cold").exists()
                else 0
            )
            planned += rbt.value(
                db, "SELECT count(*) FROM audit_segments('log') WHERE status = 'planned'"
            )
            db.close()
        rbt.note(
            f"killed with a temporary file there {temporaries} times, with a segment planned {planned} times"
        )
        for problem in wrong[:5]:
            rbt.note(problem)
        rbt.equal(
            wrong, [], f"after each of {ROUNDS} kills the log verifies and has all its entries"
        )
        rbt.ok(planned > 0, "some of the kills hit a segment on its way")
        db = rbt.connect(path)
        db.execute("INSERT INTO log(n) SELECT count(*) + 1 FROM log")
        db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
        db.execute("SELECT audit_prune('log')").fetchall()
        files = sorted(
            name for name in os.listdir(place / "cold") if name != ".rustybt-archive.lock"
        )
        rbt.equal(
            files,
            [
                os.path.basename(file)
                for (file,) in db.execute("SELECT path FROM audit_segments('log')")
            ],
            "the next run finishes: the folder holds the log's segments and nothing else",
        )
        rbt.equal(rbt.value(db, "SELECT count(*) FROM log_rows"), 0, "nothing is left hot")
        rbt.equal(check(db, place), [], "and all entries are there")
        db.close()
    rbt.done()


work(sys.argv[1]) if len(sys.argv) > 1 else main()
