/* SPDX-License-Identifier: MIT
** Signed notes (c2sp.org/signed-note): signing, splitting, verifying; the half of sign.h that deals
** with notes. Calls libsodium's Ed25519 (which refuses non-canonical and small-order points) and base.
** Agrees with golang.org/x/mod/sumdb/note Open on what is a note and what is signed.
*/
#include "sign.h"

#include "../base/base64.h"
#include "../base/memory.h"
#include "../base/utf8.h"
#include "note_name.h"
#include "stack.h"
#include <sodium.h>
#include <string.h>

/* Signature lines: as many as Go's package reads. */
enum { KEY_ID_SIZE = 4, SIGNATURE_SIZE = crypto_sign_BYTES, MAX_NOTE = 1 << 20, MAX_LINES = 100 };

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

/* Whom a signature is looked for from. */
typedef struct signers {
    const rbt_verifier *verifiers;
    size_t count;
    uint64_t size;   /* leaves that the note speaks of */
    uint64_t *limit; /* OUT: the highest max_size of verifiers that signed a note beyond it */
} signers;

/* The lowest verifier that this line's signature is valid for and counts by; RBT_NOTE_SUPERSEDED when
** it is valid and does not count; -1 when no verifier has this name and key id (or the line is not
** Ed25519's), -2 when one has and the signature is not valid. */
static int check_line(const signature_line *line, const rbt_buffer *signature, const char *text,
                      size_t text_length, const signers *by) {
    int result = -1;
    for (size_t i = 0; i < by->count; i++) {
        const rbt_verifier *verifier = &by->verifiers[i];
        if (strlen(verifier->name) != line->name_length ||
            memcmp(verifier->name, line->name, line->name_length) != 0 ||
            memcmp(verifier->key_id, signature->data, KEY_ID_SIZE) != 0)
            continue;
        bool valid =
            signature->length == KEY_ID_SIZE + SIGNATURE_SIZE &&
            crypto_sign_verify_detached(signature->data + KEY_ID_SIZE, (const uint8_t *)text,
                                        text_length, verifier->public_key) == 0;
        if (valid && by->size <= verifier->max_size) return (int)i;
        if (valid) {
            result = RBT_NOTE_SUPERSEDED;
            if (verifier->max_size > *by->limit) *by->limit = verifier->max_size;
        } else if (result == -1) {
            result = -2;
        }
    }
    return result;
}

int rbt_note_verify_at(const char *note, size_t length, uint64_t size,
                       const rbt_verifier *verifiers, size_t count, uint64_t *limit) {
    const signers by = {verifiers, count, size, limit};
    const char *why;
    size_t text_length;
    rbt_buffer signature = {0};
    int found = -1;

    *limit = 0;
    if (!rbt_note_split(note, length, &text_length, &why))
        return why == rbt_note_no_memory ? -3 : -1;
    const char *at = note + text_length + 1, *end = note + length;
    while (at < end) {
        signature_line line;
        int index = -1;
        /* The form was checked above, so only memory can be lacking: then nothing is verified. */
        if (next_line(&line, &at, end) && decode_line(&signature, &line))
            index = check_line(&line, &signature, note, text_length, &by);
        if (index == -2 || signature.failed) {
            found = signature.failed ? -3 : -2;
            break;
        }
        bool counts = index >= 0 && (found < 0 || index < found);
        if (counts || (index == RBT_NOTE_SUPERSEDED && found == -1)) found = index;
    }
    rbt_buffer_free(&signature);
    return found;
}

int rbt_note_verify(const char *note, size_t length, const rbt_verifier *verifiers, size_t count) {
    uint64_t limit;
    return rbt_note_verify_at(note, length, 0, verifiers, count, &limit);
}
