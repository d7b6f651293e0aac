/* SPDX-License-Identifier: MIT
** A segment in a few hundred bytes: what remains of it once it is closed, enough to sort it among others
** and to see that a query needs nothing of it.
*/
#ifndef RBT_ARCHIVE_MEMBER_H
#define RBT_ARCHIVE_MEMBER_H

#include "segment_reader.h"

typedef struct rbt_member {
    char *path;
    char *log;
    char *origin;
    uint8_t log_id[16];
    int64_t first_id, last_id;
    int64_t first_time, last_time; /* least and greatest recorded_at, as the zones have it */
    int64_t raw_bytes;
    rbt_hash root_before, root_after;
    uint8_t manifest_sha256[32];
    bool has_previous;
    uint8_t previous_sha256[32];
    rbt_verifier signer;
} rbt_member;

/* Of a readable segment. False when out of memory; free it in any case. */
bool rbt_member_make(rbt_member *member, const rbt_segment *segment);
bool rbt_member_copy(rbt_member *member, const rbt_member *from);
void rbt_member_free(rbt_member *member);

/* Whether none of its entries can satisfy all terms, as far as these speak of id and recorded_at. */
bool rbt_member_excluded(const rbt_member *member, const rbt_zone_term *terms, size_t count);

#endif
