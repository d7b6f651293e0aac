/* SPDX-License-Identifier: MIT
** Fernet tokens (github.com/fernet/spec), as Python's cryptography.fernet writes and reads them:
**
**   0       0x80      version
**   1       seconds   u64 BE, Unix time
**   9       iv        16
**   25      AES-128-CBC of the PKCS#7-padded plaintext, 16 n bytes, n >= 1
**   25+16n  HMAC-SHA256 of all before, 32
**
** all of it in urlsafe base64. A key is 32 bytes: 16 that sign, then 16 that encrypt.
*/
#ifndef RBT_CRYPTO_FERNET_H
#define RBT_CRYPTO_FERNET_H

#include "../base/buffer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RBT_FERNET_VERSION = 0x80,
    RBT_FERNET_HEADER = 25,   /* version, time, iv */
    RBT_FERNET_OVERHEAD = 57, /* header and HMAC */
    RBT_FERNET_MINIMUM = 73,  /* with one block of ciphertext */
    RBT_FERNET_BLOCK = 16,
    RBT_FERNET_SCHEDULE = 176, /* 11 round keys */
    RBT_FERNET_CLOCK_SKEW =
        60 /* seconds that a token may come from the future, when a ttl is given */
};

/* The AES key, made ready to encrypt and to decrypt. nettle computes it by looking up tables, whatever
** instructions the processor has, so it is done once, when a key is read, and not with every token. A
** secret like the key; bytes, so that it may stand at any address. */
typedef struct rbt_fernet_schedule {
    uint8_t encrypt[RBT_FERNET_SCHEDULE], decrypt[RBT_FERNET_SCHEDULE];
} rbt_fernet_schedule;

void rbt_fernet_schedule_make(rbt_fernet_schedule *schedule, const uint8_t encrypt_key[16]);

/* Decodes a token's text and checks its form: canonical urlsafe base64 (padding whole or absent),
** version, a whole number of blocks. Appends the raw token to raw. False when it is no such token or
** memory ran out (raw->failed tells). */
bool rbt_fernet_decode(rbt_buffer *raw, const uint8_t *text, size_t length);

/* The checks above on raw bytes. */
bool rbt_fernet_well_formed(const uint8_t *raw, size_t length);

/* Unix seconds that a well-formed raw token says it was made at. */
uint64_t rbt_fernet_time(const uint8_t *raw);

/* True when this key made the raw token; constant time in the HMAC's bytes. */
bool rbt_fernet_authentic(const uint8_t *raw, size_t length, const uint8_t sign_key[16]);

/* Decrypts a well-formed, authentic raw token into out[length - RBT_FERNET_OVERHEAD], of which
** *plaintext_length bytes are the plaintext; the byte after it is a NUL. False, and out zero, when the
** padding is wrong. */
bool rbt_fernet_decrypt(uint8_t *out, size_t *plaintext_length, const uint8_t *raw, size_t length,
                        const rbt_fernet_schedule *schedule);

/* Appends the token of a plaintext, as text. The iv must be random and fresh. False when memory ran
** out. */
bool rbt_fernet_seal(rbt_buffer *out, uint64_t seconds, const uint8_t iv[16],
                     const uint8_t sign_key[16], const rbt_fernet_schedule *schedule,
                     const uint8_t *plaintext, size_t plaintext_length);

/* How a token's time stands to the clock: rejected are time + ttl < now and now + 60 < time; sums
** that overflow saturate. */
typedef enum rbt_freshness { RBT_FRESH, RBT_EXPIRED, RBT_FROM_FUTURE } rbt_freshness;
rbt_freshness rbt_fernet_freshness(uint64_t seconds, uint64_t ttl_seconds, uint64_t now_seconds);

#endif
