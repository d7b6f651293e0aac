/* SPDX-License-Identifier: MIT
** Subjects: whoever data is about, each with a random key of its own, so that destroying that one key
** makes the data unreadable wherever it was copied to (DESIGN §5). Pure; calls envelope, keys, token
** and libsodium.
**
**   sid      8 random bytes, which name the key
**   wrapped  envelope of kind 3 under a ring key: key id = the ring key's, subkey = its rbt_subj,
**            context = the sid; type BLOB, value = the 32 bytes of the subject's key
**   token    envelope of kind 2: key id = the sid, subkey = the subject's key; what is encrypted is
**            type || value || 0x80 || 00 … up to a multiple of 32 bytes, so that a token tells its
**            value's length to within 32 bytes and does not tell its type
**
** Nonces of both are hedged with the rbt_nonc of the ring key that is in use when they are made.
*/
#ifndef RBT_CRYPTO_SUBJECT_H
#define RBT_CRYPTO_SUBJECT_H

#include "envelope.h"
#include "keys.h"
#include "token.h"

enum {
    RBT_SUBJECT_ID_SIZE = 8,
    RBT_SUBJECT_KEY_SIZE = 32,
    RBT_SUBJECT_BLOCK = 32,
    RBT_WRAPPED_SUBJECT_SIZE = RBT_ENVELOPE_OVERHEAD + RBT_SUBJECT_KEY_SIZE
};

/* A secret: wipe it when done. */
typedef struct rbt_subject_key {
    uint8_t sid[RBT_SUBJECT_ID_SIZE];
    uint8_t key[RBT_SUBJECT_KEY_SIZE];
} rbt_subject_key;

/* A new key with a new sid. */
void rbt_subject_key_new(rbt_subject_key *subject);

void rbt_subject_wrap(uint8_t wrapped[RBT_WRAPPED_SUBJECT_SIZE], const rbt_ring_key *ring,
                      const rbt_subject_key *subject);

/* Whether bytes have the form of a wrapped subject key; its ring key's id is at RBT_WRAPPED_KEY_ID. */
bool rbt_subject_is_wrapped(const uint8_t *bytes, size_t length);
enum { RBT_WRAPPED_KEY_ID = 4 };

/* Opens a wrapped key of subject->sid into subject->key. False, and a key of zeros, for every kind of
** failure alike. */
bool rbt_subject_unwrap(rbt_subject_key *subject, const rbt_ring_key *ring, const uint8_t *wrapped,
                        size_t length);

/* Whether bytes have the form of a subject's token; the sid is at RBT_SUBJECT_TOKEN_SID. */
bool rbt_subject_is_token(const uint8_t *bytes, size_t length);
enum { RBT_SUBJECT_TOKEN_SID = 4 };

/* Encrypts type || value under the subject's key, now. *token is from rbt_malloc, of *token_length
** bytes: 92 and a multiple of 32. */
int rbt_subject_seal(uint8_t **token, size_t *token_length, const rbt_subject_key *subject,
                     const rbt_ring_key *ring, rbt_place place, uint8_t type, const uint8_t *value,
                     size_t value_length, rbt_error *error);

/* Opens a token of that subject; who begins the error message, which is the same for all failures. */
int rbt_subject_open(rbt_opened *opened, const rbt_subject_key *subject, const uint8_t *token,
                     size_t length, rbt_place place, const char *who, rbt_error *error);

/* A key that was destroyed: its sid, and the bytes that held it. */
typedef struct rbt_destroyed_key {
    uint8_t sid[RBT_SUBJECT_ID_SIZE];
    uint8_t wrapped[RBT_WRAPPED_SUBJECT_SIZE];
} rbt_destroyed_key;

/* Looks through bytes for what still gives the key away: an envelope that opens as that sid's key under
** any key of the ring, whenever it was wrapped, or half of the encrypted key in `wrapped`, which is all
** that one piece holds where a row was cut in two by the end of a page. *at: OUT, where the first one
** begins. Pieces up to RBT_WRAPPED_SUBJECT_SIZE long are found if they are whole in bytes. */
bool rbt_subject_trace(const rbt_destroyed_key *destroyed, const rbt_keys *keys,
                       const uint8_t *bytes, size_t length, size_t *at);

#endif
