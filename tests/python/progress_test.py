# SPDX-License-Identifier: MIT
"""Progress of long work: one line on a terminal, rewritten and erased in the end, and nothing anywhere
else. RUSTYBT_PROGRESS=0 has it shown from the start, so that the test need not take long.
"""
import os
import pty
import signal
import subprocess
import sys
import time

import rbt

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ERASE = "\r\x1b[K"
# What a program does: one statement, its result on stdout.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import rbt
db = rbt.connect(sys.argv[2])
try:
    print(rbt.value(db, sys.argv[3]))
except Exception as error:
    print(error)
"""


def start(place, sql, stderr, **settings):
    environment = {**os.environ, "RUSTYBT_ENCRYPTION_KEY": KEY, "TERM": "xterm", **settings}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, os.path.dirname(rbt.__file__),
                             str(place / "t.db"), sql], env=environment, stdout=subprocess.PIPE,
                            stderr=stderr, encoding="utf-8")


def read_terminal(leader):
    """All that was written to it: reading fails once no one has it open any more."""
    written = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            return written.decode()
        if not piece:
            return written.decode()
        written += piece


def on_terminal(place, sql, **settings):
    """(stdout, what the terminal got)"""
    leader, follower = pty.openpty()
    process = start(place, sql, follower, **settings)
    os.close(follower)
    shown = read_terminal(leader)
    os.close(leader)
    return process.communicate()[0].strip(), shown


def on_pipe(place, sql, **settings):
    output, errors = start(place, sql, subprocess.PIPE, **settings).communicate()
    return output.strip(), errors


def check_lines(place):
    for sql, want, line in (
            ("SELECT audit_archive('orders', 'cold', 'now')", "orders: archived 5000 entries",
             "archiving orders: 0 of 5,000 entries, 0 %"),
            ("SELECT audit_verify('orders')", "orders: 5000 entries",
             "verifying orders: 4,096 of 5,000 entries, 81 %"),
            (f"SELECT archive_verify('{place}/cold/*.zst')", "1 segment of orders",
             "verifying orders: 5,000 of 5,000 entries, 100 %"),
            ("SELECT audit_prune('orders')", "orders: pruned 5000 entries",
             "verifying orders: 5,000 of 5,000 entries, 100 %")):
        output, shown = on_terminal(place, sql, RUSTYBT_PROGRESS="0")
        what = line.split()[0] + " by " + sql.split("(")[0].removeprefix("SELECT ")
        rbt.ok(output.startswith(want) and "%" not in output, f"{what}: stdout has the result alone")
        if not rbt.ok(f"\r{line}\x1b[K" in shown, f"{what}: the terminal shows how far it is"):
            rbt.note(repr(shown))
        rbt.ok(shown.endswith(ERASE) and "\n" not in shown, f"{what}: one line, erased in the end")


def check_silence(place):
    sql = "SELECT audit_verify('orders')"
    output, errors = on_pipe(place, sql, RUSTYBT_PROGRESS="0")
    rbt.equal(errors, "", "where stderr is no terminal nothing is shown")
    rbt.ok(output.startswith("orders: 5000 entries"), "and the work is done")
    for settings, name in (({"RUSTYBT_PROGRESS": "no"}, "RUSTYBT_PROGRESS=no turns it off"),
                           ({"RUSTYBT_PROGRESS": "3600"}, "shorter work than it says shows nothing"),
                           ({"RUSTYBT_PROGRESS": "-1"}, "a value that cannot be turns it off, too"),
                           ({"RUSTYBT_PROGRESS": "0", "TERM": "dumb"},
                            "a terminal that cannot erase is left alone")):
        rbt.equal(on_terminal(place, sql, **settings)[1], "", name)


def check_names(place):
    db = rbt.connect(place / "t.db")
    db.execute('CREATE VIRTUAL TABLE "a\x1b[2J\x07\u009bb" USING audit_log(n INTEGER)')
    db.executemany('INSERT INTO "a\x1b[2J\x07\u009bb"(n) VALUES(?)', ((n,) for n in range(5000)))
    db.close()
    shown = on_terminal(place, "SELECT audit_verify('a\x1b[2J\x07\u009bb')", RUSTYBT_PROGRESS="0")[1]
    if not rbt.ok("\rverifying a?[2J???b: " in shown, "a name cannot command the terminal"):
        rbt.note(repr(shown))


def check_interrupt(place):
    """SIGINT to the shell in the midst of compressing: text that is hard to compress takes long. The shell
    goes with the SQLite that it was installed with, hence without our LD_LIBRARY_PATH."""
    db = rbt.connect(place / "t.db")
    db.execute("CREATE VIRTUAL TABLE long USING audit_log(noise TEXT)")
    db.execute("BEGIN")
    db.executemany("INSERT INTO long(noise) VALUES(hex(randomblob(?)))", ((8000,) for _ in range(700)))
    db.execute("COMMIT")
    db.close()
    cold = place / "noise"
    archive = f"SELECT audit_archive('long', '{cold}', 'now')"
    shell = subprocess.Popen(["sqlite3", "-batch", "-bail", "-cmd", f".load {rbt.EXTENSION}",
                              str(place / "t.db"), archive], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, encoding="utf-8",
                             env={"PATH": os.environ["PATH"], "RUSTYBT_ENCRYPTION_KEY": KEY})
    while shell.poll() is None and not (cold.exists() and list(cold.glob(".*.tmp"))):
        time.sleep(0.005)
    shell.send_signal(signal.SIGINT)
    output = shell.communicate()[0]
    # whether by audit_archive itself or in one of its statements, whose messages name the log
    if not rbt.ok(shell.returncode != 0 and ": interrupted" in output,
                  "SIGINT to the shell ends the work"):
        rbt.note(output)
    rbt.equal(sorted(path.name for path in cold.iterdir()), [".rustybt-archive.lock"],
              "no temporary stays and no segment")
    again = on_pipe(place, archive)[0]
    rbt.ok(again.startswith("long: archived 700 entries in 1 segment"), "the next run does the work")
    threads = [on_pipe(place, "SELECT audit_verify('long')", RUSTYBT_THREADS=n)[0] for n in "14"]
    rbt.ok(threads[0] == threads[1] and ", 1 signed segment, " in threads[0], "which verifies")


def main():
    rbt.plan(23)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=KEY), rbt.folder() as place:
        db = rbt.connect(place / "t.db")
        db.execute("PRAGMA journal_mode=WAL").fetchall()
        db.execute("PRAGMA synchronous=OFF")
        db.execute("CREATE VIRTUAL TABLE orders USING audit_log(n INTEGER)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO orders(n) VALUES(?)", ((n,) for n in range(5000)))
        db.execute("COMMIT")
        db.close()
        check_lines(place)
        check_silence(place)
        check_names(place)
        check_interrupt(place)
    rbt.done()


main()
