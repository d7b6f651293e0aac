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


def _stop(process):
    """Asks a server to end its sessions and itself (to it, SIGTERM would mean to wait for them)."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Server:
    def __init__(self, programs, folder, arguments):
        self._programs = programs
        self._folder = folder
        self._arguments = arguments
        self.version = programs.parent.name

    def start(self, name, *arguments, **streams):
        """In a session of its own: an interrupt from the terminal is for us, who then stop it."""
        return subprocess.Popen([str(self._programs / name), *arguments], text=True,
                                cwd=self._folder, env=environment(), stderr=subprocess.STDOUT,
                                start_new_session=True, **streams, **self._arguments)

    def process(self, name, *arguments, text=None):
        """Runs a program of PostgreSQL's to its end, text as its input; Unavailable when it fails. To its
        end also when we are interrupted: an initdb that is killed leaves shared memory behind."""
        process = self.start(name, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            output, _ = process.communicate(text)
        except BaseException:
            process.communicate()
            raise
        if process.returncode != 0:
            raise Unavailable(f"{name} fails: {(output.strip() or 'no message').splitlines()[-1]}")
        return output

    def run(self, sql):
        """The output of SQL in one session, unaligned and without headings, and its messages."""
        return self.process("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(self._folder),
                            "-d", "postgres", text=sql)


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
        with open(folder / "log", "w", encoding="utf-8") as log:
            process = started.start("postgres", "-D", str(folder / "data"), "-k", str(folder), "-F",
                                    "-c", "listen_addresses=", stdin=subprocess.DEVNULL, stdout=log)
        try:
            _wait_until_ready(started, process)
            yield started
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder)
