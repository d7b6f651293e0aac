/* SPDX-License-Identifier: MIT
** See segment_records.h.
*/
#include "segment_records.h"

#include "../base/file.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../crypto/hash.h"
#include "log_paths.h"
#include "segment_store.h"

#include <errno.h>
#include <fcntl.h>

static void free_record(rbt_segment_record *record) {
    rbt_free(record->directory);
    rbt_free(record->file);
    rbt_free(record->path);
}

void rbt_segment_records_free(rbt_segment_records *records) {
    for (size_t i = 0; i < records->count; i++)
        free_record(&records->items[i]);
    rbt_free(records->items);
    *records = (rbt_segment_records){0};
}

/* first_id, last_id, directory, file, manifest_sha256, expires_us, status */
static int take_record(rbt_segment_record *record, rbt_log *log, sqlite3_stmt *row, const char *who,
                       rbt_error *error) {
    rbt_buffer path = {0};
    const char *directory = (const char *)sqlite3_column_text(row, 2);
    const char *file = (const char *)sqlite3_column_text(row, 3);
    const char *status = (const char *)sqlite3_column_text(row, 6);
    *record = (rbt_segment_record){.first_id = sqlite3_column_int64(row, 0),
                                   .last_id = sqlite3_column_int64(row, 1),
                                   .expires_us = sqlite3_column_int64(row, 5)};
    if (!directory || !file || !status || !rbt_log_file_name_valid(file) ||
        sqlite3_column_bytes(row, 4) != 32 || record->first_id < 0 ||
        record->last_id < record->first_id || record->last_id == INT64_MAX)
        return rbt_fail(error, SQLITE_CORRUPT_VTAB,
                        "%s: the record of segment %lld is damaged; SELECT * FROM "
                        "audit_verify('%s') tells more",
                        who, (long long)record->first_id, log->name);
    memcpy(record->manifest_sha256, sqlite3_column_blob(row, 4), 32);
    record->expired = strcmp(status, "expired") == 0;
    rbt_log_segment_path(&path, log, directory, file);
    record->path = rbt_buffer_take(&path);
    record->directory = rbt_strdup(directory);
    record->file = rbt_strdup(file);
    if (!record->path || !record->directory || !record->file) {
        free_record(record);
        return rbt_fail_nomem(error);
    }
    return SQLITE_OK;
}

int rbt_segment_records_read(rbt_segment_records *records, rbt_log *log, const char *who,
                             rbt_error *error) {
    sqlite3_stmt *rows = rbt_prepare(
        log->db, error, who,
        "SELECT first_id, last_id, directory, file, manifest_sha256, expires_us, status FROM "
        "\"%w\".\"%w_segments\" WHERE status IN ('published', 'expired') ORDER BY first_id",
        log->schema, log->name);
    while (rows && error->code == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW) {
        if (records->count == records->capacity) {
            size_t capacity = records->capacity ? 2 * records->capacity : 16;
            rbt_segment_record *grown = rbt_realloc(records->items, capacity * sizeof *grown);
            if (!grown) {
                rbt_fail_nomem(error);
                break;
            }
            records->items = grown;
            records->capacity = capacity;
        }
        if (take_record(&records->items[records->count], log, rows, who, error) == SQLITE_OK)
            records->count++;
    }
    if (sqlite3_finalize(rows) != SQLITE_OK && error->code == SQLITE_OK)
        rbt_fail_db(error, log->db, who);
    return error->code;
}

int rbt_segment_record_stands(rbt_log *log, const rbt_segment_record *record, bool *stands,
                              const char *who, rbt_error *error) {
    *stands = false;
    sqlite3_stmt *row = rbt_prepare(log->db, error, who,
                                    "SELECT 1 FROM \"%w\".\"%w_segments\" WHERE first_id = ?1 AND "
                                    "last_id = ?2 AND status = ?3 AND directory = ?4 AND "
                                    "file = ?5 AND manifest_sha256 = ?6",
                                    log->schema, log->name);
    if (!row) return error->code;
    sqlite3_bind_int64(row, 1, record->first_id);
    sqlite3_bind_int64(row, 2, record->last_id);
    sqlite3_bind_text(row, 3, record->expired ? "expired" : "published", -1, SQLITE_STATIC);
    sqlite3_bind_text(row, 4, record->directory, -1, SQLITE_STATIC);
    sqlite3_bind_text(row, 5, record->file, -1, SQLITE_STATIC);
    sqlite3_bind_blob(row, 6, record->manifest_sha256, 32, SQLITE_STATIC);
    *stands = sqlite3_step(row) == SQLITE_ROW;
    if (sqlite3_finalize(row) != SQLITE_OK) rbt_fail_db(error, log->db, who);
    return error->code;
}

int rbt_segment_file_is(rbt_log *log, const rbt_segment_record *record, const char *path,
                        bool *there, bool *same, const char *who, rbt_error *error) {
    rbt_buffer manifest = {0}, note = {0};
    rbt_error damage = {0};
    uint8_t sha256[32];
    *same = false;
    int file = rbt_files->open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
    *there = file >= 0 || errno != ENOENT;
    if (!*there) return SQLITE_OK;
    if (file < 0)
        return rbt_fail(error, SQLITE_CANTOPEN, "%s: cannot open '%s': %s", who, path,
                        strerror(errno));
    rbt_files->close(file); /* nothing was read or written */
    if (log->logs->connection->segments->read_signed(who, path, &manifest, &note, &damage) ==
        SQLITE_OK) {
        rbt_sha256_once(sha256, manifest.data ? manifest.data : (const uint8_t *)"",
                        manifest.length);
        *same = memcmp(sha256, record->manifest_sha256, sizeof sha256) == 0;
    } else if (damage.code == SQLITE_NOMEM) {
        rbt_fail_nomem(error);
    }
    rbt_error_clear(&damage);
    rbt_buffer_free(&manifest);
    rbt_buffer_free(&note);
    return error->code;
}

int rbt_segment_file_remove(const char *path, const char *who, rbt_error *error) {
    if (error->code != SQLITE_OK) return error->code;
    if (rbt_files->unlink(path) != 0) {
        if (errno == ENOENT) return SQLITE_OK;
        return rbt_fail(error, SQLITE_CANTOPEN, "%s: cannot remove '%s': %s", who, path,
                        strerror(errno));
    }
    return rbt_file_sync_directory_of(who, path, error);
}
