/* SPDX-License-Identifier: MIT
** REAL as text: what Python's repr(float) gives, and back, under any locale. */
#include "base/real_text.h"

#include "tap.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>

static const char *text_of(double value) {
    static char text[RBT_REAL_TEXT_SIZE];
    if (rbt_real_to_text(text, value) != strlen(text)) return "wrong length";
    return text;
}

static double value_of(const char *text) {
    double value = 12345;
    if (!rbt_real_from_text(&value, text, strlen(text))) return NAN;
    return value;
}

/* Texts that Python's repr gives for the double they read back as. */
static const char *const reprs[] = {
    "0.0",
    "-0.0",
    "1.0",
    "-1.0",
    "0.1",
    "0.3",
    "0.30000000000000004",
    "100.0",
    "42100.5",
    "0.0001",
    "0.00011",
    "1e-05",
    "9.999e-05",
    "1.5e-07",
    "123456.7",
    "999999999999999.9",
    "1000000000000000.0",
    "1234567890123456.8",
    "9007199254740991.0",
    "9007199254740992.0",
    "9007199254740994.0",
    "9999999999999998.0",
    "1e+16",
    "1.0000000000000002e+16",
    "1.8014398509481984e+16",
    "1e+22",
    "1e+23",
    "1.0000000000000001e+23",
    "1.2345678901234568e+29",
    "5e-324",
    "1e-323",
    "1.5e-323",
    "2.225073858507201e-308",
    "2.2250738585072014e-308",
    "2.225073858507202e-308",
    "4.4501477170144023e-308",
    "1.7976931348623155e+308",
    "1.7976931348623157e+308",
    "8.98846567431158e+307",
    "5.684341886080802e-14",
    "5.684341886080801e-14",
    "-5.684341886080802e-14",
    "5.960464477539063e-08",
    "1.1102230246251565e-16",
    "2.220446049250313e-16",
    "4.450147717014403e-308",
    "9.5367431640625e-07",
    "0.0009765625",
    "7.450580596923828e-09",
    "2.938735877055719e-39",
    "1.1754943508222875e-38",
    "6.103515625e-05",
    "3.141592653589793",
    "2.718281828459045",
    "0.6666666666666666",
    "1.7320508075688772",
    "2e-44",
    "3.5844466002796428e+298",
    "4.708356024711512e+18",
    "9.409340012568248e+18",
    "2.9802322387695312e-08",
};

static double power_of_two(int exponent) {
    return ldexp(1.0, exponent);
}

static void test_known(void) {
    is_text(text_of(power_of_two(-44)), "5.684341886080802e-14",
            "2^-44 is the closest of the shortest, though not the nearest of its length");
    is_text(text_of(nextafter(power_of_two(-44), 0)), "5.684341886080801e-14",
            "its lower neighbour has the nearest");
    is_text(text_of(power_of_two(-24)), "5.960464477539063e-08", "2^-24");
    is_text(text_of(power_of_two(-1022)), "2.2250738585072014e-308", "the smallest normal value");
    is_text(text_of(power_of_two(-1074)), "5e-324", "the smallest of all");
    is_text(text_of(power_of_two(1023)), "8.98846567431158e+307", "2^1023");
    is_text(text_of(power_of_two(89)), "6.189700196426902e+26", "2^89");
    is_text(text_of(DBL_MAX), "1.7976931348623157e+308", "the largest");
    is_text(text_of(1.0), "1.0", "a whole number keeps a zero behind its point");
    is_text(text_of(-0.0), "-0.0", "minus zero keeps its sign");
    is_text(text_of(1e16), "1e+16", "the exponent begins at 1e16");
    is_text(text_of(0.0001), "0.0001", "and below 0.0001");

    int same = 0, count = (int)(sizeof reprs / sizeof reprs[0]);
    for (int i = 0; i < count; i++) {
        bool right = strcmp(text_of(value_of(reprs[i])), reprs[i]) == 0;
        if (!right) printf("# %s became %s\n", reprs[i], text_of(value_of(reprs[i])));
        same += right;
    }
    is_int(same, count, "Python's texts come back as they were");
}

/* Whether a value's text reads back as the same bits, by our reader and by the C library's. */
static bool comes_back(double value) {
    const char *text = text_of(value);
    double back = value_of(text), strtod_back = strtod(text, NULL);
    return memcmp(&back, &value, sizeof value) == 0 &&
           memcmp(&strtod_back, &value, sizeof value) == 0;
}

static void test_round_trips(void) {
    int wrong = 0;
    for (int exponent = -1074; exponent < 1024; exponent++) {
        double value = power_of_two(exponent);
        wrong += !comes_back(value) + !comes_back(-value) + !comes_back(nextafter(value, 0)) +
                 !comes_back(nextafter(value, DBL_MAX));
    }
    is_int(wrong, 0, "every power of two and its neighbours come back");

    wrong = 0;
    uint64_t state = 88172645463325252u; /* xorshift64 */
    for (int i = 0; i < 20000; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        double value;
        memcpy(&value, &state, sizeof value);
        if (isfinite(value)) wrong += !comes_back(value);
    }
    is_int(wrong, 0, "random bit patterns come back");

    wrong = 0;
    for (int cents = 0; cents < 20000; cents++) {
        char want[32];
        snprintf(want, sizeof want, "%d.%02d", cents * 7 / 100, cents * 7 % 100);
        if (want[strlen(want) - 1] == '0') want[strlen(want) - 1] = 0;
        wrong += strcmp(text_of(cents * 7 / 100.0), want) != 0;
    }
    is_int(wrong, 0, "prices are written as people write them");
}

static void test_reading(void) {
    ok(value_of("9007199254740993") == 9007199254740992.0, "a tie goes to the even neighbour");
    ok(value_of("9007199254740993.0000000000000000000000000000000000000000001") ==
           9007199254740994.0,
       "a digit far behind decides it");
    ok(value_of("2.4703282292062327e-324") == 0.0, "half the smallest value is zero");
    ok(value_of("2.4703282292062328e-324") == 5e-324, "a little more is the smallest");
    ok(value_of("1.7976931348623158e308") == DBL_MAX, "the largest is rounded to");
    ok(isnan(value_of("1.7976931348623159e308")) && isnan(value_of("1e309")) &&
           isnan(value_of("-1e99999999999999999999")),
       "what overflows is refused");
    ok(value_of("1e-99999999999999999999") == 0.0 && value_of("0e99999999999999999999") == 0.0,
       "what underflows is zero, and so is zero");
    ok(signbit(value_of("-0")) && signbit(value_of("-0.0e5")), "minus zero is read");
    ok(value_of("1E2") == 100.0 && value_of("12.5e-1") == 1.25 && value_of("1e+0") == 1.0,
       "exponents are read in every form");

    static char text[6000];
    strcpy(text, "9007199254740993.");
    memset(text + strlen(text), '0', 5000);
    strcat(text, "1");
    ok(value_of(text) == 9007199254740994.0, "also behind five thousand zeros");
    strcpy(text, "1");
    memset(text + 1, '0', 5000);
    strcpy(text + 5001, "e-5000");
    ok(value_of(text) == 1.0, "a long number with a small exponent");
    strcpy(text, "0.");
    memset(text + 2, '0', 5000);
    strcpy(text + 5002, "1e5001");
    ok(value_of(text) == 1.0, "a small number with a large exponent");

    const char *const bad[] = {"",   "-",  "+1", ".5",  "1.",  "1.e1", "1e",  "1e+",
                               "1 ", " 1", "1x", "nan", "inf", "0x1",  "1,5", "1e1.5"};
    int refused = 0, count = (int)(sizeof bad / sizeof bad[0]);
    for (int i = 0; i < count; i++)
        refused += isnan(value_of(bad[i]));
    is_int(refused, count, "what is no JSON number is refused");
    double value;
    ok(rbt_real_from_text(&value, "1.25garbage", 4) && value == 1.25,
       "the text need not end with a NUL");
}

static void test_locale(void) {
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8",
                                        "de_DE",       "pl_PL.utf8", "ps_AF",       "fa_IR"};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !found; i++)
        if (setlocale(LC_ALL, names[i]) && localeconv()->decimal_point[0] != '.') found = names[i];
    if (!found) {
        setlocale(LC_ALL, "C");
        ok(1, "numbers are written without the locale # SKIP no locale with a comma is installed");
        ok(1, "numbers are read without the locale # SKIP no locale with a comma is installed");
        return;
    }
    ok(strcmp(text_of(0.30000000000000004), "0.30000000000000004") == 0 &&
           strcmp(text_of(1.5e300), "1.5e+300") == 0 &&
           strcmp(text_of(power_of_two(-44)), "5.684341886080802e-14") == 0,
       "numbers are written without the locale");
    ok(value_of("0.30000000000000004") == 0.30000000000000004 && value_of("1.5e300") == 1.5e300 &&
           isnan(value_of("1,5")),
       "numbers are read without the locale");
    setlocale(LC_ALL, "C");
}

int main(void) {
    plan(32);
    test_known();
    test_round_trips();
    test_reading();
    test_locale();
    return done();
}
