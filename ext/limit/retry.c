/* SPDX-License-Identifier: MIT
** See retry.h. Calls nobody.
*/
#include "retry.h"

#include <string.h>

#define SECOND_US INT64_C(1000000)

int64_t rbt_retry_jitter(int64_t attempt, int64_t base_us, int64_t cap_us, uint64_t random) {
    int64_t limit = base_us;
    for (int64_t i = 1; i < attempt && limit < cap_us; i++)
        limit = limit > INT64_MAX / 2 ? INT64_MAX : 2 * limit;
    if (limit > cap_us) limit = cap_us;
    return (int64_t)(((unsigned __int128)random * ((unsigned __int128)limit + 1)) >> 64);
}

uint64_t rbt_retry_seeded(int64_t seed, int64_t attempt) {
    uint64_t z = (uint64_t)seed + (uint64_t)attempt * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* -------------------------------------------------------------------------------- Retry-After */

/* What is left of the text; every take_… moves on, or sets failed. */
typedef struct scanner {
    const char *at, *end;
    bool failed;
} scanner;

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static void take_text(scanner *s, const char *text) {
    size_t length = strlen(text);
    if ((size_t)(s->end - s->at) < length || memcmp(s->at, text, length) != 0)
        s->failed = true;
    else
        s->at += length;
}

/* A number of exactly so many digits. */
static int take_number(scanner *s, int digits) {
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (s->at == s->end || !is_digit(*s->at)) {
            s->failed = true;
            return 0;
        }
        value = 10 * value + (*s->at++ - '0');
    }
    return value;
}

/* The position of the name that comes, from 0. */
static int take_name(scanner *s, const char *const *names, int count) {
    for (int i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        if ((size_t)(s->end - s->at) >= length && memcmp(s->at, names[i], length) == 0) {
            s->at += length;
            return i;
        }
    }
    s->failed = true;
    return 0;
}

typedef struct date_parts {
    int year, month, day, hour, minute, second;
} date_parts;

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
static const char *const long_days[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                        "Friday", "Saturday", "Sunday"};

static void take_time(scanner *s, date_parts *date) {
    date->hour = take_number(s, 2);
    take_text(s, ":");
    date->minute = take_number(s, 2);
    take_text(s, ":");
    date->second = take_number(s, 2);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static date_parts take_fixed_date(scanner *s) {
    date_parts date = {0};
    take_name(s, days, 7);
    take_text(s, ", ");
    date.day = take_number(s, 2);
    take_text(s, " ");
    date.month = take_name(s, months, 12) + 1;
    take_text(s, " ");
    date.year = take_number(s, 4);
    take_text(s, " ");
    take_time(s, &date);
    take_text(s, " GMT");
    return date;
}

/* Sunday, 06-Nov-94 08:49:37 GMT. A year that would be more than 50 years ahead is the last one with
** these digits (RFC 9110, 5.6.7). */
static date_parts take_old_date(scanner *s, int this_year) {
    date_parts date = {0};
    take_name(s, long_days, 7);
    take_text(s, ", ");
    date.day = take_number(s, 2);
    take_text(s, "-");
    date.month = take_name(s, months, 12) + 1;
    take_text(s, "-");
    date.year = this_year - this_year % 100 + take_number(s, 2);
    if (date.year > this_year + 50) date.year -= 100;
    take_text(s, " ");
    take_time(s, &date);
    take_text(s, " GMT");
    return date;
}

/* Sun Nov  6 08:49:37 1994 */
static date_parts take_asctime(scanner *s) {
    date_parts date = {0};
    take_name(s, days, 7);
    take_text(s, " ");
    date.month = take_name(s, months, 12) + 1;
    take_text(s, " ");
    if (s->at < s->end && *s->at == ' ') {
        s->at++;
        date.day = take_number(s, 1);
    } else {
        date.day = take_number(s, 2);
    }
    take_text(s, " ");
    take_time(s, &date);
    take_text(s, " ");
    date.year = take_number(s, 4);
    return date;
}

static int days_of_month(int year, int month) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return lengths[month - 1] + (month == 2 && leap);
}

/* Seconds since 1970; false: there is no such date. A leap second counts as the next second. */
static bool seconds_of(const date_parts *date, int64_t *seconds) {
    if (date->year < 1 || date->day < 1 || date->day > days_of_month(date->year, date->month) ||
        date->hour > 23 || date->minute > 59 || date->second > 60)
        return false;
    int64_t before = date->year - 1;
    int64_t day = before * 365 + before / 4 - before / 100 + before / 400 - 719162;
    for (int month = 1; month < date->month; month++)
        day += days_of_month(date->year, month);
    day += date->day - 1;
    *seconds = ((day * 24 + date->hour) * 60 + date->minute) * 60 + date->second;
    return true;
}

static bool parse_seconds(const char *text, size_t length, int64_t *wait_us) {
    int64_t whole = 0, fraction = 0, scale = SECOND_US;
    size_t i = 0;
    for (; i < length && is_digit(text[i]); i++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, text[i] - '0', &whole))
            return false;
    if (i == 0) return false;
    if (i < length && text[i] == '.') {
        if (++i == length) return false;
        for (; i < length && is_digit(text[i]); i++)
            if (scale > 1) fraction += (text[i] - '0') * (scale /= 10);
    }
    int64_t us;
    if (i != length || __builtin_mul_overflow(whole, SECOND_US, &us) ||
        __builtin_add_overflow(us, fraction, &us))
        return false;
    *wait_us = us;
    return true;
}

bool rbt_retry_after_parse(const char *text, size_t length, int64_t now_us, int64_t *wait_us) {
    if (parse_seconds(text, length, wait_us)) return true;
    int this_year = (int)(1970 + now_us / SECOND_US / 31556952);
    for (int form = 0; form < 3; form++) {
        scanner s = {text, text + length, false};
        date_parts date = form == 0   ? take_fixed_date(&s)
                          : form == 1 ? take_old_date(&s, this_year)
                                      : take_asctime(&s);
        int64_t seconds;
        if (s.failed || s.at != s.end || !seconds_of(&date, &seconds)) continue;
        int64_t wait = seconds * SECOND_US - now_us;
        *wait_us = wait > 0 ? wait : 0;
        return true;
    }
    return false;
}
