/* SPDX-License-Identifier: MIT
** SQL values as a log's columns take them: strict types, valid UTF-8, strict JSON, defaults. */
#ifndef RBT_AUDIT_LOG_VALUES_H
#define RBT_AUDIT_LOG_VALUES_H

#include "log_state.h"

/* Converts one value per declared column into log->values (borrowed from the arguments, log->texts and
** log->fallback_values: valid until the next call). Fails with "<log>: <column> must be …". */
int rbt_log_values(rbt_log *log, sqlite3_value **arguments, rbt_error *error);

/* A stored column (of <log>_rows) as the leaf has it; *fits is false when it is not of the column's
** type, which no append could have written. Borrowed from the value. */
rbt_value rbt_log_stored_value(sqlite3_value *stored, rbt_column_type type, bool *fits);

#endif
