/* SPDX-License-Identifier: MIT
** From hot to cold: writing segments, and deleting rows that verified segments hold (DESIGN §7,
** Protocol); moving segments, and removing those whose time has come. And from one signing key to the next (DESIGN §5). They do their own transactions and so
** refuse to run inside one.
*/
#ifndef RBT_AUDIT_LIFECYCLE_H
#define RBT_AUDIT_LIFECYCLE_H

#include "../base/transaction.h"
#include "log_state.h"
#include "succession.h"

enum { RBT_SEGMENT_MAX_LINES = 1048576 };

/* Writes segments of the entries recorded before `cutoff_us` (INT64_MIN: as the log's archive_after
** says) into `directory` (NULL: the log's own). Appends one line for people to report. */
int rbt_archive_run(rbt_log *log, const char *directory, int64_t cutoff_us, rbt_buffer *report,
                    rbt_error *error);

/* Deletes hot rows that published segments hold, each verified anew first. */
int rbt_prune_run(rbt_log *log, rbt_buffer *report, rbt_error *error);

/* Removes the segments whose entries are all past the log's retain, and not held. The log and rustybt_events
** are verified first. as_of_us: until when time is known to have come, said by a person (INT64_MAX: the
** clock is right); INT64_MIN: as far as entries attest to it (attested.h). Appends one line. */
int rbt_expire_run(rbt_log *log, int64_t as_of_us, rbt_buffer *report, rbt_error *error);

/* Moves the published segments into another directory, one by one. Appends one line. */
int rbt_relocate_run(rbt_log *log, const char *directory, rbt_buffer *report, rbt_error *error);
/* Removes what a run of rbt_relocate_run that died has left in the old directory. who begins errors. */
int rbt_relocate_finish(rbt_log *log, const char *who, rbt_error *error);

/* What audit_succession did to a log. */
typedef struct rbt_succession_outcome {
    size_t notes;        /* made; 0: nothing was to be handed over */
    rbt_succession last; /* the log's last note; size 0: it has none */
    char resealed[17];   /* the ring key that the seal was renewed under; empty: it was not */
} rbt_succession_outcome;

/* Lets the key that signs now take over from the one that signed the log so far, with a note signed by
** both, and an event. That one is the last note's next key, which must be held; without a note, the
** keys from the log's first signer on hand over, the oldest first. Nothing changes when the key has taken
** over already, or no other has signed. A seal under another ring key than the primary is renewed. */
int rbt_succession_run(rbt_log *log, rbt_succession_outcome *outcome, rbt_error *error);

/* Before all logs are handed over: makes the log of events that will be needed, so that it is one of
** them. */
int rbt_succession_prepare(rbt_log *log, rbt_error *error);

/* Fails when the connection is inside a transaction, or a statement is reading the log's schema: the
** inner write would end in BUSY_SNAPSHOT, which no retry cures. */
int rbt_require_no_transaction(rbt_log *log, const char *who, rbt_error *error);

/* base/transaction.h around the log's tables: what the state remembers from before, or has read within,
** no longer counts. After a failed beginning nothing is open and the end need not be called. What is
** committed is on the disk, with all that was committed before, whatever PRAGMA synchronous says: a segment
** must not outlive its plan or its entries. */
int rbt_log_transaction_begin(rbt_log *log, rbt_transaction *transaction, const char *who,
                              rbt_error *error);
int rbt_log_transaction_end(rbt_log *log, rbt_transaction *transaction, const char *who,
                            rbt_error *error);

#endif
