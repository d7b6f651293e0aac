/* SPDX-License-Identifier: MIT
** Several segments as one (series.h).
*/
#include "series.h"

#include "../audit/trust.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "segment_cache.h"
#include "segment_scan.h"
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>

void rbt_free_paths(char **paths, size_t count) {
    for (size_t i = 0; paths && i < count; i++)
        rbt_free(paths[i]);
    rbt_free(paths);
}

static int take_paths(char *const *found, size_t found_count, char ***paths, size_t *count,
                      rbt_error *error) {
    *paths = rbt_calloc(found_count * sizeof **paths);
    if (!*paths) return rbt_fail_nomem(error);
    for (size_t i = 0; i < found_count; i++) {
        (*paths)[i] = rbt_strdup(found[i]);
        if (!(*paths)[i]) {
            rbt_free_paths(*paths, found_count);
            *paths = NULL;
            return rbt_fail_nomem(error);
        }
    }
    *count = found_count;
    return SQLITE_OK;
}

int rbt_expand_paths(const char *pattern, const char *who, char ***paths, size_t *count,
                     rbt_error *error) {
    struct stat status;
    *paths = NULL;
    *count = 0;
    /* A path may itself hold characters that mean something to glob. */
    if (stat(pattern, &status) == 0)
        return take_paths((char *[]){(char *)pattern}, 1, paths, count, error);
    glob_t found = {0};
    int code = glob(pattern, 0, NULL, &found);
    if (code == 0)
        take_paths(found.gl_pathv, found.gl_pathc, paths, count, error);
    else if (code == GLOB_NOSPACE)
        rbt_fail_nomem(error);
    else
        rbt_fail(error, SQLITE_CANTOPEN, "%s: no file matches %s", who, pattern);
    globfree(&found);
    return error->code;
}

int rbt_segment_open_trusted(rbt_segment *segment, rbt_connection *connection, const char *vkeys,
                             const char *who, const char *path, rbt_verifier **verifiers,
                             size_t *verifier_count, rbt_problems *problems, rbt_error *error) {
    *verifiers = NULL;
    *verifier_count = 0;
    if (rbt_segment_open(segment, who, path, problems, error) != SQLITE_OK) return error->code;
    if (!segment->readable) return SQLITE_OK;
    if (rbt_trusted_verifiers(connection, vkeys, segment->manifest.origin, NULL, who, verifiers,
                              verifier_count, error) != SQLITE_OK)
        return error->code;
    return rbt_segment_check_signature(segment, *verifiers, *verifier_count, problems, error);
}

static rbt_member *add_member(rbt_series *series) {
    if (series->count == series->capacity) {
        size_t capacity = series->capacity ? 2 * series->capacity : 8;
        rbt_member *members = rbt_realloc(series->members, capacity * sizeof *members);
        if (!members) return NULL;
        series->members = members;
        series->capacity = capacity;
    }
    rbt_member *member = &series->members[series->count++];
    *member = (rbt_member){0};
    return member;
}

int rbt_series_add(rbt_series *series, const rbt_segment *segment, rbt_error *error) {
    rbt_member *member = add_member(series);
    return member && rbt_member_make(member, segment) ? SQLITE_OK : rbt_fail_nomem(error);
}

static int compare_members(const void *left, const void *right) {
    const rbt_member *a = left, *b = right;
    int order = memcmp(a->log_id, b->log_id, sizeof a->log_id);
    return order ? order : (a->first_id > b->first_id) - (a->first_id < b->first_id);
}

void rbt_series_sort(rbt_series *series) {
    if (series->count > 1)
        qsort(series->members, series->count, sizeof *series->members, compare_members);
}

/* After sorting: no entry may be in two files. */
static int check_overlap(const rbt_series *series, const char *who, rbt_error *error) {
    for (size_t i = 1; i < series->count; i++) {
        const rbt_member *a = &series->members[i - 1], *b = &series->members[i];
        if (memcmp(a->log_id, b->log_id, sizeof a->log_id) == 0 && b->first_id <= a->last_id)
            return rbt_fail(error, SQLITE_ERROR, "%s: %s and %s both hold entry %lld of %s", who,
                            a->path, b->path, (long long)b->first_id, b->log);
    }
    return SQLITE_OK;
}

/* Whom to trust for the origin that was met last: most often it is that of all files. */
typedef struct trusted {
    rbt_connection *connection;
    const char *vkeys;
    const char *who;
    char *origin; /* NULL: none yet */
    rbt_verifier *verifiers;
    size_t count;
} trusted;

static void forget(trusted *of) {
    rbt_free(of->origin);
    rbt_free(of->verifiers);
    of->origin = NULL;
    of->verifiers = NULL;
    of->count = 0;
}

static int ask_trust(trusted *of, const char *origin, rbt_error *error) {
    if (of->origin && strcmp(of->origin, origin) == 0) return SQLITE_OK;
    forget(of);
    of->origin = rbt_strdup(origin);
    if (!of->origin) return rbt_fail_nomem(error);
    return rbt_trusted_verifiers(of->connection, of->vkeys, origin, NULL, of->who, &of->verifiers,
                                 &of->count, error);
}

/* Adds what is known of the file from before; *added is false when it must be read. */
static int add_known(rbt_series *series, const char *path, trusted *of, bool *added,
                     rbt_error *error) {
    *added = false;
    const rbt_member *known = rbt_segment_known(of->connection, of->who, path, error);
    if (!known || ask_trust(of, known->origin, error) != SQLITE_OK) return error->code;
    if (!rbt_segment_known_to(known, of->verifiers, of->count)) return SQLITE_OK;
    rbt_member *member = add_member(series);
    if (!member || !rbt_member_copy(member, known)) return rbt_fail_nomem(error);
    *added = true;
    return SQLITE_OK;
}

static int add_read(rbt_series *series, const char *path, trusted *of, rbt_error *error) {
    rbt_problems strict = rbt_problems_strict(of->who, path, error);
    rbt_segment segment = {.file = -1};
    if (rbt_segment_open_kept(&segment, of->connection, of->who, path, &strict, error) ==
            SQLITE_OK &&
        ask_trust(of, segment.manifest.origin, error) == SQLITE_OK &&
        rbt_segment_check_kept(&segment, of->verifiers, of->count, &strict, error) == SQLITE_OK)
        rbt_series_add(series, &segment, error);
    rbt_segment_close(&segment);
    return error->code;
}

static int add_file(rbt_series *series, const char *path, const uint8_t *log_id, trusted *of,
                    rbt_error *error) {
    bool added;
    if (rbt_interrupted(of->connection->db))
        return rbt_fail(error, SQLITE_INTERRUPT, "%s: interrupted", of->who);
    if (add_known(series, path, of, &added, error) != SQLITE_OK) return error->code;
    if (!added && add_read(series, path, of, error) != SQLITE_OK) return error->code;
    const rbt_member *member = &series->members[series->count - 1];
    if (log_id && memcmp(member->log_id, log_id, sizeof member->log_id) != 0)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: %s is a segment of another log than the first one, of %s", of->who, path,
                 member->log);
    return error->code;
}

int rbt_series_open(rbt_series *series, rbt_connection *connection, const char *pattern,
                    const char *vkeys, const uint8_t *log_id, const char *who, rbt_error *error) {
    char **paths;
    size_t count;
    trusted of = {.connection = connection, .vkeys = vkeys, .who = who};
    series->connection = connection;
    if (rbt_expand_paths(pattern, who, &paths, &count, error) != SQLITE_OK) return error->code;
    for (size_t i = 0; i < count && error->code == SQLITE_OK; i++)
        add_file(series, paths[i], log_id, &of, error);
    forget(&of);
    rbt_free_paths(paths, count);
    rbt_series_sort(series);
    if (error->code == SQLITE_OK) check_overlap(series, who, error);
    return error->code;
}

void rbt_series_free(rbt_series *series) {
    for (size_t i = 0; i < series->count; i++)
        rbt_member_free(&series->members[i]);
    rbt_free(series->members);
    rbt_segment_scan_close(series->scan);
    *series = (rbt_series){0};
}

void rbt_series_start(rbt_series *series, const rbt_leaf_shape *shape, uint64_t wanted,
                      const rbt_zone_term *terms, size_t term_count, bool reverse) {
    rbt_segment_scan_close(series->scan);
    series->scan = NULL;
    series->current = NULL;
    series->next = 0;
    series->reverse = reverse;
    series->shape = shape;
    series->wanted = wanted;
    series->terms = terms;
    series->term_count = term_count;
}

int rbt_series_next(rbt_series *series, const rbt_leaf **leaf, const char **line,
                    size_t *line_length, rbt_error *error) {
    for (;;) {
        if (series->scan) {
            int code = rbt_segment_scan_next(series->scan, leaf, line, line_length, error);
            if (code != SQLITE_DONE) return code;
            rbt_segment_scan_close(series->scan);
            series->scan = NULL;
        }
        if (series->next == series->count) return SQLITE_DONE;
        size_t index = series->reverse ? series->count - 1 - series->next : series->next;
        series->next++;
        const rbt_member *member = &series->members[index];
        if (rbt_member_excluded(member, series->terms, series->term_count)) continue;
        series->current = member;
        rbt_published known = {member->first_id, member->last_id, {0}};
        memcpy(known.manifest_sha256, member->manifest_sha256, sizeof known.manifest_sha256);
        /* What was trusted when the series was opened is held to: same signer, same manifest. */
        if (rbt_segment_scan_open(&series->scan, series->connection, series->current->path,
                                  &series->current->signer, 1, &known, NULL, series->shape,
                                  series->wanted, series->terms, series->term_count,
                                  series->reverse, error) != SQLITE_OK)
            return error->code;
    }
}
