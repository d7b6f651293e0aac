/* SPDX-License-Identifier: MIT
** The part of audit_verify that looks at the rows (log_verify.h). May call base and audit.
**
** Two roots are computed over the hot rows: one of the rows as they are, one of the leaf hashes that the
** tree stored when they were appended. They part at the first difference; which of them fits the
** head then tells whether a row was changed or the tree was.
*/
#include "log_verify.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "genesis.h"
#include "log_index_check.h"
#include "log_rows.h"
#include "row_visit.h"
#include "storage.h"

static void report_missing(rbt_verification *v, int64_t first, int64_t last) {
    if (first == last)
        rbt_log_problem(v, "missing", first, "entry %lld is missing", (long long)first);
    else
        rbt_log_problem(v, "missing", first, "entries %lld to %lld are missing", (long long)first,
                        (long long)last);
}

static void report_inserted(rbt_verification *v, int64_t id) {
    rbt_log_problem(v, "inserted", id,
                    "row %lld was not written by the log, which holds entries %lld to %lld here",
                    (long long)id, (long long)v->log->pruned_to + 1,
                    (long long)v->log->frontier.size - 1);
}

/* An entry whose row has another hash than the tree holds of it. */
typedef struct difference {
    int64_t id;
    rbt_hash row, stored;
    bool fits;  /* an append could have written such a row */
    bool moved; /* reported: it is another entry's row */
} difference;

/* The walk over hot rows. */
typedef struct walk {
    rbt_verification *v;
    rbt_frontier rows;   /* with the rows' own hashes */
    rbt_frontier stored; /* with the hashes that the tree holds */
    bool parted;         /* the two differ; until then only `rows` is kept */
    difference *differing;
    size_t differing_count, differing_capacity;
    rbt_hash tile[RBT_TILE_HASHES]; /* stored leaf hashes from tile_first on */
    uint64_t tile_first;
    size_t tile_found;
    int64_t timed, last_recorded_at; /* id and time of the last entry whose time is known */
    bool gaps;    /* rows or stored hashes are missing: roots cannot be expected to fit */
    int64_t next; /* the id that is due */
    rbt_index_check *indexes; /* NULL: not compared */
    rbt_error *error;
} walk;

/* The stored leaf hash of an id; NULL when the tree lacks it. */
static const rbt_hash *stored_hash(walk *w, int64_t id, rbt_error *error) {
    uint64_t index = (uint64_t)id, first = index & ~(uint64_t)(RBT_TILE_HASHES - 1);
    if (w->tile_found == 0 || first != w->tile_first) {
        uint64_t size = w->v->log->frontier.size;
        size_t count = size - first < RBT_TILE_HASHES ? (size_t)(size - first) : RBT_TILE_HASHES;
        if (rbt_log_leaf_hashes(w->v->log, first, count, w->tile, &w->tile_found, error) !=
            SQLITE_OK)
            return NULL;
        w->tile_first = first;
    }
    return index - first < w->tile_found ? &w->tile[index - first] : NULL;
}

static int note_difference(walk *w, const difference *found, rbt_error *error) {
    if (w->differing_count == w->differing_capacity) {
        size_t capacity = w->differing_capacity ? 2 * w->differing_capacity : 16;
        difference *grown = rbt_realloc(w->differing, capacity * sizeof *grown);
        if (!grown) return rbt_fail_nomem(error);
        w->differing = grown;
        w->differing_capacity = capacity;
    }
    w->differing[w->differing_count++] = *found;
    return SQLITE_OK;
}

/* Where this completes a block of 256 and all before was as stored, the tree's level 8 must say the same;
** what is found so need not be computed again from the stored hashes. */
static void add_hash(walk *w, const rbt_hash *hash, rbt_error *error) {
    enum { BLOCK_LEVEL = 8 };
    uint64_t block = w->rows.size / RBT_TILE_HASHES;
    rbt_hash computed, stored;
    rbt_error lack = {0};
    if (!rbt_frontier_append_noting(&w->rows, hash, BLOCK_LEVEL, &computed) || w->parted ||
        w->gaps || block != w->v->first_unfolded)
        return;
    if (rbt_log_node(w->v->log, BLOCK_LEVEL, block, &stored, &lack) == SQLITE_OK &&
        rbt_hash_equal(&stored, &computed))
        w->v->first_unfolded = block + 1;
    if (lack.code == SQLITE_NOMEM) rbt_fail_nomem(error);
    rbt_error_clear(&lack); /* check_tree reports it */
}

/* row: NULL when there is none; fits: it is one that an append could have written. */
static int add_entry(walk *w, int64_t id, const rbt_hash *row, bool fits, rbt_error *error) {
    const rbt_hash *stored = stored_hash(w, id, error);
    if (error->code != SQLITE_OK) return error->code;
    if (!stored) {
        if (row && fits)
            rbt_log_problem(w->v, "tree", id,
                            "the tree lacks the hash of entry %lld; it should be %s", (long long)id,
                            rbt_hash_to_text(row).hex);
        else
            rbt_log_problem(w->v, "tree", id, "the tree lacks the hash of entry %lld",
                            (long long)id);
        w->gaps = true;
    }
    if (stored && row && !rbt_hash_equal(stored, row)) {
        difference found = {.id = id, .row = *row, .stored = *stored, .fits = fits};
        if (note_difference(w, &found, error) != SQLITE_OK) return error->code;
        if (!w->parted) {
            w->stored = w->rows;
            w->parted = true;
        }
    }
    const rbt_hash *own = row ? row : stored;
    if (own) add_hash(w, own, error);
    if (w->parted && (stored || row)) rbt_frontier_append(&w->stored, stored ? stored : row);
    return SQLITE_OK;
}

/* Entries first … last have no row. */
static int add_missing(walk *w, int64_t first, int64_t last, rbt_error *error) {
    report_missing(w->v, first, last);
    /* A forged head may claim any number of entries: without stored hashes there is no going on. */
    for (int64_t id = first; id <= last && error->code == SQLITE_OK; id++) {
        if (!stored_hash(w, id, error)) {
            w->gaps = true;
            break;
        }
        add_entry(w, id, NULL, false, error);
    }
    return error->code;
}

static int walk_row(walk *w, sqlite3_value **row, int64_t id, rbt_error *error) {
    rbt_log *log = w->v->log;
    rbt_hash hash = {{0}};
    bool fits = false;
    if (rbt_log_values_leaf(log, row, id, &fits, error) != SQLITE_OK) return error->code;
    /* What no append could have written gets a hash that fits nothing. */
    if (fits) rbt_leaf_hash(&hash, log->leaf.data, log->leaf.length);
    int64_t recorded_at = sqlite3_value_int64(row[1]);
    if (fits && recorded_at < w->last_recorded_at)
        rbt_log_problem(
            w->v, "clock", id,
            "entry %lld is recorded at %lld, before the entry that precedes it, at %lld",
            (long long)id, (long long)recorded_at, (long long)w->last_recorded_at);
    if (fits) {
        w->timed = id;
        w->last_recorded_at = recorded_at;
    }
    return add_entry(w, id, &hash, fits, error);
}

enum { STEP_ROWS = 4096 }; /* between two reports of progress */

/* The rbt_row_visitor of the rows. */
static bool visit_row(void *context, sqlite3_value **row) {
    walk *w = context;
    const rbt_log *log = w->v->log;
    int64_t id = sqlite3_value_int64(row[0]);
    if (w->indexes) rbt_index_check_add(w->indexes, row);
    if (id <= log->pruned_to || id > (int64_t)log->frontier.size - 1) {
        report_inserted(w->v, id);
        return true;
    }
    if (id < w->next) {
        rbt_log_problem(w->v, "damaged", id, "row %lld stands behind row %lld, or twice",
                        (long long)id, (long long)w->next - 1);
        return true;
    }
    if (id > w->next && add_missing(w, w->next, id - 1, w->error) != SQLITE_OK) return false;
    w->next = id + 1;
    if (id % STEP_ROWS == 0) rbt_progress_step(STEP_ROWS);
    return walk_row(w, row, id, w->error) == SQLITE_OK;
}

/* Another try may do better: no damage. */
static bool may_pass(int code) {
    return code == SQLITE_NOMEM || code == SQLITE_BUSY || code == SQLITE_LOCKED ||
           code == SQLITE_INTERRUPT;
}

static int walk_rows(walk *w, rbt_error *error) {
    rbt_log *log = w->v->log;
    int64_t last = (int64_t)log->frontier.size - 1;
    rbt_buffer columns = {0}, source = {0};
    rbt_error unread = {0};
    w->next = log->pruned_to + 1;
    w->error = error;
    rbt_log_add_row_columns(&columns, log);
    rbt_buffer_printf(&source, "\"%w\".\"%w_rows\" NOT INDEXED", log->schema, log->name);
    const char *names = rbt_buffer_text(&columns), *from = rbt_buffer_text(&source);
    if (!names || !from)
        rbt_fail_nomem(error);
    else
        rbt_visit_rows(log->db, log->name, names, rbt_log_row_width(log), from, "id", visit_row, w,
                       &unread);
    if (error->code == SQLITE_OK && may_pass(unread.code))
        rbt_fail(error, unread.code, "%s", unread.message ? unread.message : log->name);
    else if (error->code == SQLITE_OK && unread.code != SQLITE_OK)
        rbt_log_problem(w->v, "damaged", w->next, "the rows cannot be read from entry %lld on: %s",
                        (long long)w->next, unread.message ? unread.message : "out of memory");
    else if (error->code == SQLITE_OK && w->next <= last)
        add_missing(w, w->next, last, error);
    rbt_error_clear(&unread);
    rbt_buffer_free(&columns);
    rbt_buffer_free(&source);
    return error->code;
}

/* Whether the row in hand, under another id, is the entry of that id; its hash in *hash. */
static int hash_as(rbt_log *log, sqlite3_stmt *row, int64_t id, rbt_hash *hash, rbt_error *error) {
    bool fits = false;
    *hash = (rbt_hash){{0}};
    if (rbt_log_row_leaf_as(log, row, id, &fits, error) == SQLITE_OK && fits)
        rbt_leaf_hash(hash, log->leaf.data, log->leaf.length);
    return error->code;
}

/* Reports the rows that are other entries' rows, as far as those differ, too. */
static int find_moved(walk *w, rbt_error *error) {
    enum { COMPARED = 64 }; /* each with each */
    rbt_log *log = w->v->log;
    if (w->differing_count > COMPARED) return error->code;
    for (size_t i = 0; i < w->differing_count && error->code == SQLITE_OK; i++) {
        difference *at = &w->differing[i];
        if (!at->fits || at->id == 0) continue;
        sqlite3_stmt *row = rbt_log_rows(log, at->id, at->id, error);
        if (row && sqlite3_step(row) == SQLITE_ROW) {
            for (size_t k = 0; k < w->differing_count && !at->moved; k++) {
                const difference *other = &w->differing[k];
                rbt_hash hash;
                if (k == i || hash_as(log, row, other->id, &hash, error) != SQLITE_OK ||
                    !rbt_hash_equal(&hash, &other->stored))
                    continue;
                at->moved = true;
                rbt_log_problem(
                    w->v, "reordered", at->id,
                    "entry %lld was moved: its row is what was logged as entry %lld; its "
                    "hash was %s, that of its row is %s",
                    (long long)at->id, (long long)other->id, rbt_hash_to_text(&at->stored).hex,
                    rbt_hash_to_text(&at->row).hex);
            }
        }
        if (sqlite3_finalize(row) != SQLITE_OK) rbt_fail_db(error, log->db, log->name);
    }
    return error->code;
}

static void report_difference(walk *w, const difference *found, bool rows_fit, bool stored_fit) {
    long long id = found->id;
    rbt_hash_text stored = rbt_hash_to_text(&found->stored), row = rbt_hash_to_text(&found->row);
    if (rows_fit)
        rbt_log_problem(w->v, "tree", id,
                        "the tree's hash of entry %lld was changed; it should be %s, it is %s", id,
                        row.hex, stored.hex);
    else if (!found->fits)
        rbt_log_problem(w->v, "changed", id,
                        "entry %lld was changed after it was logged, to what no append writes; its "
                        "hash was %s",
                        id, stored.hex);
    else if (stored_fit)
        rbt_log_problem(w->v, "changed", id,
                        "entry %lld was changed after it was logged; its hash was %s, it is %s now",
                        id, stored.hex, row.hex);
    else
        rbt_log_problem(w->v, "changed", id,
                        "entry %lld does not have the hash that the tree holds of it: its hash is "
                        "%s, the tree says %s",
                        id, row.hex, stored.hex);
}

/* Says of every difference whether the row or the tree is at fault. */
static int judge(walk *w, rbt_error *error) {
    rbt_log *log = w->v->log;
    rbt_hash head, rows, stored;
    rbt_frontier_root(&head, &log->frontier);
    rbt_frontier_root(&rows, &w->rows);
    bool rows_fit = w->rows.size == log->frontier.size && rbt_hash_equal(&rows, &head);
    bool stored_fit = rows_fit;
    if (w->parted) {
        rbt_frontier_root(&stored, &w->stored);
        stored_fit = w->stored.size == log->frontier.size && rbt_hash_equal(&stored, &head);
    }
    if (!rows_fit && find_moved(w, error) != SQLITE_OK) return error->code;
    for (size_t i = 0; i < w->differing_count; i++)
        if (!w->differing[i].moved) report_difference(w, &w->differing[i], rows_fit, stored_fit);
    if (!rows_fit && !stored_fit && !w->gaps)
        rbt_log_problem(
            w->v, "root", -1,
            "the entries give the root %s, the log's head says %s: entries, tree or head were "
            "re-written",
            rbt_hash_to_text(&rows).hex, rbt_hash_to_text(&head).hex);
    return error->code;
}

/* The first and last of the rows, without reading those between. */
int rbt_log_check_ends(rbt_verification *v, rbt_error *error) {
    rbt_log *log = v->log;
    int64_t first = log->pruned_to + 1, last = (int64_t)log->frontier.size - 1;
    sqlite3_stmt *ends = rbt_prepare(log->db, error, log->name,
                                     "SELECT (SELECT min(id) FROM \"%w\".\"%w_rows\"), "
                                     "(SELECT max(id) FROM \"%w\".\"%w_rows\")",
                                     log->schema, log->name, log->schema, log->name);
    if (!ends) return error->code;
    if (sqlite3_step(ends) == SQLITE_ROW) {
        bool none = sqlite3_column_type(ends, 0) == SQLITE_NULL;
        long long lowest = none ? last + 1 : sqlite3_column_int64(ends, 0);
        long long highest = none ? last : sqlite3_column_int64(ends, 1);
        if (lowest < first)
            report_inserted(v, lowest);
        else if (lowest > first)
            report_missing(v, first, lowest - 1);
        if (highest > last)
            report_inserted(v, highest);
        else if (highest < last)
            report_missing(v, highest + 1, last);
    }
    if (sqlite3_finalize(ends) != SQLITE_OK) rbt_fail_db(error, log->db, log->name);
    return error->code;
}

/* New entries are never recorded before the time in the head, so it must be that of the last one. */
static void check_head_time(const walk *w) {
    const rbt_log *log = w->v->log;
    int64_t last = (int64_t)log->frontier.size - 1;
    if (w->timed != last || w->last_recorded_at == log->last_recorded_at) return;
    rbt_log_problem(
        w->v, "head", last,
        "the head says that entry %lld was recorded at %lld, the entry itself says %lld",
        (long long)last, (long long)log->last_recorded_at, (long long)w->last_recorded_at);
}

static void take_genesis_time(walk *w, rbt_error *error) {
    rbt_genesis genesis = {0};
    rbt_error malformed = {0}; /* check_declaration reports it */
    const rbt_log *log = w->v->log;
    if (rbt_genesis_parse(&genesis, log->genesis, strlen(log->genesis), log->name, &malformed) ==
        SQLITE_OK) {
        w->timed = 0;
        w->last_recorded_at = genesis.recorded_at;
    } else if (malformed.code == SQLITE_NOMEM) {
        rbt_fail_nomem(error);
    }
    rbt_error_clear(&malformed);
    rbt_genesis_free(&genesis);
}

int rbt_log_check_rows(rbt_verification *v, rbt_error *error) {
    rbt_log *log = v->log;
    rbt_hash genesis;
    rbt_error unknown = {0};
    walk *w = rbt_calloc(sizeof *w);
    if (!w) return rbt_fail_nomem(error);
    w->v = v;
    w->timed = -1;
    w->last_recorded_at = INT64_MIN;
    v->first_unfolded = ((uint64_t)log->pruned_to + 1) / RBT_TILE_HASHES;
    rbt_leaf_hash(&genesis, log->genesis, strlen(log->genesis));
    if (log->pruned_to == 0) {
        take_genesis_time(w, error);
        add_entry(w, 0, &genesis, true, error);
    } else if (rbt_tree_frontier(&w->rows, (uint64_t)log->pruned_to + 1, rbt_log_node, log,
                                 &unknown) != SQLITE_OK) {
        if (unknown.code == SQLITE_NOMEM) rbt_fail_nomem(error);
        rbt_log_problem(v, "tree", log->pruned_to, "%s",
                        unknown.message ? unknown.message : "the tree is damaged");
        w->gaps = true;
    }
    rbt_error_clear(&unknown);
    /* Of a changed table definition integrity_check would speak, not of damage. */
    if (error->code == SQLITE_OK && v->storage_intact) w->indexes = rbt_index_check_new(v, error);
    if (error->code == SQLITE_OK) walk_rows(w, error);
    if (error->code == SQLITE_OK && judge(w, error) == SQLITE_OK) check_head_time(w);
    if (error->code == SQLITE_OK && w->indexes) rbt_index_check_finish(w->indexes, error);
    rbt_index_check_free(w->indexes);
    rbt_free(w->differing);
    rbt_free(w);
    return error->code;
}
