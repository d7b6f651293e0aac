/* SPDX-License-Identifier: MIT
** What SQL sees of the audit log, and what its scalar functions share. Arrays end with a row of zeros. */
#ifndef RBT_AUDIT_AUDIT_SQL_H
#define RBT_AUDIT_AUDIT_SQL_H

#include "../base/registry.h"
#include "log_state.h"

extern const rbt_function rbt_audit_functions[];
extern const rbt_table rbt_audit_tables[];

/* The log that the argument names, with a read transaction held and head and genesis read; NULL on
** failure. Either way rbt_audit_close ends it and hands an error to the caller. */
rbt_log *rbt_audit_open(sqlite3_context *context, sqlite3_value *argument, const char *who,
                        sqlite3_stmt **hold, rbt_error *error);
void rbt_audit_close(sqlite3_context *context, rbt_log *log, sqlite3_stmt *hold, rbt_error *error);

/* TEXT or BLOB (readfile() gives that) as text in out, without NUL; proofs and notes come so. NULL and
** the error otherwise. */
const char *rbt_audit_note_argument(rbt_buffer *out, sqlite3_value *value, const char *function,
                                    const char *argument, rbt_error *error);

/* A moment: TEXT is a date as SQLite reads it, or 'now' (INT64_MAX), INTEGER Unix microseconds. argument names
** it in the error. */
int rbt_audit_time_argument(sqlite3 *db, sqlite3_value *value, const char *who,
                            const char *argument, int64_t *time_us, rbt_error *error);

#endif
