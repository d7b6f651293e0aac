/* SPDX-License-Identifier: MIT
** See log_rows.h. May call base and audit.
*/
#include "log_rows.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "expired.h"
#include "log_cold.h"
#include "log_values.h"
#include "storage.h"

sqlite3_stmt *rbt_log_rows(rbt_log *log, int64_t first, int64_t last, rbt_error *error) {
    const rbt_leaf_shape *shape = &log->declaration->shape;
    sqlite3_stmt *statement = NULL;
    rbt_buffer columns = {0};
    for (size_t i = 0; i < shape->count; i++) {
        rbt_buffer_add_text(&columns, ", ");
        rbt_add_identifier(&columns, shape->columns[i].name);
    }
    if (shape->salted) rbt_buffer_add_text(&columns, ", salt");
    char *text = rbt_buffer_text(&columns);
    if (text)
        statement = rbt_prepare(log->db, error, log->name,
                                "SELECT id, recorded_at%s FROM \"%w\".\"%w_rows\" WHERE id BETWEEN "
                                "%lld AND %lld ORDER BY id",
                                text, log->schema, log->name, (long long)first, (long long)last);
    else
        rbt_fail_nomem(error);
    rbt_buffer_free(&columns);
    return statement;
}

int rbt_log_row_leaf(rbt_log *log, sqlite3_stmt *row, bool *fits, rbt_error *error) {
    return rbt_log_row_leaf_as(log, row, sqlite3_column_int64(row, 0), fits, error);
}

int rbt_log_row_leaf_as(rbt_log *log, sqlite3_stmt *row, int64_t id, bool *fits, rbt_error *error) {
    const rbt_leaf_shape *shape = &log->declaration->shape;
    const uint8_t *salt = NULL;
    rbt_error refused = {0};
    *fits = sqlite3_column_type(row, 1) == SQLITE_INTEGER;
    rbt_buffer_clear(&log->leaf);
    for (size_t i = 0; i < shape->count && *fits; i++)
        log->values[i] = rbt_log_stored_value(row, (int)i + 2, shape->columns[i].type, fits);
    if (shape->salted && *fits) {
        salt = sqlite3_column_blob(row, (int)shape->count + 2);
        *fits = salt && sqlite3_column_bytes(row, (int)shape->count + 2) == RBT_SALT_SIZE;
    }
    if (*fits && rbt_leaf_write(&log->leaf, shape, log->name, id, sqlite3_column_int64(row, 1),
                                salt, log->values, &refused) != SQLITE_OK) {
        *fits = false;
        if (refused.code == SQLITE_NOMEM) rbt_fail_nomem(error);
        rbt_error_clear(&refused);
    }
    if (!*fits) rbt_buffer_clear(&log->leaf);
    return error->code;
}

static int hot_leaf(rbt_log *log, int64_t id, rbt_buffer *out, bool *found, rbt_error *error) {
    sqlite3_stmt *row = rbt_log_rows(log, id, id, error);
    if (!row) return error->code;
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW) {
        bool fits = false;
        if (rbt_log_row_leaf(log, row, &fits, error) == SQLITE_OK) {
            if (fits)
                rbt_buffer_add(out, log->leaf.data, log->leaf.length);
            else
                rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: entry %lld was changed", log->name,
                         (long long)id);
        }
        *found = true;
    } else if (code != SQLITE_DONE) {
        rbt_fail_db(error, log->db, log->name);
    }
    sqlite3_finalize(row);
    return error->code;
}

/* Writes the entry from its cold values: segments hold exactly what rbt_leaf_write wrote, so the bytes
** are the same (the scan's own line would be, too). */
static int cold_leaf(rbt_log *log, int64_t id, rbt_buffer *out, bool *found, rbt_error *error) {
    rbt_plan_term term = {RBT_LOG_COLUMN_ID, SQLITE_INDEX_CONSTRAINT_EQ};
    rbt_query query = {~(uint64_t)0, 0, 1, &term, ""};
    rbt_cold *cold = NULL;
    const rbt_leaf *leaf = NULL;
    sqlite3_stmt *value = rbt_prepare(log->db, error, log->name, "SELECT %lld", (long long)id);
    if (!value) return error->code;
    if (sqlite3_step(value) == SQLITE_ROW) {
        sqlite3_value *argument = sqlite3_value_dup(sqlite3_column_value(value, 0));
        if (!argument) {
            rbt_fail_nomem(error);
        } else if (rbt_cold_open(&cold, log, &query, &argument, error) == SQLITE_OK) {
            int code = rbt_cold_next(cold, &leaf, error);
            if (code == SQLITE_ROW) {
                *found = true;
                rbt_leaf_write(
                    out, &log->declaration->shape, log->name, leaf->id, leaf->recorded_at,
                    log->declaration->shape.salted ? leaf->salt : NULL, leaf->values, error);
            }
        }
        rbt_cold_close(cold);
        sqlite3_value_free(argument);
    } else {
        rbt_fail_db(error, log->db, log->name);
    }
    sqlite3_finalize(value);
    return error->code;
}

int rbt_log_leaf(rbt_log *log, int64_t id, rbt_buffer *out, bool *found, rbt_error *error) {
    *found = false;
    if (rbt_log_peek(log, error) != SQLITE_OK) return error->code;
    if (id < 0 || (uint64_t)id >= log->frontier.size) return SQLITE_OK;
    if (id == 0) {
        rbt_buffer_add_text(out, log->genesis);
        *found = true;
    } else if (id > log->pruned_to) {
        hot_leaf(log, id, out, found, error);
    } else {
        cold_leaf(log, id, out, found, error);
        if (!*found && error->code == SQLITE_OK) rbt_expired_refuse(log, id, error);
    }
    if (out->failed) rbt_fail_nomem(error);
    return error->code;
}

/* Fills hashes[id - first] for every cold entry first … first + 255. */
static int read_cold_block(rbt_log *log, int64_t first, rbt_hash *hashes, size_t *filled,
                           rbt_error *error) {
    rbt_plan_term terms[2] = {{RBT_LOG_COLUMN_ID, SQLITE_INDEX_CONSTRAINT_GE},
                              {RBT_LOG_COLUMN_ID, SQLITE_INDEX_CONSTRAINT_LT}};
    rbt_query query = {~(uint64_t)0, RBT_PLAN_BY_ID, 2, terms, ""};
    sqlite3_value *bounds[2] = {NULL, NULL};
    rbt_cold *cold = NULL;
    const rbt_leaf *leaf = NULL;
    sqlite3_stmt *values = rbt_prepare(log->db, error, log->name, "SELECT %lld, %lld",
                                       (long long)first, (long long)first + RBT_TILE_HASHES);
    if (!values) return error->code;
    if (sqlite3_step(values) == SQLITE_ROW) {
        bounds[0] = sqlite3_value_dup(sqlite3_column_value(values, 0));
        bounds[1] = sqlite3_value_dup(sqlite3_column_value(values, 1));
    }
    sqlite3_finalize(values);
    if (!bounds[0] || !bounds[1])
        rbt_fail_nomem(error);
    else
        rbt_cold_open(&cold, log, &query, bounds, error);
    while (error->code == SQLITE_OK && rbt_cold_next(cold, &leaf, error) == SQLITE_ROW) {
        rbt_buffer_clear(&log->leaf);
        if (rbt_leaf_write(&log->leaf, &log->declaration->shape, log->name, leaf->id,
                           leaf->recorded_at, log->declaration->shape.salted ? leaf->salt : NULL,
                           leaf->values, error) != SQLITE_OK)
            break;
        rbt_leaf_hash(&hashes[leaf->id - first], log->leaf.data, log->leaf.length);
        ++*filled;
    }
    rbt_cold_close(cold);
    sqlite3_value_free(bounds[0]);
    sqlite3_value_free(bounds[1]);
    return error->code;
}

int rbt_log_pruned_block(rbt_log *log, uint64_t block, const rbt_hash **hashes, rbt_error *error) {
    rbt_hash fold[RBT_TILE_HASHES], node;
    size_t filled = 0;
    if (!log->block) log->block = rbt_malloc(RBT_TILE_HASHES * sizeof *log->block);
    if (!log->block) return rbt_fail_nomem(error);
    if (log->block_held && log->block_number == block) {
        *hashes = log->block;
        return SQLITE_OK;
    }
    log->block_held = false;
    int64_t first = (int64_t)(block * RBT_TILE_HASHES);
    if (block == 0) {
        rbt_leaf_hash(&log->block[0], log->genesis, strlen(log->genesis));
        filled = 1;
    }
    if (read_cold_block(log, first, log->block, &filled, error) != SQLITE_OK ||
        (filled < RBT_TILE_HASHES &&
         rbt_expired_fill_block(log, block, log->block, &filled, error) != SQLITE_OK) ||
        rbt_log_node(log, 8, block, &node, error) != SQLITE_OK)
        return error->code;
    memcpy(fold, log->block, sizeof fold);
    for (size_t width = RBT_TILE_HASHES; width > 1; width /= 2)
        for (size_t i = 0; i < width / 2; i++)
            rbt_node_hash(&fold[i], &fold[2 * i], &fold[2 * i + 1]);
    if (filled != RBT_TILE_HASHES || !rbt_hash_equal(&fold[0], &node))
        return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                        "%s: the segment of entries from %lld on does not fit the tree", log->name,
                        (long long)first);
    log->block_number = block;
    log->block_held = true;
    *hashes = log->block;
    return SQLITE_OK;
}
