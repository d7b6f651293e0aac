/* SPDX-License-Identifier: MIT
** The table rustybt_subject_keys, in main, made when the first subject gets its key:
**
**   id            INTEGER PRIMARY KEY
**   sid           8 bytes, which name the key in tokens and in rustybt_events
**   wrapped       the key (crypto/subject.h), NULL once forgotten
**   subject       blind_index(the subject's name, 'rustybt subject'), NULL once forgotten
**   name          the subject's name as a token under its own key, context 'rustybt subject': lets
**                 rotation compute `subject` anew; NULL once forgotten
**   created_us, forgotten_us
**
** Rows are never deleted, so that a token always says whose it was and when that was forgotten. Triggers
** refuse what does not come from subject_keys.c, but for the UPDATE that rotates: `subject` and
** `wrapped` may be replaced by others of their form.
*/
#ifndef RBT_AUDIT_SUBJECT_TABLE_H
#define RBT_AUDIT_SUBJECT_TABLE_H

#include "../base/error.h"
#include "../base/sqlite.h"
#include <stdbool.h>
#include <stdint.h>

#define RBT_SUBJECT_TABLE "rustybt_subject_keys"

/* Whether main has anything of that name. */
int rbt_subject_table_present(sqlite3 *db, bool *present, const char *who, rbt_error *error);

/* Makes whatever part of the table is missing, whole or not at all where a transaction of its own, or a
** savepoint, can be had. A part that reads otherwise than it was made is an error, and stays. */
int rbt_subject_table_make(sqlite3 *db, const char *who, rbt_error *error);

/* Records why a write to the table failed, in the words of someone who only wanted to encrypt. */
int rbt_subject_write_failed(sqlite3 *db, const char *who, rbt_error *error);

/* Sets main's secure_delete, so that what is freed is overwritten; *before: OUT, what it was: 0, 1, 2 for
** FAST, or -1 when that could not be read. */
int rbt_secure_delete_on(sqlite3 *db, int64_t *before, const char *who, rbt_error *error);
void rbt_secure_delete_restore(sqlite3 *db, int64_t before);

#endif
