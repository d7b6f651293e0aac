/* SPDX-License-Identifier: MIT
** A growable byte buffer with a sticky failure: once memory ran out every call is a no-op and
** `failed` stays true, so a writer checks once at the end. Starts as {0}. Contents are bytes; may
** hold NULs. A buffer with `secret` set wipes memory before it gives it back.
*/
#ifndef RBT_BASE_BUFFER_H
#define RBT_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct rbt_buffer {
    uint8_t *data;
    size_t length;   /* bytes in use */
    size_t capacity; /* bytes allocated */
    bool failed;     /* memory ran out */
    bool secret;     /* wipe on growth and on free */
} rbt_buffer;

void rbt_buffer_free(rbt_buffer *buffer);  /* leaves an empty, usable buffer (secret is kept) */
void rbt_buffer_clear(rbt_buffer *buffer); /* length 0, memory kept; failed is reset */
/* rbt_buffer_reserve where there is no room yet. */
bool rbt_buffer_grow(rbt_buffer *buffer, size_t extra);
/* Room for `extra` more bytes; false when memory ran out. */
static inline bool rbt_buffer_reserve(rbt_buffer *buffer, size_t extra) {
    if (!buffer->failed && extra <= buffer->capacity - buffer->length) return true;
    return rbt_buffer_grow(buffer, extra);
}

static inline void rbt_buffer_add(rbt_buffer *buffer, const void *bytes, size_t length) {
    if (length == 0 || !rbt_buffer_reserve(buffer, length)) return;
    memcpy(buffer->data + buffer->length, bytes, length);
    buffer->length += length;
}

static inline void rbt_buffer_add_byte(rbt_buffer *buffer, uint8_t byte) {
    if (!rbt_buffer_reserve(buffer, 1)) return;
    buffer->data[buffer->length++] = byte;
}

void rbt_buffer_add_text(rbt_buffer *buffer, const char *text);                /* up to its NUL */
void rbt_buffer_add_i64(rbt_buffer *buffer, int64_t value);                    /* decimal */
void rbt_buffer_add_u64(rbt_buffer *buffer, uint64_t value);                   /* decimal */
void rbt_buffer_add_hex(rbt_buffer *buffer, const void *bytes, size_t length); /* lower case */
/* sqlite3_mprintf's formats. */
void rbt_buffer_printf(rbt_buffer *buffer, const char *format, ...);
/* The contents as NUL-terminated text (the NUL is not counted); NULL when failed. */
char *rbt_buffer_text(rbt_buffer *buffer);
/* Gives the memory away, NUL-terminated, to be freed by sqlite3_free; NULL when failed. */
char *rbt_buffer_take(rbt_buffer *buffer);

#endif
