/* SPDX-License-Identifier: MIT
** What stands between the parentheses of USING audit_log(…): columns, indexes, checks and options
** (DESIGN §6), read from the module's arguments. Pure.
**
**   name TYPE [NOT NULL] [CHECK(expr)] [DEFAULT value] [REFERENCES table(column)] [SINCE id]
**   INDEX(column, …)    CHECK(expr)    option=value
**
** SINCE is written by audit_set, behind a column that it adds to a log: the first entry that has it.
** TYPE is TEXT, INTEGER, REAL, BLOB or JSON. A DEFAULT is a literal, or an expression in parentheses of
** literals and of those functions of SQLite that only compute.
*/
#ifndef RBT_AUDIT_DECLARATION_H
#define RBT_AUDIT_DECLARATION_H

#include "../base/buffer.h"
#include "../base/clock.h"
#include "../base/error.h"
#include "leaf.h"
#include <stdbool.h>

enum { RBT_LOG_MAX_COLUMNS = 500 };

typedef struct rbt_log_column {
    bool not_null;
    char *check;      /* expression, rebuilt from tokens; NULL: none */
    char *fallback;   /* DEFAULT expression, rebuilt; NULL: none */
    char *references; /* "table"("column"), rebuilt; NULL: none */
} rbt_log_column;

typedef struct rbt_log_index {
    size_t count;
    int *columns; /* indices into the shape; -1 recorded_at */
} rbt_log_index;

typedef struct rbt_declaration {
    int argument_count;
    char **arguments;     /* verbatim, as in the genesis */
    rbt_leaf_shape shape; /* names and types; shape.count columns */
    rbt_log_column *columns;
    rbt_log_index *indexes;
    size_t index_count;
    char **checks; /* table-level */
    size_t check_count;
    char *origin;                 /* NULL: rustybt/<log_id> */
    char *archive;                /* directory; NULL: none */
    char *archive_after, *retain; /* as written; NULL: none */
    rbt_duration archive_after_duration, retain_duration;
    bool sealed;     /* seal=yes, the default */
    bool reads_cold; /* reads=all, the default */
} rbt_declaration;

/* Reads the arguments (argv[3] on) of the log named so; the error begins with the log's name. NULL on
** failure. Free with rbt_declaration_free. */
rbt_declaration *rbt_declaration_parse(const char *log, int argument_count,
                                       const char *const *arguments, rbt_error *error);
void rbt_declaration_free(rbt_declaration *declaration);

/* True for the text that sqlite_schema holds of a log: CREATE VIRTUAL TABLE … USING audit_log(…). Other
** modules' tables may have "audit_log" in a name or a path. */
bool rbt_declares_log(const char *sql);

/* The CREATE TABLE text for sqlite3_declare_vtab. */
void rbt_declaration_vtab(rbt_buffer *out, const rbt_declaration *declaration);

/* True when both were written with the same arguments, byte for byte. */
bool rbt_declaration_equal(const rbt_declaration *a, int argument_count,
                           const char *const *arguments);

/* Whether an expression of a declaration calls nothing but functions of SQLite that compute, and reads no table:
** only then may it stand in a statement of ours, where SQLite lets everything be called. */
bool rbt_expression_computes(const char *expression);

#endif
