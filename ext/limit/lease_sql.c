/* SPDX-License-Identifier: MIT
** SQL glue of leases and retries. Calls limits, retry and base.
*/
#include "lease_sql.h"

#include "../base/bytes.h"
#include "../base/clock.h"
#include "../base/json.h"
#include "../base/list_table.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "limit_arguments.h"
#include "retry.h"

#include <sodium.h>

enum { LEASE_TEXT_SIZE = 2 * RBT_LEASE_ID_SIZE + 1 };

/* A time of the store as a time of the wall clock. */
static int64_t wall_time(int64_t time_us, int64_t now_us) {
    return rbt_clock_us() + (time_us - now_us);
}

static int require_lease(const rbt_limit_item *item, const char *who, rbt_error *error) {
    if (item->policy.rule.algorithm != RBT_LIMIT_LEASE)
        rbt_fail(error, SQLITE_ERROR, "%s: policy '%s' is a %s, not a lease; rate_take takes of it",
                 who, item->policy_name, rbt_limit_algorithm_name(item->policy.rule.algorithm));
    return error->code;
}

/* The time to live, at least a microsecond; NULL pointer: the policy's period. */
static int ttl_argument(int64_t *ttl_us, sqlite3_value *value, const char *who, rbt_error *error) {
    *ttl_us = 0;
    if (value == NULL) return error->code;
    if (rbt_limit_duration_argument(ttl_us, value, "ttl", who, error) == SQLITE_OK && *ttl_us < 1)
        rbt_fail(error, SQLITE_ERROR, "%s: ttl must be more than 0", who);
    return error->code;
}

/* --------------------------------------------------------------------------------------- leases */

typedef struct acquired {
    bool got;
    char id[LEASE_TEXT_SIZE];
    int64_t fencing, expires_us, now_us;
} acquired;

/* In an open session: the lease, if there is one to have. */
static int acquire(rbt_limit_session *session, rbt_limit_item *item, int64_t ttl_us,
                   acquired *lease, rbt_error *error) {
    uint8_t id[RBT_LEASE_ID_SIZE];
    const rbt_limit_rule *rule = &item->policy.rule;
    item->verdict = rbt_limit_look(rule, item->state, 1);
    item->allowed = item->verdict.allowed || !item->policy.enforce;
    if (!item->verdict.allowed ||
        rbt_limits_fencing(session, item, &lease->fencing, error) != SQLITE_OK)
        return error->code;
    randombytes_buf(id, sizeof id);
    rbt_hex_encode(lease->id, id, sizeof id);
    lease->now_us = item->now_us;
    lease->expires_us = item->now_us + (ttl_us > 0 ? ttl_us : rule->period_us);
    rbt_limit_lease_add(item->state, id, lease->fencing, lease->expires_us);
    item->changed = true;
    rbt_limits_save(session, error);
    lease->got = error->code == SQLITE_OK;
    item->verdict.remaining--;
    return error->code;
}

/* lease_acquire(policy, key[, ttl]): one row. Not enforced and none to have: allowed, without a lease. */
static int fill_acquire(rbt_connection *connection, sqlite3_value **arguments, rbt_list *list,
                        rbt_error *error) {
    const char *who = "lease_acquire";
    rbt_limit_session session;
    rbt_limit_item item;
    acquired lease = {0};
    int64_t ttl_us;
    if (rbt_limit_item_arguments(&item, arguments[0], arguments[1], who, error) != SQLITE_OK ||
        ttl_argument(&ttl_us, arguments[2], who, error) != SQLITE_OK ||
        rbt_limits_open(&session, connection, &item, 1, true, true, who, error) != SQLITE_OK)
        return error->code;
    if (require_lease(&item, who, error) == SQLITE_OK)
        acquire(&session, &item, ttl_us, &lease, error);
    rbt_limits_close(&session);
    if (error->code != SQLITE_OK) return error->code;
    rbt_list_i64(list, item.allowed);
    if (lease.got) {
        rbt_list_text(list, lease.id);
        rbt_list_i64(list, lease.fencing);
        rbt_list_i64(list, wall_time(lease.expires_us, lease.now_us));
    } else {
        rbt_list_null(list);
        rbt_list_null(list);
        rbt_list_null(list);
    }
    rbt_list_i64(list, item.verdict.remaining);
    return error->code;
}

static int id_argument(uint8_t id[RBT_LEASE_ID_SIZE], sqlite3_value *value, const char *who,
                       rbt_error *error) {
    const char *text = rbt_text_argument(value, who, "lease_id", error);
    if (text != NULL && !rbt_hex_decode(id, RBT_LEASE_ID_SIZE, text, strlen(text)))
        rbt_fail(error, SQLITE_ERROR,
                 "%s: lease_id must be the %d hex digits that lease_acquire gave", who,
                 2 * RBT_LEASE_ID_SIZE);
    return error->code;
}

/* lease_renew(policy, key, lease_id[, ttl]): its new end, Unix microseconds. One that was lost is an
** error: its holder must stop. */
static void renew_function(sqlite3_context *context, int argument_count,
                           sqlite3_value **arguments) {
    const char *who = "lease_renew";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_limit_session session;
    rbt_limit_item item;
    uint8_t id[RBT_LEASE_ID_SIZE];
    int64_t ttl_us, expires_us = 0;

    if (sqlite3_value_type(arguments[2]) == SQLITE_NULL) return;
    if (rbt_limit_refuse_in_a_write(connection->db, who, &error) != SQLITE_OK ||
        rbt_limit_item_arguments(&item, arguments[0], arguments[1], who, &error) != SQLITE_OK ||
        id_argument(id, arguments[2], who, &error) != SQLITE_OK ||
        ttl_argument(&ttl_us, argument_count > 3 ? arguments[3] : NULL, who, &error) != SQLITE_OK ||
        rbt_limits_open(&session, connection, &item, 1, true, true, who, &error) != SQLITE_OK)
        goto cleanup;
    rbt_limit_lease *lease = require_lease(&item, who, &error) == SQLITE_OK
                                 ? rbt_limit_lease_find(item.state, id)
                                 : NULL;
    if (lease != NULL) {
        lease->expires_us = item.now_us + (ttl_us > 0 ? ttl_us : item.policy.rule.period_us);
        expires_us = wall_time(lease->expires_us, item.now_us);
        item.changed = true;
        rbt_limits_save(&session, &error);
    } else {
        rbt_fail(&error, SQLITE_ERROR,
                 "%s: the lease has expired or was released; acquire a new one", who);
    }
    rbt_limits_close(&session);

cleanup:
    if (error.code == SQLITE_OK)
        sqlite3_result_int64(context, expires_us);
    else
        rbt_result_error(context, &error);
}

/* lease_release(policy, key, lease_id): 1 when it was held until now, else 0. */
static void release_function(sqlite3_context *context, int argument_count,
                             sqlite3_value **arguments) {
    const char *who = "lease_release";
    rbt_connection *connection = rbt_connection_of(context);
    rbt_error error = {0};
    rbt_limit_session session;
    rbt_limit_item item;
    uint8_t id[RBT_LEASE_ID_SIZE];
    int held = 0;

    (void)argument_count;
    if (sqlite3_value_type(arguments[2]) == SQLITE_NULL) return;
    if (rbt_limit_refuse_in_a_write(connection->db, who, &error) != SQLITE_OK ||
        rbt_limit_item_arguments(&item, arguments[0], arguments[1], who, &error) != SQLITE_OK ||
        id_argument(id, arguments[2], who, &error) != SQLITE_OK ||
        rbt_limits_open(&session, connection, &item, 1, true, false, who, &error) != SQLITE_OK)
        goto cleanup;
    rbt_limit_lease *lease = require_lease(&item, who, &error) == SQLITE_OK
                                 ? rbt_limit_lease_find(item.state, id)
                                 : NULL;
    if (lease != NULL) {
        held = 1;
        rbt_limit_lease_remove(item.state, lease);
        item.changed = true;
        rbt_limits_save(&session, &error);
    }
    rbt_limits_close(&session);

cleanup:
    if (error.code == SQLITE_OK)
        sqlite3_result_int(context, held);
    else
        rbt_result_error(context, &error);
}

/* -------------------------------------------------------------------------------------- retries */

#define LARGEST_ATTEMPT INT64_C(1000000)

typedef struct retry_options {
    int64_t base_us, cap_us, server_us, now_us, seed;
    bool seeded;
} retry_options;

/* Seconds as a JSON number, or text: "500 ms". */
static int read_duration(const rbt_json *document, const rbt_json_node *node, const char *name,
                         int64_t *us, rbt_error *error) {
    rbt_buffer text = {0};
    rbt_duration duration = {0};
    bool good = false;
    if (node->type == RBT_JSON_NUMBER) /* the same form as Retry-After's: no sign, no exponent */
        good = rbt_retry_after_parse(document->text + node->start, node->length, 0, us);
    else if (rbt_json_string(document, node, &text) && rbt_buffer_text(&text) != NULL) {
        good = rbt_duration_parse(&duration, (const char *)text.data, text.length) &&
               duration.months == 0;
        *us = duration.us;
    }
    if (text.failed)
        rbt_fail_nomem(error);
    else if (!good || *us > RBT_LIMIT_MAX_PERIOD_US)
        rbt_fail(error, SQLITE_ERROR,
                 "retry_delay: %s must be a duration like \"500 ms\" or a number of seconds, at "
                 "most 366 days",
                 name);
    rbt_buffer_free(&text);
    return error->code;
}

/* The field's value as text, or its number of seconds. */
static int read_retry_after(const rbt_json *document, const rbt_json_node *node,
                            retry_options *options, rbt_error *error) {
    rbt_buffer text = {0};
    bool good = false;
    if (node->type == RBT_JSON_NULL) return SQLITE_OK;
    if (node->type == RBT_JSON_NUMBER)
        rbt_buffer_add(&text, document->text + node->start, node->length);
    else
        (void)rbt_json_string(document, node, &text); /* empty if it is none, which is refused */
    if (!text.failed && text.length > 0)
        good = rbt_retry_after_parse((const char *)text.data, text.length, options->now_us,
                                     &options->server_us);
    if (text.failed)
        rbt_fail_nomem(error);
    else if (!good)
        rbt_fail(error, SQLITE_ERROR,
                 "retry_delay: retry_after must be seconds or an HTTP date, as the field "
                 "Retry-After has them");
    rbt_buffer_free(&text);
    return error->code;
}

static int read_options(sqlite3_value *value, retry_options *options, rbt_error *error) {
    static const char *const names[] = {"base", "cap", "retry_after", "now", "seed"};
    enum { BASE, CAP, RETRY_AFTER, NOW, SEED, NAMES };
    const char *who = "retry_delay";
    const rbt_json_node *members[NAMES];
    rbt_json document = {0};
    uint32_t known = 0;
    int64_t now_s;
    const char *text = rbt_text_argument(value, who, "options", error);
    if (text == NULL || rbt_json_parse(&document, text, (size_t)sqlite3_value_bytes(value), who,
                                       error) != SQLITE_OK)
        goto cleanup;
    const rbt_json_node *root = rbt_json_root(&document);
    for (int i = 0; i < NAMES; i++) {
        members[i] = rbt_json_member(&document, root, names[i]);
        known += members[i] != NULL;
    }
    if (root->type != RBT_JSON_OBJECT || root->children != known)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: options must be a JSON object of base, cap, retry_after, now and seed", who);
    if (error->code == SQLITE_OK && members[BASE])
        read_duration(&document, members[BASE], "base", &options->base_us, error);
    if (error->code == SQLITE_OK && members[CAP])
        read_duration(&document, members[CAP], "cap", &options->cap_us, error);
    if (error->code == SQLITE_OK && members[NOW]) {
        if (rbt_json_i64(&document, members[NOW], &now_s) && now_s >= 0 &&
            now_s < INT64_C(1000000000000))
            options->now_us = now_s * 1000000;
        else
            rbt_fail(error, SQLITE_ERROR, "%s: now must be whole seconds since 1970", who);
    }
    if (error->code == SQLITE_OK && members[SEED]) {
        options->seeded = rbt_json_i64(&document, members[SEED], &options->seed);
        if (!options->seeded) rbt_fail(error, SQLITE_ERROR, "%s: seed must be a whole number", who);
    }
    if (error->code == SQLITE_OK && members[RETRY_AFTER])
        read_retry_after(&document, members[RETRY_AFTER], options, error);

cleanup:
    rbt_json_free(&document);
    return error->code;
}

/* retry_delay(attempt[, options_json]): seconds to wait before attempt number attempt + 1; a server's
** Retry-After is never undercut, and the cap does not shorten it. */
static void retry_delay_function(sqlite3_context *context, int argument_count,
                                 sqlite3_value **arguments) {
    rbt_error error = {0};
    retry_options options = {
        .base_us = 1000000, .cap_us = 60000000, .now_us = rbt_clock_us(), .server_us = 0};
    int64_t attempt = sqlite3_value_int64(arguments[0]);
    uint64_t random;

    if (sqlite3_value_type(arguments[0]) != SQLITE_INTEGER || attempt < 1 ||
        attempt > LARGEST_ATTEMPT)
        rbt_fail(&error, SQLITE_ERROR,
                 "retry_delay: attempt must be an INTEGER from 1 to 1000000; 1 is the first that "
                 "failed");
    if (argument_count > 1 && error.code == SQLITE_OK) read_options(arguments[1], &options, &error);
    if (error.code != SQLITE_OK) {
        rbt_result_error(context, &error);
        return;
    }
    if (options.seeded)
        random = rbt_retry_seeded(options.seed, attempt);
    else
        randombytes_buf(&random, sizeof random);
    int64_t delay = rbt_retry_jitter(attempt, options.base_us, options.cap_us, random);
    if (options.server_us > delay) delay = options.server_us;
    sqlite3_result_double(context, (double)delay / 1e6);
}

/* --------------------------------------------------------------------------------- registration */

static const rbt_list_spec acquire_spec = {
    .name = "lease_acquire",
    .columns = "allowed INTEGER, lease_id TEXT, fencing INTEGER, expires_at_us INTEGER,"
               " remaining INTEGER, policy HIDDEN, key HIDDEN, ttl HIDDEN",
    .visible = 5,
    .arguments = 3,
    .required = 2,
    .direct_only = true,
    .fill = fill_acquire,
};
RBT_LIST_TABLE_ONCE(acquire_module, acquire_spec);

const rbt_function rbt_lease_functions[] = {
    {"lease_renew", 3, 4, RBT_DIRECT, renew_function, "lease_renew(policy, key, lease_id[, ttl])",
     "nothing",
     "keeps a lease from expiring: its new end, in Unix microseconds; an error when it is lost",
     "SELECT lease_renew('websocket', 'alice', NULL)"},
    {"lease_release", 3, 3, RBT_DIRECT, release_function, "lease_release(policy, key, lease_id)",
     "nothing", "gives a lease back: 1, or 0 when it had expired",
     "SELECT lease_release('websocket', 'alice', NULL)"},
    {"retry_delay", 1, 2, RBT_INNOCUOUS, retry_delay_function,
     "retry_delay(attempt[, options_json])", "nothing",
     "seconds to wait before the next try: full jitter up to base * 2^(attempt - 1) and cap, never "
     "less than retry_after",
     "SELECT retry_delay(3, '{\"base\": \"500 ms\", \"cap\": \"30 s\", \"retry_after\": \"2\"}')"},
    {0},
};

const rbt_table rbt_lease_tables[] = {
    {"lease_acquire", &acquire_module, "lease_acquire(policy, key[, ttl])", "nothing",
     "one of the policy's places for a time: allowed, lease_id, fencing, expires_at_us, remaining",
     "SELECT allowed, fencing, remaining FROM lease_acquire('websocket', 'alice', '10 s')"},
    {0},
};
