/* SPDX-License-Identifier: MIT
** The archive when memory runs out: whichever allocation fails, the answer is SQLITE_NOMEM, nothing is
** published and nothing leaks (run under a leak checker). */
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

/* Runs `run` with the 1st, 2nd, … allocation failing until none does; the number of answers that were
** neither SQLITE_NOMEM nor the right one. */
static int64_t runs;
static int sweep(int (*run)(void)) {
    int wrong = 0;
    bool failed = true;
    for (runs = 0; failed && runs < 100000; runs++) {
        until_failure = runs;
        int code = run();
        failed = until_failure < 0;
        until_failure = -1;
        if (code != SQLITE_OK && code != SQLITE_NOMEM) {
            wrong++;
            printf("# allocation %lld gives %d\n", (long long)runs, code);
        }
        /* one that was not needed may succeed; but none may be the last to fail silently */
        if (!failed && code != SQLITE_OK) wrong++;
    }
    return wrong;
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
    int code = store->scan_open(&scan, small.path, &signer, 1, NULL, NULL, &shape, UINT64_MAX,
                                &term, 1, false, &error);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = store->scan_next(scan, &leaf, &line, &length, &error);
        rows += code == SQLITE_ROW;
    }
    store->scan_close(scan);
    rbt_error_clear(&error);
    if (code != SQLITE_DONE) return code;
    return rows == 50 ? SQLITE_OK : SQLITE_CORRUPT;
}

static int run_sql(const char *sql, const char *want) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        code = text == NULL ? SQLITE_NOMEM : strstr(text, want) ? SQLITE_OK : SQLITE_CORRUPT;
    }
    if (code != SQLITE_OK && code != SQLITE_NOMEM && sqlite3_errcode(db) != SQLITE_OK)
        printf("# %s\n", sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    return code;
}

static int verify_table(void) {
    return run_sql("SELECT kind FROM archive_verify('orders*.zst')", "verified");
}

static int verify_scalar(void) {
    return run_sql("SELECT archive_verify('orders*.zst')", "1 segment of orders");
}

static int show_info(void) {
    return run_sql(
        "SELECT count(*) FROM archive_info('orders-000000000000-000000000050.jsonl.zst')", "2");
}

static int read_entries(void) {
    return run_sql("SELECT count(*) FROM archive_entries('orders*.zst')", "50");
}

static int read_table(void) {
    return run_sql("SELECT count(*) FROM cold WHERE venue = 'binance' AND id > 0 ORDER BY id",
                   "50");
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
    plan(10);
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real);
    sqlite3_mem_methods failing = real;
    failing.xMalloc = failing_malloc;
    failing.xRealloc = failing_realloc;
    until_failure = -1;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
    sqlite3_initialize();
    begin_segments(50);
    make(&small, 0, 50);

    is_int(sweep(write_small), 0, "writing answers NOMEM whichever allocation fails");
    ok(runs > 30, "of many");
    is_int(count_files(".tmp"), 0, "and leaves no temporary");
    is_int(sweep(verify_small), 0, "verifying answers NOMEM whichever allocation fails");
    is_int(sweep(scan_small), 0, "scanning answers NOMEM whichever allocation fails");

    rbt_buffer vkey = {0};
    rbt_verifier_format(&vkey, &signer);
    setenv("RUSTYBT_VERIFY_KEYS", rbt_buffer_text(&vkey), 1);
    rbt_buffer_free(&vkey);
    if (chdir(directory) != 0 || sqlite3_open(":memory:", &db) != SQLITE_OK) return 1;
    register_archive();
    sqlite3_exec(db, "CREATE VIRTUAL TABLE temp.cold USING archive('orders*.zst')", NULL, NULL,
                 NULL);
    is_int(sweep(verify_table), 0, "the table archive_verify answers NOMEM");
    is_int(sweep(verify_scalar), 0, "the scalar archive_verify answers NOMEM");
    is_int(sweep(show_info), 0, "archive_info answers NOMEM");
    is_int(sweep(read_entries), 0, "archive_entries answers NOMEM");
    is_int(sweep(read_table), 0, "the module archive answers NOMEM");
    sqlite3_close(db);
    end_segments();
    return done();
}
