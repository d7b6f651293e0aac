/* SPDX-License-Identifier: MIT
** The envelope: one encrypted value, 93 bytes longer than it (DESIGN §5).
**
**   0   "RBT" kind          kind 1 ring key, 2 subject key, 3 wrapped subject key, 4 key backup
**   4   key id              8 bytes
**   12  created             u64 LE, Unix seconds
**   20  nonce               24
**   44  commitment          32
**   76  XChaCha20-Poly1305  (message key, nonce, no AAD) of type byte || value, then tag 16
**
**   h = BLAKE2b-512(key = subkey, bytes 0-43 || u64 LE len(context) || context)
**   message key = h[0..31], commitment = h[32..63]
**   nonce = BLAKE2b-192(key = rbt_nonc, 32 random bytes || bytes 0-19 || u64 LE len(context) ||
**           context || type || value)
*/
#ifndef RBT_CRYPTO_ENVELOPE_H
#define RBT_CRYPTO_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RBT_ENVELOPE_KIND_RING = 1,
    RBT_ENVELOPE_KIND_SUBJECT = 2,
    RBT_ENVELOPE_KIND_WRAPPED_SUBJECT = 3,
    RBT_ENVELOPE_KIND_BACKUP = 4
};
enum { RBT_ENVELOPE_HEADER = 76, RBT_ENVELOPE_OVERHEAD = 93 };
enum { RBT_VALUE_INTEGER = 1, RBT_VALUE_REAL = 2, RBT_VALUE_TEXT = 3, RBT_VALUE_BLOB = 4 };

/* True when bytes begin like an envelope of any kind and are long enough for one. */
bool rbt_envelope_recognised(const uint8_t *bytes, size_t length);

/* Bytes 0-19: magic, kind, key id, time; what rbt_envelope_nonce wants as header20. */
void rbt_envelope_header(uint8_t header[20], uint8_t kind, const uint8_t key_id[8],
                         uint64_t created_seconds);

/* The nonce, from 32 fresh random bytes and everything that is encrypted. */
void rbt_envelope_nonce(uint8_t nonce[24], const uint8_t nonce_key[32], const uint8_t random[32],
                        const uint8_t header20[20], const uint8_t *context, size_t context_length,
                        uint8_t type, const uint8_t *value, size_t value_length);

/* Encrypts type || value into out[value_length + RBT_ENVELOPE_OVERHEAD]. The caller gives the nonce
** (rbt_envelope_nonce). out may not overlap value. */
void rbt_envelope_seal(uint8_t *out, uint8_t kind, const uint8_t key_id[8],
                       uint64_t created_seconds, const uint8_t nonce[24], const uint8_t subkey[32],
                       const uint8_t *context, size_t context_length, uint8_t type,
                       const uint8_t *value, size_t value_length);

/* Opens an envelope of length bytes: the value of length - RBT_ENVELOPE_OVERHEAD bytes goes into out,
** which has room for one byte more (the type byte passes through it; a NUL is left there), its type
** into *type. False for every kind of failure alike; out and *type are then zero (out is not touched
** when length is below RBT_ENVELOPE_OVERHEAD). The commitment is compared first, in constant time.
** Whether type and length fit each other is the caller's to check. out may not overlap envelope. */
bool rbt_envelope_open(uint8_t *out, uint8_t *type, const uint8_t *envelope, size_t length,
                       const uint8_t subkey[32], const uint8_t *context, size_t context_length);

#endif
