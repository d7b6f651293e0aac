/* SPDX-License-Identifier: MIT
** The table rustybt_help: one row for each function and table, from the same arrays that register
** them, so neither can miss one.
**
**     SELECT signature, description FROM rustybt_help WHERE needs = 'nothing'
**
** Columns: name, kind (function; table: usable in FROM as it is; module: CREATE VIRTUAL TABLE …
** USING), signature, needs, description, example. Rows come in the order of registration.
*/
#ifndef RBT_BASE_HELP_H
#define RBT_BASE_HELP_H

#include "registry.h"
#include <stddef.h>

/* What one capability registers: arrays that end with a row whose name is NULL, or NULL for none. */
typedef struct rbt_capability {
    const rbt_function *functions;
    const rbt_table *tables;
} rbt_capability;

/* Everything; the user data of rbt_help_module, borrowed, must outlive the connection. */
typedef struct rbt_catalogue {
    const rbt_capability *capabilities;
    size_t count;
} rbt_catalogue;

extern const sqlite3_module rbt_help_module;

#endif
