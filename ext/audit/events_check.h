/* SPDX-License-Identifier: MIT
** rustybt_events as what holds and expiries are believed from: verified whole, archived segments
** included, before anything that it says counts. May call base, crypto and audit.
*/
#ifndef RBT_AUDIT_EVENTS_CHECK_H
#define RBT_AUDIT_EVENTS_CHECK_H

#include "log_state.h"

/* Verifies the schema's rustybt_events and gives it, with one reference; *log is NULL, without an error,
** where the schema has nothing of that name. One that does not verify is an error that names its first
** problem and says that the holds cannot be known. */
int rbt_events_verified(rbt_connection *connection, const char *schema, const char *who,
                        rbt_log **log, rbt_error *error);

/* Appends the id as 32 hex digits, as a member `"log_id":"…"`. */
void rbt_events_add_log_id(rbt_buffer *detail, const rbt_log *log);

#endif
