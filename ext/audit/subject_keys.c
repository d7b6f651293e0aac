/* SPDX-License-Identifier: MIT
** See subject_keys.h. May call base, crypto, and audit's state, whose gate the triggers ask.
**
** A row is believed only after its key has opened under the ring and its name under that key: whoever
** can write the file can exchange rows, but not so that one subject's key is taken for another's.
*/
#include "subject_keys.h"

#include "../base/bytes.h"
#include "../base/clock.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../crypto/blind_index.h"
#include "../crypto/key_reload.h"
#include "log_state.h"
#include "subject_table.h"

#include <sodium.h>
#include <stdlib.h>

enum { ATTEMPTS = 3 }; /* reads of the ring, or races with another connection, before giving up */

static const rbt_place name_place = {(const uint8_t *)RBT_SUBJECT_CONTEXT,
                                     sizeof RBT_SUBJECT_CONTEXT - 1};

void rbt_subject_rows_free(rbt_subject_rows *found) {
    rbt_secret_free(found->rows);
    *found = (rbt_subject_rows){0};
}

static void index_of(uint8_t out[RBT_BLIND_INDEX_SIZE], const rbt_ring_key *ring,
                     rbt_subject_name subject) {
    rbt_blind_index(out, ring, name_place.bytes, name_place.length, RBT_VALUE_TEXT, subject.bytes,
                    subject.length);
}

static int damaged(const uint8_t sid[RBT_SUBJECT_ID_SIZE], const char *who, rbt_error *error) {
    char hex[2 * RBT_SUBJECT_ID_SIZE + 1];
    rbt_hex_encode(hex, sid, RBT_SUBJECT_ID_SIZE);
    return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                    "%s: the row of subject %s in " RBT_SUBJECT_TABLE
                    " was altered: its key does not open, or is another subject's",
                    who, hex);
}

/* A prepared statement on the table; NULL without an error when there is no such table yet. */
static sqlite3_stmt *prepare_on_table(sqlite3 *db, rbt_buffer *sql, const char *who,
                                      rbt_error *error) {
    sqlite3_stmt *statement = NULL;
    rbt_error trouble = {0};
    bool present = true;
    char *text = rbt_buffer_text(sql);
    if (text)
        statement = rbt_prepare(db, &trouble, who, "%s", text);
    else
        rbt_fail_nomem(error);
    if (trouble.code == SQLITE_ERROR) rbt_subject_table_present(db, &present, who, error);
    if (present && trouble.code != SQLITE_OK)
        rbt_fail(error, trouble.code, "%s", trouble.message ? trouble.message : who);
    rbt_error_clear(&trouble);
    rbt_buffer_free(sql);
    return statement;
}

/* Opens a row's key with whatever ring key wrapped it. */
static int unwrap(rbt_connection *connection, rbt_subject_key *key, const uint8_t *wrapped,
                  size_t length, const char *who, rbt_error *error) {
    if (!rbt_subject_is_wrapped(wrapped, length)) return damaged(key->sid, who, error);
    const rbt_ring_key *ring =
        rbt_connection_find_key(connection, wrapped + RBT_WRAPPED_KEY_ID, who, error);
    if (ring == NULL) return rbt_token_no_key(wrapped + RBT_WRAPPED_KEY_ID, who, error);
    if (!rbt_subject_unwrap(key, ring, wrapped, length)) return damaged(key->sid, who, error);
    return SQLITE_OK;
}

/* Whether the row's name, opened with its key, is the subject's. */
static int check_name(const rbt_subject_row *row, const uint8_t *name, size_t length,
                      rbt_subject_name subject, const char *who, rbt_error *error) {
    rbt_opened opened = {0};
    rbt_error refused = {0};
    bool same = rbt_subject_open(&opened, &row->key, name, length, name_place, who, &refused) ==
                    SQLITE_OK &&
                opened.type == RBT_VALUE_TEXT && opened.length == subject.length &&
                sodium_memcmp(opened.value, subject.bytes, subject.length) == 0;
    if (refused.code == SQLITE_NOMEM)
        rbt_fail_nomem(error);
    else if (!same)
        damaged(row->key.sid, who, error);
    rbt_error_clear(&refused);
    rbt_opened_free(&opened);
    return error->code;
}

/* id, sid, wrapped, name of the statement's row. */
static int read_row(rbt_connection *connection, sqlite3_stmt *statement, rbt_subject_row *row,
                    rbt_subject_name subject, const char *who, rbt_error *error) {
    const uint8_t *sid = sqlite3_column_blob(statement, 1);
    const uint8_t *wrapped = sqlite3_column_blob(statement, 2);
    const uint8_t *name = sqlite3_column_blob(statement, 3);
    size_t name_length = (size_t)sqlite3_column_bytes(statement, 3);
    static const uint8_t no_sid[RBT_SUBJECT_ID_SIZE];
    if (sid == NULL || sqlite3_column_bytes(statement, 1) != RBT_SUBJECT_ID_SIZE)
        return damaged(no_sid, who, error);
    memcpy(row->key.sid, sid, RBT_SUBJECT_ID_SIZE);
    row->id = sqlite3_column_int64(statement, 0);
    size_t length = (size_t)sqlite3_column_bytes(statement, 2);
    if (wrapped == NULL || name == NULL) return damaged(sid, who, error);
    if (unwrap(connection, &row->key, wrapped, length, who, error) != SQLITE_OK) return error->code;
    memcpy(row->wrapped, wrapped, sizeof row->wrapped);
    return check_name(row, name, name_length, subject, who, error);
}

/* Binds the subject's index under each key of the ring, from parameter 1 on. */
static void bind_indexes(sqlite3_stmt *statement, const rbt_keys *keys, rbt_subject_name subject) {
    for (size_t i = 0; i < rbt_keys_count(keys); i++) {
        uint8_t index[RBT_BLIND_INDEX_SIZE];
        index_of(index, rbt_keys_at(keys, i), subject);
        sqlite3_bind_blob(statement, (int)i + 1, index, sizeof index, SQLITE_TRANSIENT);
    }
}

static void add_index_list(rbt_buffer *sql, const rbt_keys *keys) {
    rbt_buffer_add_text(sql, "subject IN (?1");
    for (size_t i = 1; i < rbt_keys_count(keys); i++)
        rbt_buffer_printf(sql, ", ?%d", (int)i + 1);
    rbt_buffer_add_byte(sql, ')');
}

static int look_up(rbt_connection *connection, const rbt_keys *keys, rbt_subject_name subject,
                   rbt_subject_rows *found, const char *who, rbt_error *error) {
    rbt_buffer sql = {0};
    rbt_buffer_add_text(&sql,
                        "SELECT id, sid, wrapped, name FROM main." RBT_SUBJECT_TABLE " WHERE ");
    add_index_list(&sql, keys);
    rbt_buffer_add_text(&sql, " ORDER BY id");
    sqlite3_stmt *statement = prepare_on_table(connection->db, &sql, who, error);
    if (statement == NULL) return error->code;
    found->rows = rbt_calloc(rbt_keys_count(keys) * sizeof *found->rows);
    if (found->rows == NULL) rbt_fail_nomem(error);
    bind_indexes(statement, keys, subject);
    while (error->code == SQLITE_OK && found->count < rbt_keys_count(keys) &&
           sqlite3_step(statement) == SQLITE_ROW)
        read_row(connection, statement, &found->rows[found->count++], subject, who, error);
    if (sqlite3_finalize(statement) != SQLITE_OK) rbt_fail_db(error, connection->db, who);
    return error->code;
}

/* Ring key ids in ascending order; between them lie the indexes of keys that the ring lacks. */
static int compare_ids(const void *left, const void *right) {
    return memcmp(left, right, RBT_KEY_ID_SIZE);
}

typedef struct sorted_ids {
    uint8_t (*ids)[RBT_KEY_ID_SIZE];
    size_t count;
} sorted_ids;

static int sort_ids(sorted_ids *sorted, const rbt_keys *keys, rbt_error *error) {
    sorted->count = rbt_keys_count(keys);
    sorted->ids = rbt_malloc(sorted->count * sizeof *sorted->ids);
    if (sorted->ids == NULL) return rbt_fail_nomem(error);
    for (size_t i = 0; i < sorted->count; i++)
        memcpy(sorted->ids[i], rbt_keys_at(keys, i)->id, RBT_KEY_ID_SIZE);
    qsort(sorted->ids, sorted->count, sizeof *sorted->ids, compare_ids);
    return SQLITE_OK;
}

/* The id that follows in order; all bytes 0xff are followed by none, and give false. */
static bool next_id(uint8_t id[RBT_KEY_ID_SIZE]) {
    for (int i = RBT_KEY_ID_SIZE - 1; i >= 0; i--)
        if (++id[i] != 0) return true;
    return false;
}

/* "subject < id1 OR subject >= id1 + 1 AND subject < id2 OR …": each part one look-up in the index.
** Parameters from `first` on. */
static void add_foreign_ranges(rbt_buffer *sql, size_t count, int first) {
    rbt_buffer_printf(sql, "subject < ?%d", first);
    for (size_t i = 1; i < count; i++)
        rbt_buffer_printf(sql, " OR (subject >= ?%d AND subject < ?%d)", first + (int)(2 * i) - 1,
                          first + (int)(2 * i));
    rbt_buffer_printf(sql, " OR subject >= ?%d", first + (int)(2 * count) - 1);
}

static void bind_foreign_ranges(sqlite3_stmt *statement, const sorted_ids *sorted, int first) {
    for (size_t i = 0; i < sorted->count; i++) {
        uint8_t after[RBT_KEY_ID_SIZE];
        int at = first + (int)(2 * i);
        sqlite3_bind_blob(statement, at, sorted->ids[i], RBT_KEY_ID_SIZE, SQLITE_TRANSIENT);
        memcpy(after, sorted->ids[i], sizeof after);
        /* an unbound parameter is NULL, and no range is above the last id */
        if (next_id(after))
            sqlite3_bind_blob(statement, at + 1, after, sizeof after, SQLITE_TRANSIENT);
    }
}

/* The key id of an index that no key of the ring has made. */
static int find_foreign(sqlite3 *db, const rbt_keys *keys, uint8_t id[RBT_KEY_ID_SIZE], bool *found,
                        const char *who, rbt_error *error) {
    rbt_buffer sql = {0};
    sorted_ids sorted = {0};
    *found = false;
    if (sort_ids(&sorted, keys, error) != SQLITE_OK) return error->code;
    rbt_buffer_add_text(&sql, "SELECT subject FROM main." RBT_SUBJECT_TABLE " WHERE ");
    add_foreign_ranges(&sql, sorted.count, 1);
    rbt_buffer_add_text(&sql, " LIMIT 1");
    sqlite3_stmt *statement = prepare_on_table(db, &sql, who, error);
    if (statement) {
        bind_foreign_ranges(statement, &sorted, 1);
        if (sqlite3_step(statement) == SQLITE_ROW) {
            const uint8_t *index = sqlite3_column_blob(statement, 0);
            *found = true;
            if (index && sqlite3_column_bytes(statement, 0) == RBT_BLIND_INDEX_SIZE)
                memcpy(id, index, RBT_KEY_ID_SIZE);
            else
                rbt_fail(error, SQLITE_CORRUPT_VTAB,
                         "%s: " RBT_SUBJECT_TABLE " was altered: a subject's index is not %d bytes",
                         who, RBT_BLIND_INDEX_SIZE);
        }
        if (sqlite3_finalize(statement) != SQLITE_OK) rbt_fail_db(error, db, who);
    }
    rbt_free(sorted.ids);
    return error->code;
}

int rbt_subject_find(rbt_connection *connection, rbt_subject_name subject, rbt_subject_rows *found,
                     const char *who, rbt_error *error) {
    for (int attempt = 0; attempt < ATTEMPTS && error->code == SQLITE_OK; attempt++) {
        uint8_t id[RBT_KEY_ID_SIZE];
        bool foreign = false;
        const rbt_keys *keys = rbt_connection_ring(connection, who, error);
        if (keys == NULL) return error->code;
        rbt_keys_retain(keys); /* opening a row may read the ring anew */
        look_up(connection, keys, subject, found, who, error);
        if (error->code == SQLITE_OK && found->count == 0)
            find_foreign(connection->db, keys, id, &foreign, who, error);
        rbt_keys_free((rbt_keys *)keys);
        if (error->code != SQLITE_OK || found->count > 0 || !foreign) break;
        rbt_subject_rows_free(found);
        /* another process has rotated: the ring is read anew, and the subject looked up again */
        if (rbt_connection_find_key(connection, id, who, error) == NULL) {
            char hex[2 * RBT_KEY_ID_SIZE + 1];
            rbt_hex_encode(hex, id, sizeof id);
            rbt_fail(error, SQLITE_ERROR,
                     "%s: the subject may be indexed under key %s, which the ring lacks; add that "
                     "key to the ring",
                     who, hex);
        }
    }
    if (error->code != SQLITE_OK) rbt_subject_rows_free(found);
    return error->code;
}

/* One statement, so that no other connection can come between the question and the answer: the row is
** made unless a key of the ring, or one that it lacks, has indexed a row by now. */
static int insert(rbt_connection *connection, const rbt_keys *keys, const rbt_subject_row *row,
                  rbt_subject_name subject, const uint8_t *name, size_t name_length,
                  const char *who, rbt_error *error) {
    sqlite3 *db = connection->db;
    rbt_logs *logs = rbt_logs_of(connection);
    rbt_buffer sql = {0};
    sorted_ids sorted = {0};
    int first = (int)rbt_keys_count(keys) + 1;
    int ranges = first + 4;
    if (logs == NULL) return rbt_fail_nomem(error);
    if (sort_ids(&sorted, keys, error) != SQLITE_OK) return error->code;
    /* ?1 is the index under the primary key */
    rbt_buffer_printf(&sql,
                      "INSERT INTO main." RBT_SUBJECT_TABLE "(sid, wrapped, subject, name, "
                      "created_us) SELECT ?%d, ?%d, ?1, ?%d, ?%d WHERE NOT EXISTS(SELECT 1 FROM "
                      "main." RBT_SUBJECT_TABLE " WHERE ",
                      first, first + 1, first + 2, first + 3);
    add_index_list(&sql, keys);
    rbt_buffer_add_text(&sql, ") AND NOT EXISTS(SELECT 1 FROM main." RBT_SUBJECT_TABLE " WHERE ");
    add_foreign_ranges(&sql, sorted.count, ranges);
    rbt_buffer_add_byte(&sql, ')');
    char *text = rbt_buffer_text(&sql);
    sqlite3_stmt *statement = text ? rbt_prepare(db, error, who, "%s", text) : NULL;
    if (text == NULL) rbt_fail_nomem(error);
    if (statement) {
        bind_indexes(statement, keys, subject);
        bind_foreign_ranges(statement, &sorted, ranges);
        sqlite3_bind_blob(statement, first, row->key.sid, RBT_SUBJECT_ID_SIZE, SQLITE_STATIC);
        sqlite3_bind_blob(statement, first + 1, row->wrapped, sizeof row->wrapped, SQLITE_STATIC);
        sqlite3_bind_blob64(statement, first + 2, name, name_length, SQLITE_STATIC);
        sqlite3_bind_int64(statement, first + 3, rbt_clock_us());
        sqlite3_int64 last_rowid = sqlite3_last_insert_rowid(db);
        logs->inside++;
        if (sqlite3_step(statement) != SQLITE_DONE) rbt_subject_write_failed(db, who, error);
        logs->inside--;
        sqlite3_set_last_insert_rowid(db, last_rowid); /* it is the caller's INSERT that counts */
        sqlite3_finalize(statement);
    }
    rbt_buffer_free(&sql);
    rbt_free(sorted.ids);
    return error->code;
}

/* Makes a key and its row, unless another connection was first. */
static int make_row(rbt_connection *connection, rbt_subject_name subject, const char *who,
                    rbt_error *error) {
    const rbt_keys *keys = rbt_connection_ring(connection, who, error);
    if (keys == NULL) return error->code;
    rbt_subject_row row;
    uint8_t *name = NULL;
    size_t name_length = 0;
    int64_t secure_delete;
    const rbt_ring_key *primary = rbt_keys_at(keys, 0);
    rbt_subject_key_new(&row.key);
    rbt_subject_wrap(row.wrapped, primary, &row.key);
    rbt_keys_retain(keys);
    if (rbt_subject_seal(&name, &name_length, &row.key, primary, name_place, RBT_VALUE_TEXT,
                         subject.bytes, subject.length, error) == SQLITE_OK &&
        rbt_secure_delete_on(connection->db, &secure_delete, who, error) == SQLITE_OK) {
        if (rbt_subject_table_make(connection->db, who, error) == SQLITE_OK)
            insert(connection, keys, &row, subject, name, name_length, who, error);
        rbt_secure_delete_restore(connection->db, secure_delete);
    }
    rbt_keys_free((rbt_keys *)keys);
    rbt_wipe(&row, sizeof row);
    rbt_free(name);
    return error->code;
}

int rbt_subject_obtain(rbt_connection *connection, rbt_subject_name subject, rbt_subject_key *key,
                       const char *who, rbt_error *error) {
    for (int attempt = 0; attempt < ATTEMPTS && error->code == SQLITE_OK; attempt++) {
        rbt_subject_rows found = {0};
        rbt_subject_find(connection, subject, &found, who, error);
        bool there = found.count > 0;
        if (there) *key = found.rows[0].key;
        rbt_subject_rows_free(&found);
        if (there) return SQLITE_OK;
        /* what was written is read again before anything is encrypted with it: a foreign trigger may
        ** make the row vanish without a word */
        if (error->code == SQLITE_OK) make_row(connection, subject, who, error);
    }
    return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                    "%s: a trigger or an authorizer keeps the subject's key from being stored",
                    who);
}

int rbt_subject_key_of_sid(rbt_connection *connection, rbt_subject_key *key, const char *who,
                           rbt_error *error) {
    char hex[2 * RBT_SUBJECT_ID_SIZE + 1];
    rbt_buffer sql = {0};
    rbt_buffer_add_text(&sql, "SELECT wrapped, forgotten_us FROM main." RBT_SUBJECT_TABLE
                              " WHERE sid = ?1");
    rbt_hex_encode(hex, key->sid, sizeof key->sid);
    sqlite3_stmt *statement = prepare_on_table(connection->db, &sql, who, error);
    if (error->code != SQLITE_OK) return error->code;
    if (statement) sqlite3_bind_blob(statement, 1, key->sid, sizeof key->sid, SQLITE_STATIC);
    int code = statement ? sqlite3_step(statement) : SQLITE_DONE;
    if (code == SQLITE_DONE) {
        rbt_fail(error, SQLITE_ERROR,
                 "%s: there is no subject %s here; " RBT_SUBJECT_TABLE
                 " of the database that encrypted has its key",
                 who, hex);
    } else if (code == SQLITE_ROW && sqlite3_column_type(statement, 0) == SQLITE_NULL) {
        char when[RBT_TIME_TEXT_SIZE];
        rbt_time_to_text(when, sqlite3_column_int64(statement, 1));
        rbt_fail(error, SQLITE_ERROR, "%s: subject %s was forgotten on %s", who, hex, when);
    } else if (code == SQLITE_ROW) {
        const uint8_t *wrapped = sqlite3_column_blob(statement, 0);
        size_t length = (size_t)sqlite3_column_bytes(statement, 0);
        if (wrapped)
            unwrap(connection, key, wrapped, length, who, error);
        else
            damaged(key->sid, who, error);
    }
    if (sqlite3_finalize(statement) != SQLITE_OK) rbt_fail_db(error, connection->db, who);
    return error->code;
}

/* Runs one UPDATE of the row, as our own. */
static int change_row(rbt_connection *connection, const char *sql, const rbt_subject_row *row,
                      int64_t now_us, const char *who, rbt_error *error) {
    rbt_logs *logs = rbt_logs_of(connection);
    sqlite3_stmt *statement = rbt_prepare(connection->db, error, who, "%s", sql);
    if (logs == NULL) rbt_fail_nomem(error);
    if (logs && statement) {
        sqlite3_bind_int64(statement, 1, row->id);
        sqlite3_bind_int64(statement, 2, now_us);
        logs->inside++;
        rbt_run(connection->db, statement, error, who);
        logs->inside--;
    }
    sqlite3_finalize(statement);
    return error->code;
}

int rbt_subject_destroy(rbt_connection *connection, const rbt_subject_row *row, int64_t now_us,
                        const char *who, rbt_error *error) {
    bool gone = false;
    /* zeros of the same length first, which SQLite writes over the old bytes where they stand */
    change_row(connection,
               "UPDATE main." RBT_SUBJECT_TABLE " SET wrapped = zeroblob(length(wrapped)), "
               "name = zeroblob(length(name)) WHERE id = ?1",
               row, now_us, who, error);
    change_row(connection,
               "UPDATE main." RBT_SUBJECT_TABLE " SET wrapped = NULL, name = NULL, subject = NULL, "
               "forgotten_us = ?2 WHERE id = ?1",
               row, now_us, who, error);
    sqlite3_stmt *look = rbt_prepare(connection->db, error, who,
                                     "SELECT 1 FROM main." RBT_SUBJECT_TABLE " WHERE id = %lld AND "
                                     "wrapped IS NULL AND name IS NULL AND subject IS NULL AND "
                                     "forgotten_us = %lld",
                                     (long long)row->id, (long long)now_us);
    if (look == NULL) return error->code;
    gone = sqlite3_step(look) == SQLITE_ROW;
    if (sqlite3_finalize(look) != SQLITE_OK) return rbt_fail_db(error, connection->db, who);
    if (!gone)
        rbt_fail(error, SQLITE_CORRUPT_VTAB,
                 "%s: a trigger or an authorizer keeps the subject's key from being destroyed",
                 who);
    return error->code;
}
