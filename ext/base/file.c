/* SPDX-License-Identifier: MIT
** The file seam. Calls buffer, error and POSIX.
*/
#include "file.h"

#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

_Static_assert(sizeof(off_t) == 8, "build with -D_FILE_OFFSET_BITS=64");

enum {
    LARGEST_TRANSFER = 1 << 30, /* some systems refuse more than INT_MAX bytes a call */
    SMALLEST_READ = 4096
};

static int system_open(const char *path, int flags, mode_t mode) {
    return open(path, flags, mode);
}

static int system_fsync(int file) {
#ifdef F_FULLFSYNC
    /* On macOS fsync leaves the data in the drive's cache. Not every file system can do better. */
    if (fcntl(file, F_FULLFSYNC) == 0) return 0;
#endif
    return fsync(file);
}

static int system_fstat(int file, struct stat *status) {
    return fstat(file, status);
}

static int system_rename_noreplace(const char *from, const char *to) {
#if defined(__linux__) && defined(SYS_renameat2)
    enum { NOREPLACE = 1 }; /* RENAME_NOREPLACE of linux/fs.h; musl has no renameat2 of its own */
    if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, NOREPLACE) == 0) return 0;
    if (errno != ENOSYS && errno != EINVAL) return -1; /* kernel or file system cannot */
#endif
    /* Stopped in between, it leaves both names of one complete file. */
    return link(from, to) == 0 ? unlink(from) : -1;
}

static int system_lock(int file) {
    return flock(file, LOCK_EX | LOCK_NB);
}

const rbt_file_operations rbt_system_files = {
    .open = system_open,
    .close = close,
    .pread = pread,
    .write = write,
    .fsync = system_fsync,
    .fstat = system_fstat,
    .rename_noreplace = system_rename_noreplace,
    .unlink = unlink,
    .mkdir = mkdir,
    .lock = system_lock,
};

const rbt_file_operations *rbt_files = &rbt_system_files;

/* Records a failed call and closes the file, which is of no use any more; -1 as file means none. */
static int fail_closing(int file, rbt_error *error, int code, const char *who,
                        const char *operation, const char *path) {
    rbt_fail(error, code, "%s: cannot %s '%s': %s", who, operation, path, strerror(errno));
    if (file >= 0) rbt_files->close(file); /* the failure is told already */
    return -1;
}

static int fail_call(rbt_error *error, const char *who, const char *operation, const char *path) {
    fail_closing(-1, error, SQLITE_ERROR, who, operation, path);
    return error->code;
}

static int open_retrying(const char *path, int flags, mode_t mode) {
    int file;
    do
        file = rbt_files->open(path, flags, mode);
    while (file < 0 && errno == EINTR);
    return file;
}

int rbt_file_open_read(const char *who, const char *path, int64_t *size, rbt_error *error) {
    if (error->code != SQLITE_OK) return -1;
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int file = open_retrying(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (file < 0) return fail_closing(file, error, SQLITE_CANTOPEN, who, "open", path);
    struct stat status;
    if (rbt_files->fstat(file, &status) != 0)
        return fail_closing(file, error, SQLITE_CANTOPEN, who, "examine", path);
    if (!S_ISREG(status.st_mode)) {
        rbt_fail(error, SQLITE_CANTOPEN, "%s: cannot open '%s': not a regular file", who, path);
        rbt_files->close(file); /* nothing was read or written */
        return -1;
    }
    if (size) *size = status.st_size;
    return file;
}

int rbt_file_create(const char *who, const char *path, mode_t mode, rbt_error *error) {
    if (error->code != SQLITE_OK) return -1;
    int file = open_retrying(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);
    if (file < 0) return fail_closing(file, error, SQLITE_CANTOPEN, who, "create", path);
    return file;
}

/* Up to length bytes, less only at the end of the file; -1 and errno on failure. */
static int64_t read_up_to(int file, void *bytes, size_t length, int64_t offset) {
    size_t got = 0;
    while (got < length) {
        size_t wanted = length - got < LARGEST_TRANSFER ? length - got : LARGEST_TRANSFER;
        ssize_t count =
            rbt_files->pread(file, (uint8_t *)bytes + got, wanted, (off_t)(offset + (int64_t)got));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -1;
        if (count == 0) break;
        got += (size_t)count;
    }
    return (int64_t)got;
}

int rbt_file_read_exact(const char *who, const char *path, int file, void *bytes, size_t length,
                        int64_t offset, rbt_error *error) {
    if (error->code != SQLITE_OK) return error->code;
    if (offset < 0 || length > (uint64_t)(INT64_MAX - offset))
        return rbt_fail(error, SQLITE_ERROR, "%s: cannot read '%s': no such byte range", who, path);
    int64_t got = read_up_to(file, bytes, length, offset);
    if (got < 0) return fail_call(error, who, "read", path);
    if ((size_t)got < length)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: cannot read '%s': it ends at byte %lld, expected at least %lld", who,
                        path, (long long)(offset + got), (long long)(offset + (int64_t)length));
    return SQLITE_OK;
}

int rbt_file_write_all(const char *who, const char *path, int file, const void *bytes,
                       size_t length, rbt_error *error) {
    if (error->code != SQLITE_OK) return error->code;
    const uint8_t *next = bytes;
    while (length > 0) {
        size_t wanted = length < LARGEST_TRANSFER ? length : LARGEST_TRANSFER;
        ssize_t count = rbt_files->write(file, next, wanted);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_call(error, who, "write", path);
        if (count == 0)
            return rbt_fail(error, SQLITE_ERROR, "%s: cannot write '%s': no byte was taken", who,
                            path);
        next += count;
        length -= (size_t)count;
    }
    return SQLITE_OK;
}

int rbt_file_sync(const char *who, const char *path, int file, rbt_error *error) {
    if (error->code != SQLITE_OK) return error->code;
    if (rbt_files->fsync(file) != 0) return fail_call(error, who, "sync", path);
    return SQLITE_OK;
}

int rbt_file_close(const char *who, const char *path, int file, rbt_error *error) {
    if (rbt_files->close(file) != 0) fail_call(error, who, "close", path);
    return error->code;
}

/* Length of the part of path that names its directory: "a/b" gives 1, "/b" 1, "b" 0. */
static size_t directory_length(const char *path) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length;
}

int rbt_file_sync_directory_of(const char *who, const char *path, rbt_error *error) {
    if (error->code != SQLITE_OK) return error->code;
    size_t length = directory_length(path);
    char *directory = length > 0 ? rbt_strndup(path, length) : rbt_strdup(".");
    if (!directory) return rbt_fail_nomem(error);

    int file = open_retrying(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (file < 0) {
        fail_closing(file, error, SQLITE_CANTOPEN, who, "open directory", directory);
    } else if (rbt_files->fsync(file) != 0 && errno != EINVAL) {
        /* EINVAL: a file system on which directories cannot be synced (fsync(2)) */
        fail_closing(file, error, SQLITE_ERROR, who, "sync directory", directory);
    } else {
        rbt_file_close(who, directory, file, error);
    }
    rbt_free(directory);
    return error->code;
}

int rbt_file_publish(const char *who, const char *from, const char *to, rbt_error *error) {
    if (error->code != SQLITE_OK) return error->code;
    if (rbt_files->rename_noreplace(from, to) == 0) return SQLITE_OK;
    return rbt_fail(error, SQLITE_ERROR, "%s: cannot rename '%s' to '%s': %s", who, from, to,
                    strerror(errno));
}

/* Whether mkdir failed only because path is a directory already. Leaves errno with the better reason
** if not: some systems check permissions before they look whether the name is taken. */
static bool is_directory(const char *path) {
    int mkdir_errno = errno;
    int file = open_retrying(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (file >= 0) {
        rbt_files->close(file); /* nothing was read or written */
        return true;
    }
    /* A directory that may be entered but not listed is one all the same. */
    if (mkdir_errno == EEXIST && errno == EACCES) return true;
    if (errno != ENOTDIR) errno = mkdir_errno;
    return false;
}

/* Whoever made the directory may have died before its name was safe. Where the one above may be entered but
** not opened, that is left to the system. */
static void sync_if_permitted(const char *who, const char *path, rbt_error *error) {
    rbt_error failure = {0};
    int code = rbt_file_sync_directory_of(who, path, &failure);
    if (code == SQLITE_NOMEM)
        rbt_fail_nomem(error);
    else if (code != SQLITE_OK && code != SQLITE_CANTOPEN)
        rbt_fail(error, code, "%s", failure.message ? failure.message : path);
    rbt_error_clear(&failure);
}

int rbt_file_make_directories(const char *who, const char *path, rbt_error *error) {
    if (error->code != SQLITE_OK) return error->code;
    char *prefix = rbt_strdup(path);
    if (!prefix) return rbt_fail_nomem(error);

    size_t length = strlen(prefix);
    while (length > 1 && prefix[length - 1] == '/')
        prefix[--length] = 0;
    int parent_errno = 0; /* why a parent could not be made */
    for (size_t i = 1; i <= length; i++) {
        bool last = i == length;
        if (!last && (prefix[i] != '/' || prefix[i - 1] == '/')) continue;
        prefix[i] = 0;
        if (rbt_files->mkdir(prefix, 0700) == 0) {
            rbt_file_sync_directory_of(who, prefix, error);
        } else if (errno == EEXIST && last && is_directory(prefix)) {
            sync_if_permitted(who, prefix, error);
        } else if (last && !is_directory(prefix)) {
            if (errno == ENOENT && parent_errno != 0) errno = parent_errno;
            fail_closing(-1, error, SQLITE_CANTOPEN, who, "make directory", path);
        } else if (!last && errno != EEXIST && parent_errno == 0) {
            parent_errno = errno;
        }
        if (!last) prefix[i] = '/';
    }
    if (length == 0)
        rbt_fail(error, SQLITE_CANTOPEN, "%s: cannot make a directory of an empty name", who);
    rbt_free(prefix);
    return error->code;
}

/* Reads to the end of the file, which may grow or shrink meanwhile, but no more than one byte beyond
** the limit. */
static int read_to_end(const char *who, const char *path, int file, size_t limit, int64_t size,
                       rbt_buffer *out, rbt_error *error) {
    size_t got = 0, expected = (size_t)size;
    for (;;) {
        size_t wanted = got < expected ? expected - got + 1 : SMALLEST_READ;
        if (wanted > limit - got) wanted = limit - got + 1;
        if (!rbt_buffer_reserve(out, wanted)) return rbt_fail_nomem(error);
        int64_t count = read_up_to(file, out->data + out->length, wanted, (int64_t)got);
        if (count < 0) return fail_call(error, who, "read", path);
        got += (size_t)count;
        out->length += (size_t)count;
        if (got > limit)
            return rbt_fail(error, SQLITE_ERROR, "%s: '%s' is longer than %llu bytes", who, path,
                            (unsigned long long)limit);
        if ((size_t)count < wanted) return SQLITE_OK;
    }
}

int rbt_file_read_whole(const char *who, const char *path, size_t limit, rbt_buffer *out,
                        rbt_error *error) {
    int64_t size;
    int file = rbt_file_open_read(who, path, &size, error);
    if (file < 0) return error->code;
    size_t before = out->length;
    if (size < 0 || (uint64_t)size > limit)
        rbt_fail(error, SQLITE_ERROR, "%s: '%s' is longer than %llu bytes", who, path,
                 (unsigned long long)limit);
    else
        read_to_end(who, path, file, limit, size, out, error);
    rbt_file_close(who, path, file, error);
    if (error->code != SQLITE_OK && out->length > before) {
        if (out->secret) rbt_wipe(out->data + before, out->length - before);
        out->length = before;
    }
    return error->code;
}
