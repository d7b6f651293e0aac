/* SPDX-License-Identifier: MIT
** The scalar functions that give evidence to people outside, and proof_verify, which checks it. The array
** ends with a row of zeros. */
#ifndef RBT_AUDIT_EVIDENCE_SQL_H
#define RBT_AUDIT_EVIDENCE_SQL_H

#include "../base/registry.h"

extern const rbt_function rbt_evidence_functions[];

#endif
