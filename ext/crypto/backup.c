/* SPDX-License-Identifier: MIT
** Making, reading and opening key backups: the format is drawn in backup.h. Calls keys, envelope (for
** its numbers), libsodium and base. Argon2's memory is libsodium's own, mapped for the call; every
** other secret is in a buffer that wipes itself, or is wiped before a function returns.
*/
#include "backup.h"

#include "../base/base64.h"
#include "../base/bytes.h"
#include "../base/memory.h"
#include "../base/utf8.h"
#include "envelope.h"
#include "stack.h"
#include <sodium.h>

enum {
    KDF_AT = 4,
    LANES_AT = 5,
    ZERO_AT = 6,
    PASSES_AT = 8,
    MEMORY_AT = 12,
    SALT_AT = 16,
    CREATED_AT = 32,
    NONCE_AT = 40,
    CHECK_AT = 56,
    COMMITMENT_AT = 64, /* and the length of what the message key is derived from */
    SEALED_AT = 96
};
enum {
    SALT_SIZE = crypto_pwhash_SALTBYTES,
    NONCE_RANDOM_SIZE = CHECK_AT - NONCE_AT,
    CHECK_SIZE = COMMITMENT_AT - CHECK_AT,
    MESSAGE_KEY_SIZE = 32,
    COMMITMENT_SIZE = 32,
    TAG_SIZE = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    MINIMUM = SEALED_AT + 1 + TAG_SIZE /* bytes */
};
enum { KDF_ARGON2ID = 1, LANES = 1 };

/* Base64 letters in terms of the format (backup.h). CHECKED_GROUPS is the checked letters rounded up
** to whole groups of four, which decode by themselves. */
enum { MINIMUM_LETTERS = 152, CHECKED_LETTERS = 86, CHECKED_GROUPS = 88, OPEN_LETTERS = 128 };

static const uint8_t magic[4] = {'R', 'B', 'T', RBT_ENVELOPE_KIND_BACKUP};
static const char first_letters[] = "UkJUBAEB"; /* magic, kdf, lanes */
enum { RESEMBLING_LETTERS = 5 };                /* those that only the magic decides */

/* ----------------------------------------------------------------------------------- passphrase */

static bool is_space(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

bool rbt_backup_resembles(const uint8_t *text, size_t length) {
    while (length > 0 && is_space(*text))
        text++, length--;
    return length >= RESEMBLING_LETTERS && memcmp(text, first_letters, RESEMBLING_LETTERS) == 0;
}

int rbt_backup_passphrase_check(const uint8_t *passphrase, size_t length, const char *who,
                                rbt_error *error) {
    if (length >= MINIMUM_LETTERS && rbt_backup_resembles(passphrase, length))
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: what was given as passphrase is a backup; the passphrase comes last",
                        who);
    if (length > 0 && (passphrase[length - 1] == '\n' || passphrase[length - 1] == '\r'))
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: the passphrase ends in a line break, as readfile() gives it; take it "
                        "off with rtrim(passphrase, char(13, 10))",
                        who);
    for (size_t i = 0; i < length; i++) {
        if (passphrase[i] < 0x20 || passphrase[i] == 0x7f)
            return rbt_fail(error, SQLITE_ERROR,
                            "%s: the passphrase has a control character at byte %lld; use "
                            "characters that can be typed",
                            who, (long long)i);
    }
    if (!rbt_utf8_valid(passphrase, length))
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: the passphrase must be valid UTF-8; use characters that can be typed",
                        who);
    if (length < RBT_PASSPHRASE_MINIMUM)
        return rbt_fail(
            error, SQLITE_ERROR,
            "%s: the passphrase is too short, expected at least %d bytes; several words "
            "drawn by lot are best",
            who, RBT_PASSPHRASE_MINIMUM);
    return SQLITE_OK;
}

/* --------------------------------------------------------------------------------- key and check */

static void compute_check(uint8_t check[CHECK_SIZE], const uint8_t *backup) {
    uint8_t digest[crypto_generichash_BYTES];
    crypto_generichash(digest, sizeof digest, backup, CHECK_AT, NULL, 0);
    memcpy(check, digest, CHECK_SIZE);
}

static bool check_holds(const uint8_t *backup) {
    uint8_t check[CHECK_SIZE];
    compute_check(check, backup);
    return memcmp(check, backup + CHECK_AT, CHECK_SIZE) == 0;
}

static int derive_key(uint8_t key[RBT_BACKUP_KEY_SIZE], const uint8_t *backup,
                      const uint8_t *passphrase, size_t passphrase_length, const char *who,
                      rbt_error *error) {
    uint32_t passes = rbt_load_u32le(backup + PASSES_AT);
    uint64_t memory = (uint64_t)rbt_load_u32le(backup + MEMORY_AT) * 1024;

    /* Passphrase, salt and passes are within libsodium's bounds: what can fail is the memory. */
    if (memory <= crypto_pwhash_MEMLIMIT_MAX &&
        crypto_pwhash(key, RBT_BACKUP_KEY_SIZE, (const char *)passphrase, passphrase_length,
                      backup + SALT_AT, passes, (size_t)memory, crypto_pwhash_ALG_ARGON2ID13) == 0)
        return SQLITE_OK;
    return rbt_fail(error, SQLITE_ERROR,
                    "%s: Argon2id needs %lld MiB of memory, which the system does not give%s", who,
                    (long long)(memory / (1024 * 1024)),
                    check_holds(backup) ? ""
                                        : "; the backup's check does not hold, so that number may "
                                          "be mistyped");
}

int rbt_backup_key(uint8_t key[RBT_BACKUP_KEY_SIZE], const rbt_buffer *bytes,
                   const uint8_t *passphrase, size_t passphrase_length, const char *who,
                   rbt_error *error) {
    int code = derive_key(key, bytes->data, passphrase, passphrase_length, who, error);
    rbt_wipe_stack();
    return code;
}

/* Message key and commitment, from the backup's first 64 bytes. */
static void derive_message_key(uint8_t derived[MESSAGE_KEY_SIZE + COMMITMENT_SIZE],
                               const uint8_t key[RBT_BACKUP_KEY_SIZE], const uint8_t *backup) {
    crypto_generichash(derived, MESSAGE_KEY_SIZE + COMMITMENT_SIZE, backup, COMMITMENT_AT, key,
                       RBT_BACKUP_KEY_SIZE);
}

/* ---------------------------------------------------------------------------------------- making */

int rbt_backup_seal(rbt_buffer *text, const rbt_backup_cost *cost,
                    const uint8_t random[RBT_BACKUP_RANDOM_SIZE], uint64_t created_seconds,
                    const uint8_t *passphrase, size_t passphrase_length, const uint8_t *contents,
                    size_t contents_length, const char *who, rbt_error *error) {
    rbt_buffer backup = {.secret = true}; /* the contents stand in it until they are encrypted */
    uint8_t key[RBT_BACKUP_KEY_SIZE], derived[MESSAGE_KEY_SIZE + COMMITMENT_SIZE];
    int code = SQLITE_OK;

    if (contents_length > SIZE_MAX - MINIMUM ||
        !rbt_buffer_reserve(&backup, MINIMUM + contents_length)) {
        code = rbt_fail_nomem(error);
        goto cleanup;
    }
    backup.length = MINIMUM + contents_length;
    uint8_t *at = backup.data;
    memcpy(at, magic, sizeof magic);
    at[KDF_AT] = KDF_ARGON2ID;
    at[LANES_AT] = LANES;
    memset(at + ZERO_AT, 0, PASSES_AT - ZERO_AT);
    rbt_store_u32le(at + PASSES_AT, cost->passes);
    rbt_store_u32le(at + MEMORY_AT, cost->memory_kib);
    memcpy(at + SALT_AT, random, SALT_SIZE);
    rbt_store_u64le(at + CREATED_AT, created_seconds);
    memcpy(at + NONCE_AT, random + SALT_SIZE, NONCE_RANDOM_SIZE);
    compute_check(at + CHECK_AT, at);

    code = derive_key(key, at, passphrase, passphrase_length, who, error);
    if (code != SQLITE_OK) goto cleanup;
    derive_message_key(derived, key, at);
    memcpy(at + COMMITMENT_AT, derived + MESSAGE_KEY_SIZE, COMMITMENT_SIZE);
    at[SEALED_AT] = RBT_VALUE_TEXT;
    if (contents_length) memcpy(at + SEALED_AT + 1, contents, contents_length);
    crypto_aead_xchacha20poly1305_ietf_encrypt(at + SEALED_AT, NULL, at + SEALED_AT,
                                               1 + contents_length, NULL, 0, NULL, at + NONCE_AT,
                                               derived);
    rbt_base64_encode(text, backup.data, backup.length, false);
    if (text->failed) code = rbt_fail_nomem(error);

cleanup:
    rbt_wipe(key, sizeof key);
    rbt_wipe(derived, sizeof derived);
    rbt_wipe_stack();
    rbt_buffer_free(&backup);
    return code;
}

/* --------------------------------------------------------------------------------------- reading */

static bool is_letter(uint8_t byte) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '+' || byte == '/';
}

/* A place in the text as a person finds it; both count from 1, white space included. */
typedef struct text_place {
    size_t line, column;
} text_place;

static bool refuse_place(char why[RBT_BACKUP_WHY_SIZE], const char *what, text_place place) {
    sqlite3_snprintf(RBT_BACKUP_WHY_SIZE, why, "%s: line %lld, column %lld", what,
                     (long long)place.line, (long long)place.column);
    return false;
}

/* The damage that the check finds. */
static void explain_check(char why[RBT_BACKUP_WHY_SIZE]) {
    sqlite3_snprintf(RBT_BACKUP_WHY_SIZE, why,
                     "is mistyped or damaged within its first %d characters: its check does not "
                     "hold",
                     CHECKED_LETTERS);
}

/* Where a missing letter, or one too many, is: it shifts all that follows, so the check tells. */
static const char *explain_shift(const rbt_buffer *letters) {
    rbt_buffer start = {0};
    const char *where = "";
    if (letters->length >= CHECKED_GROUPS &&
        rbt_base64_decode(&start, (const char *)letters->data, CHECKED_GROUPS, false, false))
        where = check_holds(start.data) ? ", after the first 86" : ", among the first 86";
    rbt_buffer_free(&start);
    return where;
}

/* Collects the text's base64 without white space and decodes it. */
static bool decode(rbt_buffer *bytes, char why[RBT_BACKUP_WHY_SIZE], rbt_buffer *letters,
                   const uint8_t *text, size_t length) {
    text_place place = {1, 0}, last = {1, 1}, padding = {1, 1};
    size_t padding_count = 0;

    if (!rbt_buffer_reserve(letters, length)) return false;
    for (size_t i = 0; i < length; i++) {
        place.column++;
        if (is_space(text[i])) {
            if (text[i] == '\n') place = (text_place){place.line + 1, 0};
            continue;
        }
        if (text[i] == '=') {
            if (padding_count++ == 0) padding = place;
        } else if (!is_letter(text[i])) {
            return refuse_place(why, "has a character that base64 does not have", place);
        } else if (padding_count > 0) {
            return refuse_place(why, "has a = that is not at its end", padding);
        } else {
            last = place;
        }
        letters->data[letters->length++] = text[i];
    }
    if (letters->length % 4 != 0) {
        sqlite3_snprintf(RBT_BACKUP_WHY_SIZE, why,
                         "has %lld characters beside white space, expected a multiple of 4: one is "
                         "missing or one too many%s",
                         (long long)letters->length, explain_shift(letters));
        return false;
    }
    if (padding_count > 2) return refuse_place(why, "has more than two = at its end", padding);
    if (letters->length < MINIMUM_LETTERS) {
        sqlite3_snprintf(RBT_BACKUP_WHY_SIZE, why,
                         "is cut short or something else: it has %lld characters beside white "
                         "space, expected at least %d",
                         (long long)letters->length, MINIMUM_LETTERS);
        return false;
    }
    if (rbt_base64_decode(bytes, (const char *)letters->data, letters->length, false, false))
        return true;
    if (bytes->failed) return false;
    return refuse_place(why, "has a character that cannot stand at its end", last);
}

static bool cost_is_accepted(const rbt_backup_cost *cost) {
    return cost->passes >= RBT_BACKUP_PASSES_MINIMUM && cost->passes <= RBT_BACKUP_PASSES_MAXIMUM &&
           cost->memory_kib >= RBT_BACKUP_MEMORY_KIB_MINIMUM &&
           cost->memory_kib <= RBT_BACKUP_MEMORY_KIB_MAXIMUM;
}

/* Judges the header of a backup that is long enough. */
static bool read_header(rbt_backup_form *form, char why[RBT_BACKUP_WHY_SIZE],
                        const uint8_t *backup) {
    bool is_backup = memcmp(backup, magic, sizeof magic) == 0;

    form->cost.passes = rbt_load_u32le(backup + PASSES_AT);
    form->cost.memory_kib = rbt_load_u32le(backup + MEMORY_AT);
    form->created = rbt_load_u64le(backup + CREATED_AT);
    form->check_holds = check_holds(backup);
    if (is_backup && backup[KDF_AT] == KDF_ARGON2ID && backup[LANES_AT] == LANES &&
        backup[ZERO_AT] == 0 && backup[ZERO_AT + 1] == 0 && cost_is_accepted(&form->cost))
        return true;
    if (form->check_holds)
        sqlite3_snprintf(RBT_BACKUP_WHY_SIZE, why,
                         "was made by a newer version of rustybt: kind %d, kdf %d, lanes %d, %u "
                         "passes, %u KiB; use that version or a later one",
                         backup[sizeof magic - 1], backup[KDF_AT], backup[LANES_AT],
                         form->cost.passes, form->cost.memory_kib);
    else if (!is_backup)
        sqlite3_snprintf(RBT_BACKUP_WHY_SIZE, why,
                         "does not begin with %s, as every key backup does: it is something else, "
                         "or mistyped there",
                         first_letters);
    else
        explain_check(why);
    return false;
}

bool rbt_backup_read(rbt_buffer *bytes, rbt_backup_form *form, char why[RBT_BACKUP_WHY_SIZE],
                     const uint8_t *text, size_t length) {
    rbt_buffer letters = {0};
    size_t before = bytes->length;

    *why = 0;
    *form = (rbt_backup_form){0};
    bool read =
        decode(bytes, why, &letters, text, length) && read_header(form, why, bytes->data + before);
    rbt_buffer_free(&letters);
    return read;
}

/* --------------------------------------------------------------------------------------- opening */

/* How the parts of a backup fit a key. */
typedef struct fit {
    bool commitment, ciphertext;
    bool key; /* enough of the commitment fits that the key is right, whatever was damaged */
} fit;

/* A wrong key agrees with that many of the 32 bytes by chance once in 10^12 times. */
enum { COMMITMENT_AGREES = 8 };

static bool key_fits(const uint8_t derived[COMMITMENT_SIZE], const uint8_t *commitment) {
    int equal = 0;
    for (size_t i = 0; i < COMMITMENT_SIZE; i++)
        equal += derived[i] == commitment[i];
    return equal >= COMMITMENT_AGREES;
}

static int refuse_unlock(const uint8_t *backup, const fit *fits, const char *who,
                         rbt_error *error) {
    static const char right[] = "the passphrase is right, but the backup is mistyped or damaged";
    if (fits->commitment)
        return rbt_fail(error, SQLITE_ERROR, "%s: %s after its first %d characters", who, right,
                        OPEN_LETTERS);
    if (fits->ciphertext)
        return rbt_fail(error, SQLITE_ERROR, "%s: %s in its characters %d to %d", who, right,
                        CHECKED_LETTERS, OPEN_LETTERS);
    if (fits->key)
        return rbt_fail(error, SQLITE_ERROR, "%s: %s both before and after its character %d", who,
                        right, OPEN_LETTERS);
    if (!check_holds(backup)) {
        char why[RBT_BACKUP_WHY_SIZE];
        explain_check(why);
        return rbt_fail(error, SQLITE_ERROR, "%s: the backup %s", who, why);
    }
    return rbt_fail(error, SQLITE_ERROR,
                    "%s: the passphrase is wrong; the backup's check holds, so compare capitals, "
                    "spaces and the keyboard's layout",
                    who);
}

int rbt_backup_unlock(rbt_buffer *contents, const rbt_buffer *bytes,
                      const uint8_t key[RBT_BACKUP_KEY_SIZE], const char *who, rbt_error *error) {
    const uint8_t *backup = bytes->data;
    size_t sealed_length = bytes->length - SEALED_AT, opened_length = sealed_length - TAG_SIZE;
    uint8_t derived[MESSAGE_KEY_SIZE + COMMITMENT_SIZE];

    if (!rbt_buffer_reserve(contents, opened_length)) return rbt_fail_nomem(error);
    uint8_t *out = contents->data + contents->length;
    derive_message_key(derived, key, backup);
    const uint8_t *commitment = derived + MESSAGE_KEY_SIZE;
    fit fits = {.commitment = crypto_verify_32(commitment, backup + COMMITMENT_AT) == 0};
    fits.key = key_fits(commitment, backup + COMMITMENT_AT);
    fits.ciphertext = crypto_aead_xchacha20poly1305_ietf_decrypt(
                          out, NULL, NULL, backup + SEALED_AT, sealed_length, NULL, 0,
                          backup + NONCE_AT, derived) == 0;
    rbt_wipe(derived, sizeof derived);
    rbt_wipe_stack();
    if (!fits.commitment || !fits.ciphertext) {
        rbt_wipe(out, opened_length);
        return refuse_unlock(backup, &fits, who, error);
    }
    if (out[0] != RBT_VALUE_TEXT) {
        int type = out[0];
        rbt_wipe(out, opened_length);
        return rbt_fail(
            error, SQLITE_ERROR,
            "%s: the backup was made by a newer version of rustybt: it holds a value of "
            "type %d, expected %d; use that version or a later one",
            who, type, RBT_VALUE_TEXT);
    }
    memmove(out, out + 1, opened_length - 1);
    contents->length += opened_length - 1;
    return SQLITE_OK;
}

int rbt_backup_open(rbt_buffer *contents, const uint8_t *text, size_t length,
                    const uint8_t *passphrase, size_t passphrase_length, const char *who,
                    rbt_error *error) {
    rbt_buffer bytes = {0};
    rbt_backup_form form;
    char why[RBT_BACKUP_WHY_SIZE];
    uint8_t key[RBT_BACKUP_KEY_SIZE];
    int code;

    if (!rbt_backup_read(&bytes, &form, why, text, length))
        code = *why ? rbt_fail(error, SQLITE_ERROR, "%s: the backup %s", who, why)
                    : rbt_fail_nomem(error);
    else
        code = rbt_backup_key(key, &bytes, passphrase, passphrase_length, who, error);
    if (code == SQLITE_OK) code = rbt_backup_unlock(contents, &bytes, key, who, error);
    rbt_wipe(key, sizeof key);
    rbt_buffer_free(&bytes);
    return code;
}

/* -------------------------------------------------------------------------------------- contents */

static const char ring_name[] = "RUSTYBT_ENCRYPTION_KEY=", signing_name[] = "RUSTYBT_SIGNING_KEY=";

static void add_ring(rbt_buffer *contents, const rbt_keys *keys) {
    size_t count = rbt_keys_count(keys);
    uint8_t master[32];

    if (count == 0) return;
    rbt_buffer_add_text(contents, ring_name);
    for (size_t i = 0; i < count; i++) {
        const rbt_ring_key *key = rbt_keys_at(keys, i);
        memcpy(master, key->fernet_sign, sizeof key->fernet_sign);
        memcpy(master + sizeof key->fernet_sign, key->fernet_encrypt, sizeof key->fernet_encrypt);
        if (i > 0) rbt_buffer_add_byte(contents, ',');
        rbt_base64_encode(contents, master, sizeof master, true);
    }
    rbt_buffer_add_byte(contents, '\n');
    rbt_wipe(master, sizeof master);
}

/* Shared signing keys come back with the ring. libsodium's secret key begins with the seed. */
static void add_signing(rbt_buffer *contents, const rbt_keys *keys) {
    const rbt_signing_key *signing = rbt_keys_signing(keys);
    if (signing == NULL || signing->shared) return;
    rbt_buffer_add_text(contents, signing_name);
    for (size_t i = 0; i < rbt_keys_signing_count(keys); i++) {
        if (i > 0) rbt_buffer_add_byte(contents, ',');
        rbt_base64_encode(contents, rbt_keys_signing_at(keys, i)->secret, crypto_sign_SEEDBYTES,
                          false);
    }
    rbt_buffer_add_byte(contents, '\n');
}

void rbt_backup_add_contents(rbt_buffer *contents, const rbt_keys *keys) {
    add_ring(contents, keys);
    add_signing(contents, keys);
}

/* If line begins with name and value was not seen yet: true, and *value is what follows. */
static bool take_value(const char **value, const char *line, const char *name) {
    size_t length = strlen(name);
    if (*value != NULL || strncmp(line, name, length) != 0) return false;
    *value = line + length;
    return true;
}

rbt_keys *rbt_backup_keys(const rbt_buffer *contents, const char *who, rbt_error *error) {
    rbt_buffer copy = {.secret = true};
    const char *ring = NULL, *signing = NULL;
    rbt_keys *keys = NULL;
    bool known = true;

    rbt_buffer_add(&copy, contents->data, contents->length);
    char *line = rbt_buffer_text(&copy);
    if (line == NULL) {
        rbt_fail_nomem(error);
        goto cleanup;
    }
    const char *stop = line + copy.length;
    while (known && line < stop) {
        char *end = line + strcspn(line, "\n");
        known = *end == '\n'; /* also: no NUL before the end of the line */
        *end = 0;
        known = known &&
                (take_value(&ring, line, ring_name) || take_value(&signing, line, signing_name));
        line = end + 1;
    }
    if (!known || (ring == NULL && signing == NULL))
        rbt_fail(error, SQLITE_ERROR,
                 "%s: the backup was made by a newer version of rustybt: it holds other than keys "
                 "in lines; use that version or a later one",
                 who);
    else
        keys = rbt_keys_parse(ring, signing, who, error);

cleanup:
    rbt_buffer_free(&copy);
    return keys;
}
