# SPDX-License-Identifier: MIT
"""key_reload() and the re-reading on an unknown key id, through SQL, in programs that go on running."""

import base64
import os

import rbt

OLD = base64.urlsafe_b64encode(bytes(range(32))).decode()
NEW = base64.urlsafe_b64encode(bytes(range(32, 64))).decode()
OLD_ID = "fe6b3e115b099239"


def write(path, text):
    """A key file of mode 0600, put in place at once."""
    beside = path.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_text(text)
    os.replace(beside, path)


def reloading(place):
    file = place / "keys"
    write(file, OLD)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY_FILE=str(file)):
        db = rbt.connect(place / "a.db")
        token = rbt.value(db, "SELECT encrypt('hunter2', 'here')")
        rbt.equal(
            rbt.value(db, "SELECT key_reload()"),
            f"1 key from RUSTYBT_ENCRYPTION_KEY_FILE, primary {OLD_ID}; its subkey signs",
            "key_reload says what is in use",
        )
        write(file, f"{NEW},{OLD}")
        rbt.equal(rbt.value(db, "SELECT key_id()"), OLD_ID, "a new key in the file is not seen yet")
        line = rbt.value(db, "SELECT key_reload()")
        new_id = rbt.value(db, "SELECT key_id()")
        rbt.equal(
            line,
            f"2 keys from RUSTYBT_ENCRYPTION_KEY_FILE, primary {new_id}; its subkey signs",
            "after key_reload it is the primary",
        )
        rbt.ok(new_id != OLD_ID, "which is another")
        rbt.equal(
            rbt.value(db, "SELECT decrypt(?, 'here')", token), "hunter2", "old tokens still open"
        )
        write(file, NEW)
        rbt.value(db, "SELECT key_reload()")
        rbt.refuses(
            db,
            "SELECT decrypt(?, 'here')",
            f"decrypt: no key in the ring has id {OLD_ID}",
            "and no more once their key is gone",
            token,
        )
        file.unlink()
        rbt.refuses(
            db,
            "SELECT key_reload()",
            f"key_reload: cannot open '{file}': No such file or directory",
            "a file that vanished is an error",
        )
        rbt.equal(rbt.value(db, "SELECT key_id()"), new_id, "and the keys stay")
        db.close()


def within_statements(place):
    """The ring is replaced while a statement looks at it."""
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=f"{OLD},{NEW}"):
        db = rbt.connect()
        cursor = db.execute("SELECT key_id, is_primary FROM key_ring")
        first = cursor.fetchone()
        os.environ["RUSTYBT_ENCRYPTION_KEY"] = NEW
        rbt.value(db, "SELECT key_reload()")
        second = cursor.fetchone()
        rbt.equal(first, (OLD_ID, 1), "a running statement")
        rbt.ok(second and second[1] == 0 and second[0] != OLD_ID, "sees the ring it began with")
        rbt.equal(cursor.fetchone(), None, "to its end")
        os.environ["RUSTYBT_ENCRYPTION_KEY"] = f"{NEW},{OLD}"
        rbt.equal(
            len(rbt.rows(db, "SELECT key_reload() FROM key_ring")),
            1,
            "so does one that reloads by itself",
        )
        rbt.equal(rbt.value(db, "SELECT count(*) FROM key_ring"), 2, "the next one sees the new")
        db.close()


def unknown_ids(place):
    """A reader that started before the rotation, and a writer that started after it."""
    file = place / "ring"
    write(file, OLD)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY_FILE=str(file)):
        reader = rbt.connect(place / "b.db")
        reader.execute("CREATE VIRTUAL TABLE log USING audit_log(a TEXT)")
        reader.execute("INSERT INTO log(a) VALUES('under the old key')")
        reader.execute("CREATE TABLE c(token)")
        write(file, f"{NEW},{OLD}")
        writer = rbt.connect(place / "b.db")
        writer.execute("INSERT INTO c VALUES(encrypt('fresh', 'c'))")
        writer.execute("INSERT INTO log(a) VALUES('under the new key')")
        rbt.equal(
            rbt.value(reader, "SELECT decrypt(token, 'c') FROM c"),
            "fresh",
            "decrypt reads the file once more for an unknown key id",
        )
        writer.close()
        reader.close()

        write(file, OLD)
        reader = rbt.connect(place / "b.db")
        rbt.equal(rbt.value(reader, "SELECT key_id()"), OLD_ID, "a program knows the old key alone")
        write(file, f"{OLD},{NEW}")
        reader.execute("INSERT INTO log(a) VALUES('appended')")
        rbt.ok(True, "and appends to a log that was sealed under the new one")
        line = rbt.value(reader, "SELECT audit_verify('log')")
        rbt.ok(line.startswith("log: 3 entries"), "which then verifies")
        write(file, NEW)
        rbt.value(reader, "SELECT key_reload()")
        rbt.refuses(
            reader,
            "INSERT INTO log(a) VALUES('x')",
            f"log: the log is sealed under key {OLD_ID}, which the ring does not have",
            "a seal under a key that left the ring is named",
        )
        reader.close()


def fernet_tokens(place):
    """Fernet tokens do not say which key they need; the file is read once more all the same."""
    file = place / "fernet"
    write(file, OLD)
    for sql in ("SELECT decrypt(?)", "SELECT fernet_decrypt(?)", "SELECT key_rotate(?)"):
        write(file, OLD)
        with rbt.environment(RUSTYBT_ENCRYPTION_KEY_FILE=str(file)):
            reader = rbt.connect()
            rbt.equal(rbt.value(reader, "SELECT key_id()"), OLD_ID, "a reader knows the old key")
            write(file, f"{NEW},{OLD}")
            writer = rbt.connect()
            token = rbt.value(writer, "SELECT fernet_encrypt('fresh')")
            writer.close()
            want = token if "rotate" in sql else "fresh"
            rbt.equal(rbt.value(reader, sql, token), want, f"and reads the new one for {sql[7:]}")
            reader.close()
    write(file, OLD)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY_FILE=str(file)):
        reader = rbt.connect()
        forged = token[:30] + (b"B" if token[30:31] == b"A" else b"A") + token[31:]
        refused = "decrypt: the token does not open; it was altered, cut short, or belongs to " \
            "another key or context"
        rbt.refuses(reader, "SELECT decrypt(?)", refused, "a forged one is refused as ever", forged)
        write(file, f"{NEW},{OLD}")
        rbt.refuses(reader, "SELECT decrypt(?)", refused,
                    "and within ten seconds the file is not read for another", token)
        reader.close()
        reader = rbt.connect()
        rbt.value(reader, "SELECT key_id()")
        file.unlink()
        rbt.refuses(reader, "SELECT decrypt(?)",
                    f"decrypt: cannot open '{file}': No such file or directory",
                    "a file that vanished is told", forged)
        reader.close()


def refusals():
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=OLD):
        db = rbt.connect()
        db.execute("CREATE VIEW v AS SELECT key_reload()")
        rbt.refuses(
            db, "SELECT * FROM v", "unsafe use of key_reload()", "a view may not call key_reload"
        )
        os.environ["RUSTYBT_SIGNING_KEY"] = base64.b64encode(bytes(32)).decode()
        rbt.equal(
            rbt.value(db, "SELECT key_reload()"),
            f"1 key from RUSTYBT_ENCRYPTION_KEY, primary {OLD_ID}; a key of its own signs",
            "a signing key is read, too",
        )
        del os.environ["RUSTYBT_ENCRYPTION_KEY"]
        rbt.equal(
            rbt.value(db, "SELECT key_reload()"),
            "no encryption key; a key of its own signs",
            "a signing key alone will do",
        )
        del os.environ["RUSTYBT_SIGNING_KEY"]
        rbt.refuses(
            db,
            "SELECT key_reload()",
            "key_reload: neither RUSTYBT_ENCRYPTION_KEY nor RUSTYBT_SIGNING_KEY is set any more; "
            "the keys are as before",
            "no key at all is an error",
        )
        db.close()


rbt.plan(22 + 9)
with rbt.folder() as folder:
    reloading(folder)
    within_statements(folder)
    unknown_ids(folder)
    fernet_tokens(folder)
refusals()
rbt.done()
