/* SPDX-License-Identifier: MIT
** Archiving and pruning where each call on a file fails in turn, SQLite's and our own: an I/O error, a write
** that takes half of its bytes, a disk that is full from then on. The function says what is wrong, in our
** words, and leaves no transaction, no lock and nothing half done: each entry is in the log or in a verified
** segment, and the same script finishes the work.
*/
#include "kill_fixture.h"

typedef struct fault {
    const char *name;
    io_plan plan;
    int keepings; /* swept in so many of them, and with no variant, unless all is */
} fault;

static const fault faults[] = {
    {"an I/O error", {.kinds = IO_ALL, .error = EIO}, 2},
    {"a full disk", {.kinds = IO_FILLS, .error = ENOSPC, .lasting = true}, 1},
    {"half a write", {.kinds = IO_WRITE, .half = true}, 1},
    {"half a write, then a full disk",
     {.kinds = IO_WRITE, .half = true, .error = ENOSPC, .lasting = true},
     0},
    {"a disk that is gone", {.kinds = IO_ALL, .error = EIO, .lasting = true}, 0},
    {"no more descriptors", {.kinds = IO_OPEN | IO_CREATE, .error = EMFILE, .lasting = true}, 0},
};

enum { FAULTS = sizeof faults / sizeof faults[0] };

/* Of the disturbed statement: it begins with the function, the log, or the archive, then with the file. What
** PRAGMA integrity_check says has lines of its own. SQLite calls a file that cannot be read
** malformed; but IOERR and FULL would make it roll back the caller's transaction. */
static void check_message(const char *message, int code) {
    static const char *const beginnings[] = {
        "audit_", "log: ", "kept_hot: ", "rustybt_events: ", "archive: cannot "};
    bool known = false;
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
        known |= strncmp(message, beginnings[i], strlen(beginnings[i])) == 0;
    if (!known || (strchr(message, '\n') && !strstr(message, "*** in database")))
        complain("the message: %s", message);
    if (code == SQLITE_IOERR || code == SQLITE_FULL) complain("error code %d: %s", code, message);
}

/* False when the fault did not come any more. */
static bool disturb(const operation *o, const io_plan *plan, long *failed) {
    char *message = NULL;
    begin_run();
    connect_run("run/test.db");
    io_begin(plan, NULL);
    int code = sqlite3_exec(db, o->act, NULL, NULL, &message);
    io_end();
    sqlite3 *first = db;
    if (code != SQLITE_OK) check_message(message ? message : "none", code & 0xff);
    if (!sqlite3_get_autocommit(first) || sqlite3_txn_state(first, NULL) != SQLITE_TXN_NONE)
        complain("a transaction is open: %s", message ? message : "no error");
    check_text("PRAGMA synchronous", strstr(keeping->pragmas, "NORMAL")  ? "1"
                                     : strstr(keeping->pragmas, "EXTRA") ? "3"
                                                                         : "2");
    check_moment(o);
    check_root();
    finish(o);
    if (complaint[0]) printf("# call %ld: %s\n", plan->at, message ? message : "no error");
    sqlite3_close(first);
    sqlite3_free(message);
    *failed += code != SQLITE_OK;
    return io.calls >= plan->at;
}

static void sweep(const operation *o, const fault *f) {
    io_plan plan = f->plan;
    char name[256];
    long failed = 0;
    do
        plan.at++;
    while (disturb(o, &plan, &failed) && !complaint[0]);
    printf("# %s, %s, %s: %ld calls, %ld errors\n", o->name, keeping->name, f->name, plan.at - 1,
           failed);
    if (complaint[0]) printf("# call %ld: %s\n", plan.at, complaint);
    snprintf(name, sizeof name, "%s, %s, %s: it is told, and nothing is lost or stays", o->name,
             keeping->name, f->name);
    ok(!complaint[0] && plan.at > 5, name);
    complaint[0] = 0;
}

static bool chosen(int o, int k, int f) {
    return full_sweep() || (swept(&operations[o], &keepings[k]) && k < faults[f].keepings &&
                            (!operations[o].rare || f == 0));
}

int main(void) {
    int count = 0;
    for (int i = 0; i < OPERATIONS * KEEPINGS * FAULTS; i++)
        count += chosen(i / FAULTS / KEEPINGS, i / FAULTS % KEEPINGS, i % FAULTS);
    plan(count);
    enter_sweep();
    for (int i = 0; i < OPERATIONS; i++) {
        for (int j = 0; j < KEEPINGS; j++) {
            keeping = &keepings[j];
            if (!swept(&operations[i], keeping)) continue;
            make_template(&operations[i]);
            for (int k = 0; k < FAULTS; k++)
                if (chosen(i, j, k)) sweep(&operations[i], &faults[k]);
        }
    }
    leave_folder();
    return done();
}
