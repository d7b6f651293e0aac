/* SPDX-License-Identifier: MIT
** The leaf: one entry as the exact JSON line that is hashed, archived and proven (DESIGN §6).
**
**   {"id":1,"recorded_at":1700000000000000,"strategy_id":"m2",...,"event_data":{...}}
**
** Keys in declared order, no spaces. INTEGER in decimal; REAL as Python's repr (−0.0 as 0.0); TEXT
** escaping only `"`, `\` and U+0000–001F; BLOB as padded base64; JSON verbatim (minified before);
** NULL as null. With a salt, a third key "salt" holds 16 bytes in base64. At most 65,535 bytes.
** A column that was added to the log later has no key in the entries of before, null or otherwise.
*/
#ifndef RBT_AUDIT_LEAF_H
#define RBT_AUDIT_LEAF_H

#include "../base/buffer.h"
#include "../base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RBT_LEAF_MAX = 65535, RBT_SALT_SIZE = 16 };

typedef enum rbt_column_type {
    RBT_COLUMN_TEXT = 1,
    RBT_COLUMN_INTEGER,
    RBT_COLUMN_REAL,
    RBT_COLUMN_BLOB,
    RBT_COLUMN_JSON
} rbt_column_type;

/* "TEXT", "INTEGER", "REAL", "BLOB", "JSON". */
const char *rbt_column_type_name(rbt_column_type type);
bool rbt_column_type_parse(rbt_column_type *type, const char *name, size_t length); /* any case */

typedef struct rbt_leaf_column {
    char *name;
    rbt_column_type type;
    bool indexed; /* an INDEX begins with it: it is looked up by equality */
    char *prefix; /* `,"name":` as it stands in the line, escaped */
    size_t prefix_length;
    int64_t since; /* the first id that has the column; 0: all */
} rbt_leaf_column;

/* The declared columns of a log, without id, recorded_at and salt. `since` never falls from one to the next. */
typedef struct rbt_leaf_shape {
    rbt_leaf_column *columns;
    size_t count;
    bool salted;
} rbt_leaf_shape;

/* Appends a column of all entries; takes a copy of the name. */
int rbt_leaf_shape_add(rbt_leaf_shape *shape, const char *name, size_t name_length,
                       rbt_column_type type, rbt_error *error);
void rbt_leaf_shape_free(rbt_leaf_shape *shape);

/* How many of the columns entry `id` has; they are the first ones. */
static inline size_t rbt_leaf_columns_of(const rbt_leaf_shape *shape, int64_t id) {
    size_t count = shape->count;
    while (count > 0 && shape->columns[count - 1].since > id)
        count--;
    return count;
}

typedef enum rbt_value_kind {
    RBT_NULL,
    RBT_INTEGER,
    RBT_REAL,
    RBT_TEXT, /* TEXT and JSON columns */
    RBT_BLOB
} rbt_value_kind;

/* A typed value; data is borrowed. */
typedef struct rbt_value {
    rbt_value_kind kind;
    int64_t integer;
    double real;
    const uint8_t *data;
    size_t length;
} rbt_value;

/* Appends the line without newline. values[i] must be NULL or of column i's own kind, finite, UTF-8,
** minified JSON, and those of columns that came after the entry are not read: the caller has checked. Fails (SQLITE_ERROR, "<log>: …") when the line is over
** RBT_LEAF_MAX bytes, and on lack of memory. salt is NULL unless shape->salted. */
int rbt_leaf_write(rbt_buffer *out, const rbt_leaf_shape *shape, const char *log, int64_t id,
                   int64_t recorded_at, const uint8_t salt[RBT_SALT_SIZE], const rbt_value *values,
                   rbt_error *error);

/* A parsed line. Text values without escapes point into the line itself; others into scratch. */
typedef struct rbt_leaf {
    int64_t id;
    int64_t recorded_at;
    uint8_t salt[RBT_SALT_SIZE];
    rbt_value *values; /* shape->count of them */
    size_t capacity;
    rbt_buffer scratch;
} rbt_leaf;

/* Parses a line written by rbt_leaf_write; only the values whose bit is set in `wanted` (bit 63 stands
** for all columns from 63 on) are converted, the others are left RBT_NULL but still skipped over
** safely. Strict about form (keys in order, no spaces), so what parses with all columns wanted and is
** written again gives the same bytes. The line is untrusted. False when it is not such a line, or when
** memory ran out (then leaf->capacity < shape->count or leaf->scratch.failed). */
bool rbt_leaf_parse(rbt_leaf *leaf, const rbt_leaf_shape *shape, const char *line, size_t length,
                    uint64_t wanted);
void rbt_leaf_free(rbt_leaf *leaf);

#endif
