/* SPDX-License-Identifier: MIT
** See list_table.h. May call base and SQLite. A plan's number (idxNum) is a bit for each argument given,
** in order; their values follow in that order.
*/
#include "list_table.h"

#include "memory.h"
#include "sql_util.h"

#include <stdarg.h>

typedef struct cell {
    int type;        /* SQLITE_NULL, SQLITE_INTEGER, SQLITE_TEXT, SQLITE_BLOB; 0: a copied value */
    int64_t integer; /* or the length of text */
    char *text;
    sqlite3_value *value;
} cell;

struct rbt_list {
    cell *cells;
    size_t count, capacity;
    bool failed;
};

typedef struct list_vtab {
    sqlite3_vtab base; /* Base class - must be first */
    rbt_connection *connection;
    const rbt_list_spec *spec;
} list_vtab;

enum { MAX_ARGUMENTS = 8 };

typedef struct list_cursor {
    sqlite3_vtab_cursor base; /* Base class - must be first */
    rbt_list list;
    size_t row;
    sqlite3_value *arguments[MAX_ARGUMENTS]; /* copies; NULL: not given */
} list_cursor;

static cell *add_cell(rbt_list *list) {
    if (list->failed) return NULL;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 32;
        cell *cells = rbt_realloc(list->cells, capacity * sizeof *cells);
        if (!cells) {
            list->failed = true;
            return NULL;
        }
        list->cells = cells;
        list->capacity = capacity;
    }
    cell *added = &list->cells[list->count++];
    memset(added, 0, sizeof *added);
    added->type = SQLITE_NULL;
    return added;
}

void rbt_list_null(rbt_list *list) {
    add_cell(list);
}

void rbt_list_i64(rbt_list *list, int64_t value) {
    cell *added = add_cell(list);
    if (!added) return;
    added->type = SQLITE_INTEGER;
    added->integer = value;
}

static void add_bytes(rbt_list *list, int type, const void *bytes, size_t length) {
    cell *added = add_cell(list);
    if (!added) return;
    added->text = rbt_strndup(bytes, length);
    if (!added->text) {
        list->failed = true;
        return;
    }
    added->type = type;
    added->integer = (int64_t)length;
}

void rbt_list_text(rbt_list *list, const char *text) {
    if (text)
        add_bytes(list, SQLITE_TEXT, text, strlen(text));
    else
        rbt_list_null(list);
}

void rbt_list_bytes(rbt_list *list, const void *bytes, size_t length) {
    add_bytes(list, SQLITE_BLOB, bytes, length);
}

void rbt_list_value(rbt_list *list, sqlite3_value *value) {
    cell *added = add_cell(list);
    if (!added || !value) return;
    added->value = sqlite3_value_dup(value);
    if (!added->value) list->failed = true;
    added->type = 0;
}

void rbt_list_printf(rbt_list *list, const char *format, ...) {
    cell *added = add_cell(list);
    if (!added) return;
    va_list arguments;
    va_start(arguments, format);
    added->text = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    if (!added->text) {
        list->failed = true;
        return;
    }
    added->type = SQLITE_TEXT;
    added->integer = (int64_t)strlen(added->text);
}

static void clear_list(rbt_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        rbt_free(list->cells[i].text);
        sqlite3_value_free(list->cells[i].value);
    }
    rbt_free(list->cells);
    memset(list, 0, sizeof *list);
}

int rbt_list_connect(sqlite3 *db, void *connection, const rbt_list_spec *spec, sqlite3_vtab **out,
                     char **message) {
    list_vtab *table = rbt_calloc(sizeof *table);
    char *declaration = sqlite3_mprintf("CREATE TABLE x(%s)", spec->columns);
    int code = table && declaration ? SQLITE_OK : SQLITE_NOMEM;
    if (code == SQLITE_OK) code = sqlite3_declare_vtab(db, declaration);
    if (code == SQLITE_OK)
        code = sqlite3_vtab_config(db, spec->direct_only ? SQLITE_VTAB_DIRECTONLY
                                                         : SQLITE_VTAB_INNOCUOUS);
    rbt_free(declaration);
    if (code != SQLITE_OK) {
        if (code != SQLITE_NOMEM)
            *message = sqlite3_mprintf("%s: %s", spec->name, sqlite3_errmsg(db));
        rbt_free(table);
        return code;
    }
    table->connection = connection;
    table->spec = spec;
    *out = &table->base;
    return SQLITE_OK;
}

int rbt_list_best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
    const rbt_list_spec *spec = ((list_vtab *)base)->spec;
    info->estimatedCost = 1000;
    info->estimatedRows = 100;
    return rbt_choose_arguments(info, spec->visible, spec->arguments);
}

int rbt_list_best_index_once(sqlite3_vtab *table, sqlite3_index_info *info) {
    int code = rbt_list_best_index(table, info);
    info->estimatedCost = 1e12;
    info->estimatedRows = 1;
    return code;
}

int rbt_list_disconnect(sqlite3_vtab *table) {
    rbt_free(table);
    return SQLITE_OK;
}

int rbt_list_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out) {
    (void)table;
    list_cursor *cursor = rbt_calloc(sizeof *cursor);
    if (!cursor) return SQLITE_NOMEM;
    *out = &cursor->base;
    return SQLITE_OK;
}

static void reset(list_cursor *cursor) {
    clear_list(&cursor->list);
    cursor->row = 0;
    for (int i = 0; i < MAX_ARGUMENTS; i++) {
        sqlite3_value_free(cursor->arguments[i]);
        cursor->arguments[i] = NULL;
    }
}

int rbt_list_close(sqlite3_vtab_cursor *cursor) {
    reset((list_cursor *)cursor);
    rbt_free(cursor);
    return SQLITE_OK;
}

int rbt_list_filter(sqlite3_vtab_cursor *base, int number, const char *text, int argument_count,
                    sqlite3_value **arguments) {
    list_cursor *cursor = (list_cursor *)base;
    list_vtab *table = (list_vtab *)base->pVtab;
    const rbt_list_spec *spec = table->spec;
    rbt_error error = {0};
    int next = 0;
    (void)text;
    reset(cursor);
    for (int i = 0; i < spec->arguments && error.code == SQLITE_OK; i++) {
        if (number >> i & 1 && next < argument_count) {
            cursor->arguments[i] = sqlite3_value_dup(arguments[next++]);
            if (!cursor->arguments[i]) rbt_fail_nomem(&error);
        } else if (i < spec->required) {
            rbt_fail(&error, SQLITE_ERROR, "%s: expected at least %d argument%s", spec->name,
                     spec->required, spec->required == 1 ? "" : "s");
        }
    }
    if (error.code == SQLITE_OK)
        spec->fill(table->connection, cursor->arguments, &cursor->list, &error);
    if (cursor->list.failed) rbt_fail_nomem(&error);
    if (error.code != SQLITE_OK) reset(cursor);
    return rbt_vtab_error(base->pVtab, &error);
}

int rbt_list_next(sqlite3_vtab_cursor *cursor) {
    ((list_cursor *)cursor)->row++;
    return SQLITE_OK;
}

int rbt_list_eof(sqlite3_vtab_cursor *base) {
    list_cursor *cursor = (list_cursor *)base;
    size_t width = (size_t)((list_vtab *)base->pVtab)->spec->visible;
    return (cursor->row + 1) * width > cursor->list.count;
}

int rbt_list_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
    list_cursor *cursor = (list_cursor *)base;
    int visible = ((list_vtab *)base->pVtab)->spec->visible;
    if (column >= visible) {
        sqlite3_value *argument = cursor->arguments[column - visible];
        if (argument) sqlite3_result_value(context, argument);
        return SQLITE_OK;
    }
    const cell *found = &cursor->list.cells[cursor->row * (size_t)visible + (size_t)column];
    switch (found->type) {
    case 0:
        sqlite3_result_value(context, found->value);
        break;
    case SQLITE_INTEGER:
        sqlite3_result_int64(context, found->integer);
        break;
    case SQLITE_TEXT:
        sqlite3_result_text64(context, found->text, (sqlite3_uint64)found->integer,
                              SQLITE_TRANSIENT, SQLITE_UTF8);
        break;
    case SQLITE_BLOB:
        sqlite3_result_blob64(context, found->text, (sqlite3_uint64)found->integer,
                              SQLITE_TRANSIENT);
        break;
    default:
        break;
    }
    return SQLITE_OK;
}

int rbt_list_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid) {
    *rowid = (sqlite3_int64)((list_cursor *)cursor)->row;
    return SQLITE_OK;
}
