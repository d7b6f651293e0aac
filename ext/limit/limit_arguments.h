/* SPDX-License-Identifier: MIT
** Arguments that the SQL functions of limits share (private to its SQL glue). */
#ifndef RBT_LIMIT_LIMIT_ARGUMENTS_H
#define RBT_LIMIT_LIMIT_ARGUMENTS_H

#include "limits.h"

/* Policy and key, cost 1. The key is TEXT, or an INTEGER, which counts as its digits; it lives as long
** as the value. */
int rbt_limit_item_arguments(rbt_limit_item *item, sqlite3_value *policy, sqlite3_value *key,
                             const char *who, rbt_error *error);
/* A whole number of units, at least 1; NULL pointer: 1. */
int rbt_limit_cost_argument(int64_t *cost, sqlite3_value *value, const char *who, rbt_error *error);
/* '30 s', or a number of seconds, fractions rounded up to a microsecond; from 0 to 366 days. */
int rbt_limit_duration_argument(int64_t *us, sqlite3_value *value, const char *name,
                                const char *who, rbt_error *error);
/* What gives rights back, or takes them away for long, must stand in a statement that writes nothing:
** see rbt_inside_a_write. */
int rbt_limit_refuse_in_a_write(sqlite3 *db, const char *who, rbt_error *error);

#endif
