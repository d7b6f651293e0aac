/* SPDX-License-Identifier: MIT
** audit_error: what a log would say to an entry, without writing it. The array ends with a row of zeros. */
#ifndef RBT_AUDIT_ENTRY_SQL_H
#define RBT_AUDIT_ENTRY_SQL_H

#include "../base/registry.h"

extern const rbt_function rbt_entry_functions[];

#endif
