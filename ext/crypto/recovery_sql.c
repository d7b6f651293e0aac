/* SPDX-License-Identifier: MIT
** SQL glue of recovery: a backup of all keys under a passphrase, and back; the work is done by
** backup.h. Calls crypto and base. Neither function changes anything: the one gives a ciphertext, the
** other needs a passphrase.
*/
#include "recovery_sql.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "backup.h"
#include "credentials_sql.h"
#include <sodium.h>

/* The bytes of a passphrase that may be used; borrowed from the value. */
static int passphrase_argument(const uint8_t **passphrase, size_t *length, sqlite3_value *value,
                               const char *who, rbt_error *error) {
    int code = rbt_bytes_argument(passphrase, length, value, "passphrase", who, error);
    if (code == SQLITE_OK) code = rbt_backup_passphrase_check(*passphrase, *length, who, error);
    return code;
}

static bool same_keys(const rbt_keys *a, const rbt_keys *b) {
    size_t count = rbt_keys_count(a), signing_count = rbt_keys_signing_count(a);
    bool same = rbt_keys_count(b) == count && signing_count > 0 &&
                rbt_keys_signing_count(b) == signing_count;

    for (size_t i = 0; same && i < signing_count; i++)
        same = sodium_memcmp(rbt_keys_signing_at(a, i), rbt_keys_signing_at(b, i),
                             sizeof(rbt_signing_key)) == 0;
    for (size_t i = 0; same && i < count; i++)
        same = sodium_memcmp(rbt_keys_at(a, i), rbt_keys_at(b, i), sizeof(rbt_ring_key)) == 0;
    return same;
}

/* Whether the backup gives back the contents, and these the keys. A backup is trusted for years and
** tried when all else is lost, so it is tried once before it leaves. */
static int try_backup(const rbt_buffer *text, const rbt_buffer *contents, const rbt_keys *keys,
                      const uint8_t *passphrase, size_t passphrase_length, const char *who,
                      rbt_error *error) {
    rbt_buffer opened = {.secret = true};
    rbt_keys *restored = NULL;

    int code = rbt_backup_open(&opened, text->data, text->length, passphrase, passphrase_length,
                               who, error);
    if (code != SQLITE_OK) goto cleanup;
    restored = rbt_backup_keys(&opened, who, error);
    if (restored == NULL)
        code = error->code;
    else if (opened.length != contents->length ||
             sodium_memcmp(opened.data, contents->data, opened.length) != 0 ||
             !same_keys(restored, keys))
        code = rbt_fail(error, SQLITE_ERROR,
                        "%s: the backup does not give back the keys it was made of, so it was "
                        "thrown away; try again on another machine",
                        who);

cleanup:
    rbt_buffer_free(&opened);
    rbt_keys_free(restored);
    return code;
}

/* key_backup(passphrase): all keys, encrypted, as one line of base64. */
static void key_backup_function(sqlite3_context *context, int argument_count,
                                sqlite3_value **arguments) {
    static const rbt_backup_cost cost = {RBT_BACKUP_PASSES, RBT_BACKUP_MEMORY_KIB};
    const char *who = "key_backup";
    rbt_error error = {0};
    rbt_buffer contents = {.secret = true}, text = {0};
    uint8_t random[RBT_BACKUP_RANDOM_SIZE];
    const rbt_keys *keys;
    const uint8_t *passphrase;
    size_t length;

    (void)argument_count;
    if (passphrase_argument(&passphrase, &length, arguments[0], who, &error) != SQLITE_OK)
        goto cleanup;
    /* A ring is asked for also where a signing key is set: a backup made by a process that lacks the
    ** ring by mistake would lose it. */
    keys = rbt_connection_ring(rbt_connection_of(context), who, &error);
    if (keys == NULL) goto cleanup;
    rbt_backup_add_contents(&contents, keys);
    if (contents.failed) {
        rbt_fail_nomem(&error);
        goto cleanup;
    }
    randombytes_buf(random, sizeof random);
    if (rbt_backup_seal(&text, &cost, random, rbt_token_now(), passphrase, length, contents.data,
                        contents.length, who, &error) != SQLITE_OK)
        goto cleanup;
    if (try_backup(&text, &contents, keys, passphrase, length, who, &error) != SQLITE_OK)
        goto cleanup;
    rbt_result_text(context, &text);

cleanup:
    rbt_buffer_free(&contents);
    rbt_buffer_free(&text);
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
}

/* key_restore(backup, passphrase): the lines of a dotenv file. */
static void key_restore_function(sqlite3_context *context, int argument_count,
                                 sqlite3_value **arguments) {
    const char *who = "key_restore";
    rbt_error error = {0};
    rbt_buffer contents = {.secret = true};
    rbt_keys *keys;
    const uint8_t *backup, *passphrase;
    size_t backup_length, length;

    (void)argument_count;
    if (passphrase_argument(&passphrase, &length, arguments[1], who, &error) != SQLITE_OK)
        goto cleanup;
    if (sqlite3_value_type(arguments[0]) == SQLITE_NULL) return;
    if (rbt_bytes_argument(&backup, &backup_length, arguments[0], "backup", who, &error) !=
        SQLITE_OK)
        goto cleanup;
    if (rbt_backup_open(&contents, backup, backup_length, passphrase, length, who, &error) !=
        SQLITE_OK)
        goto cleanup;
    keys = rbt_backup_keys(&contents, who, &error);
    if (keys == NULL) goto cleanup;
    rbt_keys_free(keys);
    rbt_result_text(context, &contents);

cleanup:
    rbt_buffer_free(&contents);
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
}

const rbt_function rbt_recovery_functions[] = {
    {"key_backup", 1, 1, RBT_DIRECT, key_backup_function, "key_backup(passphrase)", "encryption",
     "all keys, encrypted under a passphrase, as text to print and keep; tried once before it is "
     "given",
     "SELECT key_backup('not this one: words drawn by lot')"},
    {"key_restore", 2, 2, RBT_DIRECT, key_restore_function, "key_restore(backup, passphrase)",
     "nothing", "the keys of a backup, as a dotenv file that RUSTYBT_ENCRYPTION_KEY_FILE may name",
     "SELECT key_restore(key_backup('not this one: words drawn by lot'), 'not this one: words "
     "drawn by lot')"},
    {0},
};
