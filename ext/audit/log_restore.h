/* SPDX-License-Identifier: MIT
** A log made again from its segments, in a database that does not have it: the same genesis, ids, times,
** leaves and root. Whoever calls has verified the segments in full and that they follow each other from
** leaf 0 (archive/restore_sql.c); here each is read once more, and must lead to the root it was verified
** with. May call base, crypto and audit.
**
** All of it is one transaction, so that a log that was restored by half is never there. Recorded in
** rustybt_events:
**
**   set       of each column that was added to the log later (log_extend.h), unless a restored rustybt_events
**             tells of it: name, type and first entry, as the manifests have them. What else audit_set was
**             given (CHECK, DEFAULT, indexes) is known to the lost events alone
**   archive   of each segment that it does not tell of (segment_events.h)
**   relocated of each segment that it says is elsewhere
**   restore   {"size","root","segments","manifest_sha256","largest_checkpoint","log_id"}: leaves, their
**             root, and the last segment's manifest; the size of the largest believed checkpoint in a
**             segment, or null. Entries from id `size` on, which the log had before, are lost
*/
#ifndef RBT_AUDIT_LOG_RESTORE_H
#define RBT_AUDIT_LOG_RESTORE_H

#include "log_state.h"
#include "segment_store.h"

typedef struct rbt_restored_segment {
    char *path;       /* as it is opened now */
    char *directory;  /* as it is to be recorded */
    const char *file; /* its name, within path */
    char *checkpoint; /* the note it carries, when that is believed; else NULL */
    size_t checkpoint_length;
    uint64_t checkpoint_size;
    rbt_verifier signer;
    rbt_segment_summary summary;
} rbt_restored_segment;

/* All borrowed. */
typedef struct rbt_restore_plan {
    const char *who;
    const char *schema, *name;
    const char *genesis;                  /* leaf 0's text, NUL-terminated */
    const rbt_leaf_shape *shape;          /* the last segment's */
    const rbt_restored_segment *segments; /* by id */
    size_t count;
} rbt_restore_plan;

/* Fails, saying so, when the schema has something of the log's name, or the connection is within a
** transaction. */
int rbt_restore_require_absent(rbt_connection *connection, const char *schema, const char *name,
                               const char *who, rbt_error *error);

/* The directory to record for the segment at path, for rbt_free: the log's own archive directory when it is
** there, else its folder, seen from the database's when it is below that. genesis as above. */
char *rbt_restore_directory(rbt_connection *connection, const char *schema, const char *path,
                            const char *archive, const char *who, rbt_error *error);

/* Restores; appends one line for people. */
int rbt_restore_run(rbt_connection *connection, const rbt_restore_plan *plan, rbt_buffer *report,
                    rbt_error *error);

#endif
