/* SPDX-License-Identifier: MIT
** See subject_rotate.h. May call base, crypto, and audit's state, whose gate the triggers ask.
**
** What is written was made of a row whose key opened under the ring and whose name opened under that key.
*/
#include "subject_rotate.h"

#include "../base/bytes.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../base/transaction.h"
#include "../crypto/blind_index.h"
#include "../crypto/key_reload.h"
#include "../crypto/subject.h"
#include "log_state.h"
#include "subject_keys.h"
#include "subject_table.h"

enum { BATCH = 100 };

static const rbt_place name_place = {(const uint8_t *)RBT_SUBJECT_CONTEXT,
                                     sizeof RBT_SUBJECT_CONTEXT - 1};

/* A rotation under way. */
typedef struct rotation {
    rbt_connection *connection;
    rbt_logs *logs;
    const rbt_keys *keys; /* retained */
    const char *who;
    sqlite3_stmt *next, *update;
    int64_t reached; /* the last row seen */
    int64_t rotated;
} rotation;

static int damaged(const rotation *r, const uint8_t *sid, rbt_error *error) {
    char hex[2 * RBT_SUBJECT_ID_SIZE + 1] = "?";
    if (sid) rbt_hex_encode(hex, sid, RBT_SUBJECT_ID_SIZE);
    return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                    "%s: the row of subject %s in " RBT_SUBJECT_TABLE
                    " was altered: its key or its name does not open",
                    r->who, hex);
}

/* Opens key and name of the row that `next` stands on: id, sid, wrapped, name. */
static int open_row(const rotation *r, rbt_subject_key *key, rbt_opened *name, rbt_error *error) {
    const uint8_t *sid = sqlite3_column_blob(r->next, 1);
    const uint8_t *wrapped = sqlite3_column_blob(r->next, 2);
    const uint8_t *token = sqlite3_column_blob(r->next, 3);
    size_t wrapped_length = (size_t)sqlite3_column_bytes(r->next, 2);
    size_t token_length = (size_t)sqlite3_column_bytes(r->next, 3);
    rbt_error refused = {0};

    if (sid == NULL || sqlite3_column_bytes(r->next, 1) != RBT_SUBJECT_ID_SIZE)
        return damaged(r, NULL, error);
    if (wrapped == NULL || token == NULL || !rbt_subject_is_wrapped(wrapped, wrapped_length))
        return damaged(r, sid, error);
    const rbt_ring_key *ring = rbt_keys_find(r->keys, wrapped + RBT_WRAPPED_KEY_ID);
    if (ring == NULL) return rbt_token_no_key(wrapped + RBT_WRAPPED_KEY_ID, r->who, error);
    memcpy(key->sid, sid, sizeof key->sid);
    if (!rbt_subject_unwrap(key, ring, wrapped, wrapped_length)) return damaged(r, sid, error);
    if (rbt_subject_open(name, key, token, token_length, name_place, r->who, &refused) !=
            SQLITE_OK ||
        name->type != RBT_VALUE_TEXT)
        refused.code == SQLITE_NOMEM ? rbt_fail_nomem(error) : damaged(r, sid, error);
    rbt_error_clear(&refused);
    return error->code;
}

static int rotate_row(rotation *r, rbt_error *error) {
    const rbt_ring_key *primary = rbt_keys_at(r->keys, 0);
    uint8_t wrapped[RBT_WRAPPED_SUBJECT_SIZE], index[RBT_BLIND_INDEX_SIZE];
    rbt_subject_key key;
    rbt_opened name = {0};

    if (open_row(r, &key, &name, error) == SQLITE_OK) {
        rbt_subject_wrap(wrapped, primary, &key);
        rbt_blind_index(index, primary, name_place.bytes, name_place.length, RBT_VALUE_TEXT,
                        name.value, name.length);
        sqlite3_bind_int64(r->update, 1, r->reached);
        sqlite3_bind_blob(r->update, 2, wrapped, sizeof wrapped, SQLITE_TRANSIENT);
        sqlite3_bind_blob(r->update, 3, index, sizeof index, SQLITE_TRANSIENT);
        r->logs->inside++;
        rbt_run(r->connection->db, r->update, error, r->who);
        r->logs->inside--;
        if (error->code == SQLITE_OK && sqlite3_changes(r->connection->db) != 1)
            rbt_fail(error, SQLITE_CORRUPT_VTAB,
                     "%s: a trigger or an authorizer keeps the subject's key from being stored",
                     r->who);
        r->rotated += error->code == SQLITE_OK;
    }
    rbt_opened_free(&name);
    rbt_wipe(&key, sizeof key);
    return error->code;
}

/* One transaction; *more: OUT, whether there may be rows behind it. */
static int rotate_batch(rotation *r, bool *more, rbt_error *error) {
    sqlite3 *db = r->connection->db;
    int rows = 0, code = SQLITE_ROW;

    rbt_transaction transaction = {0};

    *more = false;
    if (rbt_transaction_begin(&transaction, db, r->who, error) != SQLITE_OK) return error->code;
    while (rows < BATCH && error->code == SQLITE_OK) {
        sqlite3_bind_int64(r->next, 1, r->reached);
        code = sqlite3_step(r->next);
        if (code != SQLITE_ROW) break;
        r->reached = sqlite3_column_int64(r->next, 0);
        rotate_row(r, error);
        sqlite3_reset(r->next); /* the row that it stood on was updated */
        rows++;
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE) rbt_fail_db(error, db, r->who);
    sqlite3_reset(r->next);
    rbt_transaction_end(&transaction, r->who, error);
    *more = rows == BATCH;
    return error->code;
}

static int rotate_all(rotation *r, rbt_error *error) {
    sqlite3 *db = r->connection->db;
    const uint8_t *id = rbt_keys_at(r->keys, 0)->id;
    int64_t secure_delete;
    bool more = true;

    r->reached = INT64_MIN;
    r->next = rbt_prepare(db, error, r->who,
                          "SELECT id, sid, wrapped, name FROM main." RBT_SUBJECT_TABLE
                          " WHERE id > ?1 AND wrapped IS NOT NULL AND (substr(wrapped, 5, 8) IS "
                          "NOT ?2 OR substr(subject, 1, 8) IS NOT ?2) ORDER BY id LIMIT 1");
    if (r->next == NULL) return error->code;
    r->update = rbt_prepare(db, error, r->who,
                            "UPDATE main." RBT_SUBJECT_TABLE
                            " SET wrapped = ?2, subject = ?3 WHERE id = ?1");
    if (r->update && rbt_secure_delete_on(db, &secure_delete, r->who, error) == SQLITE_OK) {
        sqlite3_bind_blob(r->next, 2, id, RBT_KEY_ID_SIZE, SQLITE_TRANSIENT);
        while (more && error->code == SQLITE_OK)
            rotate_batch(r, &more, error);
        rbt_secure_delete_restore(db, secure_delete);
    }
    sqlite3_finalize(r->update);
    sqlite3_finalize(r->next);
    return error->code;
}

static int count_keys(sqlite3 *db, int64_t *count, const char *who, rbt_error *error) {
    sqlite3_stmt *query =
        rbt_prepare(db, error, who,
                    "SELECT count(*) FROM main." RBT_SUBJECT_TABLE " WHERE wrapped IS NOT NULL");
    if (query == NULL) return error->code;
    if (sqlite3_step(query) == SQLITE_ROW) *count = sqlite3_column_int64(query, 0);
    if (sqlite3_finalize(query) != SQLITE_OK) rbt_fail_db(error, db, who);
    return error->code;
}

int rbt_subject_rotate(rbt_connection *connection, rbt_buffer *report, const char *who,
                       rbt_error *error) {
    rotation r = {.connection = connection, .logs = rbt_logs_of(connection), .who = who};
    char id[2 * RBT_KEY_ID_SIZE + 1];
    bool present = false;
    int64_t count = 0;

    if (r.logs == NULL) return rbt_fail_nomem(error);
    r.keys = rbt_connection_ring(connection, who, error);
    if (r.keys == NULL) return error->code;
    rbt_keys_retain(r.keys);
    rbt_hex_encode(id, rbt_keys_at(r.keys, 0)->id, RBT_KEY_ID_SIZE);
    if (rbt_subject_table_present(connection->db, &present, who, error) == SQLITE_OK && present &&
        rotate_all(&r, error) == SQLITE_OK)
        count_keys(connection->db, &count, who, error);
    rbt_keys_free((rbt_keys *)r.keys);
    if (error->code == SQLITE_OK)
        rbt_buffer_printf(report, "%lld subject key%s: %lld rotated, %lld under key %s already",
                          (long long)count, count == 1 ? "" : "s", (long long)r.rotated,
                          (long long)(count - r.rotated), id);
    return error->code;
}
