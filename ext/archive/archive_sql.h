/* SPDX-License-Identifier: MIT
** What the archive offers as SQL: archive_verify (both forms), archive_info, archive_entries and the
** module archive. Both arrays end in a row of zeros; user data is the rbt_connection. */
#ifndef RBT_ARCHIVE_ARCHIVE_SQL_H
#define RBT_ARCHIVE_ARCHIVE_SQL_H

#include "../base/registry.h"

extern const rbt_function rbt_archive_functions[];
extern const rbt_table rbt_archive_tables[];

#endif
