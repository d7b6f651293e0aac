/* SPDX-License-Identifier: MIT
** The rule of trust (trust.h). Calls crypto's keys and notes, and successions.
*/
#include "trust.h"

#include "../base/memory.h"
#include <stdlib.h>
#include <string.h>

/* ---- Succession ---- */

/* Verifiers that grow while they are closed over the notes. */
typedef struct closure {
    rbt_verifier *verifiers;
    bool *leads;    /* per verifier: hands trust on to its successor */
    bool *followed; /* per verifier: trusted because its successor is */
    size_t count;
    rbt_successions *notes;
    bool changed;
} closure;

/* The first verifier with this name and key; count when there is none. */
static size_t find(const closure *c, const rbt_verifier *key) {
    size_t i = 0;
    while (i < c->count &&
           (c->verifiers[i].type != RBT_SIGNATURE_ED25519 ||
            memcmp(c->verifiers[i].public_key, key->public_key, sizeof key->public_key) != 0 ||
            strcmp(c->verifiers[i].name, key->name) != 0))
        i++;
    return i;
}

/* Every verifier of this key: a list may name it twice. */
static void limit(closure *c, const rbt_verifier *key, uint64_t size) {
    for (size_t i = find(c, key); i < c->count; i++) {
        rbt_verifier *each = &c->verifiers[i];
        if (each->type == RBT_SIGNATURE_ED25519 &&
            memcmp(each->public_key, key->public_key, sizeof key->public_key) == 0 &&
            strcmp(each->name, key->name) == 0 && each->max_size > size) {
            each->max_size = size;
            c->changed = true;
        }
    }
}

/* Room is there for two keys a note. */
static void add(closure *c, const rbt_verifier *key, bool leads) {
    c->verifiers[c->count] = *key;
    c->leads[c->count] = leads;
    c->followed[c->count] = !leads;
    c->count++;
    c->changed = true;
}

/* Whether a valid note other than i has the same previous key and another next one. */
static bool is_forked(closure *c, size_t i, rbt_error *error) {
    const rbt_succession *note = &c->notes->notes[i].succession;
    for (size_t other = 0; other < c->notes->count; other++) {
        const rbt_stored_succession *stored = &c->notes->notes[other];
        if (!stored->why &&
            memcmp(stored->succession.previous.public_key, note->previous.public_key, 32) == 0 &&
            memcmp(stored->succession.next.public_key, note->next.public_key, 32) != 0 &&
            rbt_successions_valid(c->notes, other, error))
            return true;
    }
    return false;
}

/* From previous to next. */
static void lead_on(closure *c, size_t i, rbt_error *error) {
    const rbt_succession *note = &c->notes->notes[i].succession;
    if (c->notes->notes[i].why) return;
    size_t previous = find(c, &note->previous);
    if (previous == c->count || !rbt_successions_valid(c->notes, i, error)) return;
    limit(c, &note->previous, note->size);
    if (!c->leads[previous] || is_forked(c, i, error) || error->code != SQLITE_OK) return;
    size_t next = find(c, &note->next);
    if (next == c->count) {
        add(c, &note->next, true);
    } else if (!c->leads[next]) {
        c->leads[next] = true;
        c->changed = true;
    }
}

/* From next to previous. */
static void follow_back(closure *c, size_t i, rbt_error *error) {
    const rbt_succession *note = &c->notes->notes[i].succession;
    if (c->notes->notes[i].why) return;
    size_t next = find(c, &note->next);
    if (next == c->count || !rbt_successions_valid(c->notes, i, error)) return;
    size_t previous = find(c, &note->previous);
    if (previous == c->count) add(c, &note->previous, false);
    limit(c, &note->previous, note->size);
    if (c->followed[previous]) limit(c, &note->previous, c->verifiers[next].max_size);
}

/* What is found depends on the set of the notes alone, not on their order, which anyone could change:
** first all keys that lead, then those that are followed back from them. */
static void close_over(closure *c, rbt_error *error) {
    do {
        c->changed = false;
        for (size_t i = 0; i < c->notes->count && error->code == SQLITE_OK; i++)
            lead_on(c, i, error);
    } while (c->changed && error->code == SQLITE_OK);
    do {
        c->changed = false;
        for (size_t i = c->notes->count; i-- > 0 && error->code == SQLITE_OK;)
            follow_back(c, i, error);
    } while (c->changed && error->code == SQLITE_OK);
}

int rbt_trust_extend(rbt_verifier **verifiers, size_t *count, size_t leading,
                     rbt_successions *successions, rbt_error *error) {
    if (successions->count == 0 || *count == 0) return SQLITE_OK;
    size_t room = *count + 2 * successions->count;
    closure c = {.count = *count, .notes = successions};
    c.verifiers = rbt_realloc(*verifiers, room * sizeof *c.verifiers);
    if (!c.verifiers) return rbt_fail_nomem(error);
    *verifiers = c.verifiers;
    c.leads = rbt_calloc(room * sizeof *c.leads);
    c.followed = rbt_calloc(room * sizeof *c.followed);
    if (c.leads && c.followed) {
        for (size_t i = 0; i < leading && i < c.count; i++)
            c.leads[i] = true;
        close_over(&c, error);
        *count = c.count;
    } else {
        rbt_fail_nomem(error);
    }
    rbt_free(c.leads);
    rbt_free(c.followed);
    return error->code;
}

/* ---- Where trust begins ---- */

/* Whether the environment names any key; without one there is nothing to read and nothing wrong. */
static bool keys_configured(void) {
    static const char *const names[] = {
        "RUSTYBT_ENCRYPTION_KEY", "RUSTYBT_ENCRYPTION_KEY_FILE", "RUSTYBT_ENCRYPTION_KEY_COMMAND",
        "RUSTYBT_SIGNING_KEY",    "RUSTYBT_SIGNING_KEY_FILE",    "RUSTYBT_SIGNING_KEY_COMMAND",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i])) return true;
    return false;
}

/* All that are held to sign. */
static int held_verifiers(rbt_connection *connection, const char *origin, const char *who,
                          rbt_verifier **out, size_t *count, rbt_error *error) {
    if (!connection->keys && !keys_configured()) return SQLITE_OK;
    const rbt_keys *keys = rbt_connection_keys(connection, who, error);
    if (!keys) return error->code;
    size_t held = rbt_keys_signing_count(keys);
    if (held == 0) return SQLITE_OK;
    rbt_verifier *verifiers = rbt_calloc(held * sizeof *verifiers);
    if (!verifiers) return rbt_fail_nomem(error);
    for (size_t i = 0; i < held; i++) {
        if (!rbt_verifier_make(&verifiers[i], origin, rbt_keys_signing_at(keys, i)->public_key)) {
            rbt_free(verifiers);
            return rbt_fail(error, SQLITE_ERROR,
                            "%s: an origin must be 1 to 255 bytes of UTF-8 without space, control "
                            "character or '+'",
                            who);
        }
    }
    *out = verifiers;
    *count = held;
    return SQLITE_OK;
}

int rbt_trusted_verifiers(rbt_connection *connection, const char *vkeys, const char *origin,
                          rbt_successions *successions, const char *who, rbt_verifier **out,
                          size_t *count, rbt_error *error) {
    size_t leading;
    *out = NULL;
    *count = 0;
    if (!vkeys) vkeys = getenv("RUSTYBT_VERIFY_KEYS");
    if (vkeys && *vkeys) {
        rbt_verifiers_parse(vkeys, who, out, count, error);
        leading = *count;
    } else {
        held_verifiers(connection, origin, who, out, count, error);
        leading = 1; /* the others are old: who signs now is known */
    }
    if (error->code == SQLITE_OK && successions)
        rbt_trust_extend(out, count, leading, successions, error);
    if (error->code != SQLITE_OK) {
        rbt_free(*out);
        *out = NULL;
        *count = 0;
    }
    return error->code;
}

/* ---- Logs ---- */

int rbt_log_successions(rbt_log *log, rbt_successions *list, rbt_error *error) {
    rbt_buffer stored = {0};
    bool found = false;
    if (rbt_log_meta_bytes(log, RBT_SUCCESSIONS_KEY, &stored, &found, error) == SQLITE_OK) {
        rbt_successions_read(list, (const char *)stored.data, stored.length, log->origin, error);
        if (found && stored.length == 0 && error->code == SQLITE_OK) list->why = "it is empty";
    }
    rbt_buffer_free(&stored);
    return error->code;
}

/* The log's own list; NULL when it stores none. Every cold query asks, and a note costs two signatures: they
** are looked at once for as long as the stored bytes stay the same. */
static int remembered(rbt_log *log, rbt_successions **list, rbt_error *error) {
    rbt_buffer stored = {0};
    bool found = false;
    rbt_successions *known = log->successions;
    *list = NULL;
    if (rbt_log_meta_bytes(log, RBT_SUCCESSIONS_KEY, &stored, &found, error) != SQLITE_OK ||
        !found || stored.length == 0) {
        rbt_buffer_free(&stored);
        return error->code;
    }
    if (known && known->stored.length == stored.length &&
        memcmp(known->stored.data, stored.data, stored.length) == 0 &&
        strcmp(known->origin, log->origin) == 0) {
        *list = known;
    } else {
        if (known) rbt_successions_free(known);
        if (!known) known = log->successions = rbt_calloc(sizeof *known);
        if (!known)
            rbt_fail_nomem(error);
        else if (rbt_successions_read(known, (const char *)stored.data, stored.length, log->origin,
                                      error) == SQLITE_OK)
            *list = known;
        else
            rbt_successions_free(known);
    }
    rbt_buffer_free(&stored);
    return error->code;
}

int rbt_log_trusted_verifiers(rbt_log *log, const char *vkeys, const char *who, rbt_verifier **out,
                              size_t *count, rbt_error *error) {
    rbt_successions *successions;
    *out = NULL;
    *count = 0;
    if (remembered(log, &successions, error) != SQLITE_OK) return error->code;
    return rbt_trusted_verifiers(log->logs->connection, vkeys, log->origin, successions, who, out,
                                 count, error);
}

int rbt_log_may_sign(rbt_log *log, const rbt_signing_key *signing, uint64_t size, const char *who,
                     rbt_error *error) {
    rbt_successions *successions;
    if (remembered(log, &successions, error) == SQLITE_OK && successions) {
        uint64_t superseded = rbt_successions_limit(successions, signing->public_key, error);
        if (error->code == SQLITE_OK && size > superseded)
            rbt_fail(error, SQLITE_ERROR,
                     "%s: %s: the signing key was superseded at size %llu; put its successor first "
                     "in %s",
                     who, log->name, (unsigned long long)superseded,
                     signing->shared ? "RUSTYBT_ENCRYPTION_KEY" : "RUSTYBT_SIGNING_KEY");
    }
    return error->code;
}
