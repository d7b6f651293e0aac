/* SPDX-License-Identifier: MIT
** The SQL function that judges decimals: decimal_error. */
#ifndef RBT_CHECK_DECIMAL_SQL_H
#define RBT_CHECK_DECIMAL_SQL_H

#include "../base/registry.h"

/* Ends with a row whose name is NULL. */
extern const rbt_function rbt_decimal_functions[];

#endif
