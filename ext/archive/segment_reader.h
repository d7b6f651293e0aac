/* SPDX-License-Identifier: MIT
** Reads a segment's bytes: finds and checks manifest, note and seek table, and decodes frames. Nothing
** in the file is believed before it is bounded; no size inside a frame is trusted, the manifest's is the
** bound. Calls base's file seam, crypto's notes, zstd.
*/
#ifndef RBT_ARCHIVE_SEGMENT_READER_H
#define RBT_ARCHIVE_SEGMENT_READER_H

#include "manifest.h"
#include "problems.h"
#include "seek_table.h"

struct ZSTD_DCtx_s;

typedef struct rbt_segment {
    const char *who;
    char *path;
    int file; /* -1: not open */
    int64_t file_bytes;
    rbt_buffer content; /* of the skippable frame; the next four point into it */
    const char *manifest_text, *note;
    size_t manifest_length, note_length;
    uint8_t manifest_sha256[32];
    bool readable; /* the manifest was found and parsed */
    rbt_manifest manifest;
    bool trusted;            /* rbt_segment_check_signature found a valid signature */
    rbt_verifier signer;     /* whose */
    rbt_seek_entry *entries; /* NULL: there is no usable seek table */
    uint32_t entry_count;
    struct ZSTD_DCtx_s *zstd;
    rbt_buffer compressed, text; /* the frame loaded last */
} rbt_segment;

/* Opens a segment; what is wrong with it goes to problems, and *segment is filled as far as it can be
** (readable tells). SQLITE_OK, or the error: no such file, no regular file, no memory. Close it in any
** case. who is borrowed. */
int rbt_segment_open(rbt_segment *segment, const char *who, const char *path,
                     rbt_problems *problems, rbt_error *error);
void rbt_segment_close(rbt_segment *segment); /* a segment that is {0} with file -1 is fine */

/* Checks that the note signs this manifest, and its signature against those verifiers whose name is the
** manifest's origin, and which count for a tree that ends with the segment. It must be readable. */
int rbt_segment_check_signature(rbt_segment *segment, const rbt_verifier *verifiers, size_t count,
                                rbt_problems *problems, rbt_error *error);

/* Reads frame `index` into segment->text, checking its hashes and checksum. *decoded is false when no
** text could be had. */
int rbt_segment_load_frame(rbt_segment *segment, size_t index, bool *decoded,
                           rbt_problems *problems, rbt_error *error);

#endif
