/* SPDX-License-Identifier: MIT
** See row_visit.h. Calls base alone.
*/
#include "row_visit.h"

#include "../base/memory.h"
#include "../base/sql_util.h"

static const char pointer_type[] = "rustybt visit";

typedef struct visiting {
    rbt_row_visitor visit;
    void *context;
    bool stopped;
} visiting;

void rbt_visit_function(sqlite3_context *context, int argument_count, sqlite3_value **arguments) {
    visiting *v = argument_count > 0 ? sqlite3_value_pointer(arguments[0], pointer_type) : NULL;
    if (!v) {
        sqlite3_result_error(context, "rustybt_visit: is not for use in SQL", -1);
    } else if (v->stopped || !v->visit(v->context, arguments + 1)) {
        v->stopped = true;
        sqlite3_result_error(context, "stopped", -1);
    }
    /* NULL: no row is ever a result */
}

/* More columns than a function may have arguments: the values are fetched one by one. They are protected,
** as sqlite3_value_*() wants them, since the connection's mutex is held. */
static void step_rows(sqlite3_stmt *rows, sqlite3_value **row, visiting *v) {
    int columns = sqlite3_column_count(rows);
    while (!v->stopped && sqlite3_step(rows) == SQLITE_ROW) {
        for (int i = 0; i < columns; i++)
            row[i] = sqlite3_column_value(rows, i);
        v->stopped = !v->visit(v->context, row);
    }
}

int rbt_visit_rows(sqlite3 *db, const char *who, const char *columns, int column_count,
                   const char *source, const char *order, rbt_row_visitor visit, void *context,
                   rbt_error *error) {
    visiting v = {visit, context, false};
    bool fits = column_count < sqlite3_limit(db, SQLITE_LIMIT_FUNCTION_ARG, -1);
    sqlite3_value **row = NULL;
    sqlite3_stmt *rows =
        fits ? rbt_prepare(db, error, who,
                           "SELECT 1 FROM %s WHERE rustybt_visit(?1, %s) ORDER BY %s", source,
                           columns, order)
             : rbt_prepare(db, error, who, "SELECT %s FROM %s ORDER BY %s", columns, source, order);
    if (!rows) return error->code;
    if (!fits) {
        row = rbt_malloc((size_t)column_count * sizeof *row);
        if (row)
            step_rows(rows, row, &v);
        else
            rbt_fail_nomem(error);
    } else if (sqlite3_bind_pointer(rows, 1, &v, pointer_type, NULL) != SQLITE_OK) {
        rbt_fail_nomem(error);
    } else {
        sqlite3_step(rows); /* its code comes again from sqlite3_finalize */
    }
    if (sqlite3_finalize(rows) != SQLITE_OK && !v.stopped && error->code == SQLITE_OK)
        rbt_fail_db(error, db, who);
    rbt_free(row);
    return error->code;
}
