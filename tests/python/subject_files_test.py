# SPDX-License-Identifier: MIT
"""What forgetting leaves in the files. The test searches them by itself: no piece of the wrapped key may
stand in the database, its WAL or its journal; and where one does, the report says so."""

import os
import signal
import subprocess
import sys
import time

import independent
import logs
import rbt
import subject_format as form

A, B = bytes(range(32)), bytes(range(32, 64))
FORGET = "SELECT subject_forget('customer/1')"
# forty times, as what forgetting writes takes free pages
COPY = (
    "CREATE TABLE copy AS SELECT wrapped, zeroblob(2000) FROM rustybt_subject_keys, (WITH RECURSIVE "
    "c(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM c WHERE i < 40) SELECT i FROM c)"
)
GONE = "; its key is gone from the database file, its free pages and its %s; backups and replicas made before still hold it"


def where(path, key):
    """Which of the files hold half of the encrypted key, or half of its commitment."""
    pieces = [key[i : i + 16] for i in range(77, 109, 16)] + [key[44:60], key[60:76]]
    found = []
    for suffix in ("", "-wal", "-journal"):
        try:
            with open(f"{path}{suffix}", "rb") as file:
                contents = file.read()
        except FileNotFoundError:
            continue
        if any(piece in contents for piece in pieces):
            found.append(suffix or "db")
    return found


def wrapped(db, subject="customer/1"):
    index = form.blind_index(A, subject.encode(), b"rustybt subject")
    return rbt.value(db, "SELECT wrapped FROM rustybt_subject_keys WHERE subject = ?", index)


def filled(path, *pragmas, rows=40, name="customer/%d"):
    db = rbt.connect(path)
    for pragma in ("synchronous = OFF", "secure_delete = OFF") + pragmas:
        db.execute(f"PRAGMA {pragma}").fetchall()
    db.execute("CREATE TABLE t(token)")
    for i in range(rows):
        db.execute("INSERT INTO t SELECT subject_encrypt(?, ?)", (name % i, i))
    return db


def modes(place):
    for number, (mode, settings, kind) in enumerate(
        [
            ("delete", (), "journal"),
            ("truncate", (), "journal"),
            ("persist", (), "journal"),
            ("memory", (), "journal"),
            ("off", (), "journal"),
            ("wal", (), "WAL"),
            ("delete", ("locking_mode = EXCLUSIVE",), "journal"),
            ("wal", ("locking_mode = EXCLUSIVE",), "WAL"),
            ("wal", ("page_size = 512",), "WAL"),
            ("persist", ("page_size = 512", "auto_vacuum = FULL"), "journal"),
            ("delete", ("page_size = 65536", "mmap_size = 1000000"), "journal"),
        ]
    ):
        path = place / f"{number}.db"
        db = filled(path, *settings, f"journal_mode = {mode}")
        key = wrapped(db)
        before = where(path, key)
        report = rbt.value(db, FORGET)
        after = where(path, key)
        closed = logs.attempt(db, "SELECT subject_decrypt(token) FROM t WHERE rowid = 2")
        others = rbt.value(db, "SELECT sum(subject_decrypt(token)) FROM t WHERE rowid <> 2")
        rbt.ok(
            before and report.endswith(GONE % kind) and after == [] and others == 779
            and closed and "was forgotten on" in closed,
            f"journal_mode {mode} {' '.join(settings)}: the key stands nowhere",
        )
        if after or not before:
            rbt.note((before, report, after, others, closed))
        now = rbt.value(db, "PRAGMA journal_mode")
        rbt.equal(
            (now, rbt.value(db, "PRAGMA secure_delete"), rbt.value(db, "PRAGMA journal_size_limit")),
            (mode, 0, -1),
            "and the settings are the caller's",
        )
        db.close()

    # a name so long that the row runs over several pages, which cut the key in two
    path = place / "long.db"
    cut = 0
    for extra in range(120):
        path = place / "long.db"
        db = filled(path, "page_size = 512", rows=0)
        name = "customer/1" + "x" * (180 + 16 * extra)
        db.execute("SELECT subject_encrypt(?, 'x')", (name,)).fetchall()
        key = wrapped(db, name)
        with open(path, "rb") as file:
            contents = file.read()
        cut += key not in contents
        report = rbt.value(db, "SELECT subject_forget(?)", name)
        if where(path, key) or not report.endswith(GONE % "journal"):
            break
        db.close()
        path.unlink()
    else:
        rbt.note(f"the key was cut in two {cut} times")
        rbt.ok(True, "names of every length leave nothing")
        return
    rbt.ok(False, f"names of every length leave nothing: {report}, {where(path, key)}")


def readers(place):
    path = place / "reader.db"
    db = filled(path, "journal_mode = WAL")
    db.execute("PRAGMA busy_timeout = 0").fetchall()
    key = wrapped(db)
    reader = rbt.connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    report = rbt.value(db, FORGET)
    rbt.ok(
        " is forgotten (entry 1 of rustybt_events), but its key still stands in " in report
        and report.endswith(
            "; the WAL is in use: when its readers have ended, run PRAGMA wal_checkpoint(TRUNCATE)"
        ),
        "a reader that keeps the WAL is named, and what to do",
    )
    rbt.note(report)
    rbt.ok(where(path, key) != [], "and the key does stand there")
    rbt.ok(
        "was forgotten on"
        in logs.attempt(db, "SELECT subject_decrypt(token) FROM t WHERE rowid = 2"),
        "though it opens nothing any more",
    )
    reader.execute("COMMIT")
    reader.close()
    rbt.equal(
        (rbt.rows(db, "PRAGMA wal_checkpoint(TRUNCATE)"), where(path, key)),
        ([(0, 0, 0)], []),
        "when that was done the key is gone",
    )
    db.close()

    path = place / "shared.db"
    db = filled(path)
    db.execute("PRAGMA busy_timeout = 0").fetchall()
    reader = rbt.connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    rbt.refuses(
        db, FORGET, "subject_forget: database is locked", "a reader without WAL keeps the COMMIT"
    )
    reader.execute("COMMIT")
    reader.close()
    rbt.equal(
        (
            rbt.value(db, "SELECT subject_decrypt(token) FROM t WHERE rowid = 2"),
            rbt.value(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'rustybt_events'"),
        ),
        (1, 0),
        "and nothing was forgotten",
    )
    db.close()


def copies(place):
    for title, keys, change, fix in (
        (
            "in a free page",
            (independent.KEY,),
            (COPY, "DROP TABLE copy"),
            "VACUUM",
        ),
        (
            "in a table",
            (independent.KEY,),
            (COPY,),
            "DROP TABLE copy",
        ),
        (
            "in a free page, wrapped under an earlier key",
            (independent.OTHER_KEY, independent.KEY),
            (
                COPY,
                "SELECT subject_rotate()",
                "DROP TABLE copy",
            ),
            "VACUUM",
        ),
    ):
        path = place / "copies.db"
        filled(path, rows=3).close()
        with rbt.environment(RUSTYBT_ENCRYPTION_KEY=",".join(keys)):
            db = rbt.connect(path)
            db.execute("PRAGMA secure_delete = OFF").fetchall()
            key = wrapped(db)
            for statement in change:
                db.execute(statement)
            report = rbt.value(db, FORGET)
            page = int(report.split("in page ")[1].split()[0])
            with open(path, "rb") as file:
                size = int.from_bytes(file.read(18)[16:], "big")
                file.seek((page - 1) * size)
                inside = key[77:109] in file.read(size)
            rbt.ok(
                inside
                and ", but its key still stands in page " in report
                and report.endswith(
                    " of the database file; an old copy of the row is there: run VACUUM; if key_usage "
                    "shows a subject_key in another table, delete it first"
                ),
                f"an old copy {title} is found, in the page where it stands",
            )
            db.execute("PRAGMA secure_delete = ON").fetchall()
            db.execute(fix)
            rbt.equal(where(path, key), [], f"{fix} takes it away")
            db.close()
        path.unlink()

    path = place / "journal.db"
    db = filled(path, rows=3)
    key = wrapped(db)
    # what a connection in PERSIST mode leaves behind
    stale = path.with_name("journal.db-journal")
    db.execute("PRAGMA journal_mode = MEMORY").fetchall()
    stale.write_bytes(bytes(512) + key)
    report = rbt.value(db, FORGET)
    rbt.ok(
        "still stands in the rollback journal, at byte 512; run PRAGMA journal_mode = TRUNCATE, then PRAGMA "
        "journal_mode = DELETE" in report,
        "a kept journal of another connection is looked at, too",
    ) or rbt.note(report)
    db.execute("PRAGMA journal_mode = TRUNCATE").fetchall()
    db.execute("PRAGMA journal_mode = DELETE").fetchall()
    rbt.equal(where(path, key), [], "and goes with these PRAGMAs")
    db.close()


def locks(place):
    """SQLite's locks on the database file outlive the search: POSIX drops them with any close(). In WAL
    mode every connection holds one, and who wants to leave that mode must have the file alone."""
    path = place / "locks.db"
    db = filled(path, "journal_mode = WAL", rows=3)
    rbt.value(db, FORGET)
    got = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], timeout=0); "
            "print(db.execute('PRAGMA journal_mode = DELETE').fetchall())",
            str(path),
        ],
        capture_output=True,
        check=False,
        text=True,
    )
    rbt.ok(
        got.stdout == "" and "database is locked" in got.stderr,
        "the search leaves this process its locks on the database file",
    ) or rbt.note(got)
    db.close()


def work(path):
    """Encrypts and forgets until it is killed."""
    db = rbt.connect(path)
    db.execute("PRAGMA synchronous = OFF")
    print("begun", flush=True)
    number = 0
    while True:
        number += 1
        name = f"{os.getpid()}/{number}"
        db.execute("INSERT INTO t SELECT subject_encrypt(?, ?)", (name, number))
        db.execute("SELECT subject_forget(?)", (name,)).fetchall()


def kills(place):
    for mode in ("WAL", "DELETE"):
        path = place / f"kill-{mode}.db"
        db = filled(path, f"journal_mode = {mode}", rows=1)
        db.close()
        wrong, open_ones = [], 0
        for i in range(10):
            process = subprocess.Popen(
                [sys.executable, __file__, str(path)], stdout=subprocess.PIPE
            )
            process.stdout.readline()
            time.sleep(0.005 + i * 0.004)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            db = rbt.connect(path)
            events = rbt.value(
                db, "SELECT count(*) FROM sqlite_schema WHERE name = 'rustybt_events'"
            )
            forgotten = {
                sid
                for (sid,) in db.execute(
                    "SELECT json_extract(detail, '$.sid') FROM rustybt_events WHERE action = "
                    "'subject_forget'"
                    if events
                    else "SELECT 1 WHERE 0"
                )
            }
            for sid, has_key, has_index, has_name, when in db.execute(
                "SELECT lower(hex(sid)), wrapped IS NOT NULL, subject IS NOT NULL, name IS NOT NULL, "
                "forgotten_us FROM rustybt_subject_keys"
            ):
                if {has_key, has_index, has_name, when is None, sid not in forgotten} not in ({0}, {1}):
                    wrong.append((i, sid, has_key, has_index, has_name, when))
                open_ones += has_key
            wrong += logs.verified(db, "*") if events else []
            db.close()
        rbt.equal(wrong, [], f"{mode}: killed at any moment, a subject is forgotten or it is not")
        rbt.note(f"{open_ones} keys open after a kill")


def main():
    rbt.plan(23 + 6 + 8 + 1 + 2)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY):
        for part in (modes, readers, copies, locks, kills):
            with rbt.folder() as place:
                part(place)
    rbt.done()


work(sys.argv[1]) if len(sys.argv) > 1 else main()
