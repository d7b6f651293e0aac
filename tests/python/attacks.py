# SPDX-License-Identifier: MIT
"""Ways to attack a log, from a connection that has no extension."""

import struct

import independent
import rbt


def make(path, options=""):
    db = rbt.connect(path)
    db.execute(
        f"CREATE VIRTUAL TABLE log USING audit_log(t TEXT, n INTEGER, r REAL, INDEX(t), CHECK(n < 10000), "
        f"origin='example.com/log', archive='cold', retain='7 years'{options})"
    )
    return db


def fill(db, first, last):
    db.execute("BEGIN")
    for i in range(first, last + 1):
        db.execute("INSERT INTO log(t, n, r) VALUES(?, ?, ?)", (f"needle-{i:04}", i, i / 4))
    db.execute("COMMIT")


def leaf(row):
    """The line of a stored row."""
    return independent.line(
        row[0], row[1], [("t", "TEXT"), ("n", "INTEGER"), ("r", "REAL")], row[2:]
    )


def guards(db):
    """The log's own triggers, to put them back after an attack."""
    return [sql for (sql,) in db.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")]


def quietly(*changes):
    """Takes the triggers away, changes, and puts them back as they were."""

    def attack(db):
        kept = guards(db)
        for name in rbt.rows(db, "SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
            db.execute(f'DROP TRIGGER "{name[0]}"')
        for change in changes:
            db.execute(change) if isinstance(change, str) else change(db)
        for sql in kept:
            db.execute(sql)

    return attack


def rewrite(new_seal=None):
    """Changes entry 7, and all that follows from it but the seal: tree, head."""

    def attack(db):
        db.execute("UPDATE log_rows SET n = 4711 WHERE id = 7")
        lines = [rbt.value(db, "SELECT value FROM log_meta WHERE key = 'genesis'").encode()]
        lines += map(leaf, rbt.rows(db, "SELECT * FROM log_rows ORDER BY id"))
        hashes = list(map(independent.leaf_hash, lines))
        last = rbt.value(db, "SELECT max(recorded_at) FROM log_rows")
        head = struct.pack("<Qq", len(hashes), last) + b"".join(independent.frontier(hashes))
        db.execute("DELETE FROM log_tree")
        db.execute("INSERT INTO log_tree VALUES(0, ?)", (b"".join(hashes),))
        db.execute("UPDATE log_meta SET value = ? WHERE key = 'head'", (head,))
        if new_seal:
            db.execute("UPDATE log_meta SET value = ? WHERE key = 'seal'", (new_seal,))

    return quietly(attack)


def findings(db, *arguments):
    marks = ", ".join("?" * (1 + len(arguments)))
    return rbt.rows(
        db,
        f"SELECT kind, id, detail FROM audit_verify({marks}) WHERE level = 'error'",
        "log",
        *arguments,
    )


def apply(path, attack, extension=False):
    """Runs the attack on a connection of its own."""
    db = rbt.connect(path, extension)
    for step in attack if isinstance(attack, list) else [attack]:
        db.execute(step).fetchall() if isinstance(step, str) else step(db)
    db.close()
