/* SPDX-License-Identifier: MIT
** See ratelimit_fields.h. Calls buffer.
*/
#include "ratelimit_fields.h"

/* The largest Integer of RFC 9651, 3.3.1: fifteen digits. */
static const int64_t largest_integer = 999999999999999;

static int64_t whole_seconds(unsigned __int128 us) {
    unsigned __int128 seconds = (us + 999999) / 1000000;
    return seconds > (unsigned __int128)largest_integer ? largest_integer : (int64_t)seconds;
}

/* Names are printable ASCII; of those a String escapes the quote and the backslash. */
static void add_string(rbt_buffer *out, const char *text) {
    rbt_buffer_add_byte(out, '"');
    for (; *text != 0; text++) {
        if (*text == '"' || *text == '\\') rbt_buffer_add_byte(out, '\\');
        rbt_buffer_add_byte(out, (uint8_t)*text);
    }
    rbt_buffer_add_byte(out, '"');
}

static void add_parameter(rbt_buffer *out, const char *name, int64_t value) {
    rbt_buffer_add_text(out, name);
    rbt_buffer_add_i64(out, value);
}

void rbt_ratelimit_policy_field(rbt_buffer *out, const rbt_limit_policy *policy) {
    const rbt_limit_rule *rule = &policy->rule;
    add_string(out, policy->name);
    add_parameter(out, ";q=", rbt_limit_capacity(rule));
    if (rule->algorithm == RBT_LIMIT_LEASE) {
        rbt_buffer_add_text(out, ";qu=\"concurrent-requests\"");
        return;
    }
    unsigned __int128 us = (unsigned __int128)rule->period_us;
    if (rule->algorithm == RBT_LIMIT_BUCKET) {
        us = (unsigned __int128)rule->burst * (unsigned __int128)rule->rate_us;
        us = (us + (unsigned __int128)rule->rate_units - 1) / (unsigned __int128)rule->rate_units;
    }
    add_parameter(out, ";w=", whole_seconds(us));
}

void rbt_ratelimit_field(rbt_buffer *out, const rbt_limit_policy *policy,
                         const rbt_limit_verdict *verdict) {
    add_string(out, policy->name);
    add_parameter(out, ";r=", verdict->remaining);
    add_parameter(out, ";t=", whole_seconds((unsigned __int128)verdict->reset_after_us));
}
