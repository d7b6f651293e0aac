/* SPDX-License-Identifier: MIT
** The cold half of a query on a log: entries that were pruned and live in segments. */
#ifndef RBT_AUDIT_LOG_COLD_H
#define RBT_AUDIT_LOG_COLD_H

#include "log_plan.h"
#include "segment_store.h"

typedef struct rbt_cold rbt_cold;

/* Starts reading entries 1 … log->pruned_to (the log is peeked) that meet the query's terms, whose
** right-hand sides are arguments (converted in place as the column's affinity would). By id, upwards or
** as the query says. A missing, altered or untrusted segment is an error, never fewer rows. */
int rbt_cold_open(rbt_cold **cold, rbt_log *log, const rbt_query *query, sqlite3_value **arguments,
                  rbt_error *error);
/* SQLITE_ROW, SQLITE_DONE or the error. *leaf: OUT, valid until the next call. */
int rbt_cold_next(rbt_cold *cold, const rbt_leaf **leaf, rbt_error *error);
void rbt_cold_close(rbt_cold *cold); /* NULL is fine */

#endif
