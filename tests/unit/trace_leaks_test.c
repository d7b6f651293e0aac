/* SPDX-License-Identifier: MIT
** What a tracing or logging program gets to see. SQLite shows a trace hook every statement, those that
** rustybt runs inside included, and tells its error log what went wrong. Inner statements bind what
** they store and look for: their text never holds an entry's values (and SQLite expands bound values
** for the outermost statement alone). No key, plaintext or passphrase stands in any of it.
**
** A caller's own statement shows what the caller bound to it (sqlite3_expanded_sql): that is not ours.
** Names of logs and files are no secrets: messages have them.
*/
#include "rustybt.h"

#include "secret_watch.h"
#include "tap.h"

#include <ftw.h>
#include <sys/stat.h>

enum { TEXT = 64, MARKER = 24 };

static char folder[] = "/tmp/rustybt-trace-XXXXXX";
static char old_key[45], new_key[45], plaintext[TEXT + 1];
static char marker[MARKER + 1]; /* an entry's value: no secret, but to be bound all the same */

static sqlite3 *db;
static sqlite3_stmt *top; /* the caller's statement, which is running */
static long inner_count, pasted_count, secret_count, logged_count, log_count;

static int has_secret(const char *text) {
    size_t at = 0;
    const char *name = watch_find(text, strlen(text), &at);
    return name ? watch_report(name, text, at) : 0;
}

static int on_statement(unsigned event, void *context, void *statement, void *unused) {
    (void)event, (void)context, (void)unused;
    const char *sql = sqlite3_sql(statement);
    if (statement == top || sql == NULL) return 0;
    inner_count++;
    char *expanded = sqlite3_expanded_sql(statement);
    if (expanded == NULL) abort();
    if (strstr(sql, marker) || strstr(expanded, marker)) {
        printf("# pasted: %s\n", expanded);
        pasted_count++;
    }
    secret_count += has_secret(sql) | has_secret(expanded);
    sqlite3_free(expanded);
    return 0;
}

static void on_log(void *context, int code, const char *message) {
    (void)context, (void)code;
    log_count++;
    logged_count += has_secret(message) || strstr(message, marker) != NULL;
}

/* Runs a statement that may name ?1 (the plaintext) and ?2 (the marker); its code. */
static int run(const char *sql) {
    int code = sqlite3_prepare_v2(db, sql, -1, &top, NULL);
    int count = sqlite3_bind_parameter_count(top);
    if (code != SQLITE_OK) return code;
    if (count > 0) sqlite3_bind_text(top, 1, plaintext, TEXT, SQLITE_STATIC);
    if (count > 1) sqlite3_bind_text(top, 2, marker, MARKER, SQLITE_STATIC);
    do
        code = sqlite3_step(top);
    while (code == SQLITE_ROW);
    sqlite3_finalize(top);
    top = NULL;
    return code;
}

static int run_all(const char *const *statements, size_t count, int want) {
    int wrong = 0;
    for (size_t i = 0; i < count; i++) {
        int code = run(statements[i]);
        if (code == want) continue;
        printf("# code %d of %s: %s\n", code, statements[i], sqlite3_errmsg(db));
        wrong++;
    }
    return wrong;
}

static void test_credentials(void) {
    static const char *const statements[] = {
        "CREATE TABLE k(e, f, i)",
        "INSERT INTO k VALUES(encrypt(?1, 'a/b'), fernet_encrypt(?1), blind_index(?1, 'k.i'))",
        "SELECT decrypt(e, 'a/b'), decrypt(f), fernet_decrypt(f, 60) FROM k",
        "SELECT key_rotate(e, 'a/b'), key_rotate(f), key_id(), keygen() FROM k",
        "SELECT subject_encrypt('customer/1', ?1), subject_encrypt('customer/' || ?2, ?1)",
        "SELECT subject_decrypt(subject_encrypt('customer/' || ?2, ?1, 'c'), 'c')",
        "SELECT subject_hold('customer/1', 'for ' || ?2 || length(?1)), subject_release(1, ?2)",
        "SELECT subject_forget('customer/' || ?2) || length(?1)",
        "SELECT * FROM key_ring",
        "SELECT * FROM key_usage",
        "SELECT key_reload()",
        "SELECT subject_rotate()",
    };
    is_int(run_all(statements, sizeof statements / sizeof statements[0], SQLITE_DONE), 0,
           "credentials are made, read and rotated");
    is_int(secret_count, 0, "and no inner statement has a secret");
}

static void test_log(void) {
    static const char *const statements[] = {
        "CREATE VIRTUAL TABLE log USING audit_log(who TEXT, what JSON, INDEX(who), archive='cold')",
        "INSERT INTO log(who, what) VALUES(?2, json_object('at', ?2, 'x', length(?1)))",
        "INSERT INTO log(who, what) SELECT ?2, json_array(?2) FROM (VALUES(length(?1)), (2), (3))",
        "SELECT * FROM log WHERE who = ?2 OR length(?1) = 0",
        "SELECT * FROM log WHERE who IN (?2, 'x') AND length(?1) > 0",
        "SELECT * FROM log WHERE who > ?2 AND length(?1) > 0 ORDER BY id DESC LIMIT 2",
        "SELECT * FROM log WHERE what LIKE '%' || ?2 AND length(?1) > 0",
        "SELECT audit_root('log'), audit_leaf('log', 1), audit_size('log')",
        "SELECT audit_public_key('log'), audit_public_key('log', 'pem')",
        "SELECT * FROM audit_verify('log')",
        "SELECT audit_archive('log', 'cold', 'now')",
        "SELECT * FROM audit_segments('log')",
        "SELECT * FROM archive_verify('cold/*.jsonl.zst')",
        "SELECT audit_prune('log')",
        "SELECT * FROM log WHERE who = ?2 AND length(?1) > 0",
        "SELECT * FROM audit_logs",
        "SELECT audit_verify('*')",
        "SELECT audit_discard('log', 'no more of ' || ?2 || length(?1))",
        "DROP TABLE log",
    };
    inner_count = secret_count = 0;
    is_int(run_all(statements, sizeof statements / sizeof statements[0], SQLITE_DONE), 0,
           "a log is written, read, archived, pruned and discarded");
    printf("# %ld inner statements\n", inner_count);
    ok(inner_count > 50, "its inner statements are seen");
    is_int(pasted_count, 0, "but never one with a value in its text");
    is_int(secret_count, 0, "and none has a secret");
}

static void test_failures(void) {
    static const char *const statements[] = {
        "SELECT decrypt(e, 'c/d') FROM k",
        "SELECT decrypt(?1)",
        "SELECT decrypt(substr(e, 2), 'a/b') FROM k",
        "SELECT fernet_decrypt(?1 || '=')",
        "SELECT fernet_decrypt(f, ?1) FROM k",
        "SELECT encrypt(?1, NULL)",
        "SELECT encrypt(?1, x'00')",
        "SELECT fernet_encrypt(1.5), length(?1)",
        "SELECT blind_index(?1, '')",
        "SELECT blind_index(?1, 'c', ?1)",
        "SELECT key_rotate(?1)",
        "SELECT keygen(?1)",
        "SELECT subject_decrypt(?1)",
        "SELECT subject_encrypt('', ?1)",
        "SELECT key_restore(?1, ?1)",
        "SELECT key_restore(?2, ?1)",
        "INSERT INTO guarded VALUES(decrypt(e, 'c/d'))",
        "INSERT INTO strict_log(who, count) VALUES(?1, 1)",
        "INSERT INTO strict_log(who, count) VALUES('x', ?1)",
    };
    enum { FAILURES = sizeof statements / sizeof statements[0] };
    static const char *const tables[] = {
        "CREATE TABLE guarded(x CHECK(x IS NULL))",
        "CREATE VIRTUAL TABLE strict_log USING audit_log("
        "who TEXT NOT NULL CHECK(who IN ('a', 'b')), count INTEGER)",
    };
    int failed = 0, leaked = 0;

    if (run_all(tables, 2, SQLITE_DONE) != 0) printf("# %s\n", sqlite3_errmsg(db));
    log_count = 0;
    for (int i = 0; i < FAILURES; i++) {
        int code = run(statements[i]);
        failed += code != SQLITE_DONE;
        if (code == SQLITE_DONE) printf("# did not fail: %s\n", statements[i]);
        leaked += has_secret(sqlite3_errmsg(db));
    }
    is_int(failed, FAILURES, "what cannot work fails");
    is_int(leaked, 0, "and no message has the value that was given, or a key");
    ok(log_count > 0, "the error log hears of it");
    is_int(logged_count, 0, "without values and keys");
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

int main(void) {
    char *message = NULL;
    plan(2 + 4 + 4 + 1);
    if (sqlite3_config(SQLITE_CONFIG_LOG, on_log, NULL) != SQLITE_OK || !rbt_crypto_init() ||
        mkdtemp(folder) == NULL || chdir(folder) != 0)
        return 1;
    watch_new_key(old_key);
    watch_new_key(new_key);
    watch_new_text("the plaintext", plaintext, TEXT);
    for (int i = 0; i < MARKER; i++)
        marker[i] = (char)('a' + randombytes_uniform(26));
    watch_write_file("keys", new_key, ",", old_key);
    setenv("RUSTYBT_ENCRYPTION_KEY_FILE", "keys", 1);
    if (sqlite3_open("test.db", &db) != SQLITE_OK ||
        sqlite3_rustybt_init(db, &message, NULL) != SQLITE_OK ||
        sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_statement, NULL) != SQLITE_OK)
        return 1;
    test_credentials();
    test_log();
    test_failures();
    is_int(sqlite3_close(db), SQLITE_OK, "the connection closes");
    if (chdir("/") != 0 || nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        printf("# cannot remove %s\n", folder);
    return done();
}
