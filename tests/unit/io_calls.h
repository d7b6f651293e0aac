/* SPDX-License-Identifier: MIT
** The program's own open, write, fsync, …: they come before libc's, for SQLite's library as for the
** extension, so that a test can count every operation on files, make one fail or tear it, end the process
** in it, or record it. Include it once in a program, before anything else. Renaming without replacing goes
** through the file seam, since it is a bare system call; io_begin puts itself there.
**
** Syncs are answered without asking the disk, which a killed process cannot tell: sweeps stay fast.
*/
#ifndef RBT_TEST_IO_CALLS_H
#define RBT_TEST_IO_CALLS_H

#undef _FORTIFY_SOURCE /* its inline open and read would come before those here */

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(__linux__) || !defined(__LP64__)
#error "written for 64-bit Linux; the Makefile leaves these tests out elsewhere"
#endif

typedef enum io_kind {
    IO_OPEN = 1,
    IO_CREATE = 2,
    IO_READ = 4,
    IO_WRITE = 8,
    IO_TRUNCATE = 16,
    IO_SYNC = 32,
    IO_CLOSE = 64,
    IO_UNLINK = 128,
    IO_RENAME = 256,
    IO_LINK = 512,
    IO_MKDIR = 1024,
} io_kind;

/* What changes the folder; a process that is killed in any other call leaves what the one before left. */
enum {
    IO_CHANGES = IO_CREATE | IO_WRITE | IO_TRUNCATE | IO_UNLINK | IO_RENAME | IO_LINK | IO_MKDIR,
    IO_FILLS = IO_CREATE | IO_WRITE | IO_LINK | IO_MKDIR, /* what a full disk refuses */
    IO_ALL = 2047
};

typedef struct io_plan {
    unsigned kinds; /* that count */
    long at;        /* the call where it happens, from 1; 0: never */
    bool kill;      /* the process ends, after half of a write when `half` */
    bool half; /* a write takes half of its bytes, and `error` comes with the next when `lasting` */
    bool lasting; /* every later call of these kinds fails as well */
    int error;    /* errno */
} io_plan;

/* Is told what was done, after it succeeded. A path or descriptor as the call got it. */
typedef struct io_recorder {
    void (*created)(const char *path, int file);
    void (*opened)(const char *path, int file);
    void (*written)(int file, const void *bytes, size_t length, off_t offset);
    void (*truncated)(int file, off_t size);
    void (*synced)(int file);
    void (*closed)(int file);
    void (*unlinked)(const char *path);
    void (*renamed)(const char *from, const char *to);
    void (*linked)(const char *from, const char *to);
    void (*made_directory)(const char *path);
} io_recorder;

static struct {
    bool on;
    io_plan plan;
    long calls; /* that counted */
    const io_recorder *recorder;
    bool by_link; /* as on a file system that cannot rename without replacing */
} io;

static inline void io_end(void) {
    io.on = false;
    rbt_files = &rbt_system_files;
}

/* Counts a call: 0 to do it, -1 with errno when it is to fail, 1 when a write is to take half. */
static inline int io_step(io_kind kind) {
    if (!io.on || !(io.plan.kinds & kind)) return 0;
    long call = ++io.calls;
    bool now = call == io.plan.at;
    if (now && io.plan.half && kind == IO_WRITE) return 1;
    if (now && io.plan.kill) raise(SIGKILL);
    if (io.plan.error != 0 && io.plan.at > 0 && (now || (io.plan.lasting && call > io.plan.at))) {
        errno = io.plan.error;
        return -1;
    }
    return 0;
}

static inline long io_write(int file, const void *bytes, size_t length, off_t offset, bool at) {
    int step = io_step(IO_WRITE);
    if (step < 0) return -1;
    if (step == 1 && length > 1) length /= 2;
    bool record = io.on && io.recorder;
    if (record && !at) offset = lseek(file, 0, SEEK_CUR);
    long count = at ? syscall(SYS_pwrite64, file, bytes, length, offset)
                    : syscall(SYS_write, file, bytes, length);
    if (step == 1 && io.plan.kill) raise(SIGKILL);
    if (record && count > 0) io.recorder->written(file, bytes, (size_t)count, offset);
    return count;
}

static inline int io_open(const char *path, int flags, mode_t mode) {
    bool creates = io.on && (flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) != 0;
    if (io_step(creates ? IO_CREATE : IO_OPEN) < 0) return -1;
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (file >= 0 && io.on && io.recorder)
        (creates ? io.recorder->created : io.recorder->opened)(path, file);
    return file;
}

static inline int io_sync(int file) {
    if (io_step(IO_SYNC) < 0) return -1;
    if (io.on && io.recorder) io.recorder->synced(file);
    return 0;
}

static inline int io_truncate(int file, off_t size) {
    if (io_step(IO_TRUNCATE) < 0) return -1;
    int code = (int)syscall(SYS_ftruncate, file, size);
    if (code == 0 && io.on && io.recorder) io.recorder->truncated(file, size);
    return code;
}

static inline int io_rename_noreplace(const char *from, const char *to) {
    if (io.by_link) {
        if (io_step(IO_LINK) < 0) return -1;
        if (syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0) != 0) return -1;
        if (io.on && io.recorder) io.recorder->linked(from, to);
        return unlink(from);
    }
    if (io_step(IO_RENAME) < 0 || rbt_system_files.rename_noreplace(from, to) != 0) return -1;
    if (io.on && io.recorder) io.recorder->renamed(from, to);
    return 0;
}

/* From here on the plan holds and the recorder, if any, is told. */
static inline void io_begin(const io_plan *plan, const io_recorder *recorder) {
    static rbt_file_operations files;
    files = rbt_system_files;
    files.rename_noreplace = io_rename_noreplace;
    rbt_files = &files;
    io.plan = *plan;
    io.calls = 0;
    io.recorder = recorder;
    io.on = true;
}

/* ---- In place of libc's ---- */

#pragma GCC visibility push(default) /* else SQLite's library would not find them */

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return io_open(path, flags, mode);
}

/* The descriptor is closed all the same, as Linux does. */
int close(int file) {
    int step = io_step(IO_CLOSE);
    if (io.on && io.recorder) io.recorder->closed(file);
    int code = (int)syscall(SYS_close, file);
    if (step < 0) errno = io.plan.error;
    return step < 0 ? -1 : code;
}

ssize_t read(int file, void *bytes, size_t length) {
    return io_step(IO_READ) < 0 ? -1 : syscall(SYS_read, file, bytes, length);
}

ssize_t pread(int file, void *bytes, size_t length, off_t offset) {
    return io_step(IO_READ) < 0 ? -1 : syscall(SYS_pread64, file, bytes, length, offset);
}

ssize_t write(int file, const void *bytes, size_t length) {
    return io_write(file, bytes, length, 0, false);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
    return io_write(file, bytes, length, offset, true);
}

int fsync(int file) {
    return io_sync(file);
}

int fdatasync(int file) {
    return io_sync(file);
}

int ftruncate(int file, off_t size) {
    return io_truncate(file, size);
}

int unlink(const char *path) {
    if (io_step(IO_UNLINK) < 0) return -1;
    int code = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (code == 0 && io.on && io.recorder) io.recorder->unlinked(path);
    return code;
}

int mkdir(const char *path, mode_t mode) {
    if (io_step(IO_MKDIR) < 0) return -1;
    int code = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (code == 0 && io.on && io.recorder) io.recorder->made_directory(path);
    return code;
}

#ifdef __GLIBC__ /* its names for programs that were built without large files by default */

int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return io_open(path, flags, mode);
}

ssize_t pread64(int file, void *bytes, size_t length, off64_t offset) {
    return io_step(IO_READ) < 0 ? -1 : syscall(SYS_pread64, file, bytes, length, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
    return io_write(file, bytes, length, offset, true);
}

int ftruncate64(int file, off64_t size) {
    return io_truncate(file, size);
}

#endif

#pragma GCC visibility pop

#endif
