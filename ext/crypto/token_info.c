/* SPDX-License-Identifier: MIT
** Description of tokens from outside: see token_info.h. Pure; calls base, backup, envelope and fernet.
** What it says of a token comes from bytes that anyone who holds it can read, so it gives nothing
** away.
*/
#include "token_info.h"

#include "../base/base64.h"
#include "../base/bytes.h"
#include "../base/clock.h"
#include "../base/json.h"
#include "../base/sqlite.h"
#include "backup.h"
#include "envelope.h"
#include "fernet.h"
#include <string.h>

enum { KIND_AT = 3, KEY_ID_AT = 4, KEY_ID_SIZE = 8, CREATED_AT = 12, BACKUP_CREATED_AT = 32 };
enum { ERROR_TEXT_SIZE = 160 };

static void add_unsigned(rbt_buffer *json, const char *name, uint64_t value) {
    rbt_buffer_printf(json, ",\"%s\":", name);
    rbt_buffer_add_u64(json, value);
}

static void add_error(rbt_buffer *json, const char *text) {
    rbt_buffer_add_text(json, ",\"error\":");
    rbt_json_add_string(json, text, strlen(text));
}

/* Both forms of a time; beyond what microseconds hold, the seconds alone. */
static void add_created(rbt_buffer *json, uint64_t seconds) {
    if (seconds <= INT64_MAX / 1000000) {
        char text[RBT_TIME_TEXT_SIZE];
        size_t length = rbt_time_to_text(text, (int64_t)seconds * 1000000);
        rbt_buffer_add_text(json, ",\"created\":");
        rbt_json_add_string(json, text, length);
    }
    add_unsigned(json, "created_seconds", seconds);
}

static void add_envelope(rbt_buffer *json, const uint8_t *token, size_t length) {
    uint8_t kind = token[KIND_AT];
    rbt_buffer_add_text(json, "\"envelope\"");
    add_unsigned(json, "kind", kind);
    if (kind == RBT_ENVELOPE_KIND_BACKUP) {
        add_created(json, rbt_load_u64le(token + BACKUP_CREATED_AT));
        add_unsigned(json, "size", length);
        return;
    }
    rbt_buffer_add_text(json, ",\"key_id\":\"");
    rbt_buffer_add_hex(json, token + KEY_ID_AT, KEY_ID_SIZE);
    rbt_buffer_add_byte(json, '"');
    add_created(json, rbt_load_u64le(token + CREATED_AT));
    add_unsigned(json, "size", length);
    add_unsigned(json, "value_size", length - RBT_ENVELOPE_OVERHEAD);
}

static bool is_space(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool is_base64_letter(uint8_t byte) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

/* What hides a token in str(token) of Python: b'…' or b"…". */
static bool has_bytes_prefix(const uint8_t *token, size_t length) {
    return length >= 2 && token[0] == 'b' && (token[1] == '\'' || token[1] == '"');
}

/* True when text begins as a Fernet token does, after what people put in front of one: version 0x80
** makes the first letter g, and the top of the time field makes A of the next ones. */
static bool resembles_fernet(const uint8_t *token, size_t length) {
    while (length > 0 && (is_space(*token) || *token == '\'' || *token == '"'))
        token++, length--;
    if (has_bytes_prefix(token, length)) token += 2, length -= 2;
    return length >= 4 && memcmp(token, "gAAA", 4) == 0;
}

/* The first letter that has no place in a token, in words; false when there is none. */
static bool explain_letters(char why[ERROR_TEXT_SIZE], const uint8_t *token, size_t length) {
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = token[i];
        if (is_base64_letter(byte) || byte == '=') continue;
        if (is_space(byte))
            sqlite3_snprintf(ERROR_TEXT_SIZE, why,
                             "white space at byte %lld: trim() the token, and remove line breaks",
                             (long long)i);
        else if (byte == '+' || byte == '/')
            sqlite3_snprintf(ERROR_TEXT_SIZE, why,
                             "%c at byte %lld: this is the standard base64 alphabet; Fernet has - "
                             "for + and _ for /",
                             byte, (long long)i);
        else if (byte == '\'' || byte == '"')
            sqlite3_snprintf(ERROR_TEXT_SIZE, why, "quote at byte %lld: remove the quotes",
                             (long long)i);
        else
            sqlite3_snprintf(ERROR_TEXT_SIZE, why, "byte %lld is 0x%02x, which is not base64",
                             (long long)i, byte);
        return true;
    }
    return false;
}

/* Padding and length of base64 whose letters are all right. */
static bool explain_padding(char why[ERROR_TEXT_SIZE], const uint8_t *token, size_t length) {
    size_t letters = 0;
    while (letters < length && token[letters] != '=')
        letters++;
    size_t padding = length - letters, due = (4 - letters % 4) % 4;
    for (size_t i = letters; i < length; i++) {
        if (token[i] != '=') {
            sqlite3_snprintf(ERROR_TEXT_SIZE, why, "padding (=) in the middle, at byte %lld",
                             (long long)letters);
            return true;
        }
    }
    if (letters % 4 == 1) {
        sqlite3_snprintf(ERROR_TEXT_SIZE, why,
                         "cut short: %lld base64 letters do not make whole bytes",
                         (long long)letters);
        return true;
    }
    if (padding != 0 && padding != due) {
        sqlite3_snprintf(ERROR_TEXT_SIZE, why, "padding of %lld =, expected %lld (or none at all)",
                         (long long)padding, (long long)due);
        return true;
    }
    return false;
}

/* A key backup, which is the text of an envelope of kind 4. */
static void add_backup(rbt_buffer *json, const uint8_t *token, size_t length) {
    rbt_buffer bytes = {0};
    rbt_backup_form form;
    char why[RBT_BACKUP_WHY_SIZE];

    bool read = rbt_backup_read(&bytes, &form, why, token, length);
    rbt_buffer_add_text(json, "\"envelope\"");
    add_unsigned(json, "kind", RBT_ENVELOPE_KIND_BACKUP);
    if (read) {
        add_created(json, form.created);
        add_unsigned(json, "passes", form.cost.passes);
        add_unsigned(json, "memory_kib", form.cost.memory_kib);
        rbt_buffer_add_text(json, form.check_holds ? ",\"check\":true" : ",\"check\":false");
    }
    add_unsigned(json, "size", length);
    if (*why)
        add_error(json, why);
    else if (!read)
        json->failed = true;
    rbt_buffer_free(&bytes);
}

/* Why a token that looks like Fernet is none. */
static void explain_fernet(char why[ERROR_TEXT_SIZE], const uint8_t *token, size_t length,
                           const rbt_buffer *raw) {
    if (has_bytes_prefix(token, length)) {
        sqlite3_snprintf(ERROR_TEXT_SIZE, why,
                         "b'…' around it: Python's str(token) was stored where token or "
                         "token.decode() was meant; remove the b and the quotes");
        return;
    }
    if (explain_letters(why, token, length)) return;
    if (explain_padding(why, token, length)) return;
    if (raw->length == 0) {
        sqlite3_snprintf(ERROR_TEXT_SIZE, why,
                         "the last base64 letter has bits set that no encoder sets");
    } else if (raw->length < RBT_FERNET_MINIMUM) {
        sqlite3_snprintf(ERROR_TEXT_SIZE, why,
                         "cut short: %lld bytes once decoded, at least %d "
                         "expected",
                         (long long)raw->length, RBT_FERNET_MINIMUM);
    } else if (raw->data[0] != RBT_FERNET_VERSION) {
        sqlite3_snprintf(ERROR_TEXT_SIZE, why, "version 0x%02x, expected 0x%02x", raw->data[0],
                         RBT_FERNET_VERSION);
    } else {
        sqlite3_snprintf(ERROR_TEXT_SIZE, why,
                         "cut short or run on: %lld bytes once decoded, expected %d and a multiple "
                         "of %d",
                         (long long)raw->length, RBT_FERNET_OVERHEAD, RBT_FERNET_BLOCK);
    }
}

void rbt_token_info(rbt_buffer *json, const uint8_t *token, size_t length) {
    rbt_buffer raw = {0};
    char why[ERROR_TEXT_SIZE];

    rbt_buffer_add_text(json, "{\"format\":");
    if (rbt_envelope_recognised(token, length)) {
        add_envelope(json, token, length);
    } else if (rbt_fernet_decode(&raw, token, length)) {
        rbt_buffer_add_text(json, "\"fernet\"");
        add_unsigned(json, "version", RBT_FERNET_VERSION);
        add_created(json, rbt_fernet_time(raw.data));
        add_unsigned(json, "size", length);
        add_unsigned(json, "value_size_max", raw.length - RBT_FERNET_OVERHEAD - 1);
    } else if (raw.failed) {
        json->failed = true;
    } else if (resembles_fernet(token, length)) {
        rbt_buffer_add_text(json, "\"fernet\"");
        add_unsigned(json, "size", length);
        explain_fernet(why, token, length, &raw);
        add_error(json, why);
    } else if (rbt_backup_resembles(token, length)) {
        add_backup(json, token, length);
    } else if (length >= 3 && memcmp(token, "RBT", 3) == 0) {
        rbt_buffer_add_text(json, "\"envelope\"");
        add_unsigned(json, "size", length);
        if (length < RBT_ENVELOPE_OVERHEAD)
            sqlite3_snprintf(ERROR_TEXT_SIZE, why, "cut short: at least %d bytes expected",
                             RBT_ENVELOPE_OVERHEAD);
        else
            sqlite3_snprintf(ERROR_TEXT_SIZE, why, "kind %d, expected 1 to 4", token[KIND_AT]);
        add_error(json, why);
    } else {
        rbt_buffer_add_text(json, "\"unknown\"");
        add_unsigned(json, "size", length);
        if (length >= RBT_FERNET_MINIMUM && token[0] == RBT_FERNET_VERSION)
            add_error(json, "the bytes of a Fernet token before base64: encode them (urlsafe)");
        else
            add_error(json, "neither an envelope (BLOB beginning with RBT) nor a Fernet token "
                            "(urlsafe base64 beginning with gAAA)");
    }
    rbt_buffer_add_byte(json, '}');
    rbt_buffer_free(&raw);
}
