/* SPDX-License-Identifier: MIT
** TAP for C tests: plan(n) first, then checks, then `return done();`. A count that differs from the
** plan fails the program, so a check that never ran is noticed. */
#ifndef RBT_TEST_TAP_H
#define RBT_TEST_TAP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_planned, tap_run, tap_failed;

static inline void plan(int count) {
    tap_planned = count;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%d\n", count);
}

static inline int tap_report(int passed, const char *name, const char *file, int line) {
    printf("%sok %d - %s\n", passed ? "" : "not ", ++tap_run, name);
    if (!passed) {
        tap_failed++;
        printf("# failed at %s:%d\n", file, line);
    }
    return passed;
}

static inline int tap_is_text(const char *got, const char *want, const char *name, const char *file,
                              int line) {
    int same = got && want ? strcmp(got, want) == 0 : got == want;
    tap_report(same, name, file, line);
    if (!same) printf("#  got: %s\n# want: %s\n", got ? got : "(null)", want ? want : "(null)");
    return same;
}

static inline int tap_is_int(long long got, long long want, const char *name, const char *file,
                             int line) {
    tap_report(got == want, name, file, line);
    if (got != want) printf("#  got: %lld\n# want: %lld\n", got, want);
    return got == want;
}

#define ok(condition, name) tap_report(!!(condition), (name), __FILE__, __LINE__)
#define is_text(got, want, name) tap_is_text((got), (want), (name), __FILE__, __LINE__)
#define is_int(got, want, name)                                                                    \
    tap_is_int((long long)(got), (long long)(want), (name), __FILE__, __LINE__)
/* Bytes equal; lengths are given by the caller. */
#define is_bytes(got, want, length, name)                                                          \
    tap_report(memcmp((got), (want), (length)) == 0, (name), __FILE__, __LINE__)

static inline int done(void) {
    if (tap_run != tap_planned) printf("# planned %d checks, ran %d\n", tap_planned, tap_run);
    return tap_failed || tap_run != tap_planned;
}

#endif
