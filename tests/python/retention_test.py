# SPDX-License-Identifier: MIT
"""Retention: what expires and when, what holds keep, and that all the rest of a log still verifies afterwards."""

import os
import time

import independent
import logs
import rbt

def one(db, sql, *parameters):
    return rbt.value(db, sql, *parameters)


def make(place, name="test.db", sizes=(300, 300, 300), retain="1 ms", options=""):
    """A log of so many entries in a segment each, pruned, and some hot ones."""
    db = rbt.connect(place / name)
    db.execute(
        "CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, t TEXT, archive='cold', "
        f"retain='{retain}'{options})"
    )
    number = 0
    for size in sizes:
        db.execute("BEGIN")
        for _ in range(size):
            number += 1
            db.execute("INSERT INTO log(n, t) VALUES(?, 'x' || ?)", (number, number))
        db.execute("COMMIT")
        one(db, "SELECT audit_checkpoint('log')")
        one(db, "SELECT audit_archive('log', 'cold', 'now')")
    one(db, "SELECT audit_prune('log')")
    return db


def hot(db, count=5):
    number = one(db, "SELECT count(*) FROM log")
    for _ in range(count):
        number += 1
        db.execute("INSERT INTO log(n, t) VALUES(?, 'hot')", (number,))


def files(place, folder="cold"):
    return sorted(name for name in os.listdir(place / folder) if name.endswith(".zst"))


def status(db):
    return [row[0] for row in rbt.rows(db, "SELECT status FROM audit_segments('log')")]


def problems(db, log="log"):
    return [row[2] for row in logs.verified(db, log)]


def expiry():
    with rbt.folder() as place:
        db = make(place, sizes=(300, 600, 300))
        hot(db)
        root = one(db, "SELECT audit_root('log')")
        note = one(db, "SELECT audit_consistency('log', 301)")
        note = note[note.index("\n\n") + 2 :]
        time.sleep(0.01)
        db.execute("INSERT INTO log(n, t) VALUES(0, 'later')")
        rbt.equal(
            one(db, "SELECT audit_hold('log', 'inquiry', 250, 260)"),
            "hold 10: entries 250 to 260 of log stay until audit_release(10, reason)",
            "a hold has a number and a reason",
        )
        rbt.equal(
            rbt.rows(db, "SELECT hold_id, log, first_id, last_id, reason FROM audit_holds"),
            [(10, "log", 250, 260, "inquiry")],
            "and is listed",
        )
        rbt.equal(one(db, "SELECT held FROM audit_logs WHERE name = 'log'"), 1, "and counted")
        rbt.equal(
            one(db, "SELECT audit_expire('log')"),
            "log: 900 entries expired, with 2 segments; 1 segment past the date is held",
            "segments past their date go, what is held stays",
        )
        rbt.equal(status(db), ["published", "expired", "expired"], "the records say so")
        rbt.equal(len(files(place)), 1, "their files are gone")
        rbt.equal(problems(db), [], "all the rest verifies")
        rbt.equal(
            rbt.rows(db, "SELECT kind, id FROM audit_verify('log') WHERE level = 'info'"),
            [("expired", 301), ("verified", None)],
            "and what is gone is told",
        )
        ids = [row[0] for row in rbt.rows(db, "SELECT id FROM log ORDER BY id")]
        rbt.equal(ids, [*range(1, 301), *range(1201, 1207)], "reading passes over the gap")
        rbt.equal(one(db, "SELECT count(*) FROM log"), 306, "so does counting")
        rbt.equal([row[0] for row in rbt.rows(db, "SELECT rowid FROM log")], ids, "and rowids")
        rbt.ok(one(db, "SELECT audit_proof('log', 290)"), "an entry beside what is gone is proven")
        one(db, "SELECT audit_release(10, 'closed')")
        rbt.equal(
            one(db, "SELECT audit_expire('log')"),
            "log: 300 entries expired, with 1 segment",
            "once released the rest goes",
        )
        rbt.equal(problems(db), [], "and the log verifies still")
        rbt.equal(one(db, "SELECT audit_root('log', 1206)"), root, "with the same root")
        rbt.equal(
            [row[0] for row in rbt.rows(db, "SELECT id FROM log ORDER BY id")],
            list(range(1201, 1207)),
            "reading begins at the first entry that remains",
        )
        gone = "has expired, with entries %d to %d: only their signed manifest is kept"
        rbt.refuses(
            db,
            "SELECT audit_leaf('log', 5)",
            "log: entry 5 " + gone % (1, 300),
            "an expired entry is not given out",
        )
        rbt.refuses(
            db,
            "SELECT audit_proof('log', 601)",
            "log: entry 601 " + gone % (301, 900),
            "nor is it proven",
        )
        rbt.ok(one(db, "SELECT audit_proof('log', 0)"), "the genesis is")
        rbt.refuses(
            db,
            "SELECT audit_root('log', 600)",
            "log: entries 301 to 900 have expired, and of their hashes only those of whole blocks of 256 "
            "are kept: roots within are known of multiples of 256 alone",
            "a root within what has expired is not known",
        )
        rbt.ok(one(db, "SELECT audit_root('log', 512)"), "but that of whole blocks is")
        rbt.equal(
            rbt.rows(db, "SELECT detail FROM audit_verify('log', ?) WHERE level = 'error'", note),
            [],
            "a checkpoint from before still verifies the log",
        )
        for number in range(400):
            db.execute("INSERT INTO log(n, t) VALUES(?, 'more')", (number,))
        one(db, "SELECT audit_checkpoint('log')")
        one(db, "SELECT audit_archive('log', 'cold', 'now')")
        one(db, "SELECT audit_prune('log')")
        rbt.equal(problems(db), [], "what is archived later follows the expired segment")
        rbt.ok(
            one(db, "SELECT audit_proof('log', 1201)"),
            "an entry is proven whose block was half expired before it was pruned",
        )
        db.close()


def holds():
    with rbt.folder() as place:
        db = make(place, sizes=(3,))
        one(db, "SELECT audit_hold('log', 'court order')")
        refusal = "hold 4 stands on log: court order; audit_release(4, reason) ends it"
        rbt.refuses(
            db,
            "SELECT audit_discard('log', 'why not')",
            "audit_discard: " + refusal,
            "a held log is not discarded",
        )
        rbt.refuses(
            db,
            "SELECT audit_discard('rustybt_events', 'why not')",
            "audit_discard: hold 4 stands on log, and would end with rustybt_events: court order; "
            "audit_release(4, reason) ends it",
            "nor is the log that the hold stands in",
        )
        one(db, "SELECT audit_release(4, 'lifted')")
        rbt.refuses(
            db,
            "SELECT audit_release(4, 'again')",
            "audit_release: no hold 4 stands: there never was one, or it was released before",
            "a hold is released once",
        )
        one(db, "SELECT audit_discard('log', 'over')")
        one(db, "SELECT audit_hold('log', 'not yet over')")
        rbt.ok(logs.attempt(db, "DROP TABLE log"), "a hold made after audit_discard stops DROP, too")
        rbt.refuses(
            db,
            "INSERT INTO rustybt_events(action, log, detail) VALUES('release', 'log', '{\"hold_id\":7}')",
            "rustybt_events is written by rustybt alone, when something is done to a log",
            "no INSERT releases it",
        )
        hot(db, 1)
        rbt.equal(
            one(db, "SELECT audit_expire('log')"),
            "log: nothing expired; 1 segment past the date is held",
            "and nothing of it expires",
        )
        plain = rbt.connect(place / "test.db", extension=False)
        plain.execute("DROP TRIGGER rustybt_events_rows_delete")
        plain.execute("DELETE FROM rustybt_events_rows WHERE action = 'hold'")
        plain.close()
        unknown = "it cannot be known which holds stand, since rustybt_events does not verify: "
        for act in ("audit_expire('log')", "audit_discard('log', 'x')"):
            refused = logs.attempt(db, "SELECT " + act) or ""
            rbt.ok(unknown in refused, f"where the hold was cut out, {act} refuses")
        rbt.ok(unknown in (logs.attempt(db, "SELECT * FROM audit_holds") or ""), "so does the list")
        rbt.equal(len(files(place)), 1, "the segment is still there")
        db.close()


def hostile():
    with rbt.folder() as place:
        db = make(place, sizes=(3, 3, 3), retain="7 years")

        def edited(*statements):
            plain = rbt.connect(place / "test.db", extension=False)
            plain.execute("PRAGMA foreign_keys = OFF")
            plain.execute("BEGIN")
            for statement in statements:
                plain.execute(statement)
            plain.execute("COMMIT")
            plain.close()

        columns = [row[1] for row in rbt.rows(db, "PRAGMA table_info(log_segments)")]
        saved = rbt.rows(db, "SELECT * FROM log_segments")
        meta = rbt.rows(db, "SELECT * FROM log_meta")

        def restore():
            plain = rbt.connect(place / "test.db", extension=False)
            plain.execute("DELETE FROM log_segments")
            marks = ",".join("?" * len(columns))
            plain.executemany(f"INSERT INTO log_segments VALUES({marks})", saved)
            plain.execute("DELETE FROM log_meta")
            plain.executemany("INSERT INTO log_meta VALUES(?, ?)", meta)
            plain.close()

        mark = "is marked as expired, which rustybt_events does not tell of"
        edited("UPDATE log_segments SET status = 'expired' WHERE first_id = 4")
        rbt.ok(any(mark in text for text in problems(db)), "a mark on a live segment is found")
        rbt.ok(mark in (logs.attempt(db, "SELECT * FROM log") or ""), "and hides no entry")
        rbt.ok(mark in (logs.attempt(db, "SELECT count(*) FROM log") or ""), "nor from the count")
        refused = logs.attempt(db, "SELECT audit_expire('log', 'now')") or "no error"
        rbt.ok("nothing was expired: " in refused, "nor does it let the file go")
        restore()
        edited("UPDATE log_segments SET expires_us = 1")
        rbt.ok(any("date of expiry are recorded otherwise" in text for text in problems(db)),
               "a date that was moved is found")
        refused = logs.attempt(db, "SELECT audit_expire('log', 'now')") or ""
        rbt.ok("nothing was expired" in refused, "and nothing expires")
        restore()
        edited("UPDATE log_segments SET published_us = published_us - 1 WHERE first_id = 4")
        rbt.ok(any("is recorded as published at" in text for text in problems(db)),
               "a time of publication that was moved is found")
        restore()
        os.rename(place / "cold", place / "backup")
        edited("UPDATE log_segments SET directory = 'backup'")
        rbt.ok(any("is recorded in backup, rustybt_events says in cold" in text for text in problems(db)),
               "a folder that was changed is found, whatever is in it")
        os.rename(place / "backup", place / "cold")
        restore()
        edited("INSERT INTO log_meta VALUES('moved/00000000000000000004', 'backup')")
        rbt.ok("the note that segment" in (logs.attempt(db, "SELECT audit_relocate('log', 'cold')") or ""),
               "a forged note of a move removes no file")
        restore()
        edited("DELETE FROM log_segments WHERE first_id = 4")
        name = "log-000000000004-000000000006.jsonl.zst"
        vanished = f"segment {name}, entries 4 to 6, has vanished from the log's records"
        rbt.ok(any(vanished in text for text in problems(db)), "a record that vanished is named")
        rbt.ok(any("it follows the segment with manifest" in text for text in problems(db)),
               "and the chain of manifests is broken there")
        restore()
        edited("UPDATE log_segments SET last_id = 9 WHERE first_id = 0")
        refused = logs.attempt(db, "SELECT * FROM log WHERE id = 5") or ""
        rbt.ok("it holds entries 0 to 3, recorded are 0 to 9" in refused,
               "a record that spans the entries of the next ones hides none of them")
        restore()
        edited(f"UPDATE log_segments SET last_id = {2**63 - 1} WHERE first_id = 4")
        rbt.ok("the record of the segment at entry 4 is damaged" in "".join(problems(db)),
               "an id beyond all entries is found")
        rbt.ok("entries after 3 were pruned, but no segment" in
               (logs.attempt(db, "SELECT * FROM log") or ""), "and read by nobody")
        restore()
        edited("DELETE FROM log_segments WHERE first_id = 7",
               "UPDATE log_meta SET value = 6 WHERE key IN ('archived_to', 'pruned_to')")
        rbt.ok(any("entries 7 to 9, has vanished" in text for text in problems(db)),
               "so is the last one, with archived_to lowered")
        border = "are said to be cold, but the hot ones do not follow"
        rbt.ok(border in (logs.attempt(db, "SELECT * FROM log") or ""),
               "and reading refuses, where pruned_to was lowered with it")
        restore()
        os.rename(place / "cold" / name, place / "away")
        rbt.ok(any("is missing: entries 4 to 6" in text for text in problems(db)),
               "a file that vanished is named")
        refused = logs.attempt(db, "SELECT audit_expire('log', 'now')") or ""
        rbt.ok("nothing was expired" in refused and len(files(place)) == 2, "and nothing expires")
        os.rename(place / "away", place / "cold" / name)
        rbt.equal(problems(db), [], "put back, all is well")
        db.close()

    with rbt.folder() as place:
        db = make(place, sizes=(3, 3))
        hot(db)
        one(db, "SELECT audit_expire('log')")
        rbt.refuses(
            db,
            "SELECT audit_discard('rustybt_events', 'x')",
            "audit_discard: segments of log have expired, which rustybt_events tells of: without it the "
            "log could not be read",
            "what tells of expiries is not discarded",
        )
        plain = rbt.connect(place / "test.db", extension=False)
        kept = rbt.rows(plain, "SELECT key, value FROM log_meta WHERE key LIKE 'expired%'")
        for key, value in kept:
            if not value:
                continue
            value = value.encode() if isinstance(value, str) else value
            plain.execute("UPDATE log_meta SET value = ? WHERE key = ?", (value[:-1] + b"!", key))
            rbt.ok(
                problems(db) or logs.attempt(db, "SELECT audit_root('log', 3)"),
                f"an edit of {key.split('/')[0]} is found",
            ) if not key.startswith("expired/") else None
            original = dict(kept)[key]
            plain.execute("UPDATE log_meta SET value = ? WHERE key = ?", (original, key))
        rbt.equal(problems(db), [], "as it was it verifies")
        plain.close()
        db.close()


def left_over():
    """A run that was killed between the mark and the removal."""
    with rbt.folder() as place:
        db = make(place, sizes=(3, 3))
        hot(db)
        kept = {name: (place / "cold" / name).read_bytes() for name in files(place)}
        one(db, "SELECT audit_expire('log')")
        for name, content in kept.items():
            (place / "cold" / name).write_bytes(content)
        rbt.equal(problems(db), [], "files that expired and are still there are no problem")
        rbt.equal(
            one(db, "SELECT audit_expire('log')"),
            "log: nothing expired; 2 files of earlier ones removed",
            "the next run removes them",
        )
        rbt.equal(files(place), [], "and they are gone")
        (place / "cold" / name).write_text("something else")
        refused = logs.attempt(db, "SELECT audit_expire('log')") or ""
        rbt.ok("is not that; move it away" in refused, "another file of that name is left alone")
        rbt.equal(files(place), [name], "and stays")
        db.close()


def relocation():
    with rbt.folder() as place, rbt.folder() as other:
        if os.access("/dev/shm", os.W_OK):
            other = other.__class__("/dev/shm") / f"rustybt-{os.getpid()}"
        db = make(place, sizes=(3, 3), retain="7 years")
        names = files(place)
        content = rbt.rows(db, "SELECT * FROM log")
        rbt.equal(
            one(db, "SELECT audit_relocate('log', ?)", str(other)),
            f"log: 2 segments moved to {other}, each verified; 0 were there",
            "segments move, to another file system too",
        )
        rbt.equal(files(place), [], "out of the old folder")
        rbt.equal(sorted(n for n in os.listdir(other) if n.endswith(".zst")), names, "to the new")
        rbt.equal(rbt.rows(db, "SELECT * FROM log"), content, "the log reads as before")
        rbt.equal(problems(db), [], "and verifies")
        link = place / "link"
        os.symlink(other, link)
        rbt.equal(
            one(db, "SELECT audit_relocate('log', 'link')"),
            "log: 2 segments moved to link, each verified; 0 were there",
            "where old and new are one folder",
        )
        rbt.equal(rbt.rows(db, "SELECT * FROM log"), content, "no file is removed")
        rbt.equal(
            rbt.value(db, "SELECT group_concat(DISTINCT action) FROM rustybt_events WHERE action GLOB 'reloc*'"),
            "relocate,relocated",
            "both the intent and the move are on record",
        )
        broken = other / names[1]
        os.chmod(broken, 0o600)
        data = bytearray(broken.read_bytes())
        data[20] ^= 1
        broken.write_bytes(data)
        refused = logs.attempt(db, "SELECT audit_relocate('log', 'colder')") or ""
        rbt.ok("audit_relocate: " in refused and names[1] in refused, "a damaged segment is not moved")
        rbt.equal(
            rbt.rows(db, "SELECT replace(path, ?, '') FROM audit_segments('log')", str(place)),
            [("/colder/" + names[0],), ("/link/" + names[1],)],
            "what was sound before it was: a log may be half moved",
        )
        with rbt.environment(RUSTYBT_ARCHIVE_DIR=str(other)):
            rbt.refuses(
                db,
                "SELECT audit_relocate('log', 'x')",
                "audit_relocate: RUSTYBT_ARCHIVE_DIR says where all segments are, so that none can be "
                "moved; unset it",
                "an override of all places leaves nothing to move",
            )
        db.close()
        for name in os.listdir(other):
            os.unlink(other / name)
        if other.parent.name == "shm":
            os.rmdir(other)


def main():
    rbt.plan(75)
    with rbt.environment(RUSTYBT_ENCRYPTION_KEY=independent.KEY):
        expiry()
        holds()
        hostile()
        left_over()
        relocation()
    rbt.done()


main()
