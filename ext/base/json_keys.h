/* SPDX-License-Identifier: MIT
** The keys of the objects that are open while JSON is read, to find duplicates (private to the JSON
** reader). Objects of up to 16 members are compared key by key without any allocation; larger ones
** get a hash set, keyed at random so that no input can make it slow. Keys are compared unescaped.
*/
#ifndef RBT_BASE_JSON_KEYS_H
#define RBT_BASE_JSON_KEYS_H

#include "buffer.h"

enum { RBT_JSON_INLINE_KEYS = 48 };

typedef struct rbt_json_key_entry {
    uint64_t fingerprint; /* equal keys have equal ones; a full hash once the object has a set */
    uint32_t start, length;
    bool unescaped; /* start is in the arena, not in the text */
} rbt_json_key_entry;

/* One for all objects of a text: a stack of keys, the innermost object's on top. */
typedef struct rbt_json_keys {
    const uint8_t *text; /* shorter than 2^31 bytes */
    size_t text_length;
    rbt_json_key_entry *entries; /* inline_entries, or from memory.h */
    uint32_t count, capacity;
    rbt_buffer arena; /* keys that were written with escapes */
    bool seeded;
    uint64_t seed[2];
    rbt_json_key_entry inline_entries[RBT_JSON_INLINE_KEYS];
} rbt_json_keys;

/* One for each open object. */
typedef struct rbt_json_object {
    uint32_t first;      /* its first key in entries */
    uint32_t slot_count; /* a power of two, or 0 while there is no set */
    uint32_t *slots;     /* positions after first, counted from 1; 0 is empty */
    size_t arena_length; /* the arena's when the object began */
} rbt_json_object;

typedef enum rbt_json_key_result {
    RBT_JSON_KEY_NEW,
    RBT_JSON_KEY_DUPLICATE,
    RBT_JSON_KEY_NOMEM
} rbt_json_key_result;

void rbt_json_keys_begin(rbt_json_keys *keys, const uint8_t *text, size_t text_length);
void rbt_json_keys_end(rbt_json_keys *keys); /* after every open object was closed */

void rbt_json_object_open(rbt_json_keys *keys, rbt_json_object *object);
/* length bytes of the text at start, already checked; escaped tells whether they hold a backslash.
 */
rbt_json_key_result rbt_json_object_add(rbt_json_keys *keys, rbt_json_object *object,
                                        uint32_t start, uint32_t length, bool escaped);
void rbt_json_object_close(rbt_json_keys *keys, rbt_json_object *object);

#endif
