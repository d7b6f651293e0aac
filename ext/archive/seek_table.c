/* SPDX-License-Identifier: MIT
** The seek table (format in seek_table.h). Pure; calls base only.
*/
#include "seek_table.h"

#include "../base/bytes.h"

#define FOOTER_MAGIC 0x8F92EAB1u
enum { DESCRIPTOR_CHECKSUMS = 0x80 };

static void add_u32(rbt_buffer *out, uint32_t value) {
    uint8_t bytes[4];
    rbt_store_u32le(bytes, value);
    rbt_buffer_add(out, bytes, sizeof bytes);
}

void rbt_seek_table_write(rbt_buffer *out, const rbt_seek_entry *entries, uint32_t count) {
    add_u32(out, RBT_SEEK_MAGIC);
    add_u32(out, count * RBT_SEEK_ENTRY + RBT_SEEK_FOOTER);
    for (uint32_t i = 0; i < count; i++) {
        add_u32(out, entries[i].compressed);
        add_u32(out, entries[i].decompressed);
        add_u32(out, entries[i].checksum);
    }
    add_u32(out, count);
    rbt_buffer_add_byte(out, DESCRIPTOR_CHECKSUMS);
    add_u32(out, FOOTER_MAGIC);
}

bool rbt_seek_table_footer(const uint8_t footer[RBT_SEEK_FOOTER], int64_t file_bytes,
                           uint32_t *count, int64_t *size, const char **why) {
    *count = rbt_load_u32le(footer);
    *size = RBT_SEEK_HEADER + (int64_t)*count * RBT_SEEK_ENTRY + RBT_SEEK_FOOTER;
    if (rbt_load_u32le(footer + 5) != FOOTER_MAGIC)
        *why = "the file does not end in a seek table";
    else if (!(footer[4] & DESCRIPTOR_CHECKSUMS))
        *why = "its frames have no checksums";
    else if (footer[4] != DESCRIPTOR_CHECKSUMS)
        *why = "its descriptor has reserved or unused bits set"; /* a segment is never written so */
    else if (*count < 2 || *count > RBT_SEEK_MAX_FRAMES)
        *why = "its number of frames is out of range";
    else if (*size > file_bytes)
        *why = "it is larger than the file";
    else
        return true;
    return false;
}

bool rbt_seek_table_parse(const uint8_t *frame, uint32_t count, rbt_seek_entry *entries,
                          const char **why) {
    if (rbt_load_u32le(frame) != RBT_SEEK_MAGIC) {
        *why = "its frame does not begin with 0x184D2A5E";
        return false;
    }
    if (rbt_load_u32le(frame + 4) != count * RBT_SEEK_ENTRY + RBT_SEEK_FOOTER) {
        *why = "its size and its number of frames disagree";
        return false;
    }
    const uint8_t *at = frame + RBT_SEEK_HEADER;
    for (uint32_t i = 0; i < count; i++, at += RBT_SEEK_ENTRY)
        entries[i] =
            (rbt_seek_entry){rbt_load_u32le(at), rbt_load_u32le(at + 4), rbt_load_u32le(at + 8)};
    return true;
}
