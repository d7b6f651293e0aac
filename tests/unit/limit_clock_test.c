/* SPDX-License-Identifier: MIT
** What limits do when time is not what it was: a wall clock that is set, a machine that starts anew, a
** snapshot that is restored. In SQL, with both clocks in the test's hand.
*/
#include "limit_fixture.h"

#include "base/clock.h"
#include "limit/limit_clock.h"

#include <sodium.h>
#include <unistd.h>

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define YEAR (365 * 24 * HOUR)

static sqlite3 *db;

/* The first column of the first row; -1 on failure. */
static int64_t number(const char *sql) {
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    else
        printf("# %s\n", sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    return value;
}

static void set_clocks(int64_t boot, int64_t uptime_us, int64_t wall_us) {
    rbt_limit_clock_override = (rbt_limit_clock){uptime_us, boot};
    rbt_clock_override_us = wall_us;
}

static int64_t remaining(const char *policy) {
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT remaining FROM rate_peek('%s', 'k')", policy);
    return number(sql);
}

static void check_memory(void) {
    set_clocks(1, HOUR, 50 * YEAR);
    number("SELECT rate_policy('{\"name\": \"m\", \"algorithm\": \"window\", \"quota\": 10, "
           "\"period\": \"1 hour\"}')");
    number("SELECT rate_allow('m', 'k', 10)");
    set_clocks(1, HOUR + 1, 60 * YEAR);
    is_int(remaining("m"), 0, "in memory a wall clock set ahead gives nothing");
    set_clocks(1, HOUR + 1, YEAR);
    is_int(remaining("m"), 0, "nor does one set back");
    is_int(number("SELECT retry_after_us FROM rate_peek('m', 'k')"), HOUR - 1,
           "nor does that make anybody wait longer");
    set_clocks(1, 2 * HOUR, YEAR);
    is_int(remaining("m"), 10, "what counts is the time that passed");
}

static void check_file(void) {
    set_clocks(1, HOUR, 50 * YEAR);
    number("SELECT rate_policy('{\"name\": \"f\", \"algorithm\": \"window\", \"quota\": 10, "
           "\"period\": \"1 hour\", \"store\": \"limits.db\"}')");
    number("SELECT rate_allow('f', 'k', 4)");
    set_clocks(1, HOUR + 10, 60 * YEAR);
    is_int(remaining("f"), 6, "in a file a wall clock set ahead gives nothing");
    number("SELECT rate_allow('f', 'k', 1)");
    set_clocks(1, HOUR + 20, YEAR);
    is_int(number("SELECT retry_after_us FROM rate_peek('f', 'k', 10)"), HOUR - 10,
           "one set back makes nobody wait longer");
    set_clocks(2, SECOND, 50 * YEAR + HOUR / 2);
    is_int(remaining("f"), 5, "the machine was off for half an hour: all is still in the window");
    set_clocks(2, SECOND + HOUR / 2 + 20, 50 * YEAR + HOUR);
    is_int(remaining("f"), 10, "with another half the hour is over");

    number("SELECT rate_allow('f', 'k', 10)");
    set_clocks(3, SECOND, YEAR);
    is_int(remaining("f"), 0, "the machine starts with its clock decades behind: nothing is given");
    is_int(number("SELECT retry_after_us FROM rate_peek('f', 'k')"), HOUR,
           "and nobody waits for decades");
    set_clocks(3, SECOND + HOUR, YEAR);
    is_int(remaining("f"), 10, "an hour later the hour is over");

    number("SELECT rate_allow('f', 'k', 10)");
    set_clocks(3, SECOND + HOUR / 2, YEAR);
    is_int(number("SELECT retry_after_us FROM rate_peek('f', 'k')"), HOUR,
           "a machine restored from a snapshot goes on from the file's time");
    set_clocks(3, SECOND + HOUR, YEAR);
    is_int(number("SELECT rate_allow('f', 'other')"), 1, "for all keys");
    is_int(number("SELECT retry_after_us <= 3600000000 FROM rate_peek('f', 'k')"), 1,
           "whoever waits waits no longer than the window");
}

static void check_leases(const char *policy, const char *store) {
    char sql[300];
    set_clocks(4, HOUR, 50 * YEAR);
    snprintf(sql, sizeof sql,
             "SELECT rate_policy('{\"name\": \"%s\", \"algorithm\": \"lease\", \"quota\": 1, "
             "\"period\": \"1 min\", \"store\": \"%s\"}')",
             policy, store);
    number(sql);
    snprintf(sql, sizeof sql, "SELECT expires_at_us FROM lease_acquire('%s', 'k')", policy);
    is_int(number(sql), 50 * YEAR + 60 * SECOND, "a lease ends at a time of the wall clock");
    snprintf(sql, sizeof sql, "SELECT allowed FROM lease_acquire('%s', 'k')", policy);
    set_clocks(4, HOUR + 60 * SECOND - 1, 60 * YEAR);
    is_int(number(sql), 0, "it is held to the last microsecond");
    set_clocks(4, HOUR + 60 * SECOND, 60 * YEAR);
    is_int(number(sql), 1, "and then comes back");
}

int main(void) {
    static char folder[] = "/tmp/rustybt-clock-XXXXXX";
    plan(20);
    if (sodium_init() < 0 || mkdtemp(folder) == NULL || chdir(folder) != 0) return 1;
    db = open_limits();
    check_memory();
    check_file();
    check_leases("lm", "memory");
    check_leases("lf", "leases.db");
    sqlite3_close(db);
    if (unlink("limits.db") != 0 || unlink("leases.db") != 0 || chdir("/") != 0 ||
        rmdir(folder) != 0)
        printf("# cannot remove %s\n", folder);
    return done();
}
