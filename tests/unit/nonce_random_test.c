/* SPDX-License-Identifier: MIT
** Random bytes for nonces: none comes twice, not from one thread, not from several at once, and not in
** a process and its child, which inherits what was in reserve.
*/
#include "tap.h"

#include "crypto/nonce_random.h"
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

/* More than are taken from the kernel at once, and no multiple of it. */
enum { PIECE = 32, FEW = 100, THREADS = 4, EACH = 5000 };

typedef uint8_t piece[PIECE];

static int compare(const void *a, const void *b) {
    return memcmp(a, b, PIECE);
}

/* Sorts them. */
static bool all_differ(piece *pieces, size_t count) {
    qsort(pieces, count, PIECE, compare);
    for (size_t i = 1; i < count; i++)
        if (memcmp(pieces[i - 1], pieces[i], PIECE) == 0) return false;
    return true;
}

static void take(piece *pieces, size_t count) {
    for (size_t i = 0; i < count; i++)
        rbt_nonce_random(pieces[i]);
}

static void test_one_thread(void) {
    piece pieces[FEW], unset = {0};
    uint8_t all_bits = 0;
    take(pieces, FEW);
    for (int i = 0; i < FEW; i++)
        all_bits |= pieces[i][PIECE - 1];
    ok(all_differ(pieces, FEW), "a hundred in a row all differ");
    ok(memcmp(pieces[0], unset, PIECE) != 0, "none is all zero");
    is_int(all_bits, 255, "each is filled to its last byte");
}

static piece by_thread[THREADS][EACH];

static void *take_many(void *pieces) {
    take(pieces, EACH);
    return NULL;
}

static void test_threads(void) {
    pthread_t threads[THREADS];
    int started = 0, joined = 0;
    for (int i = 0; i < THREADS; i++)
        started += pthread_create(&threads[i], NULL, take_many, by_thread[i]) == 0;
    for (int i = 0; i < started; i++)
        joined += pthread_join(threads[i], NULL) == 0;
    is_int(joined, THREADS, "four threads take at once");
    ok(all_differ(by_thread[0], (size_t)THREADS * EACH), "what they got all differs");
}

/* Both go on from the same state; a reserve that the child kept would show here. */
static void test_fork(void) {
    static piece taken[2][FEW]; /* the parent's, the child's */
    int ends[2], status = -1;
    take(taken[0], 1); /* so that something is in reserve */
    if (pipe(ends) != 0) {
        ok(0, "a pipe opens");
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        take(taken[1], FEW);
        _exit(write(ends[1], taken[1], sizeof taken[1]) == (ssize_t)sizeof taken[1] ? 0 : 1);
    }
    close(ends[1]);
    take(taken[0], FEW);
    bool heard = read(ends[0], taken[1], sizeof taken[1]) == (ssize_t)sizeof taken[1];
    close(ends[0]);
    ok(waitpid(child, &status, 0) == child && status == 0 && heard, "a child takes its own");
    ok(all_differ(taken[0], (size_t)2 * FEW), "what it got is nothing that the parent gets");
}

int main(void) {
    plan(7);
    if (sodium_init() < 0) return 1;
    test_one_thread();
    test_threads();
    test_fork();
    return done();
}
