/* SPDX-License-Identifier: MIT
** One frame of a segment on its way from bytes to lines: what can be done by any thread, since nothing
** here allocates, reads a file or calls SQLite. The reader (segment_reader.h) prepares a frame and tells
** what is wrong with it. Calls crypto's hash and zstd.
*/
#ifndef RBT_ARCHIVE_FRAME_H
#define RBT_ARCHIVE_FRAME_H

#include "manifest.h"
#include <stdatomic.h>

struct ZSTD_DCtx_s;

enum { RBT_WINDOW_MAX_LOG = 23 }; /* 8 MiB */

typedef struct rbt_frame {
    /* Prepared by the reader. */
    const rbt_manifest_frame *listed;
    bool has_checksum;
    uint32_t checksum;     /* the seek table's: low half of XXH64 of the text */
    rbt_buffer compressed; /* its bytes in the file */
    rbt_buffer text;       /* listed->raw bytes are reserved */
    bool wants_lines;
    uint32_t *line_starts; /* if they are wanted: room for listed->rows + 1 */
    size_t line_capacity;
    /* Found by rbt_frame_decode. */
    bool same;              /* the bytes are those that were signed */
    const char *why;        /* NULL: text holds the frame's text; else why there is none */
    bool checksum_differs;  /* from the seek table's */
    int64_t wrong_line;     /* the first that is not {"id":<its id>,…, counted from 0; -1: none */
    bool lines_follow_last; /* there is more behind the last line */
} rbt_frame;

void rbt_frame_free(rbt_frame *frame);

/* Checks the hashes and decodes; then, if lines are wanted and there is a text, finds where each
** begins: line i from line_starts[i] up to its newline, before line_starts[i + 1]. */
void rbt_frame_decode(rbt_frame *frame, struct ZSTD_DCtx_s *zstd);

/* How many frames were decoded since the process began: for tests of what a query
** reads. */
extern atomic_ullong rbt_frames_decoded;

#endif
