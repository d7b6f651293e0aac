/* SPDX-License-Identifier: MIT
** The tables behind a log, as SQL text: written from the declaration alone, so that verification can
** write them again and compare with what sqlite_schema holds (DESIGN §6, Storage).
**
**   <log>_rows      one row an entry: id, recorded_at, the declared columns, salt, the columns that were
**                   added later
**   <log>_gate      1: entries up to `size` exist, higher ids may be appended (shut: 2^63-1)
**                   2: rows up to `size` may be pruned (shut: -1)
**   <log>_tree      node = tile level << 56 | index of its first hash; runs of 32-byte hashes; a full
**                   tile is one run of 256 (8 KiB), younger hashes stand in shorter runs
**   <log>_segments  what was archived
**   <log>_meta      format, genesis, head, seal, archived_to, pruned_to, …
*/
#ifndef RBT_AUDIT_STORAGE_H
#define RBT_AUDIT_STORAGE_H

#include "declaration.h"

enum { RBT_TILE_HASHES = 256, RBT_TILE_SHIFT = 56 };

typedef struct rbt_storage_object {
    const char *type; /* "table", "index", "trigger" */
    char *name;
    char *sql; /* as sqlite_schema stores it: no schema before the name */
} rbt_storage_object;

typedef struct rbt_storage {
    rbt_storage_object *objects;
    size_t count;
    bool failed; /* memory ran out */
} rbt_storage;

/* Every object of the log, tables before their indexes and triggers. Free in any case. */
int rbt_storage_build(rbt_storage *storage, const char *log, const rbt_declaration *declaration,
                      rbt_error *error);
void rbt_storage_free(rbt_storage *storage);

/* Creates them in the given schema of db; drops them (tables take the rest with them). */
int rbt_storage_create(sqlite3 *db, const char *schema, const rbt_storage *storage, const char *log,
                       rbt_error *error);
/* Makes the storage of `before` that of `after`, whose arguments are those of before and more. */
int rbt_storage_extend(sqlite3 *db, const char *schema, const rbt_declaration *before,
                       const rbt_declaration *after, const char *log, rbt_error *error);
int rbt_storage_drop(sqlite3 *db, const char *schema, const char *log, rbt_error *error);

/* The suffixes of the five tables, for iteration; NULL at the end. */
extern const char *const rbt_storage_suffixes[];

#endif
