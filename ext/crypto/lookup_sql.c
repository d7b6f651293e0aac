/* SPDX-License-Identifier: MIT
** SQL glue of blind_index(value, context[, key_id]): arguments in, 24 bytes out; the work is done by
** blind_index.h. Calls crypto and base.
**
** The key id names the ring key, so that during a rotation both the old and the new index value can be
** looked up:  … IN (SELECT blind_index(?, 'users.email', key_id) FROM key_ring)
*/
#include "lookup_sql.h"

#include "../base/bytes.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "blind_index.h"
#include "credentials_sql.h"
#include "envelope.h"
#include "key_reload.h"

/* The key id at arguments[index], if there are that many; *given tells. */
static int read_key_id(uint8_t id[RBT_KEY_ID_SIZE], bool *given, int argument_count,
                       sqlite3_value **arguments, int index, const char *who, rbt_error *error) {
    *given = argument_count > index;
    if (!*given) return SQLITE_OK;
    const char *text = rbt_text_argument(arguments[index], who, "key_id", error);
    if (text == NULL) return error->code;
    if (!rbt_hex_decode(id, RBT_KEY_ID_SIZE, text, (size_t)sqlite3_value_bytes(arguments[index])))
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: key_id must be 16 hex digits, as in key_ring, but has %d characters",
                        who, sqlite3_value_bytes(arguments[index]));
    return SQLITE_OK;
}

/* The named ring key, else the primary; NULL and the error when there is none. */
static const rbt_ring_key *find_key(rbt_connection *connection, const uint8_t *id, const char *who,
                                    rbt_error *error) {
    const rbt_keys *keys = rbt_connection_ring(connection, who, error);
    if (keys == NULL) return NULL;
    if (id == NULL) return rbt_keys_at(keys, 0);
    const rbt_ring_key *key = rbt_connection_find_key(connection, id, who, error);
    if (key == NULL && error->code == SQLITE_OK) {
        char hex[2 * RBT_KEY_ID_SIZE + 1];
        rbt_hex_encode(hex, id, RBT_KEY_ID_SIZE);
        rbt_fail(error, SQLITE_ERROR, "%s: no key in the ring has id %s", who, hex);
    }
    return key;
}

static void blind_index_function(sqlite3_context *context, int argument_count,
                                 sqlite3_value **arguments) {
    const char *who = "blind_index";
    rbt_error error = {0};
    rbt_plain_value plain = {0};
    uint8_t id[RBT_KEY_ID_SIZE], index[RBT_BLIND_INDEX_SIZE];
    bool named;

    const char *place = rbt_text_argument(arguments[1], who, "context", &error);
    if (place == NULL) goto cleanup;
    size_t place_length = (size_t)sqlite3_value_bytes(arguments[1]);
    if (place_length == 0) {
        rbt_fail(&error, SQLITE_ERROR,
                 "%s: context must not be empty; name the column, as in 'users.email'", who);
        goto cleanup;
    }
    if (read_key_id(id, &named, argument_count, arguments, 2, who, &error) != SQLITE_OK)
        goto cleanup;
    if (sqlite3_value_type(arguments[0]) == SQLITE_NULL) return;
    if (rbt_value_argument(&plain, arguments[0], who, &error) != SQLITE_OK) goto cleanup;
    /* -0.0 and 0.0 are equal, so one must find the other */
    if (plain.type == RBT_VALUE_REAL && sqlite3_value_double(arguments[0]) == 0)
        memset(plain.number, 0, sizeof plain.number);
    const rbt_ring_key *key = find_key(rbt_connection_of(context), named ? id : NULL, who, &error);
    if (key == NULL) goto cleanup;
    rbt_blind_index(index, key, (const uint8_t *)place, place_length, plain.type, plain.bytes,
                    plain.length);
    sqlite3_result_blob(context, index, sizeof index, SQLITE_TRANSIENT);

cleanup:
    rbt_wipe(&plain, sizeof plain);
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
}

const rbt_function rbt_lookup_functions[] = {
    {"blind_index", 2, 3, RBT_DIRECT, blind_index_function, "blind_index(value, context[, key_id])",
     "encryption",
     "24 bytes that are equal for equal values of a context, to search an encrypted column by; "
     "under the primary key or the one named",
     "SELECT blind_index('a@b.example', 'users.email')"},
    {0},
};
