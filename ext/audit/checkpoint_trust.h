/* SPDX-License-Identifier: MIT
** Whether a note is a checkpoint that may be believed: the one place where signatures of checkpoints
** are judged (DESIGN §5, Trust; c2sp.org/tlog-checkpoint, tlog-cosignature, tlog-proof). May call base,
** crypto and the checkpoint's text.
**
** At least one Ed25519 key whose name is the checkpoint's origin must have signed, and no signature by
** a known key may be wrong. Witnesses among the keys vouch for nothing by themselves; where the caller
** says so, every one of them must have cosigned.
*/
#ifndef RBT_AUDIT_CHECKPOINT_TRUST_H
#define RBT_AUDIT_CHECKPOINT_TRUST_H

#include "../base/error.h"
#include "../crypto/sign.h"
#include "checkpoint.h"

typedef struct rbt_judged {
    rbt_checkpoint checkpoint; /* valid when well_formed */
    bool well_formed;
    const char *kind;               /* NULL: it may be believed; else "checkpoint" or "untrusted" */
    rbt_buffer sentence;            /* what is wrong, beginning with `what` */
    rbt_note_signature *signatures; /* of each verifier; valid when it may be believed */
} rbt_judged;

/* Judges a note. what: begins the sentence ("the checkpoint"). origin: whose checkpoint it must be, or
** NULL to take the checkpoint's own word, and then the names of the keys decide. Returns an error only
** when memory ran out. Free with rbt_judged_free in any case. */
int rbt_checkpoint_judge(rbt_judged *judged, const char *note, size_t length, const char *what,
                         const char *origin, const rbt_verifier *verifiers, size_t count,
                         bool witnesses_required, rbt_error *error);
void rbt_judged_free(rbt_judged *judged);

/* Appends ", cosigned by <name> at <time>" for every witness that did. */
void rbt_judged_add_witnesses(rbt_buffer *out, const rbt_judged *judged,
                              const rbt_verifier *verifiers, size_t count);

#endif
