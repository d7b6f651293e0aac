/* SPDX-License-Identifier: MIT
** What the tests of the archive as SQL share: the segments of segment_fixture.h, a connection that knows
** the archive's functions and tables, and ways to ask it. */
#ifndef RBT_TEST_ARCHIVE_SQL_FIXTURE_H
#define RBT_TEST_ARCHIVE_SQL_FIXTURE_H

#include "segment_fixture.h"

#include "archive/archive_sql.h"
#include "base/connection.h"

static sqlite3 *db;

static inline void register_archive(void) {
    rbt_connection *connection = rbt_connection_new(db);
    if (!connection) abort();
    connection->segments = store;
    for (const rbt_function *function = rbt_archive_functions; function->name; function++)
        for (int i = function->min_arguments; i <= function->max_arguments; i++) {
            rbt_connection_retain(connection);
            sqlite3_create_function_v2(db, function->name, i, function->flags, connection,
                                       function->call, NULL, NULL, rbt_connection_release);
        }
    for (const rbt_table *table = rbt_archive_tables; table->name; table++) {
        rbt_connection_retain(connection);
        sqlite3_create_module_v2(db, table->name, table->module, connection,
                                 rbt_connection_release);
    }
    rbt_connection_release(connection);
}

/* All rows, columns parted by '|' and rows by a newline; or the error's message. */
static inline const char *ask(const char *sql) {
    static rbt_buffer out;
    sqlite3_stmt *statement = NULL;
    rbt_buffer_clear(&out);
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(statement);
        if (code != SQLITE_ROW) break;
        if (out.length > 0) rbt_buffer_add_byte(&out, '\n');
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const char *cell = (const char *)sqlite3_column_text(statement, i);
            if (i > 0) rbt_buffer_add_byte(&out, '|');
            rbt_buffer_add_text(&out, cell ? cell : "NULL");
        }
    }
    if (code != SQLITE_DONE) {
        rbt_buffer_clear(&out);
        rbt_buffer_add_text(&out, sqlite3_errmsg(db));
    }
    sqlite3_finalize(statement);
    return rbt_buffer_text(&out);
}

static inline bool contains(const char *text, const char *part) {
    bool holds = strstr(text, part) != NULL;
    if (!holds) printf("#  got: %s\n# want: … %s …\n", text, part);
    return holds;
}

/* The signer of the segments is trusted. */
static inline void trust_signer(void) {
    rbt_buffer vkey = {0};
    rbt_verifier_format(&vkey, &signer);
    setenv("RUSTYBT_VERIFY_KEYS", rbt_buffer_text(&vkey), 1);
    rbt_buffer_free(&vkey);
}

/* Two segments of one log, entries 0 to cut and the rest, in the working directory from here on, and db,
** which may read them. */
static inline bool open_segments(made *first, made *second, int64_t cut, int64_t entries) {
    source lines = {0};
    make(first, 0, cut);
    memset(second, 0, sizeof *second);
    prepare(second, cut + 1, entries);
    second->plan.previous_manifest = first->summary.manifest_sha256;
    write_from(second, &lines);
    if (first->code || second->code || chdir(directory) != 0) return false;
    trust_signer();
    if (sqlite3_open(":memory:", &db) != SQLITE_OK) return false;
    register_archive();
    return true;
}

#endif
