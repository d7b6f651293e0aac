# SPDX-License-Identifier: MIT
"""Everyday use under pressure: four processes append at once, each in its own way, two read and one
verifies, with WAL and with a rollback journal. Every process keeps an account of its own, and in the end
log and accounts must agree.

TEST_PRESSURE_SECONDS says how long each journal is under pressure (default 1.5; a thorough run: 60).
"""

import collections
import json
import os
import sqlite3
import subprocess
import sys
import time

import independent
import rbt

JOURNALS = ("WAL", "DELETE")
SECONDS = float(os.environ.get("TEST_PRESSURE_SECONDS", "1.5"))
PATIENCE = 120  # seconds that a lock may take; a deadlock takes for ever

# How each writer works: what begins a transaction, entries in it, whether it reads first, and the busy
# timeout in milliseconds.
WRITERS = {
    "autocommit": ("", 1, False, PATIENCE * 1000),
    "immediate": ("BEGIN IMMEDIATE", 5, True, PATIENCE * 1000),
    "deferred": ("BEGIN", 3, True, PATIENCE * 1000),
    "impatient": ("BEGIN IMMEDIATE", 2, False, 0),
}


def connect(path, timeout):
    db = rbt.connect(path)
    db.execute(f"PRAGMA busy_timeout={PATIENCE * 1000}").fetchall()
    db.execute("PRAGMA synchronous=OFF")  # reads the schema, for which it may have to wait
    db.execute(f"PRAGMA busy_timeout={timeout}").fetchall()
    return db


def commit(db, retry, troubles):
    """COMMIT; with retry, as often as readers are in the way of it: the transaction stays as it is."""
    while True:
        try:
            return db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if not retry or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            troubles[described(error)] += 1
            time.sleep(0.001)


def described(error):
    return f"{type(error).__name__} {error.sqlite_errorname}: {error}"


def transaction(db, who, first, troubles):
    """Appends entries first … first + count - 1 of this writer; their ids. The last but one is undone and
    appended again, so that savepoints are under pressure, too."""
    begin, count, reads, timeout = WRITERS[who]
    ids = []
    if begin:
        db.execute(begin)
    if reads:
        db.execute("SELECT max(id) FROM log").fetchall()
    for n in range(first, first + count):
        again = begin and n == first + count - 2
        if again:
            db.execute("SAVEPOINT s")
            db.execute("INSERT INTO log(who, n) VALUES(?, ?)", (who, -1))
            db.execute("ROLLBACK TO s")
        ids.append(db.execute("INSERT INTO log(who, n) VALUES(?, ?)", (who, n)).lastrowid)
        if again:
            db.execute("RELEASE s")
    if begin:
        commit(db, timeout == 0, troubles)
    return ids


def append(path, who, seconds):
    """A writer, until the time is up and something was written. Its account: the ids it was given for its
    entries, in order, and what kept it from more."""
    db = connect(path, WRITERS[who][-1])
    end, ids, troubles = time.time() + seconds, [], collections.Counter()
    while time.time() < end or not ids:
        try:
            ids += transaction(db, who, len(ids), troubles)
        except sqlite3.Error as error:
            troubles[described(error)] += 1
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                break
            if db.in_transaction:
                db.execute("ROLLBACK")
            time.sleep(0.001)
    db.close()
    return {"ids": ids, "troubles": troubles}


def read(path, who, seconds):
    """A reader: in one transaction, count(*), the rows and the root must agree and stay as they are; from
    one to the next, nothing that was seen may change."""
    db = connect(path, PATIENCE * 1000)
    end, times, seen, root = time.time() + seconds, 0, 0, None
    troubles = collections.Counter()
    while time.time() < end or not times:
        try:
            db.execute("BEGIN")
            looks = [db.execute("SELECT (SELECT count(*) FROM log), count(id), coalesce(max(id), 0),"
                                " coalesce(sum(id), 0), audit_root('log'), audit_root('log', ?)"
                                " FROM log", (seen + 1,)).fetchone() for _ in range(2)]
            db.execute("COMMIT")
        except sqlite3.Error as error:
            troubles[described(error)] += 1
            break
        count, counted, highest, total, now, before = looks[0]
        if looks[0] != looks[1]:
            troubles[f"one transaction saw {looks[0]} and {looks[1]}"] += 1
        if not count == counted == highest or total != count * (count + 1) // 2 or count < seen:
            troubles[f"after {seen} entries: {looks[0]}"] += 1
        if root not in (None, before):
            troubles[f"the root of {seen} entries was {root} and became {before}"] += 1
        seen, root, times = count, now, times + 1
    db.close()
    return {"times": times, "troubles": troubles}


def verify(path, who, seconds):
    """audit_verify, as a table and as a scalar: no false alarm, and no more entries than there are."""
    db = connect(path, PATIENCE * 1000)
    end, times, troubles = time.time() + seconds, 0, collections.Counter()
    while time.time() < end or not times:
        try:
            for row in db.execute("SELECT level, kind, detail FROM audit_verify('log')").fetchall():
                troubles[str(row)] += row[:2] != ("info", "verified")
            db.execute("SELECT audit_verify('log')").fetchall()
            times += 1
        except sqlite3.Error as error:
            troubles[described(error)] += 1
            break
    db.close()
    return {"times": times, "troubles": +troubles}


def account(process):
    """What a process has to tell; a deadlock or a crash is its trouble."""
    try:
        output, _ = process.communicate(timeout=SECONDS + 2 * PATIENCE)
        return json.loads(output)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return {"ids": [], "times": 0, "troubles": {"did not end": 1}}
    except ValueError:
        return {"ids": [], "times": 0, "troubles": {output[-300:] or "no account": 1}}


def expected(who, journal, trouble):
    """The troubles that SQLite's documentation announces: SQLITE_BUSY to whoever does not wait, and at once
    to a transaction that has read what others then changed (or that would deadlock)."""
    busy = "OperationalError SQLITE_BUSY: database is locked"
    snapshot = "OperationalError SQLITE_BUSY_SNAPSHOT: database is locked"
    if who == "deferred":
        return trouble == (snapshot if journal == "WAL" else busy) or trouble == busy
    return who == "impatient" and trouble == busy


def press(place, journal):
    path = place / f"{journal}.db"
    db = rbt.connect(path)
    db.execute(f"PRAGMA journal_mode={journal}").fetchall()
    db.execute("CREATE VIRTUAL TABLE log USING audit_log(who TEXT, n INTEGER, INDEX(who))")
    roles = [("append", who) for who in WRITERS]
    roles += [("read", "reader 1"), ("read", "reader 2"), ("verify", "verifier")]
    processes = {who: subprocess.Popen([sys.executable, __file__, role, str(path), who, str(SECONDS)],
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                 for role, who in roles}
    accounts = {who: account(process) for who, process in processes.items()}
    for who, told in accounts.items():
        rbt.note(f"{journal}, {who}: {len(told['ids'])} entries" if who in WRITERS else
                 f"{journal}, {who}: {told['times']} times")
        rbt.note("\n".join(f"    {times} times {trouble}" for trouble, times in told["troubles"].items()))
        wrong = [t for t in told["troubles"] if not expected(who, journal, t)]
        rbt.equal(wrong, [], f"{journal}: {who} meets nothing but what SQLite announces")
    written = sorted((id, who, n) for who in WRITERS for n, id in enumerate(accounts[who]["ids"]))
    rbt.equal([id for id, _, _ in written], list(range(1, len(written) + 1)),
              "the ids that the writers were given have no gap and no double")
    rbt.ok(rbt.rows(db, "SELECT id, who, n FROM log ORDER BY id") == written,
           "the log holds what was acknowledged, and nothing else")
    rbt.equal(rbt.value(db, "SELECT count(*) FROM log"), len(written), "and counts it right")
    rbt.equal(rbt.rows(db, "SELECT level, kind FROM audit_verify('log')"), [("info", "verified")],
              "the log verifies")
    rbt.equal(rbt.value(db, "PRAGMA integrity_check"), "ok", "so does the database")
    db.close()


def main():
    rbt.plan(len(JOURNALS) * 12)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        for journal in JOURNALS:
            press(place, journal)
    rbt.done()


if len(sys.argv) > 1:
    role, path, who, seconds = sys.argv[1:]
    work = {"append": append, "read": read, "verify": verify}[role]
    print(json.dumps(work(path, who, float(seconds))))
else:
    main()
