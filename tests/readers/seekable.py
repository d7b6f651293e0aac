# SPDX-License-Identifier: MIT
"""A reader of the zstd seekable format 0.1.0, from its specification alone (zstd's
contrib/seekable_format/zstd_seekable_compression_format.md), with the rules that upstream's reader
(zstdseek_decompress.c) holds files to. It knows nothing of segments.

    seekable.py FILE

prints lines and sum of their "id"s, read frame by frame; then how many ranges of text, each read by
decoding only the frames that the seek table names for it, came out as in the whole text.
"""

import json
import random
import struct
import sys

import zstandard

MASK = (1 << 64) - 1
P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P4, P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def rotate(value, bits):
    return (value << bits | value >> 64 - bits) & MASK


def mix(lane, word):
    return rotate((lane + word * P2) & MASK, 31) * P1 & MASK


def xxh64(data):
    """XXH64, seed 0 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md)."""
    at, length = 0, len(data)
    if length >= 32:
        a, b, c, d = (P1 + P2) & MASK, P2, 0, -P1 & MASK
        words = struct.unpack_from("<%dQ" % (length // 32 * 4), data)
        for i in range(0, len(words), 4):
            a = (a + words[i] * P2) & MASK
            a = (a << 31 | a >> 33) * P1 & MASK
            b = (b + words[i + 1] * P2) & MASK
            b = (b << 31 | b >> 33) * P1 & MASK
            c = (c + words[i + 2] * P2) & MASK
            c = (c << 31 | c >> 33) * P1 & MASK
            d = (d + words[i + 3] * P2) & MASK
            d = (d << 31 | d >> 33) * P1 & MASK
        at = len(words) * 8
        value = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) & MASK
        for lane in (a, b, c, d):
            value = ((value ^ mix(0, lane)) * P1 + P4) & MASK
    else:
        value = P5
    value = (value + length) & MASK
    while at + 8 <= length:
        value = (rotate(value ^ mix(0, *struct.unpack_from("<Q", data, at)), 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= length:
        value ^= struct.unpack_from("<I", data, at)[0] * P1 & MASK
        value = (rotate(value, 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        value = rotate(value ^ byte * P5 & MASK, 11) * P1 & MASK
    value = (value ^ value >> 33) * P2 & MASK
    value = (value ^ value >> 29) * P3 & MASK
    return value ^ value >> 32


def seek_table(data):
    """[(offset, size, text size, checksum), …] of every frame but the table's own."""
    frames, descriptor, magic = struct.unpack("<IBI", data[-9:])
    if magic != 0x8F92EAB1:
        raise ValueError("the file does not end in Seekable_Magic_Number")
    if descriptor & 0x7C:
        raise ValueError("a reserved bit of Seek_Table_Descriptor is set")
    entry = 12 if descriptor & 0x80 else 8
    size = frames * entry + 9
    if struct.unpack_from("<II", data, len(data) - size - 8) != (0x184D2A5E, size):
        raise ValueError("the seek table is no skippable frame of its size")
    table, offset = [], 0
    for i in range(frames):
        at = len(data) - size + entry * i
        compressed, text = struct.unpack_from("<II", data, at)
        checksum = struct.unpack_from("<I", data, at + 8)[0] if entry == 12 else None
        table.append((offset, compressed, text, checksum))
        offset += compressed
    if offset != len(data) - size - 8:
        raise ValueError("the frames of the table are not those before it")
    return table


def decode(data, frame):
    """One frame's text; a skippable frame has none."""
    offset, size, text, checksum = frame
    if text == 0:
        out = b""
    else:
        out = zstandard.ZstdDecompressor().decompress(data[offset : offset + size])
    if len(out) != text:
        raise ValueError("a frame has other text than the table says")
    if checksum is not None and checksum != xxh64(out) & 0xFFFFFFFF:
        raise ValueError("a frame's checksum is wrong")
    return out


def main():
    data = open(sys.argv[1], "rb").read()
    table = seek_table(data)
    texts = [decode(data, frame) for frame in table]
    whole = b"".join(texts)
    lines = whole.splitlines()
    print(f"{len(lines)}|{sum(json.loads(line)['id'] for line in lines)}")

    starts = [0]
    for frame in table:
        starts.append(starts[-1] + frame[2])
    generator = random.Random(1)
    right = 0
    for _ in range(20):
        first = generator.randrange(len(whole))
        last = min(len(whole), first + generator.randrange(1, 100000))
        part, begin = b"", None
        for i, frame in enumerate(table):
            if starts[i] < last and starts[i + 1] > first:
                begin = starts[i] if begin is None else begin
                part += zstandard.ZstdDecompressor().decompress(
                    data[frame[0] : frame[0] + frame[1]]
                )
        right += part[first - begin : last - begin] == whole[first:last]
    print(f"{right} of 20 ranges")


main()
