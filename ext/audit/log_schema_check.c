/* SPDX-License-Identifier: MIT
** See log_verify.h. May call base and audit.
*/
#include "log_verify.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "storage.h"

static int check_object(rbt_verification *v, sqlite3_stmt *lookup, const rbt_storage_object *object,
                        rbt_error *error) {
    rbt_log *log = v->log;
    sqlite3_bind_text(lookup, 1, object->type, -1, SQLITE_STATIC);
    sqlite3_bind_text(lookup, 2, object->name, -1, SQLITE_STATIC);
    int code = sqlite3_step(lookup);
    if (code == SQLITE_ROW) {
        const char *sql = (const char *)sqlite3_column_text(lookup, 0);
        if (!sql || strcmp(sql, object->sql) != 0)
            rbt_log_problem(v, "schema", -1, "%s %s was changed; it should read: %s; it reads: %s",
                            object->type, object->name, object->sql, sql ? sql : "NULL");
    } else if (code == SQLITE_DONE) {
        rbt_log_problem(v, "schema", -1, "%s %s is missing; it should read: %s", object->type,
                        object->name, object->sql);
    } else {
        rbt_fail_db(error, log->db, log->name);
    }
    sqlite3_reset(lookup);
    return error->code;
}

/* sql: what the object must read, too; NULL: the name is enough. */
static bool is_ours(const rbt_storage *storage, const char *type, const char *name,
                    const char *sql) {
    for (size_t i = 0; i < storage->count; i++)
        if (strcmp(storage->objects[i].type, type) == 0 &&
            sqlite3_stricmp(storage->objects[i].name, name) == 0)
            return !sql || strcmp(storage->objects[i].sql, sql) == 0;
    return false;
}

/* Triggers and indexes on our tables that are not ours, in the log's own schema. In temp there may be a log
** of the same name: its indexes are on temp's own tables, and its triggers read as ours do. */
static int check_foreign(rbt_verification *v, const rbt_storage *storage, const char *schema,
                         rbt_error *error) {
    rbt_log *log = v->log;
    bool own = strcmp(schema, log->schema) == 0;
    sqlite3_stmt *list = rbt_prepare(
        log->db, error, log->name,
        "SELECT type, name, tbl_name, sql FROM \"%w\".sqlite_schema WHERE type IN (%s'trigger') "
        "AND sql IS NOT NULL AND lower(tbl_name) IN (lower('%q_rows'), lower('%q_gate'), "
        "lower('%q_tree'), lower('%q_segments'), lower('%q_meta'))",
        schema, own ? "'index', " : "", log->name, log->name, log->name, log->name, log->name);
    if (!list) return error->code;
    while (sqlite3_step(list) == SQLITE_ROW) {
        const char *type = (const char *)sqlite3_column_text(list, 0);
        const char *name = (const char *)sqlite3_column_text(list, 1);
        const char *table = (const char *)sqlite3_column_text(list, 2);
        const char *sql = (const char *)sqlite3_column_text(list, 3);
        if (!type || !name || !table || !sql) {
            rbt_fail_nomem(error);
            break;
        }
        if (!is_ours(storage, type, name, own ? NULL : sql))
            rbt_log_problem(v, "foreign", -1,
                            "%s \"%s\" in schema %s stands on the log's storage %s", type, name,
                            schema, table);
    }
    if (sqlite3_finalize(list) != SQLITE_OK) rbt_fail_db(error, log->db, log->name);
    return error->code;
}

/* The gate must be shut for everyone between transactions; inside ours it is open. */
static int check_gate(rbt_verification *v, rbt_error *error) {
    rbt_log *log = v->log;
    rbt_error missing = {0};
    if (log->touched) return SQLITE_OK;
    sqlite3_stmt *gate =
        rbt_prepare(log->db, &missing, log->name,
                    "SELECT count(*), sum(id = 1 AND size = 9223372036854775807), "
                    "sum(id = 2 AND size = -1), "
                    "group_concat(id || ': ' || size, ', ') FROM \"%w\".\"%w_gate\"",
                    log->schema, log->name);
    if (!gate) { /* a missing table is reported with the schema */
        if (missing.code == SQLITE_NOMEM) rbt_fail_nomem(error);
        rbt_error_clear(&missing);
        return error->code;
    }
    if (sqlite3_step(gate) == SQLITE_ROW &&
        (sqlite3_column_int64(gate, 0) != 2 || sqlite3_column_int64(gate, 1) != 1 ||
         sqlite3_column_int64(gate, 2) != 1))
        rbt_log_problem(v, "gate", -1,
                        "the gate of the log stands open or was changed; it should be 1: "
                        "9223372036854775807, 2: -1; it is %s",
                        sqlite3_column_text(gate, 3) ? (const char *)sqlite3_column_text(gate, 3)
                                                     : "empty");
    if (sqlite3_finalize(gate) != SQLITE_OK) rbt_fail_db(error, log->db, log->name);
    return error->code;
}

int rbt_log_check_schema(rbt_verification *v, rbt_error *error) {
    rbt_log *log = v->log;
    rbt_storage storage = {0};
    int64_t before = v->problems;
    if (rbt_storage_build(&storage, log->name, log->declaration, error) == SQLITE_OK) {
        sqlite3_stmt *lookup = rbt_prepare(
            log->db, error, log->name,
            "SELECT sql FROM \"%w\".sqlite_schema WHERE type = ?1 AND name = ?2", log->schema);
        for (size_t i = 0; lookup && i < storage.count && error->code == SQLITE_OK; i++)
            check_object(v, lookup, &storage.objects[i], error);
        sqlite3_finalize(lookup);
    }
    if (error->code == SQLITE_OK) check_foreign(v, &storage, log->schema, error);
    if (error->code == SQLITE_OK && sqlite3_stricmp(log->schema, "temp") != 0)
        check_foreign(v, &storage, "temp", error);
    if (error->code == SQLITE_OK) check_gate(v, error);
    v->storage_intact = error->code == SQLITE_OK && v->problems == before;
    rbt_storage_free(&storage);
    return error->code;
}
