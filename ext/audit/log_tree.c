/* SPDX-License-Identifier: MIT
** The tree tables of a log (log_state.h). May call base and the tree of audit.
**
** Tile level t holds the perfect nodes of tree level 8t; the seven levels between are computed. A row is
** a run of hashes that begins at index (node & 2^56 - 1) of tile level (node >> 56) and stays within
** one tile of 256. A transaction adds a run; when a tile is complete its runs become one row of 8 KiB,
** and its root is the next hash of the level above.
*/
#include "log_state.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "log_rows.h"
#include "storage.h"

static int64_t node_key(unsigned tile_level, uint64_t index) {
    return (int64_t)((uint64_t)tile_level << RBT_TILE_SHIFT | index);
}

/* Hashes [first, first + count) of a tile level, all within one tile. */
static int read_run(rbt_log *log, unsigned tile_level, uint64_t first, size_t count, rbt_hash *out,
                    size_t *found, rbt_error *error) {
    *found = 0;
    sqlite3_stmt *statement = rbt_log_prepared(log, RBT_LOG_READ_NODES, error);
    if (!statement) return error->code;
    uint64_t tile = first & ~(uint64_t)(RBT_TILE_HASHES - 1);
    sqlite3_bind_int64(statement, 1, node_key(tile_level, tile));
    sqlite3_bind_int64(statement, 2, node_key(tile_level, first + count - 1));
    while (*found < count && sqlite3_step(statement) == SQLITE_ROW) {
        uint64_t run =
            (uint64_t)sqlite3_column_int64(statement, 0) - (uint64_t)node_key(tile_level, 0);
        const uint8_t *hashes = sqlite3_column_blob(statement, 1);
        uint64_t length = (uint64_t)sqlite3_column_bytes(statement, 1) / sizeof(rbt_hash);
        uint64_t wanted = first + *found;
        if (!hashes || wanted < run || wanted - run >= length) {
            if (hashes && run + length <= first) continue; /* a run before what is wanted */
            break;                                         /* a gap */
        }
        uint64_t available = length - (wanted - run);
        size_t take = available < count - *found ? (size_t)available : count - *found;
        memcpy(out + *found, hashes + (wanted - run) * sizeof(rbt_hash), take * sizeof(rbt_hash));
        *found += take;
    }
    if (sqlite3_reset(statement) != SQLITE_OK) rbt_fail_db(error, log->db, log->name);
    return error->code;
}

int rbt_log_prove_genesis(rbt_log *log, bool *proved, rbt_error *error) {
    rbt_hash leaf, root;
    rbt_proof proof;
    *proved = false;
    rbt_leaf_hash(&leaf, log->genesis, strlen(log->genesis));
    rbt_frontier_root(&root, &log->frontier);
    if (rbt_tree_inclusion(&proof, 0, log->frontier.size, rbt_log_node, log, error) == SQLITE_OK)
        *proved = rbt_inclusion_verify(&proof, 0, log->frontier.size, &leaf, &root);
    return error->code;
}

int rbt_log_require_genesis(rbt_log *log, const char *who, rbt_error *error) {
    bool proved = false;
    if (rbt_log_prove_genesis(log, &proved, error) == SQLITE_OK && !proved)
        rbt_fail(error, SQLITE_CORRUPT_VTAB,
                 "%s: nothing was signed: the genesis of %s is not the first leaf of its tree", who,
                 log->name);
    return error->code;
}

int rbt_log_leaf_hashes(rbt_log *log, uint64_t first, size_t count, rbt_hash *out, size_t *found,
                        rbt_error *error) {
    return read_run(log, 0, first, count, out, found, error);
}

/* Once the first block is pruned, meta keeps the nodes beside the genesis (prune_run.c). */
static bool kept_beside_genesis(rbt_log *log, unsigned level, rbt_hash *out, rbt_error *error) {
    rbt_buffer path = {0};
    bool found = false;
    rbt_log_meta_bytes(log, "genesis_path", &path, &found, error);
    found = found && error->code == SQLITE_OK && path.length == 8 * sizeof(rbt_hash);
    if (found) memcpy(out, path.data + level * sizeof(rbt_hash), sizeof(rbt_hash));
    rbt_buffer_free(&path);
    return found;
}

int rbt_log_node(void *context, unsigned level, uint64_t index, rbt_hash *out, rbt_error *error) {
    rbt_log *log = context;
    rbt_hash hashes[RBT_TILE_HASHES / 2];
    unsigned tile_level = level / 8;
    size_t count = (size_t)1 << (level % 8), found = 0;
    if (read_run(log, tile_level, index << (level % 8), count, hashes, &found, error) != SQLITE_OK)
        return error->code;
    if (found < count && level < 8 && index == 1 && kept_beside_genesis(log, level, out, error))
        return SQLITE_OK;
    if (error->code != SQLITE_OK) return error->code;
    uint64_t first = index << (level % 8), block = first / RBT_TILE_HASHES;
    if (found < count && level < 8 && log->genesis &&
        (block + 1) * RBT_TILE_HASHES <= (uint64_t)log->pruned_to + 1) {
        const rbt_hash *given_back;
        if (rbt_log_pruned_block(log, block, &given_back, error) != SQLITE_OK) return error->code;
        memcpy(hashes, given_back + first % RBT_TILE_HASHES, count * sizeof *hashes);
        found = count;
    }
    if (found < count)
        return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                        "%s: the tree lacks node %llu of level %u (pruned, or damaged)", log->name,
                        (unsigned long long)index, level);
    for (; count > 1; count /= 2)
        for (size_t i = 0; i < count / 2; i++)
            rbt_node_hash(&hashes[i], &hashes[2 * i], &hashes[2 * i + 1]);
    *out = hashes[0];
    return SQLITE_OK;
}

static int write_run(rbt_log *log, unsigned tile_level, uint64_t first, const rbt_hash *hashes,
                     size_t count, rbt_error *error) {
    sqlite3_stmt *statement = rbt_log_prepared(log, RBT_LOG_WRITE_NODES, error);
    if (!statement) return error->code;
    sqlite3_bind_int64(statement, 1, node_key(tile_level, first));
    sqlite3_bind_blob64(statement, 2, hashes, count * sizeof *hashes, SQLITE_STATIC);
    rbt_log_write(log, statement, "tree", error);
    sqlite3_bind_null(statement, 2);
    return error->code;
}

static int delete_runs(rbt_log *log, unsigned tile_level, uint64_t first, uint64_t end,
                       rbt_error *error) {
    sqlite3_stmt *statement = rbt_log_prepared(log, RBT_LOG_DELETE_NODES, error);
    if (!statement) return error->code;
    sqlite3_bind_int64(statement, 1, node_key(tile_level, first));
    sqlite3_bind_int64(statement, 2, node_key(tile_level, end - 1));
    return rbt_run(log->db, statement, error, log->name);
}

/* Adds hashes [first, first + count) to a tile level; the roots of the tiles that become complete go to
** complete[] (room for count / 256 + 1), their number to *completed. */
static int add_hashes(rbt_log *log, unsigned tile_level, uint64_t first, const rbt_hash *hashes,
                      size_t count, rbt_hash *complete, size_t *completed, rbt_error *error) {
    rbt_hash tile[RBT_TILE_HASHES];
    *completed = 0;
    while (count > 0 && error->code == SQLITE_OK) {
        size_t before = (size_t)(first % RBT_TILE_HASHES);
        size_t take = RBT_TILE_HASHES - before;
        if (take > count) { /* the tile stays incomplete */
            write_run(log, tile_level, first, hashes, count, error);
            break;
        }
        size_t found = 0;
        uint64_t start = first - before;
        if (before > 0) read_run(log, tile_level, start, before, tile, &found, error);
        if (error->code == SQLITE_OK && found < before)
            rbt_fail(error, SQLITE_CORRUPT_VTAB,
                     "%s: the tree lacks hashes of entries %llu to %llu; SELECT * FROM "
                     "audit_verify('%s') tells more",
                     log->name, (unsigned long long)(start + found), (unsigned long long)first - 1,
                     log->name);
        if (error->code != SQLITE_OK) break;
        memcpy(tile + before, hashes, take * sizeof *hashes);
        if (before > 0) delete_runs(log, tile_level, start, start + RBT_TILE_HASHES, error);
        write_run(log, tile_level, start, tile, RBT_TILE_HASHES, error);
        for (size_t width = RBT_TILE_HASHES; width > 1; width /= 2)
            for (size_t i = 0; i < width / 2; i++)
                rbt_node_hash(&tile[i], &tile[2 * i], &tile[2 * i + 1]);
        complete[(*completed)++] = tile[0];
        first += take;
        hashes += take;
        count -= take;
    }
    return error->code;
}

int rbt_log_flush_tree(rbt_log *log, rbt_error *error) {
    size_t count = log->pending_count;
    if (count == 0) return error->code;
    uint64_t first = log->frontier.size - count;
    /* Roots of completed tiles, level by level, overwrite each other: each level has fewer. */
    rbt_hash *complete = rbt_malloc((count / RBT_TILE_HASHES + 1) * sizeof *complete);
    rbt_hash *level_hashes = rbt_malloc((count / RBT_TILE_HASHES + 1) * sizeof *level_hashes);
    if (!complete || !level_hashes) rbt_fail_nomem(error);
    const rbt_hash *hashes = log->pending;
    /* This runs behind an INSERT of the caller's, whose row last_insert_rowid() must go on to name. */
    sqlite3_int64 last_row = sqlite3_last_insert_rowid(log->db);
    for (unsigned level = 0; count > 0 && level < 8 && error->code == SQLITE_OK; level++) {
        size_t completed = 0;
        add_hashes(log, level, first, hashes, count, complete, &completed, error);
        first /= RBT_TILE_HASHES;
        count = completed;
        if (error->code == SQLITE_OK && completed)
            memcpy(level_hashes, complete, completed * sizeof *complete);
        hashes = level_hashes;
    }
    sqlite3_set_last_insert_rowid(log->db, last_row);
    rbt_free(complete);
    rbt_free(level_hashes);
    if (error->code == SQLITE_OK) log->pending_count = 0;
    return error->code;
}
