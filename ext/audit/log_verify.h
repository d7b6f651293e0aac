/* SPDX-License-Identifier: MIT
** Verification of a log: every row, the tree, the seal, the schema behind it and every segment, each
** problem named (DESIGN §6, Verification). */
#ifndef RBT_AUDIT_LOG_VERIFY_H
#define RBT_AUDIT_LOG_VERIFY_H

#include "../base/bytes.h"
#include "log_state.h"

/* level: "error" or "info"; id: the entry, or -1; detail: a sentence. */
typedef void (*rbt_finding_sink)(void *context, const char *level, const char *kind, int64_t id,
                                 const char *detail);

typedef struct rbt_verification {
    rbt_log *log;
    const char *who; /* begins error messages: "audit_verify" */
    rbt_finding_sink sink;
    void *context;
    int64_t problems; /* error findings so far */
    int64_t expired;  /* entries that have expired, once segments were checked */
    bool quick;       /* only what takes no look at each entry, and no file */
} rbt_verification;

/* Verifies the log as one snapshot. checkpoint: a signed note that the log must extend, or NULL; vkeys:
** whom to trust, or NULL (audit/trust.h). An intact log gives one "info" finding of kind "verified", one
** of kind "expired" for each range of entries that has, and none of level "error"; quick verification gives problems alone. Returns an error only when the verification itself could not be done. */
int rbt_log_verify(rbt_verification *verification, const char *checkpoint, const char *vkeys,
                   rbt_error *error);

/* Verifies the log of that name; with "*" every log, and reports storage without its log (kind
** "orphaned") and a database without any log (kind "missing"). *problems: OUT, error findings. */
int rbt_logs_verify(rbt_connection *connection, const char *name, const char *checkpoint,
                    const char *vkeys, rbt_finding_sink sink, void *context, int64_t *problems,
                    rbt_error *error);

/* Reports a finding of level error. */
void rbt_log_problem(rbt_verification *verification, const char *kind, int64_t id,
                     const char *format, ...);

/* A hash in words of people: 64 hex digits. */
typedef struct rbt_hash_text {
    char hex[65];
} rbt_hash_text;

static inline rbt_hash_text rbt_hash_to_text(const rbt_hash *hash) {
    rbt_hash_text text = {{0}};
    rbt_hex_encode(text.hex, hash->bytes, sizeof hash->bytes);
    return text;
}

/* The parts in log_row_check.c: every hot row against the tree and the head; the first and last alone. */
int rbt_log_check_rows(rbt_verification *verification, rbt_error *error);
int rbt_log_check_ends(rbt_verification *verification, rbt_error *error);

/* The part in log_schema_check.c: tables, indexes and triggers against what the declaration gives,
** foreign triggers, and SQLite's integrity_check of the rows. */
int rbt_log_check_schema(rbt_verification *verification, rbt_error *error);

/* The part in log_segment_check.c: the recorded segments, their files, and their chain of roots. cold:
** OUT number of segments. */
int rbt_log_check_segments(rbt_verification *verification, const char *vkeys, int64_t *segments,
                           rbt_error *error);

/* The part in log_succession_check.c: the log's succession notes (kind "succession"). */
int rbt_log_check_successions(rbt_verification *verification, const char *vkeys, rbt_error *error);
/* The parts in log_checkpoint_check.c. A checkpoint kept outside: its signatures, and that the log extends
** it; kinds "checkpoint", "untrusted", "rolled_back", "forked". what: "the checkpoint". Appends to report
** (may be NULL) ", extends …" and who cosigned it when. */
int rbt_log_check_checkpoint(rbt_verification *verification, const char *note, const char *what,
                             const char *vkeys, bool witnesses_required, rbt_buffer *report,
                             rbt_error *error);
/* The stored checkpoints of at least `from` leaves, of which witnesses need not have cosigned any.
** count: OUT how many. */
int rbt_log_check_stored_checkpoints(rbt_verification *verification, const char *vkeys,
                                     uint64_t from, int64_t *count, rbt_error *error);

#endif
