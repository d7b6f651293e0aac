/* SPDX-License-Identifier: MIT
** Holds on subjects: while one stands, the subject cannot be forgotten. They are events of rustybt_events
** and nothing else (DESIGN §6, Events), with log = rustybt_subject_keys:
**
**   action subject_hold      detail {"sid":"<16 hex digits>","reason":"…"}; its id is the hold's id
**   action subject_release   detail {"hold_id":<id>,"sid":"…","reason":"…"}
**
** They are believed after rustybt_events has been verified, archived segments included.
*/
#ifndef RBT_AUDIT_SUBJECT_HOLD_H
#define RBT_AUDIT_SUBJECT_HOLD_H

#include "hold_list.h"
#include "subject_keys.h"

/* Verifies rustybt_events of main, whole, and gives the holds that stand. Without such a log there are
** none; one that does not verify is an error that names its first problem. */
int rbt_subject_holds_read(rbt_connection *connection, rbt_holds *holds, const char *who,
                           rbt_error *error);

/* Records a hold on the subject, or the end of one; appends one line for people. In the caller's
** transaction, or in one of its own. */
int rbt_subject_hold_add(rbt_connection *connection, rbt_subject_name subject, const char *reason,
                         rbt_buffer *report, const char *who, rbt_error *error);
int rbt_subject_hold_release(rbt_connection *connection, int64_t hold_id, const char *reason,
                             rbt_buffer *report, const char *who, rbt_error *error);

#endif
