/* SPDX-License-Identifier: MIT
** Scans of a segment (segment_scan.h).
*/
#include "segment_scan.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "filter.h"
#include "segment_cache.h"
#include "workspace.h"
#include "zone.h"

enum {
    NO_COLUMN = -1,
    UNAIDED_FRAMES = 2, /* decoded here before a thread is begun: most queries want no more */
    SLOTS = RBT_WORKSPACE_FRAMES
};

struct rbt_segment_scan {
    rbt_segment segment;
    const rbt_leaf_shape *shape; /* the caller's */
    int *sources;                /* of each of its columns: the segment's column, or NO_COLUMN */
    bool renamed;                /* the two shapes differ: values are moved to `given` */
    uint64_t wanted;             /* of the segment's columns */
    rbt_zone_term *terms;        /* on the segment's columns; ids are in first_id, last_id */
    size_t term_count;
    rbt_buffer term_text;
    rbt_buffer scratch;
    int64_t first_id, last_id; /* what the terms leave of the ids; empty when last < first */
    bool reverse;
    rbt_connection *connection; /* NULL: it cannot be interrupted */
    size_t frames_left;
    rbt_workspace *workspace; /* NULL until the first frame */
    uint64_t chosen, taken;   /* counts of frames; frame n of those is in frames[n % SLOTS] */
    bool all_chosen;          /* none is left, or one could not be read */
    rbt_error refusal;        /* why the last that was chosen could not: told when its turn comes */
    bool thread_tried;        /* prefetch says whether there is one */
    rbt_prefetch *prefetch;
    const rbt_frame *frame; /* the one being read */
    int64_t next_line, lines_left;
    rbt_leaf leaf;
    rbt_leaf given;
};

static uint64_t column_bit(size_t column) {
    return (uint64_t)1 << (column < 63 ? column : 63);
}

static int map_columns(rbt_segment_scan *scan, uint64_t wanted, rbt_error *error) {
    const rbt_leaf_shape *have = &scan->segment.manifest.shape;
    const rbt_leaf_shape *shape = scan->shape;
    scan->sources = rbt_malloc(shape->count * sizeof *scan->sources);
    scan->given.values = rbt_calloc(shape->count * sizeof *scan->given.values);
    if (!scan->sources || !scan->given.values) return rbt_fail_nomem(error);
    scan->given.capacity = shape->count;
    scan->renamed = shape->count != have->count;
    for (size_t i = 0; i < shape->count; i++) {
        int source = NO_COLUMN;
        for (size_t j = 0; j < have->count && source == NO_COLUMN; j++)
            if (sqlite3_stricmp(have->columns[j].name, shape->columns[i].name) == 0)
                source = (int)j;
        scan->sources[i] = source;
        scan->renamed |= source != (int)i;
        if (source != NO_COLUMN && (wanted & column_bit(i)))
            scan->wanted |= column_bit((size_t)source);
    }
    return SQLITE_OK;
}

/* Only whole numbers narrow the ids; SQLite itself compares the others. */
static void narrow_ids(rbt_segment_scan *scan, const rbt_zone_term *term) {
    if (term->value.kind != RBT_INTEGER) return;
    int64_t id = term->value.integer;
    int64_t least = INT64_MIN, most = INT64_MAX;
    switch (term->compare) {
    case RBT_EQ:
        least = most = id;
        break;
    case RBT_LT:
        most = id == INT64_MIN ? id : id - 1; /* ids are never negative */
        break;
    case RBT_LE:
        most = id;
        break;
    case RBT_GT:
        least = id == INT64_MAX ? id : id + 1;
        break;
    case RBT_GE:
        least = id;
        break;
    }
    if (least > scan->first_id) scan->first_id = least;
    if (most < scan->last_id) scan->last_id = most;
}

/* Copies the terms, whose text need not outlive scan_open. */
static int take_terms(rbt_segment_scan *scan, const rbt_zone_term *terms, size_t count,
                      rbt_error *error) {
    scan->terms = rbt_malloc(count * sizeof *scan->terms);
    if (!scan->terms) return rbt_fail_nomem(error);
    for (size_t i = 0; i < count; i++) {
        rbt_zone_term term = terms[i];
        if (term.column == RBT_SCAN_ID) {
            narrow_ids(scan, &term);
            continue;
        }
        if (term.column >= 0) term.column = scan->sources[term.column];
        if (term.column == NO_COLUMN && terms[i].column >= 0) {
            scan->last_id = -1; /* it reads as NULL, of which no comparison is true */
            continue;
        }
        if (term.value.kind == RBT_TEXT && term.value.length > 0)
            rbt_buffer_add(&scan->term_text, term.value.data, term.value.length);
        scan->terms[scan->term_count++] = term;
    }
    rbt_buffer_add_byte(&scan->term_text, 0); /* so that empty text points somewhere */
    if (scan->term_text.failed) return rbt_fail_nomem(error);
    const uint8_t *text = scan->term_text.data;
    for (size_t i = 0; i < scan->term_count; i++) {
        if (scan->terms[i].value.kind != RBT_TEXT) continue;
        scan->terms[i].value.data = text;
        text += scan->terms[i].value.length;
    }
    return SQLITE_OK;
}

static int open_trusted(rbt_segment_scan *scan, const char *path, const rbt_verifier *verifiers,
                        size_t verifier_count, const rbt_published *published,
                        const uint8_t *log_id, rbt_error *error) {
    rbt_problems strict = rbt_problems_strict("archive", path, error);
    rbt_segment *segment = &scan->segment;
    if (rbt_segment_open_kept(segment, scan->connection, "archive", path, &strict, error) !=
            SQLITE_OK ||
        rbt_segment_check_kept(segment, verifiers, verifier_count, &strict, error) != SQLITE_OK)
        return error->code;
    if (published && memcmp(segment->manifest_sha256, published->manifest_sha256, 32) != 0)
        rbt_problem(&strict, RBT_PROBLEM_MANIFEST, -1,
                    "it is another segment than the one that was published here");
    else if (published && (segment->manifest.first_id != published->first_id ||
                           segment->manifest.last_id != published->last_id))
        rbt_problem(&strict, RBT_PROBLEM_MANIFEST, -1,
                    "it holds entries %lld to %lld, recorded are %lld to %lld",
                    (long long)segment->manifest.first_id, (long long)segment->manifest.last_id,
                    (long long)published->first_id, (long long)published->last_id);
    if (log_id && memcmp(segment->manifest.log_id, log_id, sizeof segment->manifest.log_id) != 0)
        rbt_problem(&strict, RBT_PROBLEM_MANIFEST, -1, "it is a segment of another log, %s",
                    segment->manifest.log);
    return error->code;
}

int rbt_segment_scan_open(rbt_segment_scan **out, rbt_connection *connection, const char *path,
                          const rbt_verifier *verifiers, size_t verifier_count,
                          const rbt_published *published, const uint8_t *log_id,
                          const rbt_leaf_shape *shape, uint64_t wanted, const rbt_zone_term *terms,
                          size_t term_count, bool reverse, rbt_error *error) {
    *out = NULL;
    rbt_segment_scan *scan = rbt_calloc(sizeof *scan);
    if (!scan) return rbt_fail_nomem(error);
    scan->segment.file = -1;
    scan->connection = connection;
    scan->shape = shape;
    scan->reverse = reverse;
    if (open_trusted(scan, path, verifiers, verifier_count, published, log_id, error) ==
        SQLITE_OK) {
        scan->first_id = scan->segment.manifest.first_id;
        if (scan->first_id == 0) scan->first_id = 1; /* the genesis is no entry */
        scan->last_id = scan->segment.manifest.last_id;
        scan->frames_left = scan->segment.manifest.frame_count;
        if (map_columns(scan, wanted, error) == SQLITE_OK)
            take_terms(scan, terms, term_count, error);
    }
    if (error->code != SQLITE_OK) {
        rbt_segment_scan_close(scan);
        return error->code;
    }
    *out = scan;
    return SQLITE_OK;
}

void rbt_segment_scan_close(rbt_segment_scan *scan) {
    if (!scan) return;
    rbt_prefetch_stop(scan->prefetch); /* before what it works on goes */
    rbt_workspace_give_back(scan->connection, scan->workspace);
    rbt_segment_close(&scan->segment);
    rbt_free(scan->sources);
    rbt_free(scan->terms);
    rbt_error_clear(&scan->refusal);
    rbt_buffer_free(&scan->term_text);
    rbt_buffer_free(&scan->scratch);
    rbt_leaf_free(&scan->leaf);
    rbt_leaf_free(&scan->given);
    rbt_free(scan);
}

static bool frame_excluded(rbt_segment_scan *scan, const rbt_manifest_frame *frame) {
    const rbt_manifest *manifest = &scan->segment.manifest;
    if (frame->last_id < scan->first_id || frame->first_id > scan->last_id) return true;
    for (size_t i = 0; i < scan->term_count; i++)
        if (rbt_zones_exclude(&manifest->document, frame->zones, &manifest->shape, &scan->terms[i],
                              &scan->scratch) ||
            rbt_filters_exclude(&manifest->document, frame->filters, &manifest->shape,
                                &scan->terms[i], &scan->scratch))
            return true;
    return false;
}

/* Goes on to the next frame that the terms leave; false when there is none. */
static bool choose_frame(rbt_segment_scan *scan, size_t *index) {
    const rbt_manifest *manifest = &scan->segment.manifest;
    while (scan->frames_left > 0) {
        *index = scan->reverse ? scan->frames_left - 1 : manifest->frame_count - scan->frames_left;
        scan->frames_left--;
        if (!frame_excluded(scan, &manifest->frames[*index])) return true;
    }
    return false;
}

static rbt_frame *frame_at(rbt_segment_scan *scan, uint64_t number) {
    return &scan->workspace->frames[number % SLOTS];
}

/* Makes the next frame ready to be decoded; false when there is no further one that can be. */
static bool prepare_next(rbt_segment_scan *scan) {
    size_t index;
    if (scan->all_chosen || !choose_frame(scan, &index)) {
        scan->all_chosen = true;
        return false;
    }
    rbt_frame *frame = frame_at(scan, scan->chosen++);
    rbt_problems strict = rbt_problems_strict("archive", scan->segment.path, &scan->refusal);
    bool prepared;
    rbt_segment_prepare_frame(&scan->segment, index, true, frame, &prepared, &strict,
                              &scan->refusal);
    if (scan->refusal.code != SQLITE_OK) scan->all_chosen = true;
    return scan->refusal.code == SQLITE_OK;
}

/* Keeps the thread at work on the frames that follow. */
static void look_ahead(rbt_segment_scan *scan) {
    while (scan->chosen < scan->taken + RBT_PREFETCH_DEPTH && prepare_next(scan))
        rbt_prefetch_give(scan->prefetch, frame_at(scan, scan->chosen - 1));
}

/* What a scan needs once it reads. */
static int begin_frame(rbt_segment_scan *scan, rbt_error *error) {
    if (scan->connection && rbt_interrupted(scan->connection->db))
        return rbt_fail(error, SQLITE_INTERRUPT, "archive: interrupted");
    if (!scan->workspace) scan->workspace = rbt_workspace_take(scan->connection);
    if (!scan->workspace) return rbt_fail_nomem(error);
    if (scan->taken == UNAIDED_FRAMES && !scan->thread_tried) {
        scan->thread_tried = true;
        scan->prefetch = rbt_prefetch_start(scan->workspace->zstd);
    }
    return SQLITE_OK;
}

/* Decodes the frame whose turn it is, or has the thread do so: SQLITE_ROW and *frame, SQLITE_DONE, or the
** error. */
static int take_frame(rbt_segment_scan *scan, const rbt_frame **frame, rbt_error *error) {
    if (begin_frame(scan, error) != SQLITE_OK) return error->code;
    if (scan->prefetch)
        look_ahead(scan);
    else
        prepare_next(scan);
    if (scan->taken == scan->chosen) return SQLITE_DONE;
    if (scan->refusal.code != SQLITE_OK && scan->taken + 1 == scan->chosen) {
        *error = scan->refusal;
        scan->refusal = (rbt_error){0};
        scan->chosen--;
        return error->code;
    }
    rbt_frame *turn = frame_at(scan, scan->taken);
    if (scan->prefetch)
        rbt_prefetch_take(scan->prefetch);
    else
        rbt_frame_decode(turn, scan->workspace->zstd);
    scan->taken++;
    if (scan->prefetch) look_ahead(scan); /* into the place of the frame that was read before */
    *frame = turn;
    rbt_problems strict = rbt_problems_strict("archive", scan->segment.path, error);
    if (rbt_segment_report_frame(&scan->segment, turn, &strict, error) != SQLITE_OK)
        return error->code;
    return SQLITE_ROW;
}

/* Loads the next frame that the terms leave, and sets which of its lines are to be given. */
static int next_frame(rbt_segment_scan *scan, rbt_error *error) {
    for (;;) {
        int code = take_frame(scan, &scan->frame, error);
        if (code != SQLITE_ROW) return code;
        const rbt_manifest_frame *listed = scan->frame->listed;
        int64_t first = listed->first_id > scan->first_id ? listed->first_id : scan->first_id;
        int64_t last = listed->last_id < scan->last_id ? listed->last_id : scan->last_id;
        if (first > last) continue;
        scan->lines_left = last - first + 1;
        scan->next_line = (scan->reverse ? last : first) - listed->first_id;
        return SQLITE_ROW;
    }
}

static const rbt_leaf *arrange(rbt_segment_scan *scan) {
    if (!scan->renamed) return &scan->leaf;
    scan->given.id = scan->leaf.id;
    scan->given.recorded_at = scan->leaf.recorded_at;
    memcpy(scan->given.salt, scan->leaf.salt, sizeof scan->given.salt);
    for (size_t i = 0; i < scan->shape->count; i++)
        if (scan->sources[i] == NO_COLUMN)
            scan->given.values[i] = (rbt_value){.kind = RBT_NULL};
        else
            scan->given.values[i] = scan->leaf.values[scan->sources[i]];
    return &scan->given;
}

int rbt_segment_scan_next(rbt_segment_scan *scan, const rbt_leaf **leaf, const char **line,
                          size_t *line_length, rbt_error *error) {
    if (scan->lines_left == 0) {
        int code = next_frame(scan, error);
        if (code != SQLITE_ROW) return code;
    }
    const rbt_leaf_shape *shape = &scan->segment.manifest.shape;
    const uint32_t *start = &scan->frame->line_starts[scan->next_line];
    int64_t id = scan->frame->listed->first_id + scan->next_line;
    *line = (const char *)scan->frame->text.data + start[0];
    *line_length = start[1] - start[0] - 1;
    scan->next_line += scan->reverse ? -1 : 1;
    scan->lines_left--;
    if (!rbt_leaf_parse(&scan->leaf, shape, *line, *line_length, scan->wanted)) {
        if (scan->leaf.capacity < shape->count || scan->leaf.scratch.failed)
            return rbt_fail_nomem(error);
        rbt_problems strict = rbt_problems_strict("archive", scan->segment.path, error);
        rbt_problem(&strict, RBT_PROBLEM_CHANGED, id,
                    "entry %lld is not a line of the log's declaration", (long long)id);
        return error->code;
    }
    *leaf = arrange(scan);
    return SQLITE_ROW;
}
