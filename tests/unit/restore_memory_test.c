/* SPDX-License-Identifier: MIT
** audit_restore when memory runs out: whichever allocation fails, the log is there whole or not at all, and
** nothing leaks (run under a leak checker). */
#include "failing_memory.h"

#include "log_fixture.h"

static int attempt(const char *sql) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    while (statement && (code = sqlite3_step(statement)) == SQLITE_ROW)
        ;
    int finalized = sqlite3_finalize(statement);
    return code == SQLITE_DONE ? finalized : code;
}

/* Two segments, of which the second has a column more and carries a checkpoint. */
static void make_segments(void) {
    db = open_log_database("base.db");
    must("CREATE VIRTUAL TABLE log USING audit_log(a TEXT NOT NULL, archive='cold', salt=yes)");
    must("WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO log(a) "
         "SELECT 'entry' FROM n");
    must("SELECT audit_archive('log', 'cold', 'now')");
    must("SELECT audit_checkpoint('log')");
    must("SELECT audit_set('log', 'add_column', 'b INTEGER')");
    must("INSERT INTO log(a, b) VALUES('later', 1)");
    must("SELECT audit_archive('log', 'cold', 'now')");
    sqlite3_close(db);
}

int main(void) {
    long runs = 0, failed = 0, refused = 0, restored = 0, wrong = 0, step = 1;
    bool hit = true;
    plan(4);
    if (failing_memory_install() != SQLITE_OK) return 1;
    enter_folder();
    make_segments();
    long long before = sqlite3_memory_used();
    for (long at = 1; hit && wrong < 10; at += step) {
        unlink("test.db");
        unlink("test.db-journal");
        db = open_log_database("test.db");
        failing_memory_at(at);
        int code = attempt("SELECT audit_restore('log', 'cold/log-*.zst')");
        hit = failing_memory_hit;
        failing_memory_at(0);
        bool open = !sqlite3_get_autocommit(db);
        long long logs = number("SELECT count(*) FROM sqlite_schema WHERE name = 'log'");
        bool whole = logs == 1 && strstr(value("SELECT audit_verify('log')"), "301 entries");
        runs++;
        failed += code == SQLITE_NOMEM;
        refused += code != SQLITE_OK && code != SQLITE_NOMEM;
        restored += whole;
        if (open || (logs == 1 && !whole) || (code == SQLITE_OK && !whole)) {
            wrong++;
            printf("# allocation %ld: code %d, %lld logs, %s\n", at, code, logs,
                   open ? "a transaction is open" : "");
        }
        sqlite3_close(db);
        step = at < 200 ? 7 : 41;
    }
    printf("# %ld runs, %ld without memory, %ld refused otherwise\n", runs, failed, refused);
    ok(wrong == 0 && failed > 20, "whatever fails, all of the log is there or nothing");
    ok(restored > 0, "and with memory it is restored");
    /* rbt_note_verify and rbt_note_split answer no then, and the segment counts as untrusted */
    ok(refused <= 10, "nearly every failure says that memory ran out");
    is_int(sqlite3_memory_used(), before, "no memory is left behind");
    leave_folder();
    return done();
}
