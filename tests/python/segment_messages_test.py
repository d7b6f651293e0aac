# SPDX-License-Identifier: MIT
"""What is wrong with a segment is said in a sentence of its own, which names the file and, where it is about
one, the frame and its entries: cuts, flipped bits in every region, manifests that are swapped, missing or
foreign. archive_verify and every reader refuse with it."""

import shutil
import sqlite3
import struct

import independent
import rbt

WIDE = 30000  # bytes of text in an entry, so that a few hundred make several frames


def make(folder, log="log", key=independent.KEY):
    """Two segments of a log: the first of three frames or more, the second of one."""
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=key):
        folder.mkdir()
        db = rbt.connect(folder / "test.db")
        db.execute(
            f"CREATE VIRTUAL TABLE {log} USING audit_log(t TEXT, n INTEGER, archive='cold', origin='example.com/{log}')"
        )
        for last in (400, 420):
            db.execute("BEGIN")
            for i in range(rbt.value(db, f"SELECT audit_size('{log}')"), last + 1):
                db.execute(f"INSERT INTO {log}(t, n) VALUES(?, ?)", (f"{i} " * (WIDE // 4), i))
            db.execute("COMMIT")
            db.execute(f"SELECT audit_archive('{log}', 'cold', 'now')").fetchall()
        db.close()
    return sorted((folder / "cold").glob("*.zst"))


class Parts:
    """A segment's bytes: frames, the manifest's frame, the seek table; put together again at will."""

    def __init__(self, path):
        file = independent.Segment(path)
        data = path.read_bytes()
        self.frames, self.seek = file.frames, file.seek
        self.manifest_entries = file.manifest["frames"]
        self.begin = len(file.data)  # of the manifest's frame
        self.table = self.begin + file.seek[-1][0]
        self.content, self.data = data[self.begin : self.table], data

    def joined(self, frames, content, seek):
        """A file of these parts, with a seek table of these entries."""
        size = 12 * len(seek) + 9
        table = struct.pack("<II", independent.SEEK_MAGIC, size)
        for entry in seek:
            table += struct.pack("<III", *entry)
        table += struct.pack("<IBI", len(seek), 0x80, independent.SEEK_FOOTER)
        return b"".join(frames) + content + table


def flip(data, at, mask=1):
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


class Judge:
    def __init__(self, path):
        self.path = path  # where the damaged file is put
        self.db = rbt.connect()
        self.seen = {}

    def first(self):
        """The first problem's sentence without the path, or None."""
        for level, detail in rbt.rows(
            self.db, "SELECT level, detail FROM archive_verify(?)", str(self.path)
        ):
            if level == "info":
                return None
            prefix = f"{self.path}: "
            return detail[len(prefix) :] if detail.startswith(prefix) else f"no path: {detail}"

    def refused(self, name, data, sentence):
        """Four checks: archive_verify's first problem is the sentence, which no other damage has; it is the
        error of the function, and archive_entries gives no entry but fails on the file."""
        self.path.write_bytes(data)
        got = self.first()
        rbt.equal(got, sentence, f"{name}: archive_verify says so, after the file's name")
        rbt.ok(
            self.seen.setdefault(sentence, name) == name, f"{name}: and of nothing else"
        )
        errors = []
        for sql in (
            "SELECT archive_verify(?)",
            "SELECT count(*) FROM archive_entries(?)",
        ):
            try:
                errors.append(f"no error: {self.db.execute(sql, (str(self.path),)).fetchall()}")
            except sqlite3.Error as error:
                errors.append(str(error))
        rbt.ok(
            errors[0].startswith(f"archive_verify: {self.path}: {sentence}"),
            f"{name}: the function fails with it",
        )
        rbt.ok(
            "no error" not in errors[1] and str(self.path) in errors[1],
            f"{name}: no entry is read, and the error names the file",
        )
        if "no error" in errors[1] or not errors[0].startswith("archive_verify"):
            rbt.note(errors)


def cases(first, second, other, stranger):
    """(name, bytes, sentence) of every damage."""
    p, q, o, s = Parts(first), Parts(second), Parts(other), Parts(stranger)
    ends = [sum(map(len, p.frames[: i + 1])) for i in range(len(p.frames))]
    count = len(p.frames)
    entries = [(entry["first_id"], entry["last_id"]) for entry in p.manifest_entries]

    def changed(frame):
        return "frame %d (entries %d to %d) has other bytes than were signed" % (
            frame,
            *entries[frame - 1],
        )

    yield "cut inside frame 2", p.data[: ends[0] + 50], (
        f"the file is cut inside frame 2, which begins at byte {ends[0]}; manifest and seek table are missing"
    )
    yield "cut inside the last frame", p.data[: ends[-1] - 1], (
        f"the file is cut inside frame {count}, which begins at byte {ends[-2]}; manifest and seek table are "
        "missing"
    )
    yield "cut after frame 1", p.data[: ends[0]], (
        "the file is cut at a frame boundary, after frame 1; the manifest is missing"
    )
    yield "cut after the last frame", p.data[: ends[-1]], (
        f"the file is cut at a frame boundary, after frame {count}; the manifest is missing"
    )
    yield "cut inside the manifest", p.data[: p.begin + 100], (
        f"the file is cut inside the manifest, which begins at byte {p.begin}, after frame {count}; the seek "
        "table is missing"
    )
    yield "cut after the manifest", p.data[: p.table], (
        "the seek table is missing; the file ends after the manifest"
    )
    yield "cut inside the seek table", p.data[:-5], (
        f"the file is cut inside the seek table, which begins at byte {p.table}"
    )
    yield "empty", b"", "the file is empty"
    yield "no segment", b"id,price\n" * 100, (
        "the file does not begin with a zstd frame that can be read; it is damaged or no segment"
    )
    yield "a bit in frame 2's checksum", flip(p.data, ends[1] - 1), (
        changed(2) + ", and cannot be decoded: Restored data doesn't match checksum"
    )
    yield "a bit in frame 3's header", flip(p.data, ends[1] + 4), (
        changed(3) + ", and cannot be decoded: its header does not say what the format wants"
    )
    yield "frame 1's magic number", flip(p.data, 0), (
        changed(1) + ", and cannot be decoded: it is no zstd frame"
    )
    yield "a bit in the manifest", flip(p.data, p.begin + 60), (
        "the manifest is damaged: its bytes have changed (XXH3)"
    )
    yield "RBTARC01", flip(p.data, p.begin + 8), (
        'the manifest is damaged: its frame does not hold "RBTARC01"'
    )
    yield "the manifest's magic number", flip(p.data, p.begin), (
        "the manifest is damaged: its frame does not begin with 0x184D2A5A"
    )
    yield "the manifest's length", flip(p.data, p.begin + 16), (
        "the manifest is damaged: manifest and note do not fill its frame"
    )
    yield "the seek table's sizes", flip(p.data, p.table + 8), (
        "the seek table is damaged: its sizes do not add up to the file's"
    )
    yield "the seek table's checksum of frame 2", flip(p.data, p.table + 8 + 12 + 8), (
        "frame 2: the seek table has a wrong checksum"
    )
    yield "frames 1 and 2 in each other's place", (
        p.joined([p.frames[1], p.frames[0], *p.frames[2:]], p.content, p.seek)
    ), (
        changed(1) + ", and cannot be decoded: its header does not say what the format wants"
        if p.manifest_entries[0]["raw"] != p.manifest_entries[1]["raw"]
        else changed(1)
    )
    yield "no manifest", p.joined(p.frames, b"", p.seek[:-1]), (
        f"the manifest is missing: after frame {count} comes the seek table"
    )
    yield "the manifest of the next segment", (
        p.joined(p.frames, q.content, [*p.seek[:-1], q.seek[-1]])
    ), f"the seek table lists {count} data frames, the manifest 1"
    yield "of the next segment, which the seek table fits", (
        p.joined(p.frames, q.content, [(len(b"".join(p.frames)), *q.seek[0][1:]), q.seek[-1]])
    ), (
        "frame 1: the seek table says %d bytes of %d, the manifest %d of %d"
        % (ends[-1], q.seek[0][1], q.seek[0][0], q.seek[0][1])
    )
    yield "another log's data under this manifest", (
        p.joined(o.frames, p.content, [*o.seek[:-1], p.seek[-1]])
    ), (
        "frame 1: the seek table says %d bytes of %d, the manifest %d of %d"
        % (*o.seek[0][:2], *p.seek[0][:2])
    )
    yield "a manifest that a stranger signed", (
        s.data
    ), "signed by key %s of example.com/log, which is none of the 1 trusted keys" % (
        independent.note_signatures(independent.Segment(stranger).note)[1][0][1].hex()
    )


def sweep(judge, path):
    """A bit of every byte of a small segment, and of what frames it every bit: the sentence is about the region
    that holds it."""
    data = path.read_bytes()
    about = {
        "data frame": ("frame 1 (entries 401 to 420) has other bytes than were signed",),
        "skippable": ("the manifest is damaged: ",),
        "RBTARC01": ("the manifest is damaged: ",),
        "manifest": ("the manifest is damaged: ",),
        "note": ("the manifest is damaged: ",),
        "XXH3": ("the manifest is damaged: ",),
        "seek": (
            "the seek table is damaged: ",
            "the seek table, which begins at byte ",
            "the file is cut inside the seek table",
            " bytes follow the seek table, ",
            "frame 1: the seek table ",
            "the seek table has a wrong checksum for the manifest's frame",
        ),
    }
    wrong = []
    with open(judge.path, "wb", buffering=0) as file:
        file.write(data)
        for name, start, end in independent.regions(path):
            parts = next(about[key] for key in about if name.startswith(key))
            framing = name.startswith(("seek", "skippable"))
            for at in range(start, end):
                for bit in range(8) if framing else [at % 8]:
                    file.seek(at)
                    file.write(bytes([data[at] ^ 1 << bit]))
                    sentence = judge.first()
                    if not sentence or not any(part in sentence for part in parts):
                        wrong.append((name, at - start, bit, sentence))
                file.seek(at)
                file.write(data[at : at + 1])
    rbt.equal(wrong[:5], [], f"a bit in each of {len(data)} bytes: the sentence names its region")
    rbt.equal(judge.first(), None, "and the file as it was is intact")


def sparse(judge):
    """Four terabytes that take no room on the disk: what nobody waits for being read."""
    judge.path.unlink()
    with open(judge.path, "wb") as file:
        file.truncate(4 * 2**40)
    rbt.equal(
        judge.first(),
        "the file does not begin with a zstd frame that can be read; it is damaged or no segment",
        "a sparse file of terabytes is refused without reading all of it",
    )


def main():
    with rbt.folder() as place, rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY):
        first, second = make(place / "log")
        other, _ = make(place / "other", "other")
        stranger, _ = make(place / "stranger", "log", independent.OTHER_KEY)
        judge = Judge(place / "damaged.jsonl.zst")
        damages = list(cases(first, second, other, stranger))
        rbt.plan(4 * len(damages) + 4)
        rbt.ok(len(Parts(first).frames) >= 3, "the first segment has several frames")
        for name, data, sentence in damages:
            judge.refused(name, data, sentence)
        shutil.copy(second, judge.path)
        sweep(judge, second)
        sparse(judge)
        judge.db.close()
    rbt.done()


main()
