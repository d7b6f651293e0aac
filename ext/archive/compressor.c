/* SPDX-License-Identifier: MIT
** A ring of frames and the threads that compress them (compressor.h).
**
** Jobs stand in a ring. From `taken` on they are submitted, from `claimed` on no thread has begun them, at
** `submitted` is the one being filled; the three only grow, and index the ring by their remainder. The
** mutex guards them and what the jobs say of being done. A job between claiming and done is its thread's
** alone; any other is the caller's.
*/
#define XXH_INLINE_ALL
#include "compressor.h"

#include "../base/memory.h"
#include "../crypto/hash.h"
#include "zstd_memory.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>
#ifdef __linux__
#include <sched.h>
#endif

enum { MAX_WINDOW_LOG = 23, WAIT_MS = 100 };

typedef struct slot {
    rbt_frame_job job;
    size_t result; /* of ZSTD_compress2 */
    bool done;
} slot;

/* One thread's. */
typedef struct worker {
    rbt_compressor *compressor;
    void *memory; /* that the context lies in: it never asks for more */
    ZSTD_CCtx *zstd;
    pthread_t thread;
} worker;

struct rbt_compressor {
    const char *who;
    int level;
    size_t context_size;
    unsigned limit; /* threads, at most */
    unsigned count; /* threads that run */
    bool alone;     /* no thread could be begun */
    worker workers[RBT_COMPRESSOR_MAX_THREADS];
    slot *slots;
    size_t slot_count;
    pthread_mutex_t mutex;
    pthread_cond_t work, finished;
    size_t taken, claimed, submitted;
    bool stop;
};

static unsigned processors(void) {
    long count = 0;
#ifdef __linux__
    cpu_set_t set; /* what a container or taskset leaves to this process */
    if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
#endif
    if (count < 1) count = sysconf(_SC_NPROCESSORS_ONLN);
    if (count < 1) return 1;
    return count < RBT_COMPRESSOR_MAX_THREADS ? (unsigned)count : RBT_COMPRESSOR_MAX_THREADS;
}

unsigned rbt_compressor_threads(const char *who, rbt_error *error) {
    const char *setting = getenv("RUSTYBT_THREADS");
    if (!setting || !setting[0]) return processors();
    char *end;
    errno = 0;
    long count = strtol(setting, &end, 10);
    if (errno == 0 && !*end && count >= 1 && count <= RBT_COMPRESSOR_MAX_THREADS)
        return (unsigned)count;
    rbt_fail(error, SQLITE_ERROR, "%s: RUSTYBT_THREADS must be 1 to %d, not '%.20s'", who,
             RBT_COMPRESSOR_MAX_THREADS, setting);
    return 0;
}

/* ---- Contexts ---- */

/* Bytes of a context for any text of a frame: small texts have parameters of their own. */
static size_t context_size(int level) {
    size_t most = 0;
    for (size_t text = RBT_FRAME_TEXT; text >= 4096; text /= 2) {
        size_t size = ZSTD_estimateCCtxSize_usingCParams(ZSTD_getCParams(level, text, 0));
        if (size > most) most = size;
    }
    return most;
}

static int make_context(rbt_compressor *c, worker *w, rbt_error *error) {
    if (w->zstd) return SQLITE_OK;
    w->compressor = c;
    w->memory = rbt_malloc(c->context_size);
    if (!w->memory) return rbt_fail_nomem(error);
    ZSTD_CCtx *zstd = ZSTD_initStaticCCtx(w->memory, c->context_size);
    /* Readers refuse more than 8 MiB of window; low levels keep their own, smaller one. */
    ZSTD_compressionParameters own = ZSTD_getCParams(c->level, RBT_FRAME_TEXT, 0);
    int window = own.windowLog < MAX_WINDOW_LOG ? (int)own.windowLog : MAX_WINDOW_LOG;
    if (!zstd || ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, c->level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, window)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 1)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1)))
        return rbt_fail(error, SQLITE_ERROR, "%s: zstd refused its parameters", c->who);
    w->zstd = zstd;
    return SQLITE_OK;
}

/* What is to be done for a frame, in whatever thread: the job's buffers are large enough. */
static void compress(slot *s, ZSTD_CCtx *zstd) {
    rbt_frame_job *job = &s->job;
    s->result = ZSTD_compress2(zstd, job->compressed.data, job->compressed.capacity, job->text.data,
                               job->text.length);
    if (ZSTD_isError(s->result)) return;
    job->compressed.length = s->result;
    job->checksum = (uint32_t)XXH64(job->text.data, job->text.length, 0);
    job->frame.raw = (int64_t)job->text.length;
    job->frame.size = (int64_t)s->result;
    job->frame.xxh3 = XXH3_64bits(job->compressed.data, s->result);
    job->frame.has_sha256 = true;
    rbt_sha256_once(job->frame.sha256, job->compressed.data, s->result);
}

/* ---- Threads ---- */

/* Of these calls none fails for a default mutex that is not held and conditions in use here alone. */

/* Waits, for WAIT_MS at most: no one may sleep on a signal for ever, for glibc before 2.41 can lose one
** (sourceware.org bug 25847). The mutex is held. */
static void wait_a_while(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    struct timespec until;
    if (clock_gettime(CLOCK_REALTIME, &until) != 0) until = (struct timespec){0};
    until.tv_nsec += WAIT_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(condition, mutex, &until);
}

static void *run_worker(void *context) {
    worker *w = context;
    rbt_compressor *c = w->compressor;
    pthread_mutex_lock(&c->mutex);
    for (;;) {
        while (!c->stop && c->claimed == c->submitted)
            wait_a_while(&c->work, &c->mutex);
        if (c->stop) break;
        slot *s = &c->slots[c->claimed++ % c->slot_count];
        pthread_mutex_unlock(&c->mutex);
        compress(s, w->zstd);
        pthread_mutex_lock(&c->mutex);
        s->done = true;
        pthread_cond_signal(&c->finished);
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

/* One thread more. It takes no signals: those are for the threads of the program we are in. */
static int begin_thread(rbt_compressor *c, rbt_error *error) {
    worker *w = &c->workers[c->count];
    if (make_context(c, w, error) != SQLITE_OK) return error->code;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&w->thread, NULL, run_worker, w) == 0)
        c->count++;
    else if (c->count == 0)
        c->alone = true;
    else
        c->limit = c->count;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return SQLITE_OK;
}

/* ---- The caller's side ---- */

rbt_compressor *rbt_compressor_new(const char *who, int level, unsigned threads, rbt_error *error) {
    rbt_compressor *c = rbt_calloc(sizeof *c);
    if (!c) {
        rbt_fail_nomem(error);
        return NULL;
    }
    c->who = who;
    c->level = level;
    c->limit = threads;
    c->alone = threads < 2;
    c->context_size = context_size(level);
    c->slot_count = c->alone ? 1 : 2 * (size_t)threads;
    c->slots = rbt_calloc(c->slot_count * sizeof *c->slots);
    if (!c->slots) {
        rbt_fail_nomem(error);
        rbt_free(c);
        return NULL;
    }
    pthread_mutex_init(&c->mutex, NULL); /* these three cannot fail in glibc, musl and macOS */
    pthread_cond_init(&c->work, NULL);
    pthread_cond_init(&c->finished, NULL);
    return c;
}

void rbt_compressor_free(rbt_compressor *c) {
    if (!c) return;
    pthread_mutex_lock(&c->mutex);
    c->stop = true;
    pthread_cond_broadcast(&c->work);
    pthread_mutex_unlock(&c->mutex);
    for (unsigned i = 0; i < c->count; i++)
        pthread_join(c->workers[i].thread, NULL);
    pthread_cond_destroy(&c->work);
    pthread_cond_destroy(&c->finished);
    pthread_mutex_destroy(&c->mutex);
    for (size_t i = 0; i < RBT_COMPRESSOR_MAX_THREADS; i++)
        rbt_free(c->workers[i].memory);
    for (size_t i = 0; i < c->slot_count; i++) {
        rbt_buffer_free(&c->slots[i].job.text);
        rbt_buffer_free(&c->slots[i].job.compressed);
    }
    rbt_free(c->slots);
    rbt_free(c);
}

rbt_frame_job *rbt_compressor_next(rbt_compressor *c) {
    if (c->submitted - c->taken == c->slot_count) return NULL;
    return &c->slots[c->submitted % c->slot_count].job;
}

int rbt_compressor_submit(rbt_compressor *c, bool more, rbt_error *error) {
    slot *s = &c->slots[c->submitted % c->slot_count];
    bool one = !more && c->submitted == 0; /* the segment's only frame */
    /* Else room for any frame at once: growing doubles. */
    size_t text = one ? s->job.text.length : RBT_FRAME_TEXT;
    rbt_buffer_clear(&s->job.compressed);
    if (!rbt_buffer_reserve(&s->job.compressed, ZSTD_compressBound(text)))
        return rbt_fail_nomem(error);
    s->done = false;
    if (!c->alone && !one && c->count < c->limit && begin_thread(c, error) != SQLITE_OK)
        return error->code;
    if (c->count == 0) {
        if (make_context(c, &c->workers[0], error) != SQLITE_OK) return error->code;
        compress(s, c->workers[0].zstd);
        s->done = true;
        c->claimed++;
        c->submitted++;
        return SQLITE_OK;
    }
    pthread_mutex_lock(&c->mutex);
    c->submitted++;
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->mutex);
    return SQLITE_OK;
}

bool rbt_compressor_empty(const rbt_compressor *c) {
    return c->taken == c->submitted;
}

/* Whether the slot is done, or becomes so soon. */
static bool wait_for(rbt_compressor *c, const slot *s) {
    pthread_mutex_lock(&c->mutex);
    if (!s->done) wait_a_while(&c->finished, &c->mutex);
    bool done = s->done;
    pthread_mutex_unlock(&c->mutex);
    return done;
}

rbt_frame_job *rbt_compressor_take(rbt_compressor *c, rbt_error *error) {
    slot *s = &c->slots[c->taken % c->slot_count];
    if (!wait_for(c, s)) return NULL;
    if (!ZSTD_isError(s->result)) return &s->job;
    rbt_fail(error, SQLITE_ERROR, "%s: zstd: %s", c->who, ZSTD_getErrorName(s->result));
    return NULL;
}

void rbt_compressor_recycle(rbt_compressor *c) {
    rbt_frame_job *job = &c->slots[c->taken % c->slot_count].job;
    rbt_buffer_clear(&job->text);
    job->frame = (rbt_manifest_frame){0};
    c->taken++;
}
