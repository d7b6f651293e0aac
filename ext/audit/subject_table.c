/* SPDX-License-Identifier: MIT
** See subject_table.h. May call base.
**
** The guard on inserts is there for INSERT OR REPLACE, and the look at other rows of one index for
** UPDATE OR REPLACE: with recursive_triggers off, REPLACE deletes rows without asking the trigger on
** deletes. The partial index on a constant makes sqlite3_blob_write, which fires no trigger, refuse
** every column (storage.c).
*/
#include "subject_table.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../base/transaction.h"

typedef struct part {
    const char *type, *name;
    const char
        *sql; /* as sqlite_schema stores it; the name stands quoted after CREATE and the type */
} part;

#define NAME RBT_SUBJECT_TABLE

static const part parts[] = {
    {"table", NAME,
     "CREATE TABLE \"" NAME "\"(id INTEGER PRIMARY KEY, sid BLOB NOT NULL UNIQUE, wrapped BLOB, "
     "subject BLOB UNIQUE, name BLOB, created_us INTEGER NOT NULL, forgotten_us INTEGER)"},
    {"index", NAME "_guard", "CREATE INDEX \"" NAME "_guard\" ON \"" NAME "\"((0)) WHERE 0"},
    {"trigger", NAME "_insert",
     "CREATE TRIGGER \"" NAME "_insert\" BEFORE INSERT ON \"" NAME "\" WHEN "
     "rustybt_append_only() IS NOT 1 BEGIN SELECT RAISE(ABORT, '" NAME
     " is filled by subject_encrypt() alone'); END"},
    {"trigger", NAME "_delete",
     "CREATE TRIGGER \"" NAME "_delete\" BEFORE DELETE ON \"" NAME
     "\" BEGIN SELECT RAISE(ABORT, '" NAME
     " keeps its rows; subject_forget() destroys a key'); END"},
    {"trigger", NAME "_update",
     "CREATE TRIGGER \"" NAME "_update\" BEFORE UPDATE ON \"" NAME "\" WHEN "
     "rustybt_append_only() IS NOT 1 BEGIN SELECT RAISE(ABORT, '" NAME
     " changes by subject_rotate() and subject_forget() alone'); END"},
};

enum { PARTS = sizeof parts / sizeof parts[0] };

int rbt_subject_table_present(sqlite3 *db, bool *present, const char *who, rbt_error *error) {
    sqlite3_stmt *look = rbt_prepare(db, error, who,
                                     "SELECT 1 FROM main.sqlite_schema WHERE name = %Q COLLATE "
                                     "NOCASE",
                                     NAME);
    if (look == NULL) return error->code;
    *present = sqlite3_step(look) == SQLITE_ROW;
    if (sqlite3_finalize(look) != SQLITE_OK) rbt_fail_db(error, db, who);
    return error->code;
}

/* missing: OUT, a bit for each part. */
static int compare_parts(sqlite3 *db, unsigned *missing, const char *who, rbt_error *error) {
    sqlite3_stmt *look = rbt_prepare(
        db, error, who,
        "SELECT type = ?1 AND sql = ?3 FROM main.sqlite_schema WHERE name = ?2 COLLATE NOCASE");
    *missing = 0;
    for (int i = 0; look && i < PARTS && error->code == SQLITE_OK; i++) {
        sqlite3_bind_text(look, 1, parts[i].type, -1, SQLITE_STATIC);
        sqlite3_bind_text(look, 2, parts[i].name, -1, SQLITE_STATIC);
        sqlite3_bind_text(look, 3, parts[i].sql, -1, SQLITE_STATIC);
        int code = sqlite3_step(look);
        if (code == SQLITE_DONE)
            *missing |= 1u << i;
        else if (code == SQLITE_ROW && !sqlite3_column_int(look, 0))
            rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: %s %s was changed; it should read: %s", who,
                     parts[i].type, parts[i].name, parts[i].sql);
        if (sqlite3_reset(look) != SQLITE_OK) rbt_fail_db(error, db, who);
    }
    sqlite3_finalize(look);
    return error->code;
}

int rbt_subject_write_failed(sqlite3 *db, const char *who, rbt_error *error) {
    switch (sqlite3_extended_errcode(db)) {
    case SQLITE_BUSY_SNAPSHOT:
        return rbt_fail(error, SQLITE_BUSY_SNAPSHOT,
                        "%s: the subject has no key yet, and another connection has written since "
                        "this transaction began to read; ROLLBACK, and start it with BEGIN "
                        "IMMEDIATE",
                        who);
    case SQLITE_BUSY:
        return rbt_fail(error, SQLITE_BUSY,
                        "%s: the subject has no key yet, and another connection is writing; try "
                        "again",
                        who);
    case SQLITE_READONLY:
        return rbt_fail(error, SQLITE_READONLY,
                        "%s: the subject has no key yet, and the database is read-only", who);
    default:
        return rbt_fail_db(error, db, who);
    }
}

static int execute(sqlite3 *db, const char *sql, const char *who, rbt_error *error) {
    if (error->code == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        rbt_subject_write_failed(db, who, error);
    return error->code;
}

static int make_parts(sqlite3 *db, unsigned missing, const char *who, rbt_error *error) {
    for (int i = 0; i < PARTS && error->code == SQLITE_OK; i++) {
        if (!(missing & 1u << i)) continue;
        const char *name = strchr(parts[i].sql, '"');
        char *sql = sqlite3_mprintf("%.*smain.%s", (int)(name - parts[i].sql), parts[i].sql, name);
        if (sql)
            execute(db, sql, who, error);
        else
            rbt_fail_nomem(error);
        rbt_free(sql);
    }
    return error->code;
}

/* Another connection may have made the table while this one waited for the lock. */
static int make_missing(sqlite3 *db, const char *who, rbt_error *error) {
    unsigned missing;
    if (compare_parts(db, &missing, who, error) == SQLITE_OK) make_parts(db, missing, who, error);
    return error->code;
}

static int make_in_transaction(sqlite3 *db, const char *who, rbt_error *error) {
    rbt_transaction own = {0};
    rbt_error refused = {0};
    if (rbt_transaction_begin(&own, db, who, &refused) != SQLITE_OK) {
        rbt_subject_write_failed(db, who, error);
        rbt_error_clear(&refused);
        return error->code;
    }
    make_missing(db, who, error);
    return rbt_transaction_end(&own, who, error);
}

/* Within the caller's transaction, which is the caller's to end. */
static int make_in_savepoint(sqlite3 *db, const char *who, rbt_error *error) {
    if (execute(db, "SAVEPOINT " NAME, who, error) != SQLITE_OK) return error->code;
    make_missing(db, who, error);
    execute(db, "RELEASE " NAME, who, error);
    /* some errors have rolled back the transaction by themselves */
    if (error->code != SQLITE_OK && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK TO " NAME "; RELEASE " NAME, NULL, NULL, NULL);
    return error->code;
}

int rbt_subject_table_make(sqlite3 *db, const char *who, rbt_error *error) {
    unsigned missing;
    if (compare_parts(db, &missing, who, error) != SQLITE_OK || missing == 0) return error->code;
    /* Within a statement that writes there is neither BEGIN nor SAVEPOINT. Then a failure ends that
    ** statement, and parts that stay are completed by the next call. */
    if (rbt_inside_a_write(db)) return make_parts(db, missing, who, error);
    return sqlite3_get_autocommit(db) ? make_in_transaction(db, who, error)
                                      : make_in_savepoint(db, who, error);
}

static int read_setting(sqlite3 *db, const char *sql, int64_t *value, const char *who,
                        rbt_error *error) {
    sqlite3_stmt *pragma = rbt_prepare(db, error, who, "%s", sql);
    *value = -1;
    if (pragma && sqlite3_step(pragma) == SQLITE_ROW) *value = sqlite3_column_int64(pragma, 0);
    if (sqlite3_finalize(pragma) != SQLITE_OK) rbt_fail_db(error, db, who);
    return error->code;
}

int rbt_secure_delete_on(sqlite3 *db, int64_t *before, const char *who, rbt_error *error) {
    int64_t now;
    if (read_setting(db, "PRAGMA main.secure_delete", before, who, error) == SQLITE_OK &&
        read_setting(db, "PRAGMA main.secure_delete = ON", &now, who, error) == SQLITE_OK &&
        now != 1)
        rbt_fail(error, SQLITE_ERROR, "%s: PRAGMA secure_delete cannot be switched on", who);
    return error->code;
}

void rbt_secure_delete_restore(sqlite3 *db, int64_t before) {
    const char *sql = before == 0   ? "PRAGMA main.secure_delete = OFF"
                      : before == 2 ? "PRAGMA main.secure_delete = FAST"
                                    : NULL;
    /* should it fail for lack of memory, more is overwritten than was asked for */
    if (sql) sqlite3_exec(db, sql, NULL, NULL, NULL);
}
