/* SPDX-License-Identifier: MIT
** Long work on behalf of a connection: it shows on a terminal how far it is, and it heeds
** sqlite3_interrupt.
**
**     rbt_progress progress;
**     rbt_progress_begin(&progress, db, "archiving", log->name, entries);
**     …                              whatever is called from here, however deep:
**         rbt_progress_step(1000);   1000 entries more are done
**         if (rbt_progress_interrupted(who, error)) return error->code;
**     rbt_progress_end(&progress);
**
** Work that lasts longer than two seconds has one line, rewritten at most four times a second and erased
** in the end: "archiving orders: 1,234,000 of 5,000,000 entries, 24 %". It goes to stderr, only while
** that is a terminal in whose foreground the process is, and TERM is not "dumb". RUSTYBT_PROGRESS=no
** turns it off; a number in it is the seconds of work before which nothing is shown.
**
** A begin within another is a part of that work; its line stands in for the other's until its end. All
** this is of one thread: steps of other threads count for nothing. Calls base's sql_util and POSIX.
*/
#ifndef RBT_BASE_PROGRESS_H
#define RBT_BASE_PROGRESS_H

#include "error.h"
#include "sqlite.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct rbt_progress {
    struct rbt_progress *outer;
    sqlite3 *db;
    const char *verb, *subject;
    int64_t done, total;
    /* Of the outermost alone, by the clock that only goes forward: */
    int64_t show_ms; /* when the line may be written next */
    int64_t look_ms; /* when the interrupt is looked at next */
    bool shown;      /* there is a line to erase */
    struct rbt_progress *outermost;
} rbt_progress;

/* The texts are borrowed until the end. db: whose interrupt ends the work; NULL: the outer work's. total:
** entries; 0: not known. */
void rbt_progress_begin(rbt_progress *progress, sqlite3 *db, const char *verb, const char *subject,
                        int64_t total);
/* Corrects the number of entries in all. */
void rbt_progress_total(rbt_progress *progress, int64_t total);
/* Must follow its begin, whatever happened. */
void rbt_progress_end(rbt_progress *progress);

/* So many entries more are done, 0 or more, of the innermost work of this thread, if there is any. */
void rbt_progress_step(int64_t entries);

/* True when the work is to stop: then the error is SQLITE_INTERRUPT, "<who>: interrupted". Looks at most
** ten times a second, so it may be called often. */
bool rbt_progress_interrupted(const char *who, rbt_error *error);

#endif
