/* SPDX-License-Identifier: MIT
** rustybt: security that lives inside the database.
**
** The whole public C surface is the entry point below. `.load rustybt` calls it; a program that
** links rustybt statically (built with -DSQLITE_CORE) passes it to sqlite3_auto_extension() or calls
** it on each connection with pApi = NULL. Calling it twice on one connection is harmless.
*/
#ifndef RUSTYBT_H
#define RUSTYBT_H

#include <sqlite3.h>

#define RUSTYBT_VERSION "0.1.0"

struct sqlite3_api_routines;

#ifdef __cplusplus
extern "C"
#endif
    __attribute__((visibility("default"))) int
    sqlite3_rustybt_init(
        sqlite3 *db,
        char **pzErrMsg, /* OUT: why it failed, from sqlite3_malloc; always set on failure */
        const struct sqlite3_api_routines *pApi);

#endif
