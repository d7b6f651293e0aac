/* SPDX-License-Identifier: MIT
** Whose signatures count (DESIGN §5, Trust), decided in this one place: an explicit list of vkeys, else
** RUSTYBT_VERIFY_KEYS, else the keys that are held to sign here. vkeys stored in a database are never
** believed; a succession note (succession.h) that is signed by a trusted key is, wherever it stands.
*/
#ifndef RBT_AUDIT_TRUST_H
#define RBT_AUDIT_TRUST_H

#include "../base/connection.h"
#include "../crypto/keys.h"
#include "../crypto/sign.h"
#include "log_state.h"
#include "succession.h"

/* The verifiers to trust for notes of `origin`; free *out with rbt_free. vkeys may be NULL. From the
** connection's own keys come all that are held to sign, under the name `origin`, so that a rotation
** leaves old signatures valid. successions, which may be NULL, are the log's: they add keys and set
** limits (rbt_trust_extend). Without any key: *count 0 and SQLITE_OK. who ("archive_verify") begins the
** error message: a malformed list, unreadable keys, an origin that cannot be a key's name, no memory. */
int rbt_trusted_verifiers(rbt_connection *connection, const char *vkeys, const char *origin,
                          rbt_successions *successions, const char *who, rbt_verifier **out,
                          size_t *count, rbt_error *error);

/* The same for a log, which was peeked, with the successions that it holds. */
int rbt_log_trusted_verifiers(rbt_log *log, const char *vkeys, const char *who, rbt_verifier **out,
                              size_t *count, rbt_error *error);

/* Reads the successions of a peeked log into *list, which starts as {0}. */
int rbt_log_successions(rbt_log *log, rbt_successions *list, rbt_error *error);

/* Closes the verifiers over valid notes of their origin, until nothing changes:
**   - previous trusted: next is, too, unless previous has signed two different next keys. Only the first
**     `leading` verifiers, and keys found by this rule, hand trust on to a successor. An old key that is
**     merely held, or that was found by the next rule, does not: a thief of it could name a successor.
**   - next trusted: previous is, too, for what next itself counts for at most.
**   - a key that signed a note as its previous one counts for sizes up to the note's alone, however it
**     came to be trusted.
** The array grows by rbt_realloc. */
int rbt_trust_extend(rbt_verifier **verifiers, size_t *count, size_t leading,
                     rbt_successions *successions, rbt_error *error);

/* Fails when the key was superseded at a smaller size than the one it is about to sign for. Called with
** the log loaded, in the transaction that settles what will be signed. */
int rbt_log_may_sign(rbt_log *log, const rbt_signing_key *signing, uint64_t size, const char *who,
                     rbt_error *error);

#endif
