/* SPDX-License-Identifier: MIT
** See limit_arguments.h. Calls base.
*/
#include "limit_arguments.h"

#include "../base/clock.h"
#include "../base/sql_util.h"

#include <string.h>

int rbt_limit_item_arguments(rbt_limit_item *item, sqlite3_value *policy, sqlite3_value *key,
                             const char *who, rbt_error *error) {
    memset(item, 0, sizeof *item);
    item->cost = 1;
    item->policy_name = rbt_text_argument(policy, who, "policy", error);
    if (item->policy_name == NULL) return error->code;
    int type = sqlite3_value_type(key);
    if (type == SQLITE_INTEGER) {
        item->key = (const char *)sqlite3_value_text(key);
        if (item->key == NULL) return rbt_fail_nomem(error);
    } else if (type == SQLITE_TEXT) {
        item->key = rbt_text_argument(key, who, "key", error);
        if (item->key == NULL) return error->code;
    } else {
        return rbt_fail(error, SQLITE_ERROR, "%s: key must be TEXT or INTEGER, not %s", who,
                        rbt_type_name(type));
    }
    item->key_length = (size_t)sqlite3_value_bytes(key);
    if (item->key_length < 1 || item->key_length > RBT_LIMIT_KEY_BYTES)
        return rbt_fail(error, SQLITE_ERROR, "%s: key has %lld bytes, expected 1 to %d", who,
                        (long long)item->key_length, RBT_LIMIT_KEY_BYTES);
    return SQLITE_OK;
}

int rbt_limit_cost_argument(int64_t *cost, sqlite3_value *value, const char *who,
                            rbt_error *error) {
    *cost = 1;
    if (value == NULL || error->code != SQLITE_OK) return error->code;
    int type = sqlite3_value_type(value);
    if (type != SQLITE_INTEGER)
        return rbt_fail(error, SQLITE_ERROR, "%s: cost must be an INTEGER of at least 1, not %s",
                        who, rbt_type_name(type));
    *cost = sqlite3_value_int64(value);
    if (*cost < 1)
        return rbt_fail(error, SQLITE_ERROR, "%s: cost must be at least 1, not %lld", who,
                        (long long)*cost);
    return SQLITE_OK;
}

int rbt_limit_duration_argument(int64_t *us, sqlite3_value *value, const char *name,
                                const char *who, rbt_error *error) {
    const double longest = (double)RBT_LIMIT_MAX_PERIOD_US / 1e6;
    rbt_duration duration = {0};
    if (error->code != SQLITE_OK) return error->code;
    int type = sqlite3_value_type(value);
    if (type == SQLITE_INTEGER || type == SQLITE_FLOAT) {
        double seconds = sqlite3_value_double(value);
        if (!(seconds >= 0 && seconds <= longest))
            return rbt_fail(error, SQLITE_ERROR, "%s: %s must be from 0 to 366 days", who, name);
        *us = (int64_t)(seconds * 1e6);
        if ((double)*us < seconds * 1e6) ++*us;
        return SQLITE_OK;
    }
    const char *text = type == SQLITE_TEXT ? rbt_text_argument(value, who, name, error) : NULL;
    if (error->code != SQLITE_OK) return error->code;
    if (text == NULL || !rbt_duration_parse(&duration, text, (size_t)sqlite3_value_bytes(value)))
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: %s must be a duration like '30 s', or a number of seconds", who, name);
    if (duration.months != 0 || duration.us > RBT_LIMIT_MAX_PERIOD_US)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: %s must be at most 366 days, and not in months or years", who, name);
    *us = duration.us;
    return SQLITE_OK;
}

int rbt_limit_refuse_in_a_write(sqlite3 *db, const char *who, rbt_error *error) {
    if (rbt_inside_a_write(db))
        rbt_fail(error, SQLITE_ERROR,
                 "%s: it must not stand in a statement that writes; call it in a SELECT of its own",
                 who);
    return error->code;
}
