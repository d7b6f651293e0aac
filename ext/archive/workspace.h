/* SPDX-License-Identifier: MIT
** What decoding takes: a decoder, and memory for the frames of one scan. The connection keeps one that is
** not in use, so that a scan of many segments, or the next query, need not ask for megabytes again.
*/
#ifndef RBT_ARCHIVE_WORKSPACE_H
#define RBT_ARCHIVE_WORKSPACE_H

#include "../base/connection.h"
#include "prefetch.h"

enum {
    RBT_WORKSPACE_FRAMES = RBT_PREFETCH_DEPTH + 1,
    RBT_WORKSPACE_KEPT = 16 * 1024 * 1024 /* bytes; one that has grown larger is freed after use */
};

typedef struct rbt_workspace {
    struct ZSTD_DCtx_s *zstd;
    rbt_frame frames[RBT_WORKSPACE_FRAMES];
} rbt_workspace;

/* The connection's, if it is not in use, or a new one; NULL when out of memory. connection may be NULL. */
rbt_workspace *rbt_workspace_take(rbt_connection *connection);
void rbt_workspace_give_back(rbt_connection *connection,
                             rbt_workspace *workspace); /* NULL is fine */

/* A decoder within the format's limits; NULL when out of memory. */
struct ZSTD_DCtx_s *rbt_decoder_new(void);

#endif
