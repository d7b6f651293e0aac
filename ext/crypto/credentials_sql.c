/* SPDX-License-Identifier: MIT
** SQL glue of encrypted credentials: arguments in, results out; the work is done by token.h, fernet.h
** and token_info.h. Calls crypto and base.
**
** Common to all: a NULL value or token gives NULL, other bad arguments raise, also beside a NULL.
*/
#include "credentials_sql.h"

#include "../base/bytes.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "envelope.h"
#include "fernet.h"
#include "key_reload.h"
#include "token_info.h"

int rbt_place_argument(rbt_place *place, int argument_count, sqlite3_value **arguments, int index,
                       const char *who, rbt_error *error) {
    place->bytes = NULL;
    place->length = 0;
    if (argument_count <= index) return SQLITE_OK;
    const char *text = rbt_text_argument(arguments[index], who, "context", error);
    if (text == NULL) return error->code;
    place->bytes = (const uint8_t *)text;
    place->length = (size_t)sqlite3_value_bytes(arguments[index]);
    if (place->length == 0)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: context must not be empty; leave it out for a token that belongs to "
                        "no place",
                        who);
    return SQLITE_OK;
}

int rbt_bytes_argument(const uint8_t **bytes, size_t *length, sqlite3_value *value,
                       const char *what, const char *who, rbt_error *error) {
    static const uint8_t empty[1] = {0};
    int type = sqlite3_value_type(value);
    /* Text is taken as it lies there: sqlite3_value_text would copy what lacks a NUL, and SQLite frees
    ** its copy without wiping it. */
    bool converted = type == SQLITE_TEXT && sqlite3_value_encoding(value) != SQLITE_UTF8;
    if (converted)
        *bytes = sqlite3_value_text(value);
    else if (type == SQLITE_TEXT || type == SQLITE_BLOB)
        *bytes = sqlite3_value_blob(value);
    else
        return rbt_fail(error, SQLITE_ERROR, "%s: %s must be TEXT or BLOB, not %s", who, what,
                        rbt_type_name(type));
    *length = (size_t)sqlite3_value_bytes(value);
    if (*bytes == NULL && (*length > 0 || converted)) return rbt_fail_nomem(error);
    if (*bytes == NULL) *bytes = empty;
    return SQLITE_OK;
}

int rbt_value_argument(rbt_plain_value *plain, sqlite3_value *value, const char *who,
                       rbt_error *error) {
    switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
        plain->type = RBT_VALUE_INTEGER;
        rbt_store_u64le(plain->number, (uint64_t)sqlite3_value_int64(value));
        break;
    case SQLITE_FLOAT: {
        double real = sqlite3_value_double(value);
        uint64_t bits;
        memcpy(&bits, &real, sizeof bits);
        plain->type = RBT_VALUE_REAL;
        rbt_store_u64le(plain->number, bits);
        break;
    }
    case SQLITE_TEXT:
        plain->type = RBT_VALUE_TEXT;
        return rbt_bytes_argument(&plain->bytes, &plain->length, value, "value", who, error);
    default:
        plain->type = RBT_VALUE_BLOB;
        return rbt_bytes_argument(&plain->bytes, &plain->length, value, "value", who, error);
    }
    plain->bytes = plain->number;
    plain->length = sizeof plain->number;
    return SQLITE_OK;
}

void rbt_opened_result(sqlite3_context *context, rbt_opened *opened) {
    uint64_t bits;
    double real;
    switch (opened->type) {
    case RBT_VALUE_INTEGER:
        sqlite3_result_int64(context, (sqlite3_int64)rbt_load_u64le(opened->value));
        break;
    case RBT_VALUE_REAL:
        bits = rbt_load_u64le(opened->value);
        memcpy(&real, &bits, sizeof real);
        sqlite3_result_double(context, real);
        break;
    case RBT_VALUE_TEXT:
        rbt_result_secret_text(context, (char *)opened->value, opened->length);
        opened->value = NULL;
        break;
    default:
        sqlite3_result_blob64(context, opened->value, opened->length, rbt_secret_free);
        opened->value = NULL;
        break;
    }
}

static int open_once(rbt_opened *opened, const rbt_keys *keys, const uint8_t *token, size_t length,
                     rbt_place place, bool fernet_only, const char *who, rbt_error *error) {
    return fernet_only ? rbt_token_open_fernet(opened, keys, token, length, who, error)
                       : rbt_token_open(opened, keys, token, length, place, who, error);
}

int rbt_open_argument(rbt_opened *opened, const rbt_keys **keys, rbt_connection *connection,
                      const uint8_t *token, size_t length, rbt_place place, bool fernet_only,
                      const char *who, rbt_error *error) {
    rbt_error unreadable = {0};
    const rbt_keys *ring = fernet_only
                               ? rbt_connection_ring(connection, who, error)
                               : rbt_connection_ring_for(connection, token, length, who, error);
    if (ring == NULL) return error->code;
    int code = open_once(opened, ring, token, length, place, fernet_only, who, error);
    if (code != SQLITE_OK && opened->no_key &&
        rbt_connection_reread(connection, who, &unreadable)) {
        rbt_error_clear(error);
        ring = rbt_connection_ring(connection, who, error);
        if (ring == NULL) return error->code;
        code = open_once(opened, ring, token, length, place, fernet_only, who, error);
    } else if (unreadable.code != SQLITE_OK) {
        rbt_error_clear(error);
        *error = unreadable;
        code = error->code;
    }
    if (keys) *keys = ring;
    return code;
}

static void encrypt_function(sqlite3_context *context, int argument_count,
                             sqlite3_value **arguments) {
    const char *who = "encrypt";
    rbt_error error = {0};
    rbt_place place;
    rbt_plain_value plain;
    const rbt_keys *keys;
    uint8_t *token = NULL;

    if (rbt_place_argument(&place, argument_count, arguments, 1, who, &error) != SQLITE_OK) {
        rbt_result_error(context, &error);
        return;
    }
    if (sqlite3_value_type(arguments[0]) == SQLITE_NULL) return;
    if (rbt_value_argument(&plain, arguments[0], who, &error) != SQLITE_OK) goto cleanup;
    keys = rbt_connection_ring(rbt_connection_of(context), who, &error);
    if (keys == NULL) goto cleanup;
    if (rbt_token_seal(&token, keys, place, plain.type, plain.bytes, plain.length, &error) ==
        SQLITE_OK)
        sqlite3_result_blob64(context, token, plain.length + RBT_ENVELOPE_OVERHEAD, sqlite3_free);

cleanup:
    rbt_wipe(&plain, sizeof plain);
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
}

static void decrypt_function(sqlite3_context *context, int argument_count,
                             sqlite3_value **arguments) {
    const char *who = "decrypt";
    rbt_error error = {0};
    rbt_place place;
    rbt_opened opened = {0};
    const uint8_t *token;
    size_t length;

    if (rbt_place_argument(&place, argument_count, arguments, 1, who, &error) != SQLITE_OK)
        goto cleanup;
    if (sqlite3_value_type(arguments[0]) == SQLITE_NULL) return;
    if (rbt_bytes_argument(&token, &length, arguments[0], "token", who, &error) != SQLITE_OK)
        goto cleanup;
    if (rbt_open_argument(&opened, NULL, rbt_connection_of(context), token, length, place, false,
                          who, &error) == SQLITE_OK)
        rbt_opened_result(context, &opened);

cleanup:
    rbt_opened_free(&opened);
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
}

static void fernet_encrypt_function(sqlite3_context *context, int argument_count,
                                    sqlite3_value **arguments) {
    const char *who = "fernet_encrypt";
    rbt_error error = {0};
    rbt_buffer token = {0};
    const rbt_keys *keys;
    const uint8_t *plaintext;
    size_t length;

    (void)argument_count;
    if (sqlite3_value_type(arguments[0]) == SQLITE_NULL) return;
    if (rbt_bytes_argument(&plaintext, &length, arguments[0], "value", who, &error) != SQLITE_OK)
        goto cleanup;
    keys = rbt_connection_ring(rbt_connection_of(context), who, &error);
    if (keys == NULL) goto cleanup;
    if (rbt_token_seal_fernet(&token, keys, rbt_token_now(), plaintext, length, &error) ==
        SQLITE_OK)
        rbt_result_blob(context, &token);

cleanup:
    rbt_buffer_free(&token);
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
}

/* The ttl in seconds; an absent one is -1. A NULL is refused: it would mean "never expires". */
static int read_ttl(int64_t *ttl, int argument_count, sqlite3_value **arguments, const char *who,
                    rbt_error *error) {
    *ttl = -1;
    if (argument_count < 2) return SQLITE_OK;
    int type = sqlite3_value_type(arguments[1]);
    if (type != SQLITE_INTEGER)
        return rbt_fail(error, SQLITE_ERROR, "%s: ttl_seconds must be INTEGER, not %s", who,
                        rbt_type_name(type));
    *ttl = sqlite3_value_int64(arguments[1]);
    if (*ttl < 0)
        return rbt_fail(error, SQLITE_ERROR, "%s: ttl_seconds must not be negative, but is %lld",
                        who, (long long)*ttl);
    return SQLITE_OK;
}

/* Only ever asked of authentic tokens, whose time is no secret. */
static int check_freshness(uint64_t created, int64_t ttl, const char *who, rbt_error *error) {
    uint64_t now = rbt_token_now();
    switch (rbt_fernet_freshness(created, (uint64_t)ttl, now)) {
    case RBT_EXPIRED:
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: the token expired; it is %llu seconds old, the ttl is %lld", who,
                        (unsigned long long)(now - created), (long long)ttl);
    case RBT_FROM_FUTURE:
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: the token comes from the future, %llu seconds ahead of the clock; at "
                        "most %d are allowed",
                        who, (unsigned long long)(created - now), RBT_FERNET_CLOCK_SKEW);
    case RBT_FRESH:
        break;
    }
    return SQLITE_OK;
}

static void fernet_decrypt_function(sqlite3_context *context, int argument_count,
                                    sqlite3_value **arguments) {
    const char *who = "fernet_decrypt";
    rbt_error error = {0};
    rbt_opened opened = {0};
    const rbt_place nowhere = {0};
    const uint8_t *token;
    size_t length;
    int64_t ttl;

    if (read_ttl(&ttl, argument_count, arguments, who, &error) != SQLITE_OK) goto cleanup;
    if (sqlite3_value_type(arguments[0]) == SQLITE_NULL) return;
    if (rbt_bytes_argument(&token, &length, arguments[0], "token", who, &error) != SQLITE_OK)
        goto cleanup;
    if (rbt_open_argument(&opened, NULL, rbt_connection_of(context), token, length, nowhere, true,
                          who, &error) != SQLITE_OK)
        goto cleanup;
    if (ttl >= 0 && check_freshness(opened.created, ttl, who, &error) != SQLITE_OK) goto cleanup;
    rbt_opened_result(context, &opened);

cleanup:
    rbt_opened_free(&opened);
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
}

static void token_info_function(sqlite3_context *context, int argument_count,
                                sqlite3_value **arguments) {
    rbt_error error = {0};
    rbt_buffer json = {0};
    const uint8_t *token;
    size_t length;

    (void)argument_count;
    if (sqlite3_value_type(arguments[0]) == SQLITE_NULL) return;
    if (rbt_bytes_argument(&token, &length, arguments[0], "token", "token_info", &error) !=
        SQLITE_OK) {
        rbt_result_error(context, &error);
        return;
    }
    rbt_token_info(&json, token, length);
    rbt_result_text(context, &json);
    rbt_buffer_free(&json);
}

const rbt_function rbt_credential_functions[] = {
    {"encrypt", 1, 2, RBT_PLAIN, encrypt_function, "encrypt(value[, context])", "encryption",
     "encrypts a value of any type under the primary key, as a BLOB; a context ties it to its "
     "place",
     "SELECT encrypt('hunter2', 'binance/live/api_key')"},
    {"decrypt", 1, 2, RBT_DIRECT, decrypt_function, "decrypt(token[, context])", "encryption",
     "gives back what encrypt was given, with its type; without a context opens Fernet tokens too",
     "SELECT decrypt(encrypt(42))"},
    {"fernet_encrypt", 1, 1, RBT_DIRECT, fernet_encrypt_function, "fernet_encrypt(text)",
     "encryption", "a Fernet token (BLOB) that Python's cryptography.fernet reads",
     "SELECT fernet_encrypt('hunter2')"},
    {"fernet_decrypt", 1, 2, RBT_DIRECT, fernet_decrypt_function,
     "fernet_decrypt(token[, ttl_seconds])", "encryption",
     "opens a Fernet token (TEXT or BLOB), and refuses one that is older than the ttl",
     "SELECT fernet_decrypt(fernet_encrypt('hunter2'), 60)"},
    {"token_info", 1, 1, RBT_PURE, token_info_function, "token_info(token)", "nothing",
     "what a token shows without a key, as JSON, and what is wrong with its form",
     "SELECT token_info('gAAAAABl...')"},
    {0},
};
