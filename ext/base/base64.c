/* SPDX-License-Identifier: MIT
** Base64 (RFC 4648) by arithmetic on the byte values instead of
** tables, so that neither the cache nor a branch tells what a key is made of. Calls buffer and
** memory.
*/
#include "base64.h"

#include "memory.h"

/* All ones when low <= value <= high, else 0; all below 256. */
static unsigned mask_between(unsigned value, unsigned low, unsigned high) {
    return (((value - low) | (high - value)) >> 31) - 1u;
}

/* The letter of six bits. */
static uint8_t letter_of(unsigned value, bool urlsafe) {
    unsigned letter = (value + 'A') & mask_between(value, 0, 25);
    letter |= (value - 26 + 'a') & mask_between(value, 26, 51);
    letter |= (value - 52 + '0') & mask_between(value, 52, 61);
    letter |= (urlsafe ? '-' : '+') & mask_between(value, 62, 62);
    letter |= (urlsafe ? '_' : '/') & mask_between(value, 63, 63);
    return (uint8_t)letter;
}

enum { NO_LETTER = 64 };

/* The six bits of a letter; NO_LETTER or more when it is not of the alphabet. */
static unsigned value_of(unsigned letter, bool urlsafe) {
    unsigned dash = urlsafe ? '-' : '+', underscore = urlsafe ? '_' : '/';
    unsigned upper = mask_between(letter, 'A', 'Z'), lower = mask_between(letter, 'a', 'z');
    unsigned digit = mask_between(letter, '0', '9');
    unsigned is_62 = mask_between(letter, dash, dash);
    unsigned is_63 = mask_between(letter, underscore, underscore);
    return ((letter - 'A') & upper) | ((letter - 'a' + 26) & lower) |
           ((letter - '0' + 52) & digit) | (62 & is_62) | (63 & is_63) |
           (NO_LETTER & ~(upper | lower | digit | is_62 | is_63));
}

void rbt_base64_encode(rbt_buffer *out, const uint8_t *bytes, size_t length, bool urlsafe) {
    if (length > SIZE_MAX / 4 * 3 - 3) {
        out->failed = true;
        return;
    }
    if (!rbt_buffer_reserve(out, (length + 2) / 3 * 4)) return;

    uint8_t *text = out->data + out->length;
    size_t i = 0;
    for (; length - i >= 3; i += 3) {
        unsigned bits = (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8 | bytes[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *text++ = letter_of(bits >> shift & 63, urlsafe);
    }
    if (length - i == 1) {
        *text++ = letter_of(bytes[i] >> 2, urlsafe);
        *text++ = letter_of((bytes[i] & 3u) << 4, urlsafe);
        *text++ = '=';
        *text++ = '=';
    } else if (length - i == 2) {
        *text++ = letter_of(bytes[i] >> 2, urlsafe);
        *text++ = letter_of((bytes[i] & 3u) << 4 | bytes[i + 1] >> 4, urlsafe);
        *text++ = letter_of((bytes[i + 1] & 15u) << 2, urlsafe);
        *text++ = '=';
    }
    out->length = (size_t)(text - out->data);
}

/* Takes back what a failed decoder wrote. */
static bool refuse(rbt_buffer *out, size_t length_before) {
    if (out->secret && out->length > length_before)
        rbt_wipe(out->data + length_before, out->length - length_before);
    out->length = length_before;
    return false;
}

bool rbt_base64_decode(rbt_buffer *out, const char *text, size_t length, bool urlsafe,
                       bool optional_padding) {
    size_t letters = length;
    while (letters > 0 && length - letters < 2 && text[letters - 1] == '=')
        letters--;
    size_t padding = length - letters, missing = (4 - letters % 4) % 4;
    if (letters % 4 == 1) return false;
    if (padding != missing && !(optional_padding && padding == 0)) return false;
    if (!rbt_buffer_reserve(out, letters / 4 * 3 + 2)) return false;

    size_t before = out->length;
    uint8_t *bytes = out->data + before;
    unsigned bits = 0, seen = 0; /* seen: a value of 64 or more shows in its bit 6 */
    for (size_t i = 0; i < letters; i++) {
        unsigned value = value_of((uint8_t)text[i], urlsafe);
        seen |= value;
        bits = bits << 6 | (value & 63);
        switch (i % 4) {
        case 1:
            *bytes++ = (uint8_t)(bits >> 4);
            break;
        case 2:
            *bytes++ = (uint8_t)(bits >> 2);
            break;
        case 3:
            *bytes++ = (uint8_t)bits;
            break;
        default:
            break;
        }
    }
    out->length = (size_t)(bytes - out->data);
    if (letters % 4 == 2) seen |= (bits & 15) ? NO_LETTER : 0;
    if (letters % 4 == 3) seen |= (bits & 3) ? NO_LETTER : 0;
    return seen < NO_LETTER || refuse(out, before);
}

bool rbt_base64_decode_python(rbt_buffer *out, const char *text, size_t length) {
    if (!rbt_buffer_reserve(out, length / 4 * 3 + 3)) return false;

    size_t before = out->length;
    unsigned bits = 0;
    int position = 0, padding = 0; /* letters of the current group of four; "=" in a row */
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '=') {
            if (position >= 2 && position + ++padding >= 4) return true;
            continue;
        }
        /* What is no letter of one alphabet is NO_LETTER there, and the sixth bit sums it up. */
        unsigned standard = value_of((uint8_t)text[i], false);
        unsigned urlsafe = value_of((uint8_t)text[i], true);
        unsigned value = (standard & urlsafe & NO_LETTER) | ((standard | urlsafe) & 63);
        if (value == NO_LETTER) continue;
        padding = 0;
        bits = bits << 6 | value;
        if (position > 0) out->data[out->length++] = (uint8_t)(bits >> (6 - 2 * position));
        position = (position + 1) % 4;
    }
    return position == 0 || refuse(out, before);
}
