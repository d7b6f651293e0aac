# SPDX-License-Identifier: MIT
"""Signed notes without rustybt: keys of logs and witnesses, signature lines, proofs taken apart."""

import base64
import hashlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class Key:
    """An Ed25519 key; kind 1 signs notes, kind 4 cosigns checkpoints (c2sp.org/tlog-cosignature)."""

    def __init__(self, name, seed, kind=1):
        self.name, self.kind = name, kind
        self.private = Ed25519PrivateKey.from_private_bytes(seed)
        public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.material = bytes([kind]) + public
        self.id = hashlib.sha256(name.encode() + b"\n" + self.material).digest()[:4]

    @property
    def vkey(self):
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(self.material).decode()}"

    def line(self, text, time=None):
        """The signature line for a note's text; time: Unix seconds, of a witness."""
        message, prefix = text.encode(), b""
        if self.kind == 4:
            message = f"cosignature/v1\ntime {time}\n".encode() + message
            prefix = struct.pack(">Q", time)
        signature = self.id + prefix + self.private.sign(message)
        return f"\u2014 {self.name} {base64.b64encode(signature).decode()}\n"


def text_of(note):
    """A note's text, with its last newline."""
    return note.rpartition("\n\n")[0] + "\n"


def cosign(note, witness, time=1700000000):
    """The note with one more line."""
    return note + witness.line(text_of(note), time)


def size_of(note):
    return int(note.split("\n")[1])


def root_of(note):
    return base64.b64decode(note.split("\n")[2])


def take_apart(text):
    """The head lines, the hashes and the note of a proof, or of a request to a witness."""
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    first = next(i for i, line in enumerate(lines) if line.split(" ")[0] in ("index", "old")) + 1
    return lines[:first], [base64.b64decode(line) for line in lines[first:]], note
