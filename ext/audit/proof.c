/* SPDX-License-Identifier: MIT
** See proof.h. Pure: calls base and checkpoint.
*/
#include "proof.h"

#include "../base/base64.h"
#include "checkpoint.h"

#include <string.h>

static const char first_line[] = "c2sp.org/tlog-proof@v1\n";

static void add_hashes(rbt_buffer *out, const rbt_proof *path) {
    for (size_t i = 0; i < path->count; i++) {
        rbt_base64_encode(out, path->hashes[i].bytes, sizeof path->hashes[i].bytes, false);
        rbt_buffer_add_byte(out, '\n');
    }
    rbt_buffer_add_byte(out, '\n');
}

void rbt_tlog_proof_format(rbt_buffer *out, uint64_t index, const rbt_proof *path, const char *note,
                           size_t note_length) {
    rbt_buffer_add_text(out, first_line);
    rbt_buffer_add_text(out, "index ");
    rbt_buffer_add_u64(out, index);
    rbt_buffer_add_byte(out, '\n');
    add_hashes(out, path);
    rbt_buffer_add(out, note, note_length);
}

void rbt_add_checkpoint_format(rbt_buffer *out, uint64_t old_size, const rbt_proof *path,
                               const char *note, size_t note_length) {
    rbt_buffer_add_text(out, "old ");
    rbt_buffer_add_u64(out, old_size);
    rbt_buffer_add_byte(out, '\n');
    add_hashes(out, path);
    rbt_buffer_add(out, note, note_length);
}

/* Takes a line, without its newline, off [*at, end); false when no newline is left. */
static bool next_line(const char **at, const char *end, const char **line, size_t *length) {
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    if (!newline) return false;
    *line = *at;
    *length = (size_t)(newline - *at);
    *at = newline + 1;
    return true;
}

static bool has_prefix(const char *line, size_t length, const char *prefix) {
    return length >= strlen(prefix) && memcmp(line, prefix, strlen(prefix)) == 0;
}

/* Canonical base64 of anything, decoded in pieces: needs no memory. */
static bool is_base64(const char *text, size_t length) {
    enum { PIECE = 64 };
    uint8_t room[PIECE];
    while (length > PIECE) {
        rbt_buffer bytes = {.data = room, .capacity = sizeof room};
        if (text[PIECE - 1] == '=' || !rbt_base64_decode(&bytes, text, PIECE, false, false))
            return false;
        text += PIECE;
        length -= PIECE;
    }
    rbt_buffer bytes = {.data = room, .capacity = sizeof room};
    return rbt_base64_decode(&bytes, text, length, false, false);
}

bool rbt_tlog_proof_parse(rbt_tlog_proof *proof, const char *text, size_t length,
                          const char **why) {
    static const char extra[] = "extra ", index[] = "index ";
    const char *at = text, *end = text + length, *line;
    size_t line_length;
    proof->path.count = 0;
    *why = "its first line is not \"c2sp.org/tlog-proof@v1\"";
    if (!has_prefix(at, length, first_line)) return false;
    at += sizeof first_line - 1;

    *why = "its index line is missing";
    if (!next_line(&at, end, &line, &line_length)) return false;
    if (has_prefix(line, line_length, extra)) {
        *why = "its extra line is not base64";
        if (!is_base64(line + sizeof extra - 1, line_length - (sizeof extra - 1))) return false;
        *why = "its index line is missing";
        if (!next_line(&at, end, &line, &line_length)) return false;
    }
    if (!has_prefix(line, line_length, index)) return false;
    *why = "its index is not a number from 0 to 9223372036854775807";
    if (!rbt_decimal_parse(&proof->index, line + sizeof index - 1,
                           line_length - (sizeof index - 1)))
        return false;

    for (;;) {
        *why = "it ends before its checkpoint";
        if (!next_line(&at, end, &line, &line_length)) return false;
        if (line_length == 0) break;
        *why = "it has more than 63 hashes";
        if (proof->path.count >= RBT_PROOF_MAX_HASHES) return false;
        *why = "one of its hashes is not 32 bytes in base64";
        if (!rbt_hash_parse(&proof->path.hashes[proof->path.count], line, line_length))
            return false;
        proof->path.count++;
    }
    proof->note = at;
    proof->note_length = (size_t)(end - at);
    return true;
}
