# SPDX-License-Identifier: MIT
"""Subjects: formats against Python's own, rotation, first use by several connections, in failing
statements and where nothing can be written; logs and segments whose fields no longer open."""

import contextlib
import os
import sqlite3
import struct
import threading

import independent
import logs
import rbt
import subject_format as form

A, B = bytes(range(32)), bytes(range(32, 64))
ROWS = "SELECT sid, wrapped, subject, name FROM rustybt_subject_keys WHERE wrapped IS NOT NULL"


def connect(path, extension=True):
    """What is lost with the power is not what is tested here."""
    db = rbt.connect(path, extension)
    db.execute("PRAGMA synchronous = OFF")
    return db


def ring(*keys):
    return rbt.environment(RUSTYBT_ENCRYPTION_KEY=",".join(keys))


def formats(place):
    with ring(independent.KEY):
        db = connect(place / "formats.db")
        values = [
            (42, form.INTEGER, struct.pack("<q", 42)),
            (1.5, form.REAL, struct.pack("<d", 1.5)),
            ("é" * 40, form.TEXT, ("é" * 40).encode()),
            (b"\x80\0\0", form.BLOB, b"\x80\0\0"),
        ]
        tokens = [
            rbt.value(db, "SELECT subject_encrypt('customer/1', ?, 'c')", value)
            for value, _, _ in values
        ]
        sid, wrapped, index, name = db.execute(ROWS).fetchone()
        key = form.unwrap(wrapped, sid, A)
        rbt.equal(
            [form.open_token(token, key, b"c") for token in tokens],
            [(kind, stored) for _, kind, stored in values],
            "Python unwraps the key and opens every token",
        )
        rbt.ok(all(token[4:12] == sid for token in tokens), "whose key id is the sid")
        rbt.equal(
            form.open_token(name, key, b"rustybt subject"),
            (form.TEXT, b"customer/1"),
            "the name is a token under its own key",
        )
        rbt.equal(
            index,
            form.blind_index(A, b"customer/1", b"rustybt subject"),
            "the index is the blind index of the name",
        )
        made = form.make_token(sid, key, b"x", form.pad(form.TEXT, b"made"), 1, bytes(24))
        rbt.equal(
            rbt.value(db, "SELECT subject_decrypt(?, 'x')", made), "made", "Python's token opens"
        )
        rbt.equal(
            rbt.value(db, "SELECT json_extract(token_info(?), '$.key_id')", tokens[0]),
            sid.hex(),
            "token_info tells the sid",
        )
        db.execute("PRAGMA journal_mode = WAL").fetchall()
        with contextlib.closing(connect(place / "formats.db", extension=False)) as plain:
            try:
                with plain.blobopen("rustybt_subject_keys", "wrapped", 1) as blob:
                    blob.write(bytes(125))
                got = "written"
            except sqlite3.Error as error:
                got = str(error)
            rbt.equal(
                got, "cannot open indexed column for writing", "sqlite3_blob_write is refused"
            )
        db.close()


def rotation(place):
    path = place / "rotation.db"
    with ring(independent.KEY):
        db = connect(path)
        db.execute("CREATE TABLE t(token)")
        for i in range(20):
            db.execute("INSERT INTO t SELECT subject_encrypt(?, ?)", (f"customer/{i}", i))
        db.execute("SELECT subject_forget('customer/3')").fetchall()
        db.close()
    with ring(independent.OTHER_KEY, independent.KEY):
        db = connect(path)
        rbt.equal(
            rbt.value(db, "SELECT sum(subject_decrypt(token)) FROM t WHERE rowid <> 4"),
            190 - 3,
            "before the rotation the old key opens",
        )
        before = db.execute(ROWS).fetchall()
        db.execute("INSERT INTO t SELECT subject_encrypt('customer/5', 5)")
        rbt.equal(
            rbt.value(db, "SELECT count(*) FROM rustybt_subject_keys"),
            20,
            "a subject indexed under the old key is found, not made again",
        )
        rbt.equal(
            rbt.value(db, "SELECT subject_rotate()"),
            f"19 subject keys: 19 rotated, 0 under key {form.key_id(B).hex()} already",
            "all rows are rotated, but for the forgotten one",
        )
        after = db.execute(ROWS).fetchall()
        rbt.ok(
            all(
                old[0] == new[0]
                and old[3] == new[3]
                and form.unwrap(old[1], old[0], A) == form.unwrap(new[1], new[0], B)
                and new[2][:8] == form.key_id(B)
                for old, new in zip(before, after)
            ),
            "it wraps the same keys under the new one",
        )
        db.close()
    with ring(independent.OTHER_KEY):
        db = connect(path)
        rbt.equal(
            rbt.value(db, "SELECT sum(subject_decrypt(token)) FROM t WHERE rowid <> 4"),
            190 + 5 - 3,
            "with the old key retired everything opens",
        )
        rbt.equal(
            rbt.value(db, "SELECT subject_decrypt(subject_encrypt('customer/7', 'x'))"),
            "x",
            "and subjects are found",
        )
        rbt.equal(rbt.value(db, "SELECT count(*) FROM rustybt_subject_keys"), 20, "as they were")
        db.close()
    with ring(independent.KEY):
        db = connect(path)
        want = (
            ": the subject may be indexed under key "
            + form.key_id(B).hex()
            + ", which the ring lacks; add that key to the ring"
        )
        for call in ("subject_encrypt('customer/7', 1)", "subject_encrypt('customer/99', 1)"):
            rbt.refuses(
                db,
                f"SELECT {call}",
                "subject_encrypt" + want,
                f"without the new key {call} does not give a subject a second key",
            )
        rbt.refuses(
            db, "SELECT subject_forget('customer/7')", "subject_forget" + want, "nor forgets it"
        )
        rbt.refuses(
            db,
            "SELECT subject_decrypt(token) FROM t",
            "subject_decrypt: no key in the ring has id " + form.key_id(B).hex(),
            "and what is missing is named",
        )
        db.close()
    with ring(independent.OTHER_KEY, independent.KEY):
        db = connect(path)
        got = rbt.value(db, "SELECT subject_forget('customer/7')")
        rbt.ok("its key is gone" in got, "a rotated subject is forgotten")
        rbt.ok(
            "was forgotten on" in logs.attempt(db, "SELECT subject_decrypt(token) FROM t WHERE rowid = 8"),
            "and its values stay closed",
        )
        db.close()


def at_once(place):
    """Threads that encrypt for the same new subjects at the same time, two with another ring order."""
    path, wrong, barrier = place / "once.db", [], threading.Barrier(4)
    rounds = 15

    def work(number):
        try:
            db = connect(path)
            for i in range(rounds):
                barrier.wait(60)
                db.execute("INSERT INTO t VALUES(?, subject_encrypt(?, ?))", (i, f"s{i}", number))
            db.close()
        except Exception as error:
            wrong.append((number, str(error)))
            barrier.abort()

    for mode in ("WAL", "DELETE"):
        with ring(independent.KEY, independent.OTHER_KEY):
            db = connect(path)
            db.execute(f"PRAGMA journal_mode = {mode}").fetchall()
            db.execute("CREATE TABLE t(i, token)")
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for number, thread in enumerate(threads):
            keys = (independent.KEY, independent.OTHER_KEY)
            os.environ["RUSTYBT_ENCRYPTION_KEY"] = ",".join(keys if number % 2 else keys[::-1])
            thread.start()
        for thread in threads:
            thread.join()
        with ring(independent.OTHER_KEY, independent.KEY):
            check = connect(path)
            same = rbt.rows(
                check,
                "SELECT i, count(DISTINCT substr(token, 5, 8)), count(subject_decrypt(token)) "
                "FROM t GROUP BY i HAVING count(DISTINCT substr(token, 5, 8)) <> 1 OR count(*) <> 4",
            )
            count = rbt.value(check, "SELECT count(*) FROM rustybt_subject_keys")
            check.close()
        rbt.equal((wrong, same, count), ([], [], rounds), f"{mode}: four at once make one key each")
        db.close()
        path = place / "once2.db"


def first_use(place):
    with ring(independent.KEY):
        path = place / "first.db"
        db = connect(path)
        db.execute("CREATE TABLE t(a, b UNIQUE)")
        rbt.equal(
            logs.attempt(
                db,
                "INSERT INTO t SELECT subject_encrypt(column1, 'x'), column2 FROM "
                "(VALUES('a', 1), ('b', 1))",
            ),
            "UNIQUE constraint failed: t.b",
            "a statement fails after it has made the table of keys",
        )
        rbt.equal(rbt.value(db, "SELECT count(*) FROM sqlite_schema"), 2, "and takes it back")
        db.execute("BEGIN")
        logs.attempt(
            db,
            "INSERT INTO t SELECT subject_encrypt(column1, 'x'), column2 FROM "
            "(VALUES('a', 1), ('b', 1))",
        )
        db.execute("CREATE TABLE other(x)")
        db.execute("INSERT INTO other VALUES(1)")
        db.execute("INSERT INTO t VALUES(subject_encrypt('a', 'x'), 1)")
        db.execute("COMMIT")
        rbt.equal(
            (rbt.value(db, "PRAGMA integrity_check"), rbt.value(db, "SELECT subject_decrypt(a) FROM t")),
            ("ok", "x"),
            "within a transaction, too, and what follows is sound",
        )
        db.execute("SAVEPOINT s")
        db.execute("INSERT INTO t VALUES(subject_encrypt('gone', 'x'), 2)")
        db.execute("ROLLBACK TO s")
        db.execute("INSERT INTO t VALUES(subject_encrypt('gone', 'y'), 2)")
        db.execute("RELEASE s")
        rbt.equal(
            rbt.value(db, "SELECT subject_decrypt(a) FROM t WHERE b = 2"),
            "y",
            "a key that was rolled back is not remembered",
        )

        db.execute("PRAGMA journal_mode = WAL").fetchall()
        db.execute("CREATE TABLE many AS VALUES(1), (2), (3)")
        busy = connect(path)
        busy.execute("PRAGMA busy_timeout = 0").fetchall()
        db.execute("BEGIN IMMEDIATE")
        rbt.refuses(
            busy,
            "SELECT subject_encrypt('new', 'x')",
            "subject_encrypt: the subject has no key yet, and another connection is writing; try again",
            "a locked database is said to be locked",
        )
        rbt.equal(
            rbt.value(busy, "SELECT subject_decrypt(subject_encrypt('a', 'x'))"),
            "x",
            "a subject that has a key needs no lock",
        )
        db.execute("COMMIT")
        busy.execute("BEGIN")
        busy.execute("SELECT * FROM t").fetchall()
        db.execute("INSERT INTO many VALUES(4)")
        rbt.refuses(
            busy,
            "SELECT subject_encrypt('new', 'x')",
            "subject_encrypt: the subject has no key yet, and another connection has written since "
            "this transaction began to read; ROLLBACK, and start it with BEGIN IMMEDIATE",
            "a stale snapshot is said to be stale",
        )
        busy.execute("ROLLBACK")
        busy.close()
        reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        reader.enable_load_extension(True)
        reader.load_extension(rbt.EXTENSION)
        rbt.refuses(
            reader,
            "SELECT subject_encrypt('new', 'x')",
            "subject_encrypt: the subject has no key yet, and the database is read-only",
            "a read-only database is said to be read-only",
        )
        rbt.equal(
            rbt.value(reader, "SELECT subject_decrypt(subject_encrypt('a', 'x'))"),
            "x",
            "where existing subjects go on",
        )
        rbt.refuses(
            reader,
            "SELECT subject_forget('a')",
            "subject_forget: attempt to write a readonly database",
            "and cannot be forgotten",
        )
        reader.close()
        rbt.equal(
            rbt.rows(db, "SELECT subject_decrypt(subject_encrypt('c' || column1, column1)) FROM many"),
            [(1,), (2,), (3,), (4,)],
            "a SELECT makes keys as it goes",
        )
        db.close()

        db = connect(place / "none.db")
        db.execute("PRAGMA journal_mode = WAL").fetchall()
        db.execute("CREATE TABLE many AS VALUES(1), (2), (3)")
        busy = connect(place / "none.db")
        busy.execute("PRAGMA busy_timeout = 0").fetchall()
        db.execute("BEGIN IMMEDIATE")
        rbt.refuses(
            busy,
            "SELECT subject_encrypt('new', 'x')",
            "subject_encrypt: the subject has no key yet, and another connection is writing; try again",
            "so it is where there is no table of keys yet",
        )
        db.execute("COMMIT")
        stale = busy.execute("SELECT subject_encrypt('new', column1) FROM many WHERE column1 > 1")
        busy.execute("BEGIN")
        busy.execute("SELECT * FROM many").fetchone()
        db.execute("INSERT INTO many VALUES(4)")
        rbt.refuses(
            busy,
            "SELECT subject_encrypt('newer', 'x') || max(column1) FROM many",
            "subject_encrypt: the subject has no key yet, and another connection has written since "
            "this transaction began to read; ROLLBACK, and start it with BEGIN IMMEDIATE",
            "in a stale snapshot, too",
        )
        stale.close()
        busy.close()
        db.close()

        db = connect(place / "utf16.db")
        db.execute("PRAGMA encoding = 'UTF-16'")
        db.execute("CREATE TABLE t AS SELECT subject_encrypt('Müller/1', 'grün') AS x")
        rbt.equal(rbt.value(db, "SELECT subject_decrypt(x) FROM t"), "grün", "in UTF-16 as well")
        got = rbt.value(db, "SELECT subject_forget('Müller/1')")
        rbt.ok("its key is gone from" in got, "where subjects are forgotten, too")
        db.close()


def hostile(place):
    """SQLite 3.40 lets a CHECK call what is DIRECTONLY; also from PRAGMA integrity_check."""
    with ring(independent.KEY):
        db = connect(place / "hostile.db")
        db.execute("CREATE TABLE t AS SELECT subject_encrypt('a', 'x') AS x")
        for call in ("subject_forget('a')", "subject_hold('a', 'r')"):
            logs.attempt(db, f"CREATE TABLE c(x CHECK({call} IS NULL))")
            logs.attempt(db, "INSERT INTO c VALUES(1)")
            logs.attempt(db, "PRAGMA ignore_check_constraints = ON")
            logs.attempt(db, "INSERT INTO c VALUES(1)")
            logs.attempt(db, "PRAGMA ignore_check_constraints = OFF")
            logs.attempt(db, "PRAGMA integrity_check")
            logs.attempt(db, "DROP TABLE c")
        rbt.equal(
            (
                rbt.value(db, "SELECT subject_decrypt(x) FROM t"),
                rbt.value(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'rustybt_events'"),
            ),
            ("x", 0),
            "no CHECK forgets or holds a subject",
        )
        db.close()


def archived(place):
    """A log of subjects' tokens, archived and pruned: the root stands, the fields are closed."""
    with ring(independent.KEY):
        db = connect(place / "log.db")
        db.execute("CREATE VIRTUAL TABLE log USING audit_log(who BLOB, mail BLOB, archive='cold')")
        db.execute("BEGIN")
        for i in range(600):
            db.execute(
                "INSERT INTO log(who, mail) VALUES(subject_encrypt(?1, ?2), subject_encrypt(?1, ?2, 'm'))",
                (f"customer/{i % 3}", f"value {i}"),
            )
        db.execute("COMMIT")
        db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
        db.execute("SELECT audit_prune('log')").fetchall()
        for i in range(600, 610):
            db.execute("INSERT INTO log(who) VALUES(subject_encrypt(?, 'hot'))", (f"customer/{i % 3}",))
        root = rbt.value(db, "SELECT audit_root('log')")
        sid = rbt.value(db, "SELECT substr(who, 5, 8) FROM log WHERE id = 2")
        report = rbt.value(db, "SELECT subject_forget('customer/1')")
        rbt.ok(
            f"subject {sid.hex()} is forgotten" in report and "its key is gone from" in report,
            "a subject of an archived log is forgotten",
        )
        rbt.equal(
            rbt.rows(db, "SELECT * FROM audit_verify('*') WHERE level = 'error'"),
            [],
            "log, segments and rustybt_events verify",
        )
        rbt.equal(rbt.value(db, "SELECT audit_root('log')"), root, "the log's root is what it was")
        rbt.equal(
            rbt.rows(db, "SELECT level, kind FROM archive_verify(?)", f"{place}/cold/*.zst"),
            [("info", "verified")],
            "the segment verifies by itself",
        )
        closed = [
            id
            for id, who in rbt.rows(db, "SELECT id, who FROM log")
            if logs.attempt(db, "SELECT subject_decrypt(?)", who) is not None
        ]
        rbt.equal(
            closed,
            [i + 1 for i in range(610) if i % 3 == 1],
            "the subject's fields are closed, hot and cold; all others open",
        )
        db.execute("SELECT subject_hold('customer/2', 'kept')").fetchall()
        # not 'now': archiving is itself an event
        before = rbt.value(db, "SELECT max(recorded_at) + 1 FROM rustybt_events")
        db.execute("SELECT audit_archive('rustybt_events', 'cold', ?)", (before,)).fetchall()
        db.execute("SELECT audit_prune('rustybt_events')").fetchall()
        rbt.equal(
            rbt.rows(db, "SELECT DISTINCT tier FROM rustybt_events WHERE action = 'subject_hold'"),
            [("cold",)],
            "a hold may be cold",
        )
        rbt.ok(
            "keeps the subject: kept" in logs.attempt(db, "SELECT subject_forget('customer/2')"),
            "and still counts",
        )
        segment = next(
            place / "cold" / name
            for name in os.listdir(place / "cold")
            if name.startswith("rustybt_events")
        )
        segment.rename(place / "away")
        rbt.ok(
            "cannot be known which holds stand" in logs.attempt(db, "SELECT subject_forget('customer/2')"),
            "without its segment nobody is forgotten",
        )
        db.close()


def main():
    rbt.plan(7 + 13 + 2 + 15 + 1 + 8)
    for part in (formats, rotation, at_once, first_use, hostile, archived):
        with rbt.folder() as place:
            part(place)
    rbt.done()


main()
