/* SPDX-License-Identifier: MIT
** Defining, changing and listing policies. See limits.h. Calls registered, the stores and base.
*/
#include "limits.h"

#include "../base/memory.h"
#include "limit_clock.h"
#include "registered.h"

/* Whether a definition names another place than the one where the policy is. */
static bool moves(const char *from, const char *to) {
    return (from == NULL) != (to == NULL) || (from != NULL && strcmp(from, to) != 0);
}

static int refuse_move(int64_t owing, const char *name, const char *who, rbt_error *error) {
    return rbt_fail(error, SQLITE_ERROR,
                    "%s: policy '%s' cannot change its store while %lld of its keys owe; wait, or "
                    "give the new one another name",
                    who, name, (long long)owing);
}

/* Under the lock. */
static int define_in_memory(rbt_limit_registered *registered, rbt_limit_policy *changed,
                            const char *who, rbt_error *error) {
    if (registered == NULL) {
        rbt_limit_register(changed, NULL, who, error);
        return error->code;
    }
    if (registered->path == NULL &&
        !rbt_limit_rule_equal(&registered->policy.rule, &changed->rule) &&
        !rbt_memory_store_convert(rbt_limit_memory(), &registered->policy.rule, &changed->rule,
                                  rbt_limit_uptime_us()))
        return rbt_fail_nomem(error);
    registered->policy = *changed;
    registered->path = NULL; /* the text is not freed: a session may still look at it */
    return SQLITE_OK;
}

/* In a transaction of the file. What the process knows of the policy is the start of a new one. */
static int define_in_file(rbt_file_store *file, const rbt_limit_definition *definition, bool known,
                          rbt_limit_policy *policy, bool *made, const char *who, rbt_error *error) {
    rbt_limit_policy stored;
    int64_t id = 0;
    if (rbt_file_store_policy(file, definition->values.name, &stored, &id, who, error) != SQLITE_OK)
        return error->code;
    bool exists = id != 0;
    *made = !exists;
    if (exists) *policy = stored;
    if (rbt_limit_definition_apply(definition, exists || known, policy, who, error) != SQLITE_OK)
        return error->code;
    if (!exists || stored.enforce != policy->enforce ||
        !rbt_limit_rule_equal(&stored.rule, &policy->rule))
        rbt_file_store_define(file, id, policy, who, error);
    return error->code;
}

/* How many keys owe where the policy is now. */
static int count_owing(rbt_connection *connection, const rbt_limit_registered *registered,
                       const char *name, int64_t *owing, const char *who, rbt_error *error) {
    rbt_limit_policy policy;
    int64_t id = 0;
    const char *path = registered->path;
    if (path == NULL) {
        rbt_limit_lock();
        *owing = (int64_t)rbt_memory_store_owing(rbt_limit_memory(), &registered->policy.rule,
                                                 rbt_limit_uptime_us());
        rbt_limit_unlock();
        return SQLITE_OK;
    }
    rbt_file_store *file = rbt_limit_file(connection, path, false, who, error);
    if (file == NULL || rbt_file_store_begin(file, false, who, error) != SQLITE_OK) {
        /* a file that is gone has no debtors, and keeps no policy from a new place */
        if (error->code == SQLITE_CANTOPEN) rbt_error_clear(error);
        return error->code;
    }
    rbt_file_store_policy(file, name, &policy, &id, who, error);
    if (error->code == SQLITE_OK && id != 0) rbt_file_store_owing(file, id, owing, who, error);
    rbt_file_store_rollback(file);
    return error->code;
}

/* The file is written first: should the process end then, the file is right, and it knows no more. */
static int define_with_file(rbt_connection *connection, const rbt_limit_definition *definition,
                            const char *given_path, rbt_limit_registered *registered,
                            rbt_limit_policy *result, const char **path, bool *made,
                            const char *who, rbt_error *error) {
    const char *name = definition->values.name;
    rbt_file_store *file = rbt_limit_file(connection, given_path, true, who, error);
    if (file == NULL) return error->code;
    int64_t owing = 0;
    if (registered != NULL && moves(registered->path, rbt_file_store_path(file)) &&
        count_owing(connection, registered, name, &owing, who, error) == SQLITE_OK && owing > 0)
        refuse_move(owing, name, who, error);
    if (rbt_file_store_begin(file, true, who, error) != SQLITE_OK) {
        if (error->code == SQLITE_CANTOPEN) rbt_limit_drop_file(connection, file);
        return error->code;
    }
    if (define_in_file(file, definition, registered != NULL, result, made, who, error) == SQLITE_OK)
        rbt_file_store_commit(file, who, error);
    rbt_file_store_rollback(file);
    if (error->code != SQLITE_OK) return error->code;

    rbt_limit_lock();
    registered = rbt_limit_find(name); /* another thread may have been faster */
    if (registered == NULL) {
        registered = rbt_limit_register(result, rbt_file_store_path(file), who, error);
    } else if (moves(registered->path, rbt_file_store_path(file))) {
        char *copy = rbt_strdup(rbt_file_store_path(file));
        if (copy == NULL)
            rbt_fail_nomem(error);
        else if (registered->path == NULL)
            rbt_memory_store_forget(rbt_limit_memory(), &registered->policy.rule);
        if (copy != NULL)
            registered->path = copy; /* the old text stays: a session may still look at it */
    }
    if (registered != NULL && error->code == SQLITE_OK) {
        registered->policy = *result;
        *path = registered->path;
    }
    rbt_limit_unlock();
    return error->code;
}

static int define_without_file(rbt_connection *connection, const rbt_limit_definition *definition,
                               rbt_limit_registered *registered, rbt_limit_policy *result,
                               bool *made, const char *who, rbt_error *error) {
    int64_t owing = 0;
    if (registered != NULL && registered->path != NULL &&
        count_owing(connection, registered, definition->values.name, &owing, who, error) ==
            SQLITE_OK &&
        owing > 0)
        refuse_move(owing, definition->values.name, who, error);
    rbt_limit_lock();
    registered = rbt_limit_find(definition->values.name);
    *made = registered == NULL;
    if (registered != NULL) *result = registered->policy;
    if (error->code == SQLITE_OK &&
        rbt_limit_definition_apply(definition, registered != NULL, result, who, error) == SQLITE_OK)
        define_in_memory(registered, result, who, error);
    rbt_limit_unlock();
    return error->code;
}

int rbt_limits_define(rbt_connection *connection, const rbt_limit_definition *definition,
                      rbt_limit_policy *result, const char **path, bool *made, const char *who,
                      rbt_error *error) {
    rbt_limit_lock();
    rbt_limit_prepare(error);
    rbt_limit_registered *registered =
        error->code == SQLITE_OK ? rbt_limit_find(definition->values.name) : NULL;
    if (registered != NULL) *result = registered->policy;
    const char *present = registered ? registered->path : NULL;
    rbt_limit_unlock();
    if (error->code != SQLITE_OK) return error->code;

    const char *wanted = definition->store ? definition->store : present;
    if (definition->store != NULL && strcmp(definition->store, "memory") == 0) wanted = NULL;
    *path = NULL;
    if (wanted == NULL)
        return define_without_file(connection, definition, registered, result, made, who, error);
    return define_with_file(connection, definition, wanted, registered, result, path, made, who,
                            error);
}

int rbt_limits_list(size_t position, rbt_limit_listed *listed, bool *found, rbt_error *error) {
    rbt_limit_lock();
    const rbt_limit_registered *registered =
        rbt_limit_prepare(error) == SQLITE_OK ? rbt_limit_at(position) : NULL;
    *found = registered != NULL;
    if (registered != NULL)
        *listed = (rbt_limit_listed){registered->policy, registered->path, registered->allowed,
                                     registered->denied};
    rbt_limit_unlock();
    return error->code;
}

int rbt_limits_refresh(rbt_connection *connection, rbt_limit_listed *listed, const char *who,
                       rbt_error *error) {
    rbt_limit_policy policy;
    int64_t id = 0;
    if (listed->path == NULL) return SQLITE_OK;
    rbt_file_store *file = rbt_limit_file(connection, listed->path, false, who, error);
    if (file == NULL || rbt_file_store_begin(file, false, who, error) != SQLITE_OK)
        return error->code;
    rbt_file_store_policy(file, listed->policy.name, &policy, &id, who, error);
    rbt_file_store_rollback(file);
    if (error->code == SQLITE_OK && id != 0) listed->policy = policy;
    return error->code;
}
