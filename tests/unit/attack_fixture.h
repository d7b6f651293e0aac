/* SPDX-License-Identifier: MIT
** What attacks_test.c runs its attacks with: a database with a log, a copy of it for each attack, the
** attacker's connection in each of the ways, and what the next honest connection makes of the file.
**
** An outcome is one of
**   refused            at least one step of the attack failed, and the log is as it was
**   no effect          every step succeeded, and the log is as it was
**   detected: <kinds>  audit_verify reports problems of these kinds, comma-separated
**   undetected: <why>  the log is not as it was, and audit_verify says that it is
*/
#ifndef RBT_TEST_ATTACK_FIXTURE_H
#define RBT_TEST_ATTACK_FIXTURE_H

#include "log_fixture.h"

enum { ENTRIES = 40, COLD = 20, OLDER = 30, WAYS = 4 };

typedef struct attack_way {
    bool extension, defensive;
} attack_way;

static const attack_way ways[WAYS] = {{false, false}, {true, false}, {false, true}, {true, true}};

static attack_way way; /* of the attack that runs */
static int failures;   /* of its steps */
static int pending,
    added; /* appends through the log that succeeded: not yet committed; committed */

typedef struct file_bytes {
    char *data;
    size_t length;
} file_bytes;

static file_bytes base, older;     /* the database; the same when it had OLDER entries */
static file_bytes another;         /* one with another log of that name and declaration */
static char kept_checkpoint[1024]; /* of the database as it is in base, kept outside it */
static char base_root[65], base_rows[4096], base_storage[4096];

static inline file_bytes read_file(const char *path) {
    file_bytes bytes = {NULL, 0};
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) bail(path);
    bytes.length = (size_t)ftell(file);
    bytes.data = malloc(bytes.length);
    rewind(file);
    if (!bytes.data || fread(bytes.data, 1, bytes.length, file) != bytes.length) bail(path);
    fclose(file);
    return bytes;
}

static inline void write_file(const char *path, file_bytes bytes) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes.data, 1, bytes.length, file) != bytes.length || fclose(file) != 0)
        bail(path);
}

/* Changes each occurrence of an entry's text in the bytes: in the row and in its index. */
static inline int edit_bytes(char *data, size_t length) {
    static const char needle[] = "needle-35";
    int found = 0;
    for (char *at = data; (at = memmem(at, length - (size_t)(at - data), needle, 9)); at++) {
        at[0] = 'N';
        found++;
    }
    return found;
}

#define ROWS_TEXT                                                                                  \
    "SELECT group_concat(line) FROM (SELECT id || recorded_at || a || n AS line FROM log_rows "    \
    "WHERE id <= 40 ORDER BY id)"
#define STORAGE_TEXT                                                                               \
    "SELECT hex(group_concat(line)) FROM (SELECT length(sql) || type || name AS line FROM "        \
    "sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY name)"

static inline void remember(char *into, size_t size, const char *sql) {
    snprintf(into, size, "%s", value(sql));
}

static inline void fill(int first, int last) {
    for (int i = first; i <= last; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "INSERT INTO log(a, n) VALUES('needle-%02d', %d)", i, i);
        must(sql);
    }
}

static inline void make_log(const char *path) {
    db = open_log_database(path);
    must("PRAGMA synchronous = OFF; CREATE VIRTUAL TABLE log USING audit_log(a TEXT NOT NULL, n "
         "INTEGER CHECK(n < 1000), INDEX(a), origin='example.com/log', archive='cold')");
}

/* A log of 20 cold entries and 20 hot ones, with a hold on a subject beside it. */
static inline void make_base(void) {
    setenv("RUSTYBT_SIGNING_KEY", log_test_key, 1);
    make_log("another.db");
    fill(1, ENTRIES + 10);
    sqlite3_close(db);
    another = read_file("another.db");
    make_log("test.db");
    fill(1, COLD);
    must("SELECT audit_archive('log', 'cold', 'now'); SELECT audit_prune('log'); SELECT "
         "subject_encrypt('ann', 1); SELECT subject_hold('ann', 'a claim')");
    fill(COLD + 1, OLDER);
    older = read_file("test.db");
    fill(OLDER + 1, ENTRIES);
    remember(kept_checkpoint, sizeof kept_checkpoint, "SELECT audit_checkpoint('log')");
    remember(base_root, sizeof base_root, "SELECT audit_root('log', 41)");
    remember(base_rows, sizeof base_rows, ROWS_TEXT);
    remember(base_storage, sizeof base_storage, STORAGE_TEXT);
    sqlite3_close(db);
    base = read_file("test.db");
    write_file("older.db", older);
}

/* Runs one step of the attack on a connection; an attacker goes on after an error. */
static inline void step(sqlite3 *attacker, const char *sql) {
    bool append = strncmp(sql, "INSERT INTO log(", 16) == 0 ||
                  strncmp(sql, "INSERT INTO main.log(", 21) == 0 ||
                  strncmp(sql, "INSERT INTO v.log(", 18) == 0;
    int code = sqlite3_exec(attacker, sql, NULL, NULL, NULL);
    if (code != SQLITE_OK) failures++;
    if (code == SQLITE_OK && append) pending++;
    if (!sqlite3_get_autocommit(attacker)) return;
    if (code == SQLITE_OK) added += pending;
    pending = 0;
}

static inline void expect_ok(int code) {
    if (code != SQLITE_OK) failures++;
}

/* The steps are separated by newlines. */
static inline void steps(sqlite3 *attacker, const char *text) {
    while (text && *text) {
        char sql[2048];
        const char *end = strchr(text, '\n');
        size_t length = end ? (size_t)(end - text) : strlen(text);
        snprintf(sql, sizeof sql, "%.*s", (int)length, text);
        step(attacker, sql);
        text = end ? end + 1 : NULL;
    }
}

/* Everything under one heading: takes the triggers away, does the steps, puts the triggers back. */
static inline void quietly(sqlite3 *attacker, const char *text) {
    char drops[2048] = "", again[8192] = "";
    sqlite3_stmt *list = NULL;
    expect_ok(sqlite3_prepare_v2(
        attacker, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'", -1, &list, NULL));
    while (sqlite3_step(list) == SQLITE_ROW) {
        size_t used = strlen(drops);
        snprintf(drops + used, sizeof drops - used, "DROP TRIGGER \"%s\"\n",
                 (const char *)sqlite3_column_text(list, 0));
        used = strlen(again);
        snprintf(again + used, sizeof again - used, "%s\n",
                 (const char *)sqlite3_column_text(list, 1));
    }
    sqlite3_finalize(list);
    steps(attacker, drops);
    steps(attacker, text);
    steps(attacker, again);
}

static inline sqlite3 *open_attacker(const char *path) {
    sqlite3 *attacker = NULL;
    if (way.extension)
        attacker = open_log_database(path);
    else if (sqlite3_open(path, &attacker) != SQLITE_OK)
        bail(path);
    sqlite3_exec(attacker, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    sqlite3_db_config(attacker, SQLITE_DBCONFIG_DEFENSIVE, (int)way.defensive, NULL);
    return attacker;
}

/* What the honest connection sees. text: OUT, an outcome as above. */
static inline void judge(char *text, size_t size, bool with_checkpoint) {
    char kinds[9000] = "", sql[2048], why[9000] = "";
    db = open_log_database("test.db");
    run("PRAGMA synchronous = OFF");
    for (int i = 0; i < 2; i++) {
        snprintf(sql, sizeof sql,
                 "SELECT coalesce(group_concat(DISTINCT kind), '') FROM audit_verify('%s'%s%s%s) "
                 "WHERE level = 'error'",
                 i ? "*" : "log", with_checkpoint && !i ? ", '" : "",
                 with_checkpoint && !i ? kept_checkpoint : "", with_checkpoint && !i ? "'" : "");
        const char *got = value(sql);
        bool failed = strncmp(got, "audit_verify: ", 14) != 0 && strchr(got, ' ') != NULL;
        bool gone = strncmp(got, "audit_verify: no log is named", 29) == 0;
        size_t used = strlen(kinds);
        if (*got)
            snprintf(kinds + used, sizeof kinds - used, "%s%s", used ? "," : "",
                     gone     ? "no log"
                     : failed ? "error"
                              : got);
    }
    if (*kinds) {
        snprintf(text, size, "detected: %s", kinds);
    } else {
        char entries[32];
        snprintf(entries, sizeof entries, "%d", ENTRIES + added);
        if (strcmp(value("SELECT audit_root('log', 41)"), base_root) != 0)
            snprintf(why, sizeof why, "another root");
        else if (strcmp(value(ROWS_TEXT), base_rows) != 0)
            snprintf(why, sizeof why, "other rows");
        else if (strcmp(value(STORAGE_TEXT), base_storage) != 0)
            snprintf(why, sizeof why, "another schema: %s", value(STORAGE_TEXT));
        else if (strcmp(value("SELECT count(*) FROM log"), entries) != 0)
            snprintf(why, sizeof why, "%s entries, not %s", value("SELECT count(*) FROM log"),
                     entries);
        else if (run("INSERT INTO log(a, n) VALUES('after', 1)") != SQLITE_OK)
            snprintf(why, sizeof why, "the log does not go on: %s", sqlite3_errmsg(db));
        snprintf(text, size, "%s%s",
                 *why       ? "undetected: "
                 : failures ? "refused"
                            : "no effect",
                 why);
    }
    sqlite3_close(db);
    db = NULL;
}

#endif
