/* SPDX-License-Identifier: MIT
** The SQL functions and tables of leases and retries: lease_*, retry_delay. */
#ifndef RBT_LIMIT_LEASE_SQL_H
#define RBT_LIMIT_LEASE_SQL_H

#include "../base/registry.h"

/* Both end with a row whose name is NULL. */
extern const rbt_function rbt_lease_functions[];
extern const rbt_table rbt_lease_tables[];

#endif
