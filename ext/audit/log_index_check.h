/* SPDX-License-Identifier: MIT
** The part of audit_verify that holds the indexes of <log>_rows, and the way to a row by its id, against
** the rows (log_verify.h).
**
** PRAGMA integrity_check would do it, and did: it looks each row up in each index, which took more time than
** all else. It is run now to name what is wrong when this check finds that something is:
**
** An index is read once, in its own order, and so is every cell of its b-tree, those of interior pages, too.
** That each entry (the columns, then the id) is greater than the one before says that a search in it
** finds what it holds, and that it holds nothing twice. That it holds what the rows hold, no more and
** no less, is then the equality of two sets. Each is summed up as the sum modulo 2^64 of SipHash-2-4 of
** its members under a key drawn for this run. Whoever made the file did not know the key; of two sets that
** differ, the sums differ by the sum of hashes of distinct members, each + or -, which for a pseudo-random
** function is 0 with probability 2^-64. (The additive multiset hash of Clarke et al., Asiacrypt 2003, on
** sets; the sum need not resist people who know the key, for there are none.)
**
** The b-tree of the rows has separators that are no rows. A wrong one hides rows from a search that a
** scan shows, so each id is looked up, downwards: SQLite shortcuts a search upwards from where it stands. The same
** query holds the rows against the CHECKs, which PRAGMA ignore_check_constraints lets an append pass.
**
** What integrity_check would find beyond that cannot change an answer: unused space within pages and the
** guard index, which holds nothing and is never read. In a database of UTF-16, whose order of texts is
** not that of their bytes here, integrity_check does it all. */
#ifndef RBT_AUDIT_LOG_INDEX_CHECK_H
#define RBT_AUDIT_LOG_INDEX_CHECK_H

#include "log_verify.h"

typedef struct rbt_index_check rbt_index_check;

/* NULL when out of memory. */
rbt_index_check *rbt_index_check_new(rbt_verification *verification, rbt_error *error);
void rbt_index_check_free(rbt_index_check *check); /* NULL is fine */

/* Takes in a row: id, recorded_at, the declared columns. Every row must be given. */
void rbt_index_check_add(rbt_index_check *check, sqlite3_value **row);

/* Reads the indexes and reports (kind "index") where they disagree with the rows. */
int rbt_index_check_finish(rbt_index_check *check, rbt_error *error);

#endif
