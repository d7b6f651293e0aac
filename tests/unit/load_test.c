/* SPDX-License-Identifier: MIT
** Loading: the entry point linked in and loaded, twice, by several connections and threads, when
** memory runs out; and exactly which functions and modules appear. TEST_EXTENSION names the library
** (tests/run sets it); without it those checks are skipped.
*/
#include "failing_memory.h"
#include "tap.h"

#include "base/sqlite.h"
#include "rustybt.h"

#include <pthread.h>
#include <stdbool.h>

enum { LINKED_CHECKS = 12, LOADED_CHECKS = 10 };
enum { THREADS = 4, ROUNDS = 10 };

/* Functions as name/arguments and flags: D DIRECTONLY, I INNOCUOUS, d DETERMINISTIC, - none. */
static const char expected_functions[] =
    "archive_verify/1 D, archive_verify/2 D, "
    "audit_archive/1 D, audit_archive/2 D, audit_archive/3 D, "
    "audit_checkpoint/1 D, audit_checkpoint/2 D, audit_consistency/2 D, "
    "audit_discard/2 D, audit_error/-1 D, audit_expire/1 D, audit_expire/2 D, "
    "audit_hold/2 D, audit_hold/3 D, audit_hold/4 D, audit_leaf/2 D, audit_proof/2 D, "
    "audit_prune/1 D, "
    "audit_public_key/1 D, audit_public_key/2 D, "
    "audit_release/2 D, audit_relocate/2 D, audit_restore/2 D, audit_restore/3 D, audit_root/1 D, "
    "audit_root/2 D, audit_set/3 D, "
    "audit_size/1 D, audit_succession/1 D, "
    "audit_verify/1 D, audit_verify/2 D, audit_verify/3 D, "
    "blind_index/2 D, blind_index/3 D, config_get/1 D, config_get/2 D, "
    "decimal_error/1 Id, decimal_error/2 Id, decimal_error/3 Id, "
    "decrypt/1 D, decrypt/2 D, encrypt/1 -, encrypt/2 -, "
    "fernet_decrypt/1 D, fernet_decrypt/2 D, fernet_encrypt/1 D, "
    "key_backup/1 D, key_id/0 D, key_reload/0 D, key_restore/2 D, "
    "key_rotate/1 D, key_rotate/2 D, keygen/0 D, keygen/1 D, "
    "lease_release/3 D, lease_renew/3 D, lease_renew/4 D, "
    "proof_verify/3 Id, rate_allow/2 D, rate_allow/3 D, rate_penalize/3 D, rate_policy/1 D, "
    "rate_refund/2 D, rate_refund/3 D, rate_reset/2 D, retry_delay/1 I, retry_delay/2 I, "
    "rustybt_append_only/0 I, rustybt_version/0 Id, rustybt_visit/-1 D, "
    "subject_decrypt/1 D, subject_decrypt/2 D, subject_encrypt/2 D, subject_encrypt/3 D, "
    "subject_forget/1 D, subject_hold/2 D, subject_release/2 D, "
    "subject_rotate/0 D, token_info/1 Id";

static const char expected_modules[] =
    "archive, archive_entries, archive_info, archive_salvage, archive_verify, audit_holds, "
    "audit_log, audit_logs, audit_segments, audit_verify, key_ring, key_usage, lease_acquire, "
    "rate_peek, rate_policies, rate_take, rate_take_all, rustybt_help";

/* --------------------------------------------------------------------------------------- helpers */

static sqlite3 *open_memory(void) {
    sqlite3 *db = NULL;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK) abort();
    sqlite3_enable_load_extension(db, 1);
    return db;
}

/* All rows of a statement, a column each, joined by newlines; from sqlite3_malloc. On failure the
** message. ?1 is bound to parameter unless that is NULL. */
static char *query(sqlite3 *db, const char *sql, const char *parameter) {
    sqlite3_stmt *statement = NULL;
    sqlite3_str *rows = sqlite3_str_new(NULL);
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK && parameter)
        sqlite3_bind_text(statement, 1, parameter, -1, SQLITE_STATIC);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(statement);
        if (code != SQLITE_ROW) break;
        const unsigned char *text = sqlite3_column_text(statement, 0);
        sqlite3_str_appendf(rows, "%s%s", sqlite3_str_length(rows) ? "\n" : "",
                            text ? (const char *)text : "NULL");
    }
    if (code != SQLITE_DONE) sqlite3_str_appendf(rows, "error: %s", sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    char *result = sqlite3_str_finish(rows);
    return result ? result : sqlite3_mprintf("");
}

static void is_query(sqlite3 *db, const char *sql, const char *want, const char *name) {
    char *got = query(db, sql, NULL);
    is_text(got, want, name);
    sqlite3_free(got);
}

/* The rows of a sorted query that db has and plain has not, separated by commas; from sqlite3_malloc. */
static char *new_lines(sqlite3 *plain, sqlite3 *db, const char *sql) {
    /* the table of a pragma is itself a module that appears when it is first used */
    sqlite3_free(query(plain, sql, NULL));
    sqlite3_free(query(db, sql, NULL));
    char *before = query(plain, sql, NULL), *after = query(db, sql, NULL);
    sqlite3_str *lines = sqlite3_str_new(NULL);
    const char *old = before;
    for (const char *line = after; *line;) {
        size_t length = strcspn(line, "\n"), old_length = strcspn(old, "\n");
        if (length == old_length && memcmp(line, old, length) == 0) {
            old += old_length + (old[old_length] == '\n');
        } else {
            sqlite3_str_appendf(lines, "%s%.*s", sqlite3_str_length(lines) ? ", " : "", (int)length,
                                line);
        }
        line += length + (line[length] == '\n');
    }
    sqlite3_free(before);
    sqlite3_free(after);
    char *result = sqlite3_str_finish(lines);
    return result ? result : sqlite3_mprintf("");
}

/* ----------------------------------------------------------------------------------------- linked */

static void check_linked(void) {
    sqlite3 *plain = open_memory(), *db = open_memory();
    char *message = NULL;
    is_int(sqlite3_rustybt_init(db, &message, NULL), SQLITE_OK, "the linked entry point succeeds");
    is_int(sqlite3_rustybt_init(db, &message, NULL), SQLITE_OK, "and does so a second time");
    is_query(db, "SELECT rustybt_version()", RUSTYBT_VERSION,
             "rustybt_version() gives the version");

    char *got = new_lines(
        plain, db,
        "SELECT name || '/' || narg || ' ' || iif(flags & 0x280800, iif(flags & 0x80000, 'D', '')"
        " || iif(flags & 0x200000, 'I', '') || iif(flags & 0x800, 'd', ''), '-')"
        " FROM pragma_function_list ORDER BY name, narg");
    is_text(got, expected_functions, "exactly the expected functions appear, with their flags");
    sqlite3_free(got);
    got = new_lines(plain, db, "SELECT name FROM pragma_module_list ORDER BY name");
    is_text(got, expected_modules, "exactly the expected modules appear");
    sqlite3_free(got);

    is_query(db,
             "SELECT group_concat(name) FROM rustybt_help WHERE instr(signature, name) = 0"
             " OR needs NOT IN ('nothing', 'verify', 'signing', 'encryption')"
             " OR length(description) < 10 OR description GLOB '*.' OR length(example) < 8",
             "NULL", "each help row has a signature, a need, a description and an example");
    is_query(db,
             "SELECT group_concat(name) FROM (SELECT DISTINCT name FROM rustybt_help"
             " WHERE kind = 'function' AND name NOT IN (SELECT name FROM pragma_function_list))",
             "NULL", "each function in the help exists");
    is_query(db, "SELECT kind FROM rustybt_help WHERE name = 'audit_log'", "module",
             "what CREATE VIRTUAL TABLE needs is called a module");
    is_query(db, "SELECT kind FROM rustybt_help WHERE name = 'rustybt_help'", "table",
             "what FROM takes as it is is called a table");
    is_int(sqlite3_close(db), SQLITE_OK, "the connection closes");
    sqlite3_close(plain);
}

/* Each allocation fails once; after each failure the same connection loads. */
static void check_memory(void) {
    bool messages = true, recovers = true;
    long steps = 0;
    for (bool done_all = false; !done_all; steps++) {
        sqlite3 *db = open_memory();
        char *message = NULL;
        failing_memory_at(steps + 1);
        int code = sqlite3_rustybt_init(db, &message, NULL);
        bool failed = failing_memory_hit;
        failing_memory_at(0);
        if (code != SQLITE_OK) messages = messages && message && *message;
        sqlite3_free(message);
        message = NULL;
        if (code != SQLITE_OK) {
            recovers = recovers && sqlite3_rustybt_init(db, &message, NULL) == SQLITE_OK;
            char *version = query(db, "SELECT rustybt_version()", NULL);
            recovers = recovers && strcmp(version, RUSTYBT_VERSION) == 0;
            sqlite3_free(version);
            sqlite3_free(message);
        }
        recovers = recovers && sqlite3_close(db) == SQLITE_OK;
        done_all = !failed;
    }
    ok(messages && steps > 20, "every failure of memory while loading has a message");
    ok(recovers, "the same connection loads afterwards, and closes");
}

/* ----------------------------------------------------------------------------------------- loaded */

typedef struct worker {
    const char *extension;
    pthread_t thread;
    bool passed;
} worker;

static void *load_and_close(void *argument) {
    worker *self = argument;
    self->passed = true;
    for (int i = 0; i < ROUNDS && self->passed; i++) {
        sqlite3 *db = open_memory();
        self->passed = sqlite3_load_extension(db, self->extension, NULL, NULL) == SQLITE_OK;
        char *version = query(db, "SELECT rustybt_version()", NULL);
        self->passed = self->passed && strcmp(version, RUSTYBT_VERSION) == 0;
        sqlite3_free(version);
        self->passed = sqlite3_close(db) == SQLITE_OK && self->passed;
    }
    return NULL;
}

static void check_loaded(const char *extension) {
    sqlite3 *db = open_memory();
    char *got = query(db, "SELECT load_extension(?1)", extension);
    is_text(got, "NULL", "SELECT load_extension() loads");
    sqlite3_free(got);
    got = query(db, "SELECT load_extension(?1)", extension);
    is_text(got, "NULL", "a second SELECT load_extension() succeeds");
    sqlite3_free(got);
    got = query(db, "SELECT load_extension(?1) FROM rustybt_help LIMIT 2", extension);
    is_text(got, "NULL\nNULL", "so it does inside a statement that uses what it loaded");
    sqlite3_free(got);
    is_query(db, "SELECT count(*) > 10 FROM rustybt_help", "1", "everything is still there");

    sqlite3 *first = open_memory(), *second = open_memory();
    got = query(first, "SELECT load_extension(?1) FROM (VALUES(1), (2))", extension);
    is_text(got, "NULL\nNULL", "one statement may load twice");
    sqlite3_free(got);
    is_int(sqlite3_load_extension(second, extension, NULL, NULL), SQLITE_OK,
           "another connection loads");
    is_int(sqlite3_close(first), SQLITE_OK, "the first closes");
    is_query(second, "SELECT rustybt_version()", RUSTYBT_VERSION, "and the other goes on");
    int closed = sqlite3_close(second);
    ok(closed == SQLITE_OK && sqlite3_close(db) == SQLITE_OK, "all close");

    worker workers[THREADS];
    bool passed = true;
    for (int i = 0; i < THREADS; i++) {
        workers[i].extension = extension;
        if (pthread_create(&workers[i].thread, NULL, load_and_close, &workers[i])) abort();
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        passed = passed && workers[i].passed;
    }
    ok(passed, "threads load and close at the same time");
}

int main(void) {
    const char *extension = getenv("TEST_EXTENSION");
    if (failing_memory_install() != SQLITE_OK) abort();
    plan(LINKED_CHECKS + LOADED_CHECKS);
    check_linked();
    check_memory();
    if (extension) {
        check_loaded(extension);
    } else {
        for (int i = 0; i < LOADED_CHECKS; i++)
            ok(true, "# SKIP TEST_EXTENSION is not set");
    }
    sqlite3_shutdown();
    return done();
}
