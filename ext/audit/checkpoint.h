/* SPDX-License-Identifier: MIT
** Checkpoint text (c2sp.org/tlog-checkpoint): "origin\nsize\nbase64(root)\n", optionally followed by
** extension lines. Signed as a note (crypto/sign.h). Pure. */
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

/* Exactly one base64 hash of 32 bytes, canonical; needs no memory. */
bool rbt_hash_parse(rbt_hash *hash, const char *text, size_t length);
/* Exactly one decimal number up to 2^63 - 1, without sign or leading zeros. */
bool rbt_decimal_parse(uint64_t *value, const char *digits, size_t length);

#endif
