/* SPDX-License-Identifier: MIT
** From hot to cold: writing segments, and deleting rows that verified segments hold (DESIGN §7,
** Protocol). Both do their own transactions and so refuse to run inside one.
*/
#ifndef RBT_AUDIT_LIFECYCLE_H
#define RBT_AUDIT_LIFECYCLE_H

#include "log_state.h"

enum { RBT_SEGMENT_MAX_LINES = 1048576 };

/* Writes segments of the entries recorded before `cutoff_us` (INT64_MIN: as the log's archive_after
** says) into `directory` (NULL: the log's own). Appends one line for people to report. */
int rbt_archive_run(rbt_log *log, const char *directory, int64_t cutoff_us, rbt_buffer *report,
                    rbt_error *error);

/* Deletes hot rows that published segments hold, each verified anew first. */
int rbt_prune_run(rbt_log *log, rbt_buffer *report, rbt_error *error);

/* Fails when the connection is inside a transaction, or a statement is reading the log's schema: the
** inner write would end in BUSY_SNAPSHOT, which no retry cures. */
int rbt_require_no_transaction(rbt_log *log, const char *who, rbt_error *error);

#endif
