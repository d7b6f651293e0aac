/* SPDX-License-Identifier: MIT
** See subject_search.h. May call base and crypto.
*/
#include "subject_search.h"

#include "../base/file.h"
#include "../base/memory.h"
#include "../base/sql_util.h"

#include <errno.h>
#include <fcntl.h>

/* Pieces are whole pages of any size, which VFS shims that decode pages need. Each is searched together
** with the end of the one before, so that nothing hides across the border. */
enum { PIECE = 1 << 20, OVERLAP = RBT_WRAPPED_SUBJECT_SIZE - 1 };

/* A file that is read in pieces: by SQLite's methods up to a size, or by the seam up to its end. */
typedef struct source {
    sqlite3_file *file;
    int64_t size;
    int descriptor;
    const char *path;
} source;

/* How many bytes at most, from offset on, were read; 0 at the end. */
static size_t read_database(const source *from, uint8_t *bytes, int64_t offset, const char *who,
                            rbt_error *error) {
    int64_t left = from->size - offset;
    size_t length = left < PIECE ? (size_t)left : PIECE;
    if (length == 0) return 0;
    int code = from->file->pMethods->xRead(from->file, bytes, (int)length, offset);
    /* another connection may have made the file shorter meanwhile; what it lost is read as zeros */
    if (code == SQLITE_OK || code == SQLITE_IOERR_SHORT_READ) return length;
    rbt_fail(error, SQLITE_ERROR, "%s: cannot read '%s' at byte %lld", who, from->path,
             (long long)offset);
    return 0;
}

static size_t read_beside(const source *from, uint8_t *bytes, int64_t offset, const char *who,
                          rbt_error *error) {
    size_t length = 0;
    while (length < PIECE) {
        ssize_t got = rbt_files->pread(from->descriptor, bytes + length, PIECE - length,
                                       (off_t)(offset + (int64_t)length));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            rbt_fail(error, SQLITE_ERROR, "%s: cannot read '%s': %s", who, from->path,
                     strerror(errno));
        if (got <= 0) break;
        length += (size_t)got;
    }
    return length;
}

/* *at: OUT, the first byte of a trace, or -1. memory has room for OVERLAP + PIECE bytes. */
static int search_source(const source *from, const rbt_destroyed_keys *destroyed, uint8_t *memory,
                         int64_t *at, const char *who, rbt_error *error) {
    size_t kept = 0;
    *at = -1;
    for (int64_t offset = 0; *at < 0;) {
        size_t length = from->file ? read_database(from, memory + kept, offset, who, error)
                                   : read_beside(from, memory + kept, offset, who, error);
        if (length == 0 || error->code != SQLITE_OK) break;
        size_t all = kept + length, found;
        for (size_t i = 0; i < destroyed->count && *at < 0; i++)
            if (rbt_subject_trace(&destroyed->items[i], destroyed->keys, memory, all, &found))
                *at = offset - (int64_t)kept + (int64_t)found;
        offset += (int64_t)length;
        kept = all < OVERLAP ? all : OVERLAP;
        memmove(memory, memory + all - kept, kept);
    }
    return error->code;
}

/* A file beside the database, which comes and goes with other connections' transactions. */
static int search_beside(const char *path, const rbt_destroyed_keys *destroyed, uint8_t *memory,
                         int64_t *at, const char *who, rbt_error *error) {
    source from = {.path = path};
    *at = -1;
    if (error->code != SQLITE_OK) return error->code;
    from.descriptor = rbt_files->open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (from.descriptor < 0 && errno == ENOENT) return SQLITE_OK;
    if (from.descriptor < 0)
        return rbt_fail(error, SQLITE_CANTOPEN, "%s: cannot open '%s': %s", who, path,
                        strerror(errno));
    search_source(&from, destroyed, memory, at, who, error);
    rbt_file_sync(who, path, from.descriptor, error);
    return rbt_file_close(who, path, from.descriptor, error);
}

static int64_t page_size(sqlite3 *db, const char *who, rbt_error *error) {
    int64_t size = 0;
    sqlite3_stmt *query = rbt_prepare(db, error, who, "PRAGMA main.page_size");
    if (query && sqlite3_step(query) == SQLITE_ROW) size = sqlite3_column_int64(query, 0);
    if (sqlite3_finalize(query) != SQLITE_OK) rbt_fail_db(error, db, who);
    return size > 0 ? size : 1;
}

/* Reading through a memory map would be fatal when another process cuts the file short meanwhile. *limit:
** IN 0 for no map, OUT what it was, and so to and fro. A VFS that knows no maps has none. */
static void exchange_map_limit(sqlite3_file *file, sqlite3_int64 *limit) {
    if (file->pMethods->xFileControl(file, SQLITE_FCNTL_MMAP_SIZE, limit) != SQLITE_OK)
        *limit = -1; /* which changes nothing when it is handed back */
}

/* SQLite's handle of the database file; NULL when main has no file. */
static sqlite3_file *database_file(sqlite3 *db) {
    sqlite3_file *file = NULL;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        file == NULL || file->pMethods == NULL)
        return NULL;
    return file;
}

int rbt_subject_search(sqlite3 *db, const rbt_destroyed_keys *destroyed, rbt_traces *traces,
                       const char *who, rbt_error *error) {
    const char *path = sqlite3_db_filename(db, "main");
    source from = {.file = database_file(db), .path = path};
    sqlite3_int64 size = 0, map_limit = 0;
    int64_t at;

    *traces = (rbt_traces){false, -1, -1, -1};
    if (path == NULL || path[0] == 0 || from.file == NULL) return SQLITE_OK;
    traces->has_file = true;
    uint8_t *memory = rbt_malloc(OVERLAP + PIECE);
    if (memory == NULL) return rbt_fail_nomem(error);
    exchange_map_limit(from.file, &map_limit);
    if (from.file->pMethods->xFileSize(from.file, &size) != SQLITE_OK)
        rbt_fail(error, SQLITE_ERROR, "%s: cannot tell the size of '%s'", who, path);
    from.size = size;
    if (error->code == SQLITE_OK &&
        search_source(&from, destroyed, memory, &at, who, error) == SQLITE_OK && at >= 0)
        traces->database_page = at / page_size(db, who, error) + 1;
    search_beside(sqlite3_filename_wal(path), destroyed, memory, &traces->wal_byte, who, error);
    search_beside(sqlite3_filename_journal(path), destroyed, memory, &traces->journal_byte, who,
                  error);
    if (error->code == SQLITE_OK &&
        from.file->pMethods->xSync(from.file, SQLITE_SYNC_NORMAL) != SQLITE_OK)
        rbt_fail(error, SQLITE_ERROR, "%s: cannot sync '%s'", who, path);
    rbt_file_sync_directory_of(who, path, error);
    exchange_map_limit(from.file, &map_limit);
    rbt_free(memory);
    return error->code;
}
