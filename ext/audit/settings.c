/* SPDX-License-Identifier: MIT
** See settings.h.
*/
#include "settings.h"

#include "../base/bytes.h"
#include "../base/json.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "events.h"

void rbt_settings_free(rbt_settings *settings) {
    rbt_free(settings->archive);
    rbt_free(settings->archive_after);
    rbt_free(settings->retain);
    memset(settings, 0, sizeof *settings);
}

/* Whether `longer` is at least `shorter` from any day on: a month has 28 to 31 days. */
static bool at_least(rbt_duration longer, rbt_duration shorter) {
    static const int64_t day_us = INT64_C(86400000000);
    int64_t months = longer.months - shorter.months, us = longer.us - shorter.us;
    if (months < 0) return us / (31 * day_us) >= -months;
    if (us < 0) return months > -us / (28 * day_us);
    return true;
}

static int replace_text(char **text, const char *value, rbt_error *error) {
    char *copy = rbt_strdup(value);
    if (!copy) return rbt_fail_nomem(error);
    rbt_free(*text);
    *text = copy;
    return SQLITE_OK;
}

/* The text that holds for an option, and its place in the settings; NULL: no such option. */
static char **option_text(rbt_settings *settings, const char *option) {
    if (strcmp(option, "archive") == 0) return &settings->archive;
    if (strcmp(option, "archive_after") == 0) return &settings->archive_after;
    if (strcmp(option, "retain") == 0) return &settings->retain;
    return NULL;
}

/* Takes a value that was checked when it was set; false when it is none. A shorter retain changes nothing. */
static bool apply(rbt_settings *settings, const char *option, const char *value, rbt_error *error) {
    char **text = option_text(settings, option);
    rbt_duration duration;
    if (!text || !value[0]) return false;
    if (text != &settings->archive) {
        if (!rbt_duration_parse(&duration, value, strlen(value))) return false;
        if (text == &settings->retain) {
            if (!settings->retain || !at_least(duration, settings->retain_duration)) return true;
            settings->retain_duration = duration;
        } else {
            settings->archive_after_duration = duration;
        }
    }
    replace_text(text, value, error);
    return true;
}

typedef struct replay {
    rbt_settings *settings;
    const rbt_log *log;
    const char *who;
} replay;

/* A member of the detail as text, or NULL. */
static const char *member_text(rbt_buffer *out, const rbt_json *document, const char *name) {
    const rbt_json_node *node = rbt_json_member(document, rbt_json_root(document), name);
    if (!node || !rbt_json_string(document, node, out)) return NULL;
    return rbt_buffer_text(out);
}

static int replay_event(void *context, int64_t recorded_at, const char *detail, size_t length,
                        rbt_error *error) {
    (void)recorded_at;
    const replay *r = context;
    rbt_json document = {0};
    rbt_buffer option = {0}, value = {0}, log_id = {0};
    char own_id[33];
    rbt_hex_encode(own_id, r->log->log_id, sizeof r->log->log_id);
    if (rbt_json_parse(&document, detail, length, r->who, error) == SQLITE_OK) {
        const char *id = member_text(&log_id, &document, "log_id");
        const char *name = member_text(&option, &document, "option");
        const char *text = member_text(&value, &document, "value");
        if (log_id.failed || option.failed || value.failed)
            rbt_fail_nomem(error);
        else if (!id || !name || !text ||
                 (strcmp(id, own_id) == 0 && !apply(r->settings, name, text, error)))
            rbt_fail(error, SQLITE_CORRUPT_VTAB,
                     "%s: an event of action 'set' in " RBT_EVENTS_LOG " is not one of audit_set; "
                     "SELECT * FROM audit_verify('" RBT_EVENTS_LOG "') tells more",
                     r->who);
    }
    rbt_buffer_free(&option);
    rbt_buffer_free(&value);
    rbt_buffer_free(&log_id);
    rbt_json_free(&document);
    return error->code;
}

int rbt_settings_read(rbt_settings *settings, rbt_log *log, const char *who, rbt_error *error) {
    const rbt_declaration *declaration = log->declaration;
    replay r = {settings, log, who};
    memset(settings, 0, sizeof *settings);
    settings->archive_after_duration = declaration->archive_after_duration;
    settings->retain_duration = declaration->retain_duration;
    if (declaration->archive) replace_text(&settings->archive, declaration->archive, error);
    if (declaration->archive_after)
        replace_text(&settings->archive_after, declaration->archive_after, error);
    if (declaration->retain) replace_text(&settings->retain, declaration->retain, error);
    /* the genesis, for log_id */
    if (error->code == SQLITE_OK && rbt_log_peek(log, error) == SQLITE_OK)
        rbt_events_visit(log->logs->connection, log->schema, "set", log->name, who, replay_event,
                         &r, error);
    return error->code;
}

static int check_value(const rbt_log *log, rbt_settings *now, const char *option, const char *value,
                       const char *who, rbt_error *error) {
    rbt_duration duration;
    char **text = option_text(now, option);
    if (!text)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: option must be archive, archive_after or retain; the others are part "
                        "of the log's identity",
                        who);
    if (!value[0]) return rbt_fail(error, SQLITE_ERROR, "%s: value must not be empty", who);
    if (text == &now->archive) return SQLITE_OK;
    if (!rbt_duration_parse(&duration, value, strlen(value)))
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: %s must be a duration such as '90 days' or '7 years'", who, option);
    if (text == &now->retain && !now->retain)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: %s declares no retain, so its entries are kept for ever; retain only "
                        "grows",
                        who, log->name);
    if (text == &now->retain && !at_least(duration, now->retain_duration))
        return rbt_fail(error, SQLITE_ERROR, "%s: retain of %s is '%s' and only grows", who,
                        log->name, now->retain);
    return SQLITE_OK;
}

static int record(rbt_log *log, const char *option, const char *value, const char *previous,
                  const char *who, rbt_error *error) {
    rbt_buffer detail = {0};
    rbt_buffer_add_text(&detail, "{\"option\":");
    rbt_json_add_string(&detail, option, strlen(option));
    rbt_buffer_add_text(&detail, ",\"value\":");
    rbt_json_add_string(&detail, value, strlen(value));
    rbt_buffer_add_text(&detail, ",\"previous\":");
    if (previous)
        rbt_json_add_string(&detail, previous, strlen(previous));
    else
        rbt_buffer_add_text(&detail, "null");
    rbt_buffer_add_text(&detail, ",\"log_id\":\"");
    rbt_buffer_add_hex(&detail, log->log_id, sizeof log->log_id);
    rbt_buffer_add_text(&detail, "\"}");
    if (rbt_events_prepare(log->logs->connection, log->schema, who, error) == SQLITE_OK)
        rbt_events_add(log->logs->connection, log->schema, "set", log->name, &detail, who, error);
    rbt_buffer_free(&detail);
    return error->code;
}

static void audit_set(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static const char who[] = "audit_set";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_settings now = {0};
    rbt_buffer report = {0};
    rbt_log *log = NULL;
    (void)argc;
    const char *name = rbt_text_argument(argv[0], who, "log", &error);
    const char *option = rbt_text_argument(argv[1], who, "option", &error);
    const char *value = rbt_text_argument(argv[2], who, "value", &error);
    if (rbt_inside_a_write(connection->db))
        rbt_fail(&error, SQLITE_ERROR,
                 "%s: it must be called by itself, as SELECT %s(log, option, value)", who, who);
    if (error.code == SQLITE_OK) log = rbt_log_find(connection, name, who, &error);
    if (log && rbt_settings_read(&now, log, who, &error) == SQLITE_OK &&
        check_value(log, &now, option, value, who, &error) == SQLITE_OK) {
        const char *previous = *option_text(&now, option);
        if (previous && strcmp(previous, value) == 0) {
            rbt_buffer_printf(&report, "%s: %s is '%s' already", log->name, option, value);
        } else if (record(log, option, value, previous, who, &error) == SQLITE_OK) {
            rbt_buffer_printf(&report, "%s: %s is '%s' now", log->name, option, value);
            if (previous) rbt_buffer_printf(&report, ", was '%s'", previous);
        }
    }
    if (error.code == SQLITE_OK)
        rbt_result_text(context, &report);
    else
        rbt_result_error(context, &error);
    rbt_buffer_free(&report);
    rbt_settings_free(&now);
    rbt_log_release(log);
}

const rbt_function rbt_setting_functions[] = {
    {"audit_set", 3, 3, RBT_DIRECT, audit_set, "audit_set(log, option, value)", "encryption",
     "sets archive, archive_after or retain, which only grows, of a log from now on; recorded in "
     "rustybt_events",
     "SELECT audit_set('order_audit_log', 'archive_after', '2 years')"},
    {0}};
