/* SPDX-License-Identifier: MIT
** The key ring: parsing, derivation, the guarded arena, and sharing between connections. Offers
** keys.h; calls key_source.h, libsodium and base.
**
** Arena: one sodium_malloc block (guard pages, canary, locked where the system allows, left out of
** core dumps), read-only once it is filled. Everything in it is made of bytes, so that it may stand
** at any address: libsodium lets the block end where the guard page begins.
*/
#include "keys.h"

#include "../base/base64.h"
#include "../base/bytes.h"
#include "../base/memory.h"
#include "key_source.h"
#include "stack.h"
#include <pthread.h>
#include <sodium.h>

enum { MASTER_SIZE = 32, FINGERPRINT_SIZE = 32, KEY_ID_DERIVED = 16, SUBKEY_NUMBER = 1 };

typedef struct key_arena {
    uint8_t fingerprint[FINGERPRINT_SIZE]; /* of the text the keys came from, and its source */
    rbt_ring_key ring[];                   /* and behind them, the keys that sign */
} key_arena;
_Static_assert(_Alignof(key_arena) == 1 && _Alignof(rbt_signing_key) == 1,
               "the arena may start at any address");

struct rbt_keys {
    rbt_keys *next; /* in shared_keys */
    int references; /* guarded by shared_mutex */
    bool locked;
    size_t count;
    size_t signing_count;
    rbt_signing_key *signing; /* in the arena, behind its ring */
    const char *source;
    key_arena *arena;
};

static pthread_mutex_t shared_mutex = PTHREAD_MUTEX_INITIALIZER;
static rbt_keys *shared_keys; /* those that connections share, guarded by shared_mutex */

/* What a connection has whose environment names no key at all. */
static const rbt_keys no_keys = {.source = "RUSTYBT_ENCRYPTION_KEY"};

bool rbt_crypto_init(void) {
    return sodium_init() >= 0;
}

/* Where the two texts of a ring came from and what they say; NULL text means not set. */
typedef struct key_texts {
    const char *ring, *ring_source;
    const char *signing, *signing_source;
} key_texts;

static void fingerprint_part(crypto_generichash_state *hash, const char *text) {
    uint8_t length[8];
    rbt_store_u64le(length, text ? strlen(text) : UINT64_MAX);
    crypto_generichash_update(hash, length, sizeof length);
    if (text) crypto_generichash_update(hash, (const uint8_t *)text, strlen(text));
}

/* Equal fingerprints mean equal text from equal sources. */
static void fingerprint_of(uint8_t fingerprint[FINGERPRINT_SIZE], const key_texts *texts) {
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, NULL, 0, FINGERPRINT_SIZE);
    fingerprint_part(&hash, texts->ring_source);
    fingerprint_part(&hash, texts->ring);
    fingerprint_part(&hash, texts->signing_source);
    fingerprint_part(&hash, texts->signing);
    crypto_generichash_final(&hash, fingerprint, FINGERPRINT_SIZE);
    rbt_wipe(&hash, sizeof hash);
    rbt_wipe_stack();
}

/* Whether base64 goes on behind the padding that ends a key. Decoding ends there without a word, as
** Python's does, so a ring whose comma was forgotten would lose its other keys, and their backup. */
static bool goes_on(const char *text, size_t length) {
    const char *stop = text + length, *end = memchr(text, '=', length);
    for (; end && end < stop; end++)
        if ((*end >= 'A' && *end <= 'Z') || (*end >= 'a' && *end <= 'z') ||
            (*end >= '0' && *end <= '9'))
            return true;
    return false;
}

/* Decodes one key of 32 bytes; what begins error messages with the key's place, never its text. */
static int decode_key(uint8_t key[MASTER_SIZE], const char *text, size_t length, const char *what,
                      rbt_error *error) {
    rbt_buffer decoded = {.secret = true};
    int code = SQLITE_OK;

    if (!rbt_base64_decode_python(&decoded, text, length))
        code = decoded.failed ? rbt_fail_nomem(error)
                              : rbt_fail(error, SQLITE_ERROR,
                                         "%s is not base64: its length or padding is wrong", what);
    else if (decoded.length == 0 && strspn(text, " \t\r\n") >= length)
        code = rbt_fail(error, SQLITE_ERROR, "%s is empty", what);
    else if (decoded.length != MASTER_SIZE)
        code = rbt_fail(error, SQLITE_ERROR, "%s decodes to %lld bytes, expected %d", what,
                        (long long)decoded.length, MASTER_SIZE);
    else if (goes_on(text, length))
        code =
            rbt_fail(error, SQLITE_ERROR,
                     "%s goes on behind its end; put a comma between keys, and nothing else", what);
    else
        memcpy(key, decoded.data, MASTER_SIZE);
    rbt_buffer_free(&decoded);
    return code;
}

/* Fills a ring key from its master; false when libsodium refuses. */
static bool derive_ring_key(rbt_ring_key *key, const uint8_t master[MASTER_SIZE]) {
    uint8_t id[KEY_ID_DERIVED], seed[crypto_sign_SEEDBYTES];
    const struct {
        uint8_t *out;
        size_t size;
        const char *context; /* crypto_kdf_CONTEXTBYTES characters */
    } subkeys[] = {
        {key->aead, sizeof key->aead, "rbt_aead"},
        {key->bidx, sizeof key->bidx, "rbt_bidx"},
        {key->subj, sizeof key->subj, "rbt_subj"},
        {key->nonc, sizeof key->nonc, "rbt_nonc"},
        {key->seal, sizeof key->seal, "rbt_seal"},
        {seed, sizeof seed, "rbt_sign"},
        {id, sizeof id, "rbt_kyid"},
    };
    bool derived = true;

    for (size_t i = 0; i < sizeof subkeys / sizeof subkeys[0]; i++) {
        if (crypto_kdf_derive_from_key(subkeys[i].out, subkeys[i].size, SUBKEY_NUMBER,
                                       subkeys[i].context, master) != 0)
            derived = false;
    }
    if (derived && crypto_sign_seed_keypair(key->sign_public, key->sign_secret, seed) != 0)
        derived = false;
    memcpy(key->id, id, RBT_KEY_ID_SIZE);
    memcpy(key->fernet_sign, master, sizeof key->fernet_sign);
    memcpy(key->fernet_encrypt, master + sizeof key->fernet_sign, sizeof key->fernet_encrypt);
    rbt_fernet_schedule_make(&key->fernet_schedule, key->fernet_encrypt);
    rbt_wipe(seed, sizeof seed);
    rbt_wipe_stack();
    return derived;
}

static int refuse_twin(const rbt_keys *keys, size_t position, const char *source, const char *who,
                       rbt_error *error) {
    const uint8_t *id = keys->arena->ring[position].id;
    for (size_t i = 0; i < position; i++) {
        if (memcmp(keys->arena->ring[i].id, id, RBT_KEY_ID_SIZE) == 0) {
            char hex[2 * RBT_KEY_ID_SIZE + 1];
            rbt_hex_encode(hex, id, RBT_KEY_ID_SIZE);
            return rbt_fail(error, SQLITE_ERROR,
                            "%s: keys %lld and %lld of %s have the same id %s; remove one of them",
                            who, (long long)i + 1, (long long)position + 1, source, hex);
        }
    }
    return SQLITE_OK;
}

/* Fills the arena's ring from comma-separated text. */
static int fill_ring(rbt_keys *keys, const key_texts *texts, const char *who, rbt_error *error) {
    uint8_t master[MASTER_SIZE];
    const char *at = texts->ring;
    int code = SQLITE_OK;

    for (size_t i = 0; i < keys->count && code == SQLITE_OK; i++) {
        size_t length = strcspn(at, ",");
        char *what =
            sqlite3_mprintf("%s: key %lld of %s", who, (long long)i + 1, texts->ring_source);
        if (what == NULL) {
            code = rbt_fail_nomem(error);
            break;
        }
        code = decode_key(master, at, length, what, error);
        sqlite3_free(what);
        if (code == SQLITE_OK && !derive_ring_key(&keys->arena->ring[i], master))
            code = rbt_fail(error, SQLITE_ERROR, "%s: cannot derive subkeys", who);
        if (code == SQLITE_OK) code = refuse_twin(keys, i, texts->ring_source, who, error);
        at += length + 1;
    }
    rbt_wipe(master, sizeof master);
    return code;
}

/* Keys in a comma-separated list; 0 for none. */
static size_t count_keys(const char *text) {
    size_t count = text != NULL;
    for (; text && *text; text++)
        count += *text == ',';
    return count;
}

static int refuse_signing_twin(const rbt_keys *keys, size_t position, const char *source,
                               const char *who, rbt_error *error) {
    for (size_t i = 0; i < position; i++)
        if (memcmp(keys->signing[i].public_key, keys->signing[position].public_key,
                   sizeof keys->signing[i].public_key) == 0)
            return rbt_fail(error, SQLITE_ERROR,
                            "%s: keys %lld and %lld of %s are the same; remove one of them", who,
                            (long long)i + 1, (long long)position + 1, source);
    return SQLITE_OK;
}

/* The keys that sign: their own, from comma-separated seeds, else the ring's subkeys. */
static int fill_signing(rbt_keys *keys, const key_texts *texts, const char *who, rbt_error *error) {
    uint8_t seed[crypto_sign_SEEDBYTES];
    const char *at = texts->signing;
    int code = SQLITE_OK;

    for (size_t i = 0; i < keys->signing_count && code == SQLITE_OK; i++) {
        rbt_signing_key *signing = &keys->signing[i];
        if (!texts->signing) {
            memcpy(signing->secret, keys->arena->ring[i].sign_secret, sizeof signing->secret);
            memcpy(signing->public_key, keys->arena->ring[i].sign_public,
                   sizeof signing->public_key);
            signing->shared = true;
            continue;
        }
        size_t length = strcspn(at, ",");
        char *what = keys->signing_count == 1
                         ? sqlite3_mprintf("%s: %s", who, texts->signing_source)
                         : sqlite3_mprintf("%s: key %lld of %s", who, (long long)i + 1,
                                           texts->signing_source);
        if (what == NULL) {
            code = rbt_fail_nomem(error);
            break;
        }
        code = decode_key(seed, at, length, what, error);
        sqlite3_free(what);
        if (code == SQLITE_OK &&
            crypto_sign_seed_keypair(signing->public_key, signing->secret, seed) != 0)
            code = rbt_fail(error, SQLITE_ERROR, "%s: cannot derive the signing key", who);
        if (code == SQLITE_OK)
            code = refuse_signing_twin(keys, i, texts->signing_source, who, error);
        at += length + 1;
    }
    rbt_wipe(seed, sizeof seed);
    rbt_wipe_stack();
    return code;
}

/* Wipes what nobody refers to any more. */
static void destroy(rbt_keys *keys) {
    if (keys->arena) sodium_free(keys->arena);
    rbt_free(keys);
}

static rbt_keys *keys_from(const key_texts *texts, const char *who, rbt_error *error) {
    size_t count = count_keys(texts->ring);
    size_t signing_count = texts->signing ? count_keys(texts->signing) : count;
    int code;
    rbt_keys *keys = rbt_calloc(sizeof *keys);

    if (keys == NULL) {
        rbt_fail_nomem(error);
        return NULL;
    }
    keys->references = 1;
    keys->count = count;
    keys->signing_count = signing_count;
    keys->source = texts->ring_source;
    /* No overflow: the texts have at least as many bytes as there are keys, and are bounded by what an
    ** environment or a key file can hold. */
    size_t size = sizeof *keys->arena + count * sizeof keys->arena->ring[0] +
                  signing_count * sizeof keys->signing[0];
    keys->arena = sodium_malloc(size);
    if (keys->arena == NULL) {
        rbt_fail_nomem(error);
        destroy(keys);
        return NULL;
    }
    memset(keys->arena, 0, size);
    keys->signing = (rbt_signing_key *)(void *)(keys->arena->ring + count);
    /* sodium_malloc locks but does not tell whether it could; locking what is locked is harmless. */
    keys->locked = sodium_mlock(keys->arena, size) == 0;
    fingerprint_of(keys->arena->fingerprint, texts);

    code = texts->ring ? fill_ring(keys, texts, who, error) : SQLITE_OK;
    if (code == SQLITE_OK) code = fill_signing(keys, texts, who, error);
    if (code == SQLITE_OK && sodium_mprotect_readonly(keys->arena) != 0)
        code =
            rbt_fail(error, SQLITE_ERROR, "%s: cannot protect the memory that holds the keys", who);
    if (code != SQLITE_OK) {
        destroy(keys);
        return NULL;
    }
    return keys;
}

rbt_keys *rbt_keys_parse(const char *ring, const char *signing, const char *who, rbt_error *error) {
    const key_texts texts = {ring, rbt_key_source_variable(RBT_PURPOSE_ENCRYPTION), signing,
                             rbt_key_source_variable(RBT_PURPOSE_SIGNING)};
    return keys_from(&texts, who, error);
}

void rbt_keys_free(rbt_keys *keys) {
    bool last;
    if (keys == NULL || keys == &no_keys) return;
    pthread_mutex_lock(&shared_mutex);
    last = --keys->references == 0;
    for (rbt_keys **link = &shared_keys; last && *link; link = &(*link)->next) {
        if (*link == keys) {
            *link = keys->next;
            break;
        }
    }
    pthread_mutex_unlock(&shared_mutex);
    if (last) destroy(keys);
}

/* Keys that another connection already made of the same texts, or new ones. */
static rbt_keys *shared_from(const key_texts *texts, const char *who, rbt_error *error) {
    uint8_t fingerprint[FINGERPRINT_SIZE];
    rbt_keys *keys;

    fingerprint_of(fingerprint, texts);
    pthread_mutex_lock(&shared_mutex);
    for (keys = shared_keys; keys; keys = keys->next) {
        if (sodium_memcmp(keys->arena->fingerprint, fingerprint, sizeof fingerprint) == 0) break;
    }
    if (keys) {
        keys->references++;
    } else {
        keys = keys_from(texts, who, error);
        if (keys) {
            keys->next = shared_keys;
            shared_keys = keys;
        }
    }
    pthread_mutex_unlock(&shared_mutex);
    rbt_wipe(fingerprint, sizeof fingerprint);
    return keys;
}

rbt_keys *rbt_keys_read(const char *who, rbt_error *error) {
    rbt_key_text ring = {0}, signing = {0};
    rbt_keys *result = NULL;

    if (rbt_key_source_read(&ring, RBT_PURPOSE_ENCRYPTION, who, error) != SQLITE_OK) goto cleanup;
    if (rbt_key_source_read(&signing, RBT_PURPOSE_SIGNING, who, error) != SQLITE_OK) goto cleanup;
    if (ring.source == NULL && signing.source == NULL) goto cleanup;

    key_texts texts;
    texts.ring = ring.source ? rbt_buffer_text(&ring.text) : NULL;
    texts.ring_source = ring.source ? ring.source : no_keys.source;
    texts.signing = signing.source ? rbt_buffer_text(&signing.text) : NULL;
    texts.signing_source = signing.source;
    result = shared_from(&texts, who, error);

cleanup:
    rbt_key_text_free(&ring);
    rbt_key_text_free(&signing);
    return result;
}

const rbt_keys *rbt_connection_keys(rbt_connection *connection, const char *who, rbt_error *error) {
    if (connection->keys) return connection->keys;
    connection->keys = rbt_keys_read(who, error);
    connection->free_keys = rbt_keys_free;
    if (connection->keys == NULL && error->code == SQLITE_OK) return &no_keys;
    return connection->keys;
}

void rbt_keys_retain(const rbt_keys *keys) {
    if (keys == &no_keys) return;
    pthread_mutex_lock(&shared_mutex);
    ((rbt_keys *)keys)->references++;
    pthread_mutex_unlock(&shared_mutex);
}

const rbt_keys *rbt_connection_ring(rbt_connection *connection, const char *who, rbt_error *error) {
    const rbt_keys *keys = rbt_connection_keys(connection, who, error);
    if (keys && keys->count == 0) {
        rbt_fail(error, SQLITE_ERROR,
                 "%s: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), "
                 "or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one",
                 who);
        return NULL;
    }
    return keys;
}

size_t rbt_keys_count(const rbt_keys *keys) {
    return keys->count;
}

const rbt_ring_key *rbt_keys_at(const rbt_keys *keys, size_t position) {
    return position < keys->count ? &keys->arena->ring[position] : NULL;
}

const rbt_ring_key *rbt_keys_find(const rbt_keys *keys, const uint8_t id[RBT_KEY_ID_SIZE]) {
    for (size_t i = 0; i < keys->count; i++) {
        if (memcmp(keys->arena->ring[i].id, id, RBT_KEY_ID_SIZE) == 0) return &keys->arena->ring[i];
    }
    return NULL;
}

bool rbt_keys_locked(const rbt_keys *keys) {
    return keys->locked;
}

const char *rbt_keys_source(const rbt_keys *keys) {
    return keys->source;
}

size_t rbt_keys_signing_count(const rbt_keys *keys) {
    return keys->signing_count;
}

const rbt_signing_key *rbt_keys_signing_at(const rbt_keys *keys, size_t position) {
    return position < keys->signing_count ? &keys->signing[position] : NULL;
}

const rbt_signing_key *rbt_keys_signing(const rbt_keys *keys) {
    return rbt_keys_signing_at(keys, 0);
}
