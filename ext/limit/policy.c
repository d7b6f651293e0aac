/* SPDX-License-Identifier: MIT
** See policy.h. Calls base: JSON, clock (durations), error, memory.
*/
#include "policy.h"

#include "../base/clock.h"
#include "../base/json.h"
#include "../base/memory.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

const rbt_limit_policy rbt_limit_shipped[] = {
    {"api.anonymous", true, {RBT_LIMIT_WINDOW, 100, 100, HOUR, 0, 0, 0, 0}},
    {"api.authenticated", true, {RBT_LIMIT_WINDOW, 10000, 10000, HOUR, 0, 0, 0, 0}},
    {"websocket", true, {RBT_LIMIT_LEASE, 10, 10, MINUTE, 0, 0, 0, 0}},
    {"auth.failed", true, {RBT_LIMIT_WINDOW, 5, 5, 15 * MINUTE, 15 * MINUTE, DAY, 0, 0}},
    {"interactive_brokers", true, {RBT_LIMIT_BUCKET, 45, 5, SECOND, 0, 0, 0, 0}},
    {"binance.weight", true, {RBT_LIMIT_BUCKET, 900, 300, MINUTE, 0, 0, 0, 0}},
    {"binance.orders", true, {RBT_LIMIT_BUCKET, 90, 10, 10 * SECOND, 0, 0, 0, 0}},
    {"bybit", true, {RBT_LIMIT_BUCKET, 100, 20, MINUTE, 0, 0, 0, 0}},
    {"hyperliquid", true, {RBT_LIMIT_BUCKET, 500, 100, MINUTE, 0, 0, 0, 0}},
    {"alpaca", true, {RBT_LIMIT_BUCKET, 180, 20, MINUTE, 0, 0, 0, 0}},
};
const size_t rbt_limit_shipped_count = sizeof rbt_limit_shipped / sizeof rbt_limit_shipped[0];

void rbt_limit_definition_free(rbt_limit_definition *definition) {
    rbt_free(definition->store);
    *definition = (rbt_limit_definition){0};
}

/* --------------------------------------------------------------------------------------- reading */

/* Where a member's value goes and how it is read. */
typedef struct reading {
    rbt_limit_definition *definition;
    const rbt_json *document;
    const rbt_json_node *node;
    const char *who, *member;
    rbt_error *error;
} reading;

/* The member's string in out, NUL-terminated; false: it is none. */
static bool read_string(const reading *r, rbt_buffer *out) {
    bool read = rbt_json_string(r->document, r->node, out);
    if (read && rbt_buffer_text(out) == NULL) rbt_fail_nomem(r->error);
    return read && !out->failed;
}

static void read_name(const reading *r) {
    char *name = r->definition->values.name;
    rbt_buffer text = {0};
    bool good = read_string(r, &text) && text.length > 0 && text.length < RBT_LIMIT_NAME_SIZE;
    for (size_t i = 0; good && i < text.length; i++)
        good = text.data[i] >= 0x20 && text.data[i] <= 0x7e;
    if (good)
        memcpy(name, text.data, text.length);
    else
        rbt_fail(r->error, SQLITE_ERROR,
                 "%s: name must be text of 1 to 64 printable ASCII characters", r->who);
    rbt_buffer_free(&text);
}

static void read_store(const reading *r) {
    rbt_buffer text = {0};
    if (read_string(r, &text) && text.length > 0 && memchr(text.data, 0, text.length) == NULL) {
        r->definition->store = rbt_strndup((const char *)text.data, text.length);
        if (r->definition->store == NULL) rbt_fail_nomem(r->error);
    } else {
        rbt_fail(r->error, SQLITE_ERROR, "%s: store must be \"memory\" or the path of a file",
                 r->who);
    }
    rbt_buffer_free(&text);
}

static void read_algorithm(const reading *r) {
    rbt_limit_algorithm *algorithm = &r->definition->values.rule.algorithm;
    rbt_buffer text = {0};
    if (read_string(r, &text))
        for (int i = RBT_LIMIT_BUCKET; i <= RBT_LIMIT_LEASE; i++)
            if (strcmp((const char *)text.data, rbt_limit_algorithm_name(i)) == 0) *algorithm = i;
    if (*algorithm == 0)
        rbt_fail(r->error, SQLITE_ERROR,
                 "%s: algorithm must be \"bucket\", \"window\" or \"lease\"", r->who);
    rbt_buffer_free(&text);
}

static void read_units(const reading *r, int64_t *units) {
    if (!rbt_json_i64(r->document, r->node, units))
        rbt_fail(r->error, SQLITE_ERROR, "%s: %s must be a whole number", r->who, r->member);
}

/* Text, or a number of seconds. */
static void read_duration(const reading *r, int64_t *us) {
    rbt_buffer text = {0};
    rbt_duration duration = {0};
    int64_t seconds;
    if (rbt_json_i64(r->document, r->node, &seconds)) {
        if (seconds < 0 || __builtin_mul_overflow(seconds, SECOND, us)) *us = INT64_MAX;
    } else if (read_string(r, &text) &&
               rbt_duration_parse(&duration, (const char *)text.data, text.length)) {
        if (duration.months != 0)
            rbt_fail(r->error, SQLITE_ERROR,
                     "%s: %s must not be in months or years, which differ in length; give days",
                     r->who, r->member);
        *us = duration.us;
    } else {
        rbt_fail(r->error, SQLITE_ERROR,
                 "%s: %s must be a duration like \"15 min\", or whole seconds", r->who, r->member);
    }
    rbt_buffer_free(&text);
}

static void read_enforce(const reading *r) {
    if (r->node->type == RBT_JSON_TRUE || r->node->type == RBT_JSON_FALSE)
        r->definition->values.enforce = r->node->type == RBT_JSON_TRUE;
    else
        rbt_fail(r->error, SQLITE_ERROR, "%s: enforce must be true or false", r->who);
}

static void read_member(reading *r) {
    rbt_limit_rule *rule = &r->definition->values.rule;
    unsigned *given = &r->definition->given;
    const char *member = r->member;
    if (strcmp(member, "name") == 0) {
        read_name(r);
    } else if (strcmp(member, "store") == 0) {
        read_store(r);
    } else if (strcmp(member, "algorithm") == 0) {
        *given |= RBT_LIMIT_GIVES_ALGORITHM;
        read_algorithm(r);
    } else if (strcmp(member, "quota") == 0) {
        *given |= RBT_LIMIT_GIVES_QUOTA;
        read_units(r, &rule->quota);
    } else if (strcmp(member, "burst") == 0) {
        *given |= RBT_LIMIT_GIVES_BURST;
        read_units(r, &rule->burst);
    } else if (strcmp(member, "period") == 0) {
        *given |= RBT_LIMIT_GIVES_PERIOD;
        read_duration(r, &rule->period_us);
    } else if (strcmp(member, "penalty") == 0) {
        *given |= RBT_LIMIT_GIVES_PENALTY;
        read_duration(r, &rule->penalty_us);
    } else if (strcmp(member, "penalty_max") == 0) {
        *given |= RBT_LIMIT_GIVES_PENALTY_MAX;
        read_duration(r, &rule->penalty_max_us);
    } else if (strcmp(member, "enforce") == 0) {
        *given |= RBT_LIMIT_GIVES_ENFORCE;
        read_enforce(r);
    } else {
        rbt_fail(r->error, SQLITE_ERROR,
                 "%s: unknown member '%s'; there are name, algorithm, quota, period, burst, "
                 "penalty, penalty_max, enforce and store",
                 r->who, member);
    }
}

int rbt_limit_definition_parse(rbt_limit_definition *definition, const char *json, size_t length,
                               const char *who, rbt_error *error) {
    rbt_json document = {0};
    rbt_buffer key = {0};
    if (rbt_json_parse(&document, json, length, who, error) == SQLITE_OK) {
        const rbt_json_node *root = rbt_json_root(&document);
        if (root->type != RBT_JSON_OBJECT)
            rbt_fail(error, SQLITE_ERROR, "%s: the definition must be a JSON object", who);
        const rbt_json_node *node = error->code ? NULL : rbt_json_first(&document, root);
        for (; node != NULL && error->code == SQLITE_OK; node = rbt_json_next(&document, node)) {
            rbt_buffer_clear(&key);
            rbt_json_key(&document, node, &key);
            const char *member = rbt_buffer_text(&key);
            if (member == NULL) {
                rbt_fail_nomem(error);
                break;
            }
            read_member(&(reading){definition, &document, node, who, member, error});
        }
        if (error->code == SQLITE_OK && definition->values.name[0] == 0)
            rbt_fail(error, SQLITE_ERROR, "%s: the definition has no name", who);
    }
    rbt_buffer_free(&key);
    rbt_json_free(&document);
    return error->code;
}

/* -------------------------------------------------------------------------------------- applying */

static void apply_rule(const rbt_limit_definition *definition, bool exists, rbt_limit_rule *rule) {
    const rbt_limit_rule *values = &definition->values.rule;
    unsigned given = definition->given;
    bool burst_follows = !exists || rule->burst == rule->quota;
    if (given & RBT_LIMIT_GIVES_ALGORITHM) rule->algorithm = values->algorithm;
    if (given & RBT_LIMIT_GIVES_QUOTA) rule->quota = values->quota;
    if (given & RBT_LIMIT_GIVES_PERIOD) rule->period_us = values->period_us;
    if (given & RBT_LIMIT_GIVES_BURST)
        rule->burst = values->burst;
    else if (burst_follows || rule->algorithm != RBT_LIMIT_BUCKET)
        rule->burst = rule->quota;
    if (given & RBT_LIMIT_GIVES_PENALTY) {
        if (rule->penalty_us == 0) rule->penalty_max_us = DAY;
        rule->penalty_us = values->penalty_us;
        if (rule->penalty_max_us < rule->penalty_us) rule->penalty_max_us = rule->penalty_us;
        if (rule->penalty_us == 0) rule->penalty_max_us = 0;
    }
    if (given & RBT_LIMIT_GIVES_PENALTY_MAX) rule->penalty_max_us = values->penalty_max_us;
}

int rbt_limit_definition_apply(const rbt_limit_definition *definition, bool exists,
                               rbt_limit_policy *policy, const char *who, rbt_error *error) {
    const unsigned needed =
        RBT_LIMIT_GIVES_ALGORITHM | RBT_LIMIT_GIVES_QUOTA | RBT_LIMIT_GIVES_PERIOD;
    rbt_limit_policy changed = exists ? *policy : (rbt_limit_policy){.enforce = true};
    if (!exists && (definition->given & needed) != needed)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: there is no policy '%s' yet; a new one needs algorithm, quota and "
                        "period",
                        who, definition->values.name);
    memcpy(changed.name, definition->values.name, sizeof changed.name);
    apply_rule(definition, exists, &changed.rule);
    if (definition->given & RBT_LIMIT_GIVES_ENFORCE) changed.enforce = definition->values.enforce;
    const char *wrong = rbt_limit_rule_check(&changed.rule);
    if (wrong != NULL)
        return rbt_fail(error, SQLITE_ERROR, "%s: policy '%s': %s", who, changed.name, wrong);
    if (exists &&
        (policy->rule.algorithm == RBT_LIMIT_LEASE) != (changed.rule.algorithm == RBT_LIMIT_LEASE))
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: policy '%s' is a %s and cannot become a %s; give the new one another "
                        "name",
                        who, changed.name, rbt_limit_algorithm_name(policy->rule.algorithm),
                        rbt_limit_algorithm_name(changed.rule.algorithm));
    *policy = changed;
    return SQLITE_OK;
}
