/* SPDX-License-Identifier: MIT
** rbt_archive_store: names, and the writing half of the protocol of DESIGN §7, safe at every kill. A
** segment is written under ".<name>.<random hex>.tmp" and gets its name only when it is whole, synced
** and verified. The caller holds the log's lock, so a temporary of this name is of a dead run.
*/
#include "store.h"

#include "../base/file.h"
#include "../base/memory.h"
#include "segment_scan.h"
#include "segment_verify.h"
#include "segment_writer.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>

static void segment_name(rbt_buffer *out, const char *log, int64_t first_id, int64_t last_id) {
    for (const char *at = log; *at; at++) {
        bool plain = (*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z') ||
                     (*at >= '0' && *at <= '9') || *at == '_' || *at == '-' ||
                     (*at == '.' && at != log);
        if (plain)
            rbt_buffer_add_byte(out, (uint8_t)*at);
        else
            rbt_buffer_printf(out, "%%%02X", (unsigned)(uint8_t)*at);
    }
    rbt_buffer_printf(out, "-%012lld-%012lld.jsonl.zst", (long long)first_id, (long long)last_id);
}

static int verify_open(rbt_segment *segment, const rbt_verifier *verifiers, size_t count,
                       rbt_problems *problems, rbt_segment_summary *summary, rbt_error *error) {
    summary->file_bytes = segment->file_bytes;
    if (!segment->readable) return SQLITE_OK;
    rbt_segment_summarize(segment, summary);
    if (rbt_segment_check_signature(segment, verifiers, count, problems, error) != SQLITE_OK)
        return error->code;
    return rbt_segment_verify_contents(segment, verifiers, count, problems, error);
}

static int verify(const char *path, const rbt_verifier *verifiers, size_t verifier_count,
                  rbt_problem_sink sink, void *sink_context, rbt_segment_summary *summary,
                  int64_t *problem_count, rbt_error *error) {
    rbt_problems problems = {.sink = sink, .context = sink_context, .path = path, .error = error};
    rbt_segment segment = {.file = -1};
    *summary = (rbt_segment_summary){0};
    if (rbt_segment_open(&segment, "archive", path, &problems, error) == SQLITE_OK)
        verify_open(&segment, verifiers, verifier_count, &problems, summary, error);
    rbt_segment_close(&segment);
    *problem_count = problems.count;
    return error->code;
}

/* Verifies the file at path in full and that it is the plan's segment, signed by one of the verifiers; the
** first problem is the error. */
static int verify_plan(const rbt_segment_plan *plan, const char *path,
                       const rbt_verifier *verifiers, size_t verifier_count,
                       const rbt_hash *expected_root, rbt_segment_summary *summary,
                       rbt_error *error) {
    rbt_problems strict = rbt_problems_strict(plan->who, path, error);
    rbt_segment segment = {.file = -1};
    if (rbt_segment_open(&segment, plan->who, path, &strict, error) != SQLITE_OK ||
        verify_open(&segment, verifiers, verifier_count, &strict, summary, error) != SQLITE_OK)
        goto cleanup;
    const rbt_manifest *manifest = &segment.manifest;
    const uint8_t *previous = plan->previous_manifest;
    rbt_hash root_before;
    rbt_frontier_root(&root_before, plan->before);
    const char *difference = NULL;
    if (memcmp(manifest->log_id, plan->log_id, sizeof plan->log_id) != 0)
        difference = "it is of another log";
    else if (strcmp(manifest->origin, plan->origin) != 0)
        difference = "it is of another origin";
    else if (manifest->first_id != plan->first_id || manifest->last_id != plan->last_id)
        difference = "it holds other entries";
    else if (!rbt_hash_equal(&manifest->root_before, &root_before) ||
             !rbt_hash_equal(&manifest->root_after, expected_root))
        difference = "it leads to another root than the log's";
    else if (manifest->has_previous != (previous != NULL) ||
             (previous && memcmp(manifest->previous_sha256, previous, 32) != 0))
        difference = "it follows another segment";
    if (difference) rbt_problem(&strict, RBT_PROBLEM_MANIFEST, -1, "%s", difference);

cleanup:
    rbt_segment_close(&segment);
    return error->code;
}

int rbt_store_remove_temporaries(const char *who, const char *folder, const char *file,
                                 rbt_error *error) {
    size_t name_length = strlen(file);
    DIR *directory = opendir(folder);
    if (!directory)
        return rbt_fail(error, SQLITE_CANTOPEN, "%s: opening the directory %s: %s", who, folder,
                        strerror(errno));
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry) {
            if (errno != 0)
                rbt_fail(error, SQLITE_CANTOPEN, "%s: reading the directory %s: %s", who, folder,
                         strerror(errno));
            break;
        }
        /* ".<name>." 2 * RBT_STORE_RANDOM_BYTES digits ".tmp" */
        const char *name = entry->d_name;
        if (strlen(name) != 1 + name_length + 1 + 2 * RBT_STORE_RANDOM_BYTES + 4 ||
            name[0] != '.' || memcmp(name + 1, file, name_length) != 0 ||
            name[1 + name_length] != '.' || strcmp(name + strlen(name) - 4, ".tmp") != 0)
            continue;
        char *path = sqlite3_mprintf("%s/%s", folder, name);
        if (!path)
            rbt_fail_nomem(error);
        else if (rbt_files->unlink(path) != 0 && errno != ENOENT)
            rbt_fail(error, SQLITE_CANTOPEN, "%s: removing %s, left by a run that died: %s", who,
                     path, strerror(errno));
        rbt_free(path);
        if (error->code != SQLITE_OK) break;
    }
    closedir(directory);
    return error->code;
}

/* A file of the final name already there is adopted when it is this segment: a run died after its
** rename and before it was recorded. *exists tells. */
static int adopt(const rbt_segment_plan *plan, const char *path, const rbt_hash *expected_root,
                 bool *exists, rbt_segment_summary *summary, rbt_error *error) {
    int file = rbt_files->open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
    *exists = file >= 0 || errno != ENOENT;
    if (!*exists) return SQLITE_OK;
    if (file < 0)
        return rbt_fail(error, SQLITE_CANTOPEN, "%s: opening %s: %s", plan->who, path,
                        strerror(errno));
    rbt_files->close(file);
    rbt_error refusal = {0};
    const rbt_verifier *verifiers = plan->trusted ? plan->trusted : &plan->signer;
    size_t count = plan->trusted ? plan->trusted_count : 1;
    int code = verify_plan(plan, path, verifiers, count, expected_root, summary, &refusal);
    if (code == SQLITE_NOMEM)
        rbt_fail_nomem(error);
    else if (code != SQLITE_OK)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: the file exists already and cannot be adopted; move it away",
                 refusal.message);
    rbt_error_clear(&refusal);
    /* The rename may not have reached the disk before that run died. */
    if (error->code == SQLITE_OK) rbt_file_sync_directory_of(plan->who, path, error);
    return error->code;
}

void rbt_store_temporary_path(rbt_buffer *out, const char *directory, const char *name) {
    uint8_t random[RBT_STORE_RANDOM_BYTES];
    randombytes_buf(random, sizeof random);
    rbt_buffer_printf(out, "%s/.%s.", directory, name);
    rbt_buffer_add_hex(out, random, sizeof random);
    rbt_buffer_add_text(out, ".tmp");
}

static int write_temporary(const rbt_segment_plan *plan, const char *path,
                           const rbt_hash *expected_root, rbt_line_source source,
                           void *source_context, rbt_segment_summary *summary, rbt_error *error) {
    int file = rbt_file_create(plan->who, path, RBT_STORE_FILE_MODE, error);
    if (file < 0) return error->code;
    int code =
        rbt_segment_write(plan, path, file, expected_root, source, source_context, summary, error);
    if (code == SQLITE_OK) rbt_file_sync(plan->who, path, file, error);
    rbt_file_close(plan->who, path, file, error); /* the error is sticky */
    return error->code;
}

static int write_segment(const rbt_segment_plan *plan, const rbt_hash *expected_root,
                         rbt_line_source source, void *source_context, rbt_segment_summary *summary,
                         rbt_error *error) {
    rbt_buffer temporary = {0};
    bool exists;
    bool written = false;
    char *path = sqlite3_mprintf("%s/%s", plan->directory, plan->name);
    rbt_store_temporary_path(&temporary, plan->directory, plan->name);
    const char *temporary_path = rbt_buffer_text(&temporary);
    if (!path || !temporary_path) {
        rbt_fail_nomem(error);
        goto cleanup;
    }
    if (rbt_store_remove_temporaries(plan->who, plan->directory, plan->name, error) != SQLITE_OK)
        goto cleanup;
    if (adopt(plan, path, expected_root, &exists, summary, error) != SQLITE_OK || exists ||
        plan->only_adopt)
        goto cleanup;

    written = true;
    if (write_temporary(plan, temporary_path, expected_root, source, source_context, summary,
                        error) != SQLITE_OK ||
        verify_plan(plan, temporary_path, &plan->signer, 1, expected_root, summary, error) !=
            SQLITE_OK ||
        rbt_file_publish(plan->who, temporary_path, path, error) != SQLITE_OK)
        goto cleanup;
    written = false;
    /* A sync that failed must not be tried again (fsync(2): the error is told once), so that the next run
    ** may not find the file and take its name for safe. */
    if (rbt_file_sync_directory_of(plan->who, path, error) != SQLITE_OK) rbt_files->unlink(path);

cleanup:
    if (written) rbt_files->unlink(temporary_path); /* if this fails too, the next run removes it */
    rbt_buffer_free(&temporary);
    rbt_free(path);
    return error->code;
}

const rbt_segment_store rbt_archive_store = {
    .name = segment_name,
    .write = write_segment,
    .verify = verify,
    .scan_open = rbt_segment_scan_open,
    .scan_next = rbt_segment_scan_next,
    .scan_close = rbt_segment_scan_close,
    .read_signed = rbt_store_read_signed,
    .verify_signed = rbt_store_verify_signed,
    .copy = rbt_store_copy,
};
