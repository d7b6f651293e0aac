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

/* Takes a statement for the plan, without the terms that do not apply to these arguments, and binds. */
static int start_hot(log_cursor *cursor, sqlite3_value **arguments, rbt_error *error) {
    rbt_log *log = log_of(cursor);
    const rbt_query *query = &cursor->query;
    rbt_buffer reduced = {0};
    const char *sql = query->sql;
    bool all = true;
    bool *leave_out = rbt_calloc(query->term_count + 1);
    if (!leave_out) return rbt_fail_nomem(error);
    for (size_t i = 0; i < query->term_count; i++) {
        leave_out[i] = !rbt_term_applies(log, &query->terms[i], arguments[i]);
        if (leave_out[i]) all = false;
    }
    if (!all) {
        rbt_query_sql(&reduced, log, query, leave_out);
        sql = rbt_buffer_text(&reduced);
        if (!sql) rbt_fail_nomem(error);
    }
    if (sql) cursor->plan = take_plan(log, sql, error);
    int parameters = cursor->plan ? sqlite3_bind_parameter_count(cursor->plan->statement) : 0;
    for (size_t i = 0; i < query->term_count && (int)i < parameters; i++)
        if (sqlite3_bind_value(cursor->plan->statement, (int)i + 1, arguments[i]) != SQLITE_OK)
            rbt_fail_db(error, log->db, log->name);
    rbt_buffer_free(&reduced);
    rbt_free(leave_out);
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
    advance((log_cursor *)base, &error);
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
