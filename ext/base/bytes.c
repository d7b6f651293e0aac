/* SPDX-License-Identifier: MIT
** Hexadecimal without table look-ups, since secrets may pass through. Calls nobody.
*/
#include "bytes.h"

/* '0' to '9' are 0x30 up, 'a' to 'f' 0x61 up: 39 more than '0' + 10. */
static char digit_of(unsigned value) {
    unsigned is_letter = (9 - value) >> 31; /* wraps above 9 */
    return (char)('0' + value + is_letter * ('a' - '0' - 10));
}

void rbt_hex_encode(char *text, const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        text[2 * i] = digit_of(bytes[i] >> 4);
        text[2 * i + 1] = digit_of(bytes[i] & 15);
    }
    text[2 * length] = 0;
}

/* The digit's value; more than 15 if the byte is none. */
static unsigned value_of(uint8_t digit) {
    unsigned decimal = (unsigned)digit - '0';
    unsigned letter = ((unsigned)digit | 0x20) - 'a';
    unsigned is_decimal = (unsigned)-(int)(decimal < 10);
    unsigned is_letter = (unsigned)-(int)(letter < 6);
    return (decimal & is_decimal) | ((letter + 10) & is_letter) | (16 & ~(is_decimal | is_letter));
}

bool rbt_hex_decode(uint8_t *bytes, size_t length, const char *text, size_t text_length) {
    if (text_length % 2 != 0 || text_length / 2 != length) return false;
    unsigned seen = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned high = value_of((uint8_t)text[2 * i]);
        unsigned low = value_of((uint8_t)text[2 * i + 1]);
        seen |= high | low;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return seen < 16;
}
