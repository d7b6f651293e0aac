/* SPDX-License-Identifier: MIT
** Archiving and pruning, killed in every call that changes a file, SQLite's and our own, one after the
** other: afterwards each entry is in the log or in a verified segment, the root is what it was, and the same
** script finishes the work and leaves nothing behind.
*/
#include "kill_fixture.h"

enum { KILLED, ENDED, FAILED };

/* The child's work. */
static int act_until(const operation *o, const io_plan *plan) {
    pid_t child = fork();
    if (child == 0) {
        connect_run("run/test.db");
        io_begin(plan, NULL);
        bool worked = run(o->act) == SQLITE_OK && sqlite3_close(db) == SQLITE_OK;
        _exit(worked ? ENDED : FAILED);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return FAILED;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return KILLED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
}

static void sweep(const operation *o, bool half) {
    io_plan plan = {.kinds = IO_CHANGES, .kill = true, .half = half};
    int ended = KILLED;
    long planned = 0, temporary = 0;
    while (ended == KILLED && !complaint[0]) {
        plan.at++;
        begin_run();
        ended = act_until(o, &plan);
        if (ended == FAILED) complain("the operation failed");
        check_moment(o);
        check_root();
        planned += number("SELECT count(*) FROM audit_segments('log') WHERE status = 'planned'");
        temporary +=
            access("run/test.db-journal", F_OK) == 0 || access("run/test.db-wal", F_OK) == 0;
        finish(o);
    }
    char name[256];
    printf("# %s, %s: killed in %ld calls%s, %ld times with a plan\n", o->name, keeping->name,
           plan.at - 1, half ? ", after half of a write" : "", planned);
    if (complaint[0]) printf("# call %ld: %s\n", plan.at, complaint);
    snprintf(name, sizeof name, "%s, %s%s: nothing is lost or double, and the script finishes",
             o->name, keeping->name, half ? ", writes torn" : "");
    ok(!complaint[0] && ended == ENDED, name);
    complaint[0] = 0;
}

int main(void) {
    bool full = full_sweep();
    plan((full ? 2 : 1) * sweeps());
    enter_sweep();
    for (int i = 0; i < OPERATIONS; i++) {
        for (int j = 0; j < KEEPINGS; j++) {
            keeping = &keepings[j];
            if (!swept(&operations[i], keeping)) continue;
            make_template(&operations[i]);
            sweep(&operations[i], false);
            if (full) sweep(&operations[i], true);
        }
    }
    printf("# %ld of the runs were finished by the script itself\n", by_script);
    leave_folder();
    return done();
}
