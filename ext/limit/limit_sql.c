/* SPDX-License-Identifier: MIT
** SQL glue of rate limits. Calls limits, ratelimit_fields and base.
**
** Who may call what: all are DIRECTONLY, so no view, trigger or CHECK of a schema that someone else wrote
** reaches them (TEMP views and triggers do). A CHECK does on SQLite 3.40, though. There, taking can only
** make things stricter; what could make them laxer (a policy, a refund, a reset), or stop someone for
** long (a penalty), refuses to run inside a statement that writes.
*/
#include "limit_sql.h"

#include "../base/json.h"
#include "../base/list_table.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "limit_arguments.h"
#include "ratelimit_fields.h"

/* ------------------------------------------------------------------------------------- decisions */

#define VERDICT_COLUMNS                                                                            \
    "allowed INTEGER, quota INTEGER, remaining INTEGER, retry_after_us INTEGER,"                   \
    " reset_after_us INTEGER, ratelimit_policy TEXT, ratelimit TEXT"
enum { VERDICT_WIDTH = 7 };

static void add_field(rbt_list *list, rbt_buffer *text, rbt_error *error) {
    const char *field = rbt_buffer_text(text);
    if (field == NULL)
        rbt_fail_nomem(error);
    else
        rbt_list_text(list, field);
    rbt_buffer_free(text);
}

static void add_verdict(rbt_list *list, const rbt_limit_item *item, rbt_error *error) {
    rbt_buffer text = {0};
    rbt_list_i64(list, item->allowed);
    rbt_list_i64(list, rbt_limit_capacity(&item->policy.rule));
    rbt_list_i64(list, item->verdict.remaining);
    rbt_list_i64(list, item->verdict.retry_after_us);
    rbt_list_i64(list, item->verdict.reset_after_us);
    rbt_ratelimit_policy_field(&text, &item->policy);
    add_field(list, &text, error);
    rbt_ratelimit_field(&text, &item->policy, &item->verdict);
    add_field(list, &text, error);
}

/* rate_take(policy, key[, cost]) and rate_peek(policy, key[, cost]): one decision, one row. */
static int fill_decision(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                         bool take, const char *who, rbt_error *error) {
    rbt_limit_item item;
    if (rbt_limit_item_arguments(&item, arguments[0], arguments[1], who, error) != SQLITE_OK ||
        rbt_limit_cost_argument(&item.cost, arguments[2], who, error) != SQLITE_OK ||
        rbt_limits_decide(connection, &item, 1, take, who, error) != SQLITE_OK)
        return error->code;
    add_verdict(list, &item, error);
    return error->code;
}

static int fill_take(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                     rbt_error *error) {
    return fill_decision(connection, arguments, list, true, "rate_take", error);
}

static int fill_peek(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                     rbt_error *error) {
    return fill_decision(connection, arguments, list, false, "rate_peek", error);
}

/* rate_allow(policy, key[, cost]): 1 and taken, or 0. */
static void allow_function(sqlite3_context *context, int argument_count,
                           sqlite3_value **arguments) {
    const char *who = "rate_allow";
    rbt_error error = {0};
    rbt_limit_item item;

    if (rbt_limit_item_arguments(&item, arguments[0], arguments[1], who, &error) == SQLITE_OK &&
        rbt_limit_cost_argument(&item.cost, argument_count > 2 ? arguments[2] : NULL, who,
                                &error) == SQLITE_OK &&
        rbt_limits_decide(rbt_connection_of(context), &item, 1, true, who, &error) == SQLITE_OK)
        sqlite3_result_int(context, item.allowed);
    else
        rbt_result_error(context, &error);
}

/* ----------------------------------------------------------------------------------- several at once */

/* The items of a request, with the texts that they point to. */
typedef struct take_request {
    size_t count;
    rbt_limit_item items[RBT_LIMIT_ITEMS];
    rbt_buffer policies[RBT_LIMIT_ITEMS], keys[RBT_LIMIT_ITEMS];
} take_request;

static void free_request(take_request *request) {
    for (size_t i = 0; i < RBT_LIMIT_ITEMS; i++) {
        rbt_buffer_free(&request->policies[i]);
        rbt_buffer_free(&request->keys[i]);
    }
    rbt_free(request);
}

static int bad_item(size_t position, const char *problem, rbt_error *error) {
    return rbt_fail(error, SQLITE_ERROR, "rate_take_all: item %d: %s", (int)position + 1, problem);
}

/* A string, or for a key a whole number as its digits. */
static bool read_text(const rbt_json *document, const rbt_json_node *node, bool number_too,
                      rbt_buffer *out) {
    int64_t number;
    if (rbt_json_string(document, node, out)) return true;
    if (!number_too || !rbt_json_i64(document, node, &number)) return false;
    rbt_buffer_add_i64(out, number);
    return true;
}

static int read_item(const rbt_json *document, const rbt_json_node *node, take_request *request,
                     rbt_error *error) {
    size_t position = request->count;
    rbt_limit_item *item = &request->items[position];
    rbt_buffer *policy = &request->policies[position], *key = &request->keys[position];
    const rbt_json_node *cost = rbt_json_member(document, node, "cost");
    item->cost = 1;
    if (node->type != RBT_JSON_OBJECT || node->children != (cost ? 3u : 2u) ||
        !read_text(document, rbt_json_member(document, node, "policy"), false, policy) ||
        !read_text(document, rbt_json_member(document, node, "key"), true, key))
        return bad_item(position,
                        "expected an object of policy, key and, if not 1, cost: {\"policy\": "
                        "\"bybit\", \"key\": \"main\", \"cost\": 2}",
                        error);
    if (cost != NULL && (!rbt_json_i64(document, cost, &item->cost) || item->cost < 1))
        return bad_item(position, "cost must be a whole number of at least 1", error);
    item->policy_name = rbt_buffer_text(policy);
    item->key = rbt_buffer_text(key);
    item->key_length = key->length;
    if (item->policy_name == NULL || item->key == NULL) return rbt_fail_nomem(error);
    if (key->length < 1 || key->length > RBT_LIMIT_KEY_BYTES ||
        memchr(key->data, 0, key->length) != NULL || strlen(item->policy_name) != policy->length)
        return bad_item(position, "the key must have 1 to 1024 bytes, and no NUL", error);
    for (size_t i = 0; i < position; i++)
        if (strcmp(request->items[i].policy_name, item->policy_name) == 0 &&
            strcmp(request->items[i].key, item->key) == 0)
            return bad_item(position, "an item before has the same policy and key; add their costs",
                            error);
    request->count++;
    return SQLITE_OK;
}

static int read_request(sqlite3_value *value, take_request *request, rbt_error *error) {
    const char *who = "rate_take_all";
    rbt_json document = {0};
    const char *text = rbt_text_argument(value, who, "request", error);
    if (text == NULL || rbt_json_parse(&document, text, (size_t)sqlite3_value_bytes(value), who,
                                       error) != SQLITE_OK) {
        rbt_json_free(&document);
        return error->code;
    }
    const rbt_json_node *root = rbt_json_root(&document);
    if (root->type != RBT_JSON_ARRAY || root->children < 1 || root->children > RBT_LIMIT_ITEMS)
        rbt_fail(error, SQLITE_ERROR, "%s: the request must be a JSON array of 1 to %d items", who,
                 RBT_LIMIT_ITEMS);
    const rbt_json_node *node = error->code ? NULL : rbt_json_first(&document, root);
    for (; node != NULL && error->code == SQLITE_OK; node = rbt_json_next(&document, node))
        read_item(&document, node, request, error);
    rbt_json_free(&document);
    return error->code;
}

/* rate_take_all(json): a row for each item; all are taken or none. */
static int fill_take_all(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                         rbt_error *error) {
    take_request *request = rbt_calloc(sizeof *request);
    if (request == NULL) return rbt_fail_nomem(error);
    if (read_request(arguments[0], request, error) == SQLITE_OK &&
        rbt_limits_decide(connection, request->items, request->count, true, "rate_take_all",
                          error) == SQLITE_OK) {
        for (size_t i = 0; i < request->count; i++) {
            rbt_list_text(list, request->items[i].policy_name);
            rbt_list_text(list, request->items[i].key);
            add_verdict(list, &request->items[i], error);
        }
    }
    free_request(request);
    return error->code;
}

/* ------------------------------------------------------------------------------------ corrections */

typedef enum correction { REFUND, RESET, PENALIZE } correction;

/* Changes one key's state; the result is the number that the function gives. */
static int correct(sqlite3_context *context, sqlite3_value **arguments, correction what,
                   int64_t amount, const char *who, int64_t *result, rbt_error *error) {
    rbt_connection *connection = rbt_connection_of(context);
    rbt_limit_session session;
    rbt_limit_item item;
    if (rbt_limit_refuse_in_a_write(connection->db, who, error) != SQLITE_OK ||
        rbt_limit_item_arguments(&item, arguments[0], arguments[1], who, error) != SQLITE_OK ||
        rbt_limits_open(&session, connection, &item, 1, true, false, who, error) != SQLITE_OK)
        return error->code;
    const rbt_limit_rule *rule = &item.policy.rule;
    if (what == REFUND && rule->algorithm == RBT_LIMIT_LEASE) {
        rbt_fail(error, SQLITE_ERROR, "%s: policy '%s' is a lease; lease_release gives one back",
                 who, item.policy_name);
    } else if (what == REFUND) {
        *result = rbt_limit_refund(rule, item.state, amount);
    } else if (what == RESET) {
        *result = rbt_limits_forget(&item);
    } else {
        rbt_limit_penalize(item.state, amount);
        *result = item.state->blocked_until_us - item.state->at_us;
    }
    item.changed = true;
    if (error->code == SQLITE_OK) rbt_limits_save(&session, error);
    rbt_limits_close(&session);
    return error->code;
}

static void give_number(sqlite3_context *context, int64_t result, rbt_error *error) {
    if (error->code == SQLITE_OK)
        sqlite3_result_int64(context, result);
    else
        rbt_result_error(context, error);
}

/* rate_refund(policy, key[, cost]): how many units there were to give back. */
static void refund_function(sqlite3_context *context, int argument_count,
                            sqlite3_value **arguments) {
    const char *who = "rate_refund";
    rbt_error error = {0};
    int64_t cost, given = 0;

    if (rbt_limit_cost_argument(&cost, argument_count > 2 ? arguments[2] : NULL, who, &error) ==
        SQLITE_OK)
        correct(context, arguments, REFUND, cost, who, &given, &error);
    give_number(context, given, &error);
}

/* rate_reset(policy, key): 1 when the key owed something. */
static void reset_function(sqlite3_context *context, int argument_count,
                           sqlite3_value **arguments) {
    rbt_error error = {0};
    int64_t owed = 0;

    (void)argument_count;
    correct(context, arguments, RESET, 0, "rate_reset", &owed, &error);
    give_number(context, owed, &error);
}

/* rate_penalize(policy, key, duration): for how many microseconds the key is refused now. */
static void penalize_function(sqlite3_context *context, int argument_count,
                              sqlite3_value **arguments) {
    const char *who = "rate_penalize";
    rbt_error error = {0};
    int64_t duration, blocked = 0;

    (void)argument_count;
    if (rbt_limit_duration_argument(&duration, arguments[2], "duration", who, &error) == SQLITE_OK)
        correct(context, arguments, PENALIZE, duration, who, &blocked, &error);
    give_number(context, blocked, &error);
}

/* --------------------------------------------------------------------------------------- policies */

static void describe(rbt_buffer *text, const rbt_limit_policy *policy, const char *path,
                     bool made) {
    const rbt_limit_rule *rule = &policy->rule;
    rbt_buffer_printf(text, "policy '%s' %s: %s, %lld %s ", policy->name,
                      made ? "defined" : "in force", rbt_limit_algorithm_name(rule->algorithm),
                      (long long)rule->quota,
                      rule->algorithm == RBT_LIMIT_LEASE ? "at a time, each for" : "in");
    if (rule->period_us % 1000000 == 0)
        rbt_buffer_printf(text, "%lld s", (long long)(rule->period_us / 1000000));
    else
        rbt_buffer_printf(text, "%lld us", (long long)rule->period_us);
    if (rule->algorithm == RBT_LIMIT_BUCKET)
        rbt_buffer_printf(text, ", burst %lld", (long long)rule->burst);
    if (!policy->enforce) rbt_buffer_add_text(text, ", not enforced");
    rbt_buffer_printf(text, ", in %s%s%s", path ? "store '" : "memory", path ? path : "",
                      path ? "'" : "");
}

/* rate_policy(json): defines or changes a policy; a line that says what is in force now. */
static void policy_function(sqlite3_context *context, int argument_count,
                            sqlite3_value **arguments) {
    const char *who = "rate_policy", *path = NULL;
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_limit_definition definition = {0};
    rbt_limit_policy policy = {0};
    rbt_buffer text = {0};
    bool made = false;

    (void)argument_count;
    rbt_limit_refuse_in_a_write(connection->db, who, &error);
    const char *json = rbt_text_argument(arguments[0], who, "definition", &error);
    if (json == NULL ||
        rbt_limit_definition_parse(&definition, json, (size_t)sqlite3_value_bytes(arguments[0]),
                                   who, &error) != SQLITE_OK ||
        rbt_limits_define(connection, &definition, &policy, &path, &made, who, &error) != SQLITE_OK)
        goto cleanup;
    describe(&text, &policy, path, made);
    rbt_result_text(context, &text);

cleanup:
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
    rbt_buffer_free(&text);
    rbt_limit_definition_free(&definition);
}

/* rate_policies: those of files as their file has them now. */
static int fill_policies(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                         rbt_error *error) {
    const char *who = "rate_policies";
    bool found = true;
    (void)arguments;
    for (size_t i = 0; found && error->code == SQLITE_OK; i++) {
        rbt_limit_listed listed;
        if (rbt_limits_list(i, &listed, &found, error) != SQLITE_OK || !found) break;
        if (rbt_limits_refresh(connection, &listed, who, error) != SQLITE_OK) break;
        const rbt_limit_rule *rule = &listed.policy.rule;
        rbt_list_text(list, listed.policy.name);
        rbt_list_text(list, rbt_limit_algorithm_name(rule->algorithm));
        rbt_list_i64(list, rule->quota);
        rbt_list_i64(list, rule->burst);
        rbt_list_i64(list, rule->period_us);
        rbt_list_i64(list, rule->penalty_us);
        rbt_list_i64(list, rule->penalty_max_us);
        rbt_list_i64(list, listed.policy.enforce);
        rbt_list_text(list, listed.path ? listed.path : "memory");
        rbt_list_i64(list, listed.allowed);
        rbt_list_i64(list, listed.denied);
    }
    return error->code;
}

/* ------------------------------------------------------------------------------------ registration */

static const rbt_list_spec take_spec = {
    .name = "rate_take",
    .columns = VERDICT_COLUMNS ", policy HIDDEN, key HIDDEN, cost HIDDEN",
    .visible = VERDICT_WIDTH,
    .arguments = 3,
    .required = 2,
    .direct_only = true,
    .fill = fill_take,
};
RBT_LIST_TABLE_ONCE(take_module, take_spec);

static const rbt_list_spec peek_spec = {
    .name = "rate_peek",
    .columns = VERDICT_COLUMNS ", policy HIDDEN, key HIDDEN, cost HIDDEN",
    .visible = VERDICT_WIDTH,
    .arguments = 3,
    .required = 2,
    .direct_only = true,
    .fill = fill_peek,
};
RBT_LIST_TABLE(peek_module, peek_spec);

static const rbt_list_spec take_all_spec = {
    .name = "rate_take_all",
    .columns = "policy TEXT, key TEXT, " VERDICT_COLUMNS ", request HIDDEN",
    .visible = VERDICT_WIDTH + 2,
    .arguments = 1,
    .required = 1,
    .direct_only = true,
    .fill = fill_take_all,
};
RBT_LIST_TABLE_ONCE(take_all_module, take_all_spec);

static const rbt_list_spec policies_spec = {
    .name = "rate_policies",
    .columns = "name TEXT, algorithm TEXT, quota INTEGER, burst INTEGER, period_us INTEGER,"
               " penalty_us INTEGER, penalty_max_us INTEGER, enforce INTEGER, store TEXT,"
               " allowed INTEGER, denied INTEGER",
    .visible = 11,
    .direct_only = true,
    .fill = fill_policies,
};
RBT_LIST_TABLE(policies_module, policies_spec);

const rbt_function rbt_rate_functions[] = {
    {"rate_policy", 1, 1, RBT_DIRECT, policy_function, "rate_policy(json)", "nothing",
     "defines or changes a limit: name, algorithm (bucket, window, lease), quota, period, burst, "
     "penalty, store, enforce",
     "SELECT rate_policy('{\"name\": \"demo\", \"algorithm\": \"bucket\", \"quota\": 5, "
     "\"period\": \"1 s\"}')"},
    {"rate_allow", 2, 3, RBT_DIRECT, allow_function, "rate_allow(policy, key[, cost])", "nothing",
     "takes from the key's limit: 1 when there was enough, else 0 and nothing is taken",
     "SELECT rate_allow('api.anonymous', '203.0.113.7')"},
    {"rate_refund", 2, 3, RBT_DIRECT, refund_function, "rate_refund(policy, key[, cost])",
     "nothing", "gives back what was taken and not used; the number of units given",
     "SELECT rate_refund('api.anonymous', '203.0.113.7')"},
    {"rate_reset", 2, 2, RBT_DIRECT, reset_function, "rate_reset(policy, key)", "nothing",
     "forgets all that a key has taken, penalties too; 1 when there was something",
     "SELECT rate_reset('auth.failed', 'alice')"},
    {"rate_penalize", 3, 3, RBT_DIRECT, penalize_function, "rate_penalize(policy, key, duration)",
     "nothing",
     "refuses the key for a time, as after a broker's 429; microseconds that it is refused",
     "SELECT rate_penalize('binance.weight', 'main', '30 s')"},
    {0},
};

const rbt_table rbt_rate_tables[] = {
    {"rate_take", &take_module, "rate_take(policy, key[, cost])", "nothing",
     "rate_allow as a row: allowed, quota, remaining, retry_after_us, reset_after_us, and the two "
     "HTTP fields",
     "SELECT allowed, remaining, ratelimit FROM rate_take('api.anonymous', '203.0.113.7')"},
    {"rate_peek", &peek_module, "rate_peek(policy, key[, cost])", "nothing",
     "what rate_take would say; takes nothing",
     "SELECT allowed, remaining FROM rate_peek('api.anonymous', '203.0.113.7')"},
    {"rate_take_all", &take_all_module, "rate_take_all(json)", "nothing",
     "takes from several limits at once or from none; a row for each, with policy and key",
     "SELECT policy, allowed FROM rate_take_all('[{\"policy\": \"binance.weight\", \"key\": "
     "\"main\", \"cost\": 5}, {\"policy\": \"binance.orders\", \"key\": \"main BTCUSDT\"}]')"},
    {"rate_policies", &policies_module, "rate_policies", "nothing",
     "the limits that this process knows, where they are kept, and its decisions so far",
     "SELECT name, algorithm, quota, period_us, store FROM rate_policies"},
    {0},
};
