/* SPDX-License-Identifier: MIT
** Segments as tables (archive_table.h). Both modules read a series; archive pushes comparisons of ids,
** times and columns down to it, so that frames which their zone maps and filters exclude are not decoded.
** A plan's text (idxStr) says so for people, as EXPLAIN QUERY PLAN shows it, and behind its last "|" are
** "<wanted columns in hex>" and for each argument ";<column>,<comparison>":
**
**   frames by order_id=? and id>=?, newest first, as far as LIMIT|5;0,0;-2,4
**
** Its number (idxNum) is 1 for descending ids. Calls the archive and base.
*/
#include "archive_table.h"

#include "../base/bytes.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "path_arguments.h"
#include "series.h"
#include <stdlib.h>

typedef struct archive_vtab {
    sqlite3_vtab base; /* must be first */
    rbt_connection *connection;
    char *pattern; /* archive only, as all below */
    uint8_t log_id[16];
    rbt_leaf_shape shape; /* of the newest segment when the table was connected */
} archive_vtab;

typedef struct archive_cursor {
    sqlite3_vtab_cursor base; /* must be first */
    rbt_series series;
    bool opened; /* the series holds the table's files already */
    bool at_end;
    const rbt_leaf *leaf;
    const char *line;
    size_t line_length;
    rbt_zone_term *terms;
    sqlite3_value **values; /* copies that the terms point into */
    size_t term_count;
    rbt_path_arguments arguments; /* of archive_entries */
} archive_cursor;

enum { ARCHIVE_ID, ARCHIVE_RECORDED_AT, ARCHIVE_DECLARED };
enum {
    ENTRIES_PATH,
    ENTRIES_ID,
    ENTRIES_RECORDED_AT,
    ENTRIES_LEAF,
    ENTRIES_PATTERN,
    ENTRIES_VKEYS
};

static const rbt_leaf_shape no_columns;

/* ---- Cursors, common to both ---- */

static int archive_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out) {
    (void)table;
    archive_cursor *cursor = rbt_calloc(sizeof *cursor);
    if (!cursor) return SQLITE_NOMEM;
    *out = &cursor->base;
    return SQLITE_OK;
}

static void free_terms(archive_cursor *cursor) {
    for (size_t i = 0; cursor->values && i < cursor->term_count; i++)
        sqlite3_value_free(cursor->values[i]);
    rbt_free(cursor->values);
    rbt_free(cursor->terms);
    cursor->values = NULL;
    cursor->terms = NULL;
    cursor->term_count = 0;
}

static int archive_close(sqlite3_vtab_cursor *base) {
    archive_cursor *cursor = (archive_cursor *)base;
    rbt_series_free(&cursor->series);
    free_terms(cursor);
    rbt_path_arguments_free(&cursor->arguments);
    rbt_free(cursor);
    return SQLITE_OK;
}

static int archive_next(sqlite3_vtab_cursor *base) {
    archive_cursor *cursor = (archive_cursor *)base;
    rbt_error error = {0};
    int code = rbt_series_next(&cursor->series, &cursor->leaf, &cursor->line, &cursor->line_length,
                               &error);
    cursor->at_end = code != SQLITE_ROW;
    return rbt_vtab_error(base->pVtab, &error);
}

static int archive_eof(sqlite3_vtab_cursor *cursor) {
    return ((archive_cursor *)cursor)->at_end;
}

static int archive_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid) {
    *rowid = ((archive_cursor *)cursor)->leaf->id;
    return SQLITE_OK;
}

static int archive_disconnect(sqlite3_vtab *base) {
    archive_vtab *table = (archive_vtab *)base;
    rbt_leaf_shape_free(&table->shape);
    rbt_free(table->pattern);
    rbt_free(table);
    return SQLITE_OK;
}

/* ---- archive ---- */

/* The module's one argument without its quotes; NULL when it is no quoted text. */
static char *unquote(const char *argument) {
    char quote = argument[0];
    size_t length = strlen(argument);
    if ((quote != '\'' && quote != '"') || length < 2 || argument[length - 1] != quote) return NULL;
    char *text = rbt_malloc(length);
    if (!text) return NULL;
    size_t used = 0;
    for (size_t i = 1; i + 1 < length; i++) {
        text[used++] = argument[i];
        if (argument[i] == quote) i++; /* doubled */
    }
    text[used] = 0;
    return text;
}

/* The file with the highest name: a segment's name is the log's and the ids that it holds, in 12 digits. */
static const char *newest_of(char *const *paths, size_t count) {
    const char *newest = NULL, *newest_name = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *slash = strrchr(paths[i], '/');
        const char *name = slash ? slash + 1 : paths[i];
        if (newest && strcmp(name, newest_name) <= 0) continue;
        newest = paths[i];
        newest_name = name;
    }
    return newest;
}

/* Takes log and columns from a segment. */
static int read_segment(archive_vtab *table, const char *path, rbt_error *error) {
    rbt_segment segment = {.file = -1};
    rbt_problems strict = rbt_problems_strict("archive", path, error);
    if (rbt_segment_open(&segment, "archive", path, &strict, error) == SQLITE_OK) {
        memcpy(table->log_id, segment.manifest.log_id, sizeof table->log_id);
        table->shape = segment.manifest.shape;
        segment.manifest.shape = (rbt_leaf_shape){0};
    }
    rbt_segment_close(&segment);
    return error->code;
}

/* Takes the log from the first segment, and the columns from the newest one of it, which has them all: a
** log may be given more. Signatures are checked when the table is read from, so that the schema can be
** listed without keys; so is what else may be wrong with the newest segment. */
static int read_columns(archive_vtab *table, rbt_error *error) {
    char **paths;
    size_t count;
    if (rbt_expand_paths(table->pattern, "archive", &paths, &count, error) != SQLITE_OK)
        return error->code;
    const char *newest = newest_of(paths, count);
    if (read_segment(table, paths[0], error) == SQLITE_OK && newest != paths[0]) {
        archive_vtab latest = {0};
        rbt_error later = {0};
        if (read_segment(&latest, newest, &later) == SQLITE_OK &&
            memcmp(latest.log_id, table->log_id, sizeof table->log_id) == 0 &&
            latest.shape.count > table->shape.count) {
            rbt_leaf_shape shape = table->shape;
            table->shape = latest.shape;
            latest.shape = shape;
        }
        if (later.code == SQLITE_NOMEM) rbt_fail_nomem(error);
        rbt_error_clear(&later);
        rbt_leaf_shape_free(&latest.shape);
    }
    rbt_free_paths(paths, count);
    return error->code;
}

static const char *affinity(rbt_column_type type) {
    /* "JSON" would give NUMERIC affinity */
    return type == RBT_COLUMN_JSON ? "TEXT" : rbt_column_type_name(type);
}

static int declare(sqlite3 *db, const rbt_leaf_shape *shape, rbt_error *error) {
    rbt_buffer sql = {0};
    const char *path_name = "path";
    rbt_buffer_add_text(&sql, "CREATE TABLE x(id INTEGER, recorded_at INTEGER");
    for (size_t i = 0; i < shape->count; i++) {
        if (sqlite3_stricmp(shape->columns[i].name, path_name) == 0) path_name = "segment_path";
        rbt_buffer_add_text(&sql, ", ");
        rbt_add_identifier(&sql, shape->columns[i].name);
        rbt_buffer_add_byte(&sql, ' ');
        rbt_buffer_add_text(&sql, affinity(shape->columns[i].type));
    }
    rbt_buffer_printf(&sql, ", %s TEXT HIDDEN)", path_name);
    const char *text = rbt_buffer_text(&sql);
    if (!text)
        rbt_fail_nomem(error);
    else if (sqlite3_declare_vtab(db, text) != SQLITE_OK ||
             sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY) != SQLITE_OK)
        rbt_fail_db(error, db, "archive");
    rbt_buffer_free(&sql);
    return error->code;
}

static int archive_connect(sqlite3 *db, void *connection, int argument_count,
                           const char *const *arguments, sqlite3_vtab **out, char **message) {
    rbt_error error = {0};
    archive_vtab *table = rbt_calloc(sizeof *table);
    if (!table) return SQLITE_NOMEM;
    table->connection = connection;
    if (argument_count == 4) table->pattern = unquote(arguments[3]);
    if (!table->pattern)
        rbt_fail(&error, SQLITE_ERROR,
                 "archive: expected one argument, a path or glob in quotes, such as "
                 "'cold/*.jsonl.zst'");
    else if (read_columns(table, &error) == SQLITE_OK)
        declare(db, &table->shape, &error);
    if (error.code == SQLITE_OK) {
        *out = &table->base;
        return SQLITE_OK;
    }
    int code = error.code;
    *message = error.message ? sqlite3_mprintf("%s", error.message) : NULL;
    rbt_error_clear(&error);
    archive_disconnect(&table->base);
    return code;
}

/* Differs from xConnect, or archive would be a table by itself too (sqlite.org/vtab.html#epovtab). */
static int archive_create(sqlite3 *db, void *connection, int argument_count,
                          const char *const *arguments, sqlite3_vtab **out, char **message) {
    return archive_connect(db, connection, argument_count, arguments, out, message);
}

static bool comparison_of(unsigned char operator, rbt_compare * compare) {
    switch (operator) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
        *compare = RBT_EQ;
        return true;
    case SQLITE_INDEX_CONSTRAINT_LT:
        *compare = RBT_LT;
        return true;
    case SQLITE_INDEX_CONSTRAINT_LE:
        *compare = RBT_LE;
        return true;
    case SQLITE_INDEX_CONSTRAINT_GT:
        *compare = RBT_GT;
        return true;
    case SQLITE_INDEX_CONSTRAINT_GE:
        *compare = RBT_GE;
        return true;
    default:
        return false;
    }
}

/* The term's column of constraint i; false when zone maps cannot help. Texts are compared for equality
** alone: in a UTF-16 database BINARY orders them otherwise than their UTF-8 bytes. */
static bool term_column(const archive_vtab *table, sqlite3_index_info *info, int i,
                        rbt_compare compare, int *column) {
    int declared = info->aConstraint[i].iColumn - ARCHIVE_DECLARED;
    *column = declared;
    if (declared < ARCHIVE_RECORDED_AT - ARCHIVE_DECLARED) *column = RBT_SCAN_ID; /* rowid too */
    if (declared < 0) return true;
    if ((size_t)declared >= table->shape.count) return false; /* path */
    switch (table->shape.columns[declared].type) {
    case RBT_COLUMN_INTEGER:
    case RBT_COLUMN_REAL:
        return true;
    case RBT_COLUMN_TEXT:
        return compare == RBT_EQ && strcmp(sqlite3_vtab_collation(info, i), "BINARY") == 0;
    case RBT_COLUMN_BLOB:
    case RBT_COLUMN_JSON:
        break;
    }
    return false;
}

/* colUsed counts id and recorded_at, and its highest bit stands for all columns from 63 on. */
static uint64_t wanted_columns(uint64_t used) {
    uint64_t wanted = used >> ARCHIVE_DECLARED;
    if (used >> 63) wanted |= (uint64_t)7 << 61;
    return wanted;
}

/* One comparison that frames are chosen by. */
static void describe_term(rbt_buffer *out, const archive_vtab *table, int column,
                          rbt_compare compare) {
    static const char *const signs[] = {
        [RBT_EQ] = "=", [RBT_LT] = "<", [RBT_LE] = "<=", [RBT_GT] = ">", [RBT_GE] = ">="};
    const char *name = column == RBT_SCAN_ID            ? "id"
                       : column == RBT_SCAN_RECORDED_AT ? "recorded_at"
                                                        : table->shape.columns[column].name;
    rbt_buffer_add_text(out, out->length == 0 ? "frames by " : " and ");
    rbt_buffer_add_text(out, name);
    rbt_buffer_add_text(out, signs[compare]);
    rbt_buffer_add_byte(out, '?');
}

/* Rows are made frame by frame, so when SQLite sorts nothing, no frame is decoded that LIMIT leaves out. */
static bool stops_at_limit(const sqlite3_index_info *info) {
    if (info->nOrderBy > 0 && !info->orderByConsumed) return false;
    for (int i = 0; i < info->nConstraint; i++)
        if (info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_LIMIT) return true;
    return false;
}

static int archive_best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
    const archive_vtab *table = (const archive_vtab *)base;
    rbt_buffer plan = {0}, text = {0};
    int arguments = 0;
    double cost = 1e7;
    bool unique = false;
    rbt_buffer_printf(&plan, "%llx", (unsigned long long)wanted_columns(info->colUsed));
    for (int i = 0; i < info->nConstraint; i++) {
        rbt_compare compare;
        int column;
        if (!info->aConstraint[i].usable) continue;
        if (!comparison_of(info->aConstraint[i].op, &compare)) continue;
        if (!term_column(table, info, i, compare, &column)) continue;
        rbt_buffer_printf(&plan, ";%d,%d", column, (int)compare);
        describe_term(&text, table, column, compare);
        info->aConstraintUsage[i].argvIndex = ++arguments;
        unique |= column == RBT_SCAN_ID && compare == RBT_EQ;
        cost /= column == RBT_SCAN_ID ? 10 : 3;
    }
    info->idxNum = 0;
    if (info->nOrderBy > 0 && info->aOrderBy[0].iColumn <= ARCHIVE_ID) { /* ids are unique */
        info->orderByConsumed = 1;
        info->idxNum = info->aOrderBy[0].desc;
    }
    info->estimatedCost = unique ? 1e4 : cost; /* one frame must be decoded */
    info->estimatedRows = unique ? 1 : (sqlite3_int64)(cost / 10);
    if (unique) info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
    if (text.length == 0) rbt_buffer_add_text(&text, "all frames");
    if (info->orderByConsumed)
        rbt_buffer_add_text(&text, info->idxNum ? ", newest first" : ", oldest first");
    if (stops_at_limit(info)) rbt_buffer_add_text(&text, ", as far as LIMIT");
    rbt_buffer_add_byte(&text, '|');
    rbt_buffer_add(&text, plan.data, plan.length);
    text.failed |= plan.failed;
    info->idxStr = rbt_buffer_take(&text);
    info->needToFreeIdxStr = 1;
    rbt_buffer_free(&plan);
    rbt_buffer_free(&text);
    return info->idxStr ? SQLITE_OK : SQLITE_NOMEM;
}

/* Turns the arguments into terms. *empty: one is NULL, with which no comparison is true. */
static int read_terms(archive_cursor *cursor, const char *plan, int count,
                      sqlite3_value **arguments, bool *empty, rbt_error *error) {
    *empty = false;
    cursor->terms = rbt_calloc((size_t)count * sizeof *cursor->terms);
    cursor->values = rbt_calloc((size_t)count * sizeof *cursor->values);
    if (!cursor->terms || !cursor->values) return rbt_fail_nomem(error);
    for (int i = 0; i < count; i++) {
        char *end;
        rbt_zone_term term = {0};
        term.column = (int)strtol(plan + 1, &end, 10);
        term.compare = (rbt_compare)strtol(end + 1, &end, 10);
        plan = end;
        sqlite3_value *value = sqlite3_value_dup(arguments[i]);
        if (!value) return rbt_fail_nomem(error);
        cursor->values[cursor->term_count] = value;
        cursor->terms[cursor->term_count++] = term;
        rbt_value *to = &cursor->terms[cursor->term_count - 1].value;
        switch (sqlite3_value_type(value)) {
        case SQLITE_INTEGER:
            to->kind = RBT_INTEGER;
            to->integer = sqlite3_value_int64(value);
            break;
        case SQLITE_FLOAT:
            to->kind = RBT_REAL;
            to->real = sqlite3_value_double(value);
            break;
        case SQLITE_TEXT:
            to->kind = RBT_TEXT;
            to->data = sqlite3_value_text(value);
            to->length = (size_t)sqlite3_value_bytes(value);
            if (!to->data) return rbt_fail_nomem(error);
            break;
        case SQLITE_NULL:
            *empty = true;
            break;
        default: /* a BLOB: such a term excludes nothing */
            to->kind = RBT_BLOB;
            break;
        }
    }
    return SQLITE_OK;
}

static int archive_filter(sqlite3_vtab_cursor *base, int descending, const char *plan,
                          int argument_count, sqlite3_value **arguments) {
    archive_cursor *cursor = (archive_cursor *)base;
    archive_vtab *table = (archive_vtab *)base->pVtab;
    rbt_error error = {0};
    char *terms_text;
    bool empty;
    uint64_t wanted = strtoull(strrchr(plan, '|') + 1, &terms_text, 16);
    cursor->at_end = true;
    rbt_series_start(&cursor->series, &no_columns, 0, NULL, 0, false); /* lets go of old terms */
    free_terms(cursor);
    if (!cursor->opened) {
        rbt_series_free(&cursor->series);
        rbt_series_open(&cursor->series, table->connection, table->pattern, NULL, table->log_id,
                        "archive", &error);
        cursor->opened = error.code == SQLITE_OK;
    }
    if (error.code == SQLITE_OK)
        read_terms(cursor, terms_text, argument_count, arguments, &empty, &error);
    if (error.code != SQLITE_OK) return rbt_vtab_error(base->pVtab, &error);
    if (empty) return SQLITE_OK;
    rbt_series_start(&cursor->series, &table->shape, wanted, cursor->terms, cursor->term_count,
                     descending != 0);
    return archive_next(base);
}

static void give_value(sqlite3_context *context, const rbt_value *value) {
    switch (value->kind) {
    case RBT_NULL:
        break;
    case RBT_INTEGER:
        sqlite3_result_int64(context, value->integer);
        break;
    case RBT_REAL:
        sqlite3_result_double(context, value->real);
        break;
    case RBT_TEXT:
        sqlite3_result_text64(context, (const char *)value->data, value->length, SQLITE_TRANSIENT,
                              SQLITE_UTF8);
        break;
    case RBT_BLOB:
        sqlite3_result_blob64(context, value->length > 0 ? (const void *)value->data : "",
                              value->length, SQLITE_TRANSIENT);
        break;
    }
}

static int archive_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
    const archive_cursor *cursor = (const archive_cursor *)base;
    const archive_vtab *table = (const archive_vtab *)base->pVtab;
    if (column == ARCHIVE_ID)
        sqlite3_result_int64(context, cursor->leaf->id);
    else if (column == ARCHIVE_RECORDED_AT)
        sqlite3_result_int64(context, cursor->leaf->recorded_at);
    else if ((size_t)(column - ARCHIVE_DECLARED) < table->shape.count)
        give_value(context, &cursor->leaf->values[column - ARCHIVE_DECLARED]);
    else
        sqlite3_result_text(context, cursor->series.current->path, -1, SQLITE_TRANSIENT);
    return SQLITE_OK;
}

const sqlite3_module rbt_archive_module = {
    .xCreate = archive_create,
    .xConnect = archive_connect,
    .xBestIndex = archive_best_index,
    .xDisconnect = archive_disconnect,
    .xDestroy = archive_disconnect,
    .xOpen = archive_open,
    .xClose = archive_close,
    .xFilter = archive_filter,
    .xNext = archive_next,
    .xEof = archive_eof,
    .xColumn = archive_column,
    .xRowid = archive_rowid,
};

/* ---- archive_entries ---- */

static int entries_connect(sqlite3 *db, void *connection, int argument_count,
                           const char *const *arguments, sqlite3_vtab **out, char **message) {
    (void)argument_count, (void)arguments, (void)message;
    int code =
        sqlite3_declare_vtab(db, "CREATE TABLE x(path TEXT, id INTEGER, recorded_at INTEGER, "
                                 "leaf TEXT, path_or_glob HIDDEN, vkeys HIDDEN)");
    if (code == SQLITE_OK) code = sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
    if (code != SQLITE_OK) return code;
    archive_vtab *table = rbt_calloc(sizeof *table);
    if (!table) return SQLITE_NOMEM;
    table->connection = connection;
    *out = &table->base;
    return SQLITE_OK;
}

static int entries_best_index(sqlite3_vtab *table, sqlite3_index_info *info) {
    (void)table;
    return rbt_path_arguments_best_index(info, ENTRIES_PATTERN);
}

static int entries_filter(sqlite3_vtab_cursor *base, int given, const char *plan,
                          int argument_count, sqlite3_value **arguments) {
    const char *who = "archive_entries";
    archive_cursor *cursor = (archive_cursor *)base;
    rbt_error error = {0};
    (void)plan, (void)argument_count;
    cursor->at_end = true;
    rbt_series_free(&cursor->series);
    if (rbt_path_arguments_take(&cursor->arguments, given, arguments, who, &error) == SQLITE_OK)
        rbt_series_open(&cursor->series, ((archive_vtab *)base->pVtab)->connection,
                        cursor->arguments.path, cursor->arguments.vkeys, NULL, who, &error);
    if (error.code != SQLITE_OK) return rbt_vtab_error(base->pVtab, &error);
    rbt_series_start(&cursor->series, &no_columns, 0, NULL, 0, false);
    return archive_next(base);
}

static int entries_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
    const archive_cursor *cursor = (const archive_cursor *)base;
    switch (column) {
    case ENTRIES_PATH:
        sqlite3_result_text(context, cursor->series.current->path, -1, SQLITE_TRANSIENT);
        break;
    case ENTRIES_ID:
        sqlite3_result_int64(context, cursor->leaf->id);
        break;
    case ENTRIES_RECORDED_AT:
        sqlite3_result_int64(context, cursor->leaf->recorded_at);
        break;
    case ENTRIES_LEAF:
        sqlite3_result_text64(context, cursor->line, cursor->line_length, SQLITE_TRANSIENT,
                              SQLITE_UTF8);
        break;
    default:
        rbt_path_arguments_give(&cursor->arguments, column - ENTRIES_PATTERN, context);
        break;
    }
    return SQLITE_OK;
}

/* Unlike ids, unique and the same in every scan even over several logs, as SQLite wants of rowids. */
static int entries_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid) {
    const archive_cursor *cursor = (const archive_cursor *)base;
    uint64_t manifest = rbt_load_u64le(cursor->series.current->manifest_sha256);
    *rowid = (sqlite3_int64)((manifest + (uint64_t)cursor->leaf->id) & INT64_MAX);
    return SQLITE_OK;
}

const sqlite3_module rbt_archive_entries_module = {
    .xConnect = entries_connect,
    .xBestIndex = entries_best_index,
    .xDisconnect = archive_disconnect,
    .xOpen = archive_open,
    .xClose = archive_close,
    .xFilter = entries_filter,
    .xNext = archive_next,
    .xEof = archive_eof,
    .xColumn = entries_column,
    .xRowid = entries_rowid,
};
