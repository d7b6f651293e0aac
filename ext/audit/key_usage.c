/* SPDX-License-Identifier: MIT
** The table key_usage: one pass over every table of every attached schema. May call base, crypto's
** usage.h and audit.
**
** What is read: ordinary tables as they are stored; logs through themselves, hot and cold, and their
** seals. What is not: a log's own storage (it would count entries twice), virtual tables of other
** modules (their code is not called), views, and virtual generated columns (they store nothing, and
** may call functions that this connection does not have).
**
** The schema may be hostile. Tables are told from their SQL in sqlite_schema, which is what SQLite itself
** goes by. No SQL function and no pragma's table is used that a program or a table in the file could take
** the place of; PRAGMA table_list would connect every virtual table. One read transaction a schema lasts
** over the whole pass, so that nothing vanishes meanwhile.
*/
#include "key_usage.h"

#include "../base/bytes.h"
#include "../base/list_table.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "log_seal.h"
#include "sql_tokens.h"
#include "storage.h"
#include "usage_tally.h"

static const char who[] = "key_usage";

/* What is being scanned. In the second look the values that might be blind indexes are compared with the
** key ids that the first one came across. */
typedef struct usage_scan {
    rbt_connection *connection;
    rbt_usage_tally tally;
    rbt_buffer scratch;
    uint8_t *foreign_ids; /* sorted; NULL in the first look */
    size_t foreign_count;
} usage_scan;

/* ------------------------------------------------------------------------------- values */

static int look_at(usage_scan *scan, rbt_usage_column *column, sqlite3_stmt *rows, int position,
                   rbt_error *error) {
    rbt_usage usage;
    int type = sqlite3_column_type(rows, position);
    if (type != SQLITE_TEXT && type != SQLITE_BLOB) return SQLITE_OK;
    /* the bytes before the length: text may be converted from UTF-16 */
    const uint8_t *bytes = type == SQLITE_TEXT ? sqlite3_column_text(rows, position)
                                               : sqlite3_column_blob(rows, position);
    size_t length = (size_t)sqlite3_column_bytes(rows, position);
    if (bytes == NULL && (type == SQLITE_TEXT || length > 0)) return rbt_fail_nomem(error);
    if (length == 0) return SQLITE_OK;
    if (!rbt_usage_of(&usage, bytes, length, type == SQLITE_TEXT, scan->tally.keys, &scan->scratch))
        return rbt_fail_nomem(error);
    if (scan->foreign_ids) {
        if (usage.format != RBT_USAGE_MAYBE_BLIND_INDEX ||
            !rbt_usage_is_among(scan->foreign_ids, scan->foreign_count, usage.key_id))
            return SQLITE_OK;
        usage.format = RBT_USAGE_BLIND_INDEX;
    }
    rbt_usage_add(&scan->tally, column, &usage);
    return scan->tally.failed ? rbt_fail_nomem(error) : SQLITE_OK;
}

/* Whether this look reads the column. */
static bool wanted(const usage_scan *scan, const rbt_usage_column *column) {
    return column->name && (!scan->foreign_ids || column->maybe);
}

static sqlite3_stmt *select_wanted(usage_scan *scan, const rbt_usage_table *table,
                                   const char *prefix, rbt_error *error) {
    rbt_buffer columns = {0};
    sqlite3_stmt *rows = NULL;
    for (size_t i = 0; i < table->count; i++) {
        if (!wanted(scan, &table->columns[i])) continue;
        rbt_buffer_add_text(&columns, columns.length ? ", t." : "t.");
        rbt_add_identifier(&columns, table->columns[i].name);
    }
    const char *list = rbt_buffer_text(&columns);
    if (list == NULL)
        rbt_fail_nomem(error);
    else if (*list) /* never by an index: what it holds may differ from the table */
        rows =
            rbt_prepare(scan->connection->db, error, prefix, "SELECT %s FROM \"%w\".\"%w\" AS t%s",
                        list, table->schema, table->name, table->is_log ? "" : " NOT INDEXED");
    rbt_buffer_free(&columns);
    return rows;
}

/* One pass over a table, or over a log's entries. */
static int read_rows(usage_scan *scan, rbt_usage_table *table, rbt_error *error) {
    int code = SQLITE_ROW;
    char *prefix = sqlite3_mprintf("%s: %s", who, table->label);
    if (prefix == NULL) return rbt_fail_nomem(error);
    sqlite3_stmt *rows = select_wanted(scan, table, prefix, error);
    while (rows && error->code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        int position = 0;
        for (size_t i = 0; i < table->count && error->code == SQLITE_OK; i++)
            if (wanted(scan, &table->columns[i]))
                look_at(scan, &table->columns[i], rows, position++, error);
    }
    if (rows && code != SQLITE_ROW && code != SQLITE_DONE)
        rbt_fail_db(error, scan->connection->db, prefix);
    sqlite3_finalize(rows); /* repeats the step's code, which is recorded by now */
    rbt_free(prefix);
    return error->code;
}

/* ------------------------------------------------------------------------------- tables */

/* The stored columns of an ordinary table: all but virtual generated ones. */
static int add_stored_columns(usage_scan *scan, const rbt_usage_table *table, rbt_error *error) {
    enum { NAME = 1, HIDDEN = 6, VIRTUAL_GENERATED = 2 }; /* sqlite.org/pragma.html: table_xinfo */
    sqlite3 *db = scan->connection->db;
    bool any = false;
    char *prefix = sqlite3_mprintf("%s: %s", who, table->label);
    if (prefix == NULL) return rbt_fail_nomem(error);
    sqlite3_stmt *columns = rbt_prepare(db, error, prefix, "PRAGMA \"%w\".table_xinfo(\"%w\")",
                                        table->schema, table->name);
    while (columns && error->code == SQLITE_OK && sqlite3_step(columns) == SQLITE_ROW) {
        any = true;
        if (sqlite3_column_int(columns, HIDDEN) == VIRTUAL_GENERATED) continue;
        const char *name = (const char *)sqlite3_column_text(columns, NAME);
        if (name == NULL || !rbt_usage_add_column(&scan->tally, name)) rbt_fail_nomem(error);
    }
    if (columns && sqlite3_finalize(columns) != SQLITE_OK) rbt_fail_db(error, db, prefix);
    if (!any && error->code == SQLITE_OK) /* passing it over would hide what it holds */
        rbt_fail(error, SQLITE_CORRUPT,
                 "%s: sqlite_schema declares a table that the schema does not have", prefix);
    rbt_free(prefix);
    return error->code;
}

static int scan_table(usage_scan *scan, const char *schema, const char *name, rbt_error *error) {
    rbt_usage_table *table = rbt_usage_add_table(&scan->tally, schema, name, false);
    if (table == NULL) return rbt_fail_nomem(error);
    if (add_stored_columns(scan, table, error) == SQLITE_OK) read_rows(scan, table, error);
    rbt_usage_drop_empty(&scan->tally);
    return error->code;
}

/* The key that seals the log, as a column without a name. */
static int add_seal(usage_scan *scan, rbt_log *log, rbt_error *error) {
    rbt_buffer seal = {0};
    bool found = false;
    rbt_usage_column *column = rbt_usage_add_column(&scan->tally, NULL);
    if (column == NULL) return rbt_fail_nomem(error);
    rbt_log_meta_bytes(log, "seal", &seal, &found, error);
    if (error->code == SQLITE_OK && found && seal.length == RBT_SEAL_SIZE) {
        rbt_usage usage = {.format = RBT_USAGE_SEAL, .has_key = true};
        memcpy(usage.key_id, seal.data, RBT_KEY_ID_SIZE);
        rbt_usage_add(&scan->tally, column, &usage);
    }
    rbt_buffer_free(&seal);
    if (scan->tally.failed) rbt_fail_nomem(error);
    return error->code;
}

/* A JSON column holds an object or an array, never a token. */
static int scan_log(usage_scan *scan, const char *schema, const char *name, rbt_error *error) {
    rbt_log *log = rbt_log_find_in(scan->connection, schema, name, who, error);
    if (log == NULL) /* its name in sqlite_schema is not the one that it declares */
        return rbt_fail(error, SQLITE_CORRUPT,
                        "%s: %s.%s: sqlite_schema declares a log that the schema does not have",
                        who, schema, name);
    rbt_usage_table *table = rbt_usage_add_table(&scan->tally, schema, name, true);
    if (table == NULL)
        rbt_fail_nomem(error);
    else
        add_seal(scan, log, error);
    const rbt_leaf_shape *shape = &log->declaration->shape;
    for (size_t i = 0; i < shape->count && error->code == SQLITE_OK; i++) {
        rbt_column_type type = shape->columns[i].type;
        if ((type == RBT_COLUMN_TEXT || type == RBT_COLUMN_BLOB) &&
            !rbt_usage_add_column(&scan->tally, shape->columns[i].name))
            rbt_fail_nomem(error);
    }
    if (error->code == SQLITE_OK) read_rows(scan, table, error);
    rbt_usage_drop_empty(&scan->tally);
    rbt_log_release(log);
    return error->code;
}

/* ------------------------------------------------------------------------------- schemas */

typedef enum table_kind { OTHER_OBJECT = ' ', ORDINARY_TABLE = 'T', LOG = 'L' } table_kind;

/* What sqlite_schema's SQL declares; *name: its name, as SQLite itself reads it. */
static table_kind read_declaration(rbt_token *name, const char *sql) {
    rbt_tokens tokens = {sql, sql + strlen(sql)};
    if (!rbt_token_is_word(rbt_next_token(&tokens), "CREATE")) return OTHER_OBJECT;
    rbt_token word = rbt_next_token(&tokens);
    bool is_virtual = rbt_token_is_word(word, "VIRTUAL");
    if (is_virtual) word = rbt_next_token(&tokens);
    if (!rbt_token_is_word(word, "TABLE")) return OTHER_OBJECT;
    *name = rbt_next_token(&tokens);
    if (!is_virtual) return ORDINARY_TABLE;
    return rbt_declares_log(sql) ? LOG : OTHER_OBJECT;
}

/* Gathers the tables of a schema: for each its kind, its name, a NUL. They are gathered before any is
** scanned, since the logs must be known before their storage can be passed over. */
static int gather(usage_scan *scan, const char *schema, rbt_buffer *names, rbt_error *error) {
    sqlite3 *db = scan->connection->db;
    sqlite3_stmt *rows = rbt_prepare(
        db, error, who, "SELECT sql FROM \"%w\".sqlite_schema ORDER BY name, rowid", schema);
    while (rows && error->code == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW) {
        rbt_token name;
        if (sqlite3_column_type(rows, 0) != SQLITE_TEXT) continue;
        const char *sql = (const char *)sqlite3_column_text(rows, 0);
        if (sql == NULL) {
            rbt_fail_nomem(error);
            break;
        }
        table_kind kind = read_declaration(&name, sql);
        if (kind == OTHER_OBJECT) continue;
        rbt_buffer_add_byte(names, (uint8_t)kind);
        rbt_token_unquote(names, name);
        rbt_buffer_add_byte(names, 0);
    }
    if (rows && sqlite3_finalize(rows) != SQLITE_OK) rbt_fail_db(error, db, who);
    if (names->failed) rbt_fail_nomem(error);
    return error->code;
}

/* Iterates over what gather put together. */
static const char *next_name(const rbt_buffer *names, const char *entry) {
    const char *next = entry ? entry + strlen(entry) + 1 : (const char *)names->data;
    return next && next < (const char *)names->data + names->length ? next : NULL;
}

/* Whether the table is where a log of this schema keeps its entries and state. */
static bool is_storage(const rbt_buffer *names, const char *table) {
    const char *underscore = strrchr(table, '_');
    if (underscore == NULL) return false;
    int known = 0;
    for (int i = 0; rbt_storage_suffixes[i]; i++)
        known |= sqlite3_stricmp(underscore + 1, rbt_storage_suffixes[i]) == 0;
    size_t length = (size_t)(underscore - table);
    if (!known) return false;
    for (const char *entry = next_name(names, NULL); entry; entry = next_name(names, entry))
        if (*entry == LOG && strlen(entry + 1) == length &&
            sqlite3_strnicmp(entry + 1, table, (int)length) == 0)
            return true;
    return false;
}

static int scan_schema(usage_scan *scan, const char *schema, rbt_error *error) {
    rbt_buffer names = {0};
    gather(scan, schema, &names, error);
    for (const char *entry = next_name(&names, NULL); entry && error->code == SQLITE_OK;
         entry = next_name(&names, entry)) {
        if (*entry == LOG)
            scan_log(scan, schema, entry + 1, error);
        else if (!is_storage(&names, entry + 1))
            scan_table(scan, schema, entry + 1, error);
    }
    rbt_buffer_free(&names);
    return error->code;
}

/* A blind index says which key it is under but not that it is one. Under the ring's keys it is told by
** that id alone; 24 bytes under another key only when that id was seen in a token or a seal, too. */
static int look_again(usage_scan *scan, rbt_error *error) {
    scan->foreign_ids = rbt_usage_foreign_ids(&scan->tally, &scan->foreign_count);
    if (scan->tally.failed) return rbt_fail_nomem(error);
    if (scan->foreign_ids == NULL) return SQLITE_OK;
    for (size_t i = 0; i < scan->tally.count && error->code == SQLITE_OK; i++) {
        rbt_usage_table *table = &scan->tally.tables[i];
        bool maybe = false;
        for (size_t c = 0; c < table->count; c++)
            maybe = maybe || table->columns[c].maybe;
        if (maybe) read_rows(scan, table, error);
    }
    return error->code;
}

/* Opens a read transaction on each schema; an empty one has none, and nothing to read. The statements go
** into holds, one a schema, NULLs at its end. */
static sqlite3_stmt **hold_schemas(usage_scan *scan, rbt_error *error) {
    sqlite3 *db = scan->connection->db;
    size_t count = 0;
    while (sqlite3_db_name(db, (int)count))
        count++;
    sqlite3_stmt **holds = rbt_calloc((count + 1) * sizeof *holds);
    if (holds == NULL) rbt_fail_nomem(error);
    for (size_t i = 0; i < count && error->code == SQLITE_OK; i++) {
        const char *schema = sqlite3_db_name(db, (int)i);
        char *prefix = sqlite3_mprintf("%s: %s", who, schema);
        if (prefix == NULL) {
            rbt_fail_nomem(error);
            break;
        }
        holds[i] = rbt_prepare(db, error, prefix, "SELECT 1 FROM \"%w\".sqlite_schema", schema);
        int code = holds[i] ? sqlite3_step(holds[i]) : SQLITE_DONE;
        if (code != SQLITE_ROW && code != SQLITE_DONE) rbt_fail_db(error, db, prefix);
        rbt_free(prefix);
    }
    return holds;
}

static void release_schemas(sqlite3_stmt **holds) {
    for (size_t i = 0; holds && holds[i]; i++)
        sqlite3_finalize(holds[i]); /* a failed step's code was recorded when it came */
    rbt_free(holds);
}

/* ------------------------------------------------------------------------------- the table */

static void list_count(rbt_list *list, const rbt_usage_table *table, const rbt_usage_column *column,
                       const rbt_usage_count *count) {
    char hex[2 * RBT_KEY_ID_SIZE + 1];
    rbt_list_text(list, table->label);
    rbt_list_text(list, column->name);
    rbt_list_text(list, rbt_usage_format_name(count->format));
    switch (count->key) {
    case RBT_USAGE_KEY_NONE:
        rbt_list_null(list);
        break;
    case RBT_USAGE_KEY_ID:
        rbt_hex_encode(hex, count->key_id, RBT_KEY_ID_SIZE);
        rbt_list_text(list, hex);
        break;
    case RBT_USAGE_KEY_OTHER:
        rbt_list_text(list, "other");
        break;
    }
    rbt_list_i64(list, count->rows);
    if (count->has_time) {
        rbt_list_i64(list, count->oldest_us);
        rbt_list_i64(list, count->newest_us);
    } else {
        rbt_list_null(list);
        rbt_list_null(list);
    }
}

static void list_all(rbt_list *list, rbt_usage_tally *tally) {
    for (size_t t = 0; t < tally->count; t++) {
        const rbt_usage_table *table = &tally->tables[t];
        for (size_t c = 0; c < table->count; c++) {
            rbt_usage_sort(&table->columns[c]);
            for (size_t i = 0; i < table->columns[c].count; i++)
                list_count(list, table, &table->columns[c], &table->columns[c].counts[i]);
        }
    }
}

static int fill_usage(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                      rbt_error *error) {
    usage_scan scan = {.connection = connection};
    const char *schema;
    (void)arguments;
    const rbt_keys *keys = rbt_connection_keys(connection, who, error);
    if (keys == NULL) return error->code;
    rbt_keys_retain(keys); /* a log that is read meanwhile may read them anew */
    scan.tally.keys = keys;
    sqlite3_stmt **holds = hold_schemas(&scan, error);
    for (int i = 0; error->code == SQLITE_OK && (schema = sqlite3_db_name(connection->db, i)); i++)
        scan_schema(&scan, schema, error);
    if (error->code == SQLITE_OK) look_again(&scan, error);
    if (error->code == SQLITE_OK) list_all(list, &scan.tally);
    release_schemas(holds);
    rbt_free(scan.foreign_ids);
    rbt_buffer_free(&scan.scratch);
    rbt_usage_tally_free(&scan.tally);
    rbt_keys_free((rbt_keys *)keys);
    return error->code;
}

static const rbt_list_spec usage_spec = {
    "key_usage",
    "table_name TEXT, column_name TEXT, format TEXT, key_id TEXT, rows INTEGER, oldest_us INTEGER, "
    "newest_us INTEGER",
    7,
    0,
    0,
    true,
    fill_usage};
RBT_LIST_TABLE(usage_module, usage_spec);

const rbt_table rbt_key_usage_tables[] = {
    {"key_usage", &usage_module, "key_usage", "nothing",
     "every column that holds tokens, wrapped keys or blind indexes, and every sealed log: how "
     "many "
     "values by format and key, the oldest and the newest",
     "SELECT table_name, column_name, key_id, rows FROM key_usage"},
    {0},
};
