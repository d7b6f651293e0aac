# SPDX-License-Identifier: MIT
"""Who may be able to read a key file: files as Docker, Kubernetes and systemd lay them out, by mode
and owner, read by root and by a service's user; and files that vanish. For both keys."""

import json
import os

import rbt

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
ID, OTHER_ID = "fe6b3e115b099239", "08f0dab8da850abd"
VKEY = "example.com/audit+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
USER, GROUP, STRANGER = 61234, 61235, 61236  # numbers that nobody has
NAMES = ["RUSTYBT_ENCRYPTION_KEY_FILE", "RUSTYBT_SIGNING_KEY_FILE", "CREDENTIALS_DIRECTORY"]


def ask(db, signing=False):
    """What the connection's keys are: the primary's id, or the public signing key."""
    sql = "SELECT audit_public_key('log')" if signing else "SELECT key_id()"
    try:
        return rbt.value(db, sql)
    except Exception as error:
        return str(error)


def connect():
    db = rbt.connect()
    db.execute("CREATE VIRTUAL TABLE log USING audit_log(a TEXT, seal=no, "
               "origin='example.com/audit')")
    return db


def read_as(user, signing=False, **variables):
    """What a process of that user (of GROUP, unless it is root) is answered."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        db = connect()  # before it may not read the library any more
        if user != 0:
            os.setgroups([])
            os.setgid(GROUP)
            os.setuid(user)
        with rbt.environment(**{name: variables.get(name) for name in NAMES}):
            os.write(sender, json.dumps(ask(db, signing)).encode())
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text)


def write(path, user=0, group=0, mode=0o400, text=KEY):
    path.write_text(text + "\n")
    os.chown(path, user, group)
    os.chmod(path, mode)
    return str(path)


def both(user, path, complaint, name, **variables):
    """Two checks: both keys are read from the file, or refused with that end of the message."""
    for variable, want, signing in ((NAMES[0], ID, False), (NAMES[1], VKEY, True)):
        if complaint:
            who = "audit_public_key" if signing else "key_id"
            file = f"{path}, the file that {variable} names,"
            want = f"{who}: " + complaint.format(file=file, path=path)
        got = read_as(user, signing, **variables, **{variable: path})
        rbt.equal(got, want, f"{name}: {'the signing key' if signing else 'the encryption key'}")


TOO_OPEN = ("{{file}} is root's with mode {}, expected 0640 at most; chmod 640 it, or mount the "
            "secret with such a mode")
ANOTHERS = ("{{file}} belongs to user {} with mode {}, expected user {} with 0600 or root with "
            "0640; chown and chmod it")
FORBIDDEN = "cannot open '{path}': Permission denied"


def docker(place):
    """/run/secrets: files that are bound or copied into place, with the uid and mode of the
    service's definition; 0444 and root's if it names none."""
    secrets = place / "secrets"
    secrets.mkdir(mode=0o755)
    path = write(secrets / "a", mode=0o444)
    both(USER, path, TOO_OPEN.format("0444"), "Docker's 0444 is refused")
    both(USER, write(secrets / "b", USER, GROUP, 0o400), None, "with uid and mode 0400 it is taken")
    both(USER, write(secrets / "c", 0, GROUP, 0o440), None, "with gid and mode 0440 too")
    both(0, write(secrets / "d", mode=0o444),
         "{file} has mode 0444, expected 0600; chmod 600 it", "root is told the same of 0444")
    both(0, write(secrets / "e", mode=0o400), None, "and reads 0400")


def kubernetes(place):
    """A secret volume: links to ..data, which is a link to the folder in force; root's, with the
    group that fsGroup says, and the mode that defaultMode says, or 0644."""
    volume = place / "volume"
    for version in ("..2026_01_01", "..2026_02_01"):
        (volume / version).mkdir(parents=True)
    (volume / "..data").symlink_to("..2026_01_01")
    (volume / "key").symlink_to("..data/key")
    key, target = str(volume / "key"), volume / "..2026_01_01" / "key"
    write(target, 0, GROUP, 0o640)
    both(USER, key, None, "fsGroup and mode 0640 are taken")
    write(target, 0, GROUP, 0o440)
    both(USER, key, None, "and 0440")
    write(target, 0, 0, 0o400)
    both(USER, key, FORBIDDEN, "without fsGroup 0400 cannot be read")
    both(0, key, None, "but by root")
    write(target, 0, GROUP, 0o644)
    both(USER, key, TOO_OPEN.format("0644"), "the default 0644 is refused")

    write(target, 0, GROUP, 0o440)
    write(volume / "..2026_02_01" / "key", 0, GROUP, 0o440, OTHER)
    with rbt.environment(**{**dict.fromkeys(NAMES), NAMES[0]: key}):
        db = connect()
        rbt.equal(ask(db), ID, "a program that runs while the secret is changed has the old key")
        (volume / "..data_tmp").symlink_to("..2026_02_01")
        (volume / "..data_tmp").rename(volume / "..data")
        db.execute("SELECT key_reload()").fetchall()
        rbt.equal(ask(db), OTHER_ID, "and the new one after key_reload()")


def systemd(place):
    """$CREDENTIALS_DIRECTORY: a folder that the service alone may enter."""
    folder = place / "credentials"
    folder.mkdir()
    os.chown(folder, USER, GROUP)
    os.chmod(folder, 0o500)
    credentials = {"CREDENTIALS_DIRECTORY": str(folder)}
    path = write(folder / "own", USER, GROUP, 0o400)
    both(USER, path, None, "its own 0400 is taken", **credentials)
    both(USER, write(folder / "acl", 0, GROUP, 0o440), None,
         "so is root's, opened to it by a list (0440)", **credentials)
    path = write(folder / "stranger", STRANGER, GROUP, 0o440)
    both(USER, path, None, "so is whatever else is there", **credentials)
    both(USER, path, ANOTHERS.format(STRANGER, "0440", USER),
         "but not without $CREDENTIALS_DIRECTORY")
    path = write(folder / "service", USER, GROUP, 0o400)
    both(0, path, None, "root reads a service's 0400", **credentials)
    both(0, path, ANOTHERS.format(USER, "0400", 0),
         "but not without $CREDENTIALS_DIRECTORY either")
    outside = write(place / "outside", STRANGER, GROUP, 0o440)
    (folder / "link").symlink_to(outside)
    both(USER, str(folder / "link"), ANOTHERS.format(STRANGER, "0440", USER),
         "a link that leads out of it is judged by what it leads to", **credentials)
    both(USER, str(folder / ".." / "outside"), ANOTHERS.format(STRANGER, "0440", USER),
         "and so is a path with ..", **credentials)


def vanishing(place):
    """A file that goes and comes back with another key."""
    with rbt.environment(RUSTYBT_SIGNING_KEY=OTHER):
        other_vkey = ask(connect(), signing=True)
    for variable, want, other, signing in ((NAMES[0], ID, OTHER_ID, False),
                                           (NAMES[1], VKEY, other_vkey, True)):
        path = place / "vanishing"
        what, who = ("signing key", "audit_public_key") if signing else ("encryption key", "key_id")
        path.touch(mode=0o600)
        path.write_text(KEY)
        with rbt.environment(**{**dict.fromkeys(NAMES), variable: str(path)}):
            before = connect()
            rbt.equal(ask(before, signing), want, f"the {what} is read from a file")
            path.unlink()
            rbt.equal(ask(before, signing), want, "a connection that read it goes on without it")
            after = connect()
            gone = f"{who}: cannot open '{path}': No such file or directory"
            rbt.equal(ask(after, signing), gone, "a new one is told that it is gone")
            path.touch(mode=0o600)
            path.write_text(OTHER)
            rbt.equal(ask(after, signing), other, "and reads the file that comes back")


def can_give_away(place):
    """Whether this process may be another user, and give files to one: not every root can."""
    if os.geteuid() != 0:
        return False
    try:
        write(place / "mine", USER, GROUP)
        return True
    except OSError:
        return False


PERMISSION_CHECKS = 2 * 18 + 2
rbt.plan(8 + PERMISSION_CHECKS)
with rbt.folder() as place:
    vanishing(place)
    if can_give_away(place):
        os.chmod(place, 0o755)
        docker(place)
        kubernetes(place)
        systemd(place)
    else:
        rbt.skip(PERMISSION_CHECKS, "only root can give files to others and be others")
rbt.done()
