/* SPDX-License-Identifier: MIT
** PRAGMA integrity_check and quick_check of a log, where SQLite is 3.44 or newer (sqlite.org/vtab.html,
** The xIntegrity Method). May call base and audit.
**
** What is wrong with the log goes into the one string that SQLite shows, a problem a line, and is never an
** error of the statement: integrity_check has other tables to look at. An error is what audit_verify could
** try again: no memory, a lock, an interrupt. Nothing to trust a signature or seal by is no damage of the
** database, so it is not told here; audit_verify tells it.
*/
#include "log_table.h"

#include "../base/memory.h"
#include "log_verify.h"

enum { LINES_SHOWN = 100 }; /* as integrity_check itself */

typedef struct report {
    rbt_buffer lines;
    const char *schema;
    int64_t problems;
} report;

static void add_line(void *context, const char *level, const char *kind, int64_t id,
                     const char *detail) {
    report *r = context;
    if (strcmp(level, "error") != 0 || strcmp(kind, "untrusted") == 0) return;
    if (r->problems++ >= LINES_SHOWN) return;
    if (r->lines.length) rbt_buffer_add_byte(&r->lines, '\n');
    rbt_buffer_printf(&r->lines, "%s.%s [%s", r->schema, detail, kind);
    if (id >= 0) rbt_buffer_printf(&r->lines, ", id %lld", (long long)id);
    rbt_buffer_add_byte(&r->lines, ']');
}

static bool may_pass(int code) {
    return code == SQLITE_NOMEM || code == SQLITE_BUSY || code == SQLITE_LOCKED ||
           code == SQLITE_INTERRUPT;
}

int rbt_log_integrity(sqlite3_vtab *table, const char *schema, const char *name, int flags,
                      char **problems) {
    rbt_log *log = ((rbt_log_vtab *)table)->log;
    rbt_error error = {0};
    report r = {.schema = schema};
    rbt_verification v = {.log = log,
                          .who = "integrity_check",
                          .sink = add_line,
                          .context = &r,
                          .quick = (flags & 1) != 0};
    (void)name; /* the log's own */
    rbt_log_verify(&v, NULL, NULL, &error);
    if (r.problems > LINES_SHOWN)
        rbt_buffer_printf(&r.lines,
                          "\n%s.%s: and %lld more problems; SELECT * FROM audit_verify('%s')",
                          schema, log->name, (long long)r.problems - LINES_SHOWN, log->name);
    int code = may_pass(error.code) ? error.code : SQLITE_OK;
    if (error.code != SQLITE_OK && code == SQLITE_OK)
        rbt_buffer_printf(&r.lines, "%s%s.%s: it could not be verified: %s",
                          r.lines.length ? "\n" : "", schema, log->name,
                          error.message ? error.message : "for an unknown reason");
    if (code == SQLITE_OK && r.lines.failed) code = SQLITE_NOMEM;
    if (code == SQLITE_OK && r.lines.length) {
        *problems = rbt_buffer_take(&r.lines);
        if (!*problems) code = SQLITE_NOMEM;
    }
    rbt_buffer_free(&r.lines);
    rbt_error_clear(&error);
    return code;
}
