/* SPDX-License-Identifier: MIT
** Time: UTC, Unix microseconds; durations in words. */
#ifndef RBT_BASE_CLOCK_H
#define RBT_BASE_CLOCK_H

#include "error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Wall clock, microseconds since 1970. Tests set rbt_clock_override_us to a value other than 0. */
int64_t rbt_clock_us(void);
extern int64_t rbt_clock_override_us;

/* A duration: whole months (years count as 12) for calendar units, and microseconds for the rest. */
typedef struct rbt_duration {
    int64_t months;
    int64_t us;
} rbt_duration;

/* Reads '1 hour', '90 days', '7 years', '15 min', '1 week', '6 months', '10 s', '250 ms', or a plain
** number of seconds. Units: us, ms, s, sec, second(s), min, minute(s), h, hour(s), d, day(s), w,
** week(s), month(s), y, year(s); a space between is optional. Positive, no fraction. False if not. */
bool rbt_duration_parse(rbt_duration *duration, const char *text, size_t length);

/* time ± duration; calendar months clamp to the last day of the month (proleptic Gregorian).
** Saturates at INT64_MIN and INT64_MAX. */
int64_t rbt_time_add(int64_t time_us, rbt_duration duration);
int64_t rbt_time_subtract(int64_t time_us, rbt_duration duration);

enum { RBT_TIME_TEXT_SIZE = 32 };
/* "2026-01-31T09:30:00Z", with ".123456" before the Z when there is a fraction; years 0000 to 9999
** (others are written as the plain number). Returns the length. */
size_t rbt_time_to_text(char text[RBT_TIME_TEXT_SIZE], int64_t time_us);

#endif
