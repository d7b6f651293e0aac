/* SPDX-License-Identifier: MIT
** What a program can do to a log through SQLite's C interface, refused or at least detected: blob handles,
** switched-off triggers, a function of our name, authorizers, interrupts, a full database; and that
** connections close whatever was done before. */
#include "log_fixture.h"

#define APPEND "INSERT INTO log(a, n, r, b, j) VALUES('text', 1, 1.5, x'00', '{}');"

static int denied_call, calls, answer;

static int authorizer(void *context, int action, const char *a, const char *b, const char *c,
                      const char *d) {
    (void)context, (void)action, (void)a, (void)b, (void)c, (void)d;
    calls++;
    return denied_call == 0 || calls == denied_call ? answer : SQLITE_OK;
}

static void connect_again(void) {
    if (sqlite3_close(db) != SQLITE_OK) bail("close");
    db = open_log_database("test.db");
}

static const char *verdict(void) {
    return value("SELECT group_concat(DISTINCT kind) FROM (SELECT kind FROM audit_verify('log') "
                 "ORDER BY kind)");
}

static void test_blobs(void) {
    static const char *const columns[] = {"id", "recorded_at", "a", "n", "r", "b", "j", "salt"};
    int refused = 0, readable = 0;
    for (int i = 0; i < 8; i++) {
        sqlite3_blob *blob = NULL;
        refused += sqlite3_blob_open(db, "main", "log_rows", columns[i], 1, 1, &blob) != SQLITE_OK;
        sqlite3_blob_close(blob);
    }
    is_int(refused, 8, "no column of the rows opens for sqlite3_blob_write");
    for (int i = 0; i < 8; i++) {
        sqlite3_blob *blob = NULL;
        readable += sqlite3_blob_open(db, "main", "log_rows", columns[i], 1, 0, &blob) == SQLITE_OK;
        sqlite3_blob_close(blob);
    }
    is_int(readable, 4, "those of text and blobs open for reading");
    is_text(verdict(), "verified", "the log is as it was");
    sqlite3_blob *blob = NULL;
    must("BEGIN");
    if (sqlite3_blob_open(db, "main", "log_tree", "hashes", 1, 1, &blob) == SQLITE_OK)
        sqlite3_blob_write(blob, "xxxxxxxx", 8, 4); /* hashes are random: one byte may be x */
    sqlite3_blob_close(blob);
    is_text(verdict(), "tree", "what is written to the tree's hashes is found");
    must("ROLLBACK");
}

static void test_triggers_off(void) {
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    must("BEGIN; INSERT INTO log_rows(id, recorded_at, a, salt) VALUES(9, 0, 'm', zeroblob(16))");
    is_text(verdict(), "inserted", "a row put in without triggers is found");
    is_int(run(APPEND "COMMIT"), SQLITE_CORRUPT, "a transaction that appends beside it fails");
    is_text(sqlite3_errmsg(db),
            "log: the last stored entry is 9, the log's own count is 4; the transaction is refused",
            "at COMMIT, with a sentence");
    is_int(sqlite3_get_autocommit(db), 1, "and is rolled back");
    must("BEGIN; UPDATE log_rows SET a = 'm' WHERE id = 2");
    is_text(verdict(), "changed", "a changed one is found");
    must("ROLLBACK; BEGIN; DELETE FROM log_rows WHERE id = 2");
    is_text(verdict(), "missing", "a deleted one is found");
    must("ROLLBACK; BEGIN; UPDATE log_rows SET id = 7 WHERE id = 2; UPDATE log_rows SET id = 2 "
         "WHERE id = 1; UPDATE log_rows SET id = 1 WHERE id = 7");
    is_text(verdict(), "clock,reordered", "two that changed places are found");
    must("ROLLBACK; BEGIN; DELETE FROM log_rows WHERE id = 3");
    is_int(run(APPEND), SQLITE_OK, "behind a last entry that is gone");
    is_int(run("COMMIT"), SQLITE_OK, "the next can be appended: ids are the tree's");
    is_text(verdict(), "missing", "and the gap is found");
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
    connect_again();
}

static void yes(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)count, (void)values;
    sqlite3_result_int(context, 1);
}

static void test_own_function(void) {
    sqlite3_create_function(db, "rustybt_append_only", 0, SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL, yes,
                            NULL, NULL);
    must("BEGIN; UPDATE log_gate SET size = -1 WHERE id = 1");
    is_text(verdict(), "gate", "a program's own function of our name opens the gate, and is found");
    must("INSERT INTO log_rows(id, recorded_at, a, salt) VALUES(77, 0, 'm', zeroblob(16))");
    is_text(verdict(), "gate,inserted", "as is what it then lets in");
    must("ROLLBACK; UPDATE log_gate SET size = 1000 WHERE id = 2; DELETE FROM log_rows WHERE id = "
         "2");
    is_text(verdict(), "gate,missing", "as is what it takes out");
    sqlite3_close(db);
}

/* Every call of the authorizer in turn says no. Statements compiled under one stay as they are, so the
** verdict is a new connection's. */
static void test_authorizer(void) {
    static const char *const work[] = {APPEND,
                                       "SELECT * FROM log WHERE n = 1 ORDER BY id DESC",
                                       "SELECT audit_verify('log')",
                                       "SELECT * FROM audit_logs",
                                       "SELECT audit_root('log', 2), audit_leaf('log', 1)",
                                       "SELECT audit_archive('log', 'cold', 'now')",
                                       "SELECT audit_discard('other', 'x'); DROP TABLE other",
                                       "CREATE VIRTUAL TABLE more USING audit_log(a TEXT)"};
    /* SQLite 3.40 itself crashes when CREATE TABLE meets SQLITE_IGNORE */
    static const struct {
        int answer, work_count;
    } rounds[] = {{SQLITE_DENY, 8}, {SQLITE_IGNORE, 5}};
    for (int k = 0; k < 2; k++) {
        int damage = 0, silent = 0, tries = 0;
        answer = rounds[k].answer;
        for (int i = 0; i < rounds[k].work_count; i++) {
            bool reached = true;
            for (int at = 0; reached; at += 1 + tries % 6) { /* 0: every call */
                denied_call = at;
                calls = 0;
                tries++;
                connect_again();
                must(
                    "CREATE VIRTUAL TABLE IF NOT EXISTS other USING audit_log(a TEXT); INSERT INTO "
                    "other(a) VALUES('x')");
                sqlite3_set_authorizer(db, authorizer, NULL);
                int code = run(work[i]);
                if (code != SQLITE_OK && strlen(sqlite3_errmsg(db)) < 5) silent++;
                reached = calls >= at;
                sqlite3_set_authorizer(db, NULL, NULL);
                if (!sqlite3_get_autocommit(db)) run("ROLLBACK");
                connect_again();
                if (strcmp(verdict(), "verified") != 0 && damage++ < 5)
                    printf("# answer %d, call %d of %d, %s: %s\n", answer, denied_call, calls,
                           work[i], value("SELECT detail FROM audit_verify('log')"));
                run("DROP TABLE more");
            }
        }
        printf("# %d tries\n", tries);
        ok(silent == 0 && tries > 50, k ? "an authorizer that ignores gives results or errors"
                                        : "an authorizer that denies gives errors");
        is_int(damage, 0, "and does the log no harm");
    }
}

static long ticks;
static int tick(void *context) {
    (void)context;
    return --ticks == 0;
}

static void test_interrupts(void) {
    static const char work[] = "BEGIN;" APPEND "SAVEPOINT s; INSERT INTO log(a) SELECT a FROM log "
                               "WHERE id < 4;" APPEND "RELEASE s; COMMIT";
    int wrong = 0, interrupted = 0;
    for (long at = 1;; at += 7) {
        ticks = at;
        sqlite3_progress_handler(db, 1, tick, NULL);
        int code = run(work);
        sqlite3_progress_handler(db, 0, NULL, NULL);
        if (!sqlite3_get_autocommit(db)) run("ROLLBACK");
        if (code != SQLITE_OK && code != SQLITE_INTERRUPT) {
            printf("# tick %ld: code %d, %s\n", at, code, sqlite3_errmsg(db));
            wrong++;
        }
        interrupted += code == SQLITE_INTERRUPT;
        if (code == SQLITE_OK) break;
        if (at % 3 == 1 && strcmp(verdict(), "verified") != 0) wrong++;
    }
    ok(wrong == 0 && interrupted > 50, "an interrupt at any step leaves all or nothing");
    is_text(verdict(), "verified", "and the log whole");
    is_int(number("SELECT count(*) = max(id) FROM log WHERE id > 0"), 1, "without a gap");
}

static void test_full(void) {
    int code = SQLITE_OK;
    must("PRAGMA max_page_count = 1; BEGIN");
    for (int i = 0; i < 2000 && code == SQLITE_OK; i++)
        code = run(APPEND);
    ok(code != SQLITE_OK, "a full database takes no more");
    printf("# %d: %s\n", code, sqlite3_errmsg(db));
    if (!sqlite3_get_autocommit(db)) run("ROLLBACK");
    must("PRAGMA max_page_count = 100000");
    is_int(run(APPEND), SQLITE_OK, "with room again the log goes on");
    is_text(verdict(), "verified", "and verifies");
    int before = sqlite3_limit(db, SQLITE_LIMIT_TRIGGER_DEPTH, 0);
    ok(run(APPEND) != SQLITE_OK, "no append goes around the guard by a limit on triggers");
    sqlite3_limit(db, SQLITE_LIMIT_TRIGGER_DEPTH, before);
    is_text(verdict(), "verified", "nor does it leave anything");
}

static void test_defensive(void) {
    must("CREATE VIRTUAL TABLE brief USING audit_log(a TEXT); INSERT INTO brief(a) VALUES('x')");
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    is_int(run(APPEND "BEGIN;" APPEND "SAVEPOINT s;" APPEND "ROLLBACK TO s;" APPEND "COMMIT"),
           SQLITE_OK, "under DEFENSIVE a log appends");
    is_int(number("SELECT count(*) FROM log WHERE n = 1") > 3, 1, "is read");
    is_text(verdict(), "verified", "and verified");
    is_int(run("SELECT audit_archive('log', 'cold', 'now'); SELECT audit_prune('log')"), SQLITE_OK,
           "archived and pruned");
    is_int(run("SELECT audit_discard('brief', 'a test'); DROP TABLE brief"), SQLITE_OK,
           "discarded and dropped");
    is_int(run("CREATE VIRTUAL TABLE brief USING audit_log(a TEXT)"), SQLITE_OK, "and created");
}

static void test_schema_changes(void) {
    must("CREATE TABLE t(x); BEGIN");
    is_int(run(APPEND "ALTER TABLE t ADD COLUMN y;" APPEND "ALTER TABLE t ADD COLUMN z;" APPEND
                      "SAVEPOINT s; ALTER TABLE t ADD COLUMN w;" APPEND "ROLLBACK TO s;" APPEND
                      "COMMIT"),
           SQLITE_OK, "schema changes between appends of one transaction do no harm");
    is_text(verdict(), "verified", "the log verifies");
    is_int(run("BEGIN; CREATE VIRTUAL TABLE late USING audit_log(a TEXT); INSERT INTO late(a) "
               "VALUES('x'); SAVEPOINT s; INSERT INTO late(a) VALUES('y'); ROLLBACK TO s; INSERT "
               "INTO late(a) VALUES('z'); COMMIT"),
           SQLITE_OK, "a log may be filled in the transaction that creates it");
    is_text(value("SELECT group_concat(a) FROM late"), "x,z", "and rolled back in part");
    is_text(value("SELECT audit_verify('late') LIKE 'late: 2 entries%'"), "1", "it verifies");
    is_int(run("BEGIN; CREATE VIRTUAL TABLE never USING audit_log(a TEXT); INSERT INTO never(a) "
               "VALUES('x'); ROLLBACK"),
           SQLITE_OK, "or not be created after all");
    is_int(run("SELECT * FROM never"), SQLITE_ERROR, "and then is not there");
    is_int(run("INSERT INTO late(a) SELECT a FROM late"), SQLITE_OK,
           "a log may be read by the statement that appends to it");
    is_int(number("SELECT count(*) FROM late"), 4, "which sees what was there before");

    sqlite3_stmt *reading = NULL;
    sqlite3_prepare_v2(db, "SELECT a FROM late", -1, &reading, NULL);
    sqlite3_step(reading);
    is_int(run("SELECT audit_discard('late', 'x'); DROP TABLE late"), SQLITE_LOCKED,
           "a log that is being read is not dropped");
    is_int(sqlite3_step(reading), SQLITE_ROW, "and the reader goes on");
    is_int(sqlite3_close(db), SQLITE_BUSY, "a connection with a reader does not close");
    is_int(sqlite3_close_v2(db), SQLITE_OK, "but becomes a zombie");
    is_int(sqlite3_step(reading), SQLITE_ROW, "whose reader still reads");
    is_int(sqlite3_finalize(reading), SQLITE_OK, "to its end");
    db = open_log_database("test.db");
}

static void test_close(void) {
    char *message = NULL;
    is_int(sqlite3_rustybt_init(db, &message, NULL), SQLITE_OK, "loading twice does no harm");
    must(APPEND "SELECT * FROM log WHERE n = 1; SELECT * FROM log WHERE a > 'a' ORDER BY id DESC; "
                "SELECT audit_verify('*'); SELECT audit_root('log', 3); SELECT * FROM audit_logs; "
                "SELECT * FROM audit_segments('log')");
    for (int i = 0; i < 100; i++) { /* more plans than are kept */
        char sql[100];
        snprintf(sql, sizeof sql, "SELECT a FROM log WHERE n > %d AND %s > 1", i,
                 i % 2 ? "id" : "recorded_at");
        must(sql);
    }
    must("BEGIN;" APPEND);
    is_int(sqlite3_close(db), SQLITE_OK, "a connection with cached statements closes");
    db = open_log_database("test.db");
    is_text(verdict(), "verified", "what it had not committed is gone, and the log whole");
}

int main(void) {
    plan(54);
    enter_folder();
    db = open_log_database("test.db");
    must("PRAGMA synchronous = OFF");
    must("CREATE VIRTUAL TABLE log USING audit_log(a TEXT NOT NULL CHECK(a <> ''), n INTEGER, r "
         "REAL, "
         "b BLOB, j JSON, INDEX(n), archive=cold, salt=on)");
    must(APPEND APPEND APPEND);
    test_blobs();
    test_schema_changes();
    test_interrupts();
    test_full();
    test_authorizer();
    test_defensive();
    test_close();
    sqlite3_close(db);
    unlink("test.db");
    db = open_log_database("test.db");
    must("CREATE VIRTUAL TABLE log USING audit_log(a TEXT NOT NULL, n INTEGER, r REAL, b BLOB, j "
         "JSON, "
         "salt=on)");
    must(APPEND APPEND APPEND);
    test_triggers_off();
    sqlite3_close(db);
    unlink("test.db");
    db = open_log_database("test.db");
    must("CREATE VIRTUAL TABLE log USING audit_log(a TEXT NOT NULL, n INTEGER, r REAL, b BLOB, j "
         "JSON, "
         "salt=on)");
    must(APPEND APPEND APPEND);
    test_own_function();
    is_int(sqlite3_memory_used(), 0, "no memory is left behind");
    leave_folder();
    return done();
}
