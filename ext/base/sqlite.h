/* SPDX-License-Identifier: MIT
** The one place that includes SQLite. In the loadable build every sqlite3_* name is a call through
** the table that the host passed to the entry point; with -DSQLITE_CORE it is the linked library.
** The table itself is defined once, in rustybt.c (SQLITE_EXTENSION_INIT1).
*/
#ifndef RBT_BASE_SQLITE_H
#define RBT_BASE_SQLITE_H

#include <sqlite3ext.h>
SQLITE_EXTENSION_INIT3

#endif
