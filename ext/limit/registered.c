/* SPDX-License-Identifier: MIT
** See registered.h. Calls memory, clock, error, the stores, libsodium's SipHash, pthread and dlfcn.
*/
#include "registered.h"

#include "../base/clock.h"
#include "../base/memory.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sodium.h>

enum { MOST_POLICIES = 1000, INDEX_SIZE = 2048, MOST_MEMORY = 256 << 20 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static rbt_limit_registered *policies[MOST_POLICIES]; /* never freed */
static size_t policy_count;
static uint16_t name_index[INDEX_SIZE]; /* positions from 1, found by the name's hash */
static rbt_memory_store *memory;
static int64_t last_fencing;

void rbt_limit_lock(void) {
    pthread_mutex_lock(&mutex); /* a default mutex, never held twice: cannot fail */
}

void rbt_limit_unlock(void) {
    pthread_mutex_unlock(&mutex);
}

rbt_memory_store *rbt_limit_memory(void) {
    return memory;
}

/* Begins with the time of the first lease, so that the numbers of the next process are larger. */
int64_t rbt_limit_next_fencing(void) {
    if (last_fencing == 0) last_fencing = rbt_clock_us();
    return ++last_fencing;
}

/* SQLite unloads the library with the last connection that loaded it, and the limits would be gone. */
static void stay_loaded(void) {
#ifndef SQLITE_CORE
    Dl_info self;
    if (dladdr((void *)&mutex, &self) != 0 && self.dli_fname != NULL)
        (void)dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
#endif
}

/* Where the name stands in the index, or the empty place where it would. */
static size_t search(const char *name) {
    static const unsigned char key[crypto_shorthash_KEYBYTES] = "rustybt policies";
    unsigned char hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, (const unsigned char *)name, strlen(name), key);
    size_t at = ((size_t)hash[0] | (size_t)hash[1] << 8) % INDEX_SIZE;
    while (name_index[at] != 0 && strcmp(policies[name_index[at] - 1]->policy.name, name) != 0)
        at = (at + 1) % INDEX_SIZE;
    return at;
}

rbt_limit_registered *rbt_limit_find(const char *name) {
    size_t at = search(name);
    return name_index[at] ? policies[name_index[at] - 1] : NULL;
}

rbt_limit_registered *rbt_limit_at(size_t position) {
    return position < policy_count ? policies[position] : NULL;
}

rbt_limit_registered *rbt_limit_register(const rbt_limit_policy *policy, const char *path,
                                         const char *who, rbt_error *error) {
    if (policy_count == MOST_POLICIES) {
        rbt_fail(error, SQLITE_ERROR, "%s: there are %d policies, and there cannot be more", who,
                 MOST_POLICIES);
        return NULL;
    }
    rbt_limit_registered *registered = rbt_calloc(sizeof *registered);
    char *copy = path && registered ? rbt_strdup(path) : NULL;
    if (registered == NULL || (path != NULL && copy == NULL)) {
        rbt_free(registered);
        rbt_fail_nomem(error);
        return NULL;
    }
    registered->policy = *policy;
    registered->path = copy;
    policies[policy_count++] = registered;
    name_index[search(policy->name)] = (uint16_t)policy_count;
    return registered;
}

int rbt_limit_prepare(rbt_error *error) {
    if (memory == NULL) {
        memory = rbt_memory_store_new(MOST_MEMORY);
        if (memory == NULL) return rbt_fail_nomem(error);
        stay_loaded();
    }
    while (policy_count < rbt_limit_shipped_count) {
        rbt_limit_policy policy = rbt_limit_shipped[policy_count];
        if (rbt_limit_rule_check(&policy.rule) != NULL)
            return rbt_fail(error, SQLITE_ERROR, "rustybt: a shipped policy is wrong");
        if (rbt_limit_register(&policy, NULL, "rustybt", error) == NULL) return error->code;
    }
    return SQLITE_OK;
}

/* ------------------------------------------------------------------------- a connection's file stores */

enum { MOST_FILES = 64 };

struct rbt_limits {
    rbt_file_store *files[MOST_FILES];
    size_t count;
};

static void free_limits(struct rbt_limits *limits) {
    for (size_t i = 0; i < limits->count; i++)
        rbt_file_store_close(limits->files[i]);
    rbt_free(limits);
}

rbt_file_store *rbt_limit_file(rbt_connection *connection, const char *path, bool create,
                               const char *who, rbt_error *error) {
    if (connection->limits == NULL) {
        connection->limits = rbt_calloc(sizeof *connection->limits);
        connection->free_limits = free_limits;
        if (connection->limits == NULL) rbt_fail_nomem(error);
    }
    struct rbt_limits *limits = connection->limits;
    for (size_t i = 0; limits != NULL && i < limits->count; i++)
        if (strcmp(rbt_file_store_path(limits->files[i]), path) == 0) return limits->files[i];
    if (limits != NULL && limits->count == MOST_FILES)
        rbt_fail(error, SQLITE_ERROR, "%s: more than %d stores on one connection", who, MOST_FILES);
    rbt_file_store *store = rbt_file_store_open(path, create, who, error);
    if (store == NULL) return NULL;
    /* the path may have been another way to one that is open */
    for (size_t i = 0; i < limits->count; i++)
        if (strcmp(rbt_file_store_path(limits->files[i]), rbt_file_store_path(store)) == 0) {
            rbt_file_store_close(store);
            return limits->files[i];
        }
    limits->files[limits->count++] = store;
    return store;
}

void rbt_limit_drop_file(rbt_connection *connection, rbt_file_store *store) {
    struct rbt_limits *limits = connection->limits;
    for (size_t i = 0; i < limits->count; i++)
        if (limits->files[i] == store) {
            limits->files[i] = limits->files[--limits->count];
            rbt_file_store_close(store);
            return;
        }
}
