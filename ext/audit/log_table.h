/* SPDX-License-Identifier: MIT
** The virtual table module audit_log (DESIGN §6). */
#ifndef RBT_AUDIT_LOG_TABLE_H
#define RBT_AUDIT_LOG_TABLE_H

#include "log_cold.h"

extern const sqlite3_module rbt_audit_log_module;

/* Base classes first: SQLite casts. */
typedef struct rbt_log_vtab {
    sqlite3_vtab base;
    rbt_log *log;
} rbt_log_vtab;

/* The reading half, in log_cursor.c. */
int rbt_log_cursor_open(sqlite3_vtab *table, sqlite3_vtab_cursor **cursor);
int rbt_log_cursor_close(sqlite3_vtab_cursor *cursor);
int rbt_log_cursor_filter(sqlite3_vtab_cursor *cursor, int number, const char *text,
                          int argument_count, sqlite3_value **arguments);
int rbt_log_cursor_next(sqlite3_vtab_cursor *cursor);
int rbt_log_cursor_eof(sqlite3_vtab_cursor *cursor);
int rbt_log_cursor_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column);
int rbt_log_cursor_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid);

#endif
