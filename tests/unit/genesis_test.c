/* SPDX-License-Identifier: MIT
** Leaf 0: written from a declaration, read back strictly, whatever stands in a file. */
#include "audit/genesis.h"
#include "base/bytes.h"
#include "base/memory.h"

#include "failing_memory.h"
#include "tap.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static const uint8_t log_id[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255};
static rbt_error error;

static rbt_declaration *declare(int count, const char *const *arguments) {
    rbt_error_clear(&error);
    rbt_declaration *d = rbt_declaration_parse("log", count, arguments, &error);
    if (!d) {
        printf("Bail out! %s\n", error.message ? error.message : "out of memory");
        exit(1);
    }
    return d;
}

static const char *const plain[] = {"a TEXT", "seal=no"};
static const char *const named[] = {"\"a\"\nTEXT /* \xe2\x82\xac \\ */", "origin='example.com/a'"};

static void test_write(void) {
    rbt_buffer out = {0};
    rbt_declaration *d = declare(COUNT(plain), plain);
    rbt_buffer_add_text(&out, "x");
    is_int(rbt_genesis_write(&out, "log", d, log_id, 1700000000000000, &error), SQLITE_OK,
           "a genesis is written");
    is_text(rbt_buffer_text(&out),
            "x{\"id\":0,\"recorded_at\":1700000000000000,\"rustybt_log\":1,\"log_id\":"
            "\"000102030405060708090a0b0c0d0eff\",\"origin\":\"rustybt/"
            "000102030405060708090a0b0c0d0eff\",\"sealed\":false,\"arguments\":[\"a TEXT\","
            "\"seal=no\"]}",
            "behind what is there, as one line");
    rbt_declaration_free(d);
    rbt_buffer_free(&out);
}

static void test_long(void) {
    enum { FITS = RBT_LEAF_MAX - 178 };
    static char argument[FITS + 2] = "a TEXT CHECK(a <> '";
    memset(argument + 19, 'x', FITS - 21);
    memcpy(argument + FITS - 2, "')", 3);
    const char *const arguments[] = {argument, "seal=no"};
    rbt_buffer out = {0};
    rbt_declaration *d = declare(2, arguments);
    is_int(rbt_genesis_write(&out, "log", d, log_id, 1, &error), SQLITE_OK,
           "a declaration that just fits");
    is_int(out.length, RBT_LEAF_MAX, "makes a leaf of 65,535 bytes");
    rbt_buffer_clear(&out);
    is_int(rbt_genesis_write(&out, "log", d, log_id, 10, &error), SQLITE_ERROR,
           "one byte more is refused");
    is_text(error.message,
            "log: the declaration takes 65536 bytes as a log entry; at most 65535 fit",
            "with a sentence");
    rbt_declaration_free(d);
    rbt_buffer_free(&out);
}

static int parse(rbt_genesis *genesis, const char *text) {
    rbt_error_clear(&error);
    return rbt_genesis_parse(genesis, text, strlen(text), "log", &error);
}

static void test_round_trip(void) {
    rbt_buffer out = {0};
    rbt_genesis genesis;
    rbt_declaration *d = declare(COUNT(named), named);
    rbt_genesis_write(&out, "log", d, log_id, -5, &error);
    is_int(parse(&genesis, rbt_buffer_text(&out)), SQLITE_OK, "what was written is read");
    is_int(genesis.recorded_at, -5, "time");
    is_bytes(genesis.log_id, log_id, 16, "log_id");
    is_text(genesis.origin, "example.com/a", "origin");
    ok(genesis.sealed, "sealed");
    ok(rbt_declaration_equal(d, genesis.argument_count, (const char *const *)genesis.arguments),
       "and the arguments, byte for byte");
    rbt_genesis_free(&genesis);

    long wrong = 0;
    for (size_t length = 0; length < out.length; length++) {
        rbt_error_clear(&error);
        char *cut = malloc(length + 1); /* its own memory: a read beyond is seen */
        memcpy(cut, out.data, length);
        if (rbt_genesis_parse(&genesis, cut, length, "log", &error) == SQLITE_OK || !error.message)
            wrong++;
        rbt_genesis_free(&genesis);
        free(cut);
    }
    is_int(wrong, 0, "cut at any length it is refused with a sentence");
    char *text = rbt_buffer_text(&out);
    for (size_t i = 0; i < out.length; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text[i] ^= (char)(1 << bit);
            rbt_error_clear(&error);
            int code = rbt_genesis_parse(&genesis, text, out.length, "log", &error);
            if ((code == SQLITE_OK) != (error.message == NULL)) wrong++;
            rbt_genesis_free(&genesis);
            text[i] ^= (char)(1 << bit);
        }
    }
    is_int(wrong, 0, "with any bit changed it is read or refused with a sentence");
    rbt_declaration_free(d);
    rbt_buffer_free(&out);
}

#define ID "\"log_id\":\"000102030405060708090a0b0c0d0eff\""

static void test_damaged(void) {
    static const struct {
        const char *text, *message, *name;
    } cases[] = {
        {"", "log: invalid JSON at byte 0: expected a value, not the end of the text", "nothing"},
        {"[]", "log: the genesis is not one", "an array"},
        {"7", "log: the genesis is not one", "a number"},
        {"{\"id\":0}", "log: the genesis is not one", "no rustybt_log"},
        {"{\"rustybt_log\":\"1\"}", "log: the genesis is not one", "rustybt_log in words"},
        {"{\"rustybt_log\":1.0}", "log: the genesis is not one", "rustybt_log as a fraction"},
        {"{\"rustybt_log\":0}", "log: the log has format 0; this version of rustybt reads format 1",
         "format 0"},
        {"{\"rustybt_log\":9223372036854775807}",
         "log: the log has format 9223372036854775807; this version of rustybt reads format 1",
         "a far format"},
        {"{\"rustybt_log\":1}", "log: the genesis is damaged", "nothing else"},
        {"{\"id\":1,\"recorded_at\":1,\"rustybt_log\":1," ID
         ",\"origin\":\"a\",\"sealed\":true,\"arguments\":[]}",
         "log: the genesis is damaged", "another id"},
        {"{\"id\":0,\"recorded_at\":1e3,\"rustybt_log\":1," ID
         ",\"origin\":\"a\",\"sealed\":true,\"arguments\":[]}",
         "log: the genesis is damaged", "a time that is no integer"},
        {"{\"id\":0,\"recorded_at\":1,\"rustybt_log\":1,\"log_id\":"
         "\"000102030405060708090a0b0c0d0eff0\",\"origin\":\"a\",\"sealed\":true,\"arguments\":[]}",
         "log: the genesis is damaged", "a log_id that is too long"},
        {"{\"id\":0,\"recorded_at\":1,\"rustybt_log\":1,\"log_id\":"
         "\"000102030405060708090a0b0c0d0eg0\",\"origin\":\"a\",\"sealed\":true,\"arguments\":[]}",
         "log: the genesis is damaged", "a log_id that is not hexadecimal"},
        {"{\"id\":0,\"recorded_at\":1,\"rustybt_log\":1," ID
         ",\"origin\":\"a+b\",\"sealed\":true,\"arguments\":[]}",
         "log: the genesis is damaged", "an origin that no note can have"},
        {"{\"id\":0,\"recorded_at\":1,\"rustybt_log\":1," ID
         ",\"origin\":\"a\\u0000b\",\"sealed\":true,\"arguments\":[]}",
         "log: the genesis is damaged", "an origin with a NUL"},
        {"{\"id\":0,\"recorded_at\":1,\"rustybt_log\":1," ID
         ",\"origin\":\"a\",\"sealed\":1,\"arguments\":[]}",
         "log: the genesis is damaged", "sealed as a number"},
        {"{\"id\":0,\"recorded_at\":1,\"rustybt_log\":1," ID
         ",\"origin\":\"a\",\"sealed\":true,\"arguments\":{}}",
         "log: the genesis is damaged", "arguments as an object"},
        {"{\"id\":0,\"recorded_at\":1,\"rustybt_log\":1," ID
         ",\"origin\":\"a\",\"sealed\":true,\"arguments\":[\"a\",1]}",
         "log: the genesis is damaged", "an argument that is a number"}};
    char name[100];
    for (int i = 0; i < COUNT(cases); i++) {
        rbt_genesis genesis;
        parse(&genesis, cases[i].text);
        snprintf(name, sizeof name, "refused: %s", cases[i].name);
        is_text(error.message, cases[i].message, name);
        rbt_genesis_free(&genesis);
    }
    rbt_genesis genesis;
    is_int(parse(&genesis, "{\"new\":[{}],\"arguments\":[],\"sealed\":false,\"origin\":\"\\u0061\","
                           "\"rustybt_log\":1," ID ",\"recorded_at\":1,\"id\":0}"),
           SQLITE_OK, "members in another order, and ones that are not known, are no fault");
    is_text(genesis.origin, "a", "escapes are undone");
    rbt_genesis_free(&genesis);
}

static void test_memory(void) {
    rbt_declaration *d = declare(COUNT(named), named);
    rbt_buffer line = {0};
    long wrong = 0, tries = 0;
    for (int hit = 1; hit; tries++) {
        rbt_error_clear(&error);
        rbt_buffer_free(&line);
        failing_memory_at(tries + 1);
        int code = rbt_genesis_write(&line, "log", d, log_id, 1, &error);
        hit = failing_memory_hit;
        failing_memory_at(0);
        if (code != (hit ? SQLITE_NOMEM : SQLITE_OK)) wrong++;
    }
    is_int(wrong, 0, "writing answers NOMEM whichever allocation fails");
    tries = 0;
    for (int hit = 1; hit; tries++) {
        rbt_genesis genesis;
        rbt_error_clear(&error);
        failing_memory_at(tries + 1);
        int code = rbt_genesis_parse(&genesis, (const char *)line.data, line.length, "log", &error);
        hit = failing_memory_hit;
        failing_memory_at(0);
        if (code != (hit ? SQLITE_NOMEM : SQLITE_OK)) wrong++;
        rbt_genesis_free(&genesis);
    }
    is_int(wrong, 0, "so does reading");
    ok(tries > 5, "of several");
    rbt_buffer_free(&line);
    rbt_declaration_free(d);
}

int main(void) {
    plan(38);
    failing_memory_install();
    sqlite3_initialize();
    sqlite3_int64 before = sqlite3_memory_used();
    test_write();
    test_long();
    test_round_trip();
    test_damaged();
    test_memory();
    rbt_error_clear(&error);
    is_int(sqlite3_memory_used(), before, "no memory is left behind");
    return done();
}
