/* SPDX-License-Identifier: MIT
** See rule.h. Calls nobody.
*/
#include "rule.h"

static int64_t greatest_common_divisor(int64_t a, int64_t b) {
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static bool within(int64_t value, int64_t lowest, int64_t highest) {
    return value >= lowest && value <= highest;
}

const char *rbt_limit_rule_check(rbt_limit_rule *rule) {
    if (!within(rule->quota, 1, RBT_LIMIT_MAX_UNITS)) return "quota must be from 1 to 1000000000";
    if (rule->algorithm == RBT_LIMIT_LEASE && rule->quota > RBT_LIMIT_MAX_LEASES)
        return "quota of leases must be from 1 to 10000";
    if (!within(rule->period_us, 1, RBT_LIMIT_MAX_PERIOD_US))
        return "period must be from 1 us to 366 days";
    if (!within(rule->burst, 1, RBT_LIMIT_MAX_UNITS)) return "burst must be from 1 to 1000000000";
    if (rule->algorithm != RBT_LIMIT_BUCKET && rule->burst != rule->quota)
        return "burst is for buckets";
    if (!within(rule->penalty_us, 0, RBT_LIMIT_MAX_PERIOD_US) ||
        !within(rule->penalty_max_us, 0, RBT_LIMIT_MAX_PERIOD_US))
        return "penalty and penalty_max must be at most 366 days";
    if (rule->penalty_max_us < rule->penalty_us) return "penalty_max must not be below penalty";
    if (rule->algorithm == RBT_LIMIT_LEASE && rule->penalty_us > 0)
        return "penalty is for buckets and windows";
    int64_t common = greatest_common_divisor(rule->quota, rule->period_us), level;
    rule->rate_units = rule->quota / common;
    rule->rate_us = rule->period_us / common;
    if (__builtin_mul_overflow(rule->burst, rule->rate_us, &level) || level > RBT_LIMIT_MAX_LEVEL)
        return "burst times period is beyond exact arithmetic; give a rounder quota or a smaller "
               "burst";
    return 0;
}

const char *rbt_limit_algorithm_name(rbt_limit_algorithm algorithm) {
    switch (algorithm) {
    case RBT_LIMIT_BUCKET:
        return "bucket";
    case RBT_LIMIT_WINDOW:
        return "window";
    case RBT_LIMIT_LEASE:
        return "lease";
    }
    return "unknown";
}

bool rbt_limit_rule_equal(const rbt_limit_rule *a, const rbt_limit_rule *b) {
    return a->algorithm == b->algorithm && a->quota == b->quota && a->burst == b->burst &&
           a->period_us == b->period_us && a->penalty_us == b->penalty_us &&
           a->penalty_max_us == b->penalty_max_us;
}
