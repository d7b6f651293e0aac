/* SPDX-License-Identifier: MIT
** Opening a file store: making its tables, or checking that they are ours. See file_store.h. Calls
** memory, error, sql_util and SQLite.
*/
#include "file_store_private.h"

#include "../base/memory.h"
#include "../base/sql_util.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#define APPLICATION_ID "1380078668" /* "RBTL" */
#define STORE_VERSION "1"

static const char table_store[] =
    "CREATE TABLE store(one INTEGER PRIMARY KEY CHECK(one = 1), boot INTEGER NOT NULL, "
    "offset_us INTEGER NOT NULL, fencing INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT";
static const char table_policy[] =
    "CREATE TABLE policy(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
    "algorithm INTEGER NOT NULL, quota INTEGER NOT NULL, burst INTEGER NOT NULL, "
    "period_us INTEGER NOT NULL, penalty_us INTEGER NOT NULL, penalty_max_us INTEGER NOT NULL, "
    "enforce INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT";
static const char table_state[] =
    "CREATE TABLE state(policy INTEGER NOT NULL, key TEXT NOT NULL, at_us INTEGER NOT NULL, "
    "idle_at_us INTEGER NOT NULL, state BLOB NOT NULL, checksum INTEGER NOT NULL, "
    "PRIMARY KEY(policy, key)) STRICT, WITHOUT ROWID";

enum { LONGEST_WAIT_US = 5000000, SHORTEST_SLEEP_US = 50, LONGEST_SLEEP_US = 2000 };

static int64_t steady_us(void) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* exists wherever this was built */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Another process decides: that takes microseconds, so the first waits are short. */
static int wait_for_others(void *data, int count) {
    rbt_file_store *store = data;
    int64_t now = steady_us();
    if (count == 0) store->wait_began_us = now;
    if (now - store->wait_began_us > LONGEST_WAIT_US) return 0;
    long sleep_us = (long)SHORTEST_SLEEP_US << (count < 6 ? count : 6);
    if (sleep_us > LONGEST_SLEEP_US) sleep_us = LONGEST_SLEEP_US;
    struct timespec pause = {0, sleep_us * 1000};
    (void)nanosleep(&pause, NULL); /* woken early, it just looks earlier */
    return 1;
}

/* How many stores this process has, inherited ones included, and who opened the first. */
static _Atomic int open_stores;
static _Atomic int64_t opener;

int rbt_file_check_process(int64_t process, const char *path, const char *who, rbt_error *error) {
    if (error->code == SQLITE_OK && process != (int64_t)getpid())
        rbt_fail(error, SQLITE_ERROR,
                 "%s: store '%s': this process was forked while a store was open; close the "
                 "connections from before the fork, or open them after it",
                 who, path);
    return error->code;
}

int rbt_file_fail(rbt_file_store *store, const char *who, rbt_error *error) {
    if (error->code != SQLITE_OK) return error->code;
    int code = sqlite3_extended_errcode(store->db);
    const char *advice = "";
    if (code == SQLITE_IOERR_NOMEM) return rbt_fail_nomem(error);
    if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB)
        advice = "; nobody is let in until the file is replaced";
    if ((code & 0xff) == SQLITE_READONLY || (code & 0xff) == SQLITE_CANTOPEN)
        advice = "; the file and its folder must be there and writable";
    return rbt_fail(error, code & 0xff, "%s: store '%s': %s%s", who, store->path,
                    sqlite3_errmsg(store->db), advice);
}

int rbt_file_damaged(rbt_file_store *store, const char *what, const char *who, rbt_error *error) {
    return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                    "%s: store '%s' is damaged: %s; nobody is let in until the file is replaced",
                    who, store->path, what);
}

static int execute(rbt_file_store *store, const char *sql, const char *who, rbt_error *error) {
    if (error->code != SQLITE_OK) return error->code;
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        rbt_file_fail(store, who, error);
    return error->code;
}

/* The first column of the first row, from memory.h; NULL and the error on failure. */
static char *first_text(rbt_file_store *store, const char *sql, const char *who, rbt_error *error) {
    sqlite3_stmt *statement = NULL;
    char *copy = NULL;
    if (error->code != SQLITE_OK) return NULL;
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        rbt_file_fail(store, who, error);
    } else {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        copy = rbt_strdup(text ? text : "");
        if (copy == NULL) rbt_fail_nomem(error);
    }
    sqlite3_finalize(statement);
    return copy;
}

/* WAL needs the file for itself for a moment, for which SQLite does not call the busy handler. */
static void choose_wal(rbt_file_store *store, const char *who, rbt_error *error) {
    for (int attempt = 0; error->code == SQLITE_OK; attempt++) {
        char *mode = first_text(store, "PRAGMA journal_mode=WAL", who, error);
        bool chosen = mode != NULL && sqlite3_stricmp(mode, "wal") == 0;
        rbt_free(mode);
        if (chosen) return;
        if (error->code == SQLITE_OK)
            rbt_fail(error, SQLITE_CANTOPEN,
                     "%s: store '%s': its file system cannot hold a WAL; put it on a local one",
                     who, store->path);
        if (error->code != SQLITE_BUSY || !wait_for_others(store, attempt)) return;
        rbt_error_clear(error);
    }
}

/* In one transaction, which looks again: another process may have been faster. */
static void make_tables(rbt_file_store *store, const char *who, rbt_error *error) {
    execute(store, "BEGIN IMMEDIATE", who, error);
    char *tables = first_text(store, "SELECT count(*) FROM sqlite_schema", who, error);
    if (tables != NULL && strcmp(tables, "0") == 0) {
        execute(store, table_store, who, error);
        execute(store, table_policy, who, error);
        execute(store, table_state, who, error);
        char *row = sqlite3_mprintf("INSERT INTO store VALUES(1, 0, 0, 0, %lld)",
                                    (long long)rbt_file_head_checksum(&(rbt_file_head){0}));
        if (row == NULL) rbt_fail_nomem(error);
        execute(store, row, who, error);
        rbt_free(row);
        execute(store, "PRAGMA application_id=" APPLICATION_ID, who, error);
        execute(store, "PRAGMA user_version=" STORE_VERSION, who, error);
    }
    rbt_free(tables);
    execute(store, "COMMIT", who, error);
    if (!sqlite3_get_autocommit(store->db) &&
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
        rbt_file_fail(store, who, error); /* the first error stands */
}

static void check_tables(rbt_file_store *store, const char *who, rbt_error *error) {
    char *mark = first_text(store,
                            "SELECT (SELECT application_id FROM pragma_application_id) || ' ' ||"
                            " (SELECT user_version FROM pragma_user_version)",
                            who, error);
    if (mark != NULL && strcmp(mark, APPLICATION_ID " " STORE_VERSION) != 0)
        rbt_fail(error, SQLITE_CANTOPEN,
                 "%s: '%s' is a database, but not a store of limits; give a file of its own", who,
                 store->path);
    rbt_free(mark);
    char *schema = first_text(store,
                              "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema"
                              " WHERE sql IS NOT NULL ORDER BY rowid)",
                              who, error);
    char *expected = sqlite3_mprintf("%s;%s;%s", table_store, table_policy, table_state);
    if (expected == NULL) rbt_fail_nomem(error);
    if (schema != NULL && expected != NULL && strcmp(schema, expected) != 0)
        rbt_file_damaged(store, "its tables are not as they were made", who, error);
    rbt_free(expected);
    rbt_free(schema);
}

/* What a schema could make our statements run is switched off. */
static void harden(rbt_file_store *store, const char *who, rbt_error *error) {
    if (sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL) != SQLITE_OK ||
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL) != SQLITE_OK ||
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK)
        rbt_file_fail(store, who, error);
    execute(store, "PRAGMA trusted_schema=OFF; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16384",
            who, error);
    execute(store, "PRAGMA wal_autocheckpoint=8000", who, error);
}

static void prepare_file(rbt_file_store *store, bool create, const char *who, rbt_error *error) {
    const char *path = sqlite3_db_filename(store->db, "main");
    if (path == NULL || *path == 0) {
        rbt_fail(error, SQLITE_CANTOPEN, "%s: store '%s' is no file", who, store->path);
        return;
    }
    char *absolute = rbt_strdup(path);
    if (absolute == NULL) {
        rbt_fail_nomem(error);
        return;
    }
    rbt_free(store->path);
    store->path = absolute;
    if (sqlite3_db_readonly(store->db, "main") == 1) {
        rbt_fail(error, SQLITE_READONLY,
                 "%s: store '%s' is read-only; the file and its folder must be writable", who,
                 store->path);
        return;
    }
    harden(store, who, error);
    char *tables = first_text(store, "SELECT count(*) FROM sqlite_schema", who, error);
    bool fresh = tables != NULL && strcmp(tables, "0") == 0;
    rbt_free(tables);
    if (fresh && create) {
        execute(store, "PRAGMA page_size=4096", who, error);
        choose_wal(store, who, error);
        make_tables(store, who, error);
    }
    check_tables(store, who, error);
    choose_wal(store, who, error);
}

rbt_file_store *rbt_file_store_open(const char *path, bool create, const char *who,
                                    rbt_error *error) {
    if (open_stores == 0) opener = (int64_t)getpid();
    if (rbt_file_check_process(opener, path, who, error) != SQLITE_OK) return NULL;
    rbt_file_store *store = rbt_calloc(sizeof *store);
    char *given = store ? rbt_strdup(path) : NULL;
    if (given == NULL) {
        rbt_free(store);
        rbt_fail_nomem(error);
        return NULL;
    }
    store->path = given;
    store->process = (int64_t)getpid();
    open_stores++;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    if (create) flags |= SQLITE_OPEN_CREATE;
    if (sqlite3_open_v2(path, &store->db, flags, NULL) != SQLITE_OK) {
        if (store->db == NULL)
            rbt_fail_nomem(error);
        else
            rbt_file_fail(store, who, error);
    } else if (sqlite3_busy_handler(store->db, wait_for_others, store) != SQLITE_OK) {
        rbt_file_fail(store, who, error);
    } else {
        prepare_file(store, create, who, error);
    }
    if (error->code != SQLITE_OK) {
        rbt_file_store_close(store);
        return NULL;
    }
    return store;
}

void rbt_file_store_close(rbt_file_store *store) {
    if (store == NULL) return;
    for (int i = 0; i < RBT_FILE_STATEMENTS; i++)
        sqlite3_finalize(store->statements[i]); /* repeats an error that was told */
    (void)sqlite3_close_v2(store->db);          /* cannot fail: nothing of ours is left open */
    open_stores--;
    rbt_buffer_free(&store->bytes);
    rbt_free(store->path);
    rbt_free(store);
}

const char *rbt_file_store_path(const rbt_file_store *store) {
    return store->path;
}
