/* SPDX-License-Identifier: MIT
** How a query on a log is answered: xBestIndex turns its constraints into one SELECT on <log>_rows (so
** SQLite's own planner picks among the log's indexes) and into terms that cold entries are held
** against. The plan travels in idxStr:
**
**   <colUsed, hex> "|" <flags> "|" (<column> "," <operator> ";")… "|" <SELECT …>
**
** Columns are numbered as SQLite numbers them: 0 id, 1 recorded_at, 2 … the declared ones, last tier.
*/
#ifndef RBT_AUDIT_LOG_PLAN_H
#define RBT_AUDIT_LOG_PLAN_H

#include "log_state.h"

enum { RBT_LOG_COLUMN_ID = 0, RBT_LOG_COLUMN_RECORDED_AT = 1, RBT_LOG_COLUMN_FIRST = 2 };

enum {
    RBT_PLAN_DESCENDING = 1, /* by id, downwards */
    RBT_PLAN_COUNT = 2       /* neither columns nor constraints: entries only have to be counted */
};

typedef struct rbt_plan_term {
    int column;
    int op; /* SQLITE_INDEX_CONSTRAINT_… */
} rbt_plan_term;

typedef struct rbt_query {
    uint64_t used; /* colUsed */
    int flags;
    size_t term_count;
    rbt_plan_term *terms;
    const char *sql; /* into idxStr */
} rbt_query;

int rbt_log_best_index(rbt_log *log, sqlite3_index_info *info, rbt_error *error);

/* Reads idxStr back; terms are allocated (rbt_free). */
int rbt_query_parse(rbt_query *query, const char *text, int argument_count, rbt_error *error);

#endif
