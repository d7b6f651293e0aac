/* SPDX-License-Identifier: MIT
** Tokens of either format under a key ring: what encrypt, decrypt and their kin do, apart from SQL.
**
** All failures to open share one message, so that nobody learns from it what was wrong; what a token
** looks like from outside is rbt_token_info's to tell (token_info.h). The exception is a key id that
** the ring lacks: it stands in the token for everyone to read, and the operator needs it.
*/
#ifndef RBT_CRYPTO_TOKEN_H
#define RBT_CRYPTO_TOKEN_H

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/memory.h"
#include "keys.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a value belongs: bytes of a context, or nothing (length 0). */
typedef struct rbt_place {
    const uint8_t *bytes;
    size_t length;
} rbt_place;

/* An opened token. Starts as {0}. */
typedef struct rbt_opened {
    uint8_t *value; /* from rbt_malloc, a NUL after it; wipe and free with rbt_opened_free */
    size_t length;
    uint8_t type;     /* RBT_VALUE_INTEGER … RBT_VALUE_BLOB */
    bool fernet;      /* else an envelope */
    bool no_key;      /* not opened: a Fernet token in good form that no key of the ring made */
    bool primary;     /* the ring's first key opened it */
    uint64_t created; /* Unix seconds */
} rbt_opened;

void rbt_opened_free(rbt_opened *opened);

/* Opens a token of either format with any key of the ring. A Fernet token cannot carry a context and
** is refused when one is given. who begins the error message. */
int rbt_token_open(rbt_opened *opened, const rbt_keys *keys, const uint8_t *token, size_t length,
                   rbt_place place, const char *who, rbt_error *error);

/* Opens a Fernet token only. */
int rbt_token_open_fernet(rbt_opened *opened, const rbt_keys *keys, const uint8_t *token,
                          size_t length, const char *who, rbt_error *error);

/* Encrypts type || value under the primary key, now. *out is from rbt_malloc, of
** value_length + RBT_ENVELOPE_OVERHEAD bytes. */
int rbt_token_seal(uint8_t **out, const rbt_keys *keys, rbt_place place, uint8_t type,
                   const uint8_t *value, size_t value_length, rbt_error *error);

/* Appends the Fernet token of a plaintext under the primary key. */
int rbt_token_seal_fernet(rbt_buffer *out, const rbt_keys *keys, uint64_t seconds,
                          const uint8_t *plaintext, size_t plaintext_length, rbt_error *error);

/* The one message of all failures to open. */
int rbt_token_refuse(const char *who, rbt_error *error);

/* "no key in the ring has id …". */
int rbt_token_no_key(const uint8_t id[RBT_KEY_ID_SIZE], const char *who, rbt_error *error);

/* Whether a value of that type can be that long: numbers are 8 bytes; text and blobs any length. */
bool rbt_value_type_fits(uint8_t type, size_t length);

/* The clock in whole seconds; before 1970 it is 0. */
uint64_t rbt_token_now(void);

#endif
