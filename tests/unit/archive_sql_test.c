/* SPDX-License-Identifier: MIT
** The archive as SQL: archive_verify in both forms, archive_info, archive_entries and the module
** archive, over two segments of one log. */
#include "archive_sql_fixture.h"

enum { ENTRIES = 60000, CUT = 40000 };

static void check_verify(const made *second) {
    is_text(ask("SELECT level, kind, id FROM archive_verify('orders-*.zst')"), "info|verified|NULL",
            "intact segments give one row of kind verified");
    ok(contains(ask("SELECT archive_verify('orders-*.zst')"),
                "2 segments of orders, leaves 0 to 60000, "),
       "and the scalar says what was checked");
    ok(contains(ask("SELECT archive_verify('nowhere/*.zst')"),
                "archive_verify: no file matches nowhere/*.zst"),
       "a glob that matches nothing is an error");
    is_text(ask("SELECT archive_verify(NULL)"), "archive_verify: path must be TEXT, not NULL",
            "a NULL path is an error");
    ok(contains(ask("SELECT * FROM archive_verify('orders-*.zst', 'example.com/x+00000000+AA')"),
                "archive_verify: public key 1 is malformed"),
       "so is a malformed vkey");

    unsetenv("RUSTYBT_VERIFY_KEYS");
    is_text(ask("SELECT level, kind, count(*) FROM archive_verify('orders-*.zst') GROUP BY 1, 2"),
            "error|untrusted|2", "without a key to trust each file is untrusted");
    ok(contains(ask("SELECT archive_verify('orders-*.zst')"), "there is no key to trust"),
       "and the scalar raises");
    rbt_buffer vkey = {0};
    rbt_verifier_format(&vkey, &signer);
    setenv("RUSTYBT_VERIFY_KEYS", rbt_buffer_text(&vkey), 1);

    rbt_buffer bytes = slurp(second->path);
    bytes.data[1000] ^= 1;
    spill("damaged.zst", bytes.data, bytes.length);
    is_text(ask("SELECT kind FROM archive_verify('damaged.zst')"), "changed",
            "a damaged file gives its problem");
    ok(contains(ask("SELECT archive_verify('damaged.zst')"),
                "archive_verify: damaged.zst: frame 1 (entries 40001 to"),
       "which is the scalar's error");
    bytes.data[1000] ^= 1;
    spill("copy.zst", bytes.data, bytes.length);
    rbt_buffer_free(&bytes);
    ok(contains(ask("SELECT kind, detail FROM archive_verify('[co]*.zst')"), "chain|"),
       "a copy beside its original is found");
    unlink("copy.zst");
    unlink("damaged.zst");

    made third;
    make(&third, CUT + 100, CUT + 200);
    is_text(ask("SELECT kind FROM archive_verify('orders-*.zst')"), "chain",
            "segments that overlap are found");
    unlink(third.path);
    rename(second->path, "aside");
    ok(contains(ask("SELECT detail FROM archive_verify('orders-*.zst')"),
                "1 segment of orders, leaves 0 to 40000"),
       "one segment alone can be verified");
    make(&third, CUT + 100, CUT + 200);
    ok(contains(ask("SELECT kind, id, detail FROM archive_verify('orders-*.zst')"),
                "missing|40001|"),
       "a gap between segments is found");
    unlink(third.path);
    make(&third, CUT + 1, CUT + 200);
    ok(contains(
           ask("SELECT kind, detail FROM archive_verify('orders-*.zst')"),
           "does not name orders-000000000000-000000040000.jsonl.zst as the segment before it"),
       "a segment that does not name the one before it is found");
    unlink(third.path);
    rename("aside", second->path);
    rbt_buffer_free(&vkey);
}

static void check_info(const made *first) {
    char sql[300];
    snprintf(sql, sizeof sql,
             "SELECT value FROM archive_info('%s') WHERE key IN ('log', 'rows', 'checkpoint', "
             "'salted')",
             first->name);
    is_text(ask(sql), "orders\nfalse\n40001\nNULL", "archive_info tells the manifest's members");
    snprintf(sql, sizeof sql, "SELECT value FROM archive_info('%s') WHERE key = 'verified_by'",
             first->name);
    ok(contains(ask(sql), "example.com/audit+29b87bfc+"), "and whose signature was verified");
    snprintf(sql, sizeof sql,
             "SELECT value LIKE '-----BEGIN PUBLIC KEY-----%%' FROM archive_info('%s') WHERE key "
             "= 'pem'",
             first->name);
    is_text(ask(sql), "1", "in PEM, too");
    rbt_buffer vkey = {0};
    rbt_verifier_format(&vkey, &stranger);
    snprintf(sql, sizeof sql,
             "SELECT count(value), count(*) FROM archive_info('%s', '%s') WHERE key IN "
             "('verified_by', 'pem')",
             first->name, rbt_buffer_text(&vkey));
    is_text(ask(sql), "0|2", "but nothing of a key that is not trusted");
    rbt_buffer_free(&vkey);
    snprintf(sql, sizeof sql,
             "SELECT count(*), max(value LIKE '%%rustybt-segment-v1%%ids 0 40000%%') FROM "
             "archive_info('%s') WHERE key = 'note'",
             first->name);
    is_text(ask(sql), "1|1", "and the note");
    spill("nonsense", "nonsense, but long enough", 25);
    ok(contains(ask("SELECT key, value FROM archive_info('nonsense')"), "problem|nonsense: "),
       "of a file that is no segment it tells the problem");
    ok(contains(ask("SELECT key FROM archive_info('absent')"), "absent"),
       "a file that is not there is an error that names it");
    unlink("nonsense");
}

static void check_entries(void) {
    is_text(ask("SELECT count(*), min(id), max(id), count(DISTINCT path), count(DISTINCT rowid) "
                "FROM archive_entries('orders-*.zst')"),
            "60000|1|60000|2|60000", "archive_entries gives every entry and its file");
    is_text(ask("SELECT leaf FROM archive_entries('orders-*.zst') WHERE id = 40001"),
            "{\"id\":40001,\"recorded_at\":1700000040001000,\"order_id\":\"order-00766971\","
            "\"venue\":\"binance\",\"quantity\":4000,\"price\":10000.25,\"data\":{\"seq\":40001,"
            "\"tags\":[\"a\",\"}\"]}}",
            "with its leaf");
    ok(contains(ask("SELECT * FROM archive_entries"), "archive_entries: expected a path or glob"),
       "without a path it is an error");
    is_text(ask("SELECT sum(n) FROM (VALUES('orders-000000000000*'), ('orders-000000040001*')) p, "
                "(SELECT 1 n) JOIN archive_entries(p.column1) WHERE id % 1000 = 0"),
            "60", "the path may come from another table");
}

static void check_table(const made *second) {
    is_text(ask("CREATE VIRTUAL TABLE temp.cold USING archive('orders-*.zst')"), "",
            "the module archive makes a table");
    is_text(ask("SELECT group_concat(name) FROM pragma_table_xinfo('cold')"),
            "id,recorded_at,order_id,venue,quantity,price,data,path", "with the log's columns");
    is_text(ask("SELECT count(*), count(quantity), sum(price) FROM cold"),
            "60000|54000|450007500.0", "that holds all entries");
    is_text(ask("SELECT id, order_id, venue, quantity, price, data ->> 'seq', path FROM cold WHERE "
                "id = 40001"),
            "40001|order-00766971|binance|4000|10000.25|40001|"
            "orders-000000040001-000000060000.jsonl.zst",
            "values come in their types");
    is_text(ask("SELECT id FROM cold WHERE id BETWEEN 39999 AND 40002 ORDER BY id DESC"),
            "40002\n40001\n40000\n39999", "ORDER BY id goes across segments");
    ok(!strstr(ask("EXPLAIN QUERY PLAN SELECT id FROM cold ORDER BY id DESC"), "B-TREE"),
       "without sorting");
    is_text(ask("SELECT count(*) FROM cold WHERE id = '17'"), "1",
            "a text that SQLite converts to an id finds it");
    is_text(ask("SELECT count(*) FROM cold WHERE id < 17.5 AND id > 16.5"), "1",
            "ids compare with reals");
    is_text(ask("SELECT count(*) FROM cold WHERE venue = 'BINANCE' COLLATE NOCASE"), "60000",
            "another collation loses no rows");
    is_text(ask("SELECT count(*) FROM cold WHERE venue = 'bybit'"), "0",
            "a venue that no zone lists gives nothing");
    is_text(ask("SELECT count(*) FROM cold WHERE quantity = NULL"), "0", "NULL equals nothing");
    is_text(ask("SELECT count(*) FROM cold WHERE quantity = '4000'"), "9",
            "a text that SQLite converts to a number finds it");
    is_text(
        ask("SELECT count(*) FROM cold WHERE price > 14999.5 OR recorded_at < 1700000000003000"),
        "4", "OR of two columns gives each row once");
    is_text(
        ask("SELECT group_concat(c.id) FROM (VALUES(1), (60000), (40000), (7)) v JOIN cold c ON "
            "c.id = v.column1"),
        "1,60000,40000,7", "a join looks each id up");
    ok(contains(ask("INSERT INTO cold(id) VALUES(1)"), "may not be modified"), "it is read-only");
    ok(contains(ask("CREATE VIRTUAL TABLE temp.bad USING archive(cold)"),
                "archive: expected one argument"),
       "its argument must be quoted");
    ok(contains(ask("SELECT * FROM archive"), "no such table"), "it is no table by itself");

    rbt_buffer bytes = slurp(second->path);
    bytes.data[bytes.length / 2] ^= 1;
    spill(second->path, bytes.data, bytes.length);
    ok(contains(ask("SELECT count(*) FROM cold"), "has other bytes than were signed"),
       "a damaged segment is an error, never fewer rows");
    bytes.data[bytes.length / 2] ^= 1;
    spill(second->path, bytes.data, bytes.length);
    rbt_buffer_free(&bytes);
    char *vkeys = rbt_strdup(getenv("RUSTYBT_VERIFY_KEYS"));
    unsetenv("RUSTYBT_VERIFY_KEYS");
    ok(contains(ask("SELECT count(*) FROM cold"), "there is no key to trust"),
       "nothing is read without trust");
    setenv("RUSTYBT_VERIFY_KEYS", vkeys, 1);
    rbt_free(vkeys);
    is_text(ask("DROP TABLE temp.cold"), "", "it can be dropped");
}

/* A view in the schema must not reach files. */
static void check_direct_only(void) {
    ask("CREATE VIEW reading AS SELECT count(*) FROM archive_entries('orders-*.zst')");
    ok(contains(ask("SELECT * FROM reading"), "unsafe use of virtual table"),
       "a view of the schema cannot read segments");
    ask("CREATE VIEW verifying AS SELECT archive_verify('orders-*.zst')");
    ok(contains(ask("SELECT * FROM verifying"), "unsafe use of archive_verify"), "nor verify them");
}

int main(void) {
    plan(48);
    begin_segments(ENTRIES);
    made first, second;
    if (!open_segments(&first, &second, CUT, ENTRIES)) return 1;
    check_verify(&second);
    check_info(&first);
    check_entries();
    check_table(&second);
    check_direct_only();
    is_int(sqlite3_close(db), SQLITE_OK, "the database closes");
    end_segments();
    return done();
}
