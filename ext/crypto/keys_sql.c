/* SPDX-License-Identifier: MIT
** SQL glue of keys: making them, naming them, rotating tokens onto the primary, and the table
** key_ring. Calls crypto and base. No key ever leaves the ring; keygen gives a new one, used by no one.
*/
#include "keys_sql.h"

#include "../base/base64.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "credentials_sql.h"
#include "envelope.h"
#include "key_reload.h"
#include "subject.h"
#include "token.h"
#include <sodium.h>

enum { KEY_SIZE = 32 };

/* keygen(): a Fernet key for the ring, in padded urlsafe base64. keygen('signing'): an Ed25519 seed,
** in padded standard base64. Both are 32 random bytes; each is read in either alphabet. */
static void keygen_function(sqlite3_context *context, int argument_count,
                            sqlite3_value **arguments) {
    rbt_error error = {0};
    rbt_buffer text = {.secret = true};
    uint8_t key[KEY_SIZE];
    bool signing = false;

    if (argument_count > 0) {
        const char *purpose = rbt_text_argument(arguments[0], "keygen", "purpose", &error);
        if (purpose != NULL && strcmp(purpose, "signing") != 0)
            rbt_fail(&error, SQLITE_ERROR,
                     "keygen: purpose must be 'signing', or left out for an encryption key");
        if (error.code != SQLITE_OK) {
            rbt_result_error(context, &error);
            return;
        }
        signing = true;
    }
    randombytes_buf(key, sizeof key);
    rbt_base64_encode(&text, key, sizeof key, !signing);
    rbt_wipe(key, sizeof key);
    rbt_result_text(context, &text);
    rbt_buffer_free(&text);
}

/* key_id(): 16 hex digits that name the primary key. */
static void key_id_function(sqlite3_context *context, int argument_count,
                            sqlite3_value **arguments) {
    rbt_error error = {0};
    rbt_buffer text = {0};
    const rbt_keys *keys = rbt_connection_ring(rbt_connection_of(context), "key_id", &error);

    (void)argument_count, (void)arguments;
    if (keys == NULL) {
        rbt_result_error(context, &error);
        return;
    }
    rbt_buffer_add_hex(&text, rbt_keys_at(keys, 0)->id, RBT_KEY_ID_SIZE);
    rbt_result_text(context, &text);
    rbt_buffer_free(&text);
}

/* key_reload(): reads the keys' sources anew; one line that says what is in use now. */
static void key_reload_function(sqlite3_context *context, int argument_count,
                                sqlite3_value **arguments) {
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_buffer text = {0};

    (void)argument_count, (void)arguments;
    if (rbt_connection_reload(connection, "key_reload", &error) != SQLITE_OK) {
        rbt_result_error(context, &error);
        return;
    }
    const rbt_keys *keys = connection->keys;
    size_t count = rbt_keys_count(keys);
    if (count > 0) {
        rbt_buffer_printf(&text, "%lld %s from %s, primary ", (long long)count,
                          count == 1 ? "key" : "keys", rbt_keys_source(keys));
        rbt_buffer_add_hex(&text, rbt_keys_at(keys, 0)->id, RBT_KEY_ID_SIZE);
    } else {
        rbt_buffer_add_text(&text, "no encryption key");
    }
    rbt_buffer_add_text(&text, rbt_keys_signing(keys)->shared ? "; its subkey signs"
                                                              : "; a key of its own signs");
    rbt_result_text(context, &text);
    rbt_buffer_free(&text);
}

/* The rotated token of an opened one, as the function's result. */
static int give_rotated(sqlite3_context *context, sqlite3_value *token, const rbt_opened *opened,
                        const rbt_keys *keys, rbt_place place, rbt_error *error) {
    if (opened->primary) {
        sqlite3_result_value(context, token);
        return SQLITE_OK;
    }
    if (!opened->fernet) {
        uint8_t *envelope;
        int code = rbt_token_seal(&envelope, keys, place, opened->type, opened->value,
                                  opened->length, error);
        if (code == SQLITE_OK)
            sqlite3_result_blob64(context, envelope, opened->length + RBT_ENVELOPE_OVERHEAD,
                                  sqlite3_free);
        return code;
    }
    rbt_buffer fernet = {0};
    int code =
        rbt_token_seal_fernet(&fernet, keys, opened->created, opened->value, opened->length, error);
    if (code == SQLITE_OK && sqlite3_value_type(token) == SQLITE_TEXT)
        rbt_result_text(context, &fernet);
    else if (code == SQLITE_OK)
        rbt_result_blob(context, &fernet);
    rbt_buffer_free(&fernet);
    return code;
}

/* key_rotate(wrapped, sid): a row of rustybt_subject_keys moves to the primary key. */
static void rotate_subject_key(sqlite3_context *context, sqlite3_value **arguments,
                               rbt_error *error) {
    const char *who = "key_rotate";
    rbt_connection *connection = rbt_connection_of(context);
    const uint8_t *wrapped, *sid = sqlite3_value_blob(arguments[1]);
    uint8_t rotated[RBT_WRAPPED_SUBJECT_SIZE];
    rbt_subject_key subject;
    size_t length;

    if (sqlite3_value_bytes(arguments[1]) != RBT_SUBJECT_ID_SIZE) {
        rbt_fail(error, SQLITE_ERROR,
                 "%s: context must be TEXT, or for a wrapped subject key its sid, a BLOB of %d "
                 "bytes",
                 who, RBT_SUBJECT_ID_SIZE);
        return;
    }
    if (sid == NULL) { /* of a zeroblob() that found no memory */
        rbt_fail_nomem(error);
        return;
    }
    if (sqlite3_value_type(arguments[0]) == SQLITE_NULL) return;
    if (rbt_bytes_argument(&wrapped, &length, arguments[0], "token", who, error) != SQLITE_OK)
        return;
    if (!rbt_subject_is_wrapped(wrapped, length)) {
        rbt_fail(error, SQLITE_ERROR,
                 "%s: context must be TEXT, not BLOB; only a wrapped subject key has a BLOB, its "
                 "sid",
                 who);
        return;
    }
    const rbt_keys *keys = rbt_connection_ring(connection, who, error);
    if (keys == NULL) return;
    const rbt_ring_key *key =
        rbt_connection_find_key(connection, wrapped + RBT_WRAPPED_KEY_ID, who, error);
    keys = rbt_connection_ring(connection, who, error);
    if (key == NULL || keys == NULL) {
        rbt_token_no_key(wrapped + RBT_WRAPPED_KEY_ID, who, error);
        return;
    }
    memcpy(subject.sid, sid, sizeof subject.sid);
    if (!rbt_subject_unwrap(&subject, key, wrapped, length)) {
        rbt_token_refuse(who, error);
    } else if (key == rbt_keys_at(keys, 0)) {
        sqlite3_result_value(context, arguments[0]);
    } else {
        rbt_subject_wrap(rotated, rbt_keys_at(keys, 0), &subject);
        sqlite3_result_blob(context, rotated, sizeof rotated, SQLITE_TRANSIENT);
    }
    rbt_wipe(&subject, sizeof subject);
}

/* key_rotate(token[, context]): the same value, type and format under the primary key. A Fernet token
** keeps its time and its storage class, an envelope is made anew, now. One that is there already comes
** back unchanged, after it was opened. */
static void key_rotate_function(sqlite3_context *context, int argument_count,
                                sqlite3_value **arguments) {
    const char *who = "key_rotate";
    rbt_error error = {0};
    rbt_place place;
    rbt_opened opened = {0};
    const rbt_keys *keys;
    const uint8_t *token;
    size_t length;

    if (argument_count > 1 && sqlite3_value_type(arguments[1]) == SQLITE_BLOB) {
        rotate_subject_key(context, arguments, &error);
        goto cleanup;
    }
    if (rbt_place_argument(&place, argument_count, arguments, 1, who, &error) != SQLITE_OK)
        goto cleanup;
    if (sqlite3_value_type(arguments[0]) == SQLITE_NULL) return;
    if (rbt_bytes_argument(&token, &length, arguments[0], "token", who, &error) != SQLITE_OK)
        goto cleanup;
    if (rbt_open_argument(&opened, &keys, rbt_connection_of(context), token, length, place, false,
                          who, &error) != SQLITE_OK)
        goto cleanup;
    (void)give_rotated(context, arguments[0], &opened, keys, place, &error); /* error tells */

cleanup:
    rbt_opened_free(&opened);
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
}

/* ------------------------------------------------------------------------------- key_ring */

typedef struct key_ring_table {
    sqlite3_vtab base; /* must be first */
    rbt_connection *connection;
} key_ring_table;

typedef struct key_ring_cursor {
    sqlite3_vtab_cursor base; /* must be first */
    const rbt_keys *keys;     /* retained: key_reload may replace the connection's meanwhile */
    size_t index;             /* from 0; the column position counts from 1, as error messages do */
} key_ring_cursor;

enum { COLUMN_POSITION, COLUMN_KEY_ID, COLUMN_IS_PRIMARY, COLUMN_SOURCE, COLUMN_LOCKED };

static int ring_connect(sqlite3 *db, void *connection, int argument_count,
                        const char *const *arguments, sqlite3_vtab **out, char **message) {
    (void)argument_count, (void)arguments, (void)message;
    int code = sqlite3_declare_vtab(db, "CREATE TABLE key_ring(position INTEGER, key_id TEXT, "
                                        "is_primary INTEGER, source TEXT, locked INTEGER)");
    if (code == SQLITE_OK) code = sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
    if (code != SQLITE_OK) return code;
    key_ring_table *table = rbt_calloc(sizeof *table);
    if (table == NULL) return SQLITE_NOMEM;
    table->connection = connection;
    *out = &table->base;
    return SQLITE_OK;
}

static int ring_disconnect(sqlite3_vtab *table) {
    rbt_free(table);
    return SQLITE_OK;
}

static int ring_best_index(sqlite3_vtab *table, sqlite3_index_info *plan) {
    (void)table;
    plan->estimatedCost = 4; /* a ring has a few keys, and is always read whole */
    plan->estimatedRows = 4;
    return SQLITE_OK;
}

static int ring_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out) {
    (void)table;
    key_ring_cursor *cursor = rbt_calloc(sizeof *cursor);
    if (cursor == NULL) return SQLITE_NOMEM;
    *out = &cursor->base;
    return SQLITE_OK;
}

static int ring_close(sqlite3_vtab_cursor *base) {
    key_ring_cursor *cursor = (key_ring_cursor *)base;
    rbt_keys_free((rbt_keys *)cursor->keys);
    rbt_free(cursor);
    return SQLITE_OK;
}

/* No ring is an error, not an empty table: a look-up by the ring's ids would silently find nothing. */
static int ring_filter(sqlite3_vtab_cursor *base, int number, const char *text, int argument_count,
                       sqlite3_value **arguments) {
    key_ring_cursor *cursor = (key_ring_cursor *)base;
    key_ring_table *table = (key_ring_table *)base->pVtab;
    rbt_error error = {0};

    (void)number, (void)text, (void)argument_count, (void)arguments;
    cursor->index = 0;
    rbt_keys_free((rbt_keys *)cursor->keys);
    cursor->keys = rbt_connection_ring(table->connection, "key_ring", &error);
    if (cursor->keys == NULL) return rbt_vtab_error(&table->base, &error);
    rbt_keys_retain(cursor->keys);
    return SQLITE_OK;
}

static int ring_next(sqlite3_vtab_cursor *base) {
    ((key_ring_cursor *)base)->index++;
    return SQLITE_OK;
}

static int ring_eof(sqlite3_vtab_cursor *base) {
    const key_ring_cursor *cursor = (const key_ring_cursor *)base;
    return cursor->index >= rbt_keys_count(cursor->keys);
}

static int ring_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
    const key_ring_cursor *cursor = (const key_ring_cursor *)base;
    rbt_buffer text = {0};

    switch (column) {
    case COLUMN_POSITION:
        sqlite3_result_int64(context, (sqlite3_int64)cursor->index + 1);
        break;
    case COLUMN_KEY_ID:
        rbt_buffer_add_hex(&text, rbt_keys_at(cursor->keys, cursor->index)->id, RBT_KEY_ID_SIZE);
        rbt_result_text(context, &text);
        rbt_buffer_free(&text);
        break;
    case COLUMN_IS_PRIMARY:
        sqlite3_result_int(context, cursor->index == 0);
        break;
    case COLUMN_SOURCE:
        sqlite3_result_text(context, rbt_keys_source(cursor->keys), -1, SQLITE_STATIC);
        break;
    case COLUMN_LOCKED:
        sqlite3_result_int(context, rbt_keys_locked(cursor->keys));
        break;
    default:
        break;
    }
    return SQLITE_OK;
}

static int ring_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid) {
    *rowid = (sqlite3_int64)((const key_ring_cursor *)base)->index + 1;
    return SQLITE_OK;
}

/* Eponymous only: without xCreate there is no CREATE VIRTUAL TABLE of it. */
static const sqlite3_module key_ring_module = {
    .xConnect = ring_connect,
    .xBestIndex = ring_best_index,
    .xDisconnect = ring_disconnect,
    .xOpen = ring_open,
    .xClose = ring_close,
    .xFilter = ring_filter,
    .xNext = ring_next,
    .xEof = ring_eof,
    .xColumn = ring_column,
    .xRowid = ring_rowid,
};

const rbt_function rbt_key_functions[] = {
    {"keygen", 0, 1, RBT_DIRECT, keygen_function, "keygen(['signing'])", "nothing",
     "a new random key: for RUSTYBT_ENCRYPTION_KEY, or with 'signing' for RUSTYBT_SIGNING_KEY",
     "SELECT keygen()"},
    {"key_id", 0, 0, RBT_DIRECT, key_id_function, "key_id()", "encryption",
     "16 hex digits that name the primary key", "SELECT key_id()"},
    {"key_reload", 0, 0, RBT_DIRECT, key_reload_function, "key_reload()", "encryption",
     "reads the keys anew from their sources: after a rotation, in a program that goes on running",
     "SELECT key_reload()"},
    {"key_rotate", 1, 2, RBT_DIRECT, key_rotate_function, "key_rotate(token[, context])",
     "encryption", "the same token under the primary key; one that is there already is unchanged",
     "SELECT key_rotate(encrypt('hunter2'))"},
    {0},
};

const rbt_table rbt_key_tables[] = {
    {"key_ring", &key_ring_module, "key_ring", "encryption",
     "the encryption keys in use, by id: position, key_id, is_primary, source, locked",
     "SELECT position, key_id FROM key_ring"},
    {0},
};
