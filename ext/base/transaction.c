/* SPDX-License-Identifier: MIT
** See transaction.h. Calls error, sql_util and SQLite.
*/
#include "transaction.h"

#include "sql_util.h"

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
    return error->code;
}
