/* SPDX-License-Identifier: MIT
** Credentials when memory runs out: each allocation of each statement fails in turn. The statement then
** says "out of memory" (or still succeeds), nothing leaks, and the next try works.
*/
#include "failing_memory.h"
#include "tap.h"

#include "base/connection.h"
#include "crypto/config_sql.h"
#include "crypto/credentials_sql.h"
#include "crypto/keys.h"
#include "crypto/keys_sql.h"
#include <unistd.h>

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

static sqlite3 *open_database(void) {
    sqlite3 *db = NULL;
    int code = sqlite3_open(":memory:", &db);
    rbt_connection *connection = rbt_connection_new(db);
    const rbt_function *const lists[] = {rbt_credential_functions, rbt_key_functions,
                                         rbt_config_functions};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (const rbt_function *row = lists[i]; row->name; row++) {
            rbt_connection_retain(connection);
            code |= sqlite3_create_function_v2(db, row->name, -1, row->flags, connection, row->call,
                                               NULL, NULL, rbt_connection_release);
        }
    }
    for (const rbt_table *row = rbt_key_tables; row->name; row++) {
        rbt_connection_retain(connection);
        code |= sqlite3_create_module_v2(db, row->name, row->module, connection,
                                         rbt_connection_release);
    }
    rbt_connection_release(connection);
    if (code != SQLITE_OK) printf("# cannot open the database\n");
    return db;
}

/* Tokens that the statements read: e and f of the old key, made once. */
static void make_tokens(sqlite3 *db) {
    if (sqlite3_exec(
            db,
            "CREATE TABLE k AS SELECT encrypt('hunter2', 'c') AS e, fernet_encrypt('x') AS f, "
            "CAST(fernet_encrypt('y') AS TEXT) AS t",
            NULL, NULL, NULL) != SQLITE_OK)
        printf("# %s\n", sqlite3_errmsg(db));
}

/* A copy of the tokens under a ring with a new primary, and keys not read yet. */
static sqlite3 *fresh_copy(sqlite3 *from) {
    sqlite3 *db = open_database();
    sqlite3_backup *backup = sqlite3_backup_init(db, "main", from, "main");
    sqlite3_backup_step(backup, -1);
    if (sqlite3_backup_finish(backup) != SQLITE_OK) printf("# cannot copy\n");
    return db;
}

static void survives(sqlite3 *tokens, const char *sql) {
    int wrong = 0, finished = 0;
    long allocation = 0;

    while (!finished && allocation < 1000) {
        sqlite3 *db = fresh_copy(tokens);
        sqlite3_stmt *statement = NULL;
        if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
            printf("# %s\n", sqlite3_errmsg(db));
            wrong++;
        }
        failing_memory_at(++allocation);
        int code = sqlite3_step(statement);
        int hit = failing_memory_hit;
        failing_memory_at(0);
        if (!hit && code != SQLITE_ROW) wrong++;
        if (code != SQLITE_ROW && code != SQLITE_NOMEM) {
            printf("# allocation %ld: %s\n", allocation, sqlite3_errmsg(db));
            wrong++;
        }
        sqlite3_reset(statement);
        if (sqlite3_step(statement) != SQLITE_ROW) wrong++;
        sqlite3_finalize(statement);
        if (sqlite3_close(db) != SQLITE_OK) wrong++;
        finished = !hit;
    }
    printf("# %ld allocations\n", allocation - 1);
    ok(finished && allocation > 1 && wrong == 0, sql);
}

/* The ring from now on: a dotenv file, so that reading one is among what fails. */
static char file[] = "/tmp/rustybt-memory-XXXXXX";

static void use_file(void) {
    static const char text[] = "RUSTYBT_ENCRYPTION_KEY='" KEY_B "," KEY_A "'\nLOG_LEVEL=INFO\n";
    int descriptor = mkstemp(file); /* mode 0600 */
    if (descriptor < 0 || write(descriptor, text, sizeof text - 1) != sizeof text - 1 ||
        close(descriptor) != 0)
        printf("# cannot write %s\n", file);
    unsetenv("RUSTYBT_ENCRYPTION_KEY");
    setenv("RUSTYBT_ENCRYPTION_KEY_FILE", file, 1);
}

int main(void) {
    static const char *const statements[] = {
        "SELECT encrypt('hunter2', 'c')",
        "SELECT decrypt(e, 'c') FROM k",
        "SELECT fernet_encrypt('hunter2')",
        "SELECT fernet_decrypt(f, 60) FROM k",
        "SELECT decrypt(t) FROM k",
        "SELECT token_info(e) || token_info(f) || token_info('gAAA=') FROM k",
        "SELECT keygen() || keygen('signing') || key_id()",
        "SELECT key_rotate(e, 'c'), key_rotate(f), key_rotate(t) FROM k",
        "SELECT group_concat(key_id) FROM key_ring",
        "SELECT config_get('LOG_LEVEL')",
        "SELECT config_get('HOME_OF_NOTHING', 'x')",
    };
    enum { COUNT = sizeof statements / sizeof statements[0] };

    plan(COUNT + 1);
    if (failing_memory_install() != SQLITE_OK || !rbt_crypto_init()) return 1;
    unsetenv("RUSTYBT_ENCRYPTION_KEY_FILE");
    setenv("RUSTYBT_ENCRYPTION_KEY", KEY_A, 1);
    setenv("RUSTYBT_SIGNING_KEY", KEY_B, 1);
    sqlite3 *tokens = open_database();
    make_tokens(tokens);
    use_file();
    for (size_t i = 0; i < COUNT; i++)
        survives(tokens, statements[i]);
    is_int(sqlite3_close(tokens), SQLITE_OK, "the connection closes");
    unlink(file);
    return done();
}
