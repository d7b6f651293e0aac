/* SPDX-License-Identifier: MIT
** Reading files that hold secrets: the rules are in secret_file.h. Calls base alone.
*/
#include "secret_file.h"

#include "../base/file.h"
#include "../base/memory.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool rbt_resembles_key(const char *text) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "+/-_";
    bool path = *text == '/' && strchr(text, '=') == NULL;
    while (*text) {
        size_t run = strspn(text, letters);
        if (run >= 32 && !path) return true;
        text += run + (text[run] != 0);
    }
    return false;
}

/* True for files below systemd's credentials directory, whose access systemd itself restricts. Both
** paths are resolved first, so that neither ".." nor a symbolic link leads out of it. */
static bool below_credentials_directory(const char *path) {
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char resolved_directory[PATH_MAX], resolved_path[PATH_MAX];
    if (directory == NULL || *directory != '/') return false;
    if (realpath(directory, resolved_directory) == NULL || realpath(path, resolved_path) == NULL)
        return false;
    size_t length = strlen(resolved_directory);
    return length > 1 && strncmp(resolved_path, resolved_directory, length) == 0 &&
           resolved_path[length] == '/';
}

static int check_access(int file, const char *path, const char *what, const char *who,
                        rbt_error *error) {
    struct stat status;
    if (rbt_files->fstat(file, &status) != 0)
        return rbt_fail(error, SQLITE_CANTOPEN, "%s: cannot examine %s", who, what);
    unsigned mode = (unsigned)status.st_mode & 07777u;
    bool own = status.st_uid == geteuid();
    if (own && (mode & 077u) == 0) return SQLITE_OK;
    if (status.st_uid == 0 && (mode & ~0640u) == 0) return SQLITE_OK;
    if (below_credentials_directory(path)) return SQLITE_OK;
    if (own)
        return rbt_fail(error, SQLITE_ERROR, "%s: %s has mode %04o, expected 0600; chmod 600 it",
                        who, what, mode);
    if (status.st_uid == 0)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: %s is root's with mode %04o, expected 0640 at most; chmod 640 it, or "
                        "mount the secret with such a mode",
                        who, what, mode);
    return rbt_fail(error, SQLITE_ERROR,
                    "%s: %s belongs to user %lld with mode %04o, expected user %lld with 0600 or "
                    "root with 0640; chown and chmod it",
                    who, what, (long long)status.st_uid, mode, (long long)geteuid());
}

/* Reads the open file, whose size was found to be that. */
static int read_contents(rbt_secret_file *out, int file, int64_t size, const char *path,
                         const char *who, rbt_error *error) {
    rbt_buffer *contents = &out->contents;
    if (size < 0 || size > RBT_SECRET_FILE_LIMIT)
        return rbt_fail(error, SQLITE_ERROR, "%s: %s has %lld bytes, expected 1 to %d", who,
                        out->what, (long long)size, RBT_SECRET_FILE_LIMIT);
    if (!rbt_buffer_reserve(contents, (size_t)size)) return rbt_fail_nomem(error);
    if (size == 0) return SQLITE_OK;
    int code = rbt_file_read_exact(who, path, file, contents->data, (size_t)size, 0, error);
    if (code != SQLITE_OK) return code;
    contents->length = (size_t)size;
    if (contents->length >= 3 && memcmp(contents->data, "\xef\xbb\xbf", 3) == 0) {
        contents->length -= 3; /* the mark that editors on Windows put before UTF-8 */
        memmove(contents->data, contents->data + 3, contents->length);
    }
    if (memchr(contents->data, 0, contents->length) != NULL)
        return rbt_fail(error, SQLITE_ERROR, "%s: %s is not text", who, out->what);
    return SQLITE_OK;
}

int rbt_secret_file_read(rbt_secret_file *out, const char *path, const char *variable,
                         const char *who, rbt_error *error) {
    int64_t size = 0;

    *out = (rbt_secret_file){.contents = {.secret = true}};
    if (variable && rbt_resembles_key(path) && access(path, F_OK) != 0)
        return rbt_fail(error, SQLITE_CANTOPEN,
                        "%s: %s must name a file, but there is none of that name; it looks like a "
                        "key and is not shown; a key itself goes into RUSTYBT_ENCRYPTION_KEY or "
                        "RUSTYBT_SIGNING_KEY",
                        who, variable);
    out->what = variable ? sqlite3_mprintf("%s, the file that %s names,", path, variable)
                         : rbt_strdup(path);
    if (out->what == NULL) return rbt_fail_nomem(error);
    int file = rbt_file_open_read(who, path, &size, error);
    if (file < 0) return error->code;
    int code = check_access(file, path, out->what, who, error);
    if (code == SQLITE_OK) code = read_contents(out, file, size, path, who, error);
    if (rbt_file_close(who, path, file, error) != SQLITE_OK && code == SQLITE_OK)
        code = error->code;
    return code;
}

void rbt_secret_file_free(rbt_secret_file *file) {
    rbt_free(file->what);
    file->what = NULL;
    rbt_buffer_free(&file->contents);
}
