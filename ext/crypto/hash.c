/* SPDX-License-Identifier: MIT
** SHA-256: a thin layer over nettle, which uses SHA-NI where the processor has it (libsodium's is 4 to
** 5 times slower). Offers hash.h; calls nettle alone. Source: FIPS 180-4.
*/
#include "hash.h"

void rbt_sha256_init(rbt_sha256 *hash) {
    sha256_init(&hash->state);
}

void rbt_sha256_update(rbt_sha256 *hash, const void *bytes, size_t length) {
    if (length) sha256_update(&hash->state, length, bytes);
}

void rbt_sha256_final(rbt_sha256 *hash, uint8_t digest[32]) {
    sha256_digest(&hash->state, SHA256_DIGEST_SIZE, digest);
}

void rbt_sha256_once(uint8_t digest[32], const void *bytes, size_t length) {
    rbt_sha256 hash;
    rbt_sha256_init(&hash);
    rbt_sha256_update(&hash, bytes, length);
    rbt_sha256_final(&hash, digest);
}
