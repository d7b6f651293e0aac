/* SPDX-License-Identifier: MIT
** Sealing and opening envelopes. The format is drawn in envelope.h. Calls libsodium and base alone;
** allocates nothing; every intermediate secret is wiped before a function returns.
**
** XChaCha20-Poly1305 by itself does not commit to its key: one ciphertext can be made to open under
** two keys. The commitment, the other half of the hash that gives the message key, closes that.
*/
#include "envelope.h"

#include "../base/bytes.h"
#include "../base/memory.h"
#include "stack.h"
#include <sodium.h>

enum {
    CREATED_AT = 12,
    NONCE_AT = 20,
    COMMITMENT_AT = 44, /* and the length of what the message key is derived from */
    SEALED_AT = RBT_ENVELOPE_HEADER,
    MESSAGE_KEY_SIZE = 32,
    COMMITMENT_SIZE = 32,
    TAG_SIZE = crypto_aead_xchacha20poly1305_ietf_ABYTES
};

static const uint8_t magic[3] = {'R', 'B', 'T'};

bool rbt_envelope_recognised(const uint8_t *bytes, size_t length) {
    return length >= RBT_ENVELOPE_OVERHEAD && memcmp(bytes, magic, sizeof magic) == 0 &&
           bytes[3] >= RBT_ENVELOPE_KIND_RING && bytes[3] <= RBT_ENVELOPE_KIND_BACKUP;
}

/* u64 LE len(context) || context: the length in front keeps context and value from running together. */
static void hash_context(crypto_generichash_state *hash, const uint8_t *context,
                         size_t context_length) {
    uint8_t length[8];
    rbt_store_u64le(length, context_length);
    crypto_generichash_update(hash, length, sizeof length);
    if (context_length) crypto_generichash_update(hash, context, context_length);
}

void rbt_envelope_nonce(uint8_t nonce[24], const uint8_t nonce_key[32], const uint8_t random[32],
                        const uint8_t header20[20], const uint8_t *context, size_t context_length,
                        uint8_t type, const uint8_t *value, size_t value_length) {
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, nonce_key, 32, 24);
    crypto_generichash_update(&hash, random, 32);
    crypto_generichash_update(&hash, header20, NONCE_AT);
    hash_context(&hash, context, context_length);
    crypto_generichash_update(&hash, &type, 1);
    if (value_length) crypto_generichash_update(&hash, value, value_length);
    crypto_generichash_final(&hash, nonce, 24);
    rbt_wipe(&hash, sizeof hash);
    rbt_wipe_stack();
}

/* Message key and commitment, from the envelope's first 44 bytes and the context. */
static void derive(uint8_t derived[MESSAGE_KEY_SIZE + COMMITMENT_SIZE], const uint8_t subkey[32],
                   const uint8_t *envelope, const uint8_t *context, size_t context_length) {
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, subkey, 32, MESSAGE_KEY_SIZE + COMMITMENT_SIZE);
    crypto_generichash_update(&hash, envelope, COMMITMENT_AT);
    hash_context(&hash, context, context_length);
    crypto_generichash_final(&hash, derived, MESSAGE_KEY_SIZE + COMMITMENT_SIZE);
    rbt_wipe(&hash, sizeof hash);
}

void rbt_envelope_header(uint8_t header[20], uint8_t kind, const uint8_t key_id[8],
                         uint64_t created_seconds) {
    memcpy(header, magic, sizeof magic);
    header[3] = kind;
    memcpy(header + 4, key_id, 8);
    rbt_store_u64le(header + CREATED_AT, created_seconds);
}

void rbt_envelope_seal(uint8_t *out, uint8_t kind, const uint8_t key_id[8],
                       uint64_t created_seconds, const uint8_t nonce[24], const uint8_t subkey[32],
                       const uint8_t *context, size_t context_length, uint8_t type,
                       const uint8_t *value, size_t value_length) {
    uint8_t derived[MESSAGE_KEY_SIZE + COMMITMENT_SIZE];
    uint8_t *sealed = out + SEALED_AT;

    rbt_envelope_header(out, kind, key_id, created_seconds);
    memcpy(out + NONCE_AT, nonce, 24);
    derive(derived, subkey, out, context, context_length);
    memcpy(out + COMMITMENT_AT, derived + MESSAGE_KEY_SIZE, COMMITMENT_SIZE);

    /* Encrypted where it stands, which libsodium allows. */
    sealed[0] = type;
    if (value_length) memcpy(sealed + 1, value, value_length);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, sealed, 1 + value_length, NULL, 0,
                                               NULL, nonce, derived);
    rbt_wipe(derived, sizeof derived);
    rbt_wipe_stack();
}

bool rbt_envelope_open(uint8_t *out, uint8_t *type, const uint8_t *envelope, size_t length,
                       const uint8_t subkey[32], const uint8_t *context, size_t context_length) {
    uint8_t derived[MESSAGE_KEY_SIZE + COMMITMENT_SIZE];
    size_t value_length;
    bool opened;

    *type = 0;
    if (length < RBT_ENVELOPE_OVERHEAD) return false;
    value_length = length - RBT_ENVELOPE_OVERHEAD;
    if (!rbt_envelope_recognised(envelope, length)) {
        rbt_wipe(out, value_length + 1);
        return false;
    }

    derive(derived, subkey, envelope, context, context_length);
    opened = crypto_verify_32(derived + MESSAGE_KEY_SIZE, envelope + COMMITMENT_AT) == 0 &&
             crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, envelope + SEALED_AT,
                                                        1 + value_length + TAG_SIZE, NULL, 0,
                                                        envelope + NONCE_AT, derived) == 0;
    rbt_wipe(derived, sizeof derived);
    rbt_wipe_stack();
    if (!opened) {
        rbt_wipe(out, value_length + 1);
        return false;
    }
    *type = out[0];
    memmove(out, out + 1, value_length);
    out[value_length] = 0;
    return true;
}
