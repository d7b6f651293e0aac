# SPDX-License-Identifier: MIT
"""What leaves the process on other ways than asked for: error messages, temporary files, the database's
own files and what a rotation leaves in them.

Error messages are provoked from rustybt_help's list of functions, so a new one is in the test. Files
are looked through byte by byte; new ones are noticed by inotify, since SQLite removes a temporary
file's name as soon as it has opened it.
"""

import base64
import contextlib
import ctypes
import os
import re
import secrets
import struct

import rbt

# An argument of these names may hold a secret; others name logs, files and options, which messages do.
SECRET_ARGUMENTS = {
    "value",
    "token",
    "text",
    "passphrase",
    "backup",
    "subject",
    "context",
    "key_id",
    "ttl_seconds",
    "checkpoint",
    "vkeys",
    "size",
    "id",
}
PIECE = 8


def new_key():
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def leaks(message, secret):
    """Whether a message has a piece of the secret (TEXT or bytes), as it is, in hex or in base64."""
    raw = secret if isinstance(secret, bytes) else secret.encode()
    forms = [raw, raw.hex().encode(), base64.b64encode(raw), base64.urlsafe_b64encode(raw)]
    found = message.encode(errors="surrogateescape")
    return any(form[i : i + PIECE] in found for form in forms for i in range(len(form) - PIECE + 1))


def message_of(db, sql, *parameters):
    """The error's text, None when there is none."""
    try:
        db.execute(sql, parameters).fetchall()
        return None
    except rbt.sqlite3.Error as error:
        return str(error)


# ------------------------------------------------------------------------------- error messages


def key_messages(place):
    """Malformed keys, in the environment and in files: the message names the variable alone."""
    key = new_key()
    malformed = {
        "cut short": key[:30],
        "without its end": key[:42],
        "too long": key[:43] + key,
        "cut in half": key[22:],
        "the same twice": f"{key},{key}",
        "beside nothing": f"{key},",
        "as JSON": '{"key": "%s"}' % key,
        "in hexadecimal": base64.urlsafe_b64decode(key).hex(),
        "with a name before it": f"KEY={key[:43]}",
        "beside one that is cut short": f"{key},{key[:20]}",
    }
    statements = [
        "SELECT encrypt('x')",
        "SELECT decrypt(x'00')",
        "SELECT fernet_encrypt('x')",
        "SELECT key_id()",
        "SELECT key_rotate('x')",
        "SELECT key_reload()",
        "SELECT blind_index('x', 'c')",
        "SELECT * FROM key_ring",
        "SELECT * FROM key_usage",
        "CREATE VIRTUAL TABLE log USING audit_log(x TEXT)",
    ]

    def told(name, **environment):
        with rbt.environment(**environment):
            db = rbt.connect()
            messages = [message_of(db, sql) for sql in statements]
            rbt.ok(
                all(messages) and not any(leaks(message, key) for message in messages), name
            ) or rbt.note(messages)
            db.close()

    for what, text in malformed.items():
        told(f"a key {what} is refused and not shown", RUSTYBT_ENCRYPTION_KEY=text)
    good, file = new_key(), place / "key"
    told(
        "nor is a signing key cut short", RUSTYBT_ENCRYPTION_KEY=good, RUSTYBT_SIGNING_KEY=key[:30]
    )
    told("nor two keys in two places", RUSTYBT_ENCRYPTION_KEY=key, RUSTYBT_ENCRYPTION_KEY_FILE=key)
    for variable in ("ENCRYPTION_KEY_FILE", "ENCRYPTION_KEY_COMMAND"):
        told(f"nor a key in RUSTYBT_{variable} itself", **{f"RUSTYBT_{variable}": key})
        told(f"nor a ring in RUSTYBT_{variable}", **{f"RUSTYBT_{variable}": f"{key},{good}"})
    for variable in ("SIGNING_KEY_FILE", "SIGNING_KEY_COMMAND"):
        told(
            f"nor a seed in RUSTYBT_{variable}",
            RUSTYBT_ENCRYPTION_KEY=good,
            **{f"RUSTYBT_{variable}": base64.b64encode(base64.urlsafe_b64decode(key)).decode()},
        )
    told("nor keys without a comma", RUSTYBT_ENCRYPTION_KEY=f"{key} {good}")
    file.touch(mode=0o600)
    for what, text in {
        "cut short": key[:30],
        "under another name": f"OTHER={key}\n",
        "with a NUL": f"{key}\0",
        "twice": f"RUSTYBT_ENCRYPTION_KEY='{key},{key}'\n",
    }.items():
        file.write_text(text)
        told(
            f"a key file with a key {what} is refused, and the key not shown",
            RUSTYBT_ENCRYPTION_KEY_FILE=str(file),
        )
    file.write_text(key)
    file.chmod(0o644)
    told("nor is the key in a file that others may read", RUSTYBT_ENCRYPTION_KEY_FILE=str(file))


def arguments_of(signature):
    """The function's name, its arguments' and how many it needs: ("decrypt", ["token", "context"], 1)."""
    name, _, rest = signature.partition("(")
    arguments = re.findall(r"[^\[\](), ]+", rest)
    return name, arguments, len(re.findall(r"[^(), ]+", rest.split("[")[0]))


def function_messages(db, functions, token, fernet):
    """Each function with a secret in each place that may hold one, and all sorts of things beside it."""
    text = secrets.token_urlsafe(48)
    values = [
        text,
        text.encode(),
        b"\xff" + text.encode(),
        "g" + text,
        "gAAA" + text,
        text + "\0" + text,
        token[:40] + text.encode(),
        token[:-1],
        token + b"\0",
        fernet[:-1],
        fernet.decode()[:50],
    ]
    # with a line break the passphrase is refused at once, before Argon2id takes its seconds
    passphrases = [value + ("\n" if isinstance(value, str) else b"\n") for value in values]
    told = message_of(db, "SELECT audit_root(?)", text)
    rbt.ok(leaks(told, text), "a log's name is told, so looking finds what is there")
    tried = 0
    for name, arguments, least in functions:
        told = []
        for at, argument in enumerate(arguments):
            if argument not in SECRET_ARGUMENTS:
                continue
            for value in passphrases if argument == "passphrase" else values:
                for beside in (None, "x", 1, 1.5, b"\0", "log"):
                    for count in range(max(least, at + 1), len(arguments) + 1):
                        row = [value if i == at else beside for i in range(count)]
                        call = f"SELECT {name}({', '.join('?' * count)})"
                        message = message_of(db, call, *row)
                        tried += 1
                        if message and leaks(message, value):
                            told.append(message)
        rbt.ok(not told, f"{name} never tells what it was given") or rbt.note(told[0])
    rbt.ok(tried > 1000, f"in {tried} calls")


def log_messages(db):
    """Entries that a log refuses: what is wrong and where, not what was given."""
    db.execute(
        "CREATE VIRTUAL TABLE picky USING audit_log(kind TEXT NOT NULL CHECK(kind IN ('a', 'b')), "
        "count INTEGER, price REAL, body JSON, raw BLOB)"
    )
    text = secrets.token_urlsafe(48)
    columns = {
        "kind": [text, text.encode()],
        "count": [text, text.encode()],
        "price": [text, text.encode()],
        "body": [
            text,
            f'{{"{text}": {text}}}',
            f'["{text}", "{text}"',
            f'{{"{text}":1,"{text}":2}}',
        ],
        "raw": [text],
    }
    messages = []
    for column, given in columns.items():
        for value in given:
            kind = value if column == "kind" else "a"
            names, row = (
                ("kind", [kind]) if column == "kind" else (f"kind, {column}", [kind, value])
            )
            messages.append(
                message_of(
                    db, f"INSERT INTO picky({names}) VALUES({', '.join('?' * len(row))})", *row
                )
            )
    for sql in (
        "UPDATE picky SET kind = ?",
        "DELETE FROM picky WHERE kind = ?",
        "INSERT INTO picky(id, kind) VALUES(?, 'a')",
    ):
        db.execute("INSERT INTO picky(kind) VALUES('a')")
        messages.append(message_of(db, sql, text))
    refused = [message for message in messages if message]
    rbt.ok(len(refused) >= 11, "a log refuses entries of the wrong kind") or rbt.note(messages)
    rbt.ok(
        not any(leaks(message, text) for message in refused), "without showing them"
    ) or rbt.note(refused)


# -------------------------------------------------------------------------------- files in passing


class Watch:
    """Names that appear in folders: inotify(7), through the C library."""

    CREATE = 0x100

    def __init__(self, *folders):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.file = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for folder in folders:
            if self.libc.inotify_add_watch(self.file, os.fsencode(folder), self.CREATE) < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch")

    def names(self):
        """Names made since the last call."""
        found, data = [], b""
        try:
            while chunk := os.read(self.file, 1 << 16):
                data += chunk
        except BlockingIOError:
            pass
        while data:
            length = struct.unpack_from("iIII", data)[3]
            found.append(data[16 : 16 + length].rstrip(b"\0").decode())
            data = data[16 + length :]
        return found


def removed_files(folder):
    """Contents of the files below a folder that are open though their names are gone."""
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith(str(folder)) and target.endswith("(deleted)"):
            with open(f"/proc/self/fd/{descriptor}", "rb") as file:
                yield file.read()


def temporary_files(place):
    temporary, home = place / "tmp", place / "home"
    temporary.mkdir()
    home.mkdir()
    plaintext = secrets.token_urlsafe(48)
    with contextlib.closing(rbt.connect(home / "t.db")) as db:
        watch = Watch(temporary)
        # of the process, and the only way once SQLite has read SQLITE_TMPDIR, which it does once
        db.execute(f"PRAGMA temp_store_directory = '{temporary}'")
        db.execute("PRAGMA temp_store = FILE")
        db.execute("PRAGMA cache_size = 10")
        db.execute("CREATE TABLE k(id INTEGER PRIMARY KEY, e, f, t)")
        db.execute("BEGIN")
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) INSERT INTO k "
            "SELECT i, encrypt(? || i, 'k.e'), fernet_encrypt(? || i), NULL FROM n",
            (plaintext, plaintext),
        )
        db.execute("COMMIT")
        db.execute("SELECT sum(length(decrypt(e, 'k.e')) + length(decrypt(f))) FROM k").fetchall()
        db.execute("UPDATE k SET e = key_rotate(e, 'k.e'), f = key_rotate(f)")
        db.execute(
            "CREATE VIRTUAL TABLE cold_log USING audit_log(who TEXT, INDEX(who), archive='cold')"
        )
        db.execute("INSERT INTO cold_log(who) SELECT 'user ' || id FROM k")
        for sql in (
            "SELECT audit_archive('cold_log', 'cold', 'now')",
            "SELECT audit_verify('*')",
            "SELECT audit_prune('cold_log')",
            "SELECT count(*) FROM cold_log",
            "SELECT count(*) FROM archive_verify('%s/cold/*')" % home,
        ):
            db.execute(sql).fetchall()
        rbt.equal(watch.names(), [], "functions and logs make no temporary file")

        cursor = db.execute("SELECT decrypt(e, 'k.e') || hex(zeroblob(500)) FROM k ORDER BY 1")
        cursor.fetchone()
        rbt.ok(
            watch.names() and any(plaintext.encode() in data for data in removed_files(temporary)),
            "a sort of plaintexts is SQLite's, and with temp_store=FILE goes through one",
        )
        cursor.close()
        db.execute("PRAGMA temp_store = MEMORY")
        cursor = db.execute("SELECT decrypt(e, 'k.e') || hex(zeroblob(500)) FROM k ORDER BY 1")
        cursor.fetchone()
        rbt.ok(
            not watch.names() and not list(removed_files(temporary)),
            "with temp_store=MEMORY it does not",
        )
        cursor.close()
        db.execute("PRAGMA temp_store_directory = ''")


# ---------------------------------------------------------------------------- the database's files


def database_files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def holding(folder, needles):
    """Names of the files that hold one of the needles."""
    return [
        name
        for name, data in database_files(folder).items()
        if any(needle in data for needle in needles)
    ]


def careless(place):
    """What was written before secure_delete was on stays in free space until a VACUUM."""
    old, new = new_key(), new_key()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=f"{new},{old}"):
        db = rbt.connect(place / "careless.db")
        db.execute("PRAGMA secure_delete = 0").fetchall()
        db.execute("CREATE TABLE k(id INTEGER PRIMARY KEY, e BLOB)")
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
            "INSERT INTO k(e) SELECT encrypt(i) FROM n"
        )
        token = rbt.value(db, "SELECT e FROM k WHERE id = 100")[24:56]
        db.execute("DELETE FROM k WHERE id > 50")
        file = place / "careless.db"
        rbt.ok(token in file.read_bytes(), "without secure_delete what is deleted is still there")
        db.execute("PRAGMA secure_delete = 1").fetchall()
        db.execute("VACUUM")
        rbt.ok(token not in file.read_bytes(), "until a VACUUM")
        db.close()


def stored(place, mode):
    """From INSERT to rotation in one journal mode: where plaintexts and old tokens stand."""
    folder = place / mode
    folder.mkdir()
    old, new = new_key(), new_key()
    plaintexts = [secrets.token_urlsafe(48) for _ in range(40)] + [
        secrets.token_urlsafe(6000) for _ in range(3)
    ]
    needles = [text.encode()[:24] for text in plaintexts] + [old.encode()[:24], new.encode()[:24]]
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=old):
        db = rbt.connect(folder / "t.db")
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("PRAGMA secure_delete = 1")
        db.execute("CREATE TABLE k(id INTEGER PRIMARY KEY, e BLOB, f BLOB, i BLOB)")
        db.execute("CREATE VIRTUAL TABLE log USING audit_log(what TEXT)")
        db.execute("BEGIN")
        for text in plaintexts:
            db.execute(
                "INSERT INTO k(e, f, i) VALUES(encrypt(?1, 'k.e'), fernet_encrypt(?1), blind_index(?1, 'k.i'))",
                (text,),
            )
        db.execute("INSERT INTO log(what) VALUES('made')")
        before = holding(folder, needles)
        db.execute("COMMIT")
        db.execute("UPDATE k SET e = encrypt(decrypt(e, 'k.e'), 'k.e') WHERE id % 2")
        rbt.equal(
            before + holding(folder, needles), [], f"{mode}: no file holds a plaintext or a key"
        )
        tokens = [
            bytes(token)[24:56] for row in rbt.rows(db, "SELECT e, f FROM k") for token in row
        ]
        rbt.ok(holding(folder, tokens), f"{mode}: tokens are there, so looking finds what is there")
        old_id = bytes.fromhex(rbt.value(db, "SELECT key_id()"))
        db.close()
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=f"{new},{old}"):
        db = rbt.connect(folder / "t.db")
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute("PRAGMA secure_delete = 1")
        db.execute("BEGIN IMMEDIATE")
        db.execute(
            "UPDATE k SET e = key_rotate(e, 'k.e'), f = key_rotate(f), i = blind_index(decrypt(e, 'k.e'), 'k.i')"
        )
        db.execute("COMMIT")
        db.execute("INSERT INTO log(what) VALUES('rotated')")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if mode == "persist":  # it keeps the journal, with the old pages in it
            rbt.ok(
                holding(folder, tokens) == ["t.db-journal"],
                "persist: old tokens are left in the journal alone",
            )
            db.execute("PRAGMA journal_mode = delete").fetchall()
        rbt.equal(
            holding(folder, tokens),
            [],
            f"{mode}: after rotation with secure_delete the old tokens are gone",
        )
        rbt.equal(
            holding(folder, [b"RBT\1" + old_id]), [], "and nothing names the old key any more"
        )
        rbt.equal(holding(folder, needles), [], "and still no plaintext or key")
        rbt.equal(
            sorted(row[0] for row in rbt.rows(db, "SELECT decrypt(e, 'k.e') FROM k")),
            sorted(plaintexts),
            "the new ones open",
        )
        db.execute("DELETE FROM k")
        db.close()
    rbt.equal(holding(folder, [b"RBT\1"]), [], "what is deleted is overwritten")


KEY_CHECKS, FILE_CHECKS, STORED_CHECKS = 10 + 2 + 4 + 2 + 1 + 4 + 1, 3, 3 * 7 + 1
with rbt.environment(RUSTYBT_ENCRYPTION_KEY=new_key()):
    db = rbt.connect()
    functions = [
        arguments_of(signature)
        for signature, in rbt.rows(db, "SELECT signature FROM rustybt_help WHERE kind = 'function'")
    ]
    functions = [each for each in functions if SECRET_ARGUMENTS & set(each[1])]
    rbt.plan(KEY_CHECKS + len(functions) + 2 + 2 + FILE_CHECKS + STORED_CHECKS + 2)
    with rbt.folder() as place:
        with rbt.environment(RUSTYBT_ENCRYPTION_KEY=None):
            key_messages(place)
        token = rbt.value(db, "SELECT encrypt('plain text', 'here')")
        fernet = rbt.value(db, "SELECT fernet_encrypt('plain text')")
        db.execute("CREATE VIRTUAL TABLE log USING audit_log(x TEXT)")
        function_messages(db, functions, token, fernet)
        log_messages(db)
        db.close()
        temporary_files(place)
        for mode in ("wal", "delete", "persist"):
            stored(place, mode)
        careless(place)
rbt.done()
