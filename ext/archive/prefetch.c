/* SPDX-License-Identifier: MIT
** A thread that decodes frames (prefetch.h).
*/
#include "prefetch.h"

#include "../base/memory.h"
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

struct rbt_prefetch {
    pthread_t thread;
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t given_one, decoded_one;
    rbt_frame *frames[RBT_PREFETCH_DEPTH]; /* frame n of the scan is in n % RBT_PREFETCH_DEPTH */
    uint64_t given, decoded, taken;        /* counts of frames; taken ≤ decoded ≤ given */
    bool stop;
    struct ZSTD_DCtx_s *zstd;
    pid_t owner; /* a child of fork() has no such thread, and the mutex as it happened to be */
};

static bool is_child(const rbt_prefetch *p) {
    return getpid() != p->owner;
}

static bool has_second_processor(void) {
#ifdef __linux__
    cpu_set_t mine; /* a container or taskset may leave fewer than the machine has */
    if (sched_getaffinity(0, sizeof mine, &mine) == 0) return CPU_COUNT(&mine) > 1;
#endif
    return sysconf(_SC_NPROCESSORS_ONLN) > 1;
}

static void *decode_frames(void *argument) {
    rbt_prefetch *p = argument;
    pthread_mutex_lock(&p->mutex); /* a default mutex, never held twice: cannot fail */
    for (;;) {
        while (!p->stop && p->decoded == p->given)
            pthread_cond_wait(&p->given_one, &p->mutex);
        if (p->stop) break;
        rbt_frame *frame = p->frames[p->decoded % RBT_PREFETCH_DEPTH];
        pthread_mutex_unlock(&p->mutex);
        rbt_frame_decode(frame, p->zstd);
        pthread_mutex_lock(&p->mutex);
        p->decoded++;
        pthread_cond_signal(&p->decoded_one);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

/* Signals are for the program's own threads: a handler must not run on ours. */
static bool start_thread(rbt_prefetch *p) {
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return false;
    bool started = pthread_create(&p->thread, NULL, decode_frames, p) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL); /* a mask that was in force cannot be refused */
    return started;
}

static void free_prefetch(rbt_prefetch *p) {
    pthread_cond_destroy(&p->decoded_one);
    pthread_cond_destroy(&p->given_one);
    pthread_mutex_destroy(&p->mutex);
    rbt_free(p);
}

rbt_prefetch *rbt_prefetch_start(struct ZSTD_DCtx_s *zstd) {
    if (!has_second_processor()) return NULL;
    rbt_prefetch *p = rbt_calloc(sizeof *p);
    if (!p) return NULL;
    p->zstd = zstd;
    p->owner = getpid();
    /* with default attributes these take no resource that could be missing on any supported system */
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->given_one, NULL);
    pthread_cond_init(&p->decoded_one, NULL);
    if (start_thread(p)) return p;
    free_prefetch(p);
    return NULL;
}

void rbt_prefetch_give(rbt_prefetch *p, rbt_frame *frame) {
    if (is_child(p)) {
        p->frames[p->given++ % RBT_PREFETCH_DEPTH] = frame;
        return;
    }
    pthread_mutex_lock(&p->mutex);
    p->frames[p->given++ % RBT_PREFETCH_DEPTH] = frame;
    pthread_cond_signal(&p->given_one);
    pthread_mutex_unlock(&p->mutex);
}

rbt_frame *rbt_prefetch_take(rbt_prefetch *p) {
    if (is_child(
            p)) { /* the thread may have been in the midst of the frame: once more from the start */
        rbt_frame *own = p->frames[p->taken++ % RBT_PREFETCH_DEPTH];
        rbt_frame_decode(own, p->zstd);
        return own;
    }
    pthread_mutex_lock(&p->mutex);
    while (p->decoded == p->taken)
        pthread_cond_wait(&p->decoded_one, &p->mutex);
    rbt_frame *frame = p->frames[p->taken++ % RBT_PREFETCH_DEPTH];
    pthread_mutex_unlock(&p->mutex);
    return frame;
}

void rbt_prefetch_stop(rbt_prefetch *p) {
    if (!p) return;
    if (is_child(p)) {
        rbt_free(p); /* no thread to wait for, and none that the conditions could be taken from */
        return;
    }
    pthread_mutex_lock(&p->mutex);
    p->stop = true;
    pthread_cond_signal(&p->given_one);
    pthread_mutex_unlock(&p->mutex);
    pthread_join(p->thread, NULL); /* our own, running, joined once */
    free_prefetch(p);
}
