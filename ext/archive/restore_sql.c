/* SPDX-License-Identifier: MIT
** See restore_sql.h. Verifies the segments one by one and as a chain, then hands them to audit. Calls the
** archive, audit and base.
*/
#include "restore_sql.h"

#include "../audit/checkpoint_trust.h"
#include "../audit/genesis.h"
#include "../audit/log_restore.h"
#include "../base/memory.h"
#include "../base/progress.h"
#include "../base/sql_util.h"
#include "segment_verify.h"
#include "series.h"

#include <stdlib.h>

static const char who[] = "audit_restore";

/* What is known of the segments; items and series.members are in the order of the files until sorted. */
typedef struct restoring {
    rbt_connection *connection;
    const char *vkeys;
    char *schema, *name; /* name: as the caller has it */
    rbt_series series;
    rbt_restored_segment *items;
    size_t count, capacity;
    char *genesis;
    rbt_leaf_shape shape; /* of the segment with the greatest ids */
    int64_t shape_of;
} restoring;

/* The checkpoint inside, when it is by a key that is trusted. */
static int take_checkpoint(rbt_restored_segment *item, const rbt_manifest *manifest,
                           const rbt_verifier *verifiers, size_t count, rbt_error *error) {
    rbt_judged judged = {0};
    const rbt_buffer *note = &manifest->checkpoint;
    if (!manifest->has_checkpoint) return error->code;
    if (rbt_checkpoint_judge(&judged, (const char *)note->data, note->length, "its checkpoint",
                             manifest->origin, verifiers, count, false, error) == SQLITE_OK &&
        !judged.kind) {
        item->checkpoint = sqlite3_mprintf("%.*s", (int)note->length, (const char *)note->data);
        item->checkpoint_length = note->length;
        item->checkpoint_size = judged.checkpoint.size;
        if (!item->checkpoint) rbt_fail_nomem(error);
    }
    rbt_judged_free(&judged);
    return error->code;
}

static int copy_shape(rbt_leaf_shape *to, const rbt_leaf_shape *from, rbt_error *error) {
    rbt_leaf_shape_free(to);
    to->salted = from->salted;
    for (size_t i = 0; i < from->count && error->code == SQLITE_OK; i++)
        if (rbt_leaf_shape_add(to, from->columns[i].name, strlen(from->columns[i].name),
                               from->columns[i].type, error) == SQLITE_OK)
            to->columns[i].since = from->columns[i].since;
    return error->code;
}

/* All segments of a log begin with the same leaf 0, which each proves. */
static int take_genesis(restoring *r, const rbt_segment *segment, rbt_error *error) {
    const rbt_manifest *manifest = &segment->manifest;
    if (!r->genesis) {
        r->genesis = sqlite3_mprintf("%.*s", (int)manifest->genesis.length,
                                     (const char *)manifest->genesis.data);
        if (!r->genesis) rbt_fail_nomem(error);
        r->shape_of = -1;
    } else if (strlen(r->genesis) != manifest->genesis.length ||
               memcmp(r->genesis, manifest->genesis.data, manifest->genesis.length) != 0) {
        rbt_fail(error, SQLITE_ERROR,
                 "%s: %s is a segment of another log than %s, or begins with "
                 "another genesis",
                 who, segment->path, r->items[0].path);
    }
    if (error->code == SQLITE_OK && manifest->first_id > r->shape_of) {
        r->shape_of = manifest->first_id;
        copy_shape(&r->shape, &manifest->shape, error);
    }
    return error->code;
}

static int add_item(restoring *r, const rbt_segment *segment, const rbt_verifier *verifiers,
                    size_t count, rbt_error *error) {
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 8;
        rbt_restored_segment *items = rbt_realloc(r->items, capacity * sizeof *items);
        if (!items) return rbt_fail_nomem(error);
        r->items = items;
        r->capacity = capacity;
    }
    rbt_restored_segment item = {.signer = segment->signer};
    rbt_segment_summarize(segment, &item.summary);
    item.summary.file_bytes = segment->file_bytes;
    item.path = rbt_strdup(segment->path);
    if (!item.path) rbt_fail_nomem(error);
    if (error->code == SQLITE_OK &&
        take_checkpoint(&item, &segment->manifest, verifiers, count, error) == SQLITE_OK &&
        take_genesis(r, segment, error) == SQLITE_OK &&
        rbt_series_add(&r->series, segment, error) == SQLITE_OK) {
        r->items[r->count++] = item;
        return SQLITE_OK;
    }
    rbt_free(item.path);
    rbt_free(item.checkpoint);
    return error->code;
}

/* Verifies a file in full; the first problem is the error. */
static int verify_file(restoring *r, const char *path, rbt_error *error) {
    rbt_problems strict = rbt_problems_strict(who, path, error);
    rbt_segment segment = {.file = -1};
    rbt_verifier *verifiers = NULL;
    size_t count = 0;
    if (rbt_segment_open_trusted(&segment, r->connection, r->vkeys, who, path, &verifiers, &count,
                                 &strict, error) == SQLITE_OK &&
        rbt_segment_verify_contents(&segment, verifiers, count, &strict, error) == SQLITE_OK)
        add_item(r, &segment, verifiers, count, error);
    rbt_segment_close(&segment);
    rbt_free(verifiers);
    return error->code;
}

static int compare_items(const void *left, const void *right) {
    const rbt_restored_segment *a = left, *b = right;
    return (a->summary.first_id > b->summary.first_id) -
           (a->summary.first_id < b->summary.first_id);
}

/* Leaf 0, and then each after the one before, by ids, roots and manifests; all of one log. */
static int check_chain(const restoring *r, rbt_error *error) {
    const rbt_member *first = &r->series.members[0];
    for (size_t i = 1; i < r->series.count && error->code == SQLITE_OK; i++) {
        const rbt_member *a = &r->series.members[i - 1], *b = &r->series.members[i];
        if (memcmp(a->log_id, b->log_id, sizeof a->log_id) != 0)
            rbt_fail(error, SQLITE_ERROR, "%s: %s is a segment of another log than %s", who,
                     b->path, a->path);
        else if (b->first_id <= a->last_id)
            rbt_fail(error, SQLITE_ERROR, "%s: entry %lld is in %s and in %s", who,
                     (long long)b->first_id, a->path, b->path);
        else if (b->first_id - a->last_id > 1)
            rbt_fail(error, SQLITE_ERROR,
                     "%s: entries %lld to %lld, which come before %s, are in none of the files",
                     who, (long long)a->last_id + 1, (long long)b->first_id - 1, b->path);
        else if (!rbt_hash_equal(&b->root_before, &a->root_after) || !b->has_previous ||
                 memcmp(b->previous_sha256, a->manifest_sha256, 32) != 0)
            rbt_fail(error, SQLITE_CORRUPT_VTAB,
                     "%s: %s does not follow %s: it names another segment before it", who, b->path,
                     a->path);
    }
    if (error->code == SQLITE_OK && first->first_id != 0)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: the log begins with entry %lld, in %s: what came before is missing, or has "
                 "expired, and a log is restored from its beginning; read what is left with "
                 "archive_entries or the module archive",
                 who, (long long)first->first_id, first->path);
    return error->code;
}

/* "orders" or "main.orders": the log that the segments are of. *schema: OUT. */
static int check_name(restoring *r, rbt_error *error) {
    const char *log = r->series.members[0].log;
    const char *schema = "main";
    if (strcmp(r->name, log) != 0) {
        schema = NULL;
        for (int i = 0; !schema; i++) {
            const char *each = sqlite3_db_name(r->connection->db, i);
            if (!each) break;
            size_t length = strlen(each);
            if (sqlite3_strnicmp(each, r->name, (int)length) == 0 && r->name[length] == '.' &&
                strcmp(r->name + length + 1, log) == 0)
                schema = each;
        }
    }
    if (!schema)
        return rbt_fail(
            error, SQLITE_ERROR,
            "%s: %s is a segment of the log \"%s\", not of \"%s\"; a log keeps its name", who,
            r->series.members[0].path, log, r->name);
    r->schema = rbt_strdup(schema);
    return r->schema ? SQLITE_OK : rbt_fail_nomem(error);
}

/* Where each is, for the records; its name must be the one that the log would give it. */
static int find_places(restoring *r, rbt_error *error) {
    const char *log = r->series.members[0].log;
    rbt_genesis genesis = {0};
    rbt_declaration *declaration = NULL;
    if (rbt_genesis_parse(&genesis, r->genesis, strlen(r->genesis), who, error) == SQLITE_OK)
        declaration = rbt_declaration_parse(log, genesis.argument_count,
                                            (const char *const *)genesis.arguments, error);
    for (size_t i = 0; declaration && i < r->count && error->code == SQLITE_OK; i++) {
        rbt_restored_segment *item = &r->items[i];
        rbt_buffer name = {0};
        const char *slash = strrchr(item->path, '/');
        r->connection->segments->name(&name, log, item->summary.first_id, item->summary.last_id);
        const char *expected = rbt_buffer_text(&name);
        item->file = slash ? slash + 1 : item->path;
        if (!expected)
            rbt_fail_nomem(error);
        else if (strcmp(item->file, expected) != 0)
            rbt_fail(error, SQLITE_ERROR, "%s: %s has been renamed; its name is %s", who,
                     item->path, expected);
        else
            item->directory = rbt_restore_directory(r->connection, r->schema, item->path,
                                                    declaration->archive, who, error);
        rbt_buffer_free(&name);
    }
    rbt_declaration_free(declaration);
    rbt_genesis_free(&genesis);
    return error->code;
}

static int verify_all(restoring *r, const char *pattern, rbt_error *error) {
    char **paths;
    size_t count;
    rbt_progress progress;
    if (rbt_expand_paths(pattern, who, &paths, &count, error) != SQLITE_OK) return error->code;
    rbt_progress_begin(&progress, r->connection->db, "verifying", pattern, 0);
    for (size_t i = 0; i < count && error->code == SQLITE_OK; i++)
        if (!rbt_progress_interrupted(who, error)) verify_file(r, paths[i], error);
    rbt_progress_end(&progress);
    rbt_free_paths(paths, count);
    if (error->code != SQLITE_OK) return error->code;
    rbt_series_sort(&r->series);
    qsort(r->items, r->count, sizeof *r->items, compare_items);
    return check_chain(r, error);
}

static void free_restoring(restoring *r) {
    for (size_t i = 0; i < r->count; i++) {
        rbt_free(r->items[i].path);
        rbt_free(r->items[i].directory);
        rbt_free(r->items[i].checkpoint);
    }
    rbt_free(r->items);
    rbt_free(r->genesis);
    rbt_free(r->schema);
    rbt_free(r->name);
    rbt_leaf_shape_free(&r->shape);
    rbt_series_free(&r->series);
}

void rbt_audit_restore(sqlite3_context *context, int argument_count, sqlite3_value **arguments) {
    rbt_error error = {0};
    rbt_buffer report = {0};
    restoring r = {.connection = rbt_connection_of(context)};
    sqlite3 *db = r.connection->db;
    const char *name = rbt_text_argument(arguments[0], who, "log", &error);
    const char *pattern = rbt_text_argument(arguments[1], who, "path", &error);
    if (argument_count > 2) r.vkeys = rbt_text_argument(arguments[2], who, "vkeys", &error);
    if (rbt_inside_a_write(db))
        rbt_fail(&error, SQLITE_ERROR, "%s: it must be called by itself, as SELECT %s(log, path)",
                 who, who);
    if (error.code == SQLITE_OK && !sqlite3_get_autocommit(db))
        rbt_fail(&error, SQLITE_ERROR, "%s: it makes its own transaction; COMMIT or ROLLBACK first",
                 who);
    if (error.code != SQLITE_OK) goto cleanup;
    r.name = rbt_strdup(name);
    if (!r.name) {
        rbt_fail_nomem(&error);
    } else if (verify_all(&r, pattern, &error) == SQLITE_OK &&
               check_name(&r, &error) == SQLITE_OK &&
               rbt_restore_require_absent(r.connection, r.schema, r.series.members[0].log, who,
                                          &error) == SQLITE_OK &&
               find_places(&r, &error) == SQLITE_OK) {
        rbt_restore_plan plan = {.who = who,
                                 .schema = r.schema,
                                 .name = r.series.members[0].log,
                                 .genesis = r.genesis,
                                 .shape = &r.shape,
                                 .segments = r.items,
                                 .count = r.count};
        rbt_restore_run(r.connection, &plan, &report, &error);
    }

cleanup:
    if (error.code == SQLITE_OK)
        rbt_result_text(context, &report);
    else
        rbt_result_error(context, &error);
    rbt_buffer_free(&report);
    free_restoring(&r);
}
