/* SPDX-License-Identifier: MIT
** See log_index_check.h. May call base, audit and libsodium's SipHash.
*/
#include "log_index_check.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "row_visit.h"

#include <sodium.h>
#include <stdlib.h>

/* An index entry as bytes, in memory alone and in the machine's byte order: for each column its class,
** then 8 bytes (the number, or the length) and the bytes of text or blob; at last 8 bytes of id. */
enum { CLASS_NULL, CLASS_INTEGER, CLASS_REAL, CLASS_TEXT, CLASS_BLOB };

struct rbt_index_check {
    rbt_verification *verification;
    const rbt_declaration *declaration;
    uint8_t key[crypto_shorthash_KEYBYTES];
    bool applies; /* the order of texts is that of their bytes, and all CHECKs compute */
    bool failed;  /* memory ran out */
    rbt_buffer entry;
    uint64_t *sums; /* one an index */
};

/* What a hostile file has a CHECK call is SQLite's to allow or to refuse, in its integrity_check. */
static bool checks_compute(const rbt_declaration *declaration) {
    for (size_t i = 0; i < declaration->shape.count; i++)
        if (declaration->columns[i].check &&
            !rbt_expression_computes(declaration->columns[i].check))
            return false;
    for (size_t i = 0; i < declaration->check_count; i++)
        if (!rbt_expression_computes(declaration->checks[i])) return false;
    return true;
}

rbt_index_check *rbt_index_check_new(rbt_verification *v, rbt_error *error) {
    rbt_log *log = v->log;
    rbt_index_check *check = rbt_calloc(sizeof *check);
    if (check) check->sums = rbt_calloc(log->declaration->index_count * sizeof *check->sums);
    if (!check || !check->sums) {
        rbt_free(check);
        rbt_fail_nomem(error);
        return NULL;
    }
    check->verification = v;
    check->declaration = log->declaration;
    crypto_shorthash_keygen(check->key);
    sqlite3_stmt *encoding = rbt_prepare(log->db, error, log->name, "PRAGMA encoding");
    if (encoding && sqlite3_step(encoding) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(encoding, 0);
        if (!name) rbt_fail_nomem(error);
        check->applies = name && strcmp(name, "UTF-8") == 0 && checks_compute(log->declaration);
    }
    if (sqlite3_finalize(encoding) != SQLITE_OK) rbt_fail_db(error, log->db, log->name);
    return check;
}

void rbt_index_check_free(rbt_index_check *check) {
    if (!check) return;
    rbt_buffer_free(&check->entry);
    rbt_free(check->sums);
    rbt_free(check);
}

static void add_value(rbt_buffer *entry, sqlite3_value *value) {
    uint8_t word[9] = {CLASS_NULL};
    int64_t integer;
    double real;
    size_t length = 0;
    const void *bytes = NULL;
    switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
        word[0] = CLASS_INTEGER;
        integer = sqlite3_value_int64(value);
        memcpy(word + 1, &integer, 8);
        break;
    case SQLITE_FLOAT:
        word[0] = CLASS_REAL;
        real = sqlite3_value_double(value);
        memcpy(word + 1, &real, 8);
        break;
    case SQLITE_TEXT:
        word[0] = CLASS_TEXT;
        bytes = sqlite3_value_text(value);
        break;
    case SQLITE_BLOB:
        word[0] = CLASS_BLOB;
        bytes = sqlite3_value_blob(value);
        break;
    default:
        break;
    }
    if (word[0] >= CLASS_TEXT) {
        length = (size_t)sqlite3_value_bytes(value);
        memcpy(word + 1, &length, sizeof length);
        if (!bytes && (length || word[0] == CLASS_TEXT)) entry->failed = true;
    }
    if (!rbt_buffer_reserve(entry, sizeof word + length)) return;
    memcpy(entry->data + entry->length, word, sizeof word);
    if (length) memcpy(entry->data + entry->length + sizeof word, bytes, length);
    entry->length += sizeof word + length;
}

static uint64_t hash_entry(const rbt_index_check *check, const rbt_buffer *entry) {
    uint64_t hash;
    _Static_assert(crypto_shorthash_BYTES == sizeof hash, "SipHash gives 64 bits");
    if (entry->failed) return 0; /* told at the end */
    crypto_shorthash((uint8_t *)&hash, entry->data, entry->length, check->key);
    return hash;
}

static void add_id(rbt_buffer *entry, sqlite3_value *value) {
    int64_t id = sqlite3_value_int64(value);
    rbt_buffer_add(entry, &id, sizeof id);
}

void rbt_index_check_add(rbt_index_check *check, sqlite3_value **row) {
    if (!check->applies) return;
    for (size_t i = 0; i < check->declaration->index_count; i++) {
        const rbt_log_index *index = &check->declaration->indexes[i];
        rbt_buffer *entry = &check->entry;
        entry->length = 0;
        for (size_t k = 0; k < index->count; k++)
            add_value(entry, row[index->columns[k] + 2]); /* recorded_at, -1, stands at 1 */
        add_id(entry, row[0]);
        check->sums[i] += hash_entry(check, entry);
    }
    if (check->entry.failed) check->failed = true;
}

/* The reading of one index. */
typedef struct reading {
    const rbt_index_check *check;
    size_t columns;
    uint64_t sum;
    rbt_buffer entry, last; /* this entry and the one before, of which the first has none */
    bool ordered;
} reading;

static int compare_bytes(const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length) {
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

/* Less than 0 when a stands before b in an index of SQLite's (sqlite.org/datatype3.html §4.1), with
** integers before reals: the rows of a log never have both in one column. */
static int compare_entries(const uint8_t *a, const uint8_t *b, size_t columns) {
    for (; columns > 0; columns--) {
        int order = 0;
        size_t a_length = 0, b_length = 0;
        if (*a != *b) return *a < *b ? -1 : 1;
        if (*a == CLASS_INTEGER) {
            int64_t x, y;
            memcpy(&x, a + 1, 8);
            memcpy(&y, b + 1, 8);
            order = (x > y) - (x < y);
        } else if (*a == CLASS_REAL) {
            double x, y;
            memcpy(&x, a + 1, 8);
            memcpy(&y, b + 1, 8);
            order = (x > y) - (x < y);
        } else if (*a >= CLASS_TEXT) {
            memcpy(&a_length, a + 1, sizeof a_length);
            memcpy(&b_length, b + 1, sizeof b_length);
            order = compare_bytes(a + 9, a_length, b + 9, b_length);
        }
        if (order) return order;
        a += 9 + a_length;
        b += 9 + b_length;
    }
    int64_t x, y;
    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    return (x > y) - (x < y);
}

static bool read_entry(void *context, sqlite3_value **row) {
    reading *r = context;
    rbt_buffer swapped = r->last;
    r->last = r->entry;
    r->entry = swapped;
    r->entry.length = 0;
    for (size_t k = 0; k < r->columns; k++)
        add_value(&r->entry, row[k]);
    add_id(&r->entry, row[r->columns]);
    if (r->entry.failed) return false;
    if (r->last.length > 0 && compare_entries(r->last.data, r->entry.data, r->columns) >= 0)
        r->ordered = false;
    r->sum += hash_entry(r->check, &r->entry);
    return r->ordered;
}

static void add_index_columns(rbt_buffer *out, const rbt_declaration *declaration,
                              const rbt_log_index *index) {
    for (size_t k = 0; k < index->count; k++) {
        if (index->columns[k] < 0)
            rbt_buffer_add_text(out, "recorded_at");
        else
            rbt_add_identifier(out, declaration->shape.columns[index->columns[k]].name);
        rbt_buffer_add_text(out, ", ");
    }
    rbt_buffer_add_text(out, "id");
}

/* Another try may do better: no damage. */
static bool may_pass(int code) {
    return code == SQLITE_NOMEM || code == SQLITE_BUSY || code == SQLITE_LOCKED ||
           code == SQLITE_INTERRUPT;
}

/* Takes over an error that may pass; else what could not be read agrees with nothing. */
static bool could_read(rbt_error *trouble, rbt_error *error) {
    bool could = trouble->code == SQLITE_OK;
    if (may_pass(trouble->code))
        rbt_fail(error, trouble->code, "%s", trouble->message ? trouble->message : "");
    rbt_error_clear(trouble);
    return could;
}

/* Whether index number i holds what the rows hold. */
static bool index_agrees(rbt_index_check *check, size_t i, rbt_error *error) {
    const rbt_log *log = check->verification->log;
    const rbt_log_index *index = &check->declaration->indexes[i];
    reading r = {.check = check, .columns = index->count, .ordered = true};
    rbt_buffer columns = {0}, source = {0};
    rbt_error trouble = {0};
    add_index_columns(&columns, check->declaration, index);
    rbt_buffer_printf(&source, "\"%w\".\"%w_rows\" INDEXED BY \"%w_rows_%d\"", log->schema,
                      log->name, log->name, (int)i + 1);
    const char *names = rbt_buffer_text(&columns), *from = rbt_buffer_text(&source);
    if (names && from)
        rbt_visit_rows(log->db, log->name, names, (int)index->count + 1, from, names, read_entry,
                       &r, &trouble);
    if (!names || !from || r.entry.failed) rbt_fail_nomem(error);
    rbt_buffer_free(&columns);
    rbt_buffer_free(&source);
    rbt_buffer_free(&r.entry);
    rbt_buffer_free(&r.last);
    return could_read(&trouble, error) && r.ordered && r.sum == check->sums[i];
}

static void add_check(rbt_buffer *out, const char *check) {
    if (check) rbt_buffer_printf(out, " OR NOT (%s)", check);
}

/* Whether a search by its id finds every row, and every row passes the declaration's CHECKs. *lost_row: OUT,
** it is a search that failed: a CHECK alone is SQLite's to judge, by PRAGMA ignore_check_constraints. */
static bool rows_are_found_valid(const rbt_index_check *check, bool *lost_row, rbt_error *error) {
    const rbt_log *log = check->verification->log;
    const rbt_declaration *declaration = check->declaration;
    rbt_error trouble = {0};
    rbt_buffer checks = {0};
    bool found = false;
    for (size_t i = 0; i < declaration->shape.count; i++)
        add_check(&checks, declaration->columns[i].check);
    for (size_t i = 0; i < declaration->check_count; i++)
        add_check(&checks, declaration->checks[i]);
    const char *or_invalid = rbt_buffer_text(&checks);
    if (!or_invalid) rbt_fail_nomem(&trouble);
    /* CHECKs name columns alone, so the other table has none but a name that nobody would take. */
    sqlite3_stmt *lost =
        rbt_prepare(log->db, &trouble, log->name,
                    "SELECT b.\"rustybt found\" IS NULL FROM \"%w\".\"%w_rows\" AS a NOT INDEXED "
                    "LEFT JOIN (SELECT id AS "
                    "\"rustybt found\" "
                    "FROM \"%w\".\"%w_rows\" NOT INDEXED) AS b ON b.\"rustybt found\" = a.id WHERE "
                    "b.\"rustybt found\" IS NULL%s ORDER BY a.id DESC",
                    log->schema, log->name, log->schema, log->name, or_invalid);
    if (lost) {
        int code = sqlite3_step(lost);
        found = code == SQLITE_DONE;
        *lost_row = code == SQLITE_ROW && sqlite3_column_int(lost, 0);
        if (sqlite3_finalize(lost) != SQLITE_OK) rbt_fail_db(&trouble, log->db, log->name);
    }
    rbt_buffer_free(&checks);
    return could_read(&trouble, error) && found;
}

/* SQLite tells a lack of memory that it met underway as if it were damage: "… error code=7". */
static bool tells_of_memory(const char *line) {
    static const char words[] = "error code=";
    for (const char *at = line; (at = strstr(at, words)) != NULL; at += sizeof words - 1) {
        long code = strtol(at + sizeof words - 1, NULL, 10);
        if (code == SQLITE_NOMEM || code == SQLITE_IOERR_NOMEM) return true;
    }
    return false;
}

/* SQLite's own words on the rows and their indexes. */
static int report_integrity(rbt_verification *v, rbt_error *error) {
    rbt_log *log = v->log;
    sqlite3_stmt *lines =
        rbt_prepare(log->db, error, log->name, "PRAGMA \"%w\".integrity_check(\"%w_rows\")",
                    log->schema, log->name);
    if (!lines &&
        error->code == SQLITE_ERROR) { /* a CHECK calls what it may not, or what is unknown */
        rbt_log_problem(v, "index", -1, "%s", error->message ? error->message : log->name);
        rbt_error_clear(error);
    }
    if (!lines) return error->code;
    while (sqlite3_step(lines) == SQLITE_ROW) {
        const char *line = (const char *)sqlite3_column_text(lines, 0);
        if (line && tells_of_memory(line))
            rbt_fail_nomem(error);
        else if (line && strcmp(line, "ok") != 0)
            rbt_log_problem(v, "index", -1, "%s", line);
    }
    if (sqlite3_finalize(lines) != SQLITE_OK) rbt_fail_db(error, log->db, log->name);
    return error->code;
}

int rbt_index_check_finish(rbt_index_check *check, rbt_error *error) {
    rbt_verification *v = check->verification;
    rbt_log *log = v->log;
    if (check->failed) return rbt_fail_nomem(error);
    if (!check->applies) return report_integrity(v, error);
    size_t count = check->declaration->index_count, i = 0;
    while (i < count && index_agrees(check, i, error))
        i++;
    bool lost_row = false;
    bool agree =
        i == count && error->code == SQLITE_OK && rows_are_found_valid(check, &lost_row, error);
    if (agree || error->code != SQLITE_OK) return error->code;
    int64_t before = v->problems;
    report_integrity(v, error);
    if (error->code == SQLITE_OK && v->problems == before && i < count)
        rbt_log_problem(v, "index", -1, "index %s_rows_%d does not hold what the rows hold",
                        log->name, (int)i + 1);
    else if (error->code == SQLITE_OK && v->problems == before && lost_row)
        rbt_log_problem(v, "index", -1, "a search by id does not find every row");
    return error->code;
}
