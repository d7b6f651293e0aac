# SPDX-License-Identifier: MIT
"""Whatever a transaction does, and however it ends, a log holds exactly the entries that were committed,
with ids 1, 2, 3, … and a tree and seal that verify."""

import random

import independent
import rbt
from logs import attempt, entries, fresh, holds, verified

BAD = "CHECK constraint failed: n < 1000"


def statements_that_fail(place):
    """A statement of several rows that fails at its third, under every conflict clause."""
    for inside in (False, True):
        for clause in ("", "OR ABORT", "OR ROLLBACK", "OR FAIL", "OR IGNORE", "OR REPLACE"):
            db = fresh(place, f"multi-{inside}-{clause}.db")
            if inside:
                db.execute("BEGIN")
            db.execute("INSERT INTO log(n) VALUES(1)")
            error = attempt(db, f"INSERT {clause} INTO log(n) VALUES(2), (3), (5000), (4)")
            after = attempt(db, "INSERT INTO log(n) VALUES(9)")
            committed = attempt(db, "COMMIT") if db.in_transaction else None
            # without SQLITE_VTAB_CONSTRAINT_SUPPORT every clause is ABORT: the statement leaves nothing
            rbt.equal(error, f"log: {BAD}", f"{clause or 'INSERT'} says why")
            rbt.equal((after, committed), (None, None), "the log goes on after it")
            holds(
                db,
                [1, 9],
                f"three rows and a bad one, {clause or 'no clause'}, "
                f"{'in a transaction' if inside else 'alone'}",
            )
            db.close()


def savepoints(place):
    """Nested savepoints released and rolled back in every order."""
    for pattern in range(16):
        db = fresh(place, f"savepoint-{pattern}.db")
        db.execute("BEGIN" if pattern & 1 else "SAVEPOINT top")
        model = [0]
        db.execute("INSERT INTO log(n) VALUES(0)")
        stack = []
        for depth in range(3):
            stack.append(list(model))
            db.execute(f"SAVEPOINT s{depth}")
            db.execute("INSERT INTO log(n) VALUES(?), (?)", (10 + depth, 20 + depth))
            model += [10 + depth, 20 + depth]
        for depth in (2, 1, 0):
            if pattern >> depth + 1 & 1:
                db.execute(f"ROLLBACK TO s{depth}")
                model = list(stack[depth])
            db.execute("INSERT INTO log(n) VALUES(?)", (30 + depth,))
            model.append(30 + depth)
            db.execute(f"RELEASE s{depth}")
        db.execute("COMMIT" if pattern & 1 else "RELEASE top")
        holds(db, model, f"savepoints, pattern {pattern:04b}")
        db.close()


def random_operations(place, seed, steps, prepare):
    """A model of Python lists runs along."""
    chance = random.Random(seed)
    db = fresh(place, f"random-{seed}.db", prepare=prepare)
    db.execute("CREATE TABLE plain(a)")
    other = rbt.connect(place / f"random-{seed}.db")
    committed, now, stack, wrong, number = [], [], [], [], 0
    for step in range(steps):
        inside = db.in_transaction
        do = chance.randrange(14)
        if do < 5:
            count = chance.choice([1, 1, 2, 3, 300 if not step % 7 else 1])
            numbers = [(number + i) % 1000 for i in range(count)]
            number += count
            db.execute("INSERT INTO log(n) VALUES" + ", ".join(f"({n})" for n in numbers))
            now += numbers
        elif do == 5:
            attempt(db, "INSERT INTO log(n) VALUES(1), (2), (1000)")
        elif do == 6:
            attempt(db, "INSERT OR FAIL INTO log(n) VALUES(1), (2), ('x')")
        elif do == 7 and not inside:
            db.execute(chance.choice(["BEGIN", "BEGIN IMMEDIATE"]))
            inside = True
        elif do == 8 and len(stack) < 4:
            db.execute(f"SAVEPOINT p{len(stack)}")
            stack.append((list(now), inside))
            inside = True
        elif do == 9 and stack:
            level = chance.randrange(len(stack))
            db.execute(f"ROLLBACK TO p{level}")
            now = list(stack[level][0])
            del stack[level + 1 :]
        elif do == 10 and stack:
            level = chance.randrange(len(stack))
            db.execute(f"RELEASE p{level}")
            del stack[level:]
        elif do == 11 and inside and chance.random() < 0.6:
            db.execute("COMMIT")
            stack = []
        elif do == 12 and inside and chance.random() < 0.5:
            db.execute("ROLLBACK")
            now, stack = list(committed), []
        elif do == 13:
            attempt(
                db,
                chance.choice(
                    [
                        "ALTER TABLE plain ADD COLUMN c%d" % step,
                        "INSERT INTO plain(a) VALUES(1)",
                        "DELETE FROM log",
                        "UPDATE log SET n = 1",
                        "SELECT audit_root('log')",
                        "INSERT OR REPLACE INTO log(id, n) VALUES(1, 5)",
                        "DROP TABLE IF EXISTS temp.x",
                    ]
                ),
            )
        if entries(db) != list(enumerate(now, 1)):
            wrong.append(f"step {step}, {do}: own view {len(entries(db))}, model {len(now)}")
        if not db.in_transaction:
            committed, stack = list(now), []
            if chance.random() < 0.3 and not wrong:  # another connection appends in between
                other.execute("INSERT INTO log(n) VALUES(777)")
                now.append(777)
                committed = list(now)
            problems = verified(db)
            if problems:
                wrong.append(f"step {step}, {do}: {problems}")
        if wrong:
            break
    if db.in_transaction:
        db.execute("COMMIT")
        committed = now
    for problem in wrong:
        rbt.note(problem)
    rbt.equal(wrong, [], f"{steps} random operations, seed {seed}")
    holds(other, committed, f"and another connection sees the same {len(committed)} entries")
    db.close()
    other.close()


def creation(place):
    db = rbt.connect(place / "create.db")
    db.execute("BEGIN")
    db.execute("CREATE VIRTUAL TABLE log USING audit_log(n INTEGER)")
    db.execute("INSERT INTO log(n) VALUES(1), (2)")
    db.execute("SAVEPOINT a")
    db.execute("INSERT INTO log(n) VALUES(3)")
    db.execute("ROLLBACK TO a")
    db.execute("INSERT INTO log(n) VALUES(4)")
    db.execute("COMMIT")
    holds(db, [1, 2, 4], "CREATE, appends and a savepoint in one transaction")
    db.execute("BEGIN")
    db.execute("CREATE VIRTUAL TABLE gone USING audit_log(n INTEGER)")
    db.execute("INSERT INTO gone(n) VALUES(1)")
    db.execute("INSERT INTO log(n) VALUES(5)")
    db.execute("ROLLBACK")
    rbt.equal(
        rbt.rows(db, "SELECT name FROM sqlite_schema WHERE name LIKE 'gone%'"),
        [],
        "a rolled back CREATE leaves nothing",
    )
    db.execute("CREATE VIRTUAL TABLE gone USING audit_log(n INTEGER)")
    db.execute("INSERT INTO gone(n) VALUES(7)")
    holds(db, [7], "and the name is free again", "gone")
    holds(db, [1, 2, 4], "the rollback took the other log's entry, too")
    db.execute("SAVEPOINT a")
    db.execute("CREATE VIRTUAL TABLE third USING audit_log(n INTEGER)")
    db.execute("INSERT INTO third(n) VALUES(1)")
    db.execute("ROLLBACK TO a")
    db.execute("CREATE VIRTUAL TABLE third USING audit_log(n INTEGER, INDEX(n))")
    db.execute("INSERT INTO third(n) VALUES(2)")
    db.execute("RELEASE a")
    holds(
        db, [2], "CREATE, rolled back to a savepoint, and again with another declaration", "third"
    )
    db.execute("CREATE TABLE x(a)")
    db.execute("CREATE TABLE y(a)")
    db.execute("BEGIN")
    db.execute("INSERT INTO log(n) VALUES(10)")
    db.execute("ALTER TABLE x RENAME TO xx")
    db.execute("INSERT INTO log(n) VALUES(11)")
    db.execute("ALTER TABLE y ADD COLUMN b")
    db.execute("INSERT INTO log(n) VALUES(12)")
    db.execute("ALTER TABLE xx RENAME COLUMN a TO aa")
    db.execute("INSERT INTO log(n) VALUES(13), (14), (15)")
    db.execute("COMMIT")
    holds(db, [1, 2, 4, 10, 11, 12, 13, 14, 15], "ALTERs of other tables between appends")
    db.execute("BEGIN")
    db.execute("INSERT INTO log(n) VALUES(14)")
    db.execute("ALTER TABLE y RENAME TO yy")
    db.execute("INSERT INTO log(n) VALUES(15)")
    db.execute("CREATE TABLE z(a)")
    db.execute("INSERT INTO log(n) VALUES(16)")
    db.execute("ROLLBACK")
    holds(db, [1, 2, 4, 10, 11, 12, 13, 14, 15], "the same, rolled back")
    # 3.53 rolls the gate's UPDATE back and prepares it anew: that must not make the log forget
    db.execute("BEGIN IMMEDIATE")
    db.execute("ALTER TABLE y ADD COLUMN c")
    db.execute("INSERT INTO log(n) VALUES(20), (21), (22)")
    db.execute("COMMIT")
    holds(
        db,
        [1, 2, 4, 10, 11, 12, 13, 14, 15, 20, 21, 22],
        "the first append after an ALTER has several rows",
    )
    db.close()


def triggers(place):
    for trusted in ("ON", "OFF"):
        for recursive in ("ON", "OFF"):
            db = fresh(
                place,
                f"trigger-{trusted}-{recursive}.db",
                ", what TEXT",
                [f"PRAGMA recursive_triggers={recursive}"],
            )
            db.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, n INTEGER UNIQUE)")
            for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
                db.execute(
                    f"CREATE TRIGGER log_{event} AFTER {event} ON orders BEGIN "
                    f"INSERT INTO log(n, what) VALUES({row}.n, '{event}'); END"
                )
            db.execute(f"PRAGMA trusted_schema={trusted}")
            db.execute("INSERT INTO orders VALUES(1, 100), (2, 200)")
            db.execute("REPLACE INTO orders VALUES(1, 150)")
            db.execute("INSERT OR REPLACE INTO orders VALUES(3, 200)")
            db.execute(
                "INSERT INTO orders VALUES(3, 250) ON CONFLICT(id) DO UPDATE SET n = excluded.n"
            )
            db.execute("INSERT OR IGNORE INTO orders VALUES(9, 250)")
            error = attempt(db, "INSERT INTO orders VALUES(10, 10), (11, 5000)")
            db.execute("UPDATE OR IGNORE orders SET n = n + 1")
            db.execute("DELETE FROM orders WHERE id = 1")
            replaced = [100, 200] + ([100, 150, 200, 200] if recursive == "ON" else [150, 200])
            want = replaced + [250, 151, 251, 151]
            holds(
                db,
                want,
                f"triggers append, trusted_schema={trusted}, recursive_triggers={recursive}",
            )
            rbt.equal(
                rbt.rows(db, "SELECT * FROM orders"),
                [(3, 251)],
                "and the orders are what they should be",
            )
            rbt.ok(error and error.endswith(BAD), "a refused entry refuses the order")
            error = attempt(db, "UPDATE OR IGNORE orders SET n = 5000")
            rbt.ok(
                error and error.endswith(BAD) and rbt.rows(db, "SELECT n FROM orders") == [(251,)],
                "also under OR IGNORE: the order never changes without its entry",
            )
            db.close()


def refusals(place):
    db = fresh(place, "refusals.db", ", note TEXT")
    db.execute("INSERT INTO log(n) VALUES(1)")
    for sql, message in {
        "UPDATE log SET n = 2": "log is append-only: entries are never changed",
        "UPDATE OR IGNORE log SET n = 2": "log is append-only: entries are never changed",
        "UPDATE OR REPLACE log SET id = 2": "log is append-only: entries are never changed",
        "DELETE FROM log": "log is append-only: entries are never deleted",
        "INSERT INTO log(id, n) VALUES(7, 1)": "log: id is given by the log; leave it out or NULL",
        "INSERT INTO log(rowid, n) VALUES(7, 1)": "log: id is given by the log; leave it out or NULL",
        "REPLACE INTO log(id, n) VALUES(1, 2)": "log: id is given by the log; leave it out or NULL",
        "INSERT INTO log(recorded_at, n) VALUES(7, 1)": "log: recorded_at is given by the log's own clock; leave it out or NULL",
        "INSERT INTO log(n) VALUES(1) ON CONFLICT DO NOTHING": 'UPSERT not implemented for virtual table "log"',
        "INSERT INTO log(n) VALUES(1) ON CONFLICT(id) DO UPDATE SET n = 2": 'UPSERT not implemented for virtual table "log"',
        "ALTER TABLE log RENAME TO other": 'log: a log keeps its name, which its archives carry; it cannot become "other"',
        "ALTER TABLE log ADD COLUMN x": "virtual tables may not be altered",
        "CREATE TRIGGER t AFTER INSERT ON log BEGIN SELECT 1; END": "cannot create triggers on virtual tables",
        "CREATE INDEX i ON log(n)": "virtual tables may not be indexed",
        "INSERT INTO log(n) VALUES(NULL)": "log: n must not be NULL",
    }.items():
        rbt.refuses(db, sql, message, f"refused: {sql}")
    rbt.ok(attempt(db, "DROP TABLE log"), "refused: DROP TABLE log")
    rbt.equal(
        db.execute("REPLACE INTO log(n, id) VALUES(2, NULL)").lastrowid,
        2,
        "REPLACE without an id is an append, and lastrowid is its id",
    )
    holds(db, [1, 2], "nothing of it changed the log")
    db.close()


def settings(place):
    """Journals, encodings and pragmas that could disturb."""
    for name, prepare in {
        "WAL": ["PRAGMA journal_mode=WAL"],
        "journal_mode=DELETE": ["PRAGMA journal_mode=DELETE"],
        "journal_mode=TRUNCATE": ["PRAGMA journal_mode=TRUNCATE"],
        "journal_mode=MEMORY, synchronous=OFF": [
            "PRAGMA journal_mode=MEMORY",
            "PRAGMA synchronous=OFF",
        ],
        "UTF-16le": ["PRAGMA encoding='UTF-16le'"],
        "UTF-16be": ["PRAGMA encoding='UTF-16be'"],
        "reverse_unordered_selects": ["PRAGMA reverse_unordered_selects=ON"],
        "ignore_check_constraints and foreign_keys": ["PRAGMA foreign_keys=ON"],
        "auto_vacuum": ["PRAGMA auto_vacuum=FULL"],
        "page_size=512, cache_size=5": ["PRAGMA page_size=512", "PRAGMA cache_size=5"],
        "exclusive locking": ["PRAGMA locking_mode=EXCLUSIVE"],
        "cell_size_check, secure_delete": ["PRAGMA cell_size_check=ON", "PRAGMA secure_delete=ON"],
        "temp_store=MEMORY, count_changes": ["PRAGMA temp_store=MEMORY", "PRAGMA count_changes=ON"],
    }.items():
        db = fresh(
            place,
            f"setting-{name}.db".replace("/", "_"),
            ", t TEXT, d JSON, b BLOB, INDEX(t)",
            prepare,
        )
        texts = ["é漢🜁", "a\0b", "\ufeffx", "\ud7ff\ue000\U0010ffff", "", "plain"]
        for i in range(600):
            if i % 100 == 0:
                db.execute("BEGIN")
            db.execute(
                "INSERT INTO log(n, t, d, b) VALUES(?, ?, ?, ?)",
                (i, texts[i % 6], '{"k" : "é\\u0000"}', b"\0\xff"),
            )
            if i % 100 == 99:
                db.execute("ROLLBACK" if i == 299 else "COMMIT")
        kept = [i for i in range(600) if not 200 <= i < 300]
        holds(db, kept, name)
        rbt.equal(
            [t for (t,) in db.execute("SELECT t FROM log ORDER BY id")],
            [texts[i % 6] for i in kept],
            "and its texts come back",
        )
        db.execute("VACUUM")
        holds(db, kept, "and after VACUUM")
        db.close()


def foreign_keys(place):
    db = rbt.connect(place / "fk.db")
    db.execute("PRAGMA foreign_keys=ON")
    db.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
    db.execute("INSERT INTO parent VALUES(1)")
    db.execute("CREATE VIRTUAL TABLE log USING audit_log(n INTEGER REFERENCES parent(id))")
    db.execute("INSERT INTO log(n) VALUES(1), (NULL)")
    rbt.refuses(
        db,
        "INSERT INTO log(n) VALUES(2)",
        "FOREIGN KEY constraint failed",
        "a dangling reference is refused",
    )
    db.execute("BEGIN")
    db.execute("INSERT INTO log(n) VALUES(2)")
    rbt.refuses(db, "COMMIT", "FOREIGN KEY constraint failed", "at COMMIT inside a transaction")
    db.execute("INSERT INTO parent VALUES(2)")
    db.execute("INSERT INTO log(n) VALUES(1)")
    db.execute("COMMIT")
    holds(db, [1, None, 2, 1], "which can be mended before COMMIT is tried again")
    rbt.refuses(
        db,
        "DELETE FROM parent WHERE id = 2",
        "FOREIGN KEY constraint failed",
        "a parent with entries stays",
    )
    db.execute("PRAGMA ignore_check_constraints=ON")
    db.execute("CREATE VIRTUAL TABLE second USING audit_log(n INTEGER CHECK(n > 0))")
    attempt(db, "INSERT INTO second(n) VALUES(-1)")
    rbt.equal(verified(db, "second"), [], "ignore_check_constraints harms only the check")
    db.close()


def main():
    rbt.plan(150)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        statements_that_fail(place)
        savepoints(place)
        for seed in range(6):
            journal = "WAL" if seed % 2 else "DELETE"
            random_operations(place, seed, 250, [f"PRAGMA journal_mode={journal}"])
        creation(place)
        triggers(place)
        refusals(place)
        settings(place)
        foreign_keys(place)
    rbt.done()


main()
