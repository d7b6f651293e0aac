/* SPDX-License-Identifier: MIT
** audit_relocate (lifecycle.h). May call base, audit and the segment store.
**
** Segment by segment, and each is at every moment whole where its record says:
**
**   announce   the intent, an event in a transaction of its own
**   copy       into the new directory, under a temporary name; synced, verified in full, renamed
**   record     in one transaction, on disk before anything else happens: the new place, the old one in
**              <log>_meta as moved/<first id, 20 digits>, and the event
**   clear      the old file goes, then the note of it
**
** Killed before the record, a run leaves a file of the right name in the new directory, which the next
** adopts; killed after it, an old file, which the next run of this or of audit_expire removes. A log that
** is moved by half is read as ever.
*/
#include "lifecycle.h"

#include "../base/file.h"
#include "../base/json.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "events.h"
#include "log_paths.h"
#include "segment_events.h"
#include "segment_records.h"
#include "segment_store.h"
#include "trust.h"

#include <fcntl.h>
#include <stdlib.h>

static const char own_name[] = "audit_relocate";
enum { KEY_SIZE = 32 };

static const char *moved_key(char key[KEY_SIZE], int64_t first_id) {
    return sqlite3_snprintf(KEY_SIZE, key, "moved/%020lld", (long long)first_id);
}

/* One segment on its way. */
typedef struct move {
    rbt_log *log;
    const rbt_segment_record *record;
    const char *directory; /* as recorded then */
    bool same_file;        /* the two directories are one: only the record changes */
} move;

static int add_event(const move *m, const char *action, rbt_error *error) {
    rbt_log *log = m->log;
    rbt_buffer detail = {0};
    rbt_buffer_add_byte(&detail, '{');
    rbt_segment_event_write(&detail, log, m->record->file, m->record->first_id, m->record->last_id,
                            m->record->manifest_sha256);
    rbt_buffer_add_text(&detail, ",\"from\":");
    rbt_json_add_string(&detail, m->record->directory, strlen(m->record->directory));
    rbt_buffer_add_text(&detail, ",\"to\":");
    rbt_json_add_string(&detail, m->directory, strlen(m->directory));
    rbt_buffer_add_byte(&detail, '}');
    rbt_events_add(log->logs->connection, log->schema, action, log->name, &detail, own_name, error);
    rbt_buffer_free(&detail);
    return error->code;
}

static int begin(rbt_log *log, rbt_transaction *own, const char *who, rbt_error *error) {
    if (rbt_log_transaction_begin(log, own, who, error) != SQLITE_OK) return error->code;
    return rbt_log_load(log, error);
}

static int announce(const move *m, rbt_error *error) {
    rbt_transaction own = {0};
    if (begin(m->log, &own, own_name, error) == SQLITE_OK) add_event(m, "relocate", error);
    return rbt_log_transaction_end(m->log, &own, own_name, error);
}

static int record_place(const move *m, rbt_error *error) {
    rbt_log *log = m->log;
    char key[KEY_SIZE];
    bool stands = false;
    rbt_transaction own = {0};
    if (begin(log, &own, own_name, error) == SQLITE_OK &&
        rbt_segment_record_stands(log, m->record, &stands, own_name, error) == SQLITE_OK && !stands)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: the record of segment %s has changed meanwhile; run it again", own_name,
                 m->record->file);
    rbt_execute(log->db, error, own_name,
                "UPDATE \"%w\".\"%w_segments\" SET directory = %Q WHERE first_id = %lld",
                log->schema, log->name, m->directory, (long long)m->record->first_id);
    if (!m->same_file)
        rbt_log_meta_set_bytes(log, moved_key(key, m->record->first_id), m->record->directory,
                               strlen(m->record->directory), true, error);
    if (error->code == SQLITE_OK) add_event(m, "relocated", error);
    return rbt_log_transaction_end(log, &own, own_name, error);
}

/* Forgets that there is an old file. */
static int forget_old(rbt_log *log, int64_t first_id, const char *who, rbt_error *error) {
    char key[KEY_SIZE];
    rbt_transaction own = {0};
    if (begin(log, &own, who, error) == SQLITE_OK)
        rbt_execute(log->db, error, who, "DELETE FROM \"%w\".\"%w_meta\" WHERE key = %Q",
                    log->schema, log->name, moved_key(key, first_id));
    return rbt_log_transaction_end(log, &own, who, error);
}

/* Whether both paths name one file: through a link, or another spelling of one directory. */
static bool is_one_file(const char *left, const char *right) {
    struct stat a, b;
    bool known = false;
    int first = rbt_files->open(left, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
    int second = rbt_files->open(right, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
    if (first >= 0 && second >= 0)
        known = rbt_files->fstat(first, &a) == 0 && rbt_files->fstat(second, &b) == 0;
    if (first >= 0) rbt_files->close(first); /* nothing was read or written */
    if (second >= 0) rbt_files->close(second);
    return known && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* The segment at path, verified in full, must be the recorded one. Where it is, that is the end of it: a
** copy into the directory where it lies already. */
static int copy_segment(rbt_log *log, const rbt_segment_record *record, const char *from,
                        const char *directory, const char *who, rbt_error *error) {
    rbt_verifier *verifiers = NULL;
    size_t count = 0;
    if (rbt_log_trusted_verifiers(log, NULL, who, &verifiers, &count, error) == SQLITE_OK) {
        rbt_segment_copy copy = {.who = who,
                                 .from = from,
                                 .directory = directory,
                                 .name = record->file,
                                 .verifiers = verifiers,
                                 .verifier_count = count,
                                 .manifest_sha256 = record->manifest_sha256};
        log->logs->connection->segments->copy(&copy, error);
    }
    rbt_free(verifiers);
    return error->code;
}

/* Removes the file at old, once the recorded one was seen to be whole, or has expired itself. */
static int clear_old(rbt_log *log, const rbt_segment_record *record, const char *old,
                     const char *who, rbt_error *error) {
    bool there = false, same = false;
    rbt_buffer directory = {0};
    if (rbt_segment_file_is(log, record, old, &there, &same, who, error) != SQLITE_OK)
        return error->code;
    if (there && !same)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: %s is not the segment that was moved from there; move it away", who,
                        old);
    if (there && !record->expired && !is_one_file(old, record->path)) {
        rbt_log_directory(&directory, log, record->directory);
        const char *text = rbt_buffer_text(&directory);
        if (!text)
            rbt_fail_nomem(error);
        else if (copy_segment(log, record, old, text, who, error) == SQLITE_OK)
            rbt_segment_file_remove(old, who, error);
        rbt_buffer_free(&directory);
    } else if (there && record->expired) {
        rbt_segment_file_remove(old, who, error);
    }
    if (error->code == SQLITE_OK) forget_old(log, record->first_id, who, error);
    return error->code;
}

/* Whether rustybt_events tells that the segment was moved from there. The note of it alone is not believed:
** whoever edits the database could name the folder of a backup. */
static bool was_moved_from(const rbt_segment_events *moves, const rbt_segment_record *record,
                           const char *directory) {
    for (size_t i = 0; i < moves->count; i++)
        if (memcmp(moves->items[i].manifest_sha256, record->manifest_sha256, 32) == 0 &&
            moves->items[i].from && strcmp(moves->items[i].from, directory) == 0)
            return true;
    return false;
}

int rbt_relocate_finish(rbt_log *log, const char *who, rbt_error *error) {
    rbt_segment_records records = {0};
    rbt_segment_events moves = {0};
    if (rbt_log_peek(log, error) == SQLITE_OK)
        rbt_segment_events_read(&moves, log, "relocated", who, error);
    rbt_segment_records_read(&records, log, who, error);
    for (size_t i = 0; i < records.count && error->code == SQLITE_OK; i++) {
        char key[KEY_SIZE];
        rbt_buffer directory = {0}, old = {0};
        bool found = false;
        rbt_log_meta_bytes(log, moved_key(key, records.items[i].first_id), &directory, &found,
                           error);
        const char *text = rbt_buffer_text(&directory);
        if (found && error->code == SQLITE_OK) {
            rbt_log_segment_path(&old, log, text ? text : "", records.items[i].file);
            const char *path = rbt_buffer_text(&old);
            if (!text || !path)
                rbt_fail_nomem(error);
            else if (!was_moved_from(&moves, &records.items[i], text))
                rbt_fail(
                    error, SQLITE_CORRUPT_VTAB,
                    "%s: the note that segment %s was moved from %s is none that " RBT_EVENTS_LOG
                    " tells of",
                    who, records.items[i].file, text);
            else
                clear_old(log, &records.items[i], path, who, error);
        }
        rbt_buffer_free(&directory);
        rbt_buffer_free(&old);
    }
    rbt_segment_events_free(&moves);
    rbt_segment_records_free(&records);
    return error->code;
}

/* path: of the new file; opened: the new directory, as this process can open it. */
static int move_segment(move *m, const char *opened, const char *path, rbt_error *error) {
    m->same_file = is_one_file(m->record->path, path);
    if (announce(m, error) != SQLITE_OK) return error->code;
    /* where both are one, it is only verified */
    if (copy_segment(m->log, m->record, m->record->path, opened, own_name, error) != SQLITE_OK ||
        record_place(m, error) != SQLITE_OK || m->same_file)
        return error->code;
    if (rbt_segment_file_remove(m->record->path, own_name, error) == SQLITE_OK)
        forget_old(m->log, m->record->first_id, own_name, error);
    return error->code;
}

static int move_all(rbt_log *log, const char *directory, const char *opened, int64_t *moved,
                    int64_t *there, rbt_error *error) {
    rbt_segment_records records = {0};
    rbt_segment_records_read(&records, log, own_name, error);
    for (size_t i = 0; i < records.count && error->code == SQLITE_OK; i++) {
        move m = {.log = log, .record = &records.items[i], .directory = directory};
        rbt_buffer path = {0};
        if (m.record->expired) continue;
        if (strcmp(m.record->directory, directory) == 0) {
            ++*there;
            continue;
        }
        rbt_log_segment_path(&path, log, directory, m.record->file);
        const char *text = rbt_buffer_text(&path);
        if (!text)
            rbt_fail_nomem(error);
        else if (move_segment(&m, opened, text, error) == SQLITE_OK)
            ++*moved;
        rbt_buffer_free(&path);
    }
    rbt_segment_records_free(&records);
    return error->code;
}

static int check_place(const char *directory, rbt_error *error) {
    const char *override = getenv("RUSTYBT_ARCHIVE_DIR");
    if (!directory[0])
        rbt_fail(error, SQLITE_ERROR, "%s: directory must not be empty", own_name);
    else if (override && override[0])
        rbt_fail(error, SQLITE_ERROR,
                 "%s: RUSTYBT_ARCHIVE_DIR says where all segments are, so that none can be moved; "
                 "unset it",
                 own_name);
    return error->code;
}

int rbt_relocate_run(rbt_log *log, const char *directory, rbt_buffer *report, rbt_error *error) {
    rbt_buffer place = {0};
    int64_t moved = 0, there = 0;
    int lock = -1;
    if (rbt_require_no_transaction(log, own_name, error) != SQLITE_OK ||
        check_place(directory, error) != SQLITE_OK)
        return error->code;
    rbt_log_directory(&place, log, directory);
    const char *opened = rbt_buffer_text(&place);
    if (!opened)
        rbt_fail_nomem(error);
    else if (rbt_log_peek(log, error) == SQLITE_OK &&
             rbt_events_prepare(log->logs->connection, log->schema, own_name, error) == SQLITE_OK &&
             rbt_file_make_directories(own_name, opened, error) == SQLITE_OK &&
             (lock = rbt_log_lock_directory(log, opened, -1, own_name, error)) >= 0 &&
             rbt_relocate_finish(log, own_name, error) == SQLITE_OK &&
             move_all(log, directory, opened, &moved, &there, error) == SQLITE_OK)
        rbt_buffer_printf(report, "%s: %lld segment%s moved to %s, each verified; %lld %s there",
                          log->name, (long long)moved, moved == 1 ? "" : "s", directory,
                          (long long)there, there == 1 ? "was" : "were");
    if (lock >= 0) rbt_files->close(lock); /* only a lock was on it */
    rbt_buffer_free(&place);
    return error->code;
}
