/* SPDX-License-Identifier: MIT
** Fernet against the published vectors (github.com/fernet/spec: generate, verify and invalid) and its
** own rules.
*/
#include "tap.h"

#include "base/base64.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "crypto/envelope.h"
#include "crypto/fernet.h"
#include "crypto/keys.h"
#include "crypto/token.h"
#include <sodium.h>

static const char secret[] = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
static const char token[] = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVU"
                            "PgJobwOz7JcbmrR64jVmpU4IwqDA==";
/* 1985-10-26T01:20:01-07:00, one second after the token was made */
enum { NOW = 499162801, TTL = 60 };

static uint8_t key[32];
static rbt_fernet_schedule schedule; /* of its second half */

typedef enum outcome { OPENS, REFUSED, EXPIRED, FUTURE } outcome;

/* The whole way of a verifier, as the specification has it. */
static outcome verify(const char *text, size_t length, uint64_t now, uint64_t ttl,
                      char *plaintext) {
    rbt_buffer raw = {0};
    outcome result = REFUSED;
    if (rbt_fernet_decode(&raw, (const uint8_t *)text, length) &&
        rbt_fernet_authentic(raw.data, raw.length, key)) {
        uint8_t *out = rbt_malloc(raw.length - RBT_FERNET_OVERHEAD);
        size_t out_length;
        switch (rbt_fernet_freshness(rbt_fernet_time(raw.data), ttl, now)) {
        case RBT_FRESH:
            if (rbt_fernet_decrypt(out, &out_length, raw.data, raw.length, &schedule)) {
                result = OPENS;
                if (plaintext) memcpy(plaintext, out, out_length + 1);
            }
            break;
        case RBT_EXPIRED:
            result = EXPIRED;
            break;
        case RBT_FROM_FUTURE:
            result = FUTURE;
            break;
        }
        rbt_free(out);
    }
    rbt_buffer_free(&raw);
    return result;
}

static void test_published(void) {
    rbt_buffer out = {0}, decoded = {0};
    uint8_t iv[16];
    char plaintext[16];

    ok(rbt_base64_decode_python(&decoded, secret, strlen(secret)) && decoded.length == 32,
       "the secret is a key");
    memcpy(key, decoded.data, 32);
    rbt_fernet_schedule_make(&schedule, key + 16);
    rbt_buffer_free(&decoded);
    for (int i = 0; i < 16; i++)
        iv[i] = (uint8_t)i;
    ok(rbt_fernet_seal(&out, NOW - 1, iv, key, &schedule, (const uint8_t *)"hello", 5),
       "a token is made");
    is_text(rbt_buffer_text(&out), token, "it is the one of generate.json");
    rbt_buffer_free(&out);
    is_int(verify(token, strlen(token), NOW, TTL, plaintext), OPENS,
           "the token of verify.json opens");
    is_text(plaintext, "hello", "and says hello");
    is_int(verify(token, strlen(token) - 2, NOW, TTL, plaintext), OPENS,
           "it opens without padding too");
}

static void test_invalid(void) {
    static const struct {
        const char *name, *token;
        uint64_t now;
        outcome want;
    } cases[] = {
        {"incorrect mac",
         "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-"
         "szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUF"
         "BQUFBQQ==",
         NOW, REFUSED},
        {"too short", "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==", NOW, REFUSED},
        {"invalid base64",
         "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-"
         "szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p"
         "1YsUD2Q==",
         NOW, REFUSED},
        {"payload size not multiple of block size",
         "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_"
         "v7mrfy"
         "udzUm",
         NOW, REFUSED},
        {"payload padding error",
         "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-"
         "JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbk"
         "uKNqOhw==",
         NOW, REFUSED},
        {"far-future TS (unacceptable clock skew)",
         "gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyTGJmw2Xc2a6kBd-"
         "iX9"
         "b_qXQcw==",
         NOW, FUTURE},
        {"expired TTL",
         "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-"
         "szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p"
         "1YsUD2Q==",
         NOW + 90, EXPIRED},
        {"incorrect IV (causes padding error)",
         "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-"
         "fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIv"
         "cZjK1zQ==",
         NOW, REFUSED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[96];
        snprintf(name, sizeof name, "invalid.json: %s", cases[i].name);
        is_int(verify(cases[i].token, strlen(cases[i].token), cases[i].now, TTL, NULL),
               cases[i].want, name);
    }
}

static void test_own_rules(void) {
    char changed[sizeof token];
    int opened = 0;

    for (size_t i = 0; i < strlen(token); i++) {
        for (int bit = 0; bit < 7; bit++) {
            strcpy(changed, token);
            changed[i] = (char)(changed[i] ^ (1 << bit));
            opened += verify(changed, strlen(token), NOW, TTL, NULL) == OPENS;
        }
    }
    is_int(opened, 0, "a token with any one bit of its text changed does not open");
    for (size_t length = 0; length < strlen(token); length++)
        opened += length != strlen(token) - 2 && verify(token, length, NOW, TTL, NULL) == OPENS;
    is_int(opened, 0, "a token cut anywhere but before its padding does not open");
    strcpy(changed, token);
    strcpy(changed + strlen(token) - 2, "="); /* half of the padding */
    is_int(verify(changed, strlen(changed), NOW, TTL, NULL), REFUSED, "half a padding is refused");
    is_int(verify(" gAAA", 5, NOW, TTL, NULL), REFUSED, "leading white space is refused");

    /* Version 0x81, properly signed. */
    rbt_buffer out = {0}, raw = {0};
    uint8_t iv[16] = {0};
    rbt_fernet_seal(&out, NOW, iv, key, &schedule, NULL, 0);
    ok(rbt_base64_decode(&raw, (char *)out.data, out.length, true, false),
       "an empty plaintext makes a token");
    is_int(raw.length, RBT_FERNET_MINIMUM, "of the shortest length there is");
    char plaintext[16] = "x";
    is_int(verify((char *)out.data, out.length, NOW, TTL, plaintext), OPENS, "which opens");
    is_text(plaintext, "", "and is empty");
    raw.data[0] = 0x81;
    ok(!rbt_fernet_well_formed(raw.data, raw.length), "a wrong version is refused");
    rbt_buffer_free(&out);
    rbt_buffer_free(&raw);
}

static void test_lengths(void) {
    uint8_t plaintext[70], iv[16] = {7};
    char back[96];
    int wrong = 0;
    for (size_t i = 0; i < sizeof plaintext; i++)
        plaintext[i] = (uint8_t)(i + 1);
    for (size_t length = 0; length <= sizeof plaintext; length++) {
        rbt_buffer out = {0};
        rbt_fernet_seal(&out, NOW, iv, key, &schedule, plaintext, length);
        memset(back, 'x', sizeof back);
        wrong += verify((char *)out.data, out.length, NOW, TTL, back) != OPENS ||
                 memcmp(back, plaintext, length) != 0 || back[length] != 0;
        rbt_buffer_free(&out);
    }
    is_int(wrong, 0, "plaintexts of 0 to 70 bytes come back whole");
}

static void test_freshness(void) {
    is_int(rbt_fernet_freshness(100, 60, 160), RBT_FRESH, "a token lives up to its ttl");
    is_int(rbt_fernet_freshness(100, 60, 161), RBT_EXPIRED, "and no second longer");
    is_int(rbt_fernet_freshness(160, 0, 100), RBT_FRESH, "60 seconds of skew are allowed");
    is_int(rbt_fernet_freshness(161, 0, 100), RBT_FROM_FUTURE, "61 are not");
    is_int(rbt_fernet_freshness(UINT64_MAX, INT64_MAX, 100), RBT_FROM_FUTURE,
           "the end of time is in the future");
    is_int(rbt_fernet_freshness(UINT64_MAX, INT64_MAX, UINT64_MAX), RBT_FRESH,
           "and sums saturate instead of wrapping");
    is_int(rbt_fernet_freshness(1, INT64_MAX, 1700000000), RBT_FRESH, "a huge ttl never expires");
}

/* Under a ring: any key opens, the type follows from the plaintext, all failures sound alike. */
static void test_ring(void) {
    rbt_error error = {0};
    rbt_opened opened = {0};
    rbt_place none = {0}, place = {(const uint8_t *)"a", 1};
    char ring[128];
    snprintf(ring, sizeof ring, "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8= , %s", secret);
    rbt_keys *both = rbt_keys_parse(ring, NULL, "test", &error);
    rbt_keys *other =
        rbt_keys_parse("ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=", NULL, "test", &error);
    const uint8_t *text = (const uint8_t *)token;

    is_int(rbt_token_open(&opened, both, text, strlen(token), none, "decrypt", &error), SQLITE_OK,
           "the second key of a ring opens a Fernet token");
    ok(opened.fernet && !opened.primary && opened.created == NOW - 1 &&
           opened.type == RBT_VALUE_TEXT && strcmp((char *)opened.value, "hello") == 0,
       "which gives text, time, and that it was not the primary");
    rbt_opened_free(&opened);

    rbt_token_open(&opened, both, text, strlen(token), place, "decrypt", &error);
    is_text(
        error.message,
        "decrypt: a Fernet token cannot carry a context; leave the context out, or turn it into "
        "a token that has one: encrypt(decrypt(token), context)",
        "a context with a Fernet token is refused in clear words");
    rbt_error_clear(&error);
    rbt_token_open(&opened, other, text, strlen(token), none, "decrypt", &error);
    is_text(
        error.message,
        "decrypt: the token does not open; it was altered, cut short, or belongs to another key "
        "or context",
        "a ring without the key has the common message");
    rbt_error_clear(&error);

    rbt_buffer out = {0};
    rbt_token_seal_fernet(&out, other, 5, (const uint8_t *)"\xff", 1, &error);
    is_int(rbt_token_open_fernet(&opened, other, out.data, out.length, "fernet_decrypt", &error),
           SQLITE_OK, "bytes that are no UTF-8 come back");
    is_int(opened.type, RBT_VALUE_BLOB, "as a BLOB");
    rbt_opened_free(&opened);
    rbt_buffer_free(&out);
    rbt_keys_free(both);
    rbt_keys_free(other);
}

int main(void) {
    plan(37);
    if (!rbt_crypto_init()) return 1;
    test_published();
    test_invalid();
    test_own_rules();
    test_lengths();
    test_freshness();
    test_ring();
    return done();
}
