# SPDX-License-Identifier: MIT
"""A process that forks in the midst of a scan of archived entries: the thread that decodes frames ahead is
not in the child, which must neither wait for it when it lets go of the scan nor when it reads on."""

import os
import signal

import independent
import rbt

ROWS = 900  # of 24 kB: six frames


def in_child(action):
    """What the action gives in a forked child, as text; killed by SIGALRM where it never ends."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os.write(writing, str(action()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    return (os.waitpid(child, 0)[1], text)


def main():
    rbt.plan(4)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        db = rbt.connect(place / "test.db")
        db.execute("CREATE VIRTUAL TABLE log USING audit_log(t TEXT, n INTEGER, archive='cold')")
        db.execute(
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?) "
            "INSERT INTO log(t, n) SELECT hex(zeroblob(12000)), i FROM c",
            (ROWS,),
        )
        rbt.value(db, "SELECT audit_archive('log', 'cold', 'now')")
        rbt.value(db, "SELECT audit_prune('log')")
        scan = db.execute("SELECT n FROM log WHERE length(t) > 0")
        first = [scan.fetchone()[0] for _ in range(600)]
        rbt.equal(first, list(range(1, 601)), "a scan of several frames is under way")
        rest = list(range(601, ROWS + 1))
        rbt.equal(
            in_child(lambda: [row[0] for row in scan] == rest),
            (0, "True"),
            "a forked child reads the rest of it",
        )
        rbt.equal(in_child(scan.close), (0, "None"), "another one lets go of it")
        rbt.equal([row[0] for row in scan], rest, "and the parent reads on undisturbed")
        db.close()
    rbt.done()


main()
