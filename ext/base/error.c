/* SPDX-License-Identifier: MIT
** The sticky error and its ways out into SQLite. Calls SQLite's allocator, printf and results only.
*/
#include "error.h"

#include <stdarg.h>

/* Primary result code: the low byte (sqlite.org/rescode.html). */
static int primary_code(int code) {
    return code & 0xff;
}

int rbt_fail(rbt_error *error, int code, const char *format, ...) {
    if (error->code != SQLITE_OK) return error->code;
    if (primary_code(code) == SQLITE_NOMEM) return rbt_fail_nomem(error);

    va_list arguments;
    va_start(arguments, format);
    error->message = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    if (!error->message) return rbt_fail_nomem(error);
    error->code = code == SQLITE_OK ? SQLITE_ERROR : code;
    return error->code;
}

int rbt_fail_nomem(rbt_error *error) {
    if (error->code == SQLITE_OK) error->code = SQLITE_NOMEM;
    return error->code;
}

int rbt_fail_db(rbt_error *error, sqlite3 *db, const char *prefix) {
    if (error->code != SQLITE_OK) return error->code;
    int extended = sqlite3_extended_errcode(db);
    if (extended == SQLITE_IOERR_NOMEM) return rbt_fail_nomem(error);
    int code = primary_code(extended);
    if (code == SQLITE_ROW || code == SQLITE_DONE) code = SQLITE_ERROR;
    return rbt_fail(error, code, "%s: %s", prefix, sqlite3_errmsg(db));
}

void rbt_error_clear(rbt_error *error) {
    sqlite3_free(error->message);
    *error = (rbt_error){0};
}

/* The code that SQLite may see: IOERR and FULL from a function or a virtual table make it roll back
** the caller's whole transaction (sqlite.org/lang_transaction.html), which a failed call must not.
 */
static int public_code(const rbt_error *error) {
    int code = primary_code(error->code);
    if (code == SQLITE_OK || code == SQLITE_IOERR || code == SQLITE_FULL) return SQLITE_ERROR;
    return error->code;
}

void rbt_result_error(sqlite3_context *context, rbt_error *error) {
    int code = public_code(error);
    if (code == SQLITE_NOMEM) {
        sqlite3_result_error_nomem(context);
    } else if (code == SQLITE_TOOBIG) {
        sqlite3_result_error_toobig(context);
    } else {
        if (error->message) sqlite3_result_error(context, error->message, -1);
        sqlite3_result_error_code(context, code); /* keeps a message that is already there */
    }
    rbt_error_clear(error);
}

int rbt_vtab_error(sqlite3_vtab *table, rbt_error *error) {
    if (error->code == SQLITE_OK) return SQLITE_OK;
    int code = public_code(error);
    sqlite3_free(table->zErrMsg);
    table->zErrMsg = error->message;
    *error = (rbt_error){0};
    return code;
}
