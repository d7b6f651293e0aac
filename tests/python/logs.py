# SPDX-License-Identifier: MIT
"""What tests of logs share: a log called `log` with a column n, and whether it holds what it should."""

import sqlite3

import rbt


def quote(name):
    return '"%s"' % name.replace('"', '""')


def verified(db, log="log"):
    """The findings of level error: [] when intact."""
    return rbt.rows(db, "SELECT kind, id, detail FROM audit_verify(?) WHERE level <> 'info'", log)


def entries(db, log="log"):
    return rbt.rows(db, f"SELECT id, n FROM {log} ORDER BY id")


def holds(db, numbers, name, log="log"):
    """One check: the log's n are these, ids without a gap, and it verifies."""
    got, problems = entries(db, quote(log)), verified(db, log)
    good = got == list(enumerate(numbers, 1)) and not problems
    rbt.ok(good, name)
    if not good:
        rbt.note(f"entries {got}\nexpected {numbers}\nproblems {problems}")


def attempt(db, sql, *parameters):
    """The error's text, or None."""
    try:
        db.execute(sql, parameters).fetchall()
    except sqlite3.Error as error:
        return str(error)
    return None


def fresh(place, name, options="", prepare=()):
    db = rbt.connect(place / name)
    for statement in prepare:
        db.execute(statement).fetchall()
    db.execute(
        f"CREATE VIRTUAL TABLE log USING audit_log(n INTEGER NOT NULL CHECK(n < 1000){options})"
    )
    return db
