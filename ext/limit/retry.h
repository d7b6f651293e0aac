/* SPDX-License-Identifier: MIT
** When to try again: exponential backoff with full jitter, and a server's Retry-After. Pure.
*/
#ifndef RBT_LIMIT_RETRY_H
#define RBT_LIMIT_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Evenly distributed from 0 to min(cap, base · 2^(attempt - 1)), both included: "full jitter" of
** https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. attempt counts from 1;
** random is 64 random bits. */
int64_t rbt_retry_jitter(int64_t attempt, int64_t base_us, int64_t cap_us, uint64_t random);

/* 64 bits that a seed and an attempt determine (splitmix64). */
uint64_t rbt_retry_seeded(int64_t seed, int64_t attempt);

/* The value of a Retry-After field (RFC 9110, 10.2.3): seconds, or a date in one of the three forms of
** RFC 9110, 5.6.7. Fractions of a second, which some servers send, are taken. Gives the time to wait
** from now on, 0 for a date that has passed. False: it is neither. */
bool rbt_retry_after_parse(const char *text, size_t length, int64_t now_us, int64_t *wait_us);

#endif
