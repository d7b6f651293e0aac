/* SPDX-License-Identifier: MIT
** See hold_list.h.
*/
#include "hold_list.h"

#include "../base/bytes.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "events.h"

static void free_hold(rbt_hold *hold) {
    rbt_free(hold->log);
    rbt_free(hold->reason);
}

void rbt_holds_free(rbt_holds *holds) {
    for (size_t i = 0; i < holds->count; i++)
        free_hold(&holds->items[i]);
    rbt_free(holds->items);
    *holds = (rbt_holds){0};
}

const rbt_hold *rbt_holds_find(const rbt_holds *holds, int64_t id) {
    for (size_t i = 0; i < holds->count; i++)
        if (holds->items[i].id == id) return &holds->items[i];
    return NULL;
}

static int add_hold(rbt_holds *holds, const rbt_hold *hold, rbt_error *error) {
    if (holds->count == holds->capacity) {
        size_t capacity = holds->capacity ? 2 * holds->capacity : 8;
        rbt_hold *grown = rbt_realloc(holds->items, capacity * sizeof *grown);
        if (!grown) return rbt_fail_nomem(error);
        holds->items = grown;
        holds->capacity = capacity;
    }
    holds->items[holds->count++] = *hold;
    return SQLITE_OK;
}

static void remove_hold(rbt_holds *holds, int64_t id) {
    for (size_t i = 0; i < holds->count; i++) {
        if (holds->items[i].id != id) continue;
        free_hold(&holds->items[i]);
        memmove(&holds->items[i], &holds->items[i + 1],
                (holds->count - i - 1) * sizeof *holds->items);
        holds->count--;
        return;
    }
}

bool rbt_hold_read_hex(const rbt_json *detail, const char *name, uint8_t *bytes, size_t size,
                       rbt_error *error) {
    rbt_buffer text = {0};
    bool good =
        rbt_json_string(detail, rbt_json_member(detail, rbt_json_root(detail), name), &text) &&
        rbt_hex_decode(bytes, size, (const char *)text.data, text.length);
    if (text.failed) rbt_fail_nomem(error);
    rbt_buffer_free(&text);
    return good;
}

static bool read_reason(const rbt_json *detail, rbt_hold *hold, rbt_error *error) {
    rbt_buffer reason = {0};
    bool good =
        rbt_json_string(detail, rbt_json_member(detail, rbt_json_root(detail), "reason"), &reason);
    bool failed = reason.failed;
    if (good && !failed) hold->reason = rbt_buffer_take(&reason);
    if (failed || (good && !hold->reason)) rbt_fail_nomem(error);
    rbt_buffer_free(&reason);
    return good;
}

/* One event: a hold joins the list, a release takes one off. */
static int take_event(rbt_holds *holds, const rbt_hold_kind *kind, sqlite3_stmt *event,
                      const char *who, rbt_error *error) {
    rbt_json document = {0};
    rbt_hold hold = {.id = sqlite3_column_int64(event, 0),
                     .since_us = sqlite3_column_int64(event, 1)};
    int64_t released = 0;
    const char *action = (const char *)sqlite3_column_text(event, 2);
    const char *log = (const char *)sqlite3_column_text(event, 3);
    const char *detail = (const char *)sqlite3_column_text(event, 4);
    if (!action || !log || !detail) return rbt_fail_nomem(error);
    bool is_hold = strcmp(action, kind->hold) == 0, taken = false;
    if (rbt_json_parse(&document, detail, (size_t)sqlite3_column_bytes(event, 4), who, error) !=
        SQLITE_OK) {
        /* the error tells */
    } else if (!is_hold &&
               rbt_json_i64(&document,
                            rbt_json_member(&document, rbt_json_root(&document), "hold_id"),
                            &released)) {
        remove_hold(holds, released);
    } else if (is_hold && kind->read_object(&document, &hold, error) &&
               read_reason(&document, &hold, error)) {
        hold.log = rbt_strdup(log);
        if (!hold.log) rbt_fail_nomem(error);
        taken = error->code == SQLITE_OK && add_hold(holds, &hold, error) == SQLITE_OK;
    } else if (error->code == SQLITE_OK) {
        rbt_fail(error, SQLITE_CORRUPT_VTAB,
                 "%s: entry %lld of " RBT_EVENTS_LOG " is no hold or release that can be read", who,
                 (long long)hold.id);
    }
    if (!taken) free_hold(&hold);
    rbt_json_free(&document);
    return error->code;
}

int rbt_holds_collect(rbt_holds *holds, const rbt_hold_kind *kind, rbt_connection *connection,
                      const char *schema, const char *who, rbt_error *error) {
    sqlite3_stmt *events =
        rbt_prepare(connection->db, error, who,
                    "SELECT id, recorded_at, action, log, detail FROM \"%w\"." RBT_EVENTS_LOG
                    " WHERE action IN (%Q, %Q) ORDER BY id",
                    schema, kind->hold, kind->release);
    while (events && error->code == SQLITE_OK && sqlite3_step(events) == SQLITE_ROW)
        take_event(holds, kind, events, who, error);
    if (sqlite3_finalize(events) != SQLITE_OK && error->code == SQLITE_OK)
        rbt_fail_db(error, connection->db, who);
    return error->code;
}
