/* SPDX-License-Identifier: MIT
** See succession.h. Calls base and crypto's notes.
*/
#include "succession.h"

#include "../base/base64.h"
#include "../base/json.h"
#include "../base/memory.h"
#include <string.h>

enum { ALGORITHM_ED25519 = 1, VKEY_BYTES = 33, VKEY_BASE64 = 44, ROOT_BASE64 = 44 };

static const char header[] = "rustybt-vkey-v1";

/* ---- One note ---- */

void rbt_succession_format(rbt_buffer *out, const rbt_succession *succession) {
    rbt_buffer_add_text(out, header);
    rbt_buffer_add_text(out, "\norigin ");
    rbt_buffer_add_text(out, succession->next.name);
    rbt_buffer_add_text(out, "\nsize ");
    rbt_buffer_add_u64(out, succession->size);
    rbt_buffer_add_text(out, "\nroot ");
    rbt_base64_encode(out, succession->root.bytes, sizeof succession->root.bytes, false);
    rbt_buffer_add_text(out, "\nnext ");
    rbt_verifier_format(out, &succession->next);
    rbt_buffer_add_text(out, "\nprevious ");
    rbt_verifier_format(out, &succession->previous);
    rbt_buffer_add_byte(out, '\n');
}

/* A line's value. */
typedef struct field {
    const char *text;
    size_t length;
} field;

/* Takes "<name> <value>\n" off [*at, end). */
static bool take_field(field *value, const char **at, const char *end, const char *name) {
    size_t length = strlen(name);
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    if (!newline || (size_t)(newline - *at) <= length || memcmp(*at, name, length) != 0 ||
        (*at)[length] != ' ')
        return false;
    value->text = *at + length + 1;
    value->length = (size_t)(newline - value->text);
    *at = newline + 1;
    return true;
}

/* Digits and no overflow; that there are no needless zeros shows when the text is written again. */
static bool read_size(uint64_t *size, const field *digits) {
    uint64_t value = 0;
    for (size_t i = 0; i < digits->length; i++) {
        char digit = digits->text[i];
        if (digit < '0' || digit > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(digit - '0'), &value))
            return false;
    }
    *size = value;
    return value >= 1 && value <= INT64_MAX;
}

/* Decodes base64 of exactly `size` bytes. False when it is not, or (*failed) when memory ran out. */
static bool read_bytes(uint8_t *out, size_t size, const char *text, size_t length, bool *failed) {
    rbt_buffer bytes = {0};
    bool valid = rbt_base64_decode(&bytes, text, length, false, false) && bytes.length == size;
    if (valid) memcpy(out, bytes.data, size);
    *failed = *failed || bytes.failed;
    rbt_buffer_free(&bytes);
    return valid;
}

/* The key of a vkey that should be of this origin. Whether name and key id are right shows when the text
** is written again. */
static bool read_vkey(rbt_verifier *verifier, const field *vkey, const char *origin, bool *failed) {
    uint8_t key[VKEY_BYTES];
    return vkey->length > VKEY_BASE64 &&
           read_bytes(key, sizeof key, vkey->text + vkey->length - VKEY_BASE64, VKEY_BASE64,
                      failed) &&
           key[0] == ALGORITHM_ED25519 && rbt_verifier_make(verifier, origin, key + 1);
}

static bool is_written_so(const rbt_succession *succession, const char *text, size_t length,
                          bool *failed) {
    rbt_buffer again = {0};
    rbt_succession_format(&again, succession);
    bool same = !again.failed && again.length == length && memcmp(again.data, text, length) == 0;
    *failed = *failed || again.failed;
    rbt_buffer_free(&again);
    return same;
}

const char *rbt_succession_parse(rbt_succession *succession, const char *text, size_t length,
                                 const char *origin) {
    const char *at = text, *end = text + length;
    field of, size, root, next, previous;
    bool failed = false;
    size_t head = sizeof header - 1;

    if (length <= head || memcmp(text, header, head) != 0 || text[head] != '\n')
        return "it does not begin with rustybt-vkey-v1";
    at += head + 1;
    if (!take_field(&of, &at, end, "origin") || !take_field(&size, &at, end, "size") ||
        !take_field(&root, &at, end, "root") || !take_field(&next, &at, end, "next") ||
        !take_field(&previous, &at, end, "previous") || at != end)
        return "it has not the lines origin, size, root, next, previous";
    if (of.length != strlen(origin) || memcmp(of.text, origin, of.length) != 0)
        return "it is of another origin";
    if (!read_size(&succession->size, &size)) return "its size is none";
    if (!read_bytes(succession->root.bytes, sizeof succession->root.bytes, root.text, root.length,
                    &failed))
        return failed ? rbt_note_no_memory : "its root is not base64 of 32 bytes";
    if (!read_vkey(&succession->next, &next, origin, &failed) ||
        !read_vkey(&succession->previous, &previous, origin, &failed))
        return failed ? rbt_note_no_memory : "a key in it is malformed";
    if (!is_written_so(succession, text, length, &failed))
        return failed ? rbt_note_no_memory : "a key or the size in it is malformed";
    if (memcmp(succession->next.public_key, succession->previous.public_key,
               sizeof succession->next.public_key) == 0)
        return "a key is to succeed itself";
    return NULL;
}

int rbt_succession_sign(rbt_buffer *out, const rbt_succession *succession,
                        const uint8_t previous_secret[64], const uint8_t next_secret[64],
                        rbt_error *error) {
    rbt_buffer text = {0}, second = {0};
    rbt_succession_format(&text, succession);
    if (text.failed)
        rbt_fail_nomem(error);
    else if (rbt_note_sign(out, (const char *)text.data, text.length, &succession->previous,
                           previous_secret, error) == SQLITE_OK &&
             rbt_note_sign(&second, (const char *)text.data, text.length, &succession->next,
                           next_secret, error) == SQLITE_OK)
        rbt_buffer_add(out, second.data + text.length + 1, second.length - text.length - 1);
    if (out->failed) rbt_fail_nomem(error);
    rbt_buffer_free(&text);
    rbt_buffer_free(&second);
    return error->code;
}

/* Whether the text with this one signature line is a note by the verifier: NULL, or what is wrong. */
static const char *check_line(const char *text, size_t text_length, const field *line,
                              const rbt_verifier *verifier, const char *otherwise) {
    rbt_buffer note = {0};
    rbt_buffer_add(&note, text, text_length);
    rbt_buffer_add_byte(&note, '\n');
    rbt_buffer_add(&note, line->text, line->length);
    int signer =
        note.failed ? -3 : rbt_note_verify((const char *)note.data, note.length, verifier, 1);
    rbt_buffer_free(&note);
    if (signer == -3) return rbt_note_no_memory;
    return signer == 0 ? NULL : otherwise;
}

/* The signatures of a note whose text was read. */
static const char *check_signatures(const rbt_succession *succession, const char *note,
                                    size_t length, size_t text_length) {
    const char *start = note + text_length + 1, *end = note + length;
    const char *newline = memchr(start, '\n', (size_t)(end - start));
    if (!newline) return "it has no signature line";
    const field first = {start, (size_t)(newline + 1 - start)};
    const field second = {newline + 1, (size_t)(end - newline - 1)};
    if (second.length == 0 ||
        memchr(second.text, '\n', second.length) != second.text + second.length - 1)
        return "it has not two signature lines";
    const char *why = check_line(note, text_length, &first, &succession->previous,
                                 "its first signature is not the previous key's");
    return why ? why
               : check_line(note, text_length, &second, &succession->next,
                            "its second signature is not the next key's");
}

/* Splits off and reads the text. */
static const char *read_text(rbt_succession *succession, const char *note, size_t length,
                             const char *origin, size_t *text_length) {
    const char *why = NULL;
    if (length > RBT_SUCCESSION_MAX) return "it is too long";
    if (!rbt_note_split(note, length, text_length, &why)) return why;
    return rbt_succession_parse(succession, note, *text_length, origin);
}

const char *rbt_succession_read(rbt_succession *succession, const char *note, size_t length,
                                const char *origin) {
    size_t text_length = 0;
    const char *why = read_text(succession, note, length, origin, &text_length);
    return why ? why : check_signatures(succession, note, length, text_length);
}

/* ---- The notes of a log ---- */

static const char *note_of(const rbt_successions *list, size_t i) {
    return (const char *)list->texts.data + list->notes[i].start;
}

int rbt_successions_add(rbt_successions *list, const char *note, size_t length, rbt_error *error) {
    rbt_stored_succession *notes =
        rbt_realloc(list->notes, (list->count + 1) * sizeof *list->notes);
    if (!notes) return rbt_fail_nomem(error);
    list->notes = notes;
    rbt_stored_succession *added = &notes[list->count];
    *added = (rbt_stored_succession){.start = list->texts.length, .length = length};
    rbt_buffer_add(&list->texts, note, length);
    if (list->texts.failed) return rbt_fail_nomem(error);
    size_t text_length = 0;
    added->why = read_text(&added->succession, note, length, list->origin, &text_length);
    if (added->why == rbt_note_no_memory) return rbt_fail_nomem(error);
    list->count++;
    return SQLITE_OK;
}

static int add_all(rbt_successions *list, const rbt_json *document, rbt_error *error) {
    const rbt_json_node *root = rbt_json_root(document);
    rbt_buffer note = {0};
    if (root->type != RBT_JSON_ARRAY) {
        list->why = "it is no JSON array";
        return SQLITE_OK;
    }
    if (root->children > RBT_SUCCESSIONS_MAX) {
        list->why = "it holds more notes than a log can have";
        return SQLITE_OK;
    }
    for (const rbt_json_node *node = rbt_json_first(document, root);
         node && error->code == SQLITE_OK; node = rbt_json_next(document, node)) {
        rbt_buffer_clear(&note);
        /* what is no string becomes an empty note, which is malformed */
        rbt_json_string(document, node, &note);
        if (note.failed)
            rbt_fail_nomem(error);
        else
            rbt_successions_add(list, note.length ? (const char *)note.data : "", note.length,
                                error);
    }
    rbt_buffer_free(&note);
    return error->code;
}

int rbt_successions_read(rbt_successions *list, const char *json, size_t length, const char *origin,
                         rbt_error *error) {
    rbt_json document = {0};
    rbt_error refusal = {0};
    size_t origin_length = strlen(origin);
    if (origin_length >= sizeof list->origin) {
        list->why = "the origin is none";
        return SQLITE_OK;
    }
    memcpy(list->origin, origin, origin_length + 1);
    if (length == 0) return SQLITE_OK;
    if (length > RBT_SUCCESSIONS_BYTES) {
        list->why = "it is too long";
        return SQLITE_OK;
    }
    rbt_buffer_add(&list->stored, json, length);
    if (list->stored.failed) return rbt_fail_nomem(error);
    int code = rbt_json_parse(&document, json, length, RBT_SUCCESSIONS_KEY, &refusal);
    if (code == SQLITE_NOMEM)
        rbt_fail_nomem(error);
    else if (code != SQLITE_OK)
        list->why = "it is no JSON";
    else
        add_all(list, &document, error);
    rbt_error_clear(&refusal);
    rbt_json_free(&document);
    return error->code;
}

void rbt_successions_free(rbt_successions *list) {
    rbt_free(list->notes);
    rbt_buffer_free(&list->texts);
    rbt_buffer_free(&list->stored);
    *list = (rbt_successions){0};
}

bool rbt_successions_valid(rbt_successions *list, size_t i, rbt_error *error) {
    rbt_stored_succession *stored = &list->notes[i];
    rbt_succession same;
    if (!stored->why && !stored->checked) {
        stored->why = rbt_succession_read(&same, note_of(list, i), stored->length, list->origin);
        stored->checked = stored->why != rbt_note_no_memory;
        if (!stored->checked) {
            stored->why = NULL;
            rbt_fail_nomem(error);
            return false;
        }
    }
    return !stored->why;
}

void rbt_successions_write(rbt_buffer *out, const rbt_successions *list) {
    rbt_buffer_add_byte(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0) rbt_buffer_add_byte(out, ',');
        rbt_json_add_string(out, note_of(list, i), list->notes[i].length);
    }
    rbt_buffer_add_byte(out, ']');
}

static bool same_key(const rbt_verifier *a, const rbt_verifier *b) {
    return memcmp(a->public_key, b->public_key, sizeof a->public_key) == 0;
}

const char *rbt_successions_flaw(rbt_successions *list, size_t *at, rbt_error *error) {
    *at = 0;
    if (list->why) return list->why;
    for (size_t i = 0; i < list->count; i++) {
        const rbt_succession *note = &list->notes[i].succession;
        *at = i;
        if (!rbt_successions_valid(list, i, error))
            return error->code != SQLITE_OK ? rbt_note_no_memory : list->notes[i].why;
        if (i > 0 && !same_key(&note->previous, &list->notes[i - 1].succession.next))
            return "its previous key is not the next key of the note before it";
        if (i > 0 && note->size < list->notes[i - 1].succession.size)
            return "it is of a smaller size than the note before it";
        for (size_t earlier = 0; earlier <= i; earlier++)
            if (same_key(&note->next, &list->notes[earlier].succession.previous))
                return "its next key was superseded before";
    }
    return NULL;
}

uint64_t rbt_successions_limit(rbt_successions *list, const uint8_t public_key[32],
                               rbt_error *error) {
    uint64_t limit = UINT64_MAX;
    for (size_t i = 0; i < list->count && error->code == SQLITE_OK; i++) {
        const rbt_stored_succession *stored = &list->notes[i];
        if (!stored->why && memcmp(stored->succession.previous.public_key, public_key, 32) == 0 &&
            rbt_successions_valid(list, i, error) && stored->succession.size < limit)
            limit = stored->succession.size;
    }
    return limit;
}
