# SPDX-License-Identifier: MIT
"""Subjects' formats in Python, straight from their description (ext/crypto/subject.h), on other libraries
than the extension's: OpenSSL's ChaCha20-Poly1305 under an HChaCha20 of our own
(draft-irtf-cfrg-xchacha-03 §2.2), hashlib's BLAKE2b.

    key = subject_format.unwrap(wrapped, sid, master)        ValueError when it does not open
    kind, value = subject_format.open_token(token, key, context)
"""

import hashlib
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

INTEGER, REAL, TEXT, BLOB = 1, 2, 3, 4


def _quarter_round(state, a, b, c, d):
    for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[x] = (state[x] + state[y]) & 0xFFFFFFFF
        mixed = state[z] ^ state[x]
        state[z] = (mixed << turn | mixed >> (32 - turn)) & 0xFFFFFFFF


def _hchacha20(key, nonce16):
    state = list(struct.unpack("<12I", b"expand 32-byte k" + key))
    state += struct.unpack("<4I", nonce16)
    for _ in range(10):
        for i in range(4):
            _quarter_round(state, i, i + 4, i + 8, i + 12)
        for i in range(4):
            _quarter_round(state, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *(state[:4] + state[12:]))


def subkey(master, name, size=32):
    """libsodium's crypto_kdf_derive_from_key with subkey id 1."""
    return hashlib.blake2b(
        key=master,
        salt=struct.pack("<QQ", 1, 0),
        person=name.encode() + bytes(8),
        digest_size=size,
    ).digest()


def key_id(master):
    return subkey(master, "rbt_kyid", 16)[:8]


def blind_index(master, value, context):
    """Of a TEXT."""
    message = struct.pack("<Q", len(context)) + context + bytes([TEXT]) + value
    digest = hashlib.blake2b(message, key=subkey(master, "rbt_bidx"), digest_size=32).digest()
    return key_id(master) + digest[:16]


def _derive(header, key, context):
    message = header + struct.pack("<Q", len(context)) + context
    derived = hashlib.blake2b(message, key=key, digest_size=64).digest()
    return derived[:32], derived[32:]


def seal(kind, identity, created, nonce, key, context, plaintext):
    """An envelope; the plaintext begins with its type byte."""
    header = b"RBT" + bytes([kind]) + identity + struct.pack("<Q", created) + nonce
    message_key, commitment = _derive(header, key, context)
    cipher = ChaCha20Poly1305(_hchacha20(message_key, nonce[:16]))
    return header + commitment + cipher.encrypt(bytes(4) + nonce[16:], plaintext, None)


def unseal(envelope, key, context):
    message_key, commitment = _derive(envelope[:44], key, context)
    if envelope[44:76] != commitment:
        raise ValueError("the commitment does not fit")
    cipher = ChaCha20Poly1305(_hchacha20(message_key, envelope[20:36]))
    try:
        return cipher.decrypt(bytes(4) + envelope[36:44], envelope[76:], None)
    except InvalidTag as error:
        raise ValueError("the ciphertext does not fit") from error


def wrap(key, sid, master, created, nonce):
    plaintext = bytes([BLOB]) + key
    return seal(3, key_id(master), created, nonce, subkey(master, "rbt_subj"), sid, plaintext)


def unwrap(wrapped, sid, master):
    if wrapped[:4] != b"RBT\x03" or wrapped[4:12] != key_id(master):
        raise ValueError("not wrapped under this key")
    plaintext = unseal(wrapped, subkey(master, "rbt_subj"), sid)
    if plaintext[0] != BLOB or len(plaintext) != 33:
        raise ValueError("not a key")
    return plaintext[1:]


def pad(kind, value):
    plaintext = bytes([kind]) + value + b"\x80"
    return plaintext + bytes(-len(plaintext) % 32)


def make_token(sid, key, context, plaintext, created, nonce):
    return seal(2, sid, created, nonce, key, context, plaintext)


def open_token(token, key, context=b""):
    """(type, value as bytes)."""
    if token[:4] != b"RBT\x02":
        raise ValueError("not a subject's token")
    plaintext = unseal(token, key, context)
    if len(plaintext) % 32 or pad(plaintext[0], plaintext[1:].rstrip(b"\0")[:-1]) != plaintext:
        raise ValueError("the padding does not fit")
    return plaintext[0], plaintext[1:].rstrip(b"\0")[:-1]
