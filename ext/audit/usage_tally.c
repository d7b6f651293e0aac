/* SPDX-License-Identifier: MIT
** See usage_tally.h. May call crypto and base.
*/
#include "usage_tally.h"

#include "../base/memory.h"
#include <stdlib.h>

/* The elements with room for one more; NULL, and tally->failed, when memory ran out. */
static void *grow(rbt_usage_tally *tally, void *elements, size_t count, size_t *capacity,
                  size_t size) {
    if (count < *capacity) return elements;
    size_t wanted = *capacity ? 2 * *capacity : 4;
    void *grown = rbt_realloc(elements, wanted * size);
    if (grown == NULL)
        tally->failed = true;
    else
        *capacity = wanted;
    return grown;
}

static char *label_of(const char *schema, const char *name) {
    return sqlite3_stricmp(schema, "main") == 0 ? rbt_strdup(name)
                                                : sqlite3_mprintf("%s.%s", schema, name);
}

static void free_table(rbt_usage_table *table) {
    for (size_t i = 0; i < table->count; i++) {
        rbt_free(table->columns[i].name);
        rbt_free(table->columns[i].counts);
    }
    rbt_free(table->columns);
    rbt_free(table->schema);
    rbt_free(table->name);
    rbt_free(table->label);
}

rbt_usage_table *rbt_usage_add_table(rbt_usage_tally *tally, const char *schema, const char *name,
                                     bool is_log) {
    if (tally->failed) return NULL;
    rbt_usage_table *tables =
        grow(tally, tally->tables, tally->count, &tally->capacity, sizeof *tally->tables);
    if (tables == NULL) return NULL;
    tally->tables = tables;
    rbt_usage_table table = {.schema = rbt_strdup(schema),
                             .name = rbt_strdup(name),
                             .label = label_of(schema, name),
                             .is_log = is_log};
    if (!table.schema || !table.name || !table.label) {
        free_table(&table);
        tally->failed = true;
        return NULL;
    }
    tally->tables[tally->count] = table;
    return &tally->tables[tally->count++];
}

rbt_usage_column *rbt_usage_add_column(rbt_usage_tally *tally, const char *name) {
    if (tally->failed || tally->count == 0) return NULL;
    rbt_usage_table *table = &tally->tables[tally->count - 1];
    rbt_usage_column *columns =
        grow(tally, table->columns, table->count, &table->capacity, sizeof *table->columns);
    if (columns == NULL) return NULL;
    table->columns = columns;
    rbt_usage_column column = {.name = name ? rbt_strdup(name) : NULL};
    if (name && !column.name) {
        tally->failed = true;
        return NULL;
    }
    table->columns[table->count] = column;
    return &table->columns[table->count++];
}

void rbt_usage_drop_empty(rbt_usage_tally *tally) {
    if (tally->count == 0) return;
    rbt_usage_table *table = &tally->tables[tally->count - 1];
    for (size_t i = 0; i < table->count; i++)
        if (table->columns[i].count || table->columns[i].maybe) return;
    free_table(table);
    tally->count--;
}

/* The column's count for that format and key, made when there is none; NULL when memory ran out. */
static rbt_usage_count *count_for(rbt_usage_tally *tally, rbt_usage_column *column,
                                  rbt_usage_format format, rbt_usage_key key, const uint8_t *id) {
    for (size_t i = 0; i < column->count; i++) {
        rbt_usage_count *each = &column->counts[i];
        if (each->format == format && each->key == key &&
            (key != RBT_USAGE_KEY_ID || memcmp(each->key_id, id, RBT_KEY_ID_SIZE) == 0))
            return each;
    }
    bool foreign = key == RBT_USAGE_KEY_ID && rbt_keys_find(tally->keys, id) == NULL;
    if (foreign && (column->foreign >= RBT_USAGE_FOREIGN_PER_COLUMN ||
                    tally->foreign >= RBT_USAGE_FOREIGN_TOTAL))
        return count_for(tally, column, format, RBT_USAGE_KEY_OTHER, NULL);
    rbt_usage_count *counts =
        grow(tally, column->counts, column->count, &column->capacity, sizeof *column->counts);
    if (counts == NULL) return NULL;
    column->counts = counts;
    rbt_usage_count *made = &column->counts[column->count++];
    memset(made, 0, sizeof *made);
    made->format = format;
    made->key = key;
    made->foreign = foreign;
    if (key == RBT_USAGE_KEY_ID) memcpy(made->key_id, id, RBT_KEY_ID_SIZE);
    column->foreign += foreign;
    tally->foreign += foreign;
    return made;
}

void rbt_usage_add(rbt_usage_tally *tally, rbt_usage_column *column, const rbt_usage *usage) {
    if (tally->failed || usage->format == RBT_USAGE_NONE) return;
    if (usage->format == RBT_USAGE_MAYBE_BLIND_INDEX) {
        column->maybe = true;
        return;
    }
    rbt_usage_count *count =
        count_for(tally, column, usage->format,
                  usage->has_key ? RBT_USAGE_KEY_ID : RBT_USAGE_KEY_NONE, usage->key_id);
    if (count == NULL) return;
    count->rows++;
    if (!usage->has_time) return;
    if (!count->has_time || usage->time_us < count->oldest_us) count->oldest_us = usage->time_us;
    if (!count->has_time || usage->time_us > count->newest_us) count->newest_us = usage->time_us;
    count->has_time = true;
}

static int compare_ids(const void *a, const void *b) {
    return memcmp(a, b, RBT_KEY_ID_SIZE);
}

uint8_t *rbt_usage_foreign_ids(rbt_usage_tally *tally, size_t *count) {
    *count = 0;
    if (tally->failed || tally->foreign == 0) return NULL;
    uint8_t *ids = rbt_malloc(tally->foreign * RBT_KEY_ID_SIZE);
    if (ids == NULL) {
        tally->failed = true;
        return NULL;
    }
    size_t found = 0;
    for (size_t t = 0; t < tally->count; t++)
        for (size_t c = 0; c < tally->tables[t].count; c++) {
            const rbt_usage_column *column = &tally->tables[t].columns[c];
            for (size_t i = 0; i < column->count; i++)
                if (column->counts[i].foreign)
                    memcpy(ids + RBT_KEY_ID_SIZE * found++, column->counts[i].key_id,
                           RBT_KEY_ID_SIZE);
        }
    qsort(ids, found, RBT_KEY_ID_SIZE, compare_ids);
    for (size_t i = 0; i < found; i++) {
        const uint8_t *id = ids + RBT_KEY_ID_SIZE * i;
        if (*count && memcmp(ids + RBT_KEY_ID_SIZE * (*count - 1), id, RBT_KEY_ID_SIZE) == 0)
            continue;
        memmove(ids + RBT_KEY_ID_SIZE * (*count)++, id, RBT_KEY_ID_SIZE);
    }
    return ids;
}

bool rbt_usage_is_among(const uint8_t *ids, size_t count, const uint8_t id[RBT_KEY_ID_SIZE]) {
    return count && bsearch(id, ids, count, RBT_KEY_ID_SIZE, compare_ids) != NULL;
}

static int compare_counts(const void *left, const void *right) {
    const rbt_usage_count *a = left, *b = right;
    if (a->format != b->format) return a->format < b->format ? -1 : 1;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return memcmp(a->key_id, b->key_id, RBT_KEY_ID_SIZE);
}

void rbt_usage_sort(rbt_usage_column *column) {
    if (column->count) qsort(column->counts, column->count, sizeof *column->counts, compare_counts);
}

void rbt_usage_tally_free(rbt_usage_tally *tally) {
    for (size_t i = 0; i < tally->count; i++)
        free_table(&tally->tables[i]);
    rbt_free(tally->tables);
    *tally = (rbt_usage_tally){.keys = tally->keys};
}
