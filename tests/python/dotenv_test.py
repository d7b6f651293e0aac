# SPDX-License-Identifier: MIT
"""config_get reads dotenv files as python-dotenv does: files of chance, made of all that dotenv.h
says is read, give the same values."""

import logging
import random

import rbt

try:
    import dotenv
except ImportError:
    rbt.skip_all("python-dotenv is not installed (Debian: python3-dotenv)")

FILES, NAMES = 60, ["A", "B", "C_1", "_d"]
LETTERS = "abfnrtvxA0 \t#=,$\\{}:/ü'\""


def text(chance, letters):
    return "".join(chance.choice(letters) for _ in range(chance.randrange(8)))


def quoted(chance, mark):
    """Any text, its marks escaped, without backslashes at its end: behind one python-dotenv goes on
    to a mark in later lines."""
    body = text(chance, LETTERS).replace(mark, "\\" + mark)
    return mark + body.rstrip("\\") + mark + chance.choice(["", " ", " # c", "\t#'\""])


def assignment(chance):
    equals = chance.choice(["=", " =", "= ", "\t= "])
    mark = chance.choice(["'", '"', "", ""])
    if mark:
        return equals + quoted(chance, mark)
    # python-dotenv takes the # of "A= # c" for the value's beginning; here, as in a shell, it
    # begins a comment
    return equals + text(chance, LETTERS).lstrip(" \t'\"" + ("#" if equals[-1] == " " else ""))


def line(chance):
    if chance.randrange(10) == 0:
        # "A" alone takes A back for python-dotenv; here it says nothing
        return chance.choice(["", "  ", "# c", "#A=1", "OTHER", "A 1", "\t# 'x"])
    before = chance.choice(["", "", " ", "export ", " export\t"])
    return before + chance.choice(NAMES) + assignment(chance)


logging.disable()  # what python-dotenv says of lines that are no assignment
rbt.plan(FILES + 1)
seen = 0
with rbt.folder() as place:
    path = place / "settings"
    path.touch(mode=0o600)
    with rbt.environment(RUSTYBT_ENV_FILE=str(path), **{name: None for name in NAMES}):
        db = rbt.connect()
        for seed in range(FILES):
            chance = random.Random(seed)
            end = chance.choice(["\n", "\r\n"])
            contents = end.join(line(chance) for _ in range(12)) + chance.choice(["", end])
            path.write_bytes(contents.encode())
            theirs = dotenv.dotenv_values(path, interpolate=False)
            want = {name: theirs.get(name) for name in NAMES}
            try:
                got = {name: rbt.value(db, "SELECT config_get(?)", name) for name in NAMES}
            except Exception as error:
                got = str(error)
            seen += sum(bool(text) for text in want.values())
            if not rbt.equal(got, want, f"a file of chance, {seed}, reads the same"):
                rbt.note(repr(contents))
rbt.ok(seen > FILES, "most of the values are not empty")
rbt.done()
