/* SPDX-License-Identifier: MIT
** See log_plan.h. May call base and audit's state.
*/
#include "log_plan.h"

#include "../base/memory.h"
#include "../base/sql_util.h"

#include <stdlib.h>

static const char *operator_text(int op) {
    switch (op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
        return "=";
    case SQLITE_INDEX_CONSTRAINT_GT:
        return ">";
    case SQLITE_INDEX_CONSTRAINT_LE:
        return "<=";
    case SQLITE_INDEX_CONSTRAINT_LT:
        return "<";
    case SQLITE_INDEX_CONSTRAINT_GE:
        return ">=";
    case SQLITE_INDEX_CONSTRAINT_NE:
        return "<>";
    case SQLITE_INDEX_CONSTRAINT_IS:
        return "IS";
    case SQLITE_INDEX_CONSTRAINT_ISNOT:
        return "IS NOT";
    case SQLITE_INDEX_CONSTRAINT_ISNULL:
        return "IS NULL";
    case SQLITE_INDEX_CONSTRAINT_ISNOTNULL:
        return "IS NOT NULL";
    default:
        return NULL;
    }
}

static bool is_unary(int op) {
    return op == SQLITE_INDEX_CONSTRAINT_ISNULL || op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL;
}

static bool is_range(int op) {
    return op == SQLITE_INDEX_CONSTRAINT_GT || op == SQLITE_INDEX_CONSTRAINT_GE ||
           op == SQLITE_INDEX_CONSTRAINT_LT || op == SQLITE_INDEX_CONSTRAINT_LE;
}

static void add_column_name(rbt_buffer *out, const rbt_log *log, int column) {
    if (column == RBT_LOG_COLUMN_ID)
        rbt_buffer_add_text(out, "id");
    else if (column == RBT_LOG_COLUMN_RECORDED_AT)
        rbt_buffer_add_text(out, "recorded_at");
    else
        rbt_add_identifier(out,
                           log->declaration->shape.columns[column - RBT_LOG_COLUMN_FIRST].name);
}

/* What a table of the log's size costs under the constraints seen so far. */
typedef struct estimate {
    bool by_id;       /* id = ? */
    bool by_index;    /* = on the first column of an INDEX */
    int id_ranges;    /* bounds on id */
    int index_ranges; /* bounds on the first column of an INDEX */
    int others;
} estimate;

static void count_term(estimate *e, const rbt_log *log, int column, int op) {
    bool equal = op == SQLITE_INDEX_CONSTRAINT_EQ || op == SQLITE_INDEX_CONSTRAINT_IS;
    bool indexed = column >= RBT_LOG_COLUMN_FIRST &&
                   log->declaration->columns[column - RBT_LOG_COLUMN_FIRST].indexed;
    if (column == RBT_LOG_COLUMN_ID && equal)
        e->by_id = true;
    else if (column == RBT_LOG_COLUMN_ID && is_range(op))
        e->id_ranges++;
    else if (indexed && equal)
        e->by_index = true;
    else if (indexed && is_range(op))
        e->index_ranges++;
    else
        e->others++;
}

static void set_cost(const estimate *e, const rbt_log *log, sqlite3_index_info *info) {
    double rows = log->frontier.size > 1000 ? (double)log->frontier.size : 100000.0;
    double cost = rows * 2;
    if (e->by_id) {
        rows = 1;
        cost = 5;
        info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
    } else if (e->by_index) {
        rows = rows > 100000 ? rows / 10000 : 10;
        cost = 20 + rows * 3;
    } else if (e->id_ranges || e->index_ranges) {
        rows /= e->id_ranges > 1 || e->index_ranges > 1 ? 64 : 4;
        cost = 20 + rows * (e->id_ranges ? 2 : 3);
    }
    for (int i = 0; i < e->others && rows > 2; i++)
        rows /= 4;
    info->estimatedCost = cost;
    info->estimatedRows = (sqlite3_int64)rows;
}

int rbt_log_best_index(rbt_log *log, sqlite3_index_info *info, rbt_error *error) {
    int tier = (int)log->declaration->shape.count + RBT_LOG_COLUMN_FIRST;
    rbt_buffer terms = {0}, where = {0}, sql = {0}, plan = {0};
    estimate e = {0};
    int arguments = 0, flags = 0;
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &info->aConstraint[i];
        int column = c->iColumn < 0 ? RBT_LOG_COLUMN_ID : c->iColumn;
        const char *op = operator_text(c->op);
        if (!c->usable || !op || column >= tier) continue;
        /* `= … COLLATE NOCASE` finds more than our BINARY comparison would. */
        if (sqlite3_stricmp(sqlite3_vtab_collation(info, i), "BINARY") != 0) continue;
        info->aConstraintUsage[i].argvIndex = ++arguments;
        info->aConstraintUsage[i].omit = 1;
        rbt_buffer_printf(&terms, "%d,%d;", column, (int)c->op);
        rbt_buffer_add_text(&where, arguments == 1 ? " WHERE " : " AND ");
        add_column_name(&where, log, column);
        if (is_unary(c->op))
            rbt_buffer_printf(&where, " %s", op);
        else
            rbt_buffer_printf(&where, " %s ?%d", op, arguments);
        count_term(&e, log, column, c->op);
    }
    bool by_id = info->nOrderBy == 1 && info->aOrderBy[0].iColumn <= RBT_LOG_COLUMN_ID;
    if (by_id && info->aOrderBy[0].desc) flags |= RBT_PLAN_DESCENDING;
    if (arguments == 0 && info->colUsed == 0) flags |= RBT_PLAN_COUNT;

    rbt_buffer_add_text(&sql, "SELECT id");
    for (int column = RBT_LOG_COLUMN_RECORDED_AT; column < tier; column++) {
        uint64_t bit = (uint64_t)1 << (column < 63 ? column : 63);
        if (!(info->colUsed & bit)) continue;
        rbt_buffer_add_text(&sql, ", ");
        add_column_name(&sql, log, column);
    }
    rbt_buffer_printf(&sql, " FROM \"%w\".\"%w_rows\"", log->schema, log->name);
    if (where.length) rbt_buffer_add(&sql, where.data, where.length);
    if (by_id)
        rbt_buffer_add_text(&sql,
                            flags & RBT_PLAN_DESCENDING ? " ORDER BY id DESC" : " ORDER BY id");
    info->orderByConsumed = by_id;
    set_cost(&e, log, info);

    char *term_text = rbt_buffer_text(&terms), *sql_text = rbt_buffer_text(&sql);
    if (term_text && sql_text && !where.failed)
        rbt_buffer_printf(&plan, "%llx|%d|%s|%s", (unsigned long long)info->colUsed, flags,
                          term_text, sql_text);
    info->idxStr = term_text && sql_text && !where.failed ? rbt_buffer_take(&plan) : NULL;
    info->needToFreeIdxStr = info->idxStr != NULL;
    if (!info->idxStr) rbt_fail_nomem(error);
    rbt_buffer_free(&terms);
    rbt_buffer_free(&where);
    rbt_buffer_free(&sql);
    rbt_buffer_free(&plan);
    return error->code;
}

int rbt_query_parse(rbt_query *query, const char *text, int argument_count, rbt_error *error) {
    char *end = NULL;
    memset(query, 0, sizeof *query);
    query->used = strtoull(text, &end, 16);
    query->flags = (int)strtol(end + 1, &end, 10);
    query->terms = rbt_calloc((size_t)(argument_count + 1) * sizeof *query->terms);
    if (!query->terms) return rbt_fail_nomem(error);
    for (end++; *end != '|' && query->term_count < (size_t)argument_count; end++) {
        rbt_plan_term *term = &query->terms[query->term_count++];
        term->column = (int)strtol(end, &end, 10);
        term->op = (int)strtol(end + 1, &end, 10);
    }
    query->sql = end + 1;
    return SQLITE_OK;
}
