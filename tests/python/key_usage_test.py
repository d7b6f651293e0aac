# SPDX-License-Identifier: MIT
"""key_usage: every column of every table that holds tokens, by format and key; what a rotation
has left; and schemas that were made to hide or to break something."""

import sqlite3

import rbt
from logs import attempt, quote

A = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
B = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
A_ID, B_ID = "fe6b3e115b099239", "08f0dab8da850abd"
LOST = "00112233445566ff"
USAGE = "SELECT * FROM key_usage"
# What the README says.
RETIRED = (
    "SELECT * FROM key_usage WHERE format <> 'subject'"
    " AND ifnull(key_id, 'unknown') NOT IN (SELECT key_id FROM key_ring)"
)
LEFT = "SELECT * FROM key_usage WHERE format <> 'subject' AND key_id IS NOT key_id()"


def envelope(key_id=A_ID, seconds=1700000000, kind=1, size=93):
    """What a token of that kind shows; it opens with no key."""
    head = b"RBT" + bytes([kind]) + bytes.fromhex(key_id) + seconds.to_bytes(8, "little")
    return head + bytes(size - len(head))


def index(key_id=A_ID, number=0):
    return bytes.fromhex(key_id) + number.to_bytes(16, "big")


def us(seconds):
    return seconds * 1000000


def put(db, table, *values):
    db.executemany(f"INSERT INTO {table} VALUES(?)", [(each,) for each in values])


def holds(db, expected, name, sql=USAGE):
    """One check: these rows in this order."""
    got = rbt.rows(db, sql)
    rbt.ok(got == expected, name)
    if got != expected:
        rbt.note("\n".join(["got", *map(str, got), "expected", *map(str, expected)]))


def formats(place):
    db = rbt.connect(place / "formats.db")
    holds(db, [], "a database without tables uses no key")
    db.execute("CREATE TABLE t(a, b INTEGER, c TEXT)")
    rows = [
        (envelope(A_ID, 20), envelope(A_ID, 5, 2), envelope(A_ID, 7, 3)),
        (envelope(B_ID, 10), envelope(B_ID, 6, 2), envelope(B_ID, 8, 3)),
        (envelope(A_ID, 30), envelope(LOST, 4, 2), envelope(B_ID, 2**63, 3, 200)),
        (index(A_ID, 1), index(A_ID, 2), index(LOST)[:23]),
        (index(B_ID, 1), index(LOST), index(A_ID) + b"x"),
        (envelope(A_ID, 0, 4), envelope()[:92], envelope(A_ID, 0, 5)),
        (b"", "", None),
        (b"\0" * 100, "RBT", 1.5),
        (index().decode("latin-1"), "gAAAA" + "A" * 200, "gAAAAA"),
        (-1, 0, 2**63 - 1),
    ]
    db.executemany("INSERT INTO t VALUES(?, ?, ?)", rows)
    expected = [
        ("t", "a", "blind_index", B_ID, 1, None, None),
        ("t", "a", "blind_index", A_ID, 1, None, None),
        ("t", "a", "envelope", B_ID, 1, us(10), us(10)),
        ("t", "a", "envelope", A_ID, 2, us(20), us(30)),
        ("t", "b", "blind_index", A_ID, 1, None, None),
        ("t", "b", "subject", None, 3, us(4), us(6)),
        ("t", "c", "subject_key", B_ID, 2, us(8), 2**63 - 1),
        ("t", "c", "subject_key", A_ID, 1, us(7), us(7)),
    ]
    holds(db, expected, "each format by column and key, counted, with its oldest and newest time")
    rbt.equal(
        [each[0] for each in db.execute(USAGE).description],
        "table_name column_name format key_id rows oldest_us newest_us".split(),
        "the columns have their names",
    )
    db.execute("BEGIN")
    db.execute("DELETE FROM t")
    holds(db, [], "it sees what the transaction did")
    db.execute("ROLLBACK")
    holds(db, expected, "and what its rollback undid")
    db.execute("CREATE VIEW use AS SELECT * FROM key_usage")
    rbt.refuses(
        db,
        "SELECT * FROM use",
        'unsafe use of virtual table "key_usage"',
        "no view of a file uses it",
    )
    db.execute("CREATE TEMP VIEW mine AS SELECT count(*) AS n FROM key_usage")
    rbt.equal(rbt.value(db, "SELECT n FROM mine"), len(expected), "a TEMP view may")
    rbt.refuses(
        db, "DELETE FROM key_usage", "table key_usage may not be modified", "it is read-only"
    )
    db.set_progress_handler(lambda: 1, 1)
    rbt.refuses(db, USAGE, "interrupted", "it can be interrupted")


def fernet(place):
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=A):
        db = rbt.connect(place / "fernet.db")
        db.execute("CREATE TABLE t(x)")
        db.execute("INSERT INTO t SELECT fernet_encrypt('x') FROM (VALUES(1), (2))")
        db.execute("INSERT INTO t SELECT CAST(fernet_encrypt('x') AS TEXT)")
        db.execute("INSERT INTO t SELECT rtrim(CAST(fernet_encrypt('') AS TEXT), '=')")
        for wrong in ("' ' || x", "x || x'0a'", "substr(x, 1, 99)", "replace(x, '-', '+') || '+'"):
            db.execute(f"INSERT INTO t SELECT {wrong} FROM t LIMIT 1")
        token = rbt.value(db, "SELECT x FROM t WHERE rowid = 1")
        seconds = rbt.value(db, "SELECT json_extract(token_info(?), '$.created_seconds')", token)
        (row,) = rbt.rows(db, USAGE)
        rbt.equal(
            row[:5],
            ("t", "x", "fernet", A_ID, 4),
            "strict Fernet tokens count, as BLOB and as TEXT",
        )
        rbt.ok(row[5] == us(seconds) <= row[6], "with the time of the token")
        db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=f"{B},{A}"):
        db = rbt.connect(place / "fernet.db")
        db.execute("INSERT INTO t SELECT fernet_encrypt('y')")
        got = [each[3:5] for each in rbt.rows(db, USAGE)]
        rbt.equal(got, [(B_ID, 1), (A_ID, 4)], "the ring's keys are told apart")
        db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=B):
        db = rbt.connect(place / "fernet.db")
        got = [each[3:5] for each in rbt.rows(db, USAGE)]
        rbt.equal(
            got,
            [(None, 4), (B_ID, 1)],
            "a key that left the ring is NULL: a Fernet token does not name it",
        )
        got = [each[3:5] for each in rbt.rows(db, RETIRED)]
        rbt.equal(got, [(None, 4)], "and the README's query for retired keys shows them")
        db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=None):
        db = rbt.connect(place / "fernet.db")
        got = [each[3:5] for each in rbt.rows(db, USAGE)]
        rbt.equal(got, [(None, 5)], "without a ring the table works and no Fernet token has a key")
        db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY="?"):
        db = rbt.connect(place / "fernet.db")
        rbt.ok(
            (attempt(db, USAGE) or "").startswith("key_usage: key 1 of RUSTYBT_"),
            "a malformed key is an error",
        )
        db.close()


def rotation(place):
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=A):
        db = rbt.connect(place / "rotation.db")
        db.execute("CREATE TABLE users(email, email_index)")
        db.execute("CREATE TABLE other(x)")
        db.execute(
            "INSERT INTO users SELECT encrypt(column1, 'e'), blind_index(column1, 'e')"
            " FROM (VALUES('a'), ('b'), ('c'))"
        )
        db.execute("INSERT INTO other VALUES(zeroblob(24))")
        holds(db, [], "before a rotation nothing is left", LEFT)
        db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=f"{B},{A}"):
        db = rbt.connect(place / "rotation.db")
        db.execute("UPDATE users SET email = key_rotate(email, 'e') WHERE rowid = 1")
        got = [each[1:5] for each in rbt.rows(db, LEFT)]
        want = [("email", "envelope", A_ID, 2), ("email_index", "blind_index", A_ID, 3)]
        rbt.equal(got, want, "what the rotation has left is shown by column")
        holds(db, [], "no retired key is in use while it is in the ring", RETIRED)
        db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=B):
        db = rbt.connect(place / "rotation.db")
        got = [each[1:5] for each in rbt.rows(db, RETIRED)]
        rbt.equal(got, want, "a retired key still in use is named, its blind indexes too")
        db.execute("DELETE FROM users WHERE rowid > 1")
        got = [each[1:5] for each in rbt.rows(db, USAGE)]
        rbt.equal(
            got,
            [("email", "envelope", B_ID, 1)],
            "24 bytes under an id that no token names are no index",
        )
        db.execute("INSERT INTO other VALUES(?)", (envelope("00" * 8),))
        got = [each[1:5] for each in rbt.rows(db, RETIRED)]
        want = [("x", "blind_index", "00" * 8, 1), ("x", "envelope", "00" * 8, 1)]
        rbt.equal(got, want, "until one does")
        db.close()


def logs(place):
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=A):
        db = rbt.connect(place / "logs.db")
        for name, options in (("whole", ""), ("hot", ", reads=hot"), ("open", ", seal=no")):
            db.execute(
                f"CREATE VIRTUAL TABLE {name} USING audit_log(t TEXT, b BLOB, n INTEGER, j JSON,"
                f" secrets=allow, archive=cold, salt=on{options})"
            )
        # What looks like storage, but is of no log.
        db.execute("CREATE TABLE x_rows(v)")
        put(db, "x_rows", envelope())
        rows = [(None, envelope(B_ID, seconds)) for seconds in (11, 12, 13)]
        rows += [(None, index(A_ID)), (None, index(LOST)), (None, envelope(LOST, 9))]
        for name in ("whole", "hot"):
            db.executemany(f"INSERT INTO {name}(t, b, n, j) VALUES(?, ?, 1, '{{}}')", rows)
            db.execute(f"INSERT INTO {name}(t) VALUES(CAST(fernet_encrypt('x') AS TEXT))")
        db.execute("INSERT INTO open(n) VALUES(1)")
        seal = lambda name: (name, None, "seal", A_ID, 1, None, None)
        fernet_time = rbt.value(db, "SELECT oldest_us FROM key_usage WHERE format = 'fernet'")
        entries = lambda name: [
            (name, "t", "fernet", A_ID, 1, fernet_time, fernet_time),
            (name, "b", "blind_index", LOST, 1, None, None),
            (name, "b", "blind_index", A_ID, 1, None, None),
            (name, "b", "envelope", LOST, 1, us(9), us(9)),
            (name, "b", "envelope", B_ID, 3, us(11), us(13)),
        ]
        rest = [("x_rows", "v", "envelope", A_ID, 1, us(1700000000), us(1700000000))]
        hot = [seal("hot"), *entries("hot")]
        whole = [seal("whole"), *entries("whole")]
        # the Fernet tokens of the two logs may differ by a second
        usage = USAGE + " WHERE format <> 'fernet' OR table_name = 'hot'"
        no_fernet = lambda rows: [each for each in rows if each[2] != "fernet"]
        holds(
            db,
            hot + no_fernet(whole) + rest,
            "logs are read through themselves, and their seals",
            usage,
        )
        for name in ("whole", "hot"):
            rbt.value(db, "SELECT audit_archive(?, 'cold', 'now')", name)
            rbt.value(db, "SELECT audit_prune(?)", name)
        tiers = rbt.rows(db, "SELECT DISTINCT tier FROM whole")
        db.execute("INSERT INTO whole(b) VALUES(?)", (envelope(B_ID, 99),))
        events = ("rustybt_events", None, "seal", A_ID, 1, None, None)
        got = rbt.rows(db, usage)
        want = [seal("hot"), events, seal("whole"), *no_fernet(entries("whole"))]
        want[-1] = ("whole", "b", "envelope", B_ID, 4, us(11), us(99))
        rbt.ok(
            tiers == [("cold",)] and got == want + rest,
            "after archiving and pruning, cold entries count as hot ones do, but not where reads=hot",
        )
        if got != want + rest:
            rbt.note("\n".join(map(str, got)))
        db.close()
        for segment in (place / "cold").glob("whole-*"):
            segment.unlink()
        db = rbt.connect(place / "logs.db")
        message = attempt(db, USAGE) or ""
        rbt.ok(
            message.startswith("key_usage: whole: "),
            "a log whose segment is missing is named, not counted short",
        )
        rbt.note(message)
        db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=B):
        db = rbt.connect(place / "logs.db")
        db.execute("ATTACH ':memory:' AS m")
        db.execute("CREATE VIRTUAL TABLE m.log USING audit_log(a TEXT)")
        db.execute("PRAGMA writable_schema=ON")
        db.execute("DELETE FROM main.sqlite_schema WHERE name = 'whole'")
        db.execute("PRAGMA writable_schema=RESET")
        got = [each[:1] + each[2:5] for each in rbt.rows(db, RETIRED + " AND format = 'seal'")]
        want = [("hot", "seal", A_ID, 1), ("rustybt_events", "seal", A_ID, 1)]
        rbt.equal(got, want, "a log that is sealed under a retired key is named")
        got = rbt.value(db, USAGE.replace("*", "sum(rows)") + " WHERE table_name = 'whole_rows'")
        rbt.equal(got, 1, "storage whose log was removed from the schema is read like any table")
        db.close()


def schemas(place):
    db = rbt.connect(place / "main.db")
    db.execute('ATTACH ? AS "other one"', (str(place / "attached.db"),))
    for statement in (
        "CREATE TABLE t(a)",
        "CREATE TABLE u(k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID",
        "CREATE TABLE s(a ANY, b BLOB, c INT, d TEXT) STRICT",
        "CREATE TABLE g(a, v AS (a) VIRTUAL, s AS (a) STORED)",
        'CREATE TABLE "other one".t(a)',
        "CREATE TEMP TABLE t(a)",
    ):
        db.execute(statement)
    time = us(1700000000)
    for number, table in enumerate(("main.t", '"other one".t', "temp.t"), 1):
        put(db, table, *[envelope()] * number)
    db.execute("INSERT INTO u VALUES(?, ?)", ("k", envelope()))
    db.execute("INSERT INTO s VALUES(?, ?, 1, 'x')", (envelope(B_ID), envelope()))
    db.execute("INSERT INTO g(a) VALUES(?)", (envelope(),))
    db.execute("CREATE INDEX g_a ON g(a)")
    row = lambda table, column, rows=1, key=A_ID: (table, column, "envelope", key, rows, time, time)
    expected = [row("g", "a"), row("g", "s"), row("s", "a", 1, B_ID), row("s", "b"), row("t", "a")]
    expected += [row("u", "v"), row("temp.t", "a", 3), row("other one.t", "a", 2)]
    holds(db, expected, "main, temp and attached, STRICT, WITHOUT ROWID, generated where stored")
    db.close()

    db = rbt.connect(place / "own.db")
    db.create_function("own", 1, lambda x: x, deterministic=True)
    db.execute("CREATE TABLE t(a, v AS (own(a)) VIRTUAL, CHECK(own(a) <> 0))")
    db.execute("CREATE INDEX t_own ON t(own(a))")
    db.execute("CREATE VIEW w AS SELECT own(a) FROM t")
    put(db, "t(a)", envelope())
    db.close()
    db = rbt.connect(place / "own.db")
    holds(db, [row("t", "a")], "functions that only the application has are not needed")
    db.execute("PRAGMA writable_schema=ON")
    db.execute(
        "INSERT INTO sqlite_schema VALUES('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING nobody(x)')"
    )
    db.execute("PRAGMA writable_schema=RESET")
    holds(db, [row("t", "a")], "virtual tables of other modules are passed over")
    db.close()

    db = rbt.connect(place / "utf16.db")
    db.execute("PRAGMA encoding = 'UTF-16'")
    db.execute('CREATE TABLE "tägliche"("größe")')
    token = rbt.value(db, "SELECT fernet_encrypt('x')").decode()
    put(db, '"tägliche"', token, envelope())
    got = [each[:5] for each in rbt.rows(db, USAGE)]
    want = [("tägliche", "größe", "envelope", A_ID, 1), ("tägliche", "größe", "fernet", A_ID, 1)]
    rbt.equal(got, want, "in UTF-16 text is looked at as UTF-8")
    db.close()


def hostile_names(place):
    db = rbt.connect(place / "names.db")
    names = [
        "a b",
        'q"uote',
        "it's",
        "[x]",
        "`y`",
        "--",
        "/*",
        "ü\n",
        "💥",
        "",
        "select",
        "%s%n",
        "n" * 1000,
    ]
    time = us(1700000000)
    for name in names:
        db.execute(f"CREATE TABLE {quote('t' + name)}({quote('c' + name)}, x)")
        db.execute(f"INSERT INTO {quote('t' + name)} VALUES(?, 1)", (envelope(),))
        db.execute(f"CREATE VIEW {quote('v' + name)} AS SELECT * FROM {quote('t' + name)}")
    expected = [("t" + n, "c" + n, "envelope", A_ID, 1, time, time) for n in sorted(names)]
    holds(db, expected, "names with quotes, blanks, comments, unicode and 1,000 characters")
    db.execute('CREATE TABLE ""("")')
    put(db, '""', envelope())
    rbt.equal(rbt.rows(db, USAGE)[0][:5], ("", "", "envelope", A_ID, 1), "names of no characters")
    db.close()

    db = rbt.connect(place / "columns.db")
    count = 2000
    db.execute(f"CREATE TABLE wide({', '.join(f'c{i}' for i in range(count))})")
    db.execute(f"INSERT INTO wide(c0, c{count - 1}) VALUES(?1, ?1)", (envelope(),))
    got = [each[1] for each in rbt.rows(db, USAGE)]
    rbt.equal(got, ["c0", f"c{count - 1}"], "as many columns as a table can have")
    db.close()


def edit_schema(path, *statements):
    """Edits sqlite_schema, without the extension, in a file that is then opened anew."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA writable_schema=ON")
    for statement in statements:
        db.execute(statement)
    db.close()


def hostile_schema(place):
    path = place / "schema.db"
    db = rbt.connect(path)
    for name in ("hidden", "innocent"):
        db.execute(f"CREATE TABLE {name}(x)")
        put(db, name, envelope())
    db.execute("CREATE TABLE pragma_table_xinfo(cid, name)")
    db.execute("CREATE TABLE pragma_table_list(schema, name)")
    db.close()
    lies = {
        "type = 'view'": "a table that is said to be a view does not hide",
        "type = 'table', name = 'innocent'": "nor does one under another's name",
    }
    for lie, name in lies.items():
        edit_schema(path, f"UPDATE sqlite_schema SET {lie} WHERE sql LIKE '%hidden%'")
        db = rbt.connect(path)
        message = attempt(db, USAGE)
        got = message or sorted(each[0] for each in rbt.rows(db, USAGE))
        rbt.ok(message or got == ["hidden", "innocent"], name)
        rbt.note(got)
        db.close()

    path = place / "nobody.db"
    db = rbt.connect(path)
    db.execute("CREATE TABLE t(x)")
    put(db, "t", envelope())
    db.execute("PRAGMA writable_schema=ON")
    db.execute("INSERT INTO sqlite_schema VALUES('table', 'u', 'u', 9, 'CREATE TABLE u(x)')")
    rbt.refuses(
        db,
        USAGE,
        "key_usage: u: sqlite_schema declares a table that the schema does not have",
        "a table that is declared and not there is an error",
    )
    db.execute(
        "UPDATE sqlite_schema SET sql = 'CREATE VIRTUAL TABLE u USING audit_log(a TEXT)' WHERE name = 'u'"
    )
    rbt.ok((attempt(db, USAGE) or "").startswith("key_usage: "), "and so is such a log")
    db.close()

    path = place / "broken.db"
    db = rbt.connect(path)
    for name in ("fine", "broken"):
        db.execute(f"CREATE TABLE {name}(x)")
        put(db, name, *[envelope(A_ID, 1, 1, 900) for _ in range(50)])
    root, size = rbt.rows(
        db, "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'broken'"
    )[0]
    db.close()
    with open(path, "r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    db = rbt.connect(path)
    rbt.refuses(
        db, USAGE, "key_usage: broken: database disk image is malformed", "a corrupt table is named"
    )
    db.close()

    db = rbt.connect(place / "denied.db")
    db.execute("CREATE TABLE t(x)")
    denied = lambda action, table, column, *_: (
        sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_READ and table == "t" and column == "x"
        else sqlite3.SQLITE_OK
    )
    db.set_authorizer(denied)
    message = attempt(db, USAGE) or ""
    rbt.ok(message.startswith("key_usage: t: access to "), "a table that may not be read is named")
    db.close()


def bounds(place):
    db = rbt.connect(place / "bounds.db")
    db.execute("CREATE TABLE t(many, real, sids)")
    for number in range(250):
        foreign = f"{number + 1:016x}"
        db.execute(
            "INSERT INTO t VALUES(?, ?, ?)",
            (envelope(foreign), envelope(LOST), envelope(foreign, 1, 2)),
        )
    db.execute("INSERT INTO t(many) VALUES(?)", (envelope(A_ID),))
    got = [(each[1], each[2], each[3], each[4]) for each in rbt.rows(db, USAGE)]
    want = [("many", "envelope", f"{number + 1:016x}", 1) for number in range(100)]
    want += [("many", "envelope", A_ID, 1), ("many", "envelope", "other", 150)]
    want += [("real", "envelope", LOST, 250), ("sids", "subject", None, 250)]
    rbt.equal(
        got, want, "a column names 100 foreign keys, the rest is other; sids are counted together"
    )
    other = [each for each in rbt.rows(db, RETIRED) if each[3] == "other"]
    rbt.equal(len(other), 1, "other is shown among the retired keys")
    db.execute("DELETE FROM t")
    put(
        db,
        "t(many)",
        bytes(20000000),
        "x" * 20000000,
        "gAAAA" + "A" * 20000000,
        "gAAAA" + "=" * 20000000,
    )
    holds(db, [], "values of 20 MB that are no tokens")
    db.close()


def concurrency(place):
    path = place / "drop.db"
    db = rbt.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    for name in ("a", "z"):
        db.execute(f"CREATE TABLE {name}(x)")
        put(db, name, *[envelope()] * 500)
    other = sqlite3.connect(path, isolation_level=None)
    dropped = []

    def drop():
        if not dropped:
            dropped.append(other.execute("DROP TABLE z").fetchall())

    # The first table is being read by then: its rows alone take more steps than all before.
    db.set_progress_handler(drop, 700)
    got = [each[0] for each in rbt.rows(db, USAGE)]
    rbt.ok(
        dropped and got == ["a", "z"],
        "a table dropped meanwhile is still read: one snapshot a schema",
    )
    db.set_progress_handler(None, 0)
    got = [each[0] for each in rbt.rows(db, USAGE)]
    rbt.equal(got, ["a"], "and is gone the next time")
    other.close()
    db.close()

    db = rbt.connect(place / "main.db")
    db.execute("ATTACH ? AS second", (str(place / "locked.db"),))
    db.execute("CREATE TABLE second.t(x)")
    db.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(place / "locked.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    rbt.refuses(db, USAGE, "key_usage: second: database is locked", "a locked database is named")
    other.close()
    db.close()


rbt.plan(46)
with rbt.folder() as place:
    fernet(place)
    rotation(place)
    logs(place)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=f"{A},{B}"):
        formats(place)
        schemas(place)
        hostile_names(place)
        hostile_schema(place)
        bounds(place)
        concurrency(place)
rbt.done()
