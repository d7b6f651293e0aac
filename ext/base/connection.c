/* SPDX-License-Identifier: MIT
** The process-wide list of connections that rustybt is on. Calls memory and pthread mutexes.
*/
#include "connection.h"

#include "memory.h"

#include <pthread.h>

/* The public part first, so that one pointer serves both. */
typedef struct listed_connection {
    rbt_connection connection;
    struct listed_connection *next;
} listed_connection;

/* The mutex guards the list and every reference count. It is held for a few instructions only and
** nothing is called under it, so it cannot take part in a deadlock. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static listed_connection *connections;

rbt_connection *rbt_connection_new(sqlite3 *db) {
    listed_connection *listed = rbt_calloc(sizeof *listed);
    if (!listed) return NULL;
    listed->connection.db = db;
    listed->connection.references = 1;
    pthread_mutex_lock(&mutex); /* a static default mutex, never held twice: cannot fail */
    listed->next = connections;
    connections = listed;
    pthread_mutex_unlock(&mutex);
    return &listed->connection;
}

void rbt_connection_retain(rbt_connection *connection) {
    pthread_mutex_lock(&mutex);
    connection->references++;
    pthread_mutex_unlock(&mutex);
}

void rbt_connection_release(void *released) {
    listed_connection *listed = released;
    rbt_connection *connection = &listed->connection;

    pthread_mutex_lock(&mutex);
    bool last = --connection->references == 0;
    if (last) {
        listed_connection **link = &connections;
        while (*link != listed)
            link = &(*link)->next;
        *link = listed->next;
    }
    pthread_mutex_unlock(&mutex);

    if (!last) return;
    if (connection->logs) connection->free_logs(connection->logs); /* they may still use the keys */
    if (connection->segment_cache) connection->free_segment_cache(connection->segment_cache);
    if (connection->workspace) connection->free_workspace(connection->workspace);
    for (int i = 0; i < connection->retired_key_count; i++)
        connection->free_keys(connection->retired_keys[i]);
    if (connection->keys) connection->free_keys(connection->keys);
    if (connection->limits) connection->free_limits(connection->limits);
    rbt_free(listed);
}

bool rbt_connection_is_loaded(sqlite3 *db) {
    pthread_mutex_lock(&mutex);
    const listed_connection *listed = connections;
    /* `loaded` is read on the caller's own connection alone, which no other thread is loading */
    while (listed && !(listed->connection.db == db && listed->connection.loaded))
        listed = listed->next;
    pthread_mutex_unlock(&mutex);
    return listed != NULL;
}
