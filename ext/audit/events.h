/* SPDX-License-Identifier: MIT
** rustybt_events, the log of what is done to logs and keys (DESIGN §6, Events): action, log, detail as
** JSON. One a database, made on first need; it never expires. */
#ifndef RBT_AUDIT_EVENTS_H
#define RBT_AUDIT_EVENTS_H

#include "../base/buffer.h"
#include "../base/connection.h"
#include "../base/error.h"
#include <stdbool.h>

#define RBT_EVENTS_LOG "rustybt_events"

/* Who may write to the database must not be able to release a hold, or hide entries as expired, by an INSERT:
** the log takes an event only with a pointer of this type in the hidden column tier. */
#define RBT_EVENTS_PASS "rustybt_event"

/* Makes the log in that schema unless it is there: sealed when the ring has a key. */
int rbt_events_prepare(rbt_connection *connection, const char *schema, const char *who,
                       rbt_error *error);

/* Appends an event to the log that rbt_events_prepare made, in the caller's transaction. detail: a JSON
** object. */
int rbt_events_add(rbt_connection *connection, const char *schema, const char *action,
                   const char *log, rbt_buffer *detail, const char *who, rbt_error *error);

/* Called with an event's time, and its detail, JSON text; returns SQLITE_OK to go on. */
typedef int (*rbt_event_visitor)(void *context, int64_t recorded_at, const char *detail,
                                 size_t length, rbt_error *error);

/* Visits the events of this action on that log, oldest first; none when the schema has no rustybt_events. */
int rbt_events_visit(rbt_connection *connection, const char *schema, const char *action,
                     const char *log, const char *who, rbt_event_visitor visit, void *context,
                     rbt_error *error);

/* Whether event `id` is there and says this; false also when there is no such log or no memory. */
bool rbt_events_has(rbt_connection *connection, const char *schema, int64_t id, const char *action,
                    const char *log);

#endif
