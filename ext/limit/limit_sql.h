/* SPDX-License-Identifier: MIT
** The SQL functions and tables of limits: rate_*. */
#ifndef RBT_LIMIT_LIMIT_SQL_H
#define RBT_LIMIT_LIMIT_SQL_H

#include "../base/registry.h"

/* Both end with a row whose name is NULL. */
extern const rbt_function rbt_rate_functions[];
extern const rbt_table rbt_rate_tables[];

#endif
