# SPDX-License-Identifier: MIT
"""Attacks on segments, and on what the log remembers of them: archive_verify and audit_verify find each,
queries over the damaged data fail rather than give fewer rows, and audit_prune deletes nothing."""

import os
import shutil
import sqlite3
import struct

import independent
import rbt

FIRST, SECOND = "log-000000000000-000000000300.jsonl.zst", "log-000000000301-000000000600.jsonl.zst"


def make(place, key=independent.KEY):
    """cold.db: 600 entries pruned in two segments, 100 hot. archived.db: the same before the prune."""
    place.mkdir()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=key):
        db = rbt.connect(place / "cold.db")
        db.execute(
            "CREATE VIRTUAL TABLE log USING audit_log(t TEXT, n INTEGER, INDEX(n), origin='example.com/log', "
            "archive='cold', retain='7 years')"
        )
        for last in (300, 600, 700):
            db.execute("BEGIN")
            first = rbt.value(db, "SELECT count(*) FROM log") + 1
            for i in range(first, last + 1):
                db.execute("INSERT INTO log(t, n) VALUES(?, ?)", (f"t{i % 7}", i))
            db.execute("COMMIT")
            if last < 700:
                db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
        db.execute("VACUUM INTO ?", (str(place / "archived.db"),))
        db.execute("SELECT audit_prune('log')").fetchall()
        db.close()


def findings(db):
    return rbt.rows(db, "SELECT kind, id, detail FROM audit_verify('log') WHERE level = 'error'")


def attempt(db, sql, *parameters):
    """(error, None) or (None, rows)."""
    try:
        return None, db.execute(sql, parameters).fetchall()
    except sqlite3.Error as error:
        return str(error), None


class Place:
    """A fresh copy of the databases and their segments."""

    def __init__(self, base, folder):
        self.folder = folder / "try"
        if self.folder.exists():
            shutil.rmtree(self.folder)
        shutil.copytree(base, self.folder)
        self.first, self.second = (self.folder / "cold" / name for name in (FIRST, SECOND))

    def judge(self, label, segment, want=None, intact=False):
        """Four checks: both verifications, queries, a prune. want: a kind that audit_verify must give; intact:
        the file is a good segment, but not the one that belongs there."""
        path = str(segment)
        db = rbt.connect(self.folder / "cold.db")
        error, problems = attempt(
            db, "SELECT kind FROM archive_verify(?) WHERE level = 'error'", path
        )
        rbt.equal(
            bool(error or problems),
            not intact,
            f"{label}: archive_verify finds {'nothing' if intact else 'it'}",
        )
        error, problems = None, findings(db)
        good = problems and (want is None or want in {kind for kind, _, _ in problems})
        rbt.ok(good, f"{label}: audit_verify finds it")
        if not good:
            rbt.note(f"{error} {problems}")
        answers = [
            attempt(db, sql)
            for sql in (
                "SELECT count(n), sum(n), count(t) FROM log",
                "SELECT t, n FROM log WHERE n = 77 OR n = 455",
                "SELECT id FROM log WHERE id > 580 ORDER BY id DESC",
                "SELECT min(t), max(t) FROM log WHERE id < 20",
            )
        ]
        right = [
            [(700, 245350, 700)],
            [("t0", 77), ("t0", 455)],
            [(i,) for i in range(700, 580, -1)],
            [("t0", "t6")],
        ]
        # a query that never opens the damaged file gives its rows; none gives fewer
        rows = [got for _, got in answers]
        rbt.ok(
            rows[0] is None and all(got in (None, want) for got, want in zip(rows, right)),
            f"{label}: no query gives fewer rows",
        )
        db.close()
        db = rbt.connect(self.folder / "archived.db")
        error, _ = attempt(db, "SELECT audit_prune('log')")
        left = rbt.value(db, "SELECT count(*) FROM log_rows")
        # an intact first segment is pruned before the second is found damaged
        rbt.ok(
            error and left in ((700,) if segment == self.first else (700, 400)),
            f"{label}: nothing of it is pruned",
        )
        if not error:
            rbt.note(f"{left} rows left")
        db.close()


def truncated(base, folder):
    parts = independent.regions(base / "cold" / SECOND)
    for name, start, end in parts:
        for cut, where in ((start, "before"), ((start + end) // 2, "inside")):
            place = Place(base, folder)
            os.truncate(place.second, cut)
            place.judge(f"cut {where} {name}", place.second)


def flipped(base, folder):
    """A byte in each region, at its start, middle and end."""
    parts = independent.regions(base / "cold" / FIRST)
    for name, start, end in parts:
        for at in sorted({start, (start + end) // 2, end - 1}):
            place = Place(base, folder)
            data = bytearray(place.first.read_bytes())
            data[at] ^= 0x10
            place.first.write_bytes(data)
            place.judge(f"{name} flipped at {at - start}", place.first)


def every_byte(base, folder):
    """archive_verify alone, over every byte of a file."""
    place = Place(base, folder)
    data = place.second.read_bytes()
    db = rbt.connect()
    missed = []
    # one bit of each byte; of the seek table's last entry and footer every bit
    flips = [
        (at, 1 << bit)
        for at in range(len(data))
        for bit in (range(8) if at >= len(data) - 21 else [at % 8])
    ]
    with open(place.second, "r+b", buffering=0) as file:
        for at, bit in flips:
            file.seek(at)
            file.write(bytes([data[at] ^ bit]))
            error, problems = attempt(
                db, "SELECT kind FROM archive_verify(?) WHERE level = 'error'", str(place.second)
            )
            if not error and not problems:
                missed.append((at, bit))
            file.seek(at)
            file.write(data[at : at + 1])
    rbt.equal(missed, [], f"a bit flipped in any of {len(data)} bytes is found")
    rbt.equal(
        attempt(db, "SELECT kind FROM archive_verify(?)", str(place.second)),
        (None, [("verified",)]),
        "and the file as it was is intact",
    )
    db.close()


def replaced(base, other, stranger, folder):
    """Other things at the segment's path."""

    def case(label, change, want=None, intact=False):
        place = Place(base, folder)
        os.chmod(place.second, 0o600)
        change(place)
        place.judge(label, place.second, want, intact)

    def swap(place, source):
        place.second.unlink()
        shutil.copy(source, place.second)

    case("missing", lambda place: place.second.unlink(), "segment")
    case("empty", lambda place: os.truncate(place.second, 0))
    case("the segment before it", lambda place: swap(place, place.first), "segment", True)
    case(
        "another log's segment", lambda place: swap(place, other / "cold" / SECOND), "segment", True
    )
    case(
        "signed by a key that is not trusted",
        lambda place: swap(place, stranger / "cold" / SECOND),
        "untrusted",
    )
    case("a text file", lambda place: place.second.write_text("hello\n" * 100))
    case(
        "zstd without a manifest",
        lambda place: place.second.write_bytes(independent.Segment(place.first).data),
    )
    case(
        "bytes after the end",
        lambda place: place.second.write_bytes(place.second.read_bytes() + b"\0"),
    )
    case("twice itself", lambda place: place.second.write_bytes(place.second.read_bytes() * 2))
    case(
        "a skippable frame behind",
        lambda place: place.second.write_bytes(
            place.second.read_bytes() + struct.pack("<II", 0x184D2A50, 4) + b"abcd"
        ),
    )
    case(
        "a skippable frame in front",
        lambda place: place.second.write_bytes(
            struct.pack("<II", 0x184D2A50, 4) + b"abcd" + place.second.read_bytes()
        ),
    )
    case("a directory", lambda place: (place.second.unlink(), place.second.mkdir()))
    case("a FIFO", lambda place: (place.second.unlink(), os.mkfifo(place.second)))
    case(
        "a dangling symlink",
        lambda place: (place.second.unlink(), place.second.symlink_to("nowhere")),
        "segment",
    )
    case(
        "a symlink to a device",
        lambda place: (place.second.unlink(), place.second.symlink_to("/dev/zero")),
    )


def harmless(base, folder):
    """What does not change the content is no attack."""
    place = Place(base, folder)
    db = rbt.connect(place.folder / "cold.db")
    db.execute("DELETE FROM log_meta WHERE key = 'genesis_path'")
    rbt.equal(findings(db), [], "the hashes beside the genesis can be had from its segment again")
    db.close()
    place = Place(base, folder)
    place.second.rename(place.folder / "moved")
    place.second.symlink_to("../moved")
    db = rbt.connect(place.folder / "cold.db")
    rbt.equal(
        (findings(db), rbt.value(db, "SELECT count(n) FROM log")),
        ([], 700),
        "a symlink to the segment serves as well",
    )
    (place.folder / "cold").rename(place.folder / "elsewhere")
    error, _ = attempt(db, "SELECT count(n) FROM log")
    rbt.ok(error, "a folder that is gone is an error")
    with rbt.environment(RUSTYBT_ARCHIVE_DIR=str(place.folder / "elsewhere")):
        rbt.equal(
            rbt.value(db, "SELECT count(n) FROM log"), 700, "RUSTYBT_ARCHIVE_DIR says where it is"
        )
    rbt.equal(
        attempt(db, "SELECT count(n) FROM log WHERE id > 650"),
        (None, [(50,)]),
        "hot entries can be read without it",
    )
    db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=None):
        place = Place(base, folder)
        db = rbt.connect(place.folder / "cold.db")
        error, _ = attempt(db, "SELECT count(n) FROM log")
        rbt.ok(
            error and "there is no key to trust" in error,
            "without any key cold entries are not believed",
        )
        vkey = ""
        with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY):
            other = rbt.connect(place.folder / "cold.db")
            vkey = rbt.value(other, "SELECT audit_public_key('log')")
            other.close()
        with rbt.environment(RUSTYBT_VERIFY_KEYS=vkey):
            rbt.equal(
                rbt.value(db, "SELECT count(n) FROM log"),
                700,
                "RUSTYBT_VERIFY_KEYS alone lets them be read",
            )
        db.close()


def edit_genesis(old, new):
    return [("UPDATE log_meta SET value = replace(value, ?, ?) WHERE key = 'genesis'", (old, new))]


def edit_schema(old, new):
    return [
        "PRAGMA writable_schema=ON",
        ("UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = 'log'", (old, new)),
    ]


def records(base, folder):
    """Edits of <log>_segments and of _meta, _tree of a pruned log."""
    attacks = {
        "a record's last id": (
            "UPDATE log_segments SET last_id = 299 WHERE first_id = 0",
            {("segment", 0)},
        ),
        "a record's first id": (
            "UPDATE log_segments SET first_id = 302 WHERE first_id = 301",
            {("segment", 301)},
        ),
        "a record's file": (
            f"UPDATE log_segments SET file = '{FIRST}' WHERE first_id = 301",
            {("segment", 301)},
        ),
        "a record's file with a path": (
            f"UPDATE log_segments SET file = '../cold/{SECOND}' WHERE first_id = 301",
            {("segment", 301)},
        ),
        "a record's directory": (
            "UPDATE log_segments SET directory = 'cold2' WHERE first_id = 301",
            {("segment", 301)},
        ),
        "a record's root": (
            "UPDATE log_segments SET root = zeroblob(32) WHERE first_id = 301",
            {("segment", 301)},
        ),
        "a record's manifest": (
            "UPDATE log_segments SET manifest_sha256 = zeroblob(32) WHERE first_id = 0",
            {("segment", 0)},
        ),
        "a record's rows": (
            "UPDATE log_segments SET rows = 5 WHERE first_id = 0",
            {("segment", 0)},
        ),
        "a record's sizes": (
            "UPDATE log_segments SET raw_bytes = raw_bytes + 1 WHERE first_id = 0",
            {("segment", 0)},
        ),
        "a record's expiry": (
            "UPDATE log_segments SET expires_us = 1 WHERE first_id = 0",
            {("segment", 0)},
        ),
        "a record's expiry deleted": (
            "UPDATE log_segments SET expires_us = NULL WHERE first_id = 0",
            {("segment", 0)},
        ),
        "a record's status": (
            "UPDATE log_segments SET status = 'gone' WHERE first_id = 301",
            {("segment", 301)},
        ),
        "a record back to planned": (
            "UPDATE log_segments SET status = 'planned' WHERE first_id = 301",
            {("segment", 301)},
        ),
        "a record deleted": ("DELETE FROM log_segments WHERE first_id = 0", {("segment", 0)}),
        "the last record deleted": (
            "DELETE FROM log_segments WHERE first_id = 301",
            {("segment", 600)},
        ),
        "all records deleted": ("DELETE FROM log_segments", {("segment", 600)}),
        "a plan in the wrong place": (
            "INSERT INTO log_segments(first_id, last_id, directory, file, status) "
            "VALUES(650, 660, 'cold', 'x', 'planned')",
            {("segment", 650)},
        ),
        "pruned_to lowered": (
            "UPDATE log_meta SET value = 599 WHERE key = 'pruned_to'",
            {("missing", 600)},
        ),
        "pruned_to raised": (
            "UPDATE log_meta SET value = 601 WHERE key = 'pruned_to'",
            {("inserted", 601)},
        ),
        "archived_to raised": (
            "UPDATE log_meta SET value = 650 WHERE key = 'archived_to'",
            {("segment", 650)},
        ),
        "archived_to lowered": (
            "UPDATE log_meta SET value = 300 WHERE key = 'archived_to'",
            {("segment", 300)},
        ),
        "the genesis' time": (edit_genesis('recorded_at":1', 'recorded_at":2'), {("changed", 0)}),
        "the genesis' origin": (
            edit_genesis('"origin":"example.com', '"origin":"example.org'),
            {("changed", 0)},
        ),
        "the path beside the genesis": (
            "UPDATE log_meta SET value = zeroblob(256) WHERE key = 'genesis_path'",
            {("changed", 0)},
        ),
        "an upper hash of the tree": (
            "UPDATE log_tree SET hashes = zeroblob(32) WHERE node = 1 << 56",
            {("tree", None)},
        ),
        "the tree's hot hashes": (
            "UPDATE log_tree SET hashes = zeroblob(length(hashes)) WHERE node = 601",
            {("tree", 601)},
        ),
        "a pruned row put back": (
            ["DROP TRIGGER log_rows_insert", "INSERT INTO log_rows VALUES(5, 1, 'x', 1)"],
            {("inserted", 5)},
        ),
        "the genesis unsealed": (
            edit_genesis('"sealed":true', '"sealed":false'),
            {("declaration", 0), ("changed", 0)},
        ),
        "declaration and genesis edited alike": (
            edit_genesis("7 years", "7 days") + edit_schema("7 years", "7 days"),
            {("changed", 0)},
        ),
        "declaration and genesis unsealed alike": (
            edit_genesis('"sealed":true', '"sealed":false')
            + edit_genesis("\"retain='7 years'\"", '"retain=\'7 years\'","seal=no"')
            + edit_schema("'7 years'", "'7 years', seal=no"),
            {("changed", 0)},
        ),
    }
    for name, (statements, want) in attacks.items():
        place = Place(base, folder)
        db = rbt.connect(place.folder / "cold.db", extension=False)
        for statement in [statements] if isinstance(statements, str) else statements:
            db.execute(*statement) if isinstance(statement, tuple) else db.execute(statement)
        db.close()
        db = rbt.connect(place.folder / "cold.db")
        got = findings(db)
        good = want <= {(kind, number) for kind, number, _ in got}
        rbt.ok(good, f"found: {name}")
        if not good:
            rbt.note(f"want {want}\n got {got[:5]}")
        error, rows = attempt(db, "SELECT count(n), sum(n) FROM log")
        # with pruned_to lowered to 599 nothing tells a reader of entry 600; verification does
        rbt.ok(
            error or rows[0][0] >= (699 if name == "pruned_to lowered" else 700),
            f"{name}: no query gives fewer rows",
        )
        db.close()


def main():
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as folder:
        make(folder / "base")
        make(folder / "other")
        make(folder / "stranger", independent.OTHER_KEY)
        first = independent.regions(folder / "base" / "cold" / FIRST)
        second = independent.regions(folder / "base" / "cold" / SECOND)
        flips = sum(len({start, (start + end) // 2, end - 1}) for _, start, end in first)
        rbt.plan(4 * (2 * len(second) + flips + 15) + 2 * 30 + 2 + 7)
        truncated(folder / "base", folder)
        flipped(folder / "base", folder)
        replaced(folder / "base", folder / "other", folder / "stranger", folder)
        records(folder / "base", folder)
        harmless(folder / "base", folder)
        every_byte(folder / "base", folder)
    rbt.done()


main()
