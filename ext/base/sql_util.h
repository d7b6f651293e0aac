/* SPDX-License-Identifier: MIT
** Small helpers of the SQL glue: arguments, results, inner statements. */
#ifndef RBT_BASE_SQL_UTIL_H
#define RBT_BASE_SQL_UTIL_H

#include "buffer.h"
#include "error.h"
#include "sqlite.h"

/* Appends name as a quoted identifier ("a""b"). */
void rbt_add_identifier(rbt_buffer *out, const char *name);

/* The text of an argument that must be TEXT, valid UTF-8 without NUL: names of logs, contexts, paths.
** NULL and other types fail with "<function>: <argument> must be TEXT, not NULL". The pointer lives as
** long as the value is not converted. Returns NULL on failure. */
const char *rbt_text_argument(sqlite3_value *value, const char *function, const char *argument,
                              rbt_error *error);

/* "NULL", "INTEGER", "REAL", "TEXT" or "BLOB". */
const char *rbt_type_name(int sqlite_type);

/* xBestIndex of a table-valued function (sqlite.org/vtab.html#tabfunc2) whose arguments are `count` hidden
** columns from `first` on: asks for those that are given, in order; bit i of idxNum says that argument i
** is. SQLITE_CONSTRAINT ("no query solution") for a plan in which one would come from a table that is read
** later, and when one is read that was not given: without it the function would work on its default, and
** SQLite then drop the rows, since NULL equals nothing. */
int rbt_choose_arguments(sqlite3_index_info *info, int first, int count);

/* Prepares one statement from a printf format (%w for identifiers); NULL and the error on failure. */
sqlite3_stmt *rbt_prepare(sqlite3 *db, rbt_error *error, const char *prefix, const char *format,
                          ...);

/* Runs SQL from a printf format that returns no rows. */
int rbt_execute(sqlite3 *db, rbt_error *error, const char *prefix, const char *format, ...);

/* Steps to the end and resets; SQLITE_OK or the error. */
int rbt_run(sqlite3 *db, sqlite3_stmt *statement, rbt_error *error, const char *prefix);

/* True once sqlite3_interrupt was called for the statement that runs now: for work that goes on long before
** SQLite itself looks again. */
bool rbt_interrupted(sqlite3 *db);

/* True while a statement of this connection is writing, which a SELECT that calls us is not.
** DIRECTONLY does not keep SQLite 3.40 from calling a function in a CHECK: what has a side effect looks
** for itself. */
bool rbt_inside_a_write(sqlite3 *db);

/* Gives the buffer's contents as the function's TEXT or BLOB result (moved, not copied: the buffer is
** empty afterwards); NOMEM when it failed. */
void rbt_result_text(sqlite3_context *context, rbt_buffer *buffer);
void rbt_result_blob(sqlite3_context *context, rbt_buffer *buffer);

/* Gives text from rbt_malloc, with a NUL after its length bytes, as the function's result, to be wiped
** as soon as SQLite has no more use for it. Given as terminated text: else SQLite would, for whoever
** reads it with sqlite3_column_text, copy it into memory of its own, and free that unwiped. Text that
** holds a NUL itself, or belongs to a UTF-16 database, is copied all the same. */
void rbt_result_secret_text(sqlite3_context *context, char *text, size_t length);

#endif
