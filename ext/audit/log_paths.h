/* SPDX-License-Identifier: MIT
** Where a log's segments lie. */
#ifndef RBT_AUDIT_LOG_PATHS_H
#define RBT_AUDIT_LOG_PATHS_H

#include "log_state.h"

/* Appends the directory as the process can open it: RUSTYBT_ARCHIVE_DIR when set; else `directory`,
** relative ones seen from the database's own folder (for a database without a file: from the current
** folder). */
void rbt_log_directory(rbt_buffer *out, rbt_log *log, const char *directory);

/* Appends directory, "/" and file. */
void rbt_log_segment_path(rbt_buffer *out, rbt_log *log, const char *directory, const char *file);

/* A file name as the segment store writes it: no "/" and not "." or "..". The table could say anything. */
bool rbt_log_file_name_valid(const char *file);

/* Fails when a segment's file name, and the temporary one before it, is longer than file systems take. who
** begins the message. */
int rbt_log_file_name_fits(const rbt_log *log, const char *file, const char *who, rbt_error *error);

/* Takes the lock that those hold who write segments into a directory, or move or remove some. A descriptor
** to be closed, which gives the lock back; -1 on failure, SQLITE_BUSY when another process has it. */
int rbt_log_lock_directory(const rbt_log *log, const char *directory, const char *who,
                           rbt_error *error);

#endif
