/* SPDX-License-Identifier: MIT
** See memory_store.h. Calls memory, error, libsodium's SipHash and random bytes.
*/
#include "memory_store.h"

#include "../base/memory.h"
#include <sodium.h>

enum { SHARD_BITS = 6, SHARDS = 1 << SHARD_BITS, SMALLEST_SHARD = 16, SWEEP = 2 };

typedef struct slot {
    uint64_t hash; /* so that a search touches only entries that it wants */
    rbt_memory_entry *entry;
} slot;

typedef struct shard {
    slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    size_t hand; /* where the sweep goes on */
} shard;

struct rbt_memory_store {
    unsigned char hash_key[crypto_shorthash_KEYBYTES];
    size_t bytes, most_bytes;
    int64_t full_until_us; /* the earliest time at which a full store can have an idle key */
    shard shards[SHARDS];
};

rbt_memory_store *rbt_memory_store_new(size_t most_bytes) {
    rbt_memory_store *store = rbt_calloc(sizeof *store);
    if (store == NULL) return NULL;
    randombytes_buf(store->hash_key, sizeof store->hash_key);
    store->most_bytes = most_bytes;
    store->bytes = sizeof *store;
    return store;
}

static void free_entry(rbt_memory_entry *entry) {
    rbt_limit_state_free(&entry->state);
    rbt_free(entry);
}

void rbt_memory_store_free(rbt_memory_store *store) {
    if (store == NULL) return;
    for (size_t i = 0; i < SHARDS; i++) {
        for (size_t k = 0; k < store->shards[i].capacity; k++)
            if (store->shards[i].slots[k].entry) free_entry(store->shards[i].slots[k].entry);
        rbt_free(store->shards[i].slots);
    }
    rbt_free(store);
}

static uint64_t hash_of(const rbt_memory_store *store, const rbt_limit_rule *rule, const char *key,
                        size_t length) {
    uint64_t hash;
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)key, length, store->hash_key);
    /* one key under several policies must not collide every time */
    return hash ^ ((uint64_t)(uintptr_t)rule >> 4) * UINT64_C(0x9e3779b97f4a7c15);
}

static shard *shard_of(rbt_memory_store *store, uint64_t hash) {
    return &store->shards[hash >> (64 - SHARD_BITS)];
}

/* The position of the key, or of the empty slot where it would stand. capacity is not 0. */
static size_t search(const shard *in, uint64_t hash, const rbt_limit_rule *rule, const char *key,
                     size_t length) {
    size_t mask = in->capacity - 1, at = hash & mask;
    for (; in->slots[at].entry != NULL; at = (at + 1) & mask) {
        const rbt_memory_entry *entry = in->slots[at].entry;
        if (in->slots[at].hash == hash && entry->rule == rule && entry->key_length == length &&
            memcmp(entry->key, key, length) == 0)
            break;
    }
    return at;
}

rbt_memory_entry *rbt_memory_store_find(rbt_memory_store *store, const rbt_limit_rule *rule,
                                        const char *key, size_t length) {
    uint64_t hash = hash_of(store, rule, key, length);
    const shard *in = shard_of(store, hash);
    if (in->capacity == 0) return NULL;
    return in->slots[search(in, hash, rule, key, length)].entry;
}

/* Empties a slot; those behind it that were pushed on move up (Knuth, 6.4, algorithm R). */
static void empty_slot(shard *in, size_t at) {
    size_t mask = in->capacity - 1;
    for (size_t next = (at + 1) & mask; in->slots[next].entry != NULL; next = (next + 1) & mask) {
        size_t home = in->slots[next].hash & mask;
        if (((next - home) & mask) < ((next - at) & mask)) continue;
        in->slots[at] = in->slots[next];
        at = next;
    }
    in->slots[at] = (slot){0};
    in->count--;
}

static size_t size_of(const rbt_memory_entry *entry) {
    return sizeof *entry + entry->key_length + entry->charged;
}

static void remove_at(rbt_memory_store *store, shard *in, size_t at) {
    rbt_memory_entry *entry = in->slots[at].entry;
    store->bytes -= size_of(entry);
    empty_slot(in, at);
    free_entry(entry);
}

void rbt_memory_store_remove(rbt_memory_store *store, rbt_memory_entry *entry) {
    shard *in = shard_of(store, entry->hash);
    remove_at(store, in, search(in, entry->hash, entry->rule, entry->key, entry->key_length));
}

/* -------------------------------------------------------------------------------------- forgetting */

static bool is_idle(const rbt_memory_entry *entry, int64_t now_us) {
    return !entry->pinned && rbt_limit_idle_at(entry->rule, &entry->state) <= now_us;
}

/* Looks at a few slots; what moved into an emptied one is looked at in its turn. */
static void sweep_some(rbt_memory_store *store, shard *in, int64_t now_us) {
    for (int i = 0; i < SWEEP && in->capacity > 0; i++) {
        size_t at = in->hand & (in->capacity - 1);
        const rbt_memory_entry *entry = in->slots[at].entry;
        if (entry != NULL && is_idle(entry, now_us))
            remove_at(store, in, at);
        else
            in->hand = at + 1;
    }
}

static void sweep_all(rbt_memory_store *store, int64_t now_us) {
    if (now_us < store->full_until_us) return;
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < SHARDS; i++) {
        shard *in = &store->shards[i];
        for (size_t at = 0; at < in->capacity;) {
            rbt_memory_entry *entry = in->slots[at].entry;
            if (entry != NULL && is_idle(entry, now_us)) {
                remove_at(store, in, at);
                continue; /* another may have moved here */
            }
            int64_t idle_at = entry ? rbt_limit_idle_at(entry->rule, &entry->state) : INT64_MAX;
            if (idle_at < next) next = idle_at;
            at++;
        }
    }
    store->full_until_us = next;
}

static bool has_room(rbt_memory_store *store, size_t size, int64_t now_us) {
    if (store->bytes + size <= store->most_bytes) return true;
    sweep_all(store, now_us);
    return store->bytes + size <= store->most_bytes;
}

/* ------------------------------------------------------------------------------------------- adding */

static bool grow(rbt_memory_store *store, shard *in, int64_t now_us) {
    size_t capacity = in->capacity ? 2 * in->capacity : SMALLEST_SHARD;
    size_t extra = (capacity - in->capacity) * sizeof(slot);
    if (!has_room(store, extra, now_us)) return false;
    slot *slots = rbt_calloc(capacity * sizeof *slots);
    if (slots == NULL) return false;
    for (size_t i = 0; i < in->capacity; i++) {
        if (in->slots[i].entry == NULL) continue;
        size_t at = in->slots[i].hash & (capacity - 1);
        while (slots[at].entry != NULL)
            at = (at + 1) & (capacity - 1);
        slots[at] = in->slots[i];
    }
    rbt_free(in->slots);
    in->slots = slots;
    in->capacity = capacity;
    store->bytes += extra;
    return true;
}

static rbt_memory_entry *new_entry(rbt_memory_store *store, const rbt_limit_rule *rule,
                                   const char *key, size_t length, int64_t now_us) {
    if (!has_room(store, sizeof(rbt_memory_entry) + length, now_us)) return NULL;
    rbt_memory_entry *entry = rbt_malloc(sizeof *entry + length);
    if (entry == NULL) return NULL;
    memset(entry, 0, sizeof *entry);
    entry->rule = rule;
    entry->key_length = (uint32_t)length;
    memcpy(entry->key, key, length);
    return entry;
}

/* Tells the bound and the end of memory apart. */
static void fail_adding(const rbt_memory_store *store, size_t size, const char *who,
                        rbt_error *error) {
    if (store->bytes + size <= store->most_bytes)
        rbt_fail_nomem(error);
    else
        rbt_fail(error, SQLITE_ERROR,
                 "%s: the memory for limits, %llu bytes, is full of keys that owe; nobody new is "
                 "let in until some of them are idle",
                 who, (unsigned long long)store->most_bytes);
}

rbt_memory_entry *rbt_memory_store_add(rbt_memory_store *store, const rbt_limit_rule *rule,
                                       const char *key, size_t length, int64_t now_us,
                                       const char *who, rbt_error *error) {
    uint64_t hash = hash_of(store, rule, key, length);
    shard *in = shard_of(store, hash);
    if (in->capacity > 0) {
        rbt_memory_entry *found = in->slots[search(in, hash, rule, key, length)].entry;
        if (found != NULL) return found;
    }
    sweep_some(store, in, now_us);
    rbt_memory_entry *entry = new_entry(store, rule, key, length, now_us);
    if (entry == NULL || (4 * (in->count + 1) > 3 * in->capacity && !grow(store, in, now_us))) {
        rbt_free(entry);
        fail_adding(store, sizeof *entry + length + in->capacity * sizeof(slot), who, error);
        return NULL;
    }
    entry->hash = hash;
    in->slots[search(in, hash, rule, key, length)] = (slot){hash, entry};
    in->count++;
    store->bytes += size_of(entry);
    return entry;
}

int rbt_memory_store_reserve(rbt_memory_store *store, rbt_memory_entry *entry, int64_t now_us,
                             const char *who, rbt_error *error) {
    size_t item =
        entry->rule->algorithm == RBT_LIMIT_LEASE ? sizeof(rbt_limit_lease) : sizeof(rbt_limit_hit);
    uint32_t room = entry->state.room;
    size_t extra = entry->state.count < room ? 0 : (room ? room : 4) * item; /* it doubles */
    bool pinned = entry->pinned;
    entry->pinned = true;
    if ((extra > 0 && entry->rule->algorithm != RBT_LIMIT_BUCKET &&
         !has_room(store, extra, now_us)) ||
        !rbt_limit_reserve(entry->rule, &entry->state))
        fail_adding(store, extra, who, error);
    entry->pinned = pinned;
    if (error->code != SQLITE_OK) return error->code;
    uint32_t charge = (uint32_t)(entry->state.room * item);
    store->bytes = store->bytes - entry->charged + charge;
    entry->charged = charge;
    return SQLITE_OK;
}

/* ---------------------------------------------------------------------------------- of one policy */

size_t rbt_memory_store_owing(rbt_memory_store *store, const rbt_limit_rule *rule, int64_t now_us) {
    size_t owing = 0;
    for (size_t i = 0; i < SHARDS; i++)
        for (size_t at = 0; at < store->shards[i].capacity; at++) {
            const rbt_memory_entry *entry = store->shards[i].slots[at].entry;
            if (entry != NULL && entry->rule == rule && !is_idle(entry, now_us)) owing++;
        }
    return owing;
}

void rbt_memory_store_forget(rbt_memory_store *store, const rbt_limit_rule *rule) {
    for (size_t i = 0; i < SHARDS; i++) {
        shard *in = &store->shards[i];
        for (size_t at = 0; at < in->capacity;) {
            const rbt_memory_entry *entry = in->slots[at].entry;
            if (entry != NULL && entry->rule == rule)
                remove_at(store, in, at); /* another may have moved here */
            else
                at++;
        }
    }
}

size_t rbt_memory_store_count(const rbt_memory_store *store) {
    size_t count = 0;
    for (size_t i = 0; i < SHARDS; i++)
        count += store->shards[i].count;
    return count;
}

/* First the part that can fail, room for what a bucket becomes. */
bool rbt_memory_store_convert(rbt_memory_store *store, const rbt_limit_rule *rule,
                              const rbt_limit_rule *to, int64_t now_us) {
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < SHARDS; i++)
            for (size_t at = 0; at < store->shards[i].capacity; at++) {
                rbt_memory_entry *entry = store->shards[i].slots[at].entry;
                if (entry == NULL || entry->rule != rule) continue;
                if (pass == 0) {
                    if (!rbt_limit_reserve(to, &entry->state)) return false;
                } else {
                    rbt_limit_advance(rule, &entry->state, now_us);
                    if (!rbt_limit_convert(rule, to, &entry->state)) return false;
                }
            }
    store->full_until_us = 0;
    return true;
}
