/* SPDX-License-Identifier: MIT
** The SQL functions of subjects: subject_encrypt, subject_decrypt, subject_hold, subject_release,
** subject_forget. */
#ifndef RBT_AUDIT_SUBJECT_SQL_H
#define RBT_AUDIT_SUBJECT_SQL_H

#include "../base/registry.h"

/* Ends with a row whose name is NULL. */
extern const rbt_function rbt_subject_functions[];

#endif
