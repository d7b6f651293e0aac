# SPDX-License-Identifier: MIT
"""Several processes on one database: appending, reading, archiving and pruning at once."""

import sqlite3
import subprocess
import sys
import time

import independent
import rbt

JOURNALS = ("WAL", "DELETE")


def append(path, who, count, mode):
    """A process that appends; alone or three at a time in BEGIN IMMEDIATE or a deferred BEGIN."""
    db = rbt.connect(path)
    db.execute("PRAGMA busy_timeout=30000")
    db.execute("PRAGMA synchronous=OFF")
    done = 0
    while done < count:
        try:
            if mode != "autocommit":
                db.execute(mode)
            for i in range(1 if mode == "autocommit" else 3):
                db.execute("INSERT INTO log(who, n) VALUES(?, ?)", (who, done + i))
            if mode != "autocommit":
                db.execute("COMMIT")
            done += 1 if mode == "autocommit" else 3
        except sqlite3.OperationalError as error:
            if str(error) not in ("database is locked", "log: database is locked"):
                raise
            if db.in_transaction:  # a deferred transaction that cannot be upgraded: from the start
                db.execute("ROLLBACK")
    db.close()


def read(path, seconds):
    """A process that reads; every count must equal the highest id, and never fall."""
    db = rbt.connect(path)
    db.execute("PRAGMA busy_timeout=30000")
    end, last, reads = time.time() + seconds, 0, 0
    while time.time() < end:
        count, highest, counted, total = db.execute(
            "SELECT (SELECT count(*) FROM log), max(id), count(id), sum(id) FROM log"
        ).fetchone()
        if (
            count < last
            or count != counted
            or count
            and (highest != count or total != count * (count + 1) // 2)
        ):
            sys.exit(f"count {count}, rows {counted}, last {last}, highest {highest}")
        last, reads = count, reads + 1
    if not reads:
        sys.exit("nothing was read")
    db.close()


def archive(path, seconds):
    """A process that archives and prunes all the time."""
    db = rbt.connect(path)
    db.execute("PRAGMA busy_timeout=30000")
    db.execute("PRAGMA synchronous=OFF")
    end, done = time.time() + seconds, 0
    while time.time() < end:
        for call in ("audit_archive('log', 'cold', 'now')", "audit_prune('log')"):
            try:
                done += "nothing" not in db.execute(f"SELECT {call}").fetchone()[0]
            except sqlite3.OperationalError as error:
                if "database is locked" not in str(error):
                    raise
        time.sleep(0.05)
    if not done:
        sys.exit("nothing was archived")
    db.close()


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(processes):
    """Waits; what went wrong in them."""
    complaints = []
    for process in processes:
        output, _ = process.communicate(timeout=120)
        if process.returncode or output:
            complaints.append(output.strip()[-300:] or f"exit {process.returncode}")
    return complaints


def make(place, journal):
    """A log in a database of its own, in a folder of its own."""
    place.mkdir()
    db = rbt.connect(place / "test.db")
    db.execute(f"PRAGMA journal_mode={journal}").fetchall()
    db.execute("CREATE VIRTUAL TABLE log USING audit_log(who TEXT, n INTEGER, archive='cold')")
    return db


def problems(db):
    return rbt.rows(db, "SELECT kind, id, detail FROM audit_verify('log') WHERE level <> 'info'")


def writers(place, journal):
    """Four processes append in their own ways, two read."""
    db = make(place, journal)
    path = place / "test.db"
    counts = {
        "a": (90, "autocommit"),
        "b": (90, "autocommit"),
        "c": (150, "BEGIN IMMEDIATE"),
        "d": (90, "BEGIN"),
    }
    readers = [start("read", path, 1.5) for _ in range(2)]
    complaints = finish([start("append", path, who, *how) for who, how in counts.items()] + readers)
    rbt.equal(complaints, [], f"{journal}: four processes append, two read")
    rbt.equal(
        rbt.rows(db, "SELECT id FROM log ORDER BY id"),
        [(i,) for i in range(1, sum(count for count, _ in counts.values()) + 1)],
        "ids have no gap",
    )
    for who, (count, _) in counts.items():
        rbt.equal(
            [n for (n,) in db.execute("SELECT n FROM log WHERE who = ? ORDER BY id", (who,))],
            list(range(count)),
            f"all of {who}'s entries are there, in order",
        )
    rbt.equal(problems(db), [], "and the log verifies")
    db.close()


def busy(place, journal):
    """A lock that is held reaches the caller as such, and nothing is lost or half written."""
    db = make(place, journal)
    other = rbt.connect(place / "test.db")
    for each in (db, other):
        each.execute("PRAGMA busy_timeout=0")
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO log(n) VALUES(1)")
    rbt.refuses(
        other,
        "INSERT INTO log(n) VALUES(2)",
        "database is locked",
        f"{journal}: BUSY reaches the caller",
    )
    db.execute("COMMIT")
    other.execute("INSERT INTO log(n) VALUES(2)")
    db.execute("BEGIN")
    rbt.equal(rbt.value(db, "SELECT max(n) FROM log"), 2, "a transaction begins to read")
    if journal == "WAL":
        other.execute("INSERT INTO log(n) VALUES(3)")
        rbt.refuses(
            db,
            "INSERT INTO log(n) VALUES(4)",
            "database is locked",
            "and cannot append to what changed since",
        )
        db.execute("ROLLBACK")
        db.execute("INSERT INTO log(n) VALUES(4)")
    else:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO log(n) VALUES(3)")
        rbt.refuses(other, "COMMIT", "database is locked", "and keeps a writer from committing")
        other.execute("INSERT INTO log(n) VALUES(4)")  # the transaction goes on after it
        db.execute("COMMIT")
        other.execute("COMMIT")
    rbt.equal(
        rbt.rows(db, "SELECT id, n FROM log"),
        [(1, 1), (2, 2), (3, 3), (4, 4)],
        "later both succeed",
    )
    rbt.equal(problems(db), [], "and the log verifies")
    other.close()
    db.close()


def archivers(place, journal):
    """Archiving and pruning while others append and read."""
    db = make(place, journal)
    path = place / "test.db"
    db.executemany("INSERT INTO log(who, n) VALUES('z', ?)", [(i,) for i in range(300)])
    complaints = finish(
        [
            start("archive", path, 2),
            start("append", path, "a", 150, "BEGIN IMMEDIATE"),
            start("append", path, "b", 60, "autocommit"),
            start("read", path, 2),
        ]
    )
    rbt.equal(complaints, [], f"{journal}: one archives and prunes, two append, one reads")
    rbt.equal(
        rbt.rows(db, "SELECT id FROM log ORDER BY id"),
        [(i,) for i in range(1, 511)],
        "ids have no gap",
    )
    rbt.ok(rbt.value(db, "SELECT count(*) FROM log_rows") < 510, "some of them are cold")
    rbt.equal(problems(db), [], "and the log verifies")
    db.close()


def two_archivers(place):
    """The second archiver is told; whoever comes later finds the work done."""
    db = make(place, "WAL")
    db.execute("INSERT INTO log(n) VALUES(1)")
    db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
    other = rbt.connect(place / "test.db")
    holder = subprocess.Popen(
        [
            "flock",
            str(place / "cold" / ".rustybt-archive.lock"),
            "sh",
            "-c",
            "echo locked; read nothing",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    other.execute("INSERT INTO log(n) VALUES(2)")
    rbt.refuses(
        db,
        "SELECT audit_archive('log', 'cold', 'now')",
        f"audit_archive: another process is archiving log into {place}/cold",
        "the second archiver is told",
    )
    rbt.equal(
        rbt.value(db, "SELECT count(*) FROM audit_segments('log')"), 1, "and has planned nothing"
    )
    holder.communicate(b"\n")
    answers = finish_all([start("once", place / "test.db") for _ in range(3)])
    wanted = (
        "archived",
        "nothing to archive",
        "another process is archiving",
        "database is locked",
    )
    rbt.ok(
        all(any(part in answer for part in wanted) for answer in answers),
        "of three at once, each archives, finds nothing to do, or is told",
    )
    rbt.note("\n".join(answers))
    db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
    rbt.equal(
        rbt.rows(db, "SELECT first_id, last_id, status FROM audit_segments('log')"),
        [(0, 1, "published"), (2, 2, "published")],
        "every entry is archived once",
    )
    rbt.equal(problems(db), [], "and the log verifies")
    other.close()
    db.close()


def finish_all(processes):
    return [process.communicate(timeout=60)[0].strip() for process in processes]


def once(path):
    db = rbt.connect(path)
    try:
        print(db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchone()[0])
    except sqlite3.Error as error:
        print(error)
    db.close()


def memory_of_the_head(place):
    """What a connection remembers from archiving or pruning must not outlive it."""
    db = make(place, "WAL")
    other = rbt.connect(place / "test.db")
    db.execute("INSERT INTO log(n) VALUES(1)")
    for step, call in enumerate(
        (
            "audit_archive('log', 'cold', 'now')",
            "audit_archive('log', 'cold', 'now')",
            "audit_prune('log')",
            "audit_prune('log')",
            "audit_verify('log')",
            "audit_discard('log', 'test')",
            "audit_root('log')",
        )
    ):
        db.execute(f"SELECT {call}").fetchall()
        other.execute("INSERT INTO log(n) VALUES(2)")
        rbt.equal(
            rbt.value(db, "SELECT count(*) FROM log"),
            2 * step + 2,
            f"after {call} others' entries are seen",
        )
        db.execute("INSERT INTO log(n) VALUES(3)")
    rbt.equal(
        rbt.value(other, "SELECT group_concat(id) FROM (SELECT id FROM log ORDER BY id)"),
        ",".join(map(str, range(1, 16))),
        "ids have no gap",
    )
    rbt.equal(problems(db), [], "and the log verifies")
    other.close()
    db.close()


def main():
    rbt.plan(46)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        memory_of_the_head(place / "memory")
        for journal in JOURNALS:
            writers(place / f"writers-{journal}", journal)
            busy(place / f"busy-{journal}", journal)
            archivers(place / f"archivers-{journal}", journal)
        two_archivers(place / "two")
    rbt.done()


ROLES = {
    "append": lambda path, who, count, mode: append(path, who, int(count), mode),
    "read": lambda path, seconds: read(path, float(seconds)),
    "archive": lambda path, seconds: archive(path, float(seconds)),
    "once": once,
}
if len(sys.argv) > 1:
    ROLES[sys.argv[1]](*sys.argv[2:])
else:
    main()
