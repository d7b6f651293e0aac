/* SPDX-License-Identifier: MIT
** Base64 (RFC 4648 §4 and §5). */
#ifndef RBT_BASE_BASE64_H
#define RBT_BASE_BASE64_H

#include "buffer.h"

/* Appends padded base64, standard (+/) or URL-safe (-_) alphabet. Not constant time in length only:
** no table look-up depends on the bytes, so secrets may pass through. */
void rbt_base64_encode(rbt_buffer *out, const uint8_t *bytes, size_t length, bool urlsafe);

/* Strict: the one alphabet only, no white space, unused trailing bits zero, padding whole (or, with
** optional_padding, whole or absent). Appends to out (secret callers set out->secret); false when the
** text is not canonical or memory ran out (out->failed tells). */
bool rbt_base64_decode(rbt_buffer *out, const char *text, size_t length, bool urlsafe,
                       bool optional_padding);

/* As Python's base64.urlsafe_b64decode (binascii.a2b_base64, non-strict) does: both alphabets,
** characters outside them skipped, decoding stops at complete padding. False on what Python calls
** incorrect padding or an impossible length. For key text alone. */
bool rbt_base64_decode_python(rbt_buffer *out, const char *text, size_t length);

#endif
