/* SPDX-License-Identifier: MIT
** SQL glue of the archive: archive_verify as table and as scalar, archive_info, and the arrays that
** register these, archive_table.c's and salvage_table.c's. Calls the archive, audit's trust and base.
*/
#include "archive_sql.h"

#include "../base/bytes.h"
#include "../base/list_table.h"
#include "../base/memory.h"
#include "../base/progress.h"
#include "../base/sql_util.h"
#include "archive_table.h"
#include "restore_sql.h"
#include "salvage_table.h"
#include "segment_verify.h"
#include "series.h"

/* ---- archive_verify ---- */

/* Goes through all files of a pattern; every problem goes to the sink of `problems`. The readable ones
** are left in *series, sorted. */
static int verify_files(rbt_connection *connection, const char *pattern, const char *vkeys,
                        rbt_series *series, rbt_problems *problems, rbt_error *error) {
    char **paths;
    size_t count;
    if (rbt_expand_paths(pattern, problems->who, &paths, &count, error) != SQLITE_OK)
        return error->code;
    for (size_t i = 0; i < count && error->code == SQLITE_OK; i++) {
        rbt_segment segment = {.file = -1};
        rbt_verifier *verifiers;
        size_t verifier_count;
        problems->path = paths[i];
        if (rbt_segment_open_trusted(&segment, connection, vkeys, problems->who, paths[i],
                                     &verifiers, &verifier_count, problems, error) == SQLITE_OK &&
            segment.readable &&
            rbt_segment_verify_contents(&segment, verifiers, verifier_count, problems, error) ==
                SQLITE_OK)
            rbt_series_add(series, &segment, error);
        rbt_segment_close(&segment);
        rbt_free(verifiers);
    }
    rbt_free_paths(paths, count);
    rbt_series_sort(series);
    return error->code;
}

/* Segments of one log must follow each other without gap, and know it. */
static int verify_chain(const rbt_series *series, rbt_problems *problems, rbt_error *error) {
    for (size_t i = 1; i < series->count && error->code == SQLITE_OK; i++) {
        const rbt_member *a = &series->members[i - 1], *b = &series->members[i];
        if (memcmp(a->log_id, b->log_id, sizeof a->log_id) != 0) continue;
        problems->path = b->path;
        if (b->first_id <= a->last_id) {
            rbt_problem(problems, RBT_PROBLEM_CHAIN, b->first_id, "entry %lld is in %s too",
                        (long long)b->first_id, a->path);
        } else if (b->first_id - a->last_id > 1) {
            rbt_problem(problems, RBT_PROBLEM_MISSING, a->last_id + 1,
                        "entries %lld to %lld of %s, which come before, are in none of the files",
                        (long long)a->last_id + 1, (long long)b->first_id - 1, b->log);
        } else {
            if (!rbt_hash_equal(&b->root_before, &a->root_after))
                rbt_problem(problems, RBT_PROBLEM_CHAIN, b->first_id,
                            "it does not begin at the root that %s leads to", a->path);
            if (!b->has_previous ||
                memcmp(b->previous_sha256, a->manifest_sha256, sizeof b->previous_sha256) != 0)
                rbt_problem(problems, RBT_PROBLEM_CHAIN, b->first_id,
                            "it does not name %s as the segment before it", a->path);
        }
    }
    return error->code;
}

/* "2 segments of orders, leaves 0 to 300000, 71893204 bytes of lines, signed by x+29b87bfc; …: …" */
static void describe(const rbt_series *series, rbt_buffer *out) {
    for (size_t i = 0; i < series->count;) {
        const rbt_member *first = &series->members[i], *last = first;
        int64_t segments = 0, bytes = 0;
        for (; i < series->count; i++) {
            const rbt_member *member = &series->members[i];
            if (memcmp(member->log_id, first->log_id, sizeof first->log_id) != 0) break;
            segments++;
            bytes += member->raw_bytes;
            last = member;
        }
        char key_id[2 * sizeof last->signer.key_id + 1];
        rbt_hex_encode(key_id, last->signer.key_id, sizeof last->signer.key_id);
        rbt_buffer_printf(
            out,
            "%s%lld segment%s of %s, leaves %lld to %lld, %lld bytes of lines, signed "
            "by %s+%s",
            first == series->members ? "" : "; ", (long long)segments, segments == 1 ? "" : "s",
            first->log, (long long)first->first_id, (long long)last->last_id, (long long)bytes,
            last->signer.name, key_id);
    }
    rbt_buffer_add_text(
        out, ": signatures, frames, lines, ids, zones, filters, roots and order are right");
}

/* Appends what was checked to *verified when there was no problem. */
static int verify_pattern(rbt_connection *connection, const char *pattern, const char *vkeys,
                          rbt_problem_sink sink, void *context, int64_t *problem_count,
                          rbt_buffer *verified, rbt_error *error) {
    rbt_series series = {0};
    rbt_problems problems = {
        .sink = sink, .context = context, .who = "archive_verify", .error = error};
    rbt_progress progress;
    rbt_progress_begin(&progress, connection->db, "verifying", pattern, 0);
    if (verify_files(connection, pattern, vkeys, &series, &problems, error) == SQLITE_OK &&
        verify_chain(&series, &problems, error) == SQLITE_OK && problems.count == 0)
        describe(&series, verified);
    rbt_progress_end(&progress);
    if (verified->failed) rbt_fail_nomem(error);
    *problem_count = problems.count;
    rbt_series_free(&series);
    return error->code;
}

static void add_problem_row(void *context, const char *kind, int64_t id, const char *detail) {
    rbt_list *list = context;
    rbt_list_text(list, "error");
    rbt_list_text(list, kind);
    if (id < 0)
        rbt_list_null(list);
    else
        rbt_list_i64(list, id);
    rbt_list_text(list, detail);
}

static int fill_verify(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                       rbt_error *error) {
    const char *who = "archive_verify";
    rbt_buffer verified = {0};
    int64_t problems;
    const char *pattern = rbt_text_argument(arguments[0], who, "path", error);
    const char *vkeys = arguments[1] ? rbt_text_argument(arguments[1], who, "vkeys", error) : NULL;
    if (error->code != SQLITE_OK) return error->code;
    if (verify_pattern(connection, pattern, vkeys, add_problem_row, list, &problems, &verified,
                       error) == SQLITE_OK &&
        problems == 0) {
        rbt_list_text(list, "info");
        rbt_list_text(list, "verified");
        rbt_list_null(list);
        rbt_list_text(list, rbt_buffer_text(&verified));
    }
    rbt_buffer_free(&verified);
    return error->code;
}

static const rbt_list_spec verify_spec = {
    .name = "archive_verify",
    .columns = "level TEXT, kind TEXT, id INTEGER, detail TEXT, path HIDDEN, vkeys HIDDEN",
    .visible = 4,
    .arguments = 2,
    .required = 1,
    .direct_only = true,
    .fill = fill_verify,
};
RBT_LIST_TABLE(verify_module, verify_spec);

/* The first problem is the scalar's error. */
static void fail_on_first(void *context, const char *kind, int64_t id, const char *detail) {
    (void)kind, (void)id;
    rbt_fail(context, SQLITE_ERROR, "archive_verify: %s", detail);
}

static void verify_function(sqlite3_context *context, int argument_count,
                            sqlite3_value **arguments) {
    const char *who = "archive_verify";
    rbt_error error = {0}, first = {0};
    rbt_buffer verified = {0};
    int64_t problems;
    const char *pattern = rbt_text_argument(arguments[0], who, "path", &error);
    const char *vkeys =
        argument_count > 1 ? rbt_text_argument(arguments[1], who, "vkeys", &error) : NULL;
    if (error.code != SQLITE_OK) goto cleanup;
    if (verify_pattern(rbt_connection_of(context), pattern, vkeys, fail_on_first, &first, &problems,
                       &verified, &error) != SQLITE_OK)
        goto cleanup;
    if (problems > 1)
        rbt_fail(&error, first.code, "%s; %lld more in the table archive_verify", first.message,
                 (long long)problems - 1);
    else if (problems > 0)
        rbt_fail(&error, first.code, "%s", first.message);
    else
        rbt_result_text(context, &verified);

cleanup:
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
    rbt_error_clear(&first);
    rbt_buffer_free(&verified);
}

/* ---- archive_info ---- */

static void add_text_row(rbt_list *list, const char *key, const char *text, size_t length) {
    rbt_list_text(list, key);
    rbt_list_printf(list, "%.*s", (int)length, text); /* at most the manifest's 32 MiB */
}

static void add_problem_info(void *context, const char *kind, int64_t id, const char *detail) {
    (void)kind, (void)id;
    add_text_row(context, "problem", detail, strlen(detail));
}

/* Each member of the manifest: numbers as INTEGER, strings unescaped, the rest as JSON. */
static int add_members(const rbt_manifest *manifest, rbt_list *list, rbt_error *error) {
    const rbt_json *document = &manifest->document;
    const rbt_json_node *node = rbt_json_first(document, rbt_json_root(document));
    rbt_buffer key = {0}, value = {0};
    for (; node && error->code == SQLITE_OK; node = rbt_json_next(document, node)) {
        int64_t number;
        rbt_buffer_clear(&key);
        rbt_buffer_clear(&value);
        rbt_json_key(document, node, &key);
        if (node->type == RBT_JSON_STRING)
            rbt_json_string(document, node, &value);
        else
            rbt_buffer_add(&value, document->text + node->start, node->length);
        const char *key_text = rbt_buffer_text(&key);
        const char *value_text = rbt_buffer_text(&value);
        if (!key_text || !value_text) {
            rbt_fail_nomem(error);
        } else if (node->type == RBT_JSON_NULL) {
            rbt_list_text(list, key_text);
            rbt_list_null(list);
        } else if (rbt_json_i64(document, node, &number)) {
            rbt_list_text(list, key_text);
            rbt_list_i64(list, number);
        } else {
            add_text_row(list, key_text, value_text, value.length);
        }
    }
    rbt_buffer_free(&key);
    rbt_buffer_free(&value);
    return error->code;
}

/* The key that signed, in both forms, when it is trusted: the note alone names it by four bytes. */
static int add_signer(const rbt_segment *segment, rbt_list *list, rbt_error *error) {
    rbt_buffer vkey = {0}, pem = {0};
    if (segment->trusted) {
        rbt_verifier_format(&vkey, &segment->signer);
        rbt_verifier_pem(&pem, segment->signer.public_key);
        if (vkey.failed || pem.failed) rbt_fail_nomem(error);
    }
    rbt_list_text(list, "verified_by");
    if (error->code == SQLITE_OK && segment->trusted)
        rbt_list_text(list, rbt_buffer_text(&vkey));
    else
        rbt_list_null(list);
    rbt_list_text(list, "pem");
    if (error->code == SQLITE_OK && segment->trusted)
        rbt_list_text(list, rbt_buffer_text(&pem));
    else
        rbt_list_null(list);
    rbt_buffer_free(&vkey);
    rbt_buffer_free(&pem);
    return error->code;
}

static int add_info(const rbt_segment *segment, rbt_list *list, rbt_error *error) {
    rbt_list_text(list, "file_bytes");
    rbt_list_i64(list, segment->file_bytes);
    if (!segment->readable) return SQLITE_OK;
    if (add_members(&segment->manifest, list, error) != SQLITE_OK) return error->code;
    rbt_list_text(list, "filter_bytes"); /* of the manifest's own bytes */
    rbt_list_i64(list, segment->manifest.filter_bytes);

    char digest[2 * sizeof segment->manifest_sha256 + 1];
    rbt_hex_encode(digest, segment->manifest_sha256, sizeof segment->manifest_sha256);
    add_text_row(list, "manifest_sha256", digest, strlen(digest));
    add_text_row(list, "manifest", segment->manifest_text, segment->manifest_length);
    add_text_row(list, "note", segment->note, segment->note_length);
    return add_signer(segment, list, error);
}

static int fill_info(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                     rbt_error *error) {
    const char *who = "archive_info";
    const char *path = rbt_text_argument(arguments[0], who, "path", error);
    const char *vkeys = arguments[1] ? rbt_text_argument(arguments[1], who, "vkeys", error) : NULL;
    if (error->code != SQLITE_OK) return error->code;
    rbt_segment segment = {.file = -1};
    rbt_verifier *verifiers;
    size_t count;
    rbt_problems problems = {
        .sink = add_problem_info, .context = list, .path = path, .error = error};
    if (rbt_segment_open_trusted(&segment, connection, vkeys, who, path, &verifiers, &count,
                                 &problems, error) == SQLITE_OK)
        add_info(&segment, list, error);
    rbt_segment_close(&segment);
    rbt_free(verifiers);
    return error->code;
}

static const rbt_list_spec info_spec = {
    .name = "archive_info",
    .columns = "key TEXT, value, path HIDDEN, vkeys HIDDEN",
    .visible = 2,
    .arguments = 2,
    .required = 1,
    .direct_only = true,
    .fill = fill_info,
};
RBT_LIST_TABLE(info_module, info_spec);

/* ---- Registration ---- */

const rbt_function rbt_archive_functions[] = {
    {"archive_verify", 1, 2, RBT_DIRECT, verify_function, "archive_verify(path_or_glob[, vkeys])",
     "verify",
     "Checks segments in full: one line that says what was checked, or an error with the first "
     "problem",
     "SELECT archive_verify('cold/*.jsonl.zst')"},
    {"audit_restore", 2, 3, RBT_DIRECT, rbt_audit_restore,
     "audit_restore(log, path_or_glob[, vkeys])", "encryption",
     "makes a log again from its segments, each verified, in a database that does not have it: the "
     "same ids, times and root; one line",
     "SELECT audit_restore('orders', 'cold/orders-*.jsonl.zst')"},
    {0},
};

const rbt_table rbt_archive_tables[] = {
    {"archive_verify", &verify_module, "archive_verify(path_or_glob[, vkeys])", "verify",
     "Checks segments in full: a row for every problem, or one that says what was checked",
     "SELECT level, kind, id, detail FROM archive_verify('cold/*.jsonl.zst')"},
    {"archive_info", &info_module, "archive_info(path[, vkeys])", "nothing",
     "What a segment's manifest and note say, whose signature was verified, and what is wrong",
     "SELECT key, value FROM archive_info('cold/orders-000000000000-000000000255.jsonl.zst')"},
    {"archive_entries", &rbt_archive_entries_module, "archive_entries(path_or_glob[, vkeys])",
     "verify", "The entries of segments with their leaves, exactly as they were hashed",
     "SELECT path, id, recorded_at, leaf FROM archive_entries('cold/*.jsonl.zst')"},
    {"archive_salvage", &rbt_archive_salvage_module, "archive_salvage(path_or_glob[, vkeys])",
     "verify",
     "What can still be read of damaged segments: the entries of good frames, and a row for every "
     "problem that says which entries it costs",
     "SELECT path, id, lost, problem FROM archive_salvage('cold/*.jsonl.zst') WHERE problem IS NOT "
     "NULL"},
    {"archive", &rbt_archive_module, "CREATE VIRTUAL TABLE … USING archive('path or glob')",
     "verify", "Segments of one log as a table with the log's own columns",
     "CREATE VIRTUAL TABLE temp.cold USING archive('cold/*.jsonl.zst')"},
    {0},
};
