/* SPDX-License-Identifier: MIT
** The SQL functions of encrypted credentials: encrypt, decrypt, fernet_encrypt, fernet_decrypt,
** token_info. */
#ifndef RBT_CRYPTO_CREDENTIALS_SQL_H
#define RBT_CRYPTO_CREDENTIALS_SQL_H

#include "../base/registry.h"
#include "token.h"

/* Ends with a row whose name is NULL. */
extern const rbt_function rbt_credential_functions[];

/* Arguments that key_rotate (keys_sql.h) and blind_index (lookup_sql.h) share with the functions here.
** All return SQLITE_OK or the error's code; what they give is borrowed and lives as long as the
** values. */

/* The context at arguments[index], if there are that many: non-empty TEXT, UTF-8, without NUL. An
** empty one is refused, not taken for none: it comes from a mistake ('' || NULL and the like), and
** would leave the token tied to nothing. */
int rbt_place_argument(rbt_place *place, int argument_count, sqlite3_value **arguments, int index,
                       const char *who, rbt_error *error);

/* Bytes of a token or plaintext: BLOB as it is, TEXT as UTF-8, whole, NULs included. Other types are
** refused in the words "<who>: <what> must be TEXT or BLOB, not INTEGER". */
int rbt_bytes_argument(const uint8_t **bytes, size_t *length, sqlite3_value *value,
                       const char *what, const char *who, rbt_error *error);

/* A value as the envelope holds it: type and bytes; numbers are stored in number. */
typedef struct rbt_plain_value {
    uint8_t type; /* RBT_VALUE_INTEGER … RBT_VALUE_BLOB */
    const uint8_t *bytes;
    size_t length;
    uint8_t number[8];
} rbt_plain_value;

/* A value that is not NULL. The caller wipes *plain. */
int rbt_value_argument(rbt_plain_value *plain, sqlite3_value *value, const char *who,
                       rbt_error *error);

/* Opens a token with the connection's ring, which is read once more when the token needs another key.
** fernet_only refuses envelopes. *keys, unless NULL, are those that were used. */
int rbt_open_argument(rbt_opened *opened, const rbt_keys **keys, rbt_connection *connection,
                      const uint8_t *token, size_t length, rbt_place place, bool fernet_only,
                      const char *who, rbt_error *error);

/* Gives an opened value as the function's result, with its type; its memory is moved, not copied. */
void rbt_opened_result(sqlite3_context *context, rbt_opened *opened);

#endif
