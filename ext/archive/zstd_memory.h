/* SPDX-License-Identifier: MIT
** zstd with rustybt's allocator: include this instead of <zstd.h>. */
#ifndef RBT_ARCHIVE_ZSTD_MEMORY_H
#define RBT_ARCHIVE_ZSTD_MEMORY_H

#include "../base/memory.h"
#define ZSTD_STATIC_LINKING_ONLY /* custom allocators, frame headers */
#include <zstd.h>
#include <zstd_errors.h>

static inline void *rbt_zstd_allocate(void *opaque, size_t size) {
    (void)opaque;
    return rbt_malloc(size);
}

static inline void rbt_zstd_release(void *opaque, void *memory) {
    (void)opaque;
    rbt_free(memory);
}

static inline ZSTD_customMem rbt_zstd_memory(void) {
    return (ZSTD_customMem){rbt_zstd_allocate, rbt_zstd_release, NULL};
}

#endif
