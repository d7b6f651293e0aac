/* SPDX-License-Identifier: MIT
** See attested.h.
*/
#include "attested.h"

#include "../base/clock.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "events.h"

#include <stdlib.h>

static const int64_t day_us = INT64_C(86400000000);
enum { LONGEST_SILENCE = 31 }; /* days that count of the longest one */

static int add_day(rbt_attested *attested, int64_t day, rbt_error *error) {
    if (attested->count == attested->capacity) {
        size_t capacity = attested->capacity ? 2 * attested->capacity : 64;
        int64_t *grown = rbt_realloc(attested->days, capacity * sizeof *grown);
        if (!grown) return rbt_fail_nomem(error);
        attested->days = grown;
        attested->capacity = capacity;
    }
    attested->days[attested->count++] = day;
    return SQLITE_OK;
}

int rbt_attested_add(rbt_attested *attested, int64_t time_us, rbt_error *error) {
    return add_day(attested, time_us / day_us, error);
}

static int compare_days(const void *left, const void *right) {
    const int64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* Entries of one day follow each other, so that most of them need no place. */
static int add_entries(rbt_attested *attested, rbt_log *log, sqlite3_stmt *entries, const char *who,
                       rbt_error *error) {
    int64_t last_day = INT64_MIN;
    while (entries && error->code == SQLITE_OK && sqlite3_step(entries) == SQLITE_ROW) {
        int64_t time = sqlite3_column_int64(entries, 0);
        if (time > attested->newest_us) attested->newest_us = time;
        if (time / day_us == last_day) continue;
        last_day = time / day_us;
        add_day(attested, last_day, error);
    }
    if (sqlite3_finalize(entries) != SQLITE_OK && error->code == SQLITE_OK)
        rbt_fail_db(error, log->db, who);
    return error->code;
}

int rbt_attested_read(rbt_attested *attested, rbt_log *log, const char *who, rbt_error *error) {
    attested->newest_us = log->last_recorded_at;
    add_day(attested, log->last_recorded_at / day_us, error);
    add_entries(attested, log,
                rbt_prepare(log->db, error, who,
                            "SELECT recorded_at FROM \"%w\".\"%w_rows\" ORDER BY id", log->schema,
                            log->name),
                who, error);
    if (error->code == SQLITE_OK)
        add_entries(attested, log,
                    rbt_prepare(log->db, error, who,
                                "SELECT recorded_at FROM \"%w\"." RBT_EVENTS_LOG " ORDER BY id",
                                log->schema),
                    who, error);
    if (error->code == SQLITE_OK)
        qsort(attested->days, attested->count, sizeof *attested->days, compare_days);
    int64_t clock = rbt_clock_us();
    if (attested->newest_us > clock) attested->newest_us = clock;
    return error->code;
}

void rbt_attested_free(rbt_attested *attested) {
    rbt_free(attested->days);
    *attested = (rbt_attested){0};
}

int64_t rbt_attested_time(const rbt_attested *attested, int64_t since_us) {
    int64_t before = since_us / day_us, longest = 0, end = attested->newest_us / day_us;
    for (size_t i = 0; i < attested->count; i++) {
        int64_t day = attested->days[i];
        if (day <= before) continue;
        if (day > end) break;
        if (day - before > longest) longest = day - before;
        before = day;
    }
    if (end - before > longest) longest = end - before; /* the clock went back behind the newest */
    if (longest <= LONGEST_SILENCE) return attested->newest_us;
    return attested->newest_us - (longest - LONGEST_SILENCE) * day_us;
}
