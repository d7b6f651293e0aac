/* SPDX-License-Identifier: MIT
** Out of memory on demand: SQLite's allocator, wrapped so that one allocation fails. Call
** failing_memory_install before any other use of SQLite. */
#ifndef RBT_TEST_FAILING_MEMORY_H
#define RBT_TEST_FAILING_MEMORY_H

#include <sqlite3.h>
#include <stddef.h>

static sqlite3_mem_methods failing_memory_real;
static long failing_memory_countdown; /* the allocation that fails, from 1; 0 for none */
static int failing_memory_hit;        /* it did fail */

static inline int failing_memory_now(void) {
    if (failing_memory_countdown == 0 || --failing_memory_countdown > 0) return 0;
    failing_memory_hit = 1;
    return 1;
}

static inline void *failing_memory_malloc(int size) {
    return failing_memory_now() ? NULL : failing_memory_real.xMalloc(size);
}

static inline void *failing_memory_realloc(void *memory, int size) {
    return failing_memory_now() ? NULL : failing_memory_real.xRealloc(memory, size);
}

static inline int failing_memory_install(void) {
    int code = sqlite3_config(SQLITE_CONFIG_GETMALLOC, &failing_memory_real);
    if (code != SQLITE_OK) return code;
    sqlite3_mem_methods failing = failing_memory_real;
    failing.xMalloc = failing_memory_malloc;
    failing.xRealloc = failing_memory_realloc;
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
}

static inline void failing_memory_at(long allocation) {
    failing_memory_countdown = allocation;
    failing_memory_hit = 0;
}

#endif
