/* SPDX-License-Identifier: MIT
** Reads a segment's bytes (segment_reader.h; the format is drawn in segment_format.h and
** segment_writer.c).
*/
#define XXH_INLINE_ALL
#include "segment_reader.h"

#include "../base/bytes.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../crypto/hash.h"
#include "segment_format.h"
#include "segment_walk.h"
#include "workspace.h"
#include "zstd_memory.h"
#include <xxhash.h>

atomic_ullong rbt_manifests_read;

static int read_at(rbt_segment *segment, rbt_buffer *out, int64_t offset, int64_t size,
                   rbt_error *error) {
    rbt_buffer_clear(out);
    if (!rbt_buffer_reserve(out, (size_t)size)) return rbt_fail_nomem(error);
    out->length = (size_t)size;
    return rbt_file_read_exact(segment->who, segment->path, segment->file, out->data, (size_t)size,
                               offset, error);
}

/* ---- Finding the manifest ---- */

/* The manifest's place as the seek table has it; *why is set when the table cannot be used. */
static int read_seek_table(rbt_segment *segment, rbt_segment_place *manifest, const char **why,
                           rbt_error *error) {
    uint8_t footer[RBT_SEEK_FOOTER];
    int64_t table_size;
    *why = NULL;
    if (segment->file_bytes < RBT_SEEK_HEADER + RBT_SEEK_FOOTER) {
        *why = "the file is too short to have one";
        return SQLITE_OK;
    }
    if (rbt_file_read_exact(segment->who, segment->path, segment->file, footer, sizeof footer,
                            segment->file_bytes - RBT_SEEK_FOOTER, error) != SQLITE_OK)
        return error->code;
    if (!rbt_seek_table_footer(footer, segment->file_bytes, &segment->entry_count, &table_size,
                               why))
        return SQLITE_OK;

    rbt_buffer *table = &segment->compressed;
    if (read_at(segment, table, segment->file_bytes - table_size, table_size, error) != SQLITE_OK)
        return error->code;
    segment->entries = rbt_malloc(segment->entry_count * sizeof *segment->entries);
    if (!segment->entries) return rbt_fail_nomem(error);
    if (!rbt_seek_table_parse(table->data, segment->entry_count, segment->entries, why))
        return SQLITE_OK;

    int64_t data_bytes = 0; /* at most 2^20 sizes of 32 bits: no overflow */
    for (uint32_t i = 0; i + 1 < segment->entry_count; i++) {
        data_bytes += segment->entries[i].compressed;
        if (segment->entries[i].decompressed == 0) *why = "a data frame in it has no text";
    }
    const rbt_seek_entry *last = &segment->entries[segment->entry_count - 1];
    if (last->decompressed != 0) *why = "its last frame is not the manifest's, of size 0";
    if (data_bytes + last->compressed + table_size != segment->file_bytes)
        *why = "its sizes do not add up to the file's";
    *manifest = (rbt_segment_place){data_bytes, last->compressed};
    return SQLITE_OK;
}

/* Takes the skippable frame apart; NULL, or what is wrong with it. */
static const char *split_content(rbt_segment *segment, const uint8_t *frame, size_t frame_size) {
    if (frame_size < RBT_SEEK_HEADER + RBT_CONTENT_OVERHEAD) return "its frame is too short";
    if (rbt_load_u32le(frame) != RBT_CONTENT_FRAME_MAGIC)
        return "its frame does not begin with 0x184D2A5A";
    const uint8_t *content = frame + RBT_SEEK_HEADER;
    size_t length = frame_size - RBT_SEEK_HEADER;
    if (rbt_load_u32le(frame + 4) != length) return "its frame has another size than is listed";
    if (memcmp(content, RBT_CONTENT_MAGIC, RBT_CONTENT_MAGIC_SIZE) != 0)
        return "its frame does not hold \"RBTARC01\"";
    uint64_t room = length - RBT_CONTENT_OVERHEAD;
    uint64_t manifest_length = rbt_load_u32le(content + 8);
    if (manifest_length > room) return "it is longer than its frame";
    uint64_t note_length = rbt_load_u32le(content + 12 + manifest_length);
    if (note_length != room - manifest_length) return "manifest and note do not fill its frame";
    if (XXH3_64bits(content, length - 8) != rbt_load_u64le(content + length - 8))
        return "its bytes have changed (XXH3)";
    segment->manifest_text = (const char *)content + 12;
    segment->manifest_length = (size_t)manifest_length;
    segment->note = (const char *)content + 16 + manifest_length;
    segment->note_length = (size_t)note_length;
    return NULL;
}

static int read_manifest(rbt_segment *segment, const rbt_segment_place *place,
                         rbt_problems *problems, rbt_error *error) {
    int64_t limit = RBT_SEEK_HEADER + RBT_CONTENT_OVERHEAD + RBT_MANIFEST_MAX + RBT_NOTE_MAX;
    if (place->size > limit) {
        rbt_problem(problems, RBT_PROBLEM_MANIFEST, -1,
                    "the manifest's frame has %lld bytes, more "
                    "than any manifest may have",
                    (long long)place->size);
        return error->code;
    }
    if (read_at(segment, &segment->content, place->offset, place->size, error) != SQLITE_OK)
        return error->code;
    const char *why = split_content(segment, segment->content.data, segment->content.length);
    if (why) {
        rbt_problem(problems, RBT_PROBLEM_MANIFEST, -1, "the manifest is damaged: %s", why);
        return error->code;
    }
    rbt_sha256_once(segment->manifest_sha256, segment->manifest_text, segment->manifest_length);

    atomic_fetch_add_explicit(&rbt_manifests_read, 1, memory_order_relaxed);
    rbt_error refusal = {0};
    int code = rbt_manifest_parse(&segment->manifest, segment->manifest_text,
                                  segment->manifest_length, &refusal);
    segment->readable = code == SQLITE_OK;
    if (code == SQLITE_NOMEM)
        rbt_fail_nomem(error);
    else if (code != SQLITE_OK)
        rbt_problem(problems, RBT_PROBLEM_MANIFEST, -1, "%s", refusal.message);
    rbt_error_clear(&refusal);
    return error->code;
}

/* The manifest is authoritative; the seek table, which other readers use, must say the same. */
static void compare_seek_table(const rbt_segment *segment, rbt_problems *problems) {
    const rbt_manifest *manifest = &segment->manifest;
    if (segment->entry_count != manifest->frame_count + 1) {
        rbt_problem(problems, RBT_PROBLEM_SEEK_TABLE, -1,
                    "the seek table lists %lld data frames, the manifest %lld",
                    (long long)segment->entry_count - 1, (long long)manifest->frame_count);
        return;
    }
    for (size_t i = 0; i < manifest->frame_count; i++) {
        const rbt_manifest_frame *frame = &manifest->frames[i];
        const rbt_seek_entry *entry = &segment->entries[i];
        if (entry->compressed != frame->size || entry->decompressed != frame->raw)
            rbt_problem(problems, RBT_PROBLEM_SEEK_TABLE, -1,
                        "frame %lld: the seek table says %lld bytes of %lld, the manifest %lld of "
                        "%lld",
                        (long long)i + 1, (long long)entry->compressed,
                        (long long)entry->decompressed, (long long)frame->size,
                        (long long)frame->raw);
    }
    if (segment->entries[segment->entry_count - 1].checksum != RBT_SEEK_EMPTY_CHECKSUM)
        rbt_problem(problems, RBT_PROBLEM_SEEK_TABLE, -1,
                    "the seek table has a wrong checksum for the manifest's frame");
}

int rbt_segment_open_file(rbt_segment *segment, const char *who, const char *path,
                          rbt_error *error) {
    *segment = (rbt_segment){.who = who, .file = -1};
    segment->path = rbt_strdup(path);
    if (!segment->path) return rbt_fail_nomem(error);
    segment->file = rbt_file_open_read(who, path, &segment->file_bytes, error);
    return error->code;
}

int rbt_segment_read_head(rbt_segment *segment, rbt_problems *problems, rbt_error *error) {
    rbt_segment_place place = {0};
    const char *why;
    if (read_seek_table(segment, &place, &why, error) != SQLITE_OK) return error->code;
    if (why) {
        rbt_free(segment->entries);
        segment->entries = NULL;
        place = (rbt_segment_place){0};
        if (rbt_segment_walk(segment, why, &place, problems, error) != SQLITE_OK)
            return error->code;
        if (place.size == 0) return error->code;
    }
    if (read_manifest(segment, &place, problems, error) != SQLITE_OK) return error->code;
    if (!segment->readable) return SQLITE_OK;
    if (segment->entries) compare_seek_table(segment, problems);
    if (segment->manifest.data_bytes != place.offset)
        rbt_problem(problems, RBT_PROBLEM_MANIFEST, -1,
                    "the manifest describes %lld bytes of data frames, the file has %lld",
                    (long long)segment->manifest.data_bytes, (long long)place.offset);
    return error->code;
}

int rbt_segment_open(rbt_segment *segment, const char *who, const char *path,
                     rbt_problems *problems, rbt_error *error) {
    if (rbt_segment_open_file(segment, who, path, error) != SQLITE_OK) return error->code;
    return rbt_segment_read_head(segment, problems, error);
}

void rbt_segment_close(rbt_segment *segment) {
    if (segment->file >= 0) rbt_files->close(segment->file); /* only read: nothing can be lost */
    rbt_free(segment->path);
    if (segment->shared) {
        segment->release_shared(segment->shared);
    } else {
        rbt_manifest_free(&segment->manifest);
        rbt_buffer_free(&segment->content);
        rbt_free(segment->entries);
    }
    rbt_buffer_free(&segment->compressed);
    rbt_frame_free(&segment->frame);
    ZSTD_freeDCtx(segment->zstd);
    *segment = (rbt_segment){.file = -1};
}

/* ---- Signature ---- */

static int verify_note(rbt_segment *segment, const rbt_verifier *verifiers, size_t count,
                       rbt_problems *problems, rbt_error *error) {
    const char *origin = segment->manifest.origin;
    char key_id[2 * sizeof segment->manifest.signer_key_id + 1];
    rbt_hex_encode(key_id, segment->manifest.signer_key_id, sizeof segment->manifest.signer_key_id);
    rbt_verifier *named = rbt_malloc(count * sizeof *named);
    if (!named) return rbt_fail_nomem(error);
    size_t named_count = 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(verifiers[i].name, origin) == 0) named[named_count++] = verifiers[i];
    uint64_t size = (uint64_t)segment->manifest.last_id + 1, limit;
    int signer =
        rbt_note_verify_at(segment->note, segment->note_length, size, named, named_count, &limit);
    if (signer >= 0) {
        segment->trusted = true;
        segment->signer = named[signer];
    } else if (signer == -3) {
        rbt_fail_nomem(error);
    } else if (signer == -2) {
        rbt_problem(problems, RBT_PROBLEM_SIGNATURE, -1, "the signature by key %s of %s is wrong",
                    key_id, origin);
    } else if (signer == RBT_NOTE_SUPERSEDED) {
        rbt_problem(problems, RBT_PROBLEM_SIGNATURE, -1,
                    "entries up to %lld are signed by key %s of %s, a key that was superseded at "
                    "size %llu",
                    (long long)segment->manifest.last_id, key_id, origin,
                    (unsigned long long)limit);
    } else if (count == 0) {
        rbt_problem(problems, RBT_PROBLEM_UNTRUSTED, -1,
                    "signed by key %s of %s, and there is no key to trust; give the vkey, or set "
                    "RUSTYBT_VERIFY_KEYS",
                    key_id, origin);
    } else {
        rbt_problem(problems, RBT_PROBLEM_UNTRUSTED, -1,
                    "signed by key %s of %s, which is none of the %lld trusted keys", key_id,
                    origin, (long long)count);
    }
    rbt_free(named);
    return error->code;
}

int rbt_segment_check_signature(rbt_segment *segment, const rbt_verifier *verifiers, size_t count,
                                rbt_problems *problems, rbt_error *error) {
    const rbt_manifest *manifest = &segment->manifest;
    const char *why;
    size_t text_length;
    rbt_buffer want = {0};
    if (!rbt_note_split(segment->note, segment->note_length, &text_length, &why)) {
        if (why == rbt_note_no_memory) return rbt_fail_nomem(error);
        rbt_problem(problems, RBT_PROBLEM_SIGNATURE, -1, "its note is no signed note: %s", why);
        return error->code;
    }
    rbt_segment_note_text(&want, manifest->origin, manifest->first_id, manifest->last_id,
                          segment->manifest_sha256);
    bool same = !want.failed && want.length == text_length &&
                memcmp(want.data, segment->note, text_length) == 0;
    bool failed = want.failed;
    rbt_buffer_free(&want);
    if (failed) return rbt_fail_nomem(error);
    if (!same)
        rbt_problem(problems, RBT_PROBLEM_SIGNATURE, -1,
                    "its note signs another manifest than the one in the file");
    return verify_note(segment, verifiers, count, problems, error);
}

/* ---- Frames ---- */

/* Room for `size` bytes in a buffer whose contents are of no more use. Growing one would double it, and
** frames differ by little. */
static bool make_room(rbt_buffer *buffer, size_t size) {
    enum { STEP = 64 * 1024 };
    rbt_buffer_clear(buffer);
    if (buffer->capacity >= size) return true;
    rbt_buffer_free(buffer);
    return rbt_buffer_reserve(buffer, (size + STEP - 1) / STEP * STEP);
}

/* False when the frame's bytes could not be read: with a sink a problem of this frame, since on a disk
** that fails the others may be fine. */
static bool read_frame(rbt_segment *segment, size_t index, rbt_buffer *compressed,
                       rbt_problems *problems, rbt_error *error) {
    const rbt_manifest_frame *frame = &segment->manifest.frames[index];
    rbt_error failure = {0};
    int code = read_at(segment, compressed, frame->offset, frame->size, &failure);
    if (code == SQLITE_OK) return true;
    rbt_buffer_clear(compressed);
    const char *message = failure.message ? failure.message : "";
    const char *reason = strrchr(message, ':'); /* behind it strerror's words */
    if (code == SQLITE_NOMEM)
        rbt_fail_nomem(error);
    else if (problems->sink)
        rbt_problem(problems, RBT_PROBLEM_UNREADABLE, -1,
                    "frame %lld (entries %lld to %lld) cannot be read: %s", (long long)index + 1,
                    (long long)frame->first_id, (long long)frame->last_id,
                    reason ? reason + 2 : message);
    else
        rbt_fail(error, code, "%s", message);
    rbt_error_clear(&failure);
    return false;
}

int rbt_segment_prepare_frame(rbt_segment *segment, size_t index, bool lines, rbt_frame *frame,
                              bool *prepared, rbt_problems *problems, rbt_error *error) {
    const rbt_manifest_frame *listed = &segment->manifest.frames[index];
    *prepared = false;
    frame->listed = listed;
    rbt_buffer_clear(&frame->text);
    if (listed->offset > segment->file_bytes ||
        listed->size > segment->file_bytes - listed->offset) {
        rbt_problem(problems, RBT_PROBLEM_TRUNCATED, -1,
                    "frame %lld (entries %lld to %lld) lies beyond the file's end",
                    (long long)index + 1, (long long)listed->first_id, (long long)listed->last_id);
        return error->code;
    }
    if (!make_room(&frame->text, (size_t)listed->raw) ||
        !make_room(&frame->compressed, (size_t)listed->size))
        return rbt_fail_nomem(error);
    if (!read_frame(segment, index, &frame->compressed, problems, error)) return error->code;
    frame->wants_lines = lines;
    if (lines && frame->line_capacity <= (size_t)listed->rows) {
        size_t capacity = (size_t)listed->rows + 1;
        uint32_t *starts = rbt_realloc(frame->line_starts, capacity * sizeof *starts);
        if (!starts) return rbt_fail_nomem(error);
        frame->line_starts = starts;
        frame->line_capacity = capacity;
    }
    frame->has_checksum = segment->entries && index + 1 < segment->entry_count;
    if (frame->has_checksum) frame->checksum = segment->entries[index].checksum;
    *prepared = true;
    return SQLITE_OK;
}

int rbt_segment_report_frame(const rbt_segment *segment, const rbt_frame *frame,
                             rbt_problems *problems, rbt_error *error) {
    const rbt_manifest_frame *listed = frame->listed;
    long long number = (long long)(listed - segment->manifest.frames) + 1;
    long long first = (long long)listed->first_id, last = (long long)listed->last_id;
    const char *why = frame->why;
    if (!frame->same)
        rbt_problem(problems, RBT_PROBLEM_CHANGED, -1,
                    "frame %lld (entries %lld to %lld) has other bytes than were signed%s%s",
                    number, first, last, why ? ", and cannot be decoded: " : "", why ? why : "");
    else if (why)
        rbt_problem(problems, RBT_PROBLEM_CHANGED, -1,
                    "frame %lld (entries %lld to %lld) cannot be decoded: %s", number, first, last,
                    why);
    else if (frame->checksum_differs)
        rbt_problem(problems, RBT_PROBLEM_SEEK_TABLE, -1,
                    "frame %lld: the seek table has a wrong checksum", number);
    if (error->code != SQLITE_OK || !frame->wants_lines) return error->code;
    if (frame->wrong_line >= 0)
        rbt_problem(problems, RBT_PROBLEM_CHANGED, first + frame->wrong_line,
                    "entry %lld is not where the manifest has it", first + frame->wrong_line);
    else if (frame->lines_follow_last)
        rbt_problem(problems, RBT_PROBLEM_ORDER, -1,
                    "after entry %lld come lines that do not belong", last);
    return error->code;
}

int rbt_segment_load_frame(rbt_segment *segment, size_t index, bool *decoded,
                           rbt_problems *problems, rbt_error *error) {
    bool prepared;
    *decoded = false;
    if (!segment->zstd) segment->zstd = rbt_decoder_new();
    if (!segment->zstd) return rbt_fail_nomem(error);
    if (rbt_segment_prepare_frame(segment, index, false, &segment->frame, &prepared, problems,
                                  error) != SQLITE_OK ||
        !prepared)
        return error->code;
    rbt_frame_decode(&segment->frame, segment->zstd);
    *decoded = segment->frame.why == NULL;
    return rbt_segment_report_frame(segment, &segment->frame, problems, error);
}
