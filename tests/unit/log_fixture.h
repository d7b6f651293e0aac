/* SPDX-License-Identifier: MIT
** What the tests of whole logs share: a folder of their own with a database in it, keys, and short ways to
** run SQL. The including file may define LOG_PATH (default "test.db") before. */
#ifndef RBT_TEST_LOG_FIXTURE_H
#define RBT_TEST_LOG_FIXTURE_H

#include "rustybt.h"

#include "tap.h"
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

static const char log_test_key[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
static char log_folder[4096];
static sqlite3 *db;

static inline void bail(const char *what) {
    printf("Bail out! %s: %s\n", what, db ? sqlite3_errmsg(db) : "no database");
    exit(2);
}

static inline int remove_entry(const char *path, const struct stat *status, int type,
                               struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static inline void leave_folder(void) {
    if (chdir("/") != 0 || nftw(log_folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        printf("# cannot remove %s\n", log_folder);
}

static inline void enter_folder(void) {
    const char *parent = getenv("TMPDIR");
    snprintf(log_folder, sizeof log_folder, "%s/rustybt-log-XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(log_folder) || chdir(log_folder) != 0) bail("no folder");
    setenv("RUSTYBT_ENCRYPTION_KEY", log_test_key, 1);
}

static inline sqlite3 *open_log_database(const char *path) {
    sqlite3 *opened = NULL;
    char *message = NULL;
    if (sqlite3_open(path, &opened) != SQLITE_OK ||
        sqlite3_rustybt_init(opened, &message, NULL) != SQLITE_OK)
        bail(message ? message : "cannot open");
    return opened;
}

static inline int run(const char *sql) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static inline void must(const char *sql) {
    if (run(sql) != SQLITE_OK) bail(sql);
}

/* The first column of the first row, as text valid until the next call; the message on failure. */
static inline const char *value(const char *sql) {
    static char text[4096];
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    const char *got = "(no row)";
    if (code == SQLITE_ROW)
        got = (const char *)sqlite3_column_text(statement, 0);
    else if (code != SQLITE_DONE)
        got = sqlite3_errmsg(db);
    snprintf(text, sizeof text, "%s", got ? got : "NULL");
    sqlite3_finalize(statement);
    return text;
}

static inline long long number(const char *sql) {
    return atoll(value(sql));
}

#endif
