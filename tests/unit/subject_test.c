/* SPDX-License-Identifier: MIT
** Subjects' keys and tokens apart from SQL: vectors that Python made (tests/python/subject_format.py),
** padding of every length, what must not open, and finding what is left of a destroyed key.
*/
#include "tap.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "crypto/blind_index.h"
#include "crypto/subject.h"

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

enum { NOW = 1700000000 };

/* Ring key 00 … 1f, sid 5375626a65637401, subject key a0 … bf, nonce 40 … 57, created 1700000000. */
static const char wrapped_hex[] =
    "52425403fe6b3e115b09923900f1536500000000404142434445464748494a4b4c4d4e4f50515253"
    "5455565721930cc3ec81ca9d583d5a823f60446c0ce20fc9a919f65a311ca88e3379c5098df336a6"
    "25357e1fdce2978783680b78f590ee5ef8d30420d53e74e148e75a7a764dc350bc7962931a0492b7"
    "cd34dc0911";
/* TEXT alice@example.com, context customers/email */
static const char text_hex[] =
    "524254025375626a6563740100f1536500000000404142434445464748494a4b4c4d4e4f50515253"
    "5455565702c2755c26f25249d75b76f65a04b6c4c3ec51968ec9436fcd1bd758ac69c3edbff765db"
    "259cb23ef0ff237b01010d4d5725b582fae352f2419d28a093f2b6f6dc703dc354611d9767fec28b"
    "9a4ef263";
/* INTEGER 42, no context */
static const char integer_hex[] =
    "524254025375626a6563740100f1536500000000404142434445464748494a4b4c4d4e4f50515253"
    "545556574b2e01445708f5b577c48b98ef7046bb946b27673fe0bce6a68c3cb9bf3cc8ffd7f98df6"
    "b6a6c37dbe67055a68a5ca4b4829419f2979d710d6554ea03e9b6639fe67cbbaf661704b8f94ef54"
    "9b461f3c";
static const char index_hex[] =
    "fe6b3e115b099239146848301b93e18ed621324550f7248c"; /* of customer/42, context: rustybt subject */

static const rbt_place no_place = {NULL, 0};
static const rbt_place email = {(const uint8_t *)"customers/email", 15};
static rbt_keys *ring;    /* A alone */
static rbt_keys *rotated; /* B, then A */
static rbt_subject_key subject;

static size_t from_hex(uint8_t *bytes, const char *hex) {
    size_t length = strlen(hex) / 2;
    if (!rbt_hex_decode(bytes, length, hex, 2 * length)) abort();
    return length;
}

static void make_subject(void) {
    memcpy(subject.sid, "Subject\1", sizeof subject.sid);
    for (size_t i = 0; i < sizeof subject.key; i++)
        subject.key[i] = (uint8_t)(0xa0 + i);
}

/* Opens with the subject's key; the error's text, or NULL. */
static const char *opens(rbt_opened *opened, const uint8_t *token, size_t length, rbt_place place) {
    static char text[256];
    rbt_error error = {0};
    *opened = (rbt_opened){0};
    if (rbt_subject_open(opened, &subject, token, length, place, "subject_decrypt", &error) ==
        SQLITE_OK)
        return NULL;
    snprintf(text, sizeof text, "%s", error.message);
    rbt_error_clear(&error);
    return text;
}

static const char refused[] =
    "subject_decrypt: the token does not open; it was altered, cut short, "
    "or belongs to another key or context";

static void check_vectors(void) {
    uint8_t bytes[256], index[RBT_BLIND_INDEX_SIZE], want[RBT_BLIND_INDEX_SIZE];
    rbt_subject_key got;
    rbt_opened opened;
    memcpy(got.sid, subject.sid, sizeof got.sid);
    size_t length = from_hex(bytes, wrapped_hex);
    ok(rbt_subject_unwrap(&got, rbt_keys_at(ring, 0), bytes, length), "Python's wrapped key opens");
    is_bytes(got.key, subject.key, sizeof got.key, "and gives the key");
    length = from_hex(bytes, text_hex);
    is_text(opens(&opened, bytes, length, email), NULL, "Python's TEXT token opens");
    ok(opened.type == RBT_VALUE_TEXT && opened.length == 17, "with its type and length");
    is_text((const char *)opened.value, "alice@example.com", "and its value, ended by a NUL");
    rbt_opened_free(&opened);
    length = from_hex(bytes, integer_hex);
    is_text(opens(&opened, bytes, length, no_place), NULL, "Python's INTEGER token opens");
    ok(opened.type == RBT_VALUE_INTEGER && rbt_load_u64le(opened.value) == 42, "and is 42");
    rbt_opened_free(&opened);
    rbt_blind_index(index, rbt_keys_at(ring, 0), (const uint8_t *)"rustybt subject", 15,
                    RBT_VALUE_TEXT, (const uint8_t *)"customer/42", 11);
    from_hex(want, index_hex);
    is_bytes(index, want, sizeof want, "the blind index is Python's");
}

static void check_lengths(void) {
    uint8_t value[200];
    bool sizes = true, values = true;
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)(i % 3 ? 0 : 0x80); /* what padding looks like */
    for (size_t length = 0; length <= sizeof value; length++) {
        rbt_error error = {0};
        rbt_opened opened;
        uint8_t *token;
        size_t token_length;
        const uint8_t *from = value + sizeof value - length;
        if (rbt_subject_seal(&token, &token_length, &subject, rbt_keys_at(ring, 0), email,
                             RBT_VALUE_BLOB, from, length, &error) != SQLITE_OK)
            abort();
        sizes = sizes && token_length == 92 + (length + 2 + 31) / 32 * 32;
        values = values && !opens(&opened, token, token_length, email) && opened.length == length &&
                 memcmp(opened.value, from, length) == 0;
        rbt_opened_free(&opened);
        rbt_free(token);
    }
    ok(sizes, "type, value and mark are padded to whole blocks of 32");
    ok(values, "values of 0 to 200 bytes come back, whatever they end with");
}

/* A token whose plaintext after the type is this. */
static const char *padded(uint8_t type, const char *text, size_t length) {
    uint8_t token[256], nonce[24] = {0};
    rbt_opened opened;
    rbt_envelope_seal(token, RBT_ENVELOPE_KIND_SUBJECT, subject.sid, NOW, nonce, subject.key, NULL,
                      0, type, (const uint8_t *)text, length);
    const char *why = opens(&opened, token, length + RBT_ENVELOPE_OVERHEAD, no_place);
    rbt_opened_free(&opened);
    return why;
}

static void check_padding(void) {
    static const char zeros[64] = {0};
    char text[64];
    memset(text, 0, sizeof text);
    text[0] = (char)0x80;
    text[20] = 1;
    is_text(padded(RBT_VALUE_TEXT, text, 31), refused, "what stands behind the mark must be zeros");
    text[20] = 0;
    is_text(padded(RBT_VALUE_TEXT, text, 31), NULL, "an empty TEXT is one block");
    is_text(padded(RBT_VALUE_TEXT, text, 63), refused, "a block too many is refused");
    is_text(padded(RBT_VALUE_TEXT, text, 30), refused, "a length that is no block is refused");
    is_text(padded(RBT_VALUE_TEXT, zeros, 31), refused, "padding without a mark is refused");
    memset(text, 'x', sizeof text);
    is_text(padded(RBT_VALUE_TEXT, text, 31), refused, "no padding is refused");
    text[30] = (char)0x80;
    is_text(padded(RBT_VALUE_TEXT, text, 31), NULL, "the mark may be the last byte");
    is_text(padded(9, text, 31), refused, "an unknown type is refused");
    is_text(padded(RBT_VALUE_INTEGER, text, 31), refused, "an INTEGER of 30 bytes is refused");
}

static void check_refusals(void) {
    uint8_t bytes[256], changed[256];
    rbt_opened opened;
    rbt_subject_key other = subject;
    size_t length = from_hex(bytes, text_hex);
    int opened_anyway = 0;
    for (size_t i = 0; i < length; i++) {
        memcpy(changed, bytes, length);
        changed[i] ^= 1;
        opened_anyway += opens(&opened, changed, length, email) == NULL;
    }
    is_int(opened_anyway, 0, "a token with any bit changed does not open");
    for (size_t i = 0; i < length; i++)
        opened_anyway += opens(&opened, bytes, i, email) == NULL;
    is_int(opened_anyway, 0, "nor any beginning of one");
    is_text(opens(&opened, bytes, length, no_place), refused, "nor without its context");

    length = from_hex(bytes, wrapped_hex);
    for (size_t i = 0; i < length; i++) {
        memcpy(changed, bytes, length);
        changed[i] ^= 1;
        opened_anyway += rbt_subject_unwrap(&other, rbt_keys_at(ring, 0), changed, length);
    }
    is_int(opened_anyway, 0, "a wrapped key with any bit changed does not open");
    ok(!rbt_subject_unwrap(&other, rbt_keys_at(ring, 0), bytes, length - 1) &&
           !rbt_subject_unwrap(&other, rbt_keys_at(ring, 0), bytes, 0),
       "nor one cut short");
    ok(!rbt_subject_unwrap(&other, rbt_keys_at(rotated, 0), bytes, length),
       "nor under another ring key");
    other.sid[0] ^= 1;
    memset(other.key, 1, sizeof other.key);
    ok(!rbt_subject_unwrap(&other, rbt_keys_at(ring, 0), bytes, length), "nor for another sid");
    uint8_t zeros[RBT_SUBJECT_KEY_SIZE] = {0};
    is_bytes(other.key, zeros, sizeof zeros, "what did not open leaves zeros");
}

static void check_new(void) {
    rbt_subject_key one, two;
    uint8_t first[RBT_WRAPPED_SUBJECT_SIZE], second[RBT_WRAPPED_SUBJECT_SIZE];
    rbt_subject_key_new(&one);
    rbt_subject_key_new(&two);
    ok(memcmp(one.sid, two.sid, sizeof one.sid) != 0 && memcmp(one.key, two.key, 32) != 0,
       "new keys and sids differ");
    rbt_subject_wrap(first, rbt_keys_at(rotated, 0), &one);
    rbt_subject_wrap(second, rbt_keys_at(rotated, 0), &one);
    ok(memcmp(first, second, sizeof first) != 0, "wrapped twice, a key never looks the same");
    memcpy(two.sid, one.sid, sizeof two.sid);
    ok(rbt_subject_unwrap(&two, rbt_keys_at(rotated, 0), second, sizeof second) &&
           memcmp(one.key, two.key, 32) == 0,
       "and opens to what it was");
}

static void check_traces(void) {
    static uint8_t place[4096];
    rbt_destroyed_key destroyed;
    size_t at, wrong = 0;
    uint8_t old[RBT_WRAPPED_SUBJECT_SIZE];
    memcpy(destroyed.sid, subject.sid, sizeof destroyed.sid);
    rbt_subject_wrap(destroyed.wrapped, rbt_keys_at(rotated, 0), &subject);
    rbt_subject_wrap(old, rbt_keys_at(rotated, 1), &subject);

    memset(place, 'R', sizeof place);
    ok(!rbt_subject_trace(&destroyed, rotated, place, sizeof place, &at) &&
           !rbt_subject_trace(&destroyed, rotated, place, 0, &at),
       "where nothing is, nothing is found");
    for (size_t i = 0; i <= sizeof place - sizeof old; i++) {
        memcpy(place + i, old, sizeof old);
        wrong += !rbt_subject_trace(&destroyed, rotated, place, sizeof place, &at) || at != i;
        memset(place + i, 'R', sizeof old);
    }
    is_int(wrong, 0, "a copy under an earlier ring key is found, wherever it stands");
    memcpy(place + 100, old, sizeof old);
    ok(!rbt_subject_trace(&destroyed, ring, place, 100 + sizeof old - 1, &at),
       "cut short by one byte, it is none");
    rbt_subject_trace(&destroyed, ring, place, sizeof place, &at);
    is_int(at, 100, "a ring of that key alone finds it, too");
    place[100 + 90] ^= 1;
    ok(!rbt_subject_trace(&destroyed, rotated, place, sizeof place, &at),
       "damaged, it does not open and is not found");

    rbt_subject_key other;
    rbt_subject_key_new(&other);
    memset(place, 0, sizeof place);
    for (size_t i = 0; i + sizeof old <= sizeof place; i += sizeof old)
        rbt_subject_wrap(place + i, rbt_keys_at(rotated, i % 2), &other);
    ok(!rbt_subject_trace(&destroyed, rotated, place, sizeof place, &at),
       "other subjects' keys are not found");

    wrong = 0;
    for (size_t cut = 1; cut < sizeof old; cut++) {
        memset(place, 0, sizeof place);
        memcpy(place + 50, destroyed.wrapped, cut);
        memcpy(place + 2000, destroyed.wrapped + cut, sizeof old - cut);
        bool found = rbt_subject_trace(&destroyed, rotated, place, sizeof place, &at);
        wrong += !found;
    }
    is_int(wrong, 0, "the key last in use is found also when it was cut in two");
    memset(place, 0, sizeof place);
    memcpy(place + 50, destroyed.wrapped, 77);
    ok(!rbt_subject_trace(&destroyed, rotated, place, sizeof place, &at),
       "its header alone gives nothing away");
}

int main(void) {
    rbt_error error = {0};
    plan(8 + 2 + 9 + 8 + 3 + 8);
    if (!rbt_crypto_init()) return 1;
    ring = rbt_keys_parse(KEY_A, NULL, "test", &error);
    rotated = rbt_keys_parse(KEY_B "," KEY_A, NULL, "test", &error);
    if (ring == NULL || rotated == NULL) return 1;
    make_subject();
    check_vectors();
    check_lengths();
    check_padding();
    check_refusals();
    check_new();
    check_traces();
    rbt_keys_free(ring);
    rbt_keys_free(rotated);
    return done();
}
