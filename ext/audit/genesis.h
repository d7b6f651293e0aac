/* SPDX-License-Identifier: MIT
** Leaf 0, which binds a log's identity and declaration (DESIGN §6):
**
**   {"id":0,"recorded_at":µs,"rustybt_log":1,"log_id":"32 hex digits","origin":"…","sealed":true,
**    "arguments":["…",…]}                                               (one line, no spaces)
*/
#ifndef RBT_AUDIT_GENESIS_H
#define RBT_AUDIT_GENESIS_H

#include "declaration.h"

enum { RBT_LOG_FORMAT = 1 };

typedef struct rbt_genesis {
    int64_t recorded_at;
    uint8_t log_id[16];
    char origin[256];
    bool sealed;
    int argument_count;
    char **arguments;
} rbt_genesis;

/* Appends the line. Fails when it is over RBT_LEAF_MAX bytes. */
int rbt_genesis_write(rbt_buffer *out, const char *log, const rbt_declaration *declaration,
                      const uint8_t log_id[16], int64_t recorded_at, rbt_error *error);
/* Reads a line; the error says what is wrong, after who. Free in any case. */
int rbt_genesis_parse(rbt_genesis *genesis, const char *text, size_t length, const char *who,
                      rbt_error *error);
/* NULL, or what of it the declaration contradicts: "origin" or "sealed" (both follow from the declaration). */
const char *rbt_genesis_contradiction(const rbt_genesis *genesis,
                                      const rbt_declaration *declaration);
void rbt_genesis_free(rbt_genesis *genesis);

#endif
