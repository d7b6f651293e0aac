/* SPDX-License-Identifier: MIT
** What the tests of limits as SQL share: a connection that knows their functions and tables. */
#ifndef RBT_TEST_LIMIT_FIXTURE_H
#define RBT_TEST_LIMIT_FIXTURE_H

#include "base/connection.h"
#include "limit/lease_sql.h"
#include "limit/limit_sql.h"
#include "tap.h"

static inline sqlite3 *open_limits(void) {
    sqlite3 *db = NULL;
    int code = sqlite3_open(":memory:", &db);
    rbt_connection *connection = rbt_connection_new(db);
    const rbt_function *const lists[] = {rbt_rate_functions, rbt_lease_functions};
    const rbt_table *const tables[] = {rbt_rate_tables, rbt_lease_tables};
    for (size_t i = 0; i < 2; i++) {
        for (const rbt_function *row = lists[i]; row->name; row++) {
            rbt_connection_retain(connection);
            code |= sqlite3_create_function_v2(db, row->name, -1, row->flags, connection, row->call,
                                               NULL, NULL, rbt_connection_release);
        }
        for (const rbt_table *row = tables[i]; row->name; row++) {
            rbt_connection_retain(connection);
            code |= sqlite3_create_module_v2(db, row->name, row->module, connection,
                                             rbt_connection_release);
        }
    }
    rbt_connection_release(connection);
    if (code != SQLITE_OK) printf("# cannot open the database\n");
    return db;
}

#endif
