# SPDX-License-Identifier: MIT
"""PRAGMA integrity_check and quick_check of a log, from SQLite 3.44 on. An older one does not ask the module:
there these checks say that it says nothing."""

import sqlite3

import independent
import rbt
from attacks import apply, fill, make, quietly, rewrite

COUNT = 300  # over one tile of the tree
ASKS = sqlite3.sqlite_version_info >= (3, 44, 0)

# attack, lines of integrity_check that begin and end so, whether quick_check tells it, too
ATTACKS = {
    "a row changed": (
        quietly("UPDATE log_rows SET n = 5 WHERE id = 42"),
        ("main.log: entry 42 was changed after it was logged", "[changed, id 42]"),
        False,
    ),
    "a row deleted": (
        quietly("DELETE FROM log_rows WHERE id = 50"),
        ("main.log: entry 50 is missing", "[missing, id 50]"),
        False,
    ),
    "the first rows deleted": (
        quietly("DELETE FROM log_rows WHERE id < 5"),
        ("main.log: entries 1 to 4 are missing", "[missing, id 1]"),
        True,
    ),
    "the last rows deleted": (
        quietly("DELETE FROM log_rows WHERE id > 290"),
        ("main.log: entries 291 to 300 are missing", "[missing, id 291]"),
        True,
    ),
    "all rows deleted": (
        quietly("DELETE FROM log_rows"),
        ("main.log: entries 1 to 300 are missing", "[missing, id 1]"),
        True,
    ),
    "a row inserted": (
        quietly("INSERT INTO log_rows(id, recorded_at) VALUES(301, 1)"),
        ("main.log: row 301 was not written by the log", "[inserted, id 301]"),
        True,
    ),
    "a row before the first": (
        quietly("INSERT INTO log_rows(id, recorded_at) VALUES(0, 1)"),
        ("main.log: row 0 was not written by the log", "[inserted, id 0]"),
        True,
    ),
    "all hashed anew without the key": (
        rewrite(),
        ("main.log: the seal does not fit", "[seal]"),
        True,
    ),
    "a trigger dropped": (
        ["DROP TRIGGER log_rows_update"],
        ("main.log: trigger log_rows_update is missing", "[schema]"),
        True,
    ),
    "a foreign trigger": (
        ["CREATE TRIGGER x AFTER INSERT ON log_rows BEGIN SELECT 1; END"],
        ('main.log: trigger "x" in schema main', "[foreign]"),
        True,
    ),
    "the tree dropped": (["DROP TABLE log_tree"], ("main.log: table log_tree", "[schema]"), True),
    "the meta table dropped": (
        ["DROP TABLE log_meta"],
        ("main.log: table log_meta is missing", "[schema]"),
        True,
    ),
    "the meta table emptied": (["DELETE FROM log_meta"], ("main.log: ", "[damaged]"), True),
    "the rows' table dropped": (
        ["DROP TABLE log_rows"],
        ("main.log: table log_rows is missing", "[schema]"),
        True,
    ),
    "many rows changed": (
        quietly("UPDATE log_rows SET n = 5 WHERE id <= 250"),
        ("main.log: and 149 more problems", "audit_verify('log')"),
        False,
    ),
}


def check(db, pragma="integrity_check"):
    """All lines of it; the error, should there be one."""
    try:
        return [line for (text,) in db.execute(f"PRAGMA {pragma}") for line in text.split("\n")]
    except sqlite3.Error as error:
        return [f"error: {error}"]


def holds(lines, want):
    return any(line.startswith(want[0]) and line.endswith(want[1]) for line in lines)


def right(lines, want):
    return holds(lines, want) if ASKS else lines == ["ok"]


def damage(place):
    for name, (attack, want, quick) in ATTACKS.items():
        path = place / "try.db"
        path.write_bytes((place / "base.db").read_bytes())
        apply(path, attack)
        db = rbt.connect(path)
        lines = check(db)
        rbt.ok(right(lines, want), f"integrity_check: {name}")
        if not right(lines, want):
            rbt.note(lines[:5])
        lines = check(db, "quick_check")
        good = right(lines, want) if quick else lines == ["ok"]
        rbt.ok(good, f"quick_check {'tells it' if quick else 'looks at no entry'}")
        if not good:
            rbt.note(lines[:5])
        db.close()


def intact(place):
    db = rbt.connect(place / "base.db")
    rbt.equal(check(db), ["ok"], "an intact log is ok")
    rbt.equal(check(db, "quick_check"), ["ok"], "for quick_check, too")
    rbt.equal(check(db, "integrity_check('log')"), ["ok"], "and asked for by name")
    db.execute("BEGIN")
    db.execute("INSERT INTO log(n) VALUES(1)")
    rbt.equal(check(db), ["ok"], "inside a transaction that has appended")
    db.execute("INSERT INTO log(n) VALUES(1)")
    db.execute("COMMIT")
    rbt.equal(rbt.value(db, "SELECT max(id) FROM log"), COUNT + 2, "which goes on")
    db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
    db.execute("SELECT audit_prune('log')").fetchall()
    rbt.equal(check(db), ["ok"], "a pruned log is ok")
    db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=None):
        db = rbt.connect(place / "base.db")
        rbt.equal(check(db), ["ok"], "to have no key is no damage")
        rbt.ok(
            rbt.rows(db, "SELECT * FROM audit_verify('log') WHERE kind = 'untrusted'"),
            "that nothing vouches for the log, audit_verify says",
        )
        db.close()
    for file in (place / "cold").glob("log-*"):
        file.rename(file.with_suffix(".away"))
    db = rbt.connect(place / "base.db")
    rbt.ok(right(check(db), ("main.log: ", "[segment, id 0]")), "a segment that is gone")
    rbt.equal(check(db, "quick_check"), ["ok"], "is no matter of quick_check, which opens no file")
    db.close()


def attached(place):
    apply(place / "other.db", quietly("UPDATE log_rows SET n = 5 WHERE id = 2"))
    db = rbt.connect(":memory:")
    db.execute("ATTACH ? AS other", (str(place / "other.db"),))
    want = ("other.log: entry 2 was changed", "[changed, id 2]")
    rbt.ok(right(check(db), want), "a log in an attached database is named with its schema")
    db.close()


def main():
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        rbt.plan(2 * len(ATTACKS) + 10 + 1)
        for name, count in (("base.db", COUNT), ("other.db", 5)):
            db = make(place / name)
            fill(db, 1, count)
            db.close()
        damage(place)
        intact(place)
        attached(place)
    rbt.done()


main()
