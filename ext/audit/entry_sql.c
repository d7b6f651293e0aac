/* SPDX-License-Identifier: MIT
** audit_error(log, value, …): the sentence with which a log would refuse an entry of these values, one for
** each declared column in order, or NULL when it would take it. For millions of rows that are to be moved
** into a log: all that is wrong is listed before anything is written (sql/import.sql).
**
** The entry goes through the same functions as one that is appended, up to the line that would be hashed;
** its CHECKs, which SQLite tries when the row is stored, are tried in a SELECT. REFERENCES are not: they
** are deferred to COMMIT, and count under foreign_keys=ON only. May call base and audit.
*/
#include "entry_sql.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "log_state.h"
#include "log_values.h"

/* What is kept from one row to the next while the name of the log is a constant. */
typedef struct entry_check {
    rbt_log *log;
    sqlite3_stmt *checks; /* gives the number of the first CHECK that fails; NULL: none declared */
} entry_check;

static void entry_check_free(void *pointer) {
    entry_check *check = pointer;
    sqlite3_finalize(check->checks);
    rbt_log_release(check->log);
    rbt_free(check);
}

/* Adds ` WHEN NOT (expression) THEN number`; a CHECK that gives NULL holds. */
static void add_check(rbt_buffer *sql, const char *expression, int *number) {
    if (!expression) return;
    ++*number;
    rbt_buffer_printf(sql, " WHEN NOT (%s) THEN %d", expression, *number);
}

static const char *check_text(const rbt_declaration *declaration, int number) {
    for (size_t i = 0; i < declaration->shape.count; i++)
        if (declaration->columns[i].check && --number == 0) return declaration->columns[i].check;
    return declaration->checks[number - 1];
}

static const char *affinity(rbt_column_type type) {
    return type == RBT_COLUMN_JSON ? "TEXT" : rbt_column_type_name(type);
}

/* The columns stand there by name, with the affinity that comparisons in a CHECK go by. The values have
** their column's type already, so CAST changes none. */
static sqlite3_stmt *prepare_checks(const rbt_log *log, rbt_error *error) {
    const rbt_declaration *declaration = log->declaration;
    rbt_buffer sql = {0};
    sqlite3_stmt *checks = NULL;
    int number = 0;
    rbt_buffer_add_text(&sql, "SELECT CASE");
    for (size_t i = 0; i < declaration->shape.count; i++)
        add_check(&sql, declaration->columns[i].check, &number);
    for (size_t i = 0; i < declaration->check_count; i++)
        add_check(&sql, declaration->checks[i], &number);
    rbt_buffer_add_text(&sql, " END FROM (SELECT CAST(?1 AS INTEGER) AS id, CAST(?2 AS INTEGER) AS "
                              "recorded_at");
    for (size_t i = 0; i < declaration->shape.count; i++) {
        const rbt_leaf_column *column = &declaration->shape.columns[i];
        rbt_buffer_printf(&sql, ", CAST(?%d AS %s) AS ", (int)i + 3, affinity(column->type));
        rbt_add_identifier(&sql, column->name);
    }
    rbt_buffer_add_byte(&sql, ')');
    const char *text = rbt_buffer_text(&sql);
    if (!text)
        rbt_fail_nomem(error);
    else if (number > 0)
        checks = rbt_prepare(log->db, error, log->name, "%s", text);
    rbt_buffer_free(&sql);
    return checks;
}

/* The one of an earlier row, or a new one, which SQLite frees. NULL on failure. */
static const entry_check *find_check(sqlite3_context *context, const char *name, const char *who,
                                     rbt_error *error) {
    entry_check *check = sqlite3_get_auxdata(context, 0);
    if (check) return check;
    check = rbt_calloc(sizeof *check);
    if (!check) {
        rbt_fail_nomem(error);
        return NULL;
    }
    check->log = rbt_log_find(rbt_connection_of(context), name, who, error);
    if (check->log && rbt_log_peek(check->log, error) == SQLITE_OK)
        check->checks = prepare_checks(check->log, error);
    if (error->code != SQLITE_OK) {
        entry_check_free(check);
        return NULL;
    }
    sqlite3_set_auxdata(context, 0, check, entry_check_free);
    check = sqlite3_get_auxdata(context, 0); /* freed already when memory ran out */
    if (!check) rbt_fail_nomem(error);
    return check;
}

static int bind_values(sqlite3_stmt *checks, const rbt_log *log, int64_t now) {
    int code = sqlite3_bind_int64(checks, 1, (int64_t)log->frontier.size);
    if (code == SQLITE_OK) code = sqlite3_bind_int64(checks, 2, now);
    for (size_t i = 0; i < log->declaration->shape.count && code == SQLITE_OK; i++) {
        const rbt_value *value = &log->values[i];
        int position = (int)i + 3;
        if (value->kind == RBT_INTEGER)
            code = sqlite3_bind_int64(checks, position, value->integer);
        else if (value->kind == RBT_REAL)
            code = sqlite3_bind_double(checks, position, value->real);
        else if (value->kind == RBT_TEXT)
            code = sqlite3_bind_text64(checks, position, (const char *)value->data, value->length,
                                       SQLITE_STATIC, SQLITE_UTF8);
        else if (value->kind == RBT_BLOB)
            code = sqlite3_bind_blob64(checks, position, value->data, value->length, SQLITE_STATIC);
    }
    return code;
}

static int try_checks(const entry_check *check, int64_t now, rbt_error *error) {
    rbt_log *log = check->log;
    int failed = 0;
    if (!check->checks) return SQLITE_OK;
    if (bind_values(check->checks, log, now) == SQLITE_OK &&
        sqlite3_step(check->checks) == SQLITE_ROW)
        failed = sqlite3_column_int(check->checks, 0);
    int code = sqlite3_reset(check->checks);
    if (code != SQLITE_OK) rbt_fail_db(error, log->db, log->name);
    sqlite3_clear_bindings(check->checks); /* they point into the caller's memory */
    if (code == SQLITE_OK && failed > 0)
        rbt_fail(error, SQLITE_ERROR, "%s: CHECK constraint failed: %s", log->name,
                 check_text(log->declaration, failed));
    return error->code;
}

static int try_entry(const entry_check *check, sqlite3_value **values, rbt_error *error) {
    static const uint8_t salt[RBT_SALT_SIZE];
    rbt_log *log = check->log;
    int64_t now = rbt_clock_us();
    if (rbt_log_values(log, values, error) != SQLITE_OK) return error->code;
    rbt_buffer_clear(&log->leaf);
    if (rbt_leaf_write(&log->leaf, &log->declaration->shape, log->name, (int64_t)log->frontier.size,
                       now, log->declaration->shape.salted ? salt : NULL, log->values,
                       error) != SQLITE_OK)
        return error->code;
    return try_checks(check, now, error);
}

static void audit_error(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_error";
    rbt_error error = {0}, refusal = {0};
    const char *name = NULL;
    const entry_check *check = NULL;
    if (argc < 1)
        rbt_fail(&error, SQLITE_ERROR, "%s: it takes a log and a value for each of its columns",
                 who);
    else
        name = rbt_text_argument(argv[0], who, "log", &error);
    if (name) check = find_check(context, name, who, &error);
    size_t columns = check ? check->log->declaration->shape.count : 0;
    if (check && (size_t)argc - 1 != columns)
        rbt_fail(&error, SQLITE_ERROR, "%s: %s has %lld columns of its own, and %d values came",
                 who, check->log->name, (long long)columns, argc - 1);
    else if (check && try_entry(check, argv + 1, &refusal) == SQLITE_NOMEM)
        rbt_fail_nomem(&error);
    if (error.code != SQLITE_OK)
        rbt_result_error(context, &error);
    else if (refusal.code != SQLITE_OK)
        sqlite3_result_text(context, refusal.message ? refusal.message : name, -1,
                            SQLITE_TRANSIENT);
    rbt_error_clear(&refusal);
}

const rbt_function rbt_entry_functions[] = {
    /* -1: any number of arguments, in SQLite's own terms */
    {"audit_error", -1, -1, RBT_DIRECT, audit_error, "audit_error(log, value, …)", "nothing",
     "why the log would refuse an entry of these values, one a declared column in order; NULL when "
     "it would take it",
     "SELECT audit_error('rustybt_events', 'note', 'order_audit_log', '{}')"},
    {0}};
