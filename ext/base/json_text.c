/* SPDX-License-Identifier: MIT
** JSON strings written and read back: quoting and unescaping (RFC 8259 §7). Calls buffer.
*/
#include "json_text.h"

#include "json.h"

int rbt_json_hex4(const uint8_t *text) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t digit = text[i], letter = digit | 0x20;
        if (digit >= '0' && digit <= '9')
            value = value << 4 | (digit - '0');
        else if (letter >= 'a' && letter <= 'f')
            value = value << 4 | (letter - 'a' + 10);
        else
            return -1;
    }
    return value;
}

static size_t encode_utf8(uint8_t bytes[RBT_JSON_UNESCAPED_SIZE], uint32_t point) {
    if (point < 0x80) {
        bytes[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        bytes[0] = (uint8_t)(0xc0 | point >> 6);
        bytes[1] = (uint8_t)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        bytes[0] = (uint8_t)(0xe0 | point >> 12);
        bytes[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        bytes[2] = (uint8_t)(0x80 | (point & 0x3f));
        return 3;
    }
    bytes[0] = (uint8_t)(0xf0 | point >> 18);
    bytes[1] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
    bytes[2] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    bytes[3] = (uint8_t)(0x80 | (point & 0x3f));
    return 4;
}

size_t rbt_json_unescape_one(uint8_t bytes[RBT_JSON_UNESCAPED_SIZE], size_t *count,
                             const uint8_t *text) {
    *count = 1;
    switch (text[1]) {
    case 'b':
        bytes[0] = '\b';
        return 2;
    case 'f':
        bytes[0] = '\f';
        return 2;
    case 'n':
        bytes[0] = '\n';
        return 2;
    case 'r':
        bytes[0] = '\r';
        return 2;
    case 't':
        bytes[0] = '\t';
        return 2;
    case 'u': {
        uint32_t point = (uint32_t)rbt_json_hex4(text + 2);
        if (point < 0xd800 || point > 0xdfff) {
            *count = encode_utf8(bytes, point);
            return 6;
        }
        uint32_t low = (uint32_t)rbt_json_hex4(text + 8);
        *count = encode_utf8(bytes, 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00));
        return 12;
    }
    default: /* quote, backslash, slash */
        bytes[0] = text[1];
        return 2;
    }
}

void rbt_json_unescape(rbt_buffer *out, const char *text, size_t length) {
    if (length == 0 || !rbt_buffer_reserve(out, length)) return; /* no escape is shorter undone */
    const uint8_t *next = (const uint8_t *)text, *end = next + length;
    while (next < end) {
        const uint8_t *backslash = memchr(next, '\\', (size_t)(end - next));
        rbt_buffer_add(out, next, (size_t)((backslash ? backslash : end) - next));
        if (!backslash) break;
        uint8_t bytes[RBT_JSON_UNESCAPED_SIZE];
        size_t count;
        next = backslash + rbt_json_unescape_one(bytes, &count, backslash);
        rbt_buffer_add(out, bytes, count);
    }
}

static void add_escape(rbt_buffer *out, uint8_t byte) {
    static const char short_forms[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                       ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    char short_form = short_forms[byte];
    if (short_form) {
        char escape[2] = {'\\', short_form};
        rbt_buffer_add(out, escape, sizeof escape);
    } else {
        rbt_buffer_add(out, "\\u00", 4);
        rbt_buffer_add_hex(out, &byte, 1);
    }
}

void rbt_json_add_string(rbt_buffer *out, const char *text, size_t length) {
    if (length > SIZE_MAX - 2) {
        out->failed = true;
        return;
    }
    if (!rbt_buffer_reserve(out, length + 2)) return;
    const uint8_t *bytes = (const uint8_t *)text;
    rbt_buffer_add_byte(out, '"');
    for (size_t i = 0; i < length; i++) {
        size_t plain = rbt_json_plain_length(bytes + i, length - i, false);
        rbt_buffer_add(out, bytes + i, plain);
        i += plain;
        if (i < length) add_escape(out, bytes[i]);
    }
    rbt_buffer_add_byte(out, '"');
}
