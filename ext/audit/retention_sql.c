/* SPDX-License-Identifier: MIT
** See retention_sql.h. SQL glue: arguments in, results out. May call base and audit.
*/
#include "retention_sql.h"

#include "../base/list_table.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "audit_sql.h"
#include "events.h"
#include "lifecycle.h"
#include "log_hold.h"
#include "log_list.h"
#include "settings.h"

/* Text that says something. */
static const char *said_argument(sqlite3_value *value, const char *who, const char *argument,
                                 rbt_error *error) {
    const char *text = rbt_text_argument(value, who, argument, error);
    if (text == NULL) return NULL;
    if (text[strspn(text, " \t\r\n")] == 0) {
        rbt_fail(error, SQLITE_ERROR, "%s: %s must not be empty", who, argument);
        return NULL;
    }
    return text;
}

static int64_t id_argument(sqlite3_value *value, const char *who, const char *argument,
                           rbt_error *error) {
    if (sqlite3_value_type(value) != SQLITE_INTEGER)
        rbt_fail(error, SQLITE_ERROR, "%s: %s must be INTEGER, not %s", who, argument,
                 rbt_type_name(sqlite3_value_type(value)));
    return sqlite3_value_int64(value);
}

/* What acts is called by itself: from a statement that writes or reads it could be a hostile schema's
** doing (a CHECK on SQLite 3.40), and what it writes would end in BUSY_SNAPSHOT. */
static int require_alone(sqlite3 *db, const char *who, const char *arguments, rbt_error *error) {
    bool reads = false;
    const char *schema;
    for (int i = 0; !reads && (schema = sqlite3_db_name(db, i)); i++)
        reads = sqlite3_txn_state(db, schema) != SQLITE_TXN_NONE;
    if (rbt_inside_a_write(db) || (sqlite3_get_autocommit(db) && reads))
        rbt_fail(error, SQLITE_ERROR,
                 "%s: it must be called by itself, without FROM: SELECT %s(%s)", who, who,
                 arguments);
    return error->code;
}

static void give(sqlite3_context *context, rbt_buffer *line, rbt_error *error) {
    if (error->code == SQLITE_OK)
        rbt_result_text(context, line);
    else
        rbt_result_error(context, error);
    rbt_buffer_free(line);
}

static void audit_hold(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_hold";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_buffer line = {0};
    rbt_log *log = NULL;
    int64_t first_id = 0, last_id = 0;
    const char *name = rbt_text_argument(argv[0], who, "log", &error);
    const char *reason = said_argument(argv[1], who, "reason", &error);
    if (argc == 3)
        rbt_fail(&error, SQLITE_ERROR, "%s: first_id goes with last_id; give both, or neither",
                 who);
    if (argc == 4) {
        first_id = id_argument(argv[2], who, "first_id", &error);
        last_id = id_argument(argv[3], who, "last_id", &error);
        if (first_id < 1)
            rbt_fail(&error, SQLITE_ERROR, "%s: first_id must be at least 1, not %lld", who,
                     (long long)first_id);
    }
    require_alone(connection->db, who, "log, reason[, first_id, last_id]", &error);
    if (error.code == SQLITE_OK) log = rbt_log_find(connection, name, who, &error);
    if (log) rbt_hold_add(log, reason, first_id, last_id, &line, who, &error);
    rbt_log_release(log);
    give(context, &line, &error);
}

static void audit_release(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_release";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_buffer line = {0};
    (void)argc;
    int64_t hold_id = id_argument(argv[0], who, "hold_id", &error);
    const char *reason = said_argument(argv[1], who, "reason", &error);
    require_alone(connection->db, who, "hold_id, reason", &error);
    if (error.code == SQLITE_OK) rbt_hold_release(connection, hold_id, reason, &line, who, &error);
    give(context, &line, &error);
}

/* One call of audit_expire or audit_relocate. */
typedef struct call {
    bool every; /* '*': logs that it does not concern are passed over */
    int64_t as_of_us;
    const char *directory;
    rbt_buffer report;
    rbt_audit_each each;
} call;

static int end_of_log(call *c, rbt_buffer *line, rbt_error *error) {
    rbt_audit_add_report(&c->report, line);
    rbt_buffer_free(line);
    return rbt_audit_each_done(&c->each, c->every, error);
}

static int expire_log(rbt_log *log, void *context, rbt_error *error) {
    call *c = context;
    rbt_settings settings = {0};
    bool passed_over = false;
    if (c->every) {
        rbt_settings_read(&settings, log, "audit_expire", error);
        passed_over = !settings.retain || sqlite3_stricmp(log->name, RBT_EVENTS_LOG) == 0;
        rbt_settings_free(&settings);
    }
    if (error->code != SQLITE_OK || passed_over) return error->code;
    rbt_buffer line = {0};
    rbt_expire_run(log, c->as_of_us, &line, error);
    return end_of_log(c, &line, error);
}

static void audit_expire(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_expire";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    call c = {.as_of_us = INT64_MIN};
    const char *name = rbt_text_argument(argv[0], who, "log", &error);
    if (argc > 1 && error.code == SQLITE_OK)
        rbt_audit_time_argument(connection->db, argv[1], who, "as_of", &c.as_of_us, &error);
    if (rbt_inside_a_write(connection->db))
        rbt_fail(&error, SQLITE_ERROR, "%s: it must be called by itself, as SELECT %s(log)", who,
                 who);
    if (error.code == SQLITE_OK) {
        c.every = strcmp(name, "*") == 0;
        rbt_logs_visit(connection, name, who, expire_log, &c, &error);
        rbt_audit_each_end(&c.each, &error);
    }
    if (error.code == SQLITE_OK && c.report.length == 0)
        rbt_buffer_add_text(&c.report, "nothing expired: no log declares retain");
    give(context, &c.report, &error);
}

static int relocate_log(rbt_log *log, void *context, rbt_error *error) {
    call *c = context;
    rbt_buffer line = {0};
    rbt_relocate_run(log, c->directory, &line, error);
    return end_of_log(c, &line, error);
}

static void audit_relocate(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_relocate";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    call c = {0};
    (void)argc;
    const char *name = rbt_text_argument(argv[0], who, "log", &error);
    c.directory = rbt_text_argument(argv[1], who, "directory", &error);
    if (rbt_inside_a_write(connection->db))
        rbt_fail(&error, SQLITE_ERROR,
                 "%s: it must be called by itself, as SELECT %s(log, directory)", who, who);
    if (error.code == SQLITE_OK) {
        c.every = strcmp(name, "*") == 0;
        rbt_logs_visit(connection, name, who, relocate_log, &c, &error);
        rbt_audit_each_end(&c.each, &error);
    }
    if (error.code == SQLITE_OK && c.report.length == 0)
        rbt_buffer_add_text(&c.report, "nothing to move: the database has no audit log");
    give(context, &c.report, &error);
}

static int fill_holds(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                      rbt_error *error) {
    const char *schema;
    (void)arguments;
    for (int i = 0; error->code == SQLITE_OK && (schema = sqlite3_db_name(connection->db, i));
         i++) {
        rbt_holds holds = {0};
        rbt_holds_read(&holds, connection, schema, true, "audit_holds", error);
        for (size_t k = 0; k < holds.count; k++) {
            const rbt_hold *hold = &holds.items[k];
            rbt_list_i64(list, hold->id);
            rbt_list_text(list, hold->log);
            if (hold->whole) {
                rbt_list_null(list);
                rbt_list_null(list);
            } else {
                rbt_list_i64(list, hold->first_id);
                rbt_list_i64(list, hold->last_id);
            }
            rbt_list_text(list, hold->reason);
            rbt_list_i64(list, hold->since_us);
        }
        rbt_holds_free(&holds);
    }
    return error->code;
}

static const rbt_list_spec holds_spec = {
    "audit_holds",
    "hold_id INTEGER, log TEXT, first_id INTEGER, last_id INTEGER, reason TEXT, since_us INTEGER",
    6,
    0,
    0,
    true,
    fill_holds};
RBT_LIST_TABLE(holds_module, holds_spec);

const rbt_function rbt_retention_functions[] = {
    {"audit_hold", 2, 4, RBT_DIRECT, audit_hold, "audit_hold(log, reason[, first_id, last_id])",
     "encryption",
     "keeps entries, or all of a log, from expiring until the hold is released; the line names "
     "the hold",
     "SELECT audit_hold('order_audit_log', 'inquiry 17/2026')"},
    {"audit_release", 2, 2, RBT_DIRECT, audit_release, "audit_release(hold_id, reason)",
     "encryption", "ends a hold; both stay in rustybt_events",
     "SELECT audit_release(1, 'inquiry closed')"},
    {"audit_expire", 1, 2, RBT_DIRECT, audit_expire, "audit_expire(log[, as_of])", "verify",
     "verifies a log and removes the segments that are past its retain and not held; '*' for all "
     "logs",
     "SELECT audit_expire('*')"},
    {"audit_relocate", 2, 2, RBT_DIRECT, audit_relocate, "audit_relocate(log, directory)",
     "encryption",
     "moves a log's segments to another folder, each verified there first; '*' for all logs",
     "SELECT audit_relocate('order_audit_log', 'colder')"},
    {0}};

const rbt_table rbt_retention_tables[] = {
    {"audit_holds", &holds_module, "audit_holds", "verify",
     "the holds that stand, once rustybt_events has been verified", "SELECT * FROM audit_holds"},
    {0}};
