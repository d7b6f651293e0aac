/* SPDX-License-Identifier: MIT
** The SQL of a log's storage: the text is a format of its own (verification compares sqlite_schema with
** it), it runs on a plain SQLite, and its guards hold there, too. */
#include "audit/storage.h"
#include "base/memory.h"

#include "failing_memory.h"
#include "tap.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static rbt_error error;
static sqlite3 *db;

static const char *const arguments[] = {"a TEXT NOT NULL CHECK(a <> '')",
                                        "j JSON DEFAULT '{}'",
                                        "\"q\"\"\" REAL REFERENCES t(x)",
                                        "CHECK(id < 100)",
                                        "INDEX(a, recorded_at)",
                                        "INDEX(\"q\"\"\")",
                                        "salt=yes"};

static rbt_declaration *declare(void) {
    rbt_error_clear(&error);
    rbt_declaration *d = rbt_declaration_parse("o'\"g", COUNT(arguments), arguments, &error);
    if (!d) {
        printf("Bail out! %s\n", error.message ? error.message : "out of memory");
        exit(1);
    }
    return d;
}

static void test_text(const rbt_storage *storage) {
    static const char *const wanted[] = {
        "CREATE TABLE \"o'\"\"g_rows\"(id INTEGER PRIMARY KEY, recorded_at INTEGER NOT NULL, \"a\" "
        "TEXT NOT NULL CHECK(a <> ''), \"j\" TEXT, \"q\"\"\" REAL REFERENCES \"t\"(\"x\") "
        "DEFERRABLE "
        "INITIALLY DEFERRED, salt BLOB NOT NULL, CHECK(id < 100))",
        "CREATE TABLE \"o'\"\"g_gate\"(id INTEGER PRIMARY KEY, size INTEGER NOT NULL)",
        "CREATE TABLE \"o'\"\"g_tree\"(node INTEGER PRIMARY KEY, hashes BLOB NOT NULL)",
        "CREATE TABLE \"o'\"\"g_segments\"(first_id INTEGER PRIMARY KEY, last_id INTEGER NOT NULL, "
        "directory TEXT NOT NULL, file TEXT NOT NULL, rows INTEGER, raw_bytes INTEGER, file_bytes "
        "INTEGER, root BLOB, manifest_sha256 BLOB, published_us INTEGER, expires_us INTEGER, "
        "status "
        "TEXT NOT NULL)",
        "CREATE TABLE \"o'\"\"g_meta\"(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
        "CREATE INDEX \"o'\"\"g_rows_guard\" ON \"o'\"\"g_rows\"((0)) WHERE 0",
        "CREATE INDEX \"o'\"\"g_rows_1\" ON \"o'\"\"g_rows\"(\"a\", recorded_at)",
        "CREATE INDEX \"o'\"\"g_rows_2\" ON \"o'\"\"g_rows\"(\"q\"\"\")",
        "CREATE TRIGGER \"o'\"\"g_rows_insert\" BEFORE insert ON \"o'\"\"g_rows\" WHEN NOT "
        "EXISTS(SELECT 1 FROM \"o'\"\"g_gate\" WHERE id = 1 AND size < NEW.id) BEGIN SELECT "
        "RAISE(FAIL, 'o''\"g is append-only: insert into the log, not into its storage'); END",
        "CREATE TRIGGER \"o'\"\"g_rows_update\" BEFORE update ON \"o'\"\"g_rows\" BEGIN SELECT "
        "RAISE(ABORT, 'o''\"g is append-only: entries are never changed'); END",
        "CREATE TRIGGER \"o'\"\"g_rows_delete\" BEFORE delete ON \"o'\"\"g_rows\" WHEN NOT "
        "EXISTS(SELECT 1 FROM \"o'\"\"g_gate\" WHERE id = 2 AND size >= OLD.id) BEGIN SELECT "
        "RAISE(ABORT, 'o''\"g is append-only: entries are never deleted'); END",
        "CREATE TRIGGER \"o'\"\"g_gate_insert\" BEFORE insert ON \"o'\"\"g_gate\" WHEN "
        "rustybt_append_only() IS NOT 1 BEGIN SELECT RAISE(ABORT, 'o''\"g is append-only: its gate "
        "is opened by the log alone'); END",
        "CREATE TRIGGER \"o'\"\"g_gate_update\" BEFORE update ON \"o'\"\"g_gate\" WHEN "
        "rustybt_append_only() IS NOT 1 BEGIN SELECT RAISE(ABORT, 'o''\"g is append-only: its gate "
        "is opened by the log alone'); END",
        "CREATE TRIGGER \"o'\"\"g_gate_delete\" BEFORE delete ON \"o'\"\"g_gate\" WHEN "
        "rustybt_append_only() IS NOT 1 BEGIN SELECT RAISE(ABORT, 'o''\"g is append-only: its gate "
        "is opened by the log alone'); END"};
    is_int(storage->count, COUNT(wanted), "a log has these objects and no more");
    for (int i = 0; i < COUNT(wanted) && i < (int)storage->count; i++)
        is_text(storage->objects[i].sql, wanted[i], storage->objects[i].name);
}

static int run(const char *sql) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int64_t number(const char *sql) {
    sqlite3_stmt *statement = NULL;
    int64_t result = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        result = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return result;
}

static void test_create(const rbt_storage *storage) {
    run("ATTACH ':memory:' AS \"s 2\"");
    is_int(rbt_storage_create(db, "s 2", storage, "o'\"g", &error), SQLITE_OK,
           "they are created in the schema that is named");
    is_int(number("SELECT count(*) FROM main.sqlite_schema"), 0, "and in no other");
    int same = 0;
    for (size_t i = 0; i < storage->count; i++) {
        char *sql = sqlite3_mprintf("SELECT count(*) FROM \"s 2\".sqlite_schema WHERE type = %Q "
                                    "AND name = %Q AND sql = %Q",
                                    storage->objects[i].type, storage->objects[i].name,
                                    storage->objects[i].sql);
        same += number(sql) == 1;
        sqlite3_free(sql);
    }
    is_int(same, (int)storage->count, "sqlite_schema holds the same text");
    is_int(rbt_storage_create(db, "s 2", storage, "o'\"g", &error), SQLITE_ERROR,
           "a second time fails");
    is_text(error.message, "o'\"g: table \"o'\"\"g_rows\" already exists", "with SQLite's reason");
    rbt_error_clear(&error);

    /* the guards, without the extension */
    run("INSERT INTO \"o'\"\"g_rows\" VALUES(1, 0, 'a', NULL, NULL, x'')");
    is_text(sqlite3_errmsg(db), "o'\"g is append-only: insert into the log, not into its storage",
            "no gate, no row");
    is_int(run("INSERT INTO \"o'\"\"g_gate\" VALUES(1, 0)"), SQLITE_ERROR,
           "no gate without the extension's function");
    is_text(sqlite3_errmsg(db), "no such function: rustybt_append_only", "which is missing");

    is_int(rbt_storage_drop(db, "s 2", "o'\"g", &error), SQLITE_OK, "they can be dropped");
    is_int(number("SELECT count(*) FROM \"s 2\".sqlite_schema"), 0, "and nothing is left");
    is_int(rbt_storage_drop(db, "s 2", "o'\"g", &error), SQLITE_OK,
           "what is gone is no obstacle: a damaged log can be dropped");
}

static void test_memory(const rbt_declaration *d) {
    long wrong = 0, tries = 0, creations = 0;
    for (int hit = 1; hit; tries++) {
        rbt_storage storage = {0};
        rbt_error_clear(&error);
        failing_memory_at(tries + 1);
        int code = rbt_storage_build(&storage, "o'\"g", d, &error);
        hit = failing_memory_hit;
        failing_memory_at(0);
        if (code != (hit ? SQLITE_NOMEM : SQLITE_OK)) wrong++;
        rbt_storage_free(&storage);
    }
    is_int(wrong, 0, "building answers NOMEM whichever allocation fails");
    ok(tries > 50, "of many");
    rbt_storage storage = {0};
    rbt_error_clear(&error);
    rbt_storage_build(&storage, "log", d, &error);
    for (int hit = 1; hit; creations += 7) { /* a sample: there are thousands */
        rbt_error_clear(&error);
        run("BEGIN");
        failing_memory_at(creations + 1);
        int code = rbt_storage_create(db, "main", &storage, "log", &error);
        hit = failing_memory_hit;
        failing_memory_at(0);
        /* SQLite itself may do without some of its allocations */
        if (code != SQLITE_OK && code != SQLITE_NOMEM) wrong++;
        if (!hit && code != SQLITE_OK) wrong++;
        run("ROLLBACK");
    }
    is_int(wrong, 0, "so does creating");
    rbt_storage_free(&storage);
}

int main(void) {
    plan(32);
    failing_memory_install();
    sqlite3_initialize();
    sqlite3_int64 before = sqlite3_memory_used();
    rbt_storage storage = {0};
    rbt_declaration *d = declare();
    is_int(rbt_storage_build(&storage, "o'\"g", d, &error), SQLITE_OK, "the storage is built");
    test_text(&storage);
    if (sqlite3_open(":memory:", &db) != SQLITE_OK) return 1;
    test_create(&storage);
    test_memory(d);
    is_int(sqlite3_close(db), SQLITE_OK, "no statement is left open");
    rbt_storage_free(&storage);
    rbt_declaration_free(d);
    rbt_error_clear(&error);
    is_int(sqlite3_memory_used(), before, "no memory is left behind");
    return done();
}
