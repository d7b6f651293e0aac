/* SPDX-License-Identifier: MIT
** Compresses a segment's frames, several at a time, and gives them back in order. What comes out does not
** depend on the number of threads.
**
**     rbt_frame_job *job = rbt_compressor_next(c);      an empty one to fill; NULL: take one first
**     rbt_compressor_submit(c, more, error);            that one is full
**     job = rbt_compressor_take(c, error);              the oldest submitted, once it is done; NULL:
**                                                       not yet (after 100 ms at most), or the error
**     rbt_compressor_recycle(c);                        the taken one may be filled anew
**
** All memory is the calling thread's: the others only read and write what a job holds, and call neither
** SQLite nor its allocator. For each thread there are one zstd context and two jobs, of a frame's text and
** as much for what it is compressed to: 52 + 2 * 8 MiB at level 19. With one thread, and for a segment of
** one frame, everything is done by the calling thread.
**
** Calls base, crypto's hash, zstd, xxHash, POSIX threads.
*/
#ifndef RBT_ARCHIVE_COMPRESSOR_H
#define RBT_ARCHIVE_COMPRESSOR_H

#include "manifest.h"

enum { RBT_COMPRESSOR_MAX_THREADS = 64 };

/* One frame on its way from lines to bytes. */
typedef struct rbt_frame_job {
    rbt_buffer text;
    rbt_buffer compressed;
    rbt_manifest_frame
        frame;         /* size, raw and hashes are set by the compressor, the rest is not its */
    uint32_t checksum; /* low half of XXH64 of the text */
} rbt_frame_job;

typedef struct rbt_compressor rbt_compressor;

/* The processors that this process may use, or as many as RUSTYBT_THREADS says: 1 to 64. 0 and an error
** that begins with who when that is no such number. */
unsigned rbt_compressor_threads(const char *who, rbt_error *error);

/* level: 1 to ZSTD_maxCLevel(). NULL and an error that begins with who (borrowed). */
rbt_compressor *rbt_compressor_new(const char *who, int level, unsigned threads, rbt_error *error);
/* Waits for frames that are being compressed; NULL is fine. */
void rbt_compressor_free(rbt_compressor *compressor);

rbt_frame_job *rbt_compressor_next(rbt_compressor *compressor);
/* more: another one will follow. */
int rbt_compressor_submit(rbt_compressor *compressor, bool more, rbt_error *error);
bool rbt_compressor_empty(const rbt_compressor *compressor); /* none is submitted */
rbt_frame_job *rbt_compressor_take(rbt_compressor *compressor, rbt_error *error);
void rbt_compressor_recycle(rbt_compressor *compressor);

#endif
