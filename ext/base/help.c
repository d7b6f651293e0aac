/* SPDX-License-Identifier: MIT
** The table rustybt_help. See help.h. Calls nothing but SQLite and the allocation seam.
*/
#include "help.h"
#include "memory.h"
#include <stdbool.h>

enum {
    COLUMN_NAME,
    COLUMN_KIND,
    COLUMN_SIGNATURE,
    COLUMN_NEEDS,
    COLUMN_DESCRIPTION,
    COLUMN_EXAMPLE
};

typedef struct help_table {
    sqlite3_vtab base; /* Base class - must be first */
    const rbt_catalogue *catalogue;
} help_table;

/* One row as it is shown. */
typedef struct help_row {
    const char *name, *kind, *signature, *needs, *description, *example;
} help_row;

typedef struct help_cursor {
    sqlite3_vtab_cursor base; /* Base class - must be first */
    size_t capability;
    size_t function, table; /* how many of the capability's rows came before */
    sqlite3_int64 rowid;
    help_row row;
} help_cursor;

static int help_connect(sqlite3 *db, void *aux, int argument_count, const char *const *arguments,
                        sqlite3_vtab **table, char **message) {
    (void)argument_count;
    (void)arguments;
    (void)message;
    int code = sqlite3_declare_vtab(
        db, "CREATE TABLE x(name TEXT, kind TEXT, signature TEXT, needs TEXT, description TEXT,"
            " example TEXT)");
    if (code == SQLITE_OK) code = sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
    if (code != SQLITE_OK) return code;
    help_table *made = rbt_calloc(sizeof *made);
    if (!made) return SQLITE_NOMEM;
    made->catalogue = aux;
    *table = &made->base;
    return SQLITE_OK;
}

static int help_disconnect(sqlite3_vtab *table) {
    rbt_free(table);
    return SQLITE_OK;
}

static int help_best_index(sqlite3_vtab *table, sqlite3_index_info *plan) {
    (void)table;
    plan->estimatedCost = 100;
    plan->estimatedRows = 100;
    return SQLITE_OK;
}

static int help_open(sqlite3_vtab *table, sqlite3_vtab_cursor **cursor) {
    (void)table;
    help_cursor *made = rbt_calloc(sizeof *made);
    if (!made) return SQLITE_NOMEM;
    *cursor = &made->base;
    return SQLITE_OK;
}

static int help_close(sqlite3_vtab_cursor *cursor) {
    rbt_free(cursor);
    return SQLITE_OK;
}

static const char *kind_of(const sqlite3_module *module) {
    /* a module whose xCreate is absent, or is its xConnect, stands in FROM by its own name */
    return module->xCreate && module->xCreate != module->xConnect ? "module" : "table";
}

/* Takes the capability's next row, if any is left. */
static bool take_row(help_cursor *cursor, const rbt_capability *capability) {
    const rbt_function *functions = capability->functions;
    while (functions && functions[cursor->function].name) {
        const rbt_function *function = &functions[cursor->function++];
        if (!function->signature) continue; /* internal */
        cursor->row = (help_row){function->name,        "function",
                                 function->signature,   function->needs,
                                 function->description, function->example};
        return true;
    }
    const rbt_table *tables = capability->tables;
    if (!tables || !tables[cursor->table].name) return false;
    const rbt_table *table = &tables[cursor->table++];
    cursor->row = (help_row){table->name,  kind_of(table->module), table->signature,
                             table->needs, table->description,     table->example};
    return true;
}

static int help_next(sqlite3_vtab_cursor *base) {
    help_cursor *cursor = (help_cursor *)base;
    const rbt_catalogue *catalogue = ((const help_table *)base->pVtab)->catalogue;
    cursor->rowid++;
    while (cursor->capability < catalogue->count &&
           !take_row(cursor, &catalogue->capabilities[cursor->capability])) {
        cursor->capability++;
        cursor->function = cursor->table = 0;
    }
    return SQLITE_OK;
}

static int help_filter(sqlite3_vtab_cursor *base, int index, const char *index_text,
                       int argument_count, sqlite3_value **arguments) {
    (void)index;
    (void)index_text;
    (void)argument_count;
    (void)arguments;
    help_cursor *cursor = (help_cursor *)base;
    cursor->capability = cursor->function = cursor->table = 0;
    cursor->rowid = 0;
    return help_next(base);
}

static int help_eof(sqlite3_vtab_cursor *base) {
    const help_cursor *cursor = (const help_cursor *)base;
    return cursor->capability >= ((const help_table *)base->pVtab)->catalogue->count;
}

static int help_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
    const help_row *row = &((const help_cursor *)base)->row;
    const char *text = NULL;
    switch (column) {
    case COLUMN_NAME:
        text = row->name;
        break;
    case COLUMN_KIND:
        text = row->kind;
        break;
    case COLUMN_SIGNATURE:
        text = row->signature;
        break;
    case COLUMN_NEEDS:
        text = row->needs;
        break;
    case COLUMN_DESCRIPTION:
        text = row->description;
        break;
    case COLUMN_EXAMPLE:
        text = row->example;
        break;
    default:
        break;
    }
    /* copied: a static text could outlive the library, which is unloaded with its last connection
     */
    if (text) sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
    return SQLITE_OK;
}

static int help_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid) {
    *rowid = ((const help_cursor *)base)->rowid;
    return SQLITE_OK;
}

const sqlite3_module rbt_help_module = {
    .iVersion = 0,
    .xConnect = help_connect,
    .xBestIndex = help_best_index,
    .xDisconnect = help_disconnect,
    .xOpen = help_open,
    .xClose = help_close,
    .xFilter = help_filter,
    .xNext = help_next,
    .xEof = help_eof,
    .xColumn = help_column,
    .xRowid = help_rowid,
};
