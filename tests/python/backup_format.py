# SPDX-License-Identifier: MIT
"""The key backup's format in Python, straight from its description (ext/crypto/backup.h), on other
libraries than the extension's: argon2 (the reference implementation), OpenSSL's ChaCha20-Poly1305 under
an HChaCha20 of our own (draft-irtf-cfrg-xchacha-03 §2.2), hashlib's BLAKE2b.

    text = backup_format.seal(passphrase, contents, created, random32, passes=1, memory_kib=65536)
    backup_format.unseal(text, passphrase)    contents; ValueError when it does not open
"""

import base64
import hashlib
import struct

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

MASK = 0xFFFFFFFF


def _quarter_round(state, a, b, c, d):
    for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[x] = (state[x] + state[y]) & MASK
        mixed = state[z] ^ state[x]
        state[z] = (mixed << turn | mixed >> (32 - turn)) & MASK


def hchacha20(key, nonce16):
    state = list(struct.unpack("<12I", b"expand 32-byte k" + key))
    state += struct.unpack("<4I", nonce16)
    for _ in range(10):
        for column in range(4):
            _quarter_round(state, column, column + 4, column + 8, column + 12)
        for diagonal in range(4):
            _quarter_round(
                state,
                diagonal,
                4 + (diagonal + 1) % 4,
                8 + (diagonal + 2) % 4,
                12 + (diagonal + 3) % 4,
            )
    return struct.pack("<8I", *(state[:4] + state[12:]))


def _cipher(key, nonce):
    """ChaCha20-Poly1305 and its nonce that together are XChaCha20-Poly1305."""
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])), bytes(4) + nonce[16:]


def _derive(backup, passphrase):
    passes, memory = struct.unpack("<II", backup[8:16])
    key = hash_secret_raw(passphrase, backup[16:32], passes, memory, 1, 32, Type.ID)
    derived = hashlib.blake2b(backup[:64], key=key, digest_size=64).digest()
    return derived[:32], derived[32:]


def seal(passphrase, contents, created, random, passes=1, memory_kib=65536, check=True):
    """random: salt 16, nonce 16, and with check=False 8 bytes more in the check's place."""
    backup = b"RBT\x04\x01\x01\0\0" + struct.pack("<II", passes, memory_kib)
    backup += random[:16] + struct.pack("<Q", created) + random[16:32]
    backup += hashlib.blake2b(backup, digest_size=32).digest()[:8] if check else random[32:40]
    message_key, commitment = _derive(backup, passphrase)
    cipher, nonce = _cipher(message_key, backup[40:64])
    sealed = cipher.encrypt(nonce, b"\x03" + contents, None)
    return base64.b64encode(backup + commitment + sealed).decode()


def unseal(text, passphrase):
    backup = base64.b64decode(text)
    message_key, commitment = _derive(backup, passphrase)
    if backup[64:96] != commitment:
        raise ValueError("the commitment does not fit")
    cipher, nonce = _cipher(message_key, backup[40:64])
    try:
        opened = cipher.decrypt(nonce, backup[96:], None)
    except InvalidTag as error:
        raise ValueError("the ciphertext does not fit") from error
    if opened[0] != 3:
        raise ValueError("not TEXT")
    return opened[1:]
