/* SPDX-License-Identifier: MIT
** Checkpoint text (c2sp.org/tlog-checkpoint): "origin\nsize\nbase64(root)\n", optionally followed by
** extension lines. Signed as a note (crypto/sign.h). */
#ifndef RBT_AUDIT_CHECKPOINT_H
#define RBT_AUDIT_CHECKPOINT_H

#include "../base/buffer.h"
#include "tree.h"

typedef struct rbt_checkpoint {
    char origin[256];
    uint64_t size;
    rbt_hash root;
} rbt_checkpoint;

void rbt_checkpoint_format(rbt_buffer *out, const rbt_checkpoint *checkpoint);
/* Reads the text part of a note; strict: decimal without leading zeros, canonical base64. */
bool rbt_checkpoint_parse(rbt_checkpoint *checkpoint, const char *text, size_t length);

#endif
