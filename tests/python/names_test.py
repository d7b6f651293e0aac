# SPDX-License-Identifier: MIT
"""Logs in every schema, under every name, with every kind of key or none."""

import independent
import rbt
from logs import attempt, entries, fresh, holds, quote, verified


def schemas(place):
    db = rbt.connect(place / "main.db")
    db.execute("ATTACH ? AS aux", (str(place / "aux.db"),))
    db.execute('ATTACH ? AS "odd schema""é"', (str(place / "odd.db"),))
    where = {
        "main": "main.log",
        "aux": "aux.log",
        "temp": "temp.log",
        'odd schema"é': '"odd schema""é".log',
    }
    for number, name in enumerate(where.values()):
        db.execute(f"CREATE VIRTUAL TABLE {name} USING audit_log(n INTEGER, INDEX(n))")
    db.execute("BEGIN")
    for step in range(5):
        for number, name in enumerate(where.values()):
            db.execute(f"INSERT INTO {name}(n) VALUES(?)", (10 * number + step,))
    db.execute("COMMIT")
    db.execute("BEGIN")
    for name in where.values():
        db.execute(f"INSERT INTO {name}(n) VALUES(1)")
    db.execute("ROLLBACK")
    for number, (schema, name) in enumerate(where.items()):
        want = [10 * number + step for step in range(5)]
        rbt.equal(
            (entries(db, name), verified(db, f"{schema}.log")),
            (list(enumerate(want, 1)), []),
            f"a log in schema {schema}",
        )
    rbt.equal(
        rbt.rows(db, "SELECT schema, name, entries FROM audit_logs ORDER BY schema"),
        sorted((schema, "log", 5) for schema in where),
        "audit_logs lists all four",
    )
    rbt.equal(
        rbt.value(db, "SELECT count(*) FROM audit_verify('*') WHERE kind = 'verified'"),
        4,
        "audit_verify('*') verifies all four",
    )
    rbt.equal(
        rbt.value(db, "SELECT audit_leaf('log', 1)"),
        rbt.value(db, "SELECT audit_leaf('temp.log', 1)"),
        "a bare name finds temp first",
    )
    db.execute("DETACH aux")
    rbt.refuses(
        db,
        "SELECT audit_root('aux.log')",
        'audit_root: no log is named "aux.log"; SELECT name FROM audit_logs lists them',
        "a detached log is gone",
    )
    db.close()
    db = rbt.connect(place / "aux.db")
    holds(db, [10, 11, 12, 13, 14], "and whole in its own file")
    db.close()


def names(place):
    """Names that must be quoted somewhere."""
    db = rbt.connect(place / "names.db")
    for name in (
        "select",
        "with space",
        'qu"ote',
        "it's",
        "é漢",
        "a.b",
        "x;y--z",
        "[brackets]",
        "`tick`",
        "%d%s%w",
        "n" * 180,
        "Log_Rows",
        "order",
    ):
        quoted = quote(name)
        db.execute(
            f"CREATE VIRTUAL TABLE {quoted} USING audit_log({quoted} INTEGER NOT NULL, n INTEGER, "
            f"INDEX({quoted}), CHECK({quoted} > 0), archive='cold')"
        )
        db.execute(f"INSERT INTO {quoted}({quoted}, n) VALUES(1, 1), (2, 2)")
        problem = attempt(db, f"INSERT INTO {quoted}({quoted}) VALUES(0)")
        db.execute("SELECT audit_archive(?, 'cold', 'now')", (name,)).fetchall()
        db.execute("SELECT audit_prune(?)", (name,)).fetchall()
        db.execute(f"INSERT INTO {quoted}({quoted}, n) VALUES(3, 3)")
        rbt.ok(problem and "constraint failed" in problem, f"a CHECK on {name[:20]}")
        holds(db, [1, 2, 3], f"a log and a column named {name[:20]}", name)
    long = "n" * 300
    db.execute(f"CREATE VIRTUAL TABLE {long} USING audit_log(n INTEGER)")
    db.execute(f"INSERT INTO {long}(n) VALUES(1), (2)")
    holds(db, [1, 2], "a log whose name has 300 characters", long)
    rbt.ok(
        "is too long for an archive" in attempt(db, "SELECT audit_archive(?, 'cold', 'now')", long),
        "no file can have that name, so archiving it is refused",
    )
    holds(db, [1, 2], "and the log goes on", long)
    many = ", ".join(f"c{i} INTEGER" for i in range(90))
    db.execute(
        f"CREATE VIRTUAL TABLE wide USING audit_log({many}, last TEXT, INDEX(c80), archive='cold')"
    )
    for i in range(20):
        db.execute(
            "INSERT INTO wide(c0, c62, c63, c64, c80, c89, last) VALUES(?, ?, ?, ?, ?, ?, ?)",
            (i, 62 + i, 63 + i, 64 + i, 80 + i, 89 + i, f"t{i}"),
        )
    query = (
        "SELECT c89, last, c61, c62 FROM wide WHERE c80 >= 90 AND c64 < 80 ORDER BY id DESC",
        "SELECT c63 FROM wide WHERE last = 't5'",
        "SELECT * FROM wide ORDER BY id",
    )
    hot = [rbt.rows(db, sql) for sql in query]
    rbt.equal(
        hot[:2],
        [[(89 + i, f"t{i}", None, 62 + i) for i in range(15, 9, -1)], [(68,)]],
        "91 columns",
    )
    db.execute("SELECT audit_archive('wide', 'cold', 'now')").fetchall()
    db.execute("SELECT audit_prune('wide')").fetchall()
    rbt.equal([rbt.rows(db, sql) for sql in query], hot, "and cold")
    rbt.equal(verified(db, "wide"), [], "and verified")
    db.close()


def keys(place):
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=None):
        db = rbt.connect(place / "keyless.db")
        db.execute("CREATE VIRTUAL TABLE open USING audit_log(n INTEGER, seal=no)")
        db.execute("INSERT INTO open(n) VALUES(1), (2)")
        holds(db, [1, 2], "seal=no needs no key at all", "open")
        message = attempt(db, "CREATE VIRTUAL TABLE log USING audit_log(n INTEGER)")
        rbt.ok(
            message and "RUSTYBT_ENCRYPTION_KEY is not set" in message,
            "a sealed log needs one, and says so",
        )
        rbt.equal(
            rbt.rows(db, "SELECT name FROM sqlite_schema WHERE name LIKE 'log%'"),
            [],
            "and leaves nothing",
        )
        db.close()
    db = fresh(place, "sealed.db")
    db.execute("INSERT INTO log(n) VALUES(1)")
    db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=None):
        db = rbt.connect(place / "sealed.db")
        rbt.equal(entries(db), [(1, 1)], "reading needs no key")
        rbt.equal(rbt.value(db, "SELECT audit_size('log')"), 2, "nor does audit_size")
        rbt.equal(
            [kind for kind, _, _ in verified(db)],
            ["untrusted"],
            "verifying says what it cannot check",
        )
        rbt.refuses(
            db,
            "INSERT INTO log(n) VALUES(2)",
            "log: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set "
            "RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one",
            "appending needs the key",
        )
        db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.OTHER_KEY):
        db = rbt.connect(place / "sealed.db")
        rbt.refuses(
            db,
            "INSERT INTO log(n) VALUES(2)",
            "log: the log is sealed under key fe6b3e115b099239, which the ring does not have",
            "appending needs that key",
        )
        db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=f"{independent.OTHER_KEY},{independent.KEY}"):
        db = rbt.connect(place / "sealed.db")
        db.execute("INSERT INTO log(n) VALUES(2)")
        holds(db, [1, 2], "a ring with both goes on, sealing under its first")
        db.close()
    db = fresh(place, "salted.db", ", t TEXT, salt=on, archive='cold'")
    db.execute("INSERT INTO log(n, t) VALUES(1, 'x'), (1, 'x')")
    first, second = (rbt.value(db, "SELECT audit_leaf('log', ?)", i) for i in (1, 2))
    rbt.ok(
        '"salt":"' in first and first.split('"salt":')[1] != second.split('"salt":')[1],
        "salt=on salts each entry",
    )
    holds(db, [1, 1], "and verifies")
    db.execute("SELECT audit_archive('log', 'cold', 'now')").fetchall()
    db.execute("SELECT audit_prune('log')").fetchall()
    rbt.equal(rbt.value(db, "SELECT audit_leaf('log', 1)"), first, "and keeps its salt when cold")
    holds(db, [1, 1], "and verifies then, too")
    db.close()


def main():
    rbt.plan(54)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        schemas(place)
        names(place)
        keys(place)
    rbt.done()


main()
