/* SPDX-License-Identifier: MIT
** The full check of a segment's contents (segment_verify.h).
*/
#include "segment_verify.h"

#include "../audit/checkpoint.h"
#include "../base/memory.h"
#include "../crypto/hash.h"
#include "zone.h"

enum { MAX_LINE_REPORTS = 20 }; /* a frame; more are counted */

typedef struct verification {
    rbt_segment *segment;
    rbt_problems *problems;
    rbt_error *error;
    rbt_frontier frontier;
    rbt_sha256 data_hash;
    rbt_zone_builder *zones;
    rbt_leaf leaf;
    rbt_buffer scratch;
    int64_t first_recorded_at, last_recorded_at;
    bool all_decoded;
    bool all_parsed;
} verification;

void rbt_segment_summarize(const rbt_segment *segment, rbt_segment_summary *summary) {
    const rbt_manifest *manifest = &segment->manifest;
    *summary = (rbt_segment_summary){
        .first_id = manifest->first_id,
        .last_id = manifest->last_id,
        .first_recorded_at = manifest->first_recorded_at,
        .last_recorded_at = manifest->last_recorded_at,
        .rows = manifest->rows,
        .raw_bytes = manifest->raw_bytes,
        .file_bytes = segment->file_bytes,
        .root_before = manifest->root_before,
        .root_after = manifest->root_after,
        .retain_until_us = manifest->retain_until_us,
    };
    memcpy(summary->manifest_sha256, segment->manifest_sha256, sizeof summary->manifest_sha256);
    summary->has_previous = manifest->has_previous;
    if (manifest->has_previous)
        memcpy(summary->previous_manifest, manifest->previous_sha256,
               sizeof summary->previous_manifest);
}

/* ---- What the manifest says of the log ---- */

/* The genesis is JSON that names the log's identity, and is leaf 0 of the tree. */
static int check_genesis(verification *v) {
    const rbt_manifest *manifest = &v->segment->manifest;
    rbt_hash leaf;
    rbt_leaf_hash(&leaf, manifest->genesis.data, manifest->genesis.length);
    if (!rbt_inclusion_verify(&manifest->genesis_proof, 0, (uint64_t)manifest->last_id + 1, &leaf,
                              &manifest->root_after))
        rbt_problem(v->problems, RBT_PROBLEM_MANIFEST, -1,
                    "the manifest's genesis is not proven to be leaf 0 of the tree");

    rbt_json document = {0};
    rbt_error refusal = {0};
    rbt_buffer log_id = {0};
    rbt_buffer want = {0};
    int code = rbt_json_parse(&document, (const char *)manifest->genesis.data,
                              manifest->genesis.length, "genesis", &refusal);
    if (code == SQLITE_OK)
        rbt_json_string(&document, rbt_json_member(&document, rbt_json_root(&document), "log_id"),
                        &log_id);
    rbt_buffer_add_hex(&want, manifest->log_id, sizeof manifest->log_id);
    if (code == SQLITE_NOMEM || log_id.failed || want.failed)
        rbt_fail_nomem(v->error);
    else if (code != SQLITE_OK || log_id.length != want.length ||
             memcmp(log_id.data, want.data, want.length) != 0)
        rbt_problem(v->problems, RBT_PROBLEM_MANIFEST, -1,
                    "the manifest's genesis is not that of the log it names");
    rbt_error_clear(&refusal);
    rbt_buffer_free(&log_id);
    rbt_buffer_free(&want);
    rbt_json_free(&document);
    return v->error->code;
}

/* The checkpoint may be older or newer than the segment; where the sizes meet, the roots must. */
static int check_checkpoint(verification *v, const rbt_verifier *verifiers, size_t count) {
    const rbt_manifest *manifest = &v->segment->manifest;
    if (!manifest->has_checkpoint) return SQLITE_OK;
    const char *note = (const char *)manifest->checkpoint.data;
    size_t length = manifest->checkpoint.length;
    size_t text_length;
    const char *why = NULL;
    rbt_checkpoint checkpoint;
    const char *problem = NULL;
    uint64_t limit;
    bool split = length > 0 && rbt_note_split(note, length, &text_length, &why) &&
                 rbt_checkpoint_parse(&checkpoint, note, text_length);
    int signer =
        split ? rbt_note_verify_at(note, length, checkpoint.size, verifiers, count, &limit) : -1;
    if (signer == -3 || why == rbt_note_no_memory) return rbt_fail_nomem(v->error);
    if (!split)
        problem = "is no checkpoint";
    else if (strcmp(checkpoint.origin, manifest->origin) != 0)
        problem = "is of another origin";
    else if (signer == -2)
        problem = "has a wrong signature";
    else if (signer == RBT_NOTE_SUPERSEDED)
        problem = "is signed by a key that was superseded at a smaller size";
    else if (checkpoint.size == (uint64_t)manifest->last_id + 1 &&
             !rbt_hash_equal(&checkpoint.root, &manifest->root_after))
        problem = "has another root than the segment leads to";
    else if (checkpoint.size == (uint64_t)manifest->first_id &&
             !rbt_hash_equal(&checkpoint.root, &manifest->root_before))
        problem = "has another root than the segment begins with";
    if (problem)
        rbt_problem(v->problems, RBT_PROBLEM_CHECKPOINT, -1, "the checkpoint in the manifest %s",
                    problem);
    return v->error->code;
}

static int check_root_before(verification *v) {
    const rbt_manifest *manifest = &v->segment->manifest;
    rbt_hash root;
    rbt_frontier_root(&root, &manifest->before);
    if (!rbt_hash_equal(&root, &manifest->root_before))
        rbt_problem(v->problems, RBT_PROBLEM_ROOT, -1,
                    "the manifest's frontier does not lead to its root before entry %lld",
                    (long long)manifest->first_id);
    return v->error->code;
}

/* ---- Lines ---- */

/* What is wrong with one line is told while the limit lasts. */
typedef struct line_report {
    size_t frame;
    int64_t count;
} line_report;

static bool may_report(line_report *report) {
    return report->count++ < MAX_LINE_REPORTS;
}

/* Leaf 0. */
static void check_genesis_line(verification *v, line_report *report, const char *line,
                               size_t length, int64_t *recorded_at) {
    const rbt_buffer *genesis = &v->segment->manifest.genesis;
    if (length == genesis->length && memcmp(line, genesis->data, length) == 0 &&
        rbt_genesis_recorded_at(line, length, recorded_at))
        return;
    v->all_parsed = false;
    if (may_report(report))
        rbt_problem(v->problems, RBT_PROBLEM_CHANGED, 0,
                    "frame 1: the first line is not the manifest's genesis");
}

/* An entry that should have the id *expected; what follows is measured by what was found. */
static void check_entry_line(verification *v, line_report *report, const char *line, size_t length,
                             int64_t *expected, int64_t *recorded_at) {
    long long frame = (long long)report->frame + 1;
    if (!rbt_leaf_parse(&v->leaf, &v->segment->manifest.shape, line, length, UINT64_MAX)) {
        v->all_parsed = false;
        if (v->leaf.capacity < v->segment->manifest.shape.count || v->leaf.scratch.failed)
            rbt_fail_nomem(v->error);
        else if (may_report(report))
            rbt_problem(v->problems, RBT_PROBLEM_CHANGED, *expected,
                        "frame %lld: entry %lld is not a line of the log's declaration", frame,
                        (long long)*expected);
        return;
    }
    *recorded_at = v->leaf.recorded_at;
    rbt_zone_builder_add(v->zones, &v->leaf);
    if (v->leaf.id == *expected) return;
    bool may = may_report(report);
    if (v->leaf.id > *expected && v->leaf.id - *expected <= RBT_SEGMENT_MAX_ROWS) {
        if (may)
            rbt_problem(v->problems, RBT_PROBLEM_MISSING, *expected,
                        "frame %lld: after entry %lld comes %lld; %lld missing", frame,
                        (long long)*expected - 1, (long long)v->leaf.id,
                        (long long)(v->leaf.id - *expected));
        *expected = v->leaf.id;
        return;
    }
    if (may)
        rbt_problem(v->problems, RBT_PROBLEM_ORDER, v->leaf.id,
                    "frame %lld: entry %lld stands where entry %lld belongs", frame,
                    (long long)v->leaf.id, (long long)*expected);
    --*expected; /* moved or repeated: the count goes on as if the line were not there */
}

static void check_lines(verification *v, size_t index) {
    const rbt_manifest_frame *frame = &v->segment->manifest.frames[index];
    const char *at = (const char *)v->segment->text.data;
    const char *end = at + v->segment->text.length;
    int64_t expected = frame->first_id;
    int64_t lines = 0;
    line_report report = {.frame = index};
    rbt_zone_builder_clear(v->zones);
    while (at < end && v->error->code == SQLITE_OK) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline ? newline : end) - at);
        int64_t recorded_at = v->last_recorded_at;
        rbt_hash hash;
        if (frame->first_id == 0 && lines == 0)
            check_genesis_line(v, &report, at, length, &recorded_at);
        else
            check_entry_line(v, &report, at, length, &expected, &recorded_at);
        if (index == 0 && lines == 0) v->first_recorded_at = recorded_at;
        v->last_recorded_at = recorded_at;
        rbt_leaf_hash(&hash, at, length);
        rbt_frontier_append(&v->frontier, &hash);
        lines++;
        expected++;
        if (!newline)
            rbt_problem(v->problems, RBT_PROBLEM_CHANGED, -1,
                        "frame %lld: the last line does not end in a newline",
                        (long long)index + 1);
        at += length + (newline != NULL);
    }
    if (report.count > MAX_LINE_REPORTS)
        rbt_problem(v->problems, RBT_PROBLEM_CHANGED, -1, "frame %lld: %lld more lines are wrong",
                    (long long)index + 1, (long long)(report.count - MAX_LINE_REPORTS));
    if (lines != frame->rows)
        rbt_problem(v->problems, RBT_PROBLEM_MISSING, -1,
                    "frame %lld has %lld lines, the manifest says %lld", (long long)index + 1,
                    (long long)lines, (long long)frame->rows);
}

static int check_frame(verification *v, size_t index) {
    const rbt_manifest *manifest = &v->segment->manifest;
    bool decoded;
    if (rbt_segment_load_frame(v->segment, index, &decoded, v->problems, v->error) != SQLITE_OK)
        return v->error->code;
    rbt_sha256_update(&v->data_hash, v->segment->compressed.data, v->segment->compressed.length);
    if (!decoded) {
        v->all_decoded = false;
        return SQLITE_OK;
    }
    check_lines(v, index);
    rbt_buffer_clear(&v->scratch);
    const char *column = rbt_zone_builder_misfit(v->zones, &manifest->document,
                                                 manifest->frames[index].zones, &v->scratch);
    if (v->scratch.failed) rbt_fail_nomem(v->error);
    if (column)
        rbt_problem(v->problems, RBT_PROBLEM_ZONE, -1,
                    "frame %lld: the manifest's zone of %s does not cover its entries",
                    (long long)index + 1, column);
    return v->error->code;
}

static int check_frames(verification *v) {
    const rbt_manifest *manifest = &v->segment->manifest;
    int64_t before = v->problems->count;
    v->frontier = manifest->before;
    v->all_decoded = v->all_parsed = true;
    rbt_sha256_init(&v->data_hash);
    for (size_t i = 0; i < manifest->frame_count; i++)
        if (check_frame(v, i) != SQLITE_OK) return v->error->code;

    uint8_t data_sha256[32];
    rbt_sha256_final(&v->data_hash, data_sha256);
    if (v->problems->count == before &&
        memcmp(data_sha256, manifest->data_sha256, sizeof data_sha256) != 0)
        rbt_problem(v->problems, RBT_PROBLEM_CHANGED, -1,
                    "the data frames together have another SHA-256 than the manifest says");
    if (!v->all_decoded) return v->error->code; /* without all lines there is no root to compare */
    rbt_hash root;
    rbt_frontier_root(&root, &v->frontier);
    if (!rbt_hash_equal(&root, &manifest->root_after))
        rbt_problem(v->problems, RBT_PROBLEM_ROOT, -1,
                    "entries %lld to %lld lead to another root than the manifest says",
                    (long long)manifest->first_id, (long long)manifest->last_id);
    if (v->all_parsed && (v->first_recorded_at != manifest->first_recorded_at ||
                          v->last_recorded_at != manifest->last_recorded_at))
        rbt_problem(v->problems, RBT_PROBLEM_MANIFEST, -1,
                    "the times of the first and the last line are not those of the manifest");
    return v->error->code;
}

int rbt_segment_verify_contents(rbt_segment *segment, const rbt_verifier *verifiers, size_t count,
                                rbt_problems *problems, rbt_error *error) {
    verification v = {.segment = segment, .problems = problems, .error = error};
    v.zones = rbt_zone_builder_new(&segment->manifest.shape);
    if (!v.zones) return rbt_fail_nomem(error);
    if (check_root_before(&v) == SQLITE_OK && check_genesis(&v) == SQLITE_OK &&
        check_checkpoint(&v, verifiers, count) == SQLITE_OK)
        check_frames(&v);
    rbt_zone_builder_free(v.zones);
    rbt_leaf_free(&v.leaf);
    rbt_buffer_free(&v.scratch);
    return error->code;
}
