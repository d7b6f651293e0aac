/* SPDX-License-Identifier: MIT
** See log_restore.h.
*/
#include "log_restore.h"

#include "../base/bytes.h"
#include "../base/json.h"
#include "../base/memory.h"
#include "../base/progress.h"
#include "../base/sql_util.h"
#include "checkpoint_store.h"
#include "events.h"
#include "genesis.h"
#include "lifecycle.h"
#include "log_extend.h"
#include "log_paths.h"
#include "segment_events.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* As much of a log as the functions need that look where one is to be. */
static rbt_log place_of(rbt_connection *connection, const char *schema, const char *name) {
    return (rbt_log){.db = connection->db,
                     .logs = rbt_logs_of(connection),
                     .schema = (char *)schema,
                     .name = (char *)name};
}

int rbt_restore_require_absent(rbt_connection *connection, const char *schema, const char *name,
                               const char *who, rbt_error *error) {
    rbt_log place = place_of(connection, schema, name);
    if (!place.logs) return rbt_fail_nomem(error);
    if (rbt_require_no_transaction(&place, who, error) != SQLITE_OK) return error->code;
    sqlite3_stmt *lookup = rbt_prepare(
        connection->db, error, who,
        "SELECT 1 FROM \"%w\".sqlite_schema WHERE lower(name) IN (lower(%Q), lower(%Q) || '_rows')",
        schema, name, name);
    if (!lookup) return error->code;
    bool exists = sqlite3_step(lookup) == SQLITE_ROW;
    if (sqlite3_finalize(lookup) != SQLITE_OK)
        rbt_fail_db(error, connection->db, who);
    else if (exists)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: the database has \"%s\" already; restore into one that has not", who, name);
    return error->code;
}

/* ---- Where the segments are ---- */

static bool is_same_file(const char *left, const char *right) {
    struct stat a, b;
    return stat(left, &a) == 0 && stat(right, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* Whether the segment at path is found under `directory`, once that is recorded. */
static bool is_found_in(rbt_log *place, const char *directory, const char *path, rbt_error *error) {
    const char *slash = strrchr(path, '/');
    rbt_buffer there = {0};
    rbt_log_segment_path(&there, place, directory, slash ? slash + 1 : path);
    const char *text = rbt_buffer_text(&there);
    if (!text) rbt_fail_nomem(error);
    bool found = text && is_same_file(text, path);
    rbt_buffer_free(&there);
    return found;
}

/* The folder of a file with nothing left to resolve, for free(3); NULL and the error on failure. */
static char *resolved_folder(const char *path, const char *who, rbt_error *error) {
    char *whole = realpath(path, NULL);
    if (!whole) {
        if (errno == ENOMEM)
            rbt_fail_nomem(error);
        else
            rbt_fail(error, SQLITE_CANTOPEN, "%s: resolving %s: %s", who, path, strerror(errno));
        return NULL;
    }
    char *slash = strrchr(whole, '/');
    slash[slash == whole] = 0; /* the root stays "/" */
    return whole;
}

char *rbt_restore_directory(rbt_connection *connection, const char *schema, const char *path,
                            const char *archive, const char *who, rbt_error *error) {
    rbt_log place = place_of(connection, schema, "");
    const char *override = getenv("RUSTYBT_ARCHIVE_DIR");
    const char *database = sqlite3_db_filename(connection->db, schema);
    char *result = NULL;
    bool own = is_found_in(&place, archive ? archive : ".", path, error);
    if (error->code != SQLITE_OK) return NULL;
    if (!own && override && override[0]) {
        rbt_fail(
            error, SQLITE_ERROR,
            "%s: %s is not in RUSTYBT_ARCHIVE_DIR, where all segments are to be found; unset it "
            "or put the segment there",
            who, path);
        return NULL;
    }
    if (own) {
        result = rbt_strdup(archive ? archive : ".");
        if (!result) rbt_fail_nomem(error);
        return result;
    }
    char *folder = resolved_folder(path, who, error);
    char *home = folder && database && database[0] ? resolved_folder(database, who, error) : NULL;
    if (error->code == SQLITE_OK) {
        size_t length = home ? strlen(home) : 0;
        bool below = home && strncmp(folder, home, length) == 0 && folder[length] == '/';
        result = rbt_strdup(below ? folder + length + 1 : folder);
        if (!result) rbt_fail_nomem(error);
    }
    free(folder);
    free(home);
    return result;
}

/* ---- The declaration ---- */

static int add_argument(rbt_genesis *genesis, char *argument, rbt_error *error) {
    char **arguments =
        rbt_realloc(genesis->arguments, ((size_t)genesis->argument_count + 1) * sizeof *arguments);
    if (arguments) genesis->arguments = arguments;
    if (!arguments || !argument) {
        rbt_free(argument);
        return rbt_fail_nomem(error);
    }
    arguments[genesis->argument_count++] = argument;
    return SQLITE_OK;
}

static rbt_declaration *parse(const rbt_genesis *genesis, const char *name, rbt_error *error) {
    return rbt_declaration_parse(name, genesis->argument_count,
                                 (const char *const *)genesis->arguments, error);
}

/* `"venue" TEXT SINCE 5` */
static char *column_argument(const rbt_leaf_column *column) {
    return sqlite3_mprintf("\"%w\" %s SINCE %lld", column->name, rbt_column_type_name(column->type),
                           (long long)column->since);
}

/* The events that say how the declaration came from the genesis's, for columns that no event tells of. */
static int record_columns(const rbt_restore_plan *plan, rbt_connection *connection,
                          const rbt_genesis *genesis, int first, rbt_error *error) {
    for (int i = first; i < genesis->argument_count && error->code == SQLITE_OK; i++) {
        const char *argument = genesis->arguments[i];
        size_t length = strlen(argument), value = length;
        while (value > 0 && strncmp(argument + value, " SINCE ", 7) != 0)
            value--;
        rbt_buffer detail = {0};
        rbt_buffer_add_text(&detail, "{\"option\":\"add_column\",\"value\":");
        rbt_json_add_string(&detail, argument, value);
        rbt_buffer_add_text(&detail, ",\"previous\":null,\"log_id\":\"");
        rbt_buffer_add_hex(&detail, genesis->log_id, sizeof genesis->log_id);
        rbt_buffer_add_text(&detail, "\",\"argument\":");
        rbt_json_add_string(&detail, argument, length);
        rbt_buffer_printf(&detail, ",\"arguments\":%d}", i + 1);
        rbt_events_add(connection, plan->schema, "set", plan->name, &detail, plan->who, error);
        rbt_buffer_free(&detail);
    }
    return error->code;
}

/* The declaration must have the columns that the segments' lines have. */
static int check_columns(const rbt_restore_plan *plan, const rbt_leaf_shape *shape,
                         rbt_error *error) {
    const rbt_leaf_shape *have = plan->shape;
    int64_t size = plan->segments[plan->count - 1].summary.last_id + 1;
    bool same = have->salted == shape->salted && have->count <= shape->count;
    for (size_t i = 0; same && i < have->count; i++)
        same = strcmp(have->columns[i].name, shape->columns[i].name) == 0 &&
               have->columns[i].type == shape->columns[i].type &&
               have->columns[i].since == shape->columns[i].since;
    if (!same)
        return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                        "%s: %s has other columns than the log's declaration gives", plan->who,
                        plan->segments[plan->count - 1].path);
    if (rbt_leaf_columns_of(shape, size) < shape->count)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: rustybt_events tells of a column that came later than entry %lld, the "
                        "last one in a segment; restore the log without rustybt_events",
                        plan->who, (long long)size - 1);
    return SQLITE_OK;
}

/* Adds to the genesis's arguments what came since: as a rustybt_events that was restored before tells, and
** else, from *told arguments on, as the manifests do. */
static int complete_declaration(const rbt_restore_plan *plan, rbt_log *place, rbt_genesis *genesis,
                                int *told, rbt_error *error) {
    memcpy(place->log_id, genesis->log_id, sizeof place->log_id);
    if (rbt_genesis_extend(genesis, place, error) != SQLITE_OK) return error->code;
    *told = genesis->argument_count;
    rbt_declaration *declaration = parse(genesis, plan->name, error);
    if (!declaration) return error->code;
    for (size_t i = declaration->shape.count; i < plan->shape->count && error->code == SQLITE_OK;
         i++)
        add_argument(genesis, column_argument(&plan->shape->columns[i]), error);
    rbt_declaration_free(declaration);
    declaration = error->code == SQLITE_OK ? parse(genesis, plan->name, error) : NULL;
    if (declaration) check_columns(plan, &declaration->shape, error);
    rbt_declaration_free(declaration);
    return error->code;
}

/* ---- Creating and filling ---- */

static int create_table(const rbt_restore_plan *plan, rbt_connection *connection,
                        const rbt_genesis *genesis, rbt_error *error) {
    rbt_logs *logs = rbt_logs_of(connection);
    rbt_buffer arguments = {0};
    rbt_log_birth birth = {.schema = plan->schema,
                           .name = plan->name,
                           .genesis = plan->genesis,
                           .genesis_length = strlen(plan->genesis),
                           .recorded_at = genesis->recorded_at,
                           .log_id = genesis->log_id,
                           .argument_count = genesis->argument_count,
                           .arguments = (const char *const *)genesis->arguments};
    for (int i = 0; i < genesis->argument_count; i++) {
        if (i) rbt_buffer_add_text(&arguments, ", ");
        rbt_buffer_add_text(&arguments, genesis->arguments[i]);
    }
    const char *text = rbt_buffer_text(&arguments);
    if (!text || !logs) {
        rbt_fail_nomem(error);
    } else {
        logs->birth = &birth;
        sqlite3_stmt *create = rbt_prepare(connection->db, error, plan->who,
                                           "CREATE VIRTUAL TABLE \"%w\".\"%w\" USING audit_log(%s)",
                                           plan->schema, plan->name, text);
        if (create) rbt_run(connection->db, create, error, plan->who);
        sqlite3_finalize(create);
        logs->birth = NULL;
    }
    rbt_buffer_free(&arguments);
    return error->code;
}

static int fill_from(const rbt_restore_plan *plan, rbt_log *log,
                     const rbt_restored_segment *segment, rbt_error *error) {
    const rbt_segment_store *store = log->logs->connection->segments;
    rbt_segment_scan *scan = NULL;
    rbt_published published = {segment->summary.first_id, segment->summary.last_id, {0}};
    memcpy(published.manifest_sha256, segment->summary.manifest_sha256, 32);
    int code = store->scan_open(&scan, log->logs->connection, segment->path, &segment->signer, 1,
                                &published, log->log_id, &log->declaration->shape, UINT64_MAX, NULL,
                                0, false, error);
    for (int64_t done = 0; code == SQLITE_OK || code == SQLITE_ROW; done++) {
        const rbt_leaf *leaf;
        const char *line;
        size_t length;
        code = store->scan_next(scan, &leaf, &line, &length, error);
        if (code != SQLITE_ROW) break;
        if (rbt_log_append_again(log, leaf, line, length, error) != SQLITE_OK ||
            rbt_progress_interrupted(plan->who, error))
            break;
        rbt_progress_step(1);
    }
    store->scan_close(scan);
    rbt_hash root;
    rbt_frontier_root(&root, &log->frontier);
    if (error->code == SQLITE_OK && (log->frontier.size != (uint64_t)segment->summary.last_id + 1 ||
                                     !rbt_hash_equal(&root, &segment->summary.root_after)))
        rbt_fail(error, SQLITE_CORRUPT_VTAB,
                 "%s: %s has changed since it was verified: it leads to another root", plan->who,
                 segment->path);
    return error->code;
}

static int fill(const rbt_restore_plan *plan, rbt_log *log, rbt_error *error) {
    rbt_progress progress;
    rbt_progress_begin(&progress, log->db, "restoring", plan->name,
                       plan->segments[plan->count - 1].summary.last_id);
    log->working++;
    /* The declaration was checked against the same events, and knows columns that are yet to come. */
    if (rbt_log_peek(log, error) == SQLITE_OK) log->recorded = true;
    if (error->code == SQLITE_OK) rbt_log_load(log, error);
    for (size_t i = 0; i < plan->count && error->code == SQLITE_OK; i++)
        fill_from(plan, log, &plan->segments[i], error);
    log->working--;
    if (error->code == SQLITE_OK) rbt_log_flush(log, error);
    log->recorded = false;
    rbt_progress_end(&progress);
    return error->code;
}

/* Where rustybt_events says that the segment is. */
static const char *place_told(const rbt_segment_event *archived, const rbt_segment_events *moves,
                              const uint8_t manifest_sha256[32]) {
    const char *place = archived->to;
    for (size_t i = 0; i < moves->count; i++)
        if (memcmp(moves->items[i].manifest_sha256, manifest_sha256, 32) == 0)
            place = moves->items[i].to;
    return place;
}

/* Tells of a segment, or, when the events that were restored tell of it, of its new place. */
static int record_place(const rbt_restore_plan *plan, rbt_log *log,
                        const rbt_restored_segment *segment, const rbt_segment_event *archived,
                        const rbt_segment_events *moves, int64_t published_us, rbt_error *error) {
    const rbt_segment_summary *summary = &segment->summary;
    const char *place = archived ? place_told(archived, moves, summary->manifest_sha256) : NULL;
    rbt_buffer detail = {0};
    const char *action = "archive";
    if (place && strcmp(place, segment->directory) == 0) return SQLITE_OK;
    if (place) {
        action = "relocated";
        rbt_buffer_add_byte(&detail, '{');
        rbt_segment_event_write(&detail, log, segment->file, summary->first_id, summary->last_id,
                                summary->manifest_sha256);
        rbt_buffer_add_text(&detail, ",\"from\":");
        rbt_json_add_string(&detail, place, strlen(place));
        rbt_buffer_add_text(&detail, ",\"to\":");
        rbt_json_add_string(&detail, segment->directory, strlen(segment->directory));
        rbt_buffer_add_byte(&detail, '}');
    } else {
        rbt_segment_event_published(&detail, log, segment->file, segment->directory, summary,
                                    published_us);
    }
    rbt_events_add(log->logs->connection, log->schema, action, log->name, &detail, plan->who,
                   error);
    rbt_buffer_free(&detail);
    return error->code;
}

static int record_segments(const rbt_restore_plan *plan, rbt_log *log, rbt_error *error) {
    rbt_segment_events told = {0}, moves = {0};
    int64_t now = rbt_clock_us();
    rbt_segment_events_read(&told, log, "archive", plan->who, error);
    if (error->code == SQLITE_OK)
        rbt_segment_events_read(&moves, log, "relocated", plan->who, error);
    sqlite3_stmt *insert = rbt_prepare(
        log->db, error, plan->who,
        "INSERT INTO \"%w\".\"%w_segments\"(first_id, last_id, directory, file, rows, raw_bytes, "
        "file_bytes, root, manifest_sha256, published_us, expires_us, status) "
        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'published')",
        log->schema, log->name);
    for (size_t i = 0; insert && i < plan->count && error->code == SQLITE_OK; i++) {
        const rbt_restored_segment *segment = &plan->segments[i];
        const rbt_segment_summary *summary = &segment->summary;
        sqlite3_bind_int64(insert, 1, summary->first_id);
        sqlite3_bind_int64(insert, 2, summary->last_id);
        sqlite3_bind_text(insert, 3, segment->directory, -1, SQLITE_STATIC);
        sqlite3_bind_text(insert, 4, segment->file, -1, SQLITE_STATIC);
        sqlite3_bind_int64(insert, 5, summary->rows);
        sqlite3_bind_int64(insert, 6, summary->raw_bytes);
        sqlite3_bind_int64(insert, 7, summary->file_bytes);
        sqlite3_bind_blob(insert, 8, summary->root_after.bytes, 32, SQLITE_STATIC);
        sqlite3_bind_blob(insert, 9, summary->manifest_sha256, 32, SQLITE_STATIC);
        const rbt_segment_event *event = rbt_segment_event_of(
            &told, summary->first_id, summary->last_id, summary->manifest_sha256);
        int64_t published_us = event && event->published_us ? event->published_us : now;
        sqlite3_bind_int64(insert, 10, published_us);
        if (summary->retain_until_us)
            sqlite3_bind_int64(insert, 11, summary->retain_until_us);
        else
            sqlite3_bind_null(insert, 11);
        if (rbt_log_write(log, insert, "table of segments", error) == SQLITE_OK)
            record_place(plan, log, segment, event, &moves, published_us, error);
    }
    sqlite3_finalize(insert);
    rbt_segment_events_free(&told);
    rbt_segment_events_free(&moves);
    rbt_log_meta_set_i64(log, "archived_to", plan->segments[plan->count - 1].summary.last_id,
                         error);
    return rbt_log_remember_signer(log, plan->segments[0].signer.public_key, error);
}

/* Stores the checkpoints of at most the log's size. *largest: the segment of the largest one, or NULL. */
static int restore_checkpoints(const rbt_restore_plan *plan, rbt_log *log, uint64_t size,
                               const rbt_restored_segment **largest, rbt_error *error) {
    *largest = NULL;
    for (size_t i = 0; i < plan->count && error->code == SQLITE_OK; i++) {
        const rbt_restored_segment *segment = &plan->segments[i];
        rbt_checkpoint checkpoint = {0};
        const char *why;
        size_t text_length;
        bool extended = true;
        if (!segment->checkpoint) continue;
        if (!*largest || segment->checkpoint_size > (*largest)->checkpoint_size) *largest = segment;
        if (segment->checkpoint_size > size) continue;
        extended =
            rbt_note_split(segment->checkpoint, segment->checkpoint_length, &text_length, &why) &&
            rbt_checkpoint_parse(&checkpoint, segment->checkpoint, text_length);
        if (extended) rbt_checkpoint_extended(log, &checkpoint, &extended, error);
        if (error->code == SQLITE_OK && !extended)
            rbt_fail(
                error, SQLITE_CORRUPT_VTAB,
                "%s: the segments do not lead to the checkpoint of %llu leaves that %s carries",
                plan->who, (unsigned long long)segment->checkpoint_size, segment->path);
        rbt_checkpoint_put(log, segment->checkpoint_size, segment->checkpoint,
                           segment->checkpoint_length, error);
    }
    return error->code;
}

static int record_restore(const rbt_restore_plan *plan, rbt_log *log, uint64_t size,
                          const char *root, const rbt_restored_segment *largest, rbt_error *error) {
    rbt_buffer detail = {0};
    rbt_buffer_printf(&detail,
                      "{\"size\":%llu,\"root\":\"%s\",\"segments\":%llu,\"manifest_sha256\":\"",
                      (unsigned long long)size, root, (unsigned long long)plan->count);
    rbt_buffer_add_hex(&detail, plan->segments[plan->count - 1].summary.manifest_sha256, 32);
    rbt_buffer_add_text(&detail, "\",\"largest_checkpoint\":");
    if (largest)
        rbt_buffer_printf(&detail, "%llu", (unsigned long long)largest->checkpoint_size);
    else
        rbt_buffer_add_text(&detail, "null");
    rbt_buffer_add_text(&detail, ",\"log_id\":\"");
    rbt_buffer_add_hex(&detail, log->log_id, sizeof log->log_id);
    rbt_buffer_add_text(&detail, "\"}");
    rbt_events_add(log->logs->connection, log->schema, "restore", log->name, &detail, plan->who,
                   error);
    rbt_buffer_free(&detail);
    return error->code;
}

static void describe(const rbt_restore_plan *plan, uint64_t size, const char *root, int columns,
                     const rbt_restored_segment *largest, rbt_buffer *report) {
    int64_t entries = (int64_t)size - 1;
    rbt_buffer_printf(report,
                      "%s: restored %lld %s from %llu segment%s: %llu leaves with root %s; entries "
                      "that the log had after %lld are lost",
                      plan->name, (long long)entries, rbt_entries(entries),
                      (unsigned long long)plan->count, plan->count == 1 ? "" : "s",
                      (unsigned long long)size, root, (long long)entries);
    if (largest && largest->checkpoint_size > size)
        rbt_buffer_printf(report, ", and there were some: %s carries a checkpoint of %llu leaves",
                          largest->path, (unsigned long long)largest->checkpoint_size);
    if (columns > 0)
        rbt_buffer_printf(report,
                          "; %d column%s added later came back without CHECK, DEFAULT and INDEX",
                          columns, columns == 1 ? "" : "s");
}

/* Within the transaction. */
static int restore(const rbt_restore_plan *plan, rbt_connection *connection, rbt_log **out,
                   rbt_genesis *genesis, rbt_buffer *report, rbt_error *error) {
    rbt_log place = place_of(connection, plan->schema, plan->name);
    const rbt_restored_segment *largest = NULL;
    char text[2 * sizeof(rbt_hash) + 1];
    bool is_events = sqlite3_stricmp(plan->name, RBT_EVENTS_LOG) == 0;
    int told = genesis->argument_count;
    if (!is_events) rbt_events_prepare(connection, plan->schema, plan->who, error);
    if (error->code != SQLITE_OK ||
        complete_declaration(plan, &place, genesis, &told, error) != SQLITE_OK ||
        create_table(plan, connection, genesis, error) != SQLITE_OK)
        return error->code;
    rbt_log *log = *out = rbt_log_find_in(connection, plan->schema, plan->name, plan->who, error);
    if (!log)
        return rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: the log cannot be created", plan->who);
    if (record_columns(plan, connection, genesis, told, error) != SQLITE_OK ||
        fill(plan, log, error) != SQLITE_OK)
        return error->code;
    rbt_hash root;
    uint64_t size = log->frontier.size;
    rbt_frontier_root(&root, &log->frontier);
    rbt_hex_encode(text, root.bytes, sizeof root.bytes);
    if (restore_checkpoints(plan, log, size, &largest, error) == SQLITE_OK &&
        record_segments(plan, log, error) == SQLITE_OK &&
        record_restore(plan, log, size, text, largest, error) == SQLITE_OK)
        describe(plan, size, text, genesis->argument_count - told, largest, report);
    return error->code;
}

int rbt_restore_run(rbt_connection *connection, const rbt_restore_plan *plan, rbt_buffer *report,
                    rbt_error *error) {
    rbt_log place = place_of(connection, plan->schema, plan->name);
    rbt_transaction own = {0};
    rbt_genesis genesis = {0};
    rbt_log *log = NULL;
    if (rbt_genesis_parse(&genesis, plan->genesis, strlen(plan->genesis), plan->who, error) ==
            SQLITE_OK &&
        rbt_log_transaction_begin(&place, &own, plan->who, error) == SQLITE_OK) {
        if (rbt_transaction_alters(&own, plan->who, error) == SQLITE_OK)
            restore(plan, connection, &log, &genesis, report, error);
        rbt_log_transaction_end(log ? log : &place, &own, plan->who, error);
    }
    rbt_log_release(log);
    rbt_genesis_free(&genesis);
    return error->code;
}
