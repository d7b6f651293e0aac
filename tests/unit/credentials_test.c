/* SPDX-License-Identifier: MIT
** The SQL functions of credentials and keys, and the table key_ring, on a real database.
*/
#include "tap.h"

#include "base/clock.h"
#include "base/connection.h"
#include "crypto/credentials_sql.h"
#include "crypto/keys.h"
#include "crypto/keys_sql.h"
#include <sodium.h>

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define REFUSAL                                                                                    \
    "the token does not open; it was altered, cut short, or belongs to another key or context"

static sqlite3 *db;

/* A connection with our functions, as the entry point registers them. */
static sqlite3 *open_database(void) {
    sqlite3 *opened = NULL;
    int code = sqlite3_open(":memory:", &opened);
    rbt_connection *connection = rbt_connection_new(opened);
    const rbt_function *const lists[] = {rbt_credential_functions, rbt_key_functions};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (const rbt_function *row = lists[i]; row->name; row++) {
            for (int count = row->min_arguments; count <= row->max_arguments; count++) {
                rbt_connection_retain(connection);
                code |= sqlite3_create_function_v2(opened, row->name, count, row->flags, connection,
                                                   row->call, NULL, NULL, rbt_connection_release);
            }
        }
    }
    for (const rbt_table *row = rbt_key_tables; row->name; row++) {
        rbt_connection_retain(connection);
        code |= sqlite3_create_module_v2(opened, row->name, row->module, connection,
                                         rbt_connection_release);
    }
    rbt_connection_release(connection);
    if (code != SQLITE_OK) printf("# cannot open the database\n");
    return opened;
}

/* The first value as text, "(null)" "(done)" or "error: …"; good until the next call. */
static const char *query(const char *sql) {
    static char result[1000];
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(statement, 0);
        snprintf(result, sizeof result, "%s", text ? (const char *)text : "(null)");
    } else if (code == SQLITE_DONE) {
        snprintf(result, sizeof result, "(done)");
    } else {
        snprintf(result, sizeof result, "error: %s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(statement);
    return result;
}

static void gives(const char *sql, const char *want, const char *name) {
    is_text(query(sql), want, name);
}

static void test_values(const char *encoding) {
    static const char *const values[] = {"0",
                                         "-9223372036854775808",
                                         "9223372036854775807",
                                         "1.5",
                                         "-0.0",
                                         "9e999",
                                         "5e-324",
                                         "''",
                                         "'hunter2'",
                                         "'naïve €𐍈'",
                                         "'a' || char(0) || 'b'",
                                         "x''",
                                         "x'00ff00'",
                                         "zeroblob(1000)"};
    int wrong = 0;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char sql[300];
        snprintf(sql, sizeof sql,
                 "WITH t(v, d) AS (SELECT %s, decrypt(encrypt(%s, 'a/b'), 'a/b'))"
                 "SELECT typeof(v) = typeof(d) AND quote(v) = quote(d) AND length(v) = length(d) "
                 "AND hex(v) = hex(d) FROM t",
                 values[i], values[i]);
        if (strcmp(query(sql), "1") != 0) {
            printf("# %s: %s\n", values[i], query(sql));
            wrong++;
        }
    }
    char name[100];
    snprintf(name, sizeof name, "values of every type come back as they went in (%s)", encoding);
    is_int(wrong, 0, name);
}

static void test_encrypt(void) {
    gives("SELECT encrypt(NULL)", "(null)", "NULL gives NULL");
    gives("SELECT decrypt(NULL, 'x')", "(null)", "from decrypt too");
    gives("SELECT encrypt(NULL, NULL)", "error: encrypt: context must be TEXT, not NULL",
          "a NULL context is an error");
    gives("SELECT encrypt('x', 5)", "error: encrypt: context must be TEXT, not INTEGER",
          "a number is no context");
    gives("SELECT encrypt('x', '')",
          "error: encrypt: context must not be empty; leave it out for a token that belongs to no "
          "place",
          "an empty context is an error");
    gives("SELECT encrypt('x', 'a' || char(0))", "error: encrypt: context must not contain a NUL",
          "a NUL in a context is an error");
    gives("SELECT encrypt('x', CAST(x'ff' AS TEXT))", "error: encrypt: context must be valid UTF-8",
          "a context is UTF-8");
    gives("SELECT typeof(encrypt('hunter2')) || length(encrypt('hunter2'))", "blob100",
          "a token is a BLOB 93 bytes longer");
    gives("SELECT count(DISTINCT encrypt('x')) FROM (VALUES (1), (2), (3))", "3",
          "every row gets its own token");
    gives("SELECT decrypt(encrypt('x', 'a'), 'b')", "error: decrypt: " REFUSAL,
          "another context does not open it");
    gives("SELECT decrypt(encrypt('x', 'a'))", "error: decrypt: " REFUSAL, "nor does none");
    gives("SELECT decrypt(encrypt('x'), 'a')", "error: decrypt: " REFUSAL,
          "nor does a context open a token that has none");
    gives("SELECT decrypt(5)", "error: decrypt: token must be TEXT or BLOB, not INTEGER",
          "a number is no token");
    gives("SELECT decrypt('')", "error: decrypt: " REFUSAL, "neither is nothing");
    gives("SELECT decrypt(x'')", "error: decrypt: " REFUSAL, "nor an empty BLOB");
}

static void test_fernet(void) {
    rbt_clock_override_us = 1700000000000000;
    gives("SELECT decrypt(fernet_encrypt('hunter2'))", "hunter2", "decrypt opens Fernet too");
    gives("SELECT typeof(fernet_encrypt('x')) || substr(fernet_encrypt('x'), 1, 6)", "blobgAAAAA",
          "a Fernet token is a BLOB of text");
    gives("SELECT fernet_decrypt(CAST(fernet_encrypt('hunter2') AS TEXT))", "hunter2",
          "as TEXT it opens as well");
    gives("SELECT typeof(fernet_decrypt(fernet_encrypt(x'ff')))", "blob",
          "bytes that are no UTF-8 come back as BLOB");
    gives("SELECT typeof(fernet_decrypt(fernet_encrypt(x'41')))", "text", "others as TEXT");
    gives("SELECT length(CAST(fernet_decrypt(fernet_encrypt('a' || char(0) || 'b')) AS BLOB))", "3",
          "NULs in text are kept");
    gives("SELECT fernet_encrypt(NULL)", "(null)", "NULL gives NULL");
    gives("SELECT fernet_encrypt(5)",
          "error: fernet_encrypt: value must be TEXT or BLOB, not INTEGER",
          "numbers are refused: Fernet has no types");
    gives("SELECT fernet_decrypt(encrypt('x'))", "error: fernet_decrypt: " REFUSAL,
          "an envelope is no Fernet token");
    gives(
        "SELECT decrypt(fernet_encrypt('x'), 'a')",
        "error: decrypt: a Fernet token cannot carry a context; leave the context out, or turn it "
        "into a token that has one: encrypt(decrypt(token), context)",
        "with a context Fernet is refused");
    gives("SELECT fernet_decrypt(fernet_encrypt('x'), 0)", "x", "a fresh token passes any ttl");
    gives("SELECT fernet_decrypt(fernet_encrypt('x'), NULL)",
          "error: fernet_decrypt: ttl_seconds must be INTEGER, not NULL",
          "a NULL ttl is an error, not eternity");
    gives("SELECT fernet_decrypt(fernet_encrypt('x'), -1)",
          "error: fernet_decrypt: ttl_seconds must not be negative, but is -1",
          "a ttl is not negative");

    gives("CREATE TABLE tokens AS SELECT fernet_encrypt('x') AS t", "(done)", "a token is stored");
    rbt_clock_override_us += 61000000;
    gives("SELECT fernet_decrypt(t, 60) FROM tokens",
          "error: fernet_decrypt: the token expired; it is 61 seconds old, the ttl is 60",
          "a token older than the ttl is refused");
    gives("SELECT fernet_decrypt(t) FROM tokens", "x", "but opens without a ttl");
    rbt_clock_override_us -= 122000000;
    gives(
        "SELECT fernet_decrypt(t, 60) FROM tokens",
        "error: fernet_decrypt: the token comes from the future, 61 seconds ahead of the clock; at "
        "most 60 are allowed",
        "a token from the future is refused");
    rbt_clock_override_us = 0;
}

static void test_info(void) {
    rbt_clock_override_us = 1700000000000000;
    gives("SELECT token_info(encrypt('hunter2'))",
          "{\"format\":\"envelope\",\"kind\":1,\"key_id\":\"fe6b3e115b099239\","
          "\"created\":\"2023-11-14T22:13:20Z\",\"created_seconds\":1700000000,\"size\":100,"
          "\"value_size\":7}",
          "token_info describes a token");
    rbt_clock_override_us = 0;
    gives("SELECT token_info(NULL)", "(null)", "NULL gives NULL");
    gives("SELECT json_valid(token_info(x'00'))", "1", "anything else gives JSON");
    gives("SELECT token_info(5)", "error: token_info: token must be TEXT or BLOB, not INTEGER",
          "but for numbers");
}

static void test_keys(void) {
    gives("SELECT key_id()", "fe6b3e115b099239", "key_id names the primary");
    gives("SELECT length(keygen()) || (keygen() = keygen())", "440",
          "keygen makes a new key each time");
    gives("SELECT substr(keygen(), -1) || (keygen() GLOB '*[+/]*')", "=0",
          "in padded urlsafe base64");
    gives("SELECT length(keygen('signing'))", "44", "keygen('signing') makes a seed");
    gives("SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
          "WHERE i < 50) SELECT 1 FROM n WHERE keygen('signing') GLOB '*[-_]*')",
          "0", "in standard base64");
    gives("SELECT keygen('x')",
          "error: keygen: purpose must be 'signing', or left out for an encryption key",
          "other purposes are refused");
    gives("SELECT keygen(NULL)", "error: keygen: purpose must be TEXT, not NULL", "so is NULL");
    gives("SELECT group_concat(position || key_id || is_primary || source) FROM key_ring",
          "1fe6b3e115b0992391RUSTYBT_ENCRYPTION_KEY", "key_ring lists the key");
    gives("SELECT rowid = position AND locked IN (0, 1) FROM key_ring", "1",
          "and whether its memory is locked");
    gives("CREATE VIRTUAL TABLE r USING key_ring", "error: no such module: key_ring",
          "key_ring cannot be created in a database");
    gives("CREATE VIEW v AS SELECT * FROM key_ring", "(done)", "a view may name it");
    gives("SELECT * FROM v", "error: unsafe use of virtual table \"key_ring\"",
          "but a persistent one cannot be read");
    gives("CREATE VIEW w AS SELECT decrypt(x'00')", "(done)", "a view may name decrypt");
    gives("SELECT * FROM w", "error: unsafe use of decrypt()",
          "but a persistent one cannot call it");
}

/* Tokens of the old ring, then a ring with a new primary before it. */
static void test_rotation(void) {
    sqlite3 *old = db;
    char *message = NULL;

    sqlite3_exec(db, "CREATE TABLE k(e, c, f, t)", NULL, NULL, NULL);
    rbt_clock_override_us = 1600000000000000;
    sqlite3_exec(db,
                 "INSERT INTO k VALUES (encrypt(7), encrypt('x', 'c'), fernet_encrypt('f'), "
                 "CAST(fernet_encrypt('t') AS TEXT))",
                 NULL, NULL, &message);
    is_text(message, NULL, "tokens are made under the old key");
    rbt_clock_override_us = 0;

    setenv("RUSTYBT_ENCRYPTION_KEY", KEY_B "," KEY_A, 1);
    db = open_database();
    sqlite3_exec(db, "CREATE TABLE k(e, c, f, t)", NULL, NULL, NULL);
    sqlite3_backup *backup = sqlite3_backup_init(db, "main", old, "main");
    sqlite3_backup_step(backup, -1);
    is_int(sqlite3_backup_finish(backup), SQLITE_OK, "and carried to a connection with a new one");
    sqlite3_close(old);

    gives("SELECT decrypt(e) || decrypt(c, 'c') || decrypt(f) || decrypt(t) FROM k", "7xft",
          "which opens them all");
    gives("SELECT token_info(e) ->> 'key_id' = (SELECT key_id FROM key_ring WHERE position = 2) "
          "FROM k",
          "1", "they are the old key's");
    gives("SELECT key_rotate(c) FROM k", "error: key_rotate: " REFUSAL,
          "rotating needs the context too");
    sqlite3_exec(db,
                 "UPDATE k SET e = key_rotate(e), c = key_rotate(c, 'c'), f = key_rotate(f), "
                 "t = key_rotate(t)",
                 NULL, NULL, &message);
    is_text(message, NULL, "they are rotated");
    gives("SELECT token_info(e) ->> 'key_id' = key_id() AND token_info(c) ->> 'key_id' = key_id() "
          "FROM k",
          "1", "envelopes are the new key's");
    gives("SELECT typeof(e) || typeof(f) || typeof(t) FROM k", "blobblobtext",
          "storage classes are kept");
    gives("SELECT token_info(f) ->> 'created_seconds' = 1600000000 AND token_info(t) ->> "
          "'created_seconds' = 1600000000 FROM k",
          "1", "Fernet tokens keep their time");
    gives("SELECT key_rotate(e) = e AND key_rotate(c, 'c') = c AND key_rotate(f) = f AND "
          "key_rotate(t) = t FROM k",
          "1", "what is rotated already stays as it is");
    gives("SELECT key_rotate(NULL)", "(null)", "NULL gives NULL");
    gives("SELECT key_rotate(substr(e, 1, 90)) FROM k", "error: key_rotate: " REFUSAL,
          "what does not open is not rotated");

    setenv("RUSTYBT_ENCRYPTION_KEY", KEY_B, 1);
    old = db;
    db = open_database();
    backup = sqlite3_backup_init(db, "main", old, "main");
    sqlite3_backup_step(backup, -1);
    sqlite3_backup_finish(backup);
    sqlite3_close(old);
    gives("SELECT decrypt(e) || decrypt(c, 'c') || decrypt(f) || decrypt(t) FROM k", "7xft",
          "the new key alone opens them");
    unsetenv("RUSTYBT_ENCRYPTION_KEY");
}

static void test_without_key(void) {
    sqlite3_close(db);
    db = open_database();
    gives("SELECT encrypt(NULL)", "(null)", "without a key NULL still gives NULL");
    gives("SELECT encrypt('x')",
          "error: encrypt: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT "
          "keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one",
          "encrypt says how to get one");
    gives("SELECT * FROM key_ring",
          "error: key_ring: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT "
          "keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one",
          "so does key_ring");
    gives("SELECT length(keygen())", "44", "keygen needs none");
}

int main(void) {
    plan(71);
    if (!rbt_crypto_init()) return 1;
    unsetenv("RUSTYBT_SIGNING_KEY");
    unsetenv("RUSTYBT_ENCRYPTION_KEY_FILE");
    setenv("RUSTYBT_ENCRYPTION_KEY", KEY_A, 1);
    db = open_database();
    gives("PRAGMA encoding = 'UTF-16le'", "(done)", "a database may be UTF-16");
    test_values("UTF-16");
    sqlite3_close(db);
    db = open_database();
    test_values("UTF-8");
    test_encrypt();
    test_fernet();
    test_info();
    test_keys();
    test_rotation();
    test_without_key();
    is_int(sqlite3_close(db), SQLITE_OK, "the connection closes");
    return done();
}
