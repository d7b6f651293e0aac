/* SPDX-License-Identifier: MIT
** Random bytes for hedged nonces, 32 at a time, without a system call for each. Hedged: a keyed hash of
** these bytes and of all that is encrypted, as rbt_envelope_nonce makes it.
*/
#ifndef RBT_CRYPTO_NONCE_RANDOM_H
#define RBT_CRYPTO_NONCE_RANDOM_H

#include <stdint.h>

/* 32 fresh random bytes, never handed out before. Any thread may call it. For nonces alone, never for
** keys: see nonce_random.c. */
void rbt_nonce_random(uint8_t random[32]);

#endif
