# SPDX-License-Identifier: MIT
"""Attacks on a log (DESIGN §6, Attacks): each is refused, or audit_verify finds it and names the entry.

Attacks on segments are in segment_tamper_test.py; an older copy of the whole file, which only a checkpoint
kept outside can tell, is in checkpoint_test.py."""

import ctypes
import json
import shutil
import sqlite3

import independent
import rbt
from attacks import apply, fill, findings, leaf, make, quietly, rewrite

COUNT = 100  # entries: fewer than 256, so that the tree is one level of tiles
DROP = [f"DROP TRIGGER log_rows_{event}" for event in ("insert", "update", "delete")]


def genesis_edit(old, new):
    return f"UPDATE log_meta SET value = replace(value, '{old}', '{new}') WHERE key = 'genesis'"


def declare(old, new):
    """Edits the declaration in the schema."""

    def attack(db):
        db.execute("PRAGMA writable_schema=ON")
        db.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = 'log'", (old, new)
        )
        db.execute("PRAGMA writable_schema=OFF")

    return attack


def claim_function(*statements):
    """A program's own function that says yes."""

    def attack(db):
        db.create_function("rustybt_append_only", 0, lambda: 1)
        for statement in statements:
            db.execute(statement)

    return attack


def blob(table, column, row, offset=0):
    """sqlite3_blob_write fires no trigger."""

    def attack(db):
        with db.blobopen(table, column, row) as handle:
            handle.seek(offset)
            byte = handle.read(1)[0]
            handle.seek(offset)
            handle.write(bytes([byte ^ 1]))

    return attack


def without_triggers(db):
    """Through SQLITE_DBCONFIG_ENABLE_TRIGGER=0, from a program in C."""
    path = rbt.value(db, "SELECT file FROM pragma_database_list WHERE name = 'main'")
    library = ctypes.CDLL("libsqlite3.so.0")
    handle = ctypes.c_void_p()
    library.sqlite3_open(path.encode(), ctypes.byref(handle))
    library.sqlite3_db_config(handle, 1003, 0, None)
    code = library.sqlite3_exec(handle, b"UPDATE log_rows SET n = 5 WHERE id = 6", None, None, None)
    library.sqlite3_close(handle)
    if code:
        raise sqlite3.OperationalError(f"code {code}")


def insert_row(row_id, extra=""):
    return f"INSERT INTO log_rows(id, recorded_at, t, n, r) SELECT {row_id}, recorded_at, t, n, r FROM log_rows WHERE id = 90{extra}"


def meta(key, value):
    return f"UPDATE log_meta SET value = {value} WHERE key = '{key}'"


REPLACE_7 = "INSERT OR REPLACE INTO log_rows(id, recorded_at, t, n, r) VALUES(7, 1, 'x', 1, 1.0)"

# Refused: (by a connection with the extension, statements, the last one's error). None: any error.
APPEND_ONLY = "log is append-only: "
REFUSED = [
    (False, ["UPDATE log_rows SET n = 1"], APPEND_ONLY + "entries are never changed"),
    (False, ["UPDATE OR IGNORE log_rows SET n = 1"], APPEND_ONLY + "entries are never changed"),
    (
        False,
        ["UPDATE OR REPLACE log_rows SET id = 5 WHERE id = 6"],
        APPEND_ONLY + "entries are never changed",
    ),
    (False, ["DELETE FROM log_rows"], APPEND_ONLY + "entries are never deleted"),
    (False, ["DELETE FROM log_rows WHERE id = 5"], APPEND_ONLY + "entries are never deleted"),
    (False, [insert_row(COUNT + 1)], APPEND_ONLY + "insert into the log, not into its storage"),
    (False, [insert_row(0)], APPEND_ONLY + "insert into the log, not into its storage"),
    (
        False,
        ["PRAGMA recursive_triggers=OFF", REPLACE_7],
        APPEND_ONLY + "insert into the log, not into its storage",
    ),
    (
        False,
        ["PRAGMA recursive_triggers=ON", REPLACE_7],
        APPEND_ONLY + "insert into the log, not into its storage",
    ),
    (
        False,
        [
            insert_row(7, " ON CONFLICT(id) DO UPDATE SET n = 1").replace(
                "id = 90", "id = 90 AND true"
            )
        ],
        APPEND_ONLY + "insert into the log, not into its storage",
    ),
    (False, ["UPDATE log_gate SET size = 0"], "no such function: rustybt_append_only"),
    (False, ["DELETE FROM log_gate"], "no such function: rustybt_append_only"),
    (False, ["INSERT INTO log_gate VALUES(3, 0)"], "no such function: rustybt_append_only"),
    (False, ["INSERT INTO log(n) VALUES(1)"], "no such module: audit_log"),
    (False, ["DROP TABLE log"], "no such module: audit_log"),
    (False, [blob("log_rows", "t", 7)], "cannot open indexed column for writing"),
    (False, [blob("log_rows", "n", 7)], "cannot open indexed column for writing"),
    (False, [blob("log_meta", "value", 1)], None),
    (True, ["UPDATE log_gate SET size = 0"], APPEND_ONLY + "its gate is opened by the log alone"),
    (True, ["UPDATE log_rows SET n = 1"], APPEND_ONLY + "entries are never changed"),
    (True, ["UPDATE log SET n = 1"], APPEND_ONLY + "entries are never changed"),
    (True, ["UPDATE OR IGNORE log SET n = 1"], APPEND_ONLY + "entries are never changed"),
    (True, ["DELETE FROM log WHERE id = 3"], APPEND_ONLY + "entries are never deleted"),
    (True, ["DROP TABLE log"], None),
    (
        True,
        ["BEGIN", "INSERT INTO log(n) VALUES(1)", insert_row(COUNT + 2), "COMMIT"],
        f"log: the last stored entry is {COUNT + 2}, the log's own count is {COUNT + 1}; the transaction is refused",
    ),
    (
        True,
        ["BEGIN", "INSERT INTO log(n) VALUES(1)", "DELETE FROM log_rows WHERE id = 101"],
        APPEND_ONLY + "entries are never deleted",
    ),
    (
        True,
        ["BEGIN", "INSERT INTO log(n) VALUES(1)", "UPDATE log_gate SET size = 0"],
        APPEND_ONLY + "its gate is opened by the log alone",
    ),
    (
        True,
        ["BEGIN", "INSERT INTO log(n) VALUES(1)", REPLACE_7],
        APPEND_ONLY + "insert into the log, not into its storage",
    ),
    (
        True,
        [
            "CREATE TEMP TRIGGER x BEFORE INSERT ON main.log_rows BEGIN SELECT RAISE(IGNORE); END",
            "INSERT INTO log(n) VALUES(1)",
        ],
        None,
    ),
    (
        True,
        [
            "CREATE TEMP TRIGGER x BEFORE UPDATE ON main.log_gate BEGIN SELECT RAISE(IGNORE); END",
            "INSERT INTO log(n) VALUES(1)",
        ],
        None,
    ),
    (
        True,
        [
            "CREATE TEMP TRIGGER x BEFORE INSERT ON main.log_meta BEGIN SELECT RAISE(IGNORE); END",
            "INSERT INTO log(n) VALUES(1)",
        ],
        None,
    ),
    (
        True,
        [
            "CREATE TEMP TRIGGER x BEFORE INSERT ON main.log_tree BEGIN SELECT RAISE(IGNORE); END",
            "INSERT INTO log(n) VALUES(1)",
        ],
        None,
    ),
    (
        True,
        [
            "CREATE TEMP TRIGGER x AFTER INSERT ON main.log_rows BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
            "INSERT INTO log(n) VALUES(1)",
        ],
        "log: no",
    ),
    (
        True,
        [
            "CREATE TEMP TRIGGER x AFTER INSERT ON main.log_rows BEGIN SELECT RAISE(FAIL, 'no'); END",
            "INSERT INTO log(n) VALUES(1)",
        ],
        "log: no",
    ),
]

# Found: name, attack (statements or a function), the findings that must be among those of audit_verify.
HOT = {
    "a row changed": (quietly("UPDATE log_rows SET n = 5 WHERE id = 42"), {("changed", 42)}),
    "a row changed and triggers left away": (
        DROP + ["UPDATE log_rows SET n = 5 WHERE id = 42"],
        {("changed", 42), ("schema", None)},
    ),
    "a value of another type": (
        quietly("UPDATE log_rows SET r = 'five' WHERE id = 42"),
        {("changed", 42)},
    ),
    "a value made NULL": (quietly("UPDATE log_rows SET t = NULL WHERE id = 1"), {("changed", 1)}),
    "the last row's time changed": (
        quietly(f"UPDATE log_rows SET recorded_at = recorded_at + 1 WHERE id = {COUNT}"),
        {("changed", COUNT)},
    ),
    "two rows swapped": (
        quietly(
            "UPDATE log_rows SET id = -1 WHERE id = 3",
            "UPDATE log_rows SET id = 3 WHERE id = 4",
            "UPDATE log_rows SET id = 4 WHERE id = -1",
        ),
        {("reordered", 3), ("reordered", 4)},
    ),
    "a row deleted": (quietly("DELETE FROM log_rows WHERE id = 50"), {("missing", 50)}),
    "the first rows deleted": (quietly("DELETE FROM log_rows WHERE id < 5"), {("missing", 1)}),
    "the last rows deleted": (quietly("DELETE FROM log_rows WHERE id > 90"), {("missing", 91)}),
    "all rows deleted": (quietly("DELETE FROM log_rows"), {("missing", 1)}),
    "a row inserted at the end": (quietly(insert_row(COUNT + 1)), {("inserted", COUNT + 1)}),
    "a row inserted before the first": (quietly(insert_row(0)), {("inserted", 0)}),
    "a row with a negative id": (quietly(insert_row(-5)), {("inserted", None)}),
    "a row replaced by a copy of another": (
        quietly("DELETE FROM log_rows WHERE id = 9", insert_row(9)),
        {("changed", 9)},
    ),
    "everything hashed anew without the key": (rewrite(), {("seal", None)}),
    "everything hashed anew, sealed under another key": (rewrite(bytes(40)), {("untrusted", None)}),
    "the insert trigger dropped": (DROP[:1], {("schema", None)}),
    "the update trigger dropped": (DROP[1:2], {("schema", None)}),
    "the delete trigger dropped": (DROP[2:], {("schema", None)}),
    "a gate trigger dropped": (["DROP TRIGGER log_gate_update"], {("schema", None)}),
    "a gate trigger weakened": (
        [
            "DROP TRIGGER log_gate_update",
            "CREATE TRIGGER log_gate_update BEFORE UPDATE ON "
            "log_gate WHEN 0 BEGIN SELECT 1; END",
        ],
        {("schema", None)},
    ),
    "the guard index dropped": (["DROP INDEX log_rows_guard"], {("schema", None)}),
    "an index dropped": (["DROP INDEX log_rows_1"], {("schema", None)}),
    "a foreign trigger": (
        ["CREATE TRIGGER x BEFORE INSERT ON log_rows BEGIN SELECT RAISE(IGNORE); END"],
        {("foreign", None)},
    ),
    "a foreign trigger on the gate": (
        ["CREATE TRIGGER x AFTER UPDATE ON log_gate BEGIN SELECT 1; END"],
        {("foreign", None)},
    ),
    "a foreign index": (["CREATE INDEX x ON log_rows(n)"], {("foreign", None)}),
    "a column added": (["ALTER TABLE log_rows ADD COLUMN x"], {("schema", None)}),
    "a column renamed": (["ALTER TABLE log_rows RENAME COLUMN t TO tt"], {("schema", None)}),
    "the rows' table renamed": (["ALTER TABLE log_rows RENAME TO x"], {("schema", None)}),
    "the rows' table dropped": (["DROP TABLE log_rows"], {("schema", None)}),
    "the gate dropped": (["DROP TABLE log_gate"], {("schema", None)}),
    "the tree dropped": (["DROP TABLE log_tree"], {("schema", None)}),
    "the segments' table dropped": (["DROP TABLE log_segments"], {("schema", None)}),
    "the meta table dropped": (["DROP TABLE log_meta"], {("schema", None)}),
    "the meta table emptied": (["DELETE FROM log_meta"], {("damaged", None)}),
    "triggers deleted from sqlite_schema": (
        ["PRAGMA writable_schema=ON", "DELETE FROM sqlite_schema WHERE " "type = 'trigger'"],
        {("schema", None)},
    ),
    "a CHECK taken out of the rows' table": (
        [
            "PRAGMA writable_schema=ON",
            "UPDATE sqlite_schema SET sql = replace(sql, "
            "', CHECK(n < 10000)', '') WHERE name = 'log_rows'",
        ],
        {("schema", None)},
    ),
    "the declaration edited": (declare("n < 10000", "n < 20000"), {("declaration", 0)}),
    "the seal declared away": (declare("7 years'", "7 years', seal=no"), {("declaration", 0)}),
    "the retention shortened": (declare("7 years", "1 years"), {("declaration", 0)}),
    "declaration and genesis edited": (
        [declare("7 years", "1 years"), genesis_edit("7 years", "1 years")],
        {("changed", 0)},
    ),
    "the gate opened by a function of the same name": (
        claim_function("UPDATE log_gate SET size = 0 WHERE id = 1"),
        {("gate", None)},
    ),
    "the prune gate left open": (
        claim_function("UPDATE log_gate SET size = 50 WHERE id = 2"),
        {("gate", None)},
    ),
    "a row inserted through such a function": (
        claim_function(
            "UPDATE log_gate SET size = 0 WHERE id = 1",
            insert_row(COUNT + 1),
            "UPDATE log_gate SET size = 9223372036854775807 WHERE id = 1",
        ),
        {("inserted", COUNT + 1)},
    ),
    "a row replaced through such a function": (
        claim_function(
            "UPDATE log_gate SET size = 0 WHERE id = 1",
            REPLACE_7,
            "UPDATE log_gate SET size = 9223372036854775807 WHERE id = 1",
        ),
        {("changed", 7)},
    ),
    "a row deleted through such a function": (
        claim_function(
            "UPDATE log_gate SET size = 60 WHERE id = 2",
            "DELETE FROM log_rows WHERE id = 60",
            "UPDATE log_gate SET size = -1 WHERE id = 2",
        ),
        {("missing", 60)},
    ),
    "a row updated with triggers switched off": (without_triggers, {("changed", 6)}),
    "a hash in the tree changed": (blob("log_tree", "hashes", 1, 32 * 4), {("tree", 5)}),
    "the genesis' hash in the tree changed": (blob("log_tree", "hashes", 0, 0), {("tree", 0)}),
    "the tree emptied": (["DELETE FROM log_tree"], {("tree", 0)}),
    "hashes added to the tree": (
        ["INSERT INTO log_tree VALUES(200, zeroblob(64))"],
        {("tree", None)},
    ),
    "the segments' table replaced by a view": (
        ["DROP TABLE log_segments", "CREATE VIEW log_segments AS SELECT 1 AS first_id"],
        {("schema", None)},
    ),
    "a run of the tree shortened": (
        ["UPDATE log_tree SET hashes = substr(hashes, 1, 64) WHERE node = 1"],
        {("tree", 3)},
    ),
    "a hash in the head changed": (
        [
            meta(
                "head",
                "substr(value, 1, 47) || iif(substr(value, 48, 1) = x'ff', x'fe', x'ff') || substr(value, 49)",
            )
        ],
        {("root", None), ("tree", None), ("seal", None)},
    ),
    "the head's size changed": (
        [meta("head", "x'66' || substr(value, 2)")],
        {("missing", COUNT + 1)},
    ),
    "the head's time changed": (
        [meta("head", "substr(value, 1, 8) || x'ffffffffffff0f00' || substr(value, 17)")],
        {("head", COUNT)},
    ),
    "the head cut": ([meta("head", "substr(value, 1, 40)")], {("damaged", None)}),
    "the head deleted": (["DELETE FROM log_meta WHERE key = 'head'"], {("damaged", None)}),
    "the head made a text": ([meta("head", "'x'")], {("damaged", None)}),
    "the seal changed": (
        [meta("seal", "substr(value, 1, 39) || iif(substr(value, 40) = x'00', x'01', x'00')")],
        {("seal", None)},
    ),
    "the seal deleted": (["DELETE FROM log_meta WHERE key = 'seal'"], {("seal", None)}),
    "the genesis' time changed": (
        [genesis_edit('recorded_at":1', 'recorded_at":2')],
        {("changed", 0)},
    ),
    "the genesis no longer sealed": (
        [genesis_edit('sealed":true', 'sealed":false')],
        {("declaration", 0)},
    ),
    "the genesis garbled": ([meta("genesis", "'{}'")], {("damaged", None)}),
    "the genesis deleted": (["DELETE FROM log_meta WHERE key = 'genesis'"], {("damaged", None)}),
    "pruned_to raised": ([meta("pruned_to", "10")], {("inserted", 1), ("segment", 1)}),
    "pruned_to beyond the end": ([meta("pruned_to", "1000000")], {("damaged", None)}),
    "pruned_to negative": ([meta("pruned_to", "-3")], {("damaged", None)}),
    "pruned_to a text": ([meta("pruned_to", "'x'")], {("damaged", None)}),
    "pruned_to deleted": (["DELETE FROM log_meta WHERE key = 'pruned_to'"], {("damaged", None)}),
    "archived_to raised": ([meta("archived_to", "10")], {("segment", 10)}),
    "archived_to deleted": (["DELETE FROM log_meta WHERE key = 'archived_to'"], {("segment", 0)}),
    "the format changed": ([meta("format", "7")], {("damaged", None)}),
    "a segment invented": (
        [
            "INSERT INTO log_segments SELECT 0, 50, 'cold', 'x.zst', 51, 1, 1, zeroblob(32), "
            "zeroblob(32), 1, 1, 'published'"
        ],
        {("segment", 0)},
    ),
}


def refused(place):
    for extension, statements, message in REFUSED:
        path = place / "try.db"
        shutil.copy(place / "hot.db", path)
        db = rbt.connect(path, extension)
        error = None
        for number, statement in enumerate(statements):
            try:
                db.execute(statement).fetchall() if isinstance(statement, str) else statement(db)
            except sqlite3.Error as problem:
                error = (number, str(problem))
                break
        label = statements[-1] if isinstance(statements[-1], str) else "sqlite3_blob_write"
        good = (
            error and error[0] == len(statements) - 1 and (message is None or error[1] == message)
        )
        rbt.ok(
            good,
            f"refused, {'with' if extension else 'without'} the extension: {'; '.join(map(str, statements[:-1]))} {label}"[
                :150
            ],
        )
        if not good:
            rbt.note(f"got {error}, want {message}")
        if db.in_transaction:
            db.execute("ROLLBACK")
        db.close()
        db = rbt.connect(path)
        db.execute("INSERT INTO log(n) VALUES(1)")
        rbt.equal(
            (findings(db), rbt.value(db, "SELECT max(id) FROM log")),
            ([], COUNT + 1),
            "and the log is whole and goes on",
        )
        db.close()


def found(place, base, attacks):
    for name, (attack, want) in attacks.items():
        path = place / "try.db"
        shutil.copy(place / base, path)
        apply(path, attack)
        db = rbt.connect(path)
        got = findings(db)
        good = want <= {(kind, number) for kind, number, _ in got}
        rbt.ok(good, f"found: {name}")
        if not good:
            rbt.note(f"want {want}\n got {got[:6]}")
        try:
            message = f"no error but {rbt.value(db, 'SELECT audit_verify(?)', 'log')}"
        except sqlite3.Error as error:
            message = str(error)
        rbt.ok(message.startswith("audit_verify: log: "), "and the scalar raises")
        if not message.startswith("audit_verify: log: "):
            rbt.note(message)
        # a damaged log can still be dropped, once that is recorded
        try:
            db.execute("SELECT audit_discard('log', 'damaged')").fetchall()
            db.execute("DROP TABLE log")
            left = rbt.rows(
                db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'log%'"
            )
        except sqlite3.Error as error:
            left = str(error)
        rbt.equal(left, [], "and it can be discarded")
        db.close()


def hex_edits(place):
    """The bytes of entry 31's text stand in the file twice: in the row and in the index."""
    original = (place / "hot.db").read_bytes()
    at, kinds = original.find(b"needle-0031"), []
    while at >= 0:
        edited = bytearray(original)
        edited[at + 7] ^= 1
        (place / "try.db").write_bytes(edited)
        db = rbt.connect(place / "try.db")
        kinds.append({(kind, number) for kind, number, _ in findings(db)})
        db.close()
        at = original.find(b"needle-0031", at + 1)
    rbt.ok(
        len(kinds) == 2 and all(("index", None) in found for found in kinds),
        "a byte of row or index changed in the file: the two disagree",
    )
    rbt.ok(any(("changed", 31) in found for found in kinds), "and the row is named")


def entry_hash(db, number, as_number=None):
    """The leaf hash of a stored row, in hex, under its own id or another."""
    row = list(rbt.rows(db, f"SELECT * FROM log_rows WHERE id = {number}")[0])
    row[0] = as_number or number
    return independent.leaf_hash(leaf(row)).hex()


def details(place):
    """The sentences say what was expected and what came."""
    base = rbt.connect(place / "hot.db", False)
    was = {number: entry_hash(base, number) for number in (3, 4, 5, 42)}
    time = dict(rbt.rows(base, "SELECT id, recorded_at FROM log_rows"))
    trigger = rbt.value(base, "SELECT sql FROM sqlite_schema WHERE name = 'log_rows_update'")
    base.close()
    weak = trigger.replace("BEGIN", "WHEN 0 BEGIN")

    def told(attack, want, name):
        path = place / "try.db"
        shutil.copy(place / "hot.db", path)
        apply(path, attack)
        db = rbt.connect(path)
        got = findings(db)
        want = want(db) if callable(want) else want
        if not rbt.ok(want in got, f"told: {name}"):
            rbt.note(f"want {want}\n got {got[:4]}")
        db.close()

    told(
        quietly("UPDATE log_rows SET n = 5 WHERE id = 42"),
        lambda db: (
            "changed",
            42,
            f"log: entry 42 was changed after it was logged; its hash was {was[42]}, it is "
            f"{entry_hash(db, 42)} now",
        ),
        "the hash that a changed entry had, and the one it has",
    )
    told(
        quietly("UPDATE log_rows SET r = 'five' WHERE id = 42"),
        (
            "changed",
            42,
            "log: entry 42 was changed after it was logged, to what no append writes; its hash was "
            + was[42],
        ),
        "that no append writes such a row",
    )
    told(
        HOT["two rows swapped"][0],
        lambda db: (
            "reordered",
            4,
            f"log: entry 4 was moved: its row is what was logged as entry 3; its hash was {was[4]}, "
            f"that of its row is {entry_hash(db, 4)}",
        ),
        "where a moved entry was",
    )
    told(
        quietly("UPDATE log_rows SET recorded_at = 1 WHERE id = 51"),
        (
            "clock",
            51,
            f"log: entry 51 is recorded at 1, before the entry that precedes it, at {time[50]}",
        ),
        "both times where the clock runs backwards",
    )
    told(
        HOT["a hash in the tree changed"][0],
        (
            "tree",
            5,
            f"log: the tree's hash of entry 5 was changed; it should be {was[5]}, it is "
            f"{bytes([bytes.fromhex(was[5])[0] ^ 1]).hex()}{was[5][2:]}",
        ),
        "the hash that the tree should hold",
    )
    told(
        ["DROP TRIGGER log_rows_update", weak],
        (
            "schema",
            None,
            f"log: trigger log_rows_update was changed; it should read: {trigger}; it reads: {weak}",
        ),
        "what a trigger should read, and what it reads",
    )


def shadows(place):
    """TEMP tables and views of our names change nothing."""
    path = place / "try.db"
    shutil.copy(place / "hot.db", path)
    db = rbt.connect(path)
    for suffix in ("rows", "gate", "tree", "segments", "meta"):
        db.execute(f"CREATE TEMP TABLE log_{suffix}(id, size, key, value, node, hashes)")
    db.execute("CREATE TEMP VIEW log AS SELECT 1 AS id")
    db.execute("INSERT INTO main.log(n) VALUES(1)")
    rbt.equal(
        findings(db),
        [],
        "TEMP tables and views with our names disturb neither append nor verification",
    )
    rbt.equal(rbt.value(db, "SELECT count(*) FROM main.log"), COUNT + 1, "nor reading")
    db.close()


def discard_needs_reason(place):
    path = place / "try.db"
    shutil.copy(place / "hot.db", path)
    db = rbt.connect(path)
    db.execute("SELECT audit_discard('log', 'made by mistake')").fetchall()
    other = rbt.connect(path)
    rbt.ok(
        attempt(other, "DROP TABLE log"), "a discard on one connection allows no DROP on another"
    )
    other.close()
    detail = json.loads(rbt.value(db, "SELECT detail FROM rustybt_events WHERE action = 'discard'"))
    rbt.equal(
        (detail["reason"], detail["entries"], detail["root"]),
        ("made by mistake", COUNT, rbt.value(db, "SELECT audit_root('log')")),
        "it is recorded with size and root",
    )
    db.execute("DROP TABLE log")
    rbt.equal(
        rbt.value(db, "SELECT count(*) FROM rustybt_events"), 1, "and the record outlives the log"
    )
    db.close()


def attempt(db, sql):
    try:
        db.execute(sql).fetchall()
    except sqlite3.Error as error:
        return str(error)
    return None


def main():
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        rbt.plan(2 * len(REFUSED) + 3 * len(HOT) + 2 + 6 + 2 + 3)
        db = make(place / "hot.db")
        fill(db, 1, COUNT)
        db.close()
        refused(place)
        found(place, "hot.db", HOT)
        hex_edits(place)
        details(place)
        shadows(place)
        discard_needs_reason(place)
    rbt.done()


main()
