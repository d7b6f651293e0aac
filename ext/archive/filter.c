/* SPDX-License-Identifier: MIT
** Filters of indexed columns (format in filter.h). Pure; calls base and audit's leaf.
*/
#define XXH_INLINE_ALL
#include "filter.h"

#include "../base/base64.h"
#include "../base/bytes.h"
#include "../base/memory.h"
#include "zone.h"
#include <stdlib.h>
#include <xxhash.h>

enum {
    BLOCK = 32,          /* bytes */
    WORDS = 8,           /* a block's */
    BITS_PER_VALUE = 12, /* 0.5 % of false positives */
    RUN = 512            /* values */
};

/* What one column of one frame holds. */
typedef struct column_values {
    bool filtered;
    rbt_buffer hashes; /* u64 in the machine's own order, one a value */
    size_t longest;    /* TEXT, bytes */
    /* Numbers, in runs one after the other: do their ranges rise, or overlap? As doubles: exact enough. */
    bool ranged;
    size_t run; /* values in the one at hand */
    double min, max;
    bool had_run;
    double last_min, last_max; /* of the run before */
    size_t rising, overlapping;
} column_values;

struct rbt_filter_builder {
    const rbt_leaf_shape *shape;
    column_values *columns; /* shape->count of them */
};

/* ---- One value, one block ---- */

/* The hash of a value as the column would hold it; false when an equal value in the column could have
** another hash, or none. */
static bool hash_value(rbt_column_type type, const rbt_value *value, uint64_t *hash) {
    uint8_t bytes[8];
    if (type == RBT_COLUMN_TEXT && value->kind == RBT_TEXT) {
        *hash = XXH64(value->data, value->length, 0);
        return true;
    }
    if (type == RBT_COLUMN_INTEGER) {
        int64_t integer = value->integer;
        if (value->kind == RBT_REAL) {
            if (!(value->real >= -9223372036854775808.0 && value->real < 9223372036854775808.0))
                return false;
            integer = (int64_t)value->real;
            if ((double)integer != value->real) return false;
        } else if (value->kind != RBT_INTEGER) {
            return false;
        }
        rbt_store_u64le(bytes, (uint64_t)integer);
    } else if (type == RBT_COLUMN_REAL) {
        double real = value->real;
        uint64_t bits;
        if (value->kind == RBT_INTEGER) {
            real = (double)value->integer;
            if (real >= 9223372036854775808.0 || (int64_t)real != value->integer) return false;
        } else if (value->kind != RBT_REAL) {
            return false;
        }
        if (real == 0) real = 0; /* −0.0 */
        memcpy(&bits, &real, sizeof bits);
        rbt_store_u64le(bytes, bits);
    } else {
        return false;
    }
    *hash = XXH64(bytes, sizeof bytes, 0);
    return true;
}

static size_t block_of(uint64_t hash, size_t blocks) {
    return (size_t)(((hash >> 32) * blocks) >> 32); /* blocks < 2^32 */
}

static uint32_t word_mask(uint64_t hash, size_t word) {
    static const uint32_t salts[WORDS] = {0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d,
                                          0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31};
    return (uint32_t)1 << (((uint32_t)hash * salts[word]) >> 27);
}

static void set_block(uint8_t *block, uint64_t hash) {
    for (size_t i = 0; i < WORDS; i++)
        rbt_store_u32le(block + 4 * i, rbt_load_u32le(block + 4 * i) | word_mask(hash, i));
}

static bool block_has(const uint8_t *block, uint64_t hash) {
    for (size_t i = 0; i < WORDS; i++)
        if (!(rbt_load_u32le(block + 4 * i) & word_mask(hash, i))) return false;
    return true;
}

/* ---- Building ---- */

rbt_filter_builder *rbt_filter_builder_new(const rbt_leaf_shape *shape) {
    rbt_filter_builder *builder = rbt_calloc(sizeof *builder);
    if (!builder) return NULL;
    builder->shape = shape;
    builder->columns = rbt_calloc(shape->count * sizeof *builder->columns);
    if (!builder->columns) {
        rbt_free(builder);
        return NULL;
    }
    for (size_t i = 0; i < shape->count; i++) {
        rbt_column_type type = shape->columns[i].type;
        builder->columns[i].filtered =
            shape->columns[i].indexed &&
            (type == RBT_COLUMN_TEXT || type == RBT_COLUMN_INTEGER || type == RBT_COLUMN_REAL);
    }
    return builder;
}

void rbt_filter_builder_free(rbt_filter_builder *builder) {
    if (!builder) return;
    for (size_t i = 0; i < builder->shape->count; i++)
        rbt_buffer_free(&builder->columns[i].hashes);
    rbt_free(builder->columns);
    rbt_free(builder);
}

void rbt_filter_builder_clear(rbt_filter_builder *builder) {
    for (size_t i = 0; i < builder->shape->count; i++) {
        column_values *column = &builder->columns[i];
        if (!column->hashes.failed) rbt_buffer_clear(&column->hashes);
        column->longest = column->run = column->rising = column->overlapping = 0;
        column->ranged = column->had_run = false;
    }
}

/* Compares the run with the one before: they overlap when it reaches over half of that one's range. */
static void end_run(column_values *column) {
    double half = (column->last_max - column->last_min) / 2;
    if (column->had_run) {
        if (column->min >= column->last_min + half || column->max <= column->last_max - half)
            column->rising++;
        else
            column->overlapping++;
    }
    column->last_min = column->min;
    column->last_max = column->max;
    column->had_run = true;
    column->run = 0;
}

static void add_number(column_values *column, const rbt_value *value) {
    double number = value->kind == RBT_INTEGER ? (double)value->integer : value->real;
    if (column->run == 0 || number < column->min) column->min = number;
    if (column->run == 0 || number > column->max) column->max = number;
    column->ranged = true;
    if (++column->run == RUN) end_run(column);
}

void rbt_filter_builder_add(rbt_filter_builder *builder, const rbt_leaf *leaf) {
    for (size_t i = 0; i < builder->shape->count; i++) {
        column_values *column = &builder->columns[i];
        const rbt_value *value = &leaf->values[i];
        uint64_t hash;
        if (!column->filtered || !hash_value(builder->shape->columns[i].type, value, &hash))
            continue;
        rbt_buffer_add(&column->hashes, &hash, sizeof hash);
        if (value->kind != RBT_TEXT)
            add_number(column, value);
        else if (value->length > column->longest)
            column->longest = value->length;
    }
}

bool rbt_filter_builder_failed(const rbt_filter_builder *builder) {
    for (size_t i = 0; i < builder->shape->count; i++)
        if (builder->columns[i].hashes.failed) return true;
    return false;
}

static int compare_hashes(const void *left, const void *right) {
    uint64_t a, b;
    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return (a > b) - (a < b);
}

/* Sorts the hashes and leaves each once; returns how many. */
static size_t distinct_hashes(column_values *column) {
    size_t count = column->hashes.length / sizeof(uint64_t);
    if (count == 0) return 0;
    uint64_t *hashes = (uint64_t *)(void *)column->hashes.data; /* from malloc: aligned */
    qsort(hashes, count, sizeof *hashes, compare_hashes);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++)
        if (hashes[i] != hashes[kept - 1]) hashes[kept++] = hashes[i];
    column->hashes.length = kept * sizeof *hashes;
    return kept;
}

/* Whether the zone map finds the column's values as well as a filter would. */
static bool zone_suffices(const column_values *column, size_t distinct) {
    if (!column->ranged)
        return distinct <= RBT_ZONE_MAX_VALUES && column->longest <= RBT_ZONE_MAX_VALUE_LENGTH;
    /* Times, for instance: then the frames' ranges hardly overlap. */
    return column->rising > column->overlapping;
}

static void write_filter(const column_values *column, size_t distinct, rbt_buffer *out) {
    size_t blocks = (distinct * BITS_PER_VALUE + 8 * BLOCK - 1) / (8 * BLOCK);
    uint8_t *filter = rbt_calloc(blocks * BLOCK);
    if (!filter) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < distinct; i++) {
        uint64_t hash;
        memcpy(&hash, column->hashes.data + i * sizeof hash, sizeof hash);
        set_block(filter + BLOCK * block_of(hash, blocks), hash);
    }
    rbt_buffer_add_byte(out, '"');
    rbt_base64_encode(out, filter, blocks * BLOCK, false);
    rbt_buffer_add_byte(out, '"');
    rbt_free(filter);
}

void rbt_filter_builder_write(rbt_filter_builder *builder, rbt_buffer *out) {
    bool any = false;
    for (size_t i = 0; i < builder->shape->count; i++) {
        column_values *column = &builder->columns[i];
        const rbt_leaf_column *declared = &builder->shape->columns[i];
        if (column->hashes.failed) out->failed = true;
        size_t distinct = out->failed ? 0 : distinct_hashes(column);
        if (distinct == 0 || zone_suffices(column, distinct)) continue;
        rbt_buffer_add_byte(out, any ? ',' : '{');
        /* without the comma that it begins with */
        rbt_buffer_add(out, declared->prefix + 1, declared->prefix_length - 1);
        write_filter(column, distinct, out);
        any = true;
    }
    if (any) rbt_buffer_add_byte(out, '}');
}

/* ---- Reading filters from a manifest ---- */

/* How many blocks the base64 text holds; 0 when it is not as long as whole blocks are. */
static size_t count_blocks(const rbt_json *document, const rbt_json_node *node) {
    if (!node || node->type != RBT_JSON_STRING || node->length == 0 || node->length % 4 != 0)
        return 0;
    const char *end = document->text + node->start + node->length;
    size_t padding = end[-1] != '=' ? 0 : end[-2] != '=' ? 1 : 2;
    size_t bytes = (size_t)node->length / 4 * 3 - padding;
    return bytes % BLOCK == 0 ? bytes / BLOCK : 0;
}

bool rbt_filters_valid(const rbt_json *document, const rbt_json_node *filters) {
    if (filters->type != RBT_JSON_OBJECT) return false;
    const rbt_json_node *node = rbt_json_first(document, filters);
    for (; node; node = rbt_json_next(document, node))
        if (count_blocks(document, node) == 0) return false;
    return true;
}

typedef enum answer { SAYS_NO, SAYS_YES, UNREADABLE } answer;

/* Decodes no more than the one block that would hold the value: the filter may be large. */
static answer ask(const rbt_json *document, const rbt_json_node *node, uint64_t hash,
                  rbt_buffer *scratch) {
    size_t blocks = count_blocks(document, node);
    if (blocks == 0) return UNREADABLE;
    size_t first = block_of(hash, blocks) * BLOCK; /* byte of the filter */
    size_t group = first / 3, last_group = (first + BLOCK - 1) / 3;
    rbt_buffer_clear(scratch);
    if (!rbt_base64_decode(scratch, document->text + node->start + 4 * group,
                           4 * (last_group - group + 1), false, false))
        return UNREADABLE;
    size_t skip = first - 3 * group;
    /* padding in the middle, where none belongs, would make it shorter */
    if (scratch->length < skip + BLOCK) return UNREADABLE;
    return block_has(scratch->data + skip, hash) ? SAYS_YES : SAYS_NO;
}

bool rbt_filters_exclude(const rbt_json *document, const rbt_json_node *filters,
                         const rbt_leaf_shape *shape, const rbt_zone_term *term,
                         rbt_buffer *scratch) {
    if (!filters || term->compare != RBT_EQ || term->column < 0) return false;
    const rbt_leaf_column *column = &shape->columns[term->column];
    const rbt_json_node *node = rbt_json_member(document, filters, column->name);
    uint64_t hash;
    return node && hash_value(column->type, &term->value, &hash) &&
           ask(document, node, hash, scratch) == SAYS_NO;
}

const char *rbt_filter_builder_misfit(const rbt_filter_builder *builder, const rbt_json *document,
                                      const rbt_json_node *filters, rbt_buffer *scratch) {
    for (size_t i = 0; filters && i < builder->shape->count; i++) {
        const column_values *column = &builder->columns[i];
        const char *name = builder->shape->columns[i].name;
        if (!column->filtered) continue;
        const rbt_json_node *node = rbt_json_member(document, filters, name);
        if (!node) continue;
        for (size_t at = 0; at < column->hashes.length; at += sizeof(uint64_t)) {
            uint64_t hash;
            memcpy(&hash, column->hashes.data + at, sizeof hash);
            if (ask(document, node, hash, scratch) != SAYS_YES) return name;
        }
    }
    return NULL;
}
