/* SPDX-License-Identifier: MIT
** SQL glue of subjects: arguments in, results out. May call base, crypto and audit.
**
** A NULL value or token gives NULL; other bad arguments raise, also beside a NULL.
*/
#include "subject_sql.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../crypto/credentials_sql.h"
#include "subject_erase.h"
#include "subject_hold.h"
#include "subject_rotate.h"

static int subject_argument(rbt_subject_name *subject, sqlite3_value *value, const char *who,
                            rbt_error *error) {
    const char *text = rbt_text_argument(value, who, "subject", error);
    if (text == NULL) return error->code;
    subject->bytes = (const uint8_t *)text;
    subject->length = (size_t)sqlite3_value_bytes(value);
    if (subject->length == 0) rbt_fail(error, SQLITE_ERROR, "%s: subject must not be empty", who);
    return error->code;
}

static const char *reason_argument(sqlite3_value *value, const char *who, rbt_error *error) {
    const char *reason = rbt_text_argument(value, who, "reason", error);
    if (reason == NULL) return NULL;
    if (reason[strspn(reason, " \t\r\n")] == 0) {
        rbt_fail(error, SQLITE_ERROR, "%s: reason must not be empty", who);
        return NULL;
    }
    return reason;
}

/* What acts is called by itself: from a statement that writes or reads it could be a hostile schema's
** doing (a CHECK on SQLite 3.40), and what it writes would end in BUSY_SNAPSHOT. */
static int require_alone(sqlite3 *db, const char *who, const char *arguments, rbt_error *error) {
    if (rbt_inside_a_write(db) ||
        (sqlite3_get_autocommit(db) && sqlite3_txn_state(db, "main") != SQLITE_TXN_NONE))
        rbt_fail(error, SQLITE_ERROR,
                 "%s: it must be called by itself, without FROM: SELECT %s(%s)", who, who,
                 arguments);
    return error->code;
}

static void give_line(sqlite3_context *context, rbt_buffer *line, rbt_error *error) {
    if (error->code == SQLITE_OK)
        rbt_result_text(context, line);
    else
        rbt_result_error(context, error);
    rbt_buffer_free(line);
}

static void subject_encrypt(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "subject_encrypt";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_subject_name subject;
    rbt_subject_key key;
    rbt_plain_value plain = {0};
    rbt_place place;
    uint8_t *token = NULL;
    size_t length;

    if (subject_argument(&subject, argv[0], who, &error) != SQLITE_OK ||
        rbt_place_argument(&place, argc, argv, 2, who, &error) != SQLITE_OK)
        goto cleanup;
    if (place.length == sizeof RBT_SUBJECT_CONTEXT - 1 &&
        memcmp(place.bytes, RBT_SUBJECT_CONTEXT, place.length) == 0) {
        rbt_fail(&error, SQLITE_ERROR,
                 "%s: context '" RBT_SUBJECT_CONTEXT "' is that of subjects' own names", who);
        goto cleanup;
    }
    if (sqlite3_value_type(argv[1]) == SQLITE_NULL) return;
    if (rbt_value_argument(&plain, argv[1], who, &error) != SQLITE_OK) goto cleanup;
    if (rbt_subject_obtain(connection, subject, &key, who, &error) == SQLITE_OK) {
        const rbt_keys *keys = rbt_connection_ring(connection, who, &error);
        if (keys && rbt_subject_seal(&token, &length, &key, rbt_keys_at(keys, 0), place, plain.type,
                                     plain.bytes, plain.length, &error) == SQLITE_OK)
            sqlite3_result_blob64(context, token, length, sqlite3_free);
        rbt_wipe(&key, sizeof key);
    }

cleanup:
    rbt_wipe(&plain, sizeof plain);
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
}

static void subject_decrypt(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "subject_decrypt";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_subject_key key;
    rbt_opened opened = {0};
    rbt_place place;
    const uint8_t *token;
    size_t length;

    if (rbt_place_argument(&place, argc, argv, 1, who, &error) != SQLITE_OK) goto cleanup;
    if (sqlite3_value_type(argv[0]) == SQLITE_NULL) return;
    if (rbt_bytes_argument(&token, &length, argv[0], "token", who, &error) != SQLITE_OK)
        goto cleanup;
    if (rbt_connection_ring(connection, who, &error) == NULL) goto cleanup;
    if (!rbt_subject_is_token(token, length)) {
        rbt_token_refuse(who, &error);
        goto cleanup;
    }
    memcpy(key.sid, token + RBT_SUBJECT_TOKEN_SID, sizeof key.sid);
    if (rbt_subject_key_of_sid(connection, &key, who, &error) == SQLITE_OK &&
        rbt_subject_open(&opened, &key, token, length, place, who, &error) == SQLITE_OK)
        rbt_opened_result(context, &opened);
    rbt_wipe(&key, sizeof key);

cleanup:
    rbt_opened_free(&opened);
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
}

static void subject_hold(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "subject_hold";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_buffer line = {0};
    rbt_subject_name subject;
    (void)argc;
    subject_argument(&subject, argv[0], who, &error);
    const char *reason = reason_argument(argv[1], who, &error);
    require_alone(connection->db, who, "subject, reason", &error);
    if (error.code == SQLITE_OK)
        rbt_subject_hold_add(connection, subject, reason, &line, who, &error);
    give_line(context, &line, &error);
}

static void subject_release(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "subject_release";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_buffer line = {0};
    (void)argc;
    if (sqlite3_value_type(argv[0]) != SQLITE_INTEGER)
        rbt_fail(&error, SQLITE_ERROR, "%s: hold_id must be INTEGER, not %s", who,
                 rbt_type_name(sqlite3_value_type(argv[0])));
    const char *reason = reason_argument(argv[1], who, &error);
    require_alone(connection->db, who, "hold_id, reason", &error);
    if (error.code == SQLITE_OK)
        rbt_subject_hold_release(connection, sqlite3_value_int64(argv[0]), reason, &line, who,
                                 &error);
    give_line(context, &line, &error);
}

static void subject_forget(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "subject_forget";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_buffer line = {0};
    rbt_subject_name subject;
    (void)argc;
    subject_argument(&subject, argv[0], who, &error);
    if (error.code == SQLITE_OK && !sqlite3_get_autocommit(connection->db))
        rbt_fail(&error, SQLITE_ERROR, "%s: it makes its own transaction; COMMIT or ROLLBACK first",
                 who);
    require_alone(connection->db, who, "subject", &error);
    if (error.code == SQLITE_OK) rbt_subject_forget(connection, subject, &line, who, &error);
    if (error.code == SQLITE_OK && line.failed) {
        /* forgotten it is: that the line was too much must not look as if it were not */
        rbt_buffer_free(&line);
        sqlite3_result_text(context,
                            "the subject is forgotten; out of memory, so it is not known whether "
                            "its key is gone from the files",
                            -1, SQLITE_TRANSIENT);
        return;
    }
    give_line(context, &line, &error);
}

static void subject_rotate(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "subject_rotate";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_buffer line = {0};
    (void)argc, (void)argv;
    if (!sqlite3_get_autocommit(connection->db))
        rbt_fail(&error, SQLITE_ERROR,
                 "%s: it makes its own transactions; COMMIT or ROLLBACK first", who);
    require_alone(connection->db, who, "", &error);
    if (error.code == SQLITE_OK) rbt_subject_rotate(connection, &line, who, &error);
    give_line(context, &line, &error);
}

const rbt_function rbt_subject_functions[] = {
    {"subject_encrypt", 2, 3, RBT_DIRECT, subject_encrypt,
     "subject_encrypt(subject, value[, context])", "encryption",
     "encrypts a value under the subject's own key, which the first call makes; the length is "
     "padded",
     "SELECT subject_encrypt('customer/42', 'alice@example.com', 'customers/email')"},
    {"subject_decrypt", 1, 2, RBT_DIRECT, subject_decrypt, "subject_decrypt(token[, context])",
     "encryption", "gives back what subject_encrypt was given, until the subject is forgotten",
     "SELECT subject_decrypt(subject_encrypt('customer/42', 'alice@example.com'))"},
    {"subject_hold", 2, 2, RBT_DIRECT, subject_hold, "subject_hold(subject, reason)", "encryption",
     "keeps a subject from being forgotten until the hold is released; the line names the hold",
     "SELECT subject_hold('customer/42', 'tax audit 2026')"},
    {"subject_release", 2, 2, RBT_DIRECT, subject_release, "subject_release(hold_id, reason)",
     "encryption", "ends a hold; both stay in rustybt_events",
     "SELECT subject_release(1, 'audit closed')"},
    {"subject_forget", 1, 1, RBT_DIRECT, subject_forget, "subject_forget(subject)", "encryption",
     "destroys the subject's key, so that all its values stay closed; says where traces remain",
     "SELECT subject_forget('customer/42')"},
    {"subject_rotate", 0, 0, RBT_DIRECT, subject_rotate, "subject_rotate()", "encryption",
     "puts all subject keys under the primary key, in batches, and counts them",
     "SELECT subject_rotate()"},
    {0},
};
