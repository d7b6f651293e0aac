/* SPDX-License-Identifier: MIT
** See log_paths.h. May call base.
*/
#include "log_paths.h"

#include "../base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

void rbt_log_directory(rbt_buffer *out, rbt_log *log, const char *directory) {
    const char *override = getenv("RUSTYBT_ARCHIVE_DIR");
    if (override && override[0]) {
        rbt_buffer_add_text(out, override);
        return;
    }
    const char *database = sqlite3_db_filename(log->db, log->schema);
    const char *slash = database ? strrchr(database, '/') : NULL;
    if (directory[0] != '/' && slash) rbt_buffer_add(out, database, (size_t)(slash - database) + 1);
    rbt_buffer_add_text(out, directory);
}

void rbt_log_segment_path(rbt_buffer *out, rbt_log *log, const char *directory, const char *file) {
    rbt_log_directory(out, log, directory);
    if (out->length && out->data[out->length - 1] != '/') rbt_buffer_add_byte(out, '/');
    rbt_buffer_add_text(out, file);
}

bool rbt_log_file_name_valid(const char *file) {
    return file[0] && !strchr(file, '/') && strcmp(file, ".") != 0 && strcmp(file, "..") != 0;
}

int rbt_log_file_name_fits(const rbt_log *log, const char *file, const char *who,
                           rbt_error *error) {
    /* NAME_MAX of the file systems in use; what the temporary name adds: two dots, 16 digits, ".tmp" */
    enum { LONGEST = 255, TEMPORARY = 22 };
    size_t length = strlen(file) + TEMPORARY;
    if (length > LONGEST)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: the name \"%s\" is too long for an archive, whose files carry it: they would "
                 "need names of %lld bytes, and %d are possible",
                 who, log->name, (long long)length, LONGEST);
    return error->code;
}

int rbt_log_lock_directory(const rbt_log *log, const char *directory, const char *who,
                           rbt_error *error) {
    rbt_buffer path = {0};
    int lock = -1;
    rbt_buffer_printf(&path, "%s/.rustybt-archive.lock", directory);
    char *text = rbt_buffer_text(&path);
    if (!text) {
        rbt_fail_nomem(error);
    } else if ((lock = rbt_files->open(text, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0) {
        rbt_fail(error, SQLITE_CANTOPEN, "%s: cannot open %s: %s", who, text, strerror(errno));
    } else if (rbt_files->lock(lock) != 0) {
        if (errno == EWOULDBLOCK)
            rbt_fail(error, SQLITE_BUSY, "%s: another process is archiving %s into %s", who,
                     log->name, directory);
        else
            rbt_fail(error, SQLITE_CANTOPEN, "%s: cannot lock %s: %s", who, text, strerror(errno));
        rbt_files->close(lock);
        lock = -1;
    }
    rbt_buffer_free(&path);
    return lock;
}
