/* SPDX-License-Identifier: MIT
** See subject_hold.h. May call base, crypto and audit.
*/
#include "subject_hold.h"

#include "../base/bytes.h"
#include "../base/json.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../base/transaction.h"
#include "events.h"
#include "events_check.h"

#define HOLD "subject_hold"
#define RELEASE "subject_release"

static void free_hold(rbt_subject_hold *hold) {
    rbt_free(hold->reason);
}

void rbt_subject_holds_free(rbt_subject_holds *holds) {
    for (size_t i = 0; i < holds->count; i++)
        free_hold(&holds->holds[i]);
    rbt_free(holds->holds);
    *holds = (rbt_subject_holds){0};
}

static int add_hold(rbt_subject_holds *holds, const rbt_subject_hold *hold, rbt_error *error) {
    if (holds->count == holds->capacity) {
        size_t capacity = holds->capacity ? 2 * holds->capacity : 8;
        rbt_subject_hold *grown = rbt_realloc(holds->holds, capacity * sizeof *grown);
        if (grown == NULL) return rbt_fail_nomem(error);
        holds->holds = grown;
        holds->capacity = capacity;
    }
    holds->holds[holds->count++] = *hold;
    return SQLITE_OK;
}

static void remove_hold(rbt_subject_holds *holds, int64_t id) {
    for (size_t i = 0; i < holds->count; i++) {
        if (holds->holds[i].id != id) continue;
        free_hold(&holds->holds[i]);
        memmove(&holds->holds[i], &holds->holds[i + 1],
                (holds->count - i - 1) * sizeof *holds->holds);
        holds->count--;
        return;
    }
}

/* The sid and reason of a hold's detail; false when they are not there. */
static bool parse_hold(const rbt_json *document, rbt_subject_hold *hold, rbt_error *error) {
    const rbt_json_node *root = rbt_json_root(document);
    rbt_buffer sid = {0}, reason = {0};
    bool good = rbt_json_string(document, rbt_json_member(document, root, "sid"), &sid) &&
                rbt_hex_decode(hold->sid, sizeof hold->sid, (const char *)sid.data, sid.length) &&
                rbt_json_string(document, rbt_json_member(document, root, "reason"), &reason);
    bool failed = sid.failed || reason.failed;
    if (good && !failed) hold->reason = rbt_buffer_take(&reason);
    if (failed || (good && hold->reason == NULL)) rbt_fail_nomem(error);
    rbt_buffer_free(&sid);
    rbt_buffer_free(&reason);
    return good;
}

/* One event: a hold joins the list, a release takes one off. An event that cannot be understood is an
** error: it could be a hold. */
static int take_event(rbt_subject_holds *holds, int64_t id, int64_t recorded_at, bool is_hold,
                      const char *detail, size_t length, const char *who, rbt_error *error) {
    rbt_json document = {0};
    rbt_subject_hold hold = {.id = id, .since_us = recorded_at};
    int64_t released = 0;
    if (rbt_json_parse(&document, detail, length, who, error) != SQLITE_OK) {
        /* the error tells */
    } else if (!is_hold &&
               rbt_json_i64(&document,
                            rbt_json_member(&document, rbt_json_root(&document), "hold_id"),
                            &released)) {
        remove_hold(holds, released);
    } else if (is_hold && parse_hold(&document, &hold, error)) {
        if (error->code != SQLITE_OK || add_hold(holds, &hold, error) != SQLITE_OK)
            free_hold(&hold);
    } else {
        rbt_fail(error, SQLITE_CORRUPT_VTAB,
                 "%s: entry %lld of " RBT_EVENTS_LOG " is no hold or release that can be read", who,
                 (long long)id);
    }
    rbt_json_free(&document);
    return error->code;
}

static int read_events(rbt_connection *connection, rbt_subject_holds *holds, const char *who,
                       rbt_error *error) {
    sqlite3_stmt *events =
        rbt_prepare(connection->db, error, who,
                    "SELECT id, recorded_at, action, detail FROM main." RBT_EVENTS_LOG
                    " WHERE log = '" RBT_SUBJECT_TABLE "' ORDER BY id");
    while (events && error->code == SQLITE_OK && sqlite3_step(events) == SQLITE_ROW) {
        const char *action = (const char *)sqlite3_column_text(events, 2);
        const char *detail = (const char *)sqlite3_column_text(events, 3);
        if (action == NULL || detail == NULL) {
            rbt_fail_nomem(error);
            break;
        }
        bool is_hold = strcmp(action, HOLD) == 0;
        if (is_hold || strcmp(action, RELEASE) == 0)
            take_event(holds, sqlite3_column_int64(events, 0), sqlite3_column_int64(events, 1),
                       is_hold, detail, (size_t)sqlite3_column_bytes(events, 3), who, error);
    }
    if (sqlite3_finalize(events) != SQLITE_OK) rbt_fail_db(error, connection->db, who);
    return error->code;
}

int rbt_subject_holds_read(rbt_connection *connection, rbt_subject_holds *holds, const char *who,
                           rbt_error *error) {
    rbt_log *log;
    if (rbt_events_verified(connection, "main", who, &log, error) != SQLITE_OK || log == NULL)
        return error->code;
    read_events(connection, holds, who, error);
    rbt_log_release(log);
    if (error->code != SQLITE_OK) rbt_subject_holds_free(holds);
    return error->code;
}

/* What was looked up must still be so when it is written: without a transaction of the caller's there is
** one of our own. */
static int begin(rbt_transaction *own, sqlite3 *db, const char *who, rbt_error *error) {
    return sqlite3_get_autocommit(db) ? rbt_transaction_begin(own, db, who, error) : SQLITE_OK;
}

/* Appends the event; *id: OUT, its number. */
static int record(rbt_connection *connection, const char *action, int64_t released, const char *sid,
                  const char *reason, int64_t *id, const char *who, rbt_error *error) {
    rbt_buffer detail = {0};
    if (rbt_events_prepare(connection, "main", who, error) != SQLITE_OK) return error->code;
    rbt_buffer_add_byte(&detail, '{');
    if (released) rbt_buffer_printf(&detail, "\"hold_id\":%lld,", (long long)released);
    rbt_buffer_printf(&detail, "\"sid\":\"%s\",\"reason\":", sid);
    rbt_json_add_string(&detail, reason, strlen(reason));
    rbt_buffer_add_byte(&detail, '}');
    if (rbt_events_add(connection, "main", action, RBT_SUBJECT_TABLE, &detail, who, error) ==
        SQLITE_OK)
        *id = sqlite3_last_insert_rowid(connection->db);
    rbt_buffer_free(&detail);
    return error->code;
}

int rbt_subject_hold_add(rbt_connection *connection, rbt_subject_name subject, const char *reason,
                         rbt_buffer *report, const char *who, rbt_error *error) {
    rbt_subject_rows found = {0};
    char sid[2 * RBT_SUBJECT_ID_SIZE + 1];
    int64_t id = 0;
    rbt_transaction own = {0};
    if (begin(&own, connection->db, who, error) != SQLITE_OK) return error->code;
    if (rbt_subject_find(connection, subject, &found, who, error) == SQLITE_OK) {
        if (found.count == 0) {
            rbt_fail(error, SQLITE_ERROR,
                     "%s: the subject has no key, so there is nothing to hold; subject_encrypt "
                     "gives it one",
                     who);
        } else {
            rbt_hex_encode(sid, found.rows[0].key.sid, RBT_SUBJECT_ID_SIZE);
            record(connection, HOLD, 0, sid, reason, &id, who, error);
            rbt_buffer_printf(
                report, "hold %lld: subject %s keeps its key until subject_release(%lld, reason)",
                (long long)id, sid, (long long)id);
        }
    }
    rbt_subject_rows_free(&found);
    /* its NUL too: what is committed must be told */
    if (error->code == SQLITE_OK && !rbt_buffer_text(report)) rbt_fail_nomem(error);
    return rbt_transaction_end(&own, who, error);
}

int rbt_subject_hold_release(rbt_connection *connection, int64_t hold_id, const char *reason,
                             rbt_buffer *report, const char *who, rbt_error *error) {
    rbt_subject_holds holds = {0};
    char sid[2 * RBT_SUBJECT_ID_SIZE + 1];
    int64_t id = 0;
    rbt_transaction own = {0};
    if (begin(&own, connection->db, who, error) != SQLITE_OK) return error->code;
    if (rbt_subject_holds_read(connection, &holds, who, error) == SQLITE_OK) {
        const rbt_subject_hold *hold = NULL;
        for (size_t i = 0; i < holds.count && hold == NULL; i++)
            if (holds.holds[i].id == hold_id) hold = &holds.holds[i];
        if (hold) {
            rbt_hex_encode(sid, hold->sid, RBT_SUBJECT_ID_SIZE);
            record(connection, RELEASE, hold_id, sid, reason, &id, who, error);
            rbt_buffer_printf(
                report, "hold %lld on subject %s is released (entry %lld of " RBT_EVENTS_LOG ")",
                (long long)hold_id, sid, (long long)id);
        } else {
            rbt_fail(error, SQLITE_ERROR,
                     "%s: no hold %lld stands: there never was one, or it was released before", who,
                     (long long)hold_id);
        }
    }
    rbt_subject_holds_free(&holds);
    /* its NUL too: what is committed must be told */
    if (error->code == SQLITE_OK && !rbt_buffer_text(report)) rbt_fail_nomem(error);
    return rbt_transaction_end(&own, who, error);
}
