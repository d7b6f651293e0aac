/* SPDX-License-Identifier: MIT
** Segments as tables: the module archive (a table with the log's own columns) and archive_entries (path,
** id, recorded_at, leaf). */
#ifndef RBT_ARCHIVE_ARCHIVE_TABLE_H
#define RBT_ARCHIVE_ARCHIVE_TABLE_H

#include "../base/sqlite.h"

extern const sqlite3_module rbt_archive_module;
extern const sqlite3_module rbt_archive_entries_module;

#endif
