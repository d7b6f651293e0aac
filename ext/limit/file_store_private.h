/* SPDX-License-Identifier: MIT
** The inside of a file store (private to file_store*.c). */
#ifndef RBT_LIMIT_FILE_STORE_PRIVATE_H
#define RBT_LIMIT_FILE_STORE_PRIVATE_H

#include "file_store.h"

enum { RBT_LIMIT_KEY_SIZE = 1024 };

typedef enum rbt_file_statement {
    RBT_FILE_BEGIN,
    RBT_FILE_COMMIT,
    RBT_FILE_HEAD,
    RBT_FILE_SET_HEAD,
    RBT_FILE_LAST_TIME,
    RBT_FILE_LOAD,
    RBT_FILE_SAVE,
    RBT_FILE_FORGET,
    RBT_FILE_SWEEP_END,
    RBT_FILE_SWEEP,
    RBT_FILE_NEXT,
    RBT_FILE_STATEMENTS
} rbt_file_statement;

/* The row of table store, read in every transaction. */
typedef struct rbt_file_head {
    int64_t boot;      /* the machine's run that offset_us is of */
    int64_t offset_us; /* the store's time less the machine's uptime */
    int64_t fencing;   /* the last number given */
} rbt_file_head;

struct rbt_file_store {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *statements[RBT_FILE_STATEMENTS]; /* prepared on first use */
    rbt_file_head head;
    int64_t now_us;
    bool full_sync; /* the connection's synchronous is FULL, else NORMAL */
    unsigned saves; /* every so many a few rows are swept */
    int64_t sweep_policy;
    char sweep_key[RBT_LIMIT_KEY_SIZE];
    int sweep_length;
    int64_t wait_began_us; /* by the busy handler */
    int64_t process;       /* that opened it; a fork of it must not use it */
    rbt_buffer bytes;      /* of a state, kept for its memory */
};

/* The statement, reset and ready to bind; NULL and the error on failure. */
sqlite3_stmt *rbt_file_statement_of(rbt_file_store *store, rbt_file_statement which,
                                    const char *who, rbt_error *error);
/* Runs a statement that gives no row. */
int rbt_file_run(rbt_file_store *store, rbt_file_statement which, const char *who,
                 rbt_error *error);
/* Fails in a process that was forked while a store was open: SQLite believes to hold locks there that
** only the parent holds, so the WAL could vanish under it (sqlite.org/howtocorrupt.html, 2.6). */
int rbt_file_check_process(int64_t process, const char *path, const char *who, rbt_error *error);
int64_t rbt_file_head_checksum(const rbt_file_head *head);
/* Records what SQLite says, with the path. */
int rbt_file_fail(rbt_file_store *store, const char *who, rbt_error *error);
/* Records that a row is not as it was written. */
int rbt_file_damaged(rbt_file_store *store, const char *what, const char *who, rbt_error *error);

#endif
