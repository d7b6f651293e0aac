/* SPDX-License-Identifier: MIT
** Decimal numbers by their text, never through a double: -?(0|[1-9][0-9]*)(\.[0-9]+)?, ASCII only; no
** exponent, "_", "+", blank or NaN. Calls nobody.
*/
#ifndef RBT_CHECK_DECIMAL_H
#define RBT_CHECK_DECIMAL_H

#include <stddef.h>

typedef enum rbt_decimal_finding {
    RBT_DECIMAL_GOOD,
    RBT_DECIMAL_FORM,         /* not of the form above */
    RBT_DECIMAL_DIGITS,       /* more digits than allowed */
    RBT_DECIMAL_PLACES,       /* more digits after the point than allowed */
    RBT_DECIMAL_WHOLE_DIGITS, /* more digits before the point than digits - places */
} rbt_decimal_finding;

/* Judges length bytes at text. Digits count as Pydantic's max_digits, decimal_places and
** decimal_whole_digits do: a lone 0 before the point is none, zeros at the end are some. */
rbt_decimal_finding rbt_decimal_check(const char *text, size_t length, size_t digits,
                                      size_t places);

#endif
