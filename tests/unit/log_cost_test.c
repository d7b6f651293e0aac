/* SPDX-License-Identifier: MIT
** What a log costs SQLite, without a clock: files that it opens (a statement journal nearly doubles the
** work of an append), steps of its virtual machine, rows scanned without an index. */
#include "log_fixture.h"

/* A VFS that counts the temporary files that are opened, and passes everything on. */
static sqlite3_vfs counting;
static sqlite3_vfs *system_vfs;
static int statement_journals, temporary_files;

static int counting_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
                         int *out) {
    (void)vfs;
    statement_journals += (flags & SQLITE_OPEN_SUBJOURNAL) != 0;
    temporary_files +=
        (flags & (SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_TEMP_JOURNAL | SQLITE_OPEN_TRANSIENT_DB)) != 0;
    return system_vfs->xOpen(system_vfs, name, file, flags, out);
}

static void install_vfs(void) {
    system_vfs = sqlite3_vfs_find(NULL);
    counting = *system_vfs;
    counting.zName = "counting";
    counting.pNext = NULL;
    counting.xOpen = counting_open;
    sqlite3_vfs_register(&counting, 1);
}

/* The kept statement whose SQL contains text; NULL when there is none. */
static sqlite3_stmt *kept(const char *text) {
    sqlite3_stmt *statement = NULL;
    while ((statement = sqlite3_next_stmt(db, statement)) != NULL)
        if (strstr(sqlite3_sql(statement), text)) return statement;
    return NULL;
}

static int status(sqlite3_stmt *statement, int which) {
    return statement ? sqlite3_stmt_status(statement, which, 1) : -1;
}

#define APPEND "INSERT INTO log(kind, sid, at, data) VALUES('filled', 24, 5, '{\"amount\": 1}');"

static void test_journals(void) {
    must("CREATE TABLE plain(x CHECK(x > 0)); BEGIN; INSERT INTO plain VALUES(1)");
    statement_journals = 0;
    must("INSERT INTO plain VALUES(2), (3); UPDATE plain SET x = x + 1; ROLLBACK");
    ok(statement_journals > 0, "statements that may fail half-way open a statement journal");
    must(APPEND "BEGIN;" APPEND);
    statement_journals = temporary_files = 0;
    for (int i = 0; i < 500; i++)
        must(APPEND);
    is_int(statement_journals, 0, "500 appends in a transaction open none");
    is_int(temporary_files, 0, "nor any other temporary file");
    must("COMMIT");
    ok(statement_journals <= 1, "the gate's guard, which calls a function, costs one at COMMIT");
    must("PRAGMA foreign_keys = ON; BEGIN;" APPEND);
    statement_journals = 0;
    for (int i = 0; i < 100; i++)
        must(APPEND);
    is_int(statement_journals, 0, "REFERENCES, being deferred, costs none with foreign_keys on");
    must("COMMIT; PRAGMA foreign_keys = OFF");
    must("SELECT audit_verify('log')");
}

static void test_steps(void) {
    sqlite3_stmt *insert = kept("INSERT OR FAIL INTO");
    ok(insert != NULL, "the statement that appends is kept");
    must("BEGIN;" APPEND);
    status(insert, SQLITE_STMTSTATUS_VM_STEP);
    status(insert, SQLITE_STMTSTATUS_REPREPARE);
    for (int i = 0; i < 1000; i++)
        must(APPEND);
    int steps = status(insert, SQLITE_STMTSTATUS_VM_STEP);
    printf("# %.1f steps an append\n", steps / 1000.0);
    ok(steps > 0 && steps < 80 * 1000, "an append takes less than 80 steps of SQLite's machine");
    is_int(status(insert, SQLITE_STMTSTATUS_REPREPARE), 0, "and is not compiled again");
    must("COMMIT");
}

static const char example[] =
    "SELECT at, kind, json_extract(data, '$.fill_price') FROM log WHERE sid = (SELECT sid FROM "
    "equities WHERE symbol = 'AAPL') AND at BETWEEN 5000 AND 5050 AND kind = 'filled' ORDER BY at";

static void test_query(void) {
    must("CREATE TABLE equities(sid INTEGER PRIMARY KEY, symbol TEXT UNIQUE); INSERT INTO equities "
         "VALUES(24, 'AAPL'), (25, 'SPY')");
    must("WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO "
         "log(kind, "
         "sid, at, data) SELECT iif(i % 2, 'filled', 'sent'), 24 + i % 4 / 2, i, '{}' FROM n");
    must(example);
    sqlite3_stmt *select = kept("FROM \"main\".\"log_rows\" WHERE");
    ok(select != NULL, "the example query becomes one kept SELECT on the rows");
    printf("# %s\n", select ? sqlite3_sql(select) : "");
    status(select, SQLITE_STMTSTATUS_VM_STEP);
    status(select, SQLITE_STMTSTATUS_FULLSCAN_STEP);
    must(example);
    is_int(status(select, SQLITE_STMTSTATUS_FULLSCAN_STEP), 0, "it scans nothing");
    int steps = status(select, SQLITE_STMTSTATUS_VM_STEP);
    printf("# %d steps\n", steps);
    ok(steps > 0 && steps < 51 * 30, "and steps through the 51 entries of its range alone");
    is_int(number("SELECT count(*) FROM log WHERE sid = 24 AND at BETWEEN 5000 AND 5050 AND kind = "
                  "'filled'"),
           13, "which are right");

    must("SELECT data FROM log WHERE id = 777");
    select = kept("WHERE id =");
    ok(select && status(select, SQLITE_STMTSTATUS_VM_STEP) < 20, "an entry is found by its id");
    must("SELECT id FROM log ORDER BY id DESC LIMIT 2");
    select = kept("ORDER BY id DESC");
    ok(select && status(select, SQLITE_STMTSTATUS_SORT) == 0, "the newest come without a sort");
    ok(select && status(select, SQLITE_STMTSTATUS_VM_STEP) < 40, "and without the others");
    int before = 0, after = 0;
    for (sqlite3_stmt *s = NULL; (s = sqlite3_next_stmt(db, s)) != NULL;)
        before++;
    must("SELECT count(*) FROM log");
    for (sqlite3_stmt *s = NULL; (s = sqlite3_next_stmt(db, s)) != NULL;)
        after++;
    is_int(after, before, "a count needs no statement on the rows");
    must("SELECT kind FROM log WHERE id = 3");
    select = kept("SELECT id, \"kind\" FROM");
    ok(select != NULL, "only the columns that are used are read");
}

int main(void) {
    plan(18);
    sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, 0); /* statement journals are files at once */
    enter_folder();
    sqlite3_initialize();
    install_vfs();
    db = open_log_database("test.db");
    must("PRAGMA synchronous = OFF");
    must("CREATE VIRTUAL TABLE log USING audit_log(kind TEXT NOT NULL CHECK(kind IN ('filled', "
         "'sent')), sid INTEGER NOT NULL REFERENCES parents(x), at INTEGER NOT NULL, data JSON NOT "
         "NULL, INDEX(at)); CREATE TABLE parents(x INTEGER PRIMARY KEY); INSERT INTO "
         "parents VALUES(24)");
    test_journals();
    test_steps();
    test_query();
    is_int(sqlite3_close(db), SQLITE_OK, "the connection closes");
    leave_folder();
    return done();
}
