/* SPDX-License-Identifier: MIT
** Sessions and decisions. See limits.h. Calls registered, the stores, state and base.
**
** Locks are taken in one order: files by their paths, each for a transaction, then memory. So two
** sessions never wait for each other in a circle.
*/
#include "limits.h"

#include "../base/memory.h"
#include "limit_clock.h"
#include "registered.h"

static int no_policy(const char *name, const char *who, rbt_error *error) {
    return rbt_fail(error, SQLITE_ERROR,
                    "%s: no policy '%s'; rate_policy defines one, rate_policies lists them", who,
                    name);
}

/* Where each item lives. Under the lock. */
static int find_policies(rbt_limit_session *session, bool *any_file, rbt_error *error) {
    if (rbt_limit_prepare(error) != SQLITE_OK) return error->code;
    for (size_t i = 0; i < session->count; i++) {
        rbt_limit_item *item = &session->items[i];
        item->registered = rbt_limit_find(item->policy_name);
        if (item->registered == NULL) return no_policy(item->policy_name, session->who, error);
        item->path = item->registered->path;
        if (item->path != NULL) *any_file = true;
    }
    return SQLITE_OK;
}

static bool begun(const rbt_limit_session *session, const rbt_file_store *file) {
    for (size_t i = 0; i < session->file_count; i++)
        if (session->files[i] == file) return true;
    return false;
}

/* The first path that comes after the given one (NULL: the first of all); NULL: no more. */
static const char *next_path(const rbt_limit_session *session, const char *after) {
    const char *next = NULL;
    for (size_t i = 0; i < session->count; i++) {
        const char *path = session->items[i].path;
        if (path == NULL || (after != NULL && strcmp(path, after) <= 0)) continue;
        if (next == NULL || strcmp(path, next) < 0) next = path;
    }
    return next;
}

static int open_files(rbt_limit_session *session, bool durable, rbt_error *error) {
    for (const char *path = next_path(session, NULL); path != NULL;
         path = next_path(session, path)) {
        rbt_file_store *file =
            rbt_limit_file(session->connection, path, false, session->who, error);
        if (file == NULL) return error->code;
        for (size_t i = 0; i < session->count; i++)
            if (session->items[i].path != NULL && strcmp(session->items[i].path, path) == 0)
                session->items[i].file = file;
        if (begun(session, file)) continue;
        if (rbt_file_store_begin(file, durable, session->who, error) != SQLITE_OK) {
            if (error->code == SQLITE_CANTOPEN) {
                rbt_limit_drop_file(session->connection, file);
                for (size_t i = 0; i < session->count; i++)
                    if (session->items[i].file == file) session->items[i].file = NULL;
            }
            return error->code;
        }
        session->files[session->file_count++] = file;
    }
    return SQLITE_OK;
}

static int load_from_file(rbt_limit_session *session, rbt_limit_item *item, bool acts,
                          rbt_error *error) {
    const char *who = session->who;
    if (rbt_file_store_load(item->file, item->policy_name, item->key, item->key_length,
                            &item->policy, &item->policy_id, &item->own, who, error) != SQLITE_OK)
        return error->code;
    if (item->policy_id == 0)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: store '%s' has no policy '%s' any more; rate_policy defines it", who,
                        item->path, item->policy_name);
    item->state = &item->own;
    item->now_us = rbt_file_store_now(item->file);
    if (acts && !rbt_limit_reserve(&item->policy.rule, &item->own)) rbt_fail_nomem(error);
    return error->code;
}

static int load_from_memory(rbt_limit_session *session, rbt_limit_item *item, bool acts,
                            rbt_error *error) {
    const rbt_limit_rule *rule = &item->registered->policy.rule;
    rbt_memory_store *memory = rbt_limit_memory();
    item->policy = item->registered->policy;
    item->now_us = rbt_limit_uptime_us();
    if (acts) {
        item->entry = rbt_memory_store_add(memory, rule, item->key, item->key_length, item->now_us,
                                           session->who, error);
        if (item->entry == NULL) return error->code;
        item->entry->pinned = true;
    } else {
        item->entry = rbt_memory_store_find(memory, rule, item->key, item->key_length);
    }
    item->state = item->entry ? &item->entry->state : &item->own;
    rbt_limit_advance(rule, item->state, item->now_us);
    if (acts) rbt_memory_store_reserve(memory, item->entry, item->now_us, session->who, error);
    return error->code;
}

int rbt_limits_open(rbt_limit_session *session, rbt_connection *connection, rbt_limit_item *items,
                    size_t count, bool acts, bool durable, const char *who, rbt_error *error) {
    bool any_file = false;
    session->connection = connection;
    session->who = who;
    session->items = items;
    session->count = count;
    session->file_count = 0;
    rbt_limit_lock();
    session->locked = true;
    find_policies(session, &any_file, error);
    if (any_file && error->code == SQLITE_OK) {
        rbt_limit_unlock();
        session->locked = false;
        open_files(session, durable, error);
    }
    bool any_memory = false;
    for (size_t i = 0; i < count && error->code == SQLITE_OK; i++) {
        if (items[i].path == NULL)
            any_memory = true;
        else
            load_from_file(session, &items[i], acts, error);
    }
    if (any_memory && !session->locked && error->code == SQLITE_OK) {
        rbt_limit_lock();
        session->locked = true;
    }
    for (size_t i = 0; i < count && error->code == SQLITE_OK; i++) {
        /* it may have moved to a file while the lock was open */
        if (items[i].path == NULL && items[i].registered->path != NULL)
            rbt_fail(error, SQLITE_BUSY, "%s: policy '%s' has just moved; try again", who,
                     items[i].policy_name);
        else if (items[i].path == NULL)
            load_from_memory(session, &items[i], acts, error);
    }
    if (error->code != SQLITE_OK) rbt_limits_close(session);
    return error->code;
}

int rbt_limits_save(rbt_limit_session *session, rbt_error *error) {
    for (size_t i = 0; i < session->count; i++) {
        rbt_limit_item *item = &session->items[i];
        if (item->file == NULL || !item->changed) continue;
        rbt_file_store_save(item->file, item->policy_id, &item->policy.rule, item->key,
                            item->key_length, item->state, session->who, error);
    }
    for (size_t i = 0; i < session->file_count && error->code == SQLITE_OK; i++)
        rbt_file_store_commit(session->files[i], session->who, error);
    return error->code;
}

void rbt_limits_close(rbt_limit_session *session) {
    for (size_t i = 0; i < session->file_count; i++)
        rbt_file_store_rollback(session->files[i]); /* nothing to do after a commit */
    for (size_t i = 0; i < session->count; i++) {
        rbt_limit_item *item = &session->items[i];
        rbt_limit_state_free(&item->own);
        if (item->entry != NULL) item->entry->pinned = false;
        item->entry = NULL;
        item->state = NULL;
    }
    if (session->locked) rbt_limit_unlock();
    session->locked = false;
}

/* ------------------------------------------------------------------------------------- decisions */

static int check_items(rbt_limit_session *session, bool take, rbt_error *error) {
    for (size_t i = 0; i < session->count; i++) {
        const rbt_limit_item *item = &session->items[i];
        const rbt_limit_rule *rule = &item->policy.rule;
        if (take && rule->algorithm == RBT_LIMIT_LEASE)
            return rbt_fail(error, SQLITE_ERROR,
                            "%s: policy '%s' is a lease; lease_acquire takes one", session->who,
                            item->policy_name);
        if (item->cost > rbt_limit_capacity(rule))
            return rbt_fail(error, SQLITE_ERROR,
                            "%s: cost %lld is more than policy '%s' ever admits, %lld at once",
                            session->who, (long long)item->cost, item->policy_name,
                            (long long)rbt_limit_capacity(rule));
    }
    return SQLITE_OK;
}

/* Changes the states of the items in files, or of those in memory. */
static void carry_out(rbt_limit_session *session, bool all, bool in_files) {
    for (size_t i = 0; i < session->count; i++) {
        rbt_limit_item *item = &session->items[i];
        const rbt_limit_rule *rule = &item->policy.rule;
        if ((item->file != NULL) != in_files) continue;
        bool admitted = item->verdict.allowed;
        if (admitted && all) {
            rbt_limit_take(rule, item->state, item->cost);
            item->changed = true;
        } else if (!admitted) {
            item->changed = rbt_limit_refuse(rule, item->state);
        }
        if (!item->changed) continue;
        rbt_limit_verdict after = rbt_limit_look(rule, item->state, item->cost);
        if (admitted) after.retry_after_us = 0;
        after.allowed = admitted;
        item->verdict = after;
    }
}

static void count_decisions(rbt_limit_session *session) {
    bool locked = session->locked;
    if (!locked) rbt_limit_lock();
    for (size_t i = 0; i < session->count; i++) {
        const rbt_limit_item *item = &session->items[i];
        if (item->verdict.allowed)
            item->registered->allowed++;
        else
            item->registered->denied++;
    }
    if (!locked) rbt_limit_unlock();
}

int rbt_limits_decide(rbt_connection *connection, rbt_limit_item *items, size_t count, bool take,
                      const char *who, rbt_error *error) {
    rbt_limit_session session;
    if (rbt_limits_open(&session, connection, items, count, take, false, who, error) != SQLITE_OK)
        return error->code;
    bool all = true;
    if (check_items(&session, take, error) == SQLITE_OK) {
        for (size_t i = 0; i < count; i++) {
            items[i].verdict = rbt_limit_look(&items[i].policy.rule, items[i].state, items[i].cost);
            items[i].allowed = items[i].verdict.allowed || !items[i].policy.enforce;
            all = all && items[i].allowed;
        }
        if (take) carry_out(&session, all, true);
        /* a look commits too: a file's clock may have been set anew */
        if (rbt_limits_save(&session, error) == SQLITE_OK && take) {
            carry_out(&session, all, false);
            count_decisions(&session);
        }
    }
    for (size_t i = 0; i < count; i++)
        items[i].allowed = items[i].allowed && all;
    rbt_limits_close(&session);
    return error->code;
}

int rbt_limits_fencing(rbt_limit_session *session, rbt_limit_item *item, int64_t *fencing,
                       rbt_error *error) {
    if (item->file != NULL) return rbt_file_store_fencing(item->file, fencing, session->who, error);
    *fencing = rbt_limit_next_fencing();
    return SQLITE_OK;
}

bool rbt_limits_forget(rbt_limit_item *item) {
    bool owed = rbt_limit_idle_at(&item->policy.rule, item->state) > item->now_us;
    rbt_limit_state_free(item->state);
    if (item->entry != NULL) {
        rbt_memory_store_remove(rbt_limit_memory(), item->entry);
        item->entry = NULL;
        item->state = &item->own;
    }
    item->changed = true;
    return owed;
}
