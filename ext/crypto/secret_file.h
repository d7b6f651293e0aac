/* SPDX-License-Identifier: MIT
** Files that hold secrets, and who may be able to read them (DESIGN §5): key files and dotenv files.
**
** A file is taken when it is
**   the process's own (its effective user's), with mode 0600 at most: no bit for group or others;
**   or root's, with mode 0640 at most: root prepared it for a group;
**   or anything below $CREDENTIALS_DIRECTORY, which systemd guards itself (systemd.exec(5)).
** It is judged by its open descriptor, so it cannot be swapped in between. Links are followed, since
** Kubernetes mounts secrets as links; what counts is the file at their end.
*/
#ifndef RBT_CRYPTO_SECRET_FILE_H
#define RBT_CRYPTO_SECRET_FILE_H

#include "../base/buffer.h"
#include "../base/error.h"

enum { RBT_SECRET_FILE_LIMIT = 64 * 1024 }; /* bytes */

typedef struct rbt_secret_file {
    char *what;          /* for messages: "<path>, the file that <variable> names," or "<path>" */
    rbt_buffer contents; /* secret; text without NUL, maybe empty */
} rbt_secret_file;

/* Reads a whole file. variable is the one that names it, or NULL; who begins the error message.
** Errors: a file that cannot be read (its path is not shown if it resembles a key), is no regular file, that others could read (with the mode
** found and the fix), that is over 64 KiB or holds a NUL. Whatever it returns, free the file. */
int rbt_secret_file_read(rbt_secret_file *file, const char *path, const char *variable,
                         const char *who, rbt_error *error);

/* Whether text that should name a file or a program may be a key, put into the wrong variable: then no
** message may show it. True for 32 characters of base64 in a row, unless they begin as an absolute path
** does and no = follows. */
bool rbt_resembles_key(const char *text);

/* Wipes and frees. */
void rbt_secret_file_free(rbt_secret_file *file);

#endif
