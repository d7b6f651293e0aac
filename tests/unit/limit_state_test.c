/* SPDX-License-Identifier: MIT
** The algorithms of limits against independent ones in exact arithmetic: buckets against the generic
** cell rate algorithm with a theoretical arrival time in rationals, windows against the plain list of
** all hits. And what reconfiguration, refunds, penalties and damaged bytes do.
*/
#include "tap.h"

#include "base/memory.h"
#include "limit/policy.h"
#include "limit/ratelimit_fields.h"
#include "limit/state.h"

#include <stdbool.h>

enum { DECISIONS = 100000 };

#define MINUTE INT64_C(60000000)
#define HOUR (60 * MINUTE)

static uint64_t random_state = 42;

static int64_t random_below(int64_t limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (int64_t)(random_state % (uint64_t)limit);
}

static rbt_limit_rule rule_of(rbt_limit_algorithm algorithm, int64_t quota, int64_t burst,
                              int64_t period_us) {
    rbt_limit_rule rule = {
        .algorithm = algorithm, .quota = quota, .burst = burst, .period_us = period_us};
    const char *wrong = rbt_limit_rule_check(&rule);
    if (wrong) printf("# %s\n", wrong);
    return rule;
}

/* ---------------------------------------------------------------------------------- bucket */

/* The oracle's time and level in units of 1/quota microseconds: exact, without a common divisor. */
typedef struct cell_rate {
    __int128 arrival;
} cell_rate;

static rbt_limit_verdict cell_rate_decide(cell_rate *cell, const rbt_limit_rule *rule,
                                          int64_t now_us, int64_t cost) {
    __int128 now = (__int128)now_us * rule->quota;
    __int128 start = cell->arrival > now ? cell->arrival : now;
    __int128 full = (__int128)rule->burst * rule->period_us;
    __int128 next = start + (__int128)cost * rule->period_us;
    rbt_limit_verdict verdict = {.allowed = next - now <= full};
    if (verdict.allowed)
        cell->arrival = next;
    else
        verdict.retry_after_us = (int64_t)((next - now - full + rule->quota - 1) / rule->quota);
    __int128 left = cell->arrival > now ? cell->arrival - now : 0;
    verdict.remaining = left >= full ? 0 : (int64_t)((full - left) / rule->period_us);
    verdict.reset_after_us = (int64_t)((left + rule->quota - 1) / rule->quota);
    return verdict;
}

static bool same_verdict(const rbt_limit_verdict *a, const rbt_limit_verdict *b) {
    return a->allowed == b->allowed && a->remaining == b->remaining &&
           a->retry_after_us == b->retry_after_us && a->reset_after_us == b->reset_after_us;
}

static rbt_limit_verdict decide(const rbt_limit_rule *rule, rbt_limit_state *state, int64_t now_us,
                                int64_t cost) {
    rbt_limit_advance(rule, state, now_us);
    rbt_limit_verdict verdict = rbt_limit_look(rule, state, cost);
    if (!verdict.allowed || !rbt_limit_reserve(rule, state)) return verdict;
    rbt_limit_take(rule, state, cost);
    rbt_limit_verdict after = rbt_limit_look(rule, state, cost);
    after.allowed = true;
    after.retry_after_us = 0;
    return after;
}

static void check_bucket(void) {
    int wrong = 0, admitted = 0, rules = 0;
    for (int done_decisions = 0; done_decisions < DECISIONS; rules++) {
        int64_t quota = 1 + random_below(rules % 3 ? 1000 : 1000000);
        rbt_limit_rule rule = rule_of(RBT_LIMIT_BUCKET, quota, 1 + random_below(2 * quota),
                                      1 + random_below(rules % 2 ? HOUR : 1000));
        rbt_limit_state state = {0};
        cell_rate cell = {0};
        int64_t now = random_below(HOUR), step = 1 + 2 * rule.period_us / quota;
        for (int i = 0; i < 100; i++, done_decisions++) {
            now += random_below(step);
            int64_t most = rule.burst < 5 ? rule.burst : 5;
            int64_t cost = 1 + random_below(i % 10 ? most : rule.burst);
            rbt_limit_verdict want = cell_rate_decide(&cell, &rule, now, cost);
            rbt_limit_verdict got = decide(&rule, &state, now, cost);
            wrong += !same_verdict(&got, &want);
            admitted += got.allowed;
        }
        rbt_limit_state_free(&state);
    }
    printf("# %d rules, %d of %d admitted\n", rules, admitted, DECISIONS);
    is_int(wrong, 0, "100,000 bucket decisions equal the cell rate algorithm in exact rationals");
    ok(admitted > DECISIONS / 10 && admitted < DECISIONS * 9 / 10, "of both kinds there are many");

    rbt_limit_rule rule = rule_of(RBT_LIMIT_BUCKET, 7, 146000, 365 * 24 * HOUR);
    rbt_limit_state state = {0};
    cell_rate cell = {0};
    rbt_limit_verdict want = cell_rate_decide(&cell, &rule, INT64_C(1) << 60, 146000);
    rbt_limit_verdict got = decide(&rule, &state, INT64_C(1) << 60, 146000);
    ok(same_verdict(&got, &want) && got.allowed, "the largest bucket is as exact");
    rule.burst = 1000000000;
    ok(rbt_limit_rule_check(&rule) != NULL, "one beyond exact arithmetic is refused");
}

/* ---------------------------------------------------------------------------------- window */

typedef struct hit {
    int64_t at_us, units;
} hit;

/* Units of the hits in (now - period, now]. */
static int64_t units_within(const hit *hits, int count, int64_t now, int64_t period_us) {
    int64_t units = 0;
    for (int i = count - 1; i >= 0 && now - hits[i].at_us < period_us; i--)
        units += hits[i].units;
    return units;
}

static void check_window(void) {
    static hit hits[1000];
    int wrong = 0, admitted = 0;
    for (int turn = 0; turn < DECISIONS / 1000; turn++) {
        int64_t quota = 1 + random_below(RBT_LIMIT_HITS);
        rbt_limit_rule rule =
            rule_of(RBT_LIMIT_WINDOW, quota, quota, 1 + random_below(turn % 2 ? HOUR : 500));
        rbt_limit_state state = {0};
        int count = 0;
        int64_t now = random_below(HOUR), step = 2 + rule.period_us / quota;
        for (int i = 0; i < 1000; i++) {
            now += random_below(step);
            int64_t cost = 1 + random_below(i % 7 ? 1 : quota);
            int64_t used = units_within(hits, count, now, rule.period_us);
            bool want = used + cost <= quota;
            rbt_limit_verdict got = decide(&rule, &state, now, cost);
            if (want) {
                hits[count++] = (hit){now, cost};
                used += cost;
            } else {
                int64_t then = now + got.retry_after_us;
                wrong += units_within(hits, count, then, rule.period_us) + cost > quota ||
                         units_within(hits, count, then - 1, rule.period_us) + cost <= quota;
            }
            wrong += got.allowed != want || got.remaining != quota - used;
            admitted += got.allowed;
        }
        rbt_limit_state_free(&state);
    }
    printf("# %d of %d admitted\n", admitted, DECISIONS);
    is_int(wrong, 0, "100,000 window decisions equal the plain list of hits, retry_after too");
}

/* Beyond the bound of exact hits. */
static void check_wide_window(void) {
    static hit hits[DECISIONS];
    int too_many = 0, early = 0, denied = 0, count = 0;
    rbt_limit_rule rule = rule_of(RBT_LIMIT_WINDOW, 1000, 1000, HOUR);
    rbt_limit_state state = {0};
    int64_t slot = HOUR / RBT_LIMIT_SLOTS + 1, now = 0;
    for (int i = 0; i < DECISIONS; i++) {
        now += random_below(2 * HOUR / 1500);
        if (i % 5000 == 0) now += HOUR / 3;
        rbt_limit_verdict got = decide(&rule, &state, now, 1);
        if (got.allowed) {
            hits[count++] = (hit){now, 1};
            too_many += units_within(hits, count, now, HOUR) > rule.quota;
        } else {
            denied++;
            early += units_within(hits, count, now, HOUR + slot) + 1 <= rule.quota;
        }
    }
    printf("# %d admitted, %d refused, %u hits kept\n", count, denied, state.count);
    is_int(too_many, 0, "1000 an hour and never 1001 in any hour, also beyond 128 hits");
    is_int(early, 0, "what is refused would be over the quota in a window one slot longer");
    ok(denied > 1000 && count > 10000, "of both kinds there are many");
    ok(state.room <= RBT_LIMIT_HITS, "in bounded memory");
    rbt_limit_state_free(&state);
}

/* ----------------------------------------------------------------------------------- the rest */

static void check_clock(void) {
    rbt_limit_rule rule = rule_of(RBT_LIMIT_BUCKET, 10, 10, MINUTE);
    rbt_limit_state state = {0};
    decide(&rule, &state, HOUR, 10);
    ok(!decide(&rule, &state, HOUR - MINUTE, 1).allowed, "time that goes back gives nothing");
    is_int(decide(&rule, &state, HOUR - MINUTE, 1).retry_after_us, MINUTE / 10,
           "and takes nothing away");
    ok(decide(&rule, &state, INT64_MAX, 10).allowed, "the end of time is no harm");
    rule = rule_of(RBT_LIMIT_WINDOW, 1, 1, MINUTE);
    state = (rbt_limit_state){0};
    decide(&rule, &state, INT64_MAX - 10, 1);
    is_int(rbt_limit_idle_at(&rule, &state), INT64_MAX, "nor is a window there");
    rbt_limit_state_free(&state);
}

static void check_refund(void) {
    rbt_limit_rule rule = rule_of(RBT_LIMIT_BUCKET, 10, 10, MINUTE);
    rbt_limit_state state = {0};
    decide(&rule, &state, HOUR, 7);
    is_int(rbt_limit_refund(&rule, &state, 3), 3, "a bucket gives back");
    is_int(rbt_limit_look(&rule, &state, 1).remaining, 6, "so many");
    is_int(rbt_limit_refund(&rule, &state, 100), 4, "and no more than was taken");

    static hit hits[300];
    int count = 0, too_many = 0;
    rule = rule_of(RBT_LIMIT_WINDOW, 5, 5, 1000);
    state = (rbt_limit_state){0};
    int64_t now = HOUR;
    for (int i = 0; i < 3000 && count < 300; i++) {
        now += random_below(300);
        if (!decide(&rule, &state, now, 1).allowed) continue;
        hits[count++] = (hit){now, 1};
        too_many += units_within(hits, count, now, 1000) > 5;
        if (random_below(3) == 0) { /* one of those in the window, and it never was */
            int which = count - 1 - (int)random_below(units_within(hits, count, now, 1000));
            memmove(&hits[which], &hits[which + 1], (size_t)(count - which - 1) * sizeof *hits);
            count--;
            rbt_limit_refund(&rule, &state, 1);
        }
    }
    is_int(too_many, 0, "a window that refunds, whichever hit, never holds more than its quota");
    rbt_limit_state_free(&state);
}

static void check_penalty(void) {
    rbt_limit_rule rule = {RBT_LIMIT_WINDOW, 2, 2, MINUTE, MINUTE, 10 * MINUTE, 0, 0};
    rbt_limit_state state = {0};
    int64_t now = HOUR, blocked[6];
    if (rbt_limit_rule_check(&rule) != NULL) printf("# not a rule\n");
    for (int i = 0; i < 6; i++) {
        decide(&rule, &state, now, 2);
        rbt_limit_advance(&rule, &state, now);
        rbt_limit_refuse(&rule, &state);
        rbt_limit_refuse(&rule, &state); /* while blocked: nothing */
        blocked[i] = rbt_limit_look(&rule, &state, 1).retry_after_us / MINUTE;
        now = state.blocked_until_us;
    }
    ok(blocked[0] == 1 && blocked[1] == 2 && blocked[2] == 4 && blocked[3] == 8 &&
           blocked[4] == 10 && blocked[5] == 10,
       "a penalty doubles up to its maximum");
    rbt_limit_advance(&rule, &state, now + 10 * MINUTE - 1);
    is_int(state.strikes, 6, "the strikes are kept for that long");
    is_int(rbt_limit_idle_at(&rule, &state), now + 10 * MINUTE, "the key is not idle before");
    rbt_limit_advance(&rule, &state, now + 10 * MINUTE);
    ok(state.strikes == 0 && state.blocked_until_us == 0 && state.level == 0 && state.count == 0,
       "and then forgotten");
    rbt_limit_penalize(&state, MINUTE);
    rbt_limit_penalize(&state, MINUTE / 2);
    is_int(rbt_limit_look(&rule, &state, 1).retry_after_us, MINUTE,
           "a penalty from outside is not shortened");
    rbt_limit_state_free(&state);
}

static int64_t remaining_after(const rbt_limit_rule *from, const rbt_limit_rule *to, int64_t used) {
    rbt_limit_state state = {0};
    if (used > 0) decide(from, &state, HOUR, used);
    rbt_limit_advance(from, &state, HOUR);
    int64_t remaining = -1;
    if (rbt_limit_convert(from, to, &state)) remaining = rbt_limit_look(to, &state, 1).remaining;
    rbt_limit_state_free(&state);
    return remaining;
}

static void check_reconfiguration(void) {
    rbt_limit_rule small = rule_of(RBT_LIMIT_BUCKET, 10, 10, MINUTE),
                   large = rule_of(RBT_LIMIT_BUCKET, 1000, 1000, HOUR),
                   window = rule_of(RBT_LIMIT_WINDOW, 100, 100, HOUR),
                   lease = rule_of(RBT_LIMIT_LEASE, 3, 3, HOUR);
    ok(remaining_after(&small, &large, 10) == 0 && remaining_after(&large, &small, 1000) == 0 &&
           remaining_after(&small, &window, 10) == 0 && remaining_after(&window, &small, 100) == 0,
       "whoever had used all has nothing left under the new policy: no free burst");
    ok(remaining_after(&small, &large, 0) == 1000 && remaining_after(&large, &small, 0) == 10 &&
           remaining_after(&small, &window, 0) == 100 &&
           remaining_after(&window, &large, 0) == 1000,
       "whoever had used nothing has all");
    ok(remaining_after(&large, &small, 500) == 5 && remaining_after(&large, &small, 501) == 4 &&
           remaining_after(&small, &window, 3) == 70,
       "in between the share is kept, rounded against the key");
    is_int(remaining_after(&window, &lease, 1), -1, "a lease is something else");
}

static void check_bytes(void) {
    const rbt_limit_rule rules[] = {rule_of(RBT_LIMIT_BUCKET, 10, 10, MINUTE),
                                    rule_of(RBT_LIMIT_WINDOW, 100, 100, HOUR),
                                    rule_of(RBT_LIMIT_LEASE, 3, 3, HOUR)};
    int wrong = 0, accepted = 0;
    for (int i = 0; i < 3; i++) {
        rbt_limit_state state = {0}, copy = {0};
        rbt_buffer bytes = {0}, again = {0};
        for (int k = 0; k < 3; k++) {
            rbt_limit_advance(&rules[i], &state, HOUR + k);
            if (!rbt_limit_reserve(&rules[i], &state)) wrong++;
            if (rules[i].algorithm == RBT_LIMIT_LEASE)
                rbt_limit_lease_add(&state, (const uint8_t *)"0123456789abcdef", k + 1, 2 * HOUR);
            else
                rbt_limit_take(&rules[i], &state, 1);
        }
        rbt_limit_state_write(&rules[i], &state, &bytes);
        wrong += rbt_limit_state_read(&rules[i], &copy, HOUR + 2, bytes.data, bytes.length) !=
                 RBT_LIMIT_READ_OK;
        rbt_limit_state_write(&rules[i], &copy, &again);
        wrong += again.length != bytes.length || memcmp(again.data, bytes.data, bytes.length) != 0;
        rbt_limit_state_free(&copy);
        for (int turn = 0; turn < 20000; turn++) { /* damaged, cut and lengthened */
            uint8_t damaged[256] = {0};
            memcpy(damaged, bytes.data, bytes.length);
            for (int k = 0; k <= turn % 3; k++)
                damaged[random_below((int64_t)bytes.length)] = (uint8_t)random_below(256);
            size_t length = turn % 4 ? bytes.length : (size_t)random_below(200);
            const rbt_limit_rule *rule = &rules[turn % 5 == 0 ? random_below(3) : i];
            if (rbt_limit_state_read(rule, &copy, HOUR + 2, damaged, length) == RBT_LIMIT_READ_OK) {
                accepted++;
                rbt_limit_advance(rule, &copy, HOUR + 3);
                rbt_limit_verdict verdict = rbt_limit_look(rule, &copy, 1);
                wrong += verdict.remaining < 0 || verdict.retry_after_us < 0;
            }
            rbt_limit_state_free(&copy);
        }
        rbt_limit_state_free(&state);
        rbt_buffer_free(&bytes);
        rbt_buffer_free(&again);
    }
    printf("# %d of 60000 still were states\n", accepted);
    is_int(wrong, 0, "states survive their bytes, and damaged bytes do no harm");
}

static void check_fields(void) {
    rbt_buffer text = {0};
    rbt_limit_policy policy = {.name = "a \"b\" \\c",
                               .rule = rule_of(RBT_LIMIT_BUCKET, 900, 300, MINUTE)};
    rbt_limit_verdict verdict = {.remaining = 299, .reset_after_us = 1000001};
    rbt_ratelimit_policy_field(&text, &policy);
    is_text(rbt_buffer_text(&text), "\"a \\\"b\\\" \\\\c\";q=300;w=20",
            "quotes and backslashes are escaped; a bucket's window is what its burst takes");
    rbt_buffer_clear(&text);
    rbt_ratelimit_field(&text, &policy, &verdict);
    is_text(rbt_buffer_text(&text), "\"a \\\"b\\\" \\\\c\";r=299;t=2", "seconds are rounded up");
    rbt_buffer_clear(&text);
    policy.rule = rule_of(RBT_LIMIT_LEASE, 10, 10, MINUTE);
    rbt_ratelimit_policy_field(&text, &policy);
    is_text(rbt_buffer_text(&text), "\"a \\\"b\\\" \\\\c\";q=10;qu=\"concurrent-requests\"",
            "leases are counted in concurrent requests");
    rbt_buffer_free(&text);
}

int main(void) {
    plan(30);
    check_bucket();
    check_window();
    check_wide_window();
    check_clock();
    check_refund();
    check_penalty();
    check_reconfiguration();
    check_bytes();
    check_fields();
    return done();
}
