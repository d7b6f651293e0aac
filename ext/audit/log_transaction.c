/* SPDX-License-Identifier: MIT
** The transactions that functions make for themselves around a log's tables (lifecycle.h). May call base
** and the log's state.
*/
#include "lifecycle.h"

#include "../base/sql_util.h"

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

/* Commits without waiting for the disk are usual (WAL with synchronous=NORMAL), and a journal's deletion
** waits for it only under EXTRA. */
static int raise_synchronous(rbt_log *log, rbt_transaction *transaction, const char *who,
                             rbt_error *error) {
    enum { EXTRA = 3 };
    int level = EXTRA;
    sqlite3_stmt *pragma =
        rbt_prepare(log->db, error, who, "PRAGMA \"%w\".synchronous", log->schema);
    if (!pragma) return error->code;
    if (sqlite3_step(pragma) == SQLITE_ROW) level = sqlite3_column_int(pragma, 0);
    if (sqlite3_finalize(pragma) != SQLITE_OK) return rbt_fail_db(error, log->db, who);
    if (level < EXTRA && rbt_execute(log->db, error, who, "PRAGMA \"%w\".synchronous = EXTRA",
                                     log->schema) == SQLITE_OK)
        transaction->raised_from = level + 1;
    return error->code;
}

/* Without memory it stays as it is, which is only slower. */
static void lower_synchronous(rbt_log *log, rbt_transaction *transaction, const char *who) {
    rbt_error ignored = {0};
    if (transaction->raised_from > 0)
        rbt_execute(log->db, &ignored, who, "PRAGMA \"%w\".synchronous = %d", log->schema,
                    transaction->raised_from - 1);
    rbt_error_clear(&ignored);
    transaction->raised_from = 0;
}

int rbt_log_transaction_begin(rbt_log *log, rbt_transaction *transaction, const char *who,
                              rbt_error *error) {
    if (raise_synchronous(log, transaction, who, error) == SQLITE_OK &&
        rbt_transaction_begin(transaction, log->db, who, error) == SQLITE_OK)
        rbt_log_forget(log, true);
    else
        lower_synchronous(log, transaction, who);
    return error->code;
}

int rbt_log_transaction_end(rbt_log *log, rbt_transaction *transaction, const char *who,
                            rbt_error *error) {
    rbt_transaction_end(transaction, who, error);
    lower_synchronous(log, transaction, who);
    rbt_log_forget(log, true);
    return error->code;
}

/* The schema's synchronous setting: 0 OFF, 1 NORMAL, 2 FULL, 3 EXTRA. */
static int synchronous(rbt_log *log, int *level, const char *who, rbt_error *error) {
    sqlite3_stmt *pragma =
        rbt_prepare(log->db, error, who, "PRAGMA \"%w\".synchronous", log->schema);
    *level = 0;
    if (!pragma) return error->code;
    if (sqlite3_step(pragma) == SQLITE_ROW) *level = sqlite3_column_int(pragma, 0);
    if (sqlite3_finalize(pragma) != SQLITE_OK) rbt_fail_db(error, log->db, who);
    return error->code;
}

int rbt_log_durably(rbt_log *log, rbt_durable_work work, void *context, const char *who,
                    rbt_error *error) {
    enum { FULL = 2 };
    int level;
    if (synchronous(log, &level, who, error) != SQLITE_OK) return error->code;
    if (level < FULL)
        rbt_execute(log->db, error, who, "PRAGMA \"%w\".synchronous = FULL", log->schema);
    if (error->code == SQLITE_OK) work(context, error);
    if (level < FULL) {
        rbt_error ignored = {0}; /* at worst the connection stays on the safer setting */
        rbt_execute(log->db, &ignored, who, "PRAGMA \"%w\".synchronous = %d", log->schema, level);
        rbt_error_clear(&ignored);
    }
    return error->code;
}
