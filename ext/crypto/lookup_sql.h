/* SPDX-License-Identifier: MIT
** The SQL function that makes encrypted columns searchable: blind_index. */
#ifndef RBT_CRYPTO_LOOKUP_SQL_H
#define RBT_CRYPTO_LOOKUP_SQL_H

#include "../base/registry.h"

/* Ends with a row whose name is NULL. */
extern const rbt_function rbt_lookup_functions[];

#endif
