/* SPDX-License-Identifier: MIT
** What time it is, for something that cannot be taken back. A machine's clock may be years ahead: it would
** make every segment expire at once. So time counts for an expiry only as far as entries attest to it:
**
**   1. It is no later than the clock says, nor than the newest entry of the log or of rustybt_events was
**      recorded. A clock that jumps ahead is worth nothing until something was logged after it.
**   2. Nor is a jump itself believed once something was: of the longest silence since the segment's last
**      entry only 31 days count. Silence is counted in whole days on which neither the log's hot
**      entries, nor the ends of its segments, nor rustybt_events have an entry.
**
** Where true silence was longer (a log that rests for years), a person says so: audit_expire(log, as_of).
** May call base and audit.
*/
#ifndef RBT_AUDIT_ATTESTED_H
#define RBT_AUDIT_ATTESTED_H

#include "log_state.h"

/* Days on which something was logged, since 1970, ascending. Starts as {0}. */
typedef struct rbt_attested {
    int64_t *days;
    size_t count, capacity;
    int64_t newest_us; /* rule 1 */
} rbt_attested;

/* Adds a moment that is known from a signed manifest. */
int rbt_attested_add(rbt_attested *attested, int64_t time_us, rbt_error *error);
/* Adds the loaded log's hot entries and rustybt_events, which both were verified, and sorts: call it last. */
int rbt_attested_read(rbt_attested *attested, rbt_log *log, const char *who, rbt_error *error);
void rbt_attested_free(rbt_attested *attested);

/* The time to judge by whether what ended at since_us is due, Unix microseconds. */
int64_t rbt_attested_time(const rbt_attested *attested, int64_t since_us);

#endif
