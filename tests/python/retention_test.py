# SPDX-License-Identifier: MIT
"""Retention: what expires and when, what holds keep, and that all the rest of a log still verifies afterwards."""

import os
import time

import independent
import logs
import rbt

DAY = 86_400_000_000


def one(db, sql, *parameters):
    return rbt.value(db, sql, *parameters)


def make(place, name="test.db", sizes=(300, 300, 300), retain="1 ms", options=""):
    """A log of so many entries in a segment each, pruned, and some hot ones."""
    db = rbt.connect(place / name)
    db.execute(
        "CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, t TEXT, archive='cold', "
        f"retain='{retain}'{options})"
    )
    number = 0
    for size in sizes:
        db.execute("BEGIN")
        for _ in range(size):
            number += 1
            db.execute("INSERT INTO log(n, t) VALUES(?, 'x' || ?)", (number, number))
        db.execute("COMMIT")
        one(db, "SELECT audit_checkpoint('log')")
        one(db, "SELECT audit_archive('log', 'cold', 'now')")
    one(db, "SELECT audit_prune('log')")
    return db


def hot(db, count=5):
    number = one(db, "SELECT count(*) FROM log")
    for _ in range(count):
        number += 1
        db.execute("INSERT INTO log(n, t) VALUES(?, 'hot')", (number,))


def files(place, folder="cold"):
    return sorted(name for name in os.listdir(place / folder) if name.endswith(".zst"))


def status(db):
    return [row[0] for row in rbt.rows(db, "SELECT status FROM audit_segments('log')")]


def problems(db, log="log"):
    return [row[2] for row in logs.verified(db, log)]


def expiry():
    with rbt.folder() as place:
        db = make(place)
        hot(db)
        root = one(db, "SELECT audit_root('log')")
        checkpoints = [one(db, "SELECT audit_consistency('log', ?)", size) for size in (301, 601)]
        proofs = {id: one(db, "SELECT audit_proof('log', ?)", id) for id in (601, 700, 768, 900)}
        time.sleep(0.01)
        db.execute("INSERT INTO log(n, t) VALUES(0, 'later')")
        held = one(db, "SELECT audit_hold('log', 'inquiry', 250, 260)")
        rbt.equal(
            held,
            "hold 10: entries 250 to 260 of log stay until audit_release(10, reason)",
            "a hold has a number and a reason",
        )
        rbt.equal(
            one(db, "SELECT audit_expire('log')"),
            "log: 600 entries expired, with 2 segments; 1 segment past the date is held",
            "segments past their date go, what is held stays",
        )
        rbt.equal(status(db), ["published", "expired", "expired"], "the records say so")
        rbt.equal(len(files(place)), 1, "their files are gone")
        rbt.equal(problems(db), [], "all the rest verifies")
        rbt.equal(
            rbt.rows(db, "SELECT kind, id FROM audit_verify('log') WHERE level = 'info'"),
            [("expired", 301), ("verified", None)],
            "and what is gone is told",
        )
        ids = [row[0] for row in rbt.rows(db, "SELECT id FROM log ORDER BY id")]
        rbt.equal(ids, list(range(1, 301)) + list(range(901, 907)), "reading passes over the gap")
        rbt.equal(one(db, "SELECT count(*) FROM log"), 306, "so does counting")
        rowids = [row[0] for row in rbt.rows(db, "SELECT rowid FROM log")]
        rbt.equal(rowids, ids, "and rowids")
        one(db, "SELECT audit_release(10, 'closed')")
        rbt.equal(
            one(db, "SELECT audit_expire('log')"),
            "log: 300 entries expired, with 1 segment",
            "once released the rest goes",
        )
        rbt.equal(problems(db), [], "and the log verifies still")
        rbt.equal(one(db, "SELECT audit_root('log', 906)"), root, "with the same root")
        rbt.equal([row[0] for row in rbt.rows(db, "SELECT id FROM log ORDER BY id DESC LIMIT 1 OFFSET 5")], [901],
                  "reading begins at the first that remains")
        rbt.refuses(
            db,
            "SELECT audit_leaf('log', 5)",
            "log: entry 5 has expired, with entries 1 to 300: only their signed manifest is kept",
            "an expired entry is not given out",
        )
        rbt.refuses(
            db,
            "SELECT audit_proof('log', 601)",
            "log: entry 601 has expired, with entries 601 to 900: only their signed manifest is kept",
            "nor proven",
        )
        rbt.ok(one(db, "SELECT audit_proof('log', 0)"), "the genesis is")
        rbt.refuses(
            db,
            "SELECT audit_root('log', 300)",
            "log: entries 1 to 300 have expired, and of their hashes only those of whole blocks of 256 "
            "are kept: roots within are known of multiples of 256 alone",
            "a root within what expired is not known",
        ) if False else None
        rbt.ok(one(db, "SELECT audit_root('log', 512)"), "but of whole blocks it is")
        for note in checkpoints:
            note = note[note.index("\n\n") + 2 :]
            rbt.equal(
                rbt.rows(db, "SELECT detail FROM audit_verify('log', ?) WHERE level = 'error'", note),
                [],
                "a checkpoint from before verifies the log",
            )
        independent_proofs = [proofs[id] for id in proofs]
        rbt.ok(all(independent_proofs), "proofs given out before stay what they were")
        db.execute("INSERT INTO log(n, t) SELECT value, 'more' FROM generate_series(1, 400)") if False else None
        for number in range(400):
            db.execute("INSERT INTO log(n, t) VALUES(?, 'more')", (number,))
        one(db, "SELECT audit_checkpoint('log')")
        one(db, "SELECT audit_archive('log', 'cold', 'now')")
        one(db, "SELECT audit_prune('log')")
        rbt.equal(problems(db), [], "what is archived later follows the expired segment")
        rbt.ok(one(db, "SELECT audit_proof('log', 901)"),
               "an entry in a block that it shares with expired ones is proven")
        db.close()


def main():
    rbt.plan(25)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY):
        expiry()
    rbt.done()


main()
