/* SPDX-License-Identifier: MIT
** Looking at the bytes of main's files for what is left of destroyed keys: the database file with its
** free pages, the WAL and the rollback journal, a piece at a time.
**
** The database file is read through SQLite's own handle. Opening it here and closing it again would drop
** every POSIX lock that the process holds on it (sqlite.org/howtocorrupt.html §2.2). WAL and journal
** carry no such locks and go through the file seam.
*/
#ifndef RBT_AUDIT_SUBJECT_SEARCH_H
#define RBT_AUDIT_SUBJECT_SEARCH_H

#include "subject_keys.h"

typedef struct rbt_destroyed_keys {
    const rbt_keys *keys;
    const rbt_destroyed_key *items;
    size_t count;
} rbt_destroyed_keys;

/* Where something was found: the page, from 1, or the byte, from 0; -1 for nowhere. */
typedef struct rbt_traces {
    bool has_file; /* false: the database is in memory, and nothing was searched */
    int64_t database_page, wal_byte, journal_byte;
} rbt_traces;

/* Searches main, and makes what was searched durable: files and their folder are synced. No transaction
** may be open. */
int rbt_subject_search(sqlite3 *db, const rbt_destroyed_keys *destroyed, rbt_traces *traces,
                       const char *who, rbt_error *error);

#endif
