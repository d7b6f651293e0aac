/* SPDX-License-Identifier: MIT
** A reserve of random bytes for hedged nonces. Offers nonce_random.h; calls libsodium, base and Linux.
**
** Where the kernel switches page tables to guard against the processor (Meltdown and its kin), one
** getrandom takes as long as the rest of an encryption. So it is asked for 64 nonces at once.
**
** Why that is safe: a hedged nonce is a keyed hash of these bytes and of all that is encrypted, so they
** need not be secret, and should they repeat (a virtual machine restored from a snapshot), the same value
** in the same place in the same second gives the same token, and that is all. They do not repeat when
** the process forks: the reserve is a page that the kernel wipes in the child (madvise(2),
** MADV_WIPEONFORK), which so finds it empty. Where that is not to be had, no reserve is kept.
*/
#include "nonce_random.h"

#include "../base/memory.h"
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef MADV_WIPEONFORK
#include <sys/random.h>
#endif

enum { PIECE = 32 };

#ifdef MADV_WIPEONFORK

enum { PAGE = 4096, PIECES = 64 };

/* All zero, as at first and in a child, is: not in use and empty. */
typedef struct nonce_reserve {
    atomic_bool in_use;
    uint32_t left; /* pieces not handed out yet; the last goes first */
    uint8_t pieces[PIECES][PIECE];
} nonce_reserve;

/* Alone on its page, since all of the page is wiped. */
static _Alignas(PAGE) union {
    nonce_reserve reserve;
    uint8_t page[PAGE];
} shared;
_Static_assert(sizeof shared == PAGE, "the reserve fits a page");

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool wiped_in_child;

static void prepare(void) {
    /* Some emulators nod at any advice and do nothing; they give themselves away by nodding at -1. */
    wiped_in_child = sysconf(_SC_PAGESIZE) == PAGE && madvise(&shared, PAGE, -1) != 0 &&
                     madvise(&shared, PAGE, MADV_WIPEONFORK) == 0;
}

/* libsodium asks the kernel for 256 bytes at a time; more in one call may be cut short by a signal. A
** source that was put in the place of libsodium's own is the one to ask. */
static void fill(void *bytes, size_t size) {
    bool own_source = strcmp(randombytes_implementation_name(), "sysrandom") == 0;
    if (!own_source || getrandom(bytes, size, 0) != (ssize_t)size) randombytes_buf(bytes, size);
}

/* False when there is no reserve or another thread is at it: who does not wait needs no lock, and none
** can be left held in a child. */
static bool take(uint8_t random[PIECE]) {
    nonce_reserve *reserve = &shared.reserve;

    pthread_once(&once, prepare); /* fails for invalid arguments alone */
    if (!wiped_in_child) return false;
    if (atomic_exchange_explicit(&reserve->in_use, true, memory_order_acquire)) return false;
    uint32_t left = reserve->left;
    if (left == 0) {
        fill(reserve->pieces, sizeof reserve->pieces);
        left = PIECES;
    }
    reserve->left = --left;
    memcpy(random, reserve->pieces[left], PIECE);
    rbt_wipe(reserve->pieces[left], PIECE);
    atomic_store_explicit(&reserve->in_use, false, memory_order_release);
    return true;
}

#else

static bool take(uint8_t random[PIECE]) {
    (void)random;
    return false;
}

#endif

void rbt_nonce_random(uint8_t random[32]) {
    if (!take(random)) randombytes_buf(random, PIECE);
}
