/* SPDX-License-Identifier: MIT
** Writes a segment's bytes: data frames, the signed manifest, the seek
** table (DESIGN §7). Where the file goes, and that it appears whole or not at all, is store.c's
** business. Calls base's file seam, crypto's notes, audit's leaf and tree, zstd.
*/
#ifndef RBT_ARCHIVE_SEGMENT_WRITER_H
#define RBT_ARCHIVE_SEGMENT_WRITER_H

#include "../audit/segment_store.h"

/* Writes all lines of the source to `file`, which is empty and open at path. The lines must be
** exactly the plan's: leaves first_id to last_id in order (0: the genesis), leading to
** expected_root; else SQLITE_CORRUPT_VTAB and a message that begins with plan->who. Not synced, not
** closed. */
int rbt_segment_write(const rbt_segment_plan *plan, const char *path, int file,
                      const rbt_hash *expected_root, rbt_line_source source, void *source_context,
                      rbt_segment_summary *summary, rbt_error *error);

#endif
