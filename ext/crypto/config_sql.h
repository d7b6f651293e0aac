/* SPDX-License-Identifier: MIT
** The SQL function config_get: what the environment or a dotenv file says, but never a key. */
#ifndef RBT_CRYPTO_CONFIG_SQL_H
#define RBT_CRYPTO_CONFIG_SQL_H

#include "../base/registry.h"

/* Ends with a row whose name is NULL. */
extern const rbt_function rbt_config_functions[];

#endif
