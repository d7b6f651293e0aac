/* SPDX-License-Identifier: MIT
** The allocation seam: all memory that rustybt itself asks for comes from SQLite's allocator, so a
** test that injects failures there reaches every allocation. NULL means out of memory.
*/
#ifndef RBT_BASE_MEMORY_H
#define RBT_BASE_MEMORY_H

#include "sqlite.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void *rbt_malloc(size_t size) {
    return sqlite3_malloc64(size ? size : 1);
}

/* size zero bytes. */
static inline void *rbt_calloc(size_t size) {
    void *memory = rbt_malloc(size);
    if (memory) memset(memory, 0, size);
    return memory;
}

static inline void *rbt_realloc(void *memory, size_t size) {
    return sqlite3_realloc64(memory, size ? size : 1);
}

static inline void rbt_free(void *memory) {
    sqlite3_free(memory);
}

/* A NUL-terminated copy of length bytes of text; NULL when out of memory. */
static inline char *rbt_strndup(const char *text, size_t length) {
    char *copy = rbt_malloc(length + 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = 0;
    }
    return copy;
}

static inline char *rbt_strdup(const char *text) {
    return rbt_strndup(text, strlen(text));
}

/* Overwrites memory so that the compiler cannot drop the write. */
void rbt_wipe(void *memory, size_t size);

/* Wipes a block from rbt_malloc, all of it, and frees it; NULL is fine. Fits a result's destructor. */
void rbt_secret_free(void *memory);

#endif
