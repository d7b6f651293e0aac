/* SPDX-License-Identifier: MIT
** The JSON reader (see json_reader.h). Calls error, UTF-8 and the reader's key sets.
*/
#include "json_reader.h"

#include "json_text.h"
#include "utf8_sequence.h"

void rbt_json_reader_begin(rbt_json_reader *reader, const char *text, size_t length,
                           uint8_t *sink) {
    /* Field by field: zeroing the stack of open containers would cost more than a short text. */
    reader->text = (const uint8_t *)text;
    reader->length = length;
    reader->position = 0;
    reader->expectation = RBT_JSON_EXPECT_VALUE;
    reader->depth = 0;
    reader->type = RBT_JSON_NULL;
    reader->start = reader->token_length = 0;
    reader->escaped = false;
    reader->problem = NULL;
    reader->problem_at = 0;
    reader->sink = sink;
    reader->run_start = 0;
    rbt_json_keys_begin(&reader->keys, reader->text, length);
}

void rbt_json_reader_end(rbt_json_reader *reader) {
    while (reader->depth > 0) {
        reader->depth--;
        if (reader->open[reader->depth].is_object)
            rbt_json_object_close(&reader->keys, &reader->open[reader->depth].object);
    }
    rbt_json_keys_end(&reader->keys);
}

int rbt_json_reader_fail(const rbt_json_reader *reader, const char *what, rbt_error *error) {
    if (!reader->problem) return rbt_fail_nomem(error);
    bool at_end = reader->problem_at == reader->length;
    return rbt_fail(error, SQLITE_ERROR, "%s: invalid JSON at byte %llu: %s%s", what,
                    (unsigned long long)reader->problem_at, reader->problem,
                    at_end ? ", not the end of the text" : "");
}

int rbt_json_check_length(size_t length, const char *what, rbt_error *error) {
    if (length <= INT32_MAX) return SQLITE_OK;
    return rbt_fail(error, SQLITE_TOOBIG, "%s: JSON of more than 2147483647 bytes", what);
}

static rbt_json_token fail_at(rbt_json_reader *reader, size_t position, const char *problem) {
    reader->problem = problem;
    reader->problem_at = position;
    return RBT_JSON_TOKEN_FAILED;
}

static bool is_space(uint8_t byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static inline void skip_space(rbt_json_reader *reader) {
    size_t position = reader->position;
    if (position == reader->length || !is_space(reader->text[position])) return;
    if (reader->sink) {
        size_t run = position - reader->run_start;
        memcpy(reader->sink, reader->text + reader->run_start, run);
        reader->sink += run;
    }
    do
        position++;
    while (position < reader->length && is_space(reader->text[position]));
    reader->position = reader->run_start = position;
}

/* The byte at the position; 0, which no token begins with, at the end. */
static inline uint8_t next_byte(const rbt_json_reader *reader) {
    return reader->position < reader->length ? reader->text[reader->position] : 0;
}

/* Length of the escape at position, or 0 and the problem. */
static size_t check_escape(rbt_json_reader *reader, size_t position) {
    const uint8_t *text = reader->text + position;
    size_t available = reader->length - position;
    if (available >= 2 && text[1] != 'u' && text[1] != 0 && strchr("\"\\/bfnrt", text[1])) return 2;
    if (available < 2 || text[1] != 'u') {
        fail_at(reader, position, "expected one of \" \\ / b f n r t u after a backslash");
        return 0;
    }
    int unit = available >= 6 ? rbt_json_hex4(text + 2) : -1;
    if (unit < 0) {
        fail_at(reader, position, "expected four hexadecimal digits after \\u");
        return 0;
    }
    if (unit < 0xd800 || unit > 0xdfff) return 6;
    int low = -1;
    if (unit < 0xdc00 && available >= 12 && text[6] == '\\' && text[7] == 'u')
        low = rbt_json_hex4(text + 8);
    if (low < 0xdc00 || low > 0xdfff) {
        fail_at(reader, position, "escaped surrogate without its other half");
        return 0;
    }
    return 12;
}

/* The position is at the opening quote; moves behind the closing one. */
static bool read_string(rbt_json_reader *reader) {
    const uint8_t *text = reader->text;
    size_t length = reader->length, position = reader->position + 1;
    reader->start = position;
    reader->escaped = false;
    for (;;) {
        position += rbt_json_plain_length(text + position, length - position, true);
        if (position == length) {
            fail_at(reader, position, "expected a quote that ends the string");
            return false;
        }
        uint8_t byte = text[position];
        if (byte == '"') break;
        if (byte == '\\') {
            size_t escape = check_escape(reader, position);
            if (escape == 0) return false;
            reader->escaped = true;
            position += escape;
        } else if (byte < 0x20) {
            fail_at(reader, position, "control character in a string; write it as an escape");
            return false;
        } else {
            size_t sequence = rbt_utf8_sequence(text + position, length - position);
            if (sequence == 0) {
                fail_at(reader, position, "ill-formed UTF-8");
                return false;
            }
            position += sequence;
        }
    }
    reader->token_length = position - reader->start;
    reader->position = position + 1;
    return true;
}

static bool is_digit(uint8_t byte) {
    return byte >= '0' && byte <= '9';
}

/* Moves over digits, of which there must be one. */
static bool read_digits(rbt_json_reader *reader, const char *problem) {
    if (!is_digit(next_byte(reader))) {
        fail_at(reader, reader->position, problem);
        return false;
    }
    while (is_digit(next_byte(reader)))
        reader->position++;
    return true;
}

static rbt_json_token read_number(rbt_json_reader *reader) {
    if (next_byte(reader) == '-') reader->position++;
    if (next_byte(reader) == '0') {
        reader->position++;
        if (is_digit(next_byte(reader)))
            return fail_at(reader, reader->position, "digit after a leading zero");
    } else if (!read_digits(reader, "expected a digit after the minus sign")) {
        return RBT_JSON_TOKEN_FAILED;
    }
    if (next_byte(reader) == '.') {
        reader->position++;
        if (!read_digits(reader, "expected a digit after the decimal point"))
            return RBT_JSON_TOKEN_FAILED;
    }
    if (next_byte(reader) == 'e' || next_byte(reader) == 'E') {
        reader->position++;
        if (next_byte(reader) == '+' || next_byte(reader) == '-') reader->position++;
        if (!read_digits(reader, "expected a digit in the exponent")) return RBT_JSON_TOKEN_FAILED;
    }
    reader->type = RBT_JSON_NUMBER;
    reader->token_length = reader->position - reader->start;
    return RBT_JSON_TOKEN_SCALAR;
}

static rbt_json_token read_literal(rbt_json_reader *reader, const char *name, rbt_json_type type) {
    size_t length = strlen(name);
    if (reader->length - reader->position < length ||
        memcmp(reader->text + reader->position, name, length) != 0)
        return fail_at(reader, reader->position, "expected a value");
    reader->position += length;
    reader->type = type;
    reader->token_length = length;
    return RBT_JSON_TOKEN_SCALAR;
}

static rbt_json_token open_container(rbt_json_reader *reader, rbt_json_type type) {
    if (reader->depth == RBT_JSON_MAX_DEPTH)
        return fail_at(reader, reader->position, "nested deeper than 512 levels");
    bool is_object = type == RBT_JSON_OBJECT;
    reader->open[reader->depth].is_object = is_object;
    if (is_object) rbt_json_object_open(&reader->keys, &reader->open[reader->depth].object);
    reader->depth++;
    reader->position++;
    reader->type = type;
    reader->token_length = 1;
    reader->expectation = is_object ? RBT_JSON_EXPECT_FIRST_MEMBER : RBT_JSON_EXPECT_FIRST_ELEMENT;
    return RBT_JSON_TOKEN_OPEN;
}

static rbt_json_token close_container(rbt_json_reader *reader) {
    reader->depth--;
    if (reader->open[reader->depth].is_object)
        rbt_json_object_close(&reader->keys, &reader->open[reader->depth].object);
    reader->position++;
    reader->expectation = RBT_JSON_EXPECT_MORE;
    return RBT_JSON_TOKEN_CLOSE;
}

static rbt_json_token read_value(rbt_json_reader *reader) {
    reader->start = reader->position;
    reader->expectation = RBT_JSON_EXPECT_MORE;
    switch (next_byte(reader)) {
    case '"':
        reader->type = RBT_JSON_STRING;
        return read_string(reader) ? RBT_JSON_TOKEN_SCALAR : RBT_JSON_TOKEN_FAILED;
    case '{':
        return open_container(reader, RBT_JSON_OBJECT);
    case '[':
        return open_container(reader, RBT_JSON_ARRAY);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return read_number(reader);
    case 't':
        return read_literal(reader, "true", RBT_JSON_TRUE);
    case 'f':
        return read_literal(reader, "false", RBT_JSON_FALSE);
    case 'n':
        return read_literal(reader, "null", RBT_JSON_NULL);
    default:
        if (reader->position == 0 && reader->length >= 3 &&
            memcmp(reader->text, "\xef\xbb\xbf", 3) == 0)
            return fail_at(reader, 0, "byte order mark; remove it");
        return fail_at(reader, reader->position, "expected a value");
    }
}

static rbt_json_token read_key(rbt_json_reader *reader) {
    if (next_byte(reader) != '"')
        return fail_at(reader, reader->position, "expected a key in double quotes");
    size_t quote = reader->position;
    if (!read_string(reader)) return RBT_JSON_TOKEN_FAILED;
    switch (rbt_json_object_add(&reader->keys, &reader->open[reader->depth - 1].object,
                                (uint32_t)reader->start, (uint32_t)reader->token_length,
                                reader->escaped)) {
    case RBT_JSON_KEY_NEW:
        break;
    case RBT_JSON_KEY_DUPLICATE:
        return fail_at(reader, quote, "a key that the object already has");
    case RBT_JSON_KEY_NOMEM:
        return RBT_JSON_TOKEN_FAILED;
    }
    skip_space(reader);
    if (next_byte(reader) != ':')
        return fail_at(reader, reader->position, "expected ':' after a key");
    reader->position++;
    reader->expectation = RBT_JSON_EXPECT_VALUE;
    return RBT_JSON_TOKEN_KEY;
}

static rbt_json_token read_more(rbt_json_reader *reader) {
    if (reader->depth == 0) {
        if (reader->position == reader->length) return RBT_JSON_TOKEN_END;
        return fail_at(reader, reader->position, "bytes after the value");
    }
    bool is_object = reader->open[reader->depth - 1].is_object;
    uint8_t byte = next_byte(reader);
    if (byte == ',') {
        reader->position++;
        skip_space(reader);
        return is_object ? read_key(reader) : read_value(reader);
    }
    if (byte == (is_object ? '}' : ']')) return close_container(reader);
    return fail_at(reader, reader->position,
                   is_object ? "expected ',' or '}' after a member"
                             : "expected ',' or ']' after an element");
}

rbt_json_token rbt_json_reader_next(rbt_json_reader *reader) {
    skip_space(reader);
    switch (reader->expectation) {
    case RBT_JSON_EXPECT_FIRST_MEMBER:
        if (next_byte(reader) == '}') return close_container(reader);
        return read_key(reader);
    case RBT_JSON_EXPECT_FIRST_ELEMENT:
        if (next_byte(reader) == ']') return close_container(reader);
        return read_value(reader);
    case RBT_JSON_EXPECT_MORE:
        return read_more(reader);
    case RBT_JSON_EXPECT_VALUE:
        break;
    }
    return read_value(reader);
}
