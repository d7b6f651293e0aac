/* SPDX-License-Identifier: MIT
** One line on a terminal, and interrupts (progress.h).
*/
#include "progress.h"

#include "sql_util.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { DELAY_MS = 2000, SHOW_MS = 250, LOOK_MS = 100, WIDTH = 80, MAX_WIDTH = 200 };
static const int64_t never = INT64_MAX;

/* This thread's work, the innermost. A key, for _Thread_local would make the extension need the dynamic
** loader by name. */
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool usable; /* else a process with too many keys: it is shown no progress */

static void make_key(void) {
    usable = pthread_key_create(&key, NULL) == 0;
}

/* When the extension is unloaded, with the last connection that it is on. */
__attribute__((destructor)) static void drop_key(void) {
    if (usable) pthread_key_delete(key);
}

static rbt_progress *current(void) {
    pthread_once(&once, make_key); /* fails for invalid arguments alone */
    return usable ? pthread_getspecific(key) : NULL;
}

static int64_t now_ms(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return 0; /* it fails for unknown clocks alone */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Milliseconds of work before which nothing is shown, or `never`. */
static int64_t delay(void) {
    const char *setting = getenv("RUSTYBT_PROGRESS");
    const char *kind = getenv("TERM");
    if (isatty(STDERR_FILENO) != 1 || (kind && strcmp(kind, "dumb") == 0)) return never;
    if (!setting || !setting[0]) return DELAY_MS;
    char *end;
    errno = 0;
    long seconds = strtol(setting, &end, 10);
    if (errno != 0 || *end || seconds < 0 || seconds > 86400) return never;
    return (int64_t)seconds * 1000;
}

/* A process in the background may be stopped for what it writes. */
static bool in_foreground(void) {
    pid_t foreground = tcgetpgrp(STDERR_FILENO);
    return foreground < 0 || foreground == getpgrp(); /* negative: it controls no process */
}

/* A line that cannot be written is not missed. */
static void write_line(const char *text, size_t length) {
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, text, length);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        text += written;
        length -= (size_t)written;
    }
}

/* The number with a comma before every three digits. */
static void group_digits(char out[32], int64_t number) {
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%lld", (long long)number);
    char *at = out;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0) *at++ = ',';
        *at++ = digits[i];
    }
    *at = 0;
}

/* Names come from files and databases: nothing in them may command the terminal, so control characters,
** also those of U+0080 to U+009F, become question marks. */
static void disarm(char *text) {
    for (uint8_t *at = (uint8_t *)text; *at; at++) {
        if (*at < 0x20 || *at == 0x7f) *at = '?';
        if (*at == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f) *at = at[1] = '?';
    }
}

static void show(const rbt_progress *p) {
    char line[MAX_WIDTH + 1], done[32], total[32], text[MAX_WIDTH + 16];
    struct winsize size;
    if (!in_foreground()) return;
    group_digits(done, p->done);
    group_digits(total, p->total);
    if (p->total > 0)
        snprintf(
            line, sizeof line, "%s %.60s: %s of %s entries, %d %%", p->verb, p->subject, done,
            total,
            (int)(100.0 * (double)(p->done < p->total ? p->done : p->total) / (double)p->total));
    else
        snprintf(line, sizeof line, "%s %.60s: %s entries", p->verb, p->subject, done);
    disarm(line);
    size_t width = WIDTH;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) width = size.ws_col;
    if (width > sizeof line) width = sizeof line;
    line[width - 1] = 0; /* a full line would wrap, and the next would not overwrite it */
    int length = snprintf(text, sizeof text, "\r%s\x1b[K", line);
    write_line(text, (size_t)length);
    p->outermost->shown = true;
}

void rbt_progress_begin(rbt_progress *progress, sqlite3 *db, const char *verb, const char *subject,
                        int64_t total) {
    rbt_progress *outer = current();
    if (!db && outer) db = outer->db;
    *progress =
        (rbt_progress){.outer = outer, .db = db, .verb = verb, .subject = subject, .total = total};
    progress->outermost = outer ? outer->outermost : progress;
    if (!outer) {
        int64_t wait = delay();
        progress->look_ms = now_ms();
        progress->show_ms = wait == never ? never : progress->look_ms + wait;
    }
    /* Without memory for the key's value this is work that nobody sees. */
    if (usable && pthread_setspecific(key, progress) != 0) progress->show_ms = never;
}

void rbt_progress_total(rbt_progress *progress, int64_t total) {
    progress->total = total;
}

void rbt_progress_end(rbt_progress *progress) {
    static const char erase[] = "\r\x1b[K";
    if (usable) pthread_setspecific(key, progress->outer); /* it has its memory */
    if (progress->outer || !progress->shown) return;
    if (in_foreground()) write_line(erase, sizeof erase - 1);
}

void rbt_progress_step(int64_t entries) {
    rbt_progress *p = current();
    if (!p) return;
    p->done += entries;
    rbt_progress *outermost = p->outermost;
    if (outermost->show_ms == never) return;
    int64_t now = now_ms();
    if (now < outermost->show_ms) return;
    show(p);
    outermost->show_ms = now + SHOW_MS;
}

bool rbt_progress_interrupted(const char *who, rbt_error *error) {
    const rbt_progress *p = current();
    if (!p || !p->db) return false;
    rbt_progress *outermost = p->outermost;
    int64_t now = now_ms();
    if (now < outermost->look_ms) return false;
    outermost->look_ms = now + LOOK_MS;
    if (!rbt_interrupted(p->db)) return false;
    rbt_fail(error, SQLITE_INTERRUPT, "%s: interrupted", who);
    return true;
}
