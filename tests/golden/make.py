# SPDX-License-Identifier: MIT
"""Made the golden files of format 1, once: run from the project's folder as

    PYTHONPATH=tests/python python3 tests/golden/make.py

It refuses to write over what is there. Golden files are never made again: golden_test.py shows that today's
extension reads what the first one wrote. A new format gets new files beside them.

    credentials-v1.json   tokens of every kind and type, with what they hold
    key-backup-v1.json    key backups with their passphrase and what they hold: the one of backup_test.c,
                          and one as key_backup makes it
    log-v1/log.db         a sealed log, entries 1 to 400 pruned, 401 to 500 archived and hot, 501 to 550 hot;
                          an unsealed log with salt; rustybt_events
    log-v1/cold/          their segments
    log-v1/expected.json  all entries and leaves, roots, the verification's sentence

All with the key 00 01 … 1f; the ring that was backed up has 20 21 … 3f before it."""

import base64
import json
import pathlib
import sys

import backup_format
import independent
import rbt

HERE = pathlib.Path(__file__).parent
VALUES = [
    "hunter2",
    "",
    "é漢🜁\x00\x01",
    0,
    -1,
    2**63 - 1,
    -(2**63),
    0.0,
    0.1,
    -1.5e300,
    5e-324,
    b"",
    b"\x00\xff" * 20,
]


def plain(value):
    """A value as JSON can hold it."""
    return {"blob": value.hex()} if isinstance(value, bytes) else value


def credentials(db):
    tokens = []
    for value in VALUES:
        for context in (None, "binance/live/api_key"):
            arguments = (value,) if context is None else (value, context)
            token = rbt.value(
                db, "SELECT encrypt(%s)" % ", ".join("?" * len(arguments)), *arguments
            )
            tokens.append(
                {
                    "format": "envelope",
                    "token": token.hex(),
                    "context": context,
                    "value": plain(value),
                }
            )
    for value in ("hunter2", "", "é漢🜁", "x" * 100):
        token = rbt.value(db, "SELECT fernet_encrypt(?)", value)
        tokens.append({"format": "fernet", "token": token.hex(), "context": None, "value": value})
    return {"key": independent.KEY, "tokens": tokens}


def logs(db):
    db.execute(
        "CREATE VIRTUAL TABLE orders USING audit_log(strategy TEXT NOT NULL, n INTEGER, price REAL, raw BLOB, "
        "data JSON, INDEX(strategy, n), CHECK(n <> 13), origin='example.com/orders', archive='cold', "
        "retain='7 years')"
    )
    db.execute(
        "CREATE VIRTUAL TABLE salted USING audit_log(t TEXT, seal=no, salt=on, archive='cold')"
    )
    for last, then in (
        (250, "audit_archive('orders', 'cold', 'now')"),
        (400, "audit_archive('orders', 'cold', 'now')"),
        (400, "audit_prune('orders')"),
        (500, "audit_archive('orders', 'cold', 'now')"),
        (550, "1"),
    ):
        for i in range(rbt.value(db, "SELECT count(*) FROM orders") + 1, last + 1):
            db.execute(
                "INSERT INTO orders(strategy, n, price, raw, data) VALUES(?, ?, ?, ?, ?)",
                (
                    ["m2", "é\n\"'", "漢🜁\x00"][i % 3],
                    None if i % 5 == 4 else i * 10**15 + i,
                    None if i % 7 == 6 else i / 7,
                    bytes(range(i % 30)) if i % 4 else None,
                    '{"k":%d.50,"s":"\\u00e9 x"}' % i if i % 6 else None,
                ),
            )
        db.execute(f"SELECT {then}").fetchall()
    for i in range(20):
        db.execute("INSERT INTO salted(t) VALUES(?)", (f"same{i // 10}",))
        if i == 9:
            db.execute("SELECT audit_archive('salted', 'cold', 'now')").fetchall()
            db.execute("SELECT audit_prune('salted')").fetchall()


def key_backups():
    passphrase = "correct horse battery staple"
    seed = base64.b64encode(bytes(range(32))).decode()
    ring = f"{independent.OTHER_KEY},{independent.KEY}"
    contents = f"RUSTYBT_ENCRYPTION_KEY={ring}\nRUSTYBT_SIGNING_KEY={seed}\n"
    cheap = backup_format.seal(
        passphrase.encode(), contents.encode(), 1700000000, bytes(range(0x40, 0x60))
    )
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=ring, RUSTYBT_SIGNING_KEY=seed):
        db = rbt.connect()
        made = rbt.value(db, "SELECT key_backup(?)", passphrase)
        db.close()
    return {"passphrase": passphrase, "backups": [cheap, made], "contents": contents}


def main():
    backups = HERE / "key-backup-v1.json"
    if not backups.exists():
        backups.write_text(json.dumps(key_backups(), indent=1) + "\n")
    place = HERE / "log-v1"
    if place.exists() or (HERE / "credentials-v1.json").exists():
        sys.exit("the golden files exist: they are never made again")
    place.mkdir()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY):
        db = rbt.connect(place / "log.db")
        db.execute("PRAGMA page_size=1024")
        (HERE / "credentials-v1.json").write_text(json.dumps(credentials(db), indent=1) + "\n")
        logs(db)
        expected = {
            name: {
                "rows": [
                    [plain(value) for value in row]
                    for row in rbt.rows(db, f"SELECT * FROM {name} ORDER BY id")
                ],
                "tiers": dict(rbt.rows(db, f"SELECT tier, count(*) FROM {name} GROUP BY tier")),
                "leaves": [
                    rbt.value(db, "SELECT audit_leaf(?, ?)", name, i)
                    for i in range(rbt.value(db, "SELECT audit_size(?)", name))
                ],
                "root": rbt.value(db, "SELECT audit_root(?)", name),
                "vkey": rbt.value(db, "SELECT audit_public_key(?)", name),
                "verified": rbt.value(db, "SELECT audit_verify(?)", name),
            }
            for name in ("orders", "salted", "rustybt_events")
        }
        (place / "expected.json").write_text(
            json.dumps(expected, ensure_ascii=False, indent=0) + "\n"
        )
        db.close()
    (place / "cold" / ".rustybt-archive.lock").unlink()


main()
