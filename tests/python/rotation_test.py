# SPDX-License-Identifier: MIT
"""The runbook of a rotation (README, sql/rotate.sql), with a reader and a writer running through all of
it: old; old,new; new,old; rotate.sql, killed on its way and run again; new alone."""

import base64
import os
import pathlib
import signal
import subprocess
import sys
import time

import rbt

SELF = pathlib.Path(__file__).resolve()
OLD = base64.urlsafe_b64encode(bytes(range(32))).decode()
NEW = base64.urlsafe_b64encode(bytes(range(32, 64))).decode()
OLD_ID = "fe6b3e115b099239"
CONNECTIONS = 300  # several batches

# ------------------------------------------------------------------- the programs that run meanwhile


def reader(db):
    """Opens every credential, and looks an account up by its blind index under any key."""
    query = (
        "SELECT count(*) FROM (SELECT decrypt(api_key_encrypted, broker_name || '/' || "
        "connection_type || '/api_key') AS k, broker_name AS b FROM broker_connections "
        "WHERE id % 50 = ?) WHERE k <> 'key of ' || b"
    )
    while True:
        for part in range(50):
            if rbt.value(db, query, part) != 0:
                raise AssertionError("a credential opened to something else")
            account = f"account-{part}"
            found = rbt.rows(
                db,
                "SELECT owner FROM accounts WHERE email_index IN "
                "(SELECT blind_index(?, 'accounts.email', key_id) FROM key_ring)",
                f"{account}@example.com",
            )
            if found != [(account,)]:
                raise AssertionError(f"{account} was not found: {found}")
            yield


def writer(db):
    """Renews a credential, adds a log entry, encrypts for a subject."""
    count = 0
    while True:
        count += 1
        name = f"broker-{count % CONNECTIONS}"
        db.execute("BEGIN IMMEDIATE")
        db.execute(
            "UPDATE broker_connections SET api_key_encrypted = encrypt('key of ' || broker_name, "
            "broker_name || '/' || connection_type || '/api_key') WHERE broker_name = ?",
            (name,),
        )
        db.execute(
            "INSERT INTO visits(who, detail) VALUES(subject_encrypt(?, 'came'), '{}')",
            (f"person {count % 7}",),
        )
        db.execute("COMMIT")
        yield


def program(work, database):
    """A line "reload" or "stop" from outside, answered by "done" after some more rounds of work."""
    db = rbt.connect(database)
    db.execute("PRAGMA busy_timeout = 30000")
    rounds = work(db)
    os.set_blocking(0, False)
    print("ready", flush=True)
    pending = ""
    while True:
        next(rounds)
        time.sleep(0.002)  # others want the lock, and the processor, too
        try:
            pending += os.read(0, 100).decode()
        except BlockingIOError:
            continue
        if "\n" not in pending:
            continue
        command, pending = pending.split("\n", 1)
        if command == "reload":
            rbt.value(db, "SELECT key_reload()")
        for _ in range(20):
            next(rounds)
        print("done", flush=True)
        if command == "stop":
            return


class Program:
    """One of the two, as a process of its own."""

    def __init__(self, kind, database):
        self.process = subprocess.Popen(
            [sys.executable, str(SELF), kind, str(database)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.alive = self.process.stdout.readline() == "ready\n"

    def tell(self, command):
        """True when the program has done its rounds without an error."""
        if not self.alive:
            return False
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        self.alive = self.process.stdout.readline() == "done\n"
        return self.alive

    def end(self):
        """Exit code, and what it complained of."""
        self.process.stdin.close()
        return self.process.wait(), self.process.stderr.read()


# --------------------------------------------------------------------------------------- the runbook


def write_keys(path, text):
    beside = path.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_text(text)
    os.replace(beside, path)


def rotate(database, kill_after=None):
    """Runs rotate.sql; kill_after: SIGKILL once that many connections are under another key."""
    command = ["sqlite3", "-batch", "-cmd", f".load {rbt.EXTENSION}", str(database)]
    script = open(rbt.ROOT / "sql" / "rotate.sql", encoding="utf-8")
    with script, subprocess.Popen(
        command,
        stdin=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={
            k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"
        },  # the shell's own SQLite
    ) as process:
        if kill_after is not None:
            watcher = rbt.connect(database)
            while process.poll() is None and rotated(watcher) < kill_after:
                time.sleep(0.001)
            killed = process.poll() is None
            if killed:
                os.killpg(process.pid, signal.SIGKILL)
            left = CONNECTIONS - rotated(watcher)
            watcher.close()
            process.communicate()
            return killed, left
        output = process.communicate()[0]
    return process.returncode, output


def rotated(db):
    return rbt.value(
        db,
        "SELECT count(*) FROM broker_connections WHERE "
        f"substr(api_secret_encrypted, 5, 8) IS NOT x'{OLD_ID}'",
    )


def prepare(database):
    db = rbt.connect(database)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript((rbt.ROOT / "sql" / "schema.sql").read_text(encoding="utf-8"))
    db.execute(
        "WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT ?) "
        "INSERT INTO broker_connections(broker_name, api_key_encrypted, api_secret_encrypted, "
        "additional_credentials) SELECT 'broker-' || i, "
        "encrypt('key of broker-' || i, 'broker-' || i || '/live/api_key'), "
        "encrypt('secret', 'broker-' || i || '/live/api_secret'), "
        "iif(i % 10, NULL, CAST(fernet_encrypt('{}') AS TEXT)) FROM n",
        (CONNECTIONS,),
    )
    db.execute("CREATE TABLE accounts(owner TEXT, email_index BLOB)")
    db.execute("CREATE INDEX accounts_email ON accounts(email_index)")
    for i in range(50):
        db.execute(
            "INSERT INTO accounts VALUES(?, blind_index(?, 'accounts.email'))",
            (f"account-{i}", f"account-{i}@example.com"),
        )
    db.execute(
        "CREATE VIRTUAL TABLE visits USING audit_log(who BLOB NOT NULL, detail JSON NOT NULL, "
        "archive='cold')"
    )
    db.execute("INSERT INTO visits(who, detail) VALUES(subject_encrypt('person 1', 'first'), '{}')")
    rbt.value(db, "SELECT audit_archive('visits', 'cold', 'now')")
    rbt.value(db, "SELECT audit_prune('visits')")
    db.close()


def runbook(place):
    keys, database = place / "keys", place / "trading.db"
    write_keys(keys, OLD)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY_FILE=str(keys)):
        prepare(database)
        programs = [Program("reader", database), Program("writer", database)]

        def all_go_on(command, name):
            rbt.ok(all([each.tell(command) for each in programs]), name)

        all_go_on("go on", "a reader and a writer run under the old key")
        write_keys(keys, f"{OLD},{NEW}")
        all_go_on("reload", "they go on with old,new")
        write_keys(keys, f"{NEW},{OLD}")
        programs[1].tell("reload")
        all_go_on("go on", "a reader that was not told reads what the writer wrote under the new")
        all_go_on("reload", "they go on with new,old")

        killed, left = rotate(database, kill_after=50)
        rbt.ok(killed and 0 < left < CONNECTIONS, "rotate.sql is killed after some batches")
        all_go_on("go on", "which the programs do not notice")
        code, output = rotate(database)
        rbt.ok(
            code == 1
            and f"keep key {OLD_ID}: accounts.email_index, 50 of format blind_index" in output,
            "run again, it names what it cannot rotate, and does not call itself finished",
        )
        rbt.note(output)
        db = rbt.connect(database)
        rbt.equal(rotated(db), CONNECTIONS, "but all credentials are under the new key")
        for i in range(50):
            db.execute(
                "UPDATE accounts SET email_index = blind_index(?1, 'accounts.email') WHERE "
                "email_index IN (SELECT blind_index(?1, 'accounts.email', key_id) FROM key_ring)",
                (f"account-{i}@example.com",),
            )
        code, output = rotate(database)
        new_id = rbt.value(db, "SELECT key_id()")
        rbt.equal(code, 0, "when the blind indexes are made anew it succeeds")
        rbt.ok(
            output.rstrip().endswith(
                f"finished: nothing in this database needs a key other than {new_id}"
            ),
            "and says that it is finished",
        )
        rbt.note(output)
        rbt.equal(
            rbt.rows(
                db,
                "SELECT table_name, column_name, format FROM key_usage "
                "WHERE format <> 'subject' AND key_id IS NOT key_id()",
            ),
            [],
            "nothing is under the old key",
        )
        db.close()

        write_keys(keys, NEW)
        all_go_on("reload", "the programs go on with the new key alone")
        all_go_on("stop", "and end when they are told to")
        for each in programs:
            code, complaint = each.end()
            rbt.equal((code, complaint), (0, ""), "without a complaint")
        db = rbt.connect(database)
        rbt.equal(
            rbt.value(db, "SELECT subject_decrypt(who) FROM visits WHERE id = 1"),
            "first",
            "a subject's field in a segment from before the rotation opens",
        )
        rbt.ok(
            rbt.value(db, "SELECT audit_verify('*')").count("\n") >= 0,
            "every log verifies, its seal and the signatures of old segments included",
        )
        rbt.equal(
            rbt.value(
                db,
                "SELECT count(*) FROM broker_connections WHERE additional_credentials IS NOT NULL "
                "AND decrypt(additional_credentials) = '{}'",
            ),
            CONNECTIONS // 10,
            "Fernet tokens open, too",
        )
        db.close()
        write_keys(keys, OLD)
        db = rbt.connect(database)
        rbt.equal(
            rbt.value(db, f"SELECT count(*) FROM key_usage WHERE key_id = '{OLD_ID}'"),
            0,
            "the old key is in no use",
        )
        db.close()


if len(sys.argv) == 3:
    program({"reader": reader, "writer": writer}[sys.argv[1]], sys.argv[2])
else:
    rbt.plan(19)
    with rbt.folder() as folder:
        runbook(folder)
    rbt.done()
