/* SPDX-License-Identifier: MIT
** A policy: a named rule, and whether it is enforced. Reading one from JSON, and those that ship.
**
** A definition is a JSON object; members that are left out keep what they had, or take a default:
**     name         1 to 64 printable ASCII characters
**     algorithm    "bucket", "window", "lease"; needed in a new policy
**     quota        units a period, or leases at a time; needed in a new policy
**     period       "1 hour", or seconds; needed in a new policy. Of leases: how long one lasts
**     burst        of buckets: the most that can be taken at once; default quota
**     penalty      "15 min", or seconds: what a refusal blocks a key for, doubling; default 0, none
**     penalty_max  what the doubling ends at; default 1 day, or penalty if that is longer
**     enforce      false: only tells what would be refused; default true
**     store        "memory", or the path of a file; default memory
*/
#ifndef RBT_LIMIT_POLICY_H
#define RBT_LIMIT_POLICY_H

#include "../base/error.h"
#include "rule.h"
#include <stddef.h>

enum { RBT_LIMIT_NAME_SIZE = 65 };

typedef struct rbt_limit_policy {
    char name[RBT_LIMIT_NAME_SIZE];
    bool enforce;
    rbt_limit_rule rule;
} rbt_limit_policy;

/* Bits of rbt_limit_definition.given. */
enum {
    RBT_LIMIT_GIVES_ALGORITHM = 1,
    RBT_LIMIT_GIVES_QUOTA = 2,
    RBT_LIMIT_GIVES_PERIOD = 4,
    RBT_LIMIT_GIVES_BURST = 8,
    RBT_LIMIT_GIVES_PENALTY = 16,
    RBT_LIMIT_GIVES_PENALTY_MAX = 32,
    RBT_LIMIT_GIVES_ENFORCE = 64
};

/* What a JSON text says. Starts as {0}. */
typedef struct rbt_limit_definition {
    rbt_limit_policy values; /* the name always, of the rest what given names */
    unsigned given;
    char *store; /* from memory.h; NULL: not given */
} rbt_limit_definition;

int rbt_limit_definition_parse(rbt_limit_definition *definition, const char *json, size_t length,
                               const char *who, rbt_error *error);
void rbt_limit_definition_free(rbt_limit_definition *definition);

/* Changes the policy, or makes it when there is none yet (exists false), and checks the result; on
** failure the policy is as it was. */
int rbt_limit_definition_apply(const rbt_limit_definition *definition, bool exists,
                               rbt_limit_policy *policy, const char *who, rbt_error *error);

/* Policies that are there from the start, in memory. The broker's limit is quota + burst, so that no
** window of the broker's ever sees more, however it is aligned. */
extern const rbt_limit_policy rbt_limit_shipped[];
extern const size_t rbt_limit_shipped_count;

#endif
