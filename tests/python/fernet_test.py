# SPDX-License-Identifier: MIT
"""Fernet against Python's cryptography.fernet, the implementation that databases in the wild come from.

Both directions, TEXT and BLOB, and a table that Python alone filled.
"""

import base64
import os

import rbt

try:
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet
except ImportError:
    rbt.skip_all("Python's cryptography is not installed")

PLAINTEXTS = ["", "x", "hunter2", "a" * 15, "a" * 16, "a" * 17, "naïve €𐍈", "with\0NUL", "z" * 4096]
REFUSAL = ("the token does not open; it was altered, cut short, or belongs to another key or context")

rbt.plan(26)


def python_opens(fernet, token):
    """What Python reads, or None."""
    try:
        return fernet.decrypt(token)
    except InvalidToken:
        return None


old_key, new_key = Fernet.generate_key().decode(), Fernet.generate_key().decode()
old, new = Fernet(old_key), Fernet(new_key)

with rbt.environment(RUSTYBT_ENCRYPTION_KEY=old_key):
    db = rbt.connect()

    tokens = [rbt.value(db, "SELECT fernet_encrypt(?)", text) for text in PLAINTEXTS]
    rbt.equal([old.decrypt(token).decode() for token in tokens], PLAINTEXTS,
              "Python reads what fernet_encrypt writes")
    rbt.ok(all(type(token) is bytes for token in tokens), "which is BLOB, as Python's is bytes")
    rbt.ok(all(base64.urlsafe_b64encode(base64.urlsafe_b64decode(token)) == token for token in tokens),
           "and padded as Python pads")
    noise = [os.urandom(size) for size in range(1, 60)]
    rbt.equal([old.decrypt(rbt.value(db, "SELECT fernet_encrypt(?)", data)) for data in noise], noise,
              "bytes go the same way")
    rbt.equal([old.extract_timestamp(token) for token in tokens],
              [rbt.value(db, "SELECT token_info(?) ->> 'created_seconds'", token) for token in tokens],
              "Python reads the same time as token_info")
    rbt.equal(old.decrypt(tokens[2], ttl=60), b"hunter2", "and the time is the clock's")

    for function in ("decrypt", "fernet_decrypt"):
        rbt.equal([rbt.value(db, f"SELECT {function}(?)", old.encrypt(text.encode()))
                   for text in PLAINTEXTS], PLAINTEXTS, f"{function} reads what Python writes, as BLOB")
        rbt.equal([rbt.value(db, f"SELECT {function}(?)", old.encrypt(text.encode()).decode())
                   for text in PLAINTEXTS], PLAINTEXTS, "and as TEXT")
    rbt.equal(rbt.value(db, "SELECT decrypt(?)", old.encrypt(b"\xff\x00")), b"\xff\x00",
              "what is no UTF-8 comes back as BLOB")

    past = old.encrypt_at_time(b"x", 1000)
    rbt.equal(rbt.value(db, "SELECT fernet_decrypt(?)", past), "x", "without a ttl an old token opens")
    try:
        rbt.value(db, "SELECT fernet_decrypt(?, 60)", past)
        message = "no error"
    except Exception as error:  # noqa: BLE001 - whatever it is, its text is compared
        message = str(error)
    rbt.ok(message.startswith("fernet_decrypt: the token expired"), "with one it is refused")
    rbt.refuses(db, "SELECT decrypt(?)", f"decrypt: {REFUSAL}", "Python's token of another key is refused",
                new.encrypt(b"x"))

    agreed = accepted = 0
    sample = tokens[2]
    for position in range(len(sample)):
        changed = bytearray(sample)
        changed[position] ^= 1
        changed = bytes(changed)
        try:
            ours = rbt.value(db, "SELECT fernet_decrypt(?)", changed)
        except Exception:  # noqa: BLE001 - refused, which is what is counted
            ours = None
        # Python takes non-canonical base64 at the end; we do not. Never the other way round.
        agreed += (ours is None) or (python_opens(old, changed) is not None)
        accepted += ours is not None
    rbt.equal(agreed, len(sample), "nothing opens here that Python refuses")
    rbt.equal(accepted, 0, "and nothing that was changed")

    # A database that Python filled, as the specification's own code does it.
    with rbt.folder() as place:
        filled = rbt.connect(place / "trading.db", extension=False)
        filled.execute("CREATE TABLE broker_connections(id INTEGER PRIMARY KEY, api_key_encrypted)")
        names = [f"api-key-{number}" for number in range(20)]
        filled.executemany("INSERT INTO broker_connections(api_key_encrypted) VALUES (?)",
                           [(old.encrypt(name.encode()) if number % 2 else old.encrypt(name.encode()).decode(),)
                            for number, name in enumerate(names)])
        filled.close()

        mixed = rbt.connect(place / "trading.db")
        rbt.equal([row[0] for row in rbt.rows(
            mixed, "SELECT decrypt(api_key_encrypted) FROM broker_connections ORDER BY id")], names,
            "a database that Python filled works as it is")
        mixed.close()

        with rbt.environment(RUSTYBT_ENCRYPTION_KEY=f"{new_key},{old_key}"):
            rotating = rbt.connect(place / "trading.db")
            times = rbt.rows(rotating, "SELECT token_info(api_key_encrypted) ->> 'created_seconds', "
                                       "typeof(api_key_encrypted) FROM broker_connections ORDER BY id")
            rotating.execute("UPDATE broker_connections SET api_key_encrypted = key_rotate(api_key_encrypted)")
            rbt.equal(rbt.rows(rotating, "SELECT token_info(api_key_encrypted) ->> 'created_seconds', "
                                         "typeof(api_key_encrypted) FROM broker_connections ORDER BY id"),
                      times, "key_rotate keeps time and storage class")
            stored = [row[0] for row in rbt.rows(
                rotating, "SELECT api_key_encrypted FROM broker_connections ORDER BY id")]
            rbt.equal([new.decrypt(token).decode() for token in stored], names,
                      "and Python reads all of it with the new key alone")
            rbt.ok(not any(python_opens(old, token) for token in stored), "and none with the old one")
            rbt.equal(rbt.value(rotating, "SELECT decrypt(?)", MultiFernet([old, new]).encrypt(b"x")), "x",
                      "a MultiFernet's token opens with any key of the ring")
            again = rbt.value(rotating, "SELECT count(*) FROM broker_connections "
                                        "WHERE key_rotate(api_key_encrypted) IS api_key_encrypted")
            rbt.equal(again, len(names), "a second rotation changes nothing")

            rotating.execute("UPDATE broker_connections SET api_key_encrypted = encrypt("
                             "decrypt(api_key_encrypted), 'broker_connections/' || id)")
            rbt.equal([row[0] for row in rbt.rows(
                rotating, "SELECT decrypt(api_key_encrypted, 'broker_connections/' || id) "
                          "FROM broker_connections ORDER BY id")], names,
                "encrypt(decrypt(token), context) turns them into envelopes")
            rotating.close()
    db.close()

# Keys in the forms that Python's base64 accepts.
for form, name in ((f" {old_key}\n", "white space"), (old_key.replace("-", "+").replace("_", "/"), "+ and /"),
                   (old_key + "==", "surplus padding")):
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=form):
        db = rbt.connect()
        rbt.equal((rbt.value(db, "SELECT decrypt(?)", Fernet(form).encrypt(b"x")),
                   rbt.value(db, "SELECT decrypt(?)", old.encrypt(b"y"))), ("x", "y"),
                  f"a key with {name} is the same key, as in Python")
        db.close()

rbt.done()
