/* SPDX-License-Identifier: MIT
** The manifest of a segment, written and read (members in manifest.h).
** Pure; calls base and audit's leaf and tree.
*/
#include "manifest.h"

#include "../base/base64.h"
#include "../base/bytes.h"
#include "../base/memory.h"
#include "filter.h"
#include "zone.h"

static const char format_name[] = "rustybt-segment-v1";

/* ---- Writing ---- */

static void add_key(rbt_buffer *out, const char *name) {
    rbt_buffer_add_byte(out, ',');
    rbt_json_add_string(out, name, strlen(name));
    rbt_buffer_add_byte(out, ':');
}

static void add_text(rbt_buffer *out, const char *name, const char *text) {
    add_key(out, name);
    rbt_json_add_string(out, text, strlen(text));
}

static void add_number(rbt_buffer *out, const char *name, int64_t value) {
    add_key(out, name);
    rbt_buffer_add_i64(out, value);
}

static void add_base64(rbt_buffer *out, const uint8_t *bytes, size_t length) {
    rbt_buffer_add_byte(out, '"');
    rbt_base64_encode(out, bytes, length, false);
    rbt_buffer_add_byte(out, '"');
}

static void add_hash(rbt_buffer *out, const char *name, const uint8_t hash[32]) {
    add_key(out, name);
    if (hash)
        add_base64(out, hash, 32);
    else
        rbt_buffer_add_text(out, "null");
}

static void add_hashes(rbt_buffer *out, const char *name, const rbt_hash *hashes, size_t count) {
    add_key(out, name);
    rbt_buffer_add_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) rbt_buffer_add_byte(out, ',');
        add_base64(out, hashes[i].bytes, sizeof hashes[i].bytes);
    }
    rbt_buffer_add_byte(out, ']');
}

static void add_hex(rbt_buffer *out, const char *name, const uint8_t *bytes, size_t length) {
    add_key(out, name);
    rbt_buffer_add_byte(out, '"');
    rbt_buffer_add_hex(out, bytes, length);
    rbt_buffer_add_byte(out, '"');
}

static void add_columns(rbt_buffer *out, const rbt_leaf_shape *shape) {
    add_key(out, "columns");
    rbt_buffer_add_byte(out, '[');
    for (size_t i = 0; i < shape->count; i++) {
        rbt_buffer_add_text(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        rbt_json_add_string(out, shape->columns[i].name, strlen(shape->columns[i].name));
        add_text(out, "type", rbt_column_type_name(shape->columns[i].type));
        if (shape->columns[i].since) add_number(out, "since", shape->columns[i].since);
        rbt_buffer_add_byte(out, '}');
    }
    rbt_buffer_add_byte(out, ']');
}

static void add_frame(rbt_buffer *out, const rbt_manifest_frame *frame,
                      const rbt_manifest_facts *facts) {
    uint8_t xxh3[8];
    rbt_store_u64be(xxh3, frame->xxh3);
    rbt_buffer_add_text(out, "{\"offset\":");
    rbt_buffer_add_i64(out, frame->offset);
    add_number(out, "size", frame->size);
    add_number(out, "raw", frame->raw);
    add_number(out, "rows", frame->rows);
    add_number(out, "first_id", frame->first_id);
    add_number(out, "last_id", frame->last_id);
    add_hex(out, "xxh3", xxh3, sizeof xxh3);
    add_hash(out, "sha256", frame->sha256);
    add_key(out, "zones");
    rbt_buffer_add(out, facts->zones->data + frame->zones_start, frame->zones_length);
    if (frame->filters_length > 0) {
        add_key(out, "filters");
        rbt_buffer_add(out, facts->filters->data + frame->filters_start, frame->filters_length);
    }
    rbt_buffer_add_byte(out, '}');
}

void rbt_manifest_write(rbt_buffer *out, const rbt_segment_plan *plan,
                        const rbt_manifest_facts *facts) {
    rbt_buffer_add_text(out, "{\"format\":");
    rbt_json_add_string(out, format_name, sizeof format_name - 1);
    add_text(out, "log", plan->log);
    add_hex(out, "log_id", plan->log_id, sizeof plan->log_id);
    add_text(out, "origin", plan->origin);
    add_columns(out, plan->shape);
    add_key(out, "salted");
    rbt_buffer_add_text(out, plan->shape->salted ? "true" : "false");
    add_number(out, "first_id", plan->first_id);
    add_number(out, "last_id", plan->last_id);
    add_number(out, "first_recorded_at", facts->first_recorded_at);
    add_number(out, "last_recorded_at", facts->last_recorded_at);
    add_number(out, "rows", facts->rows);
    add_number(out, "raw_bytes", facts->raw_bytes);
    add_number(out, "data_bytes", facts->data_bytes);
    add_hashes(out, "frontier_before", plan->before->nodes, rbt_frontier_count(plan->before));
    add_hash(out, "root_before", facts->root_before.bytes);
    add_hash(out, "root_after", facts->root_after.bytes);
    add_text(out, "genesis", plan->genesis);
    add_hashes(out, "genesis_proof", plan->genesis_proof->hashes, plan->genesis_proof->count);
    if (plan->checkpoint) {
        add_text(out, "checkpoint", plan->checkpoint);
    } else {
        add_key(out, "checkpoint");
        rbt_buffer_add_text(out, "null");
    }
    add_hash(out, "data_sha256", facts->data_sha256);
    add_hash(out, "previous_manifest_sha256", plan->previous_manifest);
    add_hex(out, "signer_key_id", plan->signer.key_id, sizeof plan->signer.key_id);
    if (plan->retain_until_us != 0) {
        add_number(out, "retain_until", plan->retain_until_us);
    } else {
        add_key(out, "retain_until");
        rbt_buffer_add_text(out, "null");
    }
    add_key(out, "frames");
    for (size_t i = 0; i < facts->frame_count; i++) {
        rbt_buffer_add_byte(out, i > 0 ? ',' : '[');
        add_frame(out, &facts->frames[i], facts);
    }
    rbt_buffer_add_text(out, "]}");
}

void rbt_segment_note_text(rbt_buffer *out, const char *origin, int64_t first_id, int64_t last_id,
                           const uint8_t manifest_sha256[32]) {
    rbt_buffer_add_text(out, format_name);
    rbt_buffer_add_text(out, "\norigin ");
    rbt_buffer_add_text(out, origin);
    rbt_buffer_add_text(out, "\nids ");
    rbt_buffer_add_i64(out, first_id);
    rbt_buffer_add_byte(out, ' ');
    rbt_buffer_add_i64(out, last_id);
    rbt_buffer_add_text(out, "\nmanifest ");
    rbt_base64_encode(out, manifest_sha256, 32, false);
    rbt_buffer_add_byte(out, '\n');
}

bool rbt_genesis_recorded_at(const char *line, size_t length, int64_t *recorded_at) {
    static const char start[] = "{\"id\":0,\"recorded_at\":";
    size_t at = sizeof start - 1;
    if (length <= at || memcmp(line, start, at) != 0) return false;
    for (size_t i = 0; i < length; i++)
        if ((uint8_t)line[i] < 0x20) return false;
    int64_t value = 0;
    for (; at < length && line[at] >= '0' && line[at] <= '9'; at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, line[at] - '0', &value))
            return false;
    *recorded_at = value;
    return at > sizeof start - 1 && at < length && line[at] == ',';
}

/* ---- Reading: each getter is a no-op once the error is set ---- */

typedef struct parser {
    const rbt_json *document;
    rbt_error *error;
    rbt_buffer scratch;
} parser;

static void refuse(parser *p, const char *name) {
    if (p->scratch.failed)
        rbt_fail_nomem(p->error);
    else
        rbt_fail(p->error, SQLITE_ERROR, "manifest: %s is missing or out of range", name);
}

static const rbt_json_node *member(parser *p, const rbt_json_node *of, const char *name) {
    return rbt_json_member(p->document, of, name);
}

/* null counts as absent. */
static const rbt_json_node *optional(parser *p, const rbt_json_node *of, const char *name) {
    const rbt_json_node *node = member(p, of, name);
    return node && node->type == RBT_JSON_NULL ? NULL : node;
}

static int64_t get_number(parser *p, const rbt_json_node *of, const char *name, int64_t least,
                          int64_t most) {
    int64_t value;
    if (p->error->code != SQLITE_OK) return least;
    const rbt_json_node *node = member(p, of, name);
    if (node && rbt_json_i64(p->document, node, &value) && value >= least && value <= most)
        return value;
    refuse(p, name);
    return least;
}

static void get_bytes(parser *p, const rbt_json_node *of, const char *name, rbt_buffer *out) {
    if (p->error->code != SQLITE_OK) return;
    if (!rbt_json_string(p->document, member(p, of, name), out) || out->failed) {
        p->scratch.failed |= out->failed;
        refuse(p, name);
    }
}

/* A string without NUL, as a copy of its own; NULL on failure. */
static char *get_text(parser *p, const rbt_json_node *of, const char *name) {
    rbt_buffer text = {0};
    get_bytes(p, of, name, &text);
    if (p->error->code == SQLITE_OK && text.length > 0 && memchr(text.data, 0, text.length))
        refuse(p, name);
    if (p->error->code != SQLITE_OK) {
        rbt_buffer_free(&text);
        return NULL;
    }
    char *taken = rbt_buffer_take(&text);
    if (!taken) rbt_fail_nomem(p->error);
    return taken;
}

static void get_hash_of(parser *p, const rbt_json_node *node, const char *name, uint8_t hash[32]) {
    if (p->error->code != SQLITE_OK) return;
    rbt_buffer_clear(&p->scratch);
    if (node && node->type == RBT_JSON_STRING &&
        rbt_base64_decode(&p->scratch, p->document->text + node->start, node->length, false,
                          false) &&
        p->scratch.length == 32)
        memcpy(hash, p->scratch.data, 32);
    else
        refuse(p, name);
}

static void get_hash(parser *p, const rbt_json_node *of, const char *name, uint8_t hash[32]) {
    get_hash_of(p, member(p, of, name), name, hash);
}

static void get_hex(parser *p, const rbt_json_node *of, const char *name, uint8_t *bytes,
                    size_t length) {
    if (p->error->code != SQLITE_OK) return;
    const rbt_json_node *node = member(p, of, name);
    if (!node || node->type != RBT_JSON_STRING ||
        !rbt_hex_decode(bytes, length, p->document->text + node->start, node->length))
        refuse(p, name);
}

/* An array of at most limit hashes; returns how many. */
static size_t get_hashes(parser *p, const rbt_json_node *of, const char *name, rbt_hash *hashes,
                         size_t limit) {
    if (p->error->code != SQLITE_OK) return 0;
    const rbt_json_node *array = member(p, of, name);
    if (!array || array->type != RBT_JSON_ARRAY || array->children > limit) {
        refuse(p, name);
        return 0;
    }
    size_t count = 0;
    const rbt_json_node *node = rbt_json_first(p->document, array);
    for (; node; node = rbt_json_next(p->document, node))
        get_hash_of(p, node, name, hashes[count++].bytes);
    return count;
}

static bool get_flag(parser *p, const rbt_json_node *of, const char *name) {
    const rbt_json_node *node = member(p, of, name);
    if (!node || (node->type != RBT_JSON_TRUE && node->type != RBT_JSON_FALSE)) refuse(p, name);
    return node && node->type == RBT_JSON_TRUE;
}

static bool name_taken(const rbt_leaf_shape *shape, const char *name) {
    if (sqlite3_stricmp(name, "id") == 0 || sqlite3_stricmp(name, "recorded_at") == 0) return true;
    for (size_t i = 0; i < shape->count; i++)
        if (sqlite3_stricmp(shape->columns[i].name, name) == 0) return true;
    return false;
}

static void get_columns(parser *p, const rbt_json_node *root, rbt_leaf_shape *shape) {
    enum { most_columns = 2000 }; /* SQLITE_MAX_COLUMN */
    const rbt_json_node *columns = member(p, root, "columns");
    if (!columns || columns->type != RBT_JSON_ARRAY || columns->children > most_columns) {
        refuse(p, "columns");
        return;
    }
    const rbt_json_node *node = rbt_json_first(p->document, columns);
    for (; node && p->error->code == SQLITE_OK; node = rbt_json_next(p->document, node)) {
        rbt_column_type type;
        char *name = get_text(p, node, "name");
        char *type_name = get_text(p, node, "type");
        int64_t since = 0, before = shape->count ? shape->columns[shape->count - 1].since : 0;
        if (before || member(p, node, "since"))
            since = get_number(p, node, "since", before > 1 ? before : 1, INT64_MAX);
        if (name && type_name) {
            if (!rbt_column_type_parse(&type, type_name, strlen(type_name)) ||
                name_taken(shape, name))
                refuse(p, "columns");
            else if (rbt_leaf_shape_add(shape, name, strlen(name), type, p->error) == SQLITE_OK)
                shape->columns[shape->count - 1].since = since;
        }
        rbt_free(name);
        rbt_free(type_name);
    }
    shape->salted = get_flag(p, root, "salted");
}

static void get_frame(parser *p, const rbt_json_node *node, rbt_manifest_frame *frame) {
    uint8_t xxh3[8] = {0};
    frame->offset = get_number(p, node, "offset", 0, INT64_MAX);
    frame->size = get_number(p, node, "size", 1, RBT_FRAME_MAX_SIZE);
    frame->raw = get_number(p, node, "raw", 1, RBT_FRAME_MAX_RAW);
    frame->rows = get_number(p, node, "rows", 1, RBT_SEGMENT_MAX_ROWS);
    frame->first_id = get_number(p, node, "first_id", 0, INT64_MAX);
    frame->last_id = get_number(p, node, "last_id", frame->first_id, INT64_MAX);
    get_hex(p, node, "xxh3", xxh3, sizeof xxh3);
    frame->xxh3 = rbt_load_u64be(xxh3);
    frame->has_sha256 = optional(p, node, "sha256") != NULL;
    if (frame->has_sha256) get_hash(p, node, "sha256", frame->sha256);
    frame->zones = member(p, node, "zones");
    if (p->error->code == SQLITE_OK && !rbt_zones_valid(p->document, frame->zones))
        refuse(p, "zones");
    frame->filters = optional(p, node, "filters");
    if (p->error->code == SQLITE_OK && frame->filters &&
        !rbt_filters_valid(p->document, frame->filters))
        refuse(p, "filters");
}

/* The frames, one behind the other without gap in the file, in ids and in sums. */
static void get_frames(parser *p, const rbt_json_node *root, rbt_manifest *m) {
    const rbt_json_node *array = member(p, root, "frames");
    if (!array || array->type != RBT_JSON_ARRAY || array->children < 1 ||
        array->children > RBT_SEGMENT_MAX_ROWS) {
        refuse(p, "frames");
        return;
    }
    m->frames = rbt_calloc(array->children * sizeof *m->frames);
    if (!m->frames) {
        rbt_fail_nomem(p->error);
        return;
    }
    int64_t offset = 0, raw = 0, next_id = m->first_id;
    const rbt_json_node *node = rbt_json_first(p->document, array);
    for (; node && p->error->code == SQLITE_OK; node = rbt_json_next(p->document, node)) {
        rbt_manifest_frame *frame = &m->frames[m->frame_count++];
        get_frame(p, node, frame);
        if (p->error->code != SQLITE_OK) return;
        if (frame->offset != offset || frame->first_id != next_id || frame->last_id > m->last_id ||
            frame->last_id - frame->first_id != frame->rows - 1) {
            rbt_fail(p->error, SQLITE_ERROR,
                     "manifest: frame %lld does not follow the one before it",
                     (long long)m->frame_count);
            return;
        }
        offset += frame->size; /* at most 2^20 frames of 9 MiB: no overflow */
        raw += frame->raw;
        if (frame->filters) m->filter_bytes += frame->filters->length;
        next_id += frame->rows;
    }
    if (p->error->code == SQLITE_OK &&
        (offset != m->data_bytes || raw != m->raw_bytes || next_id - 1 != m->last_id))
        rbt_fail(p->error, SQLITE_ERROR, "manifest: its frames do not add up to its sums");
}

static void get_members(parser *p, rbt_manifest *m) {
    const rbt_json_node *root = rbt_json_root(p->document);
    rbt_buffer_clear(&p->scratch);
    get_bytes(p, root, "format", &p->scratch);
    if (p->error->code != SQLITE_OK) return;
    if (p->scratch.length != sizeof format_name - 1 ||
        memcmp(p->scratch.data, format_name, p->scratch.length) != 0) {
        rbt_fail(p->error, SQLITE_ERROR, "manifest: format is not %s", format_name);
        return;
    }
    m->log = get_text(p, root, "log");
    get_hex(p, root, "log_id", m->log_id, sizeof m->log_id);
    m->origin = get_text(p, root, "origin");
    if (m->origin && !rbt_note_name_valid(m->origin)) refuse(p, "origin");
    get_columns(p, root, &m->shape);
    m->first_id = get_number(p, root, "first_id", 0, INT64_MAX - RBT_SEGMENT_MAX_ROWS);
    m->last_id =
        get_number(p, root, "last_id", m->first_id, m->first_id + RBT_SEGMENT_MAX_ROWS - 1);
    m->first_recorded_at = get_number(p, root, "first_recorded_at", INT64_MIN, INT64_MAX);
    m->last_recorded_at = get_number(p, root, "last_recorded_at", INT64_MIN, INT64_MAX);
    m->rows = m->last_id - m->first_id + 1;
    get_number(p, root, "rows", m->rows, m->rows);
    m->raw_bytes = get_number(p, root, "raw_bytes", 1, INT64_MAX);
    m->data_bytes = get_number(p, root, "data_bytes", 1, INT64_MAX);
    m->before.size = (uint64_t)m->first_id;
    unsigned nodes = rbt_frontier_count(&m->before);
    if (get_hashes(p, root, "frontier_before", m->before.nodes, nodes) != nodes)
        refuse(p, "frontier_before");
    get_hash(p, root, "root_before", m->root_before.bytes);
    get_hash(p, root, "root_after", m->root_after.bytes);
    get_bytes(p, root, "genesis", &m->genesis);
    m->genesis_proof.count =
        get_hashes(p, root, "genesis_proof", m->genesis_proof.hashes,
                   sizeof m->genesis_proof.hashes / sizeof *m->genesis_proof.hashes);
    m->has_checkpoint = optional(p, root, "checkpoint") != NULL;
    if (m->has_checkpoint) get_bytes(p, root, "checkpoint", &m->checkpoint);
    get_hash(p, root, "data_sha256", m->data_sha256);
    m->has_previous = optional(p, root, "previous_manifest_sha256") != NULL;
    if (m->has_previous) get_hash(p, root, "previous_manifest_sha256", m->previous_sha256);
    get_hex(p, root, "signer_key_id", m->signer_key_id, sizeof m->signer_key_id);
    if (optional(p, root, "retain_until"))
        m->retain_until_us = get_number(p, root, "retain_until", INT64_MIN, INT64_MAX);
    if (p->error->code == SQLITE_OK) get_frames(p, root, m);
}

int rbt_manifest_parse(rbt_manifest *manifest, const char *text, size_t length, rbt_error *error) {
    if (length > RBT_MANIFEST_MAX)
        return rbt_fail(error, SQLITE_ERROR, "manifest: it is larger than %d bytes",
                        RBT_MANIFEST_MAX);
    if (rbt_json_parse(&manifest->document, text, length, "manifest", error) != SQLITE_OK)
        return error->code;
    parser p = {&manifest->document, error, {0}};
    get_members(&p, manifest);
    rbt_buffer_free(&p.scratch);
    return error->code;
}

void rbt_manifest_free(rbt_manifest *manifest) {
    rbt_json_free(&manifest->document);
    rbt_free(manifest->log);
    rbt_free(manifest->origin);
    rbt_leaf_shape_free(&manifest->shape);
    rbt_buffer_free(&manifest->genesis);
    rbt_buffer_free(&manifest->checkpoint);
    rbt_free(manifest->frames);
    *manifest = (rbt_manifest){0};
}
