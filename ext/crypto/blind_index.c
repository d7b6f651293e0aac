/* SPDX-License-Identifier: MIT
** See blind_index.h. Calls libsodium and base.
*/
#include "blind_index.h"

#include "../base/bytes.h"
#include "../base/memory.h"
#include "stack.h"
#include <sodium.h>

enum { DIGEST_SIZE = 32, DIGEST_KEPT = RBT_BLIND_INDEX_SIZE - RBT_KEY_ID_SIZE };

/* libsodium's BLAKE2b fails only for sizes out of range, and these are constants. */
void rbt_blind_index(uint8_t out[24], const rbt_ring_key *key, const uint8_t *context,
                     size_t context_length, uint8_t type, const uint8_t *value,
                     size_t value_length) {
    crypto_generichash_state hash;
    uint8_t length[8], digest[DIGEST_SIZE];

    rbt_store_u64le(length, context_length);
    crypto_generichash_init(&hash, key->bidx, sizeof key->bidx, sizeof digest);
    crypto_generichash_update(&hash, length, sizeof length);
    if (context_length) crypto_generichash_update(&hash, context, context_length);
    crypto_generichash_update(&hash, &type, 1);
    if (value_length) crypto_generichash_update(&hash, value, value_length);
    crypto_generichash_final(&hash, digest, sizeof digest);
    memcpy(out, key->id, RBT_KEY_ID_SIZE);
    memcpy(out + RBT_KEY_ID_SIZE, digest, DIGEST_KEPT);
    rbt_wipe(&hash, sizeof hash); /* its block holds the key, and the value */
    rbt_wipe(digest, sizeof digest);
    rbt_wipe_stack();
}
