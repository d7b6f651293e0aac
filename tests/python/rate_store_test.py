# SPDX-License-Identifier: MIT
"""Limits in a file: several processes, killed ones, restarts, the host's rollback, and files that are
damaged, foreign, gone or not writable. No check depends on how fast anything is."""

import json
import os
import signal
import sqlite3
import subprocess
import sys

import rbt

DAY = 86400


def policy(path, **members):
    """A definition as JSON; a window of 1000 a day unless told otherwise."""
    return json.dumps({"name": "p", "algorithm": "window", "quota": 1000, "period": DAY,
                       "store": str(path)} | members)


def open_with(path, **members):
    db = rbt.connect()
    db.execute("SELECT rate_policy(?)", (policy(path, **members),)).fetchone()
    return db


def attempt(db, sql, *parameters):
    """The error's message, or None."""
    try:
        db.execute(sql, parameters).fetchall()
    except sqlite3.Error as error:
        return str(error)
    return None


# ----------------------------------------------------------------------------------- other processes


def child(*arguments, **options):
    return subprocess.Popen([sys.executable, __file__, *map(str, arguments)],
                            stdout=subprocess.PIPE, text=True, **options)


def child_take(path, algorithm, tries):
    """Prints how many of the tries are granted."""
    db = open_with(path, name=algorithm, algorithm=algorithm)
    print(sum(rbt.value(db, "SELECT rate_allow(?, 'k')", algorithm) for _ in range(int(tries))))


def child_hold(path):
    """Takes a lease, prints it, and waits to be killed."""
    db = open_with(path, name="l", algorithm="lease", quota=1)
    print(*rbt.rows(db, "SELECT lease_id, fencing FROM lease_acquire('l', 'k')")[0], flush=True)
    signal.pause()


def child_take_forever(path):
    """Takes one by one, and prints each that was granted."""
    db = open_with(path, name="f", quota=1000000)
    while True:
        os.write(1, b"+" if rbt.value(db, "SELECT rate_allow('f', 'k')") else b"-")


def child_attempt(path):
    """Prints the error of a definition, as whoever runs this."""
    print(attempt(rbt.connect(), "SELECT rate_policy(?)", policy(path)))


CHILDREN = {"take": child_take, "hold": child_hold, "forever": child_take_forever,
            "attempt": child_attempt}


# -------------------------------------------------------------------------------------------- checks


def four_processes(place):
    for algorithm in ("window", "bucket"):
        path = place / f"{algorithm}.db"
        children = [child("take", path, algorithm, 400) for _ in range(4)]
        granted = [int(process.communicate()[0]) for process in children]
        rbt.note(f"granted {granted}")
        # what flows back into the bucket meanwhile: one every 86 seconds
        rbt.ok(1000 <= sum(granted) <= (1000 if algorithm == "window" else 1003),
               f"four processes on one file are granted exactly the quota ({algorithm})")
        db = open_with(path, name=algorithm, algorithm=algorithm)
        rbt.equal(rbt.value(db, "SELECT remaining < 4 FROM rate_peek(?, 'k')", algorithm), 1,
                  "and after a restart it is still taken")
        db.close()


def killed_processes(place):
    path = place / "leases.db"
    holder = child("hold", path)
    lease, fencing = holder.stdout.readline().split()
    db = open_with(path, name="l", algorithm="lease", quota=1)
    rbt.equal(rbt.rows(db, "SELECT allowed, lease_id FROM lease_acquire('l', 'k')"), [(0, None)],
              "another process holds the only lease")
    holder.kill()
    holder.communicate()
    rbt.equal(rbt.value(db, "SELECT retry_after_us > 0 FROM rate_peek('l', 'k')"), 1,
              "its holder is killed: it stays taken until it expires")
    # a renewal by the new owner of the id: until a microsecond from now
    rbt.value(db, "SELECT lease_renew('l', 'k', ?, 0.000001)", lease)
    next_fencing = rbt.rows(db, "SELECT allowed, fencing FROM lease_acquire('l', 'k')")[0]
    rbt.equal(next_fencing[0], 1, "and then comes back")
    rbt.ok(next_fencing[1] > int(fencing), "with a larger fencing number")
    rbt.equal(attempt(db, "SELECT lease_renew('l', 'k', ?)", lease),
              "lease_renew: the lease has expired or was released; acquire a new one",
              "the old holder cannot renew")
    db.close()

    path = place / "killed.db"
    granted = 0
    for _ in range(5):
        process = child("forever", path)
        granted += len(process.stdout.read(200))
        process.kill()
        granted += len(process.communicate()[0])
    db = open_with(path, name="f", quota=1000000)
    taken = 1000000 - rbt.value(db, "SELECT remaining FROM rate_peek('f', 'k')")
    rbt.note(f"{granted} told, {taken} taken")
    rbt.ok(granted <= taken <= granted + 5,
           "of processes killed while they take, every grant that was told is kept")
    rbt.equal(rbt.value(sqlite3.connect(path), "PRAGMA integrity_check"), "ok", "the file is whole")
    db.close()


def host(place):
    db = rbt.connect(place / "host.db")
    db.execute("SELECT rate_policy(?)", (policy(place / "limits.db", name="host"),)).fetchone()
    db.execute("CREATE TABLE t(x)")
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO t SELECT rate_allow('host', 'h', 400)")
    db.execute("ROLLBACK")
    rbt.equal(rbt.value(db, "SELECT remaining FROM rate_peek('host', 'h')"), 600,
              "the host's rollback gives nothing back")
    reader = rbt.connect(f"file:{place}/host.db?mode=ro")
    rbt.equal(rbt.value(reader, "SELECT rate_allow('host', 'h', 600) + rate_allow('host', 'h')"), 1,
              "a read-only connection takes")
    rbt.equal(rbt.rows(db, "SELECT allowed, remaining FROM rate_take_all(?)",
                       json.dumps([{"policy": "host", "key": "h"}, {"policy": "bybit", "key": "h"}])),
              [(0, 0), (0, 20)], "of a file and memory at once: none, when the file has none left")
    rbt.equal(rbt.rows(db, "SELECT allowed, remaining FROM rate_take_all(?)",
                       json.dumps([{"policy": "host", "key": "i"}, {"policy": "bybit", "key": "h"}])),
              [(1, 999), (1, 19)], "or all")
    db.execute("SELECT rate_penalize('bybit', 'h', 60)").fetchone()
    rbt.equal(rbt.rows(db, "SELECT allowed, remaining FROM rate_take_all(?)",
                       json.dumps([{"policy": "host", "key": "i"}, {"policy": "bybit", "key": "h"}])),
              [(0, 999), (0, 0)], "none, when memory has none left")
    reader.close()
    db.close()


def policies(place):
    path = place / "policies.db"
    db = open_with(path, quota=10)
    rbt.equal(rbt.value(db, "SELECT rate_allow('p', 'half', 5) + rate_allow('p', 'all', 10)"), 2,
              "two keys take")
    # the policy table belongs to the process: another one is needed to see what it defines
    code = ("import rbt, sys; db = rbt.connect(); "
            "print(rbt.value(db, 'SELECT rate_policy(?)', sys.argv[1]))")
    line = subprocess.run([sys.executable, "-c", code, policy(path, algorithm="bucket", quota=100)],
                          check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    rbt.equal(line, f"policy 'p' in force: bucket, 100 in 86400 s, burst 100, in store '{path}'",
              "another process changes the policy")
    rbt.equal(rbt.rows(db, "SELECT quota, remaining FROM rate_peek('p', 'half') UNION ALL "
                       "SELECT quota, remaining FROM rate_peek('p', 'all') UNION ALL "
                       "SELECT quota, remaining FROM rate_peek('p', 'new')"),
              [(100, 50), (100, 0), (100, 100)],
              "it holds here at once; what was used stays used in proportion")
    rbt.equal(rbt.rows(db, "SELECT algorithm, quota, store FROM rate_policies WHERE name = 'p'"),
              [("bucket", 100, str(path))], "rate_policies tells what the file says")
    rbt.equal(rbt.value(db, "SELECT rate_policy(?)", json.dumps({"name": "p", "store": str(path)})),
              line, "a definition of name and store takes what is there")
    rbt.equal(attempt(db, "SELECT rate_policy(?)", json.dumps({"name": "p", "store": "memory"})),
              "rate_policy: policy 'p' cannot change its store while 2 of its keys owe; wait, or "
              "give the new one another name", "a policy with debtors does not move")
    rbt.equal(rbt.value(db, "SELECT rate_reset('p', 'half') + rate_reset('p', 'all')"), 2,
              "once nobody owes")
    rbt.equal(rbt.value(db, "SELECT rate_policy(?)", json.dumps({"name": "p", "store": "memory"})),
              "policy 'p' in force: bucket, 100 in 86400 s, burst 100, in memory", "it does")
    for number in range(3000):
        db.execute("SELECT rate_allow('q', ?)" if number else "SELECT rate_policy(?)",
                   (number if number else policy(path, name="q", period="1 us"),)).fetchone()
    rows = rbt.value(sqlite3.connect(path), "SELECT count(*) FROM state")
    rbt.ok(rows < 1000, "idle keys are swept out of the file")
    rbt.note(f"{rows} rows are left")
    db.close()


def damaged(place):
    path = place / "damaged.db"

    def ruin(sql=None, edit=None):
        for name in (path, f"{path}-wal", f"{path}-shm"):
            if os.path.exists(name):
                os.unlink(name)
        db = open_with(path)
        db.execute("SELECT rate_allow('p', 'k', 1000)").fetchone()
        db.close()
        if sql:
            plain = sqlite3.connect(path, isolation_level=None)
            for statement in sql:
                plain.execute(statement)
            plain.close()
        if edit:
            edit()
        return rbt.connect()

    end = "; nobody is let in until the file is replaced"
    store = f"rate_allow: store '{path}'"
    for sql, words, name in (
            ("UPDATE state SET state = zeroblob(28)", "a key's state is not as it was written",
             "a changed state"),
            ("UPDATE state SET at_us = at_us + 90000000000", "a key's state is not as it was written",
             "a changed time"),
            ("UPDATE policy SET quota = 1000000", "a policy is not as it was written",
             "a changed policy"),
            ("DELETE FROM store", "its clock is missing", "a missing clock"),
            ("UPDATE store SET offset_us = offset_us + 3600000000",
             "its clock is not as it was written", "a changed clock"),
            ("UPDATE store SET fencing = 0 - 1", "its clock is not as it was written",
             "a changed fencing number"),
            ("CREATE TRIGGER t AFTER INSERT ON state BEGIN DELETE FROM state; END",
             "its tables are not as they were made", "a trigger in the file")):
        db = ruin([sql])
        rbt.equal(attempt(db, "SELECT rate_allow('p', 'k')"), f"{store} is damaged: {words}{end}",
                  f"{name} is an error")
        db.close()
    db = ruin(["DELETE FROM policy"])
    rbt.equal(attempt(db, "SELECT rate_allow('p', 'k')"), f"{store[:-len(store.split(': ', 1)[1])]}"
              f"store '{path}' has no policy 'p' any more; rate_policy defines it",
              "a missing policy is an error")
    db.close()

    def scribble():
        with open(path, "r+b") as file:
            file.seek(0, 2)
            for page in range(4096, file.tell(), 4096):
                file.seek(page)
                file.write(os.urandom(4096))

    db = ruin(edit=scribble)
    rbt.equal(attempt(db, "SELECT rate_allow('p', 'k')"),
              f"{store}: database disk image is malformed{end}", "pages of noise are an error")
    db.close()
    db = ruin(edit=lambda: path.write_bytes(b"not a database, but long enough to look at" * 100))
    rbt.equal(attempt(db, "SELECT rate_allow('p', 'k')"), f"{store}: file is not a database{end}",
              "a file of something else is an error")
    db.close()
    db = ruin(edit=lambda: os.truncate(path, 0))
    rbt.ok(attempt(db, "SELECT rate_allow('p', 'k')"), "an emptied file is an error")
    db.close()
    db = ruin(edit=path.unlink)
    rbt.equal(attempt(db, "SELECT rate_allow('p', 'k')"),
              f"{store}: unable to open database file; the file and its folder must be there and "
              "writable", "a file that is gone is an error")
    db.close()
    db = open_with(path)
    rbt.equal(rbt.value(db, "SELECT rate_allow('p', 'k')"), 1, "a new definition makes a new one")
    path.unlink()
    rbt.equal(attempt(db, "SELECT rate_allow('p', 'k')"),
              f"{store} was moved or removed; rate_policy makes a new one",
              "so is one that goes while it is open")
    db.close()


def places(place):
    db = rbt.connect()
    rbt.equal(attempt(db, "SELECT rate_policy(?)", policy("/nowhere/limits.db", name="n")),
              "rate_policy: store '/nowhere/limits.db': unable to open database file; the file and "
              "its folder must be there and writable", "a folder that is not there")
    rbt.equal(attempt(db, "SELECT rate_policy(?)", policy(":memory:", name="n")),
              "rate_policy: store ':memory:' is no file", "a database in memory is no store")
    other = place / "other.db"
    plain = sqlite3.connect(other, isolation_level=None)
    plain.execute("CREATE TABLE orders(x)")
    plain.close()
    before = other.read_bytes()
    rbt.equal(attempt(db, "SELECT rate_policy(?)", policy(other, name="n")),
              f"rate_policy: '{other}' is a database, but not a store of limits; give a file of its "
              "own", "somebody's database is no store")
    rbt.equal(other.read_bytes(), before, "and is left as it was")
    rbt.equal(attempt(db, "SELECT rate_allow('n', 'k')"),
              "rate_allow: no policy 'n'; rate_policy defines one, rate_policies lists them",
              "what failed defined nothing")
    db.close()
    if os.geteuid() == 0:
        os.chmod(place, 0o755)
        locked = place / "locked"
        locked.mkdir(mode=0o755)
        options = {"user": 65534, "group": 65534}
        process = child("attempt", locked / "limits.db", **options)
        rbt.equal(process.communicate()[0].strip(),
                  f"rate_policy: store '{locked}/limits.db': unable to open database file; the file "
                  "and its folder must be there and writable", "a folder that is not ours")
        open_with(locked / "limits.db").close()
        process = child("attempt", locked / "limits.db", **options)
        rbt.ok("writable" in process.communicate()[0], "a file that is not ours")
    else:
        rbt.skip(2, "only root can be somebody else")


def forked(place):
    db = open_with(place / "forked.db")
    db.execute("SELECT rate_allow('p', 'k')").fetchone()
    reader, writer = os.pipe()
    child_id = os.fork()
    if child_id == 0:
        said = attempt(db, "SELECT rate_allow('p', 'k')") or "let in"
        db.close()
        again = open_with(place / "forked.db")
        said += "|" + (attempt(again, "SELECT rate_allow('p', 'k')") or "let in")
        os.write(writer, said.encode())
        os._exit(0)
    os.waitpid(child_id, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        inherited, _, own = pipe.read().partition("|")
    rbt.ok("forked while a store was open" in inherited, "a fork does not decide on its parent's connection")
    rbt.equal(own, "let in", "and does on its own, once the inherited one is closed")
    db.close()


def main():
    rbt.plan(48)
    with rbt.folder() as place:
        four_processes(place)
        killed_processes(place)
        host(place)
        policies(place)
        damaged(place)
        places(place)
        forked(place)
    rbt.done()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        CHILDREN[sys.argv[1]](*sys.argv[2:])
    else:
        main()
