/* SPDX-License-Identifier: MIT
** Public keys in C2SP form (c2sp.org/signed-note) and as PEM (RFC 8410): the half of sign.h that deals
** with keys. Calls base, hash.h. Nothing here is secret.
*/
#include "sign.h"

#include "../base/base64.h"
#include "../base/bytes.h"
#include "../base/memory.h"
#include "../base/utf8.h"
#include "hash.h"
#include "note_name.h"
#include <string.h>

enum { ALGORITHM_ED25519 = 1, PUBLIC_KEY_SIZE = 32, KEY_ID_SIZE = 4 };

/* The white space and control characters of Unicode, of which no key name may have any. Go's note
** package uses unicode.IsSpace; the controls besides are C0, DEL and C1. */
static bool is_space_or_control(uint32_t character) {
    return character <= 0x20 || (character >= 0x7f && character <= 0xa0) || character == 0x1680 ||
           (character >= 0x2000 && character <= 0x200a) || character == 0x2028 ||
           character == 0x2029 || character == 0x202f || character == 0x205f || character == 0x3000;
}

/* The character that begins at text, which is valid UTF-8; *size gets its length in bytes. */
static uint32_t character_at(const uint8_t *text, size_t *size) {
    uint8_t lead = text[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t character = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t i = 1; i < length; i++)
        character = character << 6 | (text[i] & 0x3fu);
    *size = length;
    return character;
}

bool rbt_note_name_span_valid(const char *name, size_t length) {
    const uint8_t *bytes = (const uint8_t *)name;
    if (length == 0 || !rbt_utf8_valid(bytes, length)) return false;
    for (size_t i = 0, size; i < length; i += size) {
        uint32_t character = character_at(bytes + i, &size);
        if (character == '+' || is_space_or_control(character)) return false;
    }
    return true;
}

bool rbt_note_name_valid(const char *name) {
    size_t length = strlen(name);
    return length < sizeof((rbt_verifier *)NULL)->name && rbt_note_name_span_valid(name, length);
}

bool rbt_verifier_make(rbt_verifier *verifier, const char *name, const uint8_t public_key[32]) {
    static const uint8_t separator[2] = {'\n', ALGORITHM_ED25519};
    rbt_sha256 hash;
    uint8_t digest[32];
    size_t length = strlen(name);

    if (!rbt_note_name_valid(name)) return false;
    memset(verifier, 0, sizeof *verifier);
    memcpy(verifier->name, name, length);
    memcpy(verifier->public_key, public_key, PUBLIC_KEY_SIZE);
    rbt_sha256_init(&hash);
    rbt_sha256_update(&hash, name, length);
    rbt_sha256_update(&hash, separator, sizeof separator);
    rbt_sha256_update(&hash, public_key, PUBLIC_KEY_SIZE);
    rbt_sha256_final(&hash, digest);
    memcpy(verifier->key_id, digest, KEY_ID_SIZE);
    verifier->max_size = UINT64_MAX;
    return true;
}

bool rbt_verifier_parse(rbt_verifier *verifier, const char *text, size_t length) {
    char name[sizeof verifier->name];
    uint8_t key_id[KEY_ID_SIZE];
    rbt_buffer key = {0};
    bool valid = false;

    const char *end = text + length;
    const char *plus = memchr(text, '+', length);
    if (plus == NULL || (size_t)(plus - text) >= sizeof name) return false;
    size_t name_length = (size_t)(plus - text);
    if (memchr(text, 0, name_length) != NULL) return false;
    memcpy(name, text, name_length);
    name[name_length] = 0;

    const char *id = plus + 1;
    if (end - id < 2 * KEY_ID_SIZE + 1 || id[2 * KEY_ID_SIZE] != '+') return false;
    if (!rbt_hex_decode(key_id, sizeof key_id, id, 2 * KEY_ID_SIZE)) return false;
    const char *encoded = id + 2 * KEY_ID_SIZE + 1;
    if (rbt_base64_decode(&key, encoded, (size_t)(end - encoded), false, false) &&
        key.length == 1 + PUBLIC_KEY_SIZE && key.data[0] == ALGORITHM_ED25519)
        valid = rbt_verifier_make(verifier, name, key.data + 1) &&
                memcmp(verifier->key_id, key_id, sizeof key_id) == 0;
    rbt_buffer_free(&key);
    return valid;
}

void rbt_verifier_format(rbt_buffer *out, const rbt_verifier *verifier) {
    uint8_t key[1 + PUBLIC_KEY_SIZE] = {ALGORITHM_ED25519};
    memcpy(key + 1, verifier->public_key, PUBLIC_KEY_SIZE);
    rbt_buffer_add_text(out, verifier->name);
    rbt_buffer_add_byte(out, '+');
    rbt_buffer_add_hex(out, verifier->key_id, sizeof verifier->key_id);
    rbt_buffer_add_byte(out, '+');
    rbt_base64_encode(out, key, sizeof key, false);
}

void rbt_verifier_pem(rbt_buffer *out, const uint8_t public_key[32]) {
    /* SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes } */
    static const uint8_t prefix[12] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                       0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    uint8_t der[sizeof prefix + PUBLIC_KEY_SIZE];
    memcpy(der, prefix, sizeof prefix);
    memcpy(der + sizeof prefix, public_key, PUBLIC_KEY_SIZE);
    rbt_buffer_add_text(out, "-----BEGIN PUBLIC KEY-----\n");
    rbt_base64_encode(out, der, sizeof der, false); /* 60 letters: one line */
    rbt_buffer_add_text(out, "\n-----END PUBLIC KEY-----\n");
}

int rbt_verifiers_parse(const char *text, const char *who, rbt_verifier **verifiers, size_t *count,
                        rbt_error *error) {
    static const char separators[] = ", \t\r\n";
    rbt_verifier *list = NULL;
    size_t used = 0;

    *verifiers = NULL;
    *count = 0;
    for (const char *at = text + strspn(text, separators); *at; at += strspn(at, separators)) {
        size_t length = strcspn(at, separators);
        rbt_verifier *grown = rbt_realloc(list, (used + 1) * sizeof *list);
        if (grown == NULL) {
            rbt_free(list);
            return rbt_fail_nomem(error);
        }
        list = grown;
        if (!rbt_verifier_parse(&list[used], at, length)) {
            rbt_free(list);
            return rbt_fail(error, SQLITE_ERROR,
                            "%s: public key %lld is malformed; expected <name>+<8 hex digits>+"
                            "<base64>, as audit_public_key(log, 'vkey') gives it",
                            who, (long long)used + 1);
        }
        used++;
        at += length;
    }
    if (used == 0)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: the list of public keys is empty; expected <name>+<8 hex digits>+"
                        "<base64>, …",
                        who);
    *verifiers = list;
    *count = used;
    return SQLITE_OK;
}
