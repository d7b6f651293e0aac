/* SPDX-License-Identifier: MIT
** JSON: what is accepted, what is refused and where, minifying, the document, and writing strings. */
#include "base/json.h"
#include "base/memory.h"

#include "failing_memory.h"
#include "tap.h"

#include <time.h>

/* A text of a known length, since some hold NULs. */
typedef struct text_case {
    const char *text;
    size_t length;
    const char *want; /* minified text, or the error's end */
} text_case;

#define TEXT(literal, want)                                                                        \
    { literal, sizeof literal - 1, want }

/* The text at the very end of its allocation, so that a read beyond it is caught. */
static char *tight_copy(const char *text, size_t length) {
    char *copy = malloc(length ? length : 1);
    if (!copy) abort();
    memcpy(copy, text, length);
    return copy;
}

/* Minified text or the error message, in static memory. */
static const char *minified(const char *text, size_t length) {
    static char result[256];
    rbt_buffer out = {0};
    rbt_error error = {0};
    char *copy = tight_copy(text, length);
    rbt_buffer_add_text(&out, "<");
    rbt_json_minify(&out, copy, length, "data", &error);
    free(copy);
    if (error.code != SQLITE_OK)
        snprintf(result, sizeof result, "%s%s", out.length == 1 ? "" : "OUTPUT LEFT ",
                 error.message);
    else
        snprintf(result, sizeof result, "%s", rbt_buffer_text(&out) + 1);
    rbt_buffer_free(&out);
    rbt_error_clear(&error);
    return result;
}

/* As minified, by the parser: "" or the error message. */
static const char *parse_problem(const char *text, size_t length) {
    static char result[256];
    rbt_json document = {0};
    rbt_error error = {0};
    char *copy = tight_copy(text, length);
    rbt_json_parse(&document, copy, length, "data", &error);
    snprintf(result, sizeof result, "%s", error.message ? error.message : "");
    rbt_json_free(&document);
    free(copy);
    rbt_error_clear(&error);
    return result;
}

static const text_case accepted[] = {
    TEXT("{}", "{}"),
    TEXT("[]", "[]"),
    TEXT(" \t\r\n[ \n ] \t\r\n", "[]"),
    TEXT("{ \"a\" : 1 , \"b\" : [ 1 , 2 ] }", "{\"a\":1,\"b\":[1,2]}"),
    TEXT("{\"a\":1,\"b\":[1,2]}", "{\"a\":1,\"b\":[1,2]}"),
    TEXT("[\" a\\t b \", \"\\\"\", \"\\\\\" ]", "[\" a\\t b \",\"\\\"\",\"\\\\\"]"),
    TEXT("[true, false, null]", "[true,false,null]"),
    TEXT("[0, -0, 1.0, -1.50, 1e5, 1E+05, 1.25e-300, 0e0, 0.0]",
         "[0,-0,1.0,-1.50,1e5,1E+05,1.25e-300,0e0,0.0]"),
    TEXT("[1234567890123456789012345678901234567890.10]",
         "[1234567890123456789012345678901234567890.10]"),
    TEXT("[1e999]", "[1e999]"),
    TEXT("[\"\\ud83d\\ude00\\uD83D\\uDE00\\u0000\\u00e9\\uffff\"]",
         "[\"\\ud83d\\ude00\\uD83D\\uDE00\\u0000\\u00e9\\uffff\"]"),
    TEXT("[\"\\b\\f\\n\\r\\t\\/\"]", "[\"\\b\\f\\n\\r\\t\\/\"]"),
    TEXT("[\"\x7f\xc2\x80\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbf\xef\xbb\xbf\"]",
         "[\"\x7f\xc2\x80\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbf\xef\xbb\xbf\"]"),
    TEXT("{\"\":{\"\":{}}}", "{\"\":{\"\":{}}}"),
    TEXT("{\"a\":{\"a\":1},\"b\":{\"a\":2}}", "{\"a\":{\"a\":1},\"b\":{\"a\":2}}"),
    TEXT("[{\"a\":1},{\"a\":2}]", "[{\"a\":1},{\"a\":2}]"),
    TEXT("{\"a\":1,\"A\":2,\"aa\":3,\"a\\u0000\":4,\"\\u0000a\":5}",
         "{\"a\":1,\"A\":2,\"aa\":3,\"a\\u0000\":4,\"\\u0000a\":5}"),
    TEXT("{\"strategy_id\":1,\"strategy_if\":2,\"strategy\":3}",
         "{\"strategy_id\":1,\"strategy_if\":2,\"strategy\":3}"),
    TEXT("{\"e\xcc\x81\":1,\"\xc3\xa9\":2}", "{\"e\xcc\x81\":1,\"\xc3\xa9\":2}"),
};

static const text_case refused[] = {
    TEXT("", "0: expected a value, not the end of the text"),
    TEXT("  ", "2: expected a value, not the end of the text"),
    TEXT("\xef\xbb\xbf{}", "0: byte order mark; remove it"),
    TEXT("{} x", "3: bytes after the value"),
    TEXT("{}\0", "2: bytes after the value"),
    TEXT("\0{}", "0: expected a value"),
    TEXT("[]]", "2: bytes after the value"),
    TEXT("{}{}", "2: bytes after the value"),
    TEXT("[", "1: expected a value, not the end of the text"),
    TEXT("[1", "2: expected ',' or ']' after an element, not the end of the text"),
    TEXT("[1,", "3: expected a value, not the end of the text"),
    TEXT("[1,]", "3: expected a value"),
    TEXT("[,1]", "1: expected a value"),
    TEXT("[1 2]", "3: expected ',' or ']' after an element"),
    TEXT("[1}", "2: expected ',' or ']' after an element"),
    TEXT("[\v1]", "1: expected a value"),
    TEXT("[\xc2\xa0 1]", "1: expected a value"),
    TEXT("{", "1: expected a key in double quotes, not the end of the text"),
    TEXT("{\"a\"", "4: expected ':' after a key, not the end of the text"),
    TEXT("{\"a\":", "5: expected a value, not the end of the text"),
    TEXT("{\"a\":1", "6: expected ',' or '}' after a member, not the end of the text"),
    TEXT("{\"a\":1,}", "7: expected a key in double quotes"),
    TEXT("{\"a\" 1}", "5: expected ':' after a key"),
    TEXT("{\"a\"::1}", "5: expected a value"),
    TEXT("{\"a\":1]", "6: expected ',' or '}' after a member"),
    TEXT("{a:1}", "1: expected a key in double quotes"),
    TEXT("{'a':1}", "1: expected a key in double quotes"),
    TEXT("{1:1}", "1: expected a key in double quotes"),
    TEXT("['a']", "1: expected a value"),
    TEXT("[//x\n1]", "1: expected a value"),
    TEXT("[01]", "2: digit after a leading zero"),
    TEXT("[-01]", "3: digit after a leading zero"),
    TEXT("[1.]", "3: expected a digit after the decimal point"),
    TEXT("[1.e1]", "3: expected a digit after the decimal point"),
    TEXT("[.5]", "1: expected a value"),
    TEXT("[+1]", "1: expected a value"),
    TEXT("[-]", "2: expected a digit after the minus sign"),
    TEXT("[-.5]", "2: expected a digit after the minus sign"),
    TEXT("[--1]", "2: expected a digit after the minus sign"),
    TEXT("[1e]", "3: expected a digit in the exponent"),
    TEXT("[1e+]", "4: expected a digit in the exponent"),
    TEXT("[1e1.5]", "4: expected ',' or ']' after an element"),
    TEXT("[0x10]", "2: expected ',' or ']' after an element"),
    TEXT("[1_000]", "2: expected ',' or ']' after an element"),
    TEXT("[NaN]", "1: expected a value"),
    TEXT("[Infinity]", "1: expected a value"),
    TEXT("[-Infinity]", "2: expected a digit after the minus sign"),
    TEXT("[nul]", "1: expected a value"),
    TEXT("[nulL]", "1: expected a value"),
    TEXT("[TRUE]", "1: expected a value"),
    TEXT("[truefalse]", "5: expected ',' or ']' after an element"),
    TEXT("[tru", "1: expected a value"),
    TEXT("[\"", "2: expected a quote that ends the string, not the end of the text"),
    TEXT("[\"abcdefgh12345678",
         "18: expected a quote that ends the string, not the end of the text"),
    TEXT("[\"\\", "2: expected one of \" \\ / b f n r t u after a backslash"),
    TEXT("[\"\\x41\"]", "2: expected one of \" \\ / b f n r t u after a backslash"),
    TEXT("[\"\\\0\"]", "2: expected one of \" \\ / b f n r t u after a backslash"),
    TEXT("[\"\\U0041\"]", "2: expected one of \" \\ / b f n r t u after a backslash"),
    TEXT("[\"\\u12\"]", "2: expected four hexadecimal digits after \\u"),
    TEXT("[\"\\u12g4\"]", "2: expected four hexadecimal digits after \\u"),
    TEXT("[\"\\u123", "2: expected four hexadecimal digits after \\u"),
    TEXT("[\"\\ud800\"]", "2: escaped surrogate without its other half"),
    TEXT("[\"a\\udc00\"]", "3: escaped surrogate without its other half"),
    TEXT("[\"\\ud800\\ud800\"]", "2: escaped surrogate without its other half"),
    TEXT("[\"\\ud800\\u0041\"]", "2: escaped surrogate without its other half"),
    TEXT("[\"\\ud800xudc00\"]", "2: escaped surrogate without its other half"),
    TEXT("[\"\\udc00\\ud800\"]", "2: escaped surrogate without its other half"),
    TEXT("[\"\\ud800\\u", "2: escaped surrogate without its other half"),
    TEXT("[\"\xed\xa0\x80\"]", "2: ill-formed UTF-8"),
    TEXT("[\"\xed\xa0\xbd\xed\xb8\x80\"]", "2: ill-formed UTF-8"),
    TEXT("[\"\xc0\x80\"]", "2: ill-formed UTF-8"),
    TEXT("[\"a\xe0\x80\x80\"]", "3: ill-formed UTF-8"),
    TEXT("[\"\xf4\x90\x80\x80\"]", "2: ill-formed UTF-8"),
    TEXT("[\"\xff\"]", "2: ill-formed UTF-8"),
    TEXT("[\"\xe2\x82\"]", "2: ill-formed UTF-8"),
    TEXT("[\"\xe2\x82", "2: ill-formed UTF-8"),
    TEXT("[\"abcdefgh\0\"]", "10: control character in a string; write it as an escape"),
    TEXT("[\"\t\"]", "2: control character in a string; write it as an escape"),
    TEXT("[\"a\nb\"]", "3: control character in a string; write it as an escape"),
    TEXT("[\"\x1f\"]", "2: control character in a string; write it as an escape"),
    TEXT("{\"a\":1,\"a\":2}", "7: a key that the object already has"),
    TEXT("{\"a\":1,\"\\u0061\":2}", "7: a key that the object already has"),
    TEXT("{\"\\u0061\":1,\"a\":2}", "12: a key that the object already has"),
    TEXT("{\"\\u0061\":1,\"\\u0061\":2}", "12: a key that the object already has"),
    TEXT("{\"\":1,\"\":2}", "6: a key that the object already has"),
    TEXT("{\"/\":1,\"\\/\":2}", "7: a key that the object already has"),
    TEXT("{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}", "10: a key that the object already has"),
    TEXT("{\"strategy_id\":1,\"b\":{\"b\":0},\"strategy_id\":2}",
         "29: a key that the object already has"),
    TEXT("[{\"b\":{\"b\":[{\"b\":1}]},\"b\":2}]", "22: a key that the object already has"),
};

static void test_grammar(void) {
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        char name[200];
        snprintf(name, sizeof name, "accepted text %zu is minified", i + 1);
        is_text(minified(accepted[i].text, accepted[i].length), accepted[i].want, name);
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char name[200], want[200];
        snprintf(want, sizeof want, "data: invalid JSON at byte %s", refused[i].want);
        snprintf(name, sizeof name, "refused text %zu says why and where", i + 1);
        is_text(minified(refused[i].text, refused[i].length), want, name);
    }

    int same = 0, total = 0;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++, total++)
        same += parse_problem(accepted[i].text, accepted[i].length)[0] == 0;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++, total++) {
        const char *problem = parse_problem(refused[i].text, refused[i].length);
        same += strcmp(problem, minified(refused[i].text, refused[i].length)) == 0;
    }
    is_int(same, total, "the parser judges all of them alike");

    /* Every proper beginning of a text is invalid, and none may be read beyond. */
    const char *whole =
        "{\"k\\n\":[1.5e+3,true,\"\\ud83d\\ude00\xe2\x82\xac\"],\"z\":{\"y\":null}}";
    int cut = 0;
    for (size_t length = 0; length < strlen(whole); length++)
        cut += strstr(minified(whole, length), "invalid JSON") != NULL;
    is_int(cut, strlen(whole), "a text cut anywhere is refused");
}

static void test_scalars(void) {
    const char *const scalars[] = {"1", " -0 ", "\"x\"", "true", "null", "1.5e300"};
    int refusals = 0, parsed = 0;
    for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++) {
        refusals += strcmp(minified(scalars[i], strlen(scalars[i])),
                           "data: must be a JSON object or array, not a single value") == 0;
        parsed += parse_problem(scalars[i], strlen(scalars[i]))[0] == 0;
    }
    is_int(refusals, 6, "minify refuses scalars");
    is_int(parsed, 6, "parse accepts them");
    is_text(parse_problem("1 2", 3), "data: invalid JSON at byte 2: bytes after the value",
            "but nothing after them");
}

static void test_depth(void) {
    static char deep[6 * 513 + 2];
    memset(deep, '[', 513);
    memset(deep + 513, ']', 513);
    ok(strlen(minified(deep + 1, 1024)) > 200, "arrays may be nested 512 deep");
    is_text(minified(deep, 1026), "data: invalid JSON at byte 512: nested deeper than 512 levels",
            "and no deeper");
    is_text(parse_problem(deep + 1, 1024), "", "the parser goes as deep");
    size_t length = 0;
    for (int i = 0; i < 512; i++, length += 5)
        memcpy(deep + length, "{\"a\":", 5);
    is_text(minified(deep, length),
            "data: invalid JSON at byte 2560: expected a value, not the end of the text",
            "512 open objects are given back when the text is bad");
    memcpy(deep + length, "{\"a\":", 5);
    is_text(parse_problem(deep, length + 5),
            "data: invalid JSON at byte 2560: nested deeper than 512 levels",
            "objects count as arrays do");
}

/* An object of count keys "key<i>"; then one more of the given text. */
static void large_object(rbt_buffer *out, int count, const char *last_key) {
    rbt_buffer_add_byte(out, '{');
    for (int i = 0; i < count; i++)
        rbt_buffer_printf(out, "\"key%d\":{\"key0\":%d},", i, i);
    rbt_buffer_printf(out, "\"%s\":0}", last_key);
}

static void test_large_objects(void) {
    int accepted_sizes = 0, refused_sizes = 0;
    for (int count = 1; count <= 300; count++) {
        rbt_buffer good = {0}, bad = {0};
        char duplicate[32];
        snprintf(duplicate, sizeof duplicate, "k\\u0065y%d", count * 7 % count + count / 2);
        large_object(&good, count, "k\\u0065y");
        large_object(&bad, count, duplicate);
        accepted_sizes += parse_problem((char *)good.data, good.length)[0] == 0;
        refused_sizes += strstr(minified((char *)bad.data, bad.length),
                                "a key that the object already has") != NULL;
        rbt_buffer_free(&good);
        rbt_buffer_free(&bad);
    }
    is_int(accepted_sizes, 300, "objects of up to 300 different keys are accepted");
    is_int(refused_sizes, 300, "a duplicate is found in objects of every size");

    rbt_buffer good = {0}, bad = {0}, out = {0};
    rbt_error error = {0};
    large_object(&good, 100000, "last");
    large_object(&bad, 100000, "key4711");
    clock_t start = clock();
    is_int(rbt_json_minify(&out, (char *)good.data, good.length, "data", &error), SQLITE_OK,
           "100000 keys are accepted");
    ok(out.length == good.length && memcmp(out.data, good.data, out.length) == 0,
       "and come out as they were");
    is_int(rbt_json_minify(&out, (char *)bad.data, bad.length, "data", &error), SQLITE_ERROR,
           "a duplicate among them is found");
    ok((double)(clock() - start) / CLOCKS_PER_SEC < 5, "in far less than quadratic time");
    rbt_error_clear(&error);
    rbt_buffer_free(&good);
    rbt_buffer_free(&bad);
    rbt_buffer_free(&out);
}

static void test_document(void) {
    static const char text[] =
        " {\"name\" : \"caf\\u00e9 \\ud83d\\ude00\\n\", \"count\":-9223372036854775808,"
        "\"n\\u0061n\":null, \"list\":[ 1, [ ], {\"x\" : true} , 18446744073709551615],"
        "\"e\":\"\",\"nul\\u0000\":false} ";
    rbt_json document = {0};
    rbt_error error = {0};
    is_int(rbt_json_parse(&document, text, strlen(text), "data", &error), SQLITE_OK,
           "a document is parsed");
    const rbt_json_node *root = rbt_json_root(&document);
    ok(root->type == RBT_JSON_OBJECT && root->children == 6, "the root is an object of six");
    ok(root->start == 1 && root->length == strlen(text) - 2, "its source is without white space");

    rbt_buffer out = {0};
    ok(rbt_json_string(&document, rbt_json_member(&document, root, "name"), &out),
       "a member is found by its key");
    is_text(rbt_buffer_text(&out), "caf\xc3\xa9 \xf0\x9f\x98\x80\n", "its string is unescaped");
    rbt_buffer_clear(&out);
    ok(rbt_json_string(&document, rbt_json_member(&document, root, "e"), &out) && out.length == 0,
       "an empty string is one");
    int64_t value = 0;
    uint64_t large = 0;
    const rbt_json_node *count = rbt_json_member(&document, root, "count");
    ok(rbt_json_i64(&document, count, &value) && value == INT64_MIN,
       "the smallest integer is read");
    ok(!rbt_json_u64(&document, count, &large), "and not as an unsigned one");
    const rbt_json_node *nan = rbt_json_member(&document, root, "nan");
    ok(nan && nan->type == RBT_JSON_NULL, "an escaped key is found");
    rbt_json_key(&document, nan, &out);
    is_text(rbt_buffer_text(&out), "nan", "and can be had unescaped");
    ok(!rbt_json_member(&document, root, "nul") && !rbt_json_member(&document, root, "na") &&
           !rbt_json_member(&document, root, "nann") && !rbt_json_member(&document, root, ""),
       "similar names are not found");

    const rbt_json_node *list = rbt_json_member(&document, root, "list");
    ok(list && list->type == RBT_JSON_ARRAY && list->children == 4, "an array knows its size");
    ok(list->start + list->length <= document.length && text[list->start] == '[' &&
           text[list->start + list->length - 1] == ']',
       "and its source");
    const rbt_json_node *one = rbt_json_first(&document, list);
    const rbt_json_node *empty = rbt_json_next(&document, one);
    const rbt_json_node *object = rbt_json_next(&document, empty);
    const rbt_json_node *last = rbt_json_next(&document, object);
    ok(rbt_json_i64(&document, one, &value) && value == 1, "elements come in order");
    ok(empty->type == RBT_JSON_ARRAY && !rbt_json_first(&document, empty),
       "an empty one has no first");
    const rbt_json_node *inner = rbt_json_member(&document, object, "x");
    ok(inner && inner->type == RBT_JSON_TRUE && !rbt_json_next(&document, inner),
       "a member of an element is found");
    ok(rbt_json_u64(&document, last, &large) && large == UINT64_MAX, "the largest integer is read");
    ok(!rbt_json_i64(&document, last, &value), "and not as a signed one");
    ok(!rbt_json_next(&document, last), "the last element has no next");
    ok(!rbt_json_member(&document, rbt_json_member(&document, root, "absent"), "x") &&
           !rbt_json_member(&document, list, "x") && !rbt_json_first(&document, NULL) &&
           !rbt_json_next(&document, NULL),
       "look-ups can be chained over what is absent");
    ok(!rbt_json_string(&document, NULL, &out) && !rbt_json_string(&document, count, &out) &&
           !rbt_json_i64(&document, nan, &value) && !rbt_json_u64(&document, NULL, &large),
       "a value of another type is not read");
    rbt_buffer_free(&out);
    rbt_json_free(&document);
    ok(!rbt_json_root(&document), "a freed document is empty");
}

static void test_integers(void) {
    static const struct {
        const char *text;
        bool is_i64, is_u64;
    } numbers[] = {{"0", true, true},
                   {"-0", true, true},
                   {"-1", true, false},
                   {"9223372036854775807", true, true},
                   {"9223372036854775808", false, true},
                   {"-9223372036854775809", false, false},
                   {"18446744073709551616", false, false},
                   {"99999999999999999999999", false, false},
                   {"1.0", false, false},
                   {"1e2", false, false},
                   {"1E2", false, false}};
    int right = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        rbt_json document = {0};
        rbt_error error = {0};
        int64_t value;
        uint64_t large;
        rbt_json_parse(&document, numbers[i].text, strlen(numbers[i].text), "data", &error);
        const rbt_json_node *root = rbt_json_root(&document);
        right += rbt_json_i64(&document, root, &value) == numbers[i].is_i64;
        right += rbt_json_u64(&document, root, &large) == numbers[i].is_u64;
        rbt_json_free(&document);
    }
    is_int(right, 22, "integers are read within their range only, and as written without fraction");
}

static void test_writing(void) {
    rbt_buffer out = {0};
    rbt_json_add_string(&out, "", 0);
    is_text(rbt_buffer_text(&out), "\"\"", "an empty string is two quotes");
    rbt_buffer_clear(&out);
    rbt_json_add_string(&out, "a/\"\\\b\t\n\f\r\x01\x1f\x7f\xc3\xa9\0z0123456789", 26);
    is_text(rbt_buffer_text(&out),
            "\"a/\\\"\\\\\\b\\t\\n\\f\\r\\u0001\\u001f\x7f\xc3\xa9\\u0000z0123456789\"",
            "only quote, backslash and control characters are escaped");
    rbt_buffer_clear(&out);

    char all[128];
    for (int i = 0; i < 128; i++)
        all[i] = (char)i;
    int same = 0;
    for (size_t length = 0; length <= 128; length++) {
        rbt_buffer back = {0};
        rbt_buffer_clear(&out);
        rbt_json_add_string(&out, all, length);
        same += parse_problem((char *)out.data, out.length)[0] == 0;
        rbt_json_unescape(&back, (char *)out.data + 1, out.length - 2);
        same += back.length == length && (length == 0 || memcmp(back.data, all, length) == 0);
        rbt_buffer_free(&back);
    }
    is_int(same, 258, "what was written is valid and reads back");
    rbt_buffer_clear(&out);
    rbt_json_unescape(&out, "\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00E9\\u20ac\\uD83D\\uDE00", 46);
    is_text(rbt_buffer_text(&out), "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
            "every escape is undone");
    rbt_buffer_free(&out);
}

static void test_no_memory(void) {
    rbt_buffer text = {0};
    large_object(&text, 70, "k\\u0065y");
    int failures = 0, reports = 0;
    for (long allocation = 1;; allocation++) {
        rbt_buffer out = {0};
        rbt_error error = {0};
        failing_memory_at(allocation);
        int code = rbt_json_minify(&out, (char *)text.data, text.length, "data", &error);
        int hit = failing_memory_hit;
        failing_memory_at(0);
        rbt_error_clear(&error);
        rbt_buffer_free(&out);
        if (!hit) break;
        failures++;
        reports += code == SQLITE_NOMEM;
    }
    ok(failures > 3 && failures == reports, "minify reports each failed allocation");
    failures = reports = 0;
    for (long allocation = 1;; allocation++) {
        rbt_json document = {0};
        rbt_error error = {0};
        failing_memory_at(allocation);
        int code = rbt_json_parse(&document, (char *)text.data, text.length, "data", &error);
        int hit = failing_memory_hit;
        failing_memory_at(0);
        rbt_error_clear(&error);
        rbt_json_free(&document);
        if (!hit) break;
        failures++;
        reports += code == SQLITE_NOMEM;
    }
    ok(failures > 3 && failures == reports, "parse likewise");
    rbt_buffer_free(&text);

    rbt_buffer out = {0};
    rbt_error error = {0};
    static const char ordinary[] =
        "{\"a\":1,\"b\":{\"a\":1,\"b\":2},\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,"
        "\"i\":9,\"j\":10,\"k\":11,\"l\":12,\"m\":13,\"n\":14,\"o\":15,\"p\":16}";
    rbt_buffer_reserve(&out, 1000);
    failing_memory_at(1);
    is_int(rbt_json_minify(&out, ordinary, strlen(ordinary), "data", &error), SQLITE_OK,
           "an ordinary object of 16 keys needs no allocation");
    ok(!failing_memory_hit, "none at all");
    failing_memory_at(0);
    rbt_fail(&error, SQLITE_READONLY, "before");
    is_int(rbt_json_minify(&out, "[]", 2, "data", &error), SQLITE_READONLY, "errors are sticky");
    rbt_error_clear(&error);
    is_int(rbt_json_minify(&out, "[]", (size_t)INT32_MAX + 1, "data", &error), SQLITE_TOOBIG,
           "a text beyond 32-bit offsets is too big");
    rbt_error_clear(&error);
    rbt_buffer_free(&out);
}

int main(void) {
    plan((int)(sizeof accepted / sizeof accepted[0] + sizeof refused / sizeof refused[0]) + 49);
    if (failing_memory_install() != SQLITE_OK) return 1;
    test_grammar();
    test_scalars();
    test_depth();
    test_large_objects();
    test_document();
    test_integers();
    test_writing();
    test_no_memory();
    return done();
}
