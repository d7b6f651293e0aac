/* SPDX-License-Identifier: MIT
** Segments: what is written comes back through `zstd -dc`, whatever is changed in the file is found, and
** nothing half-written is ever published. */
#define XXH_INLINE_ALL
#include "segment_fixture.h"

#include "archive/manifest.h"
#include "archive/seek_table.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include <errno.h>
#include <xxhash.h>

enum { ENTRIES = 300000, CUT = 200000 };

/* ---- Checks ---- */

static void check_names(void) {
    rbt_buffer name = {0};
    store->name(&name, ".a/b ü", 1, 256);
    is_text(rbt_buffer_text(&name), "%2Ea%2Fb%20%C3%BC-000000000001-000000000256.jsonl.zst",
            "bytes that file names should not have are written %XX");
    rbt_buffer_free(&name);
}

/* Columns that were added to the log: what a manifest says of them, and what none may say. */
static void check_since(const rbt_segment_plan *plan, const rbt_manifest_facts *facts,
                        rbt_leaf_shape *columns) {
    static const char *const wrong[] = {"0", "4", "-9", "5.5", "\"5\"", "null", "true"};
    rbt_buffer out = {0};
    rbt_manifest parsed = {0};
    rbt_error error = {0};
    rbt_leaf_shape_add(columns, "b", 1, RBT_COLUMN_TEXT, &no_error);
    rbt_leaf_shape_add(columns, "c", 1, RBT_COLUMN_REAL, &no_error);
    columns->columns[1].since = 5;
    columns->columns[2].since = 7;
    rbt_manifest_write(&out, plan, facts);
    char *text = rbt_buffer_text(&out);
    ok(strstr(text,
              "{\"name\":\"b\",\"type\":\"TEXT\",\"since\":5},{\"name\":\"c\",\"type\":\"REAL\","
              "\"since\":7}]"),
       "a manifest says since which id a column is there");
    ok(rbt_manifest_parse(&parsed, text, strlen(text), &error) == SQLITE_OK &&
           parsed.shape.columns[0].since == 0 && parsed.shape.columns[1].since == 5 &&
           parsed.shape.columns[2].since == 7,
       "and is read back");
    rbt_manifest_free(&parsed);
    const char *number = strstr(text, "7}]");
    int refused = 0;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *changed =
            sqlite3_mprintf("%.*s%s%s", (int)(number - text), text, wrong[i], number + 1);
        refused += rbt_manifest_parse(&parsed, changed, strlen(changed), &error) == SQLITE_ERROR;
        rbt_manifest_free(&parsed);
        rbt_error_clear(&error);
        sqlite3_free(changed);
    }
    is_int(refused, 7, "one that falls, or is no id, is refused");
    rbt_buffer_free(&out);
}

static void check_zstd_gives_lines_back(const made *m) {
    char command[300];
    snprintf(command, sizeof command, "zstd -dc '%s'", m->path);
    FILE *pipe = popen(command, "r");
    rbt_buffer line = {0};
    char got[1000];
    int same = pipe != NULL;
    for (int64_t id = m->plan.first_id; same && id <= m->plan.last_id; id++) {
        make_line(&line, id);
        same = fgets(got, sizeof got, pipe) && strlen(got) == line.length + 1 &&
               got[line.length] == '\n' && memcmp(got, line.data, line.length) == 0;
    }
    ok(same && fgetc(pipe) == EOF, "zstd -dc gives back the genesis and all lines");
    is_int(pclose(pipe), 0, "and is content with the file");
    rbt_buffer_free(&line);
}

static void check_golden_manifest(void) {
    static const rbt_manifest_frame frame = {.offset = 0,
                                             .size = 99,
                                             .raw = 120,
                                             .rows = 2,
                                             .first_id = 0,
                                             .last_id = 1,
                                             .xxh3 = 0x0123456789abcdef,
                                             .zones_length = 33};
    static const char zones[] = "{\"recorded_at\":{\"min\":1,\"max\":1}}";
    rbt_leaf_shape small = {.salted = true};
    rbt_frontier before = {0};
    rbt_proof proof = {.count = 1};
    rbt_buffer zone_text = {0}, out = {0};
    rbt_segment_plan plan = {.log = "o\"1",
                             .origin = "example.com/audit",
                             .shape = &small,
                             .first_id = 0,
                             .last_id = 1,
                             .before = &before,
                             .genesis = "{\"id\":0}",
                             .genesis_proof = &proof,
                             .checkpoint = "note\n",
                             .retain_until_us = 5,
                             .signer = signer};
    rbt_manifest_facts facts = {.first_recorded_at = 1,
                                .last_recorded_at = 1,
                                .rows = 2,
                                .raw_bytes = 120,
                                .data_bytes = 99,
                                .frames = &frame,
                                .frame_count = 1,
                                .zones = &zone_text};
    rbt_leaf_shape_add(&small, "a", 1, RBT_COLUMN_JSON, &no_error);
    rbt_buffer_add(&zone_text, zones, strlen(zones));
    rbt_manifest_write(&out, &plan, &facts);
#define NO_HASH "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\""
    is_text(rbt_buffer_text(&out),
            "{\"format\":\"rustybt-segment-v1\",\"log\":\"o\\\"1\",\"log_id\":"
            "\"00000000000000000000000000000000\",\"origin\":\"example.com/audit\",\"columns\":"
            "[{\"name\":\"a\",\"type\":\"JSON\"}],\"salted\":true,\"first_id\":0,\"last_id\":1,"
            "\"first_recorded_at\":1,\"last_recorded_at\":1,\"rows\":2,\"raw_bytes\":120,"
            "\"data_bytes\":99,\"frontier_before\":[],\"root_before\":" NO_HASH
            ",\"root_after\":" NO_HASH ",\"genesis\":\"{\\\"id\\\":0}\",\"genesis_proof\":[" NO_HASH
            "],\"checkpoint\":\"note\\n\",\"data_sha256\":" NO_HASH
            ",\"previous_manifest_sha256\":null,\"signer_key_id\":\"29b87bfc\",\"retain_until\":5,"
            "\"frames\":[{\"offset\":0,\"size\":99,\"raw\":120,\"rows\":2,\"first_id\":0,"
            "\"last_id\":1,\"xxh3\":\"0123456789abcdef\",\"sha256\":" NO_HASH
            ",\"zones\":{\"recorded_at\":{\"min\":1,\"max\":1}}}]}",
            "a manifest has its members in the documented order and form");
    rbt_manifest parsed = {0};
    rbt_error error = {0};
    ok(rbt_manifest_parse(&parsed, (char *)out.data, out.length, &error) == SQLITE_OK &&
           parsed.rows == 2 && parsed.shape.salted && parsed.retain_until_us == 5 &&
           strcmp(parsed.log, "o\"1") == 0,
       "and parses back");
    rbt_manifest_free(&parsed);
    int crashed = 0;
    for (size_t length = 0; length < out.length; length++) {
        char *exact = malloc(length ? length : 1);
        memcpy(exact, out.data, length);
        crashed += rbt_manifest_parse(&parsed, exact, length, &error) == SQLITE_OK;
        rbt_manifest_free(&parsed);
        rbt_error_clear(&error);
        free(exact);
    }
    is_int(crashed, 0, "a manifest cut short never parses");
    check_since(&plan, &facts, &small);
    rbt_buffer_clear(&out);
    uint8_t sha256[32];
    rbt_sha256_once(sha256, "{}", 2);
    rbt_segment_note_text(&out, "example.com/audit", 0, 255, sha256);
    rbt_buffer note = {0};
    rbt_note_sign(&note, (char *)out.data, out.length, &signer, secret, &no_error);
    is_text(
        rbt_buffer_text(&note),
        "rustybt-segment-v1\norigin example.com/audit\nids 0 255\nmanifest "
        "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=\n\n\u2014 example.com/audit "
        "Kbh7/K4h7gygK5YtELiI10djvKhqbYR52h2GcCBfATVnP4GZfeymhchJGzvMq48mhd8LJSMiSCH+JK56N7jzBX1"
        "xhAE=\n",
        "the signed note is the published vector");
    rbt_buffer_free(&note);
    rbt_buffer_free(&zone_text);
    rbt_buffer_free(&out);
    rbt_leaf_shape_free(&small);
}

/* A file written by the first version of the format must stay readable for ever. */
static void check_golden_file(const made *small) {
    static const char path[] = "tests/golden/segment-v1.jsonl.zst";
    made golden = *small;
    snprintf(golden.path, sizeof golden.path, "%s", path);
    found f = check_with(path, &signer, 1);
    is_int(f.count, 0, "the golden segment is intact");
    if (f.count) printf("# %s\n", f.first);
    rbt_segment_summary summary;
    int64_t problems;
    store->verify(path, &signer, 1, note_problem, &f, &summary, &problems, &no_error);
    is_bytes(&summary.root_after, &small->root, 32, "and leads to the same root as ever");
    char digest[65];
    rbt_hex_encode(digest, summary.manifest_sha256, 32);
    is_text(digest, "a9493e861bc88ee4127f616ff493f2f40cf5912844c165374e1aa321e3b656ac",
            "its manifest is read byte for byte");
}

/* Every byte and every length of a small segment. */
static void check_every_byte(const made *small) {
    rbt_buffer bytes = slurp(small->path);
    int64_t unnoticed = 0, cut_unnoticed = 0;
    found f = {0};
    for (size_t at = 0; at < bytes.length; at++) {
        bytes.data[at] ^= 0x04;
        f = check_bytes(bytes.data, bytes.length);
        if (f.count == 0) printf("# byte %zu of %zu\n", at, bytes.length);
        unnoticed += f.count == 0;
        bytes.data[at] ^= 0x04;
    }
    is_int(unnoticed, 0, "whichever byte is changed, verification finds a problem");
    for (size_t length = 0; length < bytes.length; length++)
        cut_unnoticed += check_bytes(bytes.data, length).count == 0;
    is_int(cut_unnoticed, 0, "wherever the file is cut, verification finds a problem");
    is_text(check_bytes(bytes.data, 0).first, "the file is empty", "an empty file is called empty");
    rbt_buffer_add(&bytes, "more", 4);
    f = check_bytes(bytes.data, bytes.length);
    ok(f.count == 1 && strncmp(f.first, "4 bytes follow the seek table", 29) == 0,
       "bytes after the seek table are found and nothing else is");
    rbt_buffer_free(&bytes);
}

static void check_regions(const made *big, const made *other) {
    rbt_buffer bytes = slurp(big->path);
    rbt_buffer foreign = slurp(other->path);
    uint32_t frames = rbt_load_u32le(bytes.data + bytes.length - 9) - 1;
    size_t table = bytes.length - 17 - 12 * (frames + 1);
    const uint8_t *entries = bytes.data + table + 8;
    size_t manifest = table - rbt_load_u32le(entries + 12 * frames);
    size_t first_size = rbt_load_u32le(entries);
    size_t second_size = rbt_load_u32le(entries + 12);
    ok(frames >= 5, "the big segment has many frames");

    found f = check_bytes(bytes.data, first_size + 1000);
    is_text(f.kinds, "truncated", "a file cut inside a frame is truncated");
    char want[200];
    snprintf(
        want, sizeof want,
        "the file is cut inside frame 2, which begins at byte %zu; manifest and seek table are "
        "missing",
        first_size);
    is_text(f.first, want, "and the sentence names frame and byte");
    f = check_bytes(bytes.data, first_size + second_size);
    is_text(f.first, "the file is cut at a frame boundary, after frame 2; the manifest is missing",
            "a file cut at a frame boundary is told apart");
    f = check_bytes(bytes.data, table);
    is_text(f.first, "the seek table is missing; the file ends after the manifest",
            "a missing seek table is told apart, and the rest is still checked");
    is_text(f.kinds, "seek_table", "with no other problem");
    f = check_bytes(bytes.data, table + 20);
    is_text(f.kinds, "truncated", "a file cut inside the seek table is truncated");

    bytes.data[table + 8 + 12 + 8] ^= 1;
    f = check_bytes(bytes.data, bytes.length);
    is_text(f.first, "frame 2: the seek table has a wrong checksum",
            "a changed checksum in the seek table is found");
    bytes.data[table + 8 + 12 + 8] ^= 1;

    bytes.data[first_size / 2] ^= 1;
    bytes.data[first_size + second_size / 2] ^= 1;
    f = check_bytes(bytes.data, bytes.length);
    is_int(f.count, 2, "two damaged frames give two problems");
    is_text(f.kinds, "changed", "of the same kind");
    ok(strncmp(f.first, "frame 1 (entries 0 to ", 22) == 0, "named with their entries");
    bytes.data[first_size / 2] ^= 1;
    bytes.data[first_size + second_size / 2] ^= 1;

    bytes.data[manifest + 50] ^= 1;
    f = check_bytes(bytes.data, bytes.length);
    is_text(f.first, "the manifest is damaged: its bytes have changed (XXH3)",
            "a changed manifest is found");
    bytes.data[manifest + 50] ^= 1;

    /* The other segment's data under this one's manifest, the seek table made to fit. */
    uint32_t other_frames = rbt_load_u32le(foreign.data + foreign.length - 9) - 1;
    size_t other_table = foreign.length - 17 - 12 * (other_frames + 1);
    size_t other_manifest =
        other_table - rbt_load_u32le(foreign.data + other_table + 8 + 12 * other_frames);
    rbt_buffer swapped = {0};
    rbt_buffer_add(&swapped, foreign.data, other_manifest);
    rbt_buffer_add(&swapped, bytes.data + manifest, table - manifest);
    rbt_seek_entry entry[64];
    for (uint32_t i = 0; i < other_frames; i++) {
        const uint8_t *at = foreign.data + other_table + 8 + 12 * i;
        entry[i] =
            (rbt_seek_entry){rbt_load_u32le(at), rbt_load_u32le(at + 4), rbt_load_u32le(at + 8)};
    }
    entry[other_frames] =
        (rbt_seek_entry){(uint32_t)(table - manifest), 0, RBT_SEEK_EMPTY_CHECKSUM};
    rbt_seek_table_write(&swapped, entry, other_frames + 1);
    f = check_bytes(swapped.data, swapped.length);
    ok(strstr(f.kinds, "seek_table") && strstr(f.kinds, "manifest") && strstr(f.kinds, "changed"),
       "a foreign manifest fits neither table, file nor frames");

    /* A changed manifest whose XXH3 was made to fit: only the note tells. */
    char *log = memmem(bytes.data + manifest, table - manifest, "\"orders\"", 8);
    log[1] = 'O';
    rbt_store_u64le(bytes.data + table - 8,
                    XXH3_64bits(bytes.data + manifest + 8, table - manifest - 16));
    f = check_bytes(bytes.data, bytes.length);
    is_text(f.kinds, "signature", "a rewritten manifest is not the one that was signed");
    rbt_buffer_free(&swapped);
    rbt_buffer_free(&foreign);
    rbt_buffer_free(&bytes);
}

static void check_trust(const made *m) {
    is_text(check_with(m->path, NULL, 0).kinds, "untrusted", "without a key nothing is trusted");
    is_text(check_with(m->path, &stranger, 1).kinds, "untrusted", "nor with another key");
    rbt_verifier renamed;
    rbt_verifier_make(&renamed, "example.com/other", signer.public_key);
    is_text(check_with(m->path, &renamed, 1).kinds, "untrusted",
            "nor with the right key under another name");
}

/* ---- The protocol ---- */

static rbt_file_operations faulty;
static int failing_fsync(int file) {
    (void)file;
    errno = EIO;
    return -1;
}
static int64_t writable;
static ssize_t failing_write(int file, const void *bytes, size_t length) {
    writable -= (int64_t)length;
    if (writable > 0) return rbt_system_files.write(file, bytes, length);
    errno = ENOSPC;
    return -1;
}

static void check_protocol(const made *small) {
    made again = {0};
    source s = {0};
    prepare(&again, 0, 50);
    char temporary[300];
    snprintf(temporary, sizeof temporary, "%s/.%s.0123456789abcdef.tmp", directory, again.name);
    spill(temporary, "half", 4);
    is_int(write_from(&again, &s), SQLITE_OK,
           "a finished segment that is there already is adopted");
    ok(memcmp(again.summary.manifest_sha256, small->summary.manifest_sha256, 32) == 0,
       "as it is, byte for byte");
    is_int(count_files(".tmp"), 0, "and a dead run's temporary is gone");

    rbt_buffer bytes = slurp(small->path);
    spill(small->path, "not a segment", 13);
    s = (source){0};
    is_int(write_from(&again, &s), SQLITE_ERROR, "any other file of that name is an error");
    ok(strstr(again.error.message, small->path) && strstr(again.error.message, "move it away"),
       "that names the file");
    spill(small->path, bytes.data, bytes.length);
    rbt_buffer_free(&bytes);

    made next = {0};
    prepare(&next, 51, 99);
    s = (source){.wrong_id = 60};
    is_int(write_from(&next, &s), SQLITE_CORRUPT_VTAB, "a changed entry is not archived");
    ok(strstr(next.error.message, "do not lead to the log's root"), "the root tells");
    s = (source){.skip_id = 60};
    is_int(write_from(&next, &s), SQLITE_CORRUPT_VTAB, "nor a gap");
    is_text(next.error.message, "audit_archive: entry 60 of orders came as id 61",
            "which is named");
    s = (source){.last = 90};
    is_int(write_from(&next, &s), SQLITE_CORRUPT_VTAB, "nor too few entries");
    s = (source){.last = 120};
    is_int(write_from(&next, &s), SQLITE_CORRUPT_VTAB, "nor too many");

    faulty = rbt_system_files;
    faulty.fsync = failing_fsync;
    rbt_files = &faulty;
    s = (source){0};
    ok(write_from(&next, &s) != SQLITE_OK, "a failing fsync fails the run");
    faulty = rbt_system_files;
    faulty.write = failing_write;
    int failures = 0, runs = 0;
    for (writable = 1; writable < 4000; runs++) {
        int64_t room = writable;
        s = (source){0};
        failures += write_from(&next, &s) != SQLITE_OK;
        writable = room + 500;
    }
    rbt_files = &rbt_system_files;
    ok(failures >= 1, "a full disk fails the run");
    is_int(count_files(".tmp"), 0, "no run leaves a temporary behind");
    unlink(next.path);
    s = (source){0};
    is_int(write_from(&next, &s), SQLITE_OK, "and afterwards the segment can be written");
    is_int(check_with(next.path, &signer, 1).count, 0, "and is intact");
    rbt_error_clear(&next.error);
    rbt_error_clear(&again.error);
}

int main(void) {
    plan(56);
    begin_segments(ENTRIES);
    made big, second, small;
    check_names();
    check_golden_manifest();
    make(&big, 0, CUT);
    is_int(big.code, SQLITE_OK, "a segment of 200,000 entries is written");
    if (big.error.message) printf("# %s\n", big.error.message);
    make(&second, CUT + 1, ENTRIES);
    is_int(second.code, SQLITE_OK, "and one of 100,000 more");
    make(&small, 0, 50);
    is_int(small.code, SQLITE_OK, "and a small one");
    is_int(check_with(big.path, &signer, 1).count, 0, "the first is intact");
    is_int(check_with(second.path, &signer, 1).count, 0, "the second is intact");
    ok(rbt_hash_equal(&big.summary.root_after, &second.summary.root_before),
       "the second begins where the first ends");
    check_zstd_gives_lines_back(&big);
    check_trust(&big);
    check_golden_file(&small);
    check_every_byte(&small);
    check_regions(&big, &second);
    check_protocol(&small);
    end_segments();
    return done();
}
