/* SPDX-License-Identifier: MIT
** See subject.h. Allocates the token and, while it is sealed, the padded value; every copy of a key or
** a value is wiped before a function returns.
*/
#include "subject.h"

#include "../base/memory.h"
#include "nonce_random.h"
#include <sodium.h>

enum {
    KIND_AT = 3,
    CIPHERTEXT_AT = RBT_ENVELOPE_HEADER + 1, /* of the key: the type byte comes before it */
    HALF_KEY = RBT_SUBJECT_KEY_SIZE / 2,
    PADDING_MARK = 0x80
};

static bool has_kind(const uint8_t *bytes, size_t length, uint8_t kind) {
    return rbt_envelope_recognised(bytes, length) && bytes[KIND_AT] == kind;
}

void rbt_subject_key_new(rbt_subject_key *subject) {
    randombytes_buf(subject->sid, sizeof subject->sid);
    randombytes_buf(subject->key, sizeof subject->key);
}

/* Seals into out, now, with a hedged nonce. */
static void seal(uint8_t *out, uint8_t kind, const uint8_t id[8], const uint8_t subkey[32],
                 const rbt_ring_key *ring, rbt_place place, uint8_t type, const uint8_t *value,
                 size_t value_length) {
    uint8_t header[20], random[32], nonce[24];
    uint64_t now = rbt_token_now();

    rbt_envelope_header(header, kind, id, now);
    rbt_nonce_random(random);
    rbt_envelope_nonce(nonce, ring->nonc, random, header, place.bytes, place.length, type, value,
                       value_length);
    rbt_envelope_seal(out, kind, id, now, nonce, subkey, place.bytes, place.length, type, value,
                      value_length);
    rbt_wipe(random, sizeof random);
}

void rbt_subject_wrap(uint8_t wrapped[RBT_WRAPPED_SUBJECT_SIZE], const rbt_ring_key *ring,
                      const rbt_subject_key *subject) {
    rbt_place place = {subject->sid, sizeof subject->sid};
    seal(wrapped, RBT_ENVELOPE_KIND_WRAPPED_SUBJECT, ring->id, ring->subj, ring, place,
         RBT_VALUE_BLOB, subject->key, sizeof subject->key);
}

bool rbt_subject_is_wrapped(const uint8_t *bytes, size_t length) {
    return length == RBT_WRAPPED_SUBJECT_SIZE &&
           has_kind(bytes, length, RBT_ENVELOPE_KIND_WRAPPED_SUBJECT);
}

bool rbt_subject_unwrap(rbt_subject_key *subject, const rbt_ring_key *ring, const uint8_t *wrapped,
                        size_t length) {
    uint8_t opened[RBT_SUBJECT_KEY_SIZE + 1], type = 0;
    bool good = rbt_subject_is_wrapped(wrapped, length) &&
                memcmp(wrapped + RBT_WRAPPED_KEY_ID, ring->id, RBT_KEY_ID_SIZE) == 0 &&
                rbt_envelope_open(opened, &type, wrapped, length, ring->subj, subject->sid,
                                  sizeof subject->sid) &&
                type == RBT_VALUE_BLOB;

    if (good)
        memcpy(subject->key, opened, sizeof subject->key);
    else
        rbt_wipe(subject->key, sizeof subject->key);
    rbt_wipe(opened, sizeof opened);
    return good;
}

bool rbt_subject_is_token(const uint8_t *bytes, size_t length) {
    return has_kind(bytes, length, RBT_ENVELOPE_KIND_SUBJECT) &&
           (length - RBT_ENVELOPE_OVERHEAD + 1) % RBT_SUBJECT_BLOCK == 0;
}

/* Bytes after the type byte: the value, the mark, and zeros up to whole blocks. */
static size_t padded_length(size_t value_length) {
    size_t blocks = (1 + value_length) / RBT_SUBJECT_BLOCK + 1;
    return blocks * RBT_SUBJECT_BLOCK - 1;
}

int rbt_subject_seal(uint8_t **token, size_t *token_length, const rbt_subject_key *subject,
                     const rbt_ring_key *ring, rbt_place place, uint8_t type, const uint8_t *value,
                     size_t value_length, rbt_error *error) {
    size_t length = padded_length(value_length);
    uint8_t *padded = rbt_calloc(length);

    *token = NULL;
    *token_length = length + RBT_ENVELOPE_OVERHEAD;
    if (padded) *token = rbt_malloc(*token_length);
    if (*token) {
        if (value_length) memcpy(padded, value, value_length);
        padded[value_length] = PADDING_MARK;
        seal(*token, RBT_ENVELOPE_KIND_SUBJECT, subject->sid, subject->key, ring, place, type,
             padded, length);
    }
    rbt_secret_free(padded);
    return *token ? SQLITE_OK : rbt_fail_nomem(error);
}

/* Where the mark stands, which is the value's length; false unless the padding is what padded_length
** gives. The bytes are authentic by now, so it need not be constant in time. */
static bool unpad(size_t *value_length, const uint8_t *padded, size_t length) {
    size_t at = length;
    while (at > 0 && padded[at - 1] == 0)
        at--;
    if (at == 0 || padded[at - 1] != PADDING_MARK) return false;
    *value_length = at - 1;
    return padded_length(*value_length) == length;
}

int rbt_subject_open(rbt_opened *opened, const rbt_subject_key *subject, const uint8_t *token,
                     size_t length, rbt_place place, const char *who, rbt_error *error) {
    if (!rbt_subject_is_token(token, length) ||
        memcmp(token + RBT_SUBJECT_TOKEN_SID, subject->sid, sizeof subject->sid) != 0)
        return rbt_token_refuse(who, error);
    size_t padded = length - RBT_ENVELOPE_OVERHEAD;
    opened->value = rbt_malloc(padded + 1);
    if (opened->value == NULL) return rbt_fail_nomem(error);
    if (!rbt_envelope_open(opened->value, &opened->type, token, length, subject->key, place.bytes,
                           place.length) ||
        !unpad(&opened->length, opened->value, padded) ||
        !rbt_value_type_fits(opened->type, opened->length)) {
        rbt_opened_free(opened);
        return rbt_token_refuse(who, error);
    }
    opened->value[opened->length] = 0;
    return SQLITE_OK;
}

/* Whether an envelope of this very key begins here. */
static bool opens_here(const rbt_destroyed_key *destroyed, const rbt_keys *keys,
                       const uint8_t *bytes) {
    const rbt_ring_key *ring = rbt_keys_find(keys, bytes + RBT_WRAPPED_KEY_ID);
    rbt_subject_key subject;
    if (ring == NULL) return false;
    memcpy(subject.sid, destroyed->sid, sizeof subject.sid);
    bool opens = rbt_subject_unwrap(&subject, ring, bytes, RBT_WRAPPED_SUBJECT_SIZE);
    rbt_wipe(&subject, sizeof subject);
    return opens;
}

bool rbt_subject_trace(const rbt_destroyed_key *destroyed, const rbt_keys *keys,
                       const uint8_t *bytes, size_t length, size_t *at) {
    static const uint8_t magic[] = {'R', 'B', 'T', RBT_ENVELOPE_KIND_WRAPPED_SUBJECT};
    const uint8_t *end = bytes + length, *found = bytes;

    while ((found = memmem(found, (size_t)(end - found), magic, sizeof magic)) != NULL) {
        if ((size_t)(end - found) < RBT_WRAPPED_SUBJECT_SIZE) break;
        if (opens_here(destroyed, keys, found)) {
            *at = (size_t)(found - bytes);
            return true;
        }
        found++;
    }
    for (int half = 0; half < 2; half++) {
        found =
            memmem(bytes, length, destroyed->wrapped + CIPHERTEXT_AT + half * HALF_KEY, HALF_KEY);
        if (found) {
            *at = (size_t)(found - bytes);
            return true;
        }
    }
    return false;
}
