/* SPDX-License-Identifier: MIT
** subject_forget killed at each operation on a file, one after the other: afterwards the subject is
** forgotten and that is on record, or neither. The process ends within the first, second, … write, sync,
** truncation or deletion that SQLite asks its VFS for.
*/
#include "log_fixture.h"

#include <sys/wait.h>

static sqlite3_vfs vfs;
static const sqlite3_vfs *system_vfs;
static long countdown; /* the operation that ends the process; 0: none */

static void step(void) {
    if (countdown > 0 && --countdown == 0) _exit(0);
}

/* The system's methods, and the same with steps: one pair for each kind of file that its VFS knows. */
static struct methods {
    const sqlite3_io_methods *real;
    sqlite3_io_methods stepping;
} kinds[8];

static const sqlite3_io_methods *real_of(const sqlite3_file *file) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (file->pMethods == &kinds[i].stepping) return kinds[i].real;
    abort();
}

static int step_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 offset) {
    step();
    return real_of(file)->xWrite(file, bytes, length, offset);
}

static int step_truncate(sqlite3_file *file, sqlite3_int64 size) {
    step();
    return real_of(file)->xTruncate(file, size);
}

static int step_sync(sqlite3_file *file, int flags) {
    step();
    return real_of(file)->xSync(file, flags);
}

static int step_delete(sqlite3_vfs *self, const char *path, int sync) {
    (void)self;
    step();
    return system_vfs->xDelete((sqlite3_vfs *)system_vfs, path, sync);
}

static int step_open(sqlite3_vfs *self, sqlite3_filename path, sqlite3_file *file, int flags,
                     int *out) {
    (void)self;
    int code = system_vfs->xOpen((sqlite3_vfs *)system_vfs, path, file, flags, out);
    if (file->pMethods == NULL) return code;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].real && kinds[i].real != file->pMethods) continue;
        kinds[i].real = file->pMethods;
        kinds[i].stepping = *file->pMethods;
        kinds[i].stepping.xWrite = step_write;
        kinds[i].stepping.xTruncate = step_truncate;
        kinds[i].stepping.xSync = step_sync;
        file->pMethods = &kinds[i].stepping;
        return code;
    }
    abort();
}

static void register_vfs(void) {
    system_vfs = sqlite3_vfs_find(NULL);
    vfs = *system_vfs;
    vfs.zName = "stepping";
    vfs.xOpen = step_open;
    vfs.xDelete = step_delete;
    sqlite3_vfs_register(&vfs, 1);
}

/* The child's work: 0 when it was killed, 1 when it came to its end, 2 when something else went wrong. */
static int forget_until(long operation) {
    pid_t child = fork();
    if (child == 0) {
        register_vfs();
        db = open_log_database("test.db");
        if (run("PRAGMA wal_autocheckpoint = 0") != SQLITE_OK) _exit(2);
        countdown = operation;
        _exit(strstr(value("SELECT subject_forget('mayfly')"), "its key is gone from") ? 1 : 2);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 2;
    return WEXITSTATUS(status);
}

/* 1: forgotten and on record; 0: neither; -1: half of it. */
static int state(void) {
    static char query[] =
        "SELECT (SELECT count(*) FROM rustybt_subject_keys WHERE wrapped IS NOT NULL AND subject "
        "IS "
        "NOT NULL AND name IS NOT NULL AND forgotten_us IS NULL) * 100 + (SELECT count(*) FROM "
        "rustybt_subject_keys WHERE wrapped IS NULL AND subject IS NULL AND name IS NULL AND "
        "forgotten_us IS NOT NULL) * 10 + (SELECT count(*) FROM rustybt_events WHERE action = "
        "'subject_forget')";
    long long found = number(query);
    if (strcmp(value("SELECT audit_verify('*') IS NOT NULL"), "1") != 0 ||
        strcmp(value("PRAGMA integrity_check"), "ok") != 0)
        return -1;
    bool opens = strcmp(value("SELECT subject_decrypt(token) FROM t"), "x") == 0;
    if (found == 200 && opens) return 0;
    return found == 111 && !opens ? 1 : -1;
}

static void kill_everywhere(const char *mode) {
    long runs = 0, before = 0, after = 0, wrong = 0;
    int ended = 0;
    for (long operation = 1; ended == 0 && wrong == 0 && operation < 2000; operation++, runs++) {
        char sql[64];
        remove("test.db"), remove("test.db-wal"), remove("test.db-shm"), remove("test.db-journal");
        db = open_log_database("test.db");
        snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s; PRAGMA synchronous = OFF", mode);
        must(sql);
        must("CREATE TABLE t AS SELECT subject_encrypt('mayfly', 'x') AS token; SELECT "
             "subject_encrypt('kept', 'y'), subject_hold('kept', 'a test')");
        sqlite3_close(db);
        ended = forget_until(operation);
        db = open_log_database("test.db");
        int found = state();
        before += found == 0;
        after += found == 1;
        wrong += found < 0 || ended == 2 || (ended == 1 && found != 1);
        if (wrong) printf("# operation %ld: child %d, state %d\n", operation, ended, found);
        sqlite3_close(db);
        db = NULL;
    }
    char name[96];
    printf("# %s: %ld runs, %ld not forgotten, %ld forgotten\n", mode, runs, before, after);
    snprintf(name, sizeof name, "journal_mode %s: forgotten and on record, or neither", mode);
    ok(wrong == 0 && ended == 1, name);
    ok(before > 2 && after > 1, "the kills came before and after the COMMIT");
}

int main(void) {
    plan(6);
    enter_folder();
    kill_everywhere("DELETE");
    kill_everywhere("PERSIST");
    kill_everywhere("WAL");
    leave_folder();
    return done();
}
