/* SPDX-License-Identifier: MIT
** The declaration of a log: tokens, what is read from them, and hostile input. Whatever bytes stand in
** the arguments, the parser ends with a declaration or a sentence, without a fault and without a leak. */
#include "audit/declaration.h"
#include "audit/sql_tokens.h"
#include "base/memory.h"

#include "failing_memory.h"
#include "tap.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* Kinds of all tokens of text, one letter each. */
static const char *kinds(const char *text, size_t length) {
    static char out[256];
    static const char letters[] = "ewisbno!";
    rbt_tokens tokens = {text, text + length};
    size_t count = 0;
    for (;;) {
        rbt_token token = rbt_next_token(&tokens);
        out[count] = 0;
        if (token.kind == RBT_TOKEN_END || count + 2 >= sizeof out) return out;
        out[count++] = letters[token.kind];
        if (token.kind == RBT_TOKEN_ILLEGAL) {
            out[count] = 0;
            return out;
        }
    }
}

static void test_tokens(void) {
#define KINDS(text) kinds(text, sizeof(text) - 1)
    is_text(KINDS(""), "", "an empty text has no token");
    is_text(KINDS(" \t\r\n\f/* a */ -- b"), "", "white space and comments are passed over");
    is_text(KINDS("a _b $"), "ww!", "words; a dollar sign begins none");
    is_text(KINDS("a$1 gr\xc3\xb6\xc3\x9f"
                  "e \xff"),
            "www", "bytes above 7F are letters, as in SQLite");
    is_text(KINDS("'a''b' \"a\"\"b\" [a\"]] `a``b`"), "sii!",
            "a bracket is closed by the first bracket");
    is_text(KINDS("'a''b' \"a\"\"b\" [a\"] `a``b`"), "siii",
            "quotes are closed by quotes not doubled");
    is_text(KINDS("x'00ff' X'' x'0' x'0g' "), "bb!", "a blob has pairs of hex digits");
    is_text(KINDS("x'0g'"), "!", "and nothing else");
    is_text(KINDS("x'00"), "!", "and an end");
    is_text(KINDS("1 1.5 .5 1. 1e5 1E-5 0x1F"), "nnnnnnn", "numbers of every form");
    is_text(KINDS("1abc"), "!", "a number does not run into a word");
    is_text(KINDS("1e"), "!", "an exponent has digits");
    is_text(KINDS("->> -> || << >> <= >= <> != == = < > + - * / % & | ~ ( ) , ."),
            "ooooooooooooooooooooooooo", "operators of one to three characters");
    is_text(KINDS("a;b"), "w!", "a semicolon is illegal");
    is_text(KINDS("?"), "!", "a parameter is illegal");
    is_text(KINDS("?1 :a"), "!", "a numbered one, too");
    is_text(KINDS(":a"), "!", "a named one, too");
    is_text(KINDS("@a"), "!", "with an at sign, too");
    is_text(KINDS("#1"), "!", "a register of SQLite's parser is illegal");
    is_text(KINDS("!"), "!", "an exclamation mark alone is illegal");
    is_text(KINDS("a 'b"), "w!", "an open text is illegal");
    is_text(KINDS("a \"b"), "w!", "an open name is illegal");
    is_text(KINDS("a [b"), "w!", "an open bracket is illegal");
    is_text(KINDS("a /* b"), "w!",
            "an open comment is illegal, though SQLite closes it at the end");
    is_text(KINDS("a /*/"), "w!", "the star of a comment's beginning does not end it");
    is_text(KINDS("a\0b"), "w!", "a NUL is illegal");
    is_text(KINDS("'a\0b'"), "!", "also within a text");

    rbt_buffer out = {0};
    rbt_tokens tokens = {"\"a\"\"b\"[c\"\"d]", "\"a\"\"b\"[c\"\"d]" + 12};
    rbt_token_unquote(&out, rbt_next_token(&tokens));
    rbt_token_unquote(&out, rbt_next_token(&tokens));
    is_text(rbt_buffer_text(&out), "a\"bc\"\"d",
            "quotes are undoubled, within brackets they are not");
    rbt_buffer_free(&out);
}

static rbt_error error;

static rbt_declaration *parse(int count, const char *const *arguments) {
    rbt_error_clear(&error);
    return rbt_declaration_parse("log", count, arguments, &error);
}

static void test_parse(void) {
    const char *const arguments[] = {" INDEX(sid, recorded_at) ",
                                     "strategy TEXT /* x */ NOT NULL CHECK(length ( strategy )<9)",
                                     "\"a\"\"b\" JSON DEFAULT ( '{}' )",
                                     "sid INTEGER REFERENCES \"eq uities\"([s\"id]) NOT NULL",
                                     "CHECK(sid>0 -- positive\n OR sid IS NULL)",
                                     "INDEX(strategy)",
                                     "origin='example.com/a'",
                                     "archive=cold",
                                     "archive_after='1 year'",
                                     "retain='90 days'",
                                     "seal=no",
                                     "reads=hot",
                                     "salt=yes"};
    rbt_declaration *d = parse(COUNT(arguments), arguments);
    ok(d != NULL, "a declaration with everything is read");
    if (!d) exit(1);
    is_int(d->shape.count, 3, "it has three columns");
    is_text(d->shape.columns[1].name, "a\"b", "a quoted name is unquoted");
    is_int(d->shape.columns[1].type, RBT_COLUMN_JSON, "types are known");
    is_text(d->shape.columns[1].prefix, ",\"a\\\"b\":", "and escaped where the leaf needs them");
    ok(d->columns[0].not_null && !d->columns[1].not_null && d->columns[2].not_null,
       "NOT NULL stands where it was written");
    is_text(d->columns[0].check, "length ( strategy ) < 9", "CHECK is rebuilt from its tokens");
    is_text(d->columns[1].fallback, "( '{}' )", "so is DEFAULT");
    is_text(d->columns[2].references, "\"eq uities\"(\"s\"\"id\")",
            "and REFERENCES is quoted anew");
    is_int(d->check_count, 1, "a CHECK of the entry");
    is_text(d->checks[0], "sid > 0 OR sid IS NULL", "loses its comment");
    is_int(d->index_count, 2, "two indexes");
    ok(d->indexes[0].count == 2 && d->indexes[0].columns[0] == 2 && d->indexes[0].columns[1] == -1,
       "the first of two columns, one of them the log's own");
    ok(d->shape.columns[0].indexed && !d->shape.columns[1].indexed && d->shape.columns[2].indexed,
       "columns know that they are indexed");
    is_text(d->origin, "example.com/a", "origin");
    is_text(d->archive, "cold", "archive");
    is_int(d->archive_after_duration.months, 12, "archive_after in months");
    is_int(d->retain_duration.us, INT64_C(90) * 86400 * 1000000, "retain in microseconds");
    ok(!d->sealed && !d->reads_cold && d->shape.salted, "seal, reads and salt");
    ok(rbt_declaration_equal(d, COUNT(arguments), arguments), "it equals its own arguments");
    ok(!rbt_declaration_equal(d, COUNT(arguments) - 1, arguments), "and not fewer of them");
    const char *changed[COUNT(arguments)];
    memcpy(changed, arguments, sizeof changed);
    changed[7] = "archive= cold";
    ok(!rbt_declaration_equal(d, COUNT(arguments), changed), "nor one more space");
    rbt_buffer vtab = {0};
    rbt_declaration_vtab(&vtab, d);
    is_text(
        rbt_buffer_text(&vtab),
        "CREATE TABLE x(id INTEGER, recorded_at INTEGER, \"strategy\" TEXT NOT NULL, \"a\"\"b\" "
        "TEXT, \"sid\" INTEGER NOT NULL, tier TEXT HIDDEN)",
        "the table that SQLite is told of");
    rbt_buffer_free(&vtab);
    rbt_declaration_free(d);
    const char *const least[] = {"a TEXT"};
    d = parse(1, least);
    ok(d && d->sealed && d->reads_cold && !d->shape.salted && !d->origin && !d->archive &&
           !d->archive_after && !d->retain,
       "without options a log is sealed, reads all and has no archive");
    rbt_declaration_free(d);
}

static void test_limits(void) {
    char names[RBT_LOG_MAX_COLUMNS + 1][32];
    const char *arguments[RBT_LOG_MAX_COLUMNS + 1];
    for (int i = 0; i <= RBT_LOG_MAX_COLUMNS; i++) {
        snprintf(names[i], sizeof names[i], "c%d INTEGER", i);
        arguments[i] = names[i];
    }
    rbt_declaration *d = parse(RBT_LOG_MAX_COLUMNS, arguments);
    ok(d && d->shape.count == RBT_LOG_MAX_COLUMNS, "500 columns are allowed");
    rbt_declaration_free(d);
    d = parse(RBT_LOG_MAX_COLUMNS + 1, arguments);
    is_text(error.message, "log: more than 500 columns", "501 are not");
    rbt_declaration_free(d);

    const char *const not_utf8[] = {"a TEXT DEFAULT '\xff'"};
    d = parse(1, not_utf8);
    is_text(error.message, "log: an argument is not UTF-8", "an argument is UTF-8");
    rbt_declaration_free(d);
    static char deep[200001];
    memset(deep, '(', sizeof deep - 1);
    memcpy(deep, "a TEXT CHECK", 12);
    const char *const nested[] = {deep};
    d = parse(1, nested);
    ok(!d && strstr(error.message, "log: a \"(\" without its \")\" in \"a TEXT CHECK(((") != NULL,
       "200,000 open parentheses need no stack");
    rbt_declaration_free(d);
    const char *const unclosed[][1] = {{"a TEXT CHECK(a = 'b)"},
                                       {"a TEXT /* b"},
                                       {"a TEXT;"},
                                       {"a TEXT DEFAULT ?"},
                                       {"archive='a"}};
    int refused = 0;
    for (int i = 0; i < COUNT(unclosed); i++) {
        d = parse(1, unclosed[i]);
        refused += d == NULL && error.code == SQLITE_ERROR;
        rbt_declaration_free(d);
    }
    is_int(refused, COUNT(unclosed), "what SQLite's own tokenizer would never pass on is refused");
}

/* splitmix64 (https://prng.di.unimi.it/splitmix64.c): the same inputs on every machine. */
static uint64_t random_state = 20240611;
static uint64_t next_random(void) {
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static const char *const pieces[] = {"a",
                                     " TEXT",
                                     " JSON",
                                     " NOT NULL",
                                     " CHECK(",
                                     "(",
                                     ")",
                                     ",",
                                     " DEFAULT ",
                                     "'x'",
                                     "\"q\"",
                                     "[b]",
                                     "`c`",
                                     "INDEX(",
                                     "x'00'",
                                     "1.5e3",
                                     " REFERENCES t",
                                     "=",
                                     "seal",
                                     "archive",
                                     "'",
                                     "\"",
                                     "/*",
                                     "*/",
                                     "--",
                                     "\n",
                                     "retain='1 d'",
                                     " yes",
                                     "\xc3\xa9",
                                     "SELECT",
                                     "abs(",
                                     ";",
                                     "?",
                                     " IN ",
                                     "recorded_at",
                                     "-"};

static const char *const valid[] = {
    "strategy TEXT NOT NULL CHECK(length(strategy) < 9)",
    "\"a\"\"b\" JSON DEFAULT (json_object('a', 1))",
    "sid INTEGER REFERENCES \"eq uities\"([sid]) DEFERRABLE INITIALLY DEFERRED",
    "price REAL /* per share */ CHECK(price BETWEEN 0 AND 1e9) -- positive",
    "raw BLOB DEFAULT x'00ff' CHECK(raw <> x'')",
    "CHECK(1)",
    "archive_after='1 year'",
    "seal=no"};

static void insert_piece(char *out, size_t size, size_t length, const char *piece, size_t count) {
    size_t at = next_random() % (length + 1);
    if (length + count >= size) return;
    memmove(out + at + count, out + at, length - at + 1);
    memcpy(out + at, piece, count);
}

/* A valid argument with up to two changes, a row of pieces, or bytes. */
static size_t make_input(char *out, size_t size) {
    size_t length = 0, wanted = next_random() % (size - 16), kind = next_random() % 4;
    if (kind >= 2) {
        strcpy(out, valid[next_random() % (sizeof valid / sizeof *valid)]);
        for (size_t changes = next_random() % 3; changes > 0; changes--) {
            char byte = (char)(1 + next_random() % 255);
            const char *piece = pieces[next_random() % (sizeof pieces / sizeof *pieces)];
            if (next_random() & 1)
                insert_piece(out, size, strlen(out), piece, strlen(piece));
            else if (out[0])
                out[next_random() % strlen(out)] = byte;
        }
        return strlen(out);
    }
    while (length < wanted) {
        const char *piece = pieces[next_random() % (sizeof pieces / sizeof *pieces)];
        if (kind == 0) {
            memcpy(out + length, piece, strlen(piece));
            length += strlen(piece);
        } else {
            out[length++] = (char)(1 + next_random() % 255);
        }
    }
    out[length] = 0;
    return length;
}

/* A copy that ends at its last byte, so that the sanitizer sees a read beyond. */
static void test_random(void) {
    enum { ROUNDS = 40000 };
    char text[3][160];
    long accepted = 0, refused = 0, silent = 0, unstable = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char *arguments[3];
        int count = 1 + (int)(next_random() % 3);
        for (int i = 0; i < count; i++) {
            size_t length = make_input(text[i], sizeof text[i]);
            arguments[i] = malloc(length + 1);
            if (!arguments[i]) exit(1);
            memcpy(arguments[i], text[i], length + 1);
        }
        rbt_declaration *d = parse(count, (const char *const *)arguments);
        if (d) {
            rbt_buffer vtab = {0};
            rbt_declaration_vtab(&vtab, d);
            accepted++;
            /* what was taken is taken again, and equals itself */
            if (!rbt_declaration_equal(d, count, (const char *const *)arguments)) unstable++;
            for (size_t i = 0; i < d->shape.count; i++) {
                const char *check = d->columns[i].check;
                if (check && strchr(kinds(check, strlen(check)), '!')) unstable++;
            }
            rbt_buffer_free(&vtab);
        } else {
            refused++;
            if (error.code != SQLITE_ERROR || !error.message || strncmp(error.message, "log: ", 5))
                silent++;
        }
        rbt_declaration_free(d);
        for (int i = 0; i < count; i++)
            free(arguments[i]);
    }
    printf("# %ld accepted, %ld refused\n", accepted, refused);
    is_int(silent, 0,
           "every refused input of 40,000 gets a sentence that begins with the log's name");
    is_int(unstable, 0, "every accepted one is rebuilt into tokens that are legal");
    ok(accepted > 1000 && refused > 1000, "both kinds are among them");
}

static void test_memory(void) {
    const char *const arguments[] = {"a TEXT NOT NULL CHECK(a <> 'x')",
                                     "b JSON DEFAULT (upper('{}'))",
                                     "c INTEGER REFERENCES t(x)",
                                     "CHECK(c > 0)",
                                     "INDEX(a, recorded_at)",
                                     "origin='example.com'",
                                     "archive=cold",
                                     "archive_after='1 day'",
                                     "retain='1 year'",
                                     "salt=on"};
    long wrong = 0, tries = 0;
    for (int hit = 1; hit; tries++) {
        failing_memory_at(tries + 1);
        rbt_declaration *d = parse(COUNT(arguments), arguments);
        hit = failing_memory_hit;
        failing_memory_at(0);
        if (error.code != (hit ? SQLITE_NOMEM : SQLITE_OK) || (d == NULL) != (hit != 0)) wrong++;
        rbt_declaration_free(d);
    }
    printf("# %ld allocations\n", tries);
    is_int(wrong, 0, "whichever allocation fails, the answer is NOMEM");
    ok(tries > 30, "of many");
}

int main(void) {
    plan(63);
    failing_memory_install();
    sqlite3_initialize();
    sqlite3_int64 before = sqlite3_memory_used();
    test_tokens();
    test_parse();
    test_limits();
    test_random();
    test_memory();
    rbt_error_clear(&error);
    is_int(sqlite3_memory_used(), before, "no memory is left behind");
    return done();
}
