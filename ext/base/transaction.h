/* SPDX-License-Identifier: MIT
** Transactions that a function makes for itself, inside the statement that calls it.
**
** Once memory has run out SQLite refuses every further statement until the outermost one has ended, a
** ROLLBACK as well; and the outermost one, SELECT f(), reads no table and so rolls nothing back. The
** transaction would stay open behind the caller's back. But a statement that reads, and fails for lack of
** memory, takes the transaction with it (sqlite3VdbeHalt): so one is prepared before BEGIN and kept. After a
** change of the schema it could not begin any more; but one that has begun, and ends without memory, will do.
*/
#ifndef RBT_BASE_TRANSACTION_H
#define RBT_BASE_TRANSACTION_H

#include "error.h"
#include "sqlite.h"

/* Starts as {0}. */
typedef struct rbt_transaction {
    sqlite3 *db;
    sqlite3_stmt *reader; /* NULL: not begun */
    /* Of a durable one: */
    const char *schema; /* borrowed */
    int raised_from;    /* its PRAGMA synchronous before, + 1; 0: it was not changed */
} rbt_transaction;

/* BEGIN IMMEDIATE. On failure nothing is open. */
int rbt_transaction_begin(rbt_transaction *transaction, sqlite3 *db, const char *who,
                          rbt_error *error);

/* The same, and what is committed is on the disk when it ends, with all that this schema committed before,
** whatever PRAGMA synchronous says (sqlite.org/pragma.html#pragma_synchronous): for what something outside
** the database relies on. */
int rbt_transaction_begin_durable(rbt_transaction *transaction, sqlite3 *db, const char *schema,
                                  const char *who, rbt_error *error);

/* rbt_transaction_begin, unless the caller of the function has one open, in which the work then is. What was
** looked up must still be so when it is written. */
int rbt_transaction_begin_own(rbt_transaction *transaction, sqlite3 *db, const char *who,
                              rbt_error *error);

/* To be called before work that changes the schema. */
int rbt_transaction_alters(rbt_transaction *transaction, const char *who, rbt_error *error);

/* COMMIT when there is no error by now, else, or when that fails, ROLLBACK. Without a beginning it does
** nothing. */
int rbt_transaction_end(rbt_transaction *transaction, const char *who, rbt_error *error);

#endif
