/* SPDX-License-Identifier: MIT
** Decoding a frame (frame.h).
*/
#define XXH_INLINE_ALL
#include "frame.h"

#include "../base/memory.h"
#include "../crypto/hash.h"
#include "zstd_memory.h"
#include <xxhash.h>

atomic_ullong rbt_frames_decoded;

void rbt_frame_free(rbt_frame *frame) {
    rbt_buffer_free(&frame->compressed);
    rbt_buffer_free(&frame->text);
    rbt_free(frame->line_starts);
    *frame = (rbt_frame){0};
}

/* NULL, or what is wrong with the frame. */
static const char *decode(rbt_frame *frame, struct ZSTD_DCtx_s *zstd) {
    const rbt_manifest_frame *listed = frame->listed;
    const rbt_buffer *from = &frame->compressed;
    ZSTD_frameHeader header;
    if (ZSTD_getFrameHeader(&header, from->data, from->length) != 0 ||
        header.frameType != ZSTD_frame)
        return "it is no zstd frame";
    if (header.frameContentSize != (uint64_t)listed->raw || !header.checksumFlag ||
        header.dictID != 0 || header.windowSize > (uint64_t)1 << RBT_WINDOW_MAX_LOG)
        return "its header does not say what the format wants";
    size_t size = ZSTD_findFrameCompressedSize(from->data, from->length);
    if (ZSTD_isError(size) || size != from->length) return "it has another size than is listed";
    size_t raw =
        ZSTD_decompressDCtx(zstd, frame->text.data, (size_t)listed->raw, from->data, from->length);
    if (ZSTD_isError(raw)) return ZSTD_getErrorName(raw);
    if (raw != (size_t)listed->raw) return "its text is shorter than is listed";
    frame->text.length = raw;
    return NULL;
}

/* Whether the line begins with {"id":<id>, */
static bool begins_with_id(const char *line, size_t length, int64_t id) {
    static const char key[] = "{\"id\":";
    size_t at = sizeof key - 1;
    if (length <= at || memcmp(line, key, at) != 0) return false;
    int64_t value = 0;
    for (; at < length && line[at] >= '0' && line[at] <= '9'; at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, line[at] - '0', &value))
            return false;
    return value == id && at < length && line[at] == ',';
}

/* Exactly the frame's rows, each with the id that it must have. */
static void find_lines(rbt_frame *frame) {
    const rbt_manifest_frame *listed = frame->listed;
    const char *text = (const char *)frame->text.data;
    const char *end = text + frame->text.length;
    const char *at = text;
    for (int64_t i = 0; i < listed->rows; i++) {
        const char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (!newline || !begins_with_id(at, (size_t)(newline - at), listed->first_id + i)) {
            frame->wrong_line = i;
            return;
        }
        frame->line_starts[i] = (uint32_t)(at - text);
        at = newline + 1;
    }
    frame->line_starts[listed->rows] = (uint32_t)(at - text);
    frame->lines_follow_last = at != end;
}

void rbt_frame_decode(rbt_frame *frame, struct ZSTD_DCtx_s *zstd) {
    const rbt_manifest_frame *listed = frame->listed;
    const uint8_t *bytes = frame->compressed.data;
    size_t size = frame->compressed.length;
    uint8_t sha256[32];
    frame->same = XXH3_64bits(bytes, size) == listed->xxh3;
    if (frame->same && listed->has_sha256) {
        rbt_sha256_once(sha256, bytes, size);
        frame->same = memcmp(sha256, listed->sha256, sizeof sha256) == 0;
    }
    frame->why = decode(frame, zstd);
    frame->checksum_differs =
        !frame->why && frame->has_checksum &&
        frame->checksum != (uint32_t)XXH64(frame->text.data, frame->text.length, 0);
    frame->wrong_line = -1;
    frame->lines_follow_last = false;
    if (!frame->why && frame->wants_lines) find_lines(frame);
    atomic_fetch_add_explicit(&rbt_frames_decoded, 1, memory_order_relaxed);
}
