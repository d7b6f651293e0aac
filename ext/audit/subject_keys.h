/* SPDX-License-Identifier: MIT
** The keys of subjects, in the table rustybt_subject_keys (subject_table.h): found by the subject's name
** or by sid, made on first use, destroyed. */
#ifndef RBT_AUDIT_SUBJECT_KEYS_H
#define RBT_AUDIT_SUBJECT_KEYS_H

#include "../base/connection.h"
#include "../base/error.h"
#include "../crypto/subject.h"
#include "subject_table.h"

#define RBT_SUBJECT_CONTEXT "rustybt subject"

/* A subject's name as it was given: TEXT, not empty. */
typedef struct rbt_subject_name {
    const uint8_t *bytes;
    size_t length;
} rbt_subject_name;

/* A row that holds a key. A secret: wipe it when done. */
typedef struct rbt_subject_row {
    int64_t id;
    rbt_subject_key key;
    uint8_t wrapped[RBT_WRAPPED_SUBJECT_SIZE];
} rbt_subject_row;

/* A subject's rows: one, or none; more only where the table was tampered with. Starts as {0}. */
typedef struct rbt_subject_rows {
    rbt_subject_row *rows;
    size_t count;
} rbt_subject_rows;

void rbt_subject_rows_free(rbt_subject_rows *found);

/* All rows of the subject, looked up under every key of the ring, each opened and its name compared. An
** index under a key that the ring lacks is an error when nothing is found: the subject may be behind it. */
int rbt_subject_find(rbt_connection *connection, rbt_subject_name subject, rbt_subject_rows *found,
                     const char *who, rbt_error *error);

/* The subject's key; makes the table, the key and the row where they are missing, within the caller's
** transaction if there is one. */
int rbt_subject_obtain(rbt_connection *connection, rbt_subject_name subject, rbt_subject_key *key,
                       const char *who, rbt_error *error);

/* The key of key->sid. Unknown and forgotten subjects are errors, each of its own. */
int rbt_subject_key_of_sid(rbt_connection *connection, rbt_subject_key *key, const char *who,
                           rbt_error *error);

/* Overwrites the row's key and name where they stand, then takes them away. */
int rbt_subject_destroy(rbt_connection *connection, const rbt_subject_row *row, int64_t now_us,
                        const char *who, rbt_error *error);

#endif
