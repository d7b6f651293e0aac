/* SPDX-License-Identifier: MIT
** See checkpoint_run.h. May call base, crypto and audit.
**
** First, in a read transaction, everything that was signed before is verified: that may take long, and
** writers go on. Then, with the write lock, the little that can have changed is verified again, and the
** note signed and stored. Its COMMIT is durable (base/transaction.h): in WAL mode with synchronous=NORMAL a commit
** is not yet on disk, and a signed checkpoint must not outlive its rows. The note is the last frame of
** the WAL then, so that syncing it syncs all that it speaks of (sqlite.org/pragma.html#pragma_synchronous).
** wal_checkpoint(PASSIVE) would not do: behind a reader it neither copies nor syncs the newest frames.
*/
#include "checkpoint_run.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../crypto/keys.h"
#include "checkpoint_store.h"
#include "checkpoint_trust.h"
#include "lifecycle.h"
#include "log_verify.h"
#include "trust.h"

static const char who[] = "audit_checkpoint";

/* One call. */
typedef struct run {
    rbt_log *log;
    const rbt_signing_key *signing;
    const char *previous;
    rbt_verifier *verifiers;
    size_t verifier_count;
    /* what the first pass found: the log extends everything up to here */
    uint64_t size, newest;
    rbt_hash root;
} run;

/* A problem that verification finds refuses the checkpoint; the first one is the message. */
static void first_problem(void *context, const char *level, const char *kind, int64_t id,
                          const char *detail) {
    (void)level;
    (void)kind;
    (void)id;
    rbt_fail(context, SQLITE_CORRUPT_VTAB, "%s: nothing was signed: %s", who, detail);
}

/* The stored checkpoints of at least `from` leaves, and previous. */
static int check_signed(const run *r, uint64_t from, bool with_previous, rbt_error *error) {
    int64_t count;
    rbt_error problem = {0};
    rbt_verification v = {.log = r->log, .who = who, .sink = first_problem, .context = &problem};
    if (rbt_log_check_stored_checkpoints(&v, NULL, from, &count, error) == SQLITE_OK &&
        problem.code == SQLITE_OK && with_previous && r->previous)
        rbt_log_check_checkpoint(&v, r->previous, "the previous checkpoint", NULL, false, NULL,
                                 error);
    if (problem.code == SQLITE_NOMEM)
        rbt_fail_nomem(error);
    else if (problem.code != SQLITE_OK)
        rbt_fail(error, problem.code, "%s", problem.message);
    rbt_error_clear(&problem);
    return error->code;
}

/* The first pass. */
static int check_all(run *r, rbt_error *error) {
    rbt_log *log = r->log;
    rbt_buffer newest = {0};
    bool found = false;
    sqlite3_stmt *hold = rbt_log_hold(log, error);
    if (hold && rbt_log_peek(log, error) == SQLITE_OK &&
        rbt_checkpoint_newest(log, &newest, &r->newest, &found, error) == SQLITE_OK &&
        check_signed(r, 0, true, error) == SQLITE_OK) {
        r->size = log->frontier.size;
        rbt_frontier_root(&r->root, &log->frontier);
        if (!found) r->newest = 0;
    }
    rbt_buffer_free(&newest);
    sqlite3_finalize(hold);
    return error->code;
}

/* The second pass, with the write lock: the log extends what the first one saw, and what was signed in
** the meantime. */
static int check_since(const run *r, rbt_error *error) {
    rbt_log *log = r->log;
    rbt_checkpoint seen = {.size = r->size, .root = r->root};
    bool extended = false;
    if (log->frontier.size < r->size ||
        rbt_checkpoint_extended(log, &seen, &extended, error) != SQLITE_OK || !extended)
        return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                        "%s: nothing was signed: %s was replaced or rolled back meanwhile", who,
                        log->name);
    return check_signed(r, r->newest, false, error);
}

/* A new note over the log as it is. It must satisfy whoever verifies the log here. */
static int sign(const run *r, rbt_buffer *note, rbt_error *error) {
    rbt_log *log = r->log;
    rbt_checkpoint checkpoint = {.size = log->frontier.size};
    rbt_verifier signer;
    rbt_buffer text = {0};
    rbt_judged judged = {0};
    memcpy(checkpoint.origin, log->origin, sizeof checkpoint.origin);
    rbt_frontier_root(&checkpoint.root, &log->frontier);
    rbt_checkpoint_format(&text, &checkpoint);
    if (text.failed)
        rbt_fail_nomem(error);
    else if (!rbt_verifier_make(&signer, log->origin, r->signing->public_key))
        rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: the origin of %s is damaged", who, log->name);
    else if (rbt_note_sign(note, (const char *)text.data, text.length, &signer, r->signing->secret,
                           error) == SQLITE_OK &&
             rbt_checkpoint_judge(&judged, (const char *)note->data, note->length, "it",
                                  log->origin, r->verifiers, r->verifier_count, false,
                                  error) == SQLITE_OK &&
             judged.kind)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: the signing key is not among the trusted keys, so that nobody here would "
                 "believe the checkpoint; add audit_public_key('%s') to RUSTYBT_VERIFY_KEYS",
                 who, log->name);
    rbt_judged_free(&judged);
    rbt_buffer_free(&text);
    return error->code;
}

/* Appends to stored the lines of witnesses that previous has and stored lacks. */
static int merge_lines(const run *r, rbt_buffer *stored, bool *merged, rbt_error *error) {
    rbt_judged old = {0}, new = {0};
    const char *text = (const char *)stored->data;
    size_t length = strlen(r->previous);
    if (rbt_checkpoint_judge(&old, text, stored->length, "the stored checkpoint", r->log->origin,
                             r->verifiers, r->verifier_count, false, error) == SQLITE_OK &&
        rbt_checkpoint_judge(&new, r->previous, length, "the previous checkpoint", r->log->origin,
                             r->verifiers, r->verifier_count, false, error) == SQLITE_OK &&
        !old.kind && !new.kind) {
        for (size_t i = 0; i < r->verifier_count; i++) {
            const rbt_note_signature *line = &new.signatures[i];
            if (r->verifiers[i].type != RBT_SIGNATURE_COSIGNATURE || !line->valid ||
                old.signatures[i].valid)
                continue;
            rbt_buffer_add(stored, line->line, line->line_length);
            *merged = true;
        }
    }
    rbt_judged_free(&old);
    rbt_judged_free(&new);
    return stored->failed ? rbt_fail_nomem(error) : error->code;
}

/* The stored checkpoint with the text of previous gets the cosignatures of previous. */
static int take_cosignatures(const run *r, rbt_error *error) {
    rbt_checkpoint checkpoint;
    rbt_buffer stored = {0};
    const char *why;
    size_t text_length, stored_length;
    bool found = false, merged = false;
    if (!r->previous) return error->code;
    if (!rbt_note_split(r->previous, strlen(r->previous), &text_length, &why) ||
        !rbt_checkpoint_parse(&checkpoint, r->previous, text_length))
        return rbt_fail_nomem(error); /* it was verified before, so only memory can be lacking */
    if (rbt_checkpoint_stored(r->log, checkpoint.size, &stored, &found, error) == SQLITE_OK &&
        found && rbt_note_split((const char *)stored.data, stored.length, &stored_length, &why) &&
        stored_length == text_length && memcmp(stored.data, r->previous, text_length) == 0 &&
        merge_lines(r, &stored, &merged, error) == SQLITE_OK && merged)
        rbt_checkpoint_put(r->log, checkpoint.size, (const char *)stored.data, stored.length,
                           error);
    rbt_buffer_free(&stored);
    return error->code;
}

/* In one write transaction: verify what is new, sign, store. */
static int make(const run *r, rbt_buffer *note, rbt_error *error) {
    rbt_log *log = r->log;
    uint64_t newest = 0;
    bool found = false;
    rbt_transaction own = {0};
    if (rbt_log_transaction_begin(log, &own, who, error) != SQLITE_OK) return error->code;
    if (rbt_log_load(log, error) == SQLITE_OK &&
        rbt_log_require_genesis(log, who, error) == SQLITE_OK &&
        check_since(r, error) == SQLITE_OK && take_cosignatures(r, error) == SQLITE_OK &&
        rbt_checkpoint_newest(log, note, &newest, &found, error) == SQLITE_OK &&
        (!found || newest != log->frontier.size)) {
        rbt_buffer_clear(note);
        if (rbt_log_may_sign(log, r->signing, log->frontier.size, who, error) == SQLITE_OK &&
            rbt_log_remember_signer(log, r->signing->public_key, error) == SQLITE_OK &&
            sign(r, note, error) == SQLITE_OK)
            rbt_checkpoint_put(log, log->frontier.size, (const char *)note->data, note->length,
                               error);
    }
    return rbt_log_transaction_end(log, &own, who, error);
}

int rbt_checkpoint_run(rbt_log *log, const char *previous, rbt_buffer *note, rbt_error *error) {
    rbt_connection *connection = log->logs->connection;
    run r = {.log = log, .previous = previous};
    if (rbt_require_no_transaction(log, who, error) != SQLITE_OK) return error->code;
    const rbt_keys *keys = rbt_connection_keys(connection, who, error);
    if (!keys) return error->code;
    r.signing = rbt_keys_signing(keys);
    if (!r.signing)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: a checkpoint is signed, and there is no key; set RUSTYBT_SIGNING_KEY "
                        "or RUSTYBT_ENCRYPTION_KEY",
                        who);
    rbt_keys_retain(keys); /* what runs meanwhile may read them anew */
    if (check_all(&r, error) == SQLITE_OK &&
        rbt_log_trusted_verifiers(log, NULL, who, &r.verifiers, &r.verifier_count, error) ==
            SQLITE_OK)
        make(&r, note, error);
    rbt_free(r.verifiers);
    rbt_keys_free((rbt_keys *)keys);
    return error->code;
}
