/* SPDX-License-Identifier: MIT
** The arguments of tables that read files, archive_entries and archive_salvage: two hidden columns,
** path_or_glob and vkeys, the second of which may be left out. Calls base and SQLite.
*/
#ifndef RBT_ARCHIVE_PATH_ARGUMENTS_H
#define RBT_ARCHIVE_PATH_ARGUMENTS_H

#include "../base/error.h"
#include "../base/sqlite.h"

/* Starts as {0}. The texts lie within the values, which are copies. */
typedef struct rbt_path_arguments {
    sqlite3_value *path_value, *vkeys_value; /* vkeys_value may be NULL */
    const char *path, *vkeys;
} rbt_path_arguments;

/* xBestIndex; path_or_glob is column `first`. */
int rbt_path_arguments_best_index(sqlite3_index_info *info, int first);
/* xFilter: given is idxNum. On failure, a missing path among them, nothing is held. */
int rbt_path_arguments_take(rbt_path_arguments *taken, int given, sqlite3_value **arguments,
                            const char *who, rbt_error *error);
/* xColumn: 0 path_or_glob, 1 vkeys. */
void rbt_path_arguments_give(const rbt_path_arguments *taken, int argument,
                             sqlite3_context *context);
void rbt_path_arguments_free(rbt_path_arguments *taken);

#endif
