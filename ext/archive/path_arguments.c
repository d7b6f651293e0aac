/* SPDX-License-Identifier: MIT
** See path_arguments.h.
*/
#include "path_arguments.h"

#include "../base/sql_util.h"

enum { PATH_GIVEN = 1, VKEYS_GIVEN = 2 };

int rbt_path_arguments_best_index(sqlite3_index_info *info, int first) {
    info->estimatedCost = 1e7;
    info->estimatedRows = 1000000;
    return rbt_choose_arguments(info, first, 2);
}

void rbt_path_arguments_free(rbt_path_arguments *taken) {
    sqlite3_value_free(taken->path_value);
    sqlite3_value_free(taken->vkeys_value);
    *taken = (rbt_path_arguments){0};
}

int rbt_path_arguments_take(rbt_path_arguments *taken, int given, sqlite3_value **arguments,
                            const char *who, rbt_error *error) {
    rbt_path_arguments_free(taken);
    if (!(given & PATH_GIVEN))
        return rbt_fail(error, SQLITE_ERROR, "%s: expected a path or glob", who);
    taken->path_value = sqlite3_value_dup(arguments[0]);
    if (given & VKEYS_GIVEN) taken->vkeys_value = sqlite3_value_dup(arguments[1]);
    if (!taken->path_value || (given & VKEYS_GIVEN && !taken->vkeys_value)) {
        rbt_fail_nomem(error);
    } else {
        taken->path = rbt_text_argument(taken->path_value, who, "path", error);
        if (taken->vkeys_value)
            taken->vkeys = rbt_text_argument(taken->vkeys_value, who, "vkeys", error);
    }
    if (error->code != SQLITE_OK) rbt_path_arguments_free(taken);
    return error->code;
}

void rbt_path_arguments_give(const rbt_path_arguments *taken, int argument,
                             sqlite3_context *context) {
    sqlite3_value *value = argument == 0 ? taken->path_value : taken->vkeys_value;
    if (value) sqlite3_result_value(context, value);
}
