/* SPDX-License-Identifier: MIT
** See storage.h. May call base.
**
** Facts that shape it, found by experiment on SQLite 3.40 and 3.53: the insert guard asks a table and
** calls no function, since any call makes SQLite keep a statement journal (nearly twice the work a
** row); its RAISE is FAIL for the same reason. The partial index on a constant costs one empty page
** and makes sqlite3_blob_write, which fires no trigger, refuse every column.
*/
#include "storage.h"

#include "../base/memory.h"
#include "../base/sql_util.h"

const char *const rbt_storage_suffixes[] = {"rows", "gate", "tree", "segments", "meta", NULL};

/* Adds an object whose SQL is given by buffer (consumed). */
static void add_object(rbt_storage *storage, const char *type, char *name, rbt_buffer *sql) {
    char *text = rbt_buffer_take(sql);
    rbt_storage_object *objects =
        rbt_realloc(storage->objects, (storage->count + 1) * sizeof *objects);
    if (objects) storage->objects = objects;
    if (!objects || !text || !name) {
        storage->failed = true;
        rbt_free(text);
        rbt_free(name);
        return;
    }
    objects[storage->count++] = (rbt_storage_object){type, name, text};
}

/* The definition of a column of <log>_rows. */
static void add_column(rbt_buffer *sql, const rbt_declaration *d, size_t i) {
    const rbt_log_column *column = &d->columns[i];
    rbt_column_type type = d->shape.columns[i].type;
    rbt_add_identifier(sql, d->shape.columns[i].name);
    rbt_buffer_printf(sql, " %s", type == RBT_COLUMN_JSON ? "TEXT" : rbt_column_type_name(type));
    if (column->not_null) rbt_buffer_add_text(sql, " NOT NULL");
    if (column->check) rbt_buffer_printf(sql, " CHECK(%s)", column->check);
    if (column->references)
        rbt_buffer_printf(sql, " REFERENCES %s DEFERRABLE INITIALLY DEFERRED", column->references);
}

/* ALTER TABLE puts a new column behind the others and before the checks of the table, and ", " before it. */
static void add_rows(rbt_storage *storage, const char *log, const rbt_declaration *d) {
    static const char salt[] = ", salt BLOB NOT NULL";
    rbt_buffer sql = {0};
    rbt_buffer_printf(&sql,
                      "CREATE TABLE \"%w_rows\"(id INTEGER PRIMARY KEY, recorded_at INTEGER NOT "
                      "NULL",
                      log);
    size_t first = rbt_leaf_columns_of(&d->shape, 0);
    for (size_t i = 0; i < d->shape.count; i++) {
        if (i == first && d->shape.salted) rbt_buffer_add_text(&sql, salt);
        rbt_buffer_add_text(&sql, ", ");
        add_column(&sql, d, i);
    }
    if (first == d->shape.count && d->shape.salted) rbt_buffer_add_text(&sql, salt);
    for (size_t i = 0; i < d->check_count; i++)
        rbt_buffer_printf(&sql, ", CHECK(%s)", d->checks[i]);
    rbt_buffer_add_byte(&sql, ')');
    add_object(storage, "table", sqlite3_mprintf("%s_rows", log), &sql);
}

static void add_indexes(rbt_storage *storage, const char *log, const rbt_declaration *d) {
    rbt_buffer sql = {0};
    rbt_buffer_printf(&sql, "CREATE INDEX \"%w_rows_guard\" ON \"%w_rows\"((0)) WHERE 0", log, log);
    add_object(storage, "index", sqlite3_mprintf("%s_rows_guard", log), &sql);
    for (size_t i = 0; i < d->index_count; i++) {
        const rbt_log_index *index = &d->indexes[i];
        rbt_buffer_printf(&sql, "CREATE INDEX \"%w_rows_%d\" ON \"%w_rows\"(", log, (int)i + 1,
                          log);
        for (size_t k = 0; k < index->count; k++) {
            if (k) rbt_buffer_add_text(&sql, ", ");
            if (index->columns[k] < 0)
                rbt_buffer_add_text(&sql, "recorded_at");
            else
                rbt_add_identifier(&sql, d->shape.columns[index->columns[k]].name);
        }
        rbt_buffer_add_byte(&sql, ')');
        add_object(storage, "index", sqlite3_mprintf("%s_rows_%d", log, (int)i + 1), &sql);
    }
}

static void add_trigger(rbt_storage *storage, const char *log, const char *table, const char *event,
                        const char *when, const char *action, const char *message) {
    rbt_buffer sql = {0};
    rbt_buffer words = {0};
    rbt_buffer_printf(&words, message, log);
    rbt_buffer_printf(&sql, "CREATE TRIGGER \"%w_%s_%s\" BEFORE %s ON \"%w_%s\"", log, table, event,
                      event, log, table);
    if (when) {
        rbt_buffer_add_text(&sql, " WHEN ");
        rbt_buffer_printf(&sql, when, log);
    }
    const char *sentence = rbt_buffer_text(&words);
    if (!sentence) storage->failed = true;
    rbt_buffer_printf(&sql, " BEGIN SELECT RAISE(%s, %Q); END", action, sentence);
    rbt_buffer_free(&words);
    add_object(storage, "trigger", sqlite3_mprintf("%s_%s_%s", log, table, event), &sql);
}

static void add_triggers(rbt_storage *storage, const char *log) {
    add_trigger(storage, log, "rows", "insert",
                "NOT EXISTS(SELECT 1 FROM \"%w_gate\" WHERE id = 1 AND size < NEW.id)", "FAIL",
                "%s is append-only: insert into the log, not into its storage");
    add_trigger(storage, log, "rows", "update", NULL, "ABORT",
                "%s is append-only: entries are never changed");
    add_trigger(storage, log, "rows", "delete",
                "NOT EXISTS(SELECT 1 FROM \"%w_gate\" WHERE id = 2 AND size >= OLD.id)", "ABORT",
                "%s is append-only: entries are never deleted");
    const char *only_us = "rustybt_append_only() IS NOT 1";
    const char *shut = "%s is append-only: its gate is opened by the log alone";
    add_trigger(storage, log, "gate", "insert", only_us, "ABORT", shut);
    add_trigger(storage, log, "gate", "update", only_us, "ABORT", shut);
    add_trigger(storage, log, "gate", "delete", only_us, "ABORT", shut);
}

/* body: everything from the opening parenthesis on. */
static void add_table(rbt_storage *storage, const char *log, const char *suffix, const char *body) {
    rbt_buffer sql = {0};
    rbt_buffer_printf(&sql, "CREATE TABLE \"%w_%s\"%s", log, suffix, body);
    add_object(storage, "table", sqlite3_mprintf("%s_%s", log, suffix), &sql);
}

int rbt_storage_build(rbt_storage *storage, const char *log, const rbt_declaration *declaration,
                      rbt_error *error) {
    add_rows(storage, log, declaration);
    add_table(storage, log, "gate", "(id INTEGER PRIMARY KEY, size INTEGER NOT NULL)");
    add_table(storage, log, "tree", "(node INTEGER PRIMARY KEY, hashes BLOB NOT NULL)");
    add_table(storage, log, "segments",
              "(first_id INTEGER PRIMARY KEY, last_id INTEGER NOT NULL, directory TEXT NOT NULL, "
              "file TEXT NOT NULL, rows INTEGER, raw_bytes INTEGER, file_bytes INTEGER, root "
              "BLOB, manifest_sha256 BLOB, published_us INTEGER, expires_us INTEGER, status TEXT "
              "NOT NULL)");
    add_table(storage, log, "meta", "(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID");
    add_indexes(storage, log, declaration);
    add_triggers(storage, log);
    return storage->failed ? rbt_fail_nomem(error) : SQLITE_OK;
}

void rbt_storage_free(rbt_storage *storage) {
    for (size_t i = 0; i < storage->count; i++) {
        rbt_free(storage->objects[i].name);
        rbt_free(storage->objects[i].sql);
    }
    rbt_free(storage->objects);
    memset(storage, 0, sizeof *storage);
}

/* Puts the schema before the object's name, which stands quoted after CREATE and its type. */
static int create_object(sqlite3 *db, const char *schema, const rbt_storage_object *object,
                         const char *log, rbt_error *error) {
    const char *name = strchr(object->sql, '"');
    return rbt_execute(db, error, log, "%.*s\"%w\".%s", (int)(name - object->sql), object->sql,
                       schema, name);
}

int rbt_storage_create(sqlite3 *db, const char *schema, const rbt_storage *storage, const char *log,
                       rbt_error *error) {
    for (size_t i = 0; i < storage->count && error->code == SQLITE_OK; i++)
        create_object(db, schema, &storage->objects[i], log, error);
    return error->code;
}

int rbt_storage_extend(sqlite3 *db, const char *schema, const rbt_declaration *before,
                       const rbt_declaration *after, const char *log, rbt_error *error) {
    rbt_storage storage = {0};
    for (size_t i = before->shape.count; i < after->shape.count && error->code == SQLITE_OK; i++) {
        rbt_buffer column = {0};
        add_column(&column, after, i);
        const char *text = rbt_buffer_text(&column);
        if (!text)
            rbt_fail_nomem(error);
        else
            rbt_execute(db, error, log, "ALTER TABLE \"%w\".\"%w_rows\" ADD COLUMN %s", schema, log,
                        text);
        rbt_buffer_free(&column);
    }
    add_indexes(&storage, log, after);
    if (storage.failed) rbt_fail_nomem(error);
    for (size_t i = 1 + before->index_count; i < storage.count && error->code == SQLITE_OK; i++)
        create_object(db, schema, &storage.objects[i], log, error); /* behind the guard */
    rbt_storage_free(&storage);
    return error->code;
}

int rbt_storage_drop(sqlite3 *db, const char *schema, const char *log, rbt_error *error) {
    for (int i = 0; rbt_storage_suffixes[i] && error->code == SQLITE_OK; i++) {
        char *table = sqlite3_mprintf("%s_%s", log, rbt_storage_suffixes[i]);
        if (!table) return rbt_fail_nomem(error);
        /* what is gone, or is a view that someone put there, must not keep the rest from being dropped */
        int code =
            sqlite3_table_column_metadata(db, schema, table, NULL, NULL, NULL, NULL, NULL, NULL);
        if (code == SQLITE_OK)
            rbt_execute(db, error, log, "DROP TABLE \"%w\".\"%w\"", schema, table);
        else if (code != SQLITE_ERROR)
            rbt_fail_db(error, db, log);
        rbt_free(table);
    }
    return error->code;
}
