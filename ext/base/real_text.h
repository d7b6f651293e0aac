/* SPDX-License-Identifier: MIT
** REAL as text, exactly as Python's repr(float): the shortest digits that read back as the same
** double, the closest to it among those; exponent form below 1e-4 and from 1e16. No locale. */
#ifndef RBT_BASE_REAL_TEXT_H
#define RBT_BASE_REAL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum { RBT_REAL_TEXT_SIZE = 32 };

/* Writes a finite value and a NUL; returns the length. -0.0 is written as "-0.0". */
size_t rbt_real_to_text(char text[RBT_REAL_TEXT_SIZE], double value);

/* Reads a JSON number (already checked by the JSON reader), correctly rounded; false when it
** overflows to infinity or is not entirely consumed. No locale. text need not be NUL-terminated. */
bool rbt_real_from_text(double *value, const char *text, size_t length);

#endif
