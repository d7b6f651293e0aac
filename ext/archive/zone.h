/* SPDX-License-Identifier: MIT
** Zone maps: what a frame's entries hold, column by column, so that a scan may pass over a frame.
**
**   {"recorded_at":{"min":1,"max":9},"qty":{"min":1,"max":5,"nulls":true},"venue":{"values":["a","b"]}}
**
** INTEGER and REAL have a range; TEXT has its distinct values in bytewise order where there are at
** most 64 of at most 128 bytes each; BLOB and JSON have none. "nulls" stands where a NULL occurs;
** alone it says that all are NULL. A column without zone excludes nothing. Only entries count, not
** the genesis. Pure; calls base and audit's leaf.
*/
#ifndef RBT_ARCHIVE_ZONE_H
#define RBT_ARCHIVE_ZONE_H

#include "../audit/segment_store.h"
#include "../base/json.h"

enum { RBT_ZONE_MAX_VALUES = 64, RBT_ZONE_MAX_VALUE_LENGTH = 128 };

typedef struct rbt_zone_builder rbt_zone_builder;

/* NULL when out of memory. The shape is borrowed. */
rbt_zone_builder *rbt_zone_builder_new(const rbt_leaf_shape *shape);
void rbt_zone_builder_free(rbt_zone_builder *builder);                      /* NULL is fine */
void rbt_zone_builder_clear(rbt_zone_builder *builder);                     /* begins a new frame */
void rbt_zone_builder_add(rbt_zone_builder *builder, const rbt_leaf *leaf); /* all columns parsed */
/* Appends the zones as JSON; with_columns false leaves only recorded_at. */
void rbt_zone_builder_write(const rbt_zone_builder *builder, bool with_columns, rbt_buffer *out);

/* NULL when every zone of the manifest covers what the builder has seen; else the name of the first
** column whose zone does not (a false zone would hide rows). Memory failure shows in
** scratch->failed. */
const char *rbt_zone_builder_misfit(const rbt_zone_builder *builder, const rbt_json *document,
                                    const rbt_json_node *zones, rbt_buffer *scratch);

/* Whether zones, an object of a manifest's frame, has the form above (unknown members of a zone,
** and zones of unknown columns, are passed over). */
bool rbt_zones_valid(const rbt_json *document, const rbt_json_node *zones);

/* Whether no entry of the frame can satisfy the term, which names a column of shape or
** RBT_SCAN_RECORDED_AT. Numbers compare across INTEGER and REAL as in SQLite, TEXT bytewise; other
** pairs of types exclude nothing, since SQLite may convert them. */
bool rbt_zones_exclude(const rbt_json *document, const rbt_json_node *zones,
                       const rbt_leaf_shape *shape, const rbt_zone_term *term, rbt_buffer *scratch);

/* The same of numbers that are known to lie between min and max. */
bool rbt_range_excludes(int64_t min, int64_t max, const rbt_zone_term *term);

/* The range of recorded_at, if the zones have one of whole numbers; else min and max stay as they are. */
void rbt_zones_times(const rbt_json *document, const rbt_json_node *zones, int64_t *min,
                     int64_t *max);

#endif
