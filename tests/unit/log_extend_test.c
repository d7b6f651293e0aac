/* SPDX-License-Identifier: MIT
** Columns that a log is given later: the declaration that says SINCE, leaves with and without them,
** storage that is made so, and the function under DEFENSIVE and at the limit of columns. The whole way is in
** tests/python/add_column_test.py. */
#include "audit/declaration.h"
#include "audit/storage.h"
#include "log_fixture.h"

/* The error of a declaration, or "fine", valid until the next call. */
static const char *parse(int count, const char *const *arguments) {
    static char text[512];
    rbt_error error = {0};
    rbt_declaration *declaration = rbt_declaration_parse("log", count, arguments, &error);
    snprintf(text, sizeof text, "%s", error.message ? error.message : "fine");
    rbt_declaration_free(declaration);
    rbt_error_clear(&error);
    return text;
}

static void test_declaration(void) {
    is_text(parse(3, (const char *[]){"a TEXT", "b TEXT SINCE 1", "c REAL DEFAULT 1 SINCE 1"}),
            "fine", "SINCE may stay the same");
    is_text(parse(2, (const char *[]){"a TEXT SINCE 6", "b TEXT SINCE 5"}),
            "log: SINCE falls below that of the column before in \"b TEXT SINCE 5\"",
            "but not fall");
    is_text(parse(2, (const char *[]){"a TEXT SINCE 6", "b TEXT"}),
            "log: expected SINCE, which the column before has, in \"b TEXT\"", "nor end");
    is_text(
        parse(1, (const char *[]){"a TEXT NOT NULL SINCE 6"}),
        "log: a column that older entries lack cannot be NOT NULL; leave that out in \"a TEXT NOT "
        "NULL SINCE 6\"",
        "NOT NULL is refused with the reason");
    is_text(parse(1, (const char *[]){"a TEXT SINCE 6 NOT NULL"}),
            "log: a column that older entries lack cannot be NOT NULL; leave that out in \"a TEXT "
            "SINCE "
            "6 NOT NULL\"",
            "wherever it stands");
    static const char *const numbers[] = {"0", "01",  "-1", "1.5", "x1", "1000000000000000000",
                                          "",  "0x10"};
    int refused = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char argument[64];
        snprintf(argument, sizeof argument, "a TEXT SINCE %s", numbers[i]);
        refused += strstr(parse(1, (const char *[]){argument}), "expected an entry's id") != NULL;
    }
    is_int(refused, 8, "SINCE is an id in plain decimal");
    is_text(parse(1, (const char *[]){"a TEXT SINCE 6 SINCE 6"}),
            "log: a second SINCE in \"a TEXT SINCE 6 SINCE 6\"", "and stands once");
}

static void test_leaves(void) {
    rbt_error error = {0};
    rbt_leaf_shape shape = {0};
    rbt_buffer line = {0};
    rbt_leaf leaf = {0};
    rbt_value values[2] = {{.kind = RBT_INTEGER, .integer = 7}, {.kind = RBT_NULL}};
    rbt_leaf_shape_add(&shape, "n", 1, RBT_COLUMN_INTEGER, &error);
    rbt_leaf_shape_add(&shape, "t", 1, RBT_COLUMN_TEXT, &error);
    shape.columns[1].since = 5;
    ok(rbt_leaf_write(&line, &shape, "log", 4, 9, NULL, values, &error) == SQLITE_OK &&
           strcmp(rbt_buffer_text(&line), "{\"id\":4,\"recorded_at\":9,\"n\":7}") == 0,
       "a leaf of before has no key for the column");
    ok(rbt_leaf_parse(&leaf, &shape, (char *)line.data, line.length, UINT64_MAX) &&
           leaf.values[0].integer == 7 && leaf.values[1].kind == RBT_NULL,
       "and reads as NULL");
    static const char with[] = "{\"id\":4,\"recorded_at\":9,\"n\":7,\"t\":null}";
    ok(!rbt_leaf_parse(&leaf, &shape, with, sizeof with - 1, UINT64_MAX),
       "with a key for it, it is no leaf");
    rbt_buffer_clear(&line);
    ok(rbt_leaf_write(&line, &shape, "log", 5, 9, NULL, values, &error) == SQLITE_OK &&
           strcmp(rbt_buffer_text(&line), "{\"id\":5,\"recorded_at\":9,\"n\":7,\"t\":null}") == 0,
       "the first one that has it says null");
    ok(rbt_leaf_parse(&leaf, &shape, (char *)line.data, line.length, UINT64_MAX),
       "and is read back");
    static const char without[] = "{\"id\":5,\"recorded_at\":9,\"n\":7}";
    ok(!rbt_leaf_parse(&leaf, &shape, without, sizeof without - 1, UINT64_MAX),
       "without the key, it is no leaf");
    rbt_leaf_free(&leaf);
    rbt_buffer_free(&line);
    rbt_leaf_shape_free(&shape);
}

/* What storage SQLite itself makes of a column must be what verification expects. */
static void test_storage(void) {
    rbt_error error = {0};
    const char *arguments[] = {"a TEXT",
                               "CHECK(a <> '')",
                               "salt=on",
                               "b JSON SINCE 2",
                               "c REAL CHECK(c > 0) REFERENCES t SINCE 9",
                               "INDEX(c)"};
    rbt_declaration *before = rbt_declaration_parse("log", 3, arguments, &error);
    rbt_declaration *after = rbt_declaration_parse("log", 6, arguments, &error);
    rbt_storage old = {0}, new = {0};
    must("CREATE TABLE t(x PRIMARY KEY)");
    rbt_storage_build(&old, "log", before, &error);
    rbt_storage_build(&new, "log", after, &error);
    rbt_storage_create(db, "main", &old, "log", &error);
    rbt_storage_extend(db, "main", before, after, "log", &error);
    is_int(error.code, SQLITE_OK, "storage is extended");
    int same = 0;
    for (size_t i = 0; i < new.count; i++) {
        char *sql = sqlite3_mprintf("SELECT sql FROM sqlite_schema WHERE type = %Q AND name = %Q",
                                    new.objects[i].type, new.objects[i].name);
        same += strcmp(value(sql), new.objects[i].sql) == 0;
        sqlite3_free(sql);
    }
    is_int(same, (long long)new.count, "its schema reads as if it had been created so");
    is_int((long long)new.count, (long long)old.count + 1, "with one index more");
    rbt_storage_drop(db, "main", "log", &error);
    rbt_storage_free(&old);
    rbt_storage_free(&new);
    rbt_declaration_free(before);
    rbt_declaration_free(after);
    rbt_error_clear(&error);
}

static void test_function(void) {
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    must("CREATE VIRTUAL TABLE log USING audit_log(a TEXT)");
    must("INSERT INTO log(a) VALUES('x')");
    is_text(value("SELECT audit_set('log', 'add_column', 'b TEXT')"),
            "log: column \"b\" is there from entry 2 on", "a column is added under DEFENSIVE");
    must("INSERT INTO log(a, b) VALUES('x', 'y')");
    is_int(number("SELECT count(*) FROM audit_verify('*') WHERE level <> 'info'"), 0,
           "and all verifies");
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);

    rbt_buffer sql = {0};
    rbt_buffer_add_text(&sql, "CREATE VIRTUAL TABLE wide USING audit_log(c1 TEXT");
    for (int i = 2; i < RBT_LOG_MAX_COLUMNS; i++)
        rbt_buffer_printf(&sql, ", c%d TEXT", i);
    rbt_buffer_add_byte(&sql, ')');
    must(rbt_buffer_text(&sql));
    rbt_buffer_free(&sql);
    must("INSERT INTO wide(c1) VALUES('x')");
    is_text(value("SELECT audit_set('wide', 'add_column', 'last TEXT')"),
            "wide: column \"last\" is there from entry 2 on", "a log may have 500 columns");
    is_text(value("SELECT audit_set('wide', 'add_column', 'more TEXT')"),
            "wide: more than 500 columns", "and no more");
    must("INSERT INTO wide(c1, last) VALUES('x', 'y')");
    is_text(value("SELECT audit_leaf('wide', 2) LIKE '%\"c499\":null,\"last\":\"y\"}'"), "1",
            "its leaf has the last one last");
    is_int(number("SELECT count(*) FROM audit_verify('wide') WHERE level <> 'info'"), 0,
           "and it verifies");
    is_text(value("SELECT audit_set('rustybt_events', 'add_column', 'b TEXT')"),
            "audit_set: rustybt_events stays as it is", "the log of events is not changed");
}

int main(void) {
    plan(24);
    enter_folder();
    db = open_log_database("test.db");
    test_declaration();
    test_leaves();
    test_storage();
    test_function();
    is_int(sqlite3_close(db), SQLITE_OK, "the connection closes");
    leave_folder();
    return done();
}
