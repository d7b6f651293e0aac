/* SPDX-License-Identifier: MIT
** Secrets decide no branch and no address, shown by valgrind: its memcheck reports every jump and every
** index that depends on undefined memory, so secrets are marked undefined and the reports counted
** (Adam Langley's ctgrind). What remains are decisions that anyone sees the outcome of: whether a token
** opens, how long its text is. tests/shell/constant_time_test.sh starts this program under valgrind.
**
** Out of its reach: what single instructions take (multiplication, AES-NI), and what becomes of a
** plaintext once it is authentic: SQLite and the caller handle it as any other value.
*/
#include "tap.h"

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>) && !defined(__SANITIZE_ADDRESS__)
#define HAS_MEMCHECK 1
#endif
#endif

#ifndef HAS_MEMCHECK
int main(void) {
    printf("1..0 # SKIP needs valgrind's headers, and no sanitizers\n");
    return 0;
}
#else

#include "audit/log_seal.h"
#include "base/base64.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "crypto/backup.h"
#include "crypto/blind_index.h"
#include "crypto/envelope.h"
#include "crypto/fernet.h"
#include "crypto/keys.h"
#include "crypto/sign.h"
#include "crypto/token.h"
#include <sodium.h>
#include <valgrind/memcheck.h>

static const char key_text[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
                               ",ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
static const char value[] = "an API secret of some length";
enum { VALUE = sizeof value - 1, NOW = 1700000000, KEY_LETTERS = 43 };

static rbt_keys *keys;
static const rbt_ring_key *key;
static const rbt_place place = {(const uint8_t *)"a/b", 3};
static unsigned long reports_before;

/* From here on memory's contents are secret. */
static void secret(const void *memory, size_t size) {
    (void)VALGRIND_MAKE_MEM_UNDEFINED(memory, size);
}

/* Anyone may see them again: an outcome, or bytes that leave the process. */
static void disclose(const void *memory, size_t size) {
    (void)VALGRIND_MAKE_MEM_DEFINED(memory, size);
}

static void begin(void) {
    reports_before = VALGRIND_COUNT_ERRORS;
}

/* Jumps and indexes on secrets since begin(). */
static long reports(void) {
    return (long)(VALGRIND_COUNT_ERRORS - reports_before);
}

/* Marks all of the ring that is secret: not the ids, not the public keys. */
static void hide_keys(void) {
    for (size_t i = 0; i < rbt_keys_count(keys); i++) {
        const rbt_ring_key *each = rbt_keys_at(keys, i);
        secret(each->fernet_sign, sizeof each->fernet_sign);
        secret(each->fernet_encrypt, sizeof each->fernet_encrypt);
        secret(&each->fernet_schedule, sizeof each->fernet_schedule);
        secret(each->aead, sizeof each->aead);
        secret(each->bidx, sizeof each->bidx);
        secret(each->subj, sizeof each->subj);
        secret(each->nonc, sizeof each->nonc);
        secret(each->seal, sizeof each->seal);
        secret(each->sign_secret, sizeof each->sign_secret);
    }
}

/* ---------------------------------------------------------------------------------- controls */

/* What must not be written, and what this test must find if it is. */
static int compare_leaking(const volatile uint8_t *a, const volatile uint8_t *b, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (a[i] != b[i]) return 1;
    }
    return 0;
}

static uint8_t look_up_leaking(const volatile uint8_t *table, const volatile uint8_t *index) {
    return table[*index];
}

static void test_controls(void) {
    static uint8_t table[256];
    uint8_t mac[32] = {7}, given[32] = {7};

    secret(mac, sizeof mac);
    begin();
    int differs = compare_leaking(mac, given, sizeof mac);
    ok(reports() == 32 && !differs, "a comparison that stops at the first difference is reported");
    begin();
    differs = crypto_verify_32(mac, given);
    is_int(reports(), 0, "libsodium's is not");
    if (differs) printf("# they differ\n");
    is_int(reports(), 1, "but a decision by its outcome is, once");
    begin();
    table[0] = look_up_leaking(table, mac);
    ok(reports() > 0, "a look-up by a secret is reported");
}

/* ------------------------------------------------------------------------------------- texts */

static void test_texts(void) {
    uint8_t bytes[64];
    char text[45], hex[2 * sizeof bytes + 1];
    rbt_buffer out = {.secret = true};

    memcpy(text, key_text, 44);
    secret(text, 44);
    begin();
    bool decoded = rbt_base64_decode_python(&out, text, 44);
    long count = reports();
    printf("# %ld reports\n", count);
    ok(decoded && out.length == 32 && count > 0 && count <= 2 * KEY_LETTERS + 1,
       "decoding a key asks of each character whether it is a letter, never which");
    rbt_buffer_clear(&out);

    begin();
    decoded = rbt_base64_decode(&out, text, 44, true, false);
    count = reports();
    disclose(&decoded, sizeof decoded);
    printf("# %ld reports\n", count);
    ok(decoded && count <= 4, "strict base64 asks for the padding and for the outcome");
    rbt_buffer_clear(&out);

    randombytes_buf(bytes, sizeof bytes);
    secret(bytes, sizeof bytes);
    begin();
    rbt_base64_encode(&out, bytes, sizeof bytes, false);
    rbt_hex_encode(hex, bytes, sizeof bytes);
    is_int(reports(), 0, "base64 and hexadecimal are written without looking");
    begin();
    decoded = rbt_hex_decode(bytes, sizeof bytes, hex, 2 * sizeof bytes);
    is_int(reports(), 0, "and hexadecimal is read so");
    rbt_buffer_free(&out);
}

/* ---------------------------------------------------------------------------------- envelope */

static uint8_t envelope[VALUE + RBT_ENVELOPE_OVERHEAD], opened[VALUE + 1];

static bool open_envelope(uint8_t *type) {
    begin();
    return rbt_envelope_open(opened, type, envelope, sizeof envelope, key->aead, place.bytes,
                             place.length);
}

static void test_envelope(void) {
    uint8_t nonce[24], random[32], header[20], plain[VALUE], type;

    memcpy(plain, value, VALUE);
    rbt_envelope_header(header, RBT_ENVELOPE_KIND_RING, key->id, NOW);
    randombytes_buf(random, sizeof random);
    secret(random, sizeof random);
    secret(plain, sizeof plain);
    begin();
    rbt_envelope_nonce(nonce, key->nonc, random, header, place.bytes, place.length, RBT_VALUE_TEXT,
                       plain, VALUE);
    is_int(reports(), 0, "the nonce is made without a look at key, randomness or value");
    disclose(nonce, sizeof nonce);
    begin();
    rbt_envelope_seal(envelope, RBT_ENVELOPE_KIND_RING, key->id, NOW, nonce, key->aead, place.bytes,
                      place.length, RBT_VALUE_TEXT, plain, VALUE);
    is_int(reports(), 0, "an envelope is sealed so");
    disclose(envelope, sizeof envelope);

    bool opens = open_envelope(&type);
    long count = reports(); /* libsodium decides by the tag, and we by what it says */
    ok(count >= 2 && count <= 3, "opening one decides by the commitment and by the tag alone");
    disclose(opened, sizeof opened);
    disclose(&type, sizeof type);
    ok(opens && type == RBT_VALUE_TEXT && memcmp(opened, value, VALUE) == 0, "and it opens");
    envelope[sizeof envelope - 1] ^= 1;
    opens = open_envelope(&type);
    ok(reports() == 2 && !opens, "one with a wrong tag takes the same decisions");
    envelope[50] ^= 1;
    opens = open_envelope(&type);
    ok(reports() == 1 && !opens, "one with a wrong commitment the first alone");
}

/* ------------------------------------------------------------------------------------ Fernet */

/* Whether nettle finds AES instructions: without them its AES is made of tables. */
static bool has_aes(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("aes");
#else
    return false;
#endif
}

static void test_fernet(void) {
    static const char unsupported[] =
        "# SKIP without AES instructions nettle's AES looks up tables";
    uint8_t iv[16] = {1}, plain[VALUE], out[64];
    size_t length = 0;
    rbt_buffer token = {0}, raw = {0};

    memcpy(plain, value, VALUE);
    secret(plain, sizeof plain);
    begin();
    bool made =
        rbt_fernet_seal(&token, NOW, iv, key->fernet_sign, &key->fernet_schedule, plain, VALUE);
    ok(made && (reports() == 0 || !has_aes()),
       has_aes() ? "a Fernet token is made without a look at key or text" : unsupported);
    disclose(token.data, token.length);
    if (!rbt_fernet_decode(&raw, token.data, token.length)) printf("# it does not decode\n");

    begin();
    bool authentic = rbt_fernet_authentic(raw.data, raw.length, key->fernet_sign);
    is_int(reports(), 0, "its HMAC is compared without a decision");
    disclose(&authentic, sizeof authentic);
    ok(authentic, "and fits");
    raw.data[raw.length - 1] ^= 1;
    begin();
    authentic = rbt_fernet_authentic(raw.data, raw.length, key->fernet_sign);
    is_int(reports(), 0, "a forged one is compared the same way");
    disclose(&authentic, sizeof authentic);
    ok(!authentic, "and does not");

    begin();
    bool opens = rbt_fernet_decrypt(out, &length, raw.data, raw.length, &key->fernet_schedule);
    long count = reports();
    disclose(&length, sizeof length);
    disclose(out, sizeof out);
    printf("# %ld reports\n", count);
    ok(opens && length == VALUE && memcmp(out, value, VALUE) == 0 && (count <= 2 || !has_aes()),
       has_aes() ? "decrypting decides whether the padding is right, and where the text ends"
                 : unsupported);
    raw.data[RBT_FERNET_HEADER + 15] ^= 4; /* of the last byte: the padding */
    begin();
    opens = rbt_fernet_decrypt(out, &length, raw.data, raw.length, &key->fernet_schedule);
    count = reports();
    ok(!opens && (count == 1 || !has_aes()),
       has_aes() ? "wrong padding is one decision, wherever it is wrong" : unsupported);
    rbt_buffer_free(&token);
    rbt_buffer_free(&raw);
}

/* ------------------------------------------------------------------------- seal, note, token */

static void test_seal(void) {
    static const rbt_frontier frontier = {0};
    uint8_t seal[RBT_SEAL_SIZE], log_id[16] = {1};
    rbt_error error = {0};
    rbt_buffer note = {0};
    rbt_verifier signer;

    begin();
    rbt_seal_compute(seal, key, log_id, &frontier);
    is_int(reports(), 0, "a log is sealed without a look at the key");
    begin();
    int differs = sodium_memcmp(seal, log_id, 1);
    is_int(reports(), 0, "and its seal compared without a decision");
    disclose(&differs, sizeof differs);

    if (!rbt_verifier_make(&signer, "example.com/audit", key->sign_public)) printf("# no signer\n");
    begin();
    int code = rbt_note_sign(&note, "note\n", 5, &signer, key->sign_secret, &error);
    ok(code == SQLITE_OK && reports() == 0, "a note is signed without a look at the key");
    rbt_buffer_free(&note);
}

/* What Argon2id makes of the passphrase is the secret here; Argon2id itself looks up memory by what it
** has computed from the passphrase in its later passes, which is its design (RFC 9106). */
static void test_backup(void) {
    static const rbt_backup_cost cost = {RBT_BACKUP_PASSES_MINIMUM, RBT_BACKUP_MEMORY_KIB_MINIMUM};
    static const uint8_t random[RBT_BACKUP_RANDOM_SIZE],
        passphrase[RBT_PASSPHRASE_MINIMUM] = "twelve bytes";
    uint8_t backup_key[RBT_BACKUP_KEY_SIZE], index[RBT_BLIND_INDEX_SIZE], plain[VALUE];
    rbt_error error = {0};
    rbt_buffer text = {0}, bytes = {0}, contents = {.secret = true};
    rbt_backup_form form;
    char why[RBT_BACKUP_WHY_SIZE];

    memcpy(plain, value, VALUE);
    secret(plain, sizeof plain);
    begin();
    rbt_blind_index(index, key, place.bytes, place.length, RBT_VALUE_TEXT, plain, VALUE);
    is_int(reports(), 0, "a blind index is made without a look at key or value");

    int code = rbt_backup_seal(&text, &cost, random, NOW, passphrase, sizeof passphrase,
                               (const uint8_t *)value, VALUE, "test", &error);
    if (code != SQLITE_OK || !rbt_backup_read(&bytes, &form, why, text.data, text.length) ||
        rbt_backup_key(backup_key, &bytes, passphrase, sizeof passphrase, "test", &error) !=
            SQLITE_OK)
        printf("# no backup\n");
    secret(backup_key, sizeof backup_key);
    begin();
    code = rbt_backup_unlock(&contents, &bytes, backup_key, "test", &error);
    long count = reports();
    printf("# %ld reports\n", count);
    ok(code == SQLITE_OK && count >= 2 && count <= 6,
       "a backup opens by the decisions commitment, tag and type");
    backup_key[0] ^= 1;
    begin();
    code = rbt_backup_unlock(&contents, &bytes, backup_key, "test", &error);
    count = reports();
    printf("# %ld reports\n", count);
    ok(code == SQLITE_ERROR && count >= 2 && count <= 6, "with another key no others are taken");
    rbt_error_clear(&error);
    rbt_buffer_free(&contents);
    rbt_buffer_free(&bytes);
    rbt_buffer_free(&text);
}

/* Tokens of the ring's second key are opened after the first was tried. */
static void test_tokens(void) {
    static uint8_t forged[VALUE + RBT_ENVELOPE_OVERHEAD];
    uint8_t plain[VALUE], *token = NULL;
    rbt_buffer fernet = {0};
    rbt_opened result = {0};
    rbt_error error = {0};

    memcpy(plain, value, VALUE);
    secret(plain, sizeof plain);
    begin();
    int code = rbt_token_seal(&token, keys, place, RBT_VALUE_TEXT, plain, VALUE, &error);
    ok(code == SQLITE_OK && reports() == 0, "encrypt looks at neither key nor value");
    disclose(token, sizeof forged);
    memcpy(forged, token, sizeof forged);
    rbt_free(token);
    forged[60] ^= 1;
    begin();
    code = rbt_token_open(&result, keys, forged, sizeof forged, place, "decrypt", &error);
    ok(code != SQLITE_OK && reports() == 1, "decrypt refuses a forged envelope by one decision");
    rbt_error_clear(&error);

    code = rbt_token_seal_fernet(&fernet, keys, NOW, (const uint8_t *)value, VALUE, &error);
    disclose(fernet.data, fernet.length);
    fernet.data[20] = fernet.data[20] == 'A' ? 'B' : 'A';
    begin();
    if (code == SQLITE_OK)
        code = rbt_token_open_fernet(&result, keys, fernet.data, fernet.length, "decrypt", &error);
    ok(code != SQLITE_OK && reports() == 2, "and a forged Fernet token by one for each key");
    rbt_error_clear(&error);
    rbt_buffer_free(&fernet);
}

int main(void) {
    rbt_error error = {0};
    if (!RUNNING_ON_VALGRIND) {
        printf("1..0 # SKIP runs under valgrind, see tests/shell/constant_time_test.sh\n");
        return 0;
    }
    plan(4 + 4 + 6 + 7 + 3 + 3 + 3);
    if (!rbt_crypto_init()) return 1;
    keys = rbt_keys_parse(key_text, NULL, "test", &error);
    key = rbt_keys_at(keys, 0);
    hide_keys();
    test_controls();
    test_texts();
    test_envelope();
    test_fernet();
    test_seal();
    test_backup();
    test_tokens();
    rbt_keys_free(keys);
    return done();
}
#endif
