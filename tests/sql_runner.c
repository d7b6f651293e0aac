/* SPDX-License-Identifier: MIT
** Runs one script of tests/sql against rustybt and reports in TAP.
**
**     sql_runner [--extension FILE] script.sql
**
** The script runs in a fresh folder of its own, removed afterwards, on the database `test.db`
** there, through the SQLite library that the dynamic linker finds. Built with -DSQLITE_CORE the
** extension is linked in and --extension is not taken.
**
** A script is SQL in which lines that begin with `-- ` may direct the runner:
**
**     -- test: sentence        names the next statement's check
**     -- expect: text          below a statement: one line of its rows (columns joined by '|')
**     -- glob: pattern         the same, matched as SQLite's GLOB does
**     -- nothing               below a statement: it gives no row
**     -- error: message        below a statement: it fails with exactly this message
**     -- error glob: pattern   the same, matched as GLOB does
**     -- run: command          stands for a statement: its rows are what `sh -c command` prints; it
**                              fails with "exit N". TEST_ROOT holds the project's folder
**     -- env: NAME=value       sets, and `-- env: NAME` unsets, an environment variable. rustybt
**                              reads keys on first use: below its first use, -- reopen must follow
**     -- reopen                closes all connections and opens the database again
**     -- database: name        the same with another database (":memory:", "other.db")
**     -- plain                 the next statement runs on a new connection without the extension
**     -- other                 the next statement runs on a second connection with the extension
**
** A line `-- word: …` with another single word is refused, so that a misspelt direction cannot pass
** for a comment. NULL is shown as NULL, a BLOB as X'00FF'. A statement with an expectation is one
** check; the last check is that every other statement succeeded and every connection closed.
*/
#ifndef SQLITE_CORE
#include <sqlite3.h>
#else
#include "rustybt.h"
#endif
#include <ctype.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct text {
    char *data; /* NUL-terminated once something was added */
    size_t length;
} text;

typedef enum item_kind { ITEM_SQL, ITEM_RUN, ITEM_ENV, ITEM_DATABASE } item_kind;
typedef enum target { TARGET_MAIN, TARGET_OTHER, TARGET_PLAIN } target;
typedef enum expectation_kind { EXPECT_TEXT, EXPECT_GLOB } expectation_kind;

typedef struct expectation {
    expectation_kind kind;
    char *text;
} expectation;

typedef struct item {
    item_kind kind;
    target target;
    int line;
    char *text; /* SQL, command, assignment or database name */
    char *name; /* of its check; NULL: none was given */
    expectation *rows;
    size_t row_count;
    bool nothing;
    expectation error; /* text NULL: it must succeed */
} item;

static struct {
    const char *path;
    char *contents;
    item *items;
    size_t count;
} script;

static char *extension; /* absolute; NULL in the core build */
static char root[PATH_MAX];
static char folder[PATH_MAX];
static char database[PATH_MAX] = "test.db";
static sqlite3 *connections[2]; /* TARGET_MAIN, TARGET_OTHER */
static int check_count, checks_failed, unexpected;

static void remove_folder(void);

__attribute__((noreturn, format(printf, 2, 3))) static void bail_out(int line, const char *format,
                                                                     ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("Bail out! %s", script.path ? script.path : "sql_runner");
    if (line) printf(":%d", line);
    printf(": ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    remove_folder();
    exit(2);
}

static void *grow(void *memory, size_t size) {
    void *grown = realloc(memory, size);
    if (!grown) bail_out(0, "out of memory");
    return grown;
}

static char *copy(const char *start) {
    char *memory = grow(NULL, strlen(start) + 1);
    return strcpy(memory, start);
}

static void add(text *out, const char *bytes, size_t length) {
    out->data = grow(out->data, out->length + length + 1);
    memcpy(out->data + out->length, bytes, length);
    out->length += length;
    out->data[out->length] = 0;
}

static void add_text(text *out, const char *bytes) {
    add(out, bytes, strlen(bytes));
}

/* ------------------------------------------------------------------------------- reading scripts
 */

/* What follows `-- word:` (without the first space), or NULL when line is another one. */
static char *direction(char *line, const char *word) {
    size_t length = strlen(word);
    if (strncmp(line, "-- ", 3) != 0 || strncmp(line + 3, word, length) != 0) return NULL;
    char *rest = line + 3 + length;
    if (*rest != ':') return NULL;
    rest++;
    return *rest == ' ' ? rest + 1 : rest;
}

static bool looks_like_direction(const char *line) {
    if (strncmp(line, "-- ", 3) != 0) return false;
    const char *end = line + 3;
    while (islower((unsigned char)*end))
        end++;
    return end > line + 3 && *end == ':';
}

static item *add_item(item_kind kind, int line, char *contents, target where, char **name) {
    script.items = grow(script.items, (script.count + 1) * sizeof(item));
    item *added = &script.items[script.count++];
    memset(added, 0, sizeof *added);
    added->kind = kind;
    added->target = where;
    added->line = line;
    added->text = contents;
    added->name = *name;
    *name = NULL;
    return added;
}

static void add_row(item *last, int line, expectation_kind kind, char *contents) {
    if (!last) bail_out(line, "an expectation without a statement above it");
    if (last->error.text || last->nothing) bail_out(line, "rows expected besides something else");
    last->rows = grow(last->rows, (last->row_count + 1) * sizeof(expectation));
    last->rows[last->row_count++] = (expectation){kind, contents};
}

static void add_error(item *last, int line, expectation_kind kind, char *contents) {
    if (!last) bail_out(line, "an expectation without a statement above it");
    if (last->error.text || last->nothing || last->row_count)
        bail_out(line, "an error expected besides something else");
    last->error = (expectation){kind, contents};
}

/* Handles a line that stands between statements. last is the statement that expectations belong to;
** it ends with whatever is not an expectation. */
static item *read_direction(char *line, int number, item *last, char **name, target *where) {
    char *rest;
    if ((rest = direction(line, "expect"))) {
        add_row(last, number, EXPECT_TEXT, rest);
        return last;
    }
    if ((rest = direction(line, "glob"))) {
        add_row(last, number, EXPECT_GLOB, rest);
        return last;
    }
    if ((rest = direction(line, "error"))) {
        add_error(last, number, EXPECT_TEXT, rest);
        return last;
    }
    if ((rest = direction(line, "error glob"))) {
        add_error(last, number, EXPECT_GLOB, rest);
        return last;
    }
    if (strcmp(line, "-- nothing") == 0) {
        if (!last || last->row_count || last->error.text)
            bail_out(number, "nothing expected besides something else");
        last->nothing = true;
        return last;
    }
    char *no_name = NULL;
    if ((rest = direction(line, "test"))) {
        if (*name) bail_out(number, "two names for one check");
        *name = rest;
    } else if ((rest = direction(line, "run"))) {
        return add_item(ITEM_RUN, number, rest, TARGET_MAIN, name);
    } else if ((rest = direction(line, "env"))) {
        add_item(ITEM_ENV, number, rest, TARGET_MAIN, &no_name);
    } else if ((rest = direction(line, "database"))) {
        add_item(ITEM_DATABASE, number, rest, TARGET_MAIN, &no_name);
    } else if (strcmp(line, "-- reopen") == 0) {
        add_item(ITEM_DATABASE, number, NULL, TARGET_MAIN, &no_name);
    } else if (strcmp(line, "-- plain") == 0) {
        *where = TARGET_PLAIN;
    } else if (strcmp(line, "-- other") == 0) {
        *where = TARGET_OTHER;
    } else if (looks_like_direction(line)) {
        bail_out(number, "unknown direction: %s", line);
    }
    return NULL;
}

static void read_script(void) {
    FILE *file = fopen(script.path, "rb");
    if (!file) bail_out(0, "cannot be opened");
    text contents = {0};
    char block[4096];
    size_t got;
    add_text(&contents, "");
    while ((got = fread(block, 1, sizeof block, file)) > 0)
        add(&contents, block, got);
    fclose(file);
    script.contents = contents.data;

    char *name = NULL;
    target where = TARGET_MAIN;
    item *last = NULL;
    text sql = {0};
    int number = 0, first_line = 0;
    for (char *line = script.contents, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        number++;
        if (sql.length == 0) {
            if (line[strspn(line, " \t")] == 0) continue;
            if (strncmp(line, "--", 2) == 0) {
                last = read_direction(line, number, last, &name, &where);
                continue;
            }
            first_line = number;
        } else if (looks_like_direction(line)) {
            bail_out(number, "a direction inside the statement that begins in line %d", first_line);
        }
        add_text(&sql, line);
        add_text(&sql, "\n");
        if (!sqlite3_complete(sql.data)) continue;
        last = add_item(ITEM_SQL, first_line, sql.data, where, &name);
        where = TARGET_MAIN;
        sql = (text){0};
    }
    if (sql.length) bail_out(first_line, "a statement without an end");
    if (name) bail_out(number, "a name without a statement below it");
}

static bool is_check(const item *statement) {
    return statement->row_count || statement->nothing || statement->error.text;
}

/* --------------------------------------------------------------------------------- running them */

static sqlite3 *open_database(bool with_extension) {
    sqlite3 *db = NULL;
    if (sqlite3_open(database, &db) != SQLITE_OK)
        bail_out(0, "cannot open %s: %s", database, sqlite3_errmsg(db));
    sqlite3_busy_timeout(db, 5000);
    if (!with_extension) return db;
    char *message = NULL;
#ifdef SQLITE_CORE
    int code = sqlite3_rustybt_init(db, &message, NULL);
#else
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
    int code = sqlite3_load_extension(db, extension, NULL, &message);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
#endif
    if (code != SQLITE_OK) bail_out(0, "cannot load the extension: %s", message);
    return db;
}

static void close_database(sqlite3 *db) {
    if (sqlite3_close(db) == SQLITE_OK) return;
    printf("# a connection does not close: %s\n", sqlite3_errmsg(db));
    unexpected++;
    sqlite3_close_v2(db);
}

static void close_all(void) {
    for (int i = TARGET_OTHER; i >= TARGET_MAIN; i--) {
        close_database(connections[i]);
        connections[i] = NULL;
    }
}

static void add_value(text *out, sqlite3_stmt *statement, int column) {
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL:
        add_text(out, "NULL");
        break;
    case SQLITE_BLOB: {
        const unsigned char *bytes = sqlite3_column_blob(statement, column);
        int length = sqlite3_column_bytes(statement, column);
        char digits[3];
        add_text(out, "X'");
        for (int i = 0; i < length; i++) {
            snprintf(digits, sizeof digits, "%02X", bytes[i]);
            add_text(out, digits);
        }
        add_text(out, "'");
        break;
    }
    default: {
        const char *value = (const char *)sqlite3_column_text(statement, column);
        add(out, value ? value : "", (size_t)sqlite3_column_bytes(statement, column));
    }
    }
}

/* Runs the statements of sql; rows receives lines, each ended by a newline. True on success; else
** error holds the message. */
static bool run_sql(sqlite3 *db, const char *sql, text *rows, text *error) {
    while (*sql) {
        sqlite3_stmt *statement = NULL;
        const char *rest = NULL;
        if (sqlite3_prepare_v2(db, sql, -1, &statement, &rest) != SQLITE_OK) {
            add_text(error, sqlite3_errmsg(db));
            return false;
        }
        sql = rest;
        if (!statement) continue; /* white space or a comment */
        int code;
        while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
            int columns = sqlite3_column_count(statement);
            for (int i = 0; i < columns; i++) {
                if (i) add_text(rows, "|");
                add_value(rows, statement, i);
            }
            add_text(rows, "\n");
        }
        if (code != SQLITE_DONE) add_text(error, sqlite3_errmsg(db));
        sqlite3_finalize(statement);
        if (code != SQLITE_DONE) return false;
    }
    return true;
}

static bool run_command(const char *command, text *rows, text *error) {
    fflush(stdout);
    FILE *pipe = popen(command, "r");
    if (!pipe) {
        add_text(error, "popen failed");
        return false;
    }
    char block[4096];
    size_t got;
    while ((got = fread(block, 1, sizeof block, pipe)) > 0)
        add(rows, block, got);
    if (rows->length && rows->data[rows->length - 1] != '\n') add_text(rows, "\n");
    int status = pclose(pipe);
    if (status == 0) return true;
    char message[32];
    snprintf(message, sizeof message, "exit %d", WIFEXITED(status) ? WEXITSTATUS(status) : 128);
    add_text(error, message);
    return false;
}

static bool matches(const expectation *expected, const char *got) {
    return expected->kind == EXPECT_TEXT ? strcmp(expected->text, got) == 0
                                         : sqlite3_strglob(expected->text, got) == 0;
}

static bool rows_match(const item *statement, const char *rows) {
    char *lines = copy(rows ? rows : ""), *line = lines;
    bool same = true;
    for (size_t i = 0; same && i < statement->row_count; i++) {
        char *end = strchr(line, '\n');
        if (end) *end = 0;
        same = end && matches(&statement->rows[i], line);
        if (end) line = end + 1;
    }
    same = same && *line == 0;
    free(lines);
    return same;
}

static void show(const char *label, const char *value) {
    char last = 0;
    printf("# %6s: ", label);
    for (; *value; value++) {
        last = *value;
        putchar(*value);
        if (*value == '\n' && value[1]) printf("#         ");
    }
    if (last != '\n') putchar('\n');
}

static void explain(const item *statement, bool succeeded, const text *rows, const text *error) {
    printf("# %s:%d\n", script.path, statement->line);
    show("sql", statement->text);
    for (size_t i = 0; i < statement->row_count; i++) {
        text line = {0};
        add_text(&line, statement->rows[i].text);
        add_text(&line, "\n");
        show("want", line.data);
        free(line.data);
    }
    if (statement->nothing) show("want", "no row\n");
    if (statement->error.text) {
        text line = {0};
        add_text(&line, "error ");
        add_text(&line, statement->error.text);
        show("want", line.data);
        free(line.data);
    }
    if (rows->length) show("got", rows->data);
    if (!succeeded) {
        text line = {0};
        add_text(&line, "error ");
        add_text(&line, error->length ? error->data : "(no message)");
        show("got", line.data);
        free(line.data);
    } else if (!rows->length) {
        show("got", "no row\n");
    }
}

static void run_statement(const item *statement) {
    text rows = {0}, error = {0};
    bool succeeded;
    if (statement->kind == ITEM_RUN) {
        succeeded = run_command(statement->text, &rows, &error);
    } else if (statement->target == TARGET_PLAIN) {
        sqlite3 *db = open_database(false);
        succeeded = run_sql(db, statement->text, &rows, &error);
        close_database(db);
    } else {
        sqlite3 **db = &connections[statement->target];
        if (!*db) *db = open_database(true);
        succeeded = run_sql(*db, statement->text, &rows, &error);
    }
    if (is_check(statement)) {
        bool passed;
        if (statement->error.text)
            passed = !succeeded && matches(&statement->error, error.length ? error.data : "");
        else
            passed = succeeded && rows_match(statement, rows.data);
        printf("%sok %d - ", passed ? "" : "not ", ++check_count);
        /* without a name, the statement's first line stands for it */
        const char *name = statement->name ? statement->name : statement->text;
        for (; *name && *name != '\n'; name++)
            putchar(*name == '#' ? ' ' : *name); /* TAP reads # as the start of a directive */
        putchar('\n');
        if (!passed) {
            checks_failed++;
            explain(statement, succeeded, &rows, &error);
        }
    } else if (!succeeded) {
        unexpected++;
        explain(statement, succeeded, &rows, &error);
    }
    free(rows.data);
    free(error.data);
}

static void run_item(item *todo) {
    char *value;
    switch (todo->kind) {
    case ITEM_ENV:
        value = strchr(todo->text, '=');
        if (value) *value++ = 0;
        if (value ? setenv(todo->text, value, 1) : unsetenv(todo->text))
            bail_out(todo->line, "not the name of an environment variable: %s", todo->text);
        break;
    case ITEM_DATABASE:
        close_all();
        if (todo->text) snprintf(database, sizeof database, "%s", todo->text);
        break;
    default:
        run_statement(todo);
    }
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static void remove_folder(void) {
    if (!folder[0] || chdir(root) != 0) return;
    if (nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        printf("# cannot remove %s\n", folder);
    folder[0] = 0;
}

static void enter_folder(void) {
    const char *parent = getenv("TMPDIR");
    if (!getcwd(root, sizeof root)) bail_out(0, "no current folder");
    setenv("TEST_ROOT", root, 1);
    int length = snprintf(folder, sizeof folder, "%s/rustybt-sql-XXXXXX", parent ? parent : "/tmp");
    if (length >= (int)sizeof folder || !mkdtemp(folder)) {
        folder[0] = 0;
        bail_out(0, "cannot make a folder for the test");
    }
    if (chdir(folder) != 0) bail_out(0, "cannot enter %s", folder);
}

int main(int argument_count, char **arguments) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *wanted = getenv("TEST_SQLITE_VERSION");
    if (wanted && strcmp(wanted, sqlite3_libversion()) != 0)
        bail_out(0, "this should run on SQLite %s, but is %s", wanted, sqlite3_libversion());
    unsetenv("LD_LIBRARY_PATH"); /* has done its work; commands run on the system's libraries */
    int next = 1;
#ifndef SQLITE_CORE
    if (argument_count > 2 && strcmp(arguments[1], "--extension") == 0) {
        char here[PATH_MAX];
        text path = {0};
        if (arguments[2][0] != '/' && getcwd(here, sizeof here)) {
            add_text(&path, here);
            add_text(&path, "/");
        }
        add_text(&path, arguments[2]);
        extension = path.data;
        next = 3;
    }
    if (!extension) bail_out(0, "usage: sql_runner --extension FILE script.sql");
#endif
    if (argument_count != next + 1) bail_out(0, "one script, please");
    script.path = arguments[next];
    read_script();

    int planned = 1;
    for (size_t i = 0; i < script.count; i++)
        planned += is_check(&script.items[i]);
    printf("1..%d\n# SQLite %s\n", planned, sqlite3_libversion());
    enter_folder();
    for (size_t i = 0; i < script.count; i++)
        run_item(&script.items[i]);
    close_all();
    printf("%sok %d - every other statement succeeds and every connection closes\n",
           unexpected ? "not " : "", ++check_count);
    remove_folder();

    for (size_t i = 0; i < script.count; i++) {
        if (script.items[i].kind == ITEM_SQL) free(script.items[i].text);
        free(script.items[i].rows);
    }
    free(script.items);
    free(script.contents);
    free(extension);
    return checks_failed || unexpected;
}
