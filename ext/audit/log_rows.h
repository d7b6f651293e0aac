/* SPDX-License-Identifier: MIT
** Stored rows as leaves: what verification hashes and the archive writes. */
#ifndef RBT_AUDIT_LOG_ROWS_H
#define RBT_AUDIT_LOG_ROWS_H

#include "log_state.h"

/* Every column of <log>_rows as the functions below take them, separated by commas: id, recorded_at, the
** declared ones, salt. */
void rbt_log_add_row_columns(rbt_buffer *out, const rbt_log *log);
int rbt_log_row_width(const rbt_log *log);

/* SELECT of all columns of rows first … last, by id. Finalize it. NULL on failure. */
sqlite3_stmt *rbt_log_rows(rbt_log *log, int64_t first, int64_t last, rbt_error *error);

/* The row in hand as a leaf, in log->leaf. *fits is false (and the leaf empty) when the row is nothing
** that an append could have written: a wrong type, invalid text, too long. Runs inside a function or table
** of the connection. */
int rbt_log_row_leaf(rbt_log *log, sqlite3_stmt *row, bool *fits, rbt_error *error);

/* The same, as if the row's id were this one. */
int rbt_log_row_leaf_as(rbt_log *log, sqlite3_stmt *row, int64_t id, bool *fits, rbt_error *error);
/* The same of a row's values. */
int rbt_log_values_leaf(rbt_log *log, sqlite3_value **row, int64_t id, bool *fits,
                        rbt_error *error);

/* Entry `id` as a leaf, appended to out: the genesis for 0, a stored row, or a line of a segment. *found
** is false when the log has no such entry. The caller holds the snapshot. */
int rbt_log_leaf(rbt_log *log, int64_t id, rbt_buffer *out, bool *found, rbt_error *error);

/* The leaf hashes of a block of 256 whole pruned leaves, from its segment, checked against the tree's
** node of level 8: what prune dropped from the tree, segments give back. The block read last is kept. */
int rbt_log_pruned_block(rbt_log *log, uint64_t block, const rbt_hash **hashes, rbt_error *error);

#endif
