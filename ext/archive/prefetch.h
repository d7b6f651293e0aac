/* SPDX-License-Identifier: MIT
** Decodes the next frames of a scan in a thread while the caller reads the ones before. Frames come back
** in the order in which they were given. The thread does nothing but rbt_frame_decode: it allocates
** nothing, opens nothing, knows no connection, and every signal is blocked in it. Calls pthreads.
*/
#ifndef RBT_ARCHIVE_PREFETCH_H
#define RBT_ARCHIVE_PREFETCH_H

#include "frame.h"

/* Frames that may be under way at a time. With the one being read, a scan then holds three: about 14 MiB
** for frames of 4 MiB, and never more than 3 × (8 MiB of text, 9 MiB compressed, 4 bytes a line). */
enum { RBT_PREFETCH_DEPTH = 2 };

typedef struct rbt_prefetch rbt_prefetch;

/* The decoder is the thread's alone until rbt_prefetch_stop. NULL when there is one processor only, no
** memory, or no thread to be had: then the caller decodes by itself. In a child of fork(), which has no
** such thread, the calls below decode by themselves. */
rbt_prefetch *rbt_prefetch_start(struct ZSTD_DCtx_s *zstd);
/* Gives a prepared frame away until it is taken; at most RBT_PREFETCH_DEPTH at a time. */
void rbt_prefetch_give(rbt_prefetch *prefetch, rbt_frame *frame);
/* Waits for the frame that was given first; there must be one. */
rbt_frame *rbt_prefetch_take(rbt_prefetch *prefetch);
/* Waits for the frame at work, ends the thread and frees; NULL is fine. Frames that were given and not
** taken are the caller's again. */
void rbt_prefetch_stop(rbt_prefetch *prefetch);

#endif
