/* SPDX-License-Identifier: MIT
** See transaction.h. Calls error, sql_util and SQLite.
*/
#include "transaction.h"

#include "sql_util.h"

/* Commits without waiting for the disk are usual (WAL with synchronous=NORMAL), and a journal's deletion
** waits for it only under EXTRA. */
static int raise_synchronous(rbt_transaction *transaction, const char *who, rbt_error *error) {
    enum { EXTRA = 3 };
    int level = EXTRA;
    sqlite3_stmt *pragma =
        rbt_prepare(transaction->db, error, who, "PRAGMA \"%w\".synchronous", transaction->schema);
    if (!pragma) return error->code;
    if (sqlite3_step(pragma) == SQLITE_ROW) level = sqlite3_column_int(pragma, 0);
    if (sqlite3_finalize(pragma) != SQLITE_OK) return rbt_fail_db(error, transaction->db, who);
    if (level < EXTRA &&
        rbt_execute(transaction->db, error, who, "PRAGMA \"%w\".synchronous = EXTRA",
                    transaction->schema) == SQLITE_OK)
        transaction->raised_from = level + 1;
    return error->code;
}

/* Without memory it stays as it is, which is only slower. */
static void lower_synchronous(rbt_transaction *transaction, const char *who) {
    rbt_error ignored = {0};
    if (transaction->raised_from > 0)
        rbt_execute(transaction->db, &ignored, who, "PRAGMA \"%w\".synchronous = %d",
                    transaction->schema, transaction->raised_from - 1);
    rbt_error_clear(&ignored);
    transaction->raised_from = 0;
}

int rbt_transaction_begin(rbt_transaction *transaction, sqlite3 *db, const char *who,
                          rbt_error *error) {
    transaction->db = db;
    transaction->reader =
        rbt_prepare(db, error, who, "SELECT 1 UNION ALL SELECT 1 FROM main.sqlite_schema");
    if (transaction->reader && rbt_execute(db, error, who, "BEGIN IMMEDIATE") != SQLITE_OK) {
        sqlite3_finalize(transaction->reader);
        transaction->reader = NULL;
    }
    return error->code;
}

int rbt_transaction_begin_durable(rbt_transaction *transaction, sqlite3 *db, const char *schema,
                                  const char *who, rbt_error *error) {
    transaction->db = db;
    transaction->schema = schema;
    if (raise_synchronous(transaction, who, error) != SQLITE_OK ||
        rbt_transaction_begin(transaction, db, who, error) != SQLITE_OK)
        lower_synchronous(transaction, who);
    return error->code;
}

int rbt_transaction_begin_own(rbt_transaction *transaction, sqlite3 *db, const char *who,
                              rbt_error *error) {
    return sqlite3_get_autocommit(db) ? rbt_transaction_begin(transaction, db, who, error)
                                      : SQLITE_OK;
}

int rbt_transaction_alters(rbt_transaction *transaction, const char *who, rbt_error *error) {
    if (sqlite3_step(transaction->reader) != SQLITE_ROW) rbt_fail_db(error, transaction->db, who);
    return error->code;
}

int rbt_transaction_end(rbt_transaction *transaction, const char *who, rbt_error *error) {
    sqlite3 *db = transaction->db;
    if (transaction->reader == NULL) return error->code;
    if (error->code == SQLITE_OK) rbt_execute(db, error, who, "COMMIT");
    /* some errors have rolled back by themselves */
    if (error->code != SQLITE_OK && !sqlite3_get_autocommit(db) &&
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK && !sqlite3_get_autocommit(db))
        sqlite3_step(transaction->reader);
    sqlite3_finalize(transaction->reader);
    transaction->reader = NULL;
    lower_synchronous(transaction, who);
    return error->code;
}
