/* SPDX-License-Identifier: MIT
** See key_reload.h.
*/
#include "key_reload.h"

#include "../base/clock.h"
#include "envelope.h"
#include "key_source.h"
#include <string.h>

enum { KEY_ID_AT = 4 };
static const int64_t reread_pause_us = 10 * 1000000LL;

/* Whether a statement other than the one that calls us may hold pointers into old keys. */
static bool others_run(sqlite3 *db) {
    int busy = 0;
    for (sqlite3_stmt *each = sqlite3_next_stmt(db, NULL); each; each = sqlite3_next_stmt(db, each))
        busy += sqlite3_stmt_busy(each) != 0;
    return busy > 1;
}

static void drop_retired(rbt_connection *connection) {
    if (connection->retired_key_count == 0 || others_run(connection->db)) return;
    while (connection->retired_key_count > 0)
        rbt_keys_free(connection->retired_keys[--connection->retired_key_count]);
}

int rbt_connection_reload(rbt_connection *connection, const char *who, rbt_error *error) {
    drop_retired(connection);
    if (connection->retired_key_count == RBT_RETIRED_KEYS)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: statements are running that use earlier keys; finish them first", who);
    rbt_keys *keys = rbt_keys_read(who, error);
    if (keys == NULL && error->code == SQLITE_OK)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: neither %s nor %s is set any more; the keys are as before", who,
                 rbt_key_source_variable(RBT_PURPOSE_ENCRYPTION),
                 rbt_key_source_variable(RBT_PURPOSE_SIGNING));
    if (keys == NULL) return error->code;
    connection->free_keys = rbt_keys_free;
    if (keys == connection->keys) { /* they say what they said: one reference too many */
        rbt_keys_free(keys);
        return SQLITE_OK;
    }
    if (connection->keys)
        connection->retired_keys[connection->retired_key_count++] = connection->keys;
    connection->keys = keys;
    drop_retired(connection);
    return SQLITE_OK;
}

/* Whether reading again may bring another answer: the environment of a process says what it said. */
static bool may_change(const rbt_connection *connection) {
    int64_t since = rbt_clock_us() - connection->keys_reread_us;
    return connection->keys &&
           strcmp(rbt_keys_source(connection->keys),
                  rbt_key_source_variable(RBT_PURPOSE_ENCRYPTION)) != 0 &&
           (connection->keys_reread_us == 0 || since < 0 || since >= reread_pause_us);
}

const rbt_ring_key *rbt_connection_find_key(rbt_connection *connection,
                                            const uint8_t id[RBT_KEY_ID_SIZE], const char *who,
                                            rbt_error *error) {
    const rbt_keys *keys = rbt_connection_keys(connection, who, error);
    const rbt_ring_key *key = keys ? rbt_keys_find(keys, id) : NULL;
    if (keys == NULL || key || !may_change(connection)) return key;
    connection->keys_reread_us = rbt_clock_us();
    if (rbt_connection_reload(connection, who, error) != SQLITE_OK) return NULL;
    key = rbt_keys_find(connection->keys, id);
    if (key) connection->keys_reread_us = 0;
    return key;
}

bool rbt_connection_reread(rbt_connection *connection, const char *who, rbt_error *error) {
    if (!may_change(connection)) return false;
    const rbt_keys *before = connection->keys;
    rbt_keys_retain(before); /* lest other keys come to stand where they stood */
    connection->keys_reread_us = rbt_clock_us();
    bool other = rbt_connection_reload(connection, who, error) == SQLITE_OK &&
                 connection->keys != before && rbt_keys_count(connection->keys) > 0;
    rbt_keys_free((rbt_keys *)before);
    return other;
}

const rbt_keys *rbt_connection_ring_for(rbt_connection *connection, const uint8_t *token,
                                        size_t length, const char *who, rbt_error *error) {
    drop_retired(connection);
    const rbt_keys *keys = rbt_connection_ring(connection, who, error);
    if (keys == NULL || !rbt_envelope_recognised(token, length) ||
        token[3] != RBT_ENVELOPE_KIND_RING || rbt_keys_find(keys, token + KEY_ID_AT))
        return keys;
    if (!rbt_connection_find_key(connection, token + KEY_ID_AT, who, error) &&
        error->code != SQLITE_OK)
        return NULL;
    return rbt_connection_ring(connection, who, error);
}
