# SPDX-License-Identifier: MIT
"""Today's extension reads what earlier ones stored: tests/golden/make.py says what the files are. They are
never made again, and this test only ever grows."""

import json
import shutil

import independent
import rbt


def value_of(stored):
    return bytes.fromhex(stored["blob"]) if isinstance(stored, dict) else stored


def credentials():
    golden = json.loads((rbt.GOLDEN / "credentials-v1.json").read_text())
    wrong = 0
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=golden["key"]):
        db = rbt.connect()
        for case in golden["tokens"]:
            arguments = [bytes.fromhex(case["token"])] + (
                [case["context"]] if case["context"] else []
            )
            got = rbt.value(db, "SELECT decrypt(%s)" % ", ".join("?" * len(arguments)), *arguments)
            want = value_of(case["value"])
            if (type(got), got) != (type(want), want):
                wrong += 1
                rbt.note(f"got {got!r}, want {want!r}")
        fernet = [case for case in golden["tokens"] if case["format"] == "fernet"]
        rbt.equal(
            [
                rbt.value(db, "SELECT fernet_decrypt(?)", bytes.fromhex(case["token"]))
                for case in fernet
            ],
            [case["value"] for case in fernet],
            "the Fernet tokens open with fernet_decrypt",
        )
        db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=f"{independent.OTHER_KEY},{golden['key']}"):
        db = rbt.connect()
        token = bytes.fromhex(golden["tokens"][1]["token"])
        rotated = rbt.value(db, "SELECT key_rotate(?, ?)", token, golden["tokens"][1]["context"])
        rbt.equal(
            rbt.value(db, "SELECT decrypt(?, ?)", rotated, golden["tokens"][1]["context"]),
            golden["tokens"][1]["value"],
            "an envelope can be rotated to a new key",
        )
        db.close()
    rbt.equal(wrong, 0, f"all {len(golden['tokens'])} tokens open, with their types")


def key_backups():
    golden = json.loads((rbt.GOLDEN / "key-backup-v1.json").read_text())
    db = rbt.connect()
    for backup, which in zip(golden["backups"], ("at the lowest cost", "as key_backup made it")):
        rbt.equal(
            rbt.value(db, "SELECT key_restore(?, ?)", backup, golden["passphrase"]),
            golden["contents"],
            f"a key backup {which} opens",
        )
    db.close()


def check_log(db, name, want):
    rows = rbt.rows(db, f"SELECT * FROM {name} ORDER BY id")
    rbt.equal(
        [list(map(repr, row)) for row in rows],
        [[repr(value_of(value)) for value in row] for row in want["rows"]],
        f"{name}: every entry reads as it did",
    )
    rbt.equal(
        dict(rbt.rows(db, f"SELECT tier, count(*) FROM {name} GROUP BY tier")),
        want["tiers"],
        "hot and cold",
    )
    rbt.equal(
        [rbt.value(db, "SELECT audit_leaf(?, ?)", name, i) for i in range(len(want["leaves"]))],
        want["leaves"],
        "every leaf is the same",
    )
    hashes = [independent.leaf_hash(leaf.encode()) for leaf in want["leaves"]]
    rbt.equal(rbt.value(db, "SELECT audit_root(?)", name), want["root"], "and the root")
    rbt.equal(independent.root(hashes).hex(), want["root"], "which Python computes from the leaves")
    rbt.equal(rbt.value(db, "SELECT audit_public_key(?)", name), want["vkey"], "and the public key")
    rbt.equal(
        rbt.value(db, "SELECT audit_verify(?)", name), want["verified"], "and the log verifies"
    )


def logs(place):
    shutil.copytree(rbt.GOLDEN / "log-v1", place / "log")
    expected = json.loads((place / "log" / "expected.json").read_text())
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY):
        db = rbt.connect(place / "log" / "log.db")
        for name, want in expected.items():
            check_log(db, name, want)
        for path in sorted((place / "log" / "cold").glob("*.zst")):
            rbt.equal(
                rbt.rows(db, "SELECT level, kind FROM archive_verify(?)", str(path)),
                [("info", "verified")],
                f"{path.name} verifies",
            )
        db.execute("INSERT INTO orders(strategy) VALUES('new')")
        db.execute("INSERT INTO salted(t) VALUES('new')")
        db.execute("SELECT audit_archive('orders', 'cold', 'now')").fetchall()
        db.execute("SELECT audit_prune('*')").fetchall()
        rbt.equal(
            rbt.rows(db, "SELECT id, tier FROM orders WHERE strategy = 'new'"),
            [(551, "cold")],
            "the log goes on: entries are appended, archived and pruned",
        )
        rbt.equal(
            rbt.value(db, "SELECT count(*) FROM audit_verify('*') WHERE level = 'error'"),
            0,
            "and verifies",
        )
        db.close()


def main():
    rbt.plan(32)
    with rbt.folder() as place:
        credentials()
        key_backups()
        logs(place)
    rbt.done()


main()
