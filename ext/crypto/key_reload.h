/* SPDX-License-Identifier: MIT
** Reading a connection's keys anew (DESIGN §5): when key_reload() asks, and once more when a key id
** turns up that the ring does not have, so that a long-running process learns of a rotation. Calls
** keys, key_source and base.
**
** Keys that were replaced are wiped as soon as no other statement of the connection is running that
** could hold on to them, else with the next call after that, at the latest when it closes.
*/
#ifndef RBT_CRYPTO_KEY_RELOAD_H
#define RBT_CRYPTO_KEY_RELOAD_H

#include "keys.h"

/* Reads the sources anew. On failure, or when no key is named any more, the old keys stay in use and
** the error says why. A pointer that an earlier rbt_connection_keys gave ends here, unless it is
** retained (rbt_keys_retain) or belongs to another running statement. */
int rbt_connection_reload(rbt_connection *connection, const char *who, rbt_error *error);

/* The ring key of that id. When the ring does not have it and came from a file or a command, the
** sources are read once more; in vain, then not again for ten seconds, lest a table of foreign tokens
** run the command a million times. Pointers to keys end as above. NULL: without an error the id is
** unknown still; with one, keys could not be read. */
const rbt_ring_key *rbt_connection_find_key(rbt_connection *connection,
                                            const uint8_t id[RBT_KEY_ID_SIZE], const char *who,
                                            rbt_error *error);

/* For what does not say which key it needs (a Fernet token that no key of the ring made): reads the
** sources once more, as above, and says whether there are other keys now. The caller tries again. */
bool rbt_connection_reread(rbt_connection *connection, const char *who, rbt_error *error);

/* The ring that opens an envelope: rbt_connection_ring, after rbt_connection_find_key when the token
** is an envelope of kind 1 (any other token: the ring as it is). NULL on failure. */
const rbt_keys *rbt_connection_ring_for(rbt_connection *connection, const uint8_t *token,
                                        size_t length, const char *who, rbt_error *error);

#endif
