/* SPDX-License-Identifier: MIT
** The power fails in the middle of appending, archiving and pruning (disk_model.h): bytes and names that were
** not synced are gone, or some of them are. What a log that commits without waiting for the disk lost, it
** lost from its end; all other entries are in the log or in a verified segment, no segment holds an entry
** that the log has lost, and the script finishes.
*/
#include "kill_fixture.h"

#include "disk_model.h"

enum { APPENDED_BEFORE = 3, APPENDED_AFTER = 1 };

static char roots[APPENDED_BEFORE + APPENDED_AFTER + 1][80]; /* after so many were appended */

static void record(const operation *o, bool by_link) {
    begin_run();
    disk_record("run");
    io.by_link = by_link;
    connect_run("run/test.db");
    rbt_clock_override_us = start_us + 1000000;
    for (int i = 0; i < APPENDED_BEFORE; i++)
        append(1);
    rbt_clock_override_us = start_us + 2 * DAY_US;
    must(o->act);
    append(APPENDED_AFTER);
    if (sqlite3_close(db) != SQLITE_OK) bail("closing");
    io_end();
    io.by_link = false;
    connect_run("run/test.db");
    for (int i = 0; i <= APPENDED_BEFORE + APPENDED_AFTER; i++) {
        char sql[80];
        snprintf(sql, sizeof sql, "SELECT audit_root('log', %d)", (int)entries_made + 1 + i);
        snprintf(roots[i], sizeof roots[i], "%.79s", value(sql));
    }
    sqlite3_close(db);
    db = NULL;
}

static void fail_at(const operation *o, int events, uint64_t seed) {
    remove_folder("run");
    disk_lose_power(events, seed, "run");
    long long entries = check_moment(o);
    if (entries > entries_made + APPENDED_BEFORE + APPENDED_AFTER)
        complain("%lld entries", entries);
    else if (entries >= entries_made)
        check_text("SELECT audit_root('log')", roots[entries - entries_made]);
    finish(o);
    if (complaint[0])
        printf("# after %d of %d events, seed %llu: %s\n", events, disk.event_count,
               (unsigned long long)seed, complaint);
}

static void sweep(const operation *o, bool by_link, int seeds) {
    char name[256];
    long runs = 0, wrong = 0;
    make_template(o);
    record(o, by_link);
    for (int events = 0; events <= disk.event_count && wrong < 3; events++) {
        bool synced = events > 0 && disk.events[events - 1].act == DISK_SYNC;
        int first = synced || events == 0 || events == disk.event_count ? 0 : 1;
        if (!full_sweep() && first == 1 && events % 3 != 0) continue;
        for (int seed = first; seed <= seeds; seed++, runs++) {
            complaint[0] = 0;
            fail_at(o, events, seed == 0 ? 0 : (uint64_t)events * 977 + (uint64_t)seed);
            wrong += complaint[0] != 0;
        }
    }
    printf("# %s, %s: %d events, %ld power failures\n", o->name, keeping->name, disk.event_count,
           runs);
    snprintf(name, sizeof name, "%s, %s%s: what was synced is whole, and the script finishes",
             o->name, keeping->name, by_link ? ", renaming by link" : "");
    ok(wrong == 0 && runs > 20, name);
}

int main(void) {
    bool full = full_sweep();
    plan((full ? 2 : 1) * sweeps());
    enter_sweep();
    for (int i = 0; i < OPERATIONS; i++) {
        for (int j = 0; j < KEEPINGS; j++) {
            keeping = &keepings[j];
            if (!swept(&operations[i], keeping)) continue;
            sweep(&operations[i], false, full ? 4 : 1);
            if (full) sweep(&operations[i], true, 1);
        }
    }
    leave_folder();
    return done();
}
