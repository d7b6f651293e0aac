/* SPDX-License-Identifier: MIT
** What a limit remembers of one key, and the decisions. Pure: the caller gives the time, holds the
** lock and stores the bytes. All integers, no rounding that could admit too much.
**
**   bucket   level is what was taken and has not flowed back, in units × rate_us; it falls by rate_units
**            a microsecond. A cost c is admitted iff level + c·rate_us ≤ burst·rate_us. This is the
**            generic cell rate algorithm (ITU-T I.371) as a level.
**   window   hits holds time and units of what was admitted in the last period, level their sum. A hit
**            at s counts at t iff t - s < period. Beyond RBT_LIMIT_HITS different times those within
**            one 64th of the period become one with the time of the latest: it then counts for up to
**            that much longer, never shorter.
**   lease    leases holds who has one and until when.
**
** Time never runs backwards for a key: what is older than `at` counts as `at`.
*/
#ifndef RBT_LIMIT_STATE_H
#define RBT_LIMIT_STATE_H

#include "../base/buffer.h"
#include "rule.h"

enum { RBT_LIMIT_HITS = 128, RBT_LIMIT_SLOTS = 64, RBT_LEASE_ID_SIZE = 16 };

typedef struct rbt_limit_hit {
    int64_t at_us, units;
} rbt_limit_hit;

typedef struct rbt_limit_lease {
    uint8_t id[RBT_LEASE_ID_SIZE];
    int64_t fencing;
    int64_t expires_us; /* held while now < expires_us */
} rbt_limit_lease;

/* Starts as {0}: nothing taken. */
typedef struct rbt_limit_state {
    int64_t at_us;            /* time of the last change */
    int64_t blocked_until_us; /* everything is refused before */
    int64_t level;            /* bucket: see above; window: units in hits */
    uint32_t strikes;         /* refusals in a row that blocked, for the growing penalty */
    uint32_t count, room;     /* of hits or leases */
    union {
        void *items; /* from memory.h */
        rbt_limit_hit *hits;
        rbt_limit_lease *leases;
    };
} rbt_limit_state;

typedef struct rbt_limit_verdict {
    bool allowed;
    int64_t remaining;      /* units that could be taken now; 0 while blocked */
    int64_t retry_after_us; /* until the same cost would be admitted if nobody takes; 0: now */
    int64_t reset_after_us; /* until everything has flowed back */
} rbt_limit_verdict;

void rbt_limit_state_free(rbt_limit_state *state); /* leaves {0} */

/* Lets time pass up to now_us: levels fall, old hits and expired leases go. Everything below wants a
** state that was advanced to the present. */
void rbt_limit_advance(const rbt_limit_rule *rule, rbt_limit_state *state, int64_t now_us);

/* What a decision of this cost (1 to the capacity) would be. Changes nothing. For leases the cost is 1. */
rbt_limit_verdict rbt_limit_look(const rbt_limit_rule *rule, const rbt_limit_state *state,
                                 int64_t cost);

/* Makes sure that the next take or acquire needs no memory; false when there is none. */
bool rbt_limit_reserve(const rbt_limit_rule *rule, rbt_limit_state *state);

/* Takes what rbt_limit_look allowed; after rbt_limit_reserve. */
void rbt_limit_take(const rbt_limit_rule *rule, rbt_limit_state *state, int64_t cost);

/* Notes that look refused: with a penalty, blocks the key, each time twice as long as before, until
** penalty_max; a penalty_max without a refusal starts anew. A refusal while blocked adds nothing. True
** when the state changed. */
bool rbt_limit_refuse(const rbt_limit_rule *rule, rbt_limit_state *state);

/* Gives units back, those of the oldest hits first: so a window never holds more than its quota,
** whichever hit was meant. Returns how many there were to give, at most units. */
int64_t rbt_limit_refund(const rbt_limit_rule *rule, rbt_limit_state *state, int64_t units);

/* Refuses everything for at least this long from now on; never shortens. */
void rbt_limit_penalize(rbt_limit_state *state, int64_t duration_us);

/* Adds a lease that look allowed; after rbt_limit_reserve. */
void rbt_limit_lease_add(rbt_limit_state *state, const uint8_t id[RBT_LEASE_ID_SIZE],
                         int64_t fencing, int64_t expires_us);
/* The lease with this id that is still held, or NULL. */
rbt_limit_lease *rbt_limit_lease_find(rbt_limit_state *state, const uint8_t id[RBT_LEASE_ID_SIZE]);
void rbt_limit_lease_remove(rbt_limit_state *state, rbt_limit_lease *lease);

/* When the state will equal {0} if nothing happens: a key that is forgotten then loses nothing. */
int64_t rbt_limit_idle_at(const rbt_limit_rule *rule, const rbt_limit_state *state);

/* Carries a state over to a changed rule. What share of the capacity was used stays used, rounded up: a
** full one stays full (no free burst), an empty one empty (no refusal for who did nothing). A window
** keeps its hits as they are. False: a lease cannot become anything else, or memory ran out. */
bool rbt_limit_convert(const rbt_limit_rule *from, const rbt_limit_rule *to,
                       rbt_limit_state *state);

/* Appends the state's bytes, without at_us:
**   0  version 1, algorithm, 2 zero bytes     16 level        28 hits: i64 time, i64 units, each;
**   4  strikes u32                            24 count u32       leases: 16-byte id, i64 fencing,
**   8  blocked_until_us                                          i64 expiry, each
** all little-endian. */
void rbt_limit_state_write(const rbt_limit_rule *rule, const rbt_limit_state *state,
                           rbt_buffer *out);

typedef enum rbt_limit_read {
    RBT_LIMIT_READ_OK,
    RBT_LIMIT_READ_DAMAGED,
    RBT_LIMIT_READ_NOMEM
} rbt_limit_read;

/* Reads them back into a state that is {0}; refuses what write cannot have written under this rule. */
rbt_limit_read rbt_limit_state_read(const rbt_limit_rule *rule, rbt_limit_state *state,
                                    int64_t at_us, const uint8_t *bytes, size_t length);

#endif
