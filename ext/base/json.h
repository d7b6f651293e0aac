/* SPDX-License-Identifier: MIT
** JSON as RFC 8259 has it and no further: UTF-8 without BOM or NUL, no duplicate keys after
** unescaping, no lone surrogates (raw or escaped), depth at most 512, no trailing bytes. Numbers are
** kept as source text. White space is 20 09 0A 0D only.
*/
#ifndef RBT_BASE_JSON_H
#define RBT_BASE_JSON_H

#include "buffer.h"
#include "error.h"

enum { RBT_JSON_MAX_DEPTH = 512 };

/* Checks that text is one JSON object or array and appends it with the white space outside strings
** removed, nothing else changed. On failure the error says what is wrong and at which byte (the first
** is 0), as "<what>: invalid JSON at byte 17: expected ':' after a key" and code SQLITE_ERROR; the text
** itself is never quoted. Fast path: the log calls this for every row. */
int rbt_json_minify(rbt_buffer *out, const char *text, size_t length, const char *what,
                    rbt_error *error);

typedef enum rbt_json_type {
    RBT_JSON_NULL,
    RBT_JSON_FALSE,
    RBT_JSON_TRUE,
    RBT_JSON_NUMBER,
    RBT_JSON_STRING,
    RBT_JSON_ARRAY,
    RBT_JSON_OBJECT
} rbt_json_type;

/* A value of a parsed document. Offsets are bytes of the source; of a string they hold what is
** between the quotes, escapes as written. Children follow as a list: first_child, then next. */
typedef struct rbt_json_node {
    rbt_json_type type;
    uint32_t start, length;         /* source of the value */
    uint32_t key_start, key_length; /* source of the member's key, between its quotes */
    uint32_t children;              /* number of members or elements */
    uint32_t first_child, next;     /* indices into nodes; 0 means none (0 is the root) */
} rbt_json_node;

typedef struct rbt_json {
    const char *text; /* the caller's; must outlive the document */
    size_t length;
    rbt_json_node *nodes; /* nodes[0] is the root */
    uint32_t count;
} rbt_json;

/* Parses any JSON value (scalars too). The document starts as {0}; free it in any case. */
int rbt_json_parse(rbt_json *document, const char *text, size_t length, const char *what,
                   rbt_error *error);
void rbt_json_free(rbt_json *document);

const rbt_json_node *rbt_json_root(const rbt_json *document);
/* First element or member of a container, and the next one; NULL at the end. */
const rbt_json_node *rbt_json_first(const rbt_json *document, const rbt_json_node *container);
const rbt_json_node *rbt_json_next(const rbt_json *document, const rbt_json_node *node);
/* The member of an object whose unescaped key equals name (bytes); NULL when absent, or when
** container is NULL or no object, so look-ups can be chained. */
const rbt_json_node *rbt_json_member(const rbt_json *document, const rbt_json_node *container,
                                     const char *name);
/* Appends a string's unescaped UTF-8; false when node is NULL or no string. */
bool rbt_json_string(const rbt_json *document, const rbt_json_node *node, rbt_buffer *out);
/* Appends a member's unescaped key. */
void rbt_json_key(const rbt_json *document, const rbt_json_node *node, rbt_buffer *out);
/* An integer written without fraction or exponent and in range; false otherwise. */
bool rbt_json_i64(const rbt_json *document, const rbt_json_node *node, int64_t *value);
bool rbt_json_u64(const rbt_json *document, const rbt_json_node *node, uint64_t *value);

/* Appends text as a JSON string with its quotes. Escaped are only `"`, `\` and U+0000 to U+001F:
** \b \t \n \f \r in short form, else \u00xx with lower-case hex. The text must be UTF-8. */
void rbt_json_add_string(rbt_buffer *out, const char *text, size_t length);

/* Unescapes the inside of a JSON string (already checked) into out. */
void rbt_json_unescape(rbt_buffer *out, const char *text, size_t length);

#endif
