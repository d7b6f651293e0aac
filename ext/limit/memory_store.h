/* SPDX-License-Identifier: MIT
** States of keys in memory: 64 hash tables with open addressing, each of which grows by itself, so that
** no decision waits for a million keys to move. Keys come from outside: the hash is keyed (SipHash).
**
** Memory is bounded. Each added key looks at two others and forgets them if they are idle; at the bound
** all idle ones go. Keys that owe are never forgotten: when only they are left, a new key is an error.
** Not locked: the caller holds the one lock of limits (limits.c).
*/
#ifndef RBT_LIMIT_MEMORY_STORE_H
#define RBT_LIMIT_MEMORY_STORE_H

#include "../base/error.h"
#include "state.h"

typedef struct rbt_memory_store rbt_memory_store;

typedef struct rbt_memory_entry {
    uint64_t hash;
    const rbt_limit_rule *rule; /* the policy's; also its identity */
    uint32_t key_length;
    uint32_t charged; /* bytes of state.items that count towards the bound */
    bool pinned;      /* in use: not to be forgotten */
    rbt_limit_state state;
    char key[];
} rbt_memory_entry;

/* NULL when out of memory. */
rbt_memory_store *rbt_memory_store_new(size_t most_bytes);
void rbt_memory_store_free(rbt_memory_store *store);

/* NULL: not there. */
rbt_memory_entry *rbt_memory_store_find(rbt_memory_store *store, const rbt_limit_rule *rule,
                                        const char *key, size_t length);
/* The entry, made when it is not there yet; NULL and the error when memory or the bound is spent. Other
** entries stay where they are, but idle ones that are not pinned may be gone. */
rbt_memory_entry *rbt_memory_store_add(rbt_memory_store *store, const rbt_limit_rule *rule,
                                       const char *key, size_t length, int64_t now_us,
                                       const char *who, rbt_error *error);
/* rbt_limit_reserve, within the bound. */
int rbt_memory_store_reserve(rbt_memory_store *store, rbt_memory_entry *entry, int64_t now_us,
                             const char *who, rbt_error *error);
void rbt_memory_store_remove(rbt_memory_store *store, rbt_memory_entry *entry);

/* How many keys of a policy are not idle. */
size_t rbt_memory_store_owing(rbt_memory_store *store, const rbt_limit_rule *rule, int64_t now_us);
/* Forgets all keys of a policy, which went elsewhere. */
void rbt_memory_store_forget(rbt_memory_store *store, const rbt_limit_rule *rule);
/* How many keys there are. */
size_t rbt_memory_store_count(const rbt_memory_store *store);
/* Carries all states of a policy over to what its rule will be; false, and nothing changed, when memory
** ran out. The caller changes the rule itself afterwards. */
bool rbt_memory_store_convert(rbt_memory_store *store, const rbt_limit_rule *rule,
                              const rbt_limit_rule *to, int64_t now_us);

#endif
