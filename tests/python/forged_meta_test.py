# SPDX-License-Identifier: MIT
"""A genesis or head that somebody edited, without the key: nothing is signed or sealed for what it says."""

import shutil
import struct

import rbt
from attacks import apply, fill, findings, make, quietly, rewrite

OTHER = "example.com/other"
DENIED = (
    "log: the genesis was changed: it is not what the declaration makes; SELECT * FROM "
    "audit_verify('log') tells more"
)
NO_LEAF = "nothing was signed: the genesis of log is not the first leaf of its tree"
CALLS = {
    "an INSERT": "INSERT INTO log(n) VALUES(1)",
    "a checkpoint": "SELECT audit_checkpoint('log')",
    "an archive": "SELECT audit_archive('log', 'cold', 'now')",
}
NEXT = "HRQTFhUYFxoZHBseHSAfIiEkIyYlKCcqKSwrLi0wLzI="


def edit(old, new):
    return f"UPDATE log_meta SET value = replace(value, '{old}', '{new}') WHERE key = 'genesis'"


def declare_other(db):
    """Another origin in the schema, too, so that genesis and declaration agree."""
    db.execute("PRAGMA writable_schema=ON")
    db.execute(
        f"UPDATE sqlite_schema SET sql = replace(sql, 'example.com/log', '{OTHER}') WHERE name = 'log'"
    )
    db.execute("PRAGMA writable_schema=OFF")
    db.execute(edit("example.com/log", OTHER))


def unseal(db):
    """An entry changed and all hashed anew, under a genesis that asks for no seal."""
    db.execute(edit('"sealed":true', '"sealed":false'))
    rewrite()(db)


def later(db):
    """The head says that the last entry is of the year 2100: the seal covers size and root."""
    (head,) = db.execute("SELECT value FROM log_meta WHERE key = 'head'").fetchone()
    head = head[:8] + struct.pack("<q", 4102444800000000) + head[16:]
    db.execute("UPDATE log_meta SET value = ? WHERE key = 'head'", (head,))


FORGED = {
    "the origin of another log": lambda db: db.execute(edit('"example.com/log"', f'"{OTHER}"')),
    "no seal, all hashed anew": unseal,
}


def forged(place, attack):
    path = place / "try.db"
    shutil.copy(place / "whole.db", path)
    apply(path, [attack])
    return rbt.connect(path)


if __name__ == "__main__":
    with (
        rbt.environment(RUSTYBT_ENCRYPTION_KEY="AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        rbt.folder() as place,
    ):
        rbt.plan(len(FORGED) * (len(CALLS) + 1) + 5)
        db = make(place / "whole.db")
        fill(db, 1, 10)
        db.close()
        for name, attack in FORGED.items():
            db = forged(place, attack)
            for what, sql in CALLS.items():
                rbt.refuses(db, sql, DENIED, f"{name}: {what} is refused")
            kinds = {kind for kind, _, _ in findings(db)}
            rbt.ok(kinds & {"changed", "declaration"}, f"{name}: verification finds it")
            db.close()
        db = forged(place, declare_other)
        rbt.refuses(
            db,
            "SELECT audit_checkpoint('log')",
            f"audit_checkpoint: {NO_LEAF}",
            "an origin changed in schema and genesis: no checkpoint is signed for it",
        )
        db.close()
        db = forged(place, later)
        rbt.refuses(
            db,
            "INSERT INTO log(n) VALUES(1)",
            "log: the head does not say when the last entry was recorded; SELECT * FROM "
            "audit_verify('log') tells more",
            "a time in the head that is not the last entry's: the next one does not take it over",
        )
        rbt.equal([kind for kind, _, _ in findings(db)], ["head"], "and verification finds it")
        db.close()
        with rbt.environment(RUSTYBT_SIGNING_KEY=NEXT):
            db = forged(place, declare_other)
            rbt.refuses(
                db,
                "SELECT audit_succession('log')",
                f"audit_succession: {NO_LEAF}",
                "and no succession note",
            )
            rbt.equal(
                [kind for kind, _, _ in findings(db)], ["changed"], "verification names the entry"
            )
            db.close()
    rbt.done()
