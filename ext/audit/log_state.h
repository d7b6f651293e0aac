/* SPDX-License-Identifier: MIT
** One log as one connection sees it: declaration, the tree's frontier, what a transaction has appended.
**
** State belongs to (connection, schema, log), not to the virtual-table object: SQLite may hold several
** of those for one log at once. It is reference-counted by them and by running functions; the last
** release finalizes its statements, so that sqlite3_close is not BUSY.
**
** Writing. xUpdate hashes first and then makes exactly one fallible write, the row; the tree's nodes
** and the head are written in xSavepoint and xSync. After a rollback everything is forgotten and read
** again. If the head cannot be written the state is poisoned, and xSync refuses the COMMIT.
*/
#ifndef RBT_AUDIT_LOG_STATE_H
#define RBT_AUDIT_LOG_STATE_H

#include "../base/connection.h"
#include "declaration.h"
#include "tree.h"

/* The statements a log keeps prepared. */
typedef enum rbt_log_statement {
    RBT_LOG_READ_META,
    RBT_LOG_WRITE_META,
    RBT_LOG_SET_GATE,
    RBT_LOG_INSERT_ROW,
    RBT_LOG_MAX_ID,
    RBT_LOG_RECORDED_AT,
    RBT_LOG_READ_NODES,
    RBT_LOG_WRITE_NODES,
    RBT_LOG_DELETE_NODES,
    RBT_LOG_STATEMENTS
} rbt_log_statement;

/* A SELECT on <log>_rows kept for the next cursor with the same plan. */
typedef struct rbt_plan {
    struct rbt_plan *next;
    sqlite3_stmt *statement;
    bool in_use;
} rbt_plan;

/* A log that audit_discard named on this connection: its DROP may go on. */
typedef struct rbt_discarded {
    struct rbt_discarded *next;
    char *schema, *name;
    int64_t event_id; /* of its record in rustybt_events, which a rollback may have taken back */
} rbt_discarded;

/* What a restored log (log_restore.h) is created with, in place of an identity of its own. */
typedef struct rbt_log_birth {
    const char *schema, *name;
    const char *genesis; /* leaf 0's text */
    size_t genesis_length;
    int64_t recorded_at; /* as leaf 0 says */
    const uint8_t *log_id;
    int argument_count; /* of the declaration, what was added to the genesis's included */
    const char *const *arguments;
} rbt_log_birth;

typedef struct rbt_logs {
    rbt_connection *connection;
    rbt_discarded *discarded;
    struct rbt_log *first;
    const struct rbt_log_extension *extension; /* log_extend.h: under way, or NULL */
    const struct rbt_log_birth *birth;         /* of a log that is being restored, or NULL */
    /* What rustybt_append_only() answers with yes: */
    int inside;      /* > 0 while a log is created, or a statement writes subjects' keys */
    int gate_writes; /* writes to a gate that are yet to come of the statement that runs */
} rbt_logs;

typedef struct rbt_log {
    struct rbt_log *next;
    rbt_logs *logs;
    sqlite3 *db;
    int references;
    char *schema, *name;
    rbt_declaration *declaration;

    /* From the genesis; valid when genesis is not NULL. */
    char *genesis; /* leaf 0's text */
    uint8_t log_id[16];
    char origin[256];
    bool sealed;
    bool recorded; /* rustybt_events says how the declaration came from the genesis's */

    /* The head: as last read or as appended to since. */
    bool loaded;   /* this transaction has read it */
    bool dirty;    /* it, or the tree, is ahead of the tables */
    bool poisoned; /* a write failed half-way: only a rollback helps */
    int working;   /* > 0 while a statement of ours runs: savepoints are that statement's own */
    bool gate_open;
    bool touched; /* this transaction has opened the gate at some time: xSync must shut it */
    rbt_frontier frontier; /* size = entries + 1 */
    int64_t last_recorded_at;
    int64_t pruned_to;
    bool clock_noted;  /* this transaction has told rustybt_events that the clock went back */
    rbt_hash *pending; /* leaf hashes that the tree tables lack: the last ones of the frontier */
    size_t pending_count, pending_capacity;

    rbt_hash *block; /* 256 leaf hashes of a pruned block, as its segment gave them back */
    uint64_t block_number;
    bool block_held;

    struct rbt_successions *successions; /* trust.c's: as read last, with what was verified */

    sqlite3_stmt *statements[RBT_LOG_STATEMENTS];
    sqlite3_stmt **fallbacks;        /* per column: SELECT <default>; NULL until needed */
    sqlite3_value **fallback_values; /* per column: the default of the row in hand */
    rbt_plan *plans;
    rbt_buffer leaf; /* memory for the line in hand */
    rbt_value *values;
    sqlite3_value **row; /* per column of <log>_rows: the stored row in hand */
    rbt_buffer *texts;   /* per column: minified JSON, kept for reuse */
} rbt_log;

/* The connection's logs; NULL when out of memory. */
rbt_logs *rbt_logs_of(rbt_connection *connection);

/* The state for a table being connected: an existing one when the arguments are the same, else a new
** one. One more reference. */
rbt_log *rbt_log_connect(rbt_connection *connection, const char *schema, const char *name,
                         int argument_count, const char *const *arguments, rbt_error *error);
/* The log of that name ("log" is looked for in temp, main, then attached; "schema.log" names one).
** One more reference. who begins the error message. */
rbt_log *rbt_log_find(rbt_connection *connection, const char *name, const char *who,
                      rbt_error *error);
/* The log of exactly that schema and name; NULL, without an error, when there is none. One more
** reference. */
rbt_log *rbt_log_find_in(rbt_connection *connection, const char *schema, const char *name,
                         const char *who, rbt_error *error);
void rbt_log_release(rbt_log *log); /* NULL is fine */

/* Remembers that the log may be dropped on this connection; whether it may; forgets it. The logs' list
** holds it, not the state, which SQLite may let go at any change of the schema. */
int rbt_log_discard(rbt_log *log, int64_t event_id, rbt_error *error);
bool rbt_log_is_discarded(const rbt_log *log);
void rbt_log_undiscard(rbt_log *log);

/* Creates storage and genesis. The state is loaded and dirty afterwards. */
int rbt_log_create(rbt_log *log, rbt_error *error);

/* Reads the head and genesis as the current transaction sees them, unless already loaded: checks that
** the declaration is the one of the genesis, and the seal. Writers call it with the write lock held. */
int rbt_log_load(rbt_log *log, rbt_error *error);
/* The same for a reader outside a write transaction: reads anew; neither checks the seal nor asks for
** keys. The caller keeps a read transaction open (rbt_log_hold) for what must be one snapshot. */
int rbt_log_peek(rbt_log *log, rbt_error *error);
/* Keeps a read transaction on the log's schema open until finalized. NULL on failure. */
sqlite3_stmt *rbt_log_hold(rbt_log *log, rbt_error *error);

/* Appends one entry; the values are of their columns' kinds (log_values.h). *id: OUT. */
int rbt_log_append(rbt_log *log, const rbt_value *values, int64_t *id, rbt_error *error);

/* Appends an entry as it was: the parsed line, whose id must be the next one, and the line itself, which
** the values must give again, byte for byte. The log is loaded. */
int rbt_log_append_again(rbt_log *log, const rbt_leaf *leaf, const char *line, size_t length,
                         rbt_error *error);

/* Writes tree, head and seal. */
int rbt_log_flush(rbt_log *log, rbt_error *error);
/* Flush, the last checks, shut the gate: before every COMMIT. */
int rbt_log_sync(rbt_log *log, rbt_error *error);
/* After COMMIT or ROLLBACK (ended), or a rollback to a savepoint: what is remembered no longer counts. */
void rbt_log_forget(rbt_log *log, bool ended);

/* A rbt_node_reader over <log>_tree; context is the log. Nodes must be flushed. */
int rbt_log_node(void *log, unsigned level, uint64_t index, rbt_hash *out, rbt_error *error);
/* Whether the genesis is leaf 0 of the tree, by its proof. The state is loaded or peeked, and flushed. */
int rbt_log_prove_genesis(rbt_log *log, bool *proved, rbt_error *error);
/* Fails unless it is: what is signed speaks for the origin, which the genesis alone binds. */
int rbt_log_require_genesis(rbt_log *log, const char *who, rbt_error *error);
/* The leaf hashes [first, first + count) into out, count up to 256 within one tile; *found: how many
** from first on the table has. */
int rbt_log_leaf_hashes(rbt_log *log, uint64_t first, size_t count, rbt_hash *out, size_t *found,
                        rbt_error *error);
/* Writes pending hashes into the tree's tiles. */
int rbt_log_flush_tree(rbt_log *log, rbt_error *error);

/* One of the log's prepared statements, prepared now if not yet, reset and ready. */
sqlite3_stmt *rbt_log_prepared(rbt_log *log, rbt_log_statement which, rbt_error *error);

/* Runs a bound statement that writes to the log's storage, as our own. It must change a row: a foreign
** trigger with RAISE(IGNORE), or an authorizer, would make it vanish without a word. what: "gate". */
int rbt_log_write(rbt_log *log, sqlite3_stmt *statement, const char *what, rbt_error *error);

/* meta values; *found false when the key is absent (or, for the first, its value no integer). */
int rbt_log_meta_i64(rbt_log *log, const char *key, int64_t *value, bool *found, rbt_error *error);
int rbt_log_meta_set_i64(rbt_log *log, const char *key, int64_t value, rbt_error *error);
int rbt_log_meta_bytes(rbt_log *log, const char *key, rbt_buffer *out, bool *found,
                       rbt_error *error);
int rbt_log_meta_set_bytes(rbt_log *log, const char *key, const void *bytes, size_t length,
                           bool text, rbt_error *error);

/* Remembers, unless one is remembered already, the public key that signs for the log first. It is believed in
** nothing: it only tells audit_succession in which direction the keys that it holds follow each other. */
int rbt_log_remember_signer(rbt_log *log, const uint8_t public_key[32], rbt_error *error);

/* "entry" or "entries", after a count. */
static inline const char *rbt_entries(int64_t count) {
    return count == 1 ? "entry" : "entries";
}

/* Opens the gate for ids above the last entry; shuts it; opens the prune gate for rows up to `up_to`. */
int rbt_log_open_gate(rbt_log *log, rbt_error *error);
int rbt_log_shut_gate(rbt_log *log, rbt_error *error);
int rbt_log_set_prune_gate(rbt_log *log, int64_t up_to, rbt_error *error);

#endif
