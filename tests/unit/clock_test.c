/* SPDX-License-Identifier: MIT
** The clock, durations in words, calendar arithmetic and times as text. */
#include "base/clock.h"

#include "tap.h"

#include <time.h>

static const int64_t second = 1000000, day = 86400 * INT64_C(1000000);

/* Microseconds of a UTC date and time, by an independent route. */
static int64_t at(int year, int month, int month_day, int hour, int minute) {
    struct tm parts = {.tm_year = year - 1900,
                       .tm_mon = month - 1,
                       .tm_mday = month_day,
                       .tm_hour = hour,
                       .tm_min = minute};
    return (int64_t)timegm(&parts) * second;
}

static rbt_duration duration_of(const char *text) {
    rbt_duration duration = {-1, -1};
    rbt_duration_parse(&duration, text, strlen(text));
    return duration;
}

static const char *text_of(int64_t time_us) {
    static char text[RBT_TIME_TEXT_SIZE];
    if (rbt_time_to_text(text, time_us) != strlen(text)) return "wrong length";
    return text;
}

static void test_clock(void) {
    int64_t now = rbt_clock_us();
    ok(llabs(now / second - (int64_t)time(NULL)) <= 2, "the clock tells the time");
    ok(rbt_clock_us() >= now, "and goes forward");
    rbt_clock_override_us = 42;
    is_int(rbt_clock_us(), 42, "a test can set it");
    rbt_clock_override_us = 0;
    ok(rbt_clock_us() >= now, "and set it free");
}

static void test_durations(void) {
    static const struct {
        const char *text;
        int64_t months, us;
    } good[] = {
        {"1 hour", 0, 3600000000},
        {"90 days", 0, 90 * INT64_C(86400000000)},
        {"7 years", 84, 0},
        {"15 min", 0, 900000000},
        {"1 week", 0, INT64_C(604800000000)},
        {"6 months", 6, 0},
        {"10 s", 0, 10000000},
        {"250 ms", 0, 250000},
        {"90", 0, 90000000},
        {"5us", 0, 5},
        {"1s", 0, 1000000},
        {"2sec", 0, 2000000},
        {"1 second", 0, 1000000},
        {"2 seconds", 0, 2000000},
        {"1minute", 0, 60000000},
        {"2 minutes", 0, 120000000},
        {"3h", 0, INT64_C(10800000000)},
        {"2 hours", 0, INT64_C(7200000000)},
        {"1d", 0, INT64_C(86400000000)},
        {"1 day", 0, INT64_C(86400000000)},
        {"2w", 0, INT64_C(1209600000000)},
        {"2 weeks", 0, INT64_C(1209600000000)},
        {"1 month", 1, 0},
        {"1y", 12, 0},
        {"1 year", 12, 0},
        {"007 s", 0, 7000000},
        {"9223372036854775807 us", 0, INT64_MAX},
        {"9223372036854", 0, INT64_C(9223372036854000000)},
    };
    int right = 0, count = (int)(sizeof good / sizeof good[0]);
    for (int i = 0; i < count; i++) {
        rbt_duration duration = duration_of(good[i].text);
        bool same = duration.months == good[i].months && duration.us == good[i].us;
        if (!same) printf("# %s\n", good[i].text);
        right += same;
    }
    is_int(right, count, "every unit is understood");

    static const char *const bad[] = {
        "",
        " ",
        "hour",
        "0",
        "0 days",
        "-1 day",
        "+1 day",
        "1.5 hours",
        "1e3",
        "1  day",
        " 1 day",
        "1 day ",
        "1 ",
        "1 m",
        "1 mins",
        "1 hr",
        "1 days ago",
        "1\tday",
        "1 day\n",
        "one day",
        "1 fortnight",
        "9223372036855",
        "9223372036854775808 us",
        "99999999999999999999 s",
        "9223372036854775807 weeks",
        "9223372036854775807 years",
    };
    right = 0;
    count = (int)(sizeof bad / sizeof bad[0]);
    for (int i = 0; i < count; i++) {
        rbt_duration duration = {-1, -1};
        bool refused = !rbt_duration_parse(&duration, bad[i], strlen(bad[i]));
        if (!refused || duration.months != -1) printf("# %s\n", bad[i]);
        right += refused && duration.months == -1;
    }
    is_int(right, count, "anything else is refused and changes nothing");
    rbt_duration duration;
    ok(!rbt_duration_parse(&duration, "1 day\0", 6) && rbt_duration_parse(&duration, "1 dayx", 5),
       "the length counts, not a NUL");
}

static void test_arithmetic(void) {
    is_int(rbt_time_add(at(2026, 1, 31, 9, 30), duration_of("1 month")), at(2026, 2, 28, 9, 30),
           "31 January and a month is the last of February");
    is_int(rbt_time_add(at(2024, 1, 31, 9, 30), duration_of("1 month")), at(2024, 2, 29, 9, 30),
           "in a leap year the 29th");
    is_int(rbt_time_add(at(2024, 2, 29, 0, 0), duration_of("7 years")), at(2031, 2, 28, 0, 0),
           "29 February and seven years is 28 February");
    is_int(rbt_time_subtract(at(2026, 3, 31, 23, 59), duration_of("1 month")),
           at(2026, 2, 28, 23, 59), "a month before 31 March likewise");
    is_int(rbt_time_subtract(at(2026, 1, 15, 12, 0), duration_of("13 months")),
           at(2024, 12, 15, 12, 0), "months go over the end of the year");
    is_int(rbt_time_add(at(1969, 12, 31, 23, 59), duration_of("90 days")), at(1970, 3, 31, 23, 59),
           "days are of 24 hours");
    is_int(rbt_time_add(at(1900, 2, 28, 0, 0), duration_of("1 d")), at(1900, 3, 1, 0, 0),
           "1900 was no leap year");
    is_int(rbt_time_add(at(2000, 2, 28, 0, 0), duration_of("1 d")), at(2000, 2, 29, 0, 0),
           "2000 was one");
    is_int(rbt_time_add(at(1960, 5, 31, 1, 2) + 7, duration_of("9 months")),
           at(1961, 2, 28, 1, 2) + 7, "before 1970 the time of day stays too");

    int wrong = 0;
    for (int64_t time_us = at(1890, 1, 1, 0, 0) + 5; time_us < at(2110, 1, 1, 0, 0);
         time_us += 3 * day + 17) {
        time_t seconds = (time_t)(time_us / second - (time_us % second < 0));
        struct tm parts;
        gmtime_r(&seconds, &parts);
        parts.tm_mon += 5;
        int month_day = parts.tm_mday;
        parts.tm_mday = 1;
        int64_t first = (int64_t)timegm(&parts); /* normalizes */
        int last = 28;
        for (int i = 29; i <= 31; i++) {
            struct tm later = parts;
            later.tm_mday = i;
            timegm(&later);
            if (later.tm_mon == parts.tm_mon) last = i;
        }
        if (month_day > last) month_day = last;
        int64_t fraction = time_us - (int64_t)seconds * second;
        int64_t want = (first + (month_day - 1) * INT64_C(86400)) * second + fraction;
        wrong += rbt_time_add(time_us, duration_of("5 months")) != want;
    }
    is_int(wrong, 0, "five months on, over 220 years, agree with the C library");

    is_int(rbt_time_add(INT64_MAX - 1, duration_of("1 s")), INT64_MAX, "addition saturates");
    is_int(rbt_time_subtract(INT64_MIN + 1, duration_of("1 s")), INT64_MIN,
           "subtraction saturates");
    is_int(rbt_time_add(at(2026, 1, 1, 0, 0), duration_of("300000 years")), INT64_MAX,
           "years saturate");
    is_int(rbt_time_subtract(at(2026, 1, 1, 0, 0), duration_of("300000 years")), INT64_MIN,
           "in both directions");
    rbt_duration extreme = {INT64_MAX, INT64_MAX}, lowest = {INT64_MIN, INT64_MIN};
    ok(rbt_time_add(0, extreme) == INT64_MAX && rbt_time_subtract(0, extreme) == INT64_MIN &&
           rbt_time_add(0, lowest) == INT64_MIN && rbt_time_subtract(0, lowest) == INT64_MAX,
       "the extremes of a duration do no harm");
}

static void test_text(void) {
    is_text(text_of(at(2026, 1, 31, 9, 30)), "2026-01-31T09:30:00Z", "a time is written in UTC");
    is_text(text_of(at(2026, 1, 31, 9, 30) + 123456), "2026-01-31T09:30:00.123456Z",
            "with its microseconds");
    is_text(text_of(1), "1970-01-01T00:00:00.000001Z", "in six digits");
    is_text(text_of(-1), "1969-12-31T23:59:59.999999Z", "before 1970 likewise");
    is_text(text_of(at(9999, 12, 31, 23, 59) + 59 * second), "9999-12-31T23:59:59Z",
            "9999 is the last year");
    is_text(text_of(at(9999, 12, 31, 23, 59) + 60 * second), "253402300800000000",
            "later times are plain numbers");
    is_text(text_of(INT64_C(-62167219200) * second), "0000-01-01T00:00:00Z",
            "0000 is the first year");
    is_text(text_of(INT64_C(-62167219200) * second - 1), "-62167219200000001",
            "earlier times are plain numbers");
    is_text(text_of(INT64_MIN), "-9223372036854775808", "down to the least");
    is_text(text_of(INT64_MAX), "9223372036854775807", "and up to the greatest");
}

int main(void) {
    plan(32);
    test_clock();
    test_durations();
    test_arithmetic();
    test_text();
    return done();
}
