/* SPDX-License-Identifier: MIT
** The leaf line (format in leaf.h): written from typed values, and
** parsed back for cold reads. Pure; calls base only.
*/
#include "leaf.h"

#include "../base/base64.h"
#include "../base/json.h"
#include "../base/memory.h"
#include "../base/real_text.h"

static const char *const type_names[] = {
    [RBT_COLUMN_TEXT] = "TEXT", [RBT_COLUMN_INTEGER] = "INTEGER", [RBT_COLUMN_REAL] = "REAL",
    [RBT_COLUMN_BLOB] = "BLOB", [RBT_COLUMN_JSON] = "JSON",
};

const char *rbt_column_type_name(rbt_column_type type) {
    return type_names[type];
}

bool rbt_column_type_parse(rbt_column_type *type, const char *name, size_t length) {
    for (int i = RBT_COLUMN_TEXT; i <= RBT_COLUMN_JSON; i++) {
        if (strlen(type_names[i]) != length) continue;
        if (sqlite3_strnicmp(type_names[i], name, (int)length) != 0) continue;
        *type = (rbt_column_type)i;
        return true;
    }
    return false;
}

int rbt_leaf_shape_add(rbt_leaf_shape *shape, const char *name, size_t name_length,
                       rbt_column_type type, rbt_error *error) {
    rbt_leaf_column *columns =
        rbt_realloc(shape->columns, (shape->count + 1) * sizeof *shape->columns);
    if (!columns) return rbt_fail_nomem(error);
    shape->columns = columns;

    rbt_buffer prefix = {0};
    rbt_buffer_add_byte(&prefix, ',');
    rbt_json_add_string(&prefix, name, name_length);
    rbt_buffer_add_byte(&prefix, ':');
    size_t prefix_length = prefix.length;
    char *prefix_text = rbt_buffer_take(&prefix);
    char *name_copy = rbt_strndup(name, name_length);
    if (!prefix_text || !name_copy) {
        rbt_free(prefix_text);
        rbt_free(name_copy);
        return rbt_fail_nomem(error);
    }
    columns[shape->count++] = (rbt_leaf_column){
        .name = name_copy, .type = type, .prefix = prefix_text, .prefix_length = prefix_length};
    return SQLITE_OK;
}

void rbt_leaf_shape_free(rbt_leaf_shape *shape) {
    for (size_t i = 0; i < shape->count; i++) {
        rbt_free(shape->columns[i].name);
        rbt_free(shape->columns[i].prefix);
    }
    rbt_free(shape->columns);
    *shape = (rbt_leaf_shape){0};
}

static const char id_key[] = "{\"id\":";
static const char recorded_at_key[] = ",\"recorded_at\":";
static const char salt_key[] = ",\"salt\":\"";

/* Python's repr of value, with the one zero that the format knows. Returns the length. */
static size_t real_text(char text[RBT_REAL_TEXT_SIZE], double value) {
    return rbt_real_to_text(text, value == 0.0 ? 0.0 : value);
}

static void write_value(rbt_buffer *out, rbt_column_type type, const rbt_value *value) {
    char text[RBT_REAL_TEXT_SIZE];
    switch (value->kind) {
    case RBT_NULL:
        rbt_buffer_add(out, "null", 4);
        break;
    case RBT_INTEGER:
        rbt_buffer_add_i64(out, value->integer);
        break;
    case RBT_REAL:
        rbt_buffer_add(out, text, real_text(text, value->real));
        break;
    case RBT_TEXT:
        if (type == RBT_COLUMN_JSON)
            rbt_buffer_add(out, value->data, value->length);
        else
            rbt_json_add_string(out, (const char *)value->data, value->length);
        break;
    case RBT_BLOB:
        rbt_buffer_add_byte(out, '"');
        rbt_base64_encode(out, value->data, value->length, false);
        rbt_buffer_add_byte(out, '"');
        break;
    }
}

static int too_long(const char *log, int64_t id, rbt_error *error) {
    return rbt_fail(error, SQLITE_ERROR, "%s: entry %lld is longer than %d bytes as a line of JSON",
                    log, (long long)id, RBT_LEAF_MAX);
}

int rbt_leaf_write(rbt_buffer *out, const rbt_leaf_shape *shape, const char *log, int64_t id,
                   int64_t recorded_at, const uint8_t salt[RBT_SALT_SIZE], const rbt_value *values,
                   rbt_error *error) {
    size_t start = out->length;
    rbt_buffer_add(out, id_key, sizeof id_key - 1);
    rbt_buffer_add_i64(out, id);
    rbt_buffer_add(out, recorded_at_key, sizeof recorded_at_key - 1);
    rbt_buffer_add_i64(out, recorded_at);
    if (shape->salted) {
        rbt_buffer_add(out, salt_key, sizeof salt_key - 1);
        rbt_base64_encode(out, salt, RBT_SALT_SIZE, false);
        rbt_buffer_add_byte(out, '"');
    }
    size_t count = rbt_leaf_columns_of(shape, id);
    for (size_t i = 0; i < count; i++) {
        const rbt_leaf_column *column = &shape->columns[i];
        bool has_bytes = values[i].kind == RBT_TEXT || values[i].kind == RBT_BLOB;
        /* Before the bytes are copied, so that a huge value costs no memory. */
        if (has_bytes && values[i].length > RBT_LEAF_MAX) {
            out->length = start;
            return too_long(log, id, error);
        }
        rbt_buffer_add(out, column->prefix, column->prefix_length);
        write_value(out, column->type, &values[i]);
    }
    rbt_buffer_add_byte(out, '}');
    if (out->failed) return rbt_fail_nomem(error);
    if (out->length - start > RBT_LEAF_MAX) {
        out->length = start;
        return too_long(log, id, error);
    }
    return SQLITE_OK;
}

/* ---- Parsing. A reader moves along the line and never past end. ---- */

typedef struct reader {
    const char *at;
    const char *end;
} reader;

static bool skip_text(reader *r, const char *text, size_t length) {
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, text, length) != 0) return false;
    r->at += length;
    return true;
}

/* A canonical decimal: no plus, no leading zeros, no -0, within 64 bits. */
static bool read_integer(reader *r, int64_t *value) {
    const char *at = r->at;
    bool negative = at < r->end && *at == '-';
    if (negative) at++;
    const char *digits = at;
    uint64_t magnitude = 0;
    for (; at < r->end && *at >= '0' && *at <= '9'; at++) {
        if (at - digits >= 19) return false; /* 19 digits always fit 64 bits without sign */
        magnitude = magnitude * 10 + (uint64_t)(*at - '0');
    }
    if (at == digits) return false;
    if (*digits == '0' && (at - digits > 1 || negative)) return false;
    if (magnitude > (uint64_t)INT64_MAX + negative) return false;
    *value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    r->at = at;
    return true;
}

/* Moves over a number's characters; what they are worth is for the conversion to say. */
static size_t number_length(const reader *r) {
    const char *at = r->at;
    while (at < r->end && ((*at >= '0' && *at <= '9') || *at == '-' || *at == '+' || *at == '.' ||
                           *at == 'e' || *at == 'E'))
        at++;
    return (size_t)(at - r->at);
}

static bool read_real(reader *r, rbt_value *value) {
    size_t length = number_length(r);
    if (length == 0 || length >= RBT_REAL_TEXT_SIZE) return false;
    if (value) {
        char canonical[RBT_REAL_TEXT_SIZE];
        if (!rbt_real_from_text(&value->real, r->at, length)) return false;
        if (real_text(canonical, value->real) != length) return false;
        if (memcmp(canonical, r->at, length) != 0) return false;
        value->kind = RBT_REAL;
    }
    r->at += length;
    return true;
}

/* The first byte from at on that is `"`, `\` or below 0x20; end when there is none. Eight bytes at
** a time: strings are most of a line. A set high bit in each term marks a byte that (may) match; a
** false mark can only follow a true one, and the byte loop decides. */
static const char *skip_plain(const char *at, const char *end) {
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t highs = 0x8080808080808080u;
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        uint64_t quote = word ^ ones * '"';
        uint64_t backslash = word ^ ones * '\\';
        uint64_t found = ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
                         ((word - ones * 0x20) & ~word);
        if (found & highs) break;
        at += 8;
    }
    while (at < end && *at != '"' && *at != '\\' && (uint8_t)*at >= 0x20)
        at++;
    return at;
}

/* The byte of a canonical escape behind its backslash; -1 for a form the writer does not use. */
static int read_escape(reader *r) {
    static const char short_names[] = "\"\\btnfr";
    static const char short_bytes[] = "\"\\\b\t\n\f\r";
    if (r->at == r->end) return -1;
    const char *name = memchr(short_names, *r->at, sizeof short_names - 1);
    if (name) {
        r->at++;
        return short_bytes[name - short_names];
    }
    static const char digits[] = "0123456789abcdef";
    if (r->end - r->at < 5 || memcmp(r->at, "u00", 3) != 0) return -1;
    if (r->at[3] != '0' && r->at[3] != '1') return -1;
    const char *low = memchr(digits, r->at[4], sizeof digits - 1);
    if (!low) return -1;
    int byte = (r->at[3] - '0') * 16 + (int)(low - digits);
    if (byte == '\b' || byte == '\t' || byte == '\n' || byte == '\f' || byte == '\r') return -1;
    r->at += 5;
    return byte;
}

/* Room in scratch for everything that one line can give, made once a line: pointers into it stay
** good, since what is decoded is never longer than its source. */
static bool open_scratch(rbt_leaf *leaf, size_t line_length) {
    return leaf->scratch.length > 0 || rbt_buffer_reserve(&leaf->scratch, 2 * line_length + 64);
}

/* A string from its opening quote to behind its closing one. value may be NULL: skip. */
static bool read_text(reader *r, rbt_leaf *leaf, size_t line_length, rbt_value *value) {
    if (!skip_text(r, "\"", 1)) return false;
    const char *start = r->at;
    const char *run = start;
    bool escaped = false;
    size_t scratch_start = 0;
    while ((r->at = skip_plain(r->at, r->end)) < r->end && *r->at == '\\') {
        const char *backslash = r->at++;
        int byte = read_escape(r);
        if (byte < 0) return false;
        if (value) {
            if (!escaped) {
                if (!open_scratch(leaf, line_length)) return false;
                scratch_start = leaf->scratch.length;
                escaped = true;
            }
            rbt_buffer_add(&leaf->scratch, run, (size_t)(backslash - run));
            rbt_buffer_add_byte(&leaf->scratch, (uint8_t)byte);
            run = r->at;
        }
    }
    if (r->at == r->end || *r->at != '"') return false;
    if (value) {
        value->kind = RBT_TEXT;
        if (escaped) {
            rbt_buffer_add(&leaf->scratch, run, (size_t)(r->at - run));
            value->data = leaf->scratch.data + scratch_start;
            value->length = leaf->scratch.length - scratch_start;
        } else {
            value->data = (const uint8_t *)start;
            value->length = (size_t)(r->at - start);
        }
    }
    r->at++;
    return true;
}

static bool read_blob(reader *r, rbt_leaf *leaf, size_t line_length, rbt_value *value) {
    if (!skip_text(r, "\"", 1)) return false;
    const char *start = r->at;
    const char *quote = memchr(start, '"', (size_t)(r->end - start));
    if (!quote) return false;
    r->at = quote + 1;
    if (!value) return true;
    if (!open_scratch(leaf, line_length)) return false;
    size_t scratch_start = leaf->scratch.length;
    if (!rbt_base64_decode(&leaf->scratch, start, (size_t)(quote - start), false, false))
        return false;
    value->kind = RBT_BLOB;
    value->data = leaf->scratch.data + scratch_start;
    value->length = leaf->scratch.length - scratch_start;
    return true;
}

/* An object or array, by counting brackets outside strings. It was checked as JSON when it was
** written; here it only must not lead out of the line. */
static bool read_json(reader *r, rbt_value *value) {
    const char *start = r->at;
    if (r->at == r->end || (*r->at != '{' && *r->at != '[')) return false;
    size_t depth = 0;
    while (r->at < r->end) {
        char byte = *r->at++;
        if (byte == '"') {
            while ((r->at = skip_plain(r->at, r->end)) < r->end && *r->at == '\\') {
                if (r->end - r->at < 2) return false;
                r->at += 2;
            }
            if (r->at == r->end || *r->at != '"') return false;
            r->at++;
        } else if (byte == '{' || byte == '[') {
            depth++;
        } else if (byte == '}' || byte == ']') {
            if (--depth == 0) {
                if (value) {
                    value->kind = RBT_TEXT;
                    value->data = (const uint8_t *)start;
                    value->length = (size_t)(r->at - start);
                }
                return true;
            }
        } else if ((uint8_t)byte <= 0x20) {
            return false;
        }
    }
    return false;
}

static bool read_value(reader *r, rbt_leaf *leaf, size_t line_length, rbt_column_type type,
                       rbt_value *value) {
    int64_t integer;
    if (skip_text(r, "null", 4)) return true;
    switch (type) {
    case RBT_COLUMN_TEXT:
        return read_text(r, leaf, line_length, value);
    case RBT_COLUMN_INTEGER:
        if (!read_integer(r, &integer)) return false;
        if (value) {
            value->kind = RBT_INTEGER;
            value->integer = integer;
        }
        return true;
    case RBT_COLUMN_REAL:
        return read_real(r, value);
    case RBT_COLUMN_BLOB:
        return read_blob(r, leaf, line_length, value);
    case RBT_COLUMN_JSON:
        return read_json(r, value);
    }
    return false;
}

/* Decodes by way of scratch, which is empty here and is left so. */
static bool read_salt(reader *r, rbt_leaf *leaf) {
    enum { encoded = 24 }; /* 16 bytes in padded base64 */
    if (!skip_text(r, salt_key, sizeof salt_key - 1)) return false;
    if (r->end - r->at < encoded) return false;
    if (!rbt_base64_decode(&leaf->scratch, r->at, encoded, false, false)) return false;
    if (leaf->scratch.length != RBT_SALT_SIZE) return false;
    memcpy(leaf->salt, leaf->scratch.data, RBT_SALT_SIZE);
    leaf->scratch.length = 0;
    r->at += encoded;
    return skip_text(r, "\"", 1);
}

bool rbt_leaf_parse(rbt_leaf *leaf, const rbt_leaf_shape *shape, const char *line, size_t length,
                    uint64_t wanted) {
    reader r = {line, line + length};
    rbt_buffer_clear(&leaf->scratch);
    if (leaf->capacity < shape->count) {
        rbt_value *values = rbt_realloc(leaf->values, shape->count * sizeof *values);
        if (!values) return false;
        leaf->values = values;
        leaf->capacity = shape->count;
    }
    if (length > RBT_LEAF_MAX) return false;
    if (!skip_text(&r, id_key, sizeof id_key - 1) || !read_integer(&r, &leaf->id)) return false;
    if (!skip_text(&r, recorded_at_key, sizeof recorded_at_key - 1)) return false;
    if (!read_integer(&r, &leaf->recorded_at)) return false;
    if (shape->salted && !read_salt(&r, leaf)) return false;
    size_t count = rbt_leaf_columns_of(shape, leaf->id);
    for (size_t i = 0; i < shape->count; i++) {
        const rbt_leaf_column *column = &shape->columns[i];
        rbt_value *value = &leaf->values[i];
        *value = (rbt_value){.kind = RBT_NULL};
        if (i >= count) continue;
        bool is_wanted = wanted >> (i < 63 ? i : 63) & 1;
        if (!skip_text(&r, column->prefix, column->prefix_length)) return false;
        if (!read_value(&r, leaf, length, column->type, is_wanted ? value : NULL)) return false;
    }
    return skip_text(&r, "}", 1) && r.at == r.end;
}

void rbt_leaf_free(rbt_leaf *leaf) {
    rbt_free(leaf->values);
    rbt_buffer_free(&leaf->scratch);
    *leaf = (rbt_leaf){0};
}
