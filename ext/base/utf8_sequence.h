/* SPDX-License-Identifier: MIT
** One UTF-8 sequence (RFC 3629 §4), shared by the UTF-8 check and the JSON reader. Calls nobody.
*/
#ifndef RBT_BASE_UTF8_SEQUENCE_H
#define RBT_BASE_UTF8_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed sequence at text, 1 to 4, of which at most `available` (at least 1) may
** be read; 0 when it is ill-formed. The second byte's range shuts out overlong forms (E0, F0),
** surrogates (ED) and what lies beyond U+10FFFF (F4). */
static inline size_t rbt_utf8_sequence(const uint8_t *text, size_t available) {
    uint8_t first = text[0];
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4) return 0;
    size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (length > available) return 0;

    uint8_t low = 0x80, high = 0xbf;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
    if (text[1] < low || text[1] > high) return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    return length;
}

#endif
