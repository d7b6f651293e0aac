/* SPDX-License-Identifier: MIT
** The head of a log (log_state.h): reading it, checking it, appending to it, writing it and its seal.
** May call base, crypto and the parts of audit below the table.
**
** head in <log>_meta:  0 size u64 LE · 8 recorded_at of the last entry i64 LE · 16 the frontier's nodes,
**                      32 bytes each, largest first
** seal in <log>_meta:  0 key id 8 · 8 BLAKE2b-256(key = rbt_seal, log_id 16 || size u64 LE || root 32)
*/
#include "log_state.h"

#include "../base/bytes.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../crypto/key_reload.h"
#include "../crypto/stack.h"
#include "events.h"
#include "log_extend.h"
#include "log_seal.h"

#include <sodium.h>

static int damaged(rbt_log *log, const char *what, rbt_error *error) {
    return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                    "%s: %s; SELECT * FROM audit_verify('%s') tells more", log->name, what,
                    log->name);
}

static int read_head(rbt_log *log, rbt_error *error) {
    rbt_buffer head = {0};
    bool found = false;
    rbt_frontier frontier;
    rbt_log_meta_bytes(log, "head", &head, &found, error);
    if (error->code == SQLITE_OK) {
        frontier.size = head.length >= 16 ? rbt_load_u64le(head.data) : 0;
        if (!found || frontier.size == 0 || frontier.size > INT64_MAX ||
            head.length != 16 + 32 * (size_t)rbt_frontier_count(&frontier)) {
            damaged(log, "the head of the log is missing or damaged", error);
        } else {
            log->frontier.size = frontier.size;
            memcpy(log->frontier.nodes, head.data + 16, head.length - 16);
            log->last_recorded_at = (int64_t)rbt_load_u64le(head.data + 8);
        }
    }
    rbt_buffer_free(&head);
    rbt_log_meta_i64(log, "pruned_to", &log->pruned_to, &found, error);
    if (error->code == SQLITE_OK &&
        (!found || log->pruned_to < 0 || log->pruned_to >= (int64_t)log->frontier.size))
        damaged(log, "pruned_to is missing or damaged", error);
    return error->code;
}

/* Reads the genesis unless it is the one in memory. */
static int read_genesis(rbt_log *log, rbt_error *error) {
    rbt_buffer text = {0};
    rbt_genesis genesis = {0};
    int64_t format = 0;
    bool found = false;
    rbt_log_meta_i64(log, "format", &format, &found, error);
    if (error->code == SQLITE_OK && (!found || format != RBT_LOG_FORMAT))
        damaged(log, "the format of the log's storage is not one that this version knows", error);
    if (error->code == SQLITE_OK &&
        rbt_log_meta_bytes(log, "genesis", &text, &found, error) == SQLITE_OK) {
        char *line = rbt_buffer_text(&text);
        if (!line) {
            rbt_fail_nomem(error);
        } else if (!found) {
            damaged(log, "the genesis is missing", error);
        } else if (!log->genesis || strcmp(log->genesis, line) != 0) {
            rbt_free(log->genesis);
            log->genesis = NULL;
            if (rbt_genesis_parse(&genesis, line, text.length, log->name, error) == SQLITE_OK) {
                memcpy(log->log_id, genesis.log_id, sizeof log->log_id);
                memcpy(log->origin, genesis.origin, sizeof log->origin);
                log->sealed = genesis.sealed;
                log->recorded = false;
                log->genesis = rbt_buffer_take(&text);
                if (!log->genesis) rbt_fail_nomem(error);
            }
            rbt_genesis_free(&genesis);
        }
    }
    rbt_buffer_free(&text);
    return error->code;
}

/* The declaration in sqlite_schema must be the one that leaf 0 binds, or what rustybt_events says was made
** of it since. Those events only grow: what they said once holds until a rollback. */
static int check_declaration(rbt_log *log, rbt_error *error) {
    const rbt_declaration *declaration = log->declaration;
    rbt_genesis genesis = {0};
    bool holds = log->recorded;
    if (holds) return SQLITE_OK;
    rbt_genesis_parse(&genesis, log->genesis, strlen(log->genesis), log->name, error);
    if (error->code == SQLITE_OK && declaration->argument_count > genesis.argument_count)
        holds = rbt_genesis_extend(&genesis, log, error) == SQLITE_OK;
    if (error->code == SQLITE_OK && !rbt_declaration_equal(declaration, genesis.argument_count,
                                                           (const char *const *)genesis.arguments))
        rbt_fail(
            error, SQLITE_CORRUPT_VTAB,
            "%s: the log was created with another declaration than the schema has now; appends "
            "are refused",
            log->name);
    /* Who could turn the seal off, or the origin into another log's, would have us sign what we never saw. */
    else if (error->code == SQLITE_OK && rbt_genesis_contradiction(&genesis, declaration))
        damaged(log, "the genesis was changed: it is not what the declaration makes", error);
    if (error->code == SQLITE_OK &&
        rbt_leaf_columns_of(&declaration->shape, (int64_t)log->frontier.size) <
            declaration->shape.count)
        damaged(log, "the log has a column from a later entry on than the next one", error);
    log->recorded = holds && error->code == SQLITE_OK;
    rbt_genesis_free(&genesis);
    return error->code;
}

void rbt_seal_compute(uint8_t seal[RBT_SEAL_SIZE], const rbt_ring_key *key,
                      const uint8_t log_id[16], const rbt_frontier *frontier) {
    uint8_t message[16 + 8 + 32];
    rbt_hash root;
    rbt_frontier_root(&root, frontier);
    memcpy(message, log_id, 16);
    rbt_store_u64le(message + 16, frontier->size);
    memcpy(message + 24, root.bytes, 32);
    memcpy(seal, key->id, RBT_KEY_ID_SIZE);
    crypto_generichash(seal + 8, 32, message, sizeof message, key->seal, sizeof key->seal);
    rbt_wipe_stack();
}

int rbt_seal_check(rbt_log *log, rbt_seal_result *result, char key_id[17], rbt_error *error) {
    rbt_buffer stored = {0};
    uint8_t expected[RBT_SEAL_SIZE];
    bool found = false;
    *result = RBT_SEAL_MISSING;
    key_id[0] = 0;
    rbt_log_meta_bytes(log, "seal", &stored, &found, error);
    if (error->code == SQLITE_OK && found && stored.length == RBT_SEAL_SIZE) {
        rbt_hex_encode(key_id, stored.data, RBT_KEY_ID_SIZE);
        const rbt_ring_key *key =
            rbt_connection_find_key(log->logs->connection, stored.data, log->name, error);
        if (!key) *result = RBT_SEAL_NO_KEY;
        if (key) {
            rbt_seal_compute(expected, key, log->log_id, &log->frontier);
            *result = sodium_memcmp(expected, stored.data, RBT_SEAL_SIZE) == 0 ? RBT_SEAL_HOLDS
                                                                               : RBT_SEAL_BROKEN;
            rbt_wipe(expected, sizeof expected); /* what a forger would want to know */
        }
    }
    rbt_buffer_free(&stored);
    return error->code;
}

static int require_seal(rbt_log *log, rbt_error *error) {
    rbt_seal_result result;
    char key_id[17];
    if (!log->sealed) return SQLITE_OK;
    if (!rbt_connection_ring(log->logs->connection, log->name, error)) return error->code;
    if (rbt_seal_check(log, &result, key_id, error) != SQLITE_OK) return error->code;
    switch (result) {
    case RBT_SEAL_HOLDS:
        return SQLITE_OK;
    case RBT_SEAL_NO_KEY:
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: the log is sealed under key %s, which the ring does not have",
                        log->name, key_id);
    case RBT_SEAL_MISSING:
        return damaged(log, "the seal is missing or damaged", error);
    case RBT_SEAL_BROKEN:
        break;
    }
    return damaged(log, "the seal does not fit the log: it was changed by someone without the key",
                   error);
}

int rbt_log_peek(rbt_log *log, rbt_error *error) {
    if (log->loaded) return error->code;
    if (read_head(log, error) == SQLITE_OK) read_genesis(log, error);
    return error->code;
}

/* The head's time must be the last entry's, unless that is cold: the next one would take it over, and nothing
** would tell afterwards that it was never so late. */
static int check_last_time(rbt_log *log, rbt_error *error) {
    sqlite3_stmt *row = rbt_log_prepared(log, RBT_LOG_RECORDED_AT, error);
    if (!row) return error->code;
    sqlite3_bind_int64(row, 1, (int64_t)log->frontier.size - 1);
    bool differs =
        sqlite3_step(row) == SQLITE_ROW && sqlite3_column_int64(row, 0) != log->last_recorded_at;
    if (sqlite3_reset(row) != SQLITE_OK)
        rbt_fail_db(error, log->db, log->name);
    else if (differs)
        damaged(log, "the head does not say when the last entry was recorded", error);
    return error->code;
}

int rbt_log_load(rbt_log *log, rbt_error *error) {
    if (log->poisoned)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: an earlier write of this transaction failed; roll it back", log->name);
    if (log->loaded) return error->code;
    log->pending_count = 0;
    log->gate_open = false;
    if (rbt_log_peek(log, error) != SQLITE_OK) return error->code;
    check_declaration(log, error);
    if (error->code == SQLITE_OK && require_seal(log, error) == SQLITE_OK &&
        check_last_time(log, error) == SQLITE_OK)
        log->loaded = true;
    return error->code;
}

/* Room for one more pending hash, so that nothing can fail once the row is in. */
static int reserve_pending(rbt_log *log, rbt_error *error) {
    if (log->pending_count < log->pending_capacity) return SQLITE_OK;
    size_t capacity = log->pending_capacity ? 2 * log->pending_capacity : 64;
    rbt_hash *pending = rbt_realloc(log->pending, capacity * sizeof *pending);
    if (!pending) return rbt_fail_nomem(error);
    log->pending = pending;
    log->pending_capacity = capacity;
    return SQLITE_OK;
}

static int bind_value(sqlite3_stmt *statement, int position, const rbt_value *value) {
    switch (value->kind) {
    case RBT_INTEGER:
        return sqlite3_bind_int64(statement, position, value->integer);
    case RBT_REAL:
        return sqlite3_bind_double(statement, position, value->real);
    case RBT_TEXT:
        return sqlite3_bind_text64(statement, position, (const char *)value->data, value->length,
                                   SQLITE_STATIC, SQLITE_UTF8);
    case RBT_BLOB:
        return sqlite3_bind_blob64(statement, position, value->data, value->length, SQLITE_STATIC);
    case RBT_NULL:
        break;
    }
    return sqlite3_bind_null(statement, position);
}

static int insert_row(rbt_log *log, int64_t id, int64_t recorded_at, const uint8_t *salt,
                      const rbt_value *values, rbt_error *error) {
    const rbt_leaf_shape *shape = &log->declaration->shape;
    sqlite3_stmt *statement = rbt_log_prepared(log, RBT_LOG_INSERT_ROW, error);
    if (!statement) return error->code;
    int code = sqlite3_bind_int64(statement, 1, id);
    if (code == SQLITE_OK) code = sqlite3_bind_int64(statement, 2, recorded_at);
    for (size_t i = 0; i < shape->count && code == SQLITE_OK; i++)
        code = bind_value(statement, (int)i + 3, &values[i]);
    if (code == SQLITE_OK && salt)
        code =
            sqlite3_bind_blob(statement, (int)shape->count + 3, salt, RBT_SALT_SIZE, SQLITE_STATIC);
    if (code != SQLITE_OK) {
        rbt_fail_db(error, log->db, log->name);
    } else {
        int before =
            sqlite3_total_changes(log->db); /* changes() keeps its value when nothing ran */
        do
            code = sqlite3_step(statement);
        while (code == SQLITE_ROW); /* PRAGMA count_changes gives one */
        if (code != SQLITE_DONE)
            rbt_fail_db(error, log->db, log->name);
        else if (sqlite3_total_changes(log->db) == before)
            damaged(log, "a trigger on the log's storage made the entry vanish", error);
        sqlite3_reset(statement);
    }
    sqlite3_clear_bindings(statement); /* they point into the caller's memory */
    return error->code;
}

/* The clock stands more than this behind the last entry: someone should know. */
static const int64_t clock_tolerance_us = 5000000;

/* Logs the fact as an event, once a transaction. That the log goes on matters more than the note: if the
** event cannot be written, the entry still is, with the last entry's time. */
static void note_clock_back(rbt_log *log, int64_t now) {
    rbt_connection *connection = log->logs->connection;
    rbt_error ignored = {0};
    rbt_buffer detail = {0};
    if (log->clock_noted || log->last_recorded_at - now <= clock_tolerance_us ||
        sqlite3_stricmp(log->name, RBT_EVENTS_LOG) == 0)
        return;
    log->clock_noted = true;
    rbt_buffer_printf(&detail, "{\"clock_us\":%lld,\"last_recorded_at\":%lld,\"before_id\":%llu}",
                      (long long)now, (long long)log->last_recorded_at,
                      (unsigned long long)log->frontier.size);
    if (rbt_events_prepare(connection, log->schema, log->name, &ignored) == SQLITE_OK)
        rbt_events_add(connection, log->schema, "clock_back", log->name, &detail, log->name,
                       &ignored);
    rbt_buffer_free(&detail);
    rbt_error_clear(&ignored);
}

/* A write failed half-way: only a rollback helps. Without memory or disk space SQLite has done that
** already, with xRollback, before it told us; then there is nothing to keep anyone from. */
static void poison(rbt_log *log) {
    log->poisoned = sqlite3_txn_state(log->db, log->schema) == SQLITE_TXN_WRITE;
}

enum { PENDING_LIMIT = 65536 }; /* 2 MiB of hashes, then the tree is written early */

/* Hashes and stores the next entry; log->leaf holds its line. */
static int store_entry(rbt_log *log, int64_t recorded_at, const uint8_t *salt,
                       const rbt_value *values, rbt_error *error) {
    rbt_hash hash;
    int64_t next = (int64_t)log->frontier.size;
    rbt_leaf_hash(&hash, log->leaf.data, log->leaf.length);
    if (log->pending_count >= PENDING_LIMIT && rbt_log_flush_tree(log, error) != SQLITE_OK) {
        poison(log);
        return error->code;
    }
    if (reserve_pending(log, error) != SQLITE_OK) return error->code;
    if (rbt_log_open_gate(log, error) != SQLITE_OK) return error->code;
    if (insert_row(log, next, recorded_at, salt, values, error) != SQLITE_OK) return error->code;

    rbt_frontier_append(&log->frontier, &hash);
    log->pending[log->pending_count++] = hash;
    log->last_recorded_at = recorded_at;
    log->dirty = true;
    return SQLITE_OK;
}

static int append(rbt_log *log, const rbt_value *values, int64_t *id, rbt_error *error) {
    uint8_t salt[RBT_SALT_SIZE];
    if (rbt_log_load(log, error) != SQLITE_OK) return error->code;
    if (log->frontier.size >= INT64_MAX)
        return rbt_fail(error, SQLITE_ERROR, "%s: the log is full", log->name);
    int64_t next = (int64_t)log->frontier.size;
    int64_t now = rbt_clock_us();
    note_clock_back(log, now);
    int64_t recorded_at = now > log->last_recorded_at ? now : log->last_recorded_at;
    if (log->declaration->shape.salted) randombytes_buf(salt, sizeof salt);
    const uint8_t *salt_or_null = log->declaration->shape.salted ? salt : NULL;

    rbt_buffer_clear(&log->leaf);
    if (rbt_leaf_write(&log->leaf, &log->declaration->shape, log->name, next, recorded_at,
                       salt_or_null, values, error) != SQLITE_OK ||
        store_entry(log, recorded_at, salt_or_null, values, error) != SQLITE_OK)
        return error->code;
    *id = next;
    return SQLITE_OK;
}

static int append_again(rbt_log *log, const rbt_leaf *leaf, const char *line, size_t length,
                        rbt_error *error) {
    const rbt_leaf_shape *shape = &log->declaration->shape;
    const uint8_t *salt = shape->salted ? leaf->salt : NULL;
    if (leaf->id != (int64_t)log->frontier.size)
        return rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: entry %lld came where %lld was expected",
                        log->name, (long long)leaf->id, (long long)log->frontier.size);
    rbt_buffer_clear(&log->leaf);
    if (rbt_leaf_write(&log->leaf, shape, log->name, leaf->id, leaf->recorded_at, salt,
                       leaf->values, error) != SQLITE_OK)
        return error->code;
    if (log->leaf.length != length || memcmp(log->leaf.data, line, length) != 0)
        return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                        "%s: entry %lld is not what the log's declaration makes of its values",
                        log->name, (long long)leaf->id);
    return store_entry(log, leaf->recorded_at, salt, leaf->values, error);
}

int rbt_log_append_again(rbt_log *log, const rbt_leaf *leaf, const char *line, size_t length,
                         rbt_error *error) {
    log->working++;
    append_again(log, leaf, line, length, error);
    log->working--;
    return error->code;
}

int rbt_log_append(rbt_log *log, const rbt_value *values, int64_t *id, rbt_error *error) {
    log->working++;
    append(log, values, id, error);
    log->working--;
    return error->code;
}

static int write_head(rbt_log *log, rbt_error *error) {
    uint8_t head[16 + 32 * (RBT_TREE_MAX_LEVEL + 1)];
    size_t nodes = 32 * (size_t)rbt_frontier_count(&log->frontier);
    rbt_store_u64le(head, log->frontier.size);
    rbt_store_u64le(head + 8, (uint64_t)log->last_recorded_at);
    memcpy(head + 16, log->frontier.nodes, nodes);
    return rbt_log_meta_set_bytes(log, "head", head, 16 + nodes, false, error);
}

static int write_seal(rbt_log *log, rbt_error *error) {
    uint8_t seal[RBT_SEAL_SIZE];
    if (!log->sealed) return SQLITE_OK;
    const rbt_keys *keys = rbt_connection_ring(log->logs->connection, log->name, error);
    if (!keys) return error->code;
    rbt_seal_compute(seal, rbt_keys_at(keys, 0), log->log_id, &log->frontier);
    return rbt_log_meta_set_bytes(log, "seal", seal, sizeof seal, false, error);
}

int rbt_log_flush(rbt_log *log, rbt_error *error) {
    if (log->poisoned)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: an earlier write of this transaction failed; roll it back", log->name);
    if (!log->dirty) return SQLITE_OK;
    log->working++;
    rbt_log_flush_tree(log, error);
    if (error->code == SQLITE_OK) write_head(log, error);
    if (error->code == SQLITE_OK) write_seal(log, error);
    log->working--;
    if (error->code == SQLITE_OK)
        log->dirty = false;
    else
        poison(log);
    return error->code;
}

static bool gate_is_shut(rbt_log *log) {
    rbt_error gone = {0};
    sqlite3_stmt *gate =
        rbt_prepare(log->db, &gone, log->name, "SELECT size FROM \"%w\".\"%w_gate\" WHERE id = 1",
                    log->schema, log->name);
    bool shut =
        !gate || sqlite3_step(gate) != SQLITE_ROW || sqlite3_column_int64(gate, 0) == INT64_MAX;
    sqlite3_finalize(gate); /* its trouble is met again by whoever appends or verifies */
    rbt_error_clear(&gone);
    return shut;
}

/* Whether another state of this log has opened the gate, too: of a log that was created, rolled back to a
** savepoint and created with another declaration, both states live until the transaction ends. */
static bool has_rival(const rbt_log *log) {
    for (const rbt_log *other = log->logs->first; other; other = other->next)
        if (other != log && other->touched && sqlite3_stricmp(other->schema, log->schema) == 0 &&
            sqlite3_stricmp(other->name, log->name) == 0)
            return true;
    return false;
}

/* Whether this state has to shut the gate. After a rollback to a savepoint nothing is known: the gate may
** be shut again, the log may be gone, or be the rival's. */
static bool must_shut_gate(rbt_log *log) {
    if (!log->touched || log->loaded) return log->touched;
    if (gate_is_shut(log)) return false;
    if (!has_rival(log)) return true;
    rbt_error mismatch = {0};
    if (rbt_log_peek(log, &mismatch) == SQLITE_OK) check_declaration(log, &mismatch);
    bool own = mismatch.code == SQLITE_OK;
    rbt_error_clear(&mismatch);
    return own;
}

int rbt_log_sync(rbt_log *log, rbt_error *error) {
    if (rbt_log_flush(log, error) != SQLITE_OK || !must_shut_gate(log)) return error->code;
    /* A rollback to a savepoint may have left the gate open and us without memory of the head. */
    if (rbt_log_load(log, error) != SQLITE_OK) return error->code;
    int64_t last = (int64_t)log->frontier.size - 1, max_id = 0;
    sqlite3_stmt *statement = rbt_log_prepared(log, RBT_LOG_MAX_ID, error);
    if (!statement) return error->code;
    if (sqlite3_step(statement) == SQLITE_ROW)
        max_id = sqlite3_column_type(statement, 0) == SQLITE_NULL
                     ? log->pruned_to
                     : sqlite3_column_int64(statement, 0);
    if (sqlite3_reset(statement) != SQLITE_OK) return rbt_fail_db(error, log->db, log->name);
    if (max_id != last)
        return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                        "%s: the last stored entry is %lld, the log's own count is %lld; the "
                        "transaction is refused",
                        log->name, (long long)max_id, (long long)last);
    return rbt_log_shut_gate(log, error);
}

sqlite3_stmt *rbt_log_hold(rbt_log *log, rbt_error *error) {
    sqlite3_stmt *statement = rbt_prepare(
        log->db, error, log->name, "SELECT key FROM \"%w\".\"%w_meta\"", log->schema, log->name);
    if (statement && sqlite3_step(statement) != SQLITE_ROW) {
        if (sqlite3_reset(statement) != SQLITE_OK)
            rbt_fail_db(error, log->db, log->name);
        else
            damaged(log, "the log's meta table is empty", error);
        sqlite3_finalize(statement);
        return NULL;
    }
    return statement;
}
