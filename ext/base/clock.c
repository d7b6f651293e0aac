/* SPDX-License-Identifier: MIT
** The wall clock, durations in words, and calendar arithmetic (proleptic Gregorian, days counted as in
** Howard Hinnant's https://howardhinnant.github.io/date_algorithms.html). Calls the C library only.
*/
#include "clock.h"

#include <string.h>
#include <time.h>

static const int64_t us_per_second = 1000000;
static const int64_t us_per_day = 86400 * INT64_C(1000000);

int64_t rbt_clock_override_us;

int64_t rbt_clock_us(void) {
    if (rbt_clock_override_us != 0) return rbt_clock_override_us;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return 0; /* POSIX knows no reason for it to fail */
    return (int64_t)now.tv_sec * us_per_second + now.tv_nsec / 1000;
}

typedef struct duration_unit {
    const char *names[4]; /* unused ones are NULL */
    int64_t months, us;
} duration_unit;

static const duration_unit units[] = {
    {{"us"}, 0, 1},
    {{"ms"}, 0, 1000},
    {{"", "s", "sec"}, 0, 1000000},
    {{"second", "seconds"}, 0, 1000000},
    {{"min", "minute", "minutes"}, 0, INT64_C(60000000)},
    {{"h", "hour", "hours"}, 0, INT64_C(3600000000)},
    {{"d", "day", "days"}, 0, INT64_C(86400000000)},
    {{"w", "week", "weeks"}, 0, INT64_C(604800000000)},
    {{"month", "months"}, 1, 0},
    {{"y", "year", "years"}, 12, 0},
};

static bool same_name(const char *name, const char *text, size_t length) {
    return strlen(name) == length && memcmp(name, text, length) == 0;
}

static const duration_unit *find_unit(const char *text, size_t length) {
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        for (size_t k = 0; k < 4 && units[i].names[k]; k++)
            if (same_name(units[i].names[k], text, length)) return &units[i];
    return NULL;
}

bool rbt_duration_parse(rbt_duration *duration, const char *text, size_t length) {
    int64_t count = 0;
    size_t i = 0;
    for (; i < length && text[i] >= '0' && text[i] <= '9'; i++)
        if (__builtin_mul_overflow(count, 10, &count) ||
            __builtin_add_overflow(count, text[i] - '0', &count))
            return false;
    if (count == 0) return false; /* also: no digit at all */
    if (i + 1 < length && text[i] == ' ') i++;

    const duration_unit *unit = find_unit(text + i, length - i);
    if (!unit) return false;
    rbt_duration result;
    if (__builtin_mul_overflow(count, unit->months, &result.months) ||
        __builtin_mul_overflow(count, unit->us, &result.us))
        return false;
    *duration = result;
    return true;
}

typedef struct civil_date {
    int64_t year;
    int month, day; /* from 1 */
} civil_date;

static int64_t floor_divide(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/* Days are counted from 1970-01-01. Years begin in March here, so a leap day is the last of one. */
static civil_date date_of_days(int64_t days) {
    days += 719468; /* from 0000-03-01 */
    int64_t era = floor_divide(days, 146097);
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    civil_date date;
    date.day = (int)(day_of_year - (153 * march_month + 2) / 5 + 1);
    date.month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    date.year = year_of_era + era * 400 + (date.month <= 2);
    return date;
}

static int64_t days_of_date(civil_date date) {
    int64_t year = date.year - (date.month <= 2);
    int64_t era = floor_divide(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t march_month = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t day_of_year = (153 * march_month + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int days_in_month(int64_t year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static int64_t saturate(bool negative) {
    return negative ? INT64_MIN : INT64_MAX;
}

static int64_t add_us(int64_t time_us, int64_t us) {
    int64_t sum;
    return __builtin_add_overflow(time_us, us, &sum) ? saturate(us < 0) : sum;
}

static int64_t add_months(int64_t time_us, int64_t months) {
    const int64_t beyond = 12 * INT64_C(600000); /* the whole range is less than 600000 years */
    if (months == 0) return time_us;
    if (months > beyond || months < -beyond) return saturate(months < 0);

    int64_t days = floor_divide(time_us, us_per_day);
    int64_t us_of_day = time_us - days * us_per_day;
    civil_date date = date_of_days(days);
    int64_t month = date.year * 12 + date.month - 1 + months;
    date.year = floor_divide(month, 12);
    date.month = (int)(month - date.year * 12) + 1;
    int last = days_in_month(date.year, date.month);
    if (date.day > last) date.day = last;

    int64_t moved;
    if (__builtin_mul_overflow(days_of_date(date), us_per_day, &moved)) return saturate(months < 0);
    return add_us(moved, us_of_day);
}

int64_t rbt_time_add(int64_t time_us, rbt_duration duration) {
    return add_us(add_months(time_us, duration.months), duration.us);
}

static int64_t negate(int64_t value) {
    return value == INT64_MIN ? INT64_MAX : -value;
}

int64_t rbt_time_subtract(int64_t time_us, rbt_duration duration) {
    return add_us(add_months(time_us, negate(duration.months)), negate(duration.us));
}

/* Writes width decimal digits. */
static char *put_digits(char *out, int64_t value, int width) {
    for (int i = width - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + width;
}

static size_t plain_number(char text[RBT_TIME_TEXT_SIZE], int64_t value) {
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char digits[20];
    size_t start = sizeof digits, length = 0;
    do {
        digits[--start] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude != 0);
    if (value < 0) text[length++] = '-';
    memcpy(text + length, digits + start, sizeof digits - start);
    length += sizeof digits - start;
    text[length] = 0;
    return length;
}

size_t rbt_time_to_text(char text[RBT_TIME_TEXT_SIZE], int64_t time_us) {
    int64_t days = floor_divide(time_us, us_per_day);
    int64_t us_of_day = time_us - days * us_per_day;
    civil_date date = date_of_days(days);
    if (date.year < 0 || date.year > 9999) return plain_number(text, time_us);

    int64_t second = us_of_day / us_per_second, fraction = us_of_day % us_per_second;
    char *out = put_digits(text, date.year, 4);
    *out++ = '-';
    out = put_digits(out, date.month, 2);
    *out++ = '-';
    out = put_digits(out, date.day, 2);
    *out++ = 'T';
    out = put_digits(out, second / 3600, 2);
    *out++ = ':';
    out = put_digits(out, second / 60 % 60, 2);
    *out++ = ':';
    out = put_digits(out, second % 60, 2);
    if (fraction != 0) {
        *out++ = '.';
        out = put_digits(out, fraction, 6);
    }
    *out++ = 'Z';
    *out = 0;
    return (size_t)(out - text);
}
