/* SPDX-License-Identifier: MIT
** Writes a segment's bytes (segment_writer.h):
**
**   data frames   leaves, one a line, about 4 MiB of text a frame
**   skippable     0x184D2A5A, u32 LE size, then "RBTARC01" || u32 LE M || manifest M ||
**                 u32 LE N || note N || XXH3-64 LE of all these before
**   seek table    seek_table.h
**
** Lines are gathered and checked in order into a frame's job; the compressor works on several jobs side
** by side; what comes out of it is emitted in order again.
*/
#define XXH_INLINE_ALL
#include "segment_writer.h"

#include "../base/bytes.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../base/progress.h"
#include "../crypto/hash.h"
#include "compressor.h"
#include "filter.h"
#include "manifest.h"
#include "seek_table.h"
#include "segment_format.h"
#include "zone.h"
#include "zstd_memory.h"
#include <xxhash.h>

enum { DEFAULT_LEVEL = 19 };

typedef struct writer {
    const rbt_segment_plan *plan;
    const char *path;
    int file;
    rbt_error *error;
    rbt_compressor *compressor;
    rbt_frame_job *job; /* being filled; NULL before its first line */
    rbt_zone_builder *zone_builder;
    rbt_filter_builder *filter_builder;
    rbt_leaf leaf;
    rbt_frontier frontier;
    rbt_sha256 data_hash;
    rbt_manifest_facts facts;
    rbt_manifest_frame *frames; /* one more than frame_count is allocated in steps */
    rbt_seek_entry *entries;
    size_t capacity;
    rbt_buffer zones, filters;
} writer;

static int set_up(writer *w) {
    int level = w->plan->level ? w->plan->level : DEFAULT_LEVEL;
    if (level < 1 || level > ZSTD_maxCLevel())
        return rbt_fail(w->error, SQLITE_ERROR, "%s: the level must be 1 to %d, not %d",
                        w->plan->who, ZSTD_maxCLevel(), level);
    w->zone_builder = rbt_zone_builder_new(w->plan->shape);
    w->filter_builder = rbt_filter_builder_new(w->plan->shape);
    if (!w->zone_builder || !w->filter_builder) return rbt_fail_nomem(w->error);
    unsigned threads = rbt_compressor_threads(w->plan->who, w->error);
    if (threads > 0) w->compressor = rbt_compressor_new(w->plan->who, level, threads, w->error);
    return w->error->code;
}

/* ---- Gathering ---- */

static int misfit(writer *w, int64_t id, const char *what) {
    return rbt_fail(w->error, SQLITE_CORRUPT_VTAB, "%s: entry %lld of %s %s", w->plan->who,
                    (long long)id, w->plan->log, what);
}

/* Checks that the line is leaf `id`, adds it to the zones, and says when it was recorded. */
static int check_line(writer *w, int64_t id, const char *line, size_t length,
                      int64_t *recorded_at) {
    if (length > RBT_LEAF_MAX) return misfit(w, id, "is longer than 65535 bytes");
    if (id == 0) {
        if (length != strlen(w->plan->genesis) || memcmp(line, w->plan->genesis, length) != 0 ||
            !rbt_genesis_recorded_at(line, length, recorded_at))
            return misfit(w, id, "is not the log's genesis");
        return SQLITE_OK;
    }
    if (!rbt_leaf_parse(&w->leaf, w->plan->shape, line, length, UINT64_MAX)) {
        if (w->leaf.capacity < w->plan->shape->count || w->leaf.scratch.failed)
            return rbt_fail_nomem(w->error);
        return misfit(w, id, "is not a line of the log's declaration");
    }
    if (w->leaf.id != id)
        return rbt_fail(w->error, SQLITE_CORRUPT_VTAB, "%s: entry %lld of %s came as id %lld",
                        w->plan->who, (long long)id, w->plan->log, (long long)w->leaf.id);
    *recorded_at = w->leaf.recorded_at;
    rbt_zone_builder_add(w->zone_builder, &w->leaf);
    rbt_filter_builder_add(w->filter_builder, &w->leaf);
    return SQLITE_OK;
}

static int add_line(writer *w, int64_t id, const char *line, size_t length) {
    int64_t recorded_at;
    rbt_hash hash;
    if (check_line(w, id, line, length, &recorded_at) != SQLITE_OK) return w->error->code;
    if (w->facts.rows == 0) w->facts.first_recorded_at = recorded_at;
    w->facts.last_recorded_at = recorded_at;
    w->facts.rows++;
    rbt_leaf_hash(&hash, line, length);
    rbt_frontier_append(&w->frontier, &hash);
    rbt_frame_job *job = w->job;
    if (job->frame.rows++ == 0) job->frame.first_id = id;
    job->frame.last_id = id;
    rbt_buffer_add(&job->text, line, length);
    rbt_buffer_add_byte(&job->text, '\n');
    return job->text.failed ? rbt_fail_nomem(w->error) : SQLITE_OK;
}

/* ---- Emitting ---- */

static int reserve_frame(writer *w) {
    if (w->facts.frame_count + 2 <= w->capacity) return SQLITE_OK; /* this one and the manifest */
    size_t capacity = w->capacity ? 2 * w->capacity : 16;
    rbt_manifest_frame *frames = rbt_realloc(w->frames, capacity * sizeof *frames);
    if (frames) w->frames = frames;
    rbt_seek_entry *entries = rbt_realloc(w->entries, capacity * sizeof *entries);
    if (entries) w->entries = entries;
    if (!frames || !entries) return rbt_fail_nomem(w->error);
    w->capacity = capacity;
    return SQLITE_OK;
}

static int emit(writer *w, const rbt_buffer *bytes) {
    return rbt_file_write_all(w->plan->who, w->path, w->file, bytes->data, bytes->length, w->error);
}

/* The oldest frame that was submitted goes into the file, as soon as it is compressed. */
static int emit_oldest(writer *w) {
    rbt_frame_job *job;
    do {
        if (rbt_progress_interrupted(w->plan->who, w->error)) return w->error->code;
        rbt_progress_step(0);
        job = rbt_compressor_take(w->compressor, w->error);
        if (w->error->code != SQLITE_OK) return w->error->code;
    } while (!job);
    if (reserve_frame(w) != SQLITE_OK) return w->error->code;
    if (emit(w, &job->compressed) != SQLITE_OK) return w->error->code;
    rbt_sha256_update(&w->data_hash, job->compressed.data, job->compressed.length);
    job->frame.offset = w->facts.data_bytes;
    w->facts.data_bytes += job->frame.size;
    w->facts.raw_bytes += job->frame.raw;
    w->entries[w->facts.frame_count] =
        (rbt_seek_entry){(uint32_t)job->frame.size, (uint32_t)job->frame.raw, job->checksum};
    w->frames[w->facts.frame_count++] = job->frame;
    rbt_progress_step(job->frame.rows - (job->frame.first_id == 0)); /* the genesis is no entry */
    rbt_compressor_recycle(w->compressor);
    return SQLITE_OK;
}

static int begin_frame(writer *w) {
    while (!(w->job = rbt_compressor_next(w->compressor)))
        if (emit_oldest(w) != SQLITE_OK) return w->error->code;
    return SQLITE_OK;
}

/* Ends the frame whose lines have been gathered. more: another one follows. */
static int close_frame(writer *w, bool more) {
    rbt_frame_job *job = w->job;
    job->frame.zones_start = w->zones.length;
    rbt_zone_builder_write(w->zone_builder, w->zones.length < RBT_ZONES_BUDGET, &w->zones);
    job->frame.zones_length = w->zones.length - job->frame.zones_start;
    job->frame.filters_start = w->filters.length;
    if (w->filters.length < RBT_FILTERS_BUDGET)
        rbt_filter_builder_write(w->filter_builder, &w->filters);
    job->frame.filters_length = w->filters.length - job->frame.filters_start;
    if (w->zones.failed || w->filters.failed) return rbt_fail_nomem(w->error);
    rbt_zone_builder_clear(w->zone_builder);
    rbt_filter_builder_clear(w->filter_builder);
    w->job = NULL;
    return rbt_compressor_submit(w->compressor, more, w->error);
}

static int write_frames(writer *w, rbt_line_source source, void *source_context) {
    const rbt_segment_plan *plan = w->plan;
    const char *line;
    size_t length;
    int64_t id = plan->first_id;
    int code;
    while ((code = source(source_context, &line, &length, w->error)) == SQLITE_ROW) {
        if (id > plan->last_id) return misfit(w, id, "is beyond the segment's range");
        if (w->job && w->job->text.length + length + 1 > RBT_FRAME_TEXT &&
            close_frame(w, true) != SQLITE_OK)
            return w->error->code;
        if (!w->job && begin_frame(w) != SQLITE_OK) return w->error->code;
        if (add_line(w, id++, line, length) != SQLITE_OK) return w->error->code;
    }
    if (code != SQLITE_DONE)
        return rbt_fail(w->error, code, "%s: reading %s failed", plan->who, plan->log);
    if (id <= plan->last_id) return misfit(w, id, "is missing");
    if (close_frame(w, false) != SQLITE_OK) return w->error->code;
    while (!rbt_compressor_empty(w->compressor))
        if (emit_oldest(w) != SQLITE_OK) return w->error->code;
    return SQLITE_OK;
}

/* ---- Manifest and seek table ---- */

static void add_block(rbt_buffer *out, const rbt_buffer *bytes) {
    uint8_t size[4];
    rbt_store_u32le(size, (uint32_t)bytes->length);
    rbt_buffer_add(out, size, sizeof size);
    rbt_buffer_add(out, bytes->data, bytes->length);
}

/* The whole skippable frame; gives the manifest's hash. */
static int build_manifest_frame(writer *w, rbt_buffer *out, uint8_t manifest_sha256[32]) {
    const rbt_segment_plan *plan = w->plan;
    rbt_buffer manifest = {0}, text = {0}, note = {0};
    rbt_manifest_write(&manifest, plan, &w->facts);
    if (manifest.failed) {
        rbt_fail_nomem(w->error);
        goto cleanup;
    }
    if (manifest.length > RBT_MANIFEST_MAX) {
        rbt_fail(w->error, SQLITE_ERROR, "%s: the manifest would be larger than %d bytes",
                 plan->who, RBT_MANIFEST_MAX);
        goto cleanup;
    }
    rbt_sha256_once(manifest_sha256, manifest.data, manifest.length);
    rbt_segment_note_text(&text, plan->origin, plan->first_id, plan->last_id, manifest_sha256);
    if (text.failed) {
        rbt_fail_nomem(w->error);
        goto cleanup;
    }
    if (rbt_note_sign(&note, (const char *)text.data, text.length, &plan->signer,
                      plan->signer_secret, w->error) != SQLITE_OK)
        goto cleanup;

    uint8_t header[RBT_SEEK_HEADER];
    size_t content = RBT_CONTENT_OVERHEAD + manifest.length + note.length;
    rbt_store_u32le(header, RBT_CONTENT_FRAME_MAGIC);
    rbt_store_u32le(header + 4, (uint32_t)content);
    rbt_buffer_add(out, header, sizeof header);
    rbt_buffer_add(out, RBT_CONTENT_MAGIC, RBT_CONTENT_MAGIC_SIZE);
    add_block(out, &manifest);
    add_block(out, &note);
    if (!out->failed) {
        uint8_t hash[8];
        rbt_store_u64le(hash, XXH3_64bits(out->data + sizeof header, out->length - sizeof header));
        rbt_buffer_add(out, hash, sizeof hash);
    }
    if (out->failed) rbt_fail_nomem(w->error);

cleanup:
    rbt_buffer_free(&manifest);
    rbt_buffer_free(&text);
    rbt_buffer_free(&note);
    return w->error->code;
}

static int write_end(writer *w, rbt_segment_summary *summary) {
    rbt_buffer out = {0};
    rbt_sha256_final(&w->data_hash, w->facts.data_sha256);
    w->facts.frames = w->frames;
    w->facts.zones = &w->zones;
    w->facts.filters = &w->filters;
    if (build_manifest_frame(w, &out, summary->manifest_sha256) == SQLITE_OK) {
        w->entries[w->facts.frame_count] =
            (rbt_seek_entry){(uint32_t)out.length, 0, RBT_SEEK_EMPTY_CHECKSUM};
        rbt_seek_table_write(&out, w->entries, (uint32_t)w->facts.frame_count + 1);
        if (out.failed)
            rbt_fail_nomem(w->error);
        else
            emit(w, &out);
    }
    summary->file_bytes = w->facts.data_bytes + (int64_t)out.length;
    rbt_buffer_free(&out);
    return w->error->code;
}

static int run(writer *w, const rbt_hash *expected_root, rbt_line_source source,
               void *source_context, rbt_segment_summary *summary) {
    const rbt_segment_plan *plan = w->plan;
    if (plan->first_id < 0 || plan->last_id < plan->first_id ||
        plan->last_id - plan->first_id >= RBT_SEGMENT_MAX_ROWS ||
        plan->before->size != (uint64_t)plan->first_id)
        return rbt_fail(w->error, SQLITE_ERROR, "%s: %s cannot hold entries %lld to %lld",
                        plan->who, plan->name, (long long)plan->first_id, (long long)plan->last_id);
    if (set_up(w) != SQLITE_OK) return w->error->code;
    w->frontier = *plan->before;
    rbt_frontier_root(&w->facts.root_before, &w->frontier);
    rbt_sha256_init(&w->data_hash);
    if (write_frames(w, source, source_context) != SQLITE_OK) return w->error->code;
    rbt_frontier_root(&w->facts.root_after, &w->frontier);
    if (!rbt_hash_equal(&w->facts.root_after, expected_root))
        return rbt_fail(w->error, SQLITE_CORRUPT_VTAB,
                        "%s: entries %lld to %lld of %s do not lead to the log's root", plan->who,
                        (long long)plan->first_id, (long long)plan->last_id, plan->log);
    if (write_end(w, summary) != SQLITE_OK) return w->error->code;
    summary->first_id = plan->first_id;
    summary->last_id = plan->last_id;
    summary->first_recorded_at = w->facts.first_recorded_at;
    summary->last_recorded_at = w->facts.last_recorded_at;
    summary->rows = w->facts.rows;
    summary->raw_bytes = w->facts.raw_bytes;
    summary->root_before = w->facts.root_before;
    summary->root_after = w->facts.root_after;
    summary->retain_until_us = plan->retain_until_us;
    return SQLITE_OK;
}

int rbt_segment_write(const rbt_segment_plan *plan, const char *path, int file,
                      const rbt_hash *expected_root, rbt_line_source source, void *source_context,
                      rbt_segment_summary *summary, rbt_error *error) {
    writer w = {.plan = plan, .path = path, .file = file, .error = error};
    *summary = (rbt_segment_summary){0};
    int code = run(&w, expected_root, source, source_context, summary);
    rbt_compressor_free(w.compressor);
    rbt_zone_builder_free(w.zone_builder);
    rbt_filter_builder_free(w.filter_builder);
    rbt_leaf_free(&w.leaf);
    rbt_buffer_free(&w.zones);
    rbt_buffer_free(&w.filters);
    rbt_free(w.frames);
    rbt_free(w.entries);
    return code;
}
