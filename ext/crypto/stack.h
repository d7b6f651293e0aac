/* SPDX-License-Identifier: MIT
** The stack after work with secrets. What a function of ours keeps in its own frame it wipes by name;
** the frames of the libraries that it called are out of its reach while they run, and BLAKE2b of
** libsodium and HMAC of nettle leave pieces of a key or of the hashed text behind. Calls libsodium.
*/
#ifndef RBT_CRYPTO_STACK_H
#define RBT_CRYPTO_STACK_H

#include <sodium.h>

/* The deepest callee, Ed25519, takes under 2 KiB (measured); zeroing 4 KiB takes some 50 ns. */
enum { RBT_STACK_WIPED = 4096 };

/* Zeroes the stack below the caller's frame. Last in a function that gave secrets to a library. */
static inline void rbt_wipe_stack(void) {
    sodium_stackzero(RBT_STACK_WIPED);
}

#endif
