/* SPDX-License-Identifier: MIT
** See log_values.h. May call base and audit's state.
*/
#include "log_values.h"

#include "../base/json.h"
#include "../base/sql_util.h"
#include "../base/utf8.h"

#include <math.h>
#include <string.h>

/* Integers up to here are exact as doubles. */
static const int64_t exact_limit = (int64_t)1 << 53;

static int wrong_type(rbt_log *log, size_t column, int type, rbt_error *error) {
    const rbt_leaf_column *declared = &log->declaration->shape.columns[column];
    return rbt_fail(error, SQLITE_ERROR, "%s: %s must be %s%s, not %s", log->name, declared->name,
                    declared->type == RBT_COLUMN_JSON ? "JSON as " : "",
                    declared->type == RBT_COLUMN_JSON ? "TEXT"
                                                      : rbt_column_type_name(declared->type),
                    rbt_type_name(type));
}

/* In a database of UTF-16, SQLite stores U+FFFE and U+FFFF as U+FFFD (its READ_UTF8): the row would not be
** the entry that was hashed. */
static int refuse_noncharacters(rbt_log *log, size_t column, const rbt_value *text,
                                rbt_error *error) {
    const uint8_t *at = text->data, *end = text->data + text->length;
    while ((at = memchr(at, 0xEF, (size_t)(end - at))) && (at[1] != 0xBF || at[2] < 0xBE))
        at += 3; /* valid UTF-8: three bytes */
    if (!at) return SQLITE_OK;
    sqlite3_stmt *encoding = rbt_prepare(log->db, error, log->name, "PRAGMA encoding");
    if (encoding && sqlite3_step(encoding) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(encoding, 0);
        if (!name)
            rbt_fail_nomem(error);
        else if (strcmp(name, "UTF-8") != 0)
            rbt_fail(error, SQLITE_ERROR,
                     "%s: %s holds U+FFFE or U+FFFF, which a database of %s cannot keep", log->name,
                     log->declaration->shape.columns[column].name, name);
    }
    sqlite3_finalize(encoding);
    return error->code;
}

static int take_text(rbt_log *log, size_t column, sqlite3_value *value, rbt_value *out,
                     rbt_error *error) {
    const char *name = log->declaration->shape.columns[column].name;
    const unsigned char *text = sqlite3_value_text(value);
    if (!text) return rbt_fail_nomem(error);
    out->kind = RBT_TEXT;
    out->data = text;
    out->length = (size_t)sqlite3_value_bytes(value);
    size_t valid = rbt_utf8_valid_length(out->data, out->length);
    if (valid != out->length)
        return rbt_fail(error, SQLITE_ERROR, "%s: %s must be valid UTF-8; byte %lld is not",
                        log->name, name, (long long)valid);
    return refuse_noncharacters(log, column, out, error);
}

static int take_json(rbt_log *log, size_t column, sqlite3_value *value, rbt_value *out,
                     rbt_error *error) {
    char who[256];
    rbt_buffer *json = &log->texts[column];
    const unsigned char *text = sqlite3_value_text(value);
    if (!text) return rbt_fail_nomem(error);
    sqlite3_snprintf((int)sizeof who, who, "%s: %s", log->name,
                     log->declaration->shape.columns[column].name);
    rbt_buffer_clear(json);
    if (rbt_json_minify(json, (const char *)text, (size_t)sqlite3_value_bytes(value), who, error) !=
        SQLITE_OK)
        return error->code;
    out->kind = RBT_TEXT;
    out->data = json->data;
    out->length = json->length;
    return refuse_noncharacters(log, column, out, error);
}

static int take_real(rbt_log *log, size_t column, sqlite3_value *value, int type, rbt_value *out,
                     rbt_error *error) {
    const char *name = log->declaration->shape.columns[column].name;
    out->kind = RBT_REAL;
    if (type == SQLITE_INTEGER) {
        int64_t integer = sqlite3_value_int64(value);
        if (integer > exact_limit || integer < -exact_limit)
            return rbt_fail(error, SQLITE_ERROR,
                            "%s: %s is REAL, and an integer beyond 2^53 would be rounded",
                            log->name, name);
        out->real = (double)integer;
    } else {
        out->real = sqlite3_value_double(value);
    }
    if (!isfinite(out->real))
        return rbt_fail(error, SQLITE_ERROR, "%s: %s must be finite", log->name, name);
    if (out->real == 0) out->real = 0; /* -0.0 becomes 0.0 */
    return SQLITE_OK;
}

static int take(rbt_log *log, size_t column, sqlite3_value *value, rbt_value *out,
                rbt_error *error) {
    int type = sqlite3_value_type(value);
    memset(out, 0, sizeof *out);
    if (type == SQLITE_NULL) {
        if (!log->declaration->columns[column].not_null) return SQLITE_OK;
        return rbt_fail(error, SQLITE_ERROR, "%s: %s must not be NULL", log->name,
                        log->declaration->shape.columns[column].name);
    }
    switch (log->declaration->shape.columns[column].type) {
    case RBT_COLUMN_TEXT:
        if (type == SQLITE_TEXT) return take_text(log, column, value, out, error);
        break;
    case RBT_COLUMN_JSON:
        if (type == SQLITE_TEXT) return take_json(log, column, value, out, error);
        break;
    case RBT_COLUMN_INTEGER:
        if (type != SQLITE_INTEGER) break;
        out->kind = RBT_INTEGER;
        out->integer = sqlite3_value_int64(value);
        return SQLITE_OK;
    case RBT_COLUMN_REAL:
        if (type == SQLITE_FLOAT || type == SQLITE_INTEGER)
            return take_real(log, column, value, type, out, error);
        break;
    case RBT_COLUMN_BLOB:
        if (type != SQLITE_BLOB) break;
        out->kind = RBT_BLOB;
        out->data = sqlite3_value_blob(value);
        out->length = (size_t)sqlite3_value_bytes(value);
        if (!out->data) {
            if (out->length) return rbt_fail_nomem(error);
            out->data = (const uint8_t *)"";
        }
        return SQLITE_OK;
    }
    return wrong_type(log, column, type, error);
}

/* The column's DEFAULT, evaluated anew for each row that needs it (CURRENT_TIMESTAMP changes). */
static sqlite3_value *fallback(rbt_log *log, size_t column, rbt_error *error) {
    if (!log->fallbacks[column])
        log->fallbacks[column] = rbt_prepare(log->db, error, log->name, "SELECT %s",
                                             log->declaration->columns[column].fallback);
    sqlite3_stmt *statement = log->fallbacks[column];
    if (!statement) return NULL;
    sqlite3_value_free(log->fallback_values[column]);
    log->fallback_values[column] = NULL;
    if (sqlite3_step(statement) == SQLITE_ROW) {
        log->fallback_values[column] = sqlite3_value_dup(sqlite3_column_value(statement, 0));
        if (!log->fallback_values[column]) rbt_fail_nomem(error);
        sqlite3_reset(statement);
    } else {
        sqlite3_reset(statement);
        rbt_fail_db(error, log->db, log->name);
    }
    return log->fallback_values[column];
}

int rbt_log_values(rbt_log *log, sqlite3_value **arguments, rbt_error *error) {
    for (size_t i = 0; i < log->declaration->shape.count; i++) {
        sqlite3_value *value = arguments[i];
        if (log->declaration->columns[i].fallback && sqlite3_value_type(value) == SQLITE_NULL) {
            value = fallback(log, i, error);
            if (!value) return error->code;
        }
        if (take(log, i, value, &log->values[i], error) != SQLITE_OK) return error->code;
    }
    return SQLITE_OK;
}

rbt_value rbt_log_stored_value(sqlite3_value *stored, rbt_column_type type, bool *fits) {
    static const uint8_t nothing[1] = {0};
    rbt_value value = {RBT_NULL, 0, 0, nothing, 0};
    int kind = sqlite3_value_type(stored);
    *fits = true;
    if (kind == SQLITE_NULL) return value;
    switch (type) {
    case RBT_COLUMN_INTEGER:
        *fits = kind == SQLITE_INTEGER;
        value.kind = RBT_INTEGER;
        value.integer = sqlite3_value_int64(stored);
        break;
    case RBT_COLUMN_REAL:
        value.kind = RBT_REAL;
        value.real = sqlite3_value_double(stored);
        *fits = kind == SQLITE_FLOAT && isfinite(value.real);
        break;
    case RBT_COLUMN_BLOB:
        *fits = kind == SQLITE_BLOB;
        value.kind = RBT_BLOB;
        value.data = sqlite3_value_blob(stored);
        value.length = (size_t)sqlite3_value_bytes(stored);
        break;
    case RBT_COLUMN_TEXT:
    case RBT_COLUMN_JSON:
        *fits = kind == SQLITE_TEXT;
        value.kind = RBT_TEXT;
        value.data = sqlite3_value_text(stored);
        value.length = (size_t)sqlite3_value_bytes(stored);
        if (*fits && value.data) *fits = rbt_utf8_valid(value.data, value.length);
        break;
    }
    if (!value.data) value.data = nothing; /* a zero-length blob */
    return value;
}
