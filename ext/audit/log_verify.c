/* SPDX-License-Identifier: MIT
** See log_verify.h. May call base, crypto and audit.
**
** Two roots are computed over the hot rows: one of the rows as they are, one of the leaf hashes that the
** tree stored when they were appended. They part at the first difference; which of them fits the
** head then tells whether a row was changed or the tree was.
*/
#include "log_verify.h"

#include "../base/bytes.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "genesis.h"
#include "log_list.h"
#include "log_rows.h"
#include "log_seal.h"
#include "storage.h"

#include <stdarg.h>

void rbt_log_problem(rbt_verification *v, const char *kind, int64_t id, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *sentence = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    /* what comes from an error of the log begins with its name already */
    size_t name = strlen(v->log->name);
    bool named = sentence && strncmp(sentence, v->log->name, name) == 0 && sentence[name] == ':';
    char *detail = sqlite3_mprintf("%s%s%s", named ? "" : v->log->name, named ? "" : ": ",
                                   sentence ? sentence : "out of memory");
    v->problems++;
    v->sink(v->context, "error", kind, id, detail ? detail : v->log->name);
    rbt_free(sentence);
    rbt_free(detail);
}

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

/* The walk over hot rows. */
typedef struct walk {
    rbt_verification *v;
    rbt_frontier rows;   /* with the rows' own hashes */
    rbt_frontier stored; /* with the hashes that the tree holds */
    bool parted;         /* the two differ; until then only `rows` is kept */
    int64_t *differing;  /* ids whose row and stored hash differ */
    size_t differing_count, differing_capacity;
    rbt_hash tile[RBT_TILE_HASHES]; /* stored leaf hashes from tile_first on */
    uint64_t tile_first;
    size_t tile_found;
    int64_t timed, last_recorded_at; /* id and time of the last entry whose time is known */
    bool gaps; /* rows or stored hashes are missing: roots cannot be expected to fit */
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

static int note_difference(walk *w, int64_t id, rbt_error *error) {
    if (w->differing_count == w->differing_capacity) {
        size_t capacity = w->differing_capacity ? 2 * w->differing_capacity : 16;
        int64_t *ids = rbt_realloc(w->differing, capacity * sizeof *ids);
        if (!ids) return rbt_fail_nomem(error);
        w->differing = ids;
        w->differing_capacity = capacity;
    }
    w->differing[w->differing_count++] = id;
    return SQLITE_OK;
}

static int add_entry(walk *w, int64_t id, const rbt_hash *row, rbt_error *error) {
    const rbt_hash *stored = stored_hash(w, id, error);
    if (error->code != SQLITE_OK) return error->code;
    if (!stored) {
        rbt_log_problem(w->v, "tree", id, "the tree lacks the hash of entry %lld", (long long)id);
        w->gaps = true;
    }
    if (stored && row && !rbt_hash_equal(stored, row)) {
        if (note_difference(w, id, error) != SQLITE_OK) return error->code;
        if (!w->parted) {
            w->stored = w->rows;
            w->parted = true;
        }
    }
    const rbt_hash *own = row ? row : stored;
    if (own) rbt_frontier_append(&w->rows, own);
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
        add_entry(w, id, NULL, error);
    }
    return error->code;
}

static int walk_row(walk *w, sqlite3_stmt *row, int64_t id, rbt_error *error) {
    rbt_log *log = w->v->log;
    rbt_hash hash = {{0}};
    bool fits = false;
    if (rbt_log_row_leaf(log, row, &fits, error) != SQLITE_OK) return error->code;
    /* What no append could have written gets a hash that fits nothing. */
    if (fits) rbt_leaf_hash(&hash, log->leaf.data, log->leaf.length);
    int64_t recorded_at = sqlite3_column_int64(row, 1);
    if (fits && recorded_at < w->last_recorded_at)
        rbt_log_problem(w->v, "clock", id,
                        "entry %lld is recorded before the entry that precedes it", (long long)id);
    if (fits) {
        w->timed = id;
        w->last_recorded_at = recorded_at;
    }
    return add_entry(w, id, &hash, error);
}

static int walk_rows(walk *w, rbt_error *error) {
    rbt_log *log = w->v->log;
    int64_t next = log->pruned_to + 1, last = (int64_t)log->frontier.size - 1;
    sqlite3_stmt *rows = rbt_log_rows(log, INT64_MIN, INT64_MAX, error);
    if (!rows) return error->code;
    while (error->code == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(rows, 0);
        if (id <= log->pruned_to || id > last) {
            report_inserted(w->v, id);
            continue;
        }
        if (id > next && add_missing(w, next, id - 1, error) != SQLITE_OK) break;
        if (walk_row(w, rows, id, error) != SQLITE_OK) break;
        next = id + 1;
    }
    int code = sqlite3_finalize(rows);
    if (error->code == SQLITE_OK && code != SQLITE_OK)
        rbt_log_problem(w->v, "damaged", next, "the rows cannot be read from entry %lld on: %s",
                        (long long)next, sqlite3_errmsg(log->db));
    else if (error->code == SQLITE_OK && next <= last)
        add_missing(w, next, last, error);
    return error->code;
}

/* Says of every difference whether the row or the tree is at fault. */
static void judge(walk *w) {
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
    for (size_t i = 0; i < w->differing_count; i++) {
        long long id = w->differing[i];
        if (rows_fit)
            rbt_log_problem(w->v, "tree", id, "the tree's hash of entry %lld was changed", id);
        else if (stored_fit)
            rbt_log_problem(w->v, "changed", id, "entry %lld was changed after it was logged", id);
        else
            rbt_log_problem(w->v, "changed", id,
                            "entry %lld does not have the hash that the tree holds of it", id);
    }
    if (!rows_fit && !stored_fit && !w->gaps)
        rbt_log_problem(
            w->v, "root", -1,
            "the entries do not give the root in the log's head: entries, tree or head were "
            "re-written");
}

/* Leaf 0, which stands in no row, by its proof. While it is hot, check_rows compares its hash, too. */
static int check_genesis(rbt_verification *v, rbt_error *error) {
    rbt_log *log = v->log;
    rbt_hash leaf, root;
    rbt_proof proof;
    rbt_error trouble = {0};
    if (log->pruned_to == 0) return SQLITE_OK;
    rbt_leaf_hash(&leaf, log->genesis, strlen(log->genesis));
    rbt_frontier_root(&root, &log->frontier);
    if (rbt_tree_inclusion(&proof, 0, log->frontier.size, rbt_log_node, log, &trouble) !=
        SQLITE_OK) {
        if (trouble.code == SQLITE_NOMEM) rbt_fail_nomem(error);
        rbt_log_problem(v, "tree", 0, "%s",
                        trouble.message ? trouble.message : "the tree is damaged");
    } else if (!rbt_inclusion_verify(&proof, 0, log->frontier.size, &leaf, &root)) {
        rbt_log_problem(v, "changed", 0,
                        "the genesis, or the hashes that prove it, were changed after the log was "
                        "created");
    }
    rbt_error_clear(&trouble);
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

static int check_rows(rbt_verification *v, rbt_error *error) {
    rbt_log *log = v->log;
    rbt_hash genesis;
    rbt_error unknown = {0};
    walk *w = rbt_calloc(sizeof *w);
    if (!w) return rbt_fail_nomem(error);
    w->v = v;
    w->timed = -1;
    w->last_recorded_at = INT64_MIN;
    rbt_leaf_hash(&genesis, log->genesis, strlen(log->genesis));
    if (log->pruned_to == 0) {
        take_genesis_time(w, error);
        add_entry(w, 0, &genesis, error);
    } else if (rbt_tree_frontier(&w->rows, (uint64_t)log->pruned_to + 1, rbt_log_node, log,
                                 &unknown) != SQLITE_OK) {
        if (unknown.code == SQLITE_NOMEM) rbt_fail_nomem(error);
        rbt_log_problem(v, "tree", log->pruned_to, "%s",
                        unknown.message ? unknown.message : "the tree is damaged");
        w->gaps = true;
    }
    rbt_error_clear(&unknown);
    if (error->code == SQLITE_OK) walk_rows(w, error);
    if (error->code == SQLITE_OK) {
        judge(w);
        check_head_time(w);
    }
    rbt_free(w->differing);
    rbt_free(w);
    return error->code;
}

/* Each stored node of a level, from index `first` on, against the tile below it. */
static void check_level(rbt_verification *v, unsigned level, uint64_t first, rbt_error *error) {
    rbt_log *log = v->log;
    for (uint64_t i = first; i < log->frontier.size >> level && error->code == SQLITE_OK; i++) {
        rbt_hash low[2], up;
        rbt_error lack = {0};
        rbt_log_node(log, level - 1, 2 * i, &low[0], &lack);
        rbt_log_node(log, level - 1, 2 * i + 1, &low[1], &lack);
        rbt_log_node(log, level, i, &up, &lack);
        if (lack.code == SQLITE_OK) {
            rbt_node_hash(&low[0], &low[0], &low[1]);
            if (!rbt_hash_equal(&low[0], &up))
                rbt_log_problem(
                    v, "tree", (int64_t)(i << level),
                    "the hashes of entries %llu to %llu do not fit the level above them",
                    (unsigned long long)(i << level), (unsigned long long)(((i + 1) << level) - 1));
        } else if (lack.code == SQLITE_NOMEM) {
            rbt_fail_nomem(error);
        } else {
            rbt_log_problem(v, "tree", (int64_t)(i << level), "%s", lack.message);
            i = log->frontier.size; /* what a forged head claims has no end */
        }
        rbt_error_clear(&lack);
    }
}

/* The first and last of the rows, without reading those between. */
static int check_ends(rbt_verification *v, rbt_error *error) {
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

/* The tree's upper tiles against the ones below, and the frontier of the head against the tiles. */
static int check_tree(rbt_verification *v, rbt_error *error) {
    rbt_log *log = v->log;
    rbt_error trouble = {0};
    rbt_hash root, head;
    rbt_frontier_root(&head, &log->frontier);
    if (rbt_tree_root(&root, log->frontier.size, rbt_log_node, log, &trouble) != SQLITE_OK) {
        if (trouble.code == SQLITE_NOMEM) rbt_fail_nomem(error);
        rbt_log_problem(v, "tree", -1, "%s",
                        trouble.message ? trouble.message : "the tree is damaged");
    } else if (!rbt_hash_equal(&root, &head)) {
        rbt_log_problem(v, "tree", -1, "the tree's tiles do not give the root in the log's head");
    }
    rbt_error_clear(&trouble);
    /* Levels 0 to 7 of pruned blocks are gone; all from level 8 on stay. */
    uint64_t kept = ((uint64_t)log->pruned_to + 1) / RBT_TILE_HASHES;
    if (v->quick) return error->code;
    for (unsigned level = 8; level < RBT_TREE_MAX_LEVEL && error->code == SQLITE_OK; level += 8)
        check_level(v, level, level == 8 ? kept : 0, error);
    return error->code;
}

static int check_seal(rbt_verification *v, char key_id[17], rbt_error *error) {
    rbt_seal_result result;
    key_id[0] = 0;
    if (!v->log->sealed) return SQLITE_OK;
    if (rbt_seal_check(v->log, &result, key_id, error) != SQLITE_OK) return error->code;
    if (result == RBT_SEAL_BROKEN)
        rbt_log_problem(
            v, "seal", -1,
            "the seal does not fit the log's size and root: the log was re-written without "
            "key %s",
            key_id);
    else if (result == RBT_SEAL_MISSING)
        rbt_log_problem(v, "seal", -1, "the seal is missing or damaged");
    else if (result == RBT_SEAL_NO_KEY)
        rbt_log_problem(v, "untrusted", -1,
                        "the log is sealed under key %s, which the ring does not have; set "
                        "RUSTYBT_ENCRYPTION_KEY to check the seal",
                        key_id);
    return SQLITE_OK;
}

static int check_declaration(rbt_verification *v, rbt_error *error) {
    rbt_log *log = v->log;
    rbt_genesis genesis = {0};
    rbt_error trouble = {0};
    if (rbt_genesis_parse(&genesis, log->genesis, strlen(log->genesis), log->name, &trouble) !=
        SQLITE_OK) {
        if (trouble.code == SQLITE_NOMEM) rbt_fail_nomem(error);
        rbt_log_problem(v, "declaration", 0, "%s", trouble.message ? trouble.message : log->name);
    } else if (!rbt_declaration_equal(log->declaration, genesis.argument_count,
                                      (const char *const *)genesis.arguments)) {
        rbt_log_problem(v, "declaration", 0,
                        "the declaration in sqlite_schema is not the one the log was created with");
    } else if (genesis.sealed != log->declaration->sealed) {
        rbt_log_problem(v, "declaration", 0,
                        "the genesis says sealed where the declaration does not");
    }
    rbt_error_clear(&trouble);
    rbt_genesis_free(&genesis);
    return error->code;
}

/* extends: what was found of the checkpoint kept outside, or nothing. */
static void report_verified(rbt_verification *v, int64_t segments, int64_t checkpoints,
                            const char *seal_key, rbt_buffer *extends) {
    rbt_log *log = v->log;
    rbt_hash root;
    char hex[65];
    rbt_buffer text = {0};
    rbt_frontier_root(&root, &log->frontier);
    rbt_hex_encode(hex, root.bytes, 32);
    int64_t entries = (int64_t)log->frontier.size - 1;
    rbt_buffer_printf(&text, "%s: %lld %s", log->name, (long long)entries, rbt_entries(entries));
    if (log->pruned_to)
        rbt_buffer_printf(&text, " (%lld hot, %lld cold)", (long long)(entries - log->pruned_to),
                          (long long)log->pruned_to);
    if (segments)
        rbt_buffer_printf(&text, ", %lld signed segment%s", (long long)segments,
                          segments == 1 ? "" : "s");
    rbt_buffer_printf(&text, ", root %s", hex);
    if (seal_key[0])
        rbt_buffer_printf(&text, ", sealed under key %s", seal_key);
    else
        rbt_buffer_add_text(&text, ", not sealed");
    if (checkpoints)
        rbt_buffer_printf(&text, ", %lld stored checkpoint%s", (long long)checkpoints,
                          checkpoints == 1 ? "" : "s");
    rbt_buffer_add(&text, extends->data ? extends->data : (const uint8_t *)"", extends->length);
    char *line = rbt_buffer_text(&text);
    v->sink(v->context, "info", "verified", -1, line ? line : log->name);
    rbt_buffer_free(&text);
}

/* A check that found its table missing or the file damaged ends with an error: that is a finding, too, and
** the other checks go on. */
static void as_finding(rbt_verification *v, rbt_error *error) {
    bool damage = error->code == SQLITE_CORRUPT || error->code == SQLITE_CORRUPT_VTAB ||
                  (error->code == SQLITE_ERROR && v->problems > 0);
    if (!damage) return;
    rbt_log_problem(v, "damaged", -1, "%s",
                    error->message ? error->message : "the file is damaged");
    rbt_error_clear(error);
}

int rbt_log_verify(rbt_verification *v, const char *checkpoint, const char *vkeys,
                   rbt_error *error) {
    rbt_log *log = v->log;
    int64_t segments = 0, checkpoints = 0;
    rbt_buffer extends = {0};
    char seal_key[17] = "";
    if (log->dirty && rbt_log_flush(log, error) != SQLITE_OK) return error->code;
    if (rbt_log_check_schema(v, error) != SQLITE_OK) return error->code;
    sqlite3_stmt *hold = NULL;
    rbt_error trouble = {0};
    hold = rbt_log_hold(log, &trouble);
    if (hold && rbt_log_peek(log, &trouble) == SQLITE_OK) {
        check_declaration(v, error);
        if (error->code == SQLITE_OK) check_genesis(v, error);
        if (error->code == SQLITE_OK && v->quick) check_ends(v, error);
        if (error->code == SQLITE_OK && !v->quick) check_rows(v, error);
        as_finding(v, error);
        if (error->code == SQLITE_OK) check_tree(v, error);
        if (error->code == SQLITE_OK) check_seal(v, seal_key, error);
        if (error->code == SQLITE_OK && !v->quick)
            rbt_log_check_segments(v, vkeys, &segments, error);
        if (error->code == SQLITE_OK && !v->quick) rbt_log_check_successions(v, vkeys, error);
        as_finding(v, error);
        if (error->code == SQLITE_OK && !v->quick)
            rbt_log_check_stored_checkpoints(v, vkeys, 0, &checkpoints, error);
        as_finding(v, error);
        if (error->code == SQLITE_OK && checkpoint)
            rbt_log_check_checkpoint(v, checkpoint, "the checkpoint", vkeys, true, &extends, error);
        if (extends.failed) rbt_fail_nomem(error);
        if (error->code == SQLITE_OK && v->problems == 0 && !v->quick)
            report_verified(v, segments, checkpoints, seal_key, &extends);
    } else if (trouble.code == SQLITE_CORRUPT_VTAB || trouble.code == SQLITE_CORRUPT ||
               trouble.code == SQLITE_ERROR) {
        rbt_log_problem(v, "damaged", -1, "%s", trouble.message ? trouble.message : log->name);
    } else {
        rbt_fail(error, trouble.code, "%s", trouble.message ? trouble.message : log->name);
    }
    rbt_error_clear(&trouble);
    rbt_buffer_free(&extends);
    sqlite3_finalize(hold);
    return error->code;
}

/* One call of rbt_logs_verify. */
typedef struct verify_all {
    const char *checkpoint, *vkeys;
    rbt_finding_sink sink;
    void *context;
    int64_t logs, problems;
} verify_all;

static int verify_one(rbt_log *log, void *context, rbt_error *error) {
    verify_all *all = context;
    rbt_verification v = {
        .log = log, .who = "audit_verify", .sink = all->sink, .context = all->context};
    all->logs++;
    rbt_log_verify(&v, all->checkpoint, all->vkeys, error);
    all->problems += v.problems;
    return error->code;
}

static void report_orphan(void *context, const char *schema, const char *name) {
    verify_all *all = context;
    char *detail =
        sqlite3_mprintf("%s: the log is gone from schema %s, its storage is not: its entry "
                        "was removed or replaced",
                        name, schema);
    all->problems++;
    all->sink(all->context, "error", "orphaned", -1, detail ? detail : name);
    rbt_free(detail);
}

int rbt_logs_verify(rbt_connection *connection, const char *name, const char *checkpoint,
                    const char *vkeys, rbt_finding_sink sink, void *context, int64_t *problems,
                    rbt_error *error) {
    verify_all all = {checkpoint, vkeys, sink, context, 0, 0};
    rbt_logs_visit(connection, name, "audit_verify", verify_one, &all, error);
    if (error->code == SQLITE_OK && strcmp(name, "*") == 0) {
        rbt_logs_orphans(connection, "audit_verify", report_orphan, &all, error);
        if (all.logs == 0 && all.problems == 0) {
            all.problems++;
            sink(context, "error", "missing", -1, "the database has no audit log");
        }
    }
    *problems = all.problems;
    return error->code;
}
