/* SPDX-License-Identifier: MIT
** Rot: verification names every bad frame of a segment, not the first, and archive_salvage gives the
** entries of the good ones, with a row for every loss. */
#define XXH_INLINE_ALL
#include "archive_sql_fixture.h"

#include "base/bytes.h"
#include <errno.h>
#include <xxhash.h>

enum { ENTRIES = 110000, CUT = 100000, FRAMES = 4 };
enum {
    CONTENT = 12,
    MANIFEST = 20
}; /* the manifest's length and the manifest, from its frame on */

typedef struct frame {
    int64_t offset, size, first, last;
} frame;
static frame frames[FRAMES];
static int64_t data_bytes; /* where the manifest's frame begins */
static made first, second;
static rbt_buffer intact;

static void learn_frames(void) {
    char sql[400];
    for (int i = 0; i < FRAMES; i++) {
        snprintf(
            sql, sizeof sql,
            "SELECT printf('%%d %%d %%d %%d', value ->> '$[%d].offset', value ->> '$[%d].size', "
            "value ->> '$[%d].first_id', value ->> '$[%d].last_id') FROM archive_info('%s') "
            "WHERE key = 'frames'",
            i, i, i, i, first.name);
        long long numbers[4];
        if (sscanf(ask(sql), "%lld %lld %lld %lld", numbers, numbers + 1, numbers + 2,
                   numbers + 3) != 4)
            abort();
        frames[i] = (frame){numbers[0], numbers[1], numbers[2], numbers[3]};
    }
    data_bytes = frames[FRAMES - 1].offset + frames[FRAMES - 1].size;
}

/* Writes the first segment with the bits of mask flipped in each byte at the places given; -1 ends. */
static void spill_flipped(uint8_t mask, const int64_t *places) {
    rbt_buffer bytes = {0};
    rbt_buffer_add(&bytes, intact.data, intact.length);
    for (; *places >= 0; places++)
        bytes.data[*places] ^= mask;
    spill(first.name, bytes.data, bytes.length);
    rbt_buffer_free(&bytes);
}

static const char summary[] =
    "SELECT count(leaf), sum(lost), count(problem), min(id), max(id), count(DISTINCT rowid) = "
    "count(*) FROM archive_salvage('orders-000000000000*')";

/* What `summary` must say when frames 2 and 3 are lost. */
static const char *without_two(int problems) {
    static char want[200];
    long long lost = (long long)(frames[2].last - frames[1].first + 1);
    snprintf(want, sizeof want, "%lld|%lld|%d|1|%d|1", CUT - lost, lost, problems, CUT);
    return want;
}

static void check_intact(void) {
    is_text(ask(summary), "100000|0|0|1|100000|1",
            "an intact segment gives every entry, no problem");
    is_text(ask("SELECT id, recorded_at, leaf, lost FROM archive_salvage('orders-*') WHERE id = "
                "100001 OR id = 7 EXCEPT SELECT id, recorded_at, leaf, 0 FROM "
                "archive_entries('orders-*')"),
            "", "with the times and leaves of archive_entries");
    is_text(ask("SELECT count(*), count(DISTINCT path) FROM archive_salvage('orders-*')"),
            "110000|2", "of all files of a glob");
}

static void check_bad_frames(void) {
    char want[600];
    spill_flipped(1, (int64_t[]){frames[1].offset + 100, frames[2].offset + 200, -1});
    snprintf(want, sizeof want,
             "changed|%s: frame 2 (entries %lld to %lld) has other bytes than were signed%%\n"
             "changed|%s: frame 3 (entries %lld to %lld) has other bytes than were signed%%",
             first.name, (long long)frames[1].first, (long long)frames[1].last, first.name,
             (long long)frames[2].first, (long long)frames[2].last);
    char sql[1000];
    snprintf(sql, sizeof sql,
             "SELECT group_concat(kind || '|' || detail, char(10)) LIKE '%s', count(*) FROM "
             "archive_verify('orders-000000000000*')",
             want);
    is_text(ask(sql), "1|2", "archive_verify names both bad frames");
    ok(contains(ask("SELECT archive_verify('orders-000000000000*')"), "; 1 more in the table"),
       "and as a function says that there is more");
    ok(contains(ask("SELECT count(*) FROM archive_entries('orders-*')"), "frame 2 (entries "),
       "archive_entries refuses");
    is_text(ask(summary), without_two(2), "archive_salvage gives all entries of the other frames");
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM archive_salvage('orders-*') WHERE leaf IS NOT NULL AND id "
             "BETWEEN %lld AND %lld",
             (long long)frames[1].first, (long long)frames[2].last);
    is_text(ask(sql), "0", "none of the bad ones");
    snprintf(want, sizeof want, "%lld|%lld|NULL\n%lld|%lld|NULL", (long long)frames[1].first,
             (long long)(frames[1].last - frames[1].first + 1), (long long)frames[2].first,
             (long long)(frames[2].last - frames[2].first + 1));
    is_text(ask("SELECT id, lost, leaf FROM archive_salvage('orders-*') WHERE problem IS NOT NULL "
                "ORDER BY id"),
            want, "and a row for each loss, with its first entry and how many they are");

    spill_flipped(1, (int64_t[]){100, -1});
    snprintf(want, sizeof want, "1|%lld", (long long)frames[0].last);
    is_text(ask("SELECT id, lost FROM archive_salvage('orders-*') WHERE problem IS NOT NULL"), want,
            "the genesis is not counted among the lost entries");
}

/* Frames whose headers are gone, in a file whose seek table is, too. */
static void check_bad_headers(void) {
    int64_t seek_table = (int64_t)intact.length - 1;
    spill_flipped(0xFF, (int64_t[]){frames[1].offset, frames[2].offset + 1, seek_table, -1});
    is_text(ask("SELECT kind, detail LIKE '%: frame 2 (%', detail LIKE '%: frame 3 (%' FROM "
                "archive_verify('orders-000000000000*')"),
            "seek_table|0|0\nchanged|1|0\nchanged|0|1",
            "without seek table and frame headers every bad frame is still named");
    is_text(ask(summary), without_two(3), "and the good ones are still read");
    spill_flipped(0xFF, (int64_t[]){seek_table, -1});
    is_text(ask("SELECT count(leaf), sum(lost), max(problem LIKE '%: the seek table is %') FROM "
                "archive_salvage('orders-000000000000*')"),
            "100000|0|1", "a damaged seek table costs no entry");
    rbt_buffer bytes = {0};
    rbt_buffer_add(&bytes, intact.data, (size_t)frames[2].offset + 10);
    spill(first.name, bytes.data, bytes.length);
    rbt_buffer_free(&bytes);
    is_text(ask("SELECT id, leaf, lost, problem LIKE '%: the file is cut inside frame 3, %' FROM "
                "archive_salvage('orders-000000000000*')"),
            "NULL|NULL|NULL|1", "a file without its manifest gives a problem alone");
    is_text(ask("SELECT count(leaf), count(problem), min(id) FROM archive_salvage('orders-*')"),
            "10000|1|100001", "and those beside it all they hold");
}

/* Changes the manifest's frame by a byte and makes its XXH3 right again, as an attacker would. */
static void check_forged(void) {
    rbt_buffer bytes = {0};
    rbt_buffer_add(&bytes, intact.data, intact.length);
    uint8_t *content = bytes.data + data_bytes + 8;
    size_t manifest_length = rbt_load_u32le(content + 8);
    size_t note_length = rbt_load_u32le(content + CONTENT + manifest_length);
    size_t length = CONTENT + manifest_length + 4 + note_length;
    uint8_t *log = memmem(content, length, "\"log\":\"orders\"", 14);
    if (!log) abort();
    content[length - 20] ^= 1; /* inside the signature's base64 */
    rbt_store_u64le(content + length, XXH3_64bits(content, length));
    spill(first.name, bytes.data, bytes.length);
    ok(contains(ask("SELECT leaf, lost, problem FROM archive_salvage('orders-000000000000*')"),
                "NULL|NULL|orders-000000000000-000000100000.jsonl.zst: "),
       "of a file with a wrong signature nothing is given");
    content[length - 20] ^= 1;
    log[8] = 'O';
    rbt_store_u64le(content + length, XXH3_64bits(content, length));
    spill(first.name, bytes.data, bytes.length);
    is_text(ask("SELECT count(leaf), count(problem), max(problem LIKE '%: its note signs another "
                "manifest than the one in the file') FROM archive_salvage('orders-000000000000*')"),
            "0|1|1", "nor of one whose manifest is not the one that was signed");
    rbt_buffer_free(&bytes);

    spill_flipped(0, (int64_t[]){-1});
    rbt_buffer vkey = {0};
    rbt_verifier_format(&vkey, &stranger);
    char sql[400];
    snprintf(sql, sizeof sql, "SELECT * FROM archive_salvage('orders-*', '%s')",
             rbt_buffer_text(&vkey));
    ok(contains(ask(sql), "which is none of the 1 trusted keys"),
       "a segment that no trusted key signed is an error");
    rbt_buffer_free(&vkey);
}

/* ---- A disk that fails ---- */

static ssize_t failing_read(int file, void *bytes, size_t length, off_t offset) {
    if (offset >= frames[1].offset && offset < frames[2].offset) {
        errno = EIO;
        return -1;
    }
    return rbt_system_files.pread(file, bytes, length, offset);
}

static void check_bad_sectors(void) {
    rbt_file_operations failing = rbt_system_files;
    char want[300];
    failing.pread = failing_read;
    spill_flipped(1, (int64_t[]){frames[2].offset + 200, -1});
    rbt_files = &failing;
    snprintf(want, sizeof want,
             "unreadable|%s: frame 2 (entries %lld to %lld) cannot be read: Input/output error",
             first.name, (long long)frames[1].first, (long long)frames[1].last);
    is_text(ask("SELECT kind, detail FROM archive_verify('orders-000000000000*') LIMIT 1"), want,
            "a frame that the disk does not give is a problem of that frame");
    is_text(ask("SELECT group_concat(kind) FROM archive_verify('orders-000000000000*')"),
            "unreadable,changed", "verification goes on behind it");
    is_text(ask(summary), without_two(2), "and so does archive_salvage");
    ok(contains(ask("SELECT count(*) FROM archive_entries('orders-*')"), "Input/output error"),
       "archive_entries fails with the system's words");
    rbt_files = &rbt_system_files;
    spill_flipped(0, (int64_t[]){-1});
}

static void check_arguments(void) {
    ok(contains(ask("SELECT * FROM archive_salvage"), "archive_salvage: expected a path or glob"),
       "without a path it is an error");
    is_text(ask("SELECT * FROM archive_salvage('nowhere*')"),
            "archive_salvage: no file matches nowhere*", "a glob that matches nothing is an error");
    is_text(ask("SELECT * FROM archive_salvage(NULL)"),
            "archive_salvage: path must be TEXT, not NULL", "a NULL path is an error");
    ok(contains(ask("SELECT * FROM archive_salvage('orders-*', 'x')"),
                "archive_salvage: public key 1 is malformed"),
       "so is a malformed vkey");
    is_text(ask("SELECT sum(lost), count(leaf) FROM (VALUES('orders-000000000000*'), "
                "('orders-000000100001*')) p JOIN archive_salvage(p.column1)"),
            "0|110000", "the path may come from another table");
    ask("CREATE VIEW salvaging AS SELECT * FROM archive_salvage('orders-*')");
    ok(contains(ask("SELECT * FROM salvaging"), "unsafe use of virtual table"),
       "a view of the schema cannot read segments");
}

/* Any bit and any cut of a small segment: every entry is given or accounted for, or all are lost with
** the manifest and nothing is given. */
static void check_every_byte(void) {
    static const char sql[] =
        "SELECT count(problem) > 0 AND CASE WHEN max(problem IS NOT NULL AND lost IS NULL) THEN "
        "count(leaf) = 0 ELSE count(leaf) + sum(lost) = 50 END FROM archive_salvage('small.zst')";
    made small;
    make(&small, 0, 50);
    rbt_buffer bytes = slurp(small.path);
    unlink(small.path);
    int wrong = 0;
    for (size_t at = 0; at < bytes.length; at++) {
        bytes.data[at] ^= (uint8_t)(1 << at % 8);
        spill("small.zst", bytes.data, bytes.length);
        wrong += strcmp(ask(sql), "1") != 0;
        bytes.data[at] ^= (uint8_t)(1 << at % 8);
    }
    is_int(wrong, 0, "whichever byte is changed, every entry is given or accounted for");
    for (size_t length = 0; length < bytes.length; length++) {
        spill("small.zst", bytes.data, length);
        wrong += strcmp(ask(sql), "1") != 0;
    }
    is_int(wrong, 0, "and wherever the file is cut");
    rbt_buffer_free(&bytes);
}

int main(void) {
    plan(31);
    begin_segments(ENTRIES);
    if (!open_segments(&first, &second, CUT, ENTRIES)) return 1;
    learn_frames();
    intact = slurp(first.name);
    check_intact();
    check_bad_frames();
    check_bad_headers();
    check_forged();
    check_bad_sectors();
    check_arguments();
    check_every_byte();
    is_int(sqlite3_close(db), SQLITE_OK, "the database closes");
    rbt_buffer_free(&intact);
    end_segments();
    return done();
}
