/* SPDX-License-Identifier: MIT
** rustybt_events: made on first need, sealed when there is a key, appended to in the caller's transaction,
** and whether an event is there. */
#include "audit/events.h"
#include "base/memory.h"

#include "log_fixture.h"

static rbt_connection *connection;
static rbt_error error;

/* A connection object beside rustybt's own, whose keys the test decides. */
static void begin(const char *key) {
    if (key)
        setenv("RUSTYBT_ENCRYPTION_KEY", key, 1);
    else
        unsetenv("RUSTYBT_ENCRYPTION_KEY");
    db = open_log_database(":memory:");
    connection = rbt_connection_new(db);
    if (!connection) bail("no memory");
}

static void end(void) {
    rbt_connection_release(connection);
    if (sqlite3_close(db) != SQLITE_OK) bail("close");
}

static int add(const char *schema, const char *action, const char *log, const char *json) {
    rbt_buffer detail = {0};
    rbt_buffer_add_text(&detail, json);
    int code = rbt_events_add(connection, schema, action, log, &detail, "test", &error);
    rbt_buffer_free(&detail);
    return code;
}

static void test_sealed(void) {
    begin(log_test_key);
    ok(!rbt_events_has(connection, "main", 1, "discard", "log"), "without a log there is no event");
    is_int(add("main", "archive", "log", "{}"), SQLITE_ERROR, "nor can one be added");
    is_text(error.message, "test: no such table: main.rustybt_events", "before it is prepared");
    rbt_error_clear(&error);
    is_int(rbt_events_prepare(connection, "main", "test", &error), SQLITE_OK, "preparing makes it");
    is_int(rbt_events_prepare(connection, "main", "test", &error), SQLITE_OK, "once");
    is_int(number("SELECT sealed FROM audit_logs WHERE name = 'rustybt_events'"), 1,
           "sealed, since there is a key");
    is_int(add("main", "archive", "a \"log\"", "{\"file\":\"x\"}"), SQLITE_OK, "an event is added");
    is_text(value("SELECT action || '|' || log || '|' || detail FROM rustybt_events"),
            "archive|a \"log\"|{\"file\":\"x\"}", "as it was given");
    ok(rbt_events_has(connection, "main", 1, "archive", "a \"log\""), "it is there");
    ok(!rbt_events_has(connection, "main", 2, "archive", "a \"log\""), "not under another id");
    ok(!rbt_events_has(connection, "main", 1, "prune", "a \"log\""), "nor as another action");
    ok(!rbt_events_has(connection, "main", 1, "archive", "log"), "nor of another log");
    must("BEGIN");
    add("main", "prune", "log", "{}");
    ok(rbt_events_has(connection, "main", 2, "prune", "log"), "one of this transaction is there");
    must("ROLLBACK");
    ok(!rbt_events_has(connection, "main", 2, "prune", "log"), "until it is rolled back");
    is_int(add("main", "prune", "log", "{"), SQLITE_ERROR, "detail is JSON");
    is_text(
        error.message,
        "test: rustybt_events: detail: invalid JSON at byte 1: expected a key in double quotes, "
        "not the end of the text",
        "with a sentence");
    rbt_error_clear(&error);
    must("ATTACH ':memory:' AS \"an other\"");
    is_int(rbt_events_prepare(connection, "an other", "test", &error), SQLITE_OK,
           "each schema has its own");
    is_int(add("an other", "archive", "log", "{}"), SQLITE_OK, "which takes its events");
    is_text(value("SELECT group_concat(entries) FROM audit_logs"), "1,1", "apart");
    end();
}

static void test_unsealed(void) {
    begin(NULL);
    is_int(rbt_events_prepare(connection, "main", "test", &error), SQLITE_OK,
           "without a key it is made, too");
    is_int(add("main", "prune", "log", "{}"), SQLITE_OK, "and taken from");
    is_int(number("SELECT sealed FROM audit_logs"), 0, "unsealed");
    end();
    begin("no key");
    is_int(rbt_events_prepare(connection, "main", "test", &error), SQLITE_ERROR,
           "with a malformed key it is not made");
    is_text(error.message,
            "test: key 1 of RUSTYBT_ENCRYPTION_KEY is not base64: its length or padding is wrong",
            "since that is no way to ask for less");
    rbt_error_clear(&error);
    must("CREATE TABLE rustybt_events(x)");
    is_int(rbt_events_prepare(connection, "main", "test", &error), SQLITE_ERROR,
           "a table of that name is in the way");
    is_text(error.message, "test: rustybt_events exists and is not an audit log", "and named");
    rbt_error_clear(&error);
    end();
}

int main(void) {
    plan(27);
    test_sealed();
    test_unsealed();
    is_int(sqlite3_memory_used(), 0, "no memory is left behind");
    return done();
}
