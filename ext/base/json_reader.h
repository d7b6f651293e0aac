/* SPDX-License-Identifier: MIT
** The one JSON reader (private to the JSON files): checks a text
** against RFC 8259 token by token, with a stack of its own in place of recursion. The minifier and
** the document are built on it.
*/
#ifndef RBT_BASE_JSON_READER_H
#define RBT_BASE_JSON_READER_H

#include "error.h"
#include "json.h"
#include "json_keys.h"

typedef enum rbt_json_token {
    RBT_JSON_TOKEN_FAILED, /* rbt_json_reader_fail tells */
    RBT_JSON_TOKEN_END,    /* the value is complete and nothing follows it */
    RBT_JSON_TOKEN_KEY,    /* with its colon */
    RBT_JSON_TOKEN_SCALAR, /* reader->type tells which */
    RBT_JSON_TOKEN_OPEN,   /* the type is object or array */
    RBT_JSON_TOKEN_CLOSE
} rbt_json_token;

typedef enum rbt_json_expectation {
    RBT_JSON_EXPECT_VALUE,
    RBT_JSON_EXPECT_FIRST_MEMBER,
    RBT_JSON_EXPECT_FIRST_ELEMENT,
    RBT_JSON_EXPECT_MORE /* a comma or the end of what is open */
} rbt_json_expectation;

typedef struct rbt_json_reader {
    const uint8_t *text;
    size_t length, position;
    rbt_json_expectation expectation;
    int depth; /* containers open */

    /* The last token; of strings and keys what is between the quotes. */
    rbt_json_type type;
    size_t start, token_length;
    bool escaped; /* the string holds a backslash */

    const char *problem; /* what went wrong, "expected …"; NULL: out of memory */
    size_t problem_at;

    /* Where the text goes without its white space, or NULL; room for length bytes. Pending are the
    ** bytes from run_start on. */
    uint8_t *sink;
    size_t run_start;

    rbt_json_keys keys;
    struct {
        bool is_object;
        rbt_json_object object;
    } open[RBT_JSON_MAX_DEPTH];
} rbt_json_reader;

/* text must be shorter than 2^31 bytes and outlive the reader. sink may be NULL. */
void rbt_json_reader_begin(rbt_json_reader *reader, const char *text, size_t length, uint8_t *sink);
rbt_json_token rbt_json_reader_next(rbt_json_reader *reader);
void rbt_json_reader_end(rbt_json_reader *reader); /* frees; always needed */

/* Puts the reader's problem into the error: "<what>: invalid JSON at byte 17: <problem>". */
int rbt_json_reader_fail(const rbt_json_reader *reader, const char *what, rbt_error *error);

/* Refuses a text too long for 32-bit offsets (SQLite's own are shorter). */
int rbt_json_check_length(size_t length, const char *what, rbt_error *error);

#endif
