/* SPDX-License-Identifier: MIT
** The half of rbt_archive_store that serves retention: a segment's manifest and note apart from their
** file, and copies of segments (store.h). Calls base, crypto's notes, audit's leaf and tree.
*/
#include "store.h"

#include "../base/file.h"
#include "../base/memory.h"
#include "../crypto/hash.h"
#include "segment_format.h"
#include "segment_verify.h"

#include <errno.h>
#include <fcntl.h>

int rbt_store_read_signed(const char *who, const char *path, rbt_buffer *manifest, rbt_buffer *note,
                          rbt_error *error) {
    rbt_problems strict = rbt_problems_strict(who, path, error);
    rbt_segment segment = {.file = -1};
    if (rbt_segment_open(&segment, who, path, &strict, error) == SQLITE_OK) {
        rbt_buffer_add(manifest, segment.manifest_text, segment.manifest_length);
        rbt_buffer_add(note, segment.note, segment.note_length);
        if (manifest->failed || note->failed) rbt_fail_nomem(error);
    }
    rbt_segment_close(&segment);
    return error->code;
}

int rbt_store_verify_signed(const char *what, const rbt_buffer *manifest, const rbt_buffer *note,
                            const rbt_verifier *verifiers, size_t verifier_count,
                            rbt_problem_sink sink, void *sink_context, rbt_segment_summary *summary,
                            int64_t *problem_count, rbt_error *error) {
    rbt_problems problems = {.sink = sink, .context = sink_context, .path = what, .error = error};
    rbt_error refusal = {0};
    rbt_segment segment = {.file = -1,
                           .manifest_text = (const char *)manifest->data,
                           .manifest_length = manifest->length,
                           .note = (const char *)note->data,
                           .note_length = note->length};
    *summary = (rbt_segment_summary){0};
    int code = SQLITE_ERROR;
    if (manifest->length == 0 || manifest->length > RBT_MANIFEST_MAX || note->length == 0 ||
        note->length > RBT_NOTE_MAX) {
        rbt_problem(&problems, RBT_PROBLEM_MANIFEST, -1, "its manifest or its note is missing");
    } else {
        rbt_sha256_once(segment.manifest_sha256, segment.manifest_text, segment.manifest_length);
        code = rbt_manifest_parse(&segment.manifest, segment.manifest_text, segment.manifest_length,
                                  &refusal);
        if (code == SQLITE_NOMEM)
            rbt_fail_nomem(error);
        else if (code != SQLITE_OK)
            rbt_problem(&problems, RBT_PROBLEM_MANIFEST, -1, "%s",
                        refusal.message ? refusal.message : "the manifest is damaged");
    }
    if (code == SQLITE_OK) {
        segment.readable = true;
        rbt_segment_summarize(&segment, summary);
        rbt_segment_check_signature(&segment, verifiers, verifier_count, &problems, error);
    }
    rbt_error_clear(&refusal);
    rbt_segment_close(&segment);
    *problem_count = problems.count;
    return error->code;
}

/* Keeps the first problem. */
static void first_problem(void *context, const char *kind, int64_t id, const char *detail) {
    rbt_buffer *text = context;
    (void)kind;
    (void)id;
    if (text->length == 0) rbt_buffer_add_text(text, detail);
}

/* The file at path, verified in full, must be the segment that is asked for. */
static int verify_copy(const rbt_segment_copy *copy, const char *path, rbt_error *error) {
    rbt_segment_summary summary;
    rbt_buffer problem = {0};
    int64_t problems = 0;
    if (rbt_archive_store.verify(path, copy->verifiers, copy->verifier_count, first_problem,
                                 &problem, &summary, &problems, error) == SQLITE_OK) {
        const char *text = rbt_buffer_text(&problem);
        if (problems > 0)
            rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: %s", copy->who, text ? text : path);
        else if (memcmp(summary.manifest_sha256, copy->manifest_sha256, 32) != 0)
            rbt_fail(error, SQLITE_CORRUPT_VTAB,
                     "%s: %s is not the segment that was recorded; move it away", copy->who, path);
    }
    rbt_buffer_free(&problem);
    return error->code;
}

static int copy_bytes(const rbt_segment_copy *copy, const char *to, int from_file, int64_t size,
                      int to_file, rbt_error *error) {
    enum { PIECE = 1 << 20 };
    uint8_t *piece = rbt_malloc(PIECE);
    if (!piece) return rbt_fail_nomem(error);
    for (int64_t at = 0; at < size && error->code == SQLITE_OK; at += PIECE) {
        size_t length = size - at < PIECE ? (size_t)(size - at) : PIECE;
        if (rbt_file_read_exact(copy->who, copy->from, from_file, piece, length, at, error) ==
            SQLITE_OK)
            rbt_file_write_all(copy->who, to, to_file, piece, length, error);
    }
    rbt_free(piece);
    return error->code;
}

/* A new file at path with the source's bytes, on disk. *created: OUT, it is there to be removed. */
static int write_copy(const rbt_segment_copy *copy, const char *path, bool *created,
                      rbt_error *error) {
    int64_t size;
    int from = rbt_file_open_read(copy->who, copy->from, &size, error);
    if (from < 0) return error->code;
    int to = rbt_file_create(copy->who, path, RBT_STORE_FILE_MODE, error);
    *created = to >= 0;
    if (to >= 0) {
        if (copy_bytes(copy, path, from, size, to, error) == SQLITE_OK)
            rbt_file_sync(copy->who, path, to, error);
        rbt_file_close(copy->who, path, to, error);
    }
    rbt_files->close(from); /* only read: nothing can be lost */
    return error->code;
}

int rbt_store_copy(const rbt_segment_copy *copy, rbt_error *error) {
    rbt_buffer temporary = {0};
    bool created = false;
    char *path = sqlite3_mprintf("%s/%s", copy->directory, copy->name);
    rbt_store_temporary_path(&temporary, copy->directory, copy->name);
    const char *temporary_path = rbt_buffer_text(&temporary);
    if (!path || !temporary_path) {
        rbt_fail_nomem(error);
        goto cleanup;
    }
    if (rbt_store_remove_temporaries(copy->who, copy->directory, copy->name, error) != SQLITE_OK)
        goto cleanup;
    int there = rbt_files->open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
    if (there >= 0) { /* a run died after its rename and before it was recorded */
        rbt_files->close(there);
        if (verify_copy(copy, path, error) == SQLITE_OK)
            rbt_file_sync_directory_of(copy->who, path, error);
        goto cleanup;
    }
    if (errno != ENOENT) {
        rbt_fail(error, SQLITE_CANTOPEN, "%s: cannot open '%s': %s", copy->who, path,
                 strerror(errno));
        goto cleanup;
    }
    if (write_copy(copy, temporary_path, &created, error) != SQLITE_OK ||
        verify_copy(copy, temporary_path, error) != SQLITE_OK ||
        rbt_file_publish(copy->who, temporary_path, path, error) != SQLITE_OK)
        goto cleanup;
    created = false;
    rbt_file_sync_directory_of(copy->who, path, error);

cleanup:
    if (created) rbt_files->unlink(temporary_path); /* if this fails too, the next run removes it */
    rbt_buffer_free(&temporary);
    rbt_free(path);
    return error->code;
}
