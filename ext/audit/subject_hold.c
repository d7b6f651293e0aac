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

static bool read_subject(const rbt_json *detail, rbt_hold *hold, rbt_error *error) {
    return rbt_hold_read_hex(detail, "sid", hold->sid, sizeof hold->sid, error);
}

static const rbt_hold_kind kind = {HOLD, RELEASE, read_subject};

int rbt_subject_holds_read(rbt_connection *connection, rbt_holds *holds, const char *who,
                           rbt_error *error) {
    rbt_log *log;
    if (rbt_events_verified(connection, "main", who, &log, error) != SQLITE_OK || log == NULL)
        return error->code;
    rbt_holds_collect(holds, &kind, connection, "main", who, error);
    rbt_log_release(log);
    if (error->code != SQLITE_OK) rbt_holds_free(holds);
    return error->code;
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
    if (rbt_transaction_begin_own(&own, connection->db, who, error) != SQLITE_OK)
        return error->code;
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
    rbt_holds holds = {0};
    char sid[2 * RBT_SUBJECT_ID_SIZE + 1];
    int64_t id = 0;
    rbt_transaction own = {0};
    if (rbt_transaction_begin_own(&own, connection->db, who, error) != SQLITE_OK)
        return error->code;
    if (rbt_subject_holds_read(connection, &holds, who, error) == SQLITE_OK) {
        const rbt_hold *hold = rbt_holds_find(&holds, hold_id);
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
    rbt_holds_free(&holds);
    /* its NUL too: what is committed must be told */
    if (error->code == SQLITE_OK && !rbt_buffer_text(report)) rbt_fail_nomem(error);
    return rbt_transaction_end(&own, who, error);
}
