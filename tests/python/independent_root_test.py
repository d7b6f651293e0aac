# SPDX-License-Identifier: MIT
"""An auditor without rustybt: every byte of the segments of a log is accounted for by Python,
`zstd -dc` and SHA-256 alone, and leads to the roots that audit_root gives."""

import base64
import hashlib
import json
import math
import random

import independent
import rbt
from cryptography.hazmat.primitives import serialization

COLUMNS = [
    ("who", "TEXT"),
    ("n", "INTEGER"),
    ("r", "REAL"),
    ("b", "BLOB"),
    ("doc", "JSON"),
    ('odd "name" é', "TEXT"),
]
TEXTS = [
    "",
    "plain",
    'quote " back \\ slash /',
    "".join(map(chr, range(32))),
    "\0",
    "a\0b",
    "\x7f\x80",
    "é ß 漢字 🜁 \U0010ffff",
    "\u2028\u2029\ufeff\ufffd",
    "'; DROP TABLE x; --",
    "x" * 3000,
]
INTEGERS = [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, 10**18]
REALS = [
    0.0,
    -0.0,
    1.0,
    0.1,
    1 / 3,
    1e16,
    1e15,
    123456789012345680.0,
    2.0**-44,
    2.0**-24,
    5e-324,
    2.2250738585072014e-308,
    2.225073858507201e-308,
    1.7976931348623157e308,
    9007199254740993.0,
    1e22,
    1e23,
    9.5e-05,
    0.0001,
    1e-05,
    4.35,
    0.3,
    2.5,
    1e100,
    5.0e-05,
    299792458.0,
    1e21,
    64.0,
]
DOCUMENTS = [
    ("{}", "{}"),
    ("[ ]", "[]"),
    ('{"b" : 1.50,\n\t"a" : "x y"}', '{"b":1.50,"a":"x y"}'),
    ("[1E+2, -0.0, 12345678901234567890123]", "[1E+2,-0.0,12345678901234567890123]"),
    ('{"\\u00e8":"\\ud83d\\ude00","é":null}', '{"\\u00e8":"\\ud83d\\ude00","é":null}'),
    ("[[[[[[true]]]]]]", "[[[[[[true]]]]]]"),
]


def make_rows(count):
    """Rows to insert, and the same as their lines hold them."""
    chance = random.Random(6962)
    for i in range(count):
        document, minified = DOCUMENTS[i % len(DOCUMENTS)]
        real = REALS[i] if i < len(REALS) else any_double(chance)
        row = [
            TEXTS[i % len(TEXTS)],
            INTEGERS[i % len(INTEGERS)] if i < 50 else i,
            real,
            chance.randbytes(20000 if i % 10 == 3 else i % 40),
            document,
            None if i % 3 else f"v{i % 70}",
        ]
        if i >= 2000 and i % 5 == 0:
            row[0] = row[1] = row[2] = row[3] = row[4] = None
            minified = None
        yield row, row[:4] + [minified] + row[5:]


def any_double(chance):
    """A finite double of random bits."""
    while True:
        value = math.ldexp(
            chance.getrandbits(53) * chance.choice([1, -1]), chance.randint(-1074, 960)
        )
        if math.isfinite(value):
            return value


def check_zones(file):
    """Each frame's zones, computed anew from its lines."""
    at, wrong = 0, []
    for frame in file.manifest["frames"]:
        entries = [json.loads(line) for line in file.lines[at : at + frame["rows"]]]
        at += frame["rows"]
        if entries[0]["id"] == 0:
            entries = entries[1:]
        zones = frame["zones"]
        times = [entry["recorded_at"] for entry in entries]
        if zones["recorded_at"] != {"min": min(times), "max": max(times)}:
            wrong.append("recorded_at")
        for name, kind in COLUMNS:
            values = [entry[name] for entry in entries]
            present = (
                {v for v in values if v is not None} if kind not in ("JSON", "BLOB") else set()
            )
            zone = zones.get(name)
            if kind in ("JSON", "BLOB"):
                fits = zone is None
            elif kind == "TEXT" and (
                len(present) > 64 or any(len(v.encode()) > 128 for v in present)
            ):
                fits = zone is None
            else:
                want = {}
                if present and kind == "TEXT":
                    want["values"] = sorted(present, key=str.encode)
                elif present:
                    want.update(min=min(present), max=max(present))
                if None in values:
                    want["nulls"] = True
                fits = zone == want
            if not fits:
                wrong.append(f"{name} of entries {entries[0]['id']} on: {zone}")
    for problem in wrong[:3]:
        rbt.note(problem)
    return not wrong


def check_layout(file):
    """The manifest's frames against the file's bytes and the seek table."""
    at, row, entry = 0, 0, file.manifest["first_id"]
    fits = len(file.frames) == len(file.manifest["frames"])
    for frame, data, seek in zip(file.manifest["frames"], file.frames, file.seek):
        lines = file.lines[row : row + frame["rows"]]
        text = b"".join(line + b"\n" for line in lines)
        fits &= (frame["offset"], frame["size"], frame["raw"]) == (at, len(data), len(text))
        fits &= seek[:2] == (len(data), len(text))
        # with the checksum flag a zstd frame ends in the low half of XXH64, which the table repeats
        fits &= seek[2].to_bytes(4, "little") == data[-4:]
        fits &= base64.b64decode(frame["sha256"]) == hashlib.sha256(data).digest()
        fits &= (frame["first_id"], frame["last_id"]) == (entry, entry + frame["rows"] - 1)
        at, row, entry = at + len(data), row + frame["rows"], entry + frame["rows"]
    fits &= row == len(file.lines) == file.manifest["rows"] and at == len(file.data)
    return fits and file.seek[-1][1:] == (0, 0x51D8E999)


def check_manifest(file, log, hashes, previous, genesis):
    """Every member of the manifest but the frames."""
    m, first, last = file.manifest, file.manifest["first_id"], file.manifest["last_id"]
    decode = lambda text: base64.b64decode(text, validate=True)
    about = json.loads(genesis)
    ids = [json.loads(line)["id"] for line in file.lines]
    want = {
        "format": "rustybt-segment-v1",
        "log": log,
        "log_id": about["log_id"],
        "origin": "example.com/audit",
        "salted": False,
        "columns": [{"name": name, "type": kind} for name, kind in COLUMNS],
        "first_recorded_at": json.loads(file.lines[0])["recorded_at"],
        "last_recorded_at": json.loads(file.lines[-1])["recorded_at"],
        "rows": last - first + 1,
        "raw_bytes": sum(map(len, file.lines)) + len(file.lines),
        "data_bytes": len(file.data),
        "genesis": genesis,
        "checkpoint": None,
    }
    wrong = [name for name, value in want.items() if m[name] != value]
    proof = [decode(node) for node in m["genesis_proof"]]
    leaf = independent.leaf_hash(genesis.encode())
    wrong += [
        name
        for name, fits in {
            "ids": ids == list(range(first, last + 1)),
            "frontier_before": list(map(decode, m["frontier_before"]))
            == independent.frontier(hashes[:first]),
            "root_before": decode(m["root_before"]) == independent.root(hashes[:first]),
            "root_after": decode(m["root_after"]) == independent.root(hashes[: last + 1]),
            "genesis_proof": independent.inclusion_root(proof, 0, last + 1, leaf)
            == decode(m["root_after"]),
            "data_sha256": decode(m["data_sha256"]) == hashlib.sha256(file.data).digest(),
            "previous_manifest_sha256": m["previous_manifest_sha256"]
            == (previous and base64.b64encode(previous.manifest_sha256).decode()),
            "retain_until": m["retain_until"] == m["last_recorded_at"] + 90 * 86400 * 10**6,
            "no other member": set(m)
            == set(want)
            | {
                "first_id",
                "last_id",
                "frontier_before",
                "root_before",
                "root_after",
                "genesis_proof",
                "data_sha256",
                "previous_manifest_sha256",
                "signer_key_id",
                "retain_until",
                "frames",
            },
        }.items()
        if not fits
    ]
    if wrong:
        rbt.note(f"wrong: {wrong}")
    return not wrong


def check_note(file, public_key):
    """The note's text and its one Ed25519 signature."""
    raw = public_key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    key_id = hashlib.sha256(b"example.com/audit\n\1" + raw).digest()[:4]
    text, signatures = independent.note_signatures(file.note)
    [(name, note_key_id, signature)] = signatures
    public_key.verify(signature, text)  # raises InvalidSignature
    want = "rustybt-segment-v1\norigin example.com/audit\nids {} {}\nmanifest {}\n".format(
        file.manifest["first_id"],
        file.manifest["last_id"],
        base64.b64encode(file.manifest_sha256).decode(),
    )
    return (text.decode(), name, note_key_id) == (want, "example.com/audit", key_id) and (
        file.manifest["signer_key_id"] == key_id.hex()
    )


def main():
    rbt.plan(25)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY), rbt.folder() as place:
        db = rbt.connect(place / "test.db")
        declared = ", ".join('"%s" %s' % (name.replace('"', '""'), kind) for name, kind in COLUMNS)
        db.execute(
            f"CREATE VIRTUAL TABLE events USING audit_log({declared}, INDEX(n), "
            "origin='example.com/audit', archive='cold', retain='90 days')"
        )
        genesis = rbt.value(db, "SELECT audit_leaf('events', 0)")
        expected = [genesis.encode()]
        rows = list(make_rows(3000))
        for start in range(0, len(rows), 250):
            db.execute("BEGIN")
            for row, _ in rows[start : start + 250]:
                db.execute(
                    'INSERT INTO events(who, n, r, b, doc, "odd ""name"" é") '
                    "VALUES(?, ?, ?, ?, ?, ?)",
                    row,
                )
            db.execute("COMMIT")
        times = [time for (time,) in db.execute("SELECT recorded_at FROM events ORDER BY id")]
        for i, (_, values) in enumerate(rows):
            expected.append(independent.line(i + 1, times[i], COLUMNS, values))
        hashes = list(map(independent.leaf_hash, expected))

        rbt.equal(
            rbt.value(db, "SELECT audit_root('events')"),
            independent.root(hashes).hex(),
            "the root is that of the lines written by Python",
        )
        wrong = [
            i
            for i, line in enumerate(expected)
            if rbt.value(db, "SELECT audit_leaf('events', ?)", i).encode() != line
        ]
        rbt.equal(wrong, [], "audit_leaf gives each of these lines")
        sizes = [1, 2, 3, 255, 256, 257, 511, 512, 513, 1000, 2048, 3000, 3001]
        rbt.equal(
            [rbt.value(db, "SELECT audit_root('events', ?)", n) for n in sizes],
            [independent.root(hashes[:n]).hex() for n in sizes],
            "audit_root of earlier sizes is right",
        )
        rbt.equal(
            rbt.value(db, "SELECT group_concat(audit_root('events', 1), '') FROM (SELECT 1)"),
            hashes[0].hex(),
            "a tree of one leaf has its hash as root",
        )

        for last in (250, 251, 1100, None):
            before = "now" if last is None else times[last]
            db.execute("SELECT audit_archive('events', 'cold', ?)", (before,)).fetchall()
        paths = sorted((place / "cold").glob("*.jsonl.zst"))
        files = [independent.Segment(path) for path in paths]
        held = [line for file in files for line in file.lines]
        rbt.equal(held, expected, "the segments hold these lines and no other")
        rbt.equal(len(files) > 2, True, "there are several segments")
        rbt.ok(any(len(file.frames) > 1 for file in files), "one of them has several frames")
        rbt.equal(
            [path.name for path in paths],
            [
                "events-%012d-%012d.jsonl.zst" % (f.manifest["first_id"], f.manifest["last_id"])
                for f in files
            ],
            "their names say what they hold",
        )
        rbt.ok(all(path.stat().st_mode & 0o777 == 0o440 for path in paths), "nobody may write them")
        rbt.equal(
            independent.root(list(map(independent.leaf_hash, held))).hex(),
            rbt.value(db, "SELECT audit_root('events')"),
            "zstd -dc and SHA-256 alone lead to the log's root",
        )
        rbt.ok(all(map(check_layout, files)), "seek table, manifest and frames agree")
        rbt.ok(all(map(check_zones, files)), "the zone maps are those of the lines")
        rbt.ok(
            all(
                check_manifest(file, "events", hashes, files[i - 1] if i else None, genesis)
                for i, file in enumerate(files)
            ),
            "every member of every manifest is right",
        )
        public_key = serialization.load_pem_public_key(
            rbt.value(db, "SELECT audit_public_key('events', 'pem')").encode()
        )
        rbt.ok(
            all(check_note(file, public_key) for file in files),
            "the notes are signed by the log's key",
        )
        rbt.equal(
            rbt.value(db, "SELECT audit_public_key('events')").split("+")[1],
            files[0].manifest["signer_key_id"],
            "the vkey names the same key id",
        )

        recorded = rbt.rows(
            db,
            "SELECT path, first_id, last_id, rows, raw_bytes, file_bytes, root, "
            "expires_us, status FROM audit_segments('events')",
        )
        rbt.equal(
            recorded,
            [
                (
                    str(path),
                    f.manifest["first_id"],
                    f.manifest["last_id"],
                    f.manifest["rows"],
                    f.manifest["raw_bytes"],
                    path.stat().st_size,
                    base64.b64decode(f.manifest["root_after"]).hex(),
                    f.manifest["retain_until"],
                    "published",
                )
                for path, f in zip(paths, files)
            ],
            "audit_segments says the same",
        )
        info = dict(rbt.rows(db, "SELECT key, value FROM archive_info(?)", str(paths[0])))
        rbt.equal(
            info["manifest"], files[0].manifest_bytes.decode(), "archive_info gives the manifest"
        )
        rbt.equal(info["note"], files[0].note, "archive_info gives the note")
        entries = rbt.rows(
            db,
            "SELECT path, id, leaf FROM archive_entries(?) ORDER BY path, id",
            f"{place}/cold/*.jsonl.zst",
        )
        rbt.equal(
            [leaf.encode() for _, _, leaf in entries],
            expected[1:],
            "archive_entries gives the entries' lines",
        )
        problems = rbt.rows(
            db,
            "SELECT detail FROM archive_verify(?) WHERE level = 'error'",
            f"{place}/cold/*.jsonl.zst",
        )
        rbt.equal(problems, [], "archive_verify finds nothing wrong")

        before = rbt.rows(db, "SELECT * FROM events ORDER BY id")
        rbt.equal(
            [row[2:] for row in before], [tuple(v) for _, v in rows], "the rows read as inserted"
        )
        db.execute("SELECT audit_prune('events')").fetchall()
        rbt.equal(
            rbt.rows(db, "SELECT * FROM events ORDER BY id"), before, "and the same after a prune"
        )
        rbt.equal(rbt.value(db, "SELECT count(*) FROM events_rows"), 0, "of which nothing is hot")
        wrong = [
            i
            for i in range(0, len(expected), 97)
            if rbt.value(db, "SELECT audit_leaf('events', ?)", i).encode() != expected[i]
        ]
        rbt.equal(wrong, [], "audit_leaf gives the same lines of cold entries")
        rbt.equal(
            rbt.rows(db, "SELECT level, kind FROM audit_verify('events')"),
            [("info", "verified")],
            "audit_verify finds nothing wrong",
        )
        db.close()
    rbt.done()


main()
