/* SPDX-License-Identifier: MIT
** See log_verify.h. May call base, crypto and audit.
*/
#include "log_verify.h"

#include "../base/bytes.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "log_extend.h"
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

/* Leaf 0, which stands in no row, by its proof. While it is hot, rbt_log_check_rows compares its hash, too. */
static int check_genesis(rbt_verification *v, rbt_error *error) {
    rbt_log *log = v->log;
    bool proved = false;
    rbt_error trouble = {0};
    if (log->pruned_to == 0) return SQLITE_OK;
    if (rbt_log_prove_genesis(log, &proved, &trouble) != SQLITE_OK) {
        if (trouble.code == SQLITE_NOMEM) rbt_fail_nomem(error);
        rbt_log_problem(v, "tree", 0, "%s",
                        trouble.message ? trouble.message : "the tree is damaged");
    } else if (!proved) {
        rbt_log_problem(v, "changed", 0,
                        "the genesis, or the hashes that prove it, were changed after the log was "
                        "created");
    }
    rbt_error_clear(&trouble);
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
                    "the hashes of entries %llu to %llu do not fit the level above them: they give "
                    "%s, it says %s",
                    (unsigned long long)(i << level), (unsigned long long)(((i + 1) << level) - 1),
                    rbt_hash_to_text(&low[0]).hex, rbt_hash_to_text(&up).hex);
        } else if (lack.code == SQLITE_NOMEM) {
            rbt_fail_nomem(error);
        } else {
            rbt_log_problem(v, "tree", (int64_t)(i << level), "%s", lack.message);
            i = log->frontier.size; /* what a forged head claims has no end */
        }
        rbt_error_clear(&lack);
    }
}

/* Runs of the tree that reach beyond the log's end: the next entries' hashes would meet them. */
static int check_tree_end(rbt_verification *v, rbt_error *error) {
    rbt_log *log = v->log;
    long long size = (long long)log->frontier.size;
    sqlite3_stmt *beyond = rbt_prepare(
        log->db, error, log->name,
        "SELECT node >> %d, node & %lld, length(hashes) / 32, %lld >> (8 * (node >> %d)) FROM "
        "\"%w\".\"%w_tree\" WHERE node < 0 OR (node & %lld) + length(hashes) / 32 > %lld >> (8 * "
        "(node >> %d)) ORDER BY node",
        RBT_TILE_SHIFT, (1LL << RBT_TILE_SHIFT) - 1, size, RBT_TILE_SHIFT, log->schema, log->name,
        (1LL << RBT_TILE_SHIFT) - 1, size, RBT_TILE_SHIFT);
    if (!beyond) return error->code;
    while (sqlite3_step(beyond) == SQLITE_ROW)
        rbt_log_problem(
            v, "tree", -1,
            "the tree holds %lld hashes of tile level %lld from number %lld on, where "
            "the log gives only %lld",
            (long long)sqlite3_column_int64(beyond, 2), (long long)sqlite3_column_int64(beyond, 0),
            (long long)sqlite3_column_int64(beyond, 1), (long long)sqlite3_column_int64(beyond, 3));
    if (sqlite3_finalize(beyond) != SQLITE_OK) rbt_fail_db(error, log->db, log->name);
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
        rbt_log_problem(v, "tree", -1, "the tree's tiles give the root %s, the log's head says %s",
                        rbt_hash_to_text(&root).hex, rbt_hash_to_text(&head).hex);
    }
    rbt_error_clear(&trouble);
    /* Levels 0 to 7 of pruned blocks are gone; all from level 8 on stay. Of level 8, the walk over the rows
    ** has compared what comes before first_unfolded. */
    if (v->quick || check_tree_end(v, error) != SQLITE_OK) return error->code;
    for (unsigned level = 8; level < RBT_TREE_MAX_LEVEL && error->code == SQLITE_OK; level += 8)
        check_level(v, level, level == 8 ? v->first_unfolded : 0, error);
    return error->code;
}

static int check_seal(rbt_verification *v, char key_id[17], rbt_error *error) {
    rbt_seal_result result;
    key_id[0] = 0;
    if (!v->log->sealed) return SQLITE_OK;
    if (rbt_seal_check(v->log, &result, key_id, error) != SQLITE_OK) return error->code;
    if (result == RBT_SEAL_BROKEN) {
        /* the seal that would fit is not told: it is what a forger lacks */
        rbt_hash root;
        rbt_frontier_root(&root, &v->log->frontier);
        rbt_log_problem(
            v, "seal", -1,
            "the seal does not fit the log's size %llu and root %s: the log was re-written without "
            "key %s, or set back",
            (unsigned long long)v->log->frontier.size, rbt_hash_to_text(&root).hex, key_id);
    } else if (result == RBT_SEAL_MISSING)
        rbt_log_problem(v, "seal", -1, "the seal is missing or damaged");
    else if (result == RBT_SEAL_NO_KEY)
        rbt_log_problem(v, "untrusted", -1,
                        "the log is sealed under key %s, which the ring does not have; set "
                        "RUSTYBT_ENCRYPTION_KEY to check the seal",
                        key_id);
    return SQLITE_OK;
}

static void add_arguments(rbt_buffer *out, int count, char *const *arguments) {
    for (int i = 0; i < count; i++)
        rbt_buffer_printf(out, "%s%s", i ? ", " : "", arguments[i]);
}

static void report_declaration(rbt_verification *v, const rbt_genesis *genesis, bool extended) {
    const rbt_declaration *declaration = v->log->declaration;
    rbt_buffer expected = {0}, found = {0};
    add_arguments(&expected, genesis->argument_count, genesis->arguments);
    add_arguments(&found, declaration->argument_count, declaration->arguments);
    const char *then = rbt_buffer_text(&expected), *now = rbt_buffer_text(&found);
    rbt_log_problem(
        v, "declaration", 0,
        "the declaration in sqlite_schema is not the one the log was created with%s; it "
        "should read: %s; it reads: %s",
        extended ? ", extended as rustybt_events says" : "", then ? then : "(out of memory)",
        now ? now : "(out of memory)");
    rbt_buffer_free(&expected);
    rbt_buffer_free(&found);
}

/* What is wrong with the genesis or with the events, as a finding; what may pass is an error. */
static int report_trouble(rbt_verification *v, const char *kind, const rbt_error *trouble,
                          rbt_error *error) {
    const char *message = trouble->message ? trouble->message : v->log->name;
    if (trouble->code == SQLITE_NOMEM) return rbt_fail_nomem(error);
    if (trouble->code == SQLITE_BUSY || trouble->code == SQLITE_LOCKED ||
        trouble->code == SQLITE_INTERRUPT)
        return rbt_fail(error, trouble->code, "%s", message);
    rbt_log_problem(v, kind, 0, "%s", message);
    return SQLITE_OK;
}

/* rustybt_events may have been archived where this process can trust no signature: then a declaration that is
** the genesis's is told as untrusted, since it cannot be known that nothing was added and taken away. */
static int check_declaration(rbt_verification *v, rbt_error *error) {
    rbt_log *log = v->log;
    const rbt_declaration *declaration = log->declaration;
    rbt_genesis genesis = {0};
    rbt_error trouble = {0}, unread = {0};
    if (rbt_genesis_parse(&genesis, log->genesis, strlen(log->genesis), log->name, &trouble) !=
        SQLITE_OK) {
        report_trouble(v, "declaration", &trouble, error);
        goto cleanup;
    }
    int first = genesis.argument_count;
    bool same = rbt_declaration_equal(declaration, first, (const char *const *)genesis.arguments);
    /* the events also tell of a column that is gone; quick_check does without that */
    if ((!v->quick || !same) && rbt_genesis_extend(&genesis, log, &unread) != SQLITE_OK)
        report_trouble(v, same ? "untrusted" : "declaration", &unread, error);
    else if (!rbt_declaration_equal(declaration, genesis.argument_count,
                                    (const char *const *)genesis.arguments))
        report_declaration(v, &genesis, genesis.argument_count > first);
    else if (rbt_genesis_contradiction(&genesis, declaration))
        rbt_log_problem(v, "declaration", 0, "the genesis contradicts the declaration on \"%s\"",
                        rbt_genesis_contradiction(&genesis, declaration));
cleanup:
    rbt_error_clear(&trouble);
    rbt_error_clear(&unread);
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
        rbt_buffer_printf(&text, " (%lld hot, %lld cold", (long long)(entries - log->pruned_to),
                          (long long)(log->pruned_to - v->expired));
    if (v->expired) rbt_buffer_printf(&text, ", %lld expired", (long long)v->expired);
    if (log->pruned_to) rbt_buffer_add_byte(&text, ')');
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
        rbt_progress_total(&v->progress, (int64_t)log->frontier.size - 1 - log->pruned_to);
        check_declaration(v, error);
        if (error->code == SQLITE_OK) check_genesis(v, error);
        if (error->code == SQLITE_OK && v->quick) rbt_log_check_ends(v, error);
        if (error->code == SQLITE_OK && !v->quick) rbt_log_check_rows(v, error);
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
    rbt_progress_begin(&v.progress, log->db, "verifying", log->name, 0);
    rbt_log_verify(&v, all->checkpoint, all->vkeys, error);
    rbt_progress_end(&v.progress);
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
