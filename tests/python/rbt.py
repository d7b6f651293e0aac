# SPDX-License-Identifier: MIT
"""TAP and connections for the Python tests.

    import rbt
    rbt.plan(2)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=key), rbt.folder() as place:
        db = rbt.connect(place / "test.db")
        rbt.equal(rbt.value(db, "SELECT decrypt(encrypt(?))", 5), 5, "a number comes back")
        rbt.refuses(db, "SELECT decrypt(x'00')", "decrypt: …", "a stump is refused")
    rbt.done()

tests/run sets the variables that this module reads, and removes every RUSTYBT_* one.
"""

import contextlib
import os
import pathlib
import sqlite3
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXTENSION = os.environ.get("TEST_EXTENSION", str(ROOT / "build" / "rustybt"))
GOLDEN = ROOT / "tests" / "golden"

_planned = _count = _failed = 0


def plan(count):
    """Announces the number of checks."""
    global _planned
    wanted = os.environ.get("TEST_SQLITE_VERSION", sqlite3.sqlite_version)
    if wanted != sqlite3.sqlite_version:
        print(f"Bail out! this should run on SQLite {wanted}, but is {sqlite3.sqlite_version}")
        sys.exit(2)
    _planned = count
    print(f"1..{count}\n# SQLite {sqlite3.sqlite_version}", flush=True)


def skip_all(reason):
    """Ends the test without a check; instead of plan()."""
    print(f"1..0 # SKIP {reason}")
    sys.exit(0)


def skip(count, reason):
    """Counts that many checks as skipped."""
    global _count
    for _ in range(count):
        _count += 1
        print(f"ok {_count} # SKIP {reason}", flush=True)


def ok(condition, name):
    """One check: passes when condition is true."""
    global _count, _failed
    _count += 1
    if not condition:
        _failed += 1
    print(f"{'' if condition else 'not '}ok {_count} - {name}", flush=True)
    return bool(condition)


def note(text):
    """A line for people."""
    for line in str(text).splitlines():
        print(f"# {line}", flush=True)


def equal(got, want, name):
    """One check: same value and same type (1, 1.0 and '1' differ)."""
    same = type(got) is type(want) and got == want
    ok(same, name)
    if not same:
        note(f" got: {got!r}\nwant: {want!r}")
    return same


def refuses(db, sql, message, name, *parameters):
    """One check: the statement fails with exactly this message."""
    try:
        got = f"no error but {db.execute(sql, parameters).fetchall()!r}"
    except sqlite3.Error as error:
        got = str(error)
    return equal(got, message, name)


def done():
    """Ends the test; the exit code tells."""
    if _count != _planned:
        note(f"planned {_planned} checks, ran {_count}")
    sys.exit(_failed != 0 or _count != _planned)


def connect(path=":memory:", extension=True):
    """A connection in autocommit (BEGIN is written where it is meant), with the extension or without."""
    db = sqlite3.connect(str(path), isolation_level=None, timeout=10)
    if extension:
        db.enable_load_extension(True)
        # load_extension() of Python has no message of its own to lose: SQLite's is raised
        db.load_extension(EXTENSION)
        db.enable_load_extension(False)
    return db


def rows(db, sql, *parameters):
    """All rows of a statement, as tuples."""
    return db.execute(sql, parameters).fetchall()


def value(db, sql, *parameters):
    """The first column of the first row."""
    return db.execute(sql, parameters).fetchone()[0]


@contextlib.contextmanager
def environment(**variables):
    """Sets environment variables (None removes one) for a while; SQLite's C code sees them."""
    before = {name: os.environ.get(name) for name in variables}
    _set_environment(variables)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(variables):
    for name, text in variables.items():
        if text is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = text


@contextlib.contextmanager
def folder():
    """A fresh folder (pathlib.Path), removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="rustybt-py-") as path:
        yield pathlib.Path(path)


def shared(name):
    """A file of ../shared beside the project, or None where that folder is not there."""
    path = ROOT.parent / "shared" / name
    return path if path.exists() else None
