/* SPDX-License-Identifier: MIT
** What queries read of segments: which frames are decoded and which manifests are parsed, with and
** without a thread that decodes ahead, and that a lie or damage is found all the same. */
#define XXH_INLINE_ALL
#include "archive/archive_sql.h"
#include "archive/segment_scan.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "segment_fixture.h"
#include <sched.h>
#include <xxhash.h>

enum { ENTRIES = 200000, EACH = 100000, SEGMENTS = ENTRIES / EACH };

static sqlite3 *db;
static rbt_connection *connection;
static made segments[SEGMENTS];
static unsigned long long frames, manifests; /* that the last query read */

/* The first cell of the first row, or the error's message, and counts what was read. */
static const char *ask(const char *sql) {
    static char answer[500];
    sqlite3_stmt *statement = NULL;
    unsigned long long frames_before = rbt_frames_decoded, manifests_before = rbt_manifests_read;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    snprintf(answer, sizeof answer, "%s", text ? text : sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    frames = rbt_frames_decoded - frames_before;
    manifests = rbt_manifests_read - manifests_before;
    return answer;
}

/* EXPLAIN QUERY PLAN's sentence. */
static const char *explain(const char *sql) {
    static char answer[500];
    char *explained = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(db, explained, -1, &statement, NULL);
    sqlite3_step(statement);
    snprintf(answer, sizeof answer, "%s", (const char *)sqlite3_column_text(statement, 3));
    sqlite3_finalize(statement);
    sqlite3_free(explained);
    return answer;
}

static void open_database(void) {
    if (sqlite3_open(":memory:", &db) != SQLITE_OK) abort();
    connection = rbt_connection_new(db);
    connection->segments = store;
    for (const rbt_table *table = rbt_archive_tables; table->name; table++) {
        rbt_connection_retain(connection);
        sqlite3_create_module_v2(db, table->name, table->module, connection,
                                 rbt_connection_release);
    }
    rbt_connection_release(connection);
    sqlite3_exec(db, "CREATE VIRTUAL TABLE temp.cold USING archive('orders*.zst')", NULL, NULL,
                 NULL);
}

static void check_chosen_frames(void) {
    is_text(ask("SELECT count(*) FROM cold WHERE id = 123456"), "1", "an entry is found by its id");
    is_int(frames, 1, "in one frame");
    is_int(manifests, SEGMENTS, "after each segment's manifest was read");
    is_text(ask("SELECT order_id FROM cold WHERE id = 77"), "order-00609763",
            "the next entry is found");
    ok(frames == 1 && manifests == 0, "in one frame, with manifests that are known already");
    is_text(ask("SELECT count(*) FROM cold WHERE recorded_at BETWEEN 1700000130000000 AND "
                "1700000130200000"),
            "201", "a range of times gives its entries");
    is_int(frames, 1, "from one frame");
    is_text(ask("SELECT count(*) FROM cold WHERE recorded_at > 1800000000000000"), "0",
            "a time after all entries gives nothing");
    is_int(frames, 0, "from no frame");
    is_text(ask("SELECT group_concat(id) FROM cold WHERE order_id = 'order-00609763'"), "77",
            "a value of an indexed column is found among many");
    ok(frames >= 1 && frames <= 2, "in the one frame that holds it, or one more by chance");
    is_text(ask("SELECT count(*) FROM cold WHERE order_id = 'nowhere'"), "0",
            "one that is nowhere gives nothing");
    ok(frames <= 1, "from no frame, or one by chance");
    is_text(ask("SELECT id FROM cold ORDER BY id DESC LIMIT 1"), "200000",
            "the newest entry comes first when asked");
    is_int(frames, 1, "from the last frame alone");
    ask("SELECT max(n) FROM (SELECT 1 AS n FROM cold ORDER BY id LIMIT 10)");
    is_int(frames, 1, "LIMIT decodes no frame that it leaves out");
}

static void check_plans(void) {
    ok(strstr(
           explain("SELECT id FROM cold WHERE order_id = 'x' AND id > 5 ORDER BY id DESC LIMIT 3"),
           "frames by order_id=? and id>?, newest first, as far as LIMIT") ||
           strstr(
               explain(
                   "SELECT id FROM cold WHERE order_id = 'x' AND id > 5 ORDER BY id DESC LIMIT 3"),
               "frames by id>? and order_id=?, newest first, as far as LIMIT"),
       "EXPLAIN QUERY PLAN says by what frames are chosen");
    ok(strstr(explain("SELECT id FROM cold WHERE data LIKE 'x'"), "all frames"),
       "and when all are");
}

static const char all[] = "SELECT count(*) || ' ' || sum(id) || ' ' || sum(quantity) || ' ' || "
                          "(SELECT count(DISTINCT order_id) FROM cold) FROM cold";

static void check_full_scans(void) {
    char with_thread[200];
    unsigned long long counted = 0;
    for (int i = 0; i < SEGMENTS; i++) {
        rbt_segment segment = {.file = -1};
        rbt_problems strict = rbt_problems_strict("test", segments[i].path, &no_error);
        rbt_segment_open(&segment, "test", segments[i].path, &strict, &no_error);
        counted += segment.manifest.frame_count;
        rbt_segment_close(&segment);
    }
    ok(counted > 3 * SEGMENTS, "segments have more frames than are decoded without a thread");
    snprintf(with_thread, sizeof with_thread, "%s", ask(all));
    is_int(strncmp(with_thread, "200000 20000100000 ", 19), 0, "a full scan gives every entry");
    is_int(frames, 2 * counted, "and decodes each frame once a scan");
    cpu_set_t before, one;
    int chosen = 0;
    sched_getaffinity(0, sizeof before, &before);
    while (!CPU_ISSET(chosen, &before))
        chosen++;
    CPU_ZERO(&one);
    CPU_SET(chosen, &one);
    sched_setaffinity(0, sizeof one, &one);
    is_text(ask(all), with_thread, "with one processor the answer is the same");
    sched_setaffinity(0, sizeof before, &before);
    is_text(ask("SELECT sum(id = before - 1) FROM (SELECT id, lag(id) OVER () AS before FROM "
                "(SELECT id FROM cold ORDER BY id DESC))"),
            "199999", "backwards, frames and entries keep their order");
}

static int interrupted_scan = -1;

static void scan_after_interrupt(sqlite3_context *context, int count, sqlite3_value **arguments) {
    (void)context, (void)count, (void)arguments;
    rbt_segment_scan *scan;
    rbt_error error = {0};
    const rbt_leaf *leaf;
    const char *line;
    size_t length;
    sqlite3_interrupt(db);
    store->scan_open(&scan, connection, segments[0].path, &signer, 1, NULL, NULL, &shape, 0, NULL,
                     0, false, &error);
    interrupted_scan = store->scan_next(scan, &leaf, &line, &length, &error);
    store->scan_close(scan);
    rbt_error_clear(&error);
}

static void check_interrupt(void) {
    sqlite3_create_function(db, "scan_after_interrupt", 0, SQLITE_UTF8, NULL, scan_after_interrupt,
                            NULL, NULL);
    ask("SELECT scan_after_interrupt()");
    is_int(interrupted_scan, SQLITE_INTERRUPT, "sqlite3_interrupt ends a scan at the next frame");
    is_text(ask("SELECT count(*) FROM cold WHERE id = 5"), "1", "and the next query runs");
}

/* Rows that come before the error, on a connection that knows the file. */
static int64_t rows_before_error(char message[300]) {
    sqlite3_stmt *statement = NULL;
    int64_t rows = 0;
    sqlite3_prepare_v2(db, "SELECT id FROM cold WHERE id <= 100000", -1, &statement, NULL);
    while (sqlite3_step(statement) == SQLITE_ROW)
        rows++;
    snprintf(message, 300, "%s", sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    return rows;
}

static void check_damage(void) {
    char message[300];
    rbt_segment segment = {.file = -1};
    rbt_problems strict = rbt_problems_strict("test", segments[0].path, &no_error);
    rbt_segment_open(&segment, "test", segments[0].path, &strict, &no_error);
    size_t last = segment.manifest.frame_count - 1;
    int64_t offset = segment.manifest.frames[last].offset;
    int64_t first_id = segment.manifest.frames[last].first_id;
    rbt_segment_close(&segment);
    rbt_buffer bytes = slurp(segments[0].path);
    bytes.data[offset + 100] ^= 1;
    spill(segments[0].path, bytes.data, bytes.length);
    is_int(rows_before_error(message), first_id - 1,
           "entries before a changed frame are given, though it was decoded ahead");
    ok(strstr(message, "has other bytes than were signed"), "and then it is told");
    bytes.data[offset + 100] ^= 1;
    bytes.data[bytes.length - 5] ^= 1; /* the seek table's footer */
    spill(segments[0].path, bytes.data, bytes.length);
    ok(strstr(ask("SELECT count(*) FROM cold"), "seek table"),
       "a file that was changed since it was read is read anew");
    bytes.data[bytes.length - 5] ^= 1;
    spill(segments[0].path, bytes.data, bytes.length);
    is_text(ask("SELECT count(*) FROM cold WHERE id = 5"), "1", "restored, it is read again");
    unlink(segments[0].path);
    is_text(ask("SELECT count(*) FROM cold WHERE id = 5"), "0",
            "a file that went away is not answered from memory");
    spill(segments[0].path, bytes.data, bytes.length);
    ask("SELECT count(*) FROM cold WHERE id = 5");
    rbt_buffer vkey = {0};
    rbt_verifier_format(&vkey, &stranger);
    setenv("RUSTYBT_VERIFY_KEYS", rbt_buffer_text(&vkey), 1);
    rbt_buffer_free(&vkey);
    ok(strstr(ask("SELECT count(*) FROM cold WHERE id = 5"), "none of the 1 trusted keys"),
       "nor is a signature believed that other keys have verified");
    rbt_buffer_free(&bytes);
}

/* Empties the filters of a segment and signs it anew. */
static void check_lie(void) {
    rbt_buffer bytes = slurp(segments[1].path);
    char *mark = memmem(bytes.data, bytes.length, "RBTARC01", 8);
    uint8_t *content = (uint8_t *)mark;
    uint32_t manifest_length = rbt_load_u32le(content + 8);
    char *manifest = (char *)content + 12;
    uint8_t *note = content + 16 + manifest_length;
    uint32_t note_length = rbt_load_u32le(note - 4);
    char *filter = memmem(manifest, manifest_length, "\"filters\":{\"order_id\":\"", 23);
    if (!filter) abort();
    for (char *at = filter + 23; *at != '"' && *at != '='; at++)
        *at = 'A';
    uint8_t sha256[32];
    rbt_buffer text = {0}, signed_note = {0};
    rbt_sha256_once(sha256, manifest, manifest_length);
    rbt_segment_note_text(&text, "example.com/audit", segments[1].plan.first_id,
                          segments[1].plan.last_id, sha256);
    rbt_note_sign(&signed_note, (char *)text.data, text.length, &signer, secret, &no_error);
    if (signed_note.length != note_length) abort();
    memcpy(note, signed_note.data, note_length);
    uint8_t *end = note + note_length;
    rbt_store_u64le(end, XXH3_64bits(content, (size_t)(end - content)));
    found f = check_bytes(bytes.data, bytes.length);
    is_int(f.count, 1, "a filter that denies its entries is found, though it is signed");
    is_text(f.kinds, "filter", "as that");
    is_text(f.first, "frame 1: the manifest's filter of order_id does not know its entries",
            "in the frame and the column where it is");
    rbt_buffer_free(&bytes);
    rbt_buffer_free(&text);
    rbt_buffer_free(&signed_note);
}

int main(void) {
    plan(34);
    begin_segments(ENTRIES);
    shape.columns[0].indexed = true;
    for (int i = 0; i < SEGMENTS; i++)
        make(&segments[i], i == 0 ? 0 : (int64_t)i * EACH + 1, (int64_t)(i + 1) * EACH);
    rbt_buffer vkey = {0};
    rbt_verifier_format(&vkey, &signer);
    setenv("RUSTYBT_VERIFY_KEYS", rbt_buffer_text(&vkey), 1);
    rbt_buffer_free(&vkey);
    if (chdir(directory) != 0) return 1;
    open_database();
    check_chosen_frames();
    check_plans();
    check_full_scans();
    check_interrupt();
    check_lie();
    check_damage();
    sqlite3_close(db);
    end_segments();
    return done();
}
