/* SPDX-License-Identifier: MIT
** What rustybt keeps for one database connection. It is the user data of every function and module;
** each registration holds a reference, and the last one's destructor frees it. Parts that base does
** not know hang on as opaque pointers with their own destructors.
*/
#ifndef RBT_BASE_CONNECTION_H
#define RBT_BASE_CONNECTION_H

#include "sqlite.h"
#include <stdbool.h>
#include <stdint.h>

enum { RBT_RETIRED_KEYS = 4 };

struct rbt_keys;
struct rbt_limits;
struct rbt_logs;
struct rbt_segment_store;
struct rbt_segment_cache;
struct rbt_workspace;

typedef struct rbt_connection {
    sqlite3 *db;
    int references;
    bool loaded;           /* rustybt.c: everything was registered */
    struct rbt_keys *keys; /* crypto/keys.h: NULL until first use */
    void (*free_keys)(struct rbt_keys *keys);
    struct rbt_keys
        *retired_keys[RBT_RETIRED_KEYS]; /* crypto/key_reload.h: replaced, perhaps in use */
    int retired_key_count;
    int64_t keys_reread_us; /* when an unknown key id last made them be read anew */
    struct rbt_logs *logs;  /* audit/log_state.h: NULL until first use */
    void (*free_logs)(struct rbt_logs *logs);
    struct rbt_limits *limits; /* limit/registered.h: NULL until first use */
    void (*free_limits)(struct rbt_limits *limits);
    const struct rbt_segment_store *segments; /* audit/segment_store.h: set by rustybt.c */
    struct rbt_segment_cache *segment_cache;  /* archive/segment_cache.h: NULL until first use */
    void (*free_segment_cache)(struct rbt_segment_cache *cache);
    struct rbt_workspace *workspace; /* archive/workspace.h: one that is not in use, or NULL */
    void (*free_workspace)(struct rbt_workspace *workspace);
} rbt_connection;

/* The connection object of the running SQL function. */
static inline rbt_connection *rbt_connection_of(sqlite3_context *context) {
    return (rbt_connection *)sqlite3_user_data(context);
}

/* NULL when out of memory. One reference. */
rbt_connection *rbt_connection_new(sqlite3 *db);
void rbt_connection_retain(rbt_connection *connection);
void rbt_connection_release(void *connection); /* fits xDestroy */

/* True when rustybt is already on this connection, whole: a second load must not register again
** (sqlite3_create_function would answer BUSY inside a running SELECT load_extension). */
bool rbt_connection_is_loaded(sqlite3 *db);

#endif
