/* SPDX-License-Identifier: MIT
** The archive as the audit log sees it: audit/segment_store.h, implemented in store.c (names, writing,
** verifying) and store_copy.c (what lives on without its file, and moving a file). */
#ifndef RBT_ARCHIVE_STORE_H
#define RBT_ARCHIVE_STORE_H

#include "../audit/segment_store.h"

extern const rbt_segment_store rbt_archive_store;

enum {
    RBT_STORE_RANDOM_BYTES = 8,
    RBT_STORE_FILE_MODE = 0440 /* read-only: a segment is never changed */
};

/* Appends "<directory>/.<name>.<16 random hex digits>.tmp". */
void rbt_store_temporary_path(rbt_buffer *out, const char *directory, const char *name);
/* Removes what dead runs left behind under such paths. The caller holds the directory's lock. */
int rbt_store_remove_temporaries(const char *who, const char *directory, const char *name,
                                 rbt_error *error);

/* See rbt_segment_store. */
int rbt_store_read_signed(const char *who, const char *path, rbt_buffer *manifest, rbt_buffer *note,
                          rbt_error *error);
int rbt_store_verify_signed(const char *what, const rbt_buffer *manifest, const rbt_buffer *note,
                            const rbt_verifier *verifiers, size_t verifier_count,
                            rbt_problem_sink sink, void *sink_context, rbt_segment_summary *summary,
                            int64_t *problems, rbt_error *error);
int rbt_store_copy(const rbt_segment_copy *copy, rbt_error *error);

#endif
