/* SPDX-License-Identifier: MIT
** The rule for key names that verifier.c and sign.c share. */
#ifndef RBT_CRYPTO_NOTE_NAME_H
#define RBT_CRYPTO_NOTE_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* rbt_note_name_valid without the limit of 255 bytes: notes may carry the signatures of others. */
bool rbt_note_name_span_valid(const char *name, size_t length);

#endif
