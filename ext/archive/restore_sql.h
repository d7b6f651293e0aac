/* SPDX-License-Identifier: MIT
** audit_restore(log, path_or_glob[, vkeys]): a log made again from its segments (audit/log_restore.h). */
#ifndef RBT_ARCHIVE_RESTORE_SQL_H
#define RBT_ARCHIVE_RESTORE_SQL_H

#include "../base/sqlite.h"

void rbt_audit_restore(sqlite3_context *context, int argument_count, sqlite3_value **arguments);

#endif
