/* SPDX-License-Identifier: MIT
** The log when memory runs out: whichever allocation of a statement fails, once, the answer is
** SQLITE_NOMEM or the right one; afterwards the log verifies, nothing is lost or doubled, nothing leaks,
** and no transaction is open that the caller did not begin. Long sweeps take a sample, by a stride that
** is a prime. */
#include "failing_memory.h"

#include "log_fixture.h"

typedef struct sweep_result {
    long runs, failed, wrong;
} sweep_result;

/* Steps through all statements; the first code that is not OK. */
static int attempt(const char *sql) {
    int code = SQLITE_OK;
    while (*sql && code == SQLITE_OK) {
        sqlite3_stmt *statement = NULL;
        code = sqlite3_prepare_v2(db, sql, -1, &statement, &sql);
        while (statement && (code = sqlite3_step(statement)) == SQLITE_ROW)
            ;
        int finalized = sqlite3_finalize(statement);
        if (code == SQLITE_DONE) code = finalized;
        if (code == SQLITE_OK) continue;
        if (code == SQLITE_ROW || code == SQLITE_DONE) code = SQLITE_OK;
    }
    return code;
}

static void connect_again(void) {
    sqlite3_close(db);
    db = open_log_database("test.db");
}

/* Runs sql with the 1st, 1 + stride'th, … allocation failing until none does. before: SQL that sets the
** scene, or NULL; cold: on a new connection each time; check: SQL that gives 1 when all is well. */
static sweep_result sweep(const char *before, const char *sql, bool cold, int stride,
                          const char *check) {
    sweep_result result = {0};
    for (long at = 1;; at += stride) {
        if (cold) connect_again();
        if (before) must(before);
        failing_memory_at(at);
        int code = attempt(sql);
        bool hit = failing_memory_hit;
        failing_memory_at(0);
        if (!sqlite3_get_autocommit(db)) {
            /* the caller's own transaction is the caller's to end, one of ours must not stay open */
            if (strncmp(sql, "BEGIN", 5) != 0) {
                result.wrong++;
                printf("# allocation %ld: code %d leaves a transaction open\n", at, code);
            }
            run("ROLLBACK");
        }
        result.runs++;
        result.failed += code == SQLITE_NOMEM;
        if (code != SQLITE_NOMEM && code != SQLITE_OK) {
            result.wrong++;
            printf("# allocation %ld: code %d, %s\n", at, code, sqlite3_errmsg(db));
        }
        if (!hit && code != SQLITE_OK) result.wrong++;
        const char *verdict = value(check);
        if (strcmp(verdict, "1") != 0) {
            result.wrong++;
            printf("# allocation %ld, code %d, then: %s\n", at, code, verdict);
        }
        if (!hit || result.wrong > 20) return result;
    }
}

static void report(sweep_result result, const char *name) {
    printf("# %ld runs, %ld of them without memory\n", result.runs, result.failed);
    ok(result.wrong == 0 && result.failed > 0, name);
}

/* The log verifies, holds what its count says, and ids have no gap. */
#define INTACT                                                                                     \
    "SELECT audit_verify('log') IS NOT NULL AND (SELECT count(*) = max(id) AND count(*) = "        \
    "audit_size('log') - 1 FROM log WHERE id > 0)"

#define APPEND "INSERT INTO log(a, n, j) VALUES('text', 1, ' {\"a\" : [1, 2]} ');"

static void test_appends(void) {
    report(sweep(NULL, APPEND, false, 1, INTACT), "an append on a warm connection");
    report(sweep(NULL, APPEND, true, 7, INTACT), "the first append of a connection");
    report(sweep(NULL,
                 "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO "
                 "log(a, n) SELECT 'many', i FROM n",
                 false, 17, INTACT),
           "300 entries in one statement, over a tile of the tree");
    report(sweep(NULL,
                 "BEGIN;" APPEND "SAVEPOINT s;" APPEND APPEND "ROLLBACK TO s;" APPEND
                 "RELEASE s;" APPEND "COMMIT",
                 false, 1, INTACT),
           "a transaction with savepoints");
    report(sweep(NULL, "UPDATE orders SET state = state || 'x'", true, 11, INTACT),
           "appends from a trigger");
}

static void test_reads(void) {
    report(sweep(NULL, "SELECT * FROM log WHERE n BETWEEN 1 AND 3 AND a = 'text' ORDER BY id DESC",
                 true, 11, INTACT),
           "the first query of a connection");
    report(sweep(NULL, "SELECT j, tier FROM log WHERE a IN ('text', 'many') LIMIT 3", false, 1,
                 INTACT),
           "a later query");
    report(sweep(NULL, "SELECT audit_root('log', 3), audit_leaf('log', 2), audit_size('log')",
                 false, 3, INTACT),
           "audit_root, audit_leaf, audit_size");
    report(sweep(NULL, "SELECT audit_error('log', a, n, j) FROM log", false, 1, INTACT),
           "audit_error over many rows");
    report(sweep(NULL, "SELECT * FROM audit_logs", false, 5, INTACT), "audit_logs");
    report(sweep(NULL, "SELECT * FROM audit_verify('log')", true, 23, INTACT),
           "audit_verify as a table");
    report(sweep(NULL, "SELECT audit_verify('*')", false, 11, INTACT),
           "audit_verify as a function");
    report(sweep(NULL, "PRAGMA integrity_check(log)", false, 7, INTACT), "integrity_check");
}

static void test_damaged(void) {
    /* no allocation may turn damage into health */
    must("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'hurt_rows_update'; "
         "PRAGMA writable_schema = RESET");
    connect_again();
    must("UPDATE hurt_rows SET a = 'changed' WHERE id = 2");
    long wrong = 0, runs = 0;
    for (int hit = 1; hit; runs++) {
        failing_memory_at(runs + 1);
        int code = attempt("SELECT audit_verify('hurt')");
        hit = failing_memory_hit;
        failing_memory_at(0);
        if (code == SQLITE_NOMEM || code == SQLITE_CORRUPT_VTAB || code == SQLITE_CORRUPT) continue;
        printf("# allocation %ld: code %d, %s\n", runs + 1, code, sqlite3_errmsg(db));
        wrong++;
    }
    is_int(wrong, 0, "a log that was tampered with is never called intact");
    ok(runs > 100, "by any of many allocations");
}

#define INTACT_IF_THERE(log)                                                                       \
    "SELECT CASE WHEN EXISTS(SELECT 1 FROM sqlite_schema WHERE name LIKE '" log "%') THEN "        \
    "audit_verify('" log "') IS NOT NULL ELSE 1 END"

static void test_life(void) {
    report(sweep("DROP TABLE IF EXISTS fresh",
                 "CREATE VIRTUAL TABLE fresh USING audit_log(a TEXT, j JSON DEFAULT '{}', "
                 "INDEX(a)); DROP TABLE fresh",
                 false, 29, INTACT_IF_THERE("fresh")),
           "creating and dropping a log");
    report(sweep("CREATE VIRTUAL TABLE IF NOT EXISTS gone USING audit_log(a TEXT); INSERT INTO "
                 "gone(a) VALUES('x')",
                 "SELECT audit_discard('gone', 'a test'); DROP TABLE gone", false, 37,
                 INTACT_IF_THERE("rustybt_events")),
           "discarding and dropping one");
}

static void test_settings(void) {
    must("SELECT audit_set('log', 'archive_after', '1 day')"); /* makes rustybt_events */
    report(sweep("SELECT audit_set('log', 'archive_after', '1 day')",
                 "SELECT audit_set('log', 'archive_after', '2 days')", false, 7,
                 "SELECT archive_after IN ('1 day', '2 days') AND audit_verify('rustybt_events') "
                 "IS NOT NULL FROM audit_logs WHERE name = 'log'"),
           "setting an option");
    report(sweep(NULL, "SELECT * FROM audit_logs", false, 7,
                 "SELECT archive_after = '2 days' FROM audit_logs WHERE name = 'log'"),
           "audit_logs with an option set");
    report(sweep("DROP TABLE IF EXISTS grown; CREATE VIRTUAL TABLE grown USING audit_log(a TEXT)",
                 "SELECT audit_set('grown', 'add_column', 'b TEXT CHECK(b <> '''') DEFAULT ''x''')",
                 false, 37,
                 "SELECT audit_verify('grown') IS NOT NULL AND audit_verify('rustybt_events') IS "
                 "NOT NULL"),
           "adding a column");
    must("INSERT INTO grown(a) VALUES('y')");
    report(sweep(NULL, "INSERT INTO grown(a, b) VALUES('z', 'z')", true, 23,
                 "SELECT audit_verify('grown') IS NOT NULL"),
           "an append to a log that was given a column");
}

static void test_archive(void) {
    report(sweep(APPEND, "SELECT audit_archive('log', 'cold', 'now')", false, 89,
                 INTACT
                 " AND NOT EXISTS(SELECT 1 FROM audit_segments('log') WHERE rows IS NULL AND "
                 "status = 'published')"),
           "archiving");
    report(sweep(APPEND "SELECT audit_archive('log', 'cold', 'now')", "SELECT audit_prune('log')",
                 false, 97, INTACT),
           "pruning");
    must("SELECT audit_archive('log', 'cold', 'now'); SELECT audit_prune('log')");
    must(APPEND);
    report(sweep(NULL, "SELECT a, j, tier FROM log WHERE n = 1 AND id < 20 ORDER BY id", true, 17,
                 INTACT),
           "a query over cold and hot");
    report(sweep(NULL, "SELECT audit_leaf('log', 1)", false, 7, INTACT), "a cold leaf");
    report(sweep(NULL, "SELECT count(*) FROM log WHERE a IN ('a', 'b', 'c', 'd', 'e')", false, 7,
                 INTACT),
           "a query with IN");
    report(sweep(NULL, "SELECT * FROM audit_verify('log')", false, 61, INTACT),
           "verifying segments");
    is_int(number("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0,
           "the database is whole");
}

int main(void) {
    plan(30);
    failing_memory_install();
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* small allocations shall fail, too */
    sqlite3_initialize();
    enter_folder();
    sqlite3_int64 before = sqlite3_memory_used();
    db = open_log_database("test.db");
    must("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY");
    must("CREATE VIRTUAL TABLE log USING audit_log(a TEXT NOT NULL CHECK(a <> ''), n INTEGER "
         "DEFAULT "
         "(abs(-7)), j JSON, INDEX(n), INDEX(a, n), archive=cold, salt=on)");
    must("CREATE VIRTUAL TABLE hurt USING audit_log(a TEXT); INSERT INTO hurt(a) VALUES('x'), "
         "('y'), "
         "('z')");
    must("CREATE TABLE orders(id INTEGER PRIMARY KEY, state TEXT); INSERT INTO orders VALUES(1, "
         "'new'), (2, 'new'), (3, 'new'); CREATE TRIGGER orders_log AFTER UPDATE ON orders BEGIN "
         "INSERT INTO log(a, n) VALUES(NEW.state, NEW.id); END");
    must(APPEND APPEND APPEND);
    test_appends();
    test_reads();
    test_life();
    test_settings();
    test_archive();
    test_damaged();
    is_int(sqlite3_close(db), SQLITE_OK, "the connection closes");
    is_int(sqlite3_memory_used(), before, "no memory is left behind");
    leave_folder();
    return done();
}
