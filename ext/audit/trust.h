/* SPDX-License-Identifier: MIT
** Whose signatures count (DESIGN §5, Trust), decided in this one place: an explicit list of vkeys,
*else
** RUSTYBT_VERIFY_KEYS, else the keys that sign here now. vkeys stored in a database are never
*asked.
*/
#ifndef RBT_AUDIT_TRUST_H
#define RBT_AUDIT_TRUST_H

#include "../base/connection.h"
#include "../crypto/sign.h"

/* The verifiers to trust for notes of `origin`; free *out with rbt_free. vkeys may be NULL. From
*the
** connection's own keys come the signing key under the name `origin` and, when no separate signing
** key is set, the rbt_sign subkey of every ring key, so that a rotation of the ring leaves old
** signatures valid. Without any key: *count 0 and SQLITE_OK. who ("archive_verify") begins the
*error
** message: a malformed list, unreadable keys, an origin that cannot be a key's name, no memory. */
int rbt_trusted_verifiers(rbt_connection *connection, const char *vkeys, const char *origin,
                          const char *who, rbt_verifier **out, size_t *count, rbt_error *error);

#endif
