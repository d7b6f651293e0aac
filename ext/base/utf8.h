/* SPDX-License-Identifier: MIT
** UTF-8 (RFC 3629). */
#ifndef RBT_BASE_UTF8_H
#define RBT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number of bytes before the first ill-formed sequence (overlong forms, surrogates, beyond
** U+10FFFF, truncation); equals length when all is well. NUL is well formed. */
size_t rbt_utf8_valid_length(const uint8_t *text, size_t length);

static inline bool rbt_utf8_valid(const uint8_t *text, size_t length) {
    return rbt_utf8_valid_length(text, length) == length;
}

#endif
