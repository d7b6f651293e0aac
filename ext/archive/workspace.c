/* SPDX-License-Identifier: MIT
** Decoders and memory for frames (workspace.h).
*/
#include "workspace.h"

#include "../base/memory.h"
#include "zstd_memory.h"

struct ZSTD_DCtx_s *rbt_decoder_new(void) {
    struct ZSTD_DCtx_s *zstd = ZSTD_createDCtx_advanced(rbt_zstd_memory());
    if (!zstd ||
        !ZSTD_isError(ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax, RBT_WINDOW_MAX_LOG)))
        return zstd;
    ZSTD_freeDCtx(zstd);
    return NULL;
}

static void free_workspace(rbt_workspace *workspace) {
    if (!workspace) return;
    for (size_t i = 0; i < RBT_WORKSPACE_FRAMES; i++)
        rbt_frame_free(&workspace->frames[i]);
    ZSTD_freeDCtx(workspace->zstd);
    rbt_free(workspace);
}

rbt_workspace *rbt_workspace_take(rbt_connection *connection) {
    if (connection && connection->workspace) {
        rbt_workspace *kept = connection->workspace;
        connection->workspace = NULL;
        return kept;
    }
    rbt_workspace *workspace = rbt_calloc(sizeof *workspace);
    if (!workspace) return NULL;
    workspace->zstd = rbt_decoder_new();
    if (workspace->zstd) return workspace;
    rbt_free(workspace);
    return NULL;
}

void rbt_workspace_give_back(rbt_connection *connection, rbt_workspace *workspace) {
    if (!workspace) return;
    size_t bytes = ZSTD_sizeof_DCtx(workspace->zstd);
    for (size_t i = 0; i < RBT_WORKSPACE_FRAMES; i++) {
        const rbt_frame *frame = &workspace->frames[i];
        bytes += frame->text.capacity + frame->compressed.capacity +
                 frame->line_capacity * sizeof *frame->line_starts;
    }
    if (!connection || connection->workspace || bytes > RBT_WORKSPACE_KEPT) {
        free_workspace(workspace);
        return;
    }
    connection->workspace = workspace;
    connection->free_workspace = free_workspace;
}
