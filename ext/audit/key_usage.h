/* SPDX-License-Identifier: MIT
** The table key_usage: which columns hold values that depend on which key. */
#ifndef RBT_AUDIT_KEY_USAGE_H
#define RBT_AUDIT_KEY_USAGE_H

#include "../base/registry.h"

/* Ends with a row whose name is NULL. */
extern const rbt_table rbt_key_usage_tables[];

#endif
