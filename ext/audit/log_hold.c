/* SPDX-License-Identifier: MIT
** See log_hold.h.
*/
#include "log_hold.h"

#include "../base/bytes.h"
#include "../base/json.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../base/transaction.h"
#include "events.h"
#include "events_check.h"
#include "expired.h"

#define HOLD "hold"
#define RELEASE "release"

/* The log, and which of its entries. */
static bool read_range(const rbt_json *detail, rbt_hold *hold, rbt_error *error) {
    const rbt_json_node *root = rbt_json_root(detail);
    const rbt_json_node *first = rbt_json_member(detail, root, "first_id");
    const rbt_json_node *last = rbt_json_member(detail, root, "last_id");
    if (!first || !last ||
        !rbt_hold_read_hex(detail, "log_id", hold->log_id, sizeof hold->log_id, error))
        return false;
    hold->whole = first->type == RBT_JSON_NULL && last->type == RBT_JSON_NULL;
    return hold->whole || (rbt_json_i64(detail, first, &hold->first_id) &&
                           rbt_json_i64(detail, last, &hold->last_id));
}

static const rbt_hold_kind kind = {HOLD, RELEASE, read_range};

int rbt_holds_read(rbt_holds *holds, rbt_connection *connection, const char *schema, bool verified,
                   const char *who, rbt_error *error) {
    rbt_log *events = NULL;
    if (verified)
        rbt_events_verified(connection, schema, who, &events, error);
    else
        events = rbt_log_find_in(connection, schema, RBT_EVENTS_LOG, who, error);
    if (events && error->code == SQLITE_OK)
        rbt_holds_collect(holds, &kind, connection, schema, who, error);
    rbt_log_release(events);
    if (error->code != SQLITE_OK) rbt_holds_free(holds);
    return error->code;
}

bool rbt_hold_is_on(const rbt_hold *hold, const rbt_log *log) {
    return log->genesis ? memcmp(hold->log_id, log->log_id, sizeof hold->log_id) == 0
                        : sqlite3_stricmp(hold->log, log->name) == 0;
}

const rbt_hold *rbt_hold_on(const rbt_holds *holds, const rbt_log *log, int64_t first_id,
                            int64_t last_id) {
    for (size_t i = 0; i < holds->count; i++) {
        const rbt_hold *hold = &holds->items[i];
        if (rbt_hold_is_on(hold, log) &&
            (hold->whole || (hold->first_id <= last_id && hold->last_id >= first_id)))
            return hold;
    }
    return NULL;
}

int rbt_hold_refuse(rbt_log *log, bool verified, const char *who, rbt_error *error) {
    rbt_connection *connection = log->logs->connection;
    rbt_holds holds = {0};
    rbt_error damage = {0};
    const rbt_hold *hold = NULL;
    bool events = sqlite3_stricmp(log->name, RBT_EVENTS_LOG) == 0;
    if (events) {
        /* a log of events that is damaged must be possible to do away with */
        if (rbt_holds_read(&holds, connection, log->schema, verified, who, &damage) == SQLITE_NOMEM)
            rbt_fail_nomem(error);
        hold = holds.count > 0 ? &holds.items[0] : NULL;
    } else if (rbt_log_peek(log, &damage) == SQLITE_NOMEM) {
        rbt_fail_nomem(error);
    } else if (rbt_holds_read(&holds, connection, log->schema, verified, who, error) == SQLITE_OK) {
        hold = rbt_hold_on(&holds, log, INT64_MIN, INT64_MAX);
    }
    if (hold && error->code == SQLITE_OK)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: hold %lld stands on %s%s: %s; audit_release(%lld, reason) ends it", who,
                 (long long)hold->id, hold->log,
                 events ? ", and would end with " RBT_EVENTS_LOG : "", hold->reason,
                 (long long)hold->id);
    rbt_error_clear(&damage);
    rbt_holds_free(&holds);
    return error->code;
}

static int check_range(rbt_log *log, int64_t first_id, int64_t last_id, rbt_expired *expired,
                       const char *who, rbt_error *error) {
    int64_t entries = (int64_t)log->frontier.size - 1;
    if (first_id == 0) return error->code;
    if (first_id < 1 || last_id < first_id || last_id > entries)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: first_id and last_id must be of entries of %s, which are 1 to %lld, "
                        "in order; they are %lld and %lld",
                        who, log->name, (long long)entries, (long long)first_id,
                        (long long)last_id);
    for (size_t i = 0; i < expired->count; i++)
        if (expired->segments[i].first_id <= last_id && expired->segments[i].last_id >= first_id)
            return rbt_fail(
                error, SQLITE_ERROR,
                "%s: entries %lld to %lld of %s have expired, so that they cannot be "
                "held; hold what remains",
                who,
                (long long)(expired->segments[i].first_id > 0 ? expired->segments[i].first_id : 1),
                (long long)expired->segments[i].last_id, log->name);
    return SQLITE_OK;
}

static void write_hold(rbt_buffer *detail, const rbt_log *log, const char *reason, int64_t first_id,
                       int64_t last_id) {
    rbt_buffer_add_text(detail, "{\"reason\":");
    rbt_json_add_string(detail, reason, strlen(reason));
    if (first_id)
        rbt_buffer_printf(detail, ",\"first_id\":%lld,\"last_id\":%lld,", (long long)first_id,
                          (long long)last_id);
    else
        rbt_buffer_add_text(detail, ",\"first_id\":null,\"last_id\":null,");
    rbt_events_add_log_id(detail, log);
    rbt_buffer_add_byte(detail, '}');
}

int rbt_hold_add(rbt_log *log, const char *reason, int64_t first_id, int64_t last_id,
                 rbt_buffer *report, const char *who, rbt_error *error) {
    rbt_connection *connection = log->logs->connection;
    rbt_transaction own = {0};
    rbt_buffer detail = {0};
    rbt_expired expired = {0};
    if (sqlite3_stricmp(log->name, RBT_EVENTS_LOG) == 0)
        return rbt_fail(error, SQLITE_ERROR, "%s: " RBT_EVENTS_LOG " never expires", who);
    if (rbt_transaction_begin_own(&own, log->db, who, error) != SQLITE_OK) return error->code;
    bool alone = own.reader != NULL;
    if (alone) rbt_log_forget(log, true);
    if (rbt_log_peek(log, error) == SQLITE_OK &&
        rbt_expired_read(&expired, log, error) == SQLITE_OK &&
        check_range(log, first_id, last_id, &expired, who, error) == SQLITE_OK &&
        rbt_events_prepare(connection, log->schema, who, error) == SQLITE_OK) {
        write_hold(&detail, log, reason, first_id, last_id);
        if (rbt_events_add(connection, log->schema, HOLD, log->name, &detail, who, error) ==
            SQLITE_OK) {
            long long id = sqlite3_last_insert_rowid(log->db);
            if (first_id)
                rbt_buffer_printf(report, "hold %lld: entries %lld to %lld of %s stay", id,
                                  (long long)first_id, (long long)last_id, log->name);
            else
                rbt_buffer_printf(report, "hold %lld: all entries of %s stay", id, log->name);
            rbt_buffer_printf(report, " until audit_release(%lld, reason)", id);
        }
    }
    rbt_buffer_free(&detail);
    rbt_expired_free(&expired);
    /* its NUL too: what is committed must be told */
    if (error->code == SQLITE_OK && !rbt_buffer_text(report)) rbt_fail_nomem(error);
    rbt_transaction_end(&own, who, error);
    if (alone) rbt_log_forget(log, true);
    return error->code;
}

/* Where the hold stands, in holds; an error when nowhere, or when databases that are attached have the
** number twice. *schema and *found: OUT. */
static int find_hold(rbt_connection *connection, int64_t hold_id, rbt_holds *holds,
                     const char **schema, const rbt_hold **found, const char *who,
                     rbt_error *error) {
    const char *name;
    *found = NULL;
    for (int i = 0; error->code == SQLITE_OK && (name = sqlite3_db_name(connection->db, i)); i++) {
        rbt_holds here = {0};
        if (rbt_holds_read(&here, connection, name, true, who, error) != SQLITE_OK) break;
        const rbt_hold *match = rbt_holds_find(&here, hold_id);
        if (match && *found) {
            rbt_fail(error, SQLITE_ERROR,
                     "%s: hold %lld stands in %s and in %s; open the one database by itself", who,
                     (long long)hold_id, *schema, name);
        } else if (match) {
            rbt_holds_free(holds);
            *holds = here;
            here = (rbt_holds){0};
            *schema = name;
            *found = match;
        }
        rbt_holds_free(&here);
    }
    if (!*found)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: no hold %lld stands: there never was one, or it was released before", who,
                 (long long)hold_id);
    return error->code;
}

int rbt_hold_release(rbt_connection *connection, int64_t hold_id, const char *reason,
                     rbt_buffer *report, const char *who, rbt_error *error) {
    rbt_transaction own = {0};
    rbt_holds holds = {0};
    rbt_buffer detail = {0};
    const rbt_hold *hold;
    const char *schema = NULL;
    if (rbt_transaction_begin_own(&own, connection->db, who, error) != SQLITE_OK)
        return error->code;
    if (find_hold(connection, hold_id, &holds, &schema, &hold, who, error) == SQLITE_OK) {
        rbt_buffer_printf(&detail, "{\"hold_id\":%lld,\"reason\":", (long long)hold_id);
        rbt_json_add_string(&detail, reason, strlen(reason));
        rbt_buffer_add_text(&detail, ",\"log_id\":\"");
        rbt_buffer_add_hex(&detail, hold->log_id, sizeof hold->log_id);
        rbt_buffer_add_text(&detail, "\"}");
        if (rbt_events_add(connection, schema, RELEASE, hold->log, &detail, who, error) ==
            SQLITE_OK)
            rbt_buffer_printf(report,
                              "hold %lld on %s is released (entry %lld of " RBT_EVENTS_LOG ")",
                              (long long)hold_id, hold->log,
                              (long long)sqlite3_last_insert_rowid(connection->db));
    }
    rbt_holds_free(&holds);
    rbt_buffer_free(&detail);
    /* its NUL too: what is committed must be told */
    if (error->code == SQLITE_OK && !rbt_buffer_text(report)) rbt_fail_nomem(error);
    return rbt_transaction_end(&own, who, error);
}
