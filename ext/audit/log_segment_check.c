/* SPDX-License-Identifier: MIT
** See log_verify.h. May call base, audit and the segment store.
*/
#include "log_verify.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "log_paths.h"
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
    int64_t rows, raw_bytes, file_bytes, expires_us;
    bool published;
} recorded;

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
    const char *status = (const char *)sqlite3_column_text(row, 10);
    record->published = status && strcmp(status, "published") == 0;
    bool planned = status && strcmp(status, "planned") == 0;
    if (planned && record->first_id == expected_first && record->last_id >= record->first_id &&
        record->last_id < (int64_t)v->log->frontier.size)
        return true;
    if (!record->published || !record->directory || !record->file ||
        !rbt_log_file_name_valid(record->file) || !record->root ||
        sqlite3_column_bytes(row, 4) != 32 || !record->manifest ||
        sqlite3_column_bytes(row, 5) != 32 || record->last_id < record->first_id) {
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

static int check_file(rbt_verification *v, const recorded *record, const rbt_verifier *verifiers,
                      size_t verifier_count, const rbt_hash *root_before, rbt_error *error) {
    rbt_log *log = v->log;
    const rbt_segment_store *store = log->logs->connection->segments;
    rbt_segment_summary summary = {0};
    rbt_buffer path = {0};
    int64_t problems = 0;
    rbt_log_segment_path(&path, log, record->directory, record->file);
    char *text = rbt_buffer_text(&path);
    if (!text) {
        rbt_fail_nomem(error);
    } else if (access(text, F_OK) != 0) {
        rbt_log_problem(v, "segment", record->first_id,
                        "segment %s is missing: entries %lld to %lld", text,
                        (long long)record->first_id, (long long)record->last_id);
    } else {
        rbt_error trouble = {0};
        if (store->verify(text, verifiers, verifier_count, forward, v, &summary, &problems,
                          &trouble) != SQLITE_OK) {
            if (trouble.code == SQLITE_NOMEM)
                rbt_fail_nomem(error);
            else if (trouble.code == SQLITE_INTERRUPT)
                rbt_fail(error, trouble.code, "%s", trouble.message);
            else
                rbt_log_problem(v, "segment", record->first_id, "%s",
                                trouble.message ? trouble.message : text);
        } else if (problems == 0) {
            if (summary.rows != record->rows || summary.raw_bytes != record->raw_bytes ||
                summary.file_bytes != record->file_bytes ||
                summary.retain_until_us != record->expires_us)
                rbt_log_problem(v, "segment", record->first_id,
                                "%s: rows, sizes or the date of expiry are recorded otherwise",
                                text);
            if (summary.last_id == (int64_t)log->frontier.size - 1 &&
                summary.last_recorded_at != log->last_recorded_at)
                rbt_log_problem(v, "head", summary.last_id,
                                "the head says that entry %lld was recorded at %lld, %s says %lld",
                                (long long)summary.last_id, (long long)log->last_recorded_at, text,
                                (long long)summary.last_recorded_at);
            if (memcmp(summary.manifest_sha256, record->manifest, 32) != 0)
                rbt_log_problem(v, "segment", record->first_id,
                                "%s: its manifest is not the one that was recorded: its SHA-256 is "
                                "%s, recorded is %s",
                                text,
                                rbt_hash_to_text((const rbt_hash *)summary.manifest_sha256).hex,
                                rbt_hash_to_text(record->manifest).hex);
            if (memcmp(summary.root_after.bytes, record->root, 32) != 0 ||
                summary.first_id != record->first_id || summary.last_id != record->last_id)
                rbt_log_problem(v, "segment", record->first_id,
                                "%s: it holds entries %lld to %lld with root %s, recorded are %lld "
                                "to %lld with "
                                "root %s",
                                text, (long long)summary.first_id, (long long)summary.last_id,
                                rbt_hash_to_text(&summary.root_after).hex,
                                (long long)record->first_id, (long long)record->last_id,
                                rbt_hash_to_text(record->root).hex);
            if (root_before && !rbt_hash_equal(&summary.root_before, root_before))
                rbt_log_problem(v, "segment", record->first_id,
                                "%s: it does not continue the segment before it: it begins at root "
                                "%s, that one ends at %s",
                                text, rbt_hash_to_text(&summary.root_before).hex,
                                rbt_hash_to_text(root_before).hex);
        }
        rbt_error_clear(&trouble);
    }
    rbt_buffer_free(&path);
    return error->code;
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

int rbt_log_check_segments(rbt_verification *v, const char *vkeys, int64_t *segments,
                           rbt_error *error) {
    rbt_log *log = v->log;
    rbt_verifier *verifiers = NULL;
    size_t verifier_count = 0;
    int64_t expected_first = 0, archived_to = 0;
    rbt_hash root;
    bool found = false;
    *segments = 0;
    sqlite3_stmt *rows =
        rbt_prepare(log->db, error, log->name,
                    "SELECT first_id, last_id, directory, file, root, manifest_sha256, rows, "
                    "raw_bytes, file_bytes, expires_us, status FROM \"%w\".\"%w_segments\" ORDER "
                    "BY first_id",
                    log->schema, log->name);
    if (!rows) return error->code;
    while (error->code == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW) {
        recorded record;
        if (!read_record(v, rows, expected_first, &record) || !record.published) continue;
        if (++*segments == 1) {
            rbt_log_trusted_verifiers(log, vkeys, "audit_verify", &verifiers, &verifier_count,
                                      error);
            if (error->code != SQLITE_OK) break;
            if (verifier_count == 0)
                rbt_log_problem(v, "untrusted", -1,
                                "there is no key to trust the segments' signatures by; set "
                                "RUSTYBT_VERIFY_KEYS or give vkeys");
        }
        check_file(v, &record, verifiers, verifier_count, expected_first > 0 ? &root : NULL, error);
        memcpy(root.bytes, record.root, 32);
        expected_first = record.last_id + 1;
    }
    if (sqlite3_finalize(rows) != SQLITE_OK && error->code == SQLITE_OK)
        rbt_fail_db(error, log->db, log->name);
    rbt_free(verifiers);
    if (error->code == SQLITE_OK && expected_first > 0)
        check_last_root(v, expected_first - 1, &root, error);
    if (error->code == SQLITE_OK &&
        rbt_log_meta_i64(log, "archived_to", &archived_to, &found, error) == SQLITE_OK) {
        int64_t recorded_to = expected_first > 0 ? expected_first - 1 : 0;
        if (!found || archived_to != recorded_to)
            rbt_log_problem(v, "segment", archived_to,
                            "archived_to says %lld, the recorded segments end at %lld",
                            (long long)archived_to, (long long)recorded_to);
        if (log->pruned_to > recorded_to)
            rbt_log_problem(v, "segment", recorded_to + 1,
                            "entries up to %lld were pruned, but segments hold only up to %lld",
                            (long long)log->pruned_to, (long long)recorded_to);
    }
    return error->code;
}
