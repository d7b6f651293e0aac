# SPDX-License-Identifier: MIT
"""A log answers every query as a plain table with the same rows does: hot, partly cold, all cold, with
segments in its midst that have expired, and to statements that were prepared before a prune. Queries are
random, from a fixed seed."""

import random
import sqlite3
import time

import independent
import rbt

COUNT = 700  # queries a stage
COLUMNS = ["id", "rowid", "recorded_at", "t", "n", "r", "b", "j", "u"]
VALUES = [
    None,
    0,
    1,
    5,
    -3,
    300,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    0.0,
    0.5,
    5.0,
    -3.25,
    1e300,
    9.1e18,
    float("inf"),
    "",
    "a",
    "A",
    "b",
    "5",
    "05",
    "5.0",
    " 5",
    "abc",
    "é",
    "1e2",
    "a\0b",
    "0.5",
    b"",
    b"a",
    b"5",
    b"\0\1",
    b"\xff",
    "{}",
    "[5]",
    '{"k":5}',
    "x7",
    "x9",
]
OPERATORS = ["=", "==", "<>", "!=", "<", "<=", ">", ">=", "IS", "IS NOT"]
PATTERNS = ["LIKE 'a%'", "GLOB 'A*'", "LIKE '%5'", "NOT LIKE 'A'", "GLOB '[5a]*'"]
RESULTS = [
    "*",
    "id",
    "rowid",
    "oid",
    "rowid, *",
    "count(*)",
    "count(n)",
    "sum(n % 100)",
    "max(id), min(t)",
    "t, typeof(t)",
    "r, typeof(r)",
    "b, length(b), typeof(b)",
    "j, json_extract(j, '$.k')",
    "1",
    "max(r), total(r)",
    "n, recorded_at, id",
    "min(id)",
    "max(id)",
    "u",
]


# Special cases that chance would seldom make.
FIXED = [
    "SELECT max(rowid) FROM $T",
    "SELECT rowid FROM $T ORDER BY rowid DESC",
    "SELECT count(*) FROM $T",
    "SELECT rowid FROM $T ORDER BY rowid LIMIT 3 OFFSET 2",
    "SELECT min(rowid), max(id) FROM $T",
    "SELECT count(*) FROM $T WHERE rowid > 100",
    "SELECT 1 FROM $T LIMIT 4",
    "SELECT id FROM $T LIMIT 0",
    "SELECT t FROM $T WHERE id IN (250, 3, 77, 3, NULL) ORDER BY id DESC",
    "SELECT * FROM $T WHERE rowid = '7'",
    "SELECT * FROM $T WHERE id = 7.0",
    "SELECT * FROM $T WHERE id = 7.5",
    "SELECT id FROM $T WHERE id < 2.5",
    "SELECT a.id FROM $T a FULL JOIN $T b ON a.id = b.id + 290 ORDER BY a.id, b.id",
    "SELECT id FROM $T WHERE id BETWEEN 295 AND 9e18 ORDER BY id",
    "SELECT id FROM $T WHERE NOT id > 3 ORDER BY id",
    "SELECT id, lag(id) OVER (ORDER BY id DESC) FROM $T ORDER BY id",
    "SELECT id FROM $T WHERE (t, n) = ('5', 5)",
    "SELECT u, group_concat(id) FROM (SELECT u, id FROM $T ORDER BY id DESC) GROUP BY u ORDER BY u",
    "WITH x AS (SELECT id FROM $T WHERE n > 0) SELECT count(*) FROM x, $T USING (id)",
    "SELECT DISTINCT id FROM $T ORDER BY id DESC",
    "SELECT t FROM $T UNION SELECT b FROM $T ORDER BY 1",
]


class Queries:
    """Makes random queries on a table called $T, with their parameters."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.parameters = []

    def pick(self, choices):
        return self.chance.choice(choices)

    def value(self):
        """Any right-hand side: bound, literal, cast, computed."""
        value = self.pick(VALUES)
        how = self.chance.randrange(10)
        if how < 6 or value is None or isinstance(value, bytes) or value == float("inf"):
            self.parameters.append(value)
            return "?"
        if isinstance(value, str):
            text = (
                "CAST(x'%s' AS TEXT)" % value.encode().hex()
                if "\0" in value
                else ("'%s'" % value.replace("'", "''"))
            )
        else:
            text = f"({value!r})" if value != -(2**63) else "(-9223372036854775807 - 1)"
        return [text, text, f"CAST({text} AS INTEGER)", f"(SELECT {text})"][how - 6]

    def term(self, depth=0):
        how = self.chance.randrange(20 if depth < 2 else 16)
        column = self.pick(COLUMNS)
        if how < 8:
            return f"{column} {self.pick(OPERATORS)} {self.value()}"
        if how == 8:
            return f"{self.value()} {self.pick(['=', '<', '>='])} {column}"
        if how == 9:
            return f"{column} {self.pick(['', 'NOT '])}IN ({self.value()}, {self.value()}, {self.value()})"
        if how == 10:
            return f"{column} {self.pick(['', 'NOT '])}BETWEEN {self.value()} AND {self.value()}"
        if how == 11:
            return f"{column} {self.pick(['IS NULL', 'IS NOT NULL', 'ISNULL', 'NOTNULL'])}"
        if how == 12:
            return (
                f"{column} {self.pick(['=', '>', '<=', 'IS', '<>'])} {self.value()} COLLATE NOCASE"
            )
        if how == 13:
            return f"{column} {self.pick(PATTERNS)}"
        if how == 14:
            return f"id {self.pick(['>', '>=', '<', '<=', '='])} {self.chance.randrange(-2, 320)}"
        if how == 15:
            return f"{column} {self.pick(['=', '<', '>='])} {self.pick(COLUMNS)}"
        if how == 16:
            return f"NOT ({self.term(depth + 1)})"
        joiner = " OR " if how < 19 else " AND "
        return "(%s%s%s)" % (self.term(depth + 1), joiner, self.term(depth + 1))

    def single(self):
        """One table."""
        distinct = self.pick(["", "", "", "DISTINCT "])
        result = self.pick(RESULTS)
        sql = f"SELECT {distinct}{result} FROM $T"
        if self.chance.random() < 0.85:
            sql += " WHERE " + " AND ".join(self.term() for _ in range(self.chance.randint(1, 3)))
        if self.chance.random() < 0.15 and not distinct:
            return sql.replace(result, "u, count(*), max(id)") + " GROUP BY u ORDER BY u"
        if self.chance.random() < 0.6 and "(" not in result and not distinct:
            sql += " ORDER BY " + self.pick(
                [
                    "id",
                    "id DESC",
                    "rowid DESC",
                    "t, id",
                    "n DESC, id",
                    "r, id",
                    "recorded_at DESC, id DESC",
                    "id ASC, t",
                ]
            )
            if self.chance.random() < 0.5:
                sql += f" LIMIT {self.chance.randint(-1, 30)} OFFSET {self.chance.randint(-1, 40)}"
        return sql

    def joined(self):
        """With a table of values of all types, or with itself."""
        column = self.pick(COLUMNS)
        operator = self.pick(["=", "=", "<", ">", "IS"])
        value = self.pick(["v", "w", "x"])
        sql = self.pick(
            [
                f"SELECT a.id, o.rowid FROM other o JOIN $T a ON a.{column} {operator} o.{value}",
                f"SELECT a.id, o.rowid FROM other o LEFT JOIN $T a ON a.{column} {operator} o.{value}",
                f"SELECT a.id FROM $T a WHERE a.{column} IN (SELECT {value} FROM other)",
                f"SELECT a.id FROM $T a WHERE EXISTS (SELECT 1 FROM other WHERE {value} {operator} a.{column})",
                f"SELECT a.id, c.id FROM $T a JOIN $T c ON a.{column} = c.{self.pick(COLUMNS)} AND c.id < 40",
                f"SELECT count(*) FROM $T a, $T c WHERE a.id = c.id AND a.{column} {operator} c.{column}",
            ]
        )
        return sql

    def next(self):
        self.parameters = []
        sql = self.joined() if self.chance.random() < 0.15 else self.single()
        return sql, tuple(self.parameters)


def answer(db, sql, parameters, table):
    """The rows, in their order where ORDER BY fixes it."""
    try:
        rows = db.execute(sql.replace("$T", table), parameters).fetchall()
    except sqlite3.Error as error:
        return str(error)
    keyed = [tuple(map(repr, row)) for row in rows]
    return keyed if "ORDER BY" in sql else sorted(keyed)


def compare(db, stage, seed):
    """One check: all queries of a stage."""
    queries, wrong, total = Queries(seed), 0, 0
    for sql, parameters in [(sql, ()) for sql in FIXED] + [queries.next() for _ in range(COUNT)]:
        got, want = (answer(db, sql, parameters, table) for table in ("log", "plain"))
        total += len(want)
        if got != want:
            wrong += 1
            if wrong <= 5:
                rbt.note(
                    f"{sql} {parameters!r}\n got {len(got)}: {got[:4]}\nwant {len(want)}: {want[:4]}"
                )
    rbt.note(f"{total} rows compared")
    rbt.equal(
        wrong,
        0,
        f"{COUNT} random queries and {len(FIXED)} others get the plain table's answers: {stage}",
    )


def fill(db):
    """The same rows into log and plain, and a table of all values to join with."""
    chance = random.Random(5)
    db.execute("BEGIN")
    for i in range(300):
        of = lambda *kinds: chance.choice([v for v in VALUES if v is None or isinstance(v, kinds)])
        real = of(float, int)
        if real is not None and (
            abs(real) == float("inf") or isinstance(real, int) and abs(real) > 2**53
        ):
            real = float(i)
        document = chance.choice([None, "{}", "[5]", '{"k":5}', '{"k":"a"}'])
        db.execute(
            "INSERT INTO log(t, n, r, b, j, u) VALUES(?, ?, ?, ?, ?, ?)",
            (of(str), of(int), real, of(bytes), document, f"x{i // 40}"),
        )
    db.execute("COMMIT")
    db.execute(
        "CREATE TABLE plain(id INTEGER PRIMARY KEY, recorded_at INTEGER, t TEXT, n INTEGER, r REAL, "
        "b BLOB, j TEXT, u TEXT)"
    )
    db.execute("INSERT INTO plain SELECT * FROM log")
    db.execute("CREATE TABLE other(v, w TEXT, x INTEGER)")
    db.executemany("INSERT INTO other VALUES(?1, ?1, ?1)", [(value,) for value in VALUES])


def wide():
    """The mask of used columns has one bit for all from the 63rd on: what is read must not shift."""
    db = rbt.connect()
    names = [f"c{i}" for i in range(80)]
    db.execute(f"CREATE VIRTUAL TABLE wide USING audit_log({', '.join(f'{n} INTEGER' for n in names)})")
    db.execute(f"INSERT INTO wide({', '.join(names)}) VALUES({', '.join(map(str, range(80)))})")
    chosen = [(0,), (59, 60), (60, 61, 62), (61,), (62,), (79,), (0, 79), (3, 60, 78), range(80)]
    got = [rbt.rows(db, f"SELECT {', '.join(names[i] for i in some)} FROM wide") for some in chosen]
    rbt.equal(got, [[tuple(some)] for some in chosen], "a log of 80 columns gives each its own value")
    db.close()


def expired():
    """What has expired is gone for every query alike, also for those that read no row: here between
    segments that a hold keeps."""
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        db = rbt.connect(place / "expired.db")
        db.execute(
            "CREATE VIRTUAL TABLE log USING audit_log(t TEXT, n INTEGER, r REAL, b BLOB, j JSON, u TEXT, "
            "INDEX(t), INDEX(u, r), archive='cold', retain='1 ms')"
        )
        fill(db)
        times = [time for (time,) in db.execute("SELECT recorded_at FROM log ORDER BY id")]
        for number in (40, 90, 91, 170, 200, 260):
            rbt.value(db, "SELECT audit_archive('log', 'cold', ?)", times[number])
        rbt.value(db, "SELECT audit_prune('log')")
        rbt.value(db, "SELECT audit_hold('log', 'a claim', 100, 100)")
        rbt.value(db, "SELECT audit_hold('log', 'another', 201, 210)")
        time.sleep(0.01)
        db.execute("INSERT INTO log(t) VALUES('later')")
        db.execute("INSERT INTO plain SELECT * FROM log WHERE id = 301")
        rbt.value(db, "SELECT audit_expire('log')")
        gone = rbt.rows(
            db, "SELECT first_id, last_id FROM audit_segments('log') WHERE status = 'expired'"
        )
        db.executemany("DELETE FROM plain WHERE id BETWEEN ? AND ?", gone)
        rbt.equal(
            gone,
            [(0, 40), (41, 90), (91, 91), (171, 200)],
            "segments before and between those that are held have expired",
        )
        compare(db, "in parts expired", 6)
        db.close()


def main():
    rbt.plan(15)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        db = rbt.connect(place / "test.db")
        db.execute(
            "CREATE VIRTUAL TABLE log USING audit_log(t TEXT, n INTEGER, r REAL, b BLOB, j JSON, u TEXT, "
            "INDEX(t), INDEX(n), INDEX(recorded_at), INDEX(u, r), archive='cold')"
        )
        fill(db)
        compare(db, "hot", 1)
        # python's cache of prepared statements keeps these two alive from here on
        lasting = [
            ("SELECT * FROM log WHERE t >= ? ORDER BY id DESC", ("5",)),
            ("SELECT count(*) FROM log", ()),
            ("SELECT id FROM log WHERE n = ?", (5,)),
        ]
        before = [rbt.rows(db, sql, *parameters) for sql, parameters in lasting]
        times = [time for (time,) in db.execute("SELECT recorded_at FROM log ORDER BY id")]
        db.execute("SELECT audit_archive('log', 'cold', ?)", (times[60],)).fetchall()
        compare(db, "archived, still hot", 2)
        db.execute("SELECT audit_archive('log', 'cold', ?)", (times[170],)).fetchall()
        db.execute("SELECT audit_prune('log')").fetchall()
        pruned = rbt.value(db, "SELECT count(*) FROM log WHERE tier = 'cold'")
        rbt.ok(0 < pruned < 300, "part of the log is cold")
        compare(db, "partly cold", 3)
        rbt.equal(
            [rbt.rows(db, sql, *parameters) for sql, parameters in lasting],
            before,
            "statements prepared before the prune give the same rows",
        )
        open_cursor = db.execute("SELECT id FROM log ORDER BY id")
        first = [open_cursor.fetchone()[0] for _ in range(5)]
        rbt.refuses(
            db,
            "SELECT audit_prune('log')",
            "audit_prune: a statement of this connection is reading the database; call it without "
            "FROM: SELECT audit_prune('log')",
            "a prune under a running query is refused",
        )
        rbt.equal(
            first + [row[0] for row in open_cursor],
            list(range(1, 301)),
            "which goes on undisturbed",
        )
        db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
        db.execute("SELECT audit_prune('log')").fetchall()
        rbt.equal(rbt.value(db, "SELECT count(*) FROM log_rows"), 0, "all of the log is cold")
        compare(db, "all cold", 4)
        rbt.equal(
            [rbt.rows(db, sql, *parameters) for sql, parameters in lasting],
            before,
            "the same statements give the same rows",
        )
        db.execute("INSERT INTO log(t) VALUES('new')")
        db.execute("INSERT INTO plain SELECT * FROM log ORDER BY id DESC LIMIT 1")
        compare(db, "cold and one new entry", 5)
        rbt.equal(
            rbt.rows(db, "SELECT tier, count(*) FROM log GROUP BY tier ORDER BY tier"),
            [("cold", 300), ("hot", 1)],
            "tier tells where an entry is",
        )
        db.close()
        wide()
    expired()
    rbt.done()


main()
