/* SPDX-License-Identifier: MIT
** See log_extend.h.
**
** A virtual table cannot be altered, and writable_schema is forbidden where DEFENSIVE is set. So the storage
** is altered, and the table over it is dropped and created with the longer list of arguments; xDestroy and
** xCreate leave the storage alone meanwhile. All of it, the event too, is one transaction.
*/
#include "log_extend.h"

#include "../base/bytes.h"
#include "../base/json.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "events.h"
#include "lifecycle.h"
#include "sql_tokens.h"
#include "storage.h"

static const char add_column[] = "add_column", add_index[] = "add_index";

bool rbt_extends_log(const char *option) {
    return strcmp(option, add_column) == 0 || strcmp(option, add_index) == 0;
}

bool rbt_log_is_extending(const rbt_log *log) {
    const rbt_log_extension *extension = log->logs->extension;
    return extension && sqlite3_stricmp(extension->schema, log->schema) == 0 &&
           sqlite3_stricmp(extension->name, log->name) == 0;
}

int rbt_log_adopt(const rbt_log *log, rbt_error *error) {
    const rbt_declaration *after = log->logs->extension->after;
    if (!rbt_declaration_equal(log->declaration, after->argument_count,
                               (const char *const *)after->arguments))
        rbt_fail(error, SQLITE_ERROR, "%s: SQLite reads the extended declaration otherwise",
                 log->name);
    return error->code;
}

/* ---- What is on record ---- */

typedef struct history {
    rbt_genesis *genesis;
    const rbt_log *log;
} history;

static bool member_is(const rbt_json *document, const char *name, const char *text) {
    rbt_buffer value = {0};
    const rbt_json_node *node = rbt_json_member(document, rbt_json_root(document), name);
    bool same = node && rbt_json_string(document, node, &value) && value.length == strlen(text) &&
                memcmp(value.data, text, value.length) == 0;
    rbt_buffer_free(&value);
    return same;
}

static int add_argument(rbt_genesis *genesis, const rbt_json *document, rbt_error *error) {
    rbt_buffer text = {0};
    const rbt_json_node *node = rbt_json_member(document, rbt_json_root(document), "argument");
    char **arguments =
        rbt_realloc(genesis->arguments, ((size_t)genesis->argument_count + 1) * sizeof *arguments);
    if (!arguments) return rbt_fail_nomem(error);
    genesis->arguments = arguments;
    if (node) rbt_json_string(document, node, &text); /* none: an empty one, which fits nothing */
    char *argument = rbt_buffer_take(&text);
    if (!argument) return rbt_fail_nomem(error);
    arguments[genesis->argument_count++] = argument;
    return SQLITE_OK;
}

static int replay_event(void *context, int64_t recorded_at, const char *detail, size_t length,
                        rbt_error *error) {
    (void)recorded_at;
    const history *h = context;
    rbt_json document = {0};
    char log_id[33];
    rbt_hex_encode(log_id, h->log->log_id, sizeof h->log->log_id);
    if (rbt_json_parse(&document, detail, length, h->log->name, error) == SQLITE_OK &&
        member_is(&document, "log_id", log_id) &&
        (member_is(&document, "option", add_column) || member_is(&document, "option", add_index)))
        add_argument(h->genesis, &document, error);
    rbt_json_free(&document);
    return error->code;
}

int rbt_genesis_extend(rbt_genesis *genesis, rbt_log *log, rbt_error *error) {
    history h = {genesis, log};
    if (sqlite3_stricmp(log->name, RBT_EVENTS_LOG) == 0) return error->code; /* is never extended */
    return rbt_events_visit(log->logs->connection, log->schema, "set", log->name, log->name,
                            replay_event, &h, error);
}

/* ---- Extending ---- */

/* The new argument: the value from its first token to its last, so that no comment swallows what follows. */
static char *make_argument(const rbt_log *log, const char *option, const char *value,
                           const char *who, rbt_error *error) {
    rbt_tokens tokens = {value, value + strlen(value)};
    rbt_token first = rbt_next_token(&tokens), last = first;
    for (rbt_token token = first; token.kind != RBT_TOKEN_END; token = rbt_next_token(&tokens)) {
        if (token.kind == RBT_TOKEN_ILLEGAL) {
            rbt_fail(error, SQLITE_ERROR,
                     "%s: a semicolon, a parameter or an unclosed quote in \"%s\"", who, value);
            return NULL;
        }
        last = token;
    }
    if (first.kind == RBT_TOKEN_END) {
        rbt_fail(error, SQLITE_ERROR, "%s: value must not be empty", who);
        return NULL;
    }
    int length = (int)(last.text + last.length - first.text);
    char *argument = strcmp(option, add_column) == 0
                         ? sqlite3_mprintf("%.*s SINCE %llu", length, first.text,
                                           (unsigned long long)log->frontier.size)
                         : sqlite3_mprintf("INDEX(%.*s)", length, first.text);
    if (!argument) rbt_fail_nomem(error);
    return argument;
}

/* The declaration with one argument more, which must be what the option says. */
static rbt_declaration *declare(const rbt_log *log, const char *option, const char *argument,
                                rbt_error *error) {
    const rbt_declaration *before = log->declaration;
    size_t count = (size_t)before->argument_count;
    const char **arguments = rbt_calloc((count + 1) * sizeof *arguments);
    if (!arguments) {
        rbt_fail_nomem(error);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        arguments[i] = before->arguments[i];
    arguments[count] = argument;
    rbt_declaration *after = rbt_declaration_parse(log->name, (int)count + 1, arguments, error);
    rbt_free(arguments);
    bool is_column = strcmp(option, add_column) == 0;
    if (after && (after->shape.count != before->shape.count + is_column ||
                  after->index_count != before->index_count + !is_column)) {
        rbt_fail(error, SQLITE_ERROR, "%s: \"%s\" is no %s", log->name, argument,
                 is_column ? "column" : "index");
        rbt_declaration_free(after);
        return NULL;
    }
    return after;
}

/* The older entries read as NULL, which CHECK must let pass. One that names other columns is tried on the
** rows, by ALTER TABLE. DEFAULT must be something that can be computed. */
static int try_column(const rbt_log *log, const rbt_declaration *after, rbt_error *error) {
    const char *name = after->shape.columns[after->shape.count - 1].name;
    const rbt_log_column *column = &after->columns[after->shape.count - 1];
    rbt_error elsewhere = {0};
    if (column->fallback)
        sqlite3_finalize(rbt_prepare(log->db, error, log->name, "SELECT %s", column->fallback));
    if (!column->check || error->code != SQLITE_OK) return error->code;
    sqlite3_stmt *check =
        rbt_prepare(log->db, &elsewhere, log->name, "SELECT NOT (%s) FROM (SELECT NULL AS \"%w\")",
                    column->check, name);
    if (check && sqlite3_step(check) == SQLITE_ROW && sqlite3_column_int(check, 0))
        rbt_fail(error, SQLITE_ERROR,
                 "%s: CHECK refuses NULL as \"%s\", which all entries before the column have; let "
                 "it pass",
                 log->name, name);
    if (elsewhere.code == SQLITE_NOMEM) rbt_fail_nomem(error);
    sqlite3_finalize(check);
    rbt_error_clear(&elsewhere);
    return error->code;
}

static int replace_table(rbt_log *log, const rbt_declaration *after, rbt_error *error) {
    rbt_log_extension extension = {log->schema, log->name, after};
    rbt_buffer arguments = {0};
    for (int i = 0; i < after->argument_count; i++) {
        if (i) rbt_buffer_add_text(&arguments, ", ");
        rbt_buffer_add_text(&arguments, after->arguments[i]);
    }
    const char *text = rbt_buffer_text(&arguments);
    if (!text) rbt_fail_nomem(error);
    log->logs->extension = &extension;
    if (error->code == SQLITE_OK)
        rbt_execute(log->db, error, log->name, "DROP TABLE \"%w\".\"%w\"", log->schema, log->name);
    if (error->code == SQLITE_OK)
        rbt_execute(log->db, error, log->name,
                    "CREATE VIRTUAL TABLE \"%w\".\"%w\" USING audit_log(%s)", log->schema,
                    log->name, text);
    log->logs->extension = NULL;
    rbt_buffer_free(&arguments);
    return error->code;
}

static int record(rbt_log *log, const char *option, const char *value, const rbt_declaration *after,
                  const char *who, rbt_error *error) {
    const char *argument = after->arguments[after->argument_count - 1];
    rbt_buffer detail = {0};
    rbt_buffer_add_text(&detail, "{\"option\":");
    rbt_json_add_string(&detail, option, strlen(option));
    rbt_buffer_add_text(&detail, ",\"value\":");
    rbt_json_add_string(&detail, value, strlen(value));
    rbt_buffer_add_text(&detail, ",\"previous\":null,\"log_id\":\"");
    rbt_buffer_add_hex(&detail, log->log_id, sizeof log->log_id);
    rbt_buffer_add_text(&detail, "\",\"argument\":");
    rbt_json_add_string(&detail, argument, strlen(argument));
    rbt_buffer_printf(&detail, ",\"arguments\":%d}", after->argument_count);
    if (rbt_events_prepare(log->logs->connection, log->schema, who, error) == SQLITE_OK)
        rbt_events_add(log->logs->connection, log->schema, "set", log->name, &detail, who, error);
    rbt_buffer_free(&detail);
    return error->code;
}

static void describe(const rbt_log *log, const rbt_declaration *after, bool is_column,
                     rbt_buffer *report) {
    const rbt_leaf_shape *shape = &after->shape;
    if (is_column)
        rbt_buffer_printf(report, "%s: column \"%s\" is there from entry %lld on", log->name,
                          shape->columns[shape->count - 1].name,
                          (long long)shape->columns[shape->count - 1].since);
    else
        rbt_buffer_printf(report, "%s: %s is there", log->name,
                          after->arguments[after->argument_count - 1]);
}

int rbt_log_extend(rbt_log *log, const char *option, const char *value, const char *who,
                   rbt_buffer *report, rbt_error *error) {
    rbt_transaction own = {0};
    rbt_declaration *after = NULL;
    char *argument = NULL;
    bool is_column = strcmp(option, add_column) == 0;
    if (sqlite3_stricmp(log->name, RBT_EVENTS_LOG) == 0)
        return rbt_fail(error, SQLITE_ERROR, "%s: " RBT_EVENTS_LOG " stays as it is", who);
    if (rbt_require_no_transaction(log, who, error) != SQLITE_OK ||
        rbt_log_transaction_begin(log, &own, who, error) != SQLITE_OK)
        return error->code;
    if (rbt_log_load(log, error) == SQLITE_OK)
        argument = make_argument(log, option, value, who, error);
    if (argument) after = declare(log, option, argument, error);
    if (after && (!is_column || try_column(log, after, error) == SQLITE_OK) &&
        rbt_transaction_alters(&own, who, error) == SQLITE_OK &&
        rbt_storage_extend(log->db, log->schema, log->declaration, after, log->name, error) ==
            SQLITE_OK &&
        replace_table(log, after, error) == SQLITE_OK)
        record(log, option, value, after, who, error);
    if (rbt_log_transaction_end(log, &own, who, error) == SQLITE_OK)
        describe(log, after, is_column, report);
    rbt_declaration_free(after);
    rbt_free(argument);
    return error->code;
}
