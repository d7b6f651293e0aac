/* SPDX-License-Identifier: MIT
** Eponymous table-valued functions whose rows are computed at once: audit_verify('log'), audit_logs and
** the like. A table is described by a rbt_list_spec and gets its module from RBT_LIST_TABLE.
*/
#ifndef RBT_BASE_LIST_TABLE_H
#define RBT_BASE_LIST_TABLE_H

#include "buffer.h"
#include "connection.h"
#include "error.h"

/* The rows under construction: cells are added left to right, a row is complete when it has as many as
** there are visible columns. Running out of memory is sticky. */
typedef struct rbt_list rbt_list;

void rbt_list_null(rbt_list *list);
void rbt_list_i64(rbt_list *list, int64_t value);
void rbt_list_text(rbt_list *list, const char *text);                  /* NULL adds NULL; copied */
void rbt_list_bytes(rbt_list *list, const void *bytes, size_t length); /* a BLOB; copied */
void rbt_list_value(rbt_list *list, sqlite3_value *value); /* copied; NULL pointer adds NULL */
/* sqlite3_mprintf's formats. */
void rbt_list_printf(rbt_list *list, const char *format, ...);

typedef struct rbt_list_spec {
    const char *name;
    const char *columns; /* visible ones, then arguments, as in CREATE TABLE: "level TEXT, …, log
                            HIDDEN" */
    int visible;         /* number of visible columns */
    int arguments;       /* number of hidden ones, at most 8 */
    int required;        /* the first so many must be given */
    bool direct_only; /* touches files or keys: not from a schema (sqlite.org/c3ref/vtab_config) */
    /* Adds all rows. arguments[i] is NULL when argument i was not given. */
    int (*fill)(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                rbt_error *error);
} rbt_list_spec;

int rbt_list_connect(sqlite3 *db, void *connection, const rbt_list_spec *spec, sqlite3_vtab **out,
                     char **message);
int rbt_list_best_index(sqlite3_vtab *table, sqlite3_index_info *info);
/* For a table that changes something and gives a row: SQLite is told that a call is dear, so that a join
** calls it once, before its other tables. */
int rbt_list_best_index_once(sqlite3_vtab *table, sqlite3_index_info *info);
int rbt_list_disconnect(sqlite3_vtab *table);
int rbt_list_open(sqlite3_vtab *table, sqlite3_vtab_cursor **cursor);
int rbt_list_close(sqlite3_vtab_cursor *cursor);
int rbt_list_filter(sqlite3_vtab_cursor *cursor, int number, const char *text, int argument_count,
                    sqlite3_value **arguments);
int rbt_list_next(sqlite3_vtab_cursor *cursor);
int rbt_list_eof(sqlite3_vtab_cursor *cursor);
int rbt_list_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column);
int rbt_list_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid);

/* Defines `static const sqlite3_module <identifier>` for a spec. */
#define RBT_LIST_TABLE(identifier, spec) RBT_LIST_MODULE(identifier, spec, rbt_list_best_index)
/* The same for one that changes something. */
#define RBT_LIST_TABLE_ONCE(identifier, spec)                                                      \
    RBT_LIST_MODULE(identifier, spec, rbt_list_best_index_once)
#define RBT_LIST_MODULE(identifier, spec, best_index)                                              \
    static int identifier##_connect(sqlite3 *db, void *connection, int argc,                       \
                                    const char *const *argv, sqlite3_vtab **out, char **message) { \
        (void)argc;                                                                                \
        (void)argv;                                                                                \
        return rbt_list_connect(db, connection, &(spec), out, message);                            \
    }                                                                                              \
    static const sqlite3_module identifier = {.xConnect = identifier##_connect,                    \
                                              .xBestIndex = (best_index),                          \
                                              .xDisconnect = rbt_list_disconnect,                  \
                                              .xOpen = rbt_list_open,                              \
                                              .xClose = rbt_list_close,                            \
                                              .xFilter = rbt_list_filter,                          \
                                              .xNext = rbt_list_next,                              \
                                              .xEof = rbt_list_eof,                                \
                                              .xColumn = rbt_list_column,                          \
                                              .xRowid = rbt_list_rowid}

#endif
