/* SPDX-License-Identifier: MIT
** Forgetting a subject: destroying its key, for good and with a record of it. */
#ifndef RBT_AUDIT_SUBJECT_ERASE_H
#define RBT_AUDIT_SUBJECT_ERASE_H

#include "subject_keys.h"

/* Destroys the subject's key in a transaction of its own, unless a hold stands; records that in
** rustybt_events by sid; empties WAL and journal; then searches the files. Appends one line for people:
** that the key is gone, when it is, else where it still stands and what to do. An error means that
** nothing was forgotten; but for SQLITE_NOMEM, which SQLite insists on when memory ran out after the
** COMMIT. */
int rbt_subject_forget(rbt_connection *connection, rbt_subject_name subject, rbt_buffer *report,
                       const char *who, rbt_error *error);

#endif
