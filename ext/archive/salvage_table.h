/* SPDX-License-Identifier: MIT
** archive_salvage: what can still be read of damaged segments, and what cannot, as one table. */
#ifndef RBT_ARCHIVE_SALVAGE_TABLE_H
#define RBT_ARCHIVE_SALVAGE_TABLE_H

#include "../base/sqlite.h"

extern const sqlite3_module rbt_archive_salvage_module;

#endif
