/* SPDX-License-Identifier: MIT
** The blind index: a keyed fingerprint of a value, by which an encrypted column can be searched for
** equality (DESIGN §5). Pure; calls keys.h's ring keys and libsodium.
**
**   0   key id    8, of the ring key
**   8   digest    first 16 bytes of BLAKE2b-256(key = rbt_bidx, u64 LE length of context || context ||
**                 type byte || value); value as the envelope holds it (numbers: 8 bytes, little-endian)
**
** Equal values of one context under one key give equal bytes, so it shows equality and frequency.
*/
#ifndef RBT_CRYPTO_BLIND_INDEX_H
#define RBT_CRYPTO_BLIND_INDEX_H

#include "keys.h"
#include <stddef.h>
#include <stdint.h>

enum { RBT_BLIND_INDEX_SIZE = 24 };

/* The fingerprint of type || value in a context, under one ring key. type: RBT_VALUE_INTEGER …
** RBT_VALUE_BLOB (envelope.h). value may be NULL when value_length is 0. */
void rbt_blind_index(uint8_t out[24], const rbt_ring_key *key, const uint8_t *context,
                     size_t context_length, uint8_t type, const uint8_t *value,
                     size_t value_length);

#endif
