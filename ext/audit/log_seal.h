/* SPDX-License-Identifier: MIT
** The seal (DESIGN §6): a keyed MAC over size and root, renewed by every transaction, so that someone
** who re-hashes a whole log without the key is found. */
#ifndef RBT_AUDIT_LOG_SEAL_H
#define RBT_AUDIT_LOG_SEAL_H

#include "../crypto/keys.h"
#include "log_state.h"

enum { RBT_SEAL_SIZE = RBT_KEY_ID_SIZE + 32 };

typedef enum rbt_seal_result {
    RBT_SEAL_HOLDS,
    RBT_SEAL_BROKEN,
    RBT_SEAL_MISSING,
    RBT_SEAL_NO_KEY /* sealed under a key that the ring does not have */
} rbt_seal_result;

void rbt_seal_compute(uint8_t seal[RBT_SEAL_SIZE], const rbt_ring_key *key,
                      const uint8_t log_id[16], const rbt_frontier *frontier);

/* Compares the stored seal with the log's frontier as loaded; key_id gets the id it was made under. */
int rbt_seal_check(rbt_log *log, rbt_seal_result *result, char key_id[17], rbt_error *error);

#endif
