/* SPDX-License-Identifier: MIT
** Subjects when memory runs out: whichever allocation fails, once, the answer is SQLITE_NOMEM or the
** right one. A subject is forgotten exactly when the answer says so, its record stands, and nothing
** leaks. Long sweeps take a sample, by a stride that is a prime. */
#include "failing_memory.h"

#include "log_fixture.h"

/* Rows and events agree, the events verify. */
static const char consistent[] =
    "SELECT NOT EXISTS(SELECT 1 FROM rustybt_subject_keys WHERE (wrapped IS NULL) <> (forgotten_us "
    "IS "
    "NOT NULL) OR (wrapped IS NULL) <> (subject IS NULL) OR (wrapped IS NULL) <> (name IS NULL) OR "
    "(wrapped IS NULL) <> (lower(hex(sid)) IN (SELECT json_extract(detail, '$.sid') FROM "
    "rustybt_events WHERE action = 'subject_forget'))) AND audit_verify('rustybt_events') IS NOT "
    "NULL";

static void connect_again(void) {
    sqlite3_close(db);
    db = open_log_database("test.db");
    must("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; PRAGMA secure_delete = OFF");
}

/* Runs sql, on a new connection each time, with the 1st, 1 + stride'th, … allocation failing until none
** does. on_success and on_failure: what the query `outcome` must give then; -1: either way
** will do, as SQLite insists on SQLITE_NOMEM also when memory ran out after a COMMIT. */
static void sweep(const char *before, const char *sql, int stride, const char *outcome,
                  int on_success, int on_failure, const char *name) {
    long runs = 0, failed = 0, wrong = 0;
    int hit = 1;
    const bool either = on_failure < 0;
    for (long at = 1; hit && wrong < 10; at += stride, runs++) {
        connect_again();
        must(before);
        failing_memory_at(at);
        int code = run(sql);
        hit = failing_memory_hit;
        failing_memory_at(0);
        if (!sqlite3_get_autocommit(db)) wrong++;
        failed += code == SQLITE_NOMEM;
        const char *got = value(outcome);
        int want = code == SQLITE_OK ? on_success : on_failure;
        if ((code != SQLITE_OK && code != SQLITE_NOMEM) || (!hit && code != SQLITE_OK) ||
            (atoi(got) != want && !(either && code == SQLITE_NOMEM)) ||
            strcmp(value(consistent), "1") != 0) {
            wrong++;
            printf("# allocation %ld: code %d; then %s", at, code, value(outcome));
            printf(", consistent: %s\n", value(consistent));
        }
    }
    printf("# %ld runs, %ld of them without memory\n", runs, failed);
    ok(wrong == 0 && failed > 1, name);
}

int main(void) {
    plan(9);
    failing_memory_install();
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* small allocations shall fail, too */
    sqlite3_initialize();
    enter_folder();
    sqlite3_int64 before = sqlite3_memory_used();
    db = open_log_database("test.db");
    must("CREATE TABLE t(token); SELECT subject_encrypt('first', 1), subject_encrypt('kept', 1)");
    must("SELECT subject_forget('first'); INSERT INTO t SELECT subject_encrypt('kept', 'x', 'c')");

    sweep("SELECT 1", "SELECT subject_encrypt('kept', 'x', 'c')", 1,
          "SELECT count(wrapped) FROM rustybt_subject_keys", 1, 1, "encrypting");
    sweep("SELECT 1", "SELECT subject_decrypt(token, 'c') FROM t", 1,
          "SELECT count(*) FROM t WHERE subject_decrypt(token, 'c') = 'x'", 1, 1, "decrypting");
    sweep("SELECT 1", "SELECT subject_rotate()", 1,
          "SELECT count(*) FROM t WHERE subject_decrypt(token, 'c') = 'x'", 1, 1, "rotating");
    sweep("DROP TABLE IF EXISTS u; CREATE TABLE u(token)",
          "INSERT INTO u SELECT subject_encrypt(hex(randomblob(8)), 'new')", 3,
          "SELECT count(subject_decrypt(token)) FROM u", 1, 0, "encrypting for new subjects");
    sweep("CREATE TEMP TABLE before AS SELECT count(*) AS n FROM rustybt_events",
          "SELECT subject_hold('kept', 'a test')", 5,
          "SELECT count(*) - (SELECT n FROM before) FROM rustybt_events", 1, 0, "holding");
    sweep(
        "SELECT subject_hold('kept', 'r'); CREATE TEMP TABLE before AS SELECT max(id) AS id FROM "
        "rustybt_events",
        "SELECT subject_release((SELECT id FROM before), 'a test')", 61,
        "SELECT count(*) FROM rustybt_events WHERE json_extract(detail, '$.hold_id') = (SELECT id "
        "FROM before)",
        1, 0, "releasing");
    sweep(
        "SELECT subject_encrypt('mayfly', 'x'); CREATE TEMP TABLE before AS SELECT count(wrapped) "
        "AS n FROM rustybt_subject_keys",
        "SELECT subject_forget('mayfly')", 13,
        "SELECT (SELECT n FROM before) - count(wrapped) FROM rustybt_subject_keys", 1, -1,
        "forgetting");
    is_int(sqlite3_close(db), SQLITE_OK, "the connection closes");
    is_int(sqlite3_memory_used(), before, "no memory is left behind");
    leave_folder();
    return done();
}
