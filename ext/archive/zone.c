/* SPDX-License-Identifier: MIT
** Zone maps (format in zone.h). Pure; calls base and audit's leaf.
*/
#include "zone.h"

#include "../base/memory.h"
#include "../base/real_text.h"

/* What one column of one frame holds. */
typedef struct zone {
    bool seen;     /* a value that is not NULL */
    bool nulls;    /* a NULL */
    bool overflow; /* TEXT: too many or too long values to list */
    rbt_value min, max;
    size_t count; /* TEXT: distinct values, in bytewise order */
    uint8_t lengths[RBT_ZONE_MAX_VALUES];
    uint8_t (*values)[RBT_ZONE_MAX_VALUE_LENGTH];
} zone;

struct rbt_zone_builder {
    const rbt_leaf_shape *shape;
    zone recorded_at;
    zone *columns; /* shape->count of them */
};

/* -1, 0 or 1. An integer and a real compare exactly, not through the integer's nearest double. */
static int compare_numbers(const rbt_value *a, const rbt_value *b) {
    if (a->kind == RBT_INTEGER && b->kind == RBT_INTEGER)
        return (a->integer > b->integer) - (a->integer < b->integer);
    if (a->kind == RBT_REAL && b->kind == RBT_REAL)
        return (a->real > b->real) - (a->real < b->real);
    if (a->kind == RBT_REAL) return -compare_numbers(b, a);
    if (b->real < -9223372036854775808.0) return 1;
    if (b->real >= 9223372036854775808.0) return -1;
    int64_t whole = (int64_t)b->real;
    if (a->integer != whole) return a->integer < whole ? -1 : 1;
    double fraction = b->real - (double)whole;
    return (fraction < 0) - (fraction > 0);
}

static int compare_text(const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length) {
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

void rbt_zone_builder_free(rbt_zone_builder *builder) {
    if (!builder) return;
    for (size_t i = 0; builder->columns && i < builder->shape->count; i++)
        rbt_free(builder->columns[i].values);
    rbt_free(builder->columns);
    rbt_free(builder);
}

rbt_zone_builder *rbt_zone_builder_new(const rbt_leaf_shape *shape) {
    rbt_zone_builder *builder = rbt_calloc(sizeof *builder);
    if (!builder) return NULL;
    builder->shape = shape;
    builder->columns = rbt_calloc(shape->count * sizeof *builder->columns);
    bool complete = builder->columns != NULL;
    for (size_t i = 0; complete && i < shape->count; i++) {
        if (shape->columns[i].type != RBT_COLUMN_TEXT) continue;
        zone *column = &builder->columns[i];
        column->values = rbt_malloc(RBT_ZONE_MAX_VALUES * sizeof *column->values);
        complete = column->values != NULL;
    }
    if (complete) return builder;
    rbt_zone_builder_free(builder);
    return NULL;
}

static void clear_zone(zone *column) {
    column->seen = column->nulls = column->overflow = false;
    column->count = 0;
}

void rbt_zone_builder_clear(rbt_zone_builder *builder) {
    clear_zone(&builder->recorded_at);
    for (size_t i = 0; i < builder->shape->count; i++)
        clear_zone(&builder->columns[i]);
}

static void add_number(zone *column, const rbt_value *value) {
    if (!column->seen || compare_numbers(value, &column->min) < 0) column->min = *value;
    if (!column->seen || compare_numbers(value, &column->max) > 0) column->max = *value;
    column->seen = true;
}

static void add_text(zone *column, const rbt_value *value) {
    column->seen = true;
    if (column->overflow) return;
    size_t low = 0, high = column->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare_text(column->values[middle], column->lengths[middle], value->data,
                                 value->length);
        if (order == 0) return;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (column->count == RBT_ZONE_MAX_VALUES || value->length > RBT_ZONE_MAX_VALUE_LENGTH) {
        column->overflow = true;
        return;
    }
    size_t behind = column->count - low;
    memmove(&column->values[low + 1], &column->values[low], behind * sizeof *column->values);
    memmove(&column->lengths[low + 1], &column->lengths[low], behind);
    memcpy(column->values[low], value->data, value->length);
    column->lengths[low] = (uint8_t)value->length;
    column->count++;
}

void rbt_zone_builder_add(rbt_zone_builder *builder, const rbt_leaf *leaf) {
    rbt_value recorded_at = {.kind = RBT_INTEGER, .integer = leaf->recorded_at};
    add_number(&builder->recorded_at, &recorded_at);
    for (size_t i = 0; i < builder->shape->count; i++) {
        const rbt_value *value = &leaf->values[i];
        zone *column = &builder->columns[i];
        if (value->kind == RBT_NULL)
            column->nulls = true;
        else if (value->kind == RBT_INTEGER || value->kind == RBT_REAL)
            add_number(column, value);
        else if (builder->shape->columns[i].type == RBT_COLUMN_TEXT)
            add_text(column, value);
    }
}

static void write_number(rbt_buffer *out, const rbt_value *value) {
    char text[RBT_REAL_TEXT_SIZE];
    if (value->kind == RBT_INTEGER) {
        rbt_buffer_add_i64(out, value->integer);
        return;
    }
    size_t length = rbt_real_to_text(text, value->real);
    rbt_buffer_add(out, text, length);
}

static void write_range(rbt_buffer *out, const zone *column) {
    rbt_buffer_add_text(out, "\"min\":");
    write_number(out, &column->min);
    rbt_buffer_add_text(out, ",\"max\":");
    write_number(out, &column->max);
}

static void write_column(rbt_buffer *out, const zone *column) {
    rbt_buffer_add_byte(out, '{');
    if (column->seen && column->values) {
        rbt_buffer_add_text(out, "\"values\":[");
        for (size_t i = 0; i < column->count; i++) {
            if (i > 0) rbt_buffer_add_byte(out, ',');
            rbt_json_add_string(out, (const char *)column->values[i], column->lengths[i]);
        }
        rbt_buffer_add_byte(out, ']');
    } else if (column->seen) {
        write_range(out, column);
    }
    if (column->nulls) {
        if (column->seen) rbt_buffer_add_byte(out, ',');
        rbt_buffer_add_text(out, "\"nulls\":true");
    }
    rbt_buffer_add_byte(out, '}');
}

void rbt_zone_builder_write(const rbt_zone_builder *builder, bool with_columns, rbt_buffer *out) {
    rbt_buffer_add_byte(out, '{');
    if (builder->recorded_at.seen) { /* else the frame holds the genesis alone */
        rbt_buffer_add_text(out, "\"recorded_at\":{");
        write_range(out, &builder->recorded_at);
        rbt_buffer_add_byte(out, '}');
        for (size_t i = 0; with_columns && i < builder->shape->count; i++) {
            const rbt_leaf_column *declared = &builder->shape->columns[i];
            const zone *column = &builder->columns[i];
            bool has_zone = declared->type != RBT_COLUMN_BLOB && declared->type != RBT_COLUMN_JSON;
            if (!has_zone || column->overflow) continue;
            rbt_buffer_add(out, declared->prefix, declared->prefix_length);
            write_column(out, column);
        }
    }
    rbt_buffer_add_byte(out, '}');
}

/* ---- Reading zones from a manifest ---- */

static bool read_number(const rbt_json *document, const rbt_json_node *node, rbt_value *value) {
    if (!node || node->type != RBT_JSON_NUMBER) return false;
    value->kind = RBT_INTEGER;
    if (rbt_json_i64(document, node, &value->integer)) return true;
    value->kind = RBT_REAL;
    return rbt_real_from_text(&value->real, document->text + node->start, node->length);
}

typedef struct zone_view {
    bool has_range, nulls;
    rbt_value min, max;
    const rbt_json_node *values; /* NULL: none listed */
} zone_view;

/* False when the zone is absent or malformed: it then excludes nothing and covers nothing. */
static bool view_zone(const rbt_json *document, const rbt_json_node *node, zone_view *view) {
    *view = (zone_view){0};
    if (!node || node->type != RBT_JSON_OBJECT) return false;
    const rbt_json_node *min = rbt_json_member(document, node, "min");
    const rbt_json_node *max = rbt_json_member(document, node, "max");
    const rbt_json_node *nulls = rbt_json_member(document, node, "nulls");
    view->values = rbt_json_member(document, node, "values");
    if (nulls && nulls->type != RBT_JSON_TRUE && nulls->type != RBT_JSON_FALSE) return false;
    view->nulls = nulls && nulls->type == RBT_JSON_TRUE;
    if (view->values && view->values->type != RBT_JSON_ARRAY) return false;
    view->has_range = min || max;
    if (!view->has_range) return view->nulls || view->values;
    return read_number(document, min, &view->min) && read_number(document, max, &view->max);
}

bool rbt_zones_valid(const rbt_json *document, const rbt_json_node *zones) {
    if (!zones || zones->type != RBT_JSON_OBJECT) return false;
    const rbt_json_node *node = rbt_json_first(document, zones);
    for (; node; node = rbt_json_next(document, node)) {
        zone_view view;
        if (!view_zone(document, node, &view)) return false;
        const rbt_json_node *value = rbt_json_first(document, view.values);
        for (; value; value = rbt_json_next(document, value))
            if (value->type != RBT_JSON_STRING) return false;
    }
    return true;
}

static bool order_satisfies(int order, rbt_compare compare) {
    switch (compare) {
    case RBT_EQ:
        return order == 0;
    case RBT_LT:
        return order < 0;
    case RBT_LE:
        return order <= 0;
    case RBT_GT:
        return order > 0;
    case RBT_GE:
        return order >= 0;
    }
    return true;
}

static bool range_excludes(const zone_view *view, const rbt_zone_term *term) {
    const rbt_value *value = &term->value;
    if (value->kind == RBT_REAL && value->real != value->real) return false;
    int min_order = compare_numbers(&view->min, value);
    int max_order = compare_numbers(&view->max, value);
    if (term->compare == RBT_EQ) return min_order > 0 || max_order < 0;
    /* The bound nearest to satisfying the term decides for all. */
    bool downward = term->compare == RBT_LT || term->compare == RBT_LE;
    return !order_satisfies(downward ? min_order : max_order, term->compare);
}

/* The unescaped text of a listed value: in place when it has no escapes, else by way of scratch. */
static bool listed_value(const rbt_json *document, const rbt_json_node *node, rbt_buffer *scratch,
                         const uint8_t **text, size_t *length) {
    *text = (const uint8_t *)document->text + node->start;
    *length = node->length;
    if (!memchr(*text, '\\', *length)) return true;
    rbt_buffer_clear(scratch);
    if (!rbt_json_string(document, node, scratch) || scratch->failed) return false;
    *text = scratch->data;
    *length = scratch->length;
    return true;
}

static bool values_exclude(const rbt_json *document, const rbt_json_node *values,
                           const rbt_zone_term *term, rbt_buffer *scratch) {
    const rbt_json_node *node = rbt_json_first(document, values);
    for (; node; node = rbt_json_next(document, node)) {
        const uint8_t *text;
        size_t length;
        if (!listed_value(document, node, scratch, &text, &length)) return false;
        int order = compare_text(text, length, term->value.data, term->value.length);
        if (order_satisfies(order, term->compare)) return false;
    }
    return true;
}

bool rbt_zones_exclude(const rbt_json *document, const rbt_json_node *zones,
                       const rbt_leaf_shape *shape, const rbt_zone_term *term,
                       rbt_buffer *scratch) {
    const char *name =
        term->column == RBT_SCAN_RECORDED_AT ? "recorded_at" : shape->columns[term->column].name;
    zone_view view;
    if (!view_zone(document, rbt_json_member(document, zones, name), &view)) return false;
    bool numeric = term->value.kind == RBT_INTEGER || term->value.kind == RBT_REAL;
    if (view.has_range) return numeric && range_excludes(&view, term);
    if (view.values)
        return term->value.kind == RBT_TEXT && values_exclude(document, view.values, term, scratch);
    return true; /* all are NULL, and no comparison is true of NULL */
}

bool rbt_range_excludes(int64_t min, int64_t max, const rbt_zone_term *term) {
    zone_view view = {.has_range = true,
                      .min = {.kind = RBT_INTEGER, .integer = min},
                      .max = {.kind = RBT_INTEGER, .integer = max}};
    bool numeric = term->value.kind == RBT_INTEGER || term->value.kind == RBT_REAL;
    return numeric && range_excludes(&view, term);
}

void rbt_zones_times(const rbt_json *document, const rbt_json_node *zones, int64_t *min,
                     int64_t *max) {
    zone_view view;
    if (!view_zone(document, rbt_json_member(document, zones, "recorded_at"), &view) ||
        !view.has_range || view.min.kind != RBT_INTEGER || view.max.kind != RBT_INTEGER)
        return;
    *min = view.min.integer;
    *max = view.max.integer;
}

/* ---- Checking a manifest's zones against the entries ---- */

static bool values_cover(const rbt_json *document, const rbt_json_node *values, const zone *column,
                         rbt_buffer *scratch) {
    if (column->overflow) return false;
    for (size_t i = 0; i < column->count; i++) {
        rbt_zone_term equal = {
            .compare = RBT_EQ,
            .value = {.kind = RBT_TEXT, .data = column->values[i], .length = column->lengths[i]}};
        if (values_exclude(document, values, &equal, scratch)) return false;
    }
    return true;
}

static bool zone_covers(const rbt_json *document, const rbt_json_node *node, const zone *column,
                        rbt_buffer *scratch) {
    zone_view view;
    if (!view_zone(document, node, &view)) return false;
    if (column->nulls && !view.nulls) return false;
    if (!column->seen) return true;
    if (view.values) return column->values && values_cover(document, view.values, column, scratch);
    return view.has_range && !column->values && compare_numbers(&view.min, &column->min) <= 0 &&
           compare_numbers(&view.max, &column->max) >= 0;
}

const char *rbt_zone_builder_misfit(const rbt_zone_builder *builder, const rbt_json *document,
                                    const rbt_json_node *zones, rbt_buffer *scratch) {
    const rbt_json_node *node = rbt_json_member(document, zones, "recorded_at");
    if (node && !zone_covers(document, node, &builder->recorded_at, scratch)) return "recorded_at";
    for (size_t i = 0; i < builder->shape->count; i++) {
        const rbt_leaf_column *declared = &builder->shape->columns[i];
        node = rbt_json_member(document, zones, declared->name);
        if (!node) continue;
        bool opaque = declared->type == RBT_COLUMN_BLOB || declared->type == RBT_COLUMN_JSON;
        if (opaque || !zone_covers(document, node, &builder->columns[i], scratch))
            return declared->name;
    }
    return NULL;
}
