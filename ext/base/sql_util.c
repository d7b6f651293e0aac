/* SPDX-License-Identifier: MIT
** Helpers of the SQL glue. Calls buffer, error, memory, UTF-8 and SQLite.
*/
#include "sql_util.h"

#include "memory.h"
#include "utf8.h"

#include <limits.h>
#include <stdarg.h>

void rbt_add_identifier(rbt_buffer *out, const char *name) {
    rbt_buffer_add_byte(out, '"');
    for (const char *quote; (quote = strchr(name, '"')) != NULL; name = quote + 1) {
        rbt_buffer_add(out, name, (size_t)(quote - name));
        rbt_buffer_add(out, "\"\"", 2);
    }
    rbt_buffer_add_text(out, name);
    rbt_buffer_add_byte(out, '"');
}

const char *rbt_type_name(int sqlite_type) {
    switch (sqlite_type) {
    case SQLITE_INTEGER:
        return "INTEGER";
    case SQLITE_FLOAT:
        return "REAL";
    case SQLITE_TEXT:
        return "TEXT";
    case SQLITE_BLOB:
        return "BLOB";
    default:
        return "NULL";
    }
}

const char *rbt_text_argument(sqlite3_value *value, const char *function, const char *argument,
                              rbt_error *error) {
    if (error->code != SQLITE_OK) return NULL;
    int type = sqlite3_value_type(value);
    if (type != SQLITE_TEXT) {
        rbt_fail(error, SQLITE_ERROR, "%s: %s must be TEXT, not %s", function, argument,
                 rbt_type_name(type));
        return NULL;
    }
    const char *text = (const char *)sqlite3_value_text(value);
    if (!text) {
        rbt_fail_nomem(error);
        return NULL;
    }
    size_t length = (size_t)sqlite3_value_bytes(value);
    if (!rbt_utf8_valid((const uint8_t *)text, length)) {
        rbt_fail(error, SQLITE_ERROR, "%s: %s must be valid UTF-8", function, argument);
        return NULL;
    }
    if (memchr(text, 0, length)) {
        rbt_fail(error, SQLITE_ERROR, "%s: %s must not contain a NUL", function, argument);
        return NULL;
    }
    return text;
}

int rbt_choose_arguments(sqlite3_index_info *info, int first, int count) {
    int given = 0;
    info->idxNum = 0;
    for (int argument = 0; argument < count; argument++) {
        for (int i = 0; i < info->nConstraint; i++) {
            const struct sqlite3_index_constraint *c = &info->aConstraint[i];
            if (c->iColumn != first + argument || c->op != SQLITE_INDEX_CONSTRAINT_EQ) continue;
            if (!c->usable) return SQLITE_CONSTRAINT;
            if (info->idxNum >> argument & 1) continue; /* given twice: SQLite compares the other */
            info->idxNum |= 1 << argument;
            info->aConstraintUsage[i].argvIndex = ++given;
            info->aConstraintUsage[i].omit = 1;
        }
        /* read, but not given: in a CROSS JOIN SQLite does not even offer what comes later */
        bool read = info->colUsed >> (first + argument < 63 ? first + argument : 63) & 1;
        if (read && !(info->idxNum >> argument & 1)) return SQLITE_CONSTRAINT;
    }
    return SQLITE_OK;
}

sqlite3_stmt *rbt_prepare(sqlite3 *db, rbt_error *error, const char *prefix, const char *format,
                          ...) {
    if (error->code != SQLITE_OK) return NULL;
    va_list arguments;
    va_start(arguments, format);
    char *sql = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    if (!sql) {
        rbt_fail_nomem(error);
        return NULL;
    }
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        rbt_fail_db(error, db, prefix);
    else if (!statement)
        rbt_fail(error, SQLITE_ERROR, "%s: no statement to prepare", prefix);
    rbt_free(sql);
    return statement;
}

int rbt_execute(sqlite3 *db, rbt_error *error, const char *prefix, const char *format, ...) {
    if (error->code != SQLITE_OK) return error->code;
    va_list arguments;
    va_start(arguments, format);
    char *sql = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    if (!sql) return rbt_fail_nomem(error);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) rbt_fail_db(error, db, prefix);
    rbt_free(sql);
    return error->code;
}

int rbt_run(sqlite3 *db, sqlite3_stmt *statement, rbt_error *error, const char *prefix) {
    if (error->code != SQLITE_OK) return error->code;
    int code;
    do
        code = sqlite3_step(statement);
    while (code == SQLITE_ROW);
    if (code != SQLITE_DONE) rbt_fail_db(error, db, prefix);
    sqlite3_reset(statement); /* repeats the step's code, which is recorded by now */
    return error->code;
}

/* sqlite3_is_interrupted is of 3.41. The parser looks, too, and only a statement that begins while none
** runs lets go of an interrupt. */
bool rbt_interrupted(sqlite3 *db) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "SELECT 1", -1, &statement, NULL);
    sqlite3_finalize(statement);
    return code == SQLITE_INTERRUPT;
}

bool rbt_inside_a_write(sqlite3 *db) {
    for (sqlite3_stmt *s = sqlite3_next_stmt(db, NULL); s; s = sqlite3_next_stmt(db, s))
        if (sqlite3_stmt_busy(s) && !sqlite3_stmt_readonly(s)) return true;
    return false;
}

void rbt_result_secret_text(sqlite3_context *context, char *text, size_t length) {
    if (length <= INT_MAX && memchr(text, 0, length) == NULL)
        sqlite3_result_text(context, text, -1, rbt_secret_free);
    else
        sqlite3_result_text64(context, text, length, rbt_secret_free, SQLITE_UTF8);
}

void rbt_result_text(sqlite3_context *context, rbt_buffer *buffer) {
    size_t length = buffer->length;
    char *text = rbt_buffer_take(buffer);
    if (text && buffer->secret)
        rbt_result_secret_text(context, text, length);
    else if (text)
        sqlite3_result_text64(context, text, length, sqlite3_free, SQLITE_UTF8);
    else
        sqlite3_result_error_nomem(context);
}

void rbt_result_blob(sqlite3_context *context, rbt_buffer *buffer) {
    size_t length = buffer->length;
    char *bytes = rbt_buffer_take(buffer);
    if (bytes)
        sqlite3_result_blob64(context, bytes, length,
                              buffer->secret ? rbt_secret_free : sqlite3_free);
    else
        sqlite3_result_error_nomem(context);
}
