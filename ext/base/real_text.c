/* SPDX-License-Identifier: MIT
** REAL as text and back. Calls the C library's conversions only, which glibc, musl and macOS round
** correctly. All that a locale changes in them is the decimal point, so strtod is given whole numbers
** with an exponent, and of printf's text the bytes between the first digit and the second are skipped.
**
** Writing finds the fewest digits that read back as the same value. Among decimals of equal length the
** one nearest to the value is what printf gives; it reads back as the value unless the value is a
** power of two, whose lower neighbour is only half as far as its upper one: then the next decimal
** away from zero may do where the nearest does not.
*/
#include "real_text.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_DIGITS = 17,  /* always enough to tell doubles apart */
    SURE_DIGITS = 15,  /* any decimal of so few digits survives the way through a normal double */
    KEPT_DIGITS = 800, /* a tie between doubles has at most 767 significant digits */
    EXPONENT_LIMIT = 100000 /* far beyond what digits before or after the point can make up for */
};

static const double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { EXACT_POWERS = sizeof powers_of_ten / sizeof powers_of_ten[0] };

/* A positive decimal: 0.d1d2d3… × 10^point. */
typedef struct decimal {
    char digits[MOST_DIGITS + 2];
    int count;
    int point;
} decimal;

static double decimal_value(const decimal *number) {
    char text[MOST_DIGITS + 16];
    snprintf(text, sizeof text, "%.*se%d", number->count, number->digits,
             number->point - number->count);
    return strtod(text, NULL);
}

/* The value rounded to count significant digits. */
static void round_to(decimal *number, double value, int count) {
    char text[64];
    snprintf(text, sizeof text, "%.*e", count - 1, value);
    const char *next = text;
    for (number->count = 0; number->count < count; next++)
        if (*next >= '0' && *next <= '9') number->digits[number->count++] = *next;
    number->point = atoi(next + 1) + 1;
}

/* Adds one to the last digit. */
static void step_up(decimal *number) {
    int i = number->count - 1;
    while (i >= 0 && number->digits[i] == '9')
        number->digits[i--] = '0';
    if (i >= 0) {
        number->digits[i]++;
        return;
    }
    number->digits[0] = '1'; /* 99…9 became 100…0 */
    number->point++;
}

static void drop_trailing_zeros(decimal *number) {
    while (number->count > 1 && number->digits[number->count - 1] == '0')
        number->count--;
}

/* Prices and counts: a value that is a whole number below 10^15 over 10^0 … 10^8. Both are exact
** doubles, so their quotient is rounded correctly, and a decimal of at most 15 digits that reads back
** as the value is the shortest once its zeros are dropped. */
static bool short_decimal(decimal *number, double value) {
    if (FLT_EVAL_METHOD != 0 || value >= 1e15) return false;
    for (int places = 0; places <= 8; places++) {
        double scaled = value * powers_of_ten[places];
        if (scaled >= 1e15) return false;
        int64_t whole = (int64_t)(scaled + 0.5);
        if ((double)whole / powers_of_ten[places] != value) continue;
        char text[24];
        number->count = snprintf(text, sizeof text, "%" PRId64, whole);
        memcpy(number->digits, text, (size_t)number->count);
        number->point = number->count - places;
        return true;
    }
    return false;
}

static void shortest_decimal(decimal *number, double value) {
    if (short_decimal(number, value)) return;
    int binary_exponent;
    bool power_of_two = frexp(value, &binary_exponent) == 0.5;
    for (int count = value >= DBL_MIN ? SURE_DIGITS : 1; count < MOST_DIGITS; count++) {
        round_to(number, value, count);
        if (decimal_value(number) == value) return;
        if (!power_of_two) continue;
        step_up(number);
        if (decimal_value(number) == value) return;
    }
    round_to(number, value, MOST_DIGITS);
}

size_t rbt_real_to_text(char text[RBT_REAL_TEXT_SIZE], double value) {
    char *out = text;
    if (signbit(value)) {
        *out++ = '-';
        value = -value;
    }
    decimal number = {.digits = "0", .count = 1, .point = 1};
    if (value > 0) {
        shortest_decimal(&number, value);
        drop_trailing_zeros(&number);
    }

    const char *digits = number.digits;
    int count = number.count, exponent = number.point - 1;
    if (exponent < -4 || exponent >= 16) {
        *out++ = digits[0];
        if (count > 1) {
            *out++ = '.';
            memcpy(out, digits + 1, (size_t)count - 1);
            out += count - 1;
        }
        *out++ = 'e';
        *out++ = exponent < 0 ? '-' : '+';
        if (exponent < 0) exponent = -exponent;
        if (exponent >= 100) *out++ = (char)('0' + exponent / 100);
        *out++ = (char)('0' + exponent / 10 % 10);
        *out++ = (char)('0' + exponent % 10);
    } else if (exponent < 0) {
        *out++ = '0';
        *out++ = '.';
        for (int i = exponent + 1; i < 0; i++)
            *out++ = '0';
        memcpy(out, digits, (size_t)count);
        out += count;
    } else {
        for (int i = 0; i < count || i <= exponent + 1; i++) {
            if (i == exponent + 1) *out++ = '.';
            *out++ = i < count ? digits[i] : '0';
        }
    }
    *out = 0;
    return (size_t)(out - text);
}

/* What was read of a number's digits: the significant ones, as a whole number. */
typedef struct reading {
    char digits[KEPT_DIGITS + 1];
    int count;
    bool more;        /* a digit other than zero was left out */
    int64_t exponent; /* of ten, that the whole number is to be multiplied by */
} reading;

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static void add_digit(reading *number, char digit, bool after_point) {
    if (number->count == KEPT_DIGITS) {
        number->more |= digit != '0';
        number->exponent += !after_point;
        return;
    }
    if (number->count > 0 || digit != '0') number->digits[number->count++] = digit;
    number->exponent -= after_point;
}

/* Both factors are exact and so is no rounding but the last (Clinger 1990). */
static bool exact_value(double *value, const reading *number) {
    if (FLT_EVAL_METHOD != 0 || number->count > SURE_DIGITS) return false;
    if (number->exponent <= -EXACT_POWERS || number->exponent >= EXACT_POWERS) return false;
    int64_t whole = 0;
    for (int i = 0; i < number->count; i++)
        whole = whole * 10 + (number->digits[i] - '0');
    *value = number->exponent < 0 ? (double)whole / powers_of_ten[-number->exponent]
                                  : (double)whole * powers_of_ten[number->exponent];
    return true;
}

static double rounded_value(reading *number) {
    double value;
    if (number->count == 0) return 0.0;
    if (exact_value(&value, number)) return value;
    if (number->more) { /* digits left out decide no more than on which side of a tie it lies */
        number->digits[number->count++] = '1';
        number->exponent--;
    }
    int64_t exponent = number->exponent;
    if (exponent + number->count > EXPONENT_LIMIT) return HUGE_VAL;
    if (exponent + number->count < -EXPONENT_LIMIT) return 0.0;
    char text[KEPT_DIGITS + 32];
    snprintf(text, sizeof text, "%.*se%" PRId64, number->count, number->digits, exponent);
    return strtod(text, NULL);
}

bool rbt_real_from_text(double *value, const char *text, size_t length) {
    const char *next = text, *end = text + length;
    bool negative = next < end && *next == '-';
    if (negative) next++;

    reading number;
    number.count = 0;
    number.more = false;
    number.exponent = 0;
    if (next == end || !is_digit(*next)) return false;
    for (; next < end && is_digit(*next); next++)
        add_digit(&number, *next, false);
    if (next < end && *next == '.') {
        if (++next == end || !is_digit(*next)) return false;
        for (; next < end && is_digit(*next); next++)
            add_digit(&number, *next, true);
    }
    if (next < end && (*next == 'e' || *next == 'E')) {
        next++;
        bool minus = next < end && *next == '-';
        if (next < end && (*next == '-' || *next == '+')) next++;
        if (next == end || !is_digit(*next)) return false;
        int64_t exponent = 0;
        for (; next < end && is_digit(*next); next++)
            if (exponent < INT64_MAX / 100) exponent = exponent * 10 + (*next - '0');
        number.exponent += minus ? -exponent : exponent;
    }
    if (next != end) return false;

    double magnitude = rounded_value(&number);
    if (isinf(magnitude)) return false;
    *value = negative ? -magnitude : magnitude;
    return true;
}
