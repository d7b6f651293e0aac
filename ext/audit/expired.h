/* SPDX-License-Identifier: MIT
** Segments that have expired: their entries are gone for good, as the log's retain says. What remains is
** the record (status 'expired') and, in <log>_meta, what the rest of the log needs of them:
**
**   expired/<first id, 20 digits>            BLOB: leaf hashes of the segment's first and last block of
**                                            256 as far as it holds only a part of them (below)
**   expired_manifest/<first id, 20 digits>   BLOB: the manifest, as it was signed
**   expired_note/<first id, 20 digits>       TEXT: its note
**
** A block of 256 leaves that a live and an expired segment share is thus still whole: proofs of the live
** entries, and roots of the sizes within, need the hashes of their expired neighbours.
**
** A mark alone is not believed, since whoever edits the file could hide entries with it: rustybt_events
** must tell of the expiry (segment_events.h, action 'expired'). Its own log never expires. May call base
** and audit.
*/
#ifndef RBT_AUDIT_EXPIRED_H
#define RBT_AUDIT_EXPIRED_H

#include "log_state.h"

typedef struct rbt_expired_segment {
    int64_t first_id, last_id;
} rbt_expired_segment;

/* By id. Starts as {0}. */
typedef struct rbt_expired {
    rbt_expired_segment *segments;
    size_t count, capacity;
} rbt_expired;

/* The expired segments of a peeked log. A mark that rustybt_events does not tell of is an error
** (SQLITE_CORRUPT_VTAB). Nothing but one look at the records when there is none. */
int rbt_expired_read(rbt_expired *expired, rbt_log *log, rbt_error *error);
void rbt_expired_free(rbt_expired *expired);
/* The segment that held the entry; NULL when that has not expired. */
const rbt_expired_segment *rbt_expired_find(const rbt_expired *expired, int64_t id);
/* How many entries are gone; the genesis, which is none, stays. */
int64_t rbt_expired_entries(const rbt_expired *expired);

/* Fails, saying so, when entry id has expired: for what asks for its text or its hash. */
int rbt_expired_refuse(rbt_log *log, int64_t id, rbt_error *error);

/* Keeps what the log needs of a segment that is about to expire: its kept hashes (read through the tree,
** so from the segment), manifest and note. In the transaction that marks it. */
int rbt_expired_keep(rbt_log *log, int64_t first_id, int64_t last_id, const rbt_buffer *manifest,
                     const rbt_buffer *note, rbt_error *error);
/* The kept manifest and note; empty when they are missing. */
int rbt_expired_kept(rbt_log *log, int64_t first_id, rbt_buffer *manifest, rbt_buffer *note,
                     rbt_error *error);
/* Fills hashes[id - 256 * block] from what was kept of expired segments; adds their number to *filled.
** hashes has room for 256. */
int rbt_expired_fill_block(rbt_log *log, uint64_t block, rbt_hash *hashes, size_t *filled,
                           rbt_error *error);

#endif
