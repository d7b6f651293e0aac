/* SPDX-License-Identifier: MIT
** The file seam on a real directory, and with injected errors, short transfers and interrupts. */
#include "base/file.h"

#include "failing_memory.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static char root[] = "/tmp/rbt_file_test_XXXXXX";

/* A path in the test's own directory; static memory, four at a time. */
static const char *in_root(const char *name) {
    static char paths[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", root, name);
    return paths[turn];
}

/* Forgets the error; whether it had the code and its message holds the words. */
static bool failed_with(rbt_error *error, int code, const char *words) {
    bool right = error->code == code && error->message && strstr(error->message, words) &&
                 strncmp(error->message, "test: ", 6) == 0;
    if (!right) printf("# %d: %s\n", error->code, error->message ? error->message : "(none)");
    rbt_error_clear(error);
    return right;
}

static void write_file(const char *path, const void *bytes, size_t length) {
    rbt_error error = {0};
    int file = rbt_file_create("test", path, 0600, &error);
    rbt_file_write_all("test", path, file, bytes, length, &error);
    if (file >= 0) rbt_file_close("test", path, file, &error);
    if (error.code != SQLITE_OK) printf("# %s\n", error.message);
    rbt_error_clear(&error);
}

static void test_create_and_read(void) {
    rbt_error error = {0};
    const char *path = in_root("file");
    int file = rbt_file_create("test", path, 0600, &error);
    ok(file >= 0, "a file is created");
    struct stat status;
    fstat(file, &status);
    is_int(status.st_mode & 0777, 0600, "for its owner alone");
    ok(fcntl(file, F_GETFD) & FD_CLOEXEC, "and closed on exec");
    is_int(rbt_file_write_all("test", path, file, "0123456789", 10, &error), SQLITE_OK, "written");
    is_int(rbt_file_write_all("test", path, file, NULL, 0, &error), SQLITE_OK,
           "also nothing at all");
    is_int(rbt_file_sync("test", path, file, &error), SQLITE_OK, "synced");
    is_int(rbt_file_close("test", path, file, &error), SQLITE_OK, "closed");
    is_int(rbt_file_sync_directory_of("test", path, &error), SQLITE_OK, "its directory synced");
    is_int(rbt_file_create("test", path, 0600, &error), -1, "it is not created twice");
    ok(failed_with(&error, SQLITE_CANTOPEN, "cannot create '/tmp/rbt_file_test_"),
       "the error tells operation and path");

    int64_t size = 0;
    file = rbt_file_open_read("test", path, &size, &error);
    ok(file >= 0 && size == 10, "a file is opened with its size");
    ok(fcntl(file, F_GETFD) & FD_CLOEXEC, "closed on exec");
    char bytes[16] = {0};
    is_int(rbt_file_read_exact("test", path, file, bytes, 4, 3, &error), SQLITE_OK, "and read");
    is_text(bytes, "3456", "at the place asked for");
    is_int(rbt_file_read_exact("test", path, file, bytes, 0, 10, &error), SQLITE_OK,
           "nothing can be read at its end");
    rbt_file_read_exact("test", path, file, bytes, 4, 7, &error);
    ok(failed_with(&error, SQLITE_ERROR, "it ends at byte 10, expected at least 11"),
       "a short file is an error");
    rbt_file_read_exact("test", path, file, bytes, 4, -1, &error);
    ok(failed_with(&error, SQLITE_ERROR, "no such byte range"), "so is an offset below zero");
    rbt_file_read_exact("test", path, file, bytes, 4, INT64_MAX - 3, &error);
    ok(failed_with(&error, SQLITE_ERROR, "no such byte range"), "and one that overflows");
    rbt_file_close("test", path, file, &error);

    is_int(rbt_file_open_read("test", in_root("absent"), NULL, &error), -1,
           "an absent file cannot be opened");
    ok(failed_with(&error, SQLITE_CANTOPEN, "No such file"), "and the system's words say why");
    is_int(rbt_file_open_read("test", root, NULL, &error), -1, "a directory is refused");
    ok(failed_with(&error, SQLITE_CANTOPEN, "not a regular file"), "as no regular file");
    mkfifo(in_root("fifo"), 0600);
    is_int(rbt_file_open_read("test", in_root("fifo"), NULL, &error), -1,
           "a FIFO is refused without waiting for a writer");
    rbt_error_clear(&error);
    unlink(in_root("fifo"));

    rbt_fail(&error, SQLITE_READONLY, "test: before");
    ok(rbt_file_create("test", in_root("never"), 0600, &error) == -1 &&
           access(in_root("never"), F_OK) != 0,
       "after an error nothing is done");
    rbt_error_clear(&error);
}

static void test_publish(void) {
    rbt_error error = {0};
    write_file(in_root("temporary"), "new", 3);
    is_int(rbt_file_publish("test", in_root("temporary"), in_root("published"), &error), SQLITE_OK,
           "a file is published");
    ok(access(in_root("temporary"), F_OK) != 0 && access(in_root("published"), F_OK) == 0,
       "under its new name alone");
    write_file(in_root("temporary"), "newer", 5);
    rbt_file_publish("test", in_root("temporary"), in_root("published"), &error);
    ok(failed_with(&error, SQLITE_ERROR, "File exists"), "an existing target is an error");
    rbt_buffer out = {0};
    rbt_file_read_whole("test", in_root("published"), 100, &out, &error);
    is_text(rbt_buffer_text(&out), "new", "and stays as it was");
    ok(access(in_root("temporary"), F_OK) == 0, "as does the source");
    rbt_buffer_free(&out);
    rbt_file_publish("test", in_root("absent"), in_root("other"), &error);
    ok(failed_with(&error, SQLITE_ERROR, "No such file"), "a missing source is an error");
    unlink(in_root("temporary"));
    unlink(in_root("published"));
}

static void test_read_whole(void) {
    rbt_error error = {0};
    static char large[100000];
    memset(large, 'x', sizeof large);
    write_file(in_root("large"), large, sizeof large);
    rbt_buffer out = {.secret = true};
    rbt_buffer_add_text(&out, "<");
    is_int(rbt_file_read_whole("test", in_root("large"), sizeof large, &out, &error), SQLITE_OK,
           "a file of just the limit is read");
    ok(out.length == 1 + sizeof large && out.data[0] == '<' && out.data[1] == 'x',
       "behind what the buffer holds");
    out.length = 1;
    rbt_file_read_whole("test", in_root("large"), sizeof large - 1, &out, &error);
    ok(failed_with(&error, SQLITE_ERROR, "is longer than 99999 bytes"), "a longer one is refused");
    is_int(out.length, 1, "and leaves nothing");
    write_file(in_root("empty"), "", 0);
    is_int(rbt_file_read_whole("test", in_root("empty"), 0, &out, &error), SQLITE_OK,
           "an empty file is read");
    is_int(out.length, 1, "as nothing");
    if (access("/proc/self/status", R_OK) == 0)
        ok(rbt_file_read_whole("test", "/proc/self/status", 100000, &out, &error) == SQLITE_OK &&
               out.length > 100,
           "a file whose size is told as 0 is read whole");
    else
        ok(1, "a file whose size is told as 0 is read whole # SKIP no /proc here");
    rbt_error_clear(&error);
    rbt_buffer_free(&out);

    failing_memory_at(1);
    is_int(rbt_file_read_whole("test", in_root("large"), sizeof large, &out, &error), SQLITE_NOMEM,
           "out of memory is told as such");
    failing_memory_at(0);
    rbt_error_clear(&error);
    rbt_buffer_free(&out);
    unlink(in_root("large"));
    unlink(in_root("empty"));
}

static void test_directories(void) {
    rbt_error error = {0};
    is_int(rbt_file_make_directories("test", in_root("a//b/c/"), &error), SQLITE_OK,
           "a directory and its parents are made");
    struct stat status;
    ok(stat(in_root("a/b/c"), &status) == 0 && S_ISDIR(status.st_mode) &&
           (status.st_mode & 0777) == 0700,
       "for their owner alone");
    is_int(rbt_file_make_directories("test", in_root("a/b"), &error), SQLITE_OK,
           "an existing one is fine");
    is_int(rbt_file_make_directories("test", "/", &error), SQLITE_OK, "even the root");
    is_int(rbt_file_make_directories("test", ".", &error), SQLITE_OK, "and the working directory");
    write_file(in_root("a/file"), "", 0);
    rbt_file_make_directories("test", in_root("a/file"), &error);
    ok(failed_with(&error, SQLITE_CANTOPEN, "Not a directory"), "a file in its place is an error");
    rbt_file_make_directories("test", in_root("a/file/x"), &error);
    ok(failed_with(&error, SQLITE_CANTOPEN, "Not a directory"), "or in its parent's");
    rbt_file_make_directories("test", "", &error);
    ok(failed_with(&error, SQLITE_CANTOPEN, "empty name"), "an empty name is an error");

    char before[4096];
    if (!getcwd(before, sizeof before) || chdir(root) != 0) before[0] = 0;
    is_int(rbt_file_make_directories("test", "relative/x", &error), SQLITE_OK,
           "a relative one is made");
    is_int(rbt_file_sync_directory_of("test", "relative", &error), SQLITE_OK,
           "a bare name lies in the working directory");
    ok(before[0] && chdir(before) == 0 && access(in_root("relative/x"), F_OK) == 0,
       "where it was meant to be");
    is_int(rbt_file_sync_directory_of("test", "/x", &error), SQLITE_OK,
           "the root has a directory too");
    rbt_file_sync_directory_of("test", in_root("absent/x"), &error);
    ok(failed_with(&error, SQLITE_CANTOPEN, "absent'"), "a missing directory is an error");
    unlink(in_root("a/file"));
    rmdir(in_root("relative/x"));
    rmdir(in_root("relative"));
    rmdir(in_root("a/b/c"));
    rmdir(in_root("a/b"));
    rmdir(in_root("a"));
}

/* Injection: each operation fails with this errno as often as told, then works. */
static int injected_errno, injected_count, closed;

static bool injected(void) {
    if (injected_count == 0) return false;
    injected_count--;
    errno = injected_errno;
    return true;
}

static int injecting_open(const char *path, int flags, mode_t mode) {
    return injected() ? -1 : rbt_system_files.open(path, flags, mode);
}

/* One byte a call. */
static ssize_t injecting_pread(int file, void *bytes, size_t length, off_t offset) {
    return injected() ? -1 : rbt_system_files.pread(file, bytes, length ? 1 : 0, offset);
}

static ssize_t injecting_write(int file, const void *bytes, size_t length) {
    return injected() ? -1 : rbt_system_files.write(file, bytes, length ? 1 : 0);
}

static ssize_t writing_nothing(int file, const void *bytes, size_t length) {
    (void)file, (void)bytes, (void)length;
    return 0;
}

static int injecting_fsync(int file) {
    return injected() ? -1 : rbt_system_files.fsync(file);
}

static int injecting_fstat(int file, struct stat *status) {
    return injected() ? -1 : rbt_system_files.fstat(file, status);
}

static int injecting_close(int file) {
    closed++;
    int code = rbt_system_files.close(file);
    return injected() ? -1 : code;
}

static void test_injection(void) {
    rbt_file_operations operations = rbt_system_files;
    rbt_files = &operations;
    rbt_error error = {0};
    const char *path = in_root("injected");

    operations.open = injecting_open;
    injected_errno = EINTR;
    injected_count = 3;
    int file = rbt_file_create("test", path, 0600, &error);
    ok(file >= 0 && injected_count == 0, "an interrupted open is tried again");
    injected_errno = EMFILE;
    injected_count = 1;
    is_int(rbt_file_open_read("test", path, NULL, &error), -1, "another failure is not");
    ok(failed_with(&error, SQLITE_CANTOPEN, strerror(EMFILE)), "but told");
    operations.open = rbt_system_files.open;

    operations.write = injecting_write;
    injected_errno = EINTR;
    injected_count = 2;
    is_int(rbt_file_write_all("test", path, file, "abcdef", 6, &error), SQLITE_OK,
           "short and interrupted writes are continued");
    injected_errno = ENOSPC;
    injected_count = 1;
    rbt_file_write_all("test", path, file, "x", 1, &error);
    ok(failed_with(&error, SQLITE_ERROR, strerror(ENOSPC)), "a full disk is an ordinary error");
    operations.write = writing_nothing;
    rbt_file_write_all("test", path, file, "x", 1, &error);
    ok(failed_with(&error, SQLITE_ERROR, "no byte was taken"), "writing nothing is an error");
    operations.write = rbt_system_files.write;

    operations.fsync = injecting_fsync;
    injected_errno = EIO;
    injected_count = 1;
    rbt_file_sync("test", path, file, &error);
    ok(failed_with(&error, SQLITE_ERROR, "cannot sync"), "a failed sync is told, never retried");
    injected_errno = EINTR;
    injected_count = 1;
    rbt_file_sync("test", path, file, &error);
    ok(failed_with(&error, SQLITE_ERROR, "cannot sync"), "not even after an interrupt");
    operations.close = injecting_close;
    closed = 0;
    injected_errno = EIO;
    injected_count = 1;
    rbt_file_sync_directory_of("test", path, &error);
    ok(failed_with(&error, SQLITE_ERROR, "cannot sync directory") && closed == 1,
       "a directory that cannot be synced is told and closed");
    operations.fsync = rbt_system_files.fsync;

    closed = 0;
    injected_count = 1;
    rbt_file_close("test", path, file, &error);
    ok(failed_with(&error, SQLITE_ERROR, "cannot close") && closed == 1,
       "a failed close is told, never retried");

    closed = 0;
    operations.fstat = injecting_fstat;
    injected_count = 1;
    is_int(rbt_file_open_read("test", path, NULL, &error), -1,
           "a file that tells no size is no use");
    ok(failed_with(&error, SQLITE_CANTOPEN, strerror(EIO)) && closed == 1, "and closed again");
    operations.fstat = rbt_system_files.fstat;

    operations.pread = injecting_pread;
    injected_errno = EINTR;
    injected_count = 2;
    rbt_buffer out = {0};
    is_int(rbt_file_read_whole("test", path, 6, &out, &error), SQLITE_OK,
           "short and interrupted reads are continued");
    is_text(rbt_buffer_text(&out), "abcdef", "to the whole");
    closed = 0;
    injected_errno = EIO;
    injected_count = 1;
    rbt_file_read_whole("test", path, 6, &out, &error);
    ok(failed_with(&error, SQLITE_ERROR, "cannot read") && closed == 1 && out.length == 6,
       "a failed read is told, closes the file and leaves the buffer as it was");
    rbt_buffer_free(&out);
    rbt_files = &rbt_system_files;
    unlink(path);
}

static void test_lock(void) {
    rbt_error error = {0};
    const char *path = in_root("lock");
    int first = rbt_file_create("test", path, 0600, &error);
    int second = rbt_file_open_read("test", path, NULL, &error);
    is_int(rbt_files->lock(first), 0, "a lock is taken");
    ok(rbt_files->lock(second) == -1 && errno == EWOULDBLOCK, "by one alone");
    rbt_file_close("test", path, first, &error);
    is_int(rbt_files->lock(second), 0, "until its file is closed");
    rbt_file_close("test", path, second, &error);
    unlink(path);
}

int main(void) {
    plan(70);
    if (failing_memory_install() != SQLITE_OK || !mkdtemp(root)) return 1;
    test_create_and_read();
    test_publish();
    test_read_whole();
    test_directories();
    test_injection();
    test_lock();
    unlink(in_root("file"));
    is_int(rmdir(root), 0, "nothing is left over");
    return done();
}
