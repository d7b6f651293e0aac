/* SPDX-License-Identifier: MIT
** What a stored value is: a token, a wrapped key or a blind index, and which key it depends on. Told
** from its bytes alone; nothing is decrypted. Pure; calls envelope, fernet, keys and base. The values
** are untrusted: what a token says of its key and time is what its writer put there.
*/
#ifndef RBT_CRYPTO_USAGE_H
#define RBT_CRYPTO_USAGE_H

#include "../base/buffer.h"
#include "keys.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of their names. */
typedef enum rbt_usage_format {
    RBT_USAGE_NONE,
    RBT_USAGE_BLIND_INDEX,
    RBT_USAGE_ENVELOPE,
    RBT_USAGE_FERNET,
    RBT_USAGE_SEAL, /* of a log: never told from a value */
    RBT_USAGE_SUBJECT,
    RBT_USAGE_SUBJECT_KEY,
    RBT_USAGE_MAYBE_BLIND_INDEX /* 24 bytes of BLOB that do not begin with the id of a ring key */
} rbt_usage_format;

/* "blind_index", "envelope", "fernet", "seal", "subject", "subject_key"; of the others NULL. */
const char *rbt_usage_format_name(rbt_usage_format format);

typedef struct rbt_usage {
    rbt_usage_format format;
    bool has_key;                    /* key_id is known; not of a subject's token, whose key is the
                                        subject's, nor of a Fernet token that no ring key made */
    uint8_t key_id[RBT_KEY_ID_SIZE]; /* of the ring key; of RBT_USAGE_MAYBE_… the first 8 bytes */
    bool has_time;
    int64_t time_us; /* Unix microseconds, as the token says; saturated */
} rbt_usage;

/* Tells what a TEXT (is_text; UTF-8) or BLOB is. A Fernet token must be in strict form; which ring key
** made it is found by its HMAC, so it is read whole, and decoded into scratch (kept for the next call;
** the caller frees it). False when memory ran out. */
bool rbt_usage_of(rbt_usage *usage, const uint8_t *bytes, size_t length, bool is_text,
                  const rbt_keys *keys, rbt_buffer *scratch);

#endif
