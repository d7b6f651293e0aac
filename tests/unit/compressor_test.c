/* SPDX-License-Identifier: MIT
** Writing a segment with several threads: the file's bytes do not depend on how many there are, errors and
** interrupts end them all and leave no file, and memory has the bound that compressor.h states. */
#include "segment_fixture.h"

#include "archive/compressor.h"
#include "base/progress.h"

enum { ENTRIES = 250000 }; /* nine frames at level 1 */

static made whole;

/* Writes the whole log anew; the file is removed first. */
static int write_with(const char *threads, source *s) {
    setenv("RUSTYBT_THREADS", threads, 1);
    unlink(whole.path);
    memset(&whole, 0, sizeof whole);
    prepare(&whole, 0, ENTRIES);
    return write_from(&whole, s);
}

static bool same_bytes(const rbt_buffer *a, const rbt_buffer *b) {
    return a->length == b->length && memcmp(a->data, b->data, a->length) == 0;
}

static void check_bytes_alike(void) {
    source one = {0};
    is_int(write_with("1", &one), SQLITE_OK, "one thread writes a segment");
    rbt_buffer first = slurp(whole.path);
    static const char *const counts[] = {"2", "4", "64"};
    for (size_t i = 0; i < 3; i++) {
        source many = {0};
        write_with(counts[i], &many);
        rbt_buffer other = slurp(whole.path);
        ok(whole.code == SQLITE_OK && same_bytes(&first, &other),
           "threads make no difference to the file");
        rbt_buffer_free(&other);
    }
    found f = check_with(whole.path, &signer, 1);
    is_int(f.count, 0, "which verifies");
    rbt_segment_summary summary = whole.summary;
    ok(summary.raw_bytes > 8 * RBT_FRAME_TEXT, "and has more frames than there are slots");
    rbt_buffer_free(&first);
}

static void check_errors(void) {
    source broken = {.wrong_id = 0, .skip_id = 240000};
    is_int(write_with("4", &broken), SQLITE_CORRUPT_VTAB,
           "a missing entry is found while frames are being compressed");
    is_text(whole.error.message, "audit_archive: entry 240000 of orders came as id 240001",
            "and named");
    is_int(count_files(".tmp"), 0, "no temporary stays");
    is_int(access(whole.path, F_OK), -1, "and no file");
    rbt_error_clear(&whole.error);

    static const char *const wrong[] = {"0", "65", "-1", "two", "2x", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char want[120];
        source s = {0};
        snprintf(want, sizeof want, "audit_archive: RUSTYBT_THREADS must be 1 to 64, not '%.20s'",
                 wrong[i]);
        write_with(wrong[i], &s);
        is_text(whole.error.message, want, "a number of threads that cannot be is refused");
        rbt_error_clear(&whole.error);
    }
}

/* The statement that runs keeps the interrupt from being forgotten, as the caller's does in earnest. */
static void check_interrupt(void) {
    sqlite3 *db = NULL;
    sqlite3_stmt *running = NULL;
    rbt_progress progress;
    source s = {0};
    sqlite3_open(":memory:", &db);
    sqlite3_prepare_v2(db, "SELECT 1 UNION ALL SELECT 2", -1, &running, NULL);
    sqlite3_step(running);
    rbt_progress_begin(&progress, db, "archiving", "orders", ENTRIES);
    sqlite3_interrupt(db);
    is_int(write_with("4", &s), SQLITE_INTERRUPT, "an interrupt ends the work");
    rbt_progress_end(&progress);
    is_text(whole.error.message, "audit_archive: interrupted", "and is said to have");
    is_int(count_files(".tmp") + count_files(".zst"), 0, "no file stays");
    rbt_error_clear(&whole.error);
    sqlite3_finalize(running);
    sqlite3_close(db);
}

/* Peak of SQLite's allocator, beyond what was in use before, when frames are compressed at level 19. */
static sqlite3_int64 peak(unsigned threads) {
    rbt_error error = {0};
    sqlite3_int64 before = sqlite3_memory_used();
    sqlite3_memory_highwater(1);
    rbt_compressor *c = rbt_compressor_new("test", 19, threads, &error);
    for (int i = 0; i < 40; i++) {
        rbt_frame_job *job;
        while (!(job = rbt_compressor_next(c)))
            if (rbt_compressor_take(c, &error)) rbt_compressor_recycle(c);
        if (!rbt_buffer_reserve(&job->text, RBT_FRAME_TEXT)) abort();
        job->text.length =
            1000 + (size_t)i; /* so that the test is short: room is for a whole frame */
        memset(job->text.data, 'a' + i % 26, job->text.length);
        if (rbt_compressor_submit(c, true, &error) != SQLITE_OK) abort();
    }
    rbt_compressor_free(c); /* in the midst of it */
    return sqlite3_memory_highwater(0) - before;
}

static void check_memory(void) {
    const sqlite3_int64 MIB = 1024 * 1024;
    const unsigned counts[] = {1, 2, 4};
    for (size_t i = 0; i < 3; i++) {
        sqlite3_int64 used = peak(counts[i]);
        ok(used <= counts[i] * 68 * MIB + MIB / 2,
           "compressing takes at most 68 MiB for each thread");
        printf("# %u threads: %.1f MiB\n", counts[i], (double)used / (double)MIB);
    }
}

int main(void) {
    plan(22);
    begin_segments(ENTRIES);
    prepare(&whole, 0, ENTRIES);
    check_bytes_alike();
    check_errors();
    check_interrupt();
    check_memory();
    end_segments();
    return done();
}
