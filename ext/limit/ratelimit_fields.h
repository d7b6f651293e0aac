/* SPDX-License-Identifier: MIT
** The two HTTP fields RateLimit-Policy and RateLimit of draft-ietf-httpapi-ratelimit-headers, as
** structured fields (RFC 9651): a string for the policy's name, integer parameters behind it.
**
**     RateLimit-Policy: "api.anonymous";q=100;w=3600          of leases "…";q=10;qu="concurrent-requests"
**     RateLimit: "api.anonymous";r=99;t=3600
**
** q quota, w its period in seconds; of a bucket q is the burst, and w the time in which it flows back. r
** what is left, t the seconds until all has come back; both times rounded up.
*/
#ifndef RBT_LIMIT_RATELIMIT_FIELDS_H
#define RBT_LIMIT_RATELIMIT_FIELDS_H

#include "policy.h"
#include "state.h"

void rbt_ratelimit_policy_field(rbt_buffer *out, const rbt_limit_policy *policy);
void rbt_ratelimit_field(rbt_buffer *out, const rbt_limit_policy *policy,
                         const rbt_limit_verdict *verdict);

#endif
