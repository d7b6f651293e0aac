/* SPDX-License-Identifier: MIT
** See log_cold.h. May call base, audit, and the segment store.
*/
#include "log_cold.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "expired.h"
#include "log_paths.h"
#include "trust.h"

/* One comparison that a cold entry must pass. */
typedef struct cold_term {
    int column; /* as SQLite numbers them */
    int op;
    sqlite3_value *argument; /* our own: reading SQLite's as UTF-8 or as a number would change it */
    rbt_value value;         /* within it */
} cold_term;

typedef struct cold_segment {
    rbt_published published;
    char *path;
} cold_segment;

struct rbt_cold {
    rbt_log *log;
    int64_t up_to; /* ids above are hot */
    bool descending;
    uint64_t wanted;
    cold_term *terms;
    size_t term_count;
    rbt_zone_term *zones;
    size_t zone_count;
    cold_segment *segments;
    size_t segment_count, next_segment;
    rbt_segment_scan *scan;
    rbt_verifier *verifiers;
    size_t verifier_count;
};

static rbt_value from_sql(sqlite3_value *value) {
    static const uint8_t nothing[1] = {0};
    rbt_value out = {RBT_NULL, 0, 0, nothing, 0};
    switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
        out.kind = RBT_INTEGER;
        out.integer = sqlite3_value_int64(value);
        break;
    case SQLITE_FLOAT:
        out.kind = RBT_REAL;
        out.real = sqlite3_value_double(value);
        break;
    case SQLITE_TEXT:
        out.kind = RBT_TEXT;
        out.data = sqlite3_value_text(value);
        out.length = (size_t)sqlite3_value_bytes(value);
        break;
    case SQLITE_BLOB:
        out.kind = RBT_BLOB;
        out.data = sqlite3_value_blob(value);
        out.length = (size_t)sqlite3_value_bytes(value);
        break;
    default:
        break;
    }
    if (!out.data) out.data = nothing;
    return out;
}

/* A copy of the value with the affinity that SQLite would give it on the right-hand side
** (sqlite.org/datatype3.html §4.2): hot rows are compared by SQLite itself, and cold ones must answer alike.
** NULL and the error on failure. */
static sqlite3_value *with_affinity(const rbt_log *log, int column, sqlite3_value *value,
                                    rbt_error *error) {
    rbt_column_type type =
        column < RBT_LOG_COLUMN_FIRST
            ? RBT_COLUMN_INTEGER
            : log->declaration->shape.columns[column - RBT_LOG_COLUMN_FIRST].type;
    sqlite3_value *copy = NULL;
    if ((type != RBT_COLUMN_INTEGER && type != RBT_COLUMN_REAL) ||
        sqlite3_value_type(value) != SQLITE_TEXT) {
        copy = sqlite3_value_dup(value);
        if (!copy) rbt_fail_nomem(error);
        return copy;
    }
    /* sqlite3_value_numeric_type would change SQLite's own value, and does not take a copy */
    sqlite3_stmt *convert = rbt_prepare(
        log->db, error, log->name,
        "SELECT CASE WHEN CAST(?1 AS NUMERIC) = ?1 THEN CAST(?1 AS NUMERIC) ELSE ?1 END");
    if (!convert) return NULL;
    if (sqlite3_bind_value(convert, 1, value) != SQLITE_OK || sqlite3_step(convert) != SQLITE_ROW)
        rbt_fail_db(error, log->db, log->name);
    else if (!(copy = sqlite3_value_dup(sqlite3_column_value(convert, 0))))
        rbt_fail_nomem(error);
    sqlite3_finalize(convert);
    return copy;
}

static int compare_numbers(const rbt_value *a, const rbt_value *b) {
    if (a->kind == RBT_INTEGER && b->kind == RBT_INTEGER)
        return (a->integer > b->integer) - (a->integer < b->integer);
    if (a->kind == RBT_REAL && b->kind == RBT_REAL)
        return (a->real > b->real) - (a->real < b->real);
    if (a->kind == RBT_REAL) return -compare_numbers(b, a);
    /* integer against double, exactly, as sqlite3IntFloatCompare does */
    if (b->real < -9223372036854775808.0) return 1;
    if (b->real >= 9223372036854775808.0) return -1;
    int64_t truncated = (int64_t)b->real;
    if (a->integer != truncated) return a->integer < truncated ? -1 : 1;
    double fraction = b->real - (double)truncated;
    return (fraction < 0) - (fraction > 0);
}

static int storage_class(rbt_value_kind kind) {
    switch (kind) {
    case RBT_NULL:
        return 0;
    case RBT_INTEGER:
    case RBT_REAL:
        return 1;
    case RBT_TEXT:
        return 2;
    case RBT_BLOB:
        break;
    }
    return 3;
}

/* SQLite's order: NULL, numbers, TEXT (BINARY), BLOB. */
static int compare_values(const rbt_value *a, const rbt_value *b) {
    int class_a = storage_class(a->kind), class_b = storage_class(b->kind);
    if (class_a != class_b) return class_a < class_b ? -1 : 1;
    if (class_a == 0) return 0;
    if (class_a == 1) return compare_numbers(a, b);
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = shorter ? memcmp(a->data, b->data, shorter) : 0;
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

static bool meets(const rbt_value *value, int op, const rbt_value *right) {
    if (op == SQLITE_INDEX_CONSTRAINT_ISNULL) return value->kind == RBT_NULL;
    if (op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL) return value->kind != RBT_NULL;
    int order = compare_values(value, right);
    if (op == SQLITE_INDEX_CONSTRAINT_IS) return order == 0;
    if (op == SQLITE_INDEX_CONSTRAINT_ISNOT) return order != 0;
    if (value->kind == RBT_NULL || right->kind == RBT_NULL) return false;
    switch (op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
        return order == 0;
    case SQLITE_INDEX_CONSTRAINT_NE:
        return order != 0;
    case SQLITE_INDEX_CONSTRAINT_LT:
        return order < 0;
    case SQLITE_INDEX_CONSTRAINT_LE:
        return order <= 0;
    case SQLITE_INDEX_CONSTRAINT_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

static bool leaf_meets(const rbt_cold *cold, const rbt_leaf *leaf) {
    for (size_t i = 0; i < cold->term_count; i++) {
        const cold_term *term = &cold->terms[i];
        rbt_value number = {RBT_INTEGER, 0, 0, NULL, 0};
        const rbt_value *value = &number;
        if (term->column == RBT_LOG_COLUMN_ID)
            number.integer = leaf->id;
        else if (term->column == RBT_LOG_COLUMN_RECORDED_AT)
            number.integer = leaf->recorded_at;
        else
            value = &leaf->values[term->column - RBT_LOG_COLUMN_FIRST];
        if (!meets(value, term->op, &term->value)) return false;
    }
    return true;
}

/* What a frame's zone map can answer. */
static bool zone_compare(int op, rbt_compare *compare) {
    switch (op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
    case SQLITE_INDEX_CONSTRAINT_IS:
        *compare = RBT_EQ;
        return true;
    case SQLITE_INDEX_CONSTRAINT_LT:
        *compare = RBT_LT;
        return true;
    case SQLITE_INDEX_CONSTRAINT_LE:
        *compare = RBT_LE;
        return true;
    case SQLITE_INDEX_CONSTRAINT_GT:
        *compare = RBT_GT;
        return true;
    case SQLITE_INDEX_CONSTRAINT_GE:
        *compare = RBT_GE;
        return true;
    default:
        return false;
    }
}

static uint64_t leaf_bit(int column) {
    int index = column - RBT_LOG_COLUMN_FIRST;
    return (uint64_t)1 << (index < 63 ? index : 63);
}

/* < <= > >= on texts: BINARY compares the bytes of the database's encoding, which leaves are not in. SQLite
** checks such terms again by itself. */
static bool is_text_order(const rbt_log *log, const rbt_plan_term *term) {
    rbt_compare compare;
    if (term->column < RBT_LOG_COLUMN_FIRST || !zone_compare(term->op, &compare)) return false;
    rbt_column_type type =
        log->declaration->shape.columns[term->column - RBT_LOG_COLUMN_FIRST].type;
    return compare != RBT_EQ && (type == RBT_COLUMN_TEXT || type == RBT_COLUMN_JSON);
}

static int take_terms(rbt_cold *cold, const rbt_query *query, sqlite3_value **arguments,
                      rbt_error *error) {
    cold->terms = rbt_calloc((query->term_count + 1) * sizeof *cold->terms);
    cold->zones = rbt_calloc((query->term_count + 1) * sizeof *cold->zones);
    if (!cold->terms || !cold->zones) return rbt_fail_nomem(error);
    for (size_t i = 0; i < query->term_count; i++) {
        if (query->terms[i].op == RBT_PLAN_IN)
            continue; /* SQLite holds the entries against the list */
        if (!rbt_term_applies(cold->log, &query->terms[i], arguments[i])) continue;
        if (is_text_order(cold->log, &query->terms[i])) continue;
        cold_term *term = &cold->terms[cold->term_count++];
        rbt_compare compare;
        term->column = query->terms[i].column;
        term->op = query->terms[i].op;
        term->argument = with_affinity(cold->log, term->column, arguments[i], error);
        if (!term->argument) return error->code;
        term->value = from_sql(term->argument);
        if (term->value.kind == RBT_TEXT && !term->value.data) return rbt_fail_nomem(error);
        if (term->column >= RBT_LOG_COLUMN_FIRST) cold->wanted |= leaf_bit(term->column);
        bool comparable = term->value.kind == RBT_INTEGER || term->value.kind == RBT_REAL ||
                          term->value.kind == RBT_TEXT;
        if (comparable && zone_compare(term->op, &compare))
            cold->zones[cold->zone_count++] =
                (rbt_zone_term){term->column - RBT_LOG_COLUMN_FIRST, compare, term->value};
    }
    return SQLITE_OK;
}

/* colUsed without id and recorded_at, as rbt_leaf_parse counts: bit 63 for all columns from there on. */
static uint64_t wanted_columns(const rbt_log *log, uint64_t used) {
    uint64_t wanted = 0;
    for (size_t i = 0; i < log->declaration->shape.count; i++) {
        size_t column = i + RBT_LOG_COLUMN_FIRST;
        if (used >> (column < 63 ? column : 63) & 1) wanted |= leaf_bit((int)column);
    }
    return wanted;
}

static bool read_segment(cold_segment *segment, rbt_log *log, sqlite3_stmt *row, rbt_error *error) {
    rbt_buffer path = {0};
    const char *directory = (const char *)sqlite3_column_text(row, 2);
    const char *file = (const char *)sqlite3_column_text(row, 3);
    const void *manifest = sqlite3_column_blob(row, 4);
    segment->published.first_id = sqlite3_column_int64(row, 0);
    segment->published.last_id = sqlite3_column_int64(row, 1);
    if (!directory || !file || !rbt_log_file_name_valid(file) || !manifest ||
        sqlite3_column_bytes(row, 4) != 32) {
        rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: the record of segment %lld is damaged", log->name,
                 (long long)segment->published.first_id);
        return false;
    }
    memcpy(segment->published.manifest_sha256, manifest, 32);
    rbt_log_segment_path(&path, log, directory, file);
    segment->path = rbt_buffer_take(&path);
    if (!segment->path) rbt_fail_nomem(error);
    return segment->path != NULL;
}

/* Adds a segment that is there to be read. */
static int add_segment(rbt_cold *cold, sqlite3_stmt *row, rbt_error *error) {
    cold_segment *segments =
        rbt_realloc(cold->segments, (cold->segment_count + 1) * sizeof *segments);
    if (!segments) return rbt_fail_nomem(error);
    cold->segments = segments;
    memset(&segments[cold->segment_count], 0, sizeof *segments);
    if (read_segment(&segments[cold->segment_count], cold->log, row, error)) cold->segment_count++;
    return error->code;
}

/* The segments that hold 1 … up_to, checked for gaps. What has expired is none: the entries are gone. */
static int take_segments(rbt_cold *cold, rbt_error *error) {
    rbt_log *log = cold->log;
    rbt_expired expired = {0};
    int64_t covered = -1;
    if (rbt_expired_read(&expired, log, error) != SQLITE_OK) return error->code;
    sqlite3_stmt *rows = rbt_prepare(log->db, error, log->name,
                                     "SELECT first_id, last_id, directory, file, manifest_sha256, "
                                     "status FROM \"%w\".\"%w_segments\" WHERE status <> 'planned' "
                                     "AND first_id <= %lld ORDER BY first_id",
                                     log->schema, log->name, (long long)cold->up_to);
    while (rows && error->code == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW) {
        int64_t first_id = sqlite3_column_int64(rows, 0), last_id = sqlite3_column_int64(rows, 1);
        const char *status = (const char *)sqlite3_column_text(rows, 5);
        if (!status) rbt_fail_nomem(error);
        if (!status || first_id != covered + 1 || last_id < first_id ||
            last_id >= (int64_t)log->frontier.size)
            break;
        const rbt_expired_segment *gone = rbt_expired_find(&expired, first_id);
        if (strcmp(status, "published") == 0)
            add_segment(cold, rows, error);
        else if (!gone || gone->last_id != last_id)
            break;
        covered = last_id;
    }
    if (sqlite3_finalize(rows) != SQLITE_OK && error->code == SQLITE_OK)
        rbt_fail_db(error, log->db, log->name);
    rbt_expired_free(&expired);
    if (error->code == SQLITE_OK && covered < cold->up_to)
        rbt_fail(error, SQLITE_CORRUPT_VTAB,
                 "%s: entries after %lld were pruned, but no segment of them is recorded",
                 log->name, (long long)(covered > 0 ? covered : 0));
    return error->code;
}

/* Where the cold entries end, the hot ones must begin: else some would be given twice, or not at all. */
static int check_border(const rbt_log *log, rbt_error *error) {
    int64_t expected = log->pruned_to + 1;
    bool all_cold = expected == (int64_t)log->frontier.size;
    sqlite3_stmt *row =
        rbt_prepare(log->db, error, log->name, "SELECT min(id) FROM \"%w\".\"%w_rows\"",
                    log->schema, log->name);
    if (!row) return error->code;
    if (sqlite3_step(row) == SQLITE_ROW) {
        bool none = sqlite3_column_type(row, 0) == SQLITE_NULL;
        if (none != all_cold || (!none && sqlite3_column_int64(row, 0) != expected))
            rbt_fail(
                error, SQLITE_CORRUPT_VTAB,
                "%s: the entries up to %lld are said to be cold, but the hot ones do not follow "
                "them; SELECT * FROM audit_verify('%s') tells more",
                log->name, (long long)log->pruned_to, log->name);
    }
    if (sqlite3_finalize(row) != SQLITE_OK && error->code == SQLITE_OK)
        rbt_fail_db(error, log->db, log->name);
    return error->code;
}

int rbt_cold_open(rbt_cold **out, rbt_log *log, const rbt_query *query, sqlite3_value **arguments,
                  rbt_error *error) {
    rbt_cold *cold = rbt_calloc(sizeof *cold);
    if (!cold) return rbt_fail_nomem(error);
    cold->log = log;
    cold->up_to = log->pruned_to;
    cold->descending = query->flags & RBT_PLAN_DESCENDING;
    cold->wanted = wanted_columns(log, query->used);
    if (!log->logs->connection->segments)
        rbt_fail(error, SQLITE_ERROR, "%s: this build cannot read segments", log->name);
    else if (take_terms(cold, query, arguments, error) == SQLITE_OK &&
             check_border(log, error) == SQLITE_OK && take_segments(cold, error) == SQLITE_OK)
        rbt_log_trusted_verifiers(log, NULL, log->name, &cold->verifiers, &cold->verifier_count,
                                  error);
    if (error->code != SQLITE_OK) {
        rbt_cold_close(cold);
        return error->code;
    }
    *out = cold;
    return SQLITE_OK;
}

/* False when the terms on id leave nothing of the segment. */
static bool segment_may_match(const rbt_cold *cold, const cold_segment *segment) {
    for (size_t i = 0; i < cold->term_count; i++) {
        const cold_term *term = &cold->terms[i];
        if (term->column != RBT_LOG_COLUMN_ID) continue;
        rbt_value first = {RBT_INTEGER, segment->published.first_id, 0, NULL, 0};
        rbt_value last = {RBT_INTEGER, segment->published.last_id, 0, NULL, 0};
        rbt_compare compare;
        if (!zone_compare(term->op, &compare) || term->value.kind == RBT_NULL) continue;
        bool may = true;
        switch (compare) {
        case RBT_EQ:
            may = compare_values(&first, &term->value) <= 0 &&
                  compare_values(&last, &term->value) >= 0;
            break;
        case RBT_LT:
            may = compare_values(&first, &term->value) < 0;
            break;
        case RBT_LE:
            may = compare_values(&first, &term->value) <= 0;
            break;
        case RBT_GT:
            may = compare_values(&last, &term->value) > 0;
            break;
        case RBT_GE:
            may = compare_values(&last, &term->value) >= 0;
            break;
        }
        if (!may) return false;
    }
    return true;
}

static int open_next(rbt_cold *cold, rbt_error *error) {
    const rbt_segment_store *store = cold->log->logs->connection->segments;
    while (cold->next_segment < cold->segment_count) {
        size_t position = cold->next_segment++;
        if (cold->descending) position = cold->segment_count - 1 - position;
        const cold_segment *segment = &cold->segments[position];
        if (!segment_may_match(cold, segment)) continue;
        if (store->scan_open(&cold->scan, cold->log->logs->connection, segment->path,
                             cold->verifiers, cold->verifier_count, &segment->published,
                             cold->log->log_id, &cold->log->declaration->shape, cold->wanted,
                             cold->zones, cold->zone_count, cold->descending, error) != SQLITE_OK)
            return error->code;
        return SQLITE_ROW;
    }
    return SQLITE_DONE;
}

int rbt_cold_next(rbt_cold *cold, const rbt_leaf **leaf, rbt_error *error) {
    const rbt_segment_store *store = cold->log->logs->connection->segments;
    for (;;) {
        if (!cold->scan) {
            int code = open_next(cold, error);
            if (code != SQLITE_ROW) return code;
        }
        const char *line;
        size_t length;
        int code = store->scan_next(cold->scan, leaf, &line, &length, error);
        if (code == SQLITE_DONE) {
            store->scan_close(cold->scan);
            cold->scan = NULL;
        } else if (code != SQLITE_ROW) {
            return code;
        } else if ((*leaf)->id <= cold->up_to && leaf_meets(cold, *leaf)) {
            return SQLITE_ROW;
        }
    }
}

void rbt_cold_close(rbt_cold *cold) {
    if (!cold) return;
    if (cold->scan) cold->log->logs->connection->segments->scan_close(cold->scan);
    for (size_t i = 0; i < cold->segment_count; i++)
        rbt_free(cold->segments[i].path);
    rbt_free(cold->segments);
    for (size_t i = 0; i < cold->term_count; i++)
        sqlite3_value_free(cold->terms[i].argument);
    rbt_free(cold->terms);
    rbt_free(cold->zones);
    rbt_free(cold->verifiers);
    rbt_free(cold);
}
