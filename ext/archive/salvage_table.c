/* SPDX-License-Identifier: MIT
** archive_salvage(path_or_glob[, vkeys]): the entries of segments frame by frame, going on where every
** other reader stops. Columns path, id, recorded_at, leaf, lost, problem. A row is either
**
**   an entry    id, recorded_at and leaf; its frame's bytes are those that the signed manifest names
**   a problem   the sentence; id and lost tell the first of the entries that it costs and how many, and
**               are NULL where that is not known (a file without a manifest that can be believed). lost
**               is 0 when no entry is lost by it, as with a damaged seek table
**
** so count(leaf) + sum(lost) is the segment's number of entries, and nothing is left out in silence.
** Nothing is given of a file whose signature is wrong; one that no trusted key signed is an error, as
** everywhere. Calls the archive's reader, audit's leaf and base.
*/
#include "salvage_table.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "path_arguments.h"
#include "series.h"

enum {
    SALVAGE_PATH,
    SALVAGE_ID,
    SALVAGE_RECORDED_AT,
    SALVAGE_LEAF,
    SALVAGE_LOST,
    SALVAGE_PROBLEM,
    SALVAGE_PATTERN,
    SALVAGE_VKEYS
};
enum { UNKNOWN = -1 };

static const char who[] = "archive_salvage";

/* A problem that waits to be shown. */
typedef struct loss {
    char *problem;
    int64_t id, lost; /* or UNKNOWN */
} loss;

typedef struct salvage_vtab {
    sqlite3_vtab base; /* must be first */
    rbt_connection *connection;
} salvage_vtab;

typedef struct salvage_cursor {
    sqlite3_vtab_cursor base; /* must be first */
    rbt_path_arguments arguments;
    char **paths;
    size_t path_count, next_path;
    rbt_segment segment; /* of paths[next_path - 1], once open */
    size_t next_frame;   /* equals the manifest's count when the segment has no more to give */
    size_t line_at;      /* byte of the loaded frame's text where the next line begins */
    int64_t next_id, lines_left;
    loss *losses;
    size_t loss_count, loss_capacity, loss_shown; /* those before loss_shown have been given */
    bool distrusted;   /* the signature is wrong: nothing of this file can be believed */
    bool frame_failed; /* the frame that was loaded last has other bytes than were signed */
    rbt_error *error;  /* while a call is under way: what the sink fails */
    rbt_leaf leaf;
    const char *line; /* of the entry at hand; NULL: a loss is at hand, losses[loss_shown - 1] */
    size_t line_length;
    sqlite3_int64 row;
    bool at_end;
} salvage_cursor;

/* ---- Problems ---- */

static loss *add_loss(salvage_cursor *cursor, const char *problem) {
    if (cursor->loss_count == cursor->loss_capacity) {
        size_t capacity = cursor->loss_capacity ? 2 * cursor->loss_capacity : 8;
        loss *losses = rbt_realloc(cursor->losses, capacity * sizeof *losses);
        if (!losses) {
            rbt_fail_nomem(cursor->error);
            return NULL;
        }
        cursor->losses = losses;
        cursor->loss_capacity = capacity;
    }
    char *copy = rbt_strdup(problem);
    if (!copy) {
        rbt_fail_nomem(cursor->error);
        return NULL;
    }
    loss *added = &cursor->losses[cursor->loss_count++];
    *added = (loss){.problem = copy, .id = UNKNOWN, .lost = UNKNOWN};
    return added;
}

static void take_problem(void *context, const char *kind, int64_t id, const char *detail) {
    salvage_cursor *cursor = context;
    (void)id;
    if (strcmp(kind, RBT_PROBLEM_UNTRUSTED) == 0)
        rbt_fail(cursor->error, SQLITE_ERROR, "%s: %s", who, detail);
    if (strcmp(kind, RBT_PROBLEM_SIGNATURE) == 0) cursor->distrusted = true;
    if (strcmp(kind, RBT_PROBLEM_SEEK_TABLE) != 0) cursor->frame_failed = true;
    add_loss(cursor, detail);
}

static rbt_problems problems_of(salvage_cursor *cursor, rbt_error *error) {
    return (rbt_problems){.sink = take_problem,
                          .context = cursor,
                          .path = cursor->paths[cursor->next_path - 1],
                          .who = who,
                          .error = error};
}

static void forget_losses(salvage_cursor *cursor) {
    for (size_t i = 0; i < cursor->loss_count; i++)
        rbt_free(cursor->losses[i].problem);
    cursor->loss_count = cursor->loss_shown = 0;
}

/* ---- Reading on ---- */

static int open_file(salvage_cursor *cursor, rbt_error *error) {
    const char *path = cursor->paths[cursor->next_path++];
    const char *vkeys = cursor->arguments.vkeys;
    rbt_problems problems = problems_of(cursor, error);
    rbt_verifier *verifiers;
    size_t count;
    cursor->distrusted = false;
    int code =
        rbt_segment_open_trusted(&cursor->segment, ((salvage_vtab *)cursor->base.pVtab)->connection,
                                 vkeys, who, path, &verifiers, &count, &problems, error);
    rbt_free(verifiers);
    if (code != SQLITE_OK) return code;
    bool usable = cursor->segment.readable && cursor->segment.trusted && !cursor->distrusted;
    for (size_t i = 0; usable && i < cursor->loss_count; i++)
        cursor->losses[i].lost = 0; /* the frames themselves will tell */
    cursor->next_frame = usable ? 0 : cursor->segment.manifest.frame_count;
    return SQLITE_OK;
}

/* The frame's entries; the genesis is none. */
static int64_t first_entry(const rbt_manifest_frame *frame) {
    return frame->first_id > 0 ? frame->first_id : 1;
}

static int load_next_frame(salvage_cursor *cursor, rbt_error *error) {
    const rbt_manifest_frame *frame = &cursor->segment.manifest.frames[cursor->next_frame];
    rbt_problems problems = problems_of(cursor, error);
    size_t before = cursor->loss_count;
    bool decoded;
    cursor->frame_failed = false;
    if (rbt_segment_load_frame(&cursor->segment, cursor->next_frame++, &decoded, &problems,
                               error) != SQLITE_OK)
        return error->code;
    bool good = decoded && !cursor->frame_failed;
    for (size_t i = before; i < cursor->loss_count; i++) {
        bool costs = !good && i == before;
        if (costs) cursor->losses[i].id = first_entry(frame);
        cursor->losses[i].lost = costs ? frame->last_id - first_entry(frame) + 1 : 0;
    }
    cursor->line_at = 0;
    cursor->next_id = frame->first_id;
    cursor->lines_left = good ? frame->rows : 0;
    return SQLITE_OK;
}

/* Gives the next line of the loaded frame: *given false for the genesis, and for a line that is not the
** entry it should be, which ends the frame. */
static int give_line(salvage_cursor *cursor, bool *given, rbt_error *error) {
    const rbt_segment *segment = &cursor->segment;
    const rbt_leaf_shape *shape = &segment->manifest.shape;
    const char *line = (const char *)segment->frame.text.data + cursor->line_at;
    size_t left = segment->frame.text.length - cursor->line_at;
    const char *newline = left > 0 ? memchr(line, '\n', left) : NULL;
    int64_t id = cursor->next_id;
    *given = false;
    if (newline) {
        size_t length = (size_t)(newline - line);
        cursor->line_at += length + 1;
        cursor->next_id++;
        cursor->lines_left--;
        if (id == 0) return SQLITE_OK;
        if (rbt_leaf_parse(&cursor->leaf, shape, line, length, 0) && cursor->leaf.id == id) {
            cursor->line = line;
            cursor->line_length = length;
            *given = true;
            return SQLITE_OK;
        }
        if (cursor->leaf.capacity < shape->count || cursor->leaf.scratch.failed)
            return rbt_fail_nomem(error);
    }
    rbt_problems problems = problems_of(cursor, error);
    size_t before = cursor->loss_count;
    rbt_problem(&problems, RBT_PROBLEM_CHANGED, id,
                "frame %lld: entry %lld is not where the manifest has it",
                (long long)cursor->next_frame, (long long)id);
    if (cursor->loss_count > before) {
        const rbt_manifest_frame *frame = &segment->manifest.frames[cursor->next_frame - 1];
        cursor->losses[before].id = id;
        cursor->losses[before].lost = frame->last_id - id + 1;
    }
    cursor->lines_left = 0;
    return error->code;
}

static int salvage_next(sqlite3_vtab_cursor *base) {
    salvage_cursor *cursor = (salvage_cursor *)base;
    rbt_error error = {0};
    bool given = false;
    cursor->error = &error;
    cursor->line = NULL;
    cursor->row++;
    while (!given && error.code == SQLITE_OK) {
        if (cursor->loss_shown < cursor->loss_count) {
            cursor->loss_shown++;
            given = true;
        } else if (cursor->lines_left > 0) {
            give_line(cursor, &given, &error);
        } else if (cursor->next_frame < cursor->segment.manifest.frame_count) {
            forget_losses(cursor);
            load_next_frame(cursor, &error);
        } else if (cursor->next_path < cursor->path_count) {
            forget_losses(cursor);
            rbt_segment_close(&cursor->segment);
            open_file(cursor, &error);
        } else {
            break;
        }
    }
    cursor->error = NULL;
    cursor->at_end = !given || error.code != SQLITE_OK;
    return rbt_vtab_error(base->pVtab, &error);
}

/* ---- The virtual table ---- */

static int salvage_connect(sqlite3 *db, void *connection, int argument_count,
                           const char *const *arguments, sqlite3_vtab **out, char **message) {
    (void)argument_count, (void)arguments, (void)message;
    int code = sqlite3_declare_vtab(
        db, "CREATE TABLE x(path TEXT, id INTEGER, recorded_at INTEGER, leaf TEXT, lost INTEGER, "
            "problem TEXT, path_or_glob HIDDEN, vkeys HIDDEN)");
    if (code == SQLITE_OK) code = sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
    if (code != SQLITE_OK) return code;
    salvage_vtab *table = rbt_calloc(sizeof *table);
    if (!table) return SQLITE_NOMEM;
    table->connection = connection;
    *out = &table->base;
    return SQLITE_OK;
}

static int salvage_disconnect(sqlite3_vtab *table) {
    rbt_free(table);
    return SQLITE_OK;
}

static int salvage_best_index(sqlite3_vtab *table, sqlite3_index_info *info) {
    (void)table;
    return rbt_path_arguments_best_index(info, SALVAGE_PATTERN);
}

static int salvage_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out) {
    (void)table;
    salvage_cursor *cursor = rbt_calloc(sizeof *cursor);
    if (!cursor) return SQLITE_NOMEM;
    cursor->segment.file = -1;
    *out = &cursor->base;
    return SQLITE_OK;
}

/* Back to what salvage_open made. */
static void reset(salvage_cursor *cursor) {
    sqlite3_vtab_cursor base = cursor->base;
    rbt_path_arguments_free(&cursor->arguments);
    rbt_free_paths(cursor->paths, cursor->path_count);
    rbt_segment_close(&cursor->segment);
    forget_losses(cursor);
    rbt_free(cursor->losses);
    rbt_leaf_free(&cursor->leaf);
    *cursor = (salvage_cursor){.base = base, .segment = {.file = -1}, .at_end = true};
}

static int salvage_close(sqlite3_vtab_cursor *base) {
    reset((salvage_cursor *)base);
    rbt_free(base);
    return SQLITE_OK;
}

static int salvage_filter(sqlite3_vtab_cursor *base, int given, const char *plan,
                          int argument_count, sqlite3_value **arguments) {
    salvage_cursor *cursor = (salvage_cursor *)base;
    rbt_error error = {0};
    (void)plan, (void)argument_count;
    reset(cursor);
    if (rbt_path_arguments_take(&cursor->arguments, given, arguments, who, &error) == SQLITE_OK)
        rbt_expand_paths(cursor->arguments.path, who, &cursor->paths, &cursor->path_count, &error);
    if (error.code != SQLITE_OK) return rbt_vtab_error(base->pVtab, &error);
    return salvage_next(base);
}

static int salvage_eof(sqlite3_vtab_cursor *cursor) {
    return ((salvage_cursor *)cursor)->at_end;
}

static void give_known(sqlite3_context *context, int64_t number) {
    if (number != UNKNOWN) sqlite3_result_int64(context, number);
}

static int salvage_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
    const salvage_cursor *cursor = (const salvage_cursor *)base;
    const loss *shown = cursor->line ? NULL : &cursor->losses[cursor->loss_shown - 1];
    switch (column) {
    case SALVAGE_PATH:
        sqlite3_result_text(context, cursor->paths[cursor->next_path - 1], -1, SQLITE_TRANSIENT);
        break;
    case SALVAGE_ID:
        give_known(context, shown ? shown->id : cursor->leaf.id);
        break;
    case SALVAGE_RECORDED_AT:
        if (!shown) sqlite3_result_int64(context, cursor->leaf.recorded_at);
        break;
    case SALVAGE_LEAF:
        if (!shown)
            sqlite3_result_text64(context, cursor->line, cursor->line_length, SQLITE_TRANSIENT,
                                  SQLITE_UTF8);
        break;
    case SALVAGE_LOST:
        give_known(context, shown ? shown->lost : 0);
        break;
    case SALVAGE_PROBLEM:
        if (shown) sqlite3_result_text(context, shown->problem, -1, SQLITE_TRANSIENT);
        break;
    default:
        rbt_path_arguments_give(&cursor->arguments, column - SALVAGE_PATTERN, context);
        break;
    }
    return SQLITE_OK;
}

static int salvage_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid) {
    *rowid = ((const salvage_cursor *)base)->row;
    return SQLITE_OK;
}

const sqlite3_module rbt_archive_salvage_module = {
    .xConnect = salvage_connect,
    .xBestIndex = salvage_best_index,
    .xDisconnect = salvage_disconnect,
    .xOpen = salvage_open,
    .xClose = salvage_close,
    .xFilter = salvage_filter,
    .xNext = salvage_next,
    .xEof = salvage_eof,
    .xColumn = salvage_column,
    .xRowid = salvage_rowid,
};
