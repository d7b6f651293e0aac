/* SPDX-License-Identifier: MIT
** The key ring and the signing key (DESIGN §5), read from the environment on first use and held in
** guarded, locked memory until the last connection that uses them closes.
**
** Connections whose environment says the same share one rbt_keys (reference-counted, behind a mutex);
** a connection keeps what it read first until key_reload.h reads anew.
*/
#ifndef RBT_CRYPTO_KEYS_H
#define RBT_CRYPTO_KEYS_H

#include "../base/connection.h"
#include "../base/error.h"
#include "fernet.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RBT_KEY_ID_SIZE = 8, RBT_SUBKEY_SIZE = 32 };

/* One ring key and its subkeys: lives in the arena only. */
typedef struct rbt_ring_key {
    uint8_t id[RBT_KEY_ID_SIZE];                 /* first 8 bytes of rbt_kyid */
    uint8_t fernet_sign[16], fernet_encrypt[16]; /* the master's two halves; together the master */
    rbt_fernet_schedule fernet_schedule;         /* of fernet_encrypt */
    uint8_t aead[32], bidx[32], subj[32], nonc[32], seal[32];
    uint8_t sign_secret[64]; /* Ed25519 secret key of the seed rbt_sign (libsodium's form) */
    uint8_t sign_public[32];
} rbt_ring_key;

typedef struct rbt_keys rbt_keys;

/* Ed25519 key pair that signs checkpoints and segments: the first of RUSTYBT_SIGNING_KEY, else rbt_sign
** of the primary. The others of that list, else of the ring, countersign successions
** (audit/succession.h). */
typedef struct rbt_signing_key {
    uint8_t secret[64]; /* libsodium's form */
    uint8_t public_key[32];
    bool shared; /* derived from the encryption ring */
} rbt_signing_key;

/* The connection's keys, read now if not yet. who ("encrypt") begins the error message, which says
** which variable is malformed and how to mend it. A connection without any ring but with a
** signing key gives an object with zero ring keys; one without any key at all does too, and it is
** asked anew the next time. NULL on failure (a malformed key, a file that is not private, two sources
** at once); owned by the connection. */
const rbt_keys *rbt_connection_keys(rbt_connection *connection, const char *who, rbt_error *error);

/* Same, and refuses an empty ring: "encrypt: RUSTYBT_ENCRYPTION_KEY is not set; …". */
const rbt_keys *rbt_connection_ring(rbt_connection *connection, const char *who, rbt_error *error);

size_t rbt_keys_count(const rbt_keys *keys);
/* position 0 is the primary. */
const rbt_ring_key *rbt_keys_at(const rbt_keys *keys, size_t position);
const rbt_ring_key *rbt_keys_find(const rbt_keys *keys, const uint8_t id[RBT_KEY_ID_SIZE]);
bool rbt_keys_locked(const rbt_keys *keys);        /* mlock succeeded */
const char *rbt_keys_source(const rbt_keys *keys); /* "RUSTYBT_ENCRYPTION_KEY" */
/* The key that signs; NULL when there is neither a signing key nor a ring. */
const rbt_signing_key *rbt_keys_signing(const rbt_keys *keys);
/* All that are held, newest first: position 0 is the one that signs. All differ. */
size_t rbt_keys_signing_count(const rbt_keys *keys);
const rbt_signing_key *rbt_keys_signing_at(const rbt_keys *keys, size_t position);

/* Parses "key[,key…]" into keys from any text, without touching the environment; signing ("seed[,seed…]")
** may be NULL.
** The tests' and rbt_connection_keys' way in. NULL on failure. Free with rbt_keys_free. */
rbt_keys *rbt_keys_parse(const char *ring, const char *signing, const char *who, rbt_error *error);
void rbt_keys_free(rbt_keys *keys);         /* drops one reference; wipes with the last */
void rbt_keys_retain(const rbt_keys *keys); /* one more: for what outlives the call it began in */

/* Reads the environment and its sources now. One reference; NULL on failure, and without an error
** when no key is named at all. */
rbt_keys *rbt_keys_read(const char *who, rbt_error *error);

/* sodium_init, once, thread-safe; false if it fails. Called by the entry point. */
bool rbt_crypto_init(void);

#endif
