/* SPDX-License-Identifier: MIT
** The records of a log's segments, for what acts on their files one by one: read at once, since no
** statement may be reading while a segment is worked on. May call base, audit and the segment store.
*/
#ifndef RBT_AUDIT_SEGMENT_RECORDS_H
#define RBT_AUDIT_SEGMENT_RECORDS_H

#include "log_state.h"

typedef struct rbt_segment_record {
    int64_t first_id, last_id, expires_us; /* 0: no date */
    bool expired;                          /* else published */
    char *directory, *file;
    char *path; /* of the file, as this process can open it */
    uint8_t manifest_sha256[32];
} rbt_segment_record;

/* By id. Starts as {0}. */
typedef struct rbt_segment_records {
    rbt_segment_record *items;
    size_t count, capacity;
} rbt_segment_records;

/* The published and expired ones; a damaged one is an error. */
int rbt_segment_records_read(rbt_segment_records *records, rbt_log *log, const char *who,
                             rbt_error *error);
void rbt_segment_records_free(rbt_segment_records *records);

/* Whether the record still says the same, status and directory included. In the transaction that acts. */
int rbt_segment_record_stands(rbt_log *log, const rbt_segment_record *record, bool *stands,
                              const char *who, rbt_error *error);

/* Whether there is a file at path; whether it is, by its manifest, the recorded segment. An error when
** neither could be found out. */
int rbt_segment_file_is(rbt_log *log, const rbt_segment_record *record, const char *path,
                        bool *there, bool *same, const char *who, rbt_error *error);
/* Removes a file and makes that last; one that is gone is fine. */
int rbt_segment_file_remove(const char *path, const char *who, rbt_error *error);

#endif
