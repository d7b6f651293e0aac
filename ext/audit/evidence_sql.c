/* SPDX-License-Identifier: MIT
** audit_checkpoint, audit_proof, audit_consistency, proof_verify (DESIGN §6). May call base, crypto and
** audit.
*/
#include "evidence_sql.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../base/utf8.h"
#include "audit_sql.h"
#include "checkpoint_run.h"
#include "checkpoint_store.h"
#include "checkpoint_trust.h"
#include "expired.h"
#include "log_rows.h"
#include "proof.h"

const char *rbt_audit_note_argument(rbt_buffer *out, sqlite3_value *value, const char *function,
                                    const char *argument, rbt_error *error) {
    if (error->code != SQLITE_OK) return NULL;
    int type = sqlite3_value_type(value);
    if (type != SQLITE_TEXT && type != SQLITE_BLOB) {
        rbt_fail(error, SQLITE_ERROR, "%s: %s must be TEXT or BLOB, not %s", function, argument,
                 rbt_type_name(type));
        return NULL;
    }
    const void *bytes =
        type == SQLITE_TEXT ? (const void *)sqlite3_value_text(value) : sqlite3_value_blob(value);
    size_t length = (size_t)sqlite3_value_bytes(value);
    if (!bytes && length) {
        rbt_fail_nomem(error);
        return NULL;
    }
    if (!rbt_utf8_valid(bytes ? bytes : (const uint8_t *)"", length) ||
        (bytes && memchr(bytes, 0, length))) {
        rbt_fail(error, SQLITE_ERROR, "%s: %s must be valid UTF-8 without NUL", function, argument);
        return NULL;
    }
    rbt_buffer_add(out, bytes ? bytes : "", length);
    const char *text = rbt_buffer_text(out);
    if (!text) rbt_fail_nomem(error);
    return text;
}

static void audit_checkpoint(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_checkpoint";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_buffer note = {0}, given = {0};
    const char *previous = NULL;
    rbt_log *log = NULL;
    const char *name = rbt_text_argument(argv[0], who, "log", &error);
    if (argc > 1) previous = rbt_audit_note_argument(&given, argv[1], who, "previous", &error);
    if (name && strcmp(name, "*") == 0)
        rbt_fail(&error, SQLITE_ERROR,
                 "%s: it gives one note, so it takes one log; SELECT name FROM audit_logs lists "
                 "them",
                 who);
    if (rbt_inside_a_write(connection->db))
        rbt_fail(&error, SQLITE_ERROR, "%s: it must be called by itself, as SELECT %s(log)", who,
                 who);
    if (error.code == SQLITE_OK) log = rbt_log_find(connection, name, who, &error);
    if (log) rbt_checkpoint_run(log, previous, &note, &error);
    rbt_log_release(log);
    if (error.code == SQLITE_OK)
        rbt_result_text(context, &note);
    else
        rbt_result_error(context, &error);
    rbt_buffer_free(&note);
    rbt_buffer_free(&given);
}

/* The newest stored checkpoint, read; its signatures are for the reader of the evidence to judge. An error
** when there is none, or it is not one of this log. */
static int newest_checkpoint(rbt_log *log, const char *who, rbt_buffer *note,
                             rbt_checkpoint *checkpoint, rbt_error *error) {
    uint64_t size;
    bool found = false;
    const char *why = NULL;
    size_t text_length;
    if (rbt_checkpoint_newest(log, note, &size, &found, error) != SQLITE_OK) return error->code;
    if (!found)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: %s has no checkpoint yet; SELECT audit_checkpoint('%q') makes one",
                        who, log->name, log->name);
    bool split = rbt_note_split((const char *)note->data, note->length, &text_length, &why);
    if (!split && why == rbt_note_no_memory) return rbt_fail_nomem(error);
    if (!split || !rbt_checkpoint_parse(checkpoint, (const char *)note->data, text_length) ||
        checkpoint->size != size || checkpoint->size > log->frontier.size ||
        strcmp(checkpoint->origin, log->origin) != 0)
        return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                        "%s: the newest stored checkpoint of %s is damaged; SELECT * FROM "
                        "audit_verify('%q') tells more",
                        who, log->name, log->name);
    return SQLITE_OK;
}

/* What is handed out was verified: a damaged tree gives an error, not a proof that proves nothing. */
static int damaged_tree(rbt_log *log, const char *who, rbt_error *error) {
    return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                    "%s: %s does not lead to its newest checkpoint; SELECT * FROM "
                    "audit_verify('%q') tells more",
                    who, log->name, log->name);
}

static int write_proof(rbt_log *log, uint64_t id, const char *who, rbt_buffer *out,
                       rbt_error *error) {
    rbt_buffer note = {0}, leaf = {0};
    rbt_checkpoint checkpoint = {0};
    rbt_proof path;
    rbt_hash hash;
    bool found = false;
    if (newest_checkpoint(log, who, &note, &checkpoint, error) != SQLITE_OK) goto cleanup;
    if (id >= checkpoint.size) {
        rbt_fail(error, SQLITE_ERROR,
                 "%s: the newest checkpoint of %s covers entries 0 to %llu, not %llu; SELECT "
                 "audit_checkpoint('%q') makes a new one",
                 who, log->name, (unsigned long long)checkpoint.size - 1, (unsigned long long)id,
                 log->name);
        goto cleanup;
    }
    if ((id > 0 && rbt_expired_refuse(log, (int64_t)id, error) != SQLITE_OK) ||
        rbt_tree_inclusion(&path, id, checkpoint.size, rbt_log_node, log, error) != SQLITE_OK ||
        rbt_log_leaf(log, (int64_t)id, &leaf, &found, error) != SQLITE_OK)
        goto cleanup;
    rbt_leaf_hash(&hash, leaf.data ? leaf.data : (const uint8_t *)"", leaf.length);
    if (!found || !rbt_inclusion_verify(&path, id, checkpoint.size, &hash, &checkpoint.root))
        damaged_tree(log, who, error);
    else
        rbt_tlog_proof_format(out, id, &path, (const char *)note.data, note.length);
cleanup:
    rbt_buffer_free(&note);
    rbt_buffer_free(&leaf);
    return error->code;
}

static void audit_proof(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_proof";
    rbt_error error = {0};
    sqlite3_stmt *hold = NULL;
    rbt_buffer proof = {0};
    (void)argc;
    if (sqlite3_value_type(argv[1]) == SQLITE_NULL) return;
    rbt_log *log = rbt_audit_open(context, argv[0], who, &hold, &error);
    if (log) {
        int64_t id = sqlite3_value_int64(argv[1]);
        if (sqlite3_value_type(argv[1]) != SQLITE_INTEGER)
            rbt_fail(&error, SQLITE_ERROR, "%s: id must be INTEGER, not %s", who,
                     rbt_type_name(sqlite3_value_type(argv[1])));
        else if (id < 0 || (uint64_t)id >= log->frontier.size)
            rbt_fail(&error, SQLITE_ERROR, "%s: %s has entries 0 to %llu, not %lld", who, log->name,
                     (unsigned long long)log->frontier.size - 1, (long long)id);
        else if (write_proof(log, (uint64_t)id, who, &proof, &error) == SQLITE_OK)
            rbt_result_text(context, &proof);
    }
    rbt_buffer_free(&proof);
    rbt_audit_close(context, log, hold, &error);
}

static int write_consistency(rbt_log *log, uint64_t old_size, const char *who, rbt_buffer *out,
                             rbt_error *error) {
    rbt_buffer note = {0};
    rbt_checkpoint checkpoint = {0};
    rbt_proof path = {0};
    rbt_hash old_root;
    if (newest_checkpoint(log, who, &note, &checkpoint, error) != SQLITE_OK) goto cleanup;
    if (old_size > checkpoint.size) {
        rbt_fail(error, SQLITE_ERROR,
                 "%s: old_size must be 0 to %llu, the size of the newest checkpoint, not %llu", who,
                 (unsigned long long)checkpoint.size, (unsigned long long)old_size);
        goto cleanup;
    }
    if (old_size > 0 && (rbt_tree_consistency(&path, old_size, checkpoint.size, rbt_log_node, log,
                                              error) != SQLITE_OK ||
                         rbt_tree_root(&old_root, old_size, rbt_log_node, log, error) != SQLITE_OK))
        goto cleanup;
    if (old_size > 0 &&
        !rbt_consistency_verify(&path, old_size, checkpoint.size, &old_root, &checkpoint.root))
        damaged_tree(log, who, error);
    else
        rbt_add_checkpoint_format(out, old_size, &path, (const char *)note.data, note.length);
cleanup:
    rbt_buffer_free(&note);
    return error->code;
}

static void audit_consistency(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_consistency";
    rbt_error error = {0};
    sqlite3_stmt *hold = NULL;
    rbt_buffer body = {0};
    (void)argc;
    if (sqlite3_value_type(argv[1]) == SQLITE_NULL) return;
    rbt_log *log = rbt_audit_open(context, argv[0], who, &hold, &error);
    if (log) {
        int64_t old_size = sqlite3_value_int64(argv[1]);
        if (sqlite3_value_type(argv[1]) != SQLITE_INTEGER)
            rbt_fail(&error, SQLITE_ERROR, "%s: old_size must be INTEGER, not %s", who,
                     rbt_type_name(sqlite3_value_type(argv[1])));
        else if (old_size < 0)
            rbt_fail(&error, SQLITE_ERROR, "%s: old_size must not be negative", who);
        else if (write_consistency(log, (uint64_t)old_size, who, &body, &error) == SQLITE_OK)
            rbt_result_text(context, &body);
    }
    rbt_buffer_free(&body);
    rbt_audit_close(context, log, hold, &error);
}

/* The whole of c2sp.org/tlog-proof, Verifying: origin and keys, cosignatures, inclusion. */
static int verify_proof(const char *text, size_t length, const void *leaf, size_t leaf_length,
                        const char *vkeys, const char *who, rbt_error *error) {
    rbt_tlog_proof proof;
    rbt_verifier *verifiers = NULL;
    size_t count = 0;
    rbt_judged judged = {0};
    rbt_hash hash;
    const char *why;
    if (rbt_verifiers_parse(vkeys, who, &verifiers, &count, error) != SQLITE_OK) return error->code;
    if (!rbt_tlog_proof_parse(&proof, text, length, &why)) {
        rbt_fail(error, SQLITE_ERROR, "%s: the proof is malformed: %s", who, why);
    } else if (rbt_checkpoint_judge(&judged, proof.note, proof.note_length,
                                    "the proof's checkpoint", NULL, verifiers, count, true,
                                    error) == SQLITE_OK) {
        rbt_leaf_hash(&hash, leaf, leaf_length);
        if (judged.kind) {
            const char *sentence = rbt_buffer_text(&judged.sentence);
            rbt_fail(error, SQLITE_ERROR, "%s: %s", who, sentence ? sentence : judged.kind);
        } else if (proof.index >= judged.checkpoint.size) {
            rbt_fail(error, SQLITE_ERROR,
                     "%s: the proof is of entry %llu, its checkpoint covers only 0 to %lld", who,
                     (unsigned long long)proof.index, (long long)judged.checkpoint.size - 1);
        } else if (!rbt_inclusion_verify(&proof.path, proof.index, judged.checkpoint.size, &hash,
                                         &judged.checkpoint.root)) {
            rbt_fail(error, SQLITE_ERROR,
                     "%s: the leaf is not entry %llu of the log that the checkpoint is of", who,
                     (unsigned long long)proof.index);
        }
    }
    rbt_judged_free(&judged);
    rbt_free(verifiers);
    return error->code;
}

/* Touches no keys of ours and no files. Never answers 0: a WHERE or CASE around it must not pass over a
** forgery in silence. */
static void proof_verify(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "proof_verify";
    rbt_error error = {0};
    rbt_buffer proof = {0};
    int leaf_type = sqlite3_value_type(argv[1]);
    (void)argc;
    if (sqlite3_value_type(argv[0]) == SQLITE_NULL || sqlite3_value_type(argv[1]) == SQLITE_NULL)
        return;
    const char *text = rbt_audit_note_argument(&proof, argv[0], who, "proof", &error);
    const char *vkeys = rbt_text_argument(argv[2], who, "vkey", &error);
    if (leaf_type != SQLITE_TEXT && leaf_type != SQLITE_BLOB)
        rbt_fail(&error, SQLITE_ERROR, "%s: leaf must be TEXT or BLOB, not %s", who,
                 rbt_type_name(leaf_type));
    /* the leaves of other logs may be any bytes */
    const void *leaf = leaf_type == SQLITE_TEXT ? (const void *)sqlite3_value_text(argv[1])
                                                : sqlite3_value_blob(argv[1]);
    size_t leaf_length = (size_t)sqlite3_value_bytes(argv[1]);
    if (!leaf && leaf_length) rbt_fail_nomem(&error);
    if (error.code == SQLITE_OK)
        verify_proof(text, proof.length, leaf ? leaf : "", leaf_length, vkeys, who, &error);
    rbt_buffer_free(&proof);
    if (error.code == SQLITE_OK)
        sqlite3_result_int(context, 1);
    else
        rbt_result_error(context, &error);
}

const rbt_function rbt_evidence_functions[] = {
    {"audit_checkpoint", 1, 2, RBT_DIRECT, audit_checkpoint, "audit_checkpoint(log[, previous])",
     "signing",
     "a signed note of the log's size and root (C2SP tlog-checkpoint), kept in the log too; only "
     "where the log extends every earlier one, and previous",
     "SELECT audit_checkpoint('order_audit_log')"},
    {"audit_proof", 2, 2, RBT_DIRECT, audit_proof, "audit_proof(log, id)", "nothing",
     "that the newest checkpoint covers an entry (C2SP tlog-proof): verified without the database",
     "SELECT audit_proof('order_audit_log', 0)"},
    {"audit_consistency", 2, 2, RBT_DIRECT, audit_consistency, "audit_consistency(log, old_size)",
     "nothing",
     "that the newest checkpoint extends the first old_size leaves: what a witness (C2SP "
     "tlog-witness) is sent",
     "SELECT audit_consistency('order_audit_log', 1)"},
    {"proof_verify", 3, 3, RBT_PURE, proof_verify, "proof_verify(proof, leaf, vkey)", "nothing",
     "1 when a proof of audit_proof holds for a leaf, signed by that key (or list of keys, of "
     "which "
     "every witness must have cosigned), else an error that says why; never 0",
     "SELECT proof_verify(audit_proof('order_audit_log', 0), audit_leaf('order_audit_log', 0), "
     "audit_public_key('order_audit_log'))"},
    {0}};
