/* SPDX-License-Identifier: MIT
** A state as bytes and back. See state.h for the format. Calls memory, buffer and bytes. What is read
** may be damaged: every number is checked against what the algorithms can have made of it.
*/
#include "state.h"

#include "../base/bytes.h"
#include "../base/memory.h"

enum { HEADER_SIZE = 28, HIT_SIZE = 16, LEASE_SIZE = 32, STATE_VERSION = 1 };

static void add_u32(rbt_buffer *out, uint32_t value) {
    uint8_t bytes[4];
    rbt_store_u32le(bytes, value);
    rbt_buffer_add(out, bytes, sizeof bytes);
}

static void add_i64(rbt_buffer *out, int64_t value) {
    uint8_t bytes[8];
    rbt_store_u64le(bytes, (uint64_t)value);
    rbt_buffer_add(out, bytes, sizeof bytes);
}

static int64_t load_i64(const uint8_t *bytes) {
    return (int64_t)rbt_load_u64le(bytes);
}

void rbt_limit_state_write(const rbt_limit_rule *rule, const rbt_limit_state *state,
                           rbt_buffer *out) {
    const uint8_t start[4] = {STATE_VERSION, (uint8_t)rule->algorithm};
    rbt_buffer_add(out, start, sizeof start);
    add_u32(out, state->strikes);
    add_i64(out, state->blocked_until_us);
    add_i64(out, state->level);
    add_u32(out, state->count);
    for (uint32_t i = 0; i < state->count; i++) {
        if (rule->algorithm == RBT_LIMIT_LEASE) {
            rbt_buffer_add(out, state->leases[i].id, RBT_LEASE_ID_SIZE);
            add_i64(out, state->leases[i].fencing);
            add_i64(out, state->leases[i].expires_us);
        } else {
            add_i64(out, state->hits[i].at_us);
            add_i64(out, state->hits[i].units);
        }
    }
}

/* Hits in order of time, none in the future, and their sum the level. */
static bool read_hits(rbt_limit_state *state, const uint8_t *bytes) {
    int64_t sum = 0, last = INT64_MIN;
    for (uint32_t i = 0; i < state->count; i++, bytes += HIT_SIZE) {
        rbt_limit_hit hit = {load_i64(bytes), load_i64(bytes + 8)};
        if (hit.at_us < 0 || hit.at_us <= last || hit.at_us > state->at_us || hit.units < 1 ||
            hit.units > RBT_LIMIT_MAX_UNITS)
            return false;
        last = hit.at_us;
        sum += hit.units;
        state->hits[i] = hit;
    }
    return sum == state->level && sum <= RBT_LIMIT_MAX_UNITS;
}

static bool read_leases(rbt_limit_state *state, const uint8_t *bytes) {
    for (uint32_t i = 0; i < state->count; i++, bytes += LEASE_SIZE) {
        rbt_limit_lease *lease = &state->leases[i];
        memcpy(lease->id, bytes, RBT_LEASE_ID_SIZE);
        lease->fencing = load_i64(bytes + RBT_LEASE_ID_SIZE);
        lease->expires_us = load_i64(bytes + RBT_LEASE_ID_SIZE + 8);
        if (lease->fencing < 1 || lease->expires_us < 0) return false;
    }
    return state->level == 0;
}

static bool read_header(const rbt_limit_rule *rule, rbt_limit_state *state, const uint8_t *bytes,
                        size_t length) {
    if (length < HEADER_SIZE || bytes[0] != STATE_VERSION || bytes[1] != rule->algorithm ||
        bytes[2] != 0 || bytes[3] != 0)
        return false;
    state->strikes = rbt_load_u32le(bytes + 4);
    state->blocked_until_us = load_i64(bytes + 8);
    state->level = load_i64(bytes + 16);
    state->count = rbt_load_u32le(bytes + 24);
    bool leases = rule->algorithm == RBT_LIMIT_LEASE;
    uint32_t most = rule->algorithm == RBT_LIMIT_BUCKET   ? 0
                    : rule->algorithm == RBT_LIMIT_WINDOW ? RBT_LIMIT_HITS
                                                          : RBT_LIMIT_MAX_LEASES;
    if (state->count > most || state->at_us < 0 || state->blocked_until_us < 0 ||
        state->level < 0 || state->level > RBT_LIMIT_MAX_LEVEL)
        return false;
    if (rule->algorithm == RBT_LIMIT_BUCKET && state->level > rule->burst * rule->rate_us)
        return false;
    return length - HEADER_SIZE == (size_t)state->count * (leases ? LEASE_SIZE : HIT_SIZE);
}

rbt_limit_read rbt_limit_state_read(const rbt_limit_rule *rule, rbt_limit_state *state,
                                    int64_t at_us, const uint8_t *bytes, size_t length) {
    state->at_us = at_us;
    bool good = read_header(rule, state, bytes, length);
    if (good && state->count > 0) {
        bool leases = rule->algorithm == RBT_LIMIT_LEASE;
        state->items =
            rbt_malloc(state->count * (leases ? sizeof(rbt_limit_lease) : sizeof(rbt_limit_hit)));
        if (state->items == NULL) {
            *state = (rbt_limit_state){0};
            return RBT_LIMIT_READ_NOMEM;
        }
        state->room = state->count;
        good = leases ? read_leases(state, bytes + HEADER_SIZE)
                      : read_hits(state, bytes + HEADER_SIZE);
    }
    if (good) return RBT_LIMIT_READ_OK;
    rbt_limit_state_free(state);
    return RBT_LIMIT_READ_DAMAGED;
}
