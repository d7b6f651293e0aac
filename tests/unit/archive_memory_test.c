/* SPDX-License-Identifier: MIT
** The archive when memory runs out: whichever allocation fails, the answer is an error and never a wrong
** result, nothing is published and nothing leaks (run under a leak checker). The error is SQLITE_NOMEM,
** but for the few allocations of a signature's check: rbt_note_verify and rbt_note_split answer no or
** malformed then, so the segment counts as untrusted. */
#include "segment_fixture.h"

#include "archive/archive_sql.h"
#include "base/connection.h"

static sqlite3_mem_methods real;
static int64_t until_failure; /* allocations that still succeed; negative: all do */

static bool must_fail(void) {
    return until_failure >= 0 && until_failure-- == 0;
}

static void *failing_malloc(int size) {
    return must_fail() ? NULL : real.xMalloc(size);
}

static void *failing_realloc(void *memory, int size) {
    return must_fail() ? NULL : real.xRealloc(memory, size);
}

enum { WRONG = SQLITE_MISMATCH, PER_SIGNATURE = 4 };

/* Runs `run` with the 1st, 2nd, … allocation failing until none does. How many answers were wrong: a
** result that is not the right one, a failure without cause, or, beyond PER_SIGNATURE of them for each
** signature that is checked, an error other than SQLITE_NOMEM. */
static int64_t runs;
static int sweep(int (*run)(void), int signatures) {
    int wrong = 0, others = 0;
    bool failed = true;
    for (runs = 0; failed && runs < 100000; runs++) {
        until_failure = runs;
        int code = run();
        failed = until_failure < 0;
        until_failure = -1;
        others += code != SQLITE_OK && code != SQLITE_NOMEM;
        wrong += code == WRONG || (!failed && code != SQLITE_OK);
        if (code != SQLITE_OK && code != SQLITE_NOMEM)
            printf("# allocation %lld gives %d\n", (long long)runs, code);
    }
    return wrong + (others > PER_SIGNATURE * signatures ? others : 0);
}

static made small;
static sqlite3 *db;

/* The test's own memory does not fail. */
static int next_line_surely(void *context, const char **line, size_t *length, rbt_error *error) {
    int64_t kept = until_failure;
    until_failure = -1;
    int code = next_line(context, line, length, error);
    until_failure = kept;
    return code;
}

static int write_small(void) {
    source s = {.next = 0, .last = 50};
    unlink(small.path);
    rbt_error_clear(&small.error);
    int code =
        store->write(&small.plan, &small.root, next_line_surely, &s, &small.summary, &small.error);
    rbt_buffer_free(&s.line);
    return code;
}

static void ignore(void *context, const char *kind, int64_t id, const char *detail) {
    (void)context, (void)kind, (void)id, (void)detail;
}

static int verify_small(void) {
    rbt_error error = {0};
    rbt_segment_summary summary;
    int64_t problems;
    int code = store->verify(small.path, &signer, 1, ignore, NULL, &summary, &problems, &error);
    if (code == SQLITE_OK && problems > 0) code = SQLITE_CORRUPT;
    rbt_error_clear(&error);
    return code;
}

static int scan_small(void) {
    rbt_zone_term term = {
        1, RBT_EQ, {.kind = RBT_TEXT, .data = (const uint8_t *)"binance", .length = 7}};
    rbt_error error = {0};
    rbt_segment_scan *scan;
    const rbt_leaf *leaf;
    const char *line;
    size_t length;
    int64_t rows = 0;
    int code = store->scan_open(&scan, NULL, small.path, &signer, 1, NULL, NULL, &shape, UINT64_MAX,
                                &term, 1, false, &error);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = store->scan_next(scan, &leaf, &line, &length, &error);
        rows += code == SQLITE_ROW;
    }
    store->scan_close(scan);
    rbt_error_clear(&error);
    if (code != SQLITE_DONE) return code;
    return rows == 50 ? SQLITE_OK : WRONG;
}

/* Whether the first cell has `want` in it; `refusal`, which may be NULL, is the one other answer that is
** an error told as a row. */
static int run_sql(const char *sql, const char *want, const char *refusal) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (text == NULL)
            code = SQLITE_NOMEM;
        else if (strstr(text, want))
            code = SQLITE_OK;
        else
            code = refusal && strcmp(text, refusal) == 0 ? SQLITE_CORRUPT : WRONG;
    }
    sqlite3_finalize(statement);
    return code;
}

static int verify_table(void) {
    return run_sql("SELECT CASE WHEN kind IN ('untrusted', 'signature') THEN 'refused' ELSE kind "
                   "END FROM archive_verify('orders*.zst')",
                   "verified", "refused");
}

static int verify_scalar(void) {
    return run_sql("SELECT archive_verify('orders*.zst')", "1 segment of orders", NULL);
}

static int show_info(void) {
    return run_sql("SELECT ifnull(max(value) FILTER (WHERE key = 'verified_by'), 'refused') FROM "
                   "archive_info('orders-000000000000-000000000050.jsonl.zst')",
                   "example.com/audit+29b87bfc+", "refused");
}

static int read_entries(void) {
    return run_sql("SELECT 'all ' || count(*) FROM archive_entries('orders*.zst')", "all 50", NULL);
}

static int read_salvage(void) {
    return run_sql("SELECT 'all ' || count(leaf) || ' ' || count(problem) FROM "
                   "archive_salvage('orders*.zst')",
                   "all 50 0", "all 0 1");
}

/* The file's first frame is damaged, and its seek table. */
static int read_losses(void) {
    return run_sql(
        "SELECT 'lost ' || sum(lost) || ' ' || count(leaf) || ' ' || count(problem) FROM "
        "archive_salvage('damaged.zst')",
        "lost 50 0 2", NULL);
}

static int read_table(void) {
    return run_sql("SELECT 'all ' || count(*) FROM cold WHERE venue = 'binance' AND id > 0",
                   "all 50", NULL);
}

static void register_archive(void) {
    rbt_connection *connection = rbt_connection_new(db);
    connection->segments = store;
    for (const rbt_function *function = rbt_archive_functions; function->name; function++)
        sqlite3_create_function_v2(db, function->name, 1, function->flags, connection,
                                   function->call, NULL, NULL, NULL);
    for (const rbt_table *table = rbt_archive_tables; table->name; table++) {
        rbt_connection_retain(connection);
        sqlite3_create_module_v2(db, table->name, table->module, connection,
                                 rbt_connection_release);
    }
    rbt_connection_release(connection);
}

int main(void) {
    plan(12);
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real);
    sqlite3_mem_methods failing = real;
    failing.xMalloc = failing_malloc;
    failing.xRealloc = failing_realloc;
    until_failure = -1;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
    sqlite3_initialize();
    begin_segments(50);
    make(&small, 0, 50);

    is_int(sweep(write_small, 1), 0, "writing fails cleanly whichever allocation fails");
    ok(runs > 30, "of many");
    is_int(count_files(".tmp"), 0, "and leaves no temporary");
    is_int(sweep(verify_small, 1), 0,
           "verifying never passes or crashes whichever allocation fails");
    is_int(sweep(scan_small, 1), 0, "scanning never loses a row whichever allocation fails");

    rbt_buffer vkey = {0};
    rbt_verifier_format(&vkey, &signer);
    setenv("RUSTYBT_VERIFY_KEYS", rbt_buffer_text(&vkey), 1);
    rbt_buffer_free(&vkey);
    if (chdir(directory) != 0 || sqlite3_open(":memory:", &db) != SQLITE_OK) return 1;
    register_archive();
    sqlite3_exec(db, "CREATE VIRTUAL TABLE temp.cold USING archive('orders*.zst')", NULL, NULL,
                 NULL);
    is_int(sweep(verify_table, 1), 0, "the table archive_verify fails cleanly");
    is_int(sweep(verify_scalar, 1), 0, "the scalar archive_verify fails cleanly");
    is_int(sweep(show_info, 1), 0, "archive_info fails cleanly");
    is_int(sweep(read_entries, 2), 0, "archive_entries fails cleanly and loses no row");
    is_int(sweep(read_salvage, 1), 0, "archive_salvage fails cleanly and loses no row");
    rbt_buffer bytes = slurp(small.name);
    bytes.data[0] ^= 1;
    bytes.data[bytes.length - 1] ^= 1;
    spill("damaged.zst", bytes.data, bytes.length);
    rbt_buffer_free(&bytes);
    is_int(sweep(read_losses, 1), 0, "nor a row of what is lost");
    is_int(sweep(read_table, 2), 0, "the module archive fails cleanly and loses no row");
    sqlite3_close(db);
    end_segments();
    return done();
}
