/* SPDX-License-Identifier: MIT
** audit_checkpoint and its relatives within one process: that a checkpoint never outlives its rows, that
** lack of memory neither signs nor loses anything, and what many checkpoints cost. */
#include "failing_memory.h"

#include "log_fixture.h"

#include <time.h>

/* ---- A file system that remembers what of the WAL was synced ---- */

typedef struct watched_file {
    sqlite3_file base; /* must be first */
    bool wal;
    sqlite3_file *real;
} watched_file;

static sqlite3_vfs *real_vfs;
static sqlite3_vfs watching_vfs;
static sqlite3_io_methods watched_methods;
static long wal_writes, wal_syncs, wal_unsynced; /* unsynced: writes since the last sync */

static sqlite3_file *real_of(sqlite3_file *file) {
    return ((watched_file *)file)->real;
}

#define PASS(name, parameters, arguments)                                                          \
    static int watched_##name parameters {                                                         \
        return real_of(file)->pMethods->x##name arguments;                                         \
    }
PASS(Read, (sqlite3_file * file, void *bytes, int count, sqlite3_int64 at),
     (real_of(file), bytes, count, at))
PASS(Truncate, (sqlite3_file * file, sqlite3_int64 size), (real_of(file), size))
PASS(FileSize, (sqlite3_file * file, sqlite3_int64 *size), (real_of(file), size))
PASS(Lock, (sqlite3_file * file, int level), (real_of(file), level))
PASS(Unlock, (sqlite3_file * file, int level), (real_of(file), level))
PASS(CheckReservedLock, (sqlite3_file * file, int *held), (real_of(file), held))
PASS(FileControl, (sqlite3_file * file, int what, void *argument), (real_of(file), what, argument))
PASS(SectorSize, (sqlite3_file * file), (real_of(file)))
PASS(DeviceCharacteristics, (sqlite3_file * file), (real_of(file)))
PASS(ShmMap, (sqlite3_file * file, int page, int size, int extend, void volatile **memory),
     (real_of(file), page, size, extend, memory))
PASS(ShmLock, (sqlite3_file * file, int offset, int count, int flags),
     (real_of(file), offset, count, flags))
PASS(ShmUnmap, (sqlite3_file * file, int remove), (real_of(file), remove))

static void watched_ShmBarrier(sqlite3_file *file) {
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int watched_Close(sqlite3_file *file) {
    int code = real_of(file)->pMethods->xClose(real_of(file));
    free(real_of(file));
    return code;
}

static int watched_Write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 at) {
    if (((watched_file *)file)->wal) wal_writes++, wal_unsynced++;
    return real_of(file)->pMethods->xWrite(real_of(file), bytes, count, at);
}

static int watched_Sync(sqlite3_file *file, int flags) {
    if (((watched_file *)file)->wal) wal_syncs++, wal_unsynced = 0;
    return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int watched_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                        int *out_flags) {
    (void)vfs;
    watched_file *watched = (watched_file *)file;
    memset(watched, 0, sizeof *watched);
    watched->real = calloc(1, (size_t)real_vfs->szOsFile);
    if (!watched->real) return SQLITE_NOMEM;
    watched->wal = (flags & SQLITE_OPEN_WAL) != 0;
    int code = real_vfs->xOpen(real_vfs, name, watched->real, flags, out_flags);
    if (code == SQLITE_OK)
        watched->base.pMethods = &watched_methods;
    else
        free(watched->real);
    return code;
}

static void watch(void) {
    real_vfs = sqlite3_vfs_find(NULL);
    watching_vfs = *real_vfs;
    watching_vfs.zName = "watching";
    watching_vfs.szOsFile = sizeof(watched_file);
    watching_vfs.xOpen = watched_open;
    watched_methods = (sqlite3_io_methods){.iVersion = 2,
                                           .xClose = watched_Close,
                                           .xRead = watched_Read,
                                           .xWrite = watched_Write,
                                           .xTruncate = watched_Truncate,
                                           .xSync = watched_Sync,
                                           .xFileSize = watched_FileSize,
                                           .xLock = watched_Lock,
                                           .xUnlock = watched_Unlock,
                                           .xCheckReservedLock = watched_CheckReservedLock,
                                           .xFileControl = watched_FileControl,
                                           .xSectorSize = watched_SectorSize,
                                           .xDeviceCharacteristics = watched_DeviceCharacteristics,
                                           .xShmMap = watched_ShmMap,
                                           .xShmLock = watched_ShmLock,
                                           .xShmBarrier = watched_ShmBarrier,
                                           .xShmUnmap = watched_ShmUnmap};
    sqlite3_vfs_register(&watching_vfs, 1);
}

static void test_durability(void) {
    watch();
    db = open_log_database("wal.db");
    must("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
         "CREATE VIRTUAL TABLE log USING audit_log(a TEXT)");
    wal_writes = wal_syncs = 0;
    must("INSERT INTO log(a) VALUES('x')");
    ok(wal_writes > 0 && wal_syncs == 0, "with synchronous=NORMAL a commit in WAL is not synced");
    /* a reader, behind which wal_checkpoint(PASSIVE) would neither copy nor sync */
    sqlite3 *reader = open_log_database("wal.db");
    sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    must("INSERT INTO log(a) VALUES('y')");
    ok(wal_unsynced > 0, "nor is a later one");
    must("SELECT audit_checkpoint('log')");
    ok(wal_syncs > 0 && wal_unsynced == 0,
       "all that a checkpoint speaks of is synced before it is given out, and itself");
    is_int(number("PRAGMA synchronous"), 1, "synchronous is as it was afterwards");
    must(
        "PRAGMA synchronous = OFF; INSERT INTO log(a) VALUES('z'); SELECT audit_checkpoint('log')");
    ok(wal_unsynced == 0, "so it is with synchronous=OFF");
    is_int(number("PRAGMA synchronous"), 0, "which stays off afterwards");
    sqlite3_close(reader);
    sqlite3_close(db);
    db = NULL;
    sqlite3_vfs_register(real_vfs, 1);
}

/* ---- Without memory ---- */

static int attempt(const char *sql) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    while (code == SQLITE_OK || code == SQLITE_ROW)
        code = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* The 1st, 1 + stride'th, … allocation of sql fails until none does: SQLITE_NOMEM or success, and the log
** verifies each time. */
static void sweep(const char *before, const char *sql, int stride, const char *name) {
    long runs = 0, failed = 0, wrong = 0;
    for (int hit = 1; hit && wrong < 10; runs++) {
        if (before) must(before);
        failing_memory_at(1 + runs * stride);
        int code = attempt(sql);
        hit = failing_memory_hit;
        failing_memory_at(0);
        if (!sqlite3_get_autocommit(db)) run("ROLLBACK");
        failed += code == SQLITE_NOMEM;
        if ((code != SQLITE_OK && code != SQLITE_NOMEM) || (!hit && code != SQLITE_OK)) {
            wrong++;
            printf("# run %ld: code %d, %s\n", runs, code, sqlite3_errmsg(db));
        }
        const char *verdict = value("SELECT audit_verify('log') IS NOT NULL");
        if (strcmp(verdict, "1") != 0) {
            wrong++;
            printf("# run %ld, code %d, then: %s\n", runs, code, verdict);
        }
    }
    printf("# %ld runs, %ld of them without memory\n", runs, failed);
    ok(wrong == 0 && failed > 0, name);
}

static void test_memory(void) {
    static char previous[4096];
    db = open_log_database("memory.db");
    must("CREATE VIRTUAL TABLE log USING audit_log(a TEXT);"
         "INSERT INTO log(a) VALUES('x'), ('y'), ('z'); SELECT audit_checkpoint('log');"
         "INSERT INTO log(a) VALUES('v'); CREATE TABLE kept(note);"
         "SELECT audit_checkpoint('log'); INSERT INTO kept SELECT substr(audit_consistency('log', "
         "0), 8)");
    sweep("INSERT INTO log(a) VALUES('w')", "SELECT audit_checkpoint('log')", 5,
          "a checkpoint is made, or memory ran out and the log is whole");
    snprintf(previous, sizeof previous, "SELECT audit_checkpoint('log', '%s')",
             value("SELECT note FROM kept"));
    sweep(NULL, previous, 3, "the same with a previous one");
    sweep(NULL, "SELECT audit_proof('log', 2)", 1, "audit_proof");
    sweep(NULL, "SELECT audit_consistency('log', 3)", 1, "audit_consistency");
    sweep(NULL,
          "SELECT proof_verify(audit_proof('log', 2), audit_leaf('log', 2), "
          "audit_public_key('log'))",
          1, "proof_verify never says yes for want of memory, nor no");
    sqlite3_close(db);
    db = NULL;
}

/* ---- Many ---- */

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void test_many(void) {
    enum { MANY = 600 };
    db = open_log_database("many.db");
    must("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;"
         "CREATE VIRTUAL TABLE log USING audit_log(a TEXT)");
    for (int i = 0; i < MANY; i++) {
        must("INSERT INTO log(a) VALUES('x')");
        if (i % 3 == 0) must("SELECT audit_checkpoint('log')");
    }
    is_int(number("SELECT count(*) FROM log_meta WHERE key GLOB 'checkpoint/*'"), MANY / 3,
           "two hundred checkpoints are kept");
    double start = seconds();
    ok(strstr(value("SELECT audit_verify('log')"), ", 200 stored checkpoints"),
       "audit_verify verifies them all");
    printf("# in %.1f ms\n", 1e3 * (seconds() - start));
    must("SELECT audit_archive('log', 'cold', 'now'); SELECT audit_prune('log')");
    is_int(number("SELECT count(*) FROM log_meta WHERE key GLOB 'consistency/*'"), 170,
           "prune keeps the proof of each inside a dropped block");
    if (rename("cold", "elsewhere") != 0) bail("rename");
    ok(strcmp(value("SELECT count(*) FROM audit_verify('log') WHERE level = 'error' AND kind <> "
                    "'segment'"),
              "0") == 0,
       "by which they verify without any segment");
    must("UPDATE log_meta SET value = zeroblob(length(value)) WHERE key = "
         "(SELECT min(key) FROM log_meta WHERE key GLOB 'consistency/*')");
    is_int(number("SELECT count(*) FROM audit_verify('log') WHERE kind = 'checkpoint'"), 1,
           "a kept proof that was changed is found, and names its checkpoint");
    if (rename("elsewhere", "cold") != 0) bail("rename");
    ok(strstr(value("SELECT audit_verify('log')"), ", 200 stored checkpoints"),
       "with the segment there it verifies all the same");
    sqlite3_close(db);
    db = NULL;
}

int main(void) {
    if (failing_memory_install() != SQLITE_OK) return 2;
    plan(17);
    enter_folder();
    test_durability();
    test_memory();
    test_many();
    leave_folder();
    return done();
}
