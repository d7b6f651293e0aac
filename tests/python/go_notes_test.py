# SPDX-License-Identifier: MIT
"""golang.org/x/mod/sumdb/{note,tlog} accepts our checkpoints, proofs and the notes of segments, and refuses
every altered one; proof_verify says the same of each proof."""

import base64
import json
import os
import shutil
import sqlite3
import subprocess

import independent
import notes
import rbt

LOG_SEED = bytes(range(32))
WITNESSES = [notes.Key(f"witness.example/w{i}", bytes([i]) * 32, 4) for i in (1, 2)]


def build(place):
    """The judge; the compiler's cache stays in the build folder."""
    package = "/usr/share/gocode/src/golang.org/x/mod/sumdb/note"
    if not shutil.which("go") or not os.path.isdir(package):
        rbt.skip_all("golang-go and golang-golang-x-mod-dev are not installed")
    environment = {name: text for name, text in os.environ.items() if name != "LD_PRELOAD"}
    environment.update(
        GO111MODULE="off",
        GOPATH="/usr/share/gocode",
        GOFLAGS="",
        CGO_ENABLED="0",
        GOCACHE=str(rbt.ROOT / os.environ.get("TEST_BUILD", "build") / "go"),
    )
    program = place / "judge"
    subprocess.run(
        ["go", "build", "-o", program, rbt.ROOT / "tests" / "go" / "judge.go"],
        check=True,
        env=environment,
    )
    return program


def encoded(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def judge(program, questions):
    """Go's answers: "ok", or what is wrong."""
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    environment = {name: text for name, text in os.environ.items() if name != "LD_PRELOAD"}
    answer = subprocess.run(
        [program], input=lines, capture_output=True, text=True, check=True, env=environment
    )
    answers = answer.stdout.splitlines()
    assert len(answers) == len(questions), answer.stderr
    return answers


def ours(db, proof, leaf, vkeys):
    """proof_verify's answer in the same form."""
    try:
        return (
            "ok" if rbt.value(db, "SELECT proof_verify(?, ?, ?)", proof, leaf, vkeys) == 1 else "0"
        )
    except sqlite3.Error as error:
        return str(error)


def agree(program, db, cases, vkeys, name, accepted):
    """Two checks of (proof, leaf) pairs: the verdicts are equal; all are accepted, or none."""
    questions = [
        {"proof": encoded(proof), "leaf": encoded(leaf), "vkeys": vkeys} for proof, leaf in cases
    ]
    go = judge(program, questions)
    own = [ours(db, proof, leaf, ",".join(vkeys)) for proof, leaf in cases]
    differing = [i for i, answer in enumerate(go) if (answer == "ok") != (own[i] == "ok")]
    rbt.ok(not differing, f"{len(cases)} {name}: Go and proof_verify agree")
    for i in differing[:5]:
        rbt.note(f"{cases[i][0]!r}\n go: {go[i]}\nown: {own[i]}")
    wrong = [i for i, answer in enumerate(go) if (answer == "ok") != accepted]
    rbt.ok(not wrong, f"and {'every one is accepted' if accepted else 'none is accepted'}")
    for i in wrong[:5]:
        rbt.note(f"{cases[i][0]!r}\n go: {go[i]}")


def altered(proof):
    """Every byte changed in four ways, left out, and doubled."""
    data = proof.encode()
    seen = {data}
    for i, byte in enumerate(data):
        for other in (byte ^ 1, byte ^ 0x20, ord("A"), ord("\n")):
            seen.add(data[:i] + bytes([other]) + data[i + 1 :])
        seen.add(data[:i] + data[i + 1 :])
        seen.add(data[:i] + data[i : i + 1] + data[i:])
        seen.add(data[:i])
    seen.remove(data)
    return sorted(seen)


def segments(program, db, place):
    """Three checks: the note of a segment, as archive_info gives it with its signer."""
    db.execute("SELECT audit_archive('log', ?, 'now')", (str(place / "cold"),)).fetchall()
    (path,) = (place / "cold").glob("*.zst")
    info = dict(rbt.rows(db, "SELECT key, value FROM archive_info(?)", str(path)))
    vkeys = [info["verified_by"]]

    def ask(texts):
        return judge(program, [{"note": encoded(text), "vkeys": vkeys} for text in texts])

    rbt.equal(vkeys, [rbt.value(db, "SELECT audit_public_key('log')")], "archive_info has the vkey")
    rbt.equal(ask([info["note"]]), ["ok"], "Go accepts the note of a segment by it")
    answers = ask(altered(info["note"]))
    rbt.ok("ok" not in answers, f"and none of {len(answers)} that were altered")


def main():
    with rbt.folder() as place, rbt.environment(
        RUSTYBT_ENCRYPTION_KEY=independent.KEY,
        RUSTYBT_SIGNING_KEY=base64.urlsafe_b64encode(LOG_SEED).decode(),
    ):
        program = build(place)
        rbt.plan(18)
        db = rbt.connect(place / "test.db")
        db.execute(
            "CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, origin='example.com/audit')"
        )
        rbt.equal(
            rbt.value(db, "SELECT audit_public_key('log')"),
            notes.Key("example.com/audit", LOG_SEED).vkey,
            "the vkey is the one that Python makes of the seed",
        )
        consistency, cases = [], []
        roots = {0: bytes(32)}
        sizes = (1, 2, 3, 8, 100, 257, 300)
        for size in sizes:
            have = rbt.value(db, "SELECT audit_size('log')")
            db.executemany("INSERT INTO log(n) VALUES(?)", [(i,) for i in range(have, size)])
            rbt.value(db, "SELECT audit_checkpoint('log')")
            roots[size] = bytes.fromhex(rbt.value(db, "SELECT audit_root('log')"))
            for entry in range(size):
                proof, leaf = rbt.rows(
                    db, "SELECT audit_proof('log', ?1), audit_leaf('log', ?1)", entry
                )[0]
                cases.append((proof, leaf))
            for old in roots:
                consistency.append((rbt.value(db, "SELECT audit_consistency('log', ?)", old), old))
        vkeys = [rbt.value(db, "SELECT audit_public_key('log')")]
        agree(program, db, cases, vkeys, "proofs of every entry at seven sizes", True)

        def requests(items):
            return [
                {"consistency": encoded(body), "old_root": encoded(roots[old]), "vkeys": vkeys}
                for body, old in items
            ]

        answers = judge(program, requests(consistency))
        rbt.equal(set(answers), {"ok"}, f"Go accepts {len(answers)} consistency proofs")
        longest = max(consistency, key=lambda item: len(item[0]))
        forged = [(bytes(body), longest[1]) for body in altered(longest[0])]
        answers = judge(program, requests(forged))
        rbt.ok("ok" not in answers, f"and none of {len(answers)} that were altered")

        proof, leaf = cases[-7]
        broken = altered(proof)
        agree(program, db, [(text, leaf) for text in broken], vkeys, "altered proofs", False)
        leaves = [(proof, text) for text in altered(leaf)]
        agree(program, db, leaves, vkeys, "proofs of an altered leaf", False)

        line = notes.take_apart(proof)[2].rpartition("\n\n")[2]
        variants = [
            proof + line,
            proof + "\u2014 other.example/key AAAAAAAA\n",
            proof.replace("\nindex", "\nextra AAAA\nindex"),
            proof.replace("\nindex", "\nextra " + "A" * 400 + "\nindex"),
        ]
        cases = [(text, leaf) for text in variants]
        agree(program, db, cases, vkeys, "proofs with what others may add", True)
        # a witness signs the checkpoint, not the proof around it
        note = notes.take_apart(proof)[2]
        for witness, time in zip(WITNESSES, (1700000000, 2**63 - 1)):
            note = note + witness.line(notes.text_of(note), time)
        cosigned = proof[: proof.index("\n\n") + 2] + note
        every = vkeys + [witness.vkey for witness in WITNESSES]
        agree(program, db, [(cosigned, leaf)], every, "proof that both witnesses cosigned", True)
        broken = [(text, leaf) for text in altered(cosigned)]
        agree(program, db, broken, every, "altered cosigned proofs", False)
        segments(program, db, place)
    rbt.done()


main()
