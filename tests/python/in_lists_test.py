# SPDX-License-Identifier: MIT
"""IN on TEXT and JSON columns: looked up by the log's index, all of the list at once; and whatever stands in
the list, no row is lost or doubled: a plain table of the same rows answers alike. Queries are random, from a
fixed seed."""

import random
import sqlite3

import independent
import rbt

ROWS = 400
TEXTS = [
    "a",
    "A",
    "b",
    "5",
    "05",
    "5.0",
    " 5",
    "1e2",
    "0x10",
    "é",
    "a\0b",
    "",
    "7",
    "007",
    "-0",
    "9" * 20,
]
LISTED = TEXTS + [None, 5, 7, 0, 100, 5.0, 0.5, b"a", b"5", b"", "c", float("inf"), -(2**63)]
SELECTS = [
    "SELECT v FROM other",
    "SELECT w FROM other",
    "SELECT x FROM other",
    "SELECT y FROM other",
    "SELECT v FROM other WHERE typeof(v) = 'text'",
    "SELECT w FROM other WHERE rowid > 8",
    "SELECT CAST(x AS TEXT) FROM other",
    "SELECT +w FROM other LIMIT 3",
    "SELECT 'a' UNION ALL SELECT 'b' UNION ALL SELECT 'a'",
    "SELECT w FROM other WHERE 0",
    "SELECT u FROM $T WHERE id < 20",
    "VALUES('a'), ('5'), (NULL)",
]
ENDS = [
    "",
    "",
    " ORDER BY id",
    " ORDER BY id DESC",
    " ORDER BY id LIMIT 7",
    " ORDER BY id DESC LIMIT 5 OFFSET 3",
    " ORDER BY t, id",
    " ORDER BY u DESC, id LIMIT 20",
]


class Queries:
    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.parameters = []

    def members(self):
        if self.chance.random() < 0.4:
            return self.chance.choice(SELECTS)
        texts = self.chance.random() < 0.6
        values = [
            self.chance.choice(TEXTS if texts else LISTED)
            for _ in range(self.chance.choice([1, 2, 3, 5, 9, 40]))
        ]
        self.parameters += values
        return ", ".join("?" * len(values))

    def term(self):
        column = self.chance.choice(["t", "t", "u", "j", "+t", "t COLLATE NOCASE"])
        return f"{column} {self.chance.choice(['IN', 'IN', 'IN', 'NOT IN'])} ({self.members()})"

    def next(self):
        self.parameters = []
        if self.chance.random() < 0.15:
            sql = self.chance.choice(
                [
                    "SELECT o.rowid, a.id FROM other o, $T a WHERE a.t IN (o.w, o.v, 'b') ORDER BY o.rowid, a.id",
                    "SELECT o.rowid, a.id FROM other o LEFT JOIN $T a ON a.u IN (SELECT w FROM other p WHERE p.rowid < o.rowid) "
                    "AND a.t = o.w ORDER BY o.rowid, a.id",
                    "SELECT a.id, (SELECT count(*) FROM $T b WHERE b.t IN (a.t, a.u)) FROM $T a WHERE a.id < 30 ORDER BY a.id",
                    "SELECT a.id FROM $T a WHERE (a.t, a.u) IN (SELECT t, u FROM $T WHERE id % 7 = 0) ORDER BY a.id",
                ]
            )
            return sql, ()
        result = self.chance.choice(["*", "id", "count(*)", "id, t", "u"])
        end = self.chance.choice(ENDS) if "(" not in result else ""
        sql = f"SELECT {result} FROM $T WHERE {self.term()}{self.chance.choice(['', ' AND n > 10', ' AND id > 100'])}"
        if self.chance.random() < 0.3:
            sql += f" {self.chance.choice(['AND', 'OR'])} {self.term()}"
        return sql + end, tuple(self.parameters)


def answer(db, sql, parameters, table):
    try:
        rows = db.execute(sql.replace("$T", table), parameters).fetchall()
    except sqlite3.Error as error:
        return str(error)
    keyed = [tuple(map(repr, row)) for row in rows]
    return keyed if "ORDER BY" in sql else sorted(keyed)


def compare(db, stage, seed, count=500):
    queries, wrong, rows = Queries(seed), 0, 0
    for _ in range(count):
        sql, parameters = queries.next()
        got, want = (answer(db, sql, parameters, table) for table in ("log", "plain"))
        rows += len(want)
        if got != want:
            wrong += 1
            if wrong <= 5:
                rbt.note(
                    f"{sql} {parameters!r}\n got {len(got)}: {got[:4]}\nwant {len(want)}: {want[:4]}"
                )
    rbt.note(f"{rows} rows compared")
    rbt.equal(wrong, 0, f"{count} random queries with IN get the plain table's answers: {stage}")


def steps(db, sql, parameters=()):
    """How many hundreds of instructions of SQLite's virtual machine a query takes, inner statements and all."""
    counted = [0]

    def count():
        counted[0] += 1
        return 0

    db.set_progress_handler(count, 100)
    db.execute(sql, parameters).fetchall()
    db.set_progress_handler(None, 0)
    return counted[0]


def plan_of(db, sql, parameters=()):
    return " ".join(row[3] for row in db.execute("EXPLAIN QUERY PLAN " + sql, parameters))


def looks_up(db):
    """The index is used, as instructions tell: a scan of 400 rows takes thousands."""
    scan = steps(db, "SELECT count(*) FROM log WHERE +k IN ('k7', 'k300')")
    for name, sql, parameters in [
        ("literals", "SELECT * FROM log WHERE k IN ('k7', 'k300')", ()),
        ("parameters", "SELECT * FROM log WHERE k IN (?, ?, ?)", ("k7", "k300", "none")),
        ("a subquery", "SELECT * FROM log WHERE k IN (SELECT k FROM wanted)", ()),
        (
            "a NULL and a BLOB in the list",
            "SELECT * FROM log WHERE k IN (?, ?, ?)",
            ("k7", None, b"k300"),
        ),
        ("the order of ids", "SELECT * FROM log WHERE k IN ('k7', 'k300') ORDER BY id DESC", ()),
    ]:
        taken = steps(db, sql, parameters)
        if not rbt.ok(0 < scan and taken * 5 < scan, f"a list is looked up by the index: {name}"):
            rbt.note(f"{taken} hundred instructions, a scan takes {scan}")
    plan = plan_of(db, "SELECT * FROM log WHERE k IN ('k7', 'k300') ORDER BY id")
    rbt.ok(
        '"k" IN (' in plan and "TEMP B-TREE" not in plan,
        "EXPLAIN QUERY PLAN says so, and that ids need no sorting",
    )
    if "TEMP" in plan:
        rbt.note(plan)
    long = ", ".join(f"'k{i}'" for i in range(0, 5000))
    rbt.equal(
        rbt.value(db, f"SELECT count(*) FROM log WHERE k IN ({long})"),
        ROWS,
        "a list of 5000 finds every entry once",
    )
    rbt.equal(
        rbt.rows(db, "SELECT id FROM log WHERE k IN ('k7', 'k7', 'k8') ORDER BY id"),
        [(8,), (9,)],
        "a value that is listed twice gives its entry once",
    )
    many = " AND ".join([f"n <> {-i}" for i in range(1, 40)])
    rbt.equal(
        rbt.rows(db, f"SELECT id FROM log WHERE {many} AND t IN (SELECT x FROM other) ORDER BY id"),
        rbt.rows(
            db, f"SELECT id FROM plain WHERE {many} AND t IN (SELECT x FROM other) ORDER BY id"
        ),
        "a list behind forty other conditions is answered, too",
    )


def fill(db):
    chance = random.Random(3)
    db.execute("BEGIN")
    for i in range(ROWS):
        text = chance.choice(TEXTS + [None])
        document = chance.choice([None, "{}", "[5]", '{"k":5}'])
        db.execute(
            "INSERT INTO log(t, n, j, u, k) VALUES(?, ?, ?, ?, ?)",
            (text, chance.choice([None, i]), document, chance.choice(TEXTS), f"k{i}"),
        )
    db.execute("COMMIT")
    db.execute(
        "CREATE TABLE plain(id INTEGER PRIMARY KEY, recorded_at INTEGER, t TEXT, n INTEGER, j TEXT, u TEXT, k TEXT)"
    )
    db.execute("INSERT INTO plain SELECT * FROM log")
    db.execute("CREATE TABLE other(v, w TEXT, x INTEGER, y REAL)")
    db.executemany("INSERT INTO other VALUES(?1, ?1, ?1, ?1)", [(value,) for value in LISTED])
    db.execute("CREATE TABLE wanted(k TEXT)")
    db.execute("INSERT INTO wanted VALUES('k7'), ('k300'), ('none')")


def rows_in_a_list(place):
    """SQLite compares the list's values with each entry itself: reading entries must not change them."""
    db = rbt.connect(place / "utf16.db")
    db.execute("PRAGMA encoding = 'UTF-16le'")
    db.execute("CREATE VIRTUAL TABLE log USING audit_log(t TEXT, n INTEGER, archive='cold')")
    db.execute("CREATE TABLE wanted(t TEXT, n INTEGER)")
    for t, n in 3 * (("a", 1), ("b", 5), ("é", 0)):
        db.execute("INSERT INTO log(t, n) VALUES(?, ?)", (t, n))
    db.execute("INSERT INTO wanted VALUES('b', 5), ('é', 0)")
    db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
    db.execute("SELECT audit_prune('log')").fetchall()
    sql = "SELECT id FROM log WHERE (t, n) IN (SELECT t, n FROM wanted) ORDER BY id"
    rbt.equal(
        [id for (id,) in rbt.rows(db, sql)],
        [2, 3, 5, 6, 8, 9],
        "cold entries of a database of UTF-16 are found by a list of rows",
    )
    db.close()


def main():
    rbt.plan(15)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        db = rbt.connect(place / "test.db")
        db.execute(
            "CREATE VIRTUAL TABLE log USING audit_log(t TEXT, n INTEGER, j JSON, u TEXT, k TEXT, "
            "INDEX(t), INDEX(u, n), INDEX(k), archive='cold')"
        )
        fill(db)
        compare(db, "hot", 1)
        looks_up(db)
        times = [time for (time,) in db.execute("SELECT recorded_at FROM log ORDER BY id")]
        db.execute("SELECT audit_archive('log', 'cold', ?)", (times[150],)).fetchall()
        db.execute("SELECT audit_prune('log')").fetchall()
        compare(db, "partly cold", 2, 250)
        db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
        db.execute("SELECT audit_prune('log')").fetchall()
        compare(db, "all cold", 3, 250)
        db.execute("DROP TABLE other")
        rbt.equal(
            rbt.rows(db, "SELECT id FROM log WHERE k IN (SELECT k FROM wanted) ORDER BY id DESC"),
            [(301,), (8,)],
            "cold entries are found by a list",
        )
        db.close()
        rows_in_a_list(place)
    other = rbt.connect(":memory:")
    other.execute("PRAGMA encoding = 'UTF-16le'")
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY):
        other.execute(
            "CREATE VIRTUAL TABLE log USING audit_log(t TEXT, n INTEGER, j JSON, u TEXT, k TEXT, INDEX(t), INDEX(u))"
        )
        fill(other)
        compare(other, "in a database of UTF-16", 4, 250)
    other.close()
    rbt.done()


main()
