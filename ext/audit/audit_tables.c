/* SPDX-License-Identifier: MIT
** The tables that show logs: audit_verify, audit_logs, audit_segments, and the module audit_log itself.
** May call base and audit.
*/
#include "audit_sql.h"

#include "../base/list_table.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "checkpoint_store.h"
#include "log_hold.h"
#include "log_list.h"
#include "log_paths.h"
#include "log_table.h"
#include "log_verify.h"
#include "settings.h"

static void add_finding(void *context, const char *level, const char *kind, int64_t id,
                        const char *detail) {
    rbt_list *list = context;
    rbt_list_text(list, level);
    rbt_list_text(list, kind);
    if (id >= 0)
        rbt_list_i64(list, id);
    else
        rbt_list_null(list);
    rbt_list_text(list, detail);
}

static int fill_verify(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                       rbt_error *error) {
    static const char who[] = "audit_verify";
    const char *checkpoint = NULL, *vkeys = NULL;
    int64_t problems;
    rbt_buffer note = {0};
    const char *name = rbt_text_argument(arguments[0], who, "log", error);
    if (arguments[1])
        checkpoint = rbt_audit_note_argument(&note, arguments[1], who, "checkpoint", error);
    if (arguments[2]) vkeys = rbt_text_argument(arguments[2], who, "vkeys", error);
    if (error->code == SQLITE_OK)
        rbt_logs_verify(connection, name, checkpoint, vkeys, add_finding, list, &problems, error);
    rbt_buffer_free(&note);
    return error->code;
}

static const rbt_list_spec verify_spec = {
    "audit_verify",
    "level TEXT, kind TEXT, id INTEGER, detail TEXT, log HIDDEN, checkpoint HIDDEN, vkeys HIDDEN",
    4,
    3,
    1,
    true,
    fill_verify};
RBT_LIST_TABLE(verify_module, verify_spec);

static void add_text_or_null(rbt_list *list, const char *text) {
    rbt_list_text(list, text);
}

static int count_segments(rbt_log *log, int64_t *count, rbt_error *error) {
    sqlite3_stmt *statement = rbt_prepare(log->db, error, "audit_logs",
                                          "SELECT count(*) FROM \"%w\".\"%w_segments\" WHERE "
                                          "status = 'published'",
                                          log->schema, log->name);
    *count = 0;
    if (statement && sqlite3_step(statement) == SQLITE_ROW)
        *count = sqlite3_column_int64(statement, 0);
    if (statement && sqlite3_finalize(statement) != SQLITE_OK)
        rbt_fail_db(error, log->db, "audit_logs");
    return error->code;
}

/* A damaged log is listed with its name and NULLs: audit_verify tells what is wrong. */
static int list_log(rbt_log *log, void *context, rbt_error *error) {
    rbt_list *list = context;
    rbt_error damage = {0};
    int64_t archived_to = 0, segments = 0;
    uint64_t checkpoint_size = 0;
    rbt_buffer checkpoint = {0};
    bool found = false, has_checkpoint = false;
    if (rbt_log_peek(log, &damage) == SQLITE_OK &&
        rbt_log_meta_i64(log, "archived_to", &archived_to, &found, &damage) == SQLITE_OK &&
        count_segments(log, &segments, &damage) == SQLITE_OK)
        rbt_checkpoint_newest(log, &checkpoint, &checkpoint_size, &has_checkpoint, &damage);
    rbt_buffer_free(&checkpoint);
    bool intact = damage.code == SQLITE_OK;
    if (damage.code == SQLITE_NOMEM || damage.code == SQLITE_BUSY)
        rbt_fail(error, damage.code, "%s", damage.message ? damage.message : log->name);
    rbt_error_clear(&damage);
    rbt_settings settings = {0};
    rbt_holds holds = {0};
    int64_t held = 0;
    /* as written: audit_holds and whatever relies on them verify them first */
    rbt_holds_read(&holds, log->logs->connection, log->schema, false, "audit_logs", &damage);
    bool holds_known = damage.code == SQLITE_OK;
    if (damage.code == SQLITE_NOMEM || damage.code == SQLITE_BUSY)
        rbt_fail(error, damage.code, "%s", damage.message ? damage.message : log->name);
    rbt_error_clear(&damage);
    for (size_t i = 0; i < holds.count; i++)
        held += rbt_hold_is_on(&holds.items[i], log);
    rbt_holds_free(&holds);
    /* where it cannot be read, as declared: audit_verify tells of damage */
    rbt_settings_read(&settings, log, "audit_logs", &damage);
    if (damage.code == SQLITE_NOMEM || damage.code == SQLITE_BUSY)
        rbt_fail(error, damage.code, "%s", damage.message ? damage.message : log->name);
    rbt_error_clear(&damage);
    int64_t entries = (int64_t)log->frontier.size - 1;
    rbt_list_text(list, log->name);
    rbt_list_text(list, log->schema);
    if (intact) {
        rbt_list_i64(list, entries);
        rbt_list_i64(list, entries - log->pruned_to);
        rbt_list_i64(list, archived_to);
        rbt_list_i64(list, log->pruned_to);
        rbt_list_i64(list, segments);
    } else {
        for (int i = 0; i < 5; i++)
            rbt_list_null(list);
    }
    add_text_or_null(list, settings.archive);
    add_text_or_null(list, settings.archive_after);
    add_text_or_null(list, settings.retain);
    rbt_settings_free(&settings);
    rbt_list_i64(list, log->declaration->sealed);
    add_text_or_null(list, intact ? log->origin : NULL);
    if (intact && has_checkpoint)
        rbt_list_i64(list, (int64_t)checkpoint_size);
    else
        rbt_list_null(list);
    if (holds_known)
        rbt_list_i64(list, held);
    else
        rbt_list_null(list);
    return error->code;
}

static int fill_logs(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                     rbt_error *error) {
    (void)arguments;
    return rbt_logs_visit(connection, "*", "audit_logs", list_log, list, error);
}

static const rbt_list_spec logs_spec = {
    "audit_logs",
    "name TEXT, schema TEXT, entries INTEGER, hot INTEGER, archived_to INTEGER, pruned_to INTEGER, "
    "segments INTEGER, archive TEXT, archive_after TEXT, retain TEXT, sealed INTEGER, origin TEXT, "
    "last_checkpoint_size INTEGER, held INTEGER",
    14,
    0,
    0,
    true,
    fill_logs};
RBT_LIST_TABLE(logs_module, logs_spec);

static int list_segments(rbt_log *log, void *context, rbt_error *error) {
    rbt_list *list = context;
    sqlite3_stmt *rows = rbt_prepare(
        log->db, error, "audit_segments",
        "SELECT directory, file, first_id, last_id, rows, raw_bytes, file_bytes, "
        "lower(hex(root)), published_us, expires_us, status FROM \"%w\".\"%w_segments\" "
        "ORDER BY first_id",
        log->schema, log->name);
    if (!rows) return error->code;
    while (sqlite3_step(rows) == SQLITE_ROW) {
        rbt_buffer path = {0};
        const char *directory = (const char *)sqlite3_column_text(rows, 0);
        const char *file = (const char *)sqlite3_column_text(rows, 1);
        rbt_log_segment_path(&path, log, directory ? directory : "", file ? file : "");
        rbt_list_text(list, rbt_buffer_text(&path));
        rbt_buffer_free(&path);
        for (int column = 2; column <= 10; column++)
            rbt_list_value(list, sqlite3_column_value(rows, column));
    }
    if (sqlite3_finalize(rows) != SQLITE_OK) rbt_fail_db(error, log->db, "audit_segments");
    return error->code;
}

static int fill_segments(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                         rbt_error *error) {
    static const char who[] = "audit_segments";
    const char *name = rbt_text_argument(arguments[0], who, "log", error);
    if (name) rbt_logs_visit(connection, name, who, list_segments, list, error);
    return error->code;
}

static const rbt_list_spec segments_spec = {
    "audit_segments",
    "path TEXT, first_id INTEGER, last_id INTEGER, rows INTEGER, raw_bytes INTEGER, file_bytes "
    "INTEGER, root TEXT, published_us INTEGER, expires_us INTEGER, status TEXT, log HIDDEN",
    10,
    1,
    1,
    true,
    fill_segments};
RBT_LIST_TABLE(segments_module, segments_spec);

const rbt_table rbt_audit_tables[] = {
    {"audit_log", &rbt_audit_log_module.base,
     "CREATE VIRTUAL TABLE name USING audit_log(column TYPE, …)", "encryption",
     "an append-only, tamper-evident log",
     "CREATE VIRTUAL TABLE access_log USING audit_log(who TEXT NOT NULL, what JSON NOT NULL)"},
    {"audit_verify", &verify_module, "audit_verify(log[, checkpoint[, vkeys]])", "verify",
     "every problem of a log, one a row; intact: one row of level info",
     "SELECT * FROM audit_verify('order_audit_log')"},
    {"audit_logs", &logs_module, "audit_logs", "nothing", "every log of the database",
     "SELECT * FROM audit_logs"},
    {"audit_segments", &segments_module, "audit_segments(log)", "nothing",
     "the segments that a log was archived into",
     "SELECT * FROM audit_segments('order_audit_log')"},
    {0}};
