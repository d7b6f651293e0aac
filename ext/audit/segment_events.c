/* SPDX-License-Identifier: MIT
** See segment_events.h.
*/
#include "segment_events.h"

#include "../base/bytes.h"
#include "../base/json.h"
#include "../base/memory.h"
#include "events.h"
#include "events_check.h"

static void free_event(rbt_segment_event *event) {
    rbt_free(event->file);
    rbt_free(event->from);
    rbt_free(event->to);
}

void rbt_segment_events_free(rbt_segment_events *events) {
    for (size_t i = 0; i < events->count; i++)
        free_event(&events->items[i]);
    rbt_free(events->items);
    *events = (rbt_segment_events){0};
}

typedef struct reading {
    rbt_segment_events *events;
    const rbt_log *log;
} reading;

static int add_event(rbt_segment_events *events, const rbt_segment_event *event, rbt_error *error) {
    if (events->count == events->capacity) {
        size_t capacity = events->capacity ? 2 * events->capacity : 16;
        rbt_segment_event *grown = rbt_realloc(events->items, capacity * sizeof *grown);
        if (!grown) return rbt_fail_nomem(error);
        events->items = grown;
        events->capacity = capacity;
    }
    events->items[events->count++] = *event;
    return SQLITE_OK;
}

/* A member that is so many bytes in hex. */
static bool hex_member(const rbt_json *document, const char *name, uint8_t *out, size_t size,
                       bool *failed) {
    rbt_buffer text = {0};
    bool good = rbt_json_string(document, rbt_json_member(document, rbt_json_root(document), name),
                                &text) &&
                !text.failed && rbt_hex_decode(out, size, (const char *)text.data, text.length);
    *failed = *failed || text.failed;
    rbt_buffer_free(&text);
    return good;
}

static bool i64_member(const rbt_json *document, const char *name, int64_t *out) {
    return rbt_json_i64(document, rbt_json_member(document, rbt_json_root(document), name), out);
}

/* A member that is text; NULL when it is not there. */
static char *text_member(const rbt_json *document, const char *name, bool *failed) {
    rbt_buffer text = {0};
    char *taken = NULL;
    if (rbt_json_string(document, rbt_json_member(document, rbt_json_root(document), name),
                        &text)) {
        taken = rbt_buffer_take(&text);
        *failed = *failed || taken == NULL;
    }
    rbt_buffer_free(&text);
    return taken;
}

static int take(void *context, int64_t recorded_at, const char *detail, size_t length,
                rbt_error *error) {
    const reading *r = context;
    rbt_json document = {0};
    rbt_error malformed = {0};
    rbt_segment_event event = {.recorded_at = recorded_at};
    uint8_t log_id[sizeof r->log->log_id];
    bool failed = false, taken = false;
    if (rbt_json_parse(&document, detail, length, "detail", &malformed) == SQLITE_OK &&
        hex_member(&document, "log_id", log_id, sizeof log_id, &failed) &&
        memcmp(log_id, r->log->log_id, sizeof log_id) == 0 &&
        i64_member(&document, "first_id", &event.first_id) &&
        i64_member(&document, "last_id", &event.last_id) &&
        hex_member(&document, "manifest_sha256", event.manifest_sha256,
                   sizeof event.manifest_sha256, &failed)) {
        i64_member(&document, "published_us", &event.published_us);
        event.file = text_member(&document, "file", &failed);
        event.from = text_member(&document, "from", &failed);
        event.to = text_member(&document, "to", &failed);
        taken = event.file && !failed && add_event(r->events, &event, error) == SQLITE_OK;
    }
    if (!taken) free_event(&event);
    if (malformed.code == SQLITE_NOMEM || failed) rbt_fail_nomem(error);
    rbt_error_clear(&malformed);
    rbt_json_free(&document);
    return error->code;
}

int rbt_segment_events_read(rbt_segment_events *events, rbt_log *log, const char *action,
                            const char *who, rbt_error *error) {
    reading r = {events, log};
    if (rbt_events_visit(log->logs->connection, log->schema, action, log->name, who, take, &r,
                         error) != SQLITE_OK)
        rbt_segment_events_free(events);
    return error->code;
}

const rbt_segment_event *rbt_segment_event_of(const rbt_segment_events *events, int64_t first_id,
                                              int64_t last_id, const uint8_t manifest_sha256[32]) {
    for (size_t i = 0; i < events->count; i++) {
        const rbt_segment_event *event = &events->items[i];
        if (event->first_id == first_id && event->last_id == last_id &&
            memcmp(event->manifest_sha256, manifest_sha256, 32) == 0)
            return event;
    }
    return NULL;
}

void rbt_segment_event_write(rbt_buffer *detail, const rbt_log *log, const char *file,
                             int64_t first_id, int64_t last_id, const uint8_t manifest_sha256[32]) {
    rbt_buffer_add_text(detail, "\"file\":");
    rbt_json_add_string(detail, file, strlen(file));
    rbt_buffer_printf(detail, ",\"first_id\":%lld,\"last_id\":%lld,\"manifest_sha256\":\"",
                      (long long)first_id, (long long)last_id);
    rbt_buffer_add_hex(detail, manifest_sha256, 32);
    rbt_buffer_add_text(detail, "\",");
    rbt_events_add_log_id(detail, log);
}

void rbt_segment_event_published(rbt_buffer *detail, const rbt_log *log, const char *file,
                                 const char *directory, const rbt_segment_summary *summary,
                                 int64_t published_us) {
    rbt_buffer_add_byte(detail, '{');
    rbt_segment_event_write(detail, log, file, summary->first_id, summary->last_id,
                            summary->manifest_sha256);
    rbt_buffer_add_text(detail, ",\"to\":");
    rbt_json_add_string(detail, directory, strlen(directory));
    rbt_buffer_printf(detail, ",\"rows\":%lld,\"published_us\":%lld,\"root\":\"",
                      (long long)summary->rows, (long long)published_us);
    rbt_buffer_add_hex(detail, summary->root_after.bytes, 32);
    rbt_buffer_add_text(detail, "\"}");
}
