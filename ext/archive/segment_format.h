/* SPDX-License-Identifier: MIT
** Numbers of the segment format that writer and reader share (DESIGN §7).
**
** The skippable frame that holds the manifest, after zstd's magic and size:
**
**   0        "RBTARC01"
**   8        M           u32 LE
**   12       manifest    M bytes
**   12+M     N           u32 LE
**   16+M     note        N bytes
**   16+M+N   XXH3-64     u64 LE of all bytes before, from "RBTARC01" on
*/
#ifndef RBT_ARCHIVE_SEGMENT_FORMAT_H
#define RBT_ARCHIVE_SEGMENT_FORMAT_H

#define RBT_CONTENT_FRAME_MAGIC 0x184D2A5Au
#define RBT_CONTENT_MAGIC "RBTARC01"
enum { RBT_CONTENT_MAGIC_SIZE = 8, RBT_CONTENT_OVERHEAD = 24, RBT_NOTE_MAX = 1024 * 1024 };

#endif
