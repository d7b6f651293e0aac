/* SPDX-License-Identifier: MIT
** Reads entries out of a segment, frame by frame, passing over frames by their zone maps: the scan_*
** members of audit/segment_store.h, whose contracts hold here too.
*/
#ifndef RBT_ARCHIVE_SEGMENT_SCAN_H
#define RBT_ARCHIVE_SEGMENT_SCAN_H

#include "segment_reader.h"

int rbt_segment_scan_open(rbt_segment_scan **scan, rbt_connection *connection, const char *path,
                          const rbt_verifier *verifiers, size_t verifier_count,
                          const rbt_published *published, const uint8_t *log_id,
                          const rbt_leaf_shape *shape, uint64_t wanted, const rbt_zone_term *terms,
                          size_t term_count, bool reverse, rbt_error *error);
int rbt_segment_scan_next(rbt_segment_scan *scan, const rbt_leaf **leaf, const char **line,
                          size_t *line_length, rbt_error *error);
void rbt_segment_scan_close(rbt_segment_scan *scan);

#endif
