/* SPDX-License-Identifier: MIT
** How a query on a log is answered: xBestIndex turns its constraints into one SELECT on <log>_rows (so
** SQLite's own planner picks among the log's indexes) and into terms that cold entries are held
** against. The plan travels in idxStr:
**
**   <colUsed, hex> "|" <flags> "|" (<column> "," <operator> ";")… "|" <length of cold> "|" <cold> <SELECT …>
**
** cold says for people, as EXPLAIN QUERY PLAN shows it, by which terms frames of segments are chosen:
** "cold frames by order_id=? and id>?, newest first; hot rows by ". Empty with reads=hot.
** Columns are numbered as SQLite numbers them: 0 id, 1 recorded_at, 2 … the declared ones, last tier.
*/
#ifndef RBT_AUDIT_LOG_PLAN_H
#define RBT_AUDIT_LOG_PLAN_H

#include "log_state.h"

enum { RBT_LOG_COLUMN_ID = 0, RBT_LOG_COLUMN_RECORDED_AT = 1, RBT_LOG_COLUMN_FIRST = 2 };

/* The op of a term `column IN (…)` whose list is handed over at once (sqlite3_vtab_in): none of SQLite's. */
enum { RBT_PLAN_IN = 1 };

enum {
    RBT_PLAN_DESCENDING = 1, /* by id, downwards */
    RBT_PLAN_COUNT = 2,      /* neither columns nor constraints: entries only have to be counted */
    RBT_PLAN_BY_ID = 4       /* ordered by id */
};

typedef struct rbt_plan_term {
    int column;
    int op; /* SQLITE_INDEX_CONSTRAINT_…, or RBT_PLAN_IN on a TEXT or JSON column */
} rbt_plan_term;

typedef struct rbt_query {
    uint64_t used; /* colUsed */
    int flags;
    size_t term_count;
    rbt_plan_term *terms;
    const char *sql; /* the SELECT, into idxStr */
} rbt_query;

int rbt_log_best_index(rbt_log *log, sqlite3_index_info *info, rbt_error *error);

/* TEXT and JSON columns: comparisons with them depend on the affinity of the other side, which a virtual
** table is not told (sqlite.org/datatype3.html §4.2). A term on one is therefore a help, and SQLite checks
** it again; with a number on the other side it is no help at all and must be left out. Not for RBT_PLAN_IN,
** of which the same is true with a number in the list. */
bool rbt_term_applies(const rbt_log *log, const rbt_plan_term *term, sqlite3_value *right);

/* Appends the SELECT of a query; terms[i] compares with ?(i+1), and those of RBT_PLAN_IN, in their order, with
** lists[i] parameters each from ?(term_count+1) on. leave_out may be NULL; so may lists: one each. */
void rbt_query_sql(rbt_buffer *out, const rbt_log *log, const rbt_query *query,
                   const bool *leave_out, const size_t *lists);

/* Reads idxStr back; terms are allocated (rbt_free). */
int rbt_query_parse(rbt_query *query, const char *text, int argument_count, rbt_error *error);

#endif
