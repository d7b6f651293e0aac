/* SPDX-License-Identifier: MIT
** The process's table of policies and its memory store, with their one lock (private to limits*.c). */
#ifndef RBT_LIMIT_REGISTERED_H
#define RBT_LIMIT_REGISTERED_H

#include "limits.h"

typedef struct rbt_limit_registered {
    rbt_limit_policy policy; /* in memory: this is it. In a file: as it was when last seen */
    const char *path;        /* NULL: memory. Never freed: sessions of other threads may hold it */
    int64_t allowed, denied;
} rbt_limit_registered;

/* The lock is held for as long as a decision in memory takes. Not while a file is waited for. */
void rbt_limit_lock(void);
void rbt_limit_unlock(void);

/* All below under the lock. */

/* Makes the table and the shipped policies on first use. */
int rbt_limit_prepare(rbt_error *error);
rbt_limit_registered *rbt_limit_find(const char *name); /* NULL: no such policy */
/* An entry for a new policy, which becomes visible at once; NULL and the error when there is no room. */
rbt_limit_registered *rbt_limit_register(const rbt_limit_policy *policy, const char *path,
                                         const char *who, rbt_error *error);
rbt_limit_registered *rbt_limit_at(size_t position); /* NULL at the end */
rbt_memory_store *rbt_limit_memory(void);
int64_t rbt_limit_next_fencing(void);

/* The connection's store of that path, opened if need be; NULL and the error. Without the lock. */
rbt_file_store *rbt_limit_file(rbt_connection *connection, const char *path, bool create,
                               const char *who, rbt_error *error);
/* Closes a store that failed, so that the next use opens it anew. */
void rbt_limit_drop_file(rbt_connection *connection, rbt_file_store *store);

#endif
