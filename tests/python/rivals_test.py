# SPDX-License-Identifier: MIT
"""Archiving beside others: a reader that holds a snapshot, a writer, and a second archiver, into the same
folder or into another one, started at the same moment or after the first one died. Nothing is lost or double,
and whoever cannot go on is told why."""

import os
import shutil
import sqlite3
import subprocess
import sys

import independent
import logs
import rbt

FIRST = "log-000000000000-000000000500.jsonl.zst"
CALL = "SELECT audit_archive('log', ?, 'now')"


def make(place, journal="WAL", entries=500):
    place.mkdir()
    db = rbt.connect(place / "test.db")
    db.execute(f"PRAGMA journal_mode={journal}").fetchall()
    db.execute("CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, archive='cold')")
    append(db, 1, entries)
    return db


def append(db, first, last):
    db.execute(
        "WITH RECURSIVE c(i) AS (VALUES(?) UNION ALL SELECT i + 1 FROM c WHERE i < ?) "
        "INSERT INTO log(n) SELECT i FROM c",
        (first, last),
    )


def names(folder):
    """The segments and whatever else, without the lock."""
    found = sorted(os.listdir(folder)) if folder.exists() else []
    return [name for name in found if name != ".rustybt-archive.lock"]


def whole(db, entries, name):
    """One check: entries 1 to that many, each once; and the log verifies."""
    got = rbt.rows(db, "SELECT id, n FROM log ORDER BY id")
    wrong = logs.verified(db)
    rbt.ok(got == [(i, i) for i in range(1, entries + 1)] and wrong == [], name)
    if wrong or len(got) != entries:
        rbt.note(f"{len(got)} entries, {wrong}")


def act(path, directory, gate):
    """A process of its own: appends, archives, prunes; one line each of what it was told."""
    db = rbt.connect(path)
    db.execute("PRAGMA busy_timeout=30000")
    os.read(int(gate), 1)  # all begin when the parent closes its end
    for call in (f"audit_archive('log', '{directory}', 'now')", "audit_prune('log')"):
        try:
            print(db.execute(f"SELECT {call}").fetchone()[0])
        except sqlite3.Error as error:
            print(error)
    db.close()


def at_once(path, directories):
    """Starts one process for each directory at the same moment; their lines."""
    gate, release = os.pipe()
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(path), directory, str(gate)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=[gate],
        )
        for directory in directories
    ]
    os.close(gate)
    os.close(release)
    return [line for p in processes for line in p.communicate(timeout=120)[0].splitlines()]


def snapshot(place):
    """A reader of a WAL sees what was there when it began, archived and pruned or not."""
    db = make(place)
    reader = rbt.connect(place / "test.db")
    reader.execute("BEGIN")
    root = rbt.value(reader, "SELECT audit_root('log')")
    for first in (501, 601):
        append(db, first, first + 99)
        db.execute(CALL, ("cold",)).fetchall()
        db.execute("SELECT audit_prune('log')").fetchall()
    rbt.equal(rbt.value(db, "SELECT count(*) FROM log_rows"), 0, "all entries are cold by now")
    whole(reader, 500, "a reader that began before has its 500 entries, and they verify")
    rbt.equal(rbt.value(reader, "SELECT audit_root('log')"), root, "and its root")
    reader.execute("COMMIT")
    whole(reader, 700, "afterwards it has them all")


def rollback_journal(place):
    """Without a WAL a reader keeps the archiver's COMMIT out; it is told and loses nothing."""
    db = make(place, "DELETE")
    db.execute("PRAGMA busy_timeout=0")
    reader = rbt.connect(place / "test.db")
    reader.execute("BEGIN")
    whole(reader, 500, "a reader with a rollback journal")
    rbt.refuses(db, CALL, "audit_archive: database is locked", "keeps the archiver out", "cold")
    rbt.equal(db.in_transaction, False, "which leaves no transaction open")
    reader.execute("COMMIT")
    db.execute(CALL, ("cold",)).fetchall()
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM log").fetchall()
    rbt.refuses(db, "SELECT audit_prune('log')", "audit_prune: database is locked", "as prune is")
    whole(reader, 500, "and nothing is lost")
    reader.execute("COMMIT")
    db.execute("SELECT audit_prune('log')").fetchall()
    whole(db, 500, "when the reader has gone the work is done")


def writer(place):
    """A writer keeps the archiver waiting, no longer."""
    db = make(place)
    db.execute("PRAGMA busy_timeout=0")
    other = rbt.connect(place / "test.db")
    other.execute("BEGIN IMMEDIATE")
    append(other, 501, 510)
    rbt.refuses(
        db, CALL, "audit_archive: database is locked", "a writer keeps the archiver out", "cold"
    )
    other.execute("COMMIT")
    db.execute(CALL, ("cold",)).fetchall()
    whole(db, 510, "and what it appended is archived with the rest")


def planned(place):
    """A log whose first segment is planned in cold, as by a run that died, and a copy of its database."""
    db = make(place)
    (place / "cold").mkdir()
    (place / "cold" / FIRST).write_bytes(b"in the way")
    logs.attempt(db, CALL, "cold")
    (place / "cold" / FIRST).unlink()
    (place / "cold" / f".{FIRST}.0123456789abcdef.tmp").write_bytes(b"half")
    db.close()
    shutil.copy(place / "test.db", place / "copy.db")
    return rbt.connect(place / "test.db")


def other_folder(place):
    """What a run that died planned in one folder, the next is to write into another."""
    db = planned(place)
    rbt.equal(
        rbt.rows(db, "SELECT status, last_id FROM audit_segments('log')"),
        [("planned", 500)],
        "a run that dies leaves its plan",
    )
    holder = subprocess.Popen(
        ["flock", place / "cold" / ".rustybt-archive.lock", "sh", "-c", "echo; read nothing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    rbt.refuses(
        db,
        CALL,
        f"audit_archive: another process is archiving log into {place}/cold",
        "while it lives, nobody writes the same entries into another folder",
        "other",
    )
    holder.communicate(b"\n")
    db.execute(CALL, ("other",)).fetchall()
    rbt.equal(
        (names(place / "cold"), names(place / "other")),
        ([], [FIRST]),
        "then it is planned anew, and what was half written is removed",
    )
    whole(db, 500, "and the log is whole")
    db.close()


def adopted(place):
    """What it had finished there is taken over."""
    db = planned(place)
    db.execute(CALL, ("cold",)).fetchall()
    db.close()
    for name in os.listdir(place):
        if name.startswith("test.db"):
            os.unlink(place / name)
    shutil.copy(place / "copy.db", place / "test.db")
    db = rbt.connect(place / "test.db")
    append(db, 501, 510)
    db.execute(CALL, ("other",)).fetchall()
    db.execute("SELECT audit_prune('log')").fetchall()
    rbt.equal(
        rbt.rows(db, "SELECT path, status FROM audit_segments('log')"),
        [
            (f"{place}/cold/{FIRST}", "published"),
            (f"{place}/other/log-000000000501-000000000510.jsonl.zst", "published"),
        ],
        "a finished file is adopted where it is, and later ones go where they are asked for",
    )
    whole(db, 510, "and the log is whole")
    db.close()


def everyone(place, directories, name):
    """Many at the same moment."""
    db = make(place)
    lines = at_once(place / "test.db", directories)
    known = (
        "archived",
        "nothing to archive",
        "another process is archiving",
        "pruned",
        "nothing to prune",
    )
    strange = [line for line in lines if not any(part in line for part in known)]
    rbt.equal(strange, [], f"{name}: each archives or is told why not")
    db.execute(CALL, ("cold",)).fetchall()
    db.execute("SELECT audit_prune('log')").fetchall()
    found = [
        str(place / folder / file)
        for folder in sorted(set(directories))
        for file in names(place / folder)
    ]
    rbt.equal(
        found,
        [path for (path,) in rbt.rows(db, "SELECT path FROM audit_segments('log')")],
        "there is one file, which the log knows",
    )
    whole(db, 500, "and the log is whole")
    db.close()


def main():
    rbt.plan(24)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        snapshot(place / "snapshot")
        rollback_journal(place / "journal")
        writer(place / "writer")
        other_folder(place / "other")
        adopted(place / "adopted")
        everyone(place / "same", ["cold"] * 4, "four archivers")
        everyone(place / "apart", ["cold", "other"] * 2, "four archivers into two folders")
    rbt.done()


act(*sys.argv[1:]) if len(sys.argv) > 1 else main()
