/* SPDX-License-Identifier: MIT
** The SQL functions and the table of keys: keygen, key_id, key_rotate; key_ring. */
#ifndef RBT_CRYPTO_KEYS_SQL_H
#define RBT_CRYPTO_KEYS_SQL_H

#include "../base/registry.h"

/* Both end with a row whose name is NULL. */
extern const rbt_function rbt_key_functions[];
extern const rbt_table rbt_key_tables[];

#endif
