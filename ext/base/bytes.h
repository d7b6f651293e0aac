/* SPDX-License-Identifier: MIT
** Integers in byte formats, and hexadecimal. */
#ifndef RBT_BASE_BYTES_H
#define RBT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint32_t rbt_load_u32le(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t rbt_load_u64le(const uint8_t *p) {
    return (uint64_t)rbt_load_u32le(p) | (uint64_t)rbt_load_u32le(p + 4) << 32;
}

static inline uint64_t rbt_load_u64be(const uint8_t *p) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | p[i];
    return value;
}

static inline void rbt_store_u32le(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

static inline void rbt_store_u32be(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
}

static inline void rbt_store_u64le(uint8_t *p, uint64_t value) {
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

static inline void rbt_store_u64be(uint8_t *p, uint64_t value) {
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(value >> (56 - 8 * i));
}

/* text gets 2 * length lower-case digits and a NUL. */
void rbt_hex_encode(char *text, const uint8_t *bytes, size_t length);
/* Exactly 2 * length digits (either case) of text; false otherwise. */
bool rbt_hex_decode(uint8_t *bytes, size_t length, const char *text, size_t text_length);

#endif
