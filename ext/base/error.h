/* SPDX-License-Identifier: MIT
** A sticky error: the first failure is kept, later ones are dropped, so that a chain of calls can be
** checked once at its end. Starts as {0}. Messages are written for people: function or log first,
** lower case, what was expected and what came, a fix after a semicolon, no full stop; never a key, a
** plaintext or a bound value.
*/
#ifndef RBT_BASE_ERROR_H
#define RBT_BASE_ERROR_H

#include "sqlite.h"

typedef struct rbt_error {
    int code;      /* SQLITE_OK, or the result code of the first failure */
    char *message; /* from sqlite3_malloc; NULL when code is SQLITE_OK or memory ran out */
} rbt_error;

/* Records a failure unless there is one already. The format is sqlite3_mprintf's (%q, %Q, %w work).
** Returns the code that the error now holds, never SQLITE_OK. */
int rbt_fail(rbt_error *error, int code, const char *format, ...);

/* Records SQLITE_NOMEM. */
int rbt_fail_nomem(rbt_error *error);

/* Records what SQLite says of the last failed call on db, after the given prefix and ": ". */
int rbt_fail_db(rbt_error *error, sqlite3 *db, const char *prefix);

/* Frees the message and starts anew. */
void rbt_error_clear(rbt_error *error);

/* Hands the error to the function's caller (NOMEM and TOOBIG through their own calls; IOERR and FULL
** as ERROR, since from a function they would roll back the caller's transaction) and clears it. */
void rbt_result_error(sqlite3_context *context, rbt_error *error);

/* Moves the error's message into a virtual table or cursor (its owner's zErrMsg), clears the error
** and returns its code (IOERR and FULL become ERROR, as above); SQLITE_OK when there is none. */
int rbt_vtab_error(sqlite3_vtab *table, rbt_error *error);

#endif
