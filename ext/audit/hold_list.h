/* SPDX-License-Identifier: MIT
** Holds, on logs (log_hold.h) and on subjects (subject_hold.h): events of rustybt_events and nothing else
** (DESIGN §6, Events). One action makes a hold, whose id is the event's; another one ends it, with
** {"hold_id":<id>,…}. May call base and audit.
*/
#ifndef RBT_AUDIT_HOLD_LIST_H
#define RBT_AUDIT_HOLD_LIST_H

#include "../base/connection.h"
#include "../base/error.h"
#include "../base/json.h"
#include "../crypto/subject.h"

/* A hold that has not been released. */
typedef struct rbt_hold {
    int64_t id, since_us;
    char *log, *reason;
    /* on a log */
    uint8_t log_id[16];
    bool whole;
    int64_t first_id, last_id; /* unless whole */
    /* on a subject */
    uint8_t sid[RBT_SUBJECT_ID_SIZE];
} rbt_hold;

/* In the order they were made. Starts as {0}. */
typedef struct rbt_holds {
    rbt_hold *items;
    size_t count, capacity;
} rbt_holds;

typedef struct rbt_hold_kind {
    const char *hold, *release; /* the two actions */
    /* What the detail says the hold is on; false when it is not there. */
    bool (*read_object)(const rbt_json *detail, rbt_hold *hold, rbt_error *error);
} rbt_hold_kind;

/* Adds the holds of that kind that stand in the schema's rustybt_events, which must be there; it is not
** verified here. An event that cannot be understood is an error: it could be a hold. */
int rbt_holds_collect(rbt_holds *holds, const rbt_hold_kind *kind, rbt_connection *connection,
                      const char *schema, const char *who, rbt_error *error);
const rbt_hold *rbt_holds_find(const rbt_holds *holds, int64_t id); /* NULL: it does not stand */
void rbt_holds_free(rbt_holds *holds);

/* For read_object: a member of exactly so many bytes in hex digits. */
bool rbt_hold_read_hex(const rbt_json *detail, const char *name, uint8_t *bytes, size_t size,
                       rbt_error *error);

#endif
