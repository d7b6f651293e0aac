/* SPDX-License-Identifier: MIT
** audit_succession (lifecycle.h): a new signing key takes over from the one that signed a log so far. May
** call base, crypto and audit.
**
** One transaction a log: it reads size and root under the write lock, with a seal that holds, and stores
** the notes and their events; a kill leaves the log handed over or as it was.
*/
#include "lifecycle.h"

#include "../base/bytes.h"
#include "../base/json.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "events.h"
#include "log_seal.h"
#include "trust.h"

static const char who[] = "audit_succession";

static const rbt_keys *require_keys(rbt_log *log, rbt_error *error) {
    const rbt_keys *keys = rbt_connection_keys(log->logs->connection, who, error);
    if (!keys || rbt_keys_signing(keys)) return keys;
    rbt_fail(error, SQLITE_ERROR,
             "%s: a succession is signed, and there is no key; set RUSTYBT_SIGNING_KEY or "
             "RUSTYBT_ENCRYPTION_KEY",
             who);
    return NULL;
}

/* ---- Who hands over ---- */

/* A key that can sign a note. */
typedef struct holder {
    const uint8_t *secret, *public_key;
} holder;

/* Newest first: the keys that are held to sign, and behind signing keys of their own the ring's subkeys,
** which signed before there were any. */
static size_t holder_count(const rbt_keys *keys) {
    bool shared = rbt_keys_signing(keys)->shared;
    return rbt_keys_signing_count(keys) + (shared ? 0 : rbt_keys_count(keys));
}

static holder holder_at(const rbt_keys *keys, size_t place) {
    const rbt_signing_key *signing = rbt_keys_signing_at(keys, place);
    if (signing) return (holder){signing->secret, signing->public_key};
    const rbt_ring_key *key = rbt_keys_at(keys, place - rbt_keys_signing_count(keys));
    return (holder){key->sign_secret, key->sign_public};
}

/* The key's place; the number of holders when it is none of them. */
static size_t place_of(const rbt_keys *keys, const uint8_t public_key[32]) {
    size_t i = 0, count = holder_count(keys);
    while (i < count && memcmp(holder_at(keys, i).public_key, public_key, 32) != 0)
        i++;
    return i;
}

static const char *list_variable(const rbt_keys *keys) {
    return rbt_keys_signing(keys)->shared ? "RUSTYBT_ENCRYPTION_KEY" : "RUSTYBT_SIGNING_KEY";
}

/* The stored notes, which must be one history that this log can have. */
static int read_history(rbt_log *log, rbt_successions *notes, rbt_error *error) {
    size_t at;
    if (rbt_log_successions(log, notes, error) != SQLITE_OK) return error->code;
    const char *flaw = rbt_successions_flaw(notes, &at, error);
    if (error->code != SQLITE_OK) return error->code;
    if (!flaw && notes->count > 0 &&
        notes->notes[notes->count - 1].succession.size > log->frontier.size)
        flaw = "it is of a larger size than the log";
    if (flaw)
        rbt_fail(error, SQLITE_CORRUPT_VTAB,
                 "%s: %s: its stored successions are damaged, at number %lld: %s; SELECT * FROM "
                 "audit_verify('%s') tells more",
                 who, log->name, (long long)at + 1, flaw, log->name);
    return error->code;
}

/* Without a note: from the key that signed first, or would have, on. It matters where the new key is held
** behind the old one, before it is used: then nothing may be handed over, for no key comes back. A log that
** does not know may have been signed by any of the keys that are held to sign. */
static size_t find_first_signer(rbt_log *log, const rbt_keys *keys, rbt_error *error) {
    rbt_buffer first = {0};
    bool found = false;
    size_t place = rbt_keys_signing_count(keys) - 1;
    if (rbt_log_meta_bytes(log, RBT_FIRST_SIGNER_KEY, &first, &found, error) == SQLITE_OK &&
        found && first.length == 32) {
        size_t known = place_of(keys, first.data);
        if (known < holder_count(keys)) place = known;
    }
    rbt_buffer_free(&first);
    return place;
}

/* Which holder's key hands over, to those before it: 0 when none has to. */
static size_t find_predecessor(rbt_log *log, const rbt_keys *keys, rbt_successions *notes,
                               rbt_error *error) {
    rbt_buffer vkey = {0};
    if (notes->count == 0) return find_first_signer(log, keys, error);
    const rbt_verifier *last = &notes->notes[notes->count - 1].succession.next;
    size_t place = place_of(keys, last->public_key);
    if (place < holder_count(keys)) return place;
    rbt_verifier_format(&vkey, last);
    const char *text = rbt_buffer_text(&vkey);
    if (!text)
        rbt_fail_nomem(error);
    else
        rbt_fail(
            error, SQLITE_ERROR,
            "%s: %s: the key that signs it so far, %s, is not held; put it behind the new one: "
            "%s=new,old",
            who, log->name, text, list_variable(keys));
    rbt_buffer_free(&vkey);
    return 0;
}

static int add_event(rbt_log *log, const rbt_succession *note, const char *text, size_t length,
                     rbt_error *error) {
    rbt_buffer detail = {0}, next = {0}, previous = {0};
    rbt_verifier_format(&next, &note->next);
    rbt_verifier_format(&previous, &note->previous);
    rbt_buffer_add_text(&detail, "{\"log_id\":\"");
    rbt_buffer_add_hex(&detail, log->log_id, sizeof log->log_id);
    rbt_buffer_printf(&detail, "\",\"size\":%llu,\"previous\":", (unsigned long long)note->size);
    if (!previous.failed && !next.failed) {
        rbt_json_add_string(&detail, (const char *)previous.data, previous.length);
        rbt_buffer_add_text(&detail, ",\"next\":");
        rbt_json_add_string(&detail, (const char *)next.data, next.length);
    } else {
        rbt_fail_nomem(error);
    }
    rbt_buffer_add_text(&detail, ",\"note\":");
    rbt_json_add_string(&detail, text, length);
    rbt_buffer_add_byte(&detail, '}');
    if (error->code == SQLITE_OK)
        rbt_events_add(log->logs->connection, log->schema, "signing_key", log->name, &detail, who,
                       error);
    rbt_buffer_free(&detail);
    rbt_buffer_free(&next);
    rbt_buffer_free(&previous);
    return error->code;
}

/* Makes the note, verifies it as any reader would, and adds it to the others. */
static int add_note(rbt_log *log, rbt_successions *notes, const rbt_succession *note,
                    const uint8_t previous_secret[64], const uint8_t next_secret[64],
                    rbt_error *error) {
    rbt_buffer text = {0};
    if (rbt_succession_sign(&text, note, previous_secret, next_secret, error) == SQLITE_OK &&
        rbt_successions_add(notes, (const char *)text.data, text.length, error) == SQLITE_OK &&
        !rbt_successions_valid(notes, notes->count - 1, error))
        rbt_fail(error, SQLITE_ERROR, "%s: %s: the note that was made is not valid: %s", who,
                 log->name, notes->notes[notes->count - 1].why);
    rbt_buffer_free(&text);
    return error->code;
}

static int make_notes(rbt_log *log, const rbt_keys *keys, rbt_successions *notes,
                      size_t predecessor, rbt_succession_outcome *outcome, rbt_error *error) {
    rbt_succession note = {.size = log->frontier.size};
    rbt_frontier_root(&note.root, &log->frontier);
    size_t previous = predecessor;
    for (size_t next = predecessor; next-- > 0 && error->code == SQLITE_OK;) {
        const holder from = holder_at(keys, previous), to = holder_at(keys, next);
        uint64_t superseded = rbt_successions_limit(notes, to.public_key, error);
        if (error->code != SQLITE_OK) break;
        if (superseded != UINT64_MAX && next > 0) continue; /* it handed over before */
        if (superseded != UINT64_MAX)
            return rbt_fail(error, SQLITE_ERROR,
                            "%s: %s: the signing key was superseded at size %llu, and no key comes "
                            "back; put a new one first in %s",
                            who, log->name, (unsigned long long)superseded, list_variable(keys));
        if (notes->count == RBT_SUCCESSIONS_MAX)
            return rbt_fail(error, SQLITE_ERROR, "%s: %s: a log can have %d successions", who,
                            log->name, RBT_SUCCESSIONS_MAX);
        if (!rbt_verifier_make(&note.previous, log->origin, from.public_key) ||
            !rbt_verifier_make(&note.next, log->origin, to.public_key))
            return rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: the origin is damaged", log->name);
        add_note(log, notes, &note, from.secret, to.secret, error);
        previous = next;
        outcome->notes++;
    }
    return error->code;
}

static int store_notes(rbt_log *log, const rbt_successions *notes, size_t made, rbt_error *error) {
    rbt_buffer json = {0};
    rbt_successions_write(&json, notes);
    if (json.failed)
        rbt_fail_nomem(error);
    else
        rbt_log_meta_set_bytes(log, RBT_SUCCESSIONS_KEY, json.data, json.length, true, error);
    rbt_buffer_free(&json);
    for (size_t i = notes->count - made; i < notes->count && error->code == SQLITE_OK; i++)
        add_event(log, &notes->notes[i].succession,
                  (const char *)notes->texts.data + notes->notes[i].start, notes->notes[i].length,
                  error);
    return error->code;
}

/* A ring that changed with the signing key: the seal is renewed under its primary, as the next append
** would, so that the old key need not stay for the seal's sake. */
static int renew_seal(rbt_log *log, const rbt_keys *keys, rbt_succession_outcome *outcome,
                      rbt_error *error) {
    rbt_seal_result result;
    char sealed_under[17];
    if (!log->sealed) return SQLITE_OK;
    if (rbt_seal_check(log, &result, sealed_under, error) != SQLITE_OK) return error->code;
    rbt_hex_encode(outcome->resealed, rbt_keys_at(keys, 0)->id, RBT_KEY_ID_SIZE);
    if (result != RBT_SEAL_HOLDS || strcmp(outcome->resealed, sealed_under) == 0) {
        outcome->resealed[0] = 0;
        return SQLITE_OK;
    }
    log->dirty = true;
    return rbt_log_flush(log, error);
}

/* Within the transaction, with the log loaded and its seal checked. */
static int hand_over(rbt_log *log, const rbt_keys *keys, rbt_succession_outcome *outcome,
                     rbt_error *error) {
    rbt_successions notes = {0};
    if (read_history(log, &notes, error) == SQLITE_OK) {
        size_t predecessor = find_predecessor(log, keys, &notes, error);
        if (error->code == SQLITE_OK && renew_seal(log, keys, outcome, error) == SQLITE_OK &&
            predecessor > 0 && rbt_log_require_genesis(log, who, error) == SQLITE_OK &&
            make_notes(log, keys, &notes, predecessor, outcome, error) == SQLITE_OK)
            store_notes(log, &notes, outcome->notes, error);
        if (notes.count > 0) outcome->last = notes.notes[notes.count - 1].succession;
    }
    rbt_successions_free(&notes);
    return error->code;
}

/* Whether anything will be handed over, as far as can be seen now. */
static bool is_due(rbt_log *log, const rbt_keys *keys, rbt_error *error) {
    rbt_successions notes = {0};
    size_t predecessor = 0;
    sqlite3_stmt *hold = rbt_log_hold(log, error);
    if (hold && rbt_log_peek(log, error) == SQLITE_OK &&
        read_history(log, &notes, error) == SQLITE_OK)
        predecessor = find_predecessor(log, keys, &notes, error);
    sqlite3_finalize(hold);
    rbt_successions_free(&notes);
    return error->code == SQLITE_OK && predecessor > 0;
}

int rbt_succession_prepare(rbt_log *log, rbt_error *error) {
    if (rbt_require_no_transaction(log, who, error) != SQLITE_OK) return error->code;
    const rbt_keys *keys = require_keys(log, error);
    if (keys && is_due(log, keys, error))
        rbt_events_prepare(log->logs->connection, log->schema, who, error);
    return error->code;
}

int rbt_succession_run(rbt_log *log, rbt_succession_outcome *outcome, rbt_error *error) {
    rbt_transaction own = {0};
    *outcome = (rbt_succession_outcome){0};
    if (rbt_succession_prepare(log, error) != SQLITE_OK) return error->code;
    const rbt_keys *keys = require_keys(log, error);
    if (!keys) return error->code;
    rbt_keys_retain(keys); /* a seal's unknown key id may make them be read anew */
    if (rbt_log_transaction_begin(log, &own, who, error) == SQLITE_OK) {
        if (rbt_log_load(log, error) == SQLITE_OK) hand_over(log, keys, outcome, error);
        rbt_log_transaction_end(log, &own, who, error);
    }
    rbt_keys_free((rbt_keys *)keys);
    return error->code;
}
