/* SPDX-License-Identifier: MIT
** Several segments as one: the files that a path or a glob names, opened under the rule of trust
** (audit/trust.h), sorted by log and id, and read one after the other.
*/
#ifndef RBT_ARCHIVE_SERIES_H
#define RBT_ARCHIVE_SERIES_H

#include "../base/connection.h"
#include "member.h"

typedef struct rbt_series {
    rbt_connection *connection; /* of rbt_series_open */
    rbt_member *members;
    size_t count, capacity;
    /* of rbt_series_start */
    size_t next;
    bool reverse;
    rbt_segment_scan *scan;
    const rbt_member *current; /* whose entry was given last */
    const rbt_leaf_shape *shape;
    uint64_t wanted;
    const rbt_zone_term *terms;
    size_t term_count;
} rbt_series;

/* The files that `pattern` names, relative to the process's folder: the file of exactly that name, else
** those that glob(3) finds, sorted. None is an error. Free each, and the array, with rbt_free. */
int rbt_expand_paths(const char *pattern, const char *who, char ***paths, size_t *count,
                     rbt_error *error);
void rbt_free_paths(char **paths, size_t count);

/* rbt_segment_open, then rbt_segment_check_signature with what the connection trusts (vkeys may be
** NULL). *verifiers, which may be NULL, are for rbt_free. */
int rbt_segment_open_trusted(rbt_segment *segment, rbt_connection *connection, const char *vkeys,
                             const char *who, const char *path, rbt_verifier **verifiers,
                             size_t *verifier_count, rbt_problems *problems, rbt_error *error);

/* Adds a readable segment; sorts by log, then by id. */
int rbt_series_add(rbt_series *series, const rbt_segment *segment, rbt_error *error);
void rbt_series_sort(rbt_series *series);

/* Opens, checks and adds all files of a pattern. Anything wrong with one is an error, as are two that
** hold the same entry and, with log_id, one of another log. */
int rbt_series_open(rbt_series *series, rbt_connection *connection, const char *pattern,
                    const char *vkeys, const uint8_t *log_id, const char *who, rbt_error *error);
void rbt_series_free(rbt_series *series); /* leaves an empty series */

/* Begins reading, by id within each log; all pointers must outlive the reading. */
void rbt_series_start(rbt_series *series, const rbt_leaf_shape *shape, uint64_t wanted,
                      const rbt_zone_term *terms, size_t term_count, bool reverse);
/* As scan_next of audit/segment_store.h; series->current tells the file. */
int rbt_series_next(rbt_series *series, const rbt_leaf **leaf, const char **line,
                    size_t *line_length, rbt_error *error);

#endif
