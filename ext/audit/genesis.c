/* SPDX-License-Identifier: MIT
** See genesis.h. May call base.
*/
#include "genesis.h"

#include "../base/bytes.h"
#include "../base/json.h"
#include "../base/memory.h"
#include "../crypto/sign.h"

enum { ORIGIN_ROOM = 48 }; /* of rustybt/<log_id> */

/* The origin that a declaration gives; room: for the default one. */
static const char *origin_of(const rbt_declaration *declaration, const uint8_t log_id[16],
                             char room[ORIGIN_ROOM]) {
    char id[33];
    if (declaration->origin) return declaration->origin;
    rbt_hex_encode(id, log_id, 16);
    return sqlite3_snprintf(ORIGIN_ROOM, room, "rustybt/%s", id);
}

const char *rbt_genesis_contradiction(const rbt_genesis *genesis,
                                      const rbt_declaration *declaration) {
    char room[ORIGIN_ROOM];
    if (genesis->sealed != declaration->sealed) return "sealed";
    return strcmp(genesis->origin, origin_of(declaration, genesis->log_id, room)) == 0 ? NULL
                                                                                       : "origin";
}

int rbt_genesis_write(rbt_buffer *out, const char *log, const rbt_declaration *declaration,
                      const uint8_t log_id[16], int64_t recorded_at, rbt_error *error) {
    char id[33], default_origin[ORIGIN_ROOM];
    rbt_hex_encode(id, log_id, 16);
    const char *origin = origin_of(declaration, log_id, default_origin);
    size_t start = out->length;
    rbt_buffer_printf(out, "{\"id\":0,\"recorded_at\":%lld,\"rustybt_log\":%d,\"log_id\":\"%s\"",
                      (long long)recorded_at, RBT_LOG_FORMAT, id);
    rbt_buffer_add_text(out, ",\"origin\":");
    rbt_json_add_string(out, origin, strlen(origin));
    rbt_buffer_add_text(out, declaration->sealed ? ",\"sealed\":true" : ",\"sealed\":false");
    rbt_buffer_add_text(out, ",\"arguments\":[");
    for (int i = 0; i < declaration->argument_count; i++) {
        if (i) rbt_buffer_add_byte(out, ',');
        rbt_json_add_string(out, declaration->arguments[i], strlen(declaration->arguments[i]));
    }
    rbt_buffer_add_text(out, "]}");
    if (out->failed) return rbt_fail_nomem(error);
    if (out->length - start > RBT_LEAF_MAX)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: the declaration takes %lld bytes as a log entry; at most %d fit", log,
                        (long long)(out->length - start), RBT_LEAF_MAX);
    return SQLITE_OK;
}

/* A string member of at most size - 1 bytes without NUL. */
static bool copy_string(char *out, size_t size, const rbt_json *document, const rbt_json_node *node,
                        rbt_error *error) {
    rbt_buffer text = {0};
    bool fits = rbt_json_string(document, node, &text) && !text.failed && text.length < size &&
                !memchr(text.data ? text.data : (uint8_t *)"", 0, text.length);
    if (fits) {
        if (text.length) memcpy(out, text.data, text.length);
        out[text.length] = 0;
    }
    if (text.failed) rbt_fail_nomem(error);
    rbt_buffer_free(&text);
    return fits;
}

static int read_arguments(rbt_genesis *genesis, const rbt_json *document,
                          const rbt_json_node *array, rbt_error *error) {
    genesis->arguments = rbt_calloc((size_t)(array->children + 1) * sizeof(char *));
    if (!genesis->arguments) return rbt_fail_nomem(error);
    for (const rbt_json_node *node = rbt_json_first(document, array); node;
         node = rbt_json_next(document, node)) {
        rbt_buffer text = {0};
        if (!rbt_json_string(document, node, &text)) {
            rbt_buffer_free(&text);
            return SQLITE_ERROR;
        }
        char *argument = rbt_buffer_take(&text);
        if (!argument) return rbt_fail_nomem(error);
        genesis->arguments[genesis->argument_count++] = argument;
    }
    return SQLITE_OK;
}

int rbt_genesis_parse(rbt_genesis *genesis, const char *text, size_t length, const char *who,
                      rbt_error *error) {
    rbt_json document = {0};
    memset(genesis, 0, sizeof *genesis);
    if (rbt_json_parse(&document, text, length, who, error) != SQLITE_OK) goto cleanup;
    const rbt_json_node *root = rbt_json_root(&document);
    const rbt_json_node *sealed = rbt_json_member(&document, root, "sealed");
    const rbt_json_node *arguments = rbt_json_member(&document, root, "arguments");
    int64_t id = -1, format = 0;
    char log_id[33];
    if (!rbt_json_i64(&document, rbt_json_member(&document, root, "rustybt_log"), &format)) {
        rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: the genesis is not one", who);
    } else if (format != RBT_LOG_FORMAT) {
        rbt_fail(error, SQLITE_ERROR,
                 "%s: the log has format %lld; this version of rustybt reads format %d", who,
                 (long long)format, RBT_LOG_FORMAT);
    } else if (!rbt_json_i64(&document, rbt_json_member(&document, root, "id"), &id) || id != 0 ||
               !rbt_json_i64(&document, rbt_json_member(&document, root, "recorded_at"),
                             &genesis->recorded_at) ||
               !copy_string(log_id, sizeof log_id, &document,
                            rbt_json_member(&document, root, "log_id"), error) ||
               !rbt_hex_decode(genesis->log_id, 16, log_id, strlen(log_id)) ||
               !copy_string(genesis->origin, sizeof genesis->origin, &document,
                            rbt_json_member(&document, root, "origin"), error) ||
               !rbt_note_name_valid(genesis->origin) || !sealed ||
               (sealed->type != RBT_JSON_TRUE && sealed->type != RBT_JSON_FALSE) || !arguments ||
               arguments->type != RBT_JSON_ARRAY ||
               read_arguments(genesis, &document, arguments, error) != SQLITE_OK) {
        rbt_fail(error, SQLITE_CORRUPT_VTAB, "%s: the genesis is damaged", who);
    } else {
        genesis->sealed = sealed->type == RBT_JSON_TRUE;
    }
cleanup:
    rbt_json_free(&document);
    return error->code;
}

void rbt_genesis_free(rbt_genesis *genesis) {
    for (int i = 0; i < genesis->argument_count; i++)
        rbt_free(genesis->arguments[i]);
    rbt_free(genesis->arguments);
    memset(genesis, 0, sizeof *genesis);
}
