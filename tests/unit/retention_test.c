/* SPDX-License-Identifier: MIT
** Expiry and relocation: when a clock is believed, and what happens when an operation on a file, or an
** allocation, fails. Whichever it is, the log verifies afterwards, each entry is hot, in a segment, or has
** expired on record, and the next run finishes the work. Long sweeps take a sample, by a stride that is a
** prime. */
#include "failing_memory.h"

#include "audit/log_state.h"
#include "base/clock.h"
#include "base/file.h"

#include "log_fixture.h"
#include <errno.h>

static const int64_t day = INT64_C(86400000000);
static const int64_t begun = INT64_C(1700000000000000);

/* A log with a segment for each of three groups of entries, an hour apart, from `begun` on; pruned. */
static void make_log(const char *path, const char *retain) {
    char sql[256];
    rbt_clock_override_us = begun;
    db = open_log_database(path);
    snprintf(sql, sizeof sql,
             "CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, archive='cold', retain='%s')",
             retain);
    must(sql);
    for (int group = 0; group < 3; group++) {
        for (int i = 0; i < 3; i++) {
            snprintf(sql, sizeof sql, "INSERT INTO log(n) VALUES(%d)", 3 * group + i + 1);
            must(sql);
        }
        if (group == 1) must("SELECT audit_checkpoint('log')");
        must("SELECT audit_archive('log', 'cold', 'now')");
        rbt_clock_override_us += day / 24;
    }
    must("SELECT audit_prune('log')");
}

static void drop_log(void) {
    if (sqlite3_close(db) != SQLITE_OK) bail("close");
    db = NULL;
    rbt_clock_override_us = 0;
    if (system("rm -rf -- *.db* cold colder") != 0) bail("rm");
}

static void test_clock(void) {
    make_log("test.db", "10 days");
    is_text(value("SELECT audit_expire('log')"),
            "log: nothing expired; the next is due at 2023-11-24T22:13:20Z",
            "before its time nothing expires");
    rbt_clock_override_us = begun + 4000 * day;
    is_text(value("SELECT audit_expire('log')"),
            "log: nothing expired; the next is due at 2023-11-24T22:13:20Z, and what was logged "
            "attests to no later time than 2023-11-15T01:13:20Z yet; if the clock is right, SELECT "
            "audit_expire('log', 'now')",
            "a clock far ahead is not believed while nothing was logged under it");
    must("INSERT INTO log(n) VALUES(10)");
    is_text(value("SELECT audit_expire('log')"), "log: 9 entries expired, with 3 segments",
            "of a silence 31 days count, which is enough for ten");
    drop_log();

    make_log("test.db", "7 years");
    rbt_clock_override_us = begun + 4000 * day;
    must("INSERT INTO log(n) VALUES(10)");
    is_int(
        strncmp(value("SELECT audit_expire('log')"), "log: nothing expired; the next is due", 37),
        0, "but not for seven years, whatever was logged after the jump");
    rbt_clock_override_us += 2 * day;
    must("INSERT INTO log(n) VALUES(11)");
    is_int(
        strncmp(value("SELECT audit_expire('log')"), "log: nothing expired; the next is due", 37),
        0, "nor when the wrong clock goes on");
    is_text(value("SELECT audit_expire('log', '2023-12-01')"),
            "log: nothing expired; the next is due at 2030-11-14T22:13:20Z",
            "a person may say what time it is");
    is_text(value("SELECT audit_expire('log', '2900-01-01')"),
            "audit_expire: as_of is later than the clock of this machine",
            "but not later than the clock");
    is_text(value("SELECT audit_expire('log', '2030-11-14 22:30')"),
            "log: 3 entries expired, with 1 segment; the next is due at 2030-11-14T23:13:20Z",
            "then that counts");
    is_text(value("SELECT datetime(json_extract(detail, '$.as_of_us') / 1000000, 'unixepoch') FROM "
                  "rustybt_events WHERE action = 'expire'"),
            "2030-11-14 22:30:00", "and stands in the event");
    is_text(value("SELECT audit_expire('log', 'now')"), "log: 6 entries expired, with 2 segments",
            "'now' says that the clock is right");
    is_int(number("SELECT count(*) FROM audit_verify('log') WHERE level = 'error'"), 0,
           "the log verifies");
    drop_log();

    make_log("test.db", "40 days");
    for (int i = 0; i < 45; i++) {
        rbt_clock_override_us += day;
        must("INSERT INTO log(n) VALUES(1)");
    }
    is_text(value("SELECT audit_expire('log')"), "log: 9 entries expired, with 3 segments",
            "where something is logged every day time counts in full");
    drop_log();

    make_log("test.db", "10 days");
    must("SELECT audit_set('log', 'retain', '20 days')");
    rbt_clock_override_us = begun + 15 * day;
    must("INSERT INTO log(n) VALUES(1)");
    is_text(value("SELECT audit_expire('log')"),
            "log: nothing expired; the next is due at 2023-12-04T22:13:20Z",
            "a longer retain holds for segments that were written before it");
    drop_log();
}

/* ---- Faults ---- */

static long calls_until_fault; /* of file operations; 0: none fails */
static bool from_then_on;      /* all later ones, too: as if the process had died */
static bool fault_met;

static bool fault(void) {
    if (calls_until_fault == 0) return false;
    if (calls_until_fault > 1) {
        calls_until_fault--;
        return false;
    }
    fault_met = true;
    if (!from_then_on) calls_until_fault = 0;
    errno = EIO;
    return true;
}

static int faulty_open(const char *path, int flags, mode_t mode) {
    return fault() ? -1 : rbt_system_files.open(path, flags, mode);
}
static int faulty_close(int file) {
    bool failed = fault();
    int code = rbt_system_files.close(file);
    if (failed) errno = EIO;
    return failed ? -1 : code;
}
static ssize_t faulty_pread(int file, void *bytes, size_t length, off_t offset) {
    return fault() ? -1 : rbt_system_files.pread(file, bytes, length, offset);
}
static ssize_t faulty_write(int file, const void *bytes, size_t length) {
    if (fault()) return -1;
    /* short writes all the time */
    return rbt_system_files.write(file, bytes, length > 100 ? length / 2 : length);
}
static int faulty_fsync(int file) {
    return fault() ? -1 : rbt_system_files.fsync(file);
}
static int faulty_fstat(int file, struct stat *status) {
    return fault() ? -1 : rbt_system_files.fstat(file, status);
}
static int faulty_rename(const char *from, const char *to) {
    return fault() ? -1 : rbt_system_files.rename_noreplace(from, to);
}
static int faulty_unlink(const char *path) {
    return fault() ? -1 : rbt_system_files.unlink(path);
}
static int faulty_mkdir(const char *path, mode_t mode) {
    return fault() ? -1 : rbt_system_files.mkdir(path, mode);
}
static int faulty_lock(int file) {
    return fault() ? -1 : rbt_system_files.lock(file);
}
static const rbt_file_operations faulty_files = {
    faulty_open,  faulty_close,  faulty_pread,  faulty_write, faulty_fsync,
    faulty_fstat, faulty_rename, faulty_unlink, faulty_mkdir, faulty_lock,
};

/* What must hold after whatever went wrong. */
static const char *verdict(void) {
    const char *problem = value("SELECT detail FROM audit_verify('*') WHERE level = 'error'");
    if (strcmp(problem, "(no row)") != 0) return problem;
    return value(
        "SELECT iif((SELECT count(*) = ifnull(sum(n > 0), 0) FROM log) AND (SELECT count(*) FROM "
        "log) = 9 - (SELECT 3 * count(*) FROM audit_segments('log') WHERE status = "
        "'expired'), 'good', 'entries are missing or double')");
}

typedef struct sweep_result {
    long runs, failed, wrong;
} sweep_result;

static void note(sweep_result *result, long at, const char *what) {
    if (result->wrong++ < 5) printf("# fault %ld: %s\n", at, what);
}

/* Runs sql with the 1st, 1 + stride'th, … file operation failing, each time on what the last one left,
** until it succeeds; anew, when set_back, after each. */
static sweep_result sweep_files(const char *sql, const char *set_back, int stride, bool dead) {
    sweep_result result = {0};
    for (long at = 1; result.wrong <= 5; at += stride) {
        if (set_back) must(set_back);
        from_then_on = dead;
        fault_met = false;
        calls_until_fault = at;
        rbt_files = &faulty_files;
        int code = run(sql);
        rbt_files = &rbt_system_files;
        calls_until_fault = 0;
        result.runs++;
        result.failed += code != SQLITE_OK;
        if (code == SQLITE_IOERR || code == SQLITE_FULL || code == SQLITE_NOMEM)
            note(&result, at, "an error that rolls back the caller's transaction");
        const char *state = verdict();
        if (strcmp(state, "good") != 0) note(&result, at, state);
        if (!fault_met && code != SQLITE_OK) note(&result, at, sqlite3_errmsg(db));
        if (!fault_met) break;
    }
    return result;
}

static sweep_result sweep_memory(const char *sql, const char *set_back, int stride) {
    sweep_result result = {0};
    for (long at = 1; result.wrong <= 5; at += stride) {
        if (set_back) must(set_back);
        failing_memory_at(at);
        int code = run(sql);
        bool hit = failing_memory_hit;
        failing_memory_at(0);
        result.runs++;
        result.failed += code != SQLITE_OK;
        if (!sqlite3_get_autocommit(db)) note(&result, at, "a transaction is left open");
        if (code != SQLITE_OK && code != SQLITE_NOMEM && !hit)
            note(&result, at, sqlite3_errmsg(db));
        const char *state = verdict();
        if (strcmp(state, "good") != 0) note(&result, at, state);
        if (!hit) break;
    }
    return result;
}

static void report(sweep_result result, const char *name) {
    printf("# %ld runs, %ld of them failed\n", result.runs, result.failed);
    ok(result.wrong == 0 && result.failed > 0, name);
}

static long count_files(const char *folder) {
    char command[128], line[32] = "";
    snprintf(command, sizeof command, "ls -A %s | grep -c zst", folder);
    FILE *output = popen(command, "r");
    if (!output || !fgets(line, sizeof line, output)) line[0] = 0;
    if (output) pclose(output);
    return atol(line);
}

static void release_newest(void) {
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT audit_release(%lld, 'closed')",
             number("SELECT max(hold_id) FROM audit_holds"));
    must(sql);
}

static void test_faults(void) {
    make_log("test.db", "1 hour");
    rbt_clock_override_us = begun + day;
    must("SELECT audit_hold('log', 'so that time is logged')");
    release_newest();
    report(sweep_files("SELECT audit_relocate('log', 'colder')",
                       "SELECT audit_relocate('log', 'cold')", 1, false),
           "a move with any operation on files failing leaves the log whole");
    report(sweep_files("SELECT audit_relocate('log', 'colder')",
                       "SELECT audit_relocate('log', 'cold')", 1, true),
           "so does one after which no operation succeeds any more");
    is_text(value("SELECT audit_relocate('log', 'colder')"),
            "log: 0 segments moved to colder, each verified; 3 were there",
            "in the end all are there");
    is_int(count_files("cold"), 0, "nothing is left in the old folder");
    is_int(count_files("colder"), 3, "nor anything but the segments in the new one");
    report(sweep_files("SELECT audit_expire('log')", NULL, 1, true),
           "an expiry with operations on files failing removes or keeps, on record");
    is_int(count_files("colder"), 0, "the last run leaves no file");
    is_int(number("SELECT count(*) FROM audit_segments('log') WHERE status = 'expired'"), 3,
           "and all have expired");
    drop_log();

    make_log("test.db", "1 hour");
    rbt_clock_override_us = begun + day;
    report(sweep_memory("SELECT audit_hold('log', 'inquiry', 1, 2)", NULL, 7),
           "a hold without memory is none");
    must("SELECT count(*) FROM audit_holds");
    while (number("SELECT count(*) FROM audit_holds") > 1)
        release_newest();
    is_int(number("SELECT count(*) FROM audit_holds"), 1, "one that was told stands");
    report(sweep_memory("SELECT count(*) FROM audit_holds", NULL, 13), "so is listing them");
    report(sweep_memory("SELECT audit_relocate('log', 'colder')",
                        "SELECT audit_relocate('log', 'cold')", 211),
           "a move without memory leaves the log whole");
    must("SELECT audit_relocate('log', 'colder')");
    report(sweep_memory("SELECT audit_expire('log')", NULL, 211),
           "an expiry without memory removes nothing that it does not tell of");
    is_int(number("SELECT count(*) FROM log"), 3, "what is held is there");
    release_newest();
    must("SELECT audit_expire('log')");
    report(sweep_memory("SELECT count(*) FROM audit_verify('log')", NULL, 101),
           "verification of what has expired survives, too");
    is_int(count_files("colder"), 0, "in the end no file is left");
    drop_log();
}

int main(void) {
    if (failing_memory_install() != SQLITE_OK) bail("cannot install the allocator");
    plan(30);
    /* hundreds of runs that sync: in memory where there is such a folder */
    if (!getenv("TMPDIR") && access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
    enter_folder();
    test_clock();
    test_faults();
    leave_folder();
    is_int(sqlite3_memory_used(), 0, "no memory is left behind");
    return done();
}
