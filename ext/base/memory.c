/* SPDX-License-Identifier: MIT
** Wiping memory. Calls SQLite's allocator, which knows how long a block is.
*/
#include "memory.h"

void rbt_wipe(void *memory, size_t size) {
    if (size == 0) return;
    memset(memory, 0, size);
    /* To the compiler this statement may read all memory, so the memset is no dead store. */
    __asm__ __volatile__("" : : "r"(memory) : "memory");
}

void rbt_secret_free(void *memory) {
    if (memory == NULL) return;
    rbt_wipe(memory, (size_t)sqlite3_msize(memory));
    rbt_free(memory);
}
