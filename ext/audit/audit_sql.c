/* SPDX-License-Identifier: MIT
** The scalar functions of the audit log. May call base, crypto and audit.
*/
#include "audit_sql.h"

#include "../base/bytes.h"
#include "../base/json.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../crypto/keys.h"
#include "../crypto/sign.h"
#include "events.h"
#include "expired.h"
#include "lifecycle.h"
#include "log_hold.h"
#include "log_list.h"
#include "log_rows.h"
#include "log_verify.h"
#include "row_visit.h"
#include "settings.h"
#include "subject_hold.h"

/* Asked by the triggers of gates and of subjects' keys: 1 while a statement of our own writes there. */
static void append_only(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    (void)argv;
    rbt_logs *logs = rbt_connection_of(context)->logs;
    bool yes = logs && (logs->inside > 0 || logs->gate_writes > 0);
    if (yes && logs->inside == 0) logs->gate_writes--;
    sqlite3_result_int(context, yes);
}

rbt_log *rbt_audit_open(sqlite3_context *context, sqlite3_value *argument, const char *who,
                        sqlite3_stmt **hold, rbt_error *error) {
    const char *name = rbt_text_argument(argument, who, "log", error);
    rbt_log *log = name ? rbt_log_find(rbt_connection_of(context), name, who, error) : NULL;
    *hold = NULL;
    if (!log) return NULL;
    if (log->dirty) rbt_log_flush(log, error);
    if (error->code == SQLITE_OK) *hold = rbt_log_hold(log, error);
    if (error->code == SQLITE_OK) rbt_log_peek(log, error);
    if (error->code == SQLITE_OK) return log;
    sqlite3_finalize(*hold);
    *hold = NULL;
    rbt_log_release(log);
    return NULL;
}

void rbt_audit_close(sqlite3_context *context, rbt_log *log, sqlite3_stmt *hold, rbt_error *error) {
    sqlite3_finalize(hold);
    rbt_log_release(log);
    if (error->code != SQLITE_OK) rbt_result_error(context, error);
}

static void audit_root(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_root";
    rbt_error error = {0};
    sqlite3_stmt *hold = NULL;
    rbt_log *log = NULL;
    rbt_hash root;
    char hex[65];
    if (argc > 1 && sqlite3_value_type(argv[1]) == SQLITE_NULL) return;
    log = rbt_audit_open(context, argv[0], who, &hold, &error);
    if (!log) goto cleanup;
    uint64_t size = log->frontier.size;
    if (argc > 1) {
        int64_t wanted = sqlite3_value_int64(argv[1]);
        if (sqlite3_value_type(argv[1]) != SQLITE_INTEGER || wanted < 1 ||
            (uint64_t)wanted > size) {
            rbt_fail(&error, SQLITE_ERROR, "%s: size must be an integer from 1 to %llu", who,
                     (unsigned long long)size);
            goto cleanup;
        }
        size = (uint64_t)wanted;
    }
    if (size == log->frontier.size)
        rbt_frontier_root(&root, &log->frontier);
    else
        rbt_tree_root(&root, size, rbt_log_node, log, &error);
    if (error.code == SQLITE_OK) {
        rbt_hex_encode(hex, root.bytes, 32);
        sqlite3_result_text(context, hex, 64, SQLITE_TRANSIENT);
    }
cleanup:
    rbt_audit_close(context, log, hold, &error);
}

static void audit_size(sqlite3_context *context, int argc, sqlite3_value **argv) {
    rbt_error error = {0};
    sqlite3_stmt *hold = NULL;
    (void)argc;
    rbt_log *log = rbt_audit_open(context, argv[0], "audit_size", &hold, &error);
    if (log) sqlite3_result_int64(context, (int64_t)log->frontier.size);
    rbt_audit_close(context, log, hold, &error);
}

static void audit_leaf(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_leaf";
    rbt_error error = {0};
    sqlite3_stmt *hold = NULL;
    rbt_log *log = NULL;
    rbt_buffer leaf = {0};
    bool found = false;
    (void)argc;
    if (sqlite3_value_type(argv[1]) == SQLITE_NULL) return;
    log = rbt_audit_open(context, argv[0], who, &hold, &error);
    if (!log) goto cleanup;
    if (sqlite3_value_type(argv[1]) != SQLITE_INTEGER)
        rbt_fail(&error, SQLITE_ERROR, "%s: id must be INTEGER, not %s", who,
                 rbt_type_name(sqlite3_value_type(argv[1])));
    else if (rbt_log_leaf(log, sqlite3_value_int64(argv[1]), &leaf, &found, &error) == SQLITE_OK) {
        if (found)
            rbt_result_text(context, &leaf);
        else
            rbt_fail(&error, SQLITE_ERROR, "%s: %s has entries 0 to %llu, not %lld", who, log->name,
                     (unsigned long long)log->frontier.size - 1,
                     (long long)sqlite3_value_int64(argv[1]));
    }
cleanup:
    rbt_buffer_free(&leaf);
    rbt_audit_close(context, log, hold, &error);
}

static void audit_public_key(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_public_key";
    rbt_error error = {0};
    sqlite3_stmt *hold = NULL;
    rbt_buffer text = {0};
    rbt_verifier verifier;
    const char *form = argc > 1 ? rbt_text_argument(argv[1], who, "form", &error) : "vkey";
    rbt_log *log = form ? rbt_audit_open(context, argv[0], who, &hold, &error) : NULL;
    if (!log) goto cleanup;
    const rbt_keys *keys = rbt_connection_keys(rbt_connection_of(context), who, &error);
    const rbt_signing_key *signing = keys ? rbt_keys_signing(keys) : NULL;
    if (!keys) goto cleanup;
    if (!signing)
        rbt_fail(&error, SQLITE_ERROR,
                 "%s: there is no key that signs; set RUSTYBT_SIGNING_KEY or "
                 "RUSTYBT_ENCRYPTION_KEY",
                 who);
    else if (strcmp(form, "pem") == 0)
        rbt_verifier_pem(&text, signing->public_key);
    else if (strcmp(form, "vkey") != 0)
        rbt_fail(&error, SQLITE_ERROR, "%s: form must be 'vkey' or 'pem'", who);
    else if (!rbt_verifier_make(&verifier, log->origin, signing->public_key))
        rbt_fail(&error, SQLITE_CORRUPT_VTAB, "%s: the origin of %s is damaged", who, log->name);
    else
        rbt_verifier_format(&text, &verifier);
    if (error.code == SQLITE_OK) rbt_result_text(context, &text);
cleanup:
    rbt_buffer_free(&text);
    rbt_audit_close(context, log, hold, &error);
}

/* The first finding of level error is what the scalar form raises; the info lines are its result. */
typedef struct verdict {
    rbt_buffer lines;
    char *first_problem;
} verdict;

static void judge(void *context, const char *level, const char *kind, int64_t id,
                  const char *detail) {
    verdict *v = context;
    (void)id;
    if (strcmp(level, "error") != 0 && strcmp(kind, "verified") != 0) return; /* said there, too */
    if (strcmp(level, "error") != 0) {
        if (v->lines.length) rbt_buffer_add_byte(&v->lines, '\n');
        rbt_buffer_add_text(&v->lines, detail);
    } else if (!v->first_problem) {
        v->first_problem = rbt_strdup(detail);
    }
}

static void audit_verify(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_verify";
    rbt_error error = {0};
    verdict v = {0};
    rbt_buffer note = {0};
    const char *checkpoint = NULL, *vkeys = NULL;
    int64_t problems = 0;
    const char *name = rbt_text_argument(argv[0], who, "log", &error);
    /* NULL is no way to leave the checkpoint out: readfile() of a missing file gives NULL. */
    if (argc > 1) checkpoint = rbt_audit_note_argument(&note, argv[1], who, "checkpoint", &error);
    if (argc > 2) vkeys = rbt_text_argument(argv[2], who, "vkeys", &error);
    if (error.code == SQLITE_OK)
        rbt_logs_verify(rbt_connection_of(context), name, checkpoint, vkeys, judge, &v, &problems,
                        &error);
    if (error.code == SQLITE_OK && problems == 1)
        rbt_fail(&error, SQLITE_CORRUPT_VTAB, "%s: %s", who,
                 v.first_problem ? v.first_problem : name);
    else if (error.code == SQLITE_OK && problems > 1)
        rbt_fail(&error, SQLITE_CORRUPT_VTAB,
                 "%s: %s (and %lld more; SELECT * FROM audit_verify('%s') lists them)", who,
                 v.first_problem ? v.first_problem : name, (long long)problems - 1, name);
    if (error.code == SQLITE_OK)
        rbt_result_text(context, &v.lines);
    else
        rbt_result_error(context, &error);
    rbt_buffer_free(&note);
    rbt_buffer_free(&v.lines);
    rbt_free(v.first_problem);
}

int rbt_audit_each_done(rbt_audit_each *each, bool every, rbt_error *error) {
    each->logs++;
    if (!every || error->code == SQLITE_OK || error->code == SQLITE_NOMEM) return error->code;
    if (each->failed++ == 0) {
        each->first = *error;
        *error = (rbt_error){0};
    }
    rbt_error_clear(error);
    return SQLITE_OK;
}

int rbt_audit_each_end(rbt_audit_each *each, rbt_error *error) {
    const char *message = each->first.message ? each->first.message : "out of memory";
    if (each->failed == 1)
        rbt_fail(error, each->first.code, "%s", message);
    else if (each->failed > 1)
        rbt_fail(error, each->first.code, "%s (and %lld more of %lld logs failed)", message,
                 (long long)each->failed - 1, (long long)each->logs);
    rbt_error_clear(&each->first);
    return error->code;
}

/* Arguments of audit_archive, and the lines of its report. */
typedef struct archive_call {
    bool every; /* '*': logs without an archive are passed over */
    const char *directory;
    int64_t cutoff;
    rbt_buffer report;
    rbt_audit_each each;
} archive_call;

void rbt_audit_add_report(rbt_buffer *report, const rbt_buffer *line) {
    if (report->length && line->length) rbt_buffer_add_byte(report, '\n');
    rbt_buffer_add(report, line->data ? line->data : (const uint8_t *)"", line->length);
    if (line->failed) report->failed = true;
}

static int archive_log(rbt_log *log, void *context, rbt_error *error) {
    archive_call *call = context;
    rbt_settings settings = {0};
    if (call->every) rbt_settings_read(&settings, log, "audit_archive", error);
    bool passed_over = call->every && (!settings.archive ||
                                       (!settings.archive_after && call->cutoff == INT64_MIN));
    rbt_settings_free(&settings);
    if (error->code != SQLITE_OK || passed_over) return error->code;
    rbt_buffer line = {0};
    rbt_archive_run(log, call->directory, call->cutoff, &line, error);
    rbt_audit_add_report(&call->report, &line);
    rbt_buffer_free(&line);
    return rbt_audit_each_done(&call->each, call->every, error);
}

int rbt_audit_time_argument(sqlite3 *db, sqlite3_value *value, const char *who,
                            const char *argument, int64_t *time_us, rbt_error *error) {
    if (sqlite3_value_type(value) == SQLITE_INTEGER) {
        *time_us = sqlite3_value_int64(value);
        if (*time_us == INT64_MIN) ++*time_us;
        return SQLITE_OK;
    }
    const char *text = rbt_text_argument(value, who, argument, error);
    if (!text) return error->code;
    if (sqlite3_stricmp(text, "now") == 0) {
        *time_us = INT64_MAX;
        return SQLITE_OK;
    }
    sqlite3_stmt *date = rbt_prepare(
        db, error, who,
        "SELECT CAST(round((julianday(%Q) - 2440587.5) * 86400000) AS INTEGER) * 1000", text);
    if (!date) return error->code;
    if (sqlite3_step(date) == SQLITE_ROW && sqlite3_column_type(date, 0) != SQLITE_NULL)
        *time_us = sqlite3_column_int64(date, 0);
    else
        rbt_fail(error, SQLITE_ERROR,
                 "%s: %s must be a date like '2026-01-31', 'now', or Unix microseconds", who,
                 argument);
    sqlite3_finalize(date);
    return error->code;
}

static void audit_archive(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_archive";
    rbt_error error = {0};
    archive_call call = {.cutoff = INT64_MIN};
    const char *name = rbt_text_argument(argv[0], who, "log", &error);
    if (argc > 1) call.directory = rbt_text_argument(argv[1], who, "directory", &error);
    if (argc > 2 && error.code == SQLITE_OK)
        rbt_audit_time_argument(rbt_connection_of(context)->db, argv[2], who, "before",
                                &call.cutoff, &error);
    if (error.code == SQLITE_OK) {
        call.every = strcmp(name, "*") == 0;
        rbt_logs_visit(rbt_connection_of(context), name, who, archive_log, &call, &error);
        rbt_audit_each_end(&call.each, &error);
    }
    if (error.code == SQLITE_OK && call.report.length == 0)
        rbt_buffer_add_text(&call.report,
                            "nothing to archive: no log declares archive and archive_after");
    if (error.code == SQLITE_OK)
        rbt_result_text(context, &call.report);
    else
        rbt_result_error(context, &error);
    rbt_buffer_free(&call.report);
}

typedef struct prune_call {
    bool every;
    rbt_buffer report;
    rbt_audit_each each;
} prune_call;

static int prune_log(rbt_log *log, void *context, rbt_error *error) {
    prune_call *call = context;
    rbt_settings settings = {0};
    if (call->every) rbt_settings_read(&settings, log, "audit_prune", error);
    bool passed_over = call->every && !settings.archive;
    rbt_settings_free(&settings);
    if (error->code != SQLITE_OK || passed_over) return error->code;
    rbt_buffer line = {0};
    rbt_prune_run(log, &line, error);
    rbt_audit_add_report(&call->report, &line);
    rbt_buffer_free(&line);
    return rbt_audit_each_done(&call->each, call->every, error);
}

static void audit_prune(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_prune";
    rbt_error error = {0};
    prune_call call = {0};
    (void)argc;
    const char *name = rbt_text_argument(argv[0], who, "log", &error);
    if (name) {
        call.every = strcmp(name, "*") == 0;
        rbt_logs_visit(rbt_connection_of(context), name, who, prune_log, &call, &error);
        rbt_audit_each_end(&call.each, &error);
    }
    if (error.code == SQLITE_OK && call.report.length == 0)
        rbt_buffer_add_text(&call.report, "nothing to prune: no log declares an archive");
    if (error.code == SQLITE_OK)
        rbt_result_text(context, &call.report);
    else
        rbt_result_error(context, &error);
    rbt_buffer_free(&call.report);
}

/* What audit_succession('*') did, for one line; or to one log. */
typedef struct succession_call {
    bool every;
    rbt_buffer report;    /* of one log */
    rbt_buffer handed;    /* names of the logs, with sizes */
    rbt_buffer as_before; /* names */
    rbt_buffer resealed;  /* names */
    char seal_key[17];
    int64_t handed_count, as_before_count;
} succession_call;

static void add_name(rbt_buffer *list, const char *name) {
    if (list->length) rbt_buffer_add_text(list, ", ");
    rbt_buffer_add_text(list, name);
}

static void add_key_id(rbt_buffer *out, const rbt_verifier *key) {
    rbt_buffer_add_text(out, "signing key ");
    rbt_buffer_add_hex(out, key->key_id, sizeof key->key_id);
}

static void report_succession(succession_call *call, const rbt_log *log,
                              const rbt_succession_outcome *outcome) {
    const rbt_succession *last = &outcome->last;
    unsigned long long size = last->size;
    rbt_buffer_printf(&call->report, "%s: ", log->name);
    if (last->size > 0) add_key_id(&call->report, &last->next);
    if (outcome->notes > 0) {
        rbt_buffer_printf(&call->report, " takes over at size %llu from ", size);
        add_key_id(&call->report, &last->previous);
    } else if (last->size > 0) {
        rbt_buffer_printf(&call->report, " took over at size %llu already", size);
    } else {
        rbt_buffer_add_text(&call->report, "nothing to hand over: no other key has signed it");
    }
    if (outcome->resealed[0])
        rbt_buffer_printf(&call->report, "; sealed under key %s now", outcome->resealed);
}

static int prepare_succession(rbt_log *log, void *context, rbt_error *error) {
    (void)context;
    return rbt_succession_prepare(log, error);
}

static int hand_over_log(rbt_log *log, void *context, rbt_error *error) {
    succession_call *call = context;
    rbt_succession_outcome outcome;
    if (rbt_succession_run(log, &outcome, error) != SQLITE_OK) return error->code;
    if (!call->every) {
        report_succession(call, log, &outcome);
        return SQLITE_OK;
    }
    add_name(outcome.notes > 0 ? &call->handed : &call->as_before, log->name);
    if (outcome.notes > 0) {
        rbt_buffer_printf(&call->handed, " (size %llu)", (unsigned long long)outcome.last.size);
        call->handed_count++;
    } else {
        call->as_before_count++;
    }
    if (outcome.resealed[0]) {
        add_name(&call->resealed, log->name);
        memcpy(call->seal_key, outcome.resealed, sizeof call->seal_key);
    }
    return SQLITE_OK;
}

static void report_successions(succession_call *call, rbt_error *error) {
    char *handed = rbt_buffer_text(&call->handed), *as_before = rbt_buffer_text(&call->as_before);
    char *resealed = rbt_buffer_text(&call->resealed);
    rbt_buffer *report = &call->report;
    if (!handed || !as_before || !resealed) {
        rbt_fail_nomem(error);
        return;
    }
    if (call->handed_count == 0 && call->as_before_count == 0)
        rbt_buffer_add_text(report, "nothing to hand over: the database has no audit log");
    if (call->handed_count > 0)
        rbt_buffer_printf(report, "signing key handed over in %lld log%s: %s",
                          (long long)call->handed_count, call->handed_count == 1 ? "" : "s",
                          handed);
    if (call->as_before_count > 0)
        rbt_buffer_printf(report, "%snothing to hand over in %lld log%s: %s",
                          report->length ? "; " : "", (long long)call->as_before_count,
                          call->as_before_count == 1 ? "" : "s", as_before);
    if (resealed[0])
        rbt_buffer_printf(report, "; sealed under key %s now: %s", call->seal_key, resealed);
}

static void audit_succession(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_succession";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    succession_call call = {0};
    (void)argc;
    const char *name = rbt_text_argument(argv[0], who, "log", &error);
    if (rbt_inside_a_write(connection->db))
        rbt_fail(&error, SQLITE_ERROR, "%s: it must be called by itself, as SELECT %s(log)", who,
                 who);
    if (error.code == SQLITE_OK) {
        call.every = strcmp(name, "*") == 0;
        if (call.every) rbt_logs_visit(connection, name, who, prepare_succession, NULL, &error);
        if (error.code == SQLITE_OK)
            rbt_logs_visit(connection, name, who, hand_over_log, &call, &error);
    }
    if (error.code == SQLITE_OK && call.every) report_successions(&call, &error);
    if (error.code == SQLITE_OK)
        rbt_result_text(context, &call.report);
    else
        rbt_result_error(context, &error);
    rbt_buffer_free(&call.report);
    rbt_buffer_free(&call.handed);
    rbt_buffer_free(&call.as_before);
    rbt_buffer_free(&call.resealed);
}

/* Holds are entries of rustybt_events and nothing else, and so is what makes an expired segment one: they
** would end with it. What cannot be read for damage keeps nobody from discarding that log. */
static int require_nothing_rests_on(const rbt_log *log, const char *who, rbt_error *error) {
    rbt_connection *connection = log->logs->connection;
    rbt_holds holds = {0};
    rbt_error damage = {0};
    if (strcmp(log->schema, "main") == 0 &&
        rbt_subject_holds_read(connection, &holds, who, &damage) == SQLITE_NOMEM)
        rbt_fail_nomem(error);
    else if (holds.count > 0)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: hold %lld on a subject would end with " RBT_EVENTS_LOG
                 ": %s; subject_release(%lld, reason) ends it",
                 who, (long long)holds.items[0].id, holds.items[0].reason,
                 (long long)holds.items[0].id);
    rbt_error_clear(&damage);
    rbt_holds_free(&holds);
    return error->code;
}

/* A log of the same schema with segments that have expired: the first one is the error. */
typedef struct expiry_search {
    const rbt_log *events;
    const char *who;
} expiry_search;

static int refuse_expired(rbt_log *log, void *context, rbt_error *error) {
    const expiry_search *search = context;
    rbt_expired expired = {0};
    rbt_error damage = {0}; /* such a log reads as it did before */
    if (sqlite3_stricmp(log->schema, search->events->schema) != 0) return SQLITE_OK;
    if (rbt_log_peek(log, &damage) == SQLITE_OK) rbt_expired_read(&expired, log, &damage);
    if (damage.code == SQLITE_NOMEM)
        rbt_fail_nomem(error);
    else if (expired.count > 0)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: segments of %s have expired, which " RBT_EVENTS_LOG
                 " tells of: without it the log could not be read",
                 search->who, log->name);
    rbt_error_clear(&damage);
    rbt_expired_free(&expired);
    return error->code;
}

static int require_no_hold(rbt_log *log, const char *who, rbt_error *error) {
    expiry_search search = {log, who};
    if (sqlite3_stricmp(log->name, RBT_EVENTS_LOG) == 0 &&
        require_nothing_rests_on(log, who, error) == SQLITE_OK)
        rbt_logs_visit(log->logs->connection, "*", who, refuse_expired, &search, error);
    if (error->code == SQLITE_OK) rbt_hold_refuse(log, true, who, error);
    return error->code;
}

/* Records why, and lets DROP TABLE go on, on this connection. Works on a damaged log too: then it says so
** in place of size and root. */
static void audit_discard(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_discard";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0}, damage = {0};
    rbt_buffer detail = {0};
    rbt_hash root;
    rbt_log *log = NULL;
    (void)argc;
    const char *name = rbt_text_argument(argv[0], who, "log", &error);
    const char *reason = rbt_text_argument(argv[1], who, "reason", &error);
    if (reason && !reason[0]) rbt_fail(&error, SQLITE_ERROR, "%s: reason must not be empty", who);
    if (rbt_inside_a_write(connection->db))
        rbt_fail(&error, SQLITE_ERROR, "%s: it must be called by itself, as SELECT %s(log, reason)",
                 who, who);
    if (error.code == SQLITE_OK) log = rbt_log_find(connection, name, who, &error);
    if (!log || rbt_events_prepare(connection, log->schema, who, &error) != SQLITE_OK ||
        require_no_hold(log, who, &error) != SQLITE_OK)
        goto cleanup;
    rbt_buffer_add_text(&detail, "{\"reason\":");
    rbt_json_add_string(&detail, reason, strlen(reason));
    if (rbt_log_peek(log, &damage) == SQLITE_OK) {
        rbt_frontier_root(&root, &log->frontier);
        rbt_buffer_printf(&detail, ",\"entries\":%lld,\"root\":\"",
                          (long long)log->frontier.size - 1);
        rbt_buffer_add_hex(&detail, root.bytes, 32);
        rbt_buffer_add_text(&detail, "\"}");
    } else {
        rbt_buffer_add_text(&detail, ",\"damaged\":true}");
    }
    if (rbt_events_add(connection, log->schema, "discard", log->name, &detail, who, &error) ==
            SQLITE_OK &&
        rbt_log_discard(log, sqlite3_last_insert_rowid(connection->db), &error) == SQLITE_OK) {
        char *line = sqlite3_mprintf("%s: recorded; DROP TABLE %s may go on, on this connection",
                                     log->name, log->name);
        if (line)
            sqlite3_result_text(context, line, -1, sqlite3_free);
        else
            rbt_fail_nomem(&error);
    }
cleanup:
    rbt_error_clear(&damage);
    rbt_buffer_free(&detail);
    rbt_log_release(log);
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
}

const rbt_function rbt_audit_functions[] = {
    {"rustybt_append_only", 0, 0, RBT_INNOCUOUS, append_only, NULL, NULL, NULL, NULL},
    {"rustybt_visit", -1, -1, RBT_DIRECT, rbt_visit_function, NULL, NULL, NULL, NULL},
    {"audit_root", 1, 2, RBT_DIRECT, audit_root, "audit_root(log[, size])", "nothing",
     "Merkle root (RFC 6962) of the log, or of its first size leaves, as 64 hex digits",
     "SELECT audit_root('order_audit_log')"},
    {"audit_size", 1, 1, RBT_DIRECT, audit_size, "audit_size(log)", "nothing",
     "leaves in the log's tree: its entries and the genesis",
     "SELECT audit_size('order_audit_log')"},
    {"audit_leaf", 2, 2, RBT_DIRECT, audit_leaf, "audit_leaf(log, id)", "nothing",
     "an entry as the exact JSON line that is hashed and archived; 0 is the genesis",
     "SELECT audit_leaf('order_audit_log', 0)"},
    {"audit_public_key", 1, 2, RBT_DIRECT, audit_public_key,
     "audit_public_key(log[, 'vkey'|'pem'])", "signing",
     "the public key that verifies the log's segments and checkpoints",
     "SELECT audit_public_key('order_audit_log')"},
    {"audit_verify", 1, 3, RBT_DIRECT, audit_verify, "audit_verify(log[, checkpoint[, vkeys]])",
     "verify",
     "verifies a log, or '*' for all; one line when intact, else an error with the first problem",
     "SELECT audit_verify('order_audit_log')"},
    {"audit_archive", 1, 3, RBT_DIRECT, audit_archive, "audit_archive(log[, directory[, before]])",
     "signing", "writes old entries into signed, compressed segments; '*' for all logs",
     "SELECT audit_archive('*')"},
    {"audit_prune", 1, 1, RBT_DIRECT, audit_prune, "audit_prune(log)", "verify",
     "deletes hot rows that segments hold, each verified first; '*' for all logs",
     "SELECT audit_prune('*')"},
    {"audit_succession", 1, 1, RBT_DIRECT, audit_succession, "audit_succession(log)", "signing",
     "hands a log over to a new signing key, with a note that the old one signs too; '*' for all",
     "SELECT audit_succession('*')"},
    {"audit_discard", 2, 2, RBT_DIRECT, audit_discard, "audit_discard(log, reason)", "encryption",
     "records a reason in rustybt_events and lets DROP TABLE go on, on this connection",
     "SELECT audit_discard('scratch_log', 'set up by mistake')"},
    {0}};
