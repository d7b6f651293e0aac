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
#include <sodium.h>

enum { KEY_ID_AT = 4, CREATED_AT = 12, NUMBER_SIZE = 8 };

void rbt_secret_free(void *memory) {
    if (memory == NULL) return;
    rbt_wipe(memory, (size_t)sqlite3_msize(memory));
    rbt_free(memory);
}

void rbt_opened_free(rbt_opened *opened) {
    rbt_secret_free(opened->value);
    opened->value = NULL;
    opened->length = 0;
}

uint64_t rbt_token_now(void) {
    int64_t now = rbt_clock_us();
    return now > 0 ? (uint64_t)now / 1000000u : 0;
}

static int refuse(const char *who, rbt_error *error) {
    return rbt_fail(error, SQLITE_ERROR,
                    "%s: the token does not open; it was altered, cut short, or belongs to another "
                    "key or context",
                    who);
}

/* Numbers are 8 bytes; text and blobs any length. */
static bool type_fits(uint8_t type, size_t length) {
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
    if (token[3] != RBT_ENVELOPE_KIND_RING) return refuse(who, error);
    const rbt_ring_key *key = rbt_keys_find(keys, token + KEY_ID_AT);
    if (key == NULL) {
        char hex[2 * RBT_KEY_ID_SIZE + 1];
        rbt_hex_encode(hex, token + KEY_ID_AT, RBT_KEY_ID_SIZE);
        return rbt_fail(error, SQLITE_ERROR, "%s: no key in the ring has id %s", who, hex);
    }
    opened->length = length - RBT_ENVELOPE_OVERHEAD;
    opened->value = rbt_malloc(opened->length + 1);
    if (opened->value == NULL) return rbt_fail_nomem(error);
    if (!rbt_envelope_open(opened->value, &opened->type, token, length, key->aead, place.bytes,
                           place.length) ||
        !type_fits(opened->type, opened->length)) {
        rbt_opened_free(opened);
        return refuse(who, error);
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
        code = raw.failed ? rbt_fail_nomem(error) : refuse(who, error);
        goto cleanup;
    }
    /* Fernet tokens do not say which key made them: the ring is tried in order. */
    for (size_t i = 0; key == NULL && i < rbt_keys_count(keys); i++) {
        const rbt_ring_key *candidate = rbt_keys_at(keys, i);
        if (rbt_fernet_authentic(raw.data, raw.length, candidate->fernet_sign)) key = candidate;
    }
    if (key == NULL) {
        code = refuse(who, error);
        goto cleanup;
    }
    opened->value = rbt_malloc(raw.length - RBT_FERNET_OVERHEAD);
    if (opened->value == NULL) {
        code = rbt_fail_nomem(error);
        goto cleanup;
    }
    if (!rbt_fernet_decrypt(opened->value, &opened->length, raw.data, raw.length,
                            key->fernet_encrypt)) {
        rbt_opened_free(opened);
        code = refuse(who, error);
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
    return refuse(who, error);
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

int rbt_token_seal_fernet(rbt_buffer *out, const rbt_keys *keys, uint64_t seconds,
                          const uint8_t *plaintext, size_t plaintext_length, rbt_error *error) {
    const rbt_ring_key *key = rbt_keys_at(keys, 0);
    uint8_t iv[16];

    randombytes_buf(iv, sizeof iv);
    if (!rbt_fernet_seal(out, seconds, iv, key->fernet_sign, key->fernet_encrypt, plaintext,
                         plaintext_length))
        return rbt_fail_nomem(error);
    return SQLITE_OK;
}
