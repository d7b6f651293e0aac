/* SPDX-License-Identifier: MIT
** Reads a segment's bytes: finds and checks manifest, note and seek table, and decodes frames. Nothing
** in the file is believed before it is bounded; no size inside a frame is trusted, the manifest's is the
** bound. Calls base's file seam, crypto's notes, zstd.
*/
#ifndef RBT_ARCHIVE_SEGMENT_READER_H
#define RBT_ARCHIVE_SEGMENT_READER_H

#include "frame.h"
#include "manifest.h"
#include "problems.h"
#include "seek_table.h"

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
    rbt_buffer compressed;    /* seek table and frames, before there is a manifest */
    struct ZSTD_DCtx_s *zstd; /* NULL until first use */
    rbt_frame frame;          /* loaded last by rbt_segment_load_frame */
    /* Whose content, manifest and entries are, when not the segment's own (segment_cache.h). */
    void *shared;
    void (*release_shared)(void *shared);
} rbt_segment;

/* Opens a segment; what is wrong with it goes to problems, and *segment is filled as far as it can be
** (readable tells). SQLITE_OK, or the error: no such file, no regular file, no memory. Close it in any
** case. who is borrowed. */
int rbt_segment_open(rbt_segment *segment, const char *who, const char *path,
                     rbt_problems *problems, rbt_error *error);
/* The same in two steps. */
int rbt_segment_open_file(rbt_segment *segment, const char *who, const char *path,
                          rbt_error *error);
int rbt_segment_read_head(rbt_segment *segment, rbt_problems *problems, rbt_error *error);
void rbt_segment_close(rbt_segment *segment); /* a segment that is {0} with file -1 is fine */

/* Checks that the note signs this manifest, and its signature against those verifiers whose name is the
** manifest's origin, and which count for a tree that ends with the segment. It must be readable. */
int rbt_segment_check_signature(rbt_segment *segment, const rbt_verifier *verifiers, size_t count,
                                rbt_problems *problems, rbt_error *error);

/* Reads frame `index` into segment->frame, checking its hashes and checksum. *decoded is false when no
** text could be had. */
int rbt_segment_load_frame(rbt_segment *segment, size_t index, bool *decoded,
                           rbt_problems *problems, rbt_error *error);

/* The same in three steps, of which the middle one, rbt_frame_decode, may be any thread's. Preparing reads
** the frame's bytes and gets the memory; *prepared is false when they lie beyond the file's end. lines:
** where each begins is wanted. Reporting tells what rbt_frame_decode has found wrong. */
int rbt_segment_prepare_frame(rbt_segment *segment, size_t index, bool lines, rbt_frame *frame,
                              bool *prepared, rbt_problems *problems, rbt_error *error);
int rbt_segment_report_frame(const rbt_segment *segment, const rbt_frame *frame,
                             rbt_problems *problems, rbt_error *error);
/* How many manifests were read and parsed since the process began: for tests of what a query reads. */
extern atomic_ullong rbt_manifests_read;

#endif
