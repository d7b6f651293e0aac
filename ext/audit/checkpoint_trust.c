/* SPDX-License-Identifier: MIT
** See checkpoint_trust.h. May call base, crypto and the checkpoint's text.
*/
#include "checkpoint_trust.h"

#include "../base/clock.h"
#include "../base/memory.h"

/* Whether this verifier's signature makes the checkpoint the log's own. */
static bool speaks_for_the_log(const rbt_verifier *verifier, const rbt_checkpoint *checkpoint) {
    return verifier->type == RBT_SIGNATURE_ED25519 &&
           strcmp(verifier->name, checkpoint->origin) == 0;
}

static void refuse(rbt_judged *judged, const char *kind, const char *format, const char *what,
                   const char *detail) {
    judged->kind = kind;
    rbt_buffer_clear(&judged->sentence);
    rbt_buffer_printf(&judged->sentence, format, what, detail);
}

static void superseded(rbt_judged *judged, const char *what, uint64_t size) {
    judged->kind = "checkpoint";
    rbt_buffer_printf(&judged->sentence,
                      "%s of %llu leaves is signed by a key that was superseded at size %llu", what,
                      (unsigned long long)judged->checkpoint.size, (unsigned long long)size);
}

/* The name of a verifier whose line is there and wrong. */
static const char *wrong_signer(const rbt_judged *judged, const rbt_verifier *verifiers,
                                size_t count) {
    for (size_t i = 0; i < count; i++)
        if (judged->signatures[i].line && !judged->signatures[i].valid) return verifiers[i].name;
    return judged->checkpoint.origin;
}

static void judge_signatures(rbt_judged *judged, int verdict, const char *what,
                             const rbt_verifier *verifiers, size_t count, bool witnesses_required) {
    bool known = false, signed_by_log = false;
    uint64_t superseded_at = 0;
    for (size_t i = 0; i < count; i++) {
        if (!speaks_for_the_log(&verifiers[i], &judged->checkpoint)) continue;
        known = true;
        if (!judged->signatures[i].valid) continue;
        if (judged->checkpoint.size <= verifiers[i].max_size)
            signed_by_log = true;
        else if (verifiers[i].max_size > superseded_at)
            superseded_at = verifiers[i].max_size;
    }
    if (verdict == -2)
        refuse(judged, "checkpoint", "%s has a wrong signature by %s", what,
               wrong_signer(judged, verifiers, count));
    else if (count == 0)
        refuse(judged, "untrusted",
               "there is no key to trust the signature of %s by; set RUSTYBT_VERIFY_KEYS or give "
               "vkeys",
               what, NULL);
    else if (!known)
        refuse(judged, "untrusted",
               "none of the trusted keys to verify %s by is a key of %s; add it to "
               "RUSTYBT_VERIFY_KEYS or vkeys",
               what, judged->checkpoint.origin);
    else if (!signed_by_log && superseded_at > 0)
        superseded(judged, what, superseded_at);
    else if (!signed_by_log)
        refuse(judged, "checkpoint", "no trusted key of %s signed %s", judged->checkpoint.origin,
               what);
    for (size_t i = 0; witnesses_required && !judged->kind && i < count; i++)
        if (verifiers[i].type == RBT_SIGNATURE_COSIGNATURE && !judged->signatures[i].valid)
            refuse(judged, "checkpoint", "%s is not cosigned by witness %s", what,
                   verifiers[i].name);
}

int rbt_checkpoint_judge(rbt_judged *judged, const char *note, size_t length, const char *what,
                         const char *origin, const rbt_verifier *verifiers, size_t count,
                         bool witnesses_required, rbt_error *error) {
    const char *why = NULL;
    size_t text_length;
    memset(judged, 0, sizeof *judged);
    if (!rbt_note_split(note, length, &text_length, &why)) {
        if (why == rbt_note_no_memory) return rbt_fail_nomem(error);
        refuse(judged, "checkpoint", "%s is no signed checkpoint: %s", what, why);
    } else if (!rbt_checkpoint_parse(&judged->checkpoint, note, text_length)) {
        refuse(judged, "checkpoint", "%s is no signed checkpoint%s", what, "");
    } else if (origin && strcmp(judged->checkpoint.origin, origin) != 0) {
        judged->kind = "checkpoint";
        rbt_buffer_printf(&judged->sentence, "%s is of log %s, not of %s", what,
                          judged->checkpoint.origin, origin);
    } else {
        judged->well_formed = true;
        judged->signatures = rbt_calloc(count * sizeof *judged->signatures);
        if (!judged->signatures) return rbt_fail_nomem(error);
        int verdict = rbt_note_check(note, length, verifiers, count, judged->signatures);
        if (verdict == -3) return rbt_fail_nomem(error);
        judge_signatures(judged, verdict, what, verifiers, count, witnesses_required);
    }
    return judged->sentence.failed ? rbt_fail_nomem(error) : SQLITE_OK;
}

void rbt_judged_free(rbt_judged *judged) {
    rbt_buffer_free(&judged->sentence);
    rbt_free(judged->signatures);
    judged->signatures = NULL;
}

void rbt_judged_add_witnesses(rbt_buffer *out, const rbt_judged *judged,
                              const rbt_verifier *verifiers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const rbt_note_signature *signature = &judged->signatures[i];
        if (verifiers[i].type != RBT_SIGNATURE_COSIGNATURE || !signature->valid) continue;
        char time[RBT_TIME_TEXT_SIZE];
        if (signature->time <= INT64_MAX / 1000000)
            rbt_time_to_text(time, (int64_t)signature->time * 1000000);
        else
            sqlite3_snprintf(sizeof time, time, "%lld", (long long)signature->time);
        rbt_buffer_printf(out, ", cosigned by %s at %s", verifiers[i].name, time);
    }
}
