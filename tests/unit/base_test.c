/* SPDX-License-Identifier: MIT
** Buffers, bytes, base64, UTF-8, errors, SQL helpers and the list of connections. */
#include "base/base64.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/connection.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sql_util.h"
#include "base/utf8.h"

#include "failing_memory.h"
#include "tap.h"

static void test_memory(void) {
    uint8_t secret[16];
    memset(secret, 0xaa, sizeof secret);
    rbt_wipe(secret, 15);
    uint8_t zeros[15] = {0};
    is_bytes(secret, zeros, 15, "rbt_wipe zeroes what it is told to");
    is_int(secret[15], 0xaa, "rbt_wipe leaves the byte after it alone");
    rbt_wipe(NULL, 0);
    char *copy = rbt_strndup("abcdef", 3);
    is_text(copy, "abc", "rbt_strndup ends its copy with a NUL");
    rbt_free(copy);
}

static void test_buffer(void) {
    rbt_buffer buffer = {0};
    rbt_buffer_add_text(&buffer, "a");
    rbt_buffer_add_byte(&buffer, 'b');
    rbt_buffer_add(&buffer, NULL, 0);
    rbt_buffer_add_i64(&buffer, INT64_MIN);
    rbt_buffer_add_byte(&buffer, ' ');
    rbt_buffer_add_i64(&buffer, -1);
    rbt_buffer_add_i64(&buffer, 0);
    rbt_buffer_add_i64(&buffer, INT64_MAX);
    rbt_buffer_add_byte(&buffer, ' ');
    rbt_buffer_add_u64(&buffer, UINT64_MAX);
    rbt_buffer_add_hex(&buffer, "\x00\x9f\xa0\xff", 4);
    rbt_buffer_printf(&buffer, " %s %Q", "x", "it's");
    is_text(rbt_buffer_text(&buffer),
            "ab-9223372036854775808 -109223372036854775807 18446744073709551615009fa0ff x 'it''s'",
            "a buffer gathers text, integers, hexadecimal and printf's output");
    is_int(buffer.length, strlen((char *)buffer.data), "the NUL of rbt_buffer_text is not counted");
    size_t capacity = buffer.capacity;
    rbt_buffer_clear(&buffer);
    ok(buffer.length == 0 && buffer.capacity == capacity, "clearing keeps the memory");
    is_text(rbt_buffer_text(&buffer), "", "a cleared buffer is empty text");
    rbt_buffer_free(&buffer);
    ok(!buffer.data && !buffer.capacity, "freeing leaves an empty buffer");

    char *taken = rbt_buffer_take(&buffer);
    is_text(taken, "", "taking an untouched buffer gives empty text");
    sqlite3_free(taken);
    for (int i = 0; i < 100000; i++)
        rbt_buffer_add_byte(&buffer, (uint8_t)i);
    is_int(buffer.length, 100000, "a buffer grows");
    taken = rbt_buffer_take(&buffer);
    ok(taken && (uint8_t)taken[99999] == (uint8_t)99999 && taken[100000] == 0,
       "taken memory holds everything and a NUL");
    ok(!buffer.data && buffer.length == 0, "taking leaves an empty buffer");
    sqlite3_free(taken);

    rbt_buffer secret = {.secret = true};
    for (int i = 0; i < 1000; i++)
        rbt_buffer_add_byte(&secret, 's');
    is_int(secret.data[999], 's', "a secret buffer grows too");
    rbt_buffer_clear(&secret);
    ok(secret.data[0] == 0 && secret.data[999] == 0, "clearing a secret buffer wipes it");
    rbt_buffer_free(&secret);
    ok(secret.secret, "freeing keeps the secret mark");
}

static void test_buffer_failure(void) {
    rbt_buffer buffer = {0};
    ok(!rbt_buffer_reserve(&buffer, SIZE_MAX) && buffer.failed, "an impossible size fails");
    rbt_buffer_add_text(&buffer, "more");
    ok(buffer.length == 0 && !rbt_buffer_text(&buffer), "after a failure every call does nothing");
    ok(!rbt_buffer_take(&buffer) && buffer.failed, "a failed buffer has nothing to take");
    rbt_buffer_free(&buffer);
    ok(!buffer.failed, "freeing makes it usable again");

    rbt_buffer_add_text(&buffer, "kept");
    ok(!rbt_buffer_reserve(&buffer, SIZE_MAX - 2) && buffer.failed,
       "a size that overflows with the length fails");
    ok(memcmp(buffer.data, "kept", 4) == 0, "the contents outlive a failure");
    rbt_buffer_clear(&buffer);
    ok(!buffer.failed, "clearing resets the failure");
    failing_memory_at(1);
    for (int i = 0; i < 1000; i++)
        rbt_buffer_add_byte(&buffer, 'x');
    failing_memory_at(0);
    ok(buffer.failed && buffer.length == buffer.capacity, "failed growth is noticed");
    rbt_buffer_free(&buffer);

    rbt_buffer secret = {.secret = true};
    rbt_buffer_add_text(&secret, "kept");
    failing_memory_at(1);
    rbt_buffer_reserve(&secret, 1000);
    failing_memory_at(0);
    ok(secret.failed && memcmp(secret.data, "kept", 4) == 0,
       "failed growth of a secret loses nothing");
    rbt_buffer_free(&secret);
}

static void test_bytes(void) {
    uint8_t bytes[8];
    rbt_store_u64le(bytes, 0x0102030405060708u);
    is_bytes(bytes, "\x08\x07\x06\x05\x04\x03\x02\x01", 8, "little-endian is stored");
    ok(rbt_load_u64le(bytes) == 0x0102030405060708u, "little-endian is loaded");
    rbt_store_u64be(bytes, 0x0102030405060708u);
    ok(rbt_load_u64be(bytes) == 0x0102030405060708u && bytes[0] == 1, "big-endian likewise");

    uint8_t all[256], back[256];
    char text[513];
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    rbt_hex_encode(text, all, 256);
    ok(strlen(text) == 512 && memcmp(text, "000102", 6) == 0 &&
           memcmp(text + 504, "fcfdfeff", 8) == 0,
       "hexadecimal is in lower case");
    ok(rbt_hex_decode(back, 256, text, 512) && memcmp(all, back, 256) == 0, "and comes back");
    ok(rbt_hex_decode(back, 3, "aBCdeF", 6) && memcmp(back, "\xab\xcd\xef", 3) == 0,
       "upper case is read too");
    int accepted = 0;
    for (int i = 0; i < 256; i++) {
        char pair[2] = {'0', (char)i};
        accepted += rbt_hex_decode(back, 1, pair, 2);
        pair[0] = (char)i, pair[1] = '0';
        accepted += rbt_hex_decode(back, 1, pair, 2);
    }
    is_int(accepted, 44, "just the 22 digits are accepted in each place");
    ok(!rbt_hex_decode(back, 1, "abc", 3) && !rbt_hex_decode(back, 2, "abc", 3) &&
           !rbt_hex_decode(back, 1, "abcd", 4) && rbt_hex_decode(back, 0, "", 0),
       "the length must fit");
}

static bool decodes(const char *text, bool urlsafe, bool optional_padding, const char *want) {
    rbt_buffer out = {0};
    rbt_buffer_add_text(&out, "before:");
    bool decoded = rbt_base64_decode(&out, text, strlen(text), urlsafe, optional_padding);
    bool right = memcmp(out.data, "before:", 7) == 0 &&
                 (decoded ? want && out.length == 7 + strlen(want) &&
                                memcmp(out.data + 7, want, strlen(want)) == 0
                          : !want && out.length == 7);
    rbt_buffer_free(&out);
    return right;
}

static bool decodes_as_python(const char *text, const char *want) {
    rbt_buffer out = {0};
    bool decoded = rbt_base64_decode_python(&out, text, strlen(text));
    bool right = decoded
                     ? want && out.length == strlen(want) && memcmp(out.data, want, out.length) == 0
                     : !want && out.length == 0;
    rbt_buffer_free(&out);
    return right;
}

static void test_base64(void) {
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    int right = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        rbt_buffer out = {0};
        rbt_base64_encode(&out, (const uint8_t *)pairs[i][0], strlen(pairs[i][0]), false);
        right += strcmp(rbt_buffer_text(&out), pairs[i][1]) == 0;
        right += decodes(pairs[i][1], false, false, pairs[i][0]);
        right += decodes_as_python(pairs[i][1], pairs[i][0]);
        rbt_buffer_free(&out);
    }
    is_int(right, 21, "RFC 4648's vectors are written and read");

    uint8_t all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    int same = 0;
    for (size_t length = 0; length <= 256; length++)
        for (int urlsafe = 0; urlsafe < 2; urlsafe++) {
            rbt_buffer out = {0}, back = {0};
            rbt_base64_encode(&out, all + 256 - length, length, urlsafe);
            same += rbt_base64_decode(&back, rbt_buffer_text(&out), out.length, urlsafe, false) &&
                    back.length == length &&
                    (length == 0 || memcmp(back.data, all + 256 - length, length) == 0);
            rbt_buffer_free(&out);
            rbt_buffer_free(&back);
        }
    is_int(same, 514, "every length comes back in both alphabets");
    ok(decodes("-_-_", true, false, "\xfb\xff\xbf") && decodes("-_-_", false, false, NULL),
       "the URL-safe alphabet is read as such only");
    ok(decodes("+/+/", false, false, "\xfb\xff\xbf") && decodes("+/+/", true, false, NULL),
       "and the standard one likewise");
    int letters = 0;
    for (int i = 0; i < 256; i++) {
        char text[4] = {(char)i, 'A', 'A', 'A'};
        for (int urlsafe = 0; urlsafe < 2; urlsafe++) {
            rbt_buffer out = {0};
            letters += rbt_base64_decode(&out, text, 4, urlsafe, true);
            rbt_buffer_free(&out);
        }
    }
    is_int(letters, 128, "each alphabet has 64 letters");
    ok(decodes("Zg", true, true, "f") && decodes("Zm8", true, true, "fo"),
       "optional padding may be absent");
    ok(decodes("Zg==", true, true, "f") && decodes("Zm8=", true, true, "fo"), "or whole");
    ok(decodes("Zg=", true, true, NULL) && decodes("Zg", true, false, NULL) &&
           decodes("Zm9v=", true, true, NULL) && decodes("Zm9v====", true, true, NULL) &&
           decodes("=", true, true, NULL) && decodes("==", true, true, NULL) &&
           decodes("Zg===", true, true, NULL),
       "padding that is cut or too much is refused");
    ok(decodes("Zh==", true, true, NULL) && decodes("Zm9=", true, true, NULL) &&
           decodes("Zh", true, true, NULL),
       "unused bits must be zero");
    ok(decodes("A", true, true, NULL) && decodes("AAAAA", true, true, NULL),
       "one letter alone is refused");
    ok(decodes("Zm9v\n", true, true, NULL) && decodes("Zm 9v", true, true, NULL) &&
           decodes("Zg==Zg==", true, true, NULL),
       "white space and joined texts are refused");
    ok(decodes_as_python(" Zm\n9v*Yg=\t=", "foob") && decodes_as_python("-_+/", "\xfb\xff\xbf"),
       "Python's decoder skips strangers and takes both alphabets");
    ok(decodes_as_python("Zg==Zg==", "f") && decodes_as_python("=Zg==", "f") &&
           decodes_as_python("Zm9v=", "foo") && decodes_as_python("Zh==", "f"),
       "it stops at complete padding and ignores other padding");
    ok(decodes_as_python("Zg=", NULL) && decodes_as_python("Zm8", NULL) &&
           decodes_as_python("A", NULL) && decodes_as_python("Zg=g=", "f\x08"),
       "it takes and refuses what Python does");
}

static size_t valid_length(const char *text) {
    return rbt_utf8_valid_length((const uint8_t *)text, strlen(text));
}

static void test_utf8(void) {
    ok(valid_length(
           "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf") == 19,
       "the first and last of every length are well formed");
    ok(valid_length("abc\xc0\x80") == 3 && valid_length("\xc1\xbf") == 0 &&
           valid_length("\xe0\x9f\xbf") == 0 && valid_length("\xf0\x8f\xbf\xbf") == 0,
       "overlong forms are found where they begin");
    ok(valid_length("\xed\x9f\xbf\xed\xa0\x80") == 3 && valid_length("\xed\xbf\xbf") == 0,
       "surrogates are ill-formed");
    ok(valid_length("\xf4\x90\x80\x80") == 0 && valid_length("\xf5\x80\x80\x80") == 0 &&
           valid_length("\xff") == 0,
       "what lies beyond U+10FFFF is ill-formed");
    ok(valid_length("\xc2") == 0 && valid_length("\xe2\x82") == 0 &&
           valid_length("\xf0\x9f\x98") == 0 && valid_length("\x80") == 0 &&
           valid_length("\xe2\x82z") == 0 && valid_length("\xf0\x9f\x98z") == 0,
       "cut sequences and stray bytes are ill-formed");
    ok(valid_length("1234567812345678\xff") == 16 && valid_length("1234567\xffxxxxxxxx") == 7,
       "the fast path stops in time");
    ok(rbt_utf8_valid((const uint8_t *)"a\0b", 3), "NUL is well formed");
}

static void test_error(void) {
    rbt_error error = {0};
    is_int(rbt_fail(&error, SQLITE_READONLY, "log: %d is %Q", 1, "x"), SQLITE_READONLY,
           "rbt_fail gives the code back");
    is_text(error.message, "log: 1 is 'x'", "and formats the message");
    is_int(rbt_fail(&error, SQLITE_ERROR, "later"), SQLITE_READONLY, "the first failure is kept");
    is_int(rbt_fail_nomem(&error), SQLITE_READONLY, "also against out of memory");
    rbt_error_clear(&error);
    ok(error.code == SQLITE_OK && !error.message, "clearing starts anew");
    ok(rbt_fail(&error, SQLITE_OK, "x") != SQLITE_OK, "a failure is never SQLITE_OK");
    rbt_error_clear(&error);
    failing_memory_at(1);
    is_int(rbt_fail(&error, SQLITE_ERROR, "x"), SQLITE_NOMEM,
           "a message that does not fit in memory is an out-of-memory error");
    failing_memory_at(0);
    ok(!error.message, "without a message");
    rbt_error_clear(&error);

    sqlite3_vtab table = {0};
    table.zErrMsg = sqlite3_mprintf("old");
    rbt_fail(&error, SQLITE_FULL, "table: no room");
    is_int(rbt_vtab_error(&table, &error), SQLITE_ERROR, "FULL from a virtual table becomes ERROR");
    is_text(table.zErrMsg, "table: no room", "its message replaces the old one");
    ok(error.code == SQLITE_OK && !error.message, "and has left the error");
    sqlite3_free(table.zErrMsg);
}

static int wanted_code;

static void fail_function(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)count;
    rbt_error error = {0};
    if (wanted_code == SQLITE_NOMEM)
        rbt_fail_nomem(&error);
    else
        rbt_fail(&error, wanted_code, "fail: %s", (const char *)sqlite3_value_text(values[0]));
    rbt_result_error(context, &error);
}

static void text_function(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)count;
    rbt_error error = {0};
    const char *text = rbt_text_argument(values[0], "text", "name", &error);
    if (!text) {
        rbt_result_error(context, &error);
        return;
    }
    rbt_buffer out = {.secret = true};
    rbt_add_identifier(&out, text);
    rbt_result_text(context, &out);
}

static void blob_function(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)count;
    rbt_buffer out = {0};
    rbt_buffer_add(&out, sqlite3_value_blob(values[0]), (size_t)sqlite3_value_bytes(values[0]));
    rbt_result_blob(context, &out);
}

/* The first column of the query's only row, or the error message; static memory. */
static const char *answer(sqlite3 *db, const char *sql) {
    static char text[512];
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        const char *column = (const char *)sqlite3_column_text(statement, 0);
        snprintf(text, sizeof text, "%s", column ? column : "NULL");
    } else {
        snprintf(text, sizeof text, "%d: %s", sqlite3_errcode(db), sqlite3_errmsg(db));
    }
    sqlite3_finalize(statement);
    return text;
}

static void test_sql(sqlite3 *db) {
    sqlite3_create_function(db, "fail", 1, SQLITE_UTF8, NULL, fail_function, NULL, NULL);
    sqlite3_create_function(db, "text", 1, SQLITE_UTF8, NULL, text_function, NULL, NULL);
    sqlite3_create_function(db, "blob", 1, SQLITE_UTF8, NULL, blob_function, NULL, NULL);
    wanted_code = SQLITE_CORRUPT_VTAB;
    is_text(answer(db, "SELECT fail('x')"), "11: fail: x", "a function's error has code and text");
    wanted_code = SQLITE_IOERR_WRITE;
    is_text(answer(db, "SELECT fail('x')"), "1: fail: x", "IOERR from a function becomes ERROR");
    wanted_code = SQLITE_FULL;
    is_text(answer(db, "SELECT fail('x')"), "1: fail: x", "and FULL too");
    wanted_code = SQLITE_NOMEM;
    is_text(answer(db, "SELECT fail('x')"), "7: out of memory", "NOMEM is SQLite's own");
    wanted_code = SQLITE_TOOBIG;
    is_text(answer(db, "SELECT fail('x')"), "18: string or blob too big", "and TOOBIG");

    is_text(answer(db, "SELECT text('a\"b\"')"), "\"a\"\"b\"\"\"", "an identifier is quoted");
    is_text(answer(db, "SELECT text('')"), "\"\"", "an empty one too");
    is_text(answer(db, "SELECT text(NULL)"), "1: text: name must be TEXT, not NULL",
            "NULL is no TEXT argument");
    is_text(answer(db, "SELECT text(1.5)"), "1: text: name must be TEXT, not REAL", "nor is REAL");
    is_text(answer(db, "SELECT text(CAST(x'61ff' AS TEXT))"), "1: text: name must be valid UTF-8",
            "a TEXT argument is UTF-8");
    is_text(answer(db, "SELECT text('a'||char(0)||'b')"), "1: text: name must not contain a NUL",
            "without NUL");
    is_text(answer(db, "SELECT typeof(blob(x''))||hex(blob(x'0041'))"), "blob0041",
            "a BLOB result holds what it was given");

    rbt_error error = {0};
    is_int(rbt_execute(db, &error, "test",
                       "CREATE TABLE \"%w\"(x UNIQUE); INSERT INTO \"%w\" "
                       "VALUES(%d)",
                       "a\"b", "a\"b", 7),
           SQLITE_OK, "rbt_execute runs several statements");
    sqlite3_stmt *statement =
        rbt_prepare(db, &error, "test", "INSERT INTO \"%w\" VALUES(?1)", "a\"b");
    ok(statement && !error.code, "rbt_prepare prepares from a format");
    sqlite3_bind_int(statement, 1, 8);
    is_int(rbt_run(db, statement, &error, "test"), SQLITE_OK, "rbt_run steps to the end");
    is_int(rbt_run(db, statement, &error, "append"), SQLITE_CONSTRAINT, "and tells what failed");
    is_text(error.message, "append: UNIQUE constraint failed: a\"b.x", "in SQLite's words");
    ok(!sqlite3_stmt_busy(statement), "after which the statement is reset");
    is_int(rbt_run(db, statement, &error, "test"), SQLITE_CONSTRAINT, "an error is sticky");
    ok(!rbt_prepare(db, &error, "test", "SELECT 1"), "and stops what follows");
    sqlite3_finalize(statement);
    rbt_error_clear(&error);
    ok(!rbt_prepare(db, &error, "read", "SELECT * FROM missing") && error.code == SQLITE_ERROR,
       "a statement that cannot be prepared gives NULL");
    is_text(error.message, "read: no such table: missing", "and says why");
    rbt_error_clear(&error);
    ok(!rbt_prepare(db, &error, "read", "-- nothing") && error.code == SQLITE_ERROR,
       "no statement at all is an error");
    rbt_error_clear(&error);
    is_text(rbt_type_name(SQLITE_BLOB), "BLOB", "types have names");
}

static int freed;

static void free_keys(struct rbt_keys *keys) {
    (void)keys;
    freed = freed * 10 + 1;
}

static void free_logs(struct rbt_logs *logs) {
    (void)logs;
    freed = freed * 10 + 2;
}

static void count_references(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)count, (void)values;
    sqlite3_result_int(context, rbt_connection_of(context)->references);
}

static void test_connection(void) {
    sqlite3 *first = NULL, *second = NULL;
    sqlite3_open(":memory:", &first);
    sqlite3_open(":memory:", &second);
    ok(!rbt_connection_is_loaded(first), "a new connection is not loaded");
    rbt_connection *one = rbt_connection_new(first), *two = rbt_connection_new(second);
    ok(one && one->db == first && one->references == 1 && !one->keys && !one->logs,
       "a connection object begins with one reference and nothing else");
    ok(!rbt_connection_is_loaded(first), "which does not count as loaded yet");
    one->loaded = two->loaded = true;
    ok(rbt_connection_is_loaded(first) && rbt_connection_is_loaded(second),
       "both connections are loaded");
    one->keys = (struct rbt_keys *)&freed;
    one->free_keys = free_keys;
    one->logs = (struct rbt_logs *)&freed;
    one->free_logs = free_logs;
    rbt_connection_retain(one);
    sqlite3_create_function_v2(first, "count_references", 0, SQLITE_UTF8, one, count_references,
                               NULL, NULL, rbt_connection_release);
    is_text(answer(first, "SELECT count_references()"), "2",
            "a function finds its connection object");
    rbt_connection_release(one);
    ok(rbt_connection_is_loaded(first) && freed == 0, "a function keeps it alive");
    sqlite3_close(first);
    is_int(freed, 21, "the last function's end frees the logs, then the keys");
    ok(!rbt_connection_is_loaded(first), "and takes the connection off the list");
    ok(rbt_connection_is_loaded(second), "the other one stays");
    rbt_connection_release(two);
    ok(!rbt_connection_is_loaded(second), "until it is released");
    sqlite3_close(second);
    failing_memory_at(1);
    ok(!rbt_connection_new(NULL), "out of memory gives no object");
    failing_memory_at(0);
}

int main(void) {
    plan(100);
    is_int(failing_memory_install(), SQLITE_OK, "the failing allocator is in place");
    test_memory();
    test_buffer();
    test_buffer_failure();
    test_bytes();
    test_base64();
    test_utf8();
    test_error();
    sqlite3 *db = NULL;
    sqlite3_open(":memory:", &db);
    test_sql(db);
    sqlite3_close(db);
    test_connection();
    return done();
}
