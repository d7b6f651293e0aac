/* SPDX-License-Identifier: MIT
** What the tests of the archive's protocol (DESIGN §7) share: the operations that are disturbed, the folder
** that each run begins with, and what must hold at any moment and at the end. TEST_SWEEP=full in the
** environment asks for every journal mode and every kind of fault. Most runs are finished by what the script
** calls, in the process; some, and in a full sweep all, by the script itself and the shell.
*/
#ifndef RBT_TEST_KILL_FIXTURE_H
#define RBT_TEST_KILL_FIXTURE_H

#include "io_calls.h"

#include "base/clock.h"
#include "log_fixture.h"

#include <dirent.h>
#include <malloc.h>
#include <sys/wait.h>

/* What is disturbed. prepare runs in the folder that every run begins with, on a log that has one segment
** pruned, one published and hot entries beside; act is disturbed; finish, or the script, mends it. */
typedef struct operation {
    const char *name;
    const char *prepare, *act;
    const char *finish; /* what script calls */
    const char *script; /* a file of sql/ that does as well; NULL: none does */
    long long first_id; /* of the log when all is done */
    bool rare;          /* a variant, swept in one journal mode unless all are */
} operation;

#define NIGHTLY "SELECT audit_archive('*'); SELECT audit_verify('*'); SELECT audit_prune('*')"

static const operation operations[] = {
    {"audit_archive", "", "SELECT audit_archive('*')", NIGHTLY, "archive.sql", 1, false},
    {"audit_prune", "SELECT audit_archive('*')", "SELECT audit_prune('*')", NIGHTLY, "archive.sql",
     1, false},
    {"audit_archive into a new folder", "", "SELECT audit_archive('log', 'new/cold')", NIGHTLY,
     "archive.sql", 1, true},
    {"audit_relocate", "SELECT audit_archive('*')", "SELECT audit_relocate('log', 'elsewhere')",
     "SELECT audit_relocate('log', 'elsewhere'); " NIGHTLY, NULL, 1, true},
    {"audit_expire",
     "SELECT audit_archive('*'); SELECT audit_prune('*'); "
     "INSERT INTO log(n, t) VALUES(601, 'x')",
     "SELECT audit_expire('log')", "SELECT audit_expire('log'); " NIGHTLY, NULL, 601, true},
};

enum { OPERATIONS = sizeof operations / sizeof operations[0], ENTRIES = 600 };

/* How the database is kept: pragmas of every connection. */
typedef struct kept {
    const char *name, *pragmas;
} kept;

static const kept keepings[] = {
    {"WAL", "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"},
    {"DELETE", "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL"},
    {"PERSIST", "PRAGMA journal_mode = PERSIST; PRAGMA synchronous = FULL"},
    {"TRUNCATE", "PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = EXTRA"},
    {"WAL, synced", "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"},
};

enum { KEEPINGS = sizeof keepings / sizeof keepings[0], DAY_US = 86400 * 1000000LL };

static const int64_t start_us = 1700000000000000;
static char complaint[4096], whole_root[4096], scripts[4096];
static const kept *keeping;
static long finishes, by_script;
static long long entries_made; /* of the template's log */

static inline bool full_sweep(void) {
    const char *text = getenv("TEST_SWEEP");
    return text && strcmp(text, "full") == 0;
}

/* Whether this one is swept today. */
static inline bool swept(const operation *o, const kept *k) {
    return full_sweep() || k == &keepings[0] || (k == &keepings[1] && !o->rare);
}

static inline int sweeps(void) {
    int count = 0;
    for (int i = 0; i < OPERATIONS; i++)
        for (int j = 0; j < KEEPINGS; j++)
            count += swept(&operations[i], &keepings[j]);
    return count;
}

/* Keeps the first. */
__attribute__((format(printf, 1, 2))) static inline void complain(const char *format, ...) {
    if (complaint[0]) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(complaint, sizeof complaint, format, arguments);
    va_end(arguments);
}

/* ---- Folders ---- */

static inline void remove_folder(const char *path) {
    if (access(path, F_OK) == 0 && nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        bail(path);
}

static inline void copy_file(const char *from, const char *to, mode_t mode) {
    static char bytes[1 << 16];
    int source = open(from, O_RDONLY), target = open(to, O_WRONLY | O_CREAT | O_EXCL, mode);
    ssize_t count;
    if (source < 0 || target < 0) bail(from);
    while ((count = read(source, bytes, sizeof bytes)) > 0)
        if (write(target, bytes, (size_t)count) != count) bail(to);
    if (count < 0 || close(source) != 0 || close(target) != 0) bail(from);
}

static inline void copy_folder(const char *from, const char *to) {
    DIR *directory = opendir(from);
    if (!directory || mkdir(to, 0700) != 0) bail(to);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char source[1024], target[1024];
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(source, sizeof source, "%s/%s", from, entry->d_name);
        snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
        if (stat(source, &status) != 0) bail(source);
        if (S_ISDIR(status.st_mode))
            copy_folder(source, target);
        else
            copy_file(source, target, status.st_mode & 07777);
    }
    closedir(directory);
}

/* ---- The log ---- */

static inline void connect_run(const char *path) {
    db = open_log_database(path);
    must(keeping->pragmas);
}

static inline void append(int count) {
    char sql[256];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT %d) INSERT INTO "
             "log(n, t) SELECT (SELECT ifnull(max(id), 0) FROM log) + i, hex(i * i) FROM c",
             count);
    must(sql);
}

/* Makes `template`, what every run of the operation begins with. The clock stands two days later then. */
static inline void make_template(const operation *o) {
    remove_folder("template");
    if (mkdir("template", 0700) != 0) bail("template");
    rbt_clock_override_us = start_us;
    connect_run("template/test.db");
    must("CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, t TEXT, archive='cold', "
         "archive_after='1 day', retain='1 day', INDEX(t))");
    must("CREATE VIRTUAL TABLE kept_hot USING audit_log(n INTEGER)");
    append(300);
    must("INSERT INTO kept_hot(n) VALUES(1); SELECT audit_checkpoint('log')");
    must("SELECT audit_archive('log', 'cold', 'now'), audit_prune('log')");
    append(100);
    must("SELECT audit_archive('log', 'cold', 'now')");
    append(ENTRIES - 400);
    rbt_clock_override_us = start_us + 2 * DAY_US;
    must(o->prepare);
    entries_made = number("SELECT max(id) FROM log");
    snprintf(whole_root, sizeof whole_root, "%s", value("SELECT audit_root('log')"));
    sqlite3_close(db);
    db = NULL;
}

static inline void begin_run(void) {
    complaint[0] = 0;
    remove_folder("run");
    copy_folder("template", "run");
}

/* Finds the scripts, and then goes to a folder of its own. Memory is kept from run to run. */
static inline void enter_sweep(void) {
    if (!realpath("sql", scripts)) bail("sql");
    mallopt(M_MMAP_THRESHOLD, 1 << 28);
    mallopt(M_TRIM_THRESHOLD, 1 << 28);
    enter_folder();
}

/* As cron does. The shell comes with the system's SQLite. */
static inline void run_script(const char *name) {
    const char *extension = getenv("TEST_EXTENSION");
    char command[8192], line[1024] = "", last[1024] = "";
    snprintf(command, sizeof command,
             "env -u LD_LIBRARY_PATH sqlite3 -batch -cmd '.load %s' run/test.db < %s/%s 2>&1",
             extension, scripts, name);
    FILE *output = popen(command, "r");
    if (!output) bail("sh");
    while (fgets(line, sizeof line, output))
        snprintf(last, sizeof last, "%s", line);
    if (pclose(output) != 0) complain("%s: %s", name, last);
    by_script++;
}

/* The sanitizers' build cannot be loaded into the shell. */
static inline bool has_script(void) {
    const char *extension = getenv("TEST_EXTENSION");
    return extension && !strstr(extension, "sanitize") &&
           system("command -v sqlite3 >/dev/null") == 0;
}

/* ---- What must hold ---- */

/* Complains unless the log reads as entries 1, or up to `first`, and so on, each once; `least` of them at least. Returns the
** count. */
static inline long long check_entries(long long first, long long least) {
    sqlite3_stmt *rows = NULL;
    long long id = 0;
    if (sqlite3_prepare_v2(db, "SELECT id, n, t FROM log", -1, &rows, NULL) != SQLITE_OK)
        complain("reading: %s", sqlite3_errmsg(db));
    int code = SQLITE_DONE;
    while (rows && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        long long got = sqlite3_column_int64(rows, 0);
        if (id == 0 ? got < 1 || got > first : got != id + 1)
            complain("entry %lld comes after %lld", got, id);
        if (sqlite3_column_int64(rows, 1) != got || sqlite3_column_type(rows, 2) != SQLITE_TEXT)
            complain("entry %lld holds another's values", got);
        id = got;
    }
    if (code != SQLITE_DONE) complain("reading: %s", sqlite3_errmsg(db));
    sqlite3_finalize(rows);
    if (id < least) complain("entries end at %lld, not %lld", id, least);
    return id;
}

static inline void check_text(const char *sql, const char *wanted) {
    const char *got = value(sql);
    if (strcmp(got, wanted) != 0) complain("%s: %s", sql, got);
}

/* At any moment, before anything is mended. Opens the database and leaves it open. Returns the entries. */
static inline long long check_moment(const operation *o) {
    connect_run("run/test.db");
    check_text("PRAGMA integrity_check", "ok");
    long long entries = check_entries(o->first_id, entries_made);
    check_text("SELECT group_concat(kind || ' ' || detail, '; ') FROM audit_verify('*') WHERE "
               "level = 'error'",
               "NULL");
    return entries;
}

static inline void check_root(void) {
    check_text("SELECT audit_root('log')", whole_root);
}

/* Whether the folders below `run` hold the log's segments, the lock and the database, no more. */
static inline int check_name(const char *path, const struct stat *status, int type,
                             struct FTW *walk) {
    (void)status;
    static char sql[1024];
    const char *name = path + walk->base;
    if (type == FTW_D || strcmp(name, ".rustybt-archive.lock") == 0) return 0;
    if (strncmp(name, "test.db", 7) == 0 && !strstr(name, "-journal")) return 0;
    if (strcmp(name, "test.db-journal") == 0 && strstr(keeping->pragmas, "DELETE") == NULL)
        return 0;
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM audit_segments('log') WHERE path LIKE '%%/%s' AND status = "
             "'published'",
             path + strlen("run/"));
    if (number(sql) != 1) complain("%s is left behind", path);
    return 0;
}

/* Appends, runs the script to its end, and looks at what is there then. */
static inline void finish(const operation *o) {
    char *message = NULL;
    long long entries = check_entries(o->first_id, entries_made) + 2;
    append(2);
    sqlite3_close(db);
    static int scripted = -1;
    if (scripted < 0) scripted = has_script();
    bool shell = scripted && o->script && (full_sweep() || finishes++ % 20 == 0);
    if (shell) run_script(o->script);
    connect_run("run/test.db");
    rbt_clock_override_us = start_us + 4 * DAY_US;
    if (!shell && sqlite3_exec(db, o->finish, NULL, NULL, &message) != SQLITE_OK)
        complain("finishing: %s", message ? message : "no message");
    sqlite3_free(message);
    rbt_clock_override_us = start_us + 2 * DAY_US;
    if (check_entries(o->first_id, entries_made) != entries)
        complain("what was appended then is missing");
    check_text("SELECT count(*) FROM audit_verify('*') WHERE level = 'error'", "0");
    check_text("SELECT audit_root('kept_hot') IS NOT NULL", "1");
    if (strstr(o->finish, NIGHTLY)) {
        check_text("SELECT count(*) FROM log_rows", "0");
        check_text("SELECT (SELECT count(*) FROM rustybt_events WHERE action = 'archive') - "
                   "(SELECT count(*) FROM audit_segments('log'))",
                   "0");
        check_text("SELECT (SELECT count(*) FROM rustybt_events WHERE action = 'pruned') - "
                   "(SELECT count(*) FROM audit_segments('log'))",
                   "0");
    }
    if (nftw("run", check_name, 16, FTW_PHYS) != 0) complain("run cannot be listed");
    sqlite3_close(db);
    db = NULL;
}

#endif
