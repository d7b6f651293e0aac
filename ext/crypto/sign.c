/* SPDX-License-Identifier: MIT
** Signed notes (c2sp.org/signed-note): signing, splitting, verifying; the half of sign.h that deals
** with notes. Calls libsodium's Ed25519 (which refuses non-canonical and small-order points) and base.
** Agrees with golang.org/x/mod/sumdb/note Open on what is a note and what is signed.
*/
#include "sign.h"

#include "../base/base64.h"
#include "../base/bytes.h"
#include "../base/memory.h"
#include "../base/utf8.h"
#include "note_name.h"
#include "stack.h"
#include <sodium.h>
#include <string.h>

/* Signature lines: as many as Go's package reads. */
enum {
    KEY_ID_SIZE = 4,
    SIGNATURE_SIZE = crypto_sign_BYTES,
    TIME_SIZE = 8,
    MAX_NOTE = 1 << 20,
    MAX_LINES = 100
};

static const char line_prefix[] = "\xe2\x80\x94 "; /* em dash, space */
enum { PREFIX_LENGTH = sizeof line_prefix - 1 };

/* UTF-8 without control characters below U+0020 except newline. */
static bool is_note_text(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if ((uint8_t)text[i] < 0x20 && text[i] != '\n') return false;
    }
    return rbt_utf8_valid((const uint8_t *)text, length);
}

int rbt_note_sign(rbt_buffer *out, const char *text, size_t length, const rbt_verifier *signer,
                  const uint8_t secret[64], rbt_error *error) {
    uint8_t signature[KEY_ID_SIZE + SIGNATURE_SIZE];

    if (length == 0 || text[length - 1] != '\n' || !is_note_text(text, length))
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: only UTF-8 text without control characters that ends in a newline can "
                        "be signed",
                        signer->name);
    memcpy(signature, signer->key_id, KEY_ID_SIZE);
    int code =
        crypto_sign_detached(signature + KEY_ID_SIZE, NULL, (const uint8_t *)text, length, secret);
    rbt_wipe_stack();
    if (code != 0) return rbt_fail(error, SQLITE_ERROR, "%s: cannot sign", signer->name);
    rbt_buffer_add(out, text, length);
    rbt_buffer_add_byte(out, '\n');
    rbt_buffer_add(out, line_prefix, PREFIX_LENGTH);
    rbt_buffer_add_text(out, signer->name);
    rbt_buffer_add_byte(out, ' ');
    rbt_base64_encode(out, signature, sizeof signature, false);
    rbt_buffer_add_byte(out, '\n');
    return out->failed ? rbt_fail_nomem(error) : SQLITE_OK;
}

/* One signature line, borrowed from the note. */
typedef struct signature_line {
    const char *name;
    size_t name_length;
    const char *encoded; /* base64 of key id || signature */
    size_t encoded_length;
} signature_line;

/* Takes the next line off [*at, end); false when it has not the form of a signature line. */
static bool next_line(signature_line *line, const char **at, const char *end) {
    const char *start = *at;
    const char *newline = memchr(start, '\n', (size_t)(end - start));
    if (newline == NULL || newline - start < PREFIX_LENGTH ||
        memcmp(start, line_prefix, PREFIX_LENGTH) != 0)
        return false;
    line->name = start + PREFIX_LENGTH;
    const char *space = memchr(line->name, ' ', (size_t)(newline - line->name));
    if (space == NULL) return false;
    line->name_length = (size_t)(space - line->name);
    line->encoded = space + 1;
    line->encoded_length = (size_t)(newline - line->encoded);
    *at = newline + 1;
    return rbt_note_name_span_valid(line->name, line->name_length);
}

/* Decodes a line's bytes into signature (cleared first); false when they are malformed, which, as in
** Go, includes having nothing after the key id. */
static bool decode_line(rbt_buffer *signature, const signature_line *line) {
    rbt_buffer_clear(signature);
    return rbt_base64_decode(signature, line->encoded, line->encoded_length, false, false) &&
           signature->length > KEY_ID_SIZE;
}

/* Where the signatures begin: after the last empty line. NULL and *why when the note has none. */
static const char *find_signatures(const char *note, size_t length, const char **why) {
    if (length > MAX_NOTE) {
        *why = "it is longer than 1 MiB";
        return NULL;
    }
    if (!is_note_text(note, length)) {
        *why = "it is not UTF-8 without control characters";
        return NULL;
    }
    for (size_t i = length; i >= 2; i--) {
        if (note[i - 1] == '\n' && note[i - 2] == '\n') {
            if (i == length) {
                *why = "it has no signature line";
                return NULL;
            }
            if (note[length - 1] != '\n') {
                *why = "its last line has no newline";
                return NULL;
            }
            return note + i;
        }
    }
    *why = "it has no empty line between text and signatures";
    return NULL;
}

const char rbt_note_no_memory[] = "memory ran out";

bool rbt_note_split(const char *note, size_t length, size_t *text_length, const char **why) {
    const char *at = find_signatures(note, length, why), *end = note + length;
    rbt_buffer signature = {0};
    bool valid = at != NULL;

    if (!valid) return false;
    *text_length = (size_t)(at - note) - 1;
    for (int lines = 0; valid && at < end; lines++) {
        signature_line line;
        valid = next_line(&line, &at, end) && decode_line(&signature, &line);
        if (!valid) *why = signature.failed ? rbt_note_no_memory : "a signature line is malformed";
        if (valid && lines >= MAX_LINES) {
            *why = "it has more than 100 signature lines";
            valid = false;
        }
    }
    rbt_buffer_free(&signature);
    return valid;
}

/* A witness signs "cosignature/v1\ntime <seconds>\n" and the checkpoint's text; its bytes are the time,
** 8 big-endian, and Ed25519's 64 (c2sp.org/tlog-cosignature). False when memory ran out, too: then
** message->failed is set. */
static bool cosignature_valid(const uint8_t *bytes, const char *text, size_t text_length,
                              const rbt_verifier *verifier, rbt_buffer *message) {
    uint64_t time = rbt_load_u64be(bytes);
    if (time > INT64_MAX) return false;
    rbt_buffer_clear(message);
    rbt_buffer_add_text(message, "cosignature/v1\ntime ");
    rbt_buffer_add_u64(message, time);
    rbt_buffer_add_byte(message, '\n');
    rbt_buffer_add(message, text, text_length);
    return !message->failed &&
           crypto_sign_verify_detached(bytes + TIME_SIZE, message->data, message->length,
                                       verifier->public_key) == 0;
}

typedef enum line_verdict { NOT_ITS_LINE, LINE_VALID, LINE_WRONG, LINE_NO_MEMORY } line_verdict;

/* What a line, decoded into signature, says by one verifier. */
static line_verdict check_line(const signature_line *line, const rbt_buffer *signature,
                               const char *text, size_t text_length, const rbt_verifier *verifier) {
    if (strlen(verifier->name) != line->name_length ||
        memcmp(verifier->name, line->name, line->name_length) != 0 ||
        memcmp(verifier->key_id, signature->data, KEY_ID_SIZE) != 0)
        return NOT_ITS_LINE;
    const uint8_t *bytes = signature->data + KEY_ID_SIZE;
    size_t size = signature->length - KEY_ID_SIZE;
    if (verifier->type == RBT_SIGNATURE_COSIGNATURE) {
        rbt_buffer message = {0};
        bool valid = size == TIME_SIZE + SIGNATURE_SIZE &&
                     cosignature_valid(bytes, text, text_length, verifier, &message);
        bool failed = message.failed;
        rbt_buffer_free(&message);
        if (failed) return LINE_NO_MEMORY;
        return valid ? LINE_VALID : LINE_WRONG;
    }
    return size == SIGNATURE_SIZE &&
                   crypto_sign_verify_detached(bytes, (const uint8_t *)text, text_length,
                                               verifier->public_key) == 0
               ? LINE_VALID
               : LINE_WRONG;
}

int rbt_note_verify_at(const char *note, size_t length, uint64_t size,
                       const rbt_verifier *verifiers, size_t count, uint64_t *limit) {
    const char *why;
    size_t text_length;
    rbt_buffer signature = {0};
    int found = -1;

    *limit = 0;
    if (!rbt_note_split(note, length, &text_length, &why))
        return why == rbt_note_no_memory ? -3 : -1;
    const char *at = note + text_length + 1, *end = note + length;
    while (at < end && found != -2 && found != -3) {
        signature_line line;
        bool wrong = false, valid = false, counts = false;
        /* The form was checked above, so only memory can be lacking: then nothing is verified. */
        bool decoded = next_line(&line, &at, end) && decode_line(&signature, &line);
        for (size_t i = 0; decoded && !counts && i < count; i++) {
            if (verifiers[i].type != RBT_SIGNATURE_ED25519) continue;
            line_verdict verdict = check_line(&line, &signature, note, text_length, &verifiers[i]);
            wrong |= verdict == LINE_WRONG;
            if (verdict != LINE_VALID) continue;
            valid = true;
            counts = size <= verifiers[i].max_size;
            if (counts && (found < 0 || (int)i < found)) found = (int)i;
            if (!counts && verifiers[i].max_size > *limit) *limit = verifiers[i].max_size;
            if (!counts && found == -1) found = RBT_NOTE_SUPERSEDED;
        }
        if (!decoded) found = -3;
        if (wrong && !valid) found = -2;
    }
    rbt_buffer_free(&signature);
    return found;
}

int rbt_note_verify(const char *note, size_t length, const rbt_verifier *verifiers, size_t count) {
    uint64_t limit;
    return rbt_note_verify_at(note, length, 0, verifiers, count, &limit);
}

int rbt_note_check(const char *note, size_t length, const rbt_verifier *verifiers, size_t count,
                   rbt_note_signature *signatures) {
    const char *why;
    size_t text_length;
    rbt_buffer signature = {0};
    int result = 0;

    memset(signatures, 0, count * sizeof *signatures);
    if (!rbt_note_split(note, length, &text_length, &why))
        return why == rbt_note_no_memory ? -3 : -1;
    const char *at = note + text_length + 1, *end = note + length;
    while (at < end && result == 0) {
        signature_line line;
        bool wrong = false, valid = false;
        const char *start = at;
        if (!next_line(&line, &at, end) || !decode_line(&signature, &line)) {
            result = -3; /* the form was checked above */
            break;
        }
        for (size_t i = 0; i < count && result == 0; i++) {
            rbt_note_signature *own = &signatures[i];
            line_verdict verdict = check_line(&line, &signature, note, text_length, &verifiers[i]);
            if (verdict == NOT_ITS_LINE) continue;
            if (verdict == LINE_NO_MEMORY) result = -3;
            wrong |= verdict == LINE_WRONG;
            valid |= verdict == LINE_VALID;
            if (verdict != LINE_VALID && own->line) continue;
            own->valid = verdict == LINE_VALID;
            own->line = start;
            own->line_length = (size_t)(at - start);
            if (own->valid && verifiers[i].type == RBT_SIGNATURE_COSIGNATURE)
                own->time = rbt_load_u64be(signature.data + KEY_ID_SIZE);
        }
        if (wrong && !valid && result == 0) result = -2;
    }
    rbt_buffer_free(&signature);
    return result;
}
