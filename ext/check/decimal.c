/* SPDX-License-Identifier: MIT
** The form and size of a decimal, in one pass over its bytes. Calls nobody.
*/
#include "decimal.h"

/* How many bytes from text on are ASCII digits. */
static size_t digit_count(const char *text, size_t length) {
    size_t count = 0;
    while (count < length && text[count] >= '0' && text[count] <= '9')
        count++;
    return count;
}

rbt_decimal_finding rbt_decimal_check(const char *text, size_t length, size_t digits,
                                      size_t places) {
    size_t at = length > 0 && text[0] == '-' ? 1 : 0;
    size_t whole = digit_count(text + at, length - at), after = 0;
    if (whole == 0 || (whole > 1 && text[at] == '0')) return RBT_DECIMAL_FORM;
    if (text[at] == '0') whole = 0;
    at += whole ? whole : 1;
    if (at < length) {
        if (text[at++] != '.') return RBT_DECIMAL_FORM;
        after = digit_count(text + at, length - at);
        if (after == 0 || after != length - at) return RBT_DECIMAL_FORM;
    }
    if (whole + after > digits) return RBT_DECIMAL_DIGITS;
    if (after > places) return RBT_DECIMAL_PLACES;
    return whole > digits - places ? RBT_DECIMAL_WHOLE_DIGITS : RBT_DECIMAL_GOOD;
}
