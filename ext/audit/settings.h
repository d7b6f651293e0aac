/* SPDX-License-Identifier: MIT
** The options of a log that may change: archive, archive_after and retain (DESIGN §6). The declaration, which
** the genesis binds, stays as it is; audit_set appends an event of action 'set' to rustybt_events, and
** what holds is the last event's value, else the declaration's:
**
**   {"option":"archive_after","value":"2 years","previous":"1 year","log_id":"32 hex digits"}
**
** log_id ties the event to this log, not to a later one of its name. retain only grows: the longest of the
** declaration and all events holds, so no event, nor one taken away, makes it shorter than declared.
** audit_set also gives a log columns and indexes (log_extend.h), with events of the same action. May call
** base and audit.
*/
#ifndef RBT_AUDIT_SETTINGS_H
#define RBT_AUDIT_SETTINGS_H

#include "../base/registry.h"
#include "log_state.h"

typedef struct rbt_settings {
    char *archive, *archive_after, *retain; /* NULL: none */
    rbt_duration archive_after_duration, retain_duration;
} rbt_settings;

/* Reads what holds now; who begins the error message. Free in any case. */
int rbt_settings_read(rbt_settings *settings, rbt_log *log, const char *who, rbt_error *error);
void rbt_settings_free(rbt_settings *settings);

/* audit_set; ends with a row of zeros. */
extern const rbt_function rbt_setting_functions[];

#endif
