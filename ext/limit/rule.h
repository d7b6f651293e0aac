/* SPDX-License-Identifier: MIT
** What a limit says: its numbers and their bounds. Pure: integers in, integers out.
**
** The bounds keep every product of the algorithms inside 64 bits, but for those few that are written
** with 128. Times are microseconds, quota, burst and cost are units (requests, or a broker's weights).
*/
#ifndef RBT_LIMIT_RULE_H
#define RBT_LIMIT_RULE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum rbt_limit_algorithm {
    RBT_LIMIT_BUCKET = 1, /* quota units a period flow back, at most burst at once */
    RBT_LIMIT_WINDOW = 2, /* never more than quota units in any period */
    RBT_LIMIT_LEASE = 3   /* at most quota holders at a time; period is a lease's time to live */
} rbt_limit_algorithm;

#define RBT_LIMIT_MAX_UNITS INT64_C(1000000000)
#define RBT_LIMIT_MAX_PERIOD_US (INT64_C(366) * 86400 * 1000000)
enum { RBT_LIMIT_MAX_LEASES = 10000 };
/* Largest burst × period of a bucket, both divided by what quota and period have in common. */
#define RBT_LIMIT_MAX_LEVEL (INT64_C(1) << 61)

typedef struct rbt_limit_rule {
    rbt_limit_algorithm algorithm;
    int64_t quota;          /* 1 to RBT_LIMIT_MAX_UNITS, of leases 1 to RBT_LIMIT_MAX_LEASES */
    int64_t burst;          /* of buckets 1 to RBT_LIMIT_MAX_UNITS; else equal to quota */
    int64_t period_us;      /* 1 to RBT_LIMIT_MAX_PERIOD_US */
    int64_t penalty_us;     /* what the first refusal blocks a key for; 0: nothing */
    int64_t penalty_max_us; /* what the doubling ends at; at least penalty_us */
    /* Derived: quota and period_us divided by their greatest common divisor. */
    int64_t rate_units, rate_us;
} rbt_limit_rule;

/* Checks the numbers and fills in the derived ones. NULL, or what is wrong, in words. */
const char *rbt_limit_rule_check(rbt_limit_rule *rule);

/* The most that one decision may cost: a bucket's burst, else the quota. */
static inline int64_t rbt_limit_capacity(const rbt_limit_rule *rule) {
    return rule->algorithm == RBT_LIMIT_BUCKET ? rule->burst : rule->quota;
}

/* "bucket", "window", "lease". */
const char *rbt_limit_algorithm_name(rbt_limit_algorithm algorithm);

/* Whether two rules say the same. */
bool rbt_limit_rule_equal(const rbt_limit_rule *a, const rbt_limit_rule *b);

#endif
