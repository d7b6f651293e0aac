/* SPDX-License-Identifier: MIT
** See events.h. May call base and crypto, and audit_log through SQL.
*/
#include "events.h"

#include "../base/sql_util.h"
#include "../crypto/keys.h"
#include "log_state.h"

/* Whether the schema has the log; another object of its name is an error. */
static int find_events(rbt_connection *connection, const char *schema, const char *who,
                       bool *present, rbt_error *error) {
    *present = false;
    sqlite3_stmt *lookup = rbt_prepare(
        connection->db, error, who,
        "SELECT sql FROM \"%w\".sqlite_schema WHERE name = '" RBT_EVENTS_LOG "'", schema);
    if (!lookup) return error->code;
    if (sqlite3_step(lookup) == SQLITE_ROW) {
        *present = true;
        const char *sql = (const char *)sqlite3_column_text(lookup, 0);
        if (!sql && sqlite3_column_type(lookup, 0) == SQLITE_TEXT)
            rbt_fail_nomem(error);
        else if (!rbt_declares_log(sql))
            rbt_fail(error, SQLITE_ERROR, "%s: %s exists and is not an audit log", who,
                     RBT_EVENTS_LOG);
    }
    if (sqlite3_finalize(lookup) != SQLITE_OK) rbt_fail_db(error, connection->db, who);
    return error->code;
}

int rbt_events_prepare(rbt_connection *connection, const char *schema, const char *who,
                       rbt_error *error) {
    bool present;
    if (find_events(connection, schema, who, &present, error) != SQLITE_OK || present)
        return error->code;
    const rbt_keys *keys = rbt_connection_keys(connection, who, error);
    if (!keys) return error->code;
    /* Another process may have made it by now, or something else of its name. */
    rbt_execute(connection->db, error, who,
                "CREATE VIRTUAL TABLE IF NOT EXISTS \"%w\"." RBT_EVENTS_LOG
                " USING audit_log(action TEXT NOT NULL, log TEXT NOT NULL, detail JSON NOT "
                "NULL, INDEX(log)%s)",
                schema, rbt_keys_count(keys) > 0 ? "" : ", seal=no");
    return find_events(connection, schema, who, &present, error);
}

int rbt_events_add(rbt_connection *connection, const char *schema, const char *action,
                   const char *log, rbt_buffer *detail, const char *who, rbt_error *error) {
    char *text = rbt_buffer_text(detail);
    if (!text) return rbt_fail_nomem(error);
    sqlite3_stmt *insert = rbt_prepare(connection->db, error, who,
                                       "INSERT INTO \"%w\"." RBT_EVENTS_LOG
                                       "(action, log, detail, tier) VALUES(?1, ?2, ?3, ?4)",
                                       schema);
    if (!insert) return error->code;
    sqlite3_bind_text(insert, 1, action, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 2, log, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 3, text, -1, SQLITE_STATIC);
    /* no SQL can make such a value (sqlite.org/bindptr.html) */
    sqlite3_bind_pointer(insert, 4, connection, RBT_EVENTS_PASS, NULL);
    rbt_run(connection->db, insert, error, who);
    sqlite3_finalize(insert);
    return error->code;
}

int rbt_events_visit(rbt_connection *connection, const char *schema, const char *action,
                     const char *log, const char *who, rbt_event_visitor visit, void *context,
                     rbt_error *error) {
    bool present;
    if (find_events(connection, schema, who, &present, error) != SQLITE_OK || !present)
        return error->code;
    /* through the log, not its storage: what was archived and pruned counts, too */
    sqlite3_stmt *rows = rbt_prepare(connection->db, error, who,
                                     "SELECT detail, recorded_at FROM \"%w\"." RBT_EVENTS_LOG
                                     " WHERE log = %Q AND action = %Q ORDER BY id",
                                     schema, log, action);
    while (rows && error->code == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW) {
        const char *detail = (const char *)sqlite3_column_text(rows, 0);
        if (!detail)
            rbt_fail_nomem(error);
        else
            visit(context, sqlite3_column_int64(rows, 1), detail,
                  (size_t)sqlite3_column_bytes(rows, 0), error);
    }
    if (rows && sqlite3_finalize(rows) != SQLITE_OK) rbt_fail_db(error, connection->db, who);
    return error->code;
}

bool rbt_events_has(rbt_connection *connection, const char *schema, int64_t id, const char *action,
                    const char *log) {
    rbt_error missing = {0};
    sqlite3_stmt *lookup = rbt_prepare(connection->db, &missing, RBT_EVENTS_LOG,
                                       "SELECT 1 FROM \"%w\"." RBT_EVENTS_LOG "_rows WHERE id = "
                                       "%lld AND action = %Q AND log = %Q",
                                       schema, (long long)id, action, log);
    bool found = lookup && sqlite3_step(lookup) == SQLITE_ROW;
    sqlite3_finalize(lookup); /* a step that failed found nothing */
    rbt_error_clear(&missing);
    return found;
}
