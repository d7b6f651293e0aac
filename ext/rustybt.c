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
#include "audit/entry_sql.h"
#include "audit/evidence_sql.h"
#include "audit/key_usage.h"
#include "audit/retention_sql.h"
#include "audit/settings.h"
#include "audit/subject_sql.h"
#include "base/connection.h"
#include "base/error.h"
#include "base/help.h"
#include "base/registry.h"
#include "check/decimal_sql.h"
#include "crypto/config_sql.h"
#include "crypto/credentials_sql.h"
#include "crypto/keys.h"
#include "crypto/keys_sql.h"
#include "crypto/lookup_sql.h"
#include "crypto/recovery_sql.h"
#include "limit/lease_sql.h"
#include "limit/limit_sql.h"

enum { OLDEST_SQLITE = 3040000 };

static void version_function(sqlite3_context *context, int argument_count,
                             sqlite3_value **arguments) {
    (void)argument_count;
    (void)arguments;
    /* copied: a static text could outlive the library, which is unloaded with its last connection */
    sqlite3_result_text(context, RUSTYBT_VERSION, -1, SQLITE_TRANSIENT);
}

static const rbt_function own_functions[] = {
    {"rustybt_version", 0, 0, RBT_PURE, version_function, "rustybt_version()", "nothing",
     "The version of rustybt", "SELECT rustybt_version()"},
    {0},
};

static const rbt_table own_tables[] = {
    {"rustybt_help", &rbt_help_module, "rustybt_help", "nothing",
     "Every function and table of rustybt: what it does, what it needs, an example",
     "SELECT signature, description FROM rustybt_help"},
    {0},
};

static const rbt_capability capabilities[] = {
    {rbt_credential_functions, NULL},
    {rbt_lookup_functions, NULL},
    {rbt_key_functions, rbt_key_tables},
    {NULL, rbt_key_usage_tables},
    {rbt_recovery_functions, NULL},
    {rbt_config_functions, NULL},
    {rbt_subject_functions, NULL},
    {rbt_audit_functions, rbt_audit_tables},
    {rbt_evidence_functions, NULL},
    {rbt_entry_functions, NULL},
    {rbt_setting_functions, NULL},
    {rbt_retention_functions, rbt_retention_tables},
    {rbt_archive_functions, rbt_archive_tables},
    {rbt_rate_functions, rbt_rate_tables},
    {rbt_lease_functions, rbt_lease_tables},
    {rbt_decimal_functions, NULL},
    {own_functions, own_tables},
};

static const rbt_catalogue catalogue = {capabilities, sizeof capabilities / sizeof capabilities[0]};

/* Registers the function once for each count of arguments that it takes. Each registration holds a
** reference, which SQLite gives back also when it fails. */
static void register_function(rbt_connection *connection, const rbt_function *function,
                              rbt_error *error) {
    for (int count = function->min_arguments; count <= function->max_arguments; count++) {
        rbt_connection_retain(connection);
        int code = sqlite3_create_function_v2(connection->db, function->name, count,
                                              function->flags, connection, function->call, NULL,
                                              NULL, rbt_connection_release);
        if (code != SQLITE_OK)
            rbt_fail(error, code, "rustybt: cannot register %s with %d arguments: %s",
                     function->name, count, sqlite3_errmsg(connection->db));
    }
}

/* The user data is the connection, but for rustybt_help, whose is the catalogue. */
static void register_table(rbt_connection *connection, const rbt_table *table, rbt_error *error) {
    int code;
    if (table->module == &rbt_help_module) {
        code = sqlite3_create_module_v2(connection->db, table->name, table->module,
                                        (void *)&catalogue, NULL);
    } else {
        rbt_connection_retain(connection);
        code = sqlite3_create_module_v2(connection->db, table->name, table->module, connection,
                                        rbt_connection_release);
    }
    if (code != SQLITE_OK)
        rbt_fail(error, code, "rustybt: cannot register %s: %s", table->name,
                 sqlite3_errmsg(connection->db));
}

static void register_all(rbt_connection *connection, rbt_error *error) {
    for (size_t i = 0; error->code == SQLITE_OK && i < catalogue.count; i++) {
        const rbt_function *function = capabilities[i].functions;
        for (; error->code == SQLITE_OK && function && function->name; function++)
            register_function(connection, function, error);
        const rbt_table *table = capabilities[i].tables;
        for (; error->code == SQLITE_OK && table && table->name; table++)
            register_table(connection, table, error);
    }
}

static void load(sqlite3 *db, rbt_error *error) {
    if (sqlite3_libversion_number() < OLDEST_SQLITE) {
        rbt_fail(error, SQLITE_ERROR, "rustybt: SQLite 3.40 or newer is needed, and this is %s",
                 sqlite3_libversion());
        return;
    }
    if (rbt_connection_is_loaded(db)) return;
    if (!rbt_crypto_init()) {
        rbt_fail(error, SQLITE_ERROR, "rustybt: libsodium cannot be initialised");
        return;
    }
    rbt_connection *connection = rbt_connection_new(db);
    if (!connection) {
        rbt_fail_nomem(error);
        return;
    }
    connection->segments = &rbt_archive_store;
    register_all(connection, error);
    /* After a failure what was registered stays until the connection closes or loads again. */
    connection->loaded = error->code == SQLITE_OK;
    rbt_connection_release(connection);
}

int sqlite3_rustybt_init(sqlite3 *db, char **pzErrMsg, const struct sqlite3_api_routines *pApi) {
    SQLITE_EXTENSION_INIT2(pApi);
    rbt_error error = {0};
    load(db, &error);
    int code = error.code;
    if (code != SQLITE_OK && pzErrMsg)
        *pzErrMsg = sqlite3_mprintf("%s", error.message ? error.message : "rustybt: out of memory");
    rbt_error_clear(&error);
    return code;
}
