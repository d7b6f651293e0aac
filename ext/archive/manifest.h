/* SPDX-License-Identifier: MIT
** The manifest of a segment: one JSON object that says everything
** about it (DESIGN §7). Written once, hashed and kept as those bytes; read with every number
** checked for range and unknown members passed over. Members, in this order (hashes and other bytes
** in padded base64, times in Unix microseconds):
**
**   format                    "rustybt-segment-v1"
**   log, log_id, origin       name, 32 hex digits, name of the key that signs
**   columns, salted           [{"name","type","since"},…] as declared, without those that no line has;
**                             since: the first id that has the column (absent: all); whether lines
**                             carry a salt
**   first_id, last_id         inclusive; 0 is the genesis line
**   first_recorded_at, last_recorded_at   of the first and the last line
**   rows, raw_bytes, data_bytes   lines; bytes of text; bytes of all data frames
**   frontier_before           perfect subtrees of the tree of first_id leaves, largest first
**   root_before, root_after   roots at sizes first_id and last_id + 1
**   genesis, genesis_proof    leaf 0's text, and its inclusion in root_after
**   checkpoint                the newest checkpoint's note, or null
**   data_sha256               SHA-256 of the data frames
**   previous_manifest_sha256  of the segment before; null in the first
**   signer_key_id             8 hex digits: the note's key id
**   retain_until              or null
**   frames                    [{"offset","size","raw","rows","first_id","last_id","xxh3","sha256",
**                             "zones","filters"},…]: xxh3 is XXH3-64 of the compressed frame in 16 hex
**                             digits, sha256 its SHA-256 (absent: unknown), zones as in zone.h,
**                             filters as in filter.h (absent: none)
**
** Pure; calls base and audit's leaf and tree.
*/
#ifndef RBT_ARCHIVE_MANIFEST_H
#define RBT_ARCHIVE_MANIFEST_H

#include "../audit/segment_store.h"
#include "../base/json.h"

enum {
    RBT_SEGMENT_MAX_ROWS = 1048576,
    RBT_FRAME_TEXT = 4 * 1024 * 1024,     /* bytes of text at which a frame is closed */
    RBT_FRAME_MAX_RAW = 8 * 1024 * 1024,  /* the most that a reader accepts */
    RBT_FRAME_MAX_SIZE = 9 * 1024 * 1024, /* above zstd's bound for RBT_FRAME_MAX_RAW */
    RBT_MANIFEST_MAX = 32 * 1024 * 1024,  /* bytes */
    RBT_ZONES_BUDGET = 16 * 1024 * 1024,  /* bytes of zones after which only recorded_at's follow */
    RBT_FILTERS_BUDGET = 8 * 1024 * 1024  /* bytes of filters after which none follow */
};

typedef struct rbt_manifest_frame {
    int64_t offset, size, raw; /* bytes: place in the file, compressed, text */
    int64_t rows, first_id, last_id;
    uint64_t xxh3;
    bool has_sha256;
    uint8_t sha256[32];
    /* One of the two: where their text lies when writing, their node when read. */
    size_t zones_start, zones_length;
    size_t filters_start, filters_length; /* length 0: none */
    const rbt_json_node *zones;
    const rbt_json_node *filters; /* NULL: none */
} rbt_manifest_frame;

/* What the writer has found out, beyond the plan. */
typedef struct rbt_manifest_facts {
    int64_t first_recorded_at, last_recorded_at;
    int64_t rows, raw_bytes, data_bytes;
    rbt_hash root_before, root_after;
    uint8_t data_sha256[32];
    const rbt_manifest_frame *frames;
    size_t frame_count;
    const rbt_buffer *zones;   /* the frames' zones, one behind the other */
    const rbt_buffer *filters; /* the same of their filters */
} rbt_manifest_facts;

void rbt_manifest_write(rbt_buffer *out, const rbt_segment_plan *plan,
                        const rbt_manifest_facts *facts);

/* The text that is signed, for the manifest's SHA-256. */
void rbt_segment_note_text(rbt_buffer *out, const char *origin, int64_t first_id, int64_t last_id,
                           const uint8_t manifest_sha256[32]);

/* recorded_at of a genesis line, `{"id":0,"recorded_at":…,`; false when it does not begin so or
** holds a control character. */
bool rbt_genesis_recorded_at(const char *line, size_t length, int64_t *recorded_at);

typedef struct rbt_manifest {
    rbt_json document; /* over the caller's bytes, which must outlive it */
    char *log;
    uint8_t log_id[16];
    char *origin;
    rbt_leaf_shape shape;
    int64_t first_id, last_id;
    int64_t first_recorded_at, last_recorded_at;
    int64_t rows, raw_bytes, data_bytes;
    rbt_frontier before;
    rbt_hash root_before, root_after;
    rbt_buffer genesis;
    rbt_proof genesis_proof;
    bool has_checkpoint;
    rbt_buffer checkpoint;
    uint8_t data_sha256[32];
    bool has_previous;
    uint8_t previous_sha256[32];
    uint8_t signer_key_id[4];
    int64_t retain_until_us; /* 0: no date */
    rbt_manifest_frame *frames;
    size_t frame_count;
    int64_t filter_bytes; /* of the manifest's text */
} rbt_manifest;

/* Reads a manifest, which starts as {0}, and checks that its numbers agree with each other: ids and
** offsets without gap, sums, ranges. SQLITE_NOMEM, or SQLITE_ERROR with a message such as
** "manifest: first_id is missing or out of range". Free it in any case. */
int rbt_manifest_parse(rbt_manifest *manifest, const char *text, size_t length, rbt_error *error);
void rbt_manifest_free(rbt_manifest *manifest);

#endif
