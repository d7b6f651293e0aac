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

/* What a function does to each log when it is called with '*': one that fails keeps it from no other, and the
** first failure is the error in the end. Starts as {0}. */
typedef struct rbt_audit_each {
    int64_t logs, failed;
    rbt_error first;
} rbt_audit_each;

/* Takes what went wrong with one log off *error, but for a lack of memory. */
int rbt_audit_each_done(rbt_audit_each *each, bool every, rbt_error *error);
/* Appends a line to those of the other logs; nothing when there is none. */
void rbt_audit_add_report(rbt_buffer *report, const rbt_buffer *line);
/* The error of the whole call. */
int rbt_audit_each_end(rbt_audit_each *each, rbt_error *error);

#endif
