/* SPDX-License-Identifier: MIT
** The part of audit_verify that looks at succession notes (log_verify.h). May call base and audit.
**
** A note that is not valid gives no trust (trust.h), so nothing is lost by it but what it should have
** told; that someone put it there, or took one away, is to be known.
*/
#include "log_verify.h"

#include "../base/json.h"
#include "../base/memory.h"
#include "checkpoint_store.h"
#include "events.h"
#include "trust.h"

static const char kind[] = "succession";

typedef struct check {
    rbt_verification *v;
    rbt_successions notes;
    rbt_verifier *verifiers;
    size_t verifier_count;
} check;

static bool is_trusted(const check *c, const rbt_verifier *key) {
    for (size_t i = 0; i < c->verifier_count; i++)
        if (memcmp(c->verifiers[i].public_key, key->public_key, sizeof key->public_key) == 0 &&
            strcmp(c->verifiers[i].name, key->name) == 0)
            return true;
    return false;
}

/* The log's root at the size that the note names must be the note's. */
static int check_root(check *c, size_t i, rbt_error *error) {
    rbt_log *log = c->v->log;
    const rbt_succession *note = &c->notes.notes[i].succession;
    unsigned long long number = i + 1, size = note->size;
    rbt_error unknown = {0};
    rbt_checkpoint tree = {.size = note->size, .root = note->root};
    rbt_hash root;
    bool extended = false;
    if (note->size > log->frontier.size)
        rbt_log_problem(c->v, kind, -1,
                        "succession %llu is of size %llu, the log has only %llu leaves: it was "
                        "rolled back",
                        number, size, (unsigned long long)log->frontier.size);
    else if (rbt_checkpoint_extended(log, &tree, &extended, &unknown) == SQLITE_NOMEM)
        rbt_fail_nomem(error);
    else if (unknown.code != SQLITE_OK)
        rbt_log_problem(c->v, kind, -1,
                        "the root at size %llu, which succession %llu names, cannot be computed: "
                        "%s",
                        size, number, unknown.message ? unknown.message : "the tree is damaged");
    else if (!extended && rbt_tree_root(&root, note->size, rbt_log_node, log, error) == SQLITE_OK)
        rbt_log_problem(c->v, kind, -1,
                        "the log's first %llu leaves have the root %s, succession %llu says %s: it "
                        "was re-written",
                        size, rbt_hash_to_text(&root).hex, number,
                        rbt_hash_to_text(&note->root).hex);
    rbt_error_clear(&unknown);
    return error->code;
}

static int check_note(check *c, size_t i, rbt_error *error) {
    const rbt_stored_succession *stored = &c->notes.notes[i];
    if (!rbt_successions_valid(&c->notes, i, error)) {
        if (error->code == SQLITE_OK)
            rbt_log_problem(c->v, kind, -1, "succession %lld is not valid: %s", (long long)i + 1,
                            stored->why);
        return error->code;
    }
    if (c->verifier_count == 0) return SQLITE_OK; /* said already */
    if (is_trusted(c, &stored->succession.next) || is_trusted(c, &stored->succession.previous))
        return check_root(c, i, error);
    rbt_log_problem(c->v, kind, -1, "succession %lld is between two keys that nothing trusts",
                    (long long)i + 1);
    return SQLITE_OK;
}

/* Valid notes that do not follow each other. */
static int check_history(check *c, rbt_error *error) {
    size_t at;
    const char *flaw = rbt_successions_flaw(&c->notes, &at, error);
    if (!flaw || error->code != SQLITE_OK) return error->code;
    if (c->notes.why)
        rbt_log_problem(c->v, kind, -1, "the stored successions cannot be read: %s", flaw);
    else if (!c->notes.notes[at].why)
        rbt_log_problem(c->v, kind, -1, "succession %lld does not fit those before it: %s",
                        (long long)at + 1, flaw);
    return SQLITE_OK;
}

/* What rustybt_events says of this very log must be stored in it. */
static int compare_event(void *context, int64_t recorded_at, const char *detail, size_t length,
                         rbt_error *error) {
    (void)recorded_at;
    check *c = context;
    rbt_json document = {0};
    rbt_error malformed = {0}; /* no event of ours */
    rbt_buffer note = {0}, log_id = {0}, own_id = {0};
    bool missing = false;
    if (rbt_json_parse(&document, detail, length, "detail", &malformed) == SQLITE_OK) {
        const rbt_json_node *root = rbt_json_root(&document);
        rbt_json_string(&document, rbt_json_member(&document, root, "log_id"), &log_id);
        rbt_json_string(&document, rbt_json_member(&document, root, "note"), &note);
        rbt_buffer_add_hex(&own_id, c->v->log->log_id, sizeof c->v->log->log_id);
        missing = log_id.length == own_id.length && note.length > 0 &&
                  memcmp(log_id.data, own_id.data, own_id.length) == 0;
    }
    for (size_t i = 0; missing && i < c->notes.count; i++)
        missing =
            c->notes.notes[i].length != note.length ||
            memcmp(c->notes.texts.data + c->notes.notes[i].start, note.data, note.length) != 0;
    if (malformed.code == SQLITE_NOMEM || note.failed || log_id.failed || own_id.failed)
        rbt_fail_nomem(error);
    else if (missing)
        rbt_log_problem(c->v, kind, -1, "a succession that %s tells of is missing from the log",
                        RBT_EVENTS_LOG);
    rbt_error_clear(&malformed);
    rbt_buffer_free(&note);
    rbt_buffer_free(&log_id);
    rbt_buffer_free(&own_id);
    rbt_json_free(&document);
    return error->code;
}

/* What is wrong with rustybt_events itself, its own verification tells. */
static int check_events(check *c, rbt_error *error) {
    rbt_log *log = c->v->log;
    rbt_error trouble = {0};
    rbt_events_visit(log->logs->connection, log->schema, "signing_key", log->name, "audit_verify",
                     compare_event, c, &trouble);
    if (trouble.code == SQLITE_NOMEM || trouble.code == SQLITE_BUSY)
        rbt_fail(error, trouble.code, "%s", trouble.message ? trouble.message : log->name);
    else if (trouble.code != SQLITE_OK && sqlite3_stricmp(log->name, RBT_EVENTS_LOG) != 0)
        rbt_log_problem(c->v, kind, -1,
                        "what " RBT_EVENTS_LOG " tells of successions cannot be read: %s",
                        trouble.message ? trouble.message : "it is damaged");
    rbt_error_clear(&trouble);
    return error->code;
}

int rbt_log_check_successions(rbt_verification *v, const char *vkeys, rbt_error *error) {
    rbt_log *log = v->log;
    check c = {.v = v};
    if (rbt_log_successions(log, &c.notes, error) == SQLITE_OK && c.notes.count > 0)
        rbt_trusted_verifiers(log->logs->connection, vkeys, log->origin, &c.notes, "audit_verify",
                              &c.verifiers, &c.verifier_count, error);
    if (error->code == SQLITE_OK && c.notes.count > 0 && c.verifier_count == 0)
        rbt_log_problem(v, "untrusted", -1,
                        "there is no key to trust the successions' signatures by; set "
                        "RUSTYBT_VERIFY_KEYS or give vkeys");
    for (size_t i = 0; i < c.notes.count && error->code == SQLITE_OK; i++)
        check_note(&c, i, error);
    if (error->code == SQLITE_OK) check_history(&c, error);
    if (error->code == SQLITE_OK) check_events(&c, error);
    rbt_free(c.verifiers);
    rbt_successions_free(&c.notes);
    return error->code;
}
