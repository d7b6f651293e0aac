/* SPDX-License-Identifier: MIT
** The archive as the audit log sees it: audit/segment_store.h, implemented. */
#ifndef RBT_ARCHIVE_STORE_H
#define RBT_ARCHIVE_STORE_H

#include "../audit/segment_store.h"

extern const rbt_segment_store rbt_archive_store;

#endif
