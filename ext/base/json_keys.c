/* SPDX-License-Identifier: MIT
** Duplicate keys (see json_keys.h). Calls buffer, bytes, memory and SQLite's random numbers.
*/
#include "json_keys.h"

#include "bytes.h"
#include "json.h"
#include "memory.h"

enum { LARGEST_LIST = 16, FIRST_SLOT_COUNT = 64 };

void rbt_json_keys_begin(rbt_json_keys *keys, const uint8_t *text, size_t text_length) {
    keys->text = text;
    keys->text_length = text_length;
    keys->entries = keys->inline_entries;
    keys->count = 0;
    keys->capacity = RBT_JSON_INLINE_KEYS;
    keys->arena = (rbt_buffer){0};
    keys->seeded = false;
}

void rbt_json_keys_end(rbt_json_keys *keys) {
    if (keys->entries != keys->inline_entries) rbt_free(keys->entries);
    rbt_buffer_free(&keys->arena);
}

void rbt_json_object_open(rbt_json_keys *keys, rbt_json_object *object) {
    object->first = keys->count;
    object->slot_count = 0;
    object->slots = NULL;
    object->arena_length = keys->arena.length;
}

void rbt_json_object_close(rbt_json_keys *keys, rbt_json_object *object) {
    keys->count = object->first;
    keys->arena.length = object->arena_length;
    rbt_free(object->slots);
    object->slots = NULL;
}

static const uint8_t *key_bytes(const rbt_json_keys *keys, const rbt_json_key_entry *key) {
    return (key->unescaped ? keys->arena.data : keys->text) + key->start;
}

/* The first eight bytes, or all of a shorter key with zeros after it. */
static uint64_t first_bytes(const rbt_json_keys *keys, const rbt_json_key_entry *key) {
    const uint8_t *bytes = key_bytes(keys, key);
    if (key->length >= 8) return rbt_load_u64le(bytes);
    if (!key->unescaped && keys->text_length - key->start >= 8)
        return rbt_load_u64le(bytes) & ((UINT64_C(1) << (8 * key->length)) - 1);
    uint64_t value = 0;
    for (uint32_t i = key->length; i > 0; i--)
        value = value << 8 | bytes[i - 1];
    return value;
}

typedef struct sip_state {
    uint64_t v0, v1, v2, v3;
} sip_state;

static uint64_t rotate_left(uint64_t value, int bits) {
    return value << bits | value >> (64 - bits);
}

static void sip_round(sip_state *s) {
    s->v0 += s->v1;
    s->v1 = rotate_left(s->v1, 13) ^ s->v0;
    s->v0 = rotate_left(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate_left(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate_left(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate_left(s->v1, 17) ^ s->v2;
    s->v2 = rotate_left(s->v2, 32);
}

/* SipHash-1-3 (Aumasson and Bernstein, https://www.aumasson.jp/siphash/), the hash that Python and
** Rust guard their own tables with. */
static uint64_t sip_hash(const uint64_t seed[2], const uint8_t *bytes, size_t length) {
    sip_state s = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
                   seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u};
    size_t i = 0;
    for (; length - i >= 8; i += 8) {
        uint64_t word = rbt_load_u64le(bytes + i);
        s.v3 ^= word;
        sip_round(&s);
        s.v0 ^= word;
    }
    uint64_t last = (uint64_t)length << 56;
    for (int shift = 0; i < length; i++, shift += 8)
        last |= (uint64_t)bytes[i] << shift;
    s.v3 ^= last;
    sip_round(&s);
    s.v0 ^= last;
    s.v2 ^= 0xff;
    for (int i_round = 0; i_round < 3; i_round++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static bool same_key(const rbt_json_keys *keys, const rbt_json_key_entry *a,
                     const rbt_json_key_entry *b) {
    return a->fingerprint == b->fingerprint && a->length == b->length &&
           memcmp(key_bytes(keys, a), key_bytes(keys, b), a->length) == 0;
}

/* Puts the entry at position (counted from 1 after object->first) into a set with a free slot;
** false when an equal one is there. */
static bool put_in_set(const rbt_json_keys *keys, rbt_json_object *object, uint32_t position) {
    const rbt_json_key_entry *entries = keys->entries + object->first;
    const rbt_json_key_entry *key = &entries[position - 1];
    uint32_t mask = object->slot_count - 1, slot = (uint32_t)key->fingerprint & mask;
    while (object->slots[slot] != 0) {
        if (same_key(keys, &entries[object->slots[slot] - 1], key)) return false;
        slot = (slot + 1) & mask;
    }
    object->slots[slot] = position;
    return true;
}

/* Makes the set, or doubles it, with all keys of the object but its last. */
static bool grow_set(rbt_json_keys *keys, rbt_json_object *object) {
    uint32_t slot_count = object->slot_count ? object->slot_count * 2 : FIRST_SLOT_COUNT;
    uint32_t *slots = rbt_calloc((size_t)slot_count * sizeof *slots);
    if (!slots) return false;
    if (!keys->seeded) {
        sqlite3_randomness(sizeof keys->seed, keys->seed);
        keys->seeded = true;
    }
    bool first_set = object->slots == NULL;
    rbt_free(object->slots);
    object->slots = slots;
    object->slot_count = slot_count;

    uint32_t before_last = keys->count - object->first - 1;
    for (uint32_t position = 1; position <= before_last; position++) {
        rbt_json_key_entry *key = &keys->entries[object->first + position - 1];
        if (first_set) key->fingerprint = sip_hash(keys->seed, key_bytes(keys, key), key->length);
        put_in_set(keys, object, position); /* they are known to differ */
    }
    return true;
}

static bool push(rbt_json_keys *keys, const rbt_json_key_entry *key) {
    if (keys->count == keys->capacity) {
        bool was_inline = keys->entries == keys->inline_entries;
        size_t size = (size_t)keys->capacity * 2 * sizeof *keys->entries;
        rbt_json_key_entry *entries = rbt_realloc(was_inline ? NULL : keys->entries, size);
        if (!entries) return false;
        if (was_inline) memcpy(entries, keys->inline_entries, sizeof keys->inline_entries);
        keys->entries = entries;
        keys->capacity *= 2;
    }
    keys->entries[keys->count++] = *key;
    return true;
}

rbt_json_key_result rbt_json_object_add(rbt_json_keys *keys, rbt_json_object *object,
                                        uint32_t start, uint32_t length, bool escaped) {
    rbt_json_key_entry key = {.start = start, .length = length, .unescaped = escaped};
    if (escaped) {
        key.start = (uint32_t)keys->arena.length;
        rbt_json_unescape(&keys->arena, (const char *)keys->text + start, length);
        if (keys->arena.failed) return RBT_JSON_KEY_NOMEM;
        key.length = (uint32_t)keys->arena.length - key.start;
    }

    uint32_t others = keys->count - object->first;
    if (others < LARGEST_LIST) {
        key.fingerprint = first_bytes(keys, &key);
        for (uint32_t i = 0; i < others; i++)
            if (same_key(keys, &keys->entries[object->first + i], &key))
                return RBT_JSON_KEY_DUPLICATE;
        return push(keys, &key) ? RBT_JSON_KEY_NEW : RBT_JSON_KEY_NOMEM;
    }

    if (!push(keys, &key)) return RBT_JSON_KEY_NOMEM;
    if (others >= object->slot_count / 2 && !grow_set(keys, object)) return RBT_JSON_KEY_NOMEM;
    rbt_json_key_entry *pushed = &keys->entries[keys->count - 1];
    pushed->fingerprint = sip_hash(keys->seed, key_bytes(keys, pushed), pushed->length);
    return put_in_set(keys, object, others + 1) ? RBT_JSON_KEY_NEW : RBT_JSON_KEY_DUPLICATE;
}
