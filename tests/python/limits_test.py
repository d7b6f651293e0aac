# SPDX-License-Identifier: MIT
"""What a log and its archive do at the edges: long entries, JSON's dark corners against Python's parser,
text that is no UTF-8, directories that are full or cannot be written."""

import json
import math
import os
import random
import sqlite3
import subprocess
from contextlib import contextmanager

import independent
import rbt


def attempt(db, sql, *parameters):
    try:
        db.execute(sql, parameters).fetchall()
    except sqlite3.Error as error:
        return str(error)
    return None


def problems(db):
    return rbt.rows(db, "SELECT kind, id, detail FROM audit_verify('log') WHERE level = 'error'")


def long_entries(place):
    """A line has at most 65,535 bytes."""
    db = rbt.connect(place / "long.db")
    db.execute("CREATE VIRTUAL TABLE log USING audit_log(t TEXT, b BLOB, d JSON, archive='cold')")
    db.execute("INSERT INTO log(t) VALUES('')")
    frame = len(rbt.value(db, "SELECT audit_leaf('log', 1)").encode())
    room = 65535 - frame
    db.execute("INSERT INTO log(t) VALUES(?)", ("x" * room,))
    rbt.equal(
        len(rbt.value(db, "SELECT audit_leaf('log', 2)")),
        65535,
        "an entry of 65,535 bytes is taken",
    )
    for label, sql, value in (
        ("one byte more", "t", "x" * (room + 1)),
        ("many more", "t", "x" * 10**7),
        ("control characters, six bytes each", "t", "\1" * (room // 6 + 1)),
        ("a BLOB whose base64 is too long", "b", bytes(50000)),
        ("a long document", "d", '["%s"]' % ("y" * room)),
    ):
        error = attempt(db, f"INSERT INTO log({sql}) VALUES(?)", value)
        rbt.ok(
            error and error.startswith("log: ") and "65535" in error.replace(",", ""),
            f"refused: {label}",
        )
        if not error or "65535" not in error.replace(",", ""):
            rbt.note(error)
    db.execute("INSERT INTO log(d) VALUES(?)", ("[%s1]" % (" " * 10**6),))
    rbt.equal(
        rbt.value(db, "SELECT d FROM log WHERE id = 3"),
        "[1]",
        "white space that is dropped does not count",
    )
    db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
    db.execute("SELECT audit_prune('log')").fetchall()
    rbt.equal(
        (problems(db), rbt.value(db, "SELECT length(t) FROM log WHERE id = 2")),
        ([], room),
        "the longest entry comes back from its segment",
    )
    db.close()


def strict_loads(text):
    """Python's parser made as strict as RFC 8259 and the log: raises ValueError."""

    def pairs(members):
        keys = [key for key, _ in members]
        if len(set(keys)) < len(keys):
            raise ValueError("a key twice")
        return dict(members)

    def refuse(name):
        raise ValueError(name)

    value = json.loads(text, object_pairs_hook=pairs, parse_constant=refuse)
    if not isinstance(value, (dict, list)):
        raise ValueError("neither object nor array")
    json.dumps(value, ensure_ascii=False).encode()  # lone surrogates
    return value


CORNERS = [
    "",
    " ",
    "null",
    "true",
    "1",
    '"x"',
    "{",
    "}",
    "[",
    "]",
    "[]",
    "{}",
    " [ ] ",
    "\t{\r\n}\n",
    "[1,]",
    "[,1]",
    "[1,,2]",
    '{"a":1,}',
    '{,"a":1}',
    '{"a" 1}',
    '{"a"::1}',
    "{a:1}",
    "{'a':1}",
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '{"a":{"b":1},"b":{"a":1}}',
    "[01]",
    "[1.]",
    "[.5]",
    "[-]",
    "[-0]",
    "[-01]",
    "[+1]",
    "[1e]",
    "[1e+]",
    "[1E+05]",
    "[0x10]",
    "[1_0]",
    "[NaN]",
    "[Infinity]",
    "[-Infinity]",
    "[nul]",
    "[True]",
    "[1 2]",
    '["a" "b"]',
    '["a\nb"]',
    '["\t"]',
    '["\x7f"]',
    '["\\x41"]',
    '["\\a"]',
    '["\\/"]',
    '["\\u12"]',
    '["\\u123g"]',
    '["\\ud800"]',
    '["\\udc00"]',
    '["\\ud83d\\ude00"]',
    '["\\ud83d\\u0041"]',
    '["\\ude00\\ud83d"]',
    '["\\u0000"]',
    "[1]x",
    "[1] ,",
    "[1][2]",
    "/* c */ []",
    "[] // c",
    "[1]\x00",
    "[\x00]",
    '["a\x00b"]',
    "\ufeff[]",
    "[\u00a0]",
    "[\u2028]",
    '["\u2028"]',
    "[1\x0b]",
    "[1\x0c]",
    "[" * 512 + "]" * 512,
    '{"":""}',
    '{" ":1,"":2}',
    '["\ud7ff\ue000\U0010ffff"]',
    "[123456789012345678901234567890]",
    "[1e400]",
    "[0.1e-400]",
    "[-0.0]",
    "[1.0E0]",
    '{"a":[{"b":[{}]}]}',
    "[[[[]]]",
    "[[]]]",
    '["]"]',
    '["\\""]',
    '["\\\\"]',
    '["\\"]',
    "[true,false,null]",
    '{"k":"\\u007b\\"}"}',
    '["\\b\\f\\n\\r\\t"]',
]


def documents(place):
    """The log takes what Python's parser takes and nothing else, and changes white space alone."""
    db = rbt.connect(place / "json.db")
    db.execute("CREATE VIRTUAL TABLE log USING audit_log(d JSON NOT NULL)")
    chance, texts = random.Random(8259), list(CORNERS)
    for _ in range(4000):  # one or two random edits of good and bad ones
        text = list(chance.choice(CORNERS))
        for _ in range(chance.randint(1, 2)):
            at = chance.randint(0, len(text))
            text[at : at + chance.randint(0, 1)] = chance.choice(
                [
                    '"',
                    "{",
                    "}",
                    "[",
                    "]",
                    ",",
                    ":",
                    "\\",
                    "u",
                    "1",
                    "-",
                    " ",
                    "e",
                    ".",
                    "0",
                    "\n",
                    "",
                    "a",
                    "\\ud800",
                    "é",
                ]
            )
        texts.append("".join(text))
    wrong, taken = [], 0
    db.execute("BEGIN")
    for text in texts:
        try:
            want = strict_loads(text)
        except (ValueError, RecursionError):
            want = None
        error = attempt(db, "INSERT INTO log(d) VALUES(?)", text)
        if (error is None) != (want is not None):
            wrong.append((text[:60], error))
        elif error is None:
            taken += 1
            stored = rbt.value(db, "SELECT d FROM log ORDER BY id DESC LIMIT 1")
            same = strict_loads(stored)
            if (
                repr(same) != repr(want)
                or len(stored) > len(text)
                or not math.isclose(len(stored), len(stored.strip()))
            ):
                wrong.append((text[:60], stored[:60]))
        elif not error.startswith("log: d: invalid JSON at byte ") and "must be" not in error:
            wrong.append((text[:60], error))
    db.execute("COMMIT")
    for case in wrong[:8]:
        rbt.note(repr(case))
    rbt.equal(wrong, [], f"{len(texts)} documents are judged as Python's parser judges them")
    rbt.note(f"{taken} taken")
    rbt.ok(150 < taken < len(texts) - 150, "many of them are good, many bad")
    rbt.equal(
        attempt(db, "INSERT INTO log(d) VALUES(?)", "[" * 512 + "]" * 512),
        None,
        "512 levels are taken",
    )
    rbt.ok(attempt(db, "INSERT INTO log(d) VALUES(?)", "[" * 513 + "]" * 513), "513 are not")
    rbt.equal(
        (problems(db), rbt.value(db, "SELECT count(*) FROM log")),
        ([], taken + 1),
        "and the log verifies",
    )
    db.close()


def bytes_that_are_no_text(place):
    """Invalid UTF-8, in TEXT and JSON columns and in function arguments."""
    for encoding in ("UTF-8", "UTF-16le"):
        db = rbt.connect(place / f"bytes-{encoding}.db")
        db.execute(f"PRAGMA encoding='{encoding}'")
        db.execute("CREATE VIRTUAL TABLE log USING audit_log(t TEXT, d JSON)")
        bad = (
            ["ff", "c080", "eda080", "f4908080", "c3", "e282", "8041", "41ff"]
            if encoding == "UTF-8"
            else ["00d8", "00dc4100"]
        )
        for text in bad:
            error = attempt(db, f"INSERT INTO log(t) VALUES(CAST(x'{text}' AS TEXT))")
            # SQLite itself repairs what cannot be converted from UTF-16
            rbt.ok(
                error and "must be valid UTF-8" in error or encoding != "UTF-8",
                f"{encoding}: text of bytes {text}",
            )
        if encoding != "UTF-8":
            for text in ("feff", "ffff"):  # SQLite would store U+FFFD
                for sql in (
                    "t) VALUES(CAST(x'{}' AS TEXT))",
                    "d) VALUES('[\"' || CAST(x'{}' AS TEXT) || '\"]')",
                ):
                    error = attempt(db, "INSERT INTO log(" + sql.format(text))
                    rbt.ok(
                        error
                        and "U+FFFE or U+FFFF, which a database of UTF-16le cannot keep" in error,
                        f"{encoding}: {text} would be stored as another character",
                    )
            db.execute("INSERT INTO log(t) VALUES(CAST(x'fffefdff' AS TEXT))")
        rbt.equal(problems(db), [], f"{encoding}: whatever was taken verifies")
        db.close()


@contextmanager
def small_disk(place, size):
    """A tmpfs of that size; skips where it cannot be mounted."""
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True
    )
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", place], check=True)


def directories(place):
    db = rbt.connect(place / "test.db")
    db.execute("CREATE VIRTUAL TABLE log USING audit_log(b BLOB, archive='cold')")
    db.execute("BEGIN")
    for _ in range(20):
        db.execute("INSERT INTO log(b) VALUES(randomblob(20000))")
    db.execute("COMMIT")
    with small_disk(place / "full", "64k") as mounted:
        if mounted:
            error = attempt(db, "SELECT audit_archive('log', ?, 'now')", str(place / "full"))
            rbt.ok(error and "No space left on device" in error, "a full disk is told as such")
            rbt.equal(
                sorted(os.listdir(place / "full")),
                [".rustybt-archive.lock"],
                "and nothing is left half written",
            )
            rbt.equal(
                rbt.rows(db, "SELECT status FROM audit_segments('log') WHERE status <> 'planned'"),
                [],
                "nor published",
            )
            rbt.equal(
                (problems(db), rbt.value(db, "SELECT count(b) FROM log")),
                ([], 20),
                "and the log is whole",
            )
        else:
            rbt.skip(4, "a tmpfs cannot be mounted here")
    with small_disk(place / "read-only", "1m") as mounted:
        if mounted:
            subprocess.run(["mount", "-o", "remount,ro", place / "read-only"], check=True)
            for name in ("", "/below"):
                error = attempt(
                    db, "SELECT audit_archive('log', ?, 'now')", str(place / "read-only") + name
                )
                rbt.ok(
                    error and "Read-only file system" in error,
                    f"a read-only file system is told as such{name}",
                )
        else:
            rbt.skip(2, "a tmpfs cannot be mounted here")
    if os.geteuid():
        (place / "locked").mkdir(mode=0o500)
        error = attempt(db, "SELECT audit_archive('log', ?, 'now')", str(place / "locked"))
        rbt.ok(
            error and "Permission denied" in error, "a folder without permission is told as such"
        )
    else:
        rbt.skip(1, "root may write everywhere")
    db.execute("INSERT INTO log(b) VALUES(x'')")
    report = rbt.value(db, "SELECT audit_archive('log', 'cold/deep/er', 'now')")
    rbt.ok(
        "archived 21 entries" in report,
        "later the same entries, and newer ones, go where there is room",
    )
    rbt.note(report)
    db.execute("SELECT audit_prune('log')").fetchall()
    rbt.equal(
        (problems(db), rbt.value(db, "SELECT count(b) FROM log")), ([], 21), "and all are there"
    )
    db.close()


def cutoffs(place):
    """The forms of `before`."""
    db = rbt.connect(place / "before.db")
    db.execute("CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, archive='before')")
    for n in range(6):
        db.execute("INSERT INTO log(n) VALUES(?)", (n,))
    times = [time for (time,) in db.execute("SELECT recorded_at FROM log ORDER BY id")]
    archived = lambda: rbt.value(db, "SELECT archived_to FROM audit_logs WHERE name = 'log'")
    for before, want, name in (
        (times[0], 0, "nothing is before the first entry"),
        (-(2**63), 0, "nor before the beginning of time"),
        (0, 0, "nor before 1970"),
        ("1970-01-01", 0, "nor before that date"),
        ("2000-01-01 12:00:00", 0, "nor before 2000"),
        (times[0] + 1, 1, "the first is before the microsecond after it"),
        (times[3], 3, "entries before the fourth's time"),
        ("9999-12-31 23:59:59.999", 6, "all are before the year 10000"),
        (2**63 - 1, 6, "and before the end of time"),
    ):
        db.execute("SELECT audit_archive('log', 'before', ?)", (before,)).fetchall()
        rbt.equal(archived(), want, name)
    db.execute("INSERT INTO log(n) VALUES(6)")
    later = rbt.value(
        db,
        "SELECT strftime('%Y-%m-%d %H:%M:%f', recorded_at / 1e6 + 2, 'unixepoch') FROM log WHERE n = 6",
    )
    db.execute("SELECT audit_archive('log', 'before', ?)", (later,)).fetchall()
    rbt.equal(archived(), 7, "a date with its time two seconds later takes it")
    db.execute("INSERT INTO log(n) VALUES(7)")
    db.execute("SELECT audit_archive('log', 'before', 'NOW')").fetchall()
    rbt.equal((archived(), problems(db)), (8, []), "NOW takes all, and the log verifies")
    db.close()


def main():
    rbt.plan(49)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        long_entries(place)
        documents(place)
        bytes_that_are_no_text(place)
        cutoffs(place)
        directories(place)
    rbt.done()


main()
