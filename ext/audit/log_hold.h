/* SPDX-License-Identifier: MIT
** Holds on logs: while one stands on an entry, no segment with it expires, and its log is not dropped.
** They are events of rustybt_events and nothing else (DESIGN §6, Events), with log = the log's name:
**
**   action hold      detail {"reason":"…","first_id":1,"last_id":500,"log_id":"<32 hex digits>"}; both
**                    ids are null for the whole log, what is yet to come included. Its id is the hold's
**   action release   detail {"hold_id":<id>,"reason":"…","log_id":"…"}
**
** They are believed after rustybt_events has been verified. May call base, crypto and audit.
*/
#ifndef RBT_AUDIT_LOG_HOLD_H
#define RBT_AUDIT_LOG_HOLD_H

#include "hold_list.h"
#include "log_state.h"

/* The holds that stand in that schema; none where it has no rustybt_events. verified: that log is verified
** first, whole, and its first problem is the error; where that was done, or only something is to be
** shown, not. */
int rbt_holds_read(rbt_holds *holds, rbt_connection *connection, const char *schema, bool verified,
                   const char *who, rbt_error *error);

/* Whether the hold is on that log. One that is damaged beyond knowing its identity is known by its name. */
bool rbt_hold_is_on(const rbt_hold *hold, const rbt_log *log);
/* A hold on one of these entries of the log, or NULL. */
const rbt_hold *rbt_hold_on(const rbt_holds *holds, const rbt_log *log, int64_t first_id,
                            int64_t last_id);

/* Fails with the reason when a hold stands on the log; on rustybt_events, when any stands in its schema.
** verified: rustybt_events is verified first; where that is the log itself, damage keeps nobody from doing
** away with it. */
int rbt_hold_refuse(rbt_log *log, bool verified, const char *who, rbt_error *error);

/* Records a hold on the peeked log, or the end of one; appends one line for people. first_id 0: on the
** whole log. In the caller's transaction, or in one of its own. */
int rbt_hold_add(rbt_log *log, const char *reason, int64_t first_id, int64_t last_id,
                 rbt_buffer *report, const char *who, rbt_error *error);
int rbt_hold_release(rbt_connection *connection, int64_t hold_id, const char *reason,
                     rbt_buffer *report, const char *who, rbt_error *error);

#endif
