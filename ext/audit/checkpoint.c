/* SPDX-License-Identifier: MIT
** Checkpoint text of c2sp.org/tlog-checkpoint: "origin\nsize\nbase64(root)\n" and extension lines.
** Pure; calls base only.
*/
#include "checkpoint.h"

#include "../base/base64.h"
#include <string.h>

void rbt_checkpoint_format(rbt_buffer *out, const rbt_checkpoint *checkpoint) {
    rbt_buffer_add_text(out, checkpoint->origin);
    rbt_buffer_add_byte(out, '\n');
    rbt_buffer_add_u64(out, checkpoint->size);
    rbt_buffer_add_byte(out, '\n');
    rbt_base64_encode(out, checkpoint->root.bytes, sizeof checkpoint->root.bytes, false);
    rbt_buffer_add_byte(out, '\n');
}

/* Gives the line at *text and moves behind its newline; false when there is no non-empty line. */
static bool next_line(const char **text, const char *end, const char **line, size_t *length) {
    const char *newline = memchr(*text, '\n', (size_t)(end - *text));
    if (!newline || newline == *text) return false;
    *line = *text;
    *length = (size_t)(newline - *text);
    *text = newline + 1;
    return true;
}

bool rbt_decimal_parse(uint64_t *value, const char *digits, size_t length) {
    uint64_t sum = 0;
    if (length == 0 || (length > 1 && digits[0] == '0')) return false;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9') return false;
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(digits[i] - '0'), &sum))
            return false;
    }
    *value = sum;
    return sum <= INT64_MAX;
}

bool rbt_hash_parse(rbt_hash *hash, const char *text, size_t length) {
    enum { LETTERS = 44 }; /* of 32 bytes, padding included */
    uint8_t room[LETTERS];
    rbt_buffer bytes = {.data = room, .capacity = sizeof room};
    if (length != LETTERS || !rbt_base64_decode(&bytes, text, length, false, false) ||
        bytes.length != sizeof hash->bytes)
        return false;
    memcpy(hash->bytes, bytes.data, sizeof hash->bytes);
    return true;
}

bool rbt_checkpoint_parse(rbt_checkpoint *checkpoint, const char *text, size_t length) {
    const char *end = text + length;
    const char *line;
    size_t line_length;

    if (!next_line(&text, end, &line, &line_length)) return false;
    if (line_length >= sizeof checkpoint->origin || memchr(line, 0, line_length)) return false;
    memcpy(checkpoint->origin, line, line_length);
    checkpoint->origin[line_length] = 0;

    if (!next_line(&text, end, &line, &line_length)) return false;
    if (!rbt_decimal_parse(&checkpoint->size, line, line_length)) return false;

    if (!next_line(&text, end, &line, &line_length)) return false;
    bool valid = rbt_hash_parse(&checkpoint->root, line, line_length);
    while (valid && text < end) /* extension lines say nothing that concerns us */
        valid = next_line(&text, end, &line, &line_length);
    return valid;
}
