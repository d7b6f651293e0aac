/* SPDX-License-Identifier: MIT
** audit_expire (lifecycle.h). May call base, audit and the segment store.
**
** Nothing goes unless the log, its archive and rustybt_events verify; then segment by segment:
**
**   announce   the intent, an event in a transaction of its own
**   mark       in one transaction, on disk before anything else happens: what the log needs of the
**              segment is kept (expired.h), the record marked, the expiry an event. Holds, retain and
**              the record are looked at once more, under the write lock
**   remove     the file goes, and the directory is synced
**
** Killed before the mark, a run has changed nothing; after it, the next run removes the file.
*/
#include "lifecycle.h"

#include "../base/file.h"
#include "../base/json.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "attested.h"
#include "checkpoint_store.h"
#include "events.h"
#include "expired.h"
#include "log_hold.h"
#include "log_paths.h"
#include "log_verify.h"
#include "segment_events.h"
#include "segment_records.h"
#include "segment_store.h"
#include "settings.h"
#include "storage.h"
#include "trust.h"

static const char who[] = "audit_expire";

/* One call. */
typedef struct run {
    rbt_log *log;
    int64_t as_of_us;
    rbt_settings settings;
    rbt_segment_records records;
    rbt_holds holds;
    rbt_attested attested;
    int64_t *last_recorded_at;            /* of each record, from its signed manifest */
    int64_t segments, entries, left_over; /* what was removed */
    int64_t held;                         /* segments past their date that are held */
    int64_t unpruned;                     /* … whose entries are hot, too */
    int64_t next_us, next_from_us;        /* when the first that is not due will be, and its end */
} run;

/* A segment that is about to expire. */
typedef struct leaving {
    run *r;
    const rbt_segment_record *record;
    int64_t due_us; /* since when it may go */
    rbt_buffer manifest, note;
} leaving;

/* Keeps the first problem for the error message. */
static void first_problem(void *context, const char *level, const char *kind, int64_t id,
                          const char *detail) {
    rbt_buffer *text = context;
    (void)kind;
    (void)id;
    if (strcmp(level, "error") == 0 && text->length == 0) rbt_buffer_add_text(text, detail);
}

static void first_segment_problem(void *context, const char *kind, int64_t id, const char *detail) {
    first_problem(context, "error", kind, id, detail);
}

/* The log with all its segments and checkpoints; rustybt_events is verified as the holds are read. */
static int verify_log(run *r, rbt_error *error) {
    rbt_buffer problem = {0};
    rbt_verification v = {.log = r->log, .who = who, .sink = first_problem, .context = &problem};
    if (rbt_log_verify(&v, NULL, NULL, error) == SQLITE_OK && v.problems > 0) {
        const char *text = rbt_buffer_text(&problem);
        rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: nothing was expired: %s", who,
                 text ? text : r->log->name);
    }
    rbt_buffer_free(&problem);
    return error->code;
}

/* Manifest and note of a record, believed once their signature was checked. */
static int read_manifest(run *r, const rbt_segment_record *record, rbt_buffer *manifest,
                         rbt_buffer *note, rbt_segment_summary *summary, rbt_error *error) {
    rbt_log *log = r->log;
    const rbt_segment_store *store = log->logs->connection->segments;
    rbt_verifier *verifiers = NULL;
    size_t count = 0;
    int64_t problems = 0;
    rbt_buffer problem = {0};
    if (rbt_log_trusted_verifiers(log, NULL, who, &verifiers, &count, error) == SQLITE_OK &&
        store->read_signed(who, record->path, manifest, note, error) == SQLITE_OK &&
        store->verify_signed(record->path, manifest, note, verifiers, count, first_segment_problem,
                             &problem, summary, &problems, error) == SQLITE_OK) {
        const char *text = rbt_buffer_text(&problem);
        if (problems > 0)
            rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: nothing was expired: %s", who,
                     text ? text : record->path);
        else if (memcmp(summary->manifest_sha256, record->manifest_sha256, 32) != 0 ||
                 summary->first_id != record->first_id || summary->last_id != record->last_id)
            rbt_fail(error, SQLITE_CORRUPT_VTAB,
                     "%s: nothing was expired: %s is not the segment that was recorded", who,
                     record->path);
    }
    rbt_buffer_free(&problem);
    rbt_free(verifiers);
    return error->code;
}

/* When the segments' entries were recorded, which also attests that time has passed. */
static int read_times(run *r, rbt_error *error) {
    r->last_recorded_at = rbt_calloc((r->records.count + 1) * sizeof *r->last_recorded_at);
    if (!r->last_recorded_at) return rbt_fail_nomem(error);
    for (size_t i = 0; i < r->records.count && error->code == SQLITE_OK; i++) {
        rbt_buffer manifest = {0}, note = {0};
        rbt_segment_summary summary = {0};
        if (!r->records.items[i].expired && read_manifest(r, &r->records.items[i], &manifest, &note,
                                                          &summary, error) == SQLITE_OK) {
            r->last_recorded_at[i] = summary.last_recorded_at;
            rbt_attested_add(&r->attested, summary.first_recorded_at, error);
            rbt_attested_add(&r->attested, summary.last_recorded_at, error);
        }
        rbt_buffer_free(&manifest);
        rbt_buffer_free(&note);
    }
    if (error->code == SQLITE_OK) rbt_attested_read(&r->attested, r->log, who, error);
    return error->code;
}

/* The longer of what was signed into the segment and what the log's retain says now. */
static int64_t due_time(const rbt_settings *settings, const rbt_segment_record *record,
                        int64_t last_recorded_at) {
    int64_t due = rbt_time_add(last_recorded_at, settings->retain_duration);
    return record->expires_us > due ? record->expires_us : due;
}

/* The time that counts for what ended at since_us. */
static int64_t time_now(const run *r, int64_t since_us) {
    int64_t clock = rbt_clock_us();
    if (r->as_of_us == INT64_MIN) return rbt_attested_time(&r->attested, since_us);
    return r->as_of_us < clock ? r->as_of_us : clock;
}

static int begin(rbt_log *log, rbt_transaction *own, rbt_error *error) {
    if (rbt_log_transaction_begin(log, own, who, error) != SQLITE_OK) return error->code;
    return rbt_log_load(log, error);
}

static int announce(const leaving *l, rbt_error *error) {
    rbt_log *log = l->r->log;
    const rbt_segment_record *record = l->record;
    rbt_transaction own = {0};
    rbt_buffer detail = {0};
    if (begin(log, &own, error) == SQLITE_OK) {
        rbt_buffer_add_byte(&detail, '{');
        rbt_segment_event_write(&detail, log, record->file, record->first_id, record->last_id,
                                record->manifest_sha256);
        rbt_buffer_add_text(&detail, ",\"retain\":");
        rbt_json_add_string(&detail, l->r->settings.retain, strlen(l->r->settings.retain));
        rbt_buffer_printf(&detail, ",\"due_us\":%lld", (long long)l->due_us);
        if (l->r->as_of_us != INT64_MIN)
            rbt_buffer_printf(&detail, ",\"as_of_us\":%lld", (long long)time_now(l->r, 0));
        rbt_buffer_add_byte(&detail, '}');
        rbt_events_add(log->logs->connection, log->schema, "expire", log->name, &detail, who,
                       error);
    }
    rbt_buffer_free(&detail);
    return rbt_log_transaction_end(log, &own, who, error);
}

/* What may have changed since it was decided: the record, holds, and retain. */
static int decide_again(const leaving *l, rbt_error *error) {
    rbt_log *log = l->r->log;
    const rbt_segment_record *record = l->record;
    rbt_holds holds = {0};
    rbt_settings settings = {0};
    bool stands = false;
    if (rbt_segment_record_stands(log, record, &stands, who, error) == SQLITE_OK && !stands)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: the record of segment %s has changed meanwhile; run it again", who,
                 record->file);
    if (error->code == SQLITE_OK &&
        rbt_holds_read(&holds, log->logs->connection, log->schema, true, who, error) == SQLITE_OK) {
        const rbt_hold *hold = rbt_hold_on(&holds, log, record->first_id, record->last_id);
        if (hold)
            rbt_fail(error, SQLITE_ERROR, "%s: segment %s stays: hold %lld was made meanwhile: %s",
                     who, record->file, (long long)hold->id, hold->reason);
    }
    if (error->code == SQLITE_OK && rbt_settings_read(&settings, log, who, error) == SQLITE_OK &&
        (!settings.retain || strcmp(settings.retain, l->r->settings.retain) != 0))
        rbt_fail(error, SQLITE_ERROR, "%s: retain of %s has changed meanwhile; run it again", who,
                 log->name);
    rbt_settings_free(&settings);
    rbt_holds_free(&holds);
    return error->code;
}

/* Proofs that the segment could give back and that must outlive it. */
static int keep_proofs(const leaving *l, rbt_error *error) {
    rbt_log *log = l->r->log;
    uint64_t first = (uint64_t)l->record->first_id / RBT_TILE_HASHES,
             end = (uint64_t)l->record->last_id / RBT_TILE_HASHES + 1,
             dropped = ((uint64_t)log->pruned_to + 1) / RBT_TILE_HASHES;
    if (end > dropped) end = dropped;
    return rbt_checkpoints_keep_proofs(log, first * RBT_TILE_HASHES, end * RBT_TILE_HASHES, error);
}

static int set_expired(const leaving *l, rbt_error *error) {
    rbt_log *log = l->r->log;
    rbt_buffer detail = {0};
    rbt_execute(log->db, error, who,
                "UPDATE \"%w\".\"%w_segments\" SET status = 'expired' WHERE first_id = %lld AND "
                "status = 'published'",
                log->schema, log->name, (long long)l->record->first_id);
    if (error->code == SQLITE_OK && sqlite3_changes(log->db) != 1)
        rbt_fail(error, SQLITE_ERROR, "%s: the record of segment %s could not be marked", who,
                 l->record->file);
    if (error->code == SQLITE_OK) {
        rbt_buffer_add_byte(&detail, '{');
        rbt_segment_event_write(&detail, log, l->record->file, l->record->first_id,
                                l->record->last_id, l->record->manifest_sha256);
        rbt_buffer_add_byte(&detail, '}');
        rbt_events_add(log->logs->connection, log->schema, "expired", log->name, &detail, who,
                       error);
    }
    rbt_buffer_free(&detail);
    return error->code;
}

static int mark(leaving *l, rbt_error *error) {
    rbt_log *log = l->r->log;
    rbt_transaction own = {0};
    if (begin(log, &own, error) == SQLITE_OK && decide_again(l, error) == SQLITE_OK &&
        keep_proofs(l, error) == SQLITE_OK &&
        rbt_expired_keep(log, l->record->first_id, l->record->last_id, &l->manifest, &l->note,
                         error) == SQLITE_OK)
        set_expired(l, error);
    log->block_held = false; /* read from a segment that may be gone */
    return rbt_log_transaction_end(log, &own, who, error);
}

static int lock_directory_of(const run *r, const rbt_segment_record *record, rbt_error *error) {
    rbt_buffer directory = {0};
    rbt_log_directory(&directory, r->log, record->directory);
    const char *text = rbt_buffer_text(&directory);
    int lock = -1;
    if (text)
        lock = rbt_log_lock_directory(r->log, text, -1, who, error);
    else
        rbt_fail_nomem(error);
    rbt_buffer_free(&directory);
    return lock;
}

static int expire_segment(run *r, const rbt_segment_record *record, int64_t due_us,
                          rbt_error *error) {
    leaving l = {.r = r, .record = record, .due_us = due_us};
    rbt_segment_summary summary = {0};
    int lock = lock_directory_of(r, record, error);
    if (lock < 0) return error->code;
    if (read_manifest(r, record, &l.manifest, &l.note, &summary, error) == SQLITE_OK &&
        announce(&l, error) == SQLITE_OK && mark(&l, error) == SQLITE_OK &&
        rbt_segment_file_remove(record->path, who, error) == SQLITE_OK) {
        r->segments++;
        r->entries += record->last_id - record->first_id + (record->first_id > 0);
    }
    rbt_files->close(lock); /* only a lock was on it */
    rbt_buffer_free(&l.manifest);
    rbt_buffer_free(&l.note);
    return error->code;
}

/* Files of expired segments that are still there: a run was killed before it removed them, or they came
** back from a backup. */
static int remove_left_over(run *r, rbt_error *error) {
    for (size_t i = 0; i < r->records.count && error->code == SQLITE_OK; i++) {
        const rbt_segment_record *record = &r->records.items[i];
        bool there = false, same = false;
        if (!record->expired) continue;
        rbt_segment_file_is(r->log, record, record->path, &there, &same, who, error);
        if (error->code != SQLITE_OK || !there) continue;
        if (!same)
            rbt_fail(error, SQLITE_ERROR,
                     "%s: %s has the name of a segment that has expired, and is not that; move it "
                     "away",
                     who, record->path);
        else if (rbt_segment_file_remove(record->path, who, error) == SQLITE_OK)
            r->left_over++;
    }
    return error->code;
}

static int expire_due(run *r, rbt_error *error) {
    for (size_t i = 0; i < r->records.count && error->code == SQLITE_OK; i++) {
        const rbt_segment_record *record = &r->records.items[i];
        if (record->expired) continue;
        int64_t due = due_time(&r->settings, record, r->last_recorded_at[i]);
        if (due > time_now(r, r->last_recorded_at[i])) {
            r->next_us = due; /* and the later ones later */
            r->next_from_us = r->last_recorded_at[i];
            break;
        }
        if (record->last_id > r->log->pruned_to)
            r->unpruned++;
        else if (rbt_hold_on(&r->holds, r->log, record->first_id, record->last_id))
            r->held++;
        else
            expire_segment(r, record, due, error);
    }
    return error->code;
}

static void report_run(const run *r, rbt_buffer *report) {
    char next[RBT_TIME_TEXT_SIZE];
    if (r->segments > 0)
        rbt_buffer_printf(report, "%s: %lld %s expired, with %lld segment%s", r->log->name,
                          (long long)r->entries, rbt_entries(r->entries), (long long)r->segments,
                          r->segments == 1 ? "" : "s");
    else
        rbt_buffer_printf(report, "%s: nothing expired", r->log->name);
    if (r->held > 0)
        rbt_buffer_printf(report, "; %lld segment%s past the date %s held", (long long)r->held,
                          r->held == 1 ? "" : "s", r->held == 1 ? "is" : "are");
    if (r->unpruned > 0)
        rbt_buffer_printf(report, "; %lld segment%s past the date %s not pruned yet",
                          (long long)r->unpruned, r->unpruned == 1 ? "" : "s",
                          r->unpruned == 1 ? "is" : "are");
    if (r->left_over > 0)
        rbt_buffer_printf(report, "; %lld file%s of earlier ones removed", (long long)r->left_over,
                          r->left_over == 1 ? "" : "s");
    if (r->next_us) {
        rbt_time_to_text(next, r->next_us);
        rbt_buffer_printf(report, "; the next is due at %s", next);
        /* a clock that nothing attests to is not believed, which a person should know */
        if (r->as_of_us == INT64_MIN && r->next_us <= rbt_clock_us()) {
            rbt_time_to_text(next, rbt_attested_time(&r->attested, r->next_from_us));
            rbt_buffer_printf(report,
                              ", and what was logged attests to no later time than %s yet; if the "
                              "clock is right, SELECT audit_expire('%q', 'now')",
                              next, r->log->name);
        }
    }
}

static int check_settings(const run *r, rbt_error *error) {
    const rbt_log *log = r->log;
    if (sqlite3_stricmp(log->name, RBT_EVENTS_LOG) == 0)
        return rbt_fail(error, SQLITE_ERROR, "%s: " RBT_EVENTS_LOG " never expires", who);
    if (!r->settings.retain)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: %s declares no retain, so its entries are kept for ever", who,
                        log->name);
    if (r->as_of_us != INT64_MIN && r->as_of_us != INT64_MAX && r->as_of_us > rbt_clock_us())
        return rbt_fail(error, SQLITE_ERROR, "%s: as_of is later than the clock of this machine",
                        who);
    return SQLITE_OK;
}

static int work(run *r, rbt_buffer *report, rbt_error *error) {
    rbt_log *log = r->log;
    rbt_connection *connection = log->logs->connection;
    if (rbt_settings_read(&r->settings, log, who, error) != SQLITE_OK ||
        check_settings(r, error) != SQLITE_OK ||
        rbt_events_prepare(connection, log->schema, who, error) != SQLITE_OK ||
        rbt_holds_read(&r->holds, connection, log->schema, true, who, error) != SQLITE_OK ||
        verify_log(r, error) != SQLITE_OK || rbt_relocate_finish(log, who, error) != SQLITE_OK ||
        rbt_log_peek(log, error) != SQLITE_OK ||
        rbt_segment_records_read(&r->records, log, who, error) != SQLITE_OK ||
        remove_left_over(r, error) != SQLITE_OK || read_times(r, error) != SQLITE_OK ||
        expire_due(r, error) != SQLITE_OK)
        return error->code;
    report_run(r, report);
    return SQLITE_OK;
}

int rbt_expire_run(rbt_log *log, int64_t as_of_us, rbt_buffer *report, rbt_error *error) {
    run r = {.log = log, .as_of_us = as_of_us};
    if (rbt_require_no_transaction(log, who, error) != SQLITE_OK) return error->code;
    work(&r, report, error);
    rbt_settings_free(&r.settings);
    rbt_segment_records_free(&r.records);
    rbt_holds_free(&r.holds);
    rbt_attested_free(&r.attested);
    rbt_free(r.last_recorded_at);
    return error->code;
}
