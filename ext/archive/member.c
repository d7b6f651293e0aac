/* SPDX-License-Identifier: MIT
** Summaries of segments (member.h).
*/
#include "member.h"

#include "../base/memory.h"
#include "zone.h"

static bool take_texts(rbt_member *member, const char *path, const char *log, const char *origin) {
    member->path = rbt_strdup(path);
    member->log = rbt_strdup(log);
    member->origin = rbt_strdup(origin);
    return member->path && member->log && member->origin;
}

/* A frame whose zones do not tell may hold any time. */
static void take_times(rbt_member *member, const rbt_manifest *manifest) {
    member->first_time = INT64_MAX;
    member->last_time = INT64_MIN;
    for (size_t i = 0; i < manifest->frame_count; i++) {
        int64_t min = INT64_MIN, max = INT64_MAX;
        rbt_zones_times(&manifest->document, manifest->frames[i].zones, &min, &max);
        if (min < member->first_time) member->first_time = min;
        if (max > member->last_time) member->last_time = max;
    }
}

bool rbt_member_make(rbt_member *member, const rbt_segment *segment) {
    const rbt_manifest *manifest = &segment->manifest;
    *member = (rbt_member){
        .first_id = manifest->first_id,
        .last_id = manifest->last_id,
        .raw_bytes = manifest->raw_bytes,
        .root_before = manifest->root_before,
        .root_after = manifest->root_after,
        .has_previous = manifest->has_previous,
        .signer = segment->signer,
    };
    memcpy(member->log_id, manifest->log_id, sizeof member->log_id);
    memcpy(member->manifest_sha256, segment->manifest_sha256, sizeof member->manifest_sha256);
    memcpy(member->previous_sha256, manifest->previous_sha256, sizeof member->previous_sha256);
    take_times(member, manifest);
    return take_texts(member, segment->path, manifest->log, manifest->origin);
}

bool rbt_member_copy(rbt_member *member, const rbt_member *from) {
    *member = *from;
    return take_texts(member, from->path, from->log, from->origin);
}

void rbt_member_free(rbt_member *member) {
    rbt_free(member->path);
    rbt_free(member->log);
    rbt_free(member->origin);
    *member = (rbt_member){0};
}

bool rbt_member_excluded(const rbt_member *member, const rbt_zone_term *terms, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (terms[i].column == RBT_SCAN_ID &&
            rbt_range_excludes(member->first_id, member->last_id, &terms[i]))
            return true;
        if (terms[i].column == RBT_SCAN_RECORDED_AT &&
            rbt_range_excludes(member->first_time, member->last_time, &terms[i]))
            return true;
    }
    return false;
}
