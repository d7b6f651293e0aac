/* SPDX-License-Identifier: MIT
** The virtual table module audit_log (DESIGN §6). */
#ifndef RBT_AUDIT_LOG_TABLE_H
#define RBT_AUDIT_LOG_TABLE_H

#include "log_cold.h"

#include <stddef.h>

/* sqlite3_module of iVersion 4, since SQLite 3.44, also where the headers are older. */
#if SQLITE_VERSION_NUMBER >= 3044000
typedef struct rbt_module_v4 {
    sqlite3_module base;
} rbt_module_v4;
#else
typedef struct rbt_module_v4 {
    sqlite3_module base; /* up to iVersion 3 */
    int (*xIntegrity)(sqlite3_vtab *table, const char *schema, const char *name, int flags,
                      char **problems);
} rbt_module_v4;
_Static_assert(offsetof(rbt_module_v4, xIntegrity) ==
                   offsetof(sqlite3_module, xShadowName) + sizeof(bool (*)(const char *)),
               "what iVersion 4 added follows at once");
#endif

extern const rbt_module_v4 rbt_audit_log_module;

/* PRAGMA integrity_check and, with 1 in flags, quick_check, in log_integrity.c. *problems: OUT, text for
** sqlite3_free, unchanged when there are none. An error only for what may pass: memory, a lock. */
int rbt_log_integrity(sqlite3_vtab *table, const char *schema, const char *name, int flags,
                      char **problems);

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
