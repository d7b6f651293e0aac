/* SPDX-License-Identifier: MIT
** The entry point. Registers what each capability offers, from one catalogue that also feeds the
** table rustybt_help. The only file that knows all the others.
*/
#include "rustybt.h"
#include "base/sqlite.h"

SQLITE_EXTENSION_INIT1

#include "archive/archive_sql.h"
#include "archive/store.h"
#include "audit/audit_sql.h"
#include "base/connection.h"
#include "base/help.h"
#include "base/registry.h"
#include "crypto/credentials_sql.h"
#include "crypto/keys.h"
#include "crypto/keys_sql.h"

enum { OLDEST_SQLITE = 3040000 };

static void version_function(sqlite3_context *context, int argument_count,
                             sqlite3_value **arguments) {
    (void)argument_count;
    (void)arguments;
    sqlite3_result_text(context, RUSTYBT_VERSION, -1, SQLITE_TRANSIENT);
}

static const rbt_function own_functions[] = {
    {"rustybt_version", 0, 0, RBT_PURE, version_function, "rustybt_version()", "nothing",
     "The version of rustybt, as text", "SELECT rustybt_version()"},
};

static const rbt_table own_tables[] = {
    {"rustybt_help", &rbt_help_module, "rustybt_help", "nothing",
     "Every function and table of rustybt: what it does, what it needs, an example",
     "SELECT signature, description FROM rustybt_help"},
};

