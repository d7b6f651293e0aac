/* SPDX-License-Identifier: MIT
** Goes through a segment frame by frame from its start, for files whose seek table is missing or
** damaged: to say where the file ends, and to find the manifest all the same.
*/
#ifndef RBT_ARCHIVE_SEGMENT_WALK_H
#define RBT_ARCHIVE_SEGMENT_WALK_H

#include "segment_reader.h"

typedef struct rbt_segment_place {
    int64_t offset, size; /* bytes; size 0: not found */
} rbt_segment_place;

/* Reports why the seek table cannot be used (`why`, from the reader), as exactly as the frames tell, and
** gives the place of the manifest's frame if there is one, also behind frames that cannot be passed. */
int rbt_segment_walk(rbt_segment *segment, const char *why, rbt_segment_place *manifest,
                     rbt_problems *problems, rbt_error *error);

#endif
