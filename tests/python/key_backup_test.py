# SPDX-License-Identifier: MIT
"""key_backup and key_restore as SQL, against an independent implementation of the format: at the cost that
is written, so each derivation takes a second or two; at the lowest where Python wrote."""

import base64
import json
import os

import backup_format
import independent
import rbt

PASSPHRASE = "correct horse battery staple"
SEED = base64.b64encode(bytes(range(32))).decode()
RING = f"RUSTYBT_ENCRYPTION_KEY={independent.OTHER_KEY},{independent.KEY}\n"
BOTH = f"{RING}RUSTYBT_SIGNING_KEY={SEED}\n"
START = (
    "key_restore: the backup is mistyped or damaged within its first 86 characters: its check does "
    "not hold"
)
WRONG = (
    "key_restore: the passphrase is wrong; the backup's check holds, so compare capitals, spaces and "
    "the keyboard's layout"
)


def made_by_the_extension():
    ring = f"{independent.OTHER_KEY},{independent.KEY}"
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=ring, RUSTYBT_SIGNING_KEY=SEED):
        db = rbt.connect()
        backup = rbt.value(db, "SELECT key_backup(?)", PASSPHRASE)
        db.close()
    raw = base64.b64decode(backup)
    rbt.equal(
        raw[:16],
        b"RBT\4\1\1\0\0" + (8).to_bytes(4, "little") + (256 * 1024).to_bytes(4, "little"),
        "a backup is written at 8 passes of 256 MiB",
    )
    rbt.equal(
        backup_format.unseal(backup, PASSPHRASE.encode()).decode(),
        BOTH,
        "another implementation opens it: the ring in its order, and the signing key",
    )
    db = rbt.connect()
    paper = "\r\n".join(backup[i : i + 64] for i in range(0, len(backup), 64)) + "\r\n"
    restored = rbt.value(db, "SELECT key_restore(?, ?)", paper.encode(), PASSPHRASE.encode())
    rbt.equal(restored, BOTH, "without any key, from BLOBs with line breaks, so do we")
    rbt.refuses(db, f"SELECT key_restore('{backup}', 'Correct horse')", WRONG, "a wrong passphrase")
    db.close()
    return restored


def restored_file_is_read(restored):
    with rbt.folder() as place:
        path = place / "keys.env"
        path.touch(mode=0o600)
        path.write_text(restored)
        with rbt.environment(
            RUSTYBT_ENCRYPTION_KEY_FILE=str(path), RUSTYBT_SIGNING_KEY_FILE=str(path)
        ):
            db = rbt.connect()
            rbt.equal(
                rbt.rows(db, "SELECT position, key_id FROM key_ring")[1],
                (2, "fe6b3e115b099239"),
                "what comes back is a file that the key variables may name",
            )
            db.close()


def made_elsewhere():
    golden = json.loads((rbt.GOLDEN / "key-backup-v1.json").read_text())
    rbt.equal(
        backup_format.seal(
            golden["passphrase"].encode(),
            golden["contents"].encode(),
            1700000000,
            bytes(range(0x40, 0x60)),
        ),
        golden["backups"][0],
        "the stored backup, which backup_test.c makes too, is the independent implementation's",
    )
    db = rbt.connect()
    restore = "SELECT key_restore(?, ?)"
    contents = RING.encode()
    ours = backup_format.seal(PASSPHRASE.encode(), contents, 1, os.urandom(32))
    rbt.equal(rbt.value(db, restore, ours, PASSPHRASE), RING, "what Python sealed opens")
    foreign = backup_format.seal(PASSPHRASE.encode(), contents, 1, os.urandom(40), 2, 65537, False)
    rbt.equal(
        rbt.value(db, restore, foreign, PASSPHRASE), RING, "so it does at another cost, without check"
    )
    rbt.refuses(db, f"SELECT key_restore('{foreign}', 'wrong passphrase')", START, "or else says so")
    rbt.equal(
        rbt.rows(
            db,
            "SELECT json_extract(i, '$.kind'), json_extract(i, '$.created'), "
            "json_extract(i, '$.passes'), json_extract(i, '$.memory_kib'), json_extract(i, '$.check') "
            "FROM (SELECT token_info(?) AS i)",
            foreign,
        ),
        [(4, "1970-01-01T00:00:01Z", 2, 65537, 0)],
        "token_info tells its time and cost",
    )
    other = backup_format.seal(PASSPHRASE.encode(), b"RUSTYBT_NEW_KEY=x\n", 1, os.urandom(32))
    rbt.refuses(
        db,
        f"SELECT key_restore('{other}', '{PASSPHRASE}')",
        "key_restore: the backup was made by a newer version of rustybt: it holds other than keys in "
        "lines; use that version or a later one",
        "contents of a newer version are not given out",
    )
    db.close()


def main():
    rbt.plan(11)
    restored_file_is_read(made_by_the_extension())
    made_elsewhere()
    rbt.done()


main()
