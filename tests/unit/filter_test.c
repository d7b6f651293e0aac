/* SPDX-License-Identifier: MIT
** Filters of indexed columns: bit for bit those of Apache Parquet, never a no to a value that is there,
** few yeses to others, and no crash over hostile ones. */
#include "archive/filter.h"
#include "base/base64.h"
#include "base/bytes.h"
#include "tap.h"

static rbt_leaf_shape shape;
static rbt_error no_error;
static rbt_buffer scratch;

enum { ORDER, SID, PRICE, PLAIN, COLUMNS };

static void declare(const char *name, rbt_column_type type, bool indexed) {
    rbt_leaf_shape_add(&shape, name, strlen(name), type, &no_error);
    shape.columns[shape.count - 1].indexed = indexed;
}

static rbt_value text(const char *value) {
    return (rbt_value){.kind = RBT_TEXT, .data = (const uint8_t *)value, .length = strlen(value)};
}

static rbt_value whole(int64_t value) {
    return (rbt_value){.kind = RBT_INTEGER, .integer = value};
}

static rbt_value real(double value) {
    return (rbt_value){.kind = RBT_REAL, .real = value};
}

static uint64_t random_state = 1;

static uint64_t next_random(void) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state >> 16;
}

/* The document of one frame's filters; the text must outlive it. */
static rbt_json parsed(rbt_buffer *from) {
    rbt_json document = {0};
    if (rbt_json_parse(&document, (const char *)from->data, from->length, "test", &no_error))
        abort();
    return document;
}

static bool excludes(const rbt_json *document, int column, rbt_compare compare, rbt_value value) {
    rbt_zone_term term = {column, compare, value};
    return rbt_filters_exclude(document, rbt_json_root(document), &shape, &term, &scratch);
}

/* parquet-testing's data/bloom_filter.xxhash.bin: 1024 bytes into which Arrow put "hello", "parquet",
** "bloom" and "filter". These are its words that are not 0. */
static void check_published_filter(void) {
    static const struct {
        size_t first;
        uint32_t words[8];
    } blocks[] = {
        {32,
         {0x00100000, 0x00000200, 0x00000400, 0x00000080, 0x00000200, 0x80000000, 0x10000000,
          0x08000000}},
        {40,
         {0x00800000, 0x10000000, 0x00000001, 0x10000000, 0x00000020, 0x00200000, 0x40000000,
          0x00080000}},
        {56,
         {0x00000004, 0x00400000, 0x00400000, 0x00080000, 0x04000000, 0x00002000, 0x00000010,
          0x00000002}},
        {80,
         {0x00200000, 0x00000800, 0x00000100, 0x20000000, 0x00800000, 0x08000000, 0x00000100,
          0x00001000}},
    };
    uint8_t bytes[1024] = {0};
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 8; j++)
            rbt_store_u32le(bytes + 4 * (blocks[i].first + j), blocks[i].words[j]);
    rbt_buffer json = {0};
    rbt_buffer_add_text(&json, "{\"order_id\":\"");
    rbt_base64_encode(&json, bytes, sizeof bytes, false);
    rbt_buffer_add_text(&json, "\"}");
    rbt_json document = parsed(&json);
    ok(rbt_filters_valid(&document, rbt_json_root(&document)), "the published filter is one");
    ok(!excludes(&document, ORDER, RBT_EQ, text("hello")) &&
           !excludes(&document, ORDER, RBT_EQ, text("parquet")) &&
           !excludes(&document, ORDER, RBT_EQ, text("bloom")) &&
           !excludes(&document, ORDER, RBT_EQ, text("filter")),
       "it knows the four words that Arrow put in");
    int yes = 0;
    for (int i = 0; i < 10000; i++) {
        char word[20];
        snprintf(word, sizeof word, "word %d", i);
        yes += !excludes(&document, ORDER, RBT_EQ, text(word));
    }
    is_int(yes, 0, "and none of 10000 others");
    rbt_json_free(&document);
    rbt_buffer_free(&json);
}

/* 14000 entries, the many-valued columns by a generator, the others as a test says. */
static rbt_filter_builder *build(bool rising, bool few) {
    rbt_filter_builder *builder = rbt_filter_builder_new(&shape);
    rbt_value values[COLUMNS];
    rbt_leaf leaf = {.values = values, .capacity = COLUMNS};
    random_state = 1;
    for (int i = 0; i < 14000; i++) {
        char order[40];
        snprintf(order, sizeof order, "order-%llu", (unsigned long long)(few ? i % 60 : i * 7));
        values[ORDER] = text(order);
        values[SID] = whole(rising ? 1700000000 + i + (int64_t)(next_random() % 40)
                                   : (int64_t)(next_random() % 1000000000) * 2);
        values[PRICE] = i % 5 ? real((double)(next_random() % 1000000) / 2 * (i % 2 ? 1 : -1))
                              : (rbt_value){.kind = RBT_NULL};
        values[PLAIN] = whole((int64_t)next_random());
        rbt_filter_builder_add(builder, &leaf);
    }
    return builder;
}

static void check_round_trip(void) {
    rbt_filter_builder *builder = build(false, false);
    rbt_buffer json = {0};
    rbt_filter_builder_write(builder, &json);
    rbt_json document = parsed(&json);
    const rbt_json_node *root = rbt_json_root(&document);
    ok(root->children == 3 && rbt_filters_valid(&document, root),
       "each indexed column of many values has a filter, and no other column");
    ok(json.length < 14000 * 2 * 3 + 200, "of 2 bytes a value in base64, NULLs none");
    ok(!rbt_filter_builder_misfit(builder, &document, root, &scratch),
       "it says yes of every value that went in");
    int yes = 0;
    for (int i = 0; i < 100000; i++) {
        char order[40];
        snprintf(order, sizeof order, "order-%d", i * 7 + 1);
        yes += !excludes(&document, ORDER, RBT_EQ, text(order));
    }
    ok(yes > 0 && yes < 1000, "and of less than 1 in 100 of those that did not");
    printf("# %d of 100000 texts that are not there\n", yes);
    yes = 0;
    for (int64_t i = 0; i < 100000; i++)
        yes += !excludes(&document, SID, RBT_EQ, whole(i * 20000 + 1));
    ok(yes > 0 && yes < 1000, "numbers alike");
    ok(!excludes(&document, ORDER, RBT_GE, text("order-1")) &&
           !excludes(&document, PLAIN, RBT_EQ, whole(5)) &&
           !excludes(&document, SID, RBT_EQ, text("5")) &&
           !excludes(&document, ORDER, RBT_EQ, whole(5)),
       "it answers equality alone, of values that compare as they are stored");
    rbt_json_free(&document);
    rbt_buffer_free(&json);
    rbt_filter_builder_free(builder);
}

static void check_numbers(void) {
    rbt_filter_builder *builder = rbt_filter_builder_new(&shape);
    rbt_value values[COLUMNS] = {{.kind = RBT_NULL}, whole(7), real(0.0), {.kind = RBT_NULL}};
    rbt_leaf leaf = {.values = values, .capacity = COLUMNS};
    rbt_filter_builder_add(builder, &leaf);
    values[SID] = whole(INT64_MIN);
    values[PRICE] = real(4.0);
    rbt_filter_builder_add(builder, &leaf);
    rbt_buffer json = {0};
    rbt_filter_builder_write(builder, &json);
    rbt_json document = parsed(&json);
    ok(!excludes(&document, SID, RBT_EQ, real(7.0)) &&
           !excludes(&document, SID, RBT_EQ, real(-9223372036854775808.0)),
       "7.0 finds 7 in a column of integers");
    ok(!excludes(&document, PRICE, RBT_EQ, whole(4)) &&
           !excludes(&document, PRICE, RBT_EQ, whole(0)),
       "4 finds 4.0 in a column of reals");
    ok(!excludes(&document, PRICE, RBT_EQ, real(-0.0)), "-0.0 finds 0.0");
    ok(excludes(&document, SID, RBT_EQ, whole(8)) && excludes(&document, PRICE, RBT_EQ, whole(5)),
       "and others are excluded");
    ok(!excludes(&document, SID, RBT_EQ, real(7.5)) &&
           !excludes(&document, SID, RBT_EQ, real(1e300)) &&
           !excludes(&document, PRICE, RBT_EQ, whole(INT64_MAX)),
       "what the column's type cannot hold is left to others to exclude");
    rbt_json_free(&document);
    rbt_buffer_free(&json);
    rbt_filter_builder_free(builder);
}

static void check_what_needs_none(void) {
    rbt_filter_builder *builder = build(true, true);
    rbt_buffer json = {0};
    rbt_filter_builder_write(builder, &json);
    rbt_json document = parsed(&json);
    const rbt_json_node *root = rbt_json_root(&document);
    ok(!rbt_json_member(&document, root, "order_id"),
       "values that the zone map lists need no filter");
    ok(!rbt_json_member(&document, root, "asset_sid"), "nor do times, jittered as they may be");
    rbt_json_free(&document);
    rbt_buffer_free(&json);
    rbt_filter_builder_clear(builder);
    rbt_filter_builder_write(builder, &json);
    is_int(json.length, 0, "a frame without values has none");
    rbt_filter_builder_free(builder);
}

static void check_hostile(void) {
    static const char *const forms[] = {
        "{\"order_id\":5}",
        "{\"order_id\":\"\"}",
        "{\"order_id\":\"====\"}",
        "{\"order_id\":\"AAAA\"}",
        "{\"order_id\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
        "[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"]",
    };
    int refused = 0, excluded = 0;
    for (size_t i = 0; i < 6; i++) {
        rbt_buffer json = {0};
        rbt_buffer_add_text(&json, forms[i]);
        rbt_json document = parsed(&json);
        refused += !rbt_filters_valid(&document, rbt_json_root(&document));
        excluded += excludes(&document, ORDER, RBT_EQ, text("x"));
        rbt_json_free(&document);
        rbt_buffer_free(&json);
    }
    is_int(refused, 6, "what is not as long as whole blocks is no filter");
    is_int(excluded, 0, "and excludes nothing");

    rbt_buffer json = {0};
    rbt_buffer_add_text(&json, "{\"order_id\":\"AAAAAAAAAAAAAAAA====AAAAAAAAAAAAAAAAAAAAAAA=\"}");
    rbt_json document = parsed(&json);
    ok(!excludes(&document, ORDER, RBT_EQ, text("x")), "nor does a block that is not base64");
    rbt_filter_builder *builder = build(false, false);
    is_text(rbt_filter_builder_misfit(builder, &document, rbt_json_root(&document), &scratch),
            "order_id", "which verification finds");
    rbt_json_free(&document);
    rbt_buffer_clear(&json);
    rbt_buffer_add_text(&json, "{\"order_id\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}");
    document = parsed(&json);
    is_text(rbt_filter_builder_misfit(builder, &document, rbt_json_root(&document), &scratch),
            "order_id", "as it finds a filter that denies an entry");
    rbt_json_free(&document);
    rbt_buffer_free(&json);
    rbt_filter_builder_free(builder);
}

int main(void) {
    plan(22);
    declare("order_id", RBT_COLUMN_TEXT, true);
    declare("asset_sid", RBT_COLUMN_INTEGER, true);
    declare("price", RBT_COLUMN_REAL, true);
    declare("plain", RBT_COLUMN_INTEGER, false);
    check_published_filter();
    check_round_trip();
    check_numbers();
    check_what_needs_none();
    check_hostile();
    rbt_buffer_free(&scratch);
    rbt_leaf_shape_free(&shape);
    return done();
}
