/* SPDX-License-Identifier: MIT
** What audit_verify costs, beside what nobody could do without: reading the same columns and hashing the
** same bytes.
**
**     verify_bench extension log.db plain.db [rounds]      3 rounds
**
** Both files hold a table t with the same columns and rows (bench/audit_log.py makes them). Prints a line
** for each contestant: name, tab, microseconds of processor time an entry, the best round of each:
**
**     verify      SELECT audit_verify('t')
**     read        SELECT * FROM t on the plain table, each column fetched as what it is
**     leaves      nettle's SHA-256 of 0x00 and the leaf's line, for each entry
**     nodes       nettle's SHA-256 of the 65 bytes of an inner node, one for each entry
**     integrity   PRAGMA integrity_check(t) on the plain table, whose indexes are the log's
*/
#include "../ext/crypto/hash.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct line {
    size_t start, length; /* in `lines` */
} line;

static sqlite3_stmt *verify_statement, *read_statement, *integrity_statement;
static unsigned char *lines; /* 0x00 and the leaf, for each entry */
static line *places;
static long entry_count;
static unsigned char digest[32];
static sqlite3_int64 fetched; /* so that nothing is optimised away */

static void fail(const char *what) {
    fprintf(stderr, "verify_bench: %s\n", what);
    exit(1);
}

static void verify(void) {
    if (sqlite3_step(verify_statement) != SQLITE_ROW)
        fail(sqlite3_errmsg(sqlite3_db_handle(verify_statement)));
    sqlite3_reset(verify_statement);
}

static void read_rows(void) {
    long count = 0;
    for (; sqlite3_step(read_statement) == SQLITE_ROW; count++) {
        int columns = sqlite3_column_count(read_statement);
        for (int i = 0; i < columns; i++) {
            if (sqlite3_column_type(read_statement, i) == SQLITE_INTEGER) {
                fetched += sqlite3_column_int64(read_statement, i);
            } else {
                fetched += sqlite3_column_text(read_statement, i) != NULL;
                fetched += sqlite3_column_bytes(read_statement, i);
            }
        }
    }
    if (sqlite3_reset(read_statement) != SQLITE_OK || count != entry_count)
        fail("the plain table does not hold the log's rows");
}

static void hash_leaves(void) {
    for (long i = 0; i < entry_count; i++)
        rbt_sha256_once(digest, lines + places[i].start, places[i].length);
}

static void hash_nodes(void) {
    unsigned char node[65] = {1};
    for (long i = 0; i < entry_count; i++) {
        memcpy(node + 1, digest, sizeof digest);
        rbt_sha256_once(digest, node, sizeof node);
    }
}

static void integrity(void) {
    if (sqlite3_step(integrity_statement) != SQLITE_ROW ||
        strcmp((const char *)sqlite3_column_text(integrity_statement, 0), "ok") != 0)
        fail("the plain table is damaged");
    sqlite3_reset(integrity_statement);
}

static struct {
    const char *name;
    void (*run)(void);
    double best; /* microseconds an entry; 0 before the first round */
} contestants[] = {{"verify", verify, 0},
                   {"read", read_rows, 0},
                   {"leaves", hash_leaves, 0},
                   {"nodes", hash_nodes, 0},
                   {"integrity", integrity, 0}};
enum { CONTESTANTS = sizeof contestants / sizeof contestants[0] };

/* Microseconds. */
static double processor_time(void) {
    struct timespec time;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) != 0) fail("no clock of processor time");
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static sqlite3 *open_database(const char *path) {
    sqlite3 *db;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) fail(path);
    return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) fail(sqlite3_errmsg(db));
    return statement;
}

static void *grown(void *memory, size_t size) {
    memory = realloc(memory, size);
    if (!memory) fail("out of memory");
    return memory;
}

/* The leaf of every entry. */
static void take_lines(sqlite3 *db) {
    sqlite3_stmt *count = prepare(db, "SELECT count(*) FROM t");
    if (sqlite3_step(count) == SQLITE_ROW) entry_count = (long)sqlite3_column_int64(count, 0);
    sqlite3_finalize(count);
    if (entry_count < 1) fail("the log is empty");
    places = grown(NULL, (size_t)entry_count * sizeof *places);
    sqlite3_stmt *leaf = prepare(db, "SELECT audit_leaf('t', ?)");
    size_t length = 0, capacity = 0;
    for (long i = 0; i < entry_count; i++) {
        sqlite3_bind_int64(leaf, 1, i + 1);
        if (sqlite3_step(leaf) != SQLITE_ROW) fail(sqlite3_errmsg(db));
        const void *text = sqlite3_column_text(leaf, 0);
        size_t size = (size_t)sqlite3_column_bytes(leaf, 0);
        if (!text) fail("an entry has no leaf");
        if (capacity - length <= size) lines = grown(lines, capacity = 2 * (capacity + size + 1));
        places[i] = (line){length, 1 + size};
        lines[length] = 0;
        memcpy(lines + length + 1, text, size);
        length += 1 + size;
        sqlite3_reset(leaf);
    }
    sqlite3_finalize(leaf);
}

int main(int argument_count, char **arguments) {
    if (argument_count < 4) fail("expected: extension log.db plain.db [rounds]");
    int rounds = argument_count > 4 ? atoi(arguments[4]) : 3;
    char *message = NULL;
    sqlite3 *log = open_database(arguments[2]), *plain = open_database(arguments[3]);
    if (sqlite3_db_config(log, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL) != SQLITE_OK ||
        sqlite3_load_extension(log, arguments[1], NULL, &message) != SQLITE_OK)
        fail(message ? message : "the extension cannot be loaded");
    take_lines(log);
    verify_statement = prepare(log, "SELECT audit_verify('t')");
    read_statement = prepare(plain, "SELECT * FROM t ORDER BY id");
    integrity_statement = prepare(plain, "PRAGMA integrity_check(t)");

    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < CONTESTANTS; i++) {
            double start = processor_time();
            contestants[i].run();
            double took = (processor_time() - start) / (double)entry_count;
            if (round == 0 || took < contestants[i].best) contestants[i].best = took;
        }
    }
    for (int i = 0; i < CONTESTANTS; i++)
        printf("%s\t%.4f\n", contestants[i].name, contestants[i].best);

    sqlite3_finalize(verify_statement);
    sqlite3_finalize(read_statement);
    sqlite3_finalize(integrity_statement);
    free(lines);
    free(places);
    if (sqlite3_close(log) != SQLITE_OK || sqlite3_close(plain) != SQLITE_OK)
        fail("a database does not close");
    return fetched == 0;
}
