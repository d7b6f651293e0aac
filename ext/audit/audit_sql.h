/* SPDX-License-Identifier: MIT
** What SQL sees of the audit log. Arrays end with a row of zeros. */
#ifndef RBT_AUDIT_AUDIT_SQL_H
#define RBT_AUDIT_AUDIT_SQL_H

#include "../base/registry.h"

extern const rbt_function rbt_audit_functions[];
extern const rbt_table rbt_audit_tables[];

#endif
