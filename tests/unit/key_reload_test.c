/* SPDX-License-Identifier: MIT
** Reading keys anew: what makes it happen and how often, what stays when it fails, and that replaced
** keys live as long as somebody may hold them.
*/
#include "tap.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/connection.h"
#include "crypto/envelope.h"
#include "crypto/key_reload.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Master keys 00 01 … 1f and 20 21 … 3f. */
#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

static char folder[] = "/tmp/rustybt-reload-XXXXXX";
static char path[64];
static uint8_t id_a[8], id_b[8];

static void write_key(const char *contents) {
    unlink(path);
    int file = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);
    if (file < 0 || write(file, contents, strlen(contents)) != (ssize_t)strlen(contents) ||
        close(file) != 0)
        printf("# cannot write %s\n", path);
}

static void read_ids(void) {
    rbt_error error = {0};
    rbt_keys *keys = rbt_keys_parse(KEY_A "," KEY_B, NULL, "test", &error);
    memcpy(id_a, rbt_keys_at(keys, 0)->id, sizeof id_a);
    memcpy(id_b, rbt_keys_at(keys, 1)->id, sizeof id_b);
    rbt_keys_free(keys);
}

static void test_reload(sqlite3 *db) {
    rbt_error error = {0};
    rbt_connection *connection = rbt_connection_new(db);

    write_key(KEY_A);
    const rbt_keys *keys = rbt_connection_ring(connection, "test", &error);
    ok(keys && rbt_keys_find(keys, id_a) && !rbt_keys_find(keys, id_b), "the first key is read");
    is_int(rbt_connection_reload(connection, "test", &error), SQLITE_OK, "reading it again works");
    ok(rbt_connection_ring(connection, "test", &error) == keys, "and gives what was there");

    write_key(KEY_B "," KEY_A);
    ok(rbt_connection_ring(connection, "test", &error) == keys, "a changed file changes nothing");
    rbt_keys_retain(keys);
    is_int(rbt_connection_reload(connection, "test", &error), SQLITE_OK, "until it is read anew");
    const rbt_keys *newer = rbt_connection_ring(connection, "test", &error);
    ok(newer && memcmp(rbt_keys_at(newer, 0)->id, id_b, 8) == 0 && rbt_keys_find(newer, id_a),
       "then the new key is the first");
    ok(rbt_keys_find(keys, id_a) && !rbt_keys_find(keys, id_b),
       "who retained the earlier keys has them still");
    rbt_keys_free((rbt_keys *)keys);

    write_key("QUJD");
    is_int(rbt_connection_reload(connection, "test", &error), SQLITE_ERROR,
           "a malformed file is an error");
    is_text(error.message,
            "test: key 1 of RUSTYBT_ENCRYPTION_KEY_FILE decodes to 3 bytes, expected 32",
            "that names the variable");
    rbt_error_clear(&error);
    ok(rbt_connection_ring(connection, "test", &error) == newer, "and the keys are as before");
    unlink(path);
    is_int(rbt_connection_reload(connection, "test", &error), SQLITE_CANTOPEN,
           "so is a file that vanished");
    ok(rbt_connection_ring(connection, "test", &error) == newer, "whose keys also stay");
    rbt_error_clear(&error);
    unsetenv("RUSTYBT_ENCRYPTION_KEY_FILE");
    rbt_connection_reload(connection, "test", &error);
    is_text(
        error.message,
        "test: neither RUSTYBT_ENCRYPTION_KEY nor RUSTYBT_SIGNING_KEY is set any more; the keys "
        "are as before",
        "no source at all is an error, too");
    rbt_error_clear(&error);
    rbt_connection_release(connection);
}

/* The second key of the pair, once known, of a connection that knew the first. */
static void test_unknown_id(sqlite3 *db) {
    rbt_error error = {0};
    rbt_connection *connection = rbt_connection_new(db);
    uint8_t token[RBT_ENVELOPE_OVERHEAD] = {'R', 'B', 'T', RBT_ENVELOPE_KIND_RING};

    setenv("RUSTYBT_ENCRYPTION_KEY_FILE", path, 1);
    write_key(KEY_A);
    rbt_clock_override_us = 1000000000;
    ok(rbt_connection_find_key(connection, id_a, "test", &error) != NULL, "a known id is found");
    ok(rbt_connection_find_key(connection, id_b, "test", &error) == NULL && error.code == SQLITE_OK,
       "an unknown one is not, which is no error");
    write_key(KEY_A "," KEY_B);
    rbt_clock_override_us += 9999999;
    ok(rbt_connection_find_key(connection, id_b, "test", &error) == NULL,
       "within ten seconds the file is not read again");
    rbt_clock_override_us += 1;
    ok(rbt_connection_find_key(connection, id_b, "test", &error) != NULL, "after them it is");
    write_key(KEY_B);
    is_int(rbt_connection_reload(connection, "test", &error), SQLITE_OK, "a key is taken away");
    memcpy(token + 4, id_a, 8);
    write_key(KEY_B "," KEY_A);
    const rbt_keys *ring = rbt_connection_ring_for(connection, token, sizeof token, "test", &error);
    ok(ring && rbt_keys_find(ring, id_a), "and read again as soon as a token needs it");

    write_key(KEY_B);
    rbt_connection_reload(connection, "test", &error);
    unlink(path);
    ok(rbt_connection_ring_for(connection, token, sizeof token, "test", &error) == NULL &&
           error.code == SQLITE_CANTOPEN,
       "a file that vanished meanwhile is an error then");
    rbt_error_clear(&error);
    token[3] = RBT_ENVELOPE_KIND_SUBJECT;
    rbt_clock_override_us += 20000000;
    ok(rbt_connection_ring_for(connection, token, sizeof token, "test", &error) != NULL,
       "other kinds of token read nothing");
    rbt_clock_override_us = 0;
    rbt_connection_release(connection);

    connection = rbt_connection_new(db);
    unsetenv("RUSTYBT_ENCRYPTION_KEY_FILE");
    setenv("RUSTYBT_ENCRYPTION_KEY", KEY_A, 1);
    ok(rbt_connection_find_key(connection, id_a, "test", &error) != NULL,
       "a key of the environment");
    setenv("RUSTYBT_ENCRYPTION_KEY", KEY_B, 1);
    ok(rbt_connection_find_key(connection, id_b, "test", &error) == NULL && error.code == SQLITE_OK,
       "is not read again by itself");
    is_int(rbt_connection_reload(connection, "test", &error), SQLITE_OK, "but when asked for");
    ok(rbt_connection_find_key(connection, id_b, "test", &error) != NULL, "then it is the new one");
    rbt_connection_release(connection);
    unsetenv("RUSTYBT_ENCRYPTION_KEY");
}

/* While another statement runs, replaced keys stay; there is room for a few of them. */
static void test_running(sqlite3 *db) {
    rbt_error error = {0};
    rbt_connection *connection = rbt_connection_new(db);
    sqlite3_stmt *one = NULL, *two = NULL;

    setenv("RUSTYBT_ENCRYPTION_KEY", KEY_A, 1);
    const rbt_keys *first = rbt_connection_ring(connection, "test", &error);
    sqlite3_prepare_v2(db, "SELECT 1 UNION SELECT 2", -1, &one, NULL);
    sqlite3_prepare_v2(db, "SELECT 1 UNION SELECT 2", -1, &two, NULL);
    ok(sqlite3_step(one) == SQLITE_ROW && sqlite3_step(two) == SQLITE_ROW, "two statements run");
    int code = SQLITE_OK, count = 0;
    while (code == SQLITE_OK && count < 10) {
        setenv("RUSTYBT_ENCRYPTION_KEY", count % 2 ? KEY_A : KEY_B, 1);
        code = rbt_connection_reload(connection, "test", &error);
        count += code == SQLITE_OK;
    }
    is_int(count, RBT_RETIRED_KEYS, "as many reloads as there is room for");
    is_text(error.message, "test: statements are running that use earlier keys; finish them first",
            "the next one says why not");
    rbt_error_clear(&error);
    ok(rbt_keys_find(first, id_a) != NULL, "the first keys are still whole");
    sqlite3_finalize(one);
    is_int(rbt_connection_reload(connection, "test", &error), SQLITE_OK,
           "when the statement is done there is room again");
    is_int(connection->retired_key_count, 0, "and nothing is kept");
    sqlite3_finalize(two);
    rbt_connection_release(connection);
    unsetenv("RUSTYBT_ENCRYPTION_KEY");
}

int main(void) {
    sqlite3 *db = NULL;
    plan(31);
    if (!rbt_crypto_init() || mkdtemp(folder) == NULL || sqlite3_open(":memory:", &db) != SQLITE_OK)
        return 1;
    snprintf(path, sizeof path, "%s/keys", folder);
    setenv("RUSTYBT_ENCRYPTION_KEY_FILE", path, 1);
    read_ids();
    test_reload(db);
    test_unknown_id(db);
    test_running(db);
    sqlite3_close(db);
    unlink(path);
    rmdir(folder);
    return done();
}
