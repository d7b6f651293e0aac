/* SPDX-License-Identifier: MIT
** Where checks of a segment tell what they find: to a sink, one sentence each, that begins with the
** file's path. Readers that need an intact file use rbt_problems_strict, which turns the first problem
** into an error.
*/
#ifndef RBT_ARCHIVE_PROBLEMS_H
#define RBT_ARCHIVE_PROBLEMS_H

#include "../audit/segment_store.h"

typedef struct rbt_problems {
    rbt_problem_sink sink; /* NULL: strict, a problem fails with an error */
    void *context;
    const char *path;
    const char *who;  /* begins a strict error */
    rbt_error *error; /* gets SQLITE_NOMEM when a sentence cannot be made */
    int64_t count;
} rbt_problems;

/* Kinds, as audit_verify and archive_verify show them. */
#define RBT_PROBLEM_TRUNCATED "truncated"   /* the file ends too early */
#define RBT_PROBLEM_FORM "form"             /* no segment, or bytes where none belong */
#define RBT_PROBLEM_SEEK_TABLE "seek_table" /* missing, damaged, or other than the manifest */
#define RBT_PROBLEM_MANIFEST "manifest"     /* damaged, or does not fit the file or itself */
#define RBT_PROBLEM_SIGNATURE "signature"   /* wrong, for something else, or too late */
#define RBT_PROBLEM_UNTRUSTED "untrusted"   /* by no key that is trusted */
#define RBT_PROBLEM_CHANGED "changed"       /* bytes of a frame, or an entry's line */
#define RBT_PROBLEM_UNREADABLE "unreadable" /* the system cannot read a frame's bytes */
#define RBT_PROBLEM_MISSING "missing"       /* entries that should be there */
#define RBT_PROBLEM_ORDER "order"           /* entries out of order or twice */
#define RBT_PROBLEM_ZONE "zone"             /* a zone map that would hide entries */
#define RBT_PROBLEM_FILTER "filter"         /* a filter that would hide entries */
#define RBT_PROBLEM_ROOT "root"             /* the lines lead to another root than was signed */
#define RBT_PROBLEM_CHECKPOINT "checkpoint" /* the checkpoint inside contradicts the segment */
#define RBT_PROBLEM_CHAIN "chain"           /* segments that do not follow each other */

/* Reports "<path>: <sentence>"; id is an entry's or -1. The format is sqlite3_mprintf's. */
void rbt_problem(rbt_problems *problems, const char *kind, int64_t id, const char *format, ...);

/* Problems that become "<who>: <path>: …": SQLITE_ERROR when untrusted, else SQLITE_CORRUPT_VTAB. */
rbt_problems rbt_problems_strict(const char *who, const char *path, rbt_error *error);

#endif
