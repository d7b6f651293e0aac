/* SPDX-License-Identifier: MIT
** See log_state.h. May call base, crypto and the parts of audit below the table.
*/
#include "log_state.h"

#include "../base/bytes.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../crypto/keys.h"
#include "events.h"
#include "genesis.h"
#include "log_paths.h"
#include "segment_store.h"
#include "storage.h"
#include "succession.h"

#include <sodium.h>

static void free_discarded(rbt_discarded *entry) {
    rbt_free(entry->schema);
    rbt_free(entry->name);
    rbt_free(entry);
}

static void free_logs(struct rbt_logs *logs) {
    /* Every log holds statements of its tables; SQLite disconnects tables before it destroys
    ** functions and modules, so nothing is left in the list by now. */
    while (logs->discarded) {
        rbt_discarded *entry = logs->discarded;
        logs->discarded = entry->next;
        free_discarded(entry);
    }
    rbt_free(logs);
}

rbt_logs *rbt_logs_of(rbt_connection *connection) {
    if (!connection->logs) {
        connection->logs = rbt_calloc(sizeof(rbt_logs));
        if (!connection->logs) return NULL;
        connection->logs->connection = connection;
        connection->free_logs = free_logs;
    }
    return connection->logs;
}

static void log_free(rbt_log *log) {
    for (int i = 0; i < RBT_LOG_STATEMENTS; i++)
        sqlite3_finalize(log->statements[i]);
    while (log->plans) {
        rbt_plan *plan = log->plans;
        log->plans = plan->next;
        sqlite3_finalize(plan->statement);
        rbt_free(plan);
    }
    size_t columns = log->declaration ? log->declaration->shape.count : 0;
    for (size_t i = 0; i < columns; i++) {
        if (log->fallbacks) sqlite3_finalize(log->fallbacks[i]);
        if (log->fallback_values) sqlite3_value_free(log->fallback_values[i]);
        if (log->texts) rbt_buffer_free(&log->texts[i]);
    }
    rbt_free(log->fallbacks);
    rbt_free(log->fallback_values);
    rbt_free(log->texts);
    rbt_free(log->values);
    rbt_free(log->row);
    rbt_buffer_free(&log->leaf);
    rbt_free(log->pending);
    rbt_free(log->block);
    rbt_free(log->genesis);
    if (log->successions) rbt_successions_free(log->successions);
    rbt_free(log->successions);
    rbt_declaration_free(log->declaration);
    rbt_free(log->schema);
    rbt_free(log->name);
    rbt_free(log);
}

rbt_log *rbt_log_connect(rbt_connection *connection, const char *schema, const char *name,
                         int argument_count, const char *const *arguments, rbt_error *error) {
    rbt_logs *logs = rbt_logs_of(connection);
    if (!logs) {
        rbt_fail_nomem(error);
        return NULL;
    }
    for (rbt_log *log = logs->first; log; log = log->next) {
        if (sqlite3_stricmp(log->schema, schema) == 0 && sqlite3_stricmp(log->name, name) == 0 &&
            rbt_declaration_equal(log->declaration, argument_count, arguments)) {
            log->references++;
            return log;
        }
    }
    rbt_log *log = rbt_calloc(sizeof *log);
    if (!log) {
        rbt_fail_nomem(error);
        return NULL;
    }
    log->logs = logs;
    log->db = connection->db;
    log->references = 1;
    log->schema = rbt_strdup(schema);
    log->name = rbt_strdup(name);
    log->declaration = rbt_declaration_parse(name, argument_count, arguments, error);
    if (log->declaration) {
        size_t columns = log->declaration->shape.count;
        log->fallbacks = rbt_calloc(columns * sizeof *log->fallbacks);
        log->fallback_values = rbt_calloc(columns * sizeof *log->fallback_values);
        log->texts = rbt_calloc(columns * sizeof *log->texts);
        log->values = rbt_calloc(columns * sizeof *log->values);
        log->row = rbt_calloc((columns + 3) * sizeof *log->row); /* id, recorded_at, salt */
        if (!log->fallbacks || !log->fallback_values || !log->texts || !log->values || !log->row ||
            !log->schema || !log->name)
            rbt_fail_nomem(error);
    }
    if (error->code != SQLITE_OK) {
        log_free(log);
        return NULL;
    }
    log->next = logs->first;
    logs->first = log;
    return log;
}

void rbt_log_release(rbt_log *log) {
    if (!log || --log->references > 0) return;
    rbt_log **link = &log->logs->first;
    while (*link && *link != log)
        link = &(*link)->next;
    if (*link) *link = log->next;
    log_free(log);
}

/* Connects schema.name if it is a log (the query makes SQLite call xConnect) and looks it up. */
rbt_log *rbt_log_find_in(rbt_connection *connection, const char *schema, const char *name,
                         const char *who, rbt_error *error) {
    rbt_log *result = NULL;
    bool is_log = false;
    sqlite3_stmt *lookup = rbt_prepare(
        connection->db, error, who,
        "SELECT sql FROM \"%w\".sqlite_schema WHERE type = 'table' AND name = %Q COLLATE NOCASE",
        schema, name);
    if (!lookup) return NULL;
    if (sqlite3_step(lookup) == SQLITE_ROW && sqlite3_column_type(lookup, 0) == SQLITE_TEXT) {
        const char *sql = (const char *)sqlite3_column_text(lookup, 0);
        if (!sql) rbt_fail_nomem(error);
        is_log = rbt_declares_log(sql);
    }
    if (sqlite3_finalize(lookup) != SQLITE_OK) {
        rbt_fail_db(error, connection->db, who);
        return NULL;
    }
    if (!is_log) return NULL;
    sqlite3_stmt *touch = rbt_prepare(connection->db, error, who,
                                      "SELECT 1 FROM \"%w\".\"%w\" LIMIT 0", schema, name);
    if (!touch) return NULL;
    rbt_logs *logs = rbt_logs_of(connection);
    if (!logs) rbt_fail_nomem(error);
    for (rbt_log *log = logs ? logs->first : NULL; log && !result; log = log->next)
        if (sqlite3_stricmp(log->schema, schema) == 0 && sqlite3_stricmp(log->name, name) == 0)
            result = log;
    if (result) result->references++;
    sqlite3_finalize(touch);
    return result;
}

rbt_log *rbt_log_find(rbt_connection *connection, const char *name, const char *who,
                      rbt_error *error) {
    rbt_log *log = NULL;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; !log && error->code == SQLITE_OK; i++) {
            /* 0 is main and 1 temp, but names are looked for in temp first */
            const char *schema = sqlite3_db_name(connection->db, i < 2 ? 1 - i : i);
            if (!schema) break;
            size_t length = strlen(schema); /* a schema's own name may hold a dot */
            if (pass == 0)
                log = rbt_log_find_in(connection, schema, name, who, error);
            else if (sqlite3_strnicmp(schema, name, (int)length) == 0 && name[length] == '.')
                log = rbt_log_find_in(connection, schema, name + length + 1, who, error);
        }
    }
    if (!log)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: no log is named \"%s\"; SELECT name FROM audit_logs lists them", who, name);
    return log;
}

sqlite3_stmt *rbt_log_prepared(rbt_log *log, rbt_log_statement which, rbt_error *error) {
    static const char *const formats[RBT_LOG_STATEMENTS] = {
        [RBT_LOG_READ_META] = "SELECT value FROM \"%w\".\"%w_meta\" WHERE key = ?1",
        [RBT_LOG_WRITE_META] = "INSERT OR REPLACE INTO \"%w\".\"%w_meta\"(key, value) VALUES(?1, "
                               "?2)",
        [RBT_LOG_SET_GATE] = "UPDATE \"%w\".\"%w_gate\" SET size = ?2 WHERE id = ?1",
        [RBT_LOG_INSERT_ROW] = NULL, /* depends on the columns */
        [RBT_LOG_MAX_ID] = "SELECT max(id) FROM \"%w\".\"%w_rows\"",
        [RBT_LOG_RECORDED_AT] = "SELECT recorded_at FROM \"%w\".\"%w_rows\" WHERE id = ?1",
        [RBT_LOG_READ_NODES] = "SELECT node, hashes FROM \"%w\".\"%w_tree\" WHERE node BETWEEN ?1 "
                               "AND ?2 ORDER BY node",
        [RBT_LOG_WRITE_NODES] = "INSERT INTO \"%w\".\"%w_tree\"(node, hashes) VALUES(?1, ?2)",
        [RBT_LOG_DELETE_NODES] = "DELETE FROM \"%w\".\"%w_tree\" WHERE node BETWEEN ?1 AND ?2"};
    if (error->code != SQLITE_OK) return NULL;
    sqlite3_stmt *statement = log->statements[which];
    if (statement) return statement;
    rbt_buffer sql = {0};
    if (which == RBT_LOG_INSERT_ROW) {
        const rbt_leaf_shape *shape = &log->declaration->shape;
        rbt_buffer_printf(&sql, "INSERT OR FAIL INTO \"%w\".\"%w_rows\"(id, recorded_at",
                          log->schema, log->name);
        for (size_t i = 0; i < shape->count; i++) {
            rbt_buffer_add_text(&sql, ", ");
            rbt_add_identifier(&sql, shape->columns[i].name);
        }
        if (shape->salted) rbt_buffer_add_text(&sql, ", salt");
        rbt_buffer_add_text(&sql, ") VALUES(?1, ?2");
        for (size_t i = 0; i < shape->count + shape->salted; i++)
            rbt_buffer_printf(&sql, ", ?%d", (int)i + 3);
        rbt_buffer_add_byte(&sql, ')');
    } else {
        rbt_buffer_printf(&sql, formats[which], log->schema, log->name);
    }
    char *text = rbt_buffer_text(&sql);
    if (!text)
        rbt_fail_nomem(error);
    else if (sqlite3_prepare_v3(log->db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
             SQLITE_OK)
        rbt_fail_db(error, log->db, log->name);
    rbt_buffer_free(&sql);
    log->statements[which] = statement;
    return statement;
}

static int meta_read(rbt_log *log, const char *key, int64_t *integer, rbt_buffer *bytes,
                     bool *found, rbt_error *error) {
    *found = false;
    sqlite3_stmt *statement = rbt_log_prepared(log, RBT_LOG_READ_META, error);
    if (!statement) return error->code;
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *found = !integer || sqlite3_column_type(statement, 0) == SQLITE_INTEGER;
        if (integer) *integer = sqlite3_column_int64(statement, 0);
        if (bytes) {
            /* text in UTF-8, whatever the database's encoding is */
            const void *blob = sqlite3_column_type(statement, 0) == SQLITE_TEXT
                                   ? (const void *)sqlite3_column_text(statement, 0)
                                   : sqlite3_column_blob(statement, 0);
            rbt_buffer_add(bytes, blob ? blob : "", (size_t)sqlite3_column_bytes(statement, 0));
            if (bytes->failed) rbt_fail_nomem(error);
        }
    } else if (code != SQLITE_DONE) {
        rbt_fail_db(error, log->db, log->name);
    }
    sqlite3_reset(statement);
    return error->code;
}

int rbt_log_meta_i64(rbt_log *log, const char *key, int64_t *value, bool *found, rbt_error *error) {
    return meta_read(log, key, value, NULL, found, error);
}

int rbt_log_meta_bytes(rbt_log *log, const char *key, rbt_buffer *out, bool *found,
                       rbt_error *error) {
    return meta_read(log, key, NULL, out, found, error);
}

int rbt_log_write(rbt_log *log, sqlite3_stmt *statement, const char *what, rbt_error *error) {
    int before = sqlite3_total_changes(log->db); /* changes() keeps its value when nothing ran */
    if (rbt_run(log->db, statement, error, log->name) == SQLITE_OK &&
        sqlite3_total_changes(log->db) == before)
        rbt_fail(error, SQLITE_CORRUPT_VTAB,
                 "%s: the %s of the log is missing or blocked; SELECT * FROM audit_verify('%s') "
                 "tells more",
                 log->name, what, log->name);
    return error->code;
}

int rbt_log_meta_set_i64(rbt_log *log, const char *key, int64_t value, rbt_error *error) {
    sqlite3_stmt *statement = rbt_log_prepared(log, RBT_LOG_WRITE_META, error);
    if (!statement) return error->code;
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, value);
    return rbt_log_write(log, statement, "meta table", error);
}

int rbt_log_meta_set_bytes(rbt_log *log, const char *key, const void *bytes, size_t length,
                           bool text, rbt_error *error) {
    sqlite3_stmt *statement = rbt_log_prepared(log, RBT_LOG_WRITE_META, error);
    if (!statement) return error->code;
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    if (text)
        sqlite3_bind_text64(statement, 2, bytes, length, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_blob64(statement, 2, bytes, length, SQLITE_STATIC);
    rbt_log_write(log, statement, "meta table", error);
    sqlite3_bind_null(statement, 2);
    return error->code;
}

int rbt_log_remember_signer(rbt_log *log, const uint8_t public_key[32], rbt_error *error) {
    rbt_buffer known = {0};
    bool found = false;
    if (rbt_log_meta_bytes(log, RBT_FIRST_SIGNER_KEY, &known, &found, error) == SQLITE_OK && !found)
        rbt_log_meta_set_bytes(log, RBT_FIRST_SIGNER_KEY, public_key, 32, false, error);
    rbt_buffer_free(&known);
    return error->code;
}

/* Of a log that was just created. Only when the keys were read for its seal: an unsealed log needs none, and
** remembers the key of its first segment. */
static int remember_creator(rbt_log *log, rbt_error *error) {
    const rbt_keys *keys = log->logs->connection->keys;
    const rbt_signing_key *signing = keys ? rbt_keys_signing(keys) : NULL;
    if (signing) rbt_log_remember_signer(log, signing->public_key, error);
    return error->code;
}

/* The gate's trigger is answered with yes once: a trigger of somebody else that writes to the gate, too, and
** so could let others in, gets a no, or leaves our own with it, and the statement is undone. */
static int set_gate(rbt_log *log, int gate, int64_t size, rbt_error *error) {
    sqlite3_stmt *statement = rbt_log_prepared(log, RBT_LOG_SET_GATE, error);
    if (!statement) return error->code;
    sqlite3_bind_int(statement, 1, gate);
    sqlite3_bind_int64(statement, 2, size);
    log->logs->gate_writes = 1;
    rbt_log_write(log, statement, "gate", error);
    log->logs->gate_writes = 0;
    return error->code;
}

int rbt_log_open_gate(rbt_log *log, rbt_error *error) {
    if (log->gate_open) return SQLITE_OK;
    log->touched = true;
    if (set_gate(log, 1, (int64_t)log->frontier.size - 1, error) == SQLITE_OK)
        log->gate_open = true;
    return error->code;
}

int rbt_log_shut_gate(rbt_log *log, rbt_error *error) {
    log->working++;
    if (set_gate(log, 1, INT64_MAX, error) == SQLITE_OK) log->gate_open = log->touched = false;
    log->working--;
    return error->code;
}

int rbt_log_set_prune_gate(rbt_log *log, int64_t up_to, rbt_error *error) {
    return set_gate(log, 2, up_to, error);
}

/* CHECK and REFERENCES are tried by CREATE TABLE; a DEFAULT is, too, before anyone relies on it. */
static int try_defaults(rbt_log *log, rbt_error *error) {
    for (size_t i = 0; i < log->declaration->shape.count && error->code == SQLITE_OK; i++) {
        const char *expression = log->declaration->columns[i].fallback;
        if (expression)
            sqlite3_finalize(rbt_prepare(log->db, error, log->name, "SELECT %s", expression));
    }
    return error->code;
}

/* A log whose segments could never be written is refused at once. */
static int check_archivable(rbt_log *log, rbt_error *error) {
    const struct rbt_segment_store *store = log->logs->connection->segments;
    rbt_buffer file = {0};
    if (!store) return error->code;
    store->name(&file, log->name, 0, 0);
    const char *text = rbt_buffer_text(&file);
    if (text)
        rbt_log_file_name_fits(log, text, log->name, error);
    else
        rbt_fail_nomem(error);
    rbt_buffer_free(&file);
    return error->code;
}

/* What the log is restored from; NULL: it is a new one. */
static const rbt_log_birth *birth_of(const rbt_log *log) {
    const rbt_log_birth *birth = log->logs->birth;
    return birth && sqlite3_stricmp(birth->schema, log->schema) == 0 &&
                   strcmp(birth->name, log->name) == 0
               ? birth
               : NULL;
}

/* Leaf 0 of a new log, or the one that it had. */
static int make_genesis(rbt_log *log, rbt_buffer *genesis, uint8_t log_id[16], int64_t *recorded_at,
                        rbt_error *error) {
    const rbt_log_birth *birth = birth_of(log);
    if (birth) {
        if (!rbt_declaration_equal(log->declaration, birth->argument_count, birth->arguments))
            return rbt_fail(error, SQLITE_ERROR,
                            "%s: SQLite reads the restored declaration otherwise", log->name);
        memcpy(log_id, birth->log_id, 16);
        *recorded_at = birth->recorded_at;
        rbt_buffer_add(genesis, birth->genesis, birth->genesis_length);
        return genesis->failed ? rbt_fail_nomem(error) : SQLITE_OK;
    }
    if (rbt_leaf_columns_of(&log->declaration->shape, 0) < log->declaration->shape.count)
        return rbt_fail(
            error, SQLITE_ERROR,
            "%s: SINCE is written by audit_set, which adds a column to a log that is there; "
            "leave it out",
            log->name);
    *recorded_at = rbt_clock_us();
    randombytes_buf(log_id, 16);
    return rbt_genesis_write(genesis, log->name, log->declaration, log_id, *recorded_at, error);
}

int rbt_log_create(rbt_log *log, rbt_error *error) {
    rbt_storage storage = {0};
    rbt_buffer genesis = {0};
    rbt_hash hash;
    int64_t now = 0;
    uint8_t log_id[16];
    if (log->declaration->archive) check_archivable(log, error);
    if (error->code == SQLITE_OK) make_genesis(log, &genesis, log_id, &now, error);
    if (error->code == SQLITE_OK && try_defaults(log, error) == SQLITE_OK)
        rbt_storage_build(&storage, log->name, log->declaration, error);
    rbt_storage_create(log->db, log->schema, &storage, log->name, error);
    log->logs->inside++;
    rbt_execute(log->db, error, log->name,
                "INSERT INTO \"%w\".\"%w_gate\"(id, size) VALUES(1, 9223372036854775807), (2, -1)",
                log->schema, log->name);
    log->logs->inside--;
    rbt_log_meta_set_i64(log, "format", RBT_LOG_FORMAT, error);
    rbt_log_meta_set_bytes(log, "genesis", genesis.data, genesis.length, true, error);
    rbt_log_meta_set_i64(log, "archived_to", 0, error);
    rbt_log_meta_set_i64(log, "pruned_to", 0, error);
    if (error->code == SQLITE_OK) {
        rbt_log_forget(log, true);
        rbt_leaf_hash(&hash, genesis.data, genesis.length);
        log->pending = rbt_realloc(log->pending, 64 * sizeof *log->pending);
        log->pending_capacity = log->pending ? 64 : 0;
        if (!log->pending) rbt_fail_nomem(error);
    }
    if (error->code == SQLITE_OK) {
        memset(&log->frontier, 0, sizeof log->frontier);
        rbt_frontier_append(&log->frontier, &hash);
        log->pending[0] = hash;
        log->pending_count = 1;
        log->last_recorded_at = now;
        log->pruned_to = 0;
        memcpy(log->log_id, log_id, sizeof log_id);
        log->sealed = log->declaration->sealed;
        rbt_free(log->genesis);
        log->genesis = rbt_buffer_take(&genesis);
        if (!log->genesis) rbt_fail_nomem(error);
        log->loaded = log->dirty = true;
        log->origin[0] = 0; /* read with the genesis, on the next load */
        rbt_log_flush(log, error);
        if (error->code == SQLITE_OK && !birth_of(log)) remember_creator(log, error);
        log->loaded = false;
        rbt_free(log->genesis);
        log->genesis = NULL;
    }
    rbt_buffer_free(&genesis);
    rbt_storage_free(&storage);
    return error->code;
}

void rbt_log_forget(rbt_log *log, bool ended) {
    log->loaded = log->dirty = log->poisoned = log->gate_open = false;
    if (ended) log->touched = log->clock_noted = false;
    log->pending_count = 0;
    log->block_held = false;
}

static rbt_discarded **find_discarded(const rbt_log *log) {
    rbt_discarded **link = &log->logs->discarded;
    while (*link && (sqlite3_stricmp((*link)->schema, log->schema) != 0 ||
                     sqlite3_stricmp((*link)->name, log->name) != 0))
        link = &(*link)->next;
    return link;
}

bool rbt_log_is_discarded(const rbt_log *log) {
    const rbt_discarded *entry = *find_discarded(log);
    return entry && rbt_events_has(log->logs->connection, log->schema, entry->event_id, "discard",
                                   log->name);
}

int rbt_log_discard(rbt_log *log, int64_t event_id, rbt_error *error) {
    rbt_discarded *entry = *find_discarded(log);
    if (entry) {
        entry->event_id = event_id;
        return SQLITE_OK;
    }
    entry = rbt_calloc(sizeof *entry);
    if (!entry) return rbt_fail_nomem(error);
    entry->event_id = event_id;
    entry->schema = rbt_strdup(log->schema);
    entry->name = rbt_strdup(log->name);
    if (!entry->schema || !entry->name) {
        free_discarded(entry);
        return rbt_fail_nomem(error);
    }
    entry->next = log->logs->discarded;
    log->logs->discarded = entry;
    return SQLITE_OK;
}

void rbt_log_undiscard(rbt_log *log) {
    rbt_discarded **link = find_discarded(log);
    rbt_discarded *entry = *link;
    if (!entry) return;
    *link = entry->next;
    free_discarded(entry);
}
