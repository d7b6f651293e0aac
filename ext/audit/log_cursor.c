/* SPDX-License-Identifier: MIT
** The reading half of audit_log: hot rows from <log>_rows, cold ones from segments, one after the other
** in the order of ids. May call base and audit.
*/
#include "log_table.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "expired.h"

typedef enum phase { PHASE_DONE, PHASE_COLD, PHASE_HOT, PHASE_COUNT } phase;

typedef struct log_cursor {
    sqlite3_vtab_cursor base; /* Base class - must be first */
    rbt_query query;
    phase now;
    bool hot_ahead, cold_ahead; /* still to be read, after `now` */
    rbt_plan *plan;             /* the statement in use */
    rbt_cold *cold;
    const rbt_leaf *leaf; /* in PHASE_COLD */
    int64_t count, end;   /* in PHASE_COUNT: ids count … end */
    int64_t run_end;      /* in PHASE_COUNT: no id up to here is gone */
    rbt_expired expired;  /* in PHASE_COUNT: ids that are gone */
    size_t expired_passed;
} log_cursor;

static rbt_log *log_of(log_cursor *cursor) {
    return ((rbt_log_vtab *)cursor->base.pVtab)->log;
}

int rbt_log_cursor_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out) {
    (void)table;
    log_cursor *cursor = rbt_calloc(sizeof *cursor);
    if (!cursor) return SQLITE_NOMEM;
    *out = &cursor->base;
    return SQLITE_OK;
}

enum { KEPT_PLANS = 32 }; /* prepared statements kept for one log */

/* Gives the statement back to the log's list; a list that grew too long loses it. */
static void give_back(rbt_log *log, rbt_plan *plan) {
    size_t count = 0;
    rbt_plan **link = &log->plans, **found = NULL;
    for (; *link; link = &(*link)->next, count++)
        if (*link == plan) found = link;
    sqlite3_reset(plan->statement);
    sqlite3_clear_bindings(plan->statement);
    plan->in_use = false;
    if (count <= KEPT_PLANS || !found) return;
    *found = plan->next;
    sqlite3_finalize(plan->statement);
    rbt_free(plan);
}

static void finish(log_cursor *cursor) {
    if (cursor->plan) {
        give_back(log_of(cursor), cursor->plan);
        cursor->plan = NULL;
    }
    rbt_cold_close(cursor->cold);
    cursor->cold = NULL;
    rbt_free(cursor->query.terms);
    memset(&cursor->query, 0, sizeof cursor->query);
    rbt_expired_free(&cursor->expired);
    cursor->expired_passed = 0;
    cursor->now = PHASE_DONE;
    cursor->hot_ahead = cursor->cold_ahead = false;
}

int rbt_log_cursor_close(sqlite3_vtab_cursor *base) {
    finish((log_cursor *)base);
    rbt_free(base);
    return SQLITE_OK;
}

/* A prepared statement for the plan: one from the log's list that is free, or a new one. */
static rbt_plan *take_plan(rbt_log *log, const char *sql, rbt_error *error) {
    for (rbt_plan *plan = log->plans; plan; plan = plan->next) {
        if (!plan->in_use && strcmp(sqlite3_sql(plan->statement), sql) == 0) {
            plan->in_use = true;
            return plan;
        }
    }
    rbt_plan *plan = rbt_calloc(sizeof *plan);
    if (!plan) {
        rbt_fail_nomem(error);
        return NULL;
    }
    if (sqlite3_prepare_v3(log->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &plan->statement, NULL) !=
        SQLITE_OK) {
        rbt_fail_db(error, log->db, log->name);
        rbt_free(plan);
        return NULL;
    }
    plan->in_use = true;
    plan->next = log->plans;
    log->plans = plan;
    return plan;
}

static int step_hot(log_cursor *cursor, rbt_error *error) {
    int code = sqlite3_step(cursor->plan->statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return rbt_fail_db(error, log_of(cursor)->db, log_of(cursor)->name);
    return code;
}

/* To the next id, past those that have expired. */
static int count_on(log_cursor *cursor) {
    cursor->count++;
    while (cursor->expired_passed < cursor->expired.count &&
           cursor->expired.segments[cursor->expired_passed].first_id <= cursor->count)
        cursor->count = cursor->expired.segments[cursor->expired_passed++].last_id + 1;
    cursor->run_end = cursor->end;
    if (cursor->expired_passed < cursor->expired.count)
        cursor->run_end = cursor->expired.segments[cursor->expired_passed].first_id - 1;
    return cursor->count <= cursor->end ? SQLITE_ROW : SQLITE_DONE;
}

/* Moves to the next entry, through the phases that are ahead. */
static int advance(log_cursor *cursor, rbt_error *error) {
    for (;;) {
        int code = SQLITE_DONE;
        if (cursor->now == PHASE_HOT)
            code = step_hot(cursor, error);
        else if (cursor->now == PHASE_COLD)
            code = rbt_cold_next(cursor->cold, &cursor->leaf, error);
        else if (cursor->now == PHASE_COUNT)
            code = count_on(cursor);
        if (code == SQLITE_ROW) return SQLITE_OK;
        if (code != SQLITE_DONE) {
            cursor->now = PHASE_DONE;
            return code;
        }
        bool descending = cursor->query.flags & RBT_PLAN_DESCENDING;
        if (cursor->hot_ahead && (descending || !cursor->cold_ahead)) {
            cursor->hot_ahead = false;
            cursor->now = PHASE_HOT;
        } else if (cursor->cold_ahead) {
            cursor->cold_ahead = false;
            cursor->now = PHASE_COLD;
        } else {
            cursor->now = PHASE_DONE;
            return SQLITE_OK;
        }
    }
}

/* The texts of an IN's list, copied. NULL and BLOB equal no TEXT. A number may equal one in ways that only
** SQLite knows (rbt_term_applies); with one in it, or more texts than can be bound, the list is no help. */
typedef struct in_list {
    sqlite3_value **values;
    size_t count;
    bool helps;
} in_list;

enum { LONGEST_LIST = 4096 };

static int take_listed(in_list *list, sqlite3_value *value, size_t limit, rbt_error *error) {
    int type = sqlite3_value_type(value);
    if (type != SQLITE_TEXT) {
        list->helps = type == SQLITE_NULL || type == SQLITE_BLOB;
        return SQLITE_OK;
    }
    list->helps = list->count < limit;
    if (!list->helps) return SQLITE_OK;
    if ((list->count & (list->count - 1)) == 0) { /* full at each power of 2 */
        size_t capacity = list->count ? 2 * list->count : 1;
        sqlite3_value **values = rbt_realloc(list->values, capacity * sizeof *values);
        if (!values) return rbt_fail_nomem(error);
        list->values = values;
    }
    list->values[list->count] = sqlite3_value_dup(value);
    return list->values[list->count++] ? SQLITE_OK : rbt_fail_nomem(error);
}

static int read_list(in_list *list, sqlite3_value *argument, size_t limit, const char *who,
                     rbt_error *error) {
    sqlite3_value *value = NULL;
    int code = sqlite3_vtab_in_first(argument, &value);
    list->helps = true;
    while (code == SQLITE_OK && value && list->helps) {
        if (take_listed(list, value, limit, error) != SQLITE_OK) return error->code;
        code = sqlite3_vtab_in_next(argument, &value);
    }
    if (code == SQLITE_NOMEM) return rbt_fail_nomem(error);
    if (code != SQLITE_OK && code != SQLITE_DONE)
        return rbt_fail(error, code, "%s: the list of an IN cannot be read", who);
    return SQLITE_OK;
}

/* What one xFilter makes of the arguments; three arrays, each of one member a term. */
typedef struct filter_arguments {
    bool *leave_out;
    in_list *lists;
    size_t *parameters; /* of each list; a power of 2, so that few statements serve all lengths */
} filter_arguments;

static void free_arguments(filter_arguments *taken, size_t count) {
    for (size_t i = 0; taken->lists && i < count; i++) {
        for (size_t k = 0; k < taken->lists[i].count; k++)
            sqlite3_value_free(taken->lists[i].values[k]);
        rbt_free(taken->lists[i].values);
    }
    rbt_free(taken->lists);
    rbt_free(taken->parameters);
    rbt_free(taken->leave_out);
}

/* *as_planned: OUT, whether the plan's own SQL serves. */
static int take_arguments(filter_arguments *taken, log_cursor *cursor, sqlite3_value **arguments,
                          bool *as_planned, rbt_error *error) {
    rbt_log *log = log_of(cursor);
    const rbt_query *query = &cursor->query;
    size_t count = query->term_count;
    size_t bindable = (size_t)sqlite3_limit(log->db, SQLITE_LIMIT_VARIABLE_NUMBER, -1);
    *as_planned = true;
    taken->leave_out = rbt_calloc(count + 1);
    taken->lists = rbt_calloc((count + 1) * sizeof *taken->lists);
    taken->parameters = rbt_calloc((count + 1) * sizeof *taken->parameters);
    if (!taken->leave_out || !taken->lists || !taken->parameters) return rbt_fail_nomem(error);
    bindable = bindable > count ? bindable - count : 0;
    for (size_t i = 0; i < count; i++) {
        if (query->terms[i].op != RBT_PLAN_IN) {
            taken->leave_out[i] = !rbt_term_applies(log, &query->terms[i], arguments[i]);
        } else {
            size_t limit = LONGEST_LIST, parameters = 1;
            while (limit > bindable)
                limit /= 2;
            if (read_list(&taken->lists[i], arguments[i], limit, log->name, error) != SQLITE_OK)
                return error->code;
            while (parameters < taken->lists[i].count)
                parameters *= 2;
            taken->leave_out[i] = !taken->lists[i].helps || limit == 0;
            taken->parameters[i] = taken->leave_out[i] ? 0 : parameters;
            bindable -= taken->parameters[i];
            *as_planned = false;
        }
        if (taken->leave_out[i]) *as_planned = false;
    }
    return SQLITE_OK;
}

/* Binds what is there of the parameters of the plan's statement. */
static int bind_arguments(log_cursor *cursor, const filter_arguments *taken,
                          sqlite3_value **arguments, rbt_error *error) {
    const rbt_query *query = &cursor->query;
    sqlite3_stmt *statement = cursor->plan->statement;
    int last = sqlite3_bind_parameter_count(statement);
    size_t listed = query->term_count;
    int code = SQLITE_OK;
    for (size_t i = 0; i < query->term_count && code == SQLITE_OK; i++) {
        if (taken->leave_out[i]) continue;
        if (query->terms[i].op != RBT_PLAN_IN) {
            if ((int)i < last) code = sqlite3_bind_value(statement, (int)i + 1, arguments[i]);
            continue;
        }
        for (size_t k = 0; k < taken->lists[i].count && code == SQLITE_OK; k++)
            code = sqlite3_bind_value(statement, (int)(listed + k) + 1, taken->lists[i].values[k]);
        listed += taken->parameters[i];
    }
    return code == SQLITE_OK ? code : rbt_fail_db(error, log_of(cursor)->db, log_of(cursor)->name);
}

/* Takes a statement for the plan, without the terms that do not apply to these arguments, and binds. */
static int start_hot(log_cursor *cursor, sqlite3_value **arguments, rbt_error *error) {
    const rbt_query *query = &cursor->query;
    rbt_buffer written = {0};
    filter_arguments taken = {0};
    const char *sql = query->sql;
    bool as_planned;
    if (take_arguments(&taken, cursor, arguments, &as_planned, error) == SQLITE_OK && !as_planned) {
        rbt_query_sql(&written, log_of(cursor), query, taken.leave_out, taken.parameters);
        sql = rbt_buffer_text(&written);
        if (!sql) rbt_fail_nomem(error);
    }
    if (error->code == SQLITE_OK) cursor->plan = take_plan(log_of(cursor), sql, error);
    if (cursor->plan) bind_arguments(cursor, &taken, arguments, error);
    rbt_buffer_free(&written);
    free_arguments(&taken, query->term_count);
    return error->code;
}

int rbt_log_cursor_filter(sqlite3_vtab_cursor *base, int number, const char *text,
                          int argument_count, sqlite3_value **arguments) {
    (void)number;
    log_cursor *cursor = (log_cursor *)base;
    rbt_log *log = log_of(cursor);
    rbt_error error = {0};
    int64_t pruned_to = 0;
    bool found = false;
    finish(cursor);
    if (rbt_query_parse(&cursor->query, text, argument_count, &error) != SQLITE_OK) goto cleanup;
    if (cursor->query.flags & RBT_PLAN_COUNT) {
        /* Ids have no gaps but where segments have expired, so a count needs no row. */
        if (rbt_log_peek(log, &error) != SQLITE_OK) goto cleanup;
        cursor->count = log->declaration->reads_cold ? 0 : log->pruned_to;
        if (cursor->count < log->pruned_to &&
            rbt_expired_read(&cursor->expired, log, &error) != SQLITE_OK)
            goto cleanup;
        cursor->end = (int64_t)log->frontier.size - 1;
        cursor->now = PHASE_COUNT;
        advance(cursor, &error);
        goto cleanup;
    }
    if (start_hot(cursor, arguments, &error) != SQLITE_OK) goto cleanup;
    cursor->hot_ahead = true;
    if (log->declaration->reads_cold && !log->loaded &&
        rbt_log_meta_i64(log, "pruned_to", &pruned_to, &found, &error) == SQLITE_OK && !found)
        rbt_fail(&error, SQLITE_CORRUPT_VTAB, "%s: the log's meta table lacks pruned_to",
                 log->name);
    if (log->loaded) pruned_to = log->pruned_to;
    if (error.code == SQLITE_OK && log->declaration->reads_cold && pruned_to > 0) {
        if (rbt_log_peek(log, &error) == SQLITE_OK)
            rbt_cold_open(&cursor->cold, log, &cursor->query, arguments, &error);
        cursor->cold_ahead = true;
    }
    if (error.code == SQLITE_OK) advance(cursor, &error);
cleanup:
    if (error.code != SQLITE_OK) finish(cursor);
    return rbt_vtab_error(base->pVtab, &error);
}

int rbt_log_cursor_next(sqlite3_vtab_cursor *base) {
    rbt_error error = {0};
    log_cursor *cursor = (log_cursor *)base;
    /* SQLite counts a virtual table by stepping through it, so nothing else is done a step. */
    if (cursor->now == PHASE_COUNT && cursor->count < cursor->run_end) {
        cursor->count++;
        return SQLITE_OK;
    }
    advance(cursor, &error);
    return rbt_vtab_error(base->pVtab, &error);
}

int rbt_log_cursor_eof(sqlite3_vtab_cursor *base) {
    return ((log_cursor *)base)->now == PHASE_DONE;
}

/* Where a column stands in the plan's SELECT: id first, then the used ones in order. As in colUsed, bit 63
** stands for all columns from 63 on. Counted, not walked: this runs once for each value that is read. */
static int position_of(const log_cursor *cursor, int column) {
    const uint64_t id = 1, rest = (uint64_t)1 << 63;
    uint64_t used = cursor->query.used & ~id;
    if (column < 63) return __builtin_popcountll(used & (((uint64_t)2 << column) - 1));
    return __builtin_popcountll(used & ~rest) + (used & rest ? column - 62 : 0);
}

static void result_value(sqlite3_context *context, const rbt_value *value) {
    switch (value->kind) {
    case RBT_INTEGER:
        sqlite3_result_int64(context, value->integer);
        break;
    case RBT_REAL:
        sqlite3_result_double(context, value->real);
        break;
    case RBT_TEXT:
        sqlite3_result_text64(context, (const char *)value->data, value->length, SQLITE_TRANSIENT,
                              SQLITE_UTF8);
        break;
    case RBT_BLOB:
        sqlite3_result_blob64(context, value->data, value->length, SQLITE_TRANSIENT);
        break;
    case RBT_NULL:
        break;
    }
}

int rbt_log_cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
    log_cursor *cursor = (log_cursor *)base;
    int tier = (int)log_of(cursor)->declaration->shape.count + RBT_LOG_COLUMN_FIRST;
    if (column == tier) {
        sqlite3_result_text(context, cursor->now == PHASE_COLD ? "cold" : "hot", -1, SQLITE_STATIC);
    } else if (cursor->now == PHASE_HOT) {
        int position = column == RBT_LOG_COLUMN_ID ? 0 : position_of(cursor, column);
        sqlite3_result_value(context, sqlite3_column_value(cursor->plan->statement, position));
    } else if (cursor->now == PHASE_COLD) {
        if (column == RBT_LOG_COLUMN_ID)
            sqlite3_result_int64(context, cursor->leaf->id);
        else if (column == RBT_LOG_COLUMN_RECORDED_AT)
            sqlite3_result_int64(context, cursor->leaf->recorded_at);
        else
            result_value(context, &cursor->leaf->values[column - RBT_LOG_COLUMN_FIRST]);
    } else if (column == RBT_LOG_COLUMN_ID) {
        sqlite3_result_int64(context, cursor->count);
    }
    return SQLITE_OK;
}

int rbt_log_cursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid) {
    log_cursor *cursor = (log_cursor *)base;
    if (cursor->now == PHASE_HOT)
        *rowid = sqlite3_column_int64(cursor->plan->statement, 0);
    else
        *rowid = cursor->now == PHASE_COLD ? cursor->leaf->id : cursor->count;
    return SQLITE_OK;
}
