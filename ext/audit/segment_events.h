/* SPDX-License-Identifier: MIT
** What rustybt_events says of a log's segments. The records in <log>_segments can be edited by whoever
** edits the file; these entries cannot, without it being found. Actions and their details:
**
**   archive    {"file","first_id","last_id","rows","root","manifest_sha256","published_us","to",
**              "log_id"}
**   expire     {"file","first_id","last_id","manifest_sha256","retain","as_of_us","log_id"}: the intent
**   expired    {"file","first_id","last_id","manifest_sha256","log_id"}: in the transaction that ends
**              the record's life; only then the file is removed
**   relocate   {"file","first_id","last_id","manifest_sha256","from","to","log_id"}: the intent
**   relocated  the same, in the transaction that records the new place
**
** log_id ties them to this log, not to an earlier one of its name. May call base and audit.
*/
#ifndef RBT_AUDIT_SEGMENT_EVENTS_H
#define RBT_AUDIT_SEGMENT_EVENTS_H

#include "log_state.h"
#include "segment_store.h"

typedef struct rbt_segment_event {
    int64_t recorded_at; /* of the event */
    int64_t first_id, last_id;
    int64_t published_us; /* 0: it does not say */
    uint8_t manifest_sha256[32];
    char *file;
    char *from, *to; /* directories as recorded; NULL: it does not say */
} rbt_segment_event;

/* Starts as {0}. */
typedef struct rbt_segment_events {
    rbt_segment_event *items;
    size_t count, capacity;
} rbt_segment_events;

/* The events of that action on this very log, which was peeked, oldest first. What cannot be read as one
** is passed over: rustybt_events' own verification tells. */
int rbt_segment_events_read(rbt_segment_events *events, rbt_log *log, const char *action,
                            const char *who, rbt_error *error);
void rbt_segment_events_free(rbt_segment_events *events);

/* The event that names this range and manifest; NULL when there is none. */
const rbt_segment_event *rbt_segment_event_of(const rbt_segment_events *events, int64_t first_id,
                                              int64_t last_id, const uint8_t manifest_sha256[32]);

/* Appends the members that all of them have, without braces. */
void rbt_segment_event_write(rbt_buffer *detail, const rbt_log *log, const char *file,
                             int64_t first_id, int64_t last_id, const uint8_t manifest_sha256[32]);
/* Appends the whole detail of an event 'archive'; directory: as recorded. */
void rbt_segment_event_published(rbt_buffer *detail, const rbt_log *log, const char *file,
                                 const char *directory, const rbt_segment_summary *summary,
                                 int64_t published_us);

#endif
