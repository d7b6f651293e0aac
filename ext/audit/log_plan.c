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
    case RBT_PLAN_IN:
        return "IN";
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
    bool by_list;     /* IN on it */
    int id_ranges;    /* bounds on id */
    int index_ranges; /* bounds on the first column of an INDEX */
    int others;
} estimate;

static void count_term(estimate *e, const rbt_log *log, int column, int op) {
    bool equal = op == SQLITE_INDEX_CONSTRAINT_EQ || op == SQLITE_INDEX_CONSTRAINT_IS;
    bool indexed = column >= RBT_LOG_COLUMN_FIRST &&
                   log->declaration->shape.columns[column - RBT_LOG_COLUMN_FIRST].indexed;
    if (column == RBT_LOG_COLUMN_ID && equal)
        e->by_id = true;
    else if (column == RBT_LOG_COLUMN_ID && is_range(op))
        e->id_ranges++;
    else if (indexed && equal)
        e->by_index = true;
    else if (indexed && op == RBT_PLAN_IN)
        e->by_list = true;
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
    } else if (e->by_list) { /* of 25 values, as SQLite itself guesses */
        rows = rows > 100000 ? rows / 400 : 250;
        cost = 100 + rows * 3;
    } else if (e->id_ranges || e->index_ranges) {
        rows /= e->id_ranges > 1 || e->index_ranges > 1 ? 64 : 4;
        cost = 20 + rows * (e->id_ranges ? 2 : 3);
    }
    for (int i = 0; i < e->others && rows > 2; i++)
        rows /= 4;
    info->estimatedCost = cost;
    info->estimatedRows = (sqlite3_int64)rows;
}

static bool is_text(const rbt_log *log, int column) {
    if (column < RBT_LOG_COLUMN_FIRST) return false;
    rbt_column_type type = log->declaration->shape.columns[column - RBT_LOG_COLUMN_FIRST].type;
    return type == RBT_COLUMN_TEXT || type == RBT_COLUMN_JSON;
}

bool rbt_term_applies(const rbt_log *log, const rbt_plan_term *term, sqlite3_value *right) {
    if (is_unary(term->op) || !is_text(log, term->column)) return true;
    int type = sqlite3_value_type(right);
    return type != SQLITE_INTEGER && type != SQLITE_FLOAT;
}

void rbt_query_sql(rbt_buffer *out, const rbt_log *log, const rbt_query *query,
                   const bool *leave_out, const size_t *lists) {
    size_t listed = query->term_count;
    int tier = (int)log->declaration->shape.count + RBT_LOG_COLUMN_FIRST;
    const char *joint = " WHERE ";
    rbt_buffer_add_text(out, "SELECT id");
    for (int column = RBT_LOG_COLUMN_RECORDED_AT; column < tier; column++) {
        if (!(query->used >> (column < 63 ? column : 63) & 1)) continue;
        rbt_buffer_add_text(out, ", ");
        add_column_name(out, log, column);
    }
    rbt_buffer_printf(out, " FROM \"%w\".\"%w_rows\"", log->schema, log->name);
    for (size_t i = 0; i < query->term_count; i++) {
        if (leave_out && leave_out[i]) continue;
        rbt_buffer_add_text(out, joint);
        joint = " AND ";
        add_column_name(out, log, query->terms[i].column);
        rbt_buffer_printf(out, " %s", operator_text(query->terms[i].op));
        if (query->terms[i].op == RBT_PLAN_IN)
            for (size_t k = 0, count = lists ? lists[i] : 1; k < count; k++)
                rbt_buffer_printf(out, "%s?%d%s", k ? ", " : " (", (int)++listed,
                                  k + 1 == count ? ")" : "");
        else if (!is_unary(query->terms[i].op))
            rbt_buffer_printf(out, " ?%d", (int)i + 1);
    }
    if (query->flags & RBT_PLAN_BY_ID)
        rbt_buffer_add_text(out, query->flags & RBT_PLAN_DESCENDING ? " ORDER BY id DESC"
                                                                    : " ORDER BY id");
}

/* SQLite tells an IN from an = only among the first constraints (sqlite3_vtab_in's mask of 32 bits). */
enum { CONSTRAINTS_WITH_LISTS = 32 };

/* Whether a constraint becomes a term, of which operator, and whether SQLite need not check it again. */
static bool take_constraint(const rbt_log *log, sqlite3_index_info *info, int i, int column,
                            int *op_out, bool *exact) {
    int op = info->aConstraint[i].op;
    sqlite3_value *right = NULL;
    *exact = true;
    *op_out = op;
    if (op == RBT_PLAN_IN || !operator_text(op)) return false;
    /* `= … COLLATE NOCASE` finds more than our BINARY comparison would. */
    if (sqlite3_stricmp(sqlite3_vtab_collation(info, i), "BINARY") != 0) return false;
    if (is_unary(op) || !is_text(log, column)) return true;
    /* SQLite would hand over one value of an IN at a time and check it without the affinity of the list. All at
    ** once they come as the list's affinity has made them, and SQLite checks the rows against the list. */
    if (sqlite3_vtab_in(info, i, 1)) {
        *op_out = RBT_PLAN_IN;
        *exact = false;
        return true;
    }
    /* A text literal has no affinity: then the comparison is one of texts. */
    *exact = sqlite3_vtab_rhs_value(info, i, &right) == SQLITE_OK && right &&
             sqlite3_value_type(right) == SQLITE_TEXT;
    if (*exact) {
        *exact = !is_range(op); /* the order of texts depends on the database's encoding */
        return true;
    }
    if (i >= CONSTRAINTS_WITH_LISTS) return false;
    /* If the other side turns out to have NUMERIC affinity and to hold text, texts that look like numbers
    ** sort before it: = IS > >= still find all they should, the others might not. */
    return op == SQLITE_INDEX_CONSTRAINT_EQ || op == SQLITE_INDEX_CONSTRAINT_IS ||
           op == SQLITE_INDEX_CONSTRAINT_GT || op == SQLITE_INDEX_CONSTRAINT_GE;
}

/* Whether zone maps and filters of frames can help with the term (log_cold.c decides by the values). */
static bool narrows_frames(const rbt_log *log, const rbt_plan_term *term) {
    bool equal = term->op == SQLITE_INDEX_CONSTRAINT_EQ || term->op == SQLITE_INDEX_CONSTRAINT_IS;
    if (term->column < RBT_LOG_COLUMN_FIRST) return equal || is_range(term->op);
    switch (log->declaration->shape.columns[term->column - RBT_LOG_COLUMN_FIRST].type) {
    case RBT_COLUMN_INTEGER:
    case RBT_COLUMN_REAL:
        return equal || is_range(term->op);
    case RBT_COLUMN_TEXT:
        return equal; /* the order of texts depends on the database's encoding */
    case RBT_COLUMN_BLOB:
    case RBT_COLUMN_JSON:
        break;
    }
    return false;
}

static void describe_cold(rbt_buffer *out, const rbt_log *log, const rbt_query *query) {
    if (!log->declaration->reads_cold || query->flags & RBT_PLAN_COUNT) return;
    for (size_t i = 0; i < query->term_count; i++) {
        const rbt_plan_term *term = &query->terms[i];
        if (!narrows_frames(log, term)) continue;
        rbt_buffer_add_text(out, out->length == 0 ? "cold frames by " : " and ");
        add_column_name(out, log, term->column);
        rbt_buffer_printf(out, "%s?", is_range(term->op) ? operator_text(term->op) : "=");
    }
    if (out->length == 0) rbt_buffer_add_text(out, "all cold frames");
    if (query->flags & RBT_PLAN_DESCENDING) rbt_buffer_add_text(out, ", newest first");
    rbt_buffer_add_text(out, "; hot rows by ");
}

int rbt_log_best_index(rbt_log *log, sqlite3_index_info *info, rbt_error *error) {
    int tier = (int)log->declaration->shape.count + RBT_LOG_COLUMN_FIRST;
    rbt_buffer plan = {0}, cold = {0};
    estimate e = {0};
    rbt_query query = {.used = info->colUsed};
    query.terms = rbt_calloc((size_t)(info->nConstraint + 1) * sizeof *query.terms);
    if (!query.terms) return rbt_fail_nomem(error);
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &info->aConstraint[i];
        int column = c->iColumn < 0 ? RBT_LOG_COLUMN_ID : c->iColumn;
        bool exact;
        int op;
        if (!c->usable || column >= tier || !take_constraint(log, info, i, column, &op, &exact))
            continue;
        query.terms[query.term_count++] = (rbt_plan_term){column, op};
        info->aConstraintUsage[i].argvIndex = (int)query.term_count;
        info->aConstraintUsage[i].omit = exact;
        count_term(&e, log, column, op);
    }
    if (info->nOrderBy == 1 && info->aOrderBy[0].iColumn <= RBT_LOG_COLUMN_ID)
        query.flags |= RBT_PLAN_BY_ID | (info->aOrderBy[0].desc ? RBT_PLAN_DESCENDING : 0);
    if (query.term_count == 0 && info->colUsed == 0 && !(query.flags & RBT_PLAN_DESCENDING))
        query.flags |= RBT_PLAN_COUNT;
    info->orderByConsumed = (query.flags & RBT_PLAN_BY_ID) != 0;
    set_cost(&e, log, info);

    rbt_buffer_printf(&plan, "%llx|%d|", (unsigned long long)query.used, query.flags);
    for (size_t i = 0; i < query.term_count; i++)
        rbt_buffer_printf(&plan, "%d,%d;", query.terms[i].column, query.terms[i].op);
    describe_cold(&cold, log, &query);
    rbt_buffer_printf(&plan, "|%d|", (int)cold.length);
    rbt_buffer_add(&plan, cold.data, cold.length);
    plan.failed |= cold.failed;
    rbt_query_sql(&plan, log, &query, NULL, NULL);
    info->idxStr = rbt_buffer_take(&plan);
    info->needToFreeIdxStr = info->idxStr != NULL;
    if (!info->idxStr) rbt_fail_nomem(error);
    rbt_buffer_free(&plan);
    rbt_buffer_free(&cold);
    rbt_free(query.terms);
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
    long cold_length = strtol(end + 1, &end, 10);
    query->sql = end + 1 + cold_length;
    return SQLITE_OK;
}
