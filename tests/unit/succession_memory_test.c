/* SPDX-License-Identifier: MIT
** audit_succession when memory runs out: whichever allocation fails, the log is handed over or as it was,
** the note and its event are both there or neither, and nothing leaks. And no lack of memory makes a
** log that was handed over look otherwise. */
#include "failing_memory.h"

#include "log_fixture.h"

#define OLD_SEED "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define NEW_SEED "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="

/* Notes and events of log; they must be equal. */
#define NOTES                                                                                      \
    "(SELECT count(*) FROM log_meta, json_each(log_meta.value) WHERE log_meta.key = "              \
    "'successions')"
#define EVENTS "(SELECT count(*) FROM rustybt_events WHERE action = 'signing_key' AND log = 'log')"

static void copy_file(const char *from, const char *to) {
    char block[65536];
    size_t size;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    if (!in || !out) bail("cannot copy the database");
    while ((size = fread(block, 1, sizeof block, in)) > 0)
        if (fwrite(block, 1, size, out) != size) bail("cannot copy the database");
    if (ferror(in) || fclose(out) != 0) bail("cannot copy the database");
    fclose(in);
}

static int attempt(const char *sql) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    while (statement && (code = sqlite3_step(statement)) == SQLITE_ROW)
        ;
    int finalized = sqlite3_finalize(statement);
    return code == SQLITE_DONE ? finalized : code;
}

/* A cold log under the old key, in base.db; then both keys are held. */
static void make_base(void) {
    setenv("RUSTYBT_SIGNING_KEY", OLD_SEED, 1);
    db = open_log_database("base.db");
    must("CREATE VIRTUAL TABLE log USING audit_log(a TEXT, archive='cold')");
    must("WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO log(a) "
         "SELECT 'entry' FROM n");
    must("SELECT audit_archive('log', 'cold', 'now')");
    must("SELECT audit_prune('log')");
    sqlite3_close(db);
    setenv("RUSTYBT_SIGNING_KEY", NEW_SEED "," OLD_SEED, 1);
}

static void test_act(void) {
    long runs = 0, failed = 0, handed = 0, wrong = 0;
    bool hit = true;
    for (long at = 1; hit && wrong < 10; at += 11) {
        copy_file("base.db", "test.db");
        db = open_log_database("test.db");
        failing_memory_at(at);
        int code = attempt("SELECT audit_succession('log')");
        hit = failing_memory_hit;
        failing_memory_at(0);
        /* SQLite itself cannot roll back before the statement that ran out of memory has ended */
        if (!sqlite3_get_autocommit(db)) must("ROLLBACK");
        long long notes = number("SELECT " NOTES), events = number("SELECT " EVENTS);
        bool verified = strstr(value("SELECT audit_verify('log')"), "300 entries") != NULL;
        runs++;
        failed += code == SQLITE_NOMEM;
        handed += notes == 1;
        if (notes != events || !verified || (code != SQLITE_OK && code != SQLITE_NOMEM) ||
            (code == SQLITE_OK && notes != 1)) {
            wrong++;
            printf("# allocation %ld: code %d, %lld notes, %lld events, %s\n", at, code, notes,
                   events, value("SELECT audit_verify('log')"));
        }
        sqlite3_close(db);
    }
    printf("# %ld runs, %ld of them without memory, %ld handed over\n", runs, failed, handed);
    ok(wrong == 0 && failed > 20, "whatever fails, note and event are both there or neither");
    ok(handed > 0, "and with memory the log is handed over");
}

/* On test.db as the last run of test_act left it: handed over. */
static void test_readers(void) {
    static const struct {
        const char *sql, *name;
    } readers[] = {
        {"SELECT audit_verify('log')", "verification knows the note, or says that memory ran out"},
        {"SELECT sum(length(a)) FROM log", "cold entries are read, or memory ran out"},
        {"SELECT audit_succession('*')", "what was handed over stays so, or memory ran out"},
    };
    setenv("RUSTYBT_SIGNING_KEY", NEW_SEED, 1);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        long failed = 0, wrong = 0;
        bool hit = true;
        for (long at = 1; hit && wrong < 10; at += 13) {
            db = open_log_database("test.db");
            failing_memory_at(at);
            int code = attempt(readers[i].sql);
            hit = failing_memory_hit;
            failing_memory_at(0);
            failed += code == SQLITE_NOMEM;
            if ((code != SQLITE_OK && code != SQLITE_NOMEM) || (!hit && code != SQLITE_OK)) {
                wrong++;
                printf("# allocation %ld: code %d, %s\n", at, code, sqlite3_errmsg(db));
            }
            sqlite3_close(db);
        }
        ok(wrong == 0 && failed > 10, readers[i].name);
    }
}

int main(void) {
    plan(6);
    if (failing_memory_install() != SQLITE_OK) return 1;
    enter_folder();
    make_base();
    long long before = sqlite3_memory_used();
    test_act();
    test_readers();
    is_int(sqlite3_memory_used(), before, "no memory is left behind");
    leave_folder();
    return done();
}
