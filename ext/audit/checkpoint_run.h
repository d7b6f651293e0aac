/* SPDX-License-Identifier: MIT
** audit_checkpoint: signing the log's size and root, and keeping the note (DESIGN §6, Checkpoint). Makes
** its own transactions and so refuses to run inside one.
*/
#ifndef RBT_AUDIT_CHECKPOINT_RUN_H
#define RBT_AUDIT_CHECKPOINT_RUN_H

#include "log_state.h"

/* Appends to note the checkpoint of the log as it is committed: a new one, or the stored one when the log
** has not grown since. Signs only when the declaration and the seal hold and the tree extends every
** stored checkpoint and `previous` (NULL: none given). Cosignatures of trusted witnesses on `previous` are
** added to the stored checkpoint with the same text. */
int rbt_checkpoint_run(rbt_log *log, const char *previous, rbt_buffer *note, rbt_error *error);

#endif
