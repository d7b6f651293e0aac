/* SPDX-License-Identifier: MIT
** Opening and sealing tokens with the ring's keys: see token.h. Calls envelope, fernet, keys and
** base. One allocation a call, that of the result (Fernet takes one more for the decoded token).
*/
#include "token.h"

#include "../base/bytes.h"
#include "../base/clock.h"
#include "../base/memory.h"
#include "../base/utf8.h"
#include "envelope.h"
#include "fernet.h"
#include "nonce_random.h"
#include "stack.h"
#include <sodium.h>

enum { KEY_ID_AT = 4, CREATED_AT = 12, NUMBER_SIZE = 8 };

void rbt_opened_free(rbt_opened *opened) {
    rbt_secret_free(opened->value);
    opened->value = NULL;
    opened->length = 0;
}

uint64_t rbt_token_now(void) {
    int64_t now = rbt_clock_us();
    return now > 0 ? (uint64_t)now / 1000000u : 0;
}

int rbt_token_refuse(const char *who, rbt_error *error) {
    return rbt_fail(error, SQLITE_ERROR,
                    "%s: the token does not open; it was altered, cut short, or belongs to another "
                    "key or context",
                    who);
}

int rbt_token_no_key(const uint8_t id[RBT_KEY_ID_SIZE], const char *who, rbt_error *error) {
    char hex[2 * RBT_KEY_ID_SIZE + 1];
    rbt_hex_encode(hex, id, RBT_KEY_ID_SIZE);
    return rbt_fail(error, SQLITE_ERROR, "%s: no key in the ring has id %s", who, hex);
}

bool rbt_value_type_fits(uint8_t type, size_t length) {
    switch (type) {
    case RBT_VALUE_INTEGER:
    case RBT_VALUE_REAL:
        return length == NUMBER_SIZE;
    case RBT_VALUE_TEXT:
    case RBT_VALUE_BLOB:
        return true;
    default:
        return false;
    }
}

static int open_envelope(rbt_opened *opened, const rbt_keys *keys, const uint8_t *token,
                         size_t length, rbt_place place, const char *who, rbt_error *error) {
    if (token[3] != RBT_ENVELOPE_KIND_RING) return rbt_token_refuse(who, error);
    const rbt_ring_key *key = rbt_keys_find(keys, token + KEY_ID_AT);
    if (key == NULL) return rbt_token_no_key(token + KEY_ID_AT, who, error);
    opened->length = length - RBT_ENVELOPE_OVERHEAD;
    opened->value = rbt_malloc(opened->length + 1);
    if (opened->value == NULL) return rbt_fail_nomem(error);
    if (!rbt_envelope_open(opened->value, &opened->type, token, length, key->aead, place.bytes,
                           place.length) ||
        !rbt_value_type_fits(opened->type, opened->length)) {
        rbt_opened_free(opened);
        return rbt_token_refuse(who, error);
    }
    opened->fernet = false;
    opened->primary = key == rbt_keys_at(keys, 0);
    opened->created = rbt_load_u64le(token + CREATED_AT);
    return SQLITE_OK;
}

int rbt_token_open_fernet(rbt_opened *opened, const rbt_keys *keys, const uint8_t *token,
                          size_t length, const char *who, rbt_error *error) {
    rbt_buffer raw = {0};
    const rbt_ring_key *key = NULL;
    int code;

    if (!rbt_fernet_decode(&raw, token, length)) {
        code = raw.failed ? rbt_fail_nomem(error) : rbt_token_refuse(who, error);
        goto cleanup;
    }
    /* Fernet tokens do not say which key made them: the ring is tried in order. */
    for (size_t i = 0; key == NULL && i < rbt_keys_count(keys); i++) {
        const rbt_ring_key *candidate = rbt_keys_at(keys, i);
        if (rbt_fernet_authentic(raw.data, raw.length, candidate->fernet_sign)) key = candidate;
    }
    opened->no_key = key == NULL;
    if (key == NULL) {
        code = rbt_token_refuse(who, error);
        goto cleanup;
    }
    opened->value = rbt_malloc(raw.length - RBT_FERNET_OVERHEAD);
    if (opened->value == NULL) {
        code = rbt_fail_nomem(error);
        goto cleanup;
    }
    if (!rbt_fernet_decrypt(opened->value, &opened->length, raw.data, raw.length,
                            &key->fernet_schedule)) {
        rbt_opened_free(opened);
        code = rbt_token_refuse(who, error);
        goto cleanup;
    }
    opened->type = rbt_utf8_valid(opened->value, opened->length) ? RBT_VALUE_TEXT : RBT_VALUE_BLOB;
    opened->fernet = true;
    opened->primary = key == rbt_keys_at(keys, 0);
    opened->created = rbt_fernet_time(raw.data);
    code = SQLITE_OK;

cleanup:
    rbt_buffer_free(&raw);
    return code;
}

int rbt_token_open(rbt_opened *opened, const rbt_keys *keys, const uint8_t *token, size_t length,
                   rbt_place place, const char *who, rbt_error *error) {
    if (rbt_envelope_recognised(token, length))
        return open_envelope(opened, keys, token, length, place, who, error);
    if (place.length == 0) return rbt_token_open_fernet(opened, keys, token, length, who, error);
    /* The first base64 character of version 0x80 is always g. */
    if (length > 0 && token[0] == 'g')
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: a Fernet token cannot carry a context; leave the context out, or turn "
                        "it into a token that has one: encrypt(decrypt(token), context)",
                        who);
    return rbt_token_refuse(who, error);
}

int rbt_token_seal(uint8_t **out, const rbt_keys *keys, rbt_place place, uint8_t type,
                   const uint8_t *value, size_t value_length, rbt_error *error) {
    const rbt_ring_key *key = rbt_keys_at(keys, 0);
    uint8_t header[20], random[32], nonce[24];
    uint64_t now = rbt_token_now();

    *out = rbt_malloc(value_length + RBT_ENVELOPE_OVERHEAD);
    if (*out == NULL) return rbt_fail_nomem(error);
    rbt_envelope_header(header, RBT_ENVELOPE_KIND_RING, key->id, now);
    rbt_nonce_random(random);
    rbt_envelope_nonce(nonce, key->nonc, random, header, place.bytes, place.length, type, value,
                       value_length);
    rbt_envelope_seal(*out, RBT_ENVELOPE_KIND_RING, key->id, now, nonce, key->aead, place.bytes,
                      place.length, type, value, value_length);
    rbt_wipe(random, sizeof random);
    return SQLITE_OK;
}

/* Random as Fernet wants it, and hedged as the envelope's nonce is: should the random source ever
** repeat itself (a restored virtual machine), different plaintexts still get different ones.
** BLAKE2b-128(key = rbt_nonc, 32 random bytes || version || u64 BE seconds || plaintext); the nonce has
** another length of hash, which makes the two unrelated. */
static void hedged_iv(uint8_t iv[16], const uint8_t nonce_key[32], uint64_t seconds,
                      const uint8_t *plaintext, size_t length) {
    crypto_generichash_state hash;
    uint8_t random[32], head[9] = {RBT_FERNET_VERSION};

    rbt_nonce_random(random);
    rbt_store_u64be(head + 1, seconds);
    crypto_generichash_init(&hash, nonce_key, 32, 16);
    crypto_generichash_update(&hash, random, sizeof random);
    crypto_generichash_update(&hash, head, sizeof head);
    if (length) crypto_generichash_update(&hash, plaintext, length);
    crypto_generichash_final(&hash, iv, 16);
    rbt_wipe(&hash, sizeof hash);
    rbt_wipe(random, sizeof random);
    rbt_wipe_stack();
}

int rbt_token_seal_fernet(rbt_buffer *out, const rbt_keys *keys, uint64_t seconds,
                          const uint8_t *plaintext, size_t plaintext_length, rbt_error *error) {
    const rbt_ring_key *key = rbt_keys_at(keys, 0);
    uint8_t iv[16];

    hedged_iv(iv, key->nonc, seconds, plaintext, plaintext_length);
    if (!rbt_fernet_seal(out, seconds, iv, key->fernet_sign, &key->fernet_schedule, plaintext,
                         plaintext_length))
        return rbt_fail_nomem(error);
    return SQLITE_OK;
}
