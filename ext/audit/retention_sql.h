/* SPDX-License-Identifier: MIT
** How long entries stay, and where, as SQL: audit_hold, audit_release, audit_expire, audit_relocate, and
** the table audit_holds. */
#ifndef RBT_AUDIT_RETENTION_SQL_H
#define RBT_AUDIT_RETENTION_SQL_H

#include "../base/registry.h"

/* Both end with a row of zeros. */
extern const rbt_function rbt_retention_functions[];
extern const rbt_table rbt_retention_tables[];

#endif
