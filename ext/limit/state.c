/* SPDX-License-Identifier: MIT
** The algorithms. See state.h. Calls memory and buffer.
*/
#include "state.h"

#include "../base/memory.h"

static int64_t ceil_divide(int64_t a, int64_t b) {
    return a / b + (a % b != 0);
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t add_saturating(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* a · b / c rounded up; a ≤ 2^61, b ≤ 2^61, and a ≤ c makes the result at most b. */
static int64_t scale(int64_t a, int64_t b, int64_t c) {
    unsigned __int128 product = (unsigned __int128)a * (unsigned __int128)b;
    unsigned __int128 quotient = (product + (unsigned __int128)c - 1) / (unsigned __int128)c;
    return quotient > (unsigned __int128)b ? b : (int64_t)quotient;
}

static int64_t full_level(const rbt_limit_rule *rule) {
    return rule->burst * rule->rate_us; /* at most RBT_LIMIT_MAX_LEVEL */
}

static size_t item_size(const rbt_limit_rule *rule) {
    return rule->algorithm == RBT_LIMIT_LEASE ? sizeof(rbt_limit_lease) : sizeof(rbt_limit_hit);
}

void rbt_limit_state_free(rbt_limit_state *state) {
    rbt_free(state->items);
    *state = (rbt_limit_state){0};
}

/* ---------------------------------------------------------------------------------------- time */

static void drop_first_hits(rbt_limit_state *state, uint32_t count) {
    if (count == 0) return;
    state->count -= count;
    memmove(state->hits, state->hits + count, state->count * sizeof *state->hits);
}

static void advance_bucket(const rbt_limit_rule *rule, rbt_limit_state *state, int64_t now_us) {
    int64_t elapsed = now_us - state->at_us;
    int64_t until_empty = ceil_divide(state->level, rule->rate_units);
    state->level = elapsed >= until_empty ? 0 : state->level - elapsed * rule->rate_units;
}

static void advance_window(const rbt_limit_rule *rule, rbt_limit_state *state, int64_t now_us) {
    uint32_t gone = 0;
    while (gone < state->count && now_us - state->hits[gone].at_us >= rule->period_us)
        state->level -= state->hits[gone++].units;
    drop_first_hits(state, gone);
}

static void advance_leases(rbt_limit_state *state, int64_t now_us) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < state->count; i++)
        if (state->leases[i].expires_us > now_us) state->leases[kept++] = state->leases[i];
    state->count = kept;
}

void rbt_limit_advance(const rbt_limit_rule *rule, rbt_limit_state *state, int64_t now_us) {
    if (now_us <= state->at_us) return;
    if (rule->algorithm == RBT_LIMIT_BUCKET)
        advance_bucket(rule, state, now_us);
    else if (rule->algorithm == RBT_LIMIT_WINDOW)
        advance_window(rule, state, now_us);
    else
        advance_leases(state, now_us);
    state->at_us = now_us;
    if (state->blocked_until_us <= now_us) {
        if (now_us - state->blocked_until_us >= rule->penalty_max_us) state->strikes = 0;
        if (state->strikes == 0) state->blocked_until_us = 0;
    }
}

/* ----------------------------------------------------------------------------------- decisions */

static rbt_limit_verdict look_at_bucket(const rbt_limit_rule *rule, const rbt_limit_state *state,
                                        int64_t cost) {
    int64_t full = full_level(rule), wanted = state->level + cost * rule->rate_us;
    return (rbt_limit_verdict){
        .allowed = wanted <= full,
        .remaining = state->level >= full ? 0 : (full - state->level) / rule->rate_us,
        .retry_after_us = wanted <= full ? 0 : ceil_divide(wanted - full, rule->rate_units),
        .reset_after_us = ceil_divide(state->level, rule->rate_units),
    };
}

static rbt_limit_verdict look_at_window(const rbt_limit_rule *rule, const rbt_limit_state *state,
                                        int64_t cost) {
    int64_t excess = state->level + cost - rule->quota;
    rbt_limit_verdict verdict = {
        .allowed = excess <= 0,
        .remaining = larger(rule->quota - state->level, 0),
    };
    for (uint32_t i = 0; excess > 0 && i < state->count; i++) {
        excess -= state->hits[i].units;
        if (excess <= 0)
            verdict.retry_after_us = rule->period_us - (state->at_us - state->hits[i].at_us);
    }
    if (state->count > 0)
        verdict.reset_after_us =
            rule->period_us - (state->at_us - state->hits[state->count - 1].at_us);
    return verdict;
}

static rbt_limit_verdict look_at_leases(const rbt_limit_rule *rule, const rbt_limit_state *state) {
    rbt_limit_verdict verdict = {
        .allowed = state->count < rule->quota,
        .remaining = larger(rule->quota - state->count, 0),
    };
    int64_t first = INT64_MAX;
    for (uint32_t i = 0; i < state->count; i++) {
        int64_t left = state->leases[i].expires_us - state->at_us;
        if (left < first) first = left;
        verdict.reset_after_us = larger(verdict.reset_after_us, left);
    }
    if (!verdict.allowed) verdict.retry_after_us = first;
    return verdict;
}

rbt_limit_verdict rbt_limit_look(const rbt_limit_rule *rule, const rbt_limit_state *state,
                                 int64_t cost) {
    rbt_limit_verdict verdict =
        rule->algorithm == RBT_LIMIT_BUCKET   ? look_at_bucket(rule, state, cost)
        : rule->algorithm == RBT_LIMIT_WINDOW ? look_at_window(rule, state, cost)
                                              : look_at_leases(rule, state);
    int64_t blocked = state->blocked_until_us - state->at_us;
    if (blocked > 0) {
        verdict.allowed = false;
        verdict.remaining = 0;
        verdict.retry_after_us = larger(verdict.retry_after_us, blocked);
        verdict.reset_after_us = larger(verdict.reset_after_us, blocked);
    }
    return verdict;
}

bool rbt_limit_reserve(const rbt_limit_rule *rule, rbt_limit_state *state) {
    uint32_t most = rule->algorithm == RBT_LIMIT_BUCKET   ? 0
                    : rule->algorithm == RBT_LIMIT_WINDOW ? RBT_LIMIT_HITS
                                                          : RBT_LIMIT_MAX_LEASES;
    if (state->count < state->room || state->room >= most) return true;
    uint32_t room = state->room ? 2 * state->room : 4;
    if (room > most) room = most;
    void *items = rbt_realloc(state->items, room * item_size(rule));
    if (items == NULL) return false;
    state->items = items;
    state->room = room;
    return true;
}

/* Hits of one 64th of the period become one: at most 66 are left, since a period overlaps no more of them. */
static void merge_hits(const rbt_limit_rule *rule, rbt_limit_state *state) {
    int64_t width = ceil_divide(rule->period_us, RBT_LIMIT_SLOTS);
    uint32_t last = 0;
    for (uint32_t i = 1; i < state->count; i++) {
        rbt_limit_hit hit = state->hits[i];
        if (hit.at_us / width == state->hits[last].at_us / width)
            hit.units += state->hits[last].units;
        else
            last++;
        state->hits[last] = hit;
    }
    state->count = last + 1;
}

static void add_hit(const rbt_limit_rule *rule, rbt_limit_state *state, int64_t units) {
    rbt_limit_hit *last = state->count > 0 ? &state->hits[state->count - 1] : NULL;
    state->level += units;
    if (last != NULL && last->at_us == state->at_us) {
        last->units += units;
        return;
    }
    if (state->count == RBT_LIMIT_HITS) merge_hits(rule, state);
    state->hits[state->count++] = (rbt_limit_hit){state->at_us, units};
}

void rbt_limit_take(const rbt_limit_rule *rule, rbt_limit_state *state, int64_t cost) {
    if (rule->algorithm == RBT_LIMIT_BUCKET)
        state->level += cost * rule->rate_us;
    else
        add_hit(rule, state, cost);
}

bool rbt_limit_refuse(const rbt_limit_rule *rule, rbt_limit_state *state) {
    if (rule->penalty_us == 0 || state->blocked_until_us > state->at_us) return false;
    int64_t duration = rule->penalty_us;
    for (uint32_t i = 0; i < state->strikes && duration < rule->penalty_max_us; i++)
        duration *= 2; /* below 2 · RBT_LIMIT_MAX_PERIOD_US */
    if (duration > rule->penalty_max_us) duration = rule->penalty_max_us;
    if (state->strikes < UINT32_MAX) state->strikes++;
    state->blocked_until_us = add_saturating(state->at_us, duration);
    return true;
}

int64_t rbt_limit_refund(const rbt_limit_rule *rule, rbt_limit_state *state, int64_t units) {
    int64_t given = 0;
    if (rule->algorithm == RBT_LIMIT_BUCKET) {
        /* part of a unit has flowed back already: what is left of it counts as one */
        given = ceil_divide(state->level, rule->rate_us);
        if (given > units) given = units;
        state->level = larger(state->level - given * rule->rate_us, 0);
        return given;
    }
    uint32_t gone = 0;
    for (; gone < state->count && given < units; gone++) {
        rbt_limit_hit *hit = &state->hits[gone];
        int64_t part = hit->units < units - given ? hit->units : units - given;
        given += part;
        hit->units -= part;
        if (hit->units > 0) break;
    }
    drop_first_hits(state, gone);
    state->level -= given;
    return given;
}

void rbt_limit_penalize(rbt_limit_state *state, int64_t duration_us) {
    state->blocked_until_us =
        larger(state->blocked_until_us, add_saturating(state->at_us, duration_us));
}

/* -------------------------------------------------------------------------------------- leases */

void rbt_limit_lease_add(rbt_limit_state *state, const uint8_t id[RBT_LEASE_ID_SIZE],
                         int64_t fencing, int64_t expires_us) {
    rbt_limit_lease *lease = &state->leases[state->count++];
    memcpy(lease->id, id, RBT_LEASE_ID_SIZE);
    lease->fencing = fencing;
    lease->expires_us = expires_us;
}

rbt_limit_lease *rbt_limit_lease_find(rbt_limit_state *state, const uint8_t id[RBT_LEASE_ID_SIZE]) {
    for (uint32_t i = 0; i < state->count; i++)
        if (memcmp(state->leases[i].id, id, RBT_LEASE_ID_SIZE) == 0) return &state->leases[i];
    return NULL;
}

void rbt_limit_lease_remove(rbt_limit_state *state, rbt_limit_lease *lease) {
    *lease = state->leases[--state->count];
}

/* ------------------------------------------------------------------------------------- changes */

int64_t rbt_limit_idle_at(const rbt_limit_rule *rule, const rbt_limit_state *state) {
    int64_t idle = state->blocked_until_us;
    if (state->strikes > 0) idle = add_saturating(idle, rule->penalty_max_us);
    if (rule->algorithm == RBT_LIMIT_LEASE) {
        for (uint32_t i = 0; i < state->count; i++)
            idle = larger(idle, state->leases[i].expires_us);
    } else if (rule->algorithm == RBT_LIMIT_WINDOW) {
        if (state->count > 0)
            idle =
                larger(idle, add_saturating(state->hits[state->count - 1].at_us, rule->period_us));
    } else if (state->level > 0) {
        idle =
            larger(idle, add_saturating(state->at_us, ceil_divide(state->level, rule->rate_units)));
    }
    return idle;
}

bool rbt_limit_convert(const rbt_limit_rule *from, const rbt_limit_rule *to,
                       rbt_limit_state *state) {
    if ((from->algorithm == RBT_LIMIT_LEASE) != (to->algorithm == RBT_LIMIT_LEASE)) return false;
    if (to->algorithm == RBT_LIMIT_LEASE) return true;
    if (from->algorithm == RBT_LIMIT_WINDOW && to->algorithm == RBT_LIMIT_WINDOW) return true;
    bool was_bucket = from->algorithm == RBT_LIMIT_BUCKET;
    int64_t full = was_bucket ? full_level(from) : from->quota;
    int64_t used = state->level < full ? state->level : full;
    if (to->algorithm == RBT_LIMIT_BUCKET) {
        state->level = scale(used, full_level(to), full);
        rbt_free(state->items);
        state->items = NULL;
        state->count = state->room = 0;
        return true;
    }
    if (!rbt_limit_reserve(to, state)) return false;
    state->level = 0;
    if (used > 0) add_hit(to, state, scale(used, to->quota, full));
    return true;
}
