/* SPDX-License-Identifier: MIT
** See log_paths.h. May call base.
*/
#include "log_paths.h"

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
