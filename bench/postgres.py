# SPDX-License-Identifier: MIT
"""A PostgreSQL server for one measurement: a cluster in a temporary folder, reachable by a socket in
that folder alone, run by an unprivileged user, gone afterwards.

    with postgres.server() as server:
        print(server.version, server.run("SELECT 1"))

Raises Unavailable, with the reason, where that is not possible. SIGTERM and SIGHUP end the server too,
if the program turns them into exceptions.
"""
import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time


class Unavailable(Exception):
    """Why no server runs here."""


def _programs():
    """The folder of the newest version's programs, where Debian puts them."""
    found = [path.parent for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found:
        raise Unavailable("no /usr/lib/postgresql/*/bin/initdb; it is in Debian's postgresql")
    return max(found, key=lambda path: int(path.parent.name))


def _unprivileged():
    """subprocess arguments that run a program as postgres or nobody; PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}, None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}, user
    raise Unavailable("this is root, and there is no user postgres or nobody to run a server as")


class Server:
    def __init__(self, programs, folder, arguments):
        self._programs = programs
        self._folder = folder
        self._arguments = arguments
        self.version = programs.parent.name

    def command(self, name, *arguments):
        return [str(self._programs / name), *arguments]

    def process(self, name, *arguments, **options):
        """Runs a program of PostgreSQL's to its end; Unavailable when it fails."""
        done = subprocess.run(self.command(name, *arguments), text=True, cwd=self._folder,
                              env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              **options, **self._arguments)
        if done.returncode != 0:
            raise Unavailable(f"{name} fails: {(done.stdout.strip() or 'no message').splitlines()[-1]}")
        return done.stdout

    def run(self, sql):
        """The output of SQL in one session, unaligned and without headings, and its messages."""
        return self.process("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(self._folder),
                            "-d", "postgres", input=sql)


def environment():
    """Nothing of the caller's: PGPORT and the like would lead elsewhere."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def _wait_until_ready(server, process, seconds=30):
    for _ in range(seconds * 20):
        if process.poll() is not None:
            raise Unavailable("the server ends as soon as it starts")
        with contextlib.suppress(Unavailable):
            return server.run("SELECT 1")
        time.sleep(0.05)
    raise Unavailable(f"the server is not ready after {seconds} seconds")


def _stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGQUIT)  # "immediate shutdown"; nothing is to be kept
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def server():
    programs = _programs()
    arguments, user = _unprivileged()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="rustybt-pg-"))
    try:
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
        started = Server(programs, folder, arguments)
        started.process("initdb", "-D", str(folder / "data"), "-A", "trust", "-E", "UTF8", "--no-sync")
        with open(folder / "log", "wb") as log:
            # its own session: an interrupt from the terminal is for us, who then stop it
            process = subprocess.Popen(
                started.command("postgres", "-D", str(folder / "data"), "-k", str(folder),
                                "-c", "listen_addresses=", "-F"),
                cwd=folder, env=environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True, **arguments)
        try:
            _wait_until_ready(started, process)
            yield started
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder)
