/* SPDX-License-Identifier: MIT
** The virtual table module audit_log: creating, appending, transactions, and what is refused. Reading is
** in log_cursor.c. May call base and audit.
**
** xConnect touches no file and runs no SQL, so that a damaged log can still be dropped; what is wrong is
** told on first use. No shadow name is claimed: since SQLite 3.44 a claimed table with a trigger makes
** the whole schema unreadable under DEFENSIVE. SQLITE_VTAB_CONSTRAINT_SUPPORT is never set: with it
** `UPDATE OR IGNORE orders` would change the order and drop its entry without a word.
*/
#include "log_table.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "events.h"
#include "log_extend.h"
#include "log_hold.h"
#include "log_values.h"
#include "storage.h"

static rbt_log *log_of(sqlite3_vtab *table) {
    return ((rbt_log_vtab *)table)->log;
}

static int connect(sqlite3 *db, void *connection, int argc, const char *const *argv,
                   sqlite3_vtab **out, char **message, bool create) {
    rbt_error error = {0};
    rbt_buffer columns = {0};
    rbt_log_vtab *table = rbt_calloc(sizeof *table);
    if (!table) rbt_fail_nomem(&error);
    if (table)
        table->log = rbt_log_connect(connection, argv[1], argv[2], argc - 3, argv + 3, &error);
    if (table && table->log) {
        rbt_declaration_vtab(&columns, table->log->declaration);
        char *text = rbt_buffer_text(&columns);
        if (!text)
            rbt_fail_nomem(&error);
        else if (sqlite3_declare_vtab(db, text) != SQLITE_OK ||
                 sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS) != SQLITE_OK)
            rbt_fail_db(&error, db, argv[2]);
        else if (create && rbt_log_is_extending(table->log))
            rbt_log_adopt(table->log, &error);
        else if (create)
            rbt_log_create(table->log, &error);
    }
    rbt_buffer_free(&columns);
    if (error.code != SQLITE_OK) {
        int code = error.code;
        *message = error.message;
        error.message = NULL;
        rbt_error_clear(&error);
        if (table) rbt_log_release(table->log);
        rbt_free(table);
        return code;
    }
    *out = &table->base;
    return SQLITE_OK;
}

static int log_create(sqlite3 *db, void *connection, int argc, const char *const *argv,
                      sqlite3_vtab **out, char **message) {
    return connect(db, connection, argc, argv, out, message, true);
}

static int log_connect(sqlite3 *db, void *connection, int argc, const char *const *argv,
                       sqlite3_vtab **out, char **message) {
    return connect(db, connection, argc, argv, out, message, false);
}

static int log_disconnect(sqlite3_vtab *table) {
    rbt_log_release(log_of(table));
    sqlite3_free(table->zErrMsg); /* SQLite does not fetch it after xDestroy and xSavepoint */
    rbt_free(table);
    return SQLITE_OK;
}

/* DROP: an empty log, or one that audit_discard named on this connection. SQLite does not show a message
** from here, so README and audit_discard say it. */
static int log_destroy(sqlite3_vtab *table) {
    rbt_log *log = log_of(table);
    rbt_error error = {0};
    if (rbt_log_is_extending(log)) return log_disconnect(table);
    if (!rbt_log_is_discarded(log) && rbt_log_peek(log, &error) == SQLITE_OK &&
        log->frontier.size > 1)
        rbt_fail(&error, SQLITE_READONLY, "%s: the log has entries", log->name);
    /* a hold may have been made since audit_discard, or be on a log that is empty yet */
    if (error.code == SQLITE_OK) rbt_hold_refuse(log, false, log->name, &error);
    if (error.code == SQLITE_OK) rbt_storage_drop(log->db, log->schema, log->name, &error);
    int code = rbt_vtab_error(table, &error);
    if (code != SQLITE_OK) return code;
    rbt_log_undiscard(log);
    rbt_log_forget(log, true);
    return log_disconnect(table);
}

static int log_rename(sqlite3_vtab *table, const char *name) {
    rbt_error error = {0};
    rbt_fail(&error, SQLITE_READONLY,
             "%s: a log keeps its name, which its archives carry; it cannot become \"%s\"",
             log_of(table)->name, name);
    return rbt_vtab_error(table, &error);
}

static int log_best_index(sqlite3_vtab *table, sqlite3_index_info *info) {
    rbt_error error = {0};
    rbt_log_best_index(log_of(table), info, &error);
    return rbt_vtab_error(table, &error);
}

/* argv: old rowid, new rowid, id, recorded_at, the declared columns, tier (sqlite.org/vtab.html §2.13). */
static int log_update(sqlite3_vtab *table, int argc, sqlite3_value **argv, sqlite3_int64 *rowid) {
    rbt_log *log = log_of(table);
    rbt_error error = {0};
    if (argc == 1) {
        rbt_fail(&error, SQLITE_READONLY, "%s is append-only: entries are never deleted",
                 log->name);
    } else if (sqlite3_value_type(argv[0]) != SQLITE_NULL) {
        rbt_fail(&error, SQLITE_READONLY, "%s is append-only: entries are never changed",
                 log->name);
    } else if (sqlite3_stricmp(log->name, RBT_EVENTS_LOG) == 0 &&
               sqlite3_value_pointer(argv[argc - 1], RBT_EVENTS_PASS) == NULL) {
        rbt_fail(&error, SQLITE_READONLY,
                 RBT_EVENTS_LOG " is written by rustybt alone, when something is done to a log");
    } else if (sqlite3_value_type(argv[1]) != SQLITE_NULL ||
               sqlite3_value_type(argv[2]) != SQLITE_NULL) {
        rbt_fail(&error, SQLITE_ERROR, "%s: id is given by the log; leave it out or NULL",
                 log->name);
    } else if (sqlite3_value_type(argv[3]) != SQLITE_NULL) {
        rbt_fail(&error, SQLITE_ERROR,
                 "%s: recorded_at is given by the log's own clock; leave it out or NULL",
                 log->name);
    } else if (sqlite3_value_type(argv[argc - 1]) != SQLITE_NULL) {
        rbt_fail(&error, SQLITE_ERROR, "%s: tier is given by the log; leave it out", log->name);
    } else if (rbt_log_values(log, argv + 2 + RBT_LOG_COLUMN_FIRST, &error) == SQLITE_OK) {
        int64_t id = 0;
        if (rbt_log_append(log, log->values, &id, &error) == SQLITE_OK) *rowid = id;
    }
    return rbt_vtab_error(table, &error);
}

/* The write lock is held from here on; the first append reads the head. */
static int log_begin(sqlite3_vtab *table) {
    (void)table;
    return SQLITE_OK;
}

static int log_sync(sqlite3_vtab *table) {
    rbt_error error = {0};
    rbt_log_sync(log_of(table), &error);
    return rbt_vtab_error(table, &error);
}

static int log_commit(sqlite3_vtab *table) {
    rbt_log_forget(log_of(table), true);
    return SQLITE_OK;
}

static int log_rollback(sqlite3_vtab *table) {
    log_of(table)->recorded = false;
    return log_commit(table);
}

/* SQLite may wrap each statement that runs inside our own work in a savepoint, and roll it back when the
** statement fails, or when it only finds the schema changed and is prepared anew. Neither touches what the
** state remembers, which counts a write once it has succeeded. */
static int log_savepoint(sqlite3_vtab *table, int number) {
    (void)number;
    rbt_error error = {0};
    if (log_of(table)->working == 0) rbt_log_flush(log_of(table), &error);
    return rbt_vtab_error(table, &error);
}

static int log_release_savepoint(sqlite3_vtab *table, int number) {
    (void)table;
    (void)number;
    return SQLITE_OK;
}

/* The number may be one that was never announced, or -1: whatever it is, read again. */
static int log_rollback_to(sqlite3_vtab *table, int number) {
    (void)number;
    log_of(table)->recorded = false;
    if (log_of(table)->working == 0) rbt_log_forget(log_of(table), false);
    return SQLITE_OK;
}

/* An older SQLite reads of it what it knows. */
const rbt_module_v4 rbt_audit_log_module = {
    .base = {.iVersion = 4,
             .xCreate = log_create,
             .xConnect = log_connect,
             .xBestIndex = log_best_index,
             .xDisconnect = log_disconnect,
             .xDestroy = log_destroy,
             .xOpen = rbt_log_cursor_open,
             .xClose = rbt_log_cursor_close,
             .xFilter = rbt_log_cursor_filter,
             .xNext = rbt_log_cursor_next,
             .xEof = rbt_log_cursor_eof,
             .xColumn = rbt_log_cursor_column,
             .xRowid = rbt_log_cursor_rowid,
             .xUpdate = log_update,
             .xBegin = log_begin,
             .xSync = log_sync,
             .xCommit = log_commit,
             .xRollback = log_rollback,
             .xRename = log_rename,
             .xSavepoint = log_savepoint,
             .xRelease = log_release_savepoint,
             .xRollbackTo = log_rollback_to,
#if SQLITE_VERSION_NUMBER >= 3044000
             .xIntegrity = rbt_log_integrity},
#else
},
.xIntegrity = rbt_log_integrity,
#endif
};
