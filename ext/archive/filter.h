/* SPDX-License-Identifier: MIT
** Filters of indexed columns: whether a frame may hold a value at all, so that a look-up by equality opens
** only the frames that do. A frame's member "filters" of the manifest:
**
**   {"order_id":"<base64 of the filter's bytes>"}
**
** A filter is a split block Bloom filter as Apache Parquet specifies it (parquet-format, BloomFilter.md):
** blocks of 32 bytes, eight u32 LE words each; a value sets one bit in every word of one block, chosen by
** its XXH64 (seed 0). Hashed is what Parquet's plain encoding has of the value: a TEXT's UTF-8 bytes, an
** INTEGER's 8 bytes LE, a REAL's as IEEE 754 double LE (0.0 for −0.0). NULLs are not in it. It never says
** no of a value that is there, and yes of one in about 200 that is not.
**
** Only columns that an INDEX begins with have filters, and only where the zone map does not do as well:
** not where it lists the values, and not where numbers rise or fall through the frame.
** Pure; calls base and audit's leaf.
*/
#ifndef RBT_ARCHIVE_FILTER_H
#define RBT_ARCHIVE_FILTER_H

#include "../audit/segment_store.h"
#include "../base/json.h"

typedef struct rbt_filter_builder rbt_filter_builder;

/* For the columns of shape that are `indexed`; the shape is borrowed. NULL when out of memory. */
rbt_filter_builder *rbt_filter_builder_new(const rbt_leaf_shape *shape);
void rbt_filter_builder_free(rbt_filter_builder *builder);  /* NULL is fine */
void rbt_filter_builder_clear(rbt_filter_builder *builder); /* begins a new frame */
void rbt_filter_builder_add(rbt_filter_builder *builder, const rbt_leaf *leaf);
bool rbt_filter_builder_failed(const rbt_filter_builder *builder); /* memory ran out; sticky */
/* Appends the frame's filters as JSON; nothing at all when there are none. Sorts what was added. Lack of
** memory, also an earlier one, shows in out->failed. */
void rbt_filter_builder_write(rbt_filter_builder *builder, rbt_buffer *out);

/* NULL when every filter of the manifest says yes of what the builder has seen; else the name of the
** first column whose filter does not (it would hide entries). filters may be NULL. Memory failure shows
** in scratch->failed. */
const char *rbt_filter_builder_misfit(const rbt_filter_builder *builder, const rbt_json *document,
                                      const rbt_json_node *filters, rbt_buffer *scratch);

/* Whether filters, a member of a manifest's frame, has the form above: an object of strings as long as
** whole blocks take. (Characters that are not base64 are found when they are met: such a block excludes
** nothing.) */
bool rbt_filters_valid(const rbt_json *document, const rbt_json_node *filters);

/* Whether no entry of the frame can satisfy the term, of kind RBT_EQ on a column of shape. filters may be
** NULL. Numbers compare across INTEGER and REAL as in SQLite. */
bool rbt_filters_exclude(const rbt_json *document, const rbt_json_node *filters,
                         const rbt_leaf_shape *shape, const rbt_zone_term *term,
                         rbt_buffer *scratch);

#endif
