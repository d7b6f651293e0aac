# SPDX-License-Identifier: MIT
"""A new signing key takes over (DESIGN §5): the runbook old, then new,old and audit_succession('*'), then
new alone; whom the notes bring trust to; what a thief of the old key, or of the file, gains."""

import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import independent
import rbt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORIGIN = "example.com/log"
OLD, NEW, THIRD, THIEF = 1, 2, 3, 9
KILLS = 12


def seed(number):
    return bytes([number]) * 32


def seeds(*numbers):
    return ",".join(base64.b64encode(seed(number)).decode() for number in numbers)


def public(number):
    key = Ed25519PrivateKey.from_private_bytes(seed(number)).public_key()
    return b"\1" + key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def vkey(number, name=ORIGIN):
    key_id = hashlib.sha256(name.encode() + b"\n" + public(number)).hexdigest()[:8]
    return f"{name}+{key_id}+{base64.b64encode(public(number)).decode()}"


def signature(text, number, name=ORIGIN):
    key = Ed25519PrivateKey.from_private_bytes(seed(number))
    key_id = bytes.fromhex(vkey(number, name).split("+")[1])
    return f"\u2014 {name} {base64.b64encode(key_id + key.sign(text.encode())).decode()}\n"


def succession(db, previous, size=None, following=NEW, signers=None, name=ORIGIN):
    """A succession note, as anyone with the keys could write it."""
    size = size or rbt.value(db, "SELECT audit_size('log')")
    root = base64.b64encode(bytes.fromhex(rbt.value(db, f"SELECT audit_root('log', {size})")))
    text = (
        f"rustybt-vkey-v1\norigin {name}\nsize {size}\nroot {root.decode()}\n"
        f"next {vkey(following, name)}\nprevious {vkey(previous, name)}\n"
    )
    first, second = signers or (previous, following)
    return text + "\n" + signature(text, first, name) + signature(text, second, name)


@contextlib.contextmanager
def opened(path, *numbers, **variables):
    """A connection that holds these signing keys, newest first."""
    held = {"RUSTYBT_SIGNING_KEY": seeds(*numbers) if numbers else None}
    with rbt.environment(**{**held, **variables}):
        db = rbt.connect(path)
        try:
            yield db
        finally:
            db.close()


def store(path, notes):
    """Puts notes, or a raw value, where the log keeps them: with sqlite3 alone, as a thief would."""
    db = rbt.connect(path, extension=False)
    db.execute("DELETE FROM log_meta WHERE key = 'successions'")
    if notes is not None:
        value = notes if isinstance(notes, str) else json.dumps(notes, ensure_ascii=False)
        db.execute("INSERT INTO log_meta(key, value) VALUES('successions', ?)", (value,))
    db.close()


def stored(db, log="log"):
    value = db.execute(f"SELECT value FROM {log}_meta WHERE key = 'successions'").fetchone()
    return json.loads(value[0]) if value else []


def append(db, count, log="log"):
    db.execute(
        f"WITH RECURSIVE each(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM each LIMIT {count}) "
        f"INSERT INTO {log}(n) SELECT n FROM each"
    )


def cool(db, log="log"):
    """Archives and prunes all."""
    rbt.value(db, f"SELECT audit_archive('{log}', 'cold', 'now')")
    rbt.value(db, f"SELECT audit_prune('{log}')")


def problems(db, *arguments):
    marks = ", ".join("?" * len(arguments or "*"))
    return [
        (kind, detail)
        for kind, detail in db.execute(
            f"SELECT kind, detail FROM audit_verify({marks}) WHERE level = 'error'",
            arguments or ("*",),
        )
    ]


def kinds(db, *arguments):
    return [kind for kind, _ in problems(db, *arguments)]


def failure(db, sql):
    try:
        return f"no error but {db.execute(sql).fetchall()!r}"
    except sqlite3.Error as error:
        return str(error)


def make(path, *numbers, count=300, options=f", origin='{ORIGIN}'", **variables):
    """A log whose entries are cold, in one segment."""
    with opened(path, *numbers, **variables) as db:
        db.execute(f"CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, archive='cold'{options})")
        append(db, count)
        cool(db)


TOTAL = "SELECT count(*), sum(n) FROM log"


def runbook(place):
    path = place / "test.db"
    make(path, OLD)
    with opened(path, OLD) as db:
        rbt.equal(
            rbt.value(db, "SELECT audit_succession('log')"),
            "log: nothing to hand over: no other key has signed it",
            "with one key there is nothing to hand over",
        )
        rbt.equal(stored(db), [], "and nothing changes")
        old_vkeys = ",".join(
            rbt.value(db, "SELECT audit_public_key(?)", log) for log in ("log", "rustybt_events")
        )
    with opened(path, NEW, OLD) as db:
        events = rbt.value(db, "SELECT audit_size('rustybt_events')")
        rbt.equal(
            rbt.value(db, "SELECT audit_succession('*')"),
            f"signing key handed over in 2 logs: log (size 301), rustybt_events (size {events + 1})",
            "new,old: every log is handed over",
        )
        rbt.equal(
            rbt.value(db, "SELECT audit_succession('*')"),
            "nothing to hand over in 2 logs: log, rustybt_events",
            "a second time changes nothing",
        )
        rbt.equal(
            rbt.value(db, "SELECT audit_succession('log')"),
            f"log: signing key {vkey(NEW).split('+')[1]} took over at size 301 already",
            "and says so of one log",
        )
        rbt.equal(
            stored(db),
            [succession(db, OLD, 301)],
            "the note is byte for byte the one that Python makes of both keys",
        )
        event = json.loads(
            rbt.value(
                db,
                "SELECT detail FROM rustybt_events WHERE action = 'signing_key' AND log = 'log'",
            )
        )
        rbt.equal(
            [event[name] for name in ("size", "previous", "next", "note")],
            [301, vkey(OLD), vkey(NEW), succession(db, OLD, 301)],
            "the event tells size, keys and note",
        )
        append(db, 300)
        cool(db)
    total = (600, 2 * sum(range(301)))
    with opened(path, NEW) as db:
        rbt.equal(problems(db), [], "new alone: all verifies, what the old key signed included")
        rbt.equal(db.execute(TOTAL).fetchone(), total, "and all cold entries are read")
        append(db, 1)
        cool(db)
        rbt.equal(problems(db), [], "the new key goes on alone")
    with opened(path, RUSTYBT_VERIFY_KEYS=old_vkeys) as db:
        rbt.equal(problems(db), [], "who trusts the old keys alone trusts what the new one signs")
        rbt.equal(read(db), 601, "and reads its entries")
        rbt.equal(
            problems(db, "log", independent_checkpoint(db, 602, NEW)),
            [],
            "a checkpoint by the new key counts",
        )
        rbt.equal(
            problems(db, "log", independent_checkpoint(db, 301, OLD)),
            [],
            "one by the old key at size n",
        )
        rbt.equal(
            problems(db, "log", independent_checkpoint(db, 302, OLD)),
            [
                (
                    "checkpoint",
                    "log: the checkpoint of 302 leaves is signed by a key that was superseded at "
                    "size 301",
                )
            ],
            "one by the old key at n + 1 does not",
        )
    with opened(path, THIEF, RUSTYBT_VERIFY_KEYS=None) as db:
        rbt.equal(
            [kind for kind in kinds(db, "log") if kind != "untrusted"],
            ["succession"],
            "who trusts neither is told that nothing trusts the note",
        )


def independent_checkpoint(db, size, number):
    root = base64.b64encode(bytes.fromhex(rbt.value(db, f"SELECT audit_root('log', {size})")))
    text = f"{ORIGIN}\n{size}\n{root.decode()}\n"
    return text + "\n" + signature(text, number)


def late_segments(place):
    """The old key, stolen, signs on. The note is taken away for a moment so that we sign at all."""
    path = place / "test.db"
    make(path, OLD)
    with opened(path, NEW, OLD) as db:
        rbt.value(db, "SELECT audit_succession('*')")
        notes = stored(db)
        append(db, 10)
    with opened(path, OLD) as db:
        rbt.equal(
            failure(db, "SELECT audit_archive('log', 'cold', 'now')"),
            "audit_archive: log: the signing key was superseded at size 301; put its successor "
            "first in RUSTYBT_SIGNING_KEY",
            "a process that still has the old key first does not sign",
        )
        store(path, None)
        rbt.value(db, "SELECT audit_archive('log', 'cold', 'now')")
        store(path, notes)
    want = (
        f"entries up to 310 are signed by key {vkey(OLD).split('+')[1]} of {ORIGIN}, a key that "
        "was superseded at size 301"
    )
    for name, held, variables in (
        ("new,old", (NEW, OLD), {}),
        ("new alone", (NEW,), {}),
        ("who trusts the old vkey", (), {"RUSTYBT_VERIFY_KEYS": vkey(OLD)}),
        ("who trusts both", (), {"RUSTYBT_VERIFY_KEYS": f"{vkey(OLD)},{vkey(NEW)}"}),
    ):
        with opened(path, *held, **variables) as db:
            found = problems(db, "log")
            rbt.ok(
                len(found) == 1 and found[0][0] == "signature" and want in found[0][1],
                f"a segment by the old key after n is refused: {name}",
            )
            pruning = failure(db, "SELECT audit_prune('log')")
            rbt.ok(want in pruning and "nothing was pruned" in pruning, f"and not pruned: {name}")


def forgeries(place):
    """What someone puts into the file, and what he gains: nothing. He holds a key of his own."""
    path = place / "test.db"
    base = place / "base.db"
    make(base, OLD)
    with opened(base, NEW, OLD) as db:
        rbt.value(db, "SELECT audit_succession('*')")
        good = stored(db)[0]
        forged = {
            "his key as next, signed by him alone": succession(
                db, NEW, following=THIEF, signers=(THIEF, THIEF)
            ),
            "his key as previous, signed by him alone": succession(
                db, THIEF, following=NEW, signers=(THIEF, THIEF)
            ),
            "two keys of his own": succession(db, THIEF, following=8),
            "the good note with his key as previous": good.replace(vkey(OLD), vkey(THIEF)),
            "the good note with his key as next": good.replace(vkey(NEW), vkey(THIEF)),
            "the good note with another size": good.replace("size 301", "size 400"),
            "a note of another origin": succession(
                db, OLD, following=THIEF, name="example.com/other"
            ),
            "a note cut short": good[:-40],
            "a note without its second line": good[: good.rindex("\u2014")],
            "no note": "rustybt",
        }
    size = {True: "with the good note", False: "alone"}
    for name, note in forged.items():
        for beside in (True, False):
            shutil.copy(base, path)
            store(path, [good, note] if beside else [note])
            with opened(path, NEW) as db:
                found = kinds(db, "log")
                rbt.ok(
                    "succession" in found and (beside or "untrusted" in found),
                    f"{name}, {size[beside]}: reported, and trusted in nothing",
                )
                rbt.equal(
                    read(db),
                    300 if beside else None,
                    f"{name}, {size[beside]}: cold entries are read by the good note alone",
                )
    for name, value in {
        "no JSON": "nonsense",
        "an object": "{}",
        "an empty text": "",
        "numbers": "[1, 2]",
    }.items():
        shutil.copy(base, path)
        store(path, value)
        with opened(path, NEW) as db:
            rbt.ok("succession" in kinds(db, "log"), f"{name} in place of the notes is reported")
            rbt.ok(read(db) is None, "and nothing of the old key's is trusted")
    shutil.copy(base, path)
    store(path, None)
    with opened(path, NEW, OLD) as db:
        rbt.equal(
            problems(db, "log"),
            [
                (
                    "succession",
                    "log: a succession that rustybt_events tells of is missing from the log",
                )
            ],
            "a note that was taken away is missed, by what rustybt_events tells",
        )
    with opened(base, NEW, OLD) as db:
        append(db, 20)
        wrong_root = succession(db, OLD, 301).split("\n")
        other = base64.b64encode(bytes.fromhex(rbt.value(db, "SELECT audit_root('log', 300)")))
        wrong_root[3] = f"root {other.decode()}"
        text = "\n".join(wrong_root[:6]) + "\n"
        unlike = text + "\n" + signature(text, OLD) + signature(text, NEW)
        second = succession(db, OLD, 310, following=THIRD)
    shutil.copy(base, path)
    store(path, [unlike])
    with opened(path, NEW) as db:
        rbt.ok(
            any(
                kind == "succession"
                and detail.startswith("log: the log's first 301 leaves have the root ")
                and f", succession 1 says {base64.b64decode(other).hex()}: it was re-written" in detail
                for kind, detail in problems(db, "log")
            ),
            "a note of another history of the log is reported",
        )
    store(path, [good, second])
    with opened(path, NEW) as db:
        rbt.equal(
            problems(db, "log"),
            [
                (
                    "succession",
                    "log: succession 2 does not fit those before it: its previous key is "
                    "not the next key of the note before it",
                )
            ],
            "a second successor of the old key is reported",
        )
    with opened(path, RUSTYBT_VERIFY_KEYS=vkey(OLD)) as db:
        rbt.ok(
            "succession" in kinds(db, "log"),
            "also to those who trust the old key, and go no further",
        )
    with opened(path, THIRD, NEW, OLD) as db:
        rbt.equal(
            failure(db, "SELECT audit_succession('log')"),
            "audit_succession: log: its stored successions are damaged, at number 2: its previous "
            "key is not the next key of the note before it; SELECT * FROM audit_verify('log') "
            "tells more",
            "and the log is not handed over before that is mended",
        )
        rbt.equal(stored(db), [good, second], "nor changed")


def read(db):
    """How many entries can be read, the cold ones from their segments; None when some cannot."""
    try:
        return len(db.execute("SELECT n FROM log").fetchall())
    except sqlite3.Error:
        return None


def generations(place):
    path = place / "test.db"
    make(path, OLD)
    with opened(path, NEW, OLD) as db:
        rbt.value(db, "SELECT audit_succession('*')")
        append(db, 300)
        cool(db)
    with opened(path, THIRD) as db:
        rbt.equal(
            failure(db, "SELECT audit_succession('log')"),
            f"audit_succession: log: the key that signs it so far, {vkey(NEW)}, is not held; put "
            "it behind the new one: RUSTYBT_SIGNING_KEY=new,old",
            "a third key alone cannot take over",
        )
    with opened(path, THIRD, OLD) as db:
        rbt.ok(
            "is not held" in failure(db, "SELECT audit_succession('log')"),
            "nor with the first one's help",
        )
    with opened(path, OLD, NEW) as db:
        rbt.equal(
            failure(db, "SELECT audit_succession('log')"),
            "audit_succession: log: the signing key was superseded at size 301, and no key comes "
            "back; put a new one first in RUSTYBT_SIGNING_KEY",
            "a key that was put aside does not come back",
        )
        rbt.equal(db.in_transaction, False, "and no transaction stays open")
    with opened(path, THIRD, NEW) as db:
        rbt.equal(
            rbt.value(db, "SELECT audit_succession('log')"),
            f"log: signing key {vkey(THIRD).split('+')[1]} takes over at size 601 from signing key "
            f"{vkey(NEW).split('+')[1]}",
            "with the second one's it can",
        )
        rbt.value(db, "SELECT audit_succession('*')")
        append(db, 300)
        cool(db)
    for number in (OLD, NEW, THIRD):
        with opened(path, RUSTYBT_VERIFY_KEYS=vkey(number)) as db:
            rbt.equal(problems(db, "log"), [], f"three generations, trusted from key {number} on")
            rbt.equal(read(db), 900, "and all entries are read")
    with opened(path, THIRD) as db:
        rbt.equal(problems(db), [], "the third key is enough")


def skipped_generation(place):
    """Two changes of key before anyone handed over: all that are held do, in order."""
    path = place / "test.db"
    make(path, OLD)
    with opened(path, NEW, OLD) as db:
        append(db, 10)
        cool(db)
    with opened(path, THIRD, NEW, OLD) as db:
        rbt.value(db, "SELECT audit_succession('*')")
        rbt.equal(
            stored(db),
            [succession(db, OLD, 311, following=NEW), succession(db, NEW, 311, following=THIRD)],
            "each key hands over to the next, at one size",
        )
    with opened(path, THIRD) as db:
        rbt.equal(problems(db), [], "and the third alone verifies what the first two signed")


def directions(place):
    """Which of the held keys signed so far: what the log remembers, else all but the first."""
    path = place / "test.db"
    make(path, OLD)
    with opened(path, OLD, NEW) as db:
        rbt.equal(
            rbt.value(db, "SELECT audit_succession('*')"),
            "nothing to hand over in 2 logs: log, rustybt_events",
            "old,new: the new key is only held, and hands over nothing",
        )
    with opened(path, NEW, OLD) as db:
        rbt.value(db, "SELECT audit_succession('*')")
        rbt.equal(stored(db), [succession(db, OLD, 301)], "new,old: the old one does")
        db.execute("CREATE VIRTUAL TABLE young USING audit_log(n INTEGER)")
        rbt.equal(
            rbt.value(db, "SELECT audit_succession('young')"),
            "young: nothing to hand over: no other key has signed it",
            "a log that was made since needs no note",
        )
    unknown = place / "unknown" / "test.db"
    unknown.parent.mkdir()
    make(unknown, OLD)
    db = rbt.connect(unknown, extension=False)
    db.execute("DELETE FROM log_meta WHERE key = 'first_signer'")
    db.close()
    with opened(unknown, NEW, OLD) as db:
        rbt.value(db, "SELECT audit_succession('log')")
        rbt.equal(
            stored(db), [succession(db, OLD, 301)], "a log that does not remember is handed over"
        )
    alone = place / "alone" / "test.db"
    alone.parent.mkdir()
    make(alone)
    with opened(alone, NEW) as db:
        rbt.ok("untrusted" in kinds(db, "log"), "from the ring's subkey to a signing key: at first")
        rbt.value(db, "SELECT audit_succession('*')")
        rbt.equal(problems(db), [], "the ring's subkey hands over to a signing key of its own")
        rbt.equal(read(db), 300, "and what it signed is read")
    with opened(alone, THIRD, NEW) as db:
        rbt.value(db, "SELECT audit_succession('*')")
    with opened(alone, THIRD) as db:
        rbt.equal(problems(db), [], "and that one to the next")


def ring(place):
    """Without a signing key of their own the ring's subkeys sign, and the seal is the ring's, too."""
    path = place / "test.db"
    old, new = independent.KEY, independent.OTHER_KEY
    make(path, options="")
    with opened(path, RUSTYBT_ENCRYPTION_KEY=f"{new},{old}") as db:
        append(db, 5)
        rbt.value(db, "SELECT audit_archive('log', 'cold', 'now')")
        new_id = rbt.value(db, "SELECT key_id()")
    with opened(path, RUSTYBT_ENCRYPTION_KEY=old) as db:
        rbt.ok(problems(db) != [], "the old ring alone does not know what came after it")
    with opened(path, RUSTYBT_ENCRYPTION_KEY=f"{new},{old}") as db:
        db.execute("CREATE VIRTUAL TABLE quiet USING audit_log(n INTEGER)")
        rbt.value(db, "SELECT audit_succession('*')")
    # a log that nobody writes to is sealed under the old key until then
    quiet = place / "quiet" / "quiet.db"
    quiet.parent.mkdir()
    make(quiet, options="")
    with opened(quiet, RUSTYBT_ENCRYPTION_KEY=f"{new},{old}") as db:
        report = rbt.value(db, "SELECT audit_succession('log')")
        rbt.ok(
            report.endswith(f"; sealed under key {new_id} now"),
            "the seal moves to the new ring, too",
        )
    with opened(path, RUSTYBT_ENCRYPTION_KEY=new) as db:
        rbt.equal(problems(db), [], "the new ring alone: seals and signatures verify")
        rbt.equal(read(db), 305, "and all entries are read")
        rbt.value(db, "SELECT audit_prune('log')")
        rbt.equal(read(db), 305, "also after they went cold")
    with opened(quiet, RUSTYBT_ENCRYPTION_KEY=new) as db:
        rbt.equal(problems(db, "log"), [], "the quiet log, as well")
        rbt.ok(
            "took over" in rbt.value(db, "SELECT audit_succession('log')"),
            "and nothing is left to do",
        )


def refusals(place):
    path = place / "test.db"
    with opened(path, RUSTYBT_ENCRYPTION_KEY=None) as db:
        rbt.equal(
            rbt.value(db, "SELECT audit_succession('*')"),
            "nothing to hand over: the database has no audit log",
            "a database without logs needs nothing, no key either",
        )
    make(path, OLD)
    with opened(path, NEW, OLD) as db:
        db.execute("BEGIN")
        rbt.refuses(
            db,
            "SELECT audit_succession('log')",
            "audit_succession: it makes its own transactions; COMMIT or ROLLBACK first",
            "not inside a transaction",
        )
        db.execute("COMMIT")
        rbt.refuses(
            db,
            "SELECT audit_succession('log') FROM log_meta",
            "audit_succession: a statement of this connection is reading the database; call it "
            "without FROM: SELECT audit_succession('log')",
            "not with a FROM",
        )
        rbt.refuses(
            db,
            "SELECT audit_succession(NULL)",
            "audit_succession: log must be TEXT, not NULL",
            "not without a log",
        )
        rbt.refuses(
            db,
            "SELECT audit_succession('none')",
            'audit_succession: no log is named "none"; SELECT name FROM audit_logs lists them',
            "not of a log that is not there",
        )
        db.execute("ATTACH ':memory:' AS hostile")
        try:
            db.execute("CREATE TABLE hostile.t(a CHECK(audit_succession('*') <> ''))")
            message = failure(db, "INSERT INTO hostile.t VALUES(1)")
        except sqlite3.Error as error:
            message = str(error)
        rbt.ok("audit_succession" in message, "not from a CHECK of someone else's schema")
        rbt.equal(stored(db), [], "and none of these changed anything")
    with opened(path, NEW, OLD, RUSTYBT_ENCRYPTION_KEY=None) as db:
        rbt.ok(
            "RUSTYBT_ENCRYPTION_KEY" in failure(db, "SELECT audit_succession('log')"),
            "a sealed log is not handed over without its ring",
        )
    db = rbt.connect(path, extension=False)
    db.execute(
        "UPDATE log_meta SET value = substr(value, 1, 39) || iif(substr(value, 40) = x'00', x'01', "
        "x'00') WHERE key = 'seal'"
    )
    db.close()
    with opened(path, NEW, OLD) as db:
        rbt.ok(
            "the seal does not fit" in failure(db, "SELECT audit_succession('log')"),
            "nor one whose seal does not hold",
        )
        rbt.equal(stored(db), [], "a log that may be re-written is not signed for")
    unsealed = place / "unsealed" / "unsealed.db"
    unsealed.parent.mkdir()
    make(unsealed, OLD, options=", seal=no", RUSTYBT_ENCRYPTION_KEY=None)
    with opened(unsealed, NEW, OLD, RUSTYBT_ENCRYPTION_KEY=None) as db:
        rbt.value(db, "SELECT audit_succession('*')")
    with opened(unsealed, NEW, RUSTYBT_ENCRYPTION_KEY=None) as db:
        rbt.equal(problems(db), [], "a log without a seal needs the signing keys alone")
    with opened(unsealed, RUSTYBT_ENCRYPTION_KEY=None) as db:
        rbt.ok("untrusted" in kinds(db, "log"), "and some key to be verified by")
        rbt.equal(
            failure(db, "SELECT audit_succession('log')"),
            "audit_succession: a succession is signed, and there is no key; set "
            "RUSTYBT_SIGNING_KEY or RUSTYBT_ENCRYPTION_KEY",
            "without a key nothing is handed over",
        )


def adoption(place):
    """A run that died between the file and its record, then a change of key."""
    path = place / "test.db"
    make(path, OLD)
    with opened(path, OLD) as db:
        append(db, 50)
    before = place / "before.db"
    shutil.copy(path, before)
    with opened(path, OLD) as db:
        rbt.value(db, "SELECT audit_archive('log', 'cold', 'now')")
    shutil.copy(before, path)
    with opened(path, NEW, OLD) as db:
        rbt.value(db, "SELECT audit_succession('*')")
    with opened(path, NEW) as db:
        rbt.ok(
            "archived 50 entries" in rbt.value(db, "SELECT audit_archive('log', 'cold', 'now')"),
            "a finished segment of the old key is adopted by the new one",
        )
        rbt.value(db, "SELECT audit_prune('log')")
        rbt.equal(problems(db), [], "and verifies")
    with opened(path, THIEF) as db:
        append(db, 10)
        shutil.copy(path, before)
        rbt.value(db, "SELECT audit_archive('log', 'cold', 'now')")
        shutil.copy(before, path)
    with opened(path, NEW) as db:
        rbt.ok(
            "cannot be adopted" in failure(db, "SELECT audit_archive('log', 'cold', 'now')"),
            "one of a key that nothing trusts is not",
        )


def count_notes(db, logs):
    """Notes in all logs, and the events that tell of them."""
    notes = sum(len(stored(db, log)) for log in logs)
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'rustybt_events'").fetchone():
        return notes, 0
    events = rbt.value(db, "SELECT count(*) FROM rustybt_events WHERE action = 'signing_key'")
    return notes + len(stored(db, "rustybt_events")), events


def kills(place):
    """kill -9 at all kinds of moments of audit_succession: a log is handed over or as it was."""
    path = place / "test.db"
    logs = [f"log{number}" for number in range(8)]
    with opened(path, 1) as db:
        db.execute("PRAGMA journal_mode=WAL").fetchall()
        for log in logs:
            db.execute(f"CREATE VIRTUAL TABLE {log} USING audit_log(n INTEGER)")
            append(db, 3, log)
    wrong, moments = [], set()
    for number in range(KILLS):
        numbers = (number + 2, number + 1)
        with opened(path, *numbers) as db:
            pass
        with rbt.environment(RUSTYBT_SIGNING_KEY=seeds(*numbers)):
            process = subprocess.Popen(
                [sys.executable, __file__, str(path)], stdout=subprocess.PIPE
            )
            for _ in range(number % (len(logs) + 1)):
                process.stdout.readline()
            time.sleep(number * 0.0005)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        with opened(path, *numbers) as db:
            done = sum(len(stored(db, log)) == number + 1 for log in logs)
            moments.add(done)
            wrong += [(number, problem) for problem in problems(db)]
            notes, events = count_notes(db, logs)
            if events != notes:
                wrong.append((number, f"{events} events, {notes} notes"))
            rbt.value(db, "SELECT audit_succession('*')")
            if any(len(stored(db, log)) != number + 1 for log in logs):
                wrong.append((number, "not finished by the next run"))
        with opened(path, number + 2) as db:
            wrong += [(number, problem) for problem in problems(db)]
    rbt.note(f"logs handed over at the kills: {sorted(moments)}")
    for problem in wrong[:5]:
        rbt.note(problem)
    rbt.equal(wrong, [], f"after each of {KILLS} kills each log is handed over or as it was")


def work(path):
    """Hands over log by log, as '*' does, and tells of each that it begins."""
    db = rbt.connect(path)
    for (log,) in db.execute("SELECT name FROM audit_logs ORDER BY name").fetchall():
        print(log, flush=True)
        db.execute("SELECT audit_succession(?)", (log,)).fetchall()


def main():
    rbt.plan(125)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY):
        for part in (
            runbook,
            late_segments,
            forgeries,
            generations,
            skipped_generation,
            directions,
            ring,
            refusals,
            adoption,
            kills,
        ):
            with rbt.folder() as place:
                part(place)
    rbt.done()


work(sys.argv[1]) if len(sys.argv) > 1 else main()
