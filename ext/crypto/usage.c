/* SPDX-License-Identifier: MIT
** See usage.h. Calls envelope, fernet, keys and base.
**
** It runs over every value of a database, so the common answer, "nothing", comes from the length and
** the first bytes.
*/
#include "usage.h"

#include "../base/bytes.h"
#include "blind_index.h"
#include "envelope.h"
#include "fernet.h"
#include <string.h>

enum { KIND_AT = 3, KEY_ID_AT = 4, CREATED_AT = 12 };

/* Base64 letters of the shortest Fernet token, and what each token begins with: version 0x80 and the
** zero bits at the top of any time before the year 141,000. */
enum { FERNET_LETTERS = (RBT_FERNET_MINIMUM * 8 + 5) / 6 };
static const char fernet_opening[] = {'g', 'A', 'A', 'A', 'A'};

const char *rbt_usage_format_name(rbt_usage_format format) {
    switch (format) {
    case RBT_USAGE_BLIND_INDEX:
        return "blind_index";
    case RBT_USAGE_ENVELOPE:
        return "envelope";
    case RBT_USAGE_FERNET:
        return "fernet";
    case RBT_USAGE_SEAL:
        return "seal";
    case RBT_USAGE_SUBJECT:
        return "subject";
    case RBT_USAGE_SUBJECT_KEY:
        return "subject_key";
    case RBT_USAGE_NONE:
    case RBT_USAGE_MAYBE_BLIND_INDEX:
        break;
    }
    return NULL;
}

static void set_key(rbt_usage *usage, const uint8_t *id) {
    usage->has_key = true;
    memcpy(usage->key_id, id, RBT_KEY_ID_SIZE);
}

static void set_time(rbt_usage *usage, uint64_t seconds) {
    usage->has_time = true;
    usage->time_us = seconds > INT64_MAX / 1000000 ? INT64_MAX : (int64_t)seconds * 1000000;
}

static void read_envelope(rbt_usage *usage, const uint8_t *bytes) {
    switch (bytes[KIND_AT]) {
    case RBT_ENVELOPE_KIND_RING:
        usage->format = RBT_USAGE_ENVELOPE;
        set_key(usage, bytes + KEY_ID_AT);
        break;
    case RBT_ENVELOPE_KIND_WRAPPED_SUBJECT:
        usage->format = RBT_USAGE_SUBJECT_KEY;
        set_key(usage, bytes + KEY_ID_AT);
        break;
    case RBT_ENVELOPE_KIND_SUBJECT: /* where the key's id would stand is the subject's */
        usage->format = RBT_USAGE_SUBJECT;
        break;
    default: /* a key backup depends on its passphrase, not on a key */
        return;
    }
    set_time(usage, rbt_load_u64le(bytes + CREATED_AT));
}

static bool read_fernet(rbt_usage *usage, const uint8_t *bytes, size_t length, const rbt_keys *keys,
                        rbt_buffer *scratch) {
    rbt_buffer_clear(scratch);
    if (!rbt_fernet_decode(scratch, bytes, length)) return !scratch->failed;
    usage->format = RBT_USAGE_FERNET;
    set_time(usage, rbt_fernet_time(scratch->data));
    for (size_t i = 0; i < rbt_keys_count(keys); i++) {
        const rbt_ring_key *key = rbt_keys_at(keys, i);
        if (!rbt_fernet_authentic(scratch->data, scratch->length, key->fernet_sign)) continue;
        set_key(usage, key->id);
        break;
    }
    return true;
}

bool rbt_usage_of(rbt_usage *usage, const uint8_t *bytes, size_t length, bool is_text,
                  const rbt_keys *keys, rbt_buffer *scratch) {
    memset(usage, 0, sizeof *usage);
    if (length == RBT_BLIND_INDEX_SIZE && !is_text) {
        usage->format =
            rbt_keys_find(keys, bytes) ? RBT_USAGE_BLIND_INDEX : RBT_USAGE_MAYBE_BLIND_INDEX;
        set_key(usage, bytes);
    } else if (length >= RBT_ENVELOPE_OVERHEAD && rbt_envelope_recognised(bytes, length)) {
        read_envelope(usage, bytes);
    } else if (length >= FERNET_LETTERS &&
               memcmp(bytes, fernet_opening, sizeof fernet_opening) == 0) {
        return read_fernet(usage, bytes, length, keys, scratch);
    }
    return true;
}
