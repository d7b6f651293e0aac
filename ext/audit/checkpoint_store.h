/* SPDX-License-Identifier: MIT
** The checkpoints that a log keeps of itself, in its <log>_meta:
**
**   checkpoint/<size, 20 digits>    the note, as it was signed, with the cosignatures that came since
**   consistency/<size, 20 digits>   BLOB of hashes: that the tree extends it, see below
**
** Nothing here is trusted for being stored: who edits the file edits these, too. Signatures are judged by
** checkpoint_trust.h. May call base and audit's state.
**
** A root needs the levels below 8 of the block of 256 leaves that its size ends in, and prune drops those.
** So before it does, the consistency proof from every checkpoint inside a block to the block's end is
** kept; together with the levels that stay it verifies the checkpoint without any segment.
*/
#ifndef RBT_AUDIT_CHECKPOINT_STORE_H
#define RBT_AUDIT_CHECKPOINT_STORE_H

#include "checkpoint.h"
#include "log_state.h"

/* The stored checkpoint of the largest size; appended to note. *found is false when there is none. */
int rbt_checkpoint_newest(rbt_log *log, rbt_buffer *note, uint64_t *size, bool *found,
                          rbt_error *error);
/* The stored checkpoint of that size. */
int rbt_checkpoint_stored(rbt_log *log, uint64_t size, rbt_buffer *note, bool *found,
                          rbt_error *error);
/* Stores a note, or replaces the one of the same size. Within a write transaction. */
int rbt_checkpoint_put(rbt_log *log, uint64_t size, const char *note, size_t length,
                       rbt_error *error);

/* Called for each stored checkpoint; size is that of its key, INT64_MAX when the key is none of ours.
** note is NULL when what is stored is no text. */
typedef int (*rbt_checkpoint_visitor)(void *context, uint64_t size, const char *note, size_t length,
                                      rbt_error *error);
/* Visits those of at least `from` leaves, by size. */
int rbt_checkpoints_visit(rbt_log *log, uint64_t from, rbt_checkpoint_visitor visit, void *context,
                          rbt_error *error);

/* Whether the log's tree extends that checkpoint, which is of at most the log's size. */
int rbt_checkpoint_extended(rbt_log *log, const rbt_checkpoint *checkpoint, bool *extended,
                            rbt_error *error);

/* Keeps the consistency proofs of the stored checkpoints and succession notes of more than `from` and
** fewer than `to` leaves, before prune drops these leaves' hashes, or their segment expires, which could
** give them back. `to` is a multiple of 256. */
int rbt_checkpoints_keep_proofs(rbt_log *log, uint64_t from, uint64_t to, rbt_error *error);

#endif
