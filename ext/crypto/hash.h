/* SPDX-License-Identifier: MIT
** SHA-256 (nettle, with SHA-NI where the processor has it). BLAKE2b comes from libsodium directly. */
#ifndef RBT_CRYPTO_HASH_H
#define RBT_CRYPTO_HASH_H

#include <nettle/sha2.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rbt_sha256 {
    struct sha256_ctx state;
} rbt_sha256;

void rbt_sha256_init(rbt_sha256 *hash);
void rbt_sha256_update(rbt_sha256 *hash, const void *bytes, size_t length);
void rbt_sha256_final(rbt_sha256 *hash, uint8_t digest[32]);
void rbt_sha256_once(uint8_t digest[32], const void *bytes, size_t length);

#endif
