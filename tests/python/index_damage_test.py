# SPDX-License-Identifier: MIT
"""Damage in the file below the rows: what the indexes of a log and the way to a row by its id tell must be what
the rows tell, or audit_verify says so. Pages are edited as sqlite.org/fileformat2.html §1.6 gives them."""

import random
import sqlite3
import struct

import rbt
from attacks import fill, findings, make

COUNT = 600
FLIPS = 250


class Pages:
    """The file of a database, edited by the page; numbers start at 1."""

    def __init__(self, path, size=4096):
        self.bytes, self.size = bytearray(path.read_bytes()), size

    def at(self, page):
        return (page - 1) * self.size

    def kind(self, page):
        return self.bytes[self.at(page)]

    def cells(self, page):
        """Where the pointer array of a page begins, and how many cells it has."""
        start = self.at(page)
        inner = self.kind(page) in (2, 5)
        return start + (12 if inner else 8), struct.unpack_from(">H", self.bytes, start + 3)[0]

    def cell(self, page, number):
        array, _ = self.cells(page)
        return self.at(page) + struct.unpack_from(">H", self.bytes, array + 2 * number)[0]

    def children(self, page):
        """The pages below an interior page, and in the end the pages below those."""
        if self.kind(page) not in (2, 5):
            return []
        _, count = self.cells(page)
        below = [struct.unpack_from(">I", self.bytes, self.cell(page, i))[0] for i in range(count)]
        below.append(struct.unpack_from(">I", self.bytes, self.at(page) + 8)[0])
        return below + [lower for child in below for lower in self.children(child)]


def root(db, name):
    return rbt.value(db, "SELECT rootpage FROM sqlite_schema WHERE name = ?", name)


def first_leaf(pages, page):
    return next(child for child in [page] + pages.children(page) if pages.kind(child) in (10, 13))


def swap_cells(pages, page):
    """Two neighbours of an index change places: all is there, but a search misses one."""
    array, _ = pages.cells(page)
    a, b = pages.bytes[array : array + 2], pages.bytes[array + 2 : array + 4]
    pages.bytes[array : array + 4] = b + a


def double_cell(pages, page):
    """The second entry becomes another first."""
    array, _ = pages.cells(page)
    pages.bytes[array + 2 : array + 4] = pages.bytes[array : array + 2]


def drop_cell(pages, page):
    start = pages.at(page)
    struct.pack_into(">H", pages.bytes, start + 3, pages.cells(page)[1] - 1)


def lower_separator(pages, page):
    """The first separator of the rows' table goes down by one: a search no longer finds that row."""
    at = pages.cell(page, 0) + 4
    while pages.bytes[at] & 0x80:
        at += 1
    pages.bytes[at] -= 1  # the last byte of the varint


def damage(place, base):
    rows, index = root(base, "log_rows"), root(base, "log_rows_1")
    for name, edit, at, inner in (
        ("two entries of an index swapped", swap_cells, index, False),
        ("an entry twice in an index", double_cell, index, False),
        ("an entry gone from an index", drop_cell, index, False),
        ("two entries of an index's inner page swapped", swap_cells, index, True),
        ("a separator of the rows moved", lower_separator, rows, True),
    ):
        pages = Pages(place / "base.db")
        edit(pages, at if inner else first_leaf(pages, at))
        (place / "try.db").write_bytes(pages.bytes)
        db = rbt.connect(place / "try.db")
        kinds = {kind for kind, _, _ in findings(db)}
        rbt.ok("index" in kinds, f"{name}: told as a finding of kind index")
        db.close()


PATHS = (
    "SELECT t, id FROM log_rows INDEXED BY log_rows_1 ORDER BY t, id",
    "SELECT id, recorded_at, t, n, r FROM log_rows NOT INDEXED ORDER BY id",
)


def answers(path):
    """All that a reader can be told: by a scan, through the index, and by a search for each key."""
    db = rbt.connect(path, False)
    try:
        told = [rbt.rows(db, sql) for sql in PATHS]
        for i in range(1, COUNT + 1):
            told.append(rbt.rows(db, "SELECT r FROM log_rows WHERE id = ?", i))
            told.append(rbt.rows(db, "SELECT id FROM log_rows WHERE t = ?", f"needle-{i:04}"))
        return told
    except sqlite3.Error as error:
        return error
    finally:
        db.close()


def flips(place, base):
    """Where a changed byte changes any answer, audit_verify is not content."""
    rng = random.Random(4)
    want = answers(place / "base.db")
    original = Pages(place / "base.db")
    of_the_rows = [
        page
        for name in ("log_rows", "log_rows_1")
        for page in [root(base, name)] + original.children(root(base, name))
    ]
    missed, told = [], 0
    for _ in range(FLIPS):
        pages = Pages(place / "base.db")
        page = rng.choice(of_the_rows)
        array, count = pages.cells(page)
        header = rng.random() < 0.5
        at = rng.randrange(pages.at(page), array + 2 * count if header else pages.at(page + 1))
        pages.bytes[at] ^= 1 << rng.randrange(8)
        (place / "try.db").write_bytes(pages.bytes)
        db = rbt.connect(place / "try.db")
        try:
            content = not any(
                level != "info"
                for level in rbt.rows(db, "SELECT level FROM audit_verify('log') WHERE level = 'error'")
            )
        except sqlite3.Error:
            content = False
        db.close()
        told += not content
        if content and answers(place / "try.db") != want:
            missed.append(at)
    rbt.equal(missed, [], "no flipped bit that changes an answer goes unnoticed")
    rbt.ok(told > FLIPS // 4, "and many are told")
    rbt.note(f"{told} of {FLIPS} told")


def plans(place):
    """The comparison must read the index itself, and search for ids downwards."""
    db = rbt.connect(place / "base.db")
    seen = []
    db.set_trace_callback(seen.append)
    rbt.value(db, "SELECT audit_verify('log')")
    db.set_trace_callback(None)
    plan = {}
    for key, part in (
        ("index", "INDEXED BY"),
        ("rows", "NOT INDEXED WHERE rustybt_visit"),
        ("ids", "LEFT JOIN"),
    ):
        sql = [text.removeprefix("-- ") for text in seen if part in text]
        plan[key] = (
            [row[3] for row in rbt.rows(db, "EXPLAIN QUERY PLAN " + sql[0].replace("?1", "NULL"))]
            if sql
            else None
        )
    rbt.equal(
        plan["index"],
        ["SCAN main.log_rows USING COVERING INDEX log_rows_1"],
        "an index is read alone, unsorted",
    )
    rbt.equal(plan["rows"], ["SCAN main.log_rows"], "the rows are read from their table, unsorted")
    rbt.ok(
        plan["ids"] is not None
        and len(plan["ids"]) == 2
        and plan["ids"][0].startswith("SCAN ")
        and "INDEX" not in plan["ids"][0]
        and "USING INTEGER PRIMARY KEY (rowid=?)" in plan["ids"][1],
        "each id is looked up, unsorted",
    )
    rbt.note(plan)
    rbt.ok(not any("integrity_check" in text for text in seen), "an intact log needs no integrity_check")
    rbt.refuses(
        db, "SELECT rustybt_visit(1, 2)", "rustybt_visit: is not for use in SQL", "the visitor is not for SQL"
    )
    rbt.refuses(db, "SELECT rustybt_visit()", "rustybt_visit: is not for use in SQL", "nor without arguments")
    db.close()


def wide(place):
    """More columns than a function takes arguments."""
    names = [f"c{i}" for i in range(300)]
    db = rbt.connect(place / "wide.db")
    db.execute(
        f"CREATE VIRTUAL TABLE log USING audit_log({', '.join(n + ' INTEGER' for n in names)}, "
        f"INDEX(c1), INDEX({', '.join(names[:130])}))"
    )
    for i in range(3):
        db.execute(f"INSERT INTO log(c1, c2) VALUES({7 - i}, {i})")
    rbt.ok(
        rbt.value(db, "SELECT audit_verify('log')").startswith("log: 3 entries"), "300 columns are verified"
    )
    db.close()
    plain = rbt.connect(place / "wide.db", False)
    plain.execute("PRAGMA writable_schema = ON")
    plain.execute("DROP TRIGGER log_rows_update")
    plain.execute("UPDATE log_rows SET c250 = 1 WHERE id = 2")
    plain.close()
    db = rbt.connect(place / "wide.db")
    rbt.ok(("changed", 2) in {(kind, number) for kind, number, _ in findings(db)}, "and a change is named")
    db.close()


def utf16(place):
    """In UTF-16 the order of texts is another: integrity_check compares."""
    db = rbt.connect(place / "utf16.db")
    db.execute("PRAGMA encoding = 'UTF-16le'")
    db.execute("CREATE VIRTUAL TABLE log USING audit_log(t TEXT, INDEX(t))")
    for text in ("\uffed", "\U0001f600", "\u0100", "z"):
        db.execute("INSERT INTO log(t) VALUES(?)", (text,))
    rbt.ok(
        rbt.value(db, "SELECT audit_verify('log')").startswith("log: 4 entries"),
        "a database of UTF-16 is intact",
    )
    db.close()


def foreign_check(place):
    """A CHECK of a file that somebody sends may call what SQLite would not let it call."""
    calls = []
    db = rbt.connect(place / "foreign.db")
    db.create_function("f", 1, lambda value: calls.append(value) or 1)
    db.execute("CREATE VIRTUAL TABLE log USING audit_log(t TEXT CHECK(f(t)))")
    db.execute("INSERT INTO log(t) VALUES('x')")
    db.execute("PRAGMA trusted_schema = OFF")
    calls.clear()
    try:
        db.execute("PRAGMA integrity_check(log_rows)").fetchall()
    except sqlite3.OperationalError as error:
        rbt.note(error)
    by_sqlite = len(calls)
    calls.clear()
    found = [kind for kind, _, _ in findings(db)]
    rbt.equal(len(calls), by_sqlite, "a CHECK calls no function that SQLite keeps from it")
    rbt.equal(found, [] if by_sqlite else ["index"], "what cannot be checked is told")
    db.close()


rbt.plan(18)
with rbt.folder() as place, rbt.environment(
    RUSTYBT_ENCRYPTION_KEY="AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
):
    log = make(place / "base.db")
    fill(log, 1, COUNT)
    log.close()
    base = rbt.connect(place / "base.db", False)
    damage(place, base)
    flips(place, base)
    plans(place)
    wide(place)
    utf16(place)
    foreign_check(place)
    base.close()
rbt.done()
