/* SPDX-License-Identifier: MIT
** The keys of subjects onto the ring's primary key: the part of a rotation that takes more than
** key_rotate, for a row's index is computed from the subject's name, which only its own key opens. */
#ifndef RBT_AUDIT_SUBJECT_ROTATE_H
#define RBT_AUDIT_SUBJECT_ROTATE_H

#include "../base/buffer.h"
#include "../base/connection.h"
#include "../base/error.h"

/* Wraps every subject key that is not under the primary key anew, and computes its index anew, a
** hundred rows a transaction. Killed, what is done is done. Appends one line for people. */
int rbt_subject_rotate(rbt_connection *connection, rbt_buffer *report, const char *who,
                       rbt_error *error);

#endif
