/* SPDX-License-Identifier: MIT
** All limits of the process: its policies by name, the one memory store, and a connection's file
** stores. A session holds the states of some keys while they are decided on.
**
** Memory policies and their states belong to the process and serve all its connections, under one lock;
** the library stays loaded for them. Each connection opens the file stores it uses by itself.
*/
#ifndef RBT_LIMIT_LIMITS_H
#define RBT_LIMIT_LIMITS_H

#include "../base/connection.h"
#include "file_store.h"
#include "memory_store.h"
#include "policy.h"

enum { RBT_LIMIT_ITEMS = 64, RBT_LIMIT_KEY_BYTES = 1024 };

struct rbt_limit_registered;

/* One policy and key of a session. */
typedef struct rbt_limit_item {
    /* IN */
    const char *policy_name;
    const char *key; /* key_length bytes, 1 to RBT_LIMIT_KEY_BYTES */
    size_t key_length;
    int64_t cost;
    /* OUT, by rbt_limits_open */
    rbt_limit_policy policy;
    rbt_limit_state *state; /* advanced to now_us */
    int64_t now_us;         /* the store's time */
    bool changed;           /* set by who changes the state: it is saved */
    /* OUT, by rbt_limits_decide */
    rbt_limit_verdict verdict; /* remaining and reset are those after the decision */
    bool allowed;              /* verdict.allowed, or not enforced */
    /* private */
    struct rbt_limit_registered *registered;
    const char *path; /* NULL: in memory */
    rbt_memory_entry *entry;
    rbt_file_store *file;
    int64_t policy_id;
    rbt_limit_state own;
} rbt_limit_item;

typedef struct rbt_limit_session {
    rbt_connection *connection;
    const char *who;
    rbt_limit_item *items;
    size_t count;
    bool locked; /* holds the lock of the memory store */
    rbt_file_store *files[RBT_LIMIT_ITEMS];
    size_t file_count; /* those in a transaction */
} rbt_limit_session;

/* Finds the policies and loads the states of all items, at once: nobody else can change them until
** rbt_limits_close. With acts true they may be changed, each by at most one take or one lease; else they
** are only looked at. durable: what is saved in a file is synced. On failure nothing is open. */
int rbt_limits_open(rbt_limit_session *session, rbt_connection *connection, rbt_limit_item *items,
                    size_t count, bool acts, bool durable, const char *who, rbt_error *error);
/* Saves changed states of files and commits. Then states in memory may be changed. Two files are two
** commits: should the second fail, what was taken in the first stays taken. */
int rbt_limits_save(rbt_limit_session *session, rbt_error *error);
void rbt_limits_close(rbt_limit_session *session);

/* Takes the costs of all items or of none, or with take false only tells. */
int rbt_limits_decide(rbt_connection *connection, rbt_limit_item *items, size_t count, bool take,
                      const char *who, rbt_error *error);

/* Fencing number for a lease of an item of an open session: larger than all before from its store. */
int rbt_limits_fencing(rbt_limit_session *session, rbt_limit_item *item, int64_t *fencing,
                       rbt_error *error);
/* Forgets an item's key; true when there was something to forget. After rbt_limits_open with acts. */
bool rbt_limits_forget(rbt_limit_item *item);

/* Defines or changes a policy. made tells which; result is the policy then, path NULL or its file's. */
int rbt_limits_define(rbt_connection *connection, const rbt_limit_definition *definition,
                      rbt_limit_policy *result, const char **path, bool *made, const char *who,
                      rbt_error *error);

/* The position-th policy, in the order of definition, as this process knows it; false at the end. Of a
** file's policies the caller asks the file. */
typedef struct rbt_limit_listed {
    rbt_limit_policy policy;
    const char *path;        /* NULL: memory; stays valid */
    int64_t allowed, denied; /* decisions of this process; not enforced refusals count as denied */
} rbt_limit_listed;
int rbt_limits_list(size_t position, rbt_limit_listed *listed, bool *found, rbt_error *error);
/* Reads the definition that the file holds now. */
int rbt_limits_refresh(rbt_connection *connection, rbt_limit_listed *listed, const char *who,
                       rbt_error *error);

#endif
