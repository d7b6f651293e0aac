/* SPDX-License-Identifier: MIT
** Fernet: the format is drawn in fernet.h. Calls nettle (AES-128-CBC, HMAC-SHA256), libsodium's
** constant-time comparison, and base. Source: github.com/fernet/spec.
**
** Decoding is stricter than Python's: base64 that is not canonical would let one token be written in
** several ways, which defeats anything that compares tokens or counts their use.
*/
#include "fernet.h"

#include "../base/base64.h"
#include "../base/bytes.h"
#include "../base/memory.h"
#include "stack.h"
#include <nettle/aes.h>
#include <nettle/cbc.h>
#include <nettle/hmac.h>
#include <sodium.h>

enum { TIME_AT = 1, IV_AT = 9, MAC_SIZE = 32 };

bool rbt_fernet_well_formed(const uint8_t *raw, size_t length) {
    return length >= RBT_FERNET_MINIMUM && raw[0] == RBT_FERNET_VERSION &&
           (length - RBT_FERNET_OVERHEAD) % RBT_FERNET_BLOCK == 0;
}

bool rbt_fernet_decode(rbt_buffer *raw, const uint8_t *text, size_t length) {
    size_t start = raw->length;
    if (!rbt_base64_decode(raw, (const char *)text, length, true, true)) return false;
    return rbt_fernet_well_formed(raw->data + start, raw->length - start);
}

uint64_t rbt_fernet_time(const uint8_t *raw) {
    return rbt_load_u64be(raw + TIME_AT);
}

static void compute_mac(uint8_t mac[MAC_SIZE], const uint8_t *bytes, size_t length,
                        const uint8_t sign_key[16]) {
    struct hmac_sha256_ctx hmac;
    hmac_sha256_set_key(&hmac, 16, sign_key);
    hmac_sha256_update(&hmac, length, bytes);
    hmac_sha256_digest(&hmac, MAC_SIZE, mac);
    rbt_wipe(&hmac, sizeof hmac);
}

bool rbt_fernet_authentic(const uint8_t *raw, size_t length, const uint8_t sign_key[16]) {
    uint8_t mac[MAC_SIZE];
    bool equal;
    compute_mac(mac, raw, length - MAC_SIZE, sign_key);
    equal = crypto_verify_32(mac, raw + length - MAC_SIZE) == 0;
    rbt_wipe(mac, sizeof mac); /* the right HMAC of a forged token is worth keeping secret */
    rbt_wipe_stack();
    return equal;
}

_Static_assert(sizeof(struct aes128_ctx) == RBT_FERNET_SCHEDULE, "a schedule is nettle's context");

void rbt_fernet_schedule_make(rbt_fernet_schedule *schedule, const uint8_t encrypt_key[16]) {
    struct aes128_ctx aes;
    aes128_set_encrypt_key(&aes, encrypt_key);
    memcpy(schedule->encrypt, &aes, sizeof aes);
    aes128_set_decrypt_key(&aes, encrypt_key);
    memcpy(schedule->decrypt, &aes, sizeof aes);
    rbt_wipe(&aes, sizeof aes);
    rbt_wipe_stack();
}

/* PKCS#7 on the last block, without a branch on how it fails. The token is authentic by now, so there is
** hardly anyone to learn from it; but then nobody has to think that through again. */
static bool padding_sound(const uint8_t block[RBT_FERNET_BLOCK]) {
    unsigned padding = block[RBT_FERNET_BLOCK - 1];
    unsigned wrong = (padding - 1) >> 8 | (RBT_FERNET_BLOCK - padding) >> 8; /* 0 wraps, 17 too */
    for (unsigned i = 0; i < RBT_FERNET_BLOCK; i++) {
        unsigned counts = (RBT_FERNET_BLOCK - 1 - i - padding) >> 8; /* wraps for the last ones */
        wrong |= (block[i] ^ padding) & counts;
    }
    return wrong == 0;
}

bool rbt_fernet_decrypt(uint8_t *out, size_t *plaintext_length, const uint8_t *raw, size_t length,
                        const rbt_fernet_schedule *schedule) {
    size_t padded = length - RBT_FERNET_OVERHEAD;
    struct aes128_ctx aes;
    uint8_t iv[16];

    *plaintext_length = 0;
    memcpy(iv, raw + IV_AT, sizeof iv);
    memcpy(&aes, schedule->decrypt, sizeof aes);
    cbc_decrypt(&aes, (nettle_cipher_func *)aes128_decrypt, RBT_FERNET_BLOCK, iv, padded, out,
                raw + RBT_FERNET_HEADER);
    rbt_wipe(&aes, sizeof aes);
    rbt_wipe_stack();

    unsigned padding = out[padded - 1];
    if (!padding_sound(out + padded - RBT_FERNET_BLOCK)) {
        rbt_wipe(out, padded);
        return false;
    }
    *plaintext_length = padded - padding;
    out[*plaintext_length] = 0;
    return true;
}

bool rbt_fernet_seal(rbt_buffer *out, uint64_t seconds, const uint8_t iv[16],
                     const uint8_t sign_key[16], const rbt_fernet_schedule *schedule,
                     const uint8_t *plaintext, size_t plaintext_length) {
    uint8_t padding = (uint8_t)(RBT_FERNET_BLOCK - plaintext_length % RBT_FERNET_BLOCK);
    size_t padded = plaintext_length + padding;
    size_t size = padded + RBT_FERNET_OVERHEAD;
    struct aes128_ctx aes;
    uint8_t chain[16];
    uint8_t *raw = rbt_malloc(size);

    if (raw == NULL) {
        out->failed = true;
        return false;
    }
    raw[0] = RBT_FERNET_VERSION;
    rbt_store_u64be(raw + TIME_AT, seconds);
    memcpy(raw + IV_AT, iv, 16);
    if (plaintext_length) memcpy(raw + RBT_FERNET_HEADER, plaintext, plaintext_length);
    memset(raw + RBT_FERNET_HEADER + plaintext_length, padding, padding);

    memcpy(chain, iv, sizeof chain);
    memcpy(&aes, schedule->encrypt, sizeof aes);
    cbc_encrypt(&aes, (nettle_cipher_func *)aes128_encrypt, RBT_FERNET_BLOCK, chain, padded,
                raw + RBT_FERNET_HEADER, raw + RBT_FERNET_HEADER);
    rbt_wipe(&aes, sizeof aes);
    compute_mac(raw + size - MAC_SIZE, raw, size - MAC_SIZE, sign_key);
    rbt_wipe_stack();

    rbt_base64_encode(out, raw, size, true);
    rbt_free(raw); /* nothing secret in it any more: it was encrypted where it stood */
    return !out->failed;
}

static uint64_t add_saturating(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

rbt_freshness rbt_fernet_freshness(uint64_t seconds, uint64_t ttl_seconds, uint64_t now_seconds) {
    if (add_saturating(seconds, ttl_seconds) < now_seconds) return RBT_EXPIRED;
    if (add_saturating(now_seconds, RBT_FERNET_CLOCK_SKEW) < seconds) return RBT_FROM_FUTURE;
    return RBT_FRESH;
}
