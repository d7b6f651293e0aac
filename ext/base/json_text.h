/* SPDX-License-Identifier: MIT
** Inside of JSON strings, shared by reader, document and writer (private to the JSON files). Calls
** nobody.
*/
#ifndef RBT_BASE_JSON_TEXT_H
#define RBT_BASE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Whether a byte of a string stands for itself: no control character, quote or backslash. */
static inline bool rbt_json_is_plain(uint8_t byte) {
    return byte >= 0x20 && byte != '"' && byte != '\\';
}

/* How many bytes from text on are plain, and, with ascii_only, below 0x80; available may be 0.
** Eight at a time: in each sum below the lowest byte whose top bit is set is one that is looked for
** (bytes above it may be set by the borrow, but the lowest one is all that counts). */
static inline size_t rbt_json_plain_length(const uint8_t *text, size_t available, bool ascii_only) {
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    size_t i = 0;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (uint64_t eight; available - i >= sizeof eight; i += sizeof eight) {
        memcpy(&eight, text + i, sizeof eight);
        uint64_t quote = eight ^ ones * '"', backslash = eight ^ ones * '\\';
        uint64_t found = (((eight - ones * 0x20) & ~eight) | ((quote - ones) & ~quote) |
                          ((backslash - ones) & ~backslash)) &
                         tops;
        if (ascii_only) found |= eight & tops;
        if (found) return i + (size_t)__builtin_ctzll(found) / 8;
    }
#endif
    while (i < available && rbt_json_is_plain(text[i]) && !(ascii_only && text[i] >= 0x80))
        i++;
    return i;
}

/* The value of four hexadecimal digits, or -1. */
int rbt_json_hex4(const uint8_t *text);

enum { RBT_JSON_UNESCAPED_SIZE = 4 };

/* Undoes the escape at text (already checked; text[0] is the backslash). Writes its UTF-8 and the
** number of those bytes, returns the bytes consumed: 2, 6, or 12 for a surrogate pair. */
size_t rbt_json_unescape_one(uint8_t bytes[RBT_JSON_UNESCAPED_SIZE], size_t *count,
                             const uint8_t *text);

#endif
