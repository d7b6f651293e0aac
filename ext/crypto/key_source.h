/* SPDX-License-Identifier: MIT
** Where key text comes from (DESIGN §5): a variable of the environment, a file that a variable names,
** or a command that a variable spells. Nothing is kept here: every call reads anew.
*/
#ifndef RBT_CRYPTO_KEY_SOURCE_H
#define RBT_CRYPTO_KEY_SOURCE_H

#include "../base/buffer.h"
#include "../base/error.h"

typedef enum rbt_key_purpose {
    RBT_PURPOSE_ENCRYPTION, /* RUSTYBT_ENCRYPTION_KEY, …_FILE, …_COMMAND */
    RBT_PURPOSE_SIGNING     /* RUSTYBT_SIGNING_KEY, …_FILE, …_COMMAND */
} rbt_key_purpose;

typedef struct rbt_key_text {
    rbt_buffer text;    /* secret; NUL-terminated once it was read */
    const char *source; /* the variable it came through (static); NULL when none is set */
} rbt_key_text;

/* Reads the key text for a purpose. A variable that is empty counts as not set. Not an error: none is
** set (source stays NULL). Errors: more than one is set; a file that secret_file.h does not take, is
** empty, or is of dotenv form and malformed; a command that fails (key_command.h).
**
** A file holds the key text itself, or is a dotenv file (dotenv.h) with the line
** RUSTYBT_ENCRYPTION_KEY=… or RUSTYBT_SIGNING_KEY=…. who begins the error message. */
int rbt_key_source_read(rbt_key_text *out, rbt_key_purpose purpose, const char *who,
                        rbt_error *error);

/* The first variable of a purpose, for messages: "RUSTYBT_ENCRYPTION_KEY". */
const char *rbt_key_source_variable(rbt_key_purpose purpose);

/* Wipes and frees. */
void rbt_key_text_free(rbt_key_text *text);

#endif
