/* SPDX-License-Identifier: MIT
** See events_check.h.
*/
#include "events_check.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "events.h"
#include "log_verify.h"

/* Keeps the first problem. */
static void first_problem(void *context, const char *level, const char *kind, int64_t id,
                          const char *detail) {
    rbt_buffer *problem = context;
    (void)kind;
    (void)id;
    if (strcmp(level, "error") == 0 && problem->length == 0) rbt_buffer_add_text(problem, detail);
}

/* The events log of the schema; NULL without an error when that has nothing of the name. A log of that
** name in temp does not stand in for it. */
static rbt_log *events_of(rbt_connection *connection, const char *schema, const char *who,
                          rbt_error *error) {
    bool present = false;
    sqlite3_stmt *look = rbt_prepare(
        connection->db, error, who,
        "SELECT count(*) FROM \"%w\".sqlite_schema WHERE name IN ('" RBT_EVENTS_LOG
        "', '" RBT_EVENTS_LOG "_rows', '" RBT_EVENTS_LOG "_meta', '" RBT_EVENTS_LOG "_gate')",
        schema);
    if (look == NULL) return NULL;
    if (sqlite3_step(look) == SQLITE_ROW) present = sqlite3_column_int(look, 0) > 0;
    if (sqlite3_finalize(look) != SQLITE_OK) rbt_fail_db(error, connection->db, who);
    if (!present || error->code != SQLITE_OK) return NULL;
    char *name = sqlite3_mprintf("%s." RBT_EVENTS_LOG, schema);
    rbt_log *log = NULL;
    if (name)
        log = rbt_log_find(connection, name, who, error);
    else
        rbt_fail_nomem(error);
    rbt_free(name);
    if (log && (sqlite3_stricmp(log->schema, schema) != 0 ||
                sqlite3_stricmp(log->name, RBT_EVENTS_LOG) != 0)) {
        rbt_fail(error, SQLITE_ERROR, "%s: log \"%s\" of schema %s hides %s." RBT_EVENTS_LOG, who,
                 log->name, log->schema, schema);
        rbt_log_release(log);
        return NULL;
    }
    return log;
}

int rbt_events_verified(rbt_connection *connection, const char *schema, const char *who,
                        rbt_log **log, rbt_error *error) {
    rbt_buffer problem = {0};
    *log = events_of(connection, schema, who, error);
    if (*log == NULL) return error->code;
    rbt_verification verification = {
        .log = *log, .who = who, .sink = first_problem, .context = &problem};
    if (rbt_log_verify(&verification, NULL, NULL, error) == SQLITE_OK &&
        verification.problems > 0) {
        const char *text = rbt_buffer_text(&problem);
        rbt_fail(error, SQLITE_CORRUPT_VTAB,
                 "%s: it cannot be known which holds stand, since " RBT_EVENTS_LOG
                 " does not verify: %s",
                 who, text ? text : "out of memory");
    }
    rbt_buffer_free(&problem);
    if (error->code != SQLITE_OK) {
        rbt_log_release(*log);
        *log = NULL;
    }
    return error->code;
}

void rbt_events_add_log_id(rbt_buffer *detail, const rbt_log *log) {
    rbt_buffer_add_text(detail, "\"log_id\":\"");
    rbt_buffer_add_hex(detail, log->log_id, sizeof log->log_id);
    rbt_buffer_add_byte(detail, '"');
}
