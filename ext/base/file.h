/* SPDX-License-Identifier: MIT
** The file seam: every operation on files that are not the database goes through one table of
** functions, which a test may replace to inject errors, short writes or a kill. Failures set the
** error to SQLITE_CANTOPEN or SQLITE_ERROR with the path, the operation and strerror's words (never
** SQLITE_IOERR or SQLITE_FULL: see DESIGN). All paths are NUL-terminated; descriptors are POSIX.
*/
#ifndef RBT_BASE_FILE_H
#define RBT_BASE_FILE_H

#include "buffer.h"
#include "error.h"
#include <sys/stat.h>
#include <sys/types.h>

/* As the system calls of the same name: -1 and errno on failure. */
typedef struct rbt_file_operations {
    int (*open)(const char *path, int flags, mode_t mode);
    int (*close)(int file);
    ssize_t (*pread)(int file, void *bytes, size_t length, off_t offset);
    ssize_t (*write)(int file, const void *bytes, size_t length);
    int (*fsync)(int file);
    int (*fstat)(int file, struct stat *status);
    int (*rename_noreplace)(const char *from, const char *to); /* EEXIST when to exists */
    int (*unlink)(const char *path);
    int (*mkdir)(const char *path, mode_t mode);
    int (*lock)(int file); /* flock(LOCK_EX|LOCK_NB): EWOULDBLOCK when another holds it */
} rbt_file_operations;

extern const rbt_file_operations rbt_system_files; /* the real ones */
extern const rbt_file_operations *rbt_files;       /* the ones in use */

/* Opens a regular file for reading (O_NOFOLLOW is not set; O_CLOEXEC|O_NONBLOCK are, and what is not a
** regular file is refused). -1 on failure. size may be NULL. who begins the error message. */
int rbt_file_open_read(const char *who, const char *path, int64_t *size, rbt_error *error);
/* Creates path (O_CREAT|O_EXCL|O_WRONLY|O_CLOEXEC, mode 0600 & ~umask or as given). */
int rbt_file_create(const char *who, const char *path, mode_t mode, rbt_error *error);
/* Reads exactly length bytes at offset; a short file is an error. EINTR is retried. */
int rbt_file_read_exact(const char *who, const char *path, int file, void *bytes, size_t length,
                        int64_t offset, rbt_error *error);
/* Writes all bytes; EINTR and short writes are continued; 0 bytes written is an error. */
int rbt_file_write_all(const char *who, const char *path, int file, const void *bytes,
                       size_t length, rbt_error *error);
/* fsync, never retried. */
int rbt_file_sync(const char *who, const char *path, int file, rbt_error *error);
/* close, checked, never retried. */
int rbt_file_close(const char *who, const char *path, int file, rbt_error *error);
/* Opens the directory that holds path, fsyncs it and closes it. */
int rbt_file_sync_directory_of(const char *who, const char *path, rbt_error *error);
/* Renames without replacing; an existing target is an error. */
int rbt_file_publish(const char *who, const char *from, const char *to, rbt_error *error);
/* Makes a directory and its missing parents (mode 0700); an existing directory is fine. */
int rbt_file_make_directories(const char *who, const char *path, rbt_error *error);

/* Appends a whole regular file of at most limit bytes to out. */
int rbt_file_read_whole(const char *who, const char *path, size_t limit, rbt_buffer *out,
                        rbt_error *error);

#endif
