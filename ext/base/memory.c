/* SPDX-License-Identifier: MIT
** Wiping memory. Calls nobody.
*/
#include "memory.h"

void rbt_wipe(void *memory, size_t size) {
    if (size == 0) return;
    memset(memory, 0, size);
    /* To the compiler this statement may read all memory, so the memset is no dead store. */
    __asm__ __volatile__("" : : "r"(memory) : "memory");
}
