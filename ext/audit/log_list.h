/* SPDX-License-Identifier: MIT
** All logs of a connection. */
#ifndef RBT_AUDIT_LOG_LIST_H
#define RBT_AUDIT_LOG_LIST_H

#include "log_state.h"

/* Called for each log; returns SQLITE_OK to go on. */
typedef int (*rbt_log_visitor)(rbt_log *log, void *context, rbt_error *error);

/* Visits the log of that name, or with "*" every log of every attached schema, by schema and name. */
int rbt_logs_visit(rbt_connection *connection, const char *name, const char *who,
                   rbt_log_visitor visit, void *context, rbt_error *error);

/* Called with the name of a log whose storage is there while the log itself is not: its entry in
** sqlite_schema was removed or replaced, by a view say. */
typedef void (*rbt_orphan_visitor)(void *context, const char *schema, const char *name);

int rbt_logs_orphans(rbt_connection *connection, const char *who, rbt_orphan_visitor visit,
                     void *context, rbt_error *error);

#endif
