/* SPDX-License-Identifier: MIT
** The zstd seekable format 0.1.0 (zstd/contrib/seekable_format): the last frame of a segment.
**
**   u32 LE 0x184D2A5E, u32 LE size of all below
**   per frame: u32 LE compressed size, u32 LE decompressed size, u32 LE low half of XXH64 of the
** text
**   u32 LE number of frames, u8 descriptor (0x80: with checksums), u32 LE 0x8F92EAB1
**
** All integers here are bounded in 64 bits; the upstream reader does not do so. Pure.
*/
#ifndef RBT_ARCHIVE_SEEK_TABLE_H
#define RBT_ARCHIVE_SEEK_TABLE_H

#include "../base/buffer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RBT_SEEK_HEADER = 8,
    RBT_SEEK_ENTRY = 12,
    RBT_SEEK_FOOTER = 9,
    RBT_SEEK_MAX_FRAMES = 1048577 /* a frame a line at worst, and the manifest */
};
#define RBT_SEEK_MAGIC 0x184D2A5Eu

typedef struct rbt_seek_entry {
    uint32_t compressed, decompressed; /* bytes */
    uint32_t checksum;                 /* low 32 bits of XXH64, seed 0, of the decompressed bytes */
} rbt_seek_entry;

/* XXH64's low half of nothing: the checksum of a skippable frame. */
#define RBT_SEEK_EMPTY_CHECKSUM 0x51D8E999u

/* Appends the whole skippable frame. */
void rbt_seek_table_write(rbt_buffer *out, const rbt_seek_entry *entries, uint32_t count);

/* From the last RBT_SEEK_FOOTER bytes of a file of file_bytes: how many entries, and how many bytes
** the whole skippable frame takes at the file's end. False and *why when there is no such table. */
bool rbt_seek_table_footer(const uint8_t footer[RBT_SEEK_FOOTER], int64_t file_bytes,
                           uint32_t *count, int64_t *size, const char **why);

/* Reads the whole frame, whose size is what rbt_seek_table_footer said, into entries[count]. */
bool rbt_seek_table_parse(const uint8_t *frame, uint32_t count, rbt_seek_entry *entries,
                          const char **why);

#endif
