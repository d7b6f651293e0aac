/* SPDX-License-Identifier: MIT
** Scans of segments: every entry once and in order, frames passed over only where no entry is lost,
** and never a row of a file that is not trusted or not whole. */
#include "segment_fixture.h"

enum { ENTRIES = 300000, CUT = 200000 };

typedef struct scanned {
    int64_t rows, first, last, matching;
    int ordered, right;
    rbt_error error;
} scanned;

static scanned scan(const made *m, const rbt_leaf_shape *as, const rbt_zone_term *terms,
                    size_t count, bool reverse) {
    scanned result = {.ordered = 1, .right = 1};
    rbt_segment_scan *cursor;
    const rbt_leaf *leaf;
    const char *line;
    size_t length;
    rbt_buffer want = {0};
    rbt_published published = {m->summary.first_id, m->summary.last_id, {0}};
    memcpy(published.manifest_sha256, m->summary.manifest_sha256, 32);
    int code = store->scan_open(&cursor, NULL, m->path, &signer, 1, &published, m->plan.log_id, as,
                                UINT64_MAX, terms, count, reverse, &result.error);
    if (code != SQLITE_OK) return result;
    while ((code = store->scan_next(cursor, &leaf, &line, &length, &result.error)) == SQLITE_ROW) {
        if (result.rows++ == 0) result.first = leaf->id;
        if (result.rows > 1) result.ordered &= leaf->id == result.last + (reverse ? -1 : 1);
        result.last = leaf->id;
        if (leaf->id % 997 == 0) { /* often enough, and quick */
            make_line(&want, leaf->id);
            result.right &= want.length == length && memcmp(want.data, line, length) == 0;
        }
    }
    if (code != SQLITE_DONE) result.rows = -1;
    store->scan_close(cursor);
    rbt_buffer_free(&want);
    return result;
}

static rbt_zone_term whole(int column, rbt_compare compare, int64_t value) {
    return (rbt_zone_term){column, compare, {.kind = RBT_INTEGER, .integer = value}};
}

static rbt_zone_term words(int column, rbt_compare compare, const char *value) {
    return (rbt_zone_term){
        column,
        compare,
        {.kind = RBT_TEXT, .data = (const uint8_t *)value, .length = strlen(value)}};
}

static void check_scans(const made *big, const made *second) {
    scanned all = scan(big, &shape, NULL, 0, false);
    is_int(all.rows, CUT, "a scan gives every entry but the genesis");
    ok(all.ordered && all.right && all.first == 1, "in order, each with its line");
    scanned back = scan(big, &shape, NULL, 0, true);
    ok(back.rows == CUT && back.ordered && back.right && back.first == CUT && back.last == 1,
       "or all of them backwards");
    rbt_zone_term range[2] = {whole(RBT_SCAN_ID, RBT_GE, 70000), whole(RBT_SCAN_ID, RBT_LT, 70010)};
    scanned some = scan(big, &shape, range, 2, true);
    ok(some.rows == 10 && some.first == 70009 && some.last == 70000,
       "an id range gives its entries");
    rbt_zone_term one = whole(RBT_SCAN_ID, RBT_EQ, 0);
    is_int(scan(big, &shape, &one, 1, false).rows, 0, "id 0 is no entry");

    rbt_zone_term term = words(1, RBT_EQ, "bybit");
    scanned venue = scan(big, &shape, &term, 1, false);
    ok(venue.rows >= 100000 && venue.rows < 150000 && venue.last >= 199999,
       "frames without a listed text are passed over, and no entry is lost");
    term = words(1, RBT_EQ, "nowhere");
    is_int(scan(big, &shape, &term, 1, false).rows, 0, "a text that no frame lists gives nothing");
    term = words(1, RBT_GT, "kraken");
    is_int(scan(second, &shape, &term, 1, false).rows, ENTRIES - CUT,
           "texts compare bytewise, also those with escapes");
    term = whole(2, RBT_GE, CUT / 10 - 1);
    venue = scan(big, &shape, &term, 1, false);
    ok(venue.rows > 0 && venue.rows < CUT / 4 && venue.last == CUT, "integers narrow by range");
    term = (rbt_zone_term){3, RBT_LT, {.kind = RBT_REAL, .real = 0.3}};
    venue = scan(big, &shape, &term, 1, false);
    ok(venue.rows > 0 && venue.rows < CUT / 4 && venue.first == 1, "reals too");
    term = whole(3, RBT_GE, CUT / 4);
    venue = scan(big, &shape, &term, 1, false);
    ok(venue.rows > 0 && venue.rows < CUT / 4 && venue.last == CUT,
       "a whole number narrows a REAL column");
    term = whole(1, RBT_LT, 5);
    is_int(scan(big, &shape, &term, 1, false).rows, CUT,
           "a number against TEXT excludes nothing: SQLite may convert it");
    term = words(0, RBT_EQ, "x");
    is_int(scan(big, &shape, &term, 1, false).rows, CUT,
           "a column of too many texts has no zone and excludes nothing");

    rbt_leaf_shape other = {0};
    rbt_leaf_shape_add(&other, "price", 5, RBT_COLUMN_REAL, &no_error);
    rbt_leaf_shape_add(&other, "absent", 6, RBT_COLUMN_TEXT, &no_error);
    rbt_segment_scan *cursor;
    const rbt_leaf *leaf;
    const char *line;
    size_t length;
    rbt_error error = {0};
    store->scan_open(&cursor, NULL, big->path, &signer, 1, NULL, NULL, &other, UINT64_MAX, NULL, 0,
                     false, &error);
    store->scan_next(cursor, &leaf, &line, &length, &error);
    ok(leaf->values[0].kind == RBT_REAL && leaf->values[0].real == 0.25 &&
           leaf->values[1].kind == RBT_NULL,
       "columns are matched by name, and one that is not there is NULL");
    store->scan_close(cursor);
    term = words(1, RBT_EQ, "x");
    is_int(scan(big, &other, &term, 1, false).rows, 0, "an absent column satisfies no comparison");
    rbt_leaf_shape_free(&other);
}

static void check_scan_refusals(const made *big) {
    rbt_segment_scan *cursor;
    rbt_error error = {0};
    uint8_t other[32] = {1};
    rbt_published published = {big->summary.first_id, big->summary.last_id, {1}};
    is_int(store->scan_open(&cursor, NULL, big->path, &stranger, 1, NULL, NULL, &shape, 0, NULL, 0,
                            false, &error),
           SQLITE_ERROR, "a scan needs a trusted signature");
    ok(strstr(error.message, "none of the 1 trusted keys"), "and says that it has none");
    rbt_error_clear(&error);
    is_int(store->scan_open(&cursor, NULL, big->path, &signer, 1, &published, NULL, &shape, 0, NULL,
                            0, false, &error),
           SQLITE_CORRUPT_VTAB, "a scan refuses another manifest than was recorded");
    rbt_error_clear(&error);
    memcpy(published.manifest_sha256, big->summary.manifest_sha256, 32);
    published.last_id++;
    is_int(store->scan_open(&cursor, NULL, big->path, &signer, 1, &published, NULL, &shape, 0, NULL,
                            0, false, &error),
           SQLITE_CORRUPT_VTAB, "other ids than were recorded");
    rbt_error_clear(&error);
    is_int(store->scan_open(&cursor, NULL, big->path, &signer, 1, NULL, other, &shape, 0, NULL, 0,
                            false, &error),
           SQLITE_CORRUPT_VTAB, "or another log");
    rbt_error_clear(&error);

    made damaged = *big;
    rbt_buffer bytes = slurp(big->path);
    bytes.data[bytes.length / 2] ^= 1;
    snprintf(damaged.path, sizeof damaged.path, "%s/tampered", directory);
    spill(damaged.path, bytes.data, bytes.length);
    scanned result = scan(&damaged, &shape, NULL, 0, false);
    ok(result.rows == -1 && result.error.code == SQLITE_CORRUPT_VTAB &&
           strstr(result.error.message, "has other bytes than were signed"),
       "a damaged frame ends a scan with an error, never with fewer rows");
    rbt_error_clear(&result.error);
    rbt_buffer_free(&bytes);
}

int main(void) {
    plan(21);
    begin_segments(ENTRIES);
    made big, second;
    make(&big, 0, CUT);
    make(&second, CUT + 1, ENTRIES);
    check_scans(&big, &second);
    check_scan_refusals(&big);
    end_segments();
    return done();
}
