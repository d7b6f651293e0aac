/* SPDX-License-Identifier: MIT
** The parsed document: nodes in one array, in the order of the text. Calls the JSON reader, buffer,
** error and memory.
*/
#include "json_reader.h"
#include "json_text.h"
#include "memory.h"

/* Adds a node for the reader's token; its index, or UINT32_MAX when out of memory. */
static uint32_t add_node(rbt_json *document, size_t *capacity, const rbt_json_reader *reader) {
    if (document->count == *capacity) {
        size_t more = *capacity ? *capacity * 2 : 16;
        rbt_json_node *nodes = rbt_realloc(document->nodes, more * sizeof *nodes);
        if (!nodes) return UINT32_MAX;
        document->nodes = nodes;
        *capacity = more;
    }
    document->nodes[document->count] = (rbt_json_node){.type = reader->type,
                                                       .start = (uint32_t)reader->start,
                                                       .length = (uint32_t)reader->token_length};
    return document->count++;
}

static int build(rbt_json *document, rbt_json_reader *reader, const char *what, rbt_error *error) {
    struct {
        uint32_t container, last_child;
    } open[RBT_JSON_MAX_DEPTH];
    int depth = 0; /* the reader's, of before its last token */
    size_t capacity = 0;
    uint32_t key_start = 0, key_length = 0;

    for (;;) {
        rbt_json_token token = rbt_json_reader_next(reader);
        switch (token) {
        case RBT_JSON_TOKEN_FAILED:
            return rbt_json_reader_fail(reader, what, error);
        case RBT_JSON_TOKEN_END:
            return SQLITE_OK;
        case RBT_JSON_TOKEN_KEY:
            key_start = (uint32_t)reader->start;
            key_length = (uint32_t)reader->token_length;
            continue;
        case RBT_JSON_TOKEN_CLOSE: {
            rbt_json_node *closed = &document->nodes[open[--depth].container];
            closed->length = (uint32_t)reader->position - closed->start;
            continue;
        }
        case RBT_JSON_TOKEN_SCALAR:
        case RBT_JSON_TOKEN_OPEN:
            break;
        }

        uint32_t index = add_node(document, &capacity, reader);
        if (index == UINT32_MAX) return rbt_fail_nomem(error);
        if (depth > 0) {
            uint32_t last = open[depth - 1].last_child;
            rbt_json_node *container = &document->nodes[open[depth - 1].container];
            if (last)
                document->nodes[last].next = index;
            else
                container->first_child = index;
            open[depth - 1].last_child = index;
            container->children++;
            if (container->type == RBT_JSON_OBJECT) {
                document->nodes[index].key_start = key_start;
                document->nodes[index].key_length = key_length;
            }
        }
        if (token == RBT_JSON_TOKEN_OPEN) {
            open[depth].container = index;
            open[depth++].last_child = 0;
        }
    }
}

int rbt_json_parse(rbt_json *document, const char *text, size_t length, const char *what,
                   rbt_error *error) {
    *document = (rbt_json){.text = text, .length = length};
    if (error->code != SQLITE_OK) return error->code;
    if (rbt_json_check_length(length, what, error) != SQLITE_OK) return error->code;
    rbt_json_reader reader;
    rbt_json_reader_begin(&reader, text, length, NULL);
    int code = build(document, &reader, what, error);
    rbt_json_reader_end(&reader);
    if (code != SQLITE_OK) rbt_json_free(document);
    return code;
}

void rbt_json_free(rbt_json *document) {
    rbt_free(document->nodes);
    *document = (rbt_json){0};
}

const rbt_json_node *rbt_json_root(const rbt_json *document) {
    return document->nodes;
}

const rbt_json_node *rbt_json_first(const rbt_json *document, const rbt_json_node *container) {
    if (!container || container->first_child == 0) return NULL;
    return &document->nodes[container->first_child];
}

const rbt_json_node *rbt_json_next(const rbt_json *document, const rbt_json_node *node) {
    if (!node || node->next == 0) return NULL;
    return &document->nodes[node->next];
}

/* Compares a key as written with unescaped bytes, without memory of its own. */
static bool key_equals(const uint8_t *key, size_t key_length, const char *name,
                       size_t name_length) {
    while (key_length > 0) {
        uint8_t bytes[RBT_JSON_UNESCAPED_SIZE] = {key[0]};
        size_t count = 1;
        size_t used = key[0] == '\\' ? rbt_json_unescape_one(bytes, &count, key) : 1;
        if (count > name_length || memcmp(bytes, name, count) != 0) return false;
        key += used;
        key_length -= used;
        name += count;
        name_length -= count;
    }
    return name_length == 0;
}

const rbt_json_node *rbt_json_member(const rbt_json *document, const rbt_json_node *container,
                                     const char *name) {
    if (!container || container->type != RBT_JSON_OBJECT) return NULL;
    size_t name_length = strlen(name);
    const rbt_json_node *node = rbt_json_first(document, container);
    while (node && !key_equals((const uint8_t *)document->text + node->key_start, node->key_length,
                               name, name_length))
        node = rbt_json_next(document, node);
    return node;
}

bool rbt_json_string(const rbt_json *document, const rbt_json_node *node, rbt_buffer *out) {
    if (!node || node->type != RBT_JSON_STRING) return false;
    rbt_json_unescape(out, document->text + node->start, node->length);
    return true;
}

void rbt_json_key(const rbt_json *document, const rbt_json_node *node, rbt_buffer *out) {
    rbt_json_unescape(out, document->text + node->key_start, node->key_length);
}

/* Magnitude and sign of a number that consists of digits alone. */
static bool read_integer(const rbt_json *document, const rbt_json_node *node, bool *negative,
                         uint64_t *magnitude) {
    if (!node || node->type != RBT_JSON_NUMBER) return false;
    const char *digit = document->text + node->start, *end = digit + node->length;
    *negative = *digit == '-';
    if (*negative) digit++;
    *magnitude = 0;
    for (; digit < end; digit++) {
        if (*digit < '0' || *digit > '9') return false;
        if (__builtin_mul_overflow(*magnitude, 10u, magnitude)) return false;
        if (__builtin_add_overflow(*magnitude, (uint64_t)(*digit - '0'), magnitude)) return false;
    }
    return true;
}

bool rbt_json_i64(const rbt_json *document, const rbt_json_node *node, int64_t *value) {
    bool negative;
    uint64_t magnitude;
    if (!read_integer(document, node, &negative, &magnitude)) return false;
    if (magnitude > (uint64_t)INT64_MAX + negative) return false;
    *value = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}

bool rbt_json_u64(const rbt_json *document, const rbt_json_node *node, uint64_t *value) {
    bool negative;
    uint64_t magnitude;
    if (!read_integer(document, node, &negative, &magnitude)) return false;
    if (negative && magnitude != 0) return false;
    *value = magnitude;
    return true;
}
