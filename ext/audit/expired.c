/* SPDX-License-Identifier: MIT
** See expired.h.
*/
#include "expired.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "events.h"
#include "segment_events.h"
#include "storage.h"

enum { KEY_SIZE = 48 };

static const char *key_of(char key[KEY_SIZE], const char *prefix, int64_t first_id) {
    return sqlite3_snprintf(KEY_SIZE, key, "%s/%020lld", prefix, (long long)first_id);
}

void rbt_expired_free(rbt_expired *expired) {
    rbt_free(expired->segments);
    *expired = (rbt_expired){0};
}

static int add_segment(rbt_expired *expired, int64_t first_id, int64_t last_id, rbt_error *error) {
    if (expired->count == expired->capacity) {
        size_t capacity = expired->capacity ? 2 * expired->capacity : 16;
        rbt_expired_segment *grown = rbt_realloc(expired->segments, capacity * sizeof *grown);
        if (!grown) return rbt_fail_nomem(error);
        expired->segments = grown;
        expired->capacity = capacity;
    }
    expired->segments[expired->count++] = (rbt_expired_segment){first_id, last_id};
    return SQLITE_OK;
}

static int read_marks(rbt_expired *expired, rbt_log *log, sqlite3_stmt *marks, rbt_error *error) {
    rbt_segment_events events = {0};
    bool own = sqlite3_stricmp(log->name, RBT_EVENTS_LOG) == 0;
    if (!own) rbt_segment_events_read(&events, log, "expired", log->name, error);
    do {
        int64_t first_id = sqlite3_column_int64(marks, 0), last_id = sqlite3_column_int64(marks, 1);
        const void *manifest = sqlite3_column_blob(marks, 2);
        if (error->code != SQLITE_OK) break;
        if (own || !manifest || sqlite3_column_bytes(marks, 2) != 32 || last_id < first_id ||
            last_id > log->pruned_to || !rbt_segment_event_of(&events, first_id, last_id, manifest))
            rbt_fail(error, SQLITE_CORRUPT_VTAB,
                     "%s: the segment of entries %lld to %lld is marked as expired, "
                     "which " RBT_EVENTS_LOG " does not tell of",
                     log->name, (long long)first_id, (long long)last_id);
        else
            add_segment(expired, first_id, last_id, error);
    } while (error->code == SQLITE_OK && sqlite3_step(marks) == SQLITE_ROW);
    rbt_segment_events_free(&events);
    return error->code;
}

int rbt_expired_read(rbt_expired *expired, rbt_log *log, rbt_error *error) {
    sqlite3_stmt *marks = rbt_prepare(log->db, error, log->name,
                                      "SELECT first_id, last_id, manifest_sha256 FROM "
                                      "\"%w\".\"%w_segments\" WHERE status = 'expired' "
                                      "ORDER BY first_id",
                                      log->schema, log->name);
    if (!marks) return error->code;
    if (sqlite3_step(marks) == SQLITE_ROW) read_marks(expired, log, marks, error);
    if (sqlite3_finalize(marks) != SQLITE_OK && error->code == SQLITE_OK)
        rbt_fail_db(error, log->db, log->name);
    if (error->code != SQLITE_OK) rbt_expired_free(expired);
    return error->code;
}

const rbt_expired_segment *rbt_expired_find(const rbt_expired *expired, int64_t id) {
    for (size_t i = 0; i < expired->count; i++)
        if (expired->segments[i].first_id <= id && id <= expired->segments[i].last_id)
            return &expired->segments[i];
    return NULL;
}

int64_t rbt_expired_entries(const rbt_expired *expired) {
    int64_t entries = 0;
    for (size_t i = 0; i < expired->count; i++)
        entries += expired->segments[i].last_id - expired->segments[i].first_id +
                   (expired->segments[i].first_id > 0);
    return entries;
}

int rbt_expired_refuse(rbt_log *log, int64_t id, rbt_error *error) {
    rbt_expired expired = {0};
    if (rbt_expired_read(&expired, log, error) != SQLITE_OK) return error->code;
    const rbt_expired_segment *segment = rbt_expired_find(&expired, id);
    if (segment)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: entry %lld has expired, with entries %lld to %lld: only their signed "
                 "manifest is kept",
                 log->name, (long long)id,
                 (long long)(segment->first_id > 0 ? segment->first_id : 1),
                 (long long)segment->last_id);
    rbt_expired_free(&expired);
    return error->code;
}

/* A run of ids whose hashes are kept. */
typedef struct run {
    int64_t first, last;
} run;

/* The runs of a segment: its part of the block it begins in, and of the block it ends in, where those are
** not its own alone. Their number, 0 to 2. */
static int kept_runs(int64_t first_id, int64_t last_id, run runs[2]) {
    const int64_t block = RBT_TILE_HASHES;
    int count = 0;
    int64_t first_end = (first_id / block + 1) * block - 1, last_start = last_id / block * block;
    bool head = first_id % block != 0, tail = (last_id + 1) % block != 0;
    if (head) runs[count++] = (run){first_id, first_end < last_id ? first_end : last_id};
    if (tail && (!head || last_start > first_end))
        runs[count++] = (run){last_start > first_id ? last_start : first_id, last_id};
    return count;
}

int rbt_expired_keep(rbt_log *log, int64_t first_id, int64_t last_id, const rbt_buffer *manifest,
                     const rbt_buffer *note, rbt_error *error) {
    char key[KEY_SIZE];
    run runs[2];
    rbt_buffer hashes = {0};
    int count = kept_runs(first_id, last_id, runs);
    for (int i = 0; i < count; i++) {
        for (int64_t id = runs[i].first; id <= runs[i].last && error->code == SQLITE_OK; id++) {
            rbt_hash hash;
            if (rbt_log_node(log, 0, (uint64_t)id, &hash, error) == SQLITE_OK)
                rbt_buffer_add(&hashes, hash.bytes, sizeof hash.bytes);
        }
    }
    if (hashes.failed) rbt_fail_nomem(error);
    if (error->code == SQLITE_OK)
        rbt_log_meta_set_bytes(log, key_of(key, "expired", first_id),
                               hashes.data ? hashes.data : (const uint8_t *)"", hashes.length,
                               false, error);
    rbt_log_meta_set_bytes(log, key_of(key, "expired_manifest", first_id), manifest->data,
                           manifest->length, false, error);
    rbt_log_meta_set_bytes(log, key_of(key, "expired_note", first_id), note->data, note->length,
                           true, error);
    rbt_buffer_free(&hashes);
    return error->code;
}

int rbt_expired_kept(rbt_log *log, int64_t first_id, rbt_buffer *manifest, rbt_buffer *note,
                     rbt_error *error) {
    char key[KEY_SIZE];
    bool found;
    rbt_log_meta_bytes(log, key_of(key, "expired_manifest", first_id), manifest, &found, error);
    return rbt_log_meta_bytes(log, key_of(key, "expired_note", first_id), note, &found, error);
}

static int fill_from(rbt_log *log, const rbt_expired_segment *segment, int64_t block_first,
                     rbt_hash *hashes, size_t *filled, rbt_error *error) {
    char key[KEY_SIZE];
    run runs[2];
    rbt_buffer kept = {0};
    bool found = false;
    size_t at = 0, wanted = 0;
    int count = kept_runs(segment->first_id, segment->last_id, runs);
    for (int i = 0; i < count; i++)
        wanted += (size_t)(runs[i].last - runs[i].first + 1);
    rbt_log_meta_bytes(log, key_of(key, "expired", segment->first_id), &kept, &found, error);
    if (error->code == SQLITE_OK && (!found || kept.length != wanted * sizeof(rbt_hash)))
        rbt_fail(error, SQLITE_CORRUPT_VTAB,
                 "%s: what is kept of the expired segment of entry %lld is damaged", log->name,
                 (long long)segment->first_id);
    for (int i = 0; i < count && error->code == SQLITE_OK; i++) {
        for (int64_t id = runs[i].first; id <= runs[i].last; id++, at++) {
            if (id < block_first || id >= block_first + RBT_TILE_HASHES) continue;
            memcpy(&hashes[id - block_first], kept.data + at * sizeof(rbt_hash), sizeof(rbt_hash));
            ++*filled;
        }
    }
    rbt_buffer_free(&kept);
    return error->code;
}

int rbt_expired_fill_block(rbt_log *log, uint64_t block, rbt_hash *hashes, size_t *filled,
                           rbt_error *error) {
    rbt_expired expired = {0};
    int64_t first = (int64_t)(block * RBT_TILE_HASHES);
    rbt_expired_read(&expired, log, error);
    for (size_t i = 0; i < expired.count && error->code == SQLITE_OK; i++) {
        const rbt_expired_segment *segment = &expired.segments[i];
        if (segment->last_id < first || segment->first_id >= first + RBT_TILE_HASHES) continue;
        /* leaf 0 is the genesis, which the caller has */
        size_t counted = *filled;
        fill_from(log, segment, first, hashes, filled, error);
        if (segment->first_id == 0 && block == 0 && *filled > counted) --*filled;
    }
    for (size_t i = 0; i < expired.count && *filled < RBT_TILE_HASHES; i++) {
        const rbt_expired_segment *segment = &expired.segments[i];
        if (segment->last_id < first || segment->first_id >= first + RBT_TILE_HASHES) continue;
        rbt_fail(error, SQLITE_ERROR,
                 "%s: entries %lld to %lld have expired, and of their hashes only those of "
                 "whole blocks of 256 are kept: roots within are known of multiples of 256 alone",
                 log->name, (long long)(segment->first_id > 0 ? segment->first_id : 1),
                 (long long)segment->last_id);
    }
    rbt_expired_free(&expired);
    return error->code;
}
