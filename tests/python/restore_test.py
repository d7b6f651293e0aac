# SPDX-License-Identifier: MIT
"""audit_restore(log, path_or_glob[, vkeys]): a log made again from its segments has the same ids, times, leaves
and root, verifies, and goes on; what is foreign, altered or incomplete is refused with the file's name."""

import json
import os
import shutil
import sqlite3

import independent
import rbt

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def make(path):
    """A log with a column that came later, two segments with 600 and 3 entries, then entries in none."""
    db = rbt.connect(path)
    db.execute(
        "CREATE VIRTUAL TABLE orders USING audit_log(symbol TEXT NOT NULL CHECK(symbol <> ''), "
        "price REAL, detail JSON NOT NULL, raw BLOB /* ) , */, INDEX(symbol), "
        "origin='example.com/orders', archive='cold', retain='7 years', salt=yes)"
    )
    db.execute("BEGIN")
    for i in range(1, 601):
        db.execute(
            "INSERT INTO orders(symbol, price, detail, raw) VALUES(?, ?, ?, ?)",
            (f"S{i % 7}", i / 8, '{"n":%d,"t":"é\\""}' % i, None if i % 3 else bytes([i % 256, 0])),
        )
    db.execute("COMMIT")
    archive(db)
    rbt.value(db, "SELECT audit_checkpoint('orders')")
    rbt.value(db, "SELECT audit_set('orders', 'add_column', 'venue TEXT CHECK(venue <> ''x'')')")
    for venue in ("XNAS", None, "XETR"):
        db.execute("INSERT INTO orders(symbol, detail, venue) VALUES('LATE', '[1]', ?)", (venue,))
    archive(db)
    return db


def archive(db, log="orders"):
    return rbt.value(db, "SELECT audit_archive(?, 'cold', 'now')", log)


def everything(db):
    return (
        rbt.rows(db, "SELECT * FROM orders WHERE id <= 603 ORDER BY id"),
        [rbt.value(db, "SELECT audit_leaf('orders', ?)", i) for i in range(0, 604)],
        rbt.value(db, "SELECT audit_root('orders', 604)"),
        rbt.value(db, "SELECT audit_root('orders', 601)"),
    )


def restore(db, pattern, log="orders"):
    return rbt.value(db, "SELECT audit_restore(?, ?)", log, str(pattern))


def errors(db, log="orders", *checkpoint):
    marks = ", ?" * len(checkpoint)
    return rbt.rows(
        db,
        f"SELECT kind, detail FROM audit_verify(?{marks}) WHERE level = 'error'",
        log,
        *checkpoint,
    )


def refused(place, pattern, message, name, log="orders", key=KEY):
    """A refusal leaves nothing behind."""
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=key):
        db = rbt.connect()
        try:
            got = restore(db, place / pattern, log)
        except sqlite3.Error as error:
            got = str(error)
        got = got.replace(str(place), "PLACE")
        left = rbt.value(db, "SELECT count(*) FROM sqlite_schema")
        db.close()
    rbt.equal((got, left), (message, 0), name)


def whole(place):
    old = make(place / "old" / "trading.db")
    first_checkpoint = rbt.value(old, "SELECT audit_checkpoint('orders')")
    before = everything(old)
    proof = rbt.value(old, "SELECT audit_leaf('orders', 77)")
    old.execute("INSERT INTO orders(symbol, detail) VALUES('LOST', '[2]')")
    outside = rbt.value(old, "SELECT audit_checkpoint('orders')")
    old.close()

    shutil.copytree(place / "old" / "cold", place / "new" / "cold")
    db = rbt.connect(place / "new" / "again.db")
    line = restore(db, place / "new" / "cold" / "orders-*.zst")
    rbt.equal(
        line,
        f"orders: restored 603 entries from 2 segments: 604 leaves with root {before[2]}; entries that "
        "the log had after 603 are lost; 1 column added later came back without CHECK, DEFAULT and "
        "INDEX",
        "one line says what was restored, and that the rest is lost",
    )
    rbt.equal(everything(db), before, "rows, times, leaves and roots are the same")
    rbt.equal(
        rbt.rows(db, "SELECT tier, count(*) FROM orders GROUP BY tier"),
        [("hot", 603)],
        "every entry is in the database",
    )
    rbt.equal(errors(db, "*"), [], "all of it verifies")
    rbt.equal(
        rbt.rows(
            db,
            "SELECT log, json_extract(detail, '$.size'), json_extract(detail, '$.root'), "
            "json_extract(detail, '$.segments'), json_extract(detail, '$.largest_checkpoint') "
            "FROM rustybt_events WHERE action = 'restore'",
        ),
        [("orders", 604, before[2], 2, 601)],
        "an event says it, with size and root",
    )
    rbt.equal(
        rbt.rows(db, "SELECT last_checkpoint_size, archived_to, sealed FROM audit_logs WHERE name = 'orders'"),
        [(601, 603, 1)],
        "the checkpoint that a segment carries is stored, the seal made anew",
    )
    rbt.equal(errors(db, "orders", first_checkpoint), [], "it extends a checkpoint kept outside")
    rbt.equal(
        [kind for kind, _ in errors(db, "orders", outside)],
        ["rolled_back"],
        "a larger checkpoint kept outside shows the loss",
    )
    db.close()

    db = rbt.connect(place / "new" / "again.db")
    db.execute("INSERT INTO orders(symbol, detail, venue) VALUES('NEXT', '[3]', 'XLON')")
    rbt.equal(
        rbt.value(db, "SELECT max(id) FROM orders"), 604, "the log goes on with the next id"
    )
    note = rbt.value(db, "SELECT audit_checkpoint('orders', ?)", first_checkpoint)
    rbt.equal(note.split("\n")[1], "605", "a checkpoint extends the one of before")
    rbt.equal(
        rbt.value(
            db,
            "SELECT proof_verify(audit_proof('orders', 77), ?, audit_public_key('orders', 'vkey'))",
            proof,
        ),
        1,
        "an old entry is proven in the new checkpoint",
    )
    archive(db)
    rbt.value(db, "SELECT audit_prune('orders')")
    rbt.equal(
        (everything(db)[1:], rbt.value(db, "SELECT count(*) FROM orders WHERE tier = 'cold'")),
        (before[1:], 604),
        "pruned, it reads the same from the segments",
    )
    pattern = str(place / "new" / "cold" / "orders-*.zst")
    rbt.ok(
        rbt.value(db, "SELECT archive_verify(?)", pattern).startswith("3 segments of orders"),
        "the next segment continues the chain",
    )
    rbt.equal(errors(db, "*"), [], "and all of it verifies")
    rbt.refuses(
        db,
        "SELECT audit_restore('orders', ?)",
        'audit_restore: the database has "orders" already; restore into one that has not',
        "a log that is there is not restored",
        pattern,
    )
    db.close()


def with_events(place):
    """rustybt_events first, and it knows what the manifests do not."""
    old = rbt.connect(place / "old" / "trading.db")
    archive(old, "rustybt_events")
    want = everything(old)
    old.close()
    folder = place / "both"
    shutil.copytree(place / "old" / "cold", folder / "cold")
    db = rbt.connect(folder / "again.db")
    restore(db, folder / "cold" / "rustybt_events-*.zst", "rustybt_events")
    line = restore(db, folder / "cold" / "orders-*.zst")
    rbt.ok("came back" not in line, "with rustybt_events restored, a later column is what it was")
    rbt.ok("CHECK(venue" in rbt.value(db, "SELECT sql FROM sqlite_schema WHERE name = 'orders'"),
           "with its CHECK")
    rbt.equal(everything(db), want, "and the log is the same")
    rbt.equal(errors(db, "*"), [], "and verifies, with rustybt_events")
    rbt.equal(
        [row[0] for row in rbt.rows(db, "SELECT log FROM rustybt_events WHERE action = 'restore'")],
        ["rustybt_events", "orders"],
        "both are on record",
    )
    db.close()


def places(place):
    """What is recorded holds when the folder of database and segments is moved."""
    old = place / "old" / "cold"
    for where, pattern, recorded in (
        ("own", "cold", "cold"),
        ("below", "store/2026", "store/2026"),
    ):
        folder = place / where
        shutil.copytree(old, folder / pattern)
        db = rbt.connect(folder / "x.db")
        restore(db, folder / pattern / "orders-*.zst")
        rbt.equal(
            rbt.rows(db, "SELECT DISTINCT directory FROM orders_segments"),
            [(recorded,)],
            f"segments in {pattern} are found relative to the database",
        )
        db.close()
    db = rbt.connect(place / "far.db")
    with rbt.environment(RUSTYBT_ARCHIVE_DIR=str(place / "own")):
        rbt.refuses(
            db,
            "SELECT audit_restore('orders', ?)",
            f"audit_restore: {old}/orders-000000000000-000000000600.jsonl.zst is not in "
            "RUSTYBT_ARCHIVE_DIR, where all segments are to be found; unset it or put the segment there",
            "RUSTYBT_ARCHIVE_DIR must name the folder",
            str(old / "orders-*.zst"),
        )
    db.execute("ATTACH ? AS other", (str(place / "other.db"),))
    restore(db, old / "orders-*.zst", "other.orders")
    rbt.equal(
        (errors(db, "other.orders"), rbt.value(db, "SELECT count(*) FROM other.orders")),
        ([], 603),
        "a log is restored into an attached database",
    )
    db.execute("BEGIN")
    rbt.refuses(
        db,
        "SELECT audit_restore('orders', 'x')",
        "audit_restore: it makes its own transaction; COMMIT or ROLLBACK first",
        "inside a transaction it is refused",
    )
    db.close()


def hostile(place):
    cold = place / "old" / "cold"
    first, second = sorted(cold.glob("orders-*.zst"))
    stage = place / "stage"
    stage.mkdir()

    def fresh(*files):
        shutil.rmtree(stage)
        stage.mkdir()
        for file in files:
            shutil.copy(file, stage)

    fresh(second)
    refused(
        stage,
        "*.zst",
        f"audit_restore: the log begins with entry 601, in PLACE/{second.name}: what came before is "
        "missing, or has expired, and a log is restored from its beginning; read what is left with "
        "archive_entries or the module archive",
        "a log without its first segment is refused",
    )
    fresh(first, second)
    refused(
        stage,
        "*.zst",
        f'audit_restore: PLACE/{first.name} is a segment of the log "orders", not of "trades"; a log '
        "keeps its name",
        "another name is refused",
        "trades",
    )
    other = "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=other):
        db = rbt.connect()
        try:
            got = restore(db, stage / "*.zst")
        except sqlite3.Error as error:
            got = str(error)
        rbt.ok(
            got.startswith(f"audit_restore: {stage}/{first.name}: "), "a foreign signer is refused"
        )
        db.close()
    damaged = bytearray(first.read_bytes())
    damaged[2000] ^= 1
    os.chmod(stage / first.name, 0o600)
    (stage / first.name).write_bytes(damaged)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=KEY):
        db = rbt.connect()
        try:
            got = restore(db, stage / "*.zst")
        except sqlite3.Error as error:
            got = str(error)
        rbt.ok(
            got.startswith(f"audit_restore: {stage}/{first.name}: "),
            "an altered segment is refused by its name",
        )
        rbt.equal(rbt.value(db, "SELECT count(*) FROM sqlite_schema"), 0, "and nothing is there")
        db.close()
    fresh(first, second)
    (stage / first.name).rename(stage / "a.zst")
    refused(
        stage,
        "*.zst",
        f"audit_restore: PLACE/a.zst has been renamed; its name is {first.name}",
        "a segment under another name is refused",
    )
    fresh(first, second)
    twin = place / "twin"
    twin.mkdir()
    make(twin / "trading.db").close()
    shutil.copy(twin / "cold" / second.name, stage / second.name)
    refused(
        stage,
        "*.zst",
        f"audit_restore: PLACE/{second.name} is a segment of another log than PLACE/{first.name}, or "
        "begins with another genesis",
        "a segment swapped for one of another log of the same name is refused",
    )
    db = rbt.connect(place / "new" / "again.db")
    db.close()
    third = sorted((place / "new" / "cold").glob("orders-*.zst"))[2]
    fresh(first, third)
    refused(
        stage,
        "*.zst",
        f"audit_restore: entries 601 to 603, which come before PLACE/{third.name}, are in none of the "
        "files",
        "a missing middle is named",
    )


def golden(place):
    expected = json.loads((rbt.GOLDEN / "log-v1" / "expected.json").read_text())
    shutil.copytree(rbt.GOLDEN / "log-v1" / "cold", place / "golden" / "cold")
    db = rbt.connect(place / "golden" / "log.db")
    for name, last in (("orders", 500), ("salted", 10)):
        restore(db, place / "golden" / "cold" / f"{name}-*.zst", name)
        rbt.equal(
            [rbt.value(db, "SELECT audit_leaf(?, ?)", name, i) for i in range(last + 1)],
            expected[name]["leaves"][: last + 1],
            f"the golden segments of {name} give its leaves",
        )
    rbt.equal(errors(db, "*"), [], "and verify")
    db.close()


def moved(place):
    """Segments that lie elsewhere than the restored rustybt_events says."""
    shutil.copytree(place / "both" / "cold", place / "moved" / "elsewhere")
    db = rbt.connect(place / "moved" / "again.db")
    for name in ("rustybt_events", "orders"):
        restore(db, place / "moved" / "elsewhere" / f"{name}-*.zst", name)
    rbt.equal(errors(db, "*"), [], "their new place is on record, and all verifies")
    rbt.equal(
        rbt.rows(
            db,
            "SELECT json_extract(detail, '$.from'), json_extract(detail, '$.to'), count(*) "
            "FROM rustybt_events WHERE action = 'relocated' AND log = 'orders' GROUP BY 1, 2",
        ),
        [("cold", "elsewhere", 2)],
        "with where they were",
    )
    db.close()


def interrupted(place):
    """Killed at any time, nothing or all is there."""
    folder = place / "killed"
    shutil.copytree(place / "old" / "cold", folder / "cold")
    db = rbt.connect(folder / "x.db")
    db.set_progress_handler(lambda: 1, 20000)
    try:
        got = restore(db, folder / "cold" / "orders-*.zst")
    except sqlite3.OperationalError as error:
        got = str(error)
    rbt.ok(
        "interrupted" in got and rbt.value(db, "SELECT count(*) FROM sqlite_schema") == 0,
        "stopped in the middle, it leaves nothing",
    )
    db.set_progress_handler(None, 0)
    restore(db, folder / "cold" / "orders-*.zst")
    rbt.equal(errors(db, "*"), [], "and the next run on the connection restores all")
    db.close()


rbt.plan(40)
with rbt.environment(RUSTYBT_ENCRYPTION_KEY=KEY), rbt.folder() as place:
    (place / "old").mkdir()
    (place / "new").mkdir()
    whole(place)
    with_events(place)
    places(place)
    hostile(place)
    moved(place)
    interrupted(place)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY):
        golden(place)
rbt.done()
