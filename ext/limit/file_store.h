/* SPDX-License-Identifier: MIT
** Policies and states in a file, for all processes of one machine. The file is an SQLite database of
** its own, on a connection of its own: what the host's transaction rolls back stays taken here.
**
** Durability: WAL with synchronous=NORMAL. A killed process loses nothing. A power failure may lose the
** last decisions before it (at most what the WAL holds), never damages the file. Policies and leases are
** synced before they are answered, so a fencing number never comes twice.
**
** Damage is an error in every decision, never an admission: SQLite's own checks, a check of the schema
** when the file is opened, and a checksum in every row.
**
** Time is the machine's uptime plus an offset that the file keeps, so that setting the clock changes
** nothing. After a start of the machine the wall clock tells how long it was off; a wall clock that is
** behind the file's time counts as no time at all.
*/
#ifndef RBT_LIMIT_FILE_STORE_H
#define RBT_LIMIT_FILE_STORE_H

#include "policy.h"
#include "state.h"

typedef struct rbt_file_store rbt_file_store;

/* Opens a store; with create one that is not there is made. NULL and the error on failure. */
rbt_file_store *rbt_file_store_open(const char *path, bool create, const char *who,
                                    rbt_error *error);
void rbt_file_store_close(rbt_file_store *store);             /* NULL is fine */
const char *rbt_file_store_path(const rbt_file_store *store); /* absolute */

/* Begins the transaction in which all that follows happens; waits up to 5 seconds for others. With
** durable its commit is synced. */
int rbt_file_store_begin(rbt_file_store *store, bool durable, const char *who, rbt_error *error);
/* Commits, or takes everything back. */
int rbt_file_store_commit(rbt_file_store *store, const char *who, rbt_error *error);
void rbt_file_store_rollback(rbt_file_store *store);

/* The file's time, that of begin. */
int64_t rbt_file_store_now(const rbt_file_store *store);

/* Reads the policy of that name; *id is 0 when there is none. */
int rbt_file_store_policy(rbt_file_store *store, const char *name, rbt_limit_policy *policy,
                          int64_t *id, const char *who, rbt_error *error);
/* Adds the policy (id 0) or changes it, with all its states. */
int rbt_file_store_define(rbt_file_store *store, int64_t id, const rbt_limit_policy *policy,
                          const char *who, rbt_error *error);

/* Reads policy and state of a key in one step; *id is 0 when there is no such policy. The state starts
** as {0} and is advanced to now. */
int rbt_file_store_load(rbt_file_store *store, const char *name, const char *key, size_t length,
                        rbt_limit_policy *policy, int64_t *id, rbt_limit_state *state,
                        const char *who, rbt_error *error);
int rbt_file_store_save(rbt_file_store *store, int64_t id, const rbt_limit_rule *rule,
                        const char *key, size_t length, const rbt_limit_state *state,
                        const char *who, rbt_error *error);
/* How many keys of a policy are not idle. */
int rbt_file_store_owing(rbt_file_store *store, int64_t id, int64_t *owing, const char *who,
                         rbt_error *error);
/* The next fencing number, from 1. */
int rbt_file_store_fencing(rbt_file_store *store, int64_t *fencing, const char *who,
                           rbt_error *error);

#endif
