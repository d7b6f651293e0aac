/* SPDX-License-Identifier: MIT
** Frame by frame through a damaged segment (segment_walk.h).
*/
#include "segment_walk.h"

#include "../base/bytes.h"
#include "../base/file.h"
#include "segment_format.h"
#include "zstd_memory.h"

typedef struct walk {
    int64_t offset;      /* of the frame at hand */
    int64_t window;      /* where the bytes in segment->compressed begin */
    int64_t data_frames; /* passed so far */
    rbt_segment_place manifest;
    bool seek_table;
    bool cut;             /* the frame at hand ends behind the file */
    bool impossible;      /* what is at hand is no frame */
    bool inside_manifest; /* what is at hand begins as the manifest's frame does */
} walk;

enum { MANIFEST_START = 8 + RBT_CONTENT_MAGIC_SIZE }; /* of its frame: magic, size, "RBTARC01" */

/* Reads as much as the largest frame may take, from the frame at hand on. */
static int refill(rbt_segment *segment, walk *w, rbt_error *error) {
    int64_t left = segment->file_bytes - w->offset;
    size_t length = left < RBT_FRAME_MAX_SIZE ? (size_t)left : RBT_FRAME_MAX_SIZE;
    rbt_buffer *bytes = &segment->compressed;
    rbt_buffer_clear(bytes);
    if (!rbt_buffer_reserve(bytes, length)) return rbt_fail_nomem(error);
    bytes->length = length;
    w->window = w->offset;
    return rbt_file_read_exact(segment->who, segment->path, segment->file, bytes->data, length,
                               w->offset, error);
}

/* The size of the frame whose first `length` bytes are given; 0: more bytes are needed; -1: it is no
** frame. */
static int64_t measure(const uint8_t *bytes, size_t length) {
    if (length < 8) return 0;
    if ((rbt_load_u32le(bytes) & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START)
        return 8 + (int64_t)rbt_load_u32le(bytes + 4);
    size_t size = ZSTD_findFrameCompressedSize(bytes, length);
    if (!ZSTD_isError(size)) return (int64_t)size;
    return ZSTD_getErrorCode(size) == ZSTD_error_srcSize_wrong ? 0 : -1;
}

/* Moves over the frame at hand, or says in w why that cannot be done. */
static int pass_frame(rbt_segment *segment, walk *w, rbt_error *error) {
    const rbt_buffer *bytes = &segment->compressed;
    int64_t left = segment->file_bytes - w->offset;
    int64_t skipped = w->offset - w->window;
    int64_t size = 0;
    if (skipped < (int64_t)bytes->length)
        size = measure(bytes->data + skipped, bytes->length - (size_t)skipped);
    if (size == 0) {
        if (refill(segment, w, error) != SQLITE_OK) return error->code;
        skipped = 0;
        size = measure(bytes->data, bytes->length);
    }
    w->cut = size > left || (size == 0 && (int64_t)bytes->length == left);
    w->impossible = size <= 0 && !w->cut;
    uint32_t magic = left >= 4 ? rbt_load_u32le(bytes->data + skipped) : 0;
    w->inside_manifest = magic == RBT_CONTENT_FRAME_MAGIC;
    if (w->cut || w->impossible) return SQLITE_OK;

    if (magic == RBT_CONTENT_FRAME_MAGIC && w->manifest.size == 0)
        w->manifest = (rbt_segment_place){w->offset, size};
    w->seek_table |= magic == RBT_SEEK_MAGIC;
    w->data_frames += magic == ZSTD_MAGICNUMBER;
    w->offset += size;
    return SQLITE_OK;
}

/* Looks for the manifest's frame behind the place where the walk ended: the text of a data frame cannot
** hold its magic number, since lines have no byte 0x18. The last place that fits counts. It is looked for
** no farther from the file's end than it can be: a sparse file of terabytes is soon refused. */
static int search_manifest(rbt_segment *segment, walk *w, rbt_error *error) {
    enum { STEP = 1024 * 1024, BEHIND = 128 * 1024 * 1024 };
    _Static_assert(BEHIND / 2 >
                       RBT_MANIFEST_MAX + RBT_NOTE_MAX + RBT_SEEK_MAX_FRAMES * RBT_SEEK_ENTRY,
                   "the manifest's frame, the seek table, and as much again");
    rbt_buffer *bytes = &segment->compressed;
    rbt_buffer_clear(bytes);
    if (!rbt_buffer_reserve(bytes, STEP + MANIFEST_START)) return rbt_fail_nomem(error);
    int64_t from =
        segment->file_bytes - BEHIND > w->offset ? segment->file_bytes - BEHIND : w->offset;
    for (int64_t at = from; at + MANIFEST_START <= segment->file_bytes; at += STEP) {
        int64_t left = segment->file_bytes - at;
        size_t length = left < STEP + MANIFEST_START - 1 ? (size_t)left : STEP + MANIFEST_START - 1;
        if (rbt_file_read_exact(segment->who, segment->path, segment->file, bytes->data, length, at,
                                error) != SQLITE_OK)
            return error->code;
        const uint8_t *end = bytes->data + length;
        const uint8_t *found = bytes->data;
        while ((found = memmem(found, (size_t)(end - found), RBT_CONTENT_MAGIC,
                               RBT_CONTENT_MAGIC_SIZE))) {
            const uint8_t *frame = found - 8;
            found++;
            if (frame < bytes->data || rbt_load_u32le(frame) != RBT_CONTENT_FRAME_MAGIC) continue;
            rbt_segment_place place = {at + (frame - bytes->data),
                                       8 + (int64_t)rbt_load_u32le(frame + 4)};
            if (place.size <= segment->file_bytes - place.offset) w->manifest = place;
        }
    }
    return SQLITE_OK;
}

/* found: the manifest was found behind frames that cannot be passed, each of which it will name. */
static void report(const walk *w, bool found, const rbt_segment *segment, const char *why,
                   rbt_problems *problems) {
    long long next = (long long)w->data_frames + 1;
    long long offset = (long long)w->offset;
    if (segment->file_bytes == 0) {
        rbt_problem(problems, RBT_PROBLEM_TRUNCATED, -1, "the file is empty");
    } else if (found) {
        rbt_problem(problems, RBT_PROBLEM_SEEK_TABLE, -1, "the seek table is of no use: %s", why);
    } else if (w->offset == 0 && w->impossible) {
        rbt_problem(problems, RBT_PROBLEM_FORM, -1,
                    "the file does not begin with a zstd frame that can be read; it is damaged or "
                    "no segment");
    } else if (w->seek_table && (w->cut || w->impossible)) {
        rbt_problem(problems, RBT_PROBLEM_FORM, -1,
                    "%lld bytes follow the seek table, from byte %lld on",
                    (long long)(segment->file_bytes - w->offset), offset);
    } else if (w->cut && w->manifest.size > 0) {
        rbt_problem(problems, RBT_PROBLEM_TRUNCATED, -1,
                    "the file is cut inside the seek table, which begins at byte %lld", offset);
    } else if (w->cut && w->inside_manifest) {
        rbt_problem(problems, RBT_PROBLEM_TRUNCATED, -1,
                    "the file is cut inside the manifest, which begins at byte %lld, after frame "
                    "%lld; the seek table is missing",
                    offset, (long long)w->data_frames);
    } else if (w->cut) {
        rbt_problem(problems, RBT_PROBLEM_TRUNCATED, -1,
                    "the file is cut inside frame %lld, which begins at byte %lld; manifest and "
                    "seek table are missing",
                    next, offset);
    } else if (w->impossible && w->manifest.size > 0) {
        rbt_problem(problems, RBT_PROBLEM_SEEK_TABLE, -1,
                    "the seek table, which begins at byte %lld, is no skippable frame any more",
                    offset);
    } else if (w->impossible) {
        rbt_problem(problems, RBT_PROBLEM_CHANGED, -1,
                    "frame %lld, which begins at byte %lld, is no zstd frame any more", next,
                    offset);
        rbt_problem(problems, RBT_PROBLEM_SEEK_TABLE, -1, "the seek table is of no use: %s", why);
    } else if (w->manifest.size == 0 && w->seek_table) {
        rbt_problem(problems, RBT_PROBLEM_MANIFEST, -1,
                    "the manifest is missing: after frame %lld comes the seek table",
                    (long long)w->data_frames);
    } else if (w->manifest.size == 0) {
        rbt_problem(
            problems, RBT_PROBLEM_TRUNCATED, -1,
            "the file is cut at a frame boundary, after frame %lld; the manifest is missing",
            (long long)w->data_frames);
    } else if (!w->seek_table && w->manifest.offset + w->manifest.size < segment->file_bytes) {
        rbt_problem(problems, RBT_PROBLEM_SEEK_TABLE, -1,
                    "the seek table is damaged: what follows the manifest, from byte %lld on, does "
                    "not begin as one",
                    (long long)(w->manifest.offset + w->manifest.size));
    } else if (!w->seek_table) {
        rbt_problem(problems, RBT_PROBLEM_SEEK_TABLE, -1,
                    "the seek table is missing; the file ends after the manifest");
    } else {
        rbt_problem(problems, RBT_PROBLEM_SEEK_TABLE, -1, "the seek table is damaged: %s", why);
    }
}

int rbt_segment_walk(rbt_segment *segment, const char *why, rbt_segment_place *manifest,
                     rbt_problems *problems, rbt_error *error) {
    walk w = {0};
    rbt_buffer_clear(&segment->compressed);
    while (w.offset < segment->file_bytes && !w.cut && !w.impossible)
        if (pass_frame(segment, &w, error) != SQLITE_OK) return error->code;
    bool stuck = (w.cut || w.impossible) && w.manifest.size == 0;
    if (stuck && search_manifest(segment, &w, error) != SQLITE_OK) return error->code;
    report(&w, stuck && w.manifest.size > 0, segment, why, problems);
    *manifest = w.manifest;
    return error->code;
}
