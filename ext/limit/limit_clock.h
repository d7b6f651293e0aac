/* SPDX-License-Identifier: MIT
** The clock of limits: time since the machine started, which no one can set, and a name for that
** start. Time asleep counts. Tests set rbt_limit_clock_override. */
#ifndef RBT_LIMIT_CLOCK_H
#define RBT_LIMIT_CLOCK_H

#include <stdint.h>

/* Microseconds since the machine started, at least 1. */
int64_t rbt_limit_uptime_us(void);

/* A number for the machine's present run, equal in all its processes; 0 where the system has none. */
int64_t rbt_limit_boot(void);

typedef struct rbt_limit_clock {
    int64_t uptime_us, boot; /* used while uptime_us is not 0 */
} rbt_limit_clock;

extern rbt_limit_clock rbt_limit_clock_override;

#endif
