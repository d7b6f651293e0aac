/* SPDX-License-Identifier: MIT
** The UTF-8 check: eight ASCII bytes at a time, else sequence by sequence. Calls nobody.
*/
#include "utf8.h"

#include "utf8_sequence.h"

#include <string.h>

size_t rbt_utf8_valid_length(const uint8_t *text, size_t length) {
    size_t i = 0;
    while (i < length) {
        uint64_t eight;
        if (length - i >= sizeof eight) {
            memcpy(&eight, text + i, sizeof eight);
            if ((eight & 0x8080808080808080u) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        size_t sequence = rbt_utf8_sequence(text + i, length - i);
        if (sequence == 0) return i;
        i += sequence;
    }
    return i;
}
