/* SPDX-License-Identifier: MIT
** The transactions that functions make for themselves around a log's tables (lifecycle.h). May call base
** and the log's state.
*/
#include "lifecycle.h"

int rbt_require_no_transaction(rbt_log *log, const char *function, rbt_error *error) {
    if (!sqlite3_get_autocommit(log->db))
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: it makes its own transactions; COMMIT or ROLLBACK first", function);
    if (sqlite3_txn_state(log->db, log->schema) != SQLITE_TXN_NONE)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: a statement of this connection is reading the database; call it "
                        "without FROM: SELECT %s('%s')",
                        function, function, log->name);
    return SQLITE_OK;
}

int rbt_log_transaction_begin(rbt_log *log, rbt_transaction *transaction, const char *who,
                              rbt_error *error) {
    if (rbt_transaction_begin_durable(transaction, log->db, log->schema, who, error) == SQLITE_OK)
        rbt_log_forget(log, true);
    return error->code;
}

int rbt_log_transaction_end(rbt_log *log, rbt_transaction *transaction, const char *who,
                            rbt_error *error) {
    rbt_transaction_end(transaction, who, error);
    rbt_log_forget(log, true);
    return error->code;
}
