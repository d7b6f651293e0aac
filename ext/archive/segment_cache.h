/* SPDX-License-Identifier: MIT
** What a connection has read of segments, kept so that a query need not read and check every manifest
** again. A file is known again by path, device, inode, size and times of change. Nothing is believed for
** being kept: when other keys are trusted than before, signatures are checked anew, and frames are held
** against the manifest that was signed.
**
** Manifests are kept up to RBT_CACHE_MANIFESTS bytes; a random one gives way (the one that was not used
** for longest is just what is needed next, when more segments than fit are read in turn). Summaries are
** kept of RBT_CACHE_SEGMENTS segments. Calls the segment reader and base.
*/
#ifndef RBT_ARCHIVE_SEGMENT_CACHE_H
#define RBT_ARCHIVE_SEGMENT_CACHE_H

#include "../base/connection.h"
#include "member.h"

enum {
    RBT_CACHE_MANIFESTS = 64 * 1024 * 1024, /* bytes, parsed form included */
    RBT_CACHE_SEGMENTS = 16384              /* about 1 KiB each */
};

/* As rbt_segment_open, but what was read of the segment may be shared with the cache: it must not be
** changed, and the connection must outlive it. connection may be NULL. */
int rbt_segment_open_kept(rbt_segment *segment, rbt_connection *connection, const char *who,
                          const char *path, rbt_problems *problems, rbt_error *error);

/* As rbt_segment_check_signature; what the same verifiers found valid before is not calculated again. */
int rbt_segment_check_kept(rbt_segment *segment, const rbt_verifier *verifiers, size_t count,
                           rbt_problems *problems, rbt_error *error);

/* What is known of a file that rbt_segment_check_kept found valid and that is still the same: its summary,
** which is borrowed until the next call. NULL when nothing is known, or on an error (no such file). */
const rbt_member *rbt_segment_known(rbt_connection *connection, const char *who, const char *path,
                                    rbt_error *error);
/* Whether just these verifiers were asked when it was found valid. */
bool rbt_segment_known_to(const rbt_member *known, const rbt_verifier *verifiers, size_t count);

#endif
