/* SPDX-License-Identifier: MIT
** A key that a command prints: the way to an HSM, a KMS or a vault (DESIGN §5).
**
** The command's text is split into words by blanks (space, tab, newline), and run without a shell:
**
**   'text'   stands for text, whatever is in it
**   "text"   too, but \" and \\ in it stand for " and \
**   \c       outside quotation marks: the character c, also a blank
**   Parts without a blank between them make one word; '' is an empty one. Nothing else is special:
**   no variable, pattern, redirection, pipe or comment is understood.
**
** The first word is looked up in PATH unless it has a slash. The command has the host's environment,
** working directory and user; /dev/null as standard input; the host's standard error, for what it
** has to say; a session of its own, so no terminal to ask a person; default signals; and no other
** descriptor of the host (where libc can tell: glibc 2.34, macOS).
**
** It must print exactly one line, at most 64 KiB, whose end of line may be missing; exit with 0; and
** with all that it started close its standard output: within 30 seconds, or as many (1 to 600) as
** RUSTYBT_KEY_COMMAND_TIMEOUT says. Else it is killed with its process group, and the key is refused.
** The clock is monotonic, and stands while the machine sleeps.
*/
#ifndef RBT_CRYPTO_KEY_COMMAND_H
#define RBT_CRYPTO_KEY_COMMAND_H

#include "../base/buffer.h"
#include "../base/error.h"

/* Runs the command, which came from that variable, and sets out, which is empty and secret, to the
** line it printed, without its end. Errors say what the command did, and name the variable, never the
** command's arguments or what it printed; out is wiped then. who begins the message. Calls from
** several threads do not disturb each other. */
int rbt_key_command_read(rbt_buffer *out, const char *command, const char *variable,
                         const char *who, rbt_error *error);

/* Splits a command's text: appends each word and a NUL to words, and sets count. Errors: a quotation
** that is not closed, a backslash at the end, no word at all. */
int rbt_key_command_split(rbt_buffer *words, size_t *count, const char *command,
                          const char *variable, const char *who, rbt_error *error);

#endif
