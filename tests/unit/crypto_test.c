/* SPDX-License-Identifier: MIT
** SHA-256, the envelope and tokens under a ring, without SQL. The vectors were made by an independent
** program; changing one means changing a format that data in the wild has.
*/
#include "tap.h"

#include "base/base64.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/memory.h"
#include "crypto/envelope.h"
#include "crypto/hash.h"
#include "crypto/keys.h"
#include "crypto/token.h"
#include "crypto/token_info.h"
#include <sodium.h>

/* Master keys 00 01 … 1f and 20 21 … 3f. */
#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

static const char context[] = "broker_connections/3/api_key";
enum { CONTEXT_LENGTH = sizeof context - 1, VECTOR_SIZE = 100 };

static const char vector_hex[] =
    "52425401fe6b3e115b09923900f1536500000000404142434445464748494a4b4c4d4e4f5051525354555657"
    "f4ce52226a1b76006e9e12de03644c27da4b18d9b6cbb30949950ab598c42d00"
    "5e7bad20a255fefb31ab0d35d0b583d4361f44c74360667c";

static rbt_keys *ring_of(const char *text) {
    rbt_error error = {0};
    rbt_keys *keys = rbt_keys_parse(text, NULL, "test", &error);
    rbt_error_clear(&error);
    return keys;
}

static void test_sha256(void) {
    uint8_t digest[32], want[32];
    rbt_sha256 hash;

    rbt_hex_decode(want, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                   64);
    rbt_sha256_once(digest, "abc", 3);
    is_bytes(digest, want, 32, "SHA-256 of abc is that of FIPS 180-4");
    rbt_sha256_init(&hash);
    rbt_sha256_update(&hash, "a", 1);
    rbt_sha256_update(&hash, NULL, 0);
    rbt_sha256_update(&hash, "bc", 2);
    rbt_sha256_final(&hash, digest);
    is_bytes(digest, want, 32, "SHA-256 in parts is the same");
    rbt_hex_decode(want, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                   64);
    rbt_sha256_once(digest, NULL, 0);
    is_bytes(digest, want, 32, "SHA-256 of nothing");
}

static void test_envelope_vector(void) {
    uint8_t vector[VECTOR_SIZE], sealed[VECTOR_SIZE], nonce[24], out[8], type;
    rbt_keys *keys = ring_of(KEY_A);
    const rbt_ring_key *key = rbt_keys_at(keys, 0);

    ok(rbt_hex_decode(vector, sizeof vector, vector_hex, strlen(vector_hex)),
       "the vector is 100 bytes");
    for (int i = 0; i < 24; i++)
        nonce[i] = (uint8_t)(0x40 + i);
    rbt_envelope_seal(sealed, RBT_ENVELOPE_KIND_RING, key->id, 1700000000, nonce, key->aead,
                      (const uint8_t *)context, CONTEXT_LENGTH, RBT_VALUE_TEXT,
                      (const uint8_t *)"hunter2", 7);
    is_bytes(sealed, vector, sizeof vector, "sealing gives the vector");
    ok(rbt_envelope_open(out, &type, vector, sizeof vector, key->aead, (const uint8_t *)context,
                         CONTEXT_LENGTH),
       "the vector opens");
    is_int(type, RBT_VALUE_TEXT, "its type is TEXT");
    is_text((char *)out, "hunter2", "its value comes back, with a NUL after it");
    rbt_keys_free(keys);
}

/* Flips one bit of every byte, and one bit of every position of one byte; cuts at every length. */
static void test_tampering(void) {
    uint8_t vector[VECTOR_SIZE + 1], out[16], zero[16] = {0}, type;
    int opened = 0, leaked = 0;
    rbt_keys *keys = ring_of(KEY_A);
    const rbt_ring_key *key = rbt_keys_at(keys, 0);

    rbt_hex_decode(vector, VECTOR_SIZE, vector_hex, strlen(vector_hex));
    vector[VECTOR_SIZE] = 0;
    for (int bit = 0; bit < 8 * VECTOR_SIZE; bit++) {
        vector[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(out, 0xaa, sizeof out);
        opened += rbt_envelope_open(out, &type, vector, VECTOR_SIZE, key->aead,
                                    (const uint8_t *)context, CONTEXT_LENGTH);
        leaked += memcmp(out, zero, 8) != 0 || type != 0;
        vector[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    is_int(opened, 0, "an envelope with any one bit changed does not open");
    is_int(leaked, 0, "and leaves nothing but zeros");
    for (size_t length = 0; length < VECTOR_SIZE; length++)
        opened += rbt_envelope_open(out, &type, vector, length, key->aead, (const uint8_t *)context,
                                    CONTEXT_LENGTH);
    is_int(opened, 0, "an envelope cut anywhere does not open");
    ok(!rbt_envelope_open(out, &type, vector, VECTOR_SIZE + 1, key->aead, (const uint8_t *)context,
                          CONTEXT_LENGTH),
       "an envelope with a byte more does not open");
    ok(!rbt_envelope_open(out, &type, vector, VECTOR_SIZE, key->aead, NULL, 0),
       "an envelope does not open without its context");
    ok(!rbt_envelope_open(out, &type, vector, VECTOR_SIZE, key->aead, (const uint8_t *)context,
                          CONTEXT_LENGTH - 1),
       "an envelope does not open with the beginning of its context");
    ok(!rbt_envelope_open(out, &type, vector, VECTOR_SIZE, key->subj, (const uint8_t *)context,
                          CONTEXT_LENGTH),
       "an envelope does not open under another subkey");
    rbt_keys_free(keys);
}

/* A ciphertext made to fit the message key, but under a commitment of another: only the commitment can
** tell. */
static void test_commitment(void) {
    uint8_t vector[VECTOR_SIZE], message_key[32], commitment[32], out[16], type;

    rbt_hex_decode(vector, sizeof vector, vector_hex, strlen(vector_hex));
    rbt_hex_decode(message_key, 32,
                   "e46b2ef279eda42d178b50c07b8cf26589ba4a27252b23392ad5d0717a344723", 64);
    ok(crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, vector + 76, VECTOR_SIZE - 76,
                                                  NULL, 0, vector + 20, message_key) == 0,
       "the vector's ciphertext opens with the vector's message key");
    rbt_hex_decode(commitment, 32,
                   "f4ce52226a1b76006e9e12de03644c27da4b18d9b6cbb30949950ab598c42d00", 64);
    is_bytes(vector + 44, commitment, 32, "the vector holds the vector's commitment");
    rbt_keys *keys = ring_of(KEY_A);
    vector[44 + 31] ^= 1;
    ok(!rbt_envelope_open(out, &type, vector, sizeof vector, rbt_keys_at(keys, 0)->aead,
                          (const uint8_t *)context, CONTEXT_LENGTH),
       "a good ciphertext with a wrong commitment does not open");
    rbt_keys_free(keys);
}

static void test_nonce(void) {
    uint8_t key[32] = {1}, random[32] = {2}, header[20] = {3}, first[24], second[24];
    rbt_envelope_nonce(first, key, random, header, (const uint8_t *)"ab", 2, 3,
                       (const uint8_t *)"c", 1);
    rbt_envelope_nonce(second, key, random, header, (const uint8_t *)"ab", 2, 3,
                       (const uint8_t *)"c", 1);
    is_bytes(first, second, 24, "the nonce is a function of what goes in");
    rbt_envelope_nonce(second, key, random, header, (const uint8_t *)"ab", 2, 3,
                       (const uint8_t *)"d", 1);
    ok(memcmp(first, second, 24) != 0,
       "another value has another nonce, even when the random bytes repeat");
    rbt_envelope_nonce(second, key, random, header, (const uint8_t *)"ab\3", 3, 'c', NULL, 0);
    ok(memcmp(first, second, 24) != 0, "context and value do not run together");
    random[0] ^= 1;
    rbt_envelope_nonce(second, key, random, header, (const uint8_t *)"ab", 2, 3,
                       (const uint8_t *)"c", 1);
    ok(memcmp(first, second, 24) != 0, "other random bytes give another nonce");
}

static void test_recognised(void) {
    uint8_t bytes[RBT_ENVELOPE_OVERHEAD] = {'R', 'B', 'T', 1};
    ok(rbt_envelope_recognised(bytes, sizeof bytes), "93 bytes can be an envelope");
    ok(!rbt_envelope_recognised(bytes, sizeof bytes - 1), "92 bytes cannot");
    bytes[3] = 5;
    ok(!rbt_envelope_recognised(bytes, sizeof bytes), "there is no kind 5");
    bytes[3] = 0;
    ok(!rbt_envelope_recognised(bytes, sizeof bytes), "there is no kind 0");
}

static void test_tokens(void) {
    rbt_error error = {0};
    rbt_place none = {0}, place = {(const uint8_t *)context, CONTEXT_LENGTH};
    rbt_keys *old = ring_of(KEY_A), *both = ring_of(KEY_B "," KEY_A), *other = ring_of(KEY_B);
    rbt_opened opened = {0};
    uint8_t *token = NULL, *again = NULL;
    enum { SIZE = RBT_ENVELOPE_OVERHEAD + 3 };

    rbt_clock_override_us = 1700000000000000;
    is_int(rbt_token_seal(&token, old, place, RBT_VALUE_BLOB, (const uint8_t *)"a\0b", 3, &error),
           SQLITE_OK, "a token is made");
    is_int(rbt_token_seal(&again, old, place, RBT_VALUE_BLOB, (const uint8_t *)"a\0b", 3, &error),
           SQLITE_OK, "and a second one of the same value");
    ok(memcmp(token + 20, again + 20, 24) != 0, "their nonces differ");
    is_int(rbt_load_u64le(token + 12), 1700000000, "a token tells when it was made");
    is_int(rbt_token_open(&opened, both, token, SIZE, place, "decrypt", &error), SQLITE_OK,
           "a ring whose second key made the token opens it");
    ok(!opened.primary && !opened.fernet && opened.type == RBT_VALUE_BLOB && opened.length == 3 &&
           memcmp(opened.value, "a\0b", 3) == 0,
       "and tells type, value and that it was not the primary");
    rbt_opened_free(&opened);

    rbt_token_open(&opened, other, token, SIZE, place, "decrypt", &error);
    is_text(error.message, "decrypt: no key in the ring has id fe6b3e115b099239",
            "a ring without the key says which one it lacks");
    rbt_error_clear(&error);

    const char *refusal = "decrypt: the token does not open; it was altered, cut short, or belongs "
                          "to another key or context";
    rbt_token_open(&opened, old, token, SIZE, none, "decrypt", &error);
    is_text(error.message, refusal, "a missing context has the common message");
    rbt_error_clear(&error);
    int different = 0;
    for (size_t i = 0; i < SIZE; i++) {
        if (i >= 4 && i < 12) continue; /* the key id: has its own message */
        token[i] ^= 0x80;
        rbt_token_open(&opened, old, token, SIZE, place, "decrypt", &error);
        /* Without its magic it is no envelope, but may be no Fernet token either. */
        different += error.message == NULL || strcmp(error.message, refusal) != 0;
        rbt_error_clear(&error);
        token[i] ^= 0x80;
    }
    is_int(different, 0, "a change of any byte has the common message");
    rbt_token_open(&opened, old, token, SIZE - 1, place, "decrypt", &error);
    is_text(error.message, refusal, "so has a cut");
    rbt_error_clear(&error);
    for (uint8_t kind = 2; kind <= 4; kind++) {
        token[3] = kind;
        rbt_token_open(&opened, old, token, SIZE, place, "decrypt", &error);
        different += error.message == NULL || strcmp(error.message, refusal) != 0;
        rbt_error_clear(&error);
    }
    is_int(different, 0, "so has another kind");
    ok(opened.value == NULL, "nothing that failed to open left a value");
    rbt_free(token);
    rbt_free(again);
    rbt_keys_free(old);
    rbt_keys_free(both);
    rbt_keys_free(other);
    rbt_clock_override_us = 0;
}

static void is_info(const void *token, size_t length, const char *want, const char *name) {
    rbt_buffer json = {0};
    rbt_token_info(&json, token, length);
    is_text(rbt_buffer_text(&json), want, name);
    rbt_buffer_free(&json);
}

#define FERNET                                                                                     \
    "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU" \
    "4IwqDA"
#define is_info_text(text, want, name) is_info((text), strlen(text), (want), (name))

static void test_info(void) {
    uint8_t vector[VECTOR_SIZE];
    rbt_hex_decode(vector, sizeof vector, vector_hex, strlen(vector_hex));
    is_info(vector, sizeof vector,
            "{\"format\":\"envelope\",\"kind\":1,\"key_id\":\"fe6b3e115b099239\","
            "\"created\":\"2023-11-14T22:13:20Z\",\"created_seconds\":1700000000,\"size\":100,"
            "\"value_size\":7}",
            "an envelope tells kind, key, time and sizes");
    is_info(vector, 92,
            "{\"format\":\"envelope\",\"size\":92,\"error\":\"cut short: at least 93 bytes "
            "expected\"}",
            "a stump of an envelope is called so");
    memset(vector + 12, 0xff, 8);
    is_info(vector, sizeof vector,
            "{\"format\":\"envelope\",\"kind\":1,\"key_id\":\"fe6b3e115b099239\","
            "\"created_seconds\":18446744073709551615,\"size\":100,\"value_size\":7}",
            "a time beyond the calendar is a number only");
    vector[3] = 9;
    is_info(vector, sizeof vector,
            "{\"format\":\"envelope\",\"size\":100,\"error\":\"kind 9, expected 1 to 4\"}",
            "an unknown kind is named");
    is_info_text(FERNET "==",
                 "{\"format\":\"fernet\",\"version\":128,\"created\":\"1985-10-26T08:20:00Z\","
                 "\"created_seconds\":499162800,\"size\":100,\"value_size_max\":15}",
                 "a Fernet token tells version, time and sizes");
    is_info_text("b'" FERNET "=='",
                 "{\"format\":\"fernet\",\"size\":103,\"error\":\"b'…' around it: Python's "
                 "str(token) was stored where token or token.decode() was meant; remove the b and "
                 "the quotes\"}",
                 "Python's bytes literal is recognised");
    is_info_text(FERNET "==\n",
                 "{\"format\":\"fernet\",\"size\":101,\"error\":\"white space at byte 100: trim() "
                 "the token, and remove line breaks\"}",
                 "a newline at the end is found");
    is_info_text(
        "gAAAAAAdwJ6w+/A=",
        "{\"format\":\"fernet\",\"size\":16,\"error\":\"+ at byte 12: this is the standard "
        "base64 alphabet; Fernet has - for + and _ for /\"}",
        "the wrong alphabet is named");
    is_info_text(
        FERNET "=",
        "{\"format\":\"fernet\",\"size\":99,\"error\":\"padding of 1 =, expected 2 (or none "
        "at all)\"}",
        "incomplete padding is counted");
    is_info_text("gAAAAAAdw",
                 "{\"format\":\"fernet\",\"size\":9,\"error\":\"cut short: 9 base64 letters do not "
                 "make whole bytes\"}",
                 "an impossible length is a cut");
    is_info_text(
        "gAAAAAAdwJ6w",
        "{\"format\":\"fernet\",\"size\":12,\"error\":\"cut short: 9 bytes once decoded, at "
        "least 73 expected\"}",
        "a token without its HMAC is a cut");
    is_info_text("gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7"
                 "JcbmrR64jVmpU4Iwq",
                 "{\"format\":\"fernet\",\"size\":96,\"error\":\"cut short: 72 bytes once decoded, "
                 "at least 73 expected\"}",
                 "one byte too few is a cut");
    is_info_text(
        FERNET "xx",
        "{\"format\":\"fernet\",\"size\":100,\"error\":\"cut short or run on: 75 bytes once "
        "decoded, expected 57 and a multiple of 16\"}",
        "a broken block is named");
    is_info_text("gAAA===A",
                 "{\"format\":\"fernet\",\"size\":8,\"error\":\"padding (=) in the middle, at byte "
                 "4\"}",
                 "padding in the middle is found");
    is_info_text(
        "gAAAAB",
        "{\"format\":\"fernet\",\"size\":6,\"error\":\"the last base64 letter has bits set "
        "that no encoder sets\"}",
        "stray bits are found");
    is_info_text("gAAA\x01",
                 "{\"format\":\"fernet\",\"size\":5,\"error\":\"byte 4 is 0x01, which is not "
                 "base64\"}",
                 "what is no base64 is found");
    is_info_text(
        "hello",
        "{\"format\":\"unknown\",\"size\":5,\"error\":\"neither an envelope (BLOB beginning "
        "with RBT) nor a Fernet token (urlsafe base64 beginning with gAAA)\"}",
        "anything else is unknown");
    is_info(
        "", 0,
        "{\"format\":\"unknown\",\"size\":0,\"error\":\"neither an envelope (BLOB beginning with "
        "RBT) nor a Fernet token (urlsafe base64 beginning with gAAA)\"}",
        "so is nothing");
}

int main(void) {
    plan(58);
    ok(rbt_crypto_init(), "libsodium starts");
    ok(rbt_crypto_init(), "and may be started again");
    test_sha256();
    test_envelope_vector();
    test_tampering();
    test_commitment();
    test_nonce();
    test_recognised();
    test_tokens();
    test_info();
    return done();
}
