/* SPDX-License-Identifier: MIT
** See log_list.h. May call base and audit's state.
*/
#include "log_list.h"

#include "../base/memory.h"
#include "../base/sql_util.h"

/* Names are gathered before any is visited: a visitor may write, and then no statement of ours may be
** reading. They are kept as "schema.name", each behind its NUL. */
static int gather(rbt_connection *connection, const char *schema, const char *who,
                  rbt_buffer *names, rbt_error *error) {
    sqlite3_stmt *rows = rbt_prepare(
        connection->db, error, who,
        "SELECT name, sql FROM \"%w\".sqlite_schema WHERE type = 'table' ORDER BY name", schema);
    if (!rows) return error->code;
    while (sqlite3_step(rows) == SQLITE_ROW) {
        if (sqlite3_column_type(rows, 1) != SQLITE_TEXT) continue;
        const char *name = (const char *)sqlite3_column_text(rows, 0);
        const char *sql = (const char *)sqlite3_column_text(rows, 1);
        if (!name || !sql) rbt_fail_nomem(error); /* else a log would be passed over in silence */
        if (!name || !rbt_declares_log(sql)) continue;
        rbt_buffer_add_text(names, schema);
        rbt_buffer_add_byte(names, '.');
        rbt_buffer_add_text(names, name);
        rbt_buffer_add_byte(names, 0);
    }
    if (sqlite3_finalize(rows) != SQLITE_OK) rbt_fail_db(error, connection->db, who);
    return error->code;
}

static int visit_one(rbt_connection *connection, const char *name, const char *who,
                     rbt_log_visitor visit, void *context, rbt_error *error) {
    rbt_log *log = rbt_log_find(connection, name, who, error);
    if (log) visit(log, context, error);
    rbt_log_release(log);
    return error->code;
}

int rbt_logs_visit(rbt_connection *connection, const char *name, const char *who,
                   rbt_log_visitor visit, void *context, rbt_error *error) {
    rbt_buffer names = {0};
    if (strcmp(name, "*") != 0) return visit_one(connection, name, who, visit, context, error);
    const char *schema;
    /* Not pragma_database_list: a table of that name in the file would answer in its place. */
    for (int i = 0; error->code == SQLITE_OK && (schema = sqlite3_db_name(connection->db, i)); i++)
        gather(connection, schema, who, &names, error);
    if (names.failed) rbt_fail_nomem(error);
    for (size_t at = 0; at < names.length && error->code == SQLITE_OK;
         at += strlen((const char *)names.data + at) + 1)
        visit_one(connection, (const char *)names.data + at, who, visit, context, error);
    rbt_buffer_free(&names);
    return error->code;
}

/* Storage without its log, in one schema. */
static int find_orphans(rbt_connection *connection, const char *schema, const char *who,
                        rbt_orphan_visitor visit, void *context, rbt_error *error) {
    sqlite3_stmt *rows = rbt_prepare(
        connection->db, error, who,
        "SELECT substr(g.name, 1, length(g.name) - 5) AS log, (SELECT l.sql FROM "
        "\"%w\".sqlite_schema AS l WHERE l.type = 'table' AND l.name = substr(g.name, 1, "
        "length(g.name) - 5)) FROM \"%w\".sqlite_schema AS g WHERE g.type = 'table' AND "
        "substr(g.name, -5) = '_gate' AND EXISTS(SELECT 1 FROM \"%w\".sqlite_schema AS r WHERE "
        "r.type = 'table' AND r.name = substr(g.name, 1, length(g.name) - 5) || '_rows') AND "
        "EXISTS(SELECT 1 FROM \"%w\".sqlite_schema AS m WHERE m.type = 'table' AND m.name = "
        "substr(g.name, 1, length(g.name) - 5) || '_meta') ORDER BY 1",
        schema, schema, schema, schema);
    if (!rows) return error->code;
    while (sqlite3_step(rows) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(rows, 0);
        bool declared = sqlite3_column_type(rows, 1) == SQLITE_TEXT;
        const char *sql = (const char *)sqlite3_column_text(rows, 1);
        if (!name || (declared && !sql))
            rbt_fail_nomem(error);
        else if (!rbt_declares_log(sql))
            visit(context, schema, name);
    }
    if (sqlite3_finalize(rows) != SQLITE_OK) rbt_fail_db(error, connection->db, who);
    return error->code;
}

int rbt_logs_orphans(rbt_connection *connection, const char *who, rbt_orphan_visitor visit,
                     void *context, rbt_error *error) {
    const char *schema;
    for (int i = 0; error->code == SQLITE_OK && (schema = sqlite3_db_name(connection->db, i)); i++)
        find_orphans(connection, schema, who, visit, context, error);
    return error->code;
}
