/* SPDX-License-Identifier: MIT
** Columns and indexes that a log is given after it was created (DESIGN §6). May call base and audit.
**
** Genesis binds the first declaration. audit_set(log, 'add_column' or 'add_index', …) puts one argument
** more behind those of the declaration in sqlite_schema: `venue TEXT SINCE 5`, `INDEX(venue)`. It is on
** record in rustybt_events, as an event of action 'set':
**
**   {"option":"add_column","value":"venue TEXT","previous":null,"log_id":"32 hex digits",
**    "argument":"venue TEXT SINCE 5","arguments":7}
**
** argument: as it stands in the declaration; arguments: how many those are, with it. So today's
** declaration is the genesis's arguments and then those of the events, oldest first, and nothing else is
** accepted. Leaves of the entries before SINCE stay as they are, without a key for the column; later ones
** have it, last of the declared ones, null included.
*/
#ifndef RBT_AUDIT_LOG_EXTEND_H
#define RBT_AUDIT_LOG_EXTEND_H

#include "genesis.h"
#include "log_state.h"

/* While the table of a log is dropped and created anew over the same storage. */
typedef struct rbt_log_extension {
    const char *schema, *name;
    const rbt_declaration *after;
} rbt_log_extension;

/* Whether an option of audit_set is one that extends a log. */
bool rbt_extends_log(const char *option);

/* Adds a column or an index, in a transaction of its own; appends one line for people to report. */
int rbt_log_extend(rbt_log *log, const char *option, const char *value, const char *who,
                   rbt_buffer *report, rbt_error *error);

/* Appends to the genesis's arguments those that rustybt_events says were added since. The log is loaded or
** peeked. */
int rbt_genesis_extend(rbt_genesis *genesis, rbt_log *log, rbt_error *error);

/* Whether the log's table is being dropped and created anew now, and its storage is to be left alone. */
bool rbt_log_is_extending(const rbt_log *log);
/* In xCreate, meanwhile: takes the storage over if the declaration is the one that was meant. */
int rbt_log_adopt(const rbt_log *log, rbt_error *error);

#endif
