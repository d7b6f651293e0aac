# SPDX-License-Identifier: MIT
"""What an auditor needs who has nothing of ours: RFC 6962 hashing, the line of an entry written from
its values, and the parts of a segment file. Python's library, `zstd` and python3-cryptography only.

    file = independent.Segment(path)     raises ValueError on a file that is no segment
    file.lines                           what `zstd -dc` gives, without newlines
    independent.root(hashes)             of all leaf hashes
"""

import base64
import hashlib
import json
import struct
import subprocess

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()  # the master key 00 01 … 1f
OTHER_KEY = base64.urlsafe_b64encode(bytes(range(32, 64))).decode()


def leaf_hash(line):
    """Of a line's bytes (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\0" + line).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root(hashes):
    """Of a list of leaf hashes: straight from the definition, largest left half first."""
    if not hashes:
        return hashlib.sha256().digest()
    level = list(hashes)
    while len(level) > 1:
        pairs = [node_hash(*level[i : i + 2]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
    return level[0]


def frontier(hashes):
    """The perfect subtrees of these leaves, largest first."""
    nodes = []
    while hashes:
        size = 1 << len(hashes).bit_length() - 1
        nodes.append(root(hashes[:size]))
        hashes = hashes[size:]
    return nodes


def inclusion_root(proof, index, size, leaf):
    """Where a proof leads (RFC 9162 §2.1.3.2)."""
    last, at = size - 1, leaf
    for node in proof:
        if last == 0:
            raise ValueError("the proof is too long")
        if index & 1 or index == last:
            at = node_hash(node, at)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            at = node_hash(at, node)
        index >>= 1
        last >>= 1
    if last:
        raise ValueError("the proof is too short")
    return at


SHORT = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}


def _text(text):
    return '"%s"' % "".join(
        SHORT.get(ord(c)) or ("\\u%04x" % ord(c) if ord(c) < 32 else c) for c in text
    )


def value_text(value, kind):
    """A value as it stands in an entry's line; kind: TEXT, INTEGER, REAL, BLOB or JSON (minified)."""
    if value is None:
        return "null"
    if kind == "TEXT":
        return _text(value)
    if kind == "REAL":
        return repr(float(value) + 0.0)  # -0.0 becomes 0.0
    if kind == "BLOB":
        return '"%s"' % base64.b64encode(value).decode()
    return str(value)


def line(entry_id, recorded_at, columns, values):
    """The line of an entry as bytes; columns: [(name, kind), …]."""
    members = [f'"id":{entry_id}', f'"recorded_at":{recorded_at}']
    for (name, kind), value in zip(columns, values):
        members.append(f"{_text(name)}:{value_text(value, kind)}")
    return ("{%s}" % ",".join(members)).encode()


SEEK_MAGIC, CONTENT_MAGIC, SEEK_FOOTER = 0x184D2A5E, 0x184D2A5A, 0x8F92EAB1


def zstd_text(path):
    """What `zstd -dc` says."""
    return subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout


class Segment:
    """A segment file, taken apart by its own seek table."""

    def __init__(self, path):
        data = open(path, "rb").read()
        count, descriptor, magic = struct.unpack("<IBI", data[-9:])
        table_size = 12 * count + 9
        table = data[-table_size - 8 :]
        if magic != SEEK_FOOTER or descriptor != 0x80:
            raise ValueError("no seek table at the end")
        if struct.unpack("<II", table[:8]) != (SEEK_MAGIC, table_size):
            raise ValueError("the seek table is no skippable frame")
        # (compressed, decompressed, checksum) of every frame; the last is the manifest's
        self.seek = [struct.unpack_from("<III", table, 8 + 12 * i) for i in range(count)]
        self.frames, at = [], 0
        for compressed, _, _ in self.seek:
            self.frames.append(data[at : at + compressed])
            at += compressed
        if at != len(data) - len(table):
            raise ValueError("the seek table's sizes do not add up to the file's")
        content = self.frames.pop()
        self.data = data[: at - len(content)]
        if struct.unpack("<II", content[:8]) != (CONTENT_MAGIC, len(content) - 8):
            raise ValueError("the last frame is not skippable")
        if content[8:16] != b"RBTARC01":
            raise ValueError("the last frame holds no manifest")
        (length,) = struct.unpack("<I", content[16:20])
        self.manifest_bytes = content[20 : 20 + length]
        (note_length,) = struct.unpack("<I", content[20 + length : 24 + length])
        self.note = content[24 + length : 24 + length + note_length].decode()
        if len(content) != 24 + length + note_length + 8:
            raise ValueError("manifest and note do not fill their frame")
        self.manifest = json.loads(self.manifest_bytes)
        self.manifest_sha256 = hashlib.sha256(self.manifest_bytes).digest()
        text = zstd_text(path)
        if not text.endswith(b"\n"):
            raise ValueError("the last line has no newline")
        self.lines = text[:-1].split(b"\n")


def regions(path):
    """Name and range of every part of a segment file."""
    data = open(path, "rb").read()
    file, at, parts = Segment(path), 0, []
    for number, frame in enumerate(file.frames):
        parts.append((f"data frame {number + 1}", at, at + len(frame)))
        at += len(frame)
    length, note = len(file.manifest_bytes), len(file.note.encode())
    for name, size in (
        ("skippable magic", 4),
        ("skippable size", 4),
        ("RBTARC01", 8),
        ("manifest length", 4),
        ("manifest", length),
        ("note length", 4),
        ("note", note),
        ("XXH3", 8),
        ("seek magic", 4),
        ("seek size", 4),
        ("seek entries", 12 * len(file.seek)),
        ("seek count", 4),
        ("seek descriptor", 1),
        ("seek footer", 4),
    ):
        parts.append((name, at, at + size))
        at += size
    assert at == len(data)
    return parts


def note_signatures(note):
    """(signed bytes, [(name, key id, signature), …]) of a C2SP note."""
    text, _, signatures = note.rpartition("\n\n")
    parts = []
    for signature in signatures.splitlines():
        dash, name, payload = signature.split(" ")
        raw = base64.b64decode(payload, validate=True)
        if dash != "\u2014":
            raise ValueError("no signature line")
        parts.append((name, raw[:4], raw[4:]))
    return (text + "\n").encode(), parts
