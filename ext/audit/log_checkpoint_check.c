/* SPDX-License-Identifier: MIT
** See log_verify.h. May call base, crypto and audit.
*/
#include "log_verify.h"

#include "../base/memory.h"
#include "checkpoint_store.h"
#include "checkpoint_trust.h"
#include "trust.h"

/* A note that may be believed against the log: what it says must be a beginning of the log. */
static int check_against_log(rbt_verification *v, const rbt_checkpoint *checkpoint,
                             const char *what, rbt_error *error) {
    rbt_log *log = v->log;
    rbt_error unknown = {0};
    bool extended = false;
    if (checkpoint->size > log->frontier.size) {
        rbt_log_problem(
            v, "rolled_back", -1, "%s is of %llu leaves, the log has only %llu: it was rolled back",
            what, (unsigned long long)checkpoint->size, (unsigned long long)log->frontier.size);
    } else if (rbt_checkpoint_extended(log, checkpoint, &extended, &unknown) != SQLITE_OK) {
        if (unknown.code == SQLITE_NOMEM) rbt_fail_nomem(error);
        rbt_log_problem(v, "checkpoint", -1, "the root of %llu leaves, for %s, is not known: %s",
                        (unsigned long long)checkpoint->size, what,
                        unknown.message ? unknown.message : "out of memory");
    } else if (!extended) {
        rbt_log_problem(v, "forked", -1,
                        "the log's first %llu leaves are not those of %s, whose root is %s: it was "
                        "re-written",
                        (unsigned long long)checkpoint->size, what,
                        rbt_hash_to_text(&checkpoint->root).hex);
    }
    rbt_error_clear(&unknown);
    return error->code;
}

static void report_problem(rbt_verification *v, rbt_judged *judged) {
    const char *sentence = rbt_buffer_text(&judged->sentence);
    rbt_log_problem(v, judged->kind, -1, "%s", sentence ? sentence : "out of memory");
}

int rbt_log_check_checkpoint(rbt_verification *v, const char *note, const char *what,
                             const char *vkeys, bool witnesses_required, rbt_buffer *report,
                             rbt_error *error) {
    rbt_log *log = v->log;
    rbt_verifier *verifiers = NULL;
    size_t count = 0;
    rbt_judged judged = {0};
    if (rbt_log_trusted_verifiers(log, vkeys, v->who, &verifiers, &count, error) != SQLITE_OK)
        return error->code;
    if (rbt_checkpoint_judge(&judged, note, strlen(note), what, log->origin, verifiers, count,
                             witnesses_required, error) == SQLITE_OK) {
        if (judged.kind)
            report_problem(v, &judged);
        else
            check_against_log(v, &judged.checkpoint, what, error);
        if (!judged.kind && report) {
            rbt_buffer_printf(report, ", extends the checkpoint of %llu leaves",
                              (unsigned long long)judged.checkpoint.size);
            rbt_judged_add_witnesses(report, &judged, verifiers, count);
        }
    }
    rbt_judged_free(&judged);
    rbt_free(verifiers);
    return error->code;
}

/* The walk over stored checkpoints. */
typedef struct stored_walk {
    rbt_verification *v;
    const rbt_verifier *verifiers;
    size_t verifier_count;
    int64_t checked;
} stored_walk;

static int check_stored(void *context, uint64_t size, const char *note, size_t length,
                        rbt_error *error) {
    stored_walk *w = context;
    rbt_verification *v = w->v;
    rbt_judged judged = {0};
    char what[64];
    w->checked++;
    sqlite3_snprintf(sizeof what, what, "the stored checkpoint of %llu leaves",
                     (unsigned long long)size);
    /* One finding says that nobody can be trusted; the rest would say it again. */
    if (w->verifier_count == 0 && w->checked > 1) return SQLITE_OK;
    if (rbt_checkpoint_judge(&judged, note ? note : "", note ? length : 0, what, v->log->origin,
                             w->verifiers, w->verifier_count, false, error) == SQLITE_OK) {
        if (judged.kind)
            report_problem(v, &judged);
        else if (judged.checkpoint.size != size)
            rbt_log_problem(v, "checkpoint", -1, "%s says that it is of %llu", what,
                            (unsigned long long)judged.checkpoint.size);
        else
            check_against_log(v, &judged.checkpoint, what, error);
    }
    rbt_judged_free(&judged);
    return error->code;
}

int rbt_log_check_stored_checkpoints(rbt_verification *v, const char *vkeys, uint64_t from,
                                     int64_t *count, rbt_error *error) {
    rbt_log *log = v->log;
    rbt_verifier *verifiers = NULL;
    rbt_buffer newest = {0};
    stored_walk w = {.v = v};
    uint64_t size;
    bool found = false;
    *count = 0;
    /* A log without checkpoints asks for no keys. */
    if (rbt_checkpoint_newest(log, &newest, &size, &found, error) == SQLITE_OK && found &&
        rbt_log_trusted_verifiers(log, vkeys, v->who, &verifiers, &w.verifier_count, error) ==
            SQLITE_OK) {
        w.verifiers = verifiers;
        rbt_checkpoints_visit(log, from, check_stored, &w, error);
        *count = w.checked;
    }
    rbt_buffer_free(&newest);
    rbt_free(verifiers);
    return error->code;
}
