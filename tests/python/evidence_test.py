# SPDX-License-Identifier: MIT
"""Checkpoints, proofs and witnesses as people outside use them: rollback and fork are named, nothing is
signed that is not committed and sealed, and proofs hold through prune, rotation, races and kills."""

import base64
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading

import independent
import notes
import rbt
from attacks import apply, fill, findings, make, rewrite

SIGNING, NEXT = (base64.urlsafe_b64encode(bytes([n]) * 32).decode() for n in (7, 8))
LOG_KEY, NEXT_KEY = (notes.Key("example.com/log", bytes([n]) * 32) for n in (7, 8))
WITNESS = notes.Key("witness.example/w1", bytes([1]) * 32, 4)
OTHER_WITNESS = notes.Key("witness.example/w2", bytes([2]) * 32, 4)


def checkpoint(db, *previous):
    marks = ", ?" * len(previous)
    return rbt.value(db, f"SELECT audit_checkpoint('log'{marks})", *previous)


def proof_of(db, entry):
    return rbt.value(db, "SELECT audit_proof('log', ?)", entry)


def leaf_of(db, entry):
    return rbt.value(db, "SELECT audit_leaf('log', ?)", entry)


def holds(db, proof, leaf, vkeys):
    """None, or the error."""
    try:
        return None if rbt.value(db, "SELECT proof_verify(?, ?, ?)", proof, leaf, vkeys) == 1 else 0
    except sqlite3.Error as error:
        return str(error)


def told(db, note, vkeys=None):
    arguments = (note,) if vkeys is None else (note, vkeys)
    return [kind for kind, _, _ in findings(db, *arguments)]


def reopened(place, source, target="try.db"):
    path = place / target
    for suffix in ("", "-wal", "-shm", "-journal"):
        (place / (target + suffix)).unlink(missing_ok=True)
    shutil.copy(place / source, path)
    return path


def outside(place):
    """Rollback and fork, by a checkpoint kept outside and by the stored ones."""
    path = place / "main.db"
    db = make(path)
    fill(db, 1, 300)
    first = checkpoint(db)
    rbt.equal(notes.size_of(first), 301, "a checkpoint counts the genesis")
    rbt.equal(
        notes.root_of(first).hex(),
        rbt.value(db, "SELECT audit_root('log')"),
        "it has the log's root",
    )
    rbt.equal(
        first,
        notes.text_of(first) + "\n" + LOG_KEY.line(notes.text_of(first)),
        "it is signed as Python signs it",
    )
    rbt.equal(checkpoint(db), first, "a log that has not grown gives the same note again")
    db.close()
    shutil.copy(path, place / "old.db")
    db = rbt.connect(path)
    fill(db, 301, 600)
    second = checkpoint(db, first)
    rbt.equal(told(db, first), [], "the log extends the first checkpoint")
    rbt.equal(told(db, second.encode()), [], "and the second, given as BLOB")
    rbt.equal(
        rbt.value(db, "SELECT last_checkpoint_size FROM audit_logs WHERE name = 'log'"),
        601,
        "audit_logs tells the newest",
    )
    db.close()
    db = rbt.connect(place / "old.db")
    rbt.equal(told(db, second), ["rolled_back"], "an older copy of the file is a rollback")
    rbt.refuses(
        db,
        "SELECT audit_checkpoint('log', ?)",
        "audit_checkpoint: nothing was signed: log: the previous checkpoint is of 601 leaves, the log has "
        "only 301: it was rolled back",
        "and is not signed",
        second,
    )
    fill(db, 301, 700)
    rbt.equal(told(db, second), ["forked"], "that grew on another way, it is a fork")
    rbt.refuses(
        db,
        "SELECT audit_checkpoint('log', ?)",
        "audit_checkpoint: nothing was signed: log: the log's first 601 leaves are not those of the previous "
        f"checkpoint, whose root is {base64.b64decode(second.splitlines()[2]).hex()}: it was re-written",
        "and is not signed either",
        second,
    )
    db.close()

    db = make(place / "small.db")
    fill(db, 1, 50)
    checkpoint(db)
    fill(db, 51, 100)
    kept = checkpoint(db)
    db.close()
    apply(place / "small.db", rewrite())
    db = rbt.connect(place / "small.db")
    rbt.equal(
        sorted(told(db, kept)),
        ["forked", "forked", "forked", "seal"],
        "a log hashed anew contradicts its seal, its stored checkpoints and the one outside",
    )
    rbt.ok(
        "nothing was signed" in attempt(db, "SELECT audit_checkpoint('log')"),
        "and gets no checkpoint",
    )
    db.execute("DELETE FROM log_meta WHERE key GLOB 'checkpoint/*'")
    rbt.refuses(
        db,
        "SELECT audit_checkpoint('log')",
        "log: the seal does not fit the log: it was changed by someone without the key; SELECT * FROM "
        "audit_verify('log') tells more",
        "nor with its stored checkpoints taken away",
    )
    db.close()
    forged = notes.text_of(second).replace("\n601\n", "\n600\n")
    for name, value, kind in (
        ("another size than its key's", forged + "\n" + LOG_KEY.line(forged), "checkpoint"),
        ("a changed text", second.replace("\n601\n", "\n600\n"), "checkpoint"),
        ("no note", "x", "checkpoint"),
        ("no text", b"x", "checkpoint"),
        (
            "another's signature",
            first.partition("\n\n")[0] + "\n\n" + WITNESS.line("x", 1),
            "checkpoint",
        ),
    ):
        hurt = reopened(place, "main.db")
        db = rbt.connect(hurt, extension=False)
        db.execute("UPDATE log_meta SET value = ? WHERE key LIKE 'checkpoint/%0601'", (value,))
        db.close()
        db = rbt.connect(hurt)
        rbt.equal(
            [found for found, _, _ in findings(db)],
            [kind],
            f"a stored checkpoint that is changed: {name}",
        )
        db.close()


def attempt(db, sql, *parameters):
    try:
        return repr(db.execute(sql, parameters).fetchall())
    except sqlite3.Error as error:
        return str(error)


def refusals(place):
    """What is not signed."""
    db = rbt.connect(place / "main.db")
    message = "audit_checkpoint: it makes its own transactions; COMMIT or ROLLBACK first"
    db.execute("BEGIN")
    rbt.refuses(db, "SELECT audit_checkpoint('log')", message, "inside a transaction")
    db.execute("INSERT INTO log(n) VALUES(1)")
    rbt.refuses(db, "SELECT audit_checkpoint('log')", message, "that has written")
    db.execute("ROLLBACK")
    rbt.ok(
        "a statement of this connection is reading"
        in attempt(db, "SELECT audit_checkpoint('log') FROM log LIMIT 1"),
        "with a FROM",
    )
    db.execute("CREATE TEMP TABLE t(x)")
    rbt.refuses(
        db,
        "INSERT INTO temp.t SELECT audit_checkpoint('log')",
        "audit_checkpoint: it must be called by itself, as SELECT audit_checkpoint(log)",
        "inside a statement that writes",
    )
    size = rbt.value(db, "SELECT last_checkpoint_size FROM audit_logs WHERE name = 'log'")
    for name, note, message in (
        (
            "no note",
            "x",
            "the previous checkpoint is no signed checkpoint: it has no empty line between text and signatures",
        ),
        (
            "an unsigned one",
            f"example.com/log\n1\n{'A' * 43}=\n\n\u2014 a AAAAAAAA\n",
            "no trusted key of example.com/log signed the previous checkpoint",
        ),
        (
            "another log's",
            f"example.com/b\n1\n{'A' * 43}=\n\n\u2014 a AAAAAAAA\n",
            "the previous checkpoint is of log example.com/b, not of example.com/log",
        ),
    ):
        rbt.refuses(
            db,
            "SELECT audit_checkpoint('log', ?)",
            f"audit_checkpoint: nothing was signed: log: {message}",
            f"after a previous one that is {name}",
            note,
        )
    with rbt.environment(RUSTYBT_VERIFY_KEYS=NEXT_KEY.vkey):
        rbt.ok(
            "no trusted key of example.com/log signed the stored checkpoint of 301 leaves"
            in attempt(db, "SELECT audit_checkpoint('log')"),
            "where the stored ones are not trusted",
        )
    db.close()
    db = make(place / "fresh.db")
    with rbt.environment(RUSTYBT_VERIFY_KEYS=NEXT_KEY.vkey):
        rbt.ok(
            "the signing key is not among the trusted keys"
            in attempt(db, "SELECT audit_checkpoint('log')"),
            "where nobody would believe it",
        )
    db.close()
    db = rbt.connect(place / "main.db")
    rbt.equal(
        rbt.value(db, "SELECT last_checkpoint_size FROM audit_logs WHERE name = 'log'"),
        size,
        "and nothing was stored",
    )
    db.close()


def witnesses(place):
    """Cosignatures are required where a witness is named, merged, and carried by later proofs."""
    db = rbt.connect(place / "main.db")
    note = checkpoint(db)
    both = f"{LOG_KEY.vkey},{WITNESS.vkey}"
    cosigned = notes.cosign(note, WITNESS)
    rbt.equal(told(db, cosigned, both), [], "a cosigned checkpoint is believed")
    line = rbt.value(db, "SELECT audit_verify('log', ?, ?)", cosigned, both)
    rbt.ok(
        line.endswith(
            ", extends the checkpoint of 601 leaves, cosigned by witness.example/w1 at 2023-11-14T22:13:20Z"
        ),
        "and the line says by whom and when",
    )
    rbt.equal(told(db, note, both), ["checkpoint"], "one without the witness is not")
    rbt.equal(told(db, cosigned, WITNESS.vkey)[-1], "untrusted", "a witness alone is not enough")
    wrong = note + WITNESS.line(notes.text_of(note) + "x", 5)
    rbt.equal(told(db, wrong, both), ["checkpoint"], "nor a wrong cosignature")
    with rbt.environment(RUSTYBT_VERIFY_KEYS=both):
        rbt.equal(findings(db), [], "stored checkpoints need not be cosigned yet")
        stranger = notes.cosign(cosigned, OTHER_WITNESS)
        rbt.equal(
            checkpoint(db, stranger), cosigned, "a trusted witness's line is merged, no stranger's"
        )
        rbt.equal(checkpoint(db), cosigned, "and kept")
        rbt.equal(checkpoint(db, cosigned), cosigned, "once")
    proof = proof_of(db, 5)
    rbt.equal(holds(db, proof, leaf_of(db, 5), both), None, "proofs carry it")
    rbt.equal(
        holds(db, proof, leaf_of(db, 5), f"{both},{OTHER_WITNESS.vkey}"),
        "proof_verify: the proof's checkpoint is not cosigned by witness witness.example/w2",
        "and lack the one that did not cosign",
    )
    fill(db, 601, 610)
    with rbt.environment(RUSTYBT_VERIFY_KEYS=both):
        later = checkpoint(db, cosigned)
    rbt.equal(later.count("\u2014"), 1, "the next checkpoint begins without cosignatures")
    body = rbt.value(db, "SELECT audit_consistency('log', 601)")
    head, hashes, sent = notes.take_apart(body)
    rbt.equal((head, sent), (["old 601"], later), "a witness is sent the newest checkpoint")
    rbt.ok(0 < len(hashes) <= 63, "and the path to it")
    rbt.equal(
        rbt.value(db, "SELECT audit_consistency('log', 0)"),
        "old 0\n\n" + later,
        "or none when it is new",
    )
    db.close()


def pruned(place):
    """Proofs of entries that only segments hold, also after the segments' folder moved away."""
    path = reopened(place, "main.db", "cold.db")
    db = rbt.connect(path)
    before = {
        entry: (proof_of(db, entry), leaf_of(db, entry)) for entry in (0, 1, 255, 256, 300, 610)
    }
    rbt.value(db, "SELECT audit_archive('log', 'cold', 'now')")
    rbt.value(db, "SELECT audit_prune('log')")
    rbt.equal(
        {entry: (proof_of(db, entry), leaf_of(db, entry)) for entry in before},
        before,
        "proofs after a prune are the same",
    )
    rbt.equal(
        [entry for entry, pair in before.items() if holds(db, *pair, LOG_KEY.vkey)],
        [],
        "and they hold",
    )
    segment = independent.Segment(next((place / "cold").glob("*.zst")))
    rbt.equal(
        segment.manifest["checkpoint"].split("\n")[1],
        "611",
        "a segment carries the newest checkpoint",
    )
    rbt.equal(findings(db), [], "every stored checkpoint verifies")
    old = rbt.value(db, "SELECT audit_consistency('log', 301)")
    rbt.ok(
        old.startswith("old 301\n"), "an old size inside a dropped block comes through its segment"
    )
    (place / "cold").rename(place / "away")
    kinds = {kind for kind, _, _ in findings(db)}
    rbt.equal(kinds, {"segment"}, "with the segments away, stored checkpoints verify still")
    rbt.ok(
        "cannot" in attempt(db, "SELECT audit_proof('log', 300)")
        or "segment" in attempt(db, "SELECT audit_proof('log', 300)"),
        "a proof of a pruned entry says that it needs its segment",
    )
    rbt.equal(proof_of(db, 0).split("\n")[1], "index 0", "that of the genesis does not")
    (place / "away").rename(place / "cold")
    db.close()


def rotation(place):
    """The next signing key."""
    path = reopened(place, "main.db", "rotated.db")
    old = rbt.connect(path)
    note = checkpoint(old)
    old.close()
    with rbt.environment(RUSTYBT_SIGNING_KEY=NEXT):
        db = rbt.connect(path)
        rbt.equal(
            set(told(db, note)),
            {"checkpoint"},
            "under a new signing key alone nothing old is believed",
        )
        rbt.ok(
            "nothing was signed" in attempt(db, "SELECT audit_checkpoint('log')"),
            "nor anything new signed",
        )
        with rbt.environment(RUSTYBT_VERIFY_KEYS=f"{LOG_KEY.vkey} {NEXT_KEY.vkey}"):
            rbt.equal(told(db, note), [], "with both keys trusted all is well")
            fill(db, 611, 620)
            new = checkpoint(db, note)
            rbt.equal(
                new,
                notes.text_of(new) + "\n" + NEXT_KEY.line(notes.text_of(new)),
                "the new key signs",
            )
            rbt.equal(findings(db), [], "and the log verifies")
        db.close()


def races(place):
    """Two connections at once, and a kill."""
    path = place / "race.db"
    db = make(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    results, errors = [], []

    def work(number):
        own = rbt.connect(path)
        own.execute("PRAGMA synchronous = NORMAL")
        for i in range(12):
            try:
                own.execute("INSERT INTO log(n) VALUES(?)", (i,))
                results.append(checkpoint(own))
            except sqlite3.Error as error:
                errors.append(str(error))
        own.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db = rbt.connect(path)
    rbt.equal(errors, [], "two connections make checkpoints at once")
    rbt.equal({told(db, note) == [] for note in results}, {True}, "the log extends each of them")
    by_size = {}
    for note in results:
        by_size.setdefault(notes.size_of(note), set()).add(note)
    rbt.ok(all(len(same) == 1 for same in by_size.values()), "no size was signed twice differently")
    db.close()

    program = (
        "import rbt, sys; db = rbt.connect(sys.argv[1]); print('ready', flush=True)\n"
        "while True:\n"
        "    db.execute('INSERT INTO log(n) VALUES(1)')\n"
        "    print(db.execute(\"SELECT audit_checkpoint('log')\").fetchone()[0].split(chr(10))[1], flush=True)\n"
    )
    seen = []
    for run in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True
        )
        child.stdout.readline()
        for _ in range(run * 3 + 1):
            seen.append(int(child.stdout.readline()))
        child.send_signal(signal.SIGKILL)
        seen += [int(line) for line in child.stdout.read().split("\n")[:-1]]
        child.wait()
        child.stdout.close()
    db = rbt.connect(path)
    rbt.equal(findings(db), [], "after kills the log and every stored checkpoint verify")
    newest = notes.size_of(checkpoint(db))
    rbt.ok(seen and max(seen) <= newest, "and no checkpoint that was given out is lost")
    db.close()


def main():
    rbt.plan(62)
    with rbt.environment(
        RUSTYBT_ENCRYPTION_KEY=independent.KEY, RUSTYBT_SIGNING_KEY=SIGNING
    ), rbt.folder() as place:
        outside(place)
        refusals(place)
        witnesses(place)
        pruned(place)
        rotation(place)
        races(place)
    rbt.done()


main()
