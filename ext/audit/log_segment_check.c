/* SPDX-License-Identifier: MIT
** The part of audit_verify that looks at segments (log_verify.h). May call base, audit and the segment
** store.
**
** Three things must agree: the records in <log>_segments, the files (of an expired segment its kept
** manifest), and what rustybt_events tells. Files chain by root and by the hash of the manifest before
** them, so that one of them, or its record, cannot go without being named.
*/
#include "log_verify.h"

#include "../base/clock.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "events.h"
#include "expired.h"
#include "log_paths.h"
#include "segment_events.h"
#include "segment_store.h"
#include "trust.h"

#include <errno.h>
#include <unistd.h>

/* The segment store's problems, as findings. */
static void forward(void *context, const char *kind, int64_t id, const char *detail) {
    rbt_log_problem(context, kind, id, "%s", detail);
}

typedef struct recorded {
    int64_t first_id, last_id;
    const char *directory, *file;
    const void *root, *manifest;
    int64_t rows, raw_bytes, file_bytes, published_us, expires_us;
    bool published, expired;
} recorded;

/* What of a record is compared with the events once all were read. */
typedef struct seen {
    int64_t first_id, last_id;
    uint8_t manifest[32];
} seen;

/* The walk over the records. */
typedef struct walk {
    rbt_verification *v;
    const char *vkeys;
    rbt_verifier *verifiers;
    size_t verifier_count;
    bool trust_read;
    rbt_segment_events archived, relocated, expired; /* what rustybt_events tells */
    bool events_known;
    int64_t next;                                 /* first id of the record that must follow */
    rbt_hash root;                                /* after the last one; once next > 0 */
    uint8_t manifest[32];                         /* of the last one */
    int64_t gone_first, gone_last, gone_segments; /* the run of expired ones, for one line */
    seen *seen;
    size_t seen_count, seen_capacity;
} walk;

static bool read_record(rbt_verification *v, sqlite3_stmt *row, int64_t expected_first,
                        recorded *record) {
    record->first_id = sqlite3_column_int64(row, 0);
    record->last_id = sqlite3_column_int64(row, 1);
    record->directory = (const char *)sqlite3_column_text(row, 2);
    record->file = (const char *)sqlite3_column_text(row, 3);
    record->root = sqlite3_column_blob(row, 4);
    record->manifest = sqlite3_column_blob(row, 5);
    record->rows = sqlite3_column_int64(row, 6);
    record->raw_bytes = sqlite3_column_int64(row, 7);
    record->file_bytes = sqlite3_column_int64(row, 8);
    record->expires_us = sqlite3_column_int64(row, 9); /* NULL: 0, as in the summary */
    record->published_us = sqlite3_column_int64(row, 10);
    const char *status = (const char *)sqlite3_column_text(row, 11);
    record->published = status && strcmp(status, "published") == 0;
    record->expired = status && strcmp(status, "expired") == 0;
    bool planned = status && strcmp(status, "planned") == 0;
    if (planned && record->first_id == expected_first && record->last_id >= record->first_id &&
        record->last_id < (int64_t)v->log->frontier.size)
        return true;
    if ((!record->published && !record->expired) || !record->directory || !record->file ||
        !rbt_log_file_name_valid(record->file) || !record->root ||
        sqlite3_column_bytes(row, 4) != 32 || !record->manifest ||
        sqlite3_column_bytes(row, 5) != 32 || record->first_id < 0 ||
        record->last_id < record->first_id || record->last_id >= (int64_t)v->log->frontier.size) {
        rbt_log_problem(v, "segment", record->first_id,
                        "the record of the segment at entry %lld is damaged",
                        (long long)record->first_id);
        return false;
    }
    if (record->first_id != expected_first)
        rbt_log_problem(
            v, "segment", expected_first,
            "the record of a segment is missing: expected one from entry %lld, found %lld",
            (long long)expected_first, (long long)record->first_id);
    return true;
}

/* What the signed manifest says against the record, and against the segment before it. text: what begins
** each sentence. */
static void compare_summary(walk *w, const recorded *record, const rbt_segment_summary *summary,
                            const char *text) {
    rbt_verification *v = w->v;
    const rbt_log *log = v->log;
    if (summary->rows != record->rows || summary->raw_bytes != record->raw_bytes ||
        (record->published && summary->file_bytes != record->file_bytes) ||
        summary->retain_until_us != record->expires_us)
        rbt_log_problem(v, "segment", record->first_id,
                        "%s: rows, sizes or the date of expiry are recorded otherwise", text);
    if (summary->last_id == (int64_t)log->frontier.size - 1 &&
        summary->last_recorded_at != log->last_recorded_at)
        rbt_log_problem(v, "head", summary->last_id,
                        "the head says that entry %lld was recorded at %lld, %s says %lld",
                        (long long)summary->last_id, (long long)log->last_recorded_at, text,
                        (long long)summary->last_recorded_at);
    if (memcmp(summary->manifest_sha256, record->manifest, 32) != 0)
        rbt_log_problem(v, "segment", record->first_id,
                        "%s: its manifest is not the one that was recorded: its SHA-256 is "
                        "%s, recorded is %s",
                        text, rbt_hash_to_text((const rbt_hash *)summary->manifest_sha256).hex,
                        rbt_hash_to_text(record->manifest).hex);
    if (memcmp(summary->root_after.bytes, record->root, 32) != 0 ||
        summary->first_id != record->first_id || summary->last_id != record->last_id)
        rbt_log_problem(v, "segment", record->first_id,
                        "%s: it holds entries %lld to %lld with root %s, recorded are %lld "
                        "to %lld with root %s",
                        text, (long long)summary->first_id, (long long)summary->last_id,
                        rbt_hash_to_text(&summary->root_after).hex, (long long)record->first_id,
                        (long long)record->last_id, rbt_hash_to_text(record->root).hex);
    if (w->next > 0 && !rbt_hash_equal(&summary->root_before, &w->root))
        rbt_log_problem(v, "segment", record->first_id,
                        "%s: it does not continue the segment before it: it begins at root "
                        "%s, that one ends at %s",
                        text, rbt_hash_to_text(&summary->root_before).hex,
                        rbt_hash_to_text(&w->root).hex);
    if (summary->has_previous != (w->next > 0) ||
        (w->next > 0 && memcmp(summary->previous_manifest, w->manifest, 32) != 0))
        rbt_log_problem(
            v, "segment", record->first_id,
            "%s: it follows the segment with manifest %s, recorded before it is %s", text,
            summary->has_previous
                ? rbt_hash_to_text((const rbt_hash *)summary->previous_manifest).hex
                : "(none: it is the first)",
            w->next > 0 ? rbt_hash_to_text((const rbt_hash *)w->manifest).hex : "(none)");
}

static void compare_damage(walk *w, const recorded *record, const char *text,
                           const rbt_error *trouble, rbt_error *error) {
    if (trouble->code == SQLITE_NOMEM)
        rbt_fail_nomem(error);
    else if (trouble->code == SQLITE_INTERRUPT)
        rbt_fail(error, trouble->code, "%s", trouble->message);
    else
        rbt_log_problem(w->v, "segment", record->first_id, "%s",
                        trouble->message ? trouble->message : text);
}

static int check_file(walk *w, const recorded *record, rbt_error *error) {
    rbt_log *log = w->v->log;
    const rbt_segment_store *store = log->logs->connection->segments;
    rbt_segment_summary summary = {0};
    rbt_buffer path = {0};
    rbt_error trouble = {0};
    int64_t problems = 0;
    rbt_log_segment_path(&path, log, record->directory, record->file);
    char *text = rbt_buffer_text(&path);
    if (!text)
        rbt_fail_nomem(error);
    else if (access(text, F_OK) != 0)
        rbt_log_problem(w->v, "segment", record->first_id,
                        "segment %s is missing: entries %lld to %lld", text,
                        (long long)record->first_id, (long long)record->last_id);
    else if (store->verify(text, w->verifiers, w->verifier_count, forward, w->v, &summary,
                           &problems, &trouble) != SQLITE_OK)
        compare_damage(w, record, text, &trouble, error);
    else if (problems == 0)
        compare_summary(w, record, &summary, text);
    rbt_error_clear(&trouble);
    rbt_buffer_free(&path);
    return error->code;
}

/* The expiry itself: rustybt_events must tell of it, at a time when the signed date had come. */
static void check_expiry(walk *w, const recorded *record, const rbt_segment_summary *summary) {
    rbt_verification *v = w->v;
    char at[RBT_TIME_TEXT_SIZE], until[RBT_TIME_TEXT_SIZE];
    const rbt_segment_event *event =
        rbt_segment_event_of(&w->expired, record->first_id, record->last_id, record->manifest);
    if (!w->events_known) return; /* said already */
    if (!event || record->last_id > v->log->pruned_to) {
        rbt_log_problem(
            v, "segment", record->first_id,
            "the segment of entries %lld to %lld is marked as expired, which " RBT_EVENTS_LOG
            " does not tell of",
            (long long)record->first_id, (long long)record->last_id);
    } else if (summary && event->recorded_at < summary->retain_until_us) {
        rbt_time_to_text(at, event->recorded_at);
        rbt_time_to_text(until, summary->retain_until_us);
        rbt_log_problem(
            v, "segment", record->first_id,
            "entries %lld to %lld were removed at %s, and should have been kept until %s",
            (long long)record->first_id, (long long)record->last_id, at, until);
    }
}

/* What is left of an expired segment. */
static int check_expired(walk *w, const recorded *record, rbt_error *error) {
    rbt_log *log = w->v->log;
    rbt_segment_summary summary = {0};
    rbt_buffer manifest = {0}, note = {0}, what = {0};
    rbt_error trouble = {0};
    int64_t problems = 0;
    rbt_buffer_printf(&what, "the kept manifest of %s", record->file);
    const char *text = rbt_buffer_text(&what);
    if (!text)
        rbt_fail_nomem(error);
    else if (rbt_expired_kept(log, record->first_id, &manifest, &note, &trouble) != SQLITE_OK ||
             log->logs->connection->segments->verify_signed(
                 text, &manifest, &note, w->verifiers, w->verifier_count, forward, w->v, &summary,
                 &problems, &trouble) != SQLITE_OK)
        compare_damage(w, record, text, &trouble, error);
    else if (problems == 0)
        compare_summary(w, record, &summary, text);
    if (error->code == SQLITE_OK) check_expiry(w, record, problems == 0 ? &summary : NULL);
    w->v->expired += record->last_id - record->first_id + (record->first_id > 0);
    rbt_error_clear(&trouble);
    rbt_buffer_free(&manifest);
    rbt_buffer_free(&note);
    rbt_buffer_free(&what);
    return error->code;
}

/* Tells of the run of expired segments that has ended, if there is one. */
static void report_gone(walk *w) {
    rbt_verification *v = w->v;
    if (w->gone_segments > 0 && !v->quick) {
        char *line = sqlite3_mprintf(
            "%s: entries %lld to %lld have expired, with %lld segment%s; their manifests, signed, "
            "and "
            "the tree remain",
            v->log->name, (long long)(w->gone_first > 0 ? w->gone_first : 1),
            (long long)w->gone_last, (long long)w->gone_segments, w->gone_segments == 1 ? "" : "s");
        v->sink(v->context, "info", "expired", w->gone_first > 0 ? w->gone_first : 1,
                line ? line : v->log->name);
        rbt_free(line);
    }
    w->gone_segments = 0;
}

static void note_gone(walk *w, const recorded *record) {
    if (!record->expired) {
        report_gone(w);
        return;
    }
    if (w->gone_segments++ == 0) w->gone_first = record->first_id;
    w->gone_last = record->last_id;
}

static int note_seen(walk *w, const recorded *record, rbt_error *error) {
    if (w->seen_count == w->seen_capacity) {
        size_t capacity = w->seen_capacity ? 2 * w->seen_capacity : 16;
        seen *grown = rbt_realloc(w->seen, capacity * sizeof *grown);
        if (!grown) return rbt_fail_nomem(error);
        w->seen = grown;
        w->seen_capacity = capacity;
    }
    seen *entry = &w->seen[w->seen_count++];
    *entry = (seen){.first_id = record->first_id, .last_id = record->last_id};
    memcpy(entry->manifest, record->manifest, 32);
    return SQLITE_OK;
}

static int read_trust(walk *w, rbt_error *error) {
    if (w->trust_read) return error->code;
    w->trust_read = true;
    if (rbt_log_trusted_verifiers(w->v->log, w->vkeys, "audit_verify", &w->verifiers,
                                  &w->verifier_count, error) == SQLITE_OK &&
        w->verifier_count == 0)
        rbt_log_problem(w->v, "untrusted", -1,
                        "there is no key to trust the segments' signatures by; set "
                        "RUSTYBT_VERIFY_KEYS or give vkeys");
    return error->code;
}

/* Where the segment lies, by rustybt_events: where it was written, or moved to last. NULL: not known. */
static const char *place_of(const walk *w, const recorded *record, const rbt_segment_event *event) {
    const char *place = event ? event->to : NULL;
    for (size_t i = 0; i < w->relocated.count; i++)
        if (memcmp(w->relocated.items[i].manifest_sha256, record->manifest, 32) == 0)
            place = w->relocated.items[i].to;
    return place;
}

static int check_record(walk *w, const recorded *record, rbt_error *error) {
    const rbt_segment_event *event =
        rbt_segment_event_of(&w->archived, record->first_id, record->last_id, record->manifest);
    if (read_trust(w, error) != SQLITE_OK) return error->code;
    note_gone(w, record);
    if (record->expired)
        check_expired(w, record, error);
    else
        check_file(w, record, error);
    if (event && event->published_us != 0 && event->published_us != record->published_us)
        rbt_log_problem(w->v, "segment", record->first_id,
                        "segment %s is recorded as published at %lld, " RBT_EVENTS_LOG " says %lld",
                        record->file, (long long)record->published_us,
                        (long long)event->published_us);
    const char *place = place_of(w, record, event);
    if (place && strcmp(place, record->directory) != 0)
        rbt_log_problem(w->v, "segment", record->first_id,
                        "segment %s is recorded in %s, " RBT_EVENTS_LOG " says in %s", record->file,
                        record->directory, place);
    memcpy(w->root.bytes, record->root, 32);
    memcpy(w->manifest, record->manifest, 32);
    w->next = record->last_id + 1;
    return note_seen(w, record, error);
}

/* What is wrong with rustybt_events itself, its own verification tells. */
static int read_events(walk *w, rbt_error *error) {
    rbt_log *log = w->v->log;
    rbt_error trouble = {0};
    rbt_segment_events_read(&w->archived, log, "archive", "audit_verify", &trouble);
    if (trouble.code == SQLITE_OK)
        rbt_segment_events_read(&w->relocated, log, "relocated", "audit_verify", &trouble);
    if (trouble.code == SQLITE_OK)
        rbt_segment_events_read(&w->expired, log, "expired", "audit_verify", &trouble);
    w->events_known = trouble.code == SQLITE_OK;
    if (trouble.code == SQLITE_NOMEM || trouble.code == SQLITE_BUSY)
        rbt_fail(error, trouble.code, "%s", trouble.message ? trouble.message : log->name);
    else if (trouble.code != SQLITE_OK && sqlite3_stricmp(log->name, RBT_EVENTS_LOG) != 0)
        rbt_log_problem(w->v, "segment", -1,
                        "what " RBT_EVENTS_LOG " tells of segments cannot be read: %s",
                        trouble.message ? trouble.message : "it is damaged");
    rbt_error_clear(&trouble);
    return error->code;
}

/* What was archived, as rustybt_events tells, must be on record. */
static void compare_events(walk *w) {
    for (size_t i = 0; i < w->archived.count; i++) {
        const rbt_segment_event *event = &w->archived.items[i];
        bool found = false;
        for (size_t k = 0; k < w->seen_count && !found; k++)
            found = w->seen[k].first_id == event->first_id &&
                    w->seen[k].last_id == event->last_id &&
                    memcmp(w->seen[k].manifest, event->manifest_sha256, 32) == 0;
        if (!found)
            rbt_log_problem(w->v, "segment", event->first_id,
                            "segment %s, entries %lld to %lld, has vanished from the log's "
                            "records; " RBT_EVENTS_LOG " tells that it was archived",
                            event->file, (long long)event->first_id, (long long)event->last_id);
    }
}

/* The root after the last segment must be the log's own. */
static int check_last_root(rbt_verification *v, int64_t last, const rbt_hash *root,
                           rbt_error *error) {
    rbt_hash own;
    rbt_error unknown = {0};
    if (rbt_tree_root(&own, (uint64_t)last + 1, rbt_log_node, v->log, &unknown) == SQLITE_OK) {
        if (!rbt_hash_equal(&own, root))
            rbt_log_problem(v, "segment", last,
                            "the segments up to entry %lld have the root %s, the log's tree has %s",
                            (long long)last, rbt_hash_to_text(root).hex,
                            rbt_hash_to_text(&own).hex);
    } else if (unknown.code == SQLITE_NOMEM) {
        rbt_fail_nomem(error);
    } else {
        rbt_log_problem(v, "tree", last, "%s",
                        unknown.message ? unknown.message : "the tree is damaged");
    }
    rbt_error_clear(&unknown);
    return error->code;
}

static int check_records(walk *w, int64_t *segments, rbt_error *error) {
    rbt_log *log = w->v->log;
    sqlite3_stmt *rows =
        rbt_prepare(log->db, error, log->name,
                    "SELECT first_id, last_id, directory, file, root, manifest_sha256, rows, "
                    "raw_bytes, file_bytes, expires_us, published_us, status FROM "
                    "\"%w\".\"%w_segments\" ORDER BY first_id",
                    log->schema, log->name);
    while (rows && error->code == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW) {
        recorded record;
        if (!read_record(w->v, rows, w->next, &record) || (!record.published && !record.expired))
            continue;
        check_record(w, &record, error);
        *segments += record.published;
    }
    if (sqlite3_finalize(rows) != SQLITE_OK && error->code == SQLITE_OK)
        rbt_fail_db(error, log->db, log->name);
    if (error->code == SQLITE_OK) report_gone(w);
    return error->code;
}

int rbt_log_check_segments(rbt_verification *v, const char *vkeys, int64_t *segments,
                           rbt_error *error) {
    rbt_log *log = v->log;
    walk w = {.v = v, .vkeys = vkeys};
    int64_t archived_to = 0;
    bool found = false;
    *segments = 0;
    if (read_events(&w, error) == SQLITE_OK && check_records(&w, segments, error) == SQLITE_OK) {
        compare_events(&w);
        if (w.next > 0) check_last_root(v, w.next - 1, &w.root, error);
    }
    if (error->code == SQLITE_OK &&
        rbt_log_meta_i64(log, "archived_to", &archived_to, &found, error) == SQLITE_OK) {
        int64_t recorded_to = w.next > 0 ? w.next - 1 : 0;
        if (!found || archived_to != recorded_to)
            rbt_log_problem(v, "segment", archived_to,
                            "archived_to says %lld, the recorded segments end at %lld",
                            (long long)archived_to, (long long)recorded_to);
        if (log->pruned_to > recorded_to)
            rbt_log_problem(v, "segment", recorded_to + 1,
                            "entries up to %lld were pruned, but segments hold only up to %lld",
                            (long long)log->pruned_to, (long long)recorded_to);
    }
    rbt_segment_events_free(&w.archived);
    rbt_segment_events_free(&w.relocated);
    rbt_segment_events_free(&w.expired);
    rbt_free(w.verifiers);
    rbt_free(w.seen);
    return error->code;
}
