/* SPDX-License-Identifier: MIT
** audit_archive (lifecycle.h). May call base, crypto, audit and the segment store.
**
** The range of a segment is recorded as planned before its file is begun and never changes, so a run
** that was killed is finished by the next one: a complete file without a record is verified and adopted
** by the store, an incomplete one is written again.
*/
#include "lifecycle.h"

#include "../base/bytes.h"
#include "../base/file.h"
#include "../base/json.h"
#include "../base/memory.h"
#include "../base/progress.h"
#include "../base/sql_util.h"
#include "../crypto/keys.h"
#include "checkpoint_store.h"
#include "events.h"
#include "log_paths.h"
#include "log_rows.h"
#include "segment_events.h"
#include "segment_store.h"
#include "settings.h"
#include "trust.h"

static const char who[] = "audit_archive";

/* Entries recorded before cutoff: recorded_at never falls, so the last one is found by halving. */
static int last_before(rbt_log *log, int64_t first, int64_t last, int64_t cutoff, int64_t *found,
                       rbt_error *error) {
    sqlite3_stmt *lookup =
        rbt_prepare(log->db, error, who, "SELECT recorded_at FROM \"%w\".\"%w_rows\" WHERE id = ?1",
                    log->schema, log->name);
    *found = first - 1;
    while (lookup && first <= last && error->code == SQLITE_OK) {
        int64_t middle = first + (last - first) / 2;
        sqlite3_bind_int64(lookup, 1, middle);
        int code = sqlite3_step(lookup);
        if (code == SQLITE_ROW) {
            if (sqlite3_column_int64(lookup, 0) < cutoff) {
                *found = middle;
                first = middle + 1;
            } else {
                last = middle - 1;
            }
        } else if (code == SQLITE_DONE) {
            rbt_fail(error, SQLITE_CORRUPT_VTAB,
                     "%s: entry %lld is missing; SELECT * FROM audit_verify('%s') tells more",
                     log->name, (long long)middle, log->name);
        } else {
            rbt_fail_db(error, log->db, who);
        }
        sqlite3_reset(lookup);
    }
    sqlite3_finalize(lookup);
    return error->code;
}

/* One segment on its way. */
typedef struct job {
    rbt_log *log;
    const rbt_settings *settings;
    const char *directory; /* as recorded */
    char *path;            /* as opened */
    int lock;              /* of path's lock file */
    char *planned_in;      /* where a run that died planned the segment, as recorded */
    char *other_path;      /* the same as opened, when that is another directory; else NULL */
    int other_lock;        /* of its lock file; -1: none */
    bool moved;            /* there is nothing of it: plan it anew in directory */
    char *file;
    int64_t
        up_to; /* the last entry when the run began: what is appended meanwhile is the next run's */
    int64_t first_id, last_id;
    int64_t wanted; /* the last entry that this run is to archive, in this segment or a later one */
    bool resumed;   /* an earlier run planned it */
    uint8_t previous_manifest[32];
    bool has_previous;
    rbt_frontier before;
    rbt_hash root;
    rbt_proof genesis_proof;
    rbt_buffer checkpoint; /* the newest stored one; empty when there is none */
    int64_t next_id;       /* of the source */
    rbt_buffer lines;      /* a batch of lines, each behind its length as u32 LE */
    size_t next_line;      /* offset in lines */
} job;

/* The directory of the segment at hand, as it is recorded and told. */
static const char *written_to(const job *j) {
    return j->other_path ? j->planned_in : j->directory;
}

/* The planned segment of a run that was killed, or the manifest that a new one must name. Within the
** transaction that plans. */
static int read_records(job *j, rbt_error *error) {
    rbt_log *log = j->log;
    sqlite3_stmt *rows = rbt_prepare(
        log->db, error, who,
        "SELECT status, first_id, last_id, manifest_sha256, directory FROM \"%w\".\"%w_segments\" "
        "ORDER BY first_id DESC LIMIT 2",
        log->schema, log->name);
    if (!rows) return error->code;
    while (sqlite3_step(rows) == SQLITE_ROW && !j->has_previous) {
        const char *status = (const char *)sqlite3_column_text(rows, 0);
        if (status && strcmp(status, "planned") == 0) {
            j->resumed = true;
            j->first_id = sqlite3_column_int64(rows, 1);
            j->last_id = sqlite3_column_int64(rows, 2);
            const char *directory = (const char *)sqlite3_column_text(rows, 4);
            rbt_free(j->planned_in);
            j->planned_in = directory ? rbt_strdup(directory) : NULL;
            if (!j->planned_in) rbt_fail_nomem(error);
        } else if (sqlite3_column_bytes(rows, 3) == 32) {
            memcpy(j->previous_manifest, sqlite3_column_blob(rows, 3), 32);
            j->has_previous = true;
        }
    }
    if (sqlite3_finalize(rows) != SQLITE_OK) rbt_fail_db(error, log->db, who);
    return error->code;
}

/* Fixes the range: the planned one, or the next up to limit lines. last_id < first_id: nothing to do.
** Runs in its own transaction and records the plan. */
static int plan_segment(job *j, int64_t cutoff, const rbt_signing_key *signing, rbt_error *error) {
    rbt_log *log = j->log;
    int64_t archived_to = 0;
    bool found = false;
    rbt_transaction own = {0};
    if (rbt_log_transaction_begin(log, &own, who, error) != SQLITE_OK) return error->code;
    if (rbt_log_load(log, error) == SQLITE_OK &&
        rbt_log_meta_i64(log, "archived_to", &archived_to, &found, error) == SQLITE_OK)
        read_records(j, error);
    int64_t last = (int64_t)log->frontier.size - 1;
    if (j->up_to < 0) j->up_to = last;
    int64_t next = archived_to == 0 && !j->has_previous ? 0 : archived_to + 1;
    if (j->resumed && j->first_id != next)
        rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: the plan of a segment is damaged", log->name);
    if (error->code == SQLITE_OK && !j->resumed) {
        j->first_id = next;
        if (archived_to < log->pruned_to || archived_to > last)
            rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: archived_to is damaged", log->name);
        last_before(log, archived_to + 1, j->up_to, cutoff, &j->last_id, error);
        j->wanted = j->last_id;
        if (j->last_id <= archived_to) j->last_id = j->first_id - 1; /* not the genesis alone */
        if (j->last_id - j->first_id >= RBT_SEGMENT_MAX_LINES)
            j->last_id = j->first_id + RBT_SEGMENT_MAX_LINES - 1;
    }
    /* Here no one else can write: what is planned lies below the size of any later succession. A segment
    ** of an earlier plan may have been signed before one. */
    if (error->code == SQLITE_OK && j->last_id >= j->first_id)
        rbt_log_may_sign(log, signing, (uint64_t)j->last_id + 1, who, error);
    if (error->code == SQLITE_OK && j->last_id >= j->first_id) {
        rbt_buffer file = {0};
        log->logs->connection->segments->name(&file, log->name, j->first_id, j->last_id);
        rbt_free(j->file);
        j->file = rbt_buffer_take(&file);
        if (!j->file)
            rbt_fail_nomem(error);
        else
            rbt_log_file_name_fits(log, j->file, who, error);
        if (j->last_id > last || j->first_id < 0)
            rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: the plan of a segment is damaged", log->name);
        rbt_tree_frontier(&j->before, (uint64_t)j->first_id, rbt_log_node, log, error);
        rbt_tree_root(&j->root, (uint64_t)j->last_id + 1, rbt_log_node, log, error);
        rbt_tree_inclusion(&j->genesis_proof, 0, (uint64_t)j->last_id + 1, rbt_log_node, log,
                           error);
        uint64_t checkpoint_size;
        bool stored;
        rbt_buffer_clear(&j->checkpoint);
        rbt_checkpoint_newest(log, &j->checkpoint, &checkpoint_size, &stored, error);
        rbt_execute(
            log->db, error, who,
            "INSERT INTO \"%w\".\"%w_segments\"(first_id, last_id, directory, file, status) "
            "VALUES(%lld, %lld, %Q, %Q, 'planned') ON CONFLICT(first_id) DO UPDATE SET "
            "directory = excluded.directory",
            log->schema, log->name, (long long)j->first_id, (long long)j->last_id,
            j->planned_in && !j->moved ? j->planned_in : j->directory, j->file);
    }
    return rbt_log_transaction_end(log, &own, who, error);
}

static void add_line(job *j, const void *line, size_t length) {
    uint8_t prefix[4];
    rbt_store_u32le(prefix, (uint32_t)length);
    rbt_buffer_add(&j->lines, prefix, sizeof prefix);
    rbt_buffer_add(&j->lines, line, length);
}

/* Reads the next batch and ends its read transaction: with a rollback journal a reader keeps writers out,
** and compressing takes long. Entries never change, so batches need not share a snapshot. */
static int read_batch(job *j, rbt_error *error) {
    enum { BATCH_ROWS = 4096 };
    rbt_log *log = j->log;
    rbt_buffer_clear(&j->lines);
    j->next_line = 0;
    int64_t id = j->next_id;
    int64_t last = j->last_id - id >= BATCH_ROWS ? id + BATCH_ROWS - 1 : j->last_id;
    if (id == 0) {
        add_line(j, log->genesis, strlen(log->genesis));
        id = 1;
    }
    sqlite3_stmt *rows = id <= last ? rbt_log_rows(log, id, last, error) : NULL;
    while (rows && error->code == SQLITE_OK && id <= last) {
        bool fits = false;
        int code = sqlite3_step(rows);
        if (code == SQLITE_ROW && sqlite3_column_int64(rows, 0) == id)
            rbt_log_row_leaf(log, rows, &fits, error);
        else if (code != SQLITE_ROW && code != SQLITE_DONE)
            rbt_fail_db(error, log->db, who);
        if (!fits)
            rbt_fail(error, SQLITE_CORRUPT_VTAB,
                     "%s: entry %lld is missing or was changed; SELECT * FROM audit_verify('%s') "
                     "tells more",
                     log->name, (long long)id, log->name);
        else
            add_line(j, log->leaf.data, log->leaf.length);
        id++;
    }
    sqlite3_finalize(rows);
    if (j->lines.failed) rbt_fail_nomem(error);
    j->next_id = last + 1;
    return error->code;
}

/* The rbt_line_source: genesis, then the rows. */
static int next_line(void *context, const char **line, size_t *length, rbt_error *error) {
    job *j = context;
    if (j->next_line >= j->lines.length) {
        if (j->next_id > j->last_id) return SQLITE_DONE;
        if (read_batch(j, error) != SQLITE_OK) return error->code;
    }
    *length = rbt_load_u32le(j->lines.data + j->next_line);
    *line = (const char *)j->lines.data + j->next_line + 4;
    j->next_line += 4 + *length;
    return SQLITE_ROW;
}

/* Who may have signed the file of a run that died: the signer, and whom the log trusts, for the signing key
** may have changed since. *trusted is for rbt_free. */
static int adoptable_signers(rbt_segment_plan *plan, rbt_log *log, rbt_verifier **trusted,
                             rbt_error *error) {
    size_t count = 0;
    if (rbt_log_trusted_verifiers(log, NULL, who, trusted, &count, error) != SQLITE_OK)
        return error->code;
    rbt_verifier *with_signer = rbt_realloc(*trusted, (count + 1) * sizeof *with_signer);
    if (!with_signer) return rbt_fail_nomem(error);
    with_signer[count] = plan->signer;
    *trusted = with_signer;
    plan->trusted = with_signer;
    plan->trusted_count = count + 1;
    return SQLITE_OK;
}

static int write_segment(job *j, const rbt_signing_key *signing, rbt_segment_summary *summary,
                         rbt_error *error) {
    rbt_log *log = j->log;
    rbt_verifier *trusted = NULL;
    rbt_leaf_shape shape = log->declaration->shape; /* of it, the columns that its entries have */
    shape.count = rbt_leaf_columns_of(&shape, j->last_id);
    rbt_segment_plan plan = {.who = who,
                             .directory = j->other_path ? j->other_path : j->path,
                             .only_adopt = j->other_path != NULL,
                             .name = j->file,
                             .log = log->name,
                             .origin = log->origin,
                             .shape = &shape,
                             .first_id = j->first_id,
                             .last_id = j->last_id,
                             .before = &j->before,
                             .genesis = log->genesis,
                             .genesis_proof = &j->genesis_proof,
                             .checkpoint =
                                 j->checkpoint.length ? rbt_buffer_text(&j->checkpoint) : NULL,
                             .previous_manifest = j->has_previous ? j->previous_manifest : NULL,
                             .signer_secret = signing->secret};
    memcpy(plan.log_id, log->log_id, sizeof plan.log_id);
    if (!rbt_verifier_make(&plan.signer, log->origin, signing->public_key))
        return rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: the origin is damaged", log->name);
    if (j->settings->retain) {
        /* From the last entry's time: none of the segment may go before all of it may. */
        sqlite3_stmt *last = rbt_prepare(
            log->db, error, who, "SELECT recorded_at FROM \"%w\".\"%w_rows\" WHERE id = %lld",
            log->schema, log->name, (long long)j->last_id);
        if (last && sqlite3_step(last) == SQLITE_ROW)
            plan.retain_until_us =
                rbt_time_add(sqlite3_column_int64(last, 0), j->settings->retain_duration);
        sqlite3_finalize(last);
    }
    j->next_id = j->first_id;
    rbt_buffer_clear(&j->lines);
    j->next_line = 0;
    if (error->code == SQLITE_OK && adoptable_signers(&plan, log, &trusted, error) == SQLITE_OK)
        log->logs->connection->segments->write(&plan, &j->root, next_line, j, summary, error);
    rbt_free(trusted);
    rbt_buffer_free(&j->lines);
    return error->code;
}

/* Records the file as published, and the event, in one transaction. */
static int record_segment(job *j, const rbt_signing_key *signing,
                          const rbt_segment_summary *summary, rbt_error *error) {
    rbt_log *log = j->log;
    rbt_buffer detail = {0};
    rbt_transaction own = {0};
    int64_t published_us = rbt_clock_us();
    if (rbt_log_transaction_begin(log, &own, who, error) != SQLITE_OK) return error->code;
    sqlite3_stmt *update = rbt_prepare(
        log->db, error, who,
        "UPDATE \"%w\".\"%w_segments\" SET rows = ?1, raw_bytes = ?2, file_bytes = ?3, root = ?4, "
        "manifest_sha256 = ?5, published_us = ?6, expires_us = ?7, directory = ?10, status = "
        "'published' WHERE "
        "first_id = ?8 AND last_id = ?9 AND status = 'planned'",
        log->schema, log->name);
    if (update) {
        sqlite3_bind_int64(update, 1, summary->rows);
        sqlite3_bind_int64(update, 2, summary->raw_bytes);
        sqlite3_bind_int64(update, 3, summary->file_bytes);
        sqlite3_bind_blob(update, 4, summary->root_after.bytes, 32, SQLITE_STATIC);
        sqlite3_bind_blob(update, 5, summary->manifest_sha256, 32, SQLITE_STATIC);
        sqlite3_bind_int64(update, 6, published_us);
        if (summary->retain_until_us) sqlite3_bind_int64(update, 7, summary->retain_until_us);
        sqlite3_bind_int64(update, 8, j->first_id);
        sqlite3_bind_int64(update, 9, j->last_id);
        /* where the file is: another run may have planned it elsewhere in the meantime */
        sqlite3_bind_text(update, 10, written_to(j), -1, SQLITE_STATIC);
        if (rbt_run(log->db, update, error, who) == SQLITE_OK && sqlite3_changes(log->db) != 1)
            rbt_fail(error, SQLITE_ERROR,
                     "%s: the plan of segment %s is gone; was it archived by someone else?", who,
                     j->file);
        sqlite3_finalize(update);
    }
    rbt_log_meta_set_i64(log, "archived_to", j->last_id, error);
    if (error->code == SQLITE_OK) rbt_log_peek(log, error); /* its identity, for the event */
    rbt_log_remember_signer(log, signing->public_key, error);
    if (error->code == SQLITE_OK) {
        rbt_segment_event_published(&detail, log, j->file, written_to(j), summary, published_us);
        rbt_events_add(log->logs->connection, log->schema, "archive", log->name, &detail, who,
                       error);
    }
    rbt_buffer_free(&detail);
    return rbt_log_transaction_end(log, &own, who, error);
}

/* A run that died may have planned the segment in another directory: the file is adopted there when it
** is whole, and what is half written is removed. When there is neither, or the directory cannot be reached any
** more, the segment is planned anew in this run's: moved. */
static int look_where_planned(job *j, rbt_error *error) {
    rbt_buffer path = {0};
    rbt_log_directory(&path, j->log, j->planned_in);
    j->other_path = rbt_buffer_take(&path);
    if (!j->other_path) return rbt_fail_nomem(error);
    if (strcmp(j->other_path, j->path) == 0) {
        rbt_free(j->other_path);
        j->other_path = NULL;
    } else {
        j->other_lock = rbt_log_lock_directory(j->log, j->other_path, j->lock, who, error);
        j->moved = j->other_lock < 0;
    }
    return error->code;
}

static void forget_plan(job *j) {
    rbt_free(j->other_path);
    j->other_path = NULL;
    if (j->other_lock >= 0) rbt_files->close(j->other_lock); /* only a lock was on it */
    j->other_lock = -1;
    rbt_free(j->planned_in);
    j->planned_in = NULL;
    j->resumed = j->has_previous = false;
}

/* The cutoff in words, for the report. */
static void report_nothing(rbt_log *log, int64_t archived_to, int64_t cutoff, rbt_buffer *report) {
    char time[RBT_TIME_TEXT_SIZE];
    int64_t waiting = (int64_t)log->frontier.size - 1 - archived_to;
    if (cutoff == INT64_MAX) {
        if (log->frontier.size == 2)
            rbt_buffer_printf(report, "%s: nothing to archive: the one entry is in a segment",
                              log->name);
        else
            rbt_buffer_printf(report, "%s: nothing to archive: all %llu entries are in segments",
                              log->name, (unsigned long long)log->frontier.size - 1);
        return;
    }
    rbt_time_to_text(time, cutoff);
    rbt_buffer_printf(report,
                      "%s: nothing to archive: none of %lld %s outside segments is recorded before "
                      "%s",
                      log->name, (long long)waiting, rbt_entries(waiting), time);
}

static void report_done(rbt_log *log, int64_t segments, int64_t rows, int64_t raw, int64_t bytes,
                        const char *last_file, rbt_buffer *report) {
    rbt_buffer_printf(report, "%s: archived %lld %s in %lld segment%s, %lld bytes as %lld",
                      log->name, (long long)rows, rbt_entries(rows), (long long)segments,
                      segments == 1 ? "" : "s", (long long)raw, (long long)bytes);
    if (bytes > 0) rbt_buffer_printf(report, " (%.1f to 1)", (double)raw / (double)bytes);
    rbt_buffer_printf(report, ": %s", last_file);
}

static int archive_all(job *j, int64_t cutoff, const rbt_signing_key *signing, rbt_buffer *report,
                       rbt_error *error) {
    rbt_log *log = j->log;
    int64_t segments = 0, rows = 0, raw = 0, bytes = 0;
    rbt_progress progress;
    rbt_progress_begin(&progress, log->db, "archiving", log->name, 0);
    j->up_to = -1;
    for (;;) {
        rbt_segment_summary summary = {0};
        forget_plan(j);
        if (plan_segment(j, cutoff, signing, error) != SQLITE_OK || j->last_id < j->first_id) break;
        if (j->planned_in && !j->moved) {
            if (look_where_planned(j, error) != SQLITE_OK) break;
            if (j->moved) continue;
        }
        int64_t last = j->wanted > j->last_id ? j->wanted : j->last_id;
        rbt_progress_total(&progress, rows + last - j->first_id + (j->first_id > 0));
        if (write_segment(j, signing, &summary, error) != SQLITE_OK) break;
        if (summary.rows == 0) {
            j->moved = true;
            continue;
        }
        if (record_segment(j, signing, &summary, error) != SQLITE_OK) break;
        j->moved = false;
        segments++;
        rows += summary.rows - (summary.first_id == 0);
        raw += summary.raw_bytes;
        bytes += summary.file_bytes;
    }
    rbt_progress_end(&progress);
    if (error->code != SQLITE_OK) return error->code;
    if (segments == 0)
        report_nothing(log, j->first_id > 0 ? j->first_id - 1 : 0, cutoff, report);
    else
        report_done(log, segments, rows, raw, bytes, j->file, report);
    return SQLITE_OK;
}

/* The directory to record: the argument, else the log's own. */
static const char *choose_directory(rbt_log *log, const rbt_settings *settings,
                                    const char *directory, rbt_error *error) {
    if (directory && !directory[0])
        rbt_fail(error, SQLITE_ERROR, "%s: directory must not be empty", who);
    if (!directory) directory = settings->archive;
    if (!directory)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: %s has no archive='directory'; name one: SELECT audit_archive('%s', "
                 "'directory')",
                 who, log->name, log->name);
    return error->code == SQLITE_OK ? directory : NULL;
}

static int choose_cutoff(rbt_log *log, const rbt_settings *settings, int64_t *cutoff,
                         rbt_error *error) {
    if (*cutoff != INT64_MIN) return SQLITE_OK;
    if (!settings->archive_after)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: %s has no archive_after; say before when, or 'now' for all: SELECT "
                        "audit_archive('%s', 'directory', 'now')",
                        who, log->name, log->name);
    *cutoff = rbt_time_subtract(rbt_clock_us(), settings->archive_after_duration);
    return SQLITE_OK;
}

int rbt_archive_run(rbt_log *log, const char *directory, int64_t cutoff, rbt_buffer *report,
                    rbt_error *error) {
    rbt_connection *connection = log->logs->connection;
    rbt_buffer path = {0};
    rbt_settings settings = {0};
    job *j = NULL;
    int lock = -1;
    if (rbt_require_no_transaction(log, who, error) != SQLITE_OK) return error->code;
    const rbt_keys *keys = rbt_connection_keys(connection, who, error);
    if (!keys) return error->code;
    const rbt_signing_key *signing = rbt_keys_signing(keys);
    if (!signing)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: a segment is signed, and there is no key; set RUSTYBT_SIGNING_KEY or "
                        "RUSTYBT_ENCRYPTION_KEY",
                        who);
    rbt_keys_retain(keys); /* what runs meanwhile may read them anew */
    if (rbt_settings_read(&settings, log, who, error) == SQLITE_OK)
        directory = choose_directory(log, &settings, directory, error);
    if (error->code == SQLITE_OK) choose_cutoff(log, &settings, &cutoff, error);
    if (error->code != SQLITE_OK) {
        rbt_settings_free(&settings);
        rbt_keys_free((rbt_keys *)keys);
        return error->code;
    }
    rbt_log_directory(&path, log, directory);
    j = rbt_calloc(sizeof *j);
    if (j) j->other_lock = -1;
    char *opened = rbt_buffer_take(&path);
    if (!j || !opened) {
        rbt_fail_nomem(error);
    } else if (rbt_file_make_directories(who, opened, error) == SQLITE_OK &&
               (lock = rbt_log_lock_directory(log, opened, -1, who, error)) >= 0 &&
               rbt_events_prepare(connection, log->schema, who, error) == SQLITE_OK) {
        j->log = log;
        j->settings = &settings;
        j->directory = directory;
        j->path = opened;
        j->lock = lock;
        archive_all(j, cutoff, signing, report, error);
    }
    if (lock >= 0) rbt_files->close(lock); /* only a lock was on it */
    if (j) {
        forget_plan(j);
        rbt_free(j->file);
        rbt_buffer_free(&j->checkpoint);
    }
    rbt_free(j);
    rbt_free(opened);
    rbt_settings_free(&settings);
    rbt_keys_free((rbt_keys *)keys);
    return error->code;
}
