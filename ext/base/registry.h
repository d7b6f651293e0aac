/* SPDX-License-Identifier: MIT
** Rows of the registration table: from the same rows SQLite learns a function and rustybt_help tells
** of it, so neither can miss one. Each capability offers its arrays; rustybt.c registers them all.
*/
#ifndef RBT_BASE_REGISTRY_H
#define RBT_BASE_REGISTRY_H

#include "sqlite.h"

/* Flag sets of DESIGN §2. */
enum {
    RBT_PURE = SQLITE_UTF8 | SQLITE_INNOCUOUS | SQLITE_DETERMINISTIC,
    RBT_INNOCUOUS = SQLITE_UTF8 | SQLITE_INNOCUOUS,
    RBT_PLAIN = SQLITE_UTF8,
    RBT_DIRECT = SQLITE_UTF8 | SQLITE_DIRECTONLY
};

typedef struct rbt_function {
    const char *name;
    int min_arguments, max_arguments; /* registered once for each count in between; -1: any */
    int flags;
    void (*call)(sqlite3_context *context, int argument_count, sqlite3_value **arguments);
    const char *signature;   /* "encrypt(value[, context])"; NULL: internal, not in rustybt_help */
    const char *needs;       /* "nothing", "verify", "signing", "encryption" */
    const char *description; /* one line */
    const char *example;     /* one statement that runs */
} rbt_function;

typedef struct rbt_table {
    const char *name;
    const sqlite3_module *module;
    const char *signature;
    const char *needs;
    const char *description;
    const char *example;
} rbt_table;

#endif
