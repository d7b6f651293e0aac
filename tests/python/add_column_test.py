# SPDX-License-Identifier: MIT
"""audit_set(log, 'add_column', …): entries of before stay as they were, byte for byte, in the database, in
proofs and in segments; what was added is on record, and a declaration that nobody recorded is found."""

import glob
import json
import os
import sqlite3
import subprocess

import independent
import rbt
from attacks import apply, findings, quietly

FIRST = [("n", "INTEGER"), ("t", "TEXT")]
VENUE = FIRST + [("venue", "TEXT")]
PRICE = VENUE + [("price", "REAL")]


def make(path, schema="main"):
    db = rbt.connect(path)
    db.execute(
        f"CREATE VIRTUAL TABLE {schema}.log USING audit_log(n INTEGER NOT NULL CHECK(n < 10000), "
        "t TEXT /* a remark, with ) in it */ NOT NULL, INDEX(n), CHECK(t <> 'x;y'), "
        "origin='example.com/log', archive='cold')"
    )
    return db


def add(db, value, option="add_column", log="log"):
    return rbt.value(db, "SELECT audit_set(?, ?, ?)", log, option, value)


def append(db, first, last, columns="n, t", *values):
    db.execute("BEGIN")
    marks = ", ?" * len(values)
    for i in range(first, last + 1):
        db.execute(f"INSERT INTO log({columns}) VALUES(?, ?{marks})", (i, f"t{i}", *values))
    db.execute("COMMIT")


def leaves(db):
    return rbt.rows(db, "SELECT id, audit_leaf('log', id) FROM log ORDER BY id")


def expected(db):
    """The lines of all entries, computed apart; venue came with entry 6, price with entry 11."""
    lines = []
    for row in rbt.rows(db, "SELECT id, recorded_at, n, t, venue, price FROM log ORDER BY id"):
        columns = FIRST if row[0] < 6 else VENUE if row[0] < 11 else PRICE
        lines.append((row[0], independent.line(row[0], row[1], columns, row[2:]).decode()))
    return lines


def root(db):
    genesis = rbt.value(db, "SELECT audit_leaf('log', 0)")
    lines = [genesis.encode()] + [line.encode() for _, line in expected(db)]
    return independent.root([independent.leaf_hash(line) for line in lines]).hex()


def intact(db, name, log="*"):
    problems = rbt.rows(
        db, "SELECT kind, id, detail FROM audit_verify(?) WHERE level <> 'info'", log
    )
    rbt.equal(problems, [], name)


def schema(db):
    return rbt.rows(db, "SELECT name, sql FROM sqlite_schema WHERE name LIKE 'log%' ORDER BY name")


def test_growth(place):
    """One log, two columns and an index, with all that stands around it."""
    db = make(place / "grow.db")
    db.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, state TEXT)")
    db.execute(
        "CREATE TRIGGER orders_log AFTER INSERT ON orders BEGIN "
        "INSERT INTO log(n, t) VALUES(NEW.id, NEW.state); END"
    )
    db.execute("CREATE VIEW last AS SELECT * FROM log ORDER BY id DESC LIMIT 1")
    append(db, 1, 5)
    before, root_before = leaves(db), rbt.value(db, "SELECT audit_root('log')")
    genesis = rbt.value(db, "SELECT audit_leaf('log', 0)")
    note = rbt.value(db, "SELECT audit_checkpoint('log')")
    other = rbt.connect(place / "grow.db")
    other.execute("SELECT * FROM log").fetchall()
    insert = "INSERT INTO log(n, t) VALUES(?, ?)"
    other.execute("BEGIN")
    other.execute(insert, (0, "undone"))
    other.execute("ROLLBACK")

    rbt.equal(
        add(db, "venue TEXT CHECK(venue <> '') -- where"),
        'log: column "venue" is there from entry 6 on',
        "a column is added",
    )
    rbt.equal(leaves(db), before, "no leaf of before changes by a byte")
    rbt.equal(rbt.value(db, "SELECT audit_root('log')"), root_before, "nor does the root")
    rbt.equal(rbt.value(db, "SELECT audit_leaf('log', 0)"), genesis, "nor the genesis")
    rbt.equal(
        rbt.rows(db, "SELECT venue FROM log WHERE id = 5"), [(None,)], "older entries read as NULL"
    )
    intact(db, "the log and rustybt_events verify")

    other.execute(insert, (6, "t6"))
    db.execute("INSERT INTO orders VALUES(7, 't7')")
    db.execute("INSERT INTO log(n, t, venue) VALUES(8, 't8', 'XNAS')")
    rbt.refuses(
        db,
        "INSERT INTO log(n, t, venue) VALUES(9, 't', '')",
        "log: CHECK constraint failed: venue <> ''",
        "the column's CHECK holds from then on",
    )
    rbt.equal(
        rbt.rows(other, "SELECT n, venue FROM last"),
        [(8, "XNAS")],
        "another connection, and a view, see the column",
    )
    append(other, 9, 10, "n, t, venue", None)
    add(db, "price REAL DEFAULT 0.25")
    add(db, "venue, recorded_at", "add_index")
    append(other, 11, 12, "n, t, venue", "XETR")
    db.execute("INSERT INTO log(n, t, price) VALUES(13, 't13', 1e16)")
    rbt.equal(leaves(db), expected(db), "new leaves have the new keys last, null included")
    rbt.equal(rbt.value(db, "SELECT audit_root('log')"), root(db), "and so does the tree")
    intact(db, "with two columns and an index it verifies")
    intact(other, "on the other connection, too")
    rbt.equal(
        rbt.rows(db, "SELECT kind FROM audit_verify('log', ?) WHERE kind <> 'verified'", note),
        [],
        "it extends the checkpoint of before",
    )
    db.execute("SELECT audit_checkpoint('log', ?)", (note,)).fetchall()
    vkey = rbt.value(db, "SELECT audit_public_key('log', 'vkey')")
    proven = "SELECT proof_verify(audit_proof('log', ?1), audit_leaf('log', ?1), ?2)"
    rbt.equal(
        [rbt.value(db, proven, i, vkey) for i in (3, 9, 12)],
        [1, 1, 1],
        "entries with and without the column are proven",
    )
    plan = rbt.rows(db, "EXPLAIN QUERY PLAN SELECT id FROM log WHERE venue = 'XETR'")[0][3]
    inner = plan[plan.index("SELECT") :].replace("?1", "'XETR'")
    rbt.ok(
        "log_rows_2" in rbt.rows(db, "EXPLAIN QUERY PLAN " + inner)[0][3],
        "the added index is used",
    )
    details = [
        json.loads(text)
        for (text,) in db.execute(
            "SELECT detail FROM rustybt_events WHERE action = 'set' ORDER BY id"
        )
    ]
    log_id = json.loads(genesis)["log_id"]
    rbt.equal(
        [(d["option"], d["argument"], d["log_id"]) for d in details],
        [
            ("add_column", "venue TEXT CHECK(venue <> '') SINCE 6", log_id),
            ("add_column", "price REAL DEFAULT 0.25 SINCE 11", log_id),
            ("add_index", "INDEX(venue, recorded_at)", log_id),
        ],
        "rustybt_events says what was added",
    )
    (arguments,) = rbt.rows(db, "SELECT sql FROM sqlite_schema WHERE name = 'log'")[0]
    whole = json.loads(genesis)["arguments"] + [d["argument"] for d in details]
    rbt.equal(
        arguments,
        'CREATE VIRTUAL TABLE "log" USING audit_log(%s)' % ", ".join(whole),
        "today's declaration is the genesis and the events",
    )
    rbt.equal(rbt.value(db, "PRAGMA integrity_check"), "ok", "integrity_check finds nothing")
    rbt.equal(rbt.value(db, "PRAGMA quick_check"), "ok", "nor does quick_check")
    db.execute("SELECT * FROM key_usage").fetchall()
    db.execute("VACUUM INTO ?", (str(place / "copy.db"),))
    copy = rbt.connect(place / "copy.db")
    intact(copy, "a VACUUMed copy verifies")
    restored = rbt.connect(place / "restored.db")
    system = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}  # the shell's own
    dump = subprocess.run(
        ["sqlite3", place / "grow.db", ".dump"], env=system, capture_output=True, check=True
    )
    restored.executescript(dump.stdout.decode())
    restored.close()
    restored = rbt.connect(place / "restored.db")
    intact(restored, "a dump that was read back verifies")
    append(restored, 14, 14, "n, t, venue", "XNYS")
    rbt.equal(
        rbt.value(restored, "SELECT json_extract(audit_leaf('log', 14), '$.venue')"),
        "XNYS",
        "and goes on",
    )
    for each in (db, other, copy, restored):
        each.close()


def test_segments(place):
    """Segments before the columns, over the change, and after."""
    db = make(place / "cold.db")
    os.mkdir(place / "cold")
    append(db, 1, 3)
    db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
    append(db, 4, 5)
    add(db, "venue TEXT")
    db.execute("CREATE TABLE lines(id, leaf)")
    append(db, 6, 10, "n, t, venue", "XNAS")
    db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
    add(db, "price REAL")
    append(db, 11, 13, "n, t, venue, price", None, 2)
    db.execute("INSERT INTO lines SELECT id, audit_leaf('log', id) FROM log")
    rows = rbt.rows(db, "SELECT * FROM log ORDER BY id")
    first = rbt.value(db, "SELECT audit_root('log')")
    db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
    intact(db, "segments of before, over the change, and after verify")
    db.execute("SELECT audit_prune('log')").fetchall()
    rbt.equal(rbt.value(db, "SELECT count(*) FROM log_rows"), 0, "all of them are cold")
    rbt.equal(rbt.rows(db, "SELECT * FROM log ORDER BY id"), rows, "cold reads give the same rows")
    rbt.equal(
        [
            rbt.rows(db, f"SELECT id FROM log WHERE {where} ORDER BY id")
            for where in (
                "venue IS NULL",
                "venue = 'XNAS'",
                "price > 1",
                "price IS NOT NULL AND venue <> ''",
            )
        ],
        [
            [(i,) for i in (1, 2, 3, 4, 5, 11, 12, 13)],
            [(i,) for i in range(6, 11)],
            [(i,) for i in range(11, 14)],
            [],
        ],
        "and conditions on the columns hold for them",
    )
    rbt.equal(
        leaves(db),
        rbt.rows(db, "SELECT * FROM lines ORDER BY id"),
        "their leaves are what they were",
    )
    rbt.equal((rbt.value(db, "SELECT audit_root('log')"), root(db)), (first, first), "and the root")
    intact(db, "the pruned log verifies")
    paths = sorted(glob.glob(str(place / "cold" / "*.zst")))
    segments = [independent.Segment(path) for path in paths]
    since = [
        [(column["name"], column.get("since")) for column in segment.manifest["columns"]]
        for segment in segments
    ]
    rbt.equal(
        since,
        [
            [("n", None), ("t", None)],
            [("n", None), ("t", None), ("venue", 6)],
            [("n", None), ("t", None), ("venue", 6), ("price", 11)],
        ],
        "a manifest says from which entry on a column is there, and not what no line has",
    )
    pattern = str(place / "cold" / "*.zst")
    rbt.equal(
        rbt.rows(db, "SELECT kind FROM archive_verify(?) WHERE level <> 'info'", pattern),
        [],
        "archive_verify finds nothing",
    )
    rbt.equal(
        rbt.rows(db, "SELECT id, leaf FROM archive_entries(?) ORDER BY id", pattern),
        rbt.rows(db, "SELECT * FROM lines ORDER BY id"),
        "archive_entries gives the lines",
    )
    db.execute(f"CREATE VIRTUAL TABLE cold USING archive('{pattern}')")
    rbt.equal(
        rbt.rows(db, "SELECT * FROM cold ORDER BY id"),
        rows,
        "the archive module has the columns of the newest segment",
    )
    rbt.equal(
        rbt.rows(db, "SELECT id FROM cold WHERE venue = 'XNAS' AND id > 8 ORDER BY id DESC"),
        [(10,), (9,)],
        "and looks for them in all",
    )
    append(db, 14, 14, "n, t, price", 0.5)
    db.close()
    again = rbt.connect(place / "cold.db")
    append(again, 15, 15, "n, t, price", 0.5)
    intact(again, "a log whose older entries are cold goes on")
    again.close()


def declare(old, new, name="log"):
    def attack(db):
        db.execute("PRAGMA writable_schema=ON")
        db.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = ?", (old, new, name)
        )
        db.execute("PRAGMA writable_schema=OFF")

    return attack


def test_attacks(place):
    number = 0

    def log():
        nonlocal number
        number += 1
        path = place / f"attack{number}.db"
        db = make(path)
        append(db, 1, 5)
        add(db, "venue TEXT")
        append(db, 6, 8, "n, t, venue", "XNAS")
        db.close()
        return path

    def found(path, attack):
        apply(path, attack)
        db = rbt.connect(path)
        problems = findings(db)
        refusal = None
        try:
            db.execute("INSERT INTO log(n, t) VALUES(1, 'a')")
        except sqlite3.Error as error:
            refusal = str(error)
        db.close()
        return problems, refusal

    problems, _ = found(log(), quietly("UPDATE log_rows SET venue = 'XLON' WHERE id = 5"))
    rbt.equal(
        [(kind, at) for kind, at, _ in problems],
        [("changed", 5)],
        "a value put into an entry that is older than its column is found",
    )
    refused = (
        "log: the log was created with another declaration than the schema has now; appends are "
        "refused"
    )
    forged = [
        'ALTER TABLE log_rows ADD COLUMN "fee" TEXT',
        declare("archive='cold'", "archive='cold', fee TEXT SINCE 9"),
    ]
    path = place / "plain.db"
    db = make(path)
    append(db, 1, 8)
    db.close()
    problems, refusal = found(path, forged)
    rbt.equal(
        ([kind for kind, _, _ in problems], refusal),
        (["declaration"], refused),
        "a column that is in no event is named, and nothing is appended",
    )
    rbt.ok("fee TEXT SINCE 9" in problems[0][2], "by its declaration")
    path = log()
    problems, refusal = found(
        path,
        [
            'ALTER TABLE log_rows ADD COLUMN "fee" TEXT',
            declare("SINCE 6", "SINCE 6, fee TEXT SINCE 9"),
        ],
    )
    rbt.equal(
        ([kind for kind, _, _ in problems], refusal),
        (["declaration"], refused),
        "nor one behind a column that is",
    )
    problems, refusal = found(log(), declare("SINCE 6", "SINCE 7"))
    rbt.equal(
        ([(kind, at) for kind, at, _ in problems], refusal),
        ([("declaration", 0), ("changed", 6)], refused),
        "another first entry is found, and the entry that it is wrong of",
    )
    problems, refusal = found(log(), declare("venue TEXT", "venue JSON"))
    rbt.ok(
        "declaration" in [kind for kind, _, _ in problems] and refusal == refused,
        "another type is found",
    )
    problems, _ = found(
        log(), [declare(", venue TEXT SINCE 6", ""), declare(', "venue" TEXT', "", "log_rows")]
    )
    rbt.equal(
        problems[0][2],
        "log: the declaration in sqlite_schema is not the one the log was created with, extended as "
        "rustybt_events says; it should read: %s, venue TEXT SINCE 6; it reads: %s"
        % (
            (
                "n INTEGER NOT NULL CHECK(n < 10000), t TEXT /* a remark, with ) in it */ NOT NULL, INDEX(n), "
                "CHECK(t <> 'x;y'), origin='example.com/log', archive='cold'",
            )
            * 2
        ),
        "a column that was taken away is named",
    )
    path = log()
    apply(path, quietly("UPDATE rustybt_events_rows SET log = 'gone' WHERE log = 'log'"))
    db = rbt.connect(path)
    rbt.equal(
        (
            [kind for kind, _, _ in findings(db)],
            rbt.value(
                db, "SELECT count(*) FROM audit_verify('rustybt_events') WHERE kind = 'changed'"
            ),
        ),
        (["declaration"], 1),
        "an event that was hidden is missed, and found",
    )
    db.close()


def test_refusals(place):
    db = make(place / "refuse.db")
    append(db, 1, 3)
    was = schema(db)
    busy = rbt.connect(place / "refuse.db")
    busy.execute("BEGIN IMMEDIATE")
    db.execute("PRAGMA busy_timeout = 1")
    rbt.refuses(
        db,
        "SELECT audit_set('log', 'add_column', 'a TEXT')",
        "audit_set: database is locked",
        "a locked database is told",
    )
    busy.execute("ROLLBACK")
    busy.close()
    db.execute("BEGIN")
    rbt.refuses(
        db,
        "SELECT audit_set('log', 'add_column', 'a TEXT')",
        "audit_set: it makes its own transactions; COMMIT or ROLLBACK first",
        "inside a transaction it is refused",
    )
    db.execute("ROLLBACK")
    reader = db.execute("SELECT id FROM log")
    reader.fetchone()
    rbt.refuses(
        db,
        "SELECT audit_set('log', 'add_column', 'a TEXT')",
        "audit_set: a statement of this connection is reading the database; call it without FROM: "
        "SELECT audit_set('log')",
        "while the log is being read, too",
    )
    reader.close()
    rbt.equal(schema(db), was, "nothing of the log has changed")
    intact(db, "and it verifies")
    add(db, "a TEXT")
    append(db, 4, 4, "n, t, a", "z")
    intact(db, "afterwards a column can be added")
    db.close()


def test_kills(place):
    """The process dies before any statement of the work: the next one finds the log as it was, or with the column."""
    number, outcomes = 0, []
    while number < 200:
        number += 1
        path = place / f"kill{number}.db"
        db = make(path)
        append(db, 1, 2)
        db.close()
        child = os.fork()
        if child == 0:
            db = rbt.connect(path)
            seen = 0

            def trace(_):
                nonlocal seen
                seen += 1
                if seen == number:
                    os._exit(9)

            db.set_trace_callback(trace)
            add(db, "venue TEXT")
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        db = rbt.connect(path)
        has = rbt.value(db, "SELECT count(*) FROM pragma_table_xinfo('log') WHERE name = 'venue'")
        append(db, 3, 3, *(("n, t, venue", "XNAS") if has else ("n, t",)))
        problems = rbt.rows(db, "SELECT detail FROM audit_verify('*') WHERE level <> 'info'")
        leaf = rbt.value(db, "SELECT audit_leaf('log', 3)")
        outcomes.append((code, has, problems, ('"venue"' in leaf) == bool(has)))
        db.close()
        if code == 0:
            break
    rbt.note(f"{len(outcomes)} processes")
    killed = outcomes[:-1]
    columns = [has for _, has, _, _ in killed]  # 0 … 0 1 … 1: the commit comes before the end
    rbt.ok(
        len(killed) > 10
        and all((code, problems, good) == (9, [], True) for code, _, problems, good in killed)
        and columns == sorted(columns)
        and not any(columns[:10]),
        "a process that was killed leaves the log whole, without the column until it is committed",
    )
    rbt.equal(outcomes[-1], (0, 1, [], True), "and one that was not, with it")


def test_schemas(place):
    db = rbt.connect(place / "main.db")
    db.execute('ATTACH ? AS "the other"', (str(place / "attached.db"),))
    db.execute('CREATE VIRTUAL TABLE "the other"."the log" USING audit_log(n INTEGER, salt=yes)')
    db.execute('CREATE TABLE "the other".f(x INTEGER PRIMARY KEY)')
    db.execute('INSERT INTO "the other".f VALUES(3)')
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("CREATE VIRTUAL TABLE temp.scratch USING audit_log(n INTEGER)")
    for table in ('"the log"', "scratch"):
        db.execute(f"INSERT INTO {table}(n) VALUES(1)")
    add(db, '"the ""fee""" INTEGER REFERENCES f(x)', log="the other.the log")
    add(db, "fee TEXT DEFAULT 'none'", log="scratch")
    db.execute('INSERT INTO "the log"(n, "the ""fee""") VALUES(2, 3)')
    db.execute("INSERT INTO scratch(n) VALUES(2)")
    rbt.equal(
        rbt.rows(db, 'SELECT * FROM "the log"')
        and rbt.rows(db, 'SELECT n, "the ""fee""" FROM "the log"'),
        [(1, None), (2, 3)],
        "a log of an attached database, with salt and odd names",
    )
    rbt.equal(
        rbt.rows(db, "SELECT n, fee FROM scratch"), [(1, None), (2, "none")], "and one of temp"
    )
    intact(db, "both verify")
    rbt.equal(
        rbt.value(db, 'SELECT count(*) FROM "the other".rustybt_events'),
        1,
        "the event is in the log's own schema",
    )
    db.close()


def main():
    rbt.plan(55)
    variables = {
        "RUSTYBT_ENCRYPTION_KEY": independent.KEY,
        "RUSTYBT_SIGNING_KEY": independent.OTHER_KEY,
    }
    with rbt.environment(**variables), rbt.folder() as place:
        test_growth(place)
        test_segments(place)
        test_attacks(place)
        test_refusals(place)
        test_kills(place)
        test_schemas(place)
    rbt.done()


main()
