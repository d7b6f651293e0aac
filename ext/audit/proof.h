/* SPDX-License-Identifier: MIT
** What leaves the database as evidence, in text: proofs of entries (c2sp.org/tlog-proof@v1) and
** requests to witnesses (the body of c2sp.org/tlog-witness add-checkpoint). The paths in them come
** from tree.h, which also verifies them. Pure: calls base, tree and checkpoint.
**
**   c2sp.org/tlog-proof@v1            old <size of the earlier checkpoint>
**   extra <base64>                    <base64 hash> …
**   index <leaf>
**   <base64 hash> …                   <checkpoint>
**
**   <checkpoint>
*/
#ifndef RBT_AUDIT_PROOF_H
#define RBT_AUDIT_PROOF_H

#include "../base/buffer.h"
#include "tree.h"

/* A tree of at most 2^63 leaves has no longer path to a leaf. */
enum { RBT_PROOF_MAX_HASHES = 63 };

typedef struct rbt_tlog_proof {
    uint64_t index; /* of the leaf, from 0: an entry's id */
    rbt_proof path; /* from the leaf's sibling up */
    const char *note;
    size_t note_length; /* the checkpoint, within the text that was parsed */
} rbt_tlog_proof;

void rbt_tlog_proof_format(rbt_buffer *out, uint64_t index, const rbt_proof *path, const char *note,
                           size_t note_length);

/* Reads a proof; strict: decimals without leading zeros, canonical base64. An `extra` line, which
** nobody signed, must have the right form and is passed over. The checkpoint is only found, not
** read. False and *why ("its second line is not …") when the text is no proof. */
bool rbt_tlog_proof_parse(rbt_tlog_proof *proof, const char *text, size_t length, const char **why);

/* The body of a request to a witness that has seen old_size leaves (0: none yet, and an empty path). */
void rbt_add_checkpoint_format(rbt_buffer *out, uint64_t old_size, const rbt_proof *path,
                               const char *note, size_t note_length);

#endif
