/* SPDX-License-Identifier: MIT
** audit_prune (lifecycle.h). May call base, audit and the segment store.
**
** Every segment is verified in full before a row that it holds is deleted. The intent is logged first, in
** a transaction of its own; rows go in batches, and pruned_to moves in the transaction that deletes, so
** that a kill at any moment leaves each entry in the log or in a verified segment.
*/
#include "lifecycle.h"

#include "../base/json.h"
#include "../base/memory.h"
#include "../base/progress.h"
#include "../base/sql_util.h"
#include "checkpoint_store.h"
#include "events.h"
#include "log_paths.h"
#include "segment_store.h"
#include "storage.h"
#include "trust.h"

enum { BATCH_ROWS = 20000 };

static const char who[] = "audit_prune";

typedef struct segment {
    int64_t first_id, last_id;
    char *path, *file;
    uint8_t root[32], manifest_sha256[32];
} segment;

/* Keeps the first problem for the error message. */
static void first_problem(void *context, const char *kind, int64_t id, const char *detail) {
    rbt_buffer *text = context;
    (void)kind;
    (void)id;
    if (text->length == 0) rbt_buffer_add_text(text, detail);
}

static int verify_segment(rbt_log *log, const segment *s, rbt_error *error) {
    rbt_verifier *verifiers = NULL;
    size_t count = 0;
    rbt_segment_summary summary = {0};
    rbt_buffer problem = {0};
    int64_t problems = 0;
    if (rbt_log_trusted_verifiers(log, NULL, who, &verifiers, &count, error) != SQLITE_OK)
        return error->code;
    rbt_error unread = {0}; /* the archive's own words do not tell who asked */
    log->logs->connection->segments->verify(s->path, verifiers, count, first_problem, &problem,
                                            &summary, &problems, &unread);
    if (unread.code == SQLITE_NOMEM) {
        rbt_fail_nomem(error);
    } else if (unread.code != SQLITE_OK) {
        rbt_fail(error, unread.code, "%s: nothing was pruned: %s", who,
                 unread.message ? unread.message : s->path);
    } else if (problems > 0) {
        char *text = rbt_buffer_text(&problem);
        rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: nothing was pruned: %s", who,
                 text ? text : s->path);
    } else if (summary.first_id != s->first_id || summary.last_id != s->last_id ||
               memcmp(summary.root_after.bytes, s->root, 32) != 0 ||
               memcmp(summary.manifest_sha256, s->manifest_sha256, 32) != 0) {
        rbt_fail(error, SQLITE_CORRUPT_VTAB,
                 "%s: nothing was pruned: %s is not the segment that was recorded", who, s->path);
    }
    rbt_error_clear(&unread);
    rbt_buffer_free(&problem);
    rbt_free(verifiers);
    return error->code;
}

/* The log's own root after the segment must be the segment's. */
static int compare_root(rbt_log *log, const segment *s, rbt_error *error) {
    rbt_hash root;
    if (rbt_tree_root(&root, (uint64_t)s->last_id + 1, rbt_log_node, log, error) == SQLITE_OK &&
        memcmp(root.bytes, s->root, 32) != 0)
        rbt_fail(error, SQLITE_CORRUPT_VTAB,
                 "%s: nothing was pruned: the log's root at entry %lld is not that of %s", who,
                 (long long)s->last_id, s->file);
    return error->code;
}

/* The lowest published segment whose rows are not all pruned; *found false when there is none. */
static int next_segment(rbt_log *log, segment *s, bool *found, rbt_error *error) {
    *found = false;
    if (rbt_log_peek(log, error) != SQLITE_OK) return error->code;
    sqlite3_stmt *row = rbt_prepare(
        log->db, error, who,
        "SELECT first_id, last_id, directory, file, root, manifest_sha256 FROM "
        "\"%w\".\"%w_segments\" WHERE status = 'published' AND last_id > %lld ORDER BY first_id "
        "LIMIT 1",
        log->schema, log->name, (long long)log->pruned_to);
    if (!row) return error->code;
    if (sqlite3_step(row) == SQLITE_ROW) {
        rbt_buffer path = {0};
        const char *directory = (const char *)sqlite3_column_text(row, 2);
        const char *file = (const char *)sqlite3_column_text(row, 3);
        s->first_id = sqlite3_column_int64(row, 0);
        s->last_id = sqlite3_column_int64(row, 1);
        if (!directory || !file || !rbt_log_file_name_valid(file) ||
            sqlite3_column_bytes(row, 4) != 32 || sqlite3_column_bytes(row, 5) != 32 ||
            s->first_id > log->pruned_to + 1 || s->last_id >= (int64_t)log->frontier.size) {
            rbt_fail(error, SQLITE_CORRUPT_VTAB,
                     "%s: the record of segment %lld is damaged; SELECT * FROM audit_verify('%s') "
                     "tells more",
                     who, (long long)s->first_id, log->name);
        } else {
            memcpy(s->root, sqlite3_column_blob(row, 4), 32);
            memcpy(s->manifest_sha256, sqlite3_column_blob(row, 5), 32);
            rbt_log_segment_path(&path, log, directory, file);
            s->path = rbt_buffer_take(&path);
            s->file = rbt_strdup(file);
            if (!s->path || !s->file) rbt_fail_nomem(error);
            *found = error->code == SQLITE_OK;
        }
    }
    if (sqlite3_finalize(row) != SQLITE_OK && error->code == SQLITE_OK)
        rbt_fail_db(error, log->db, who);
    return error->code;
}

/* Proofs of the genesis need the hashes beside it, which leave the tree with the first block. */
static int keep_genesis_path(rbt_log *log, rbt_error *error) {
    rbt_hash path[8];
    rbt_buffer kept = {0};
    bool found = false;
    rbt_log_meta_bytes(log, "genesis_path", &kept, &found, error);
    rbt_buffer_free(&kept);
    if (found || error->code != SQLITE_OK) return error->code;
    for (unsigned level = 0; level < 8 && error->code == SQLITE_OK; level++)
        rbt_log_node(log, level, 1, &path[level], error);
    return rbt_log_meta_set_bytes(log, "genesis_path", path, sizeof path, false, error);
}

/* Drops the leaf hashes of blocks of 256 that are pruned whole; levels from 8 on stay. */
static int drop_tiles(rbt_log *log, int64_t pruned_to, rbt_error *error) {
    int64_t blocks = (pruned_to + 1) / RBT_TILE_HASHES;
    if (blocks == 0 || error->code != SQLITE_OK) return error->code;
    uint64_t dropped = ((uint64_t)log->pruned_to + 1) / RBT_TILE_HASHES;
    if (keep_genesis_path(log, error) != SQLITE_OK ||
        rbt_checkpoints_keep_proofs(log, dropped * RBT_TILE_HASHES,
                                    (uint64_t)blocks * RBT_TILE_HASHES, error) != SQLITE_OK)
        return error->code;
    sqlite3_stmt *statement = rbt_log_prepared(log, RBT_LOG_DELETE_NODES, error);
    if (!statement) return error->code;
    sqlite3_bind_int64(statement, 1, 0);
    sqlite3_bind_int64(statement, 2, blocks * RBT_TILE_HASHES - 1);
    return rbt_run(log->db, statement, error, who);
}

static int delete_rows(rbt_log *log, int64_t first, int64_t last, rbt_error *error) {
    rbt_log_set_prune_gate(log, last, error);
    rbt_execute(log->db, error, who,
                "DELETE FROM \"%w\".\"%w_rows\" WHERE id BETWEEN %lld AND %lld", log->schema,
                log->name, (long long)first, (long long)last);
    int deleted = sqlite3_changes(log->db);
    if (error->code == SQLITE_OK && deleted != last - first + 1)
        rbt_fail(error, SQLITE_CORRUPT_VTAB,
                 "%s: stopped before entry %lld: of entries %lld to %lld only %d are hot; SELECT * "
                 "FROM audit_verify('%s') tells more",
                 who, (long long)first, (long long)first, (long long)last, deleted, log->name);
    rbt_log_set_prune_gate(log, -1, error);
    return error->code;
}

static int log_event(rbt_log *log, const char *action, const segment *s, rbt_error *error) {
    rbt_buffer detail = {0};
    rbt_buffer_add_text(&detail, "{\"file\":");
    rbt_json_add_string(&detail, s->file, strlen(s->file));
    rbt_buffer_printf(&detail, ",\"first_id\":%lld,\"last_id\":%lld}", (long long)s->first_id,
                      (long long)s->last_id);
    rbt_events_add(log->logs->connection, log->schema, action, log->name, &detail, who, error);
    rbt_buffer_free(&detail);
    return error->code;
}

static int begin(rbt_log *log, rbt_transaction *own, rbt_error *error) {
    if (rbt_log_transaction_begin(log, own, who, error) != SQLITE_OK) return error->code;
    return rbt_log_load(log, error);
}

static int prune_segment(rbt_log *log, const segment *s, int64_t *rows, rbt_error *error) {
    rbt_transaction own = {0};
    if (verify_segment(log, s, error) != SQLITE_OK) return error->code;
    if (begin(log, &own, error) == SQLITE_OK && compare_root(log, s, error) == SQLITE_OK)
        log_event(log, "prune", s, error);
    if (rbt_log_transaction_end(log, &own, who, error) != SQLITE_OK) return error->code;
    bool finished = false;
    while (!finished && error->code == SQLITE_OK) {
        if (begin(log, &own, error) == SQLITE_OK) {
            int64_t first = log->pruned_to + 1;
            int64_t last = s->last_id - first >= BATCH_ROWS ? first + BATCH_ROWS - 1 : s->last_id;
            finished = last == s->last_id;
            if (first <= last && delete_rows(log, first, last, error) == SQLITE_OK) {
                rbt_log_meta_set_i64(log, "pruned_to", last, error);
                drop_tiles(log, last, error);
                *rows += last - first + 1;
                rbt_progress_step(last - first + 1);
            }
            if (finished && error->code == SQLITE_OK) log_event(log, "pruned", s, error);
        }
        rbt_log_transaction_end(log, &own, who, error);
    }
    return error->code;
}

/* How many hot entries are in segments: for the progress shown, so what cannot be read is no error. */
static int64_t entries_to_prune(rbt_log *log) {
    int64_t archived_to = 0;
    bool found = false;
    rbt_error unknown = {0};
    if (rbt_log_peek(log, &unknown) == SQLITE_OK)
        rbt_log_meta_i64(log, "archived_to", &archived_to, &found, &unknown);
    rbt_error_clear(&unknown);
    return archived_to > log->pruned_to ? archived_to - log->pruned_to : 0;
}

int rbt_prune_run(rbt_log *log, rbt_buffer *report, rbt_error *error) {
    int64_t rows = 0, segments = 0;
    rbt_progress progress;
    if (rbt_require_no_transaction(log, who, error) != SQLITE_OK) return error->code;
    if (rbt_events_prepare(log->logs->connection, log->schema, who, error) != SQLITE_OK)
        return error->code;
    rbt_progress_begin(&progress, log->db, "pruning", log->name, entries_to_prune(log));
    for (;;) {
        segment s = {0};
        bool found = false;
        if (next_segment(log, &s, &found, error) == SQLITE_OK && found) {
            prune_segment(log, &s, &rows, error);
            segments++;
        }
        rbt_free(s.path);
        rbt_free(s.file);
        if (!found || error->code != SQLITE_OK) break;
    }
    rbt_progress_end(&progress);
    if (error->code != SQLITE_OK) return error->code;
    if (segments == 0)
        rbt_buffer_printf(report, "%s: nothing to prune: no published segment holds hot entries",
                          log->name);
    else
        rbt_buffer_printf(report, "%s: pruned %lld %s that %lld verified segment%s hold%s",
                          log->name, (long long)rows, rbt_entries(rows), (long long)segments,
                          segments == 1 ? "" : "s", segments == 1 ? "s" : "");
    return SQLITE_OK;
}
