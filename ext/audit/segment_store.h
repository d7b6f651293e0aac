/* SPDX-License-Identifier: MIT
** What the audit log asks of the archive: write a segment, verify one, read entries back. The archive
** implements it (archive/store.c) and rustybt.c hands it to each connection, so that audit need not
** know archive while archive knows audit's leaf and tree.
*/
#ifndef RBT_AUDIT_SEGMENT_STORE_H
#define RBT_AUDIT_SEGMENT_STORE_H

#include "../base/connection.h"
#include "../base/error.h"
#include "../crypto/sign.h"
#include "leaf.h"
#include "tree.h"

/* Everything a segment's manifest says of its log; all pointers borrowed. */
typedef struct rbt_segment_plan {
    const char *who;       /* begins error messages: "audit_archive" */
    const char *directory; /* must exist; where the file goes */
    const char *name;      /* file name, from rbt_segment_name */
    const char *log;
    uint8_t log_id[16];
    const char *origin;
    const rbt_leaf_shape *shape;
    int64_t first_id, last_id;        /* inclusive; 0 is the genesis line */
    const rbt_frontier *before;       /* of size first_id */
    const char *genesis;              /* leaf 0's text */
    const rbt_proof *genesis_proof;   /* inclusion of leaf 0 in the tree of size last_id + 1 */
    const char *checkpoint;           /* newest checkpoint note, or NULL */
    const uint8_t *previous_manifest; /* SHA-256 of the previous segment's manifest; NULL: first */
    int64_t retain_until_us;          /* 0: no date */
    bool only_adopt; /* a finished file is taken over, and without one nothing is written: rows 0 */
    int level;       /* zstd level, 1 to 22; 0: the default, 19 */
    rbt_verifier signer;          /* name = origin */
    const uint8_t *signer_secret; /* 64 bytes */
    const rbt_verifier *trusted; /* by whom a finished file of a run that died may be signed: the */
    size_t trusted_count;        /* signing key may have changed since; NULL: by signer alone */
} rbt_segment_plan;

typedef struct rbt_segment_summary {
    int64_t first_id, last_id;
    int64_t first_recorded_at, last_recorded_at; /* of the entries, genesis included */
    int64_t rows;                                /* lines */
    int64_t raw_bytes;                           /* uncompressed, newlines included */
    int64_t file_bytes;
    rbt_hash root_before, root_after;
    uint8_t manifest_sha256[32];
    int64_t retain_until_us;
    bool has_previous; /* the manifest names the one before it, by its SHA-256: */
    uint8_t previous_manifest[32];
} rbt_segment_summary;

/* A segment on its way to another directory; all pointers borrowed. */
typedef struct rbt_segment_copy {
    const char *who;       /* begins error messages: "audit_relocate" */
    const char *from;      /* the file's path */
    const char *directory; /* must exist; where the copy goes */
    const char *name;      /* file name */
    const rbt_verifier *verifiers;
    size_t verifier_count;
    const uint8_t *manifest_sha256; /* 32 bytes: which segment it must be */
} rbt_segment_copy;

/* Gives the next line, without newline: SQLITE_ROW with *line and *length (valid until the next call),
** SQLITE_DONE, or the error's code. */
typedef int (*rbt_line_source)(void *context, const char **line, size_t *length, rbt_error *error);

/* Called for every problem found: kind ("changed", "truncated", "signature", …), entry id or -1, and a
** sentence that names file and frame. */
typedef void (*rbt_problem_sink)(void *context, const char *kind, int64_t id, const char *detail);

/* Comparison that a reader may use to skip frames by their zone maps; never to drop rows by itself. */
typedef enum rbt_compare { RBT_EQ, RBT_LT, RBT_LE, RBT_GT, RBT_GE } rbt_compare;
enum { RBT_SCAN_ID = -2, RBT_SCAN_RECORDED_AT = -1 }; /* column numbers below the declared ones */
typedef struct rbt_zone_term {
    int column; /* RBT_SCAN_ID, RBT_SCAN_RECORDED_AT, or index into shape->columns */
    rbt_compare compare;
    rbt_value value; /* INTEGER, REAL or TEXT; TEXT compares bytewise (BINARY) */
} rbt_zone_term;

typedef struct rbt_segment_scan rbt_segment_scan;

/* A segment as it was recorded when it was published. */
typedef struct rbt_published {
    int64_t first_id, last_id;
    uint8_t manifest_sha256[32];
} rbt_published;

typedef struct rbt_segment_store {
    /* Appends "<log>-<first id, 12 digits>-<last id, 12 digits>.jsonl.zst"; bytes of the log's name
    ** outside [A-Za-z0-9_.-] are written %XX, as is a leading dot. */
    void (*name)(rbt_buffer *out, const char *log, int64_t first_id, int64_t last_id);

    /* The writing half of the protocol: O_EXCL temporary in the same directory, all lines of the source
    ** (their number, ids, order and the root are recomputed and must fit the plan), fsync, close,
    ** reopen and verify in full, rename without replacing, fsync of the directory. expected_root is
    ** the log's own root at last_id + 1. On failure the temporary is removed and nothing published. */
    int (*write)(const rbt_segment_plan *plan, const rbt_hash *expected_root,
                 rbt_line_source source, void *source_context, rbt_segment_summary *summary,
                 rbt_error *error);

    /* Verifies a file in full: form, seek table against manifest, signature against the verifiers (by
    ** key; any name that equals the manifest's origin), every frame's checksum and lines, ids, ranges,
    ** roots, data hash. Every problem goes to the sink; *summary is filled as far as known. Returns
    ** SQLITE_OK when the check itself could be carried out (problems are in *problems), else the
    ** error (no memory, no file). */
    int (*verify)(const char *path, const rbt_verifier *verifiers, size_t verifier_count,
                  rbt_problem_sink sink, void *sink_context, rbt_segment_summary *summary,
                  int64_t *problems, rbt_error *error);

    /* Opens a segment for reading, on behalf of a connection, whose interrupt it heeds and with which it
    ** keeps what it has read of manifests (NULL: neither): signature by one of the verifiers is required, and when
    ** published is not NULL it must be that segment, and log_id must match when not
    ** NULL. Columns are matched to shape by name (a column the segment lacks reads as NULL).
    ** wanted as in rbt_leaf_parse. Lines come in id order; reverse: descending. */
    int (*scan_open)(rbt_segment_scan **scan, rbt_connection *connection, const char *path,
                     const rbt_verifier *verifiers, size_t verifier_count,
                     const rbt_published *published, const uint8_t *log_id,
                     const rbt_leaf_shape *shape, uint64_t wanted, const rbt_zone_term *terms,
                     size_t term_count, bool reverse, rbt_error *error);
    /* SQLITE_ROW with the next entry of a frame that the terms cannot exclude, SQLITE_DONE, or the
    ** error. The genesis line is skipped. Frame checksums, and that the frame holds exactly the rows
    ** the manifest says, are checked before any of its rows is given out. *leaf and *line are valid
    ** until the next call. */
    int (*scan_next)(rbt_segment_scan *scan, const rbt_leaf **leaf, const char **line,
                     size_t *line_length, rbt_error *error);
    void (*scan_close)(rbt_segment_scan *scan); /* NULL is fine */

    /* Appends the manifest and the signed note of a file as they stand in it: what outlives the file.
    ** Its form is checked, its signature and contents are not; the first problem is the error. */
    int (*read_signed)(const char *who, const char *path, rbt_buffer *manifest, rbt_buffer *note,
                       rbt_error *error);
    /* Checks such a manifest and note by themselves: form, signature. what begins each sentence of a
    ** problem, as the path does in verify, which this follows in all else. */
    int (*verify_signed)(const char *what, const rbt_buffer *manifest, const rbt_buffer *note,
                         const rbt_verifier *verifiers, size_t verifier_count,
                         rbt_problem_sink sink, void *sink_context, rbt_segment_summary *summary,
                         int64_t *problems, rbt_error *error);
    /* Copies a segment: O_EXCL temporary, fsync, close, verified in full, renamed without replacing,
    ** fsync of the directory. A file of that name already there is adopted when it is this very
    ** segment and verifies. On failure nothing is published. The source is only read. */
    int (*copy)(const rbt_segment_copy *copy, rbt_error *error);
} rbt_segment_store;

#endif
