/* SPDX-License-Identifier: MIT
** Counts of what columns hold, by format and key: the rows of key_usage while they come together. Pure;
** calls crypto's usage.h and base.
**
** Memory is bounded by the number of counts, whatever the data says: each column counts the keys of the
** ring, and the first RBT_USAGE_FOREIGN_PER_COLUMN ids that are not in it, RBT_USAGE_FOREIGN_TOTAL in
** all; further ids share one count, "other". Subjects' tokens are one count a column.
*/
#ifndef RBT_AUDIT_USAGE_TALLY_H
#define RBT_AUDIT_USAGE_TALLY_H

#include "../crypto/usage.h"

enum { RBT_USAGE_FOREIGN_PER_COLUMN = 100, RBT_USAGE_FOREIGN_TOTAL = 10000 };

/* In the order in which they are listed. */
typedef enum rbt_usage_key {
    RBT_USAGE_KEY_NONE,
    RBT_USAGE_KEY_ID,
    RBT_USAGE_KEY_OTHER
} rbt_usage_key;

typedef struct rbt_usage_count {
    rbt_usage_format format;
    rbt_usage_key key;
    uint8_t key_id[RBT_KEY_ID_SIZE]; /* of RBT_USAGE_KEY_ID */
    bool foreign;                    /* no ring key has that id */
    int64_t rows;
    bool has_time;
    int64_t oldest_us, newest_us;
} rbt_usage_count;

typedef struct rbt_usage_column {
    char *name; /* NULL: what stands for the table as a whole, a log's seal */
    bool maybe; /* it holds values that could be blind indexes under a key outside the ring */
    rbt_usage_count *counts;
    size_t count, capacity, foreign;
} rbt_usage_column;

typedef struct rbt_usage_table {
    char *schema, *name;
    char *label; /* the name as it is shown: with its schema before it unless that is main */
    bool is_log;
    rbt_usage_column *columns;
    size_t count, capacity;
} rbt_usage_table;

typedef struct rbt_usage_tally {
    const rbt_keys *keys;    /* set by the caller, who owns them */
    rbt_usage_table *tables; /* in the order in which they were added */
    size_t count, capacity, foreign;
    bool failed; /* memory ran out; sticky */
} rbt_usage_tally;

/* A new last table, without columns; lives until the next is added. NULL when memory ran out. */
rbt_usage_table *rbt_usage_add_table(rbt_usage_tally *tally, const char *schema, const char *name,
                                     bool is_log);
/* A new last column of the last table; lives until the next is added. NULL when memory ran out. */
rbt_usage_column *rbt_usage_add_column(rbt_usage_tally *tally, const char *name);
/* Takes the last table away again if nothing was counted in it. */
void rbt_usage_drop_empty(rbt_usage_tally *tally);

/* Counts one value. RBT_USAGE_NONE is nothing; RBT_USAGE_MAYBE_BLIND_INDEX marks the column. */
void rbt_usage_add(rbt_usage_tally *tally, rbt_usage_column *column, const rbt_usage *usage);

/* The ids outside the ring that were counted, sorted, each once: *count of 8 bytes each. Free with
** rbt_free. NULL when there is none, or memory ran out (tally->failed). */
uint8_t *rbt_usage_foreign_ids(rbt_usage_tally *tally, size_t *count);
bool rbt_usage_is_among(const uint8_t *ids, size_t count, const uint8_t id[RBT_KEY_ID_SIZE]);

/* Puts a column's counts in order: by format, then key id (unknown first, other last). */
void rbt_usage_sort(rbt_usage_column *column);

void rbt_usage_tally_free(rbt_usage_tally *tally);

#endif
