/* SPDX-License-Identifier: MIT
** The growable buffer. Calls memory, hexadecimal and SQLite's printf.
*/
#include "buffer.h"

#include "bytes.h"
#include "memory.h"

#include <stdarg.h>

enum { SMALLEST_CAPACITY = 64 };

static void release_memory(rbt_buffer *buffer) {
    if (buffer->secret && buffer->data) rbt_wipe(buffer->data, buffer->capacity);
    rbt_free(buffer->data);
    buffer->data = NULL;
    buffer->length = buffer->capacity = 0;
}

void rbt_buffer_free(rbt_buffer *buffer) {
    release_memory(buffer);
    buffer->failed = false;
}

void rbt_buffer_clear(rbt_buffer *buffer) {
    if (buffer->secret && buffer->data) rbt_wipe(buffer->data, buffer->capacity);
    buffer->length = 0;
    buffer->failed = false;
}

/* Moves to at least `needed` bytes. A secret is copied by hand: realloc would leave the old bytes
** behind, unwiped. */
static bool grow(rbt_buffer *buffer, size_t needed) {
    size_t capacity = buffer->capacity > SIZE_MAX / 2 ? needed : buffer->capacity * 2;
    if (capacity < needed) capacity = needed;
    if (capacity < SMALLEST_CAPACITY) capacity = SMALLEST_CAPACITY;

    uint8_t *data;
    if (buffer->secret) {
        data = rbt_malloc(capacity);
        if (data && buffer->data) {
            memcpy(data, buffer->data, buffer->length);
            rbt_wipe(buffer->data, buffer->capacity);
            rbt_free(buffer->data);
        }
    } else {
        data = rbt_realloc(buffer->data, capacity);
    }
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

bool rbt_buffer_grow(rbt_buffer *buffer, size_t extra) {
    if (buffer->failed) return false;
    if (extra > SIZE_MAX - buffer->length) {
        buffer->failed = true;
        return false;
    }
    return grow(buffer, buffer->length + extra);
}

void rbt_buffer_add_text(rbt_buffer *buffer, const char *text) {
    rbt_buffer_add(buffer, text, strlen(text));
}

void rbt_buffer_add_u64(rbt_buffer *buffer, uint64_t value) {
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char digits[20];
    size_t start = sizeof digits;
    for (; value >= 10; value /= 100)
        memcpy(digits + (start -= 2), pairs + 2 * (value % 100), 2);
    if (value > 0 || start == sizeof digits) digits[--start] = (char)('0' + value);
    rbt_buffer_add(buffer, digits + start, sizeof digits - start);
}

void rbt_buffer_add_i64(rbt_buffer *buffer, int64_t value) {
    uint64_t magnitude = (uint64_t)value;
    if (value < 0) {
        rbt_buffer_add_byte(buffer, '-');
        magnitude = 0 - magnitude;
    }
    rbt_buffer_add_u64(buffer, magnitude);
}

void rbt_buffer_add_hex(rbt_buffer *buffer, const void *bytes, size_t length) {
    if (length > (SIZE_MAX - 1) / 2) {
        buffer->failed = true;
        return;
    }
    if (!rbt_buffer_reserve(buffer, 2 * length + 1)) return; /* one for the encoder's NUL */
    rbt_hex_encode((char *)buffer->data + buffer->length, bytes, length);
    buffer->length += 2 * length;
}

void rbt_buffer_printf(rbt_buffer *buffer, const char *format, ...) {
    if (buffer->failed) return;
    va_list arguments;
    va_start(arguments, format);
    char *text = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    if (!text) {
        buffer->failed = true;
        return;
    }
    size_t length = strlen(text);
    rbt_buffer_add(buffer, text, length);
    if (buffer->secret) rbt_wipe(text, length);
    rbt_free(text);
}

char *rbt_buffer_text(rbt_buffer *buffer) {
    if (!rbt_buffer_reserve(buffer, 1)) return NULL;
    buffer->data[buffer->length] = 0;
    return (char *)buffer->data;
}

char *rbt_buffer_take(rbt_buffer *buffer) {
    char *text = rbt_buffer_text(buffer);
    if (!text) {
        release_memory(buffer);
        return NULL;
    }
    buffer->data = NULL;
    buffer->length = buffer->capacity = 0;
    return text;
}
