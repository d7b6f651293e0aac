/* SPDX-License-Identifier: MIT
** The SQL functions of recovery: key_backup, key_restore. */
#ifndef RBT_CRYPTO_RECOVERY_SQL_H
#define RBT_CRYPTO_RECOVERY_SQL_H

#include "../base/registry.h"

/* Ends with a row whose name is NULL. */
extern const rbt_function rbt_recovery_functions[];

#endif
