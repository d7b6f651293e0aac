/* SPDX-License-Identifier: MIT
** The rule of trust (trust.h). Calls crypto's keys and notes.
*/
#include "trust.h"

#include "../base/memory.h"
#include "../crypto/keys.h"
#include <stdlib.h>

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

int rbt_trusted_verifiers(rbt_connection *connection, const char *vkeys, const char *origin,
                          const char *who, rbt_verifier **out, size_t *count, rbt_error *error) {
    *out = NULL;
    *count = 0;
    if (!vkeys) vkeys = getenv("RUSTYBT_VERIFY_KEYS");
    if (vkeys && *vkeys) return rbt_verifiers_parse(vkeys, who, out, count, error);
    if (!connection->keys && !keys_configured()) return SQLITE_OK;

    const rbt_keys *keys = rbt_connection_keys(connection, who, error);
    if (!keys) return error->code;
    const rbt_signing_key *signing = rbt_keys_signing(keys);
    if (!signing) return SQLITE_OK;

    /* A shared signing key is the primary's subkey, so the ring's subkeys include it. */
    size_t ring = signing->shared ? rbt_keys_count(keys) : 0;
    size_t wanted = ring > 0 ? ring : 1;
    rbt_verifier *verifiers = rbt_calloc(wanted * sizeof *verifiers);
    if (!verifiers) return rbt_fail_nomem(error);
    for (size_t i = 0; i < wanted; i++) {
        const uint8_t *key = ring > 0 ? rbt_keys_at(keys, i)->sign_public : signing->public_key;
        if (!rbt_verifier_make(&verifiers[i], origin, key)) {
            rbt_free(verifiers);
            return rbt_fail(error, SQLITE_ERROR,
                            "%s: an origin must be 1 to 255 bytes of UTF-8 without space, control "
                            "character or '+'",
                            who);
        }
    }
    *out = verifiers;
    *count = wanted;
    return SQLITE_OK;
}
