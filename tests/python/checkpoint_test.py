# SPDX-License-Identifier: MIT
"""What a checkpoint kept outside adds to audit_verify. Python signs it here, with the key that signs for the
master key 00 01 … 1f (rbt_sign)."""

import base64
import hashlib
import shutil

import independent
import rbt
from attacks import apply, fill, findings, make, rewrite
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

COUNT = 100
SIGN_SEED = bytes.fromhex("0fe372e062c5c20c72b1715351dd759a95768f0bbdecb32fcf0bdfdfcb2b2c51")


def sign(text, seed=SIGN_SEED, name="example.com/log"):
    """A signed note as audit_checkpoint writes it."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key_id = hashlib.sha256(name.encode() + b"\n\1" + public).digest()[:4]
    return f"{text}\n\u2014 {name} {base64.b64encode(key_id + key.sign(text.encode())).decode()}\n"


def checkpoint(db, size=None):
    root = rbt.value(
        db, "SELECT audit_root('log')" if size is None else f"SELECT audit_root('log', {size})"
    )
    size = size or rbt.value(db, "SELECT audit_size('log')")
    return f"example.com/log\n{size}\n{base64.b64encode(bytes.fromhex(root)).decode()}\n"


def checkpoints(place):
    """What a note kept outside adds."""
    path = place / "try.db"
    shutil.copy(place / "hot.db", path)
    db = rbt.connect(path)
    early = checkpoint(db, 40)
    db.execute("INSERT INTO log(n) VALUES(1)")
    late = checkpoint(db)
    for text, name in ((early, "an early"), (late, "the newest")):
        rbt.equal(findings(db, sign(text)), [], f"a log that extends {name} checkpoint")
    size = str(COUNT + 2)
    forked = sign(late.replace(late.splitlines()[2], base64.b64encode(bytes(32)).decode()))
    rbt.equal(
        [kind for kind, _, _ in findings(db, forked)], ["forked"], "another root of the same size"
    )
    for name, note in {
        "no note": "not a note",
        "an unsigned text": late,
        "another's signature": sign(late, bytes(32)),
        "another origin": sign(late.replace("example.com", "example.org")),
        "a changed text": sign(late).replace(f"\n{size}\n", "\n40\n"),
        "a size with a leading zero": sign(late.replace(f"\n{size}\n", f"\n0{size}\n")),
        "an empty text": "",
    }.items():
        rbt.equal(
            [kind for kind, _, _ in findings(db, note)],
            ["checkpoint"],
            f"no checkpoint of this log: {name}",
        )
    db.close()
    shutil.copy(place / "hot.db", path)
    db = rbt.connect(path)
    rbt.equal(findings(db), [], "an older copy of the file cannot be told without a checkpoint")
    rbt.equal([kind for kind, _, _ in findings(db, sign(late))], ["rolled_back"], "with one it can")
    db.close()
    shutil.copy(place / "open.db", path)
    apply(path, rewrite())
    db = rbt.connect(path)
    rbt.equal(findings(db), [], "without a seal, hashing everything anew cannot be told either")
    db.close()
    db = rbt.connect(place / "open.db")
    note = sign(checkpoint(db))
    db.close()
    db = rbt.connect(path)
    rbt.equal([kind for kind, _, _ in findings(db, note)], ["forked"], "with a checkpoint it can")
    db.close()


def main():
    rbt.plan(14)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        for name, options in (("hot.db", ""), ("open.db", ", seal=no")):
            db = make(place / name, options)
            fill(db, 1, COUNT)
            db.close()
        checkpoints(place)
    rbt.done()


main()
