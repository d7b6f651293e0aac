/* SPDX-License-Identifier: MIT
** Every row of a table or of an index, given to a C function from inside SQLite's own loop.
**
** sqlite3_step and the sqlite3_column_* calls cost as much as reading the row does: each takes the
** connection's mutex. Here a statement calls an SQL function for each row, which SQLite hands all values
** at once, and sqlite3_step returns once, at the end. The function, rustybt_visit, does nothing without a
** pointer that only C code can bind (sqlite.org/bindptr.html). */
#ifndef RBT_AUDIT_ROW_VISIT_H
#define RBT_AUDIT_ROW_VISIT_H

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/sqlite.h"

#include <stdbool.h>

/* One value a column, the visitor's for the length of the call. Returns false to stop. */
typedef bool (*rbt_row_visitor)(void *context, sqlite3_value **row);

/* Visits the rows of SELECT <columns> FROM <source> ORDER BY <order>, in that order, which must be one that
** the source (with INDEXED BY or NOT INDEXED) gives by itself: rows are visited before they would be sorted.
** Runs inside a function or table of the connection, so with its mutex held. An error when SQLite cannot
** go on, none when the visitor stopped. who begins its message. */
int rbt_visit_rows(sqlite3 *db, const char *who, const char *columns, int column_count,
                   const char *source, const char *order, rbt_row_visitor visit, void *context,
                   rbt_error *error);

/* The SQL function. */
void rbt_visit_function(sqlite3_context *context, int argument_count, sqlite3_value **arguments);

#endif
