/* SPDX-License-Identifier: MIT
** JSON without white space, in one pass of the reader, which copies
** the runs between. Calls the JSON reader, buffer and error.
*/
#include "json_reader.h"

#include <string.h>

int rbt_json_minify(rbt_buffer *out, const char *text, size_t length, const char *what,
                    rbt_error *error) {
    if (error->code != SQLITE_OK) return error->code;
    if (rbt_json_check_length(length, what, error) != SQLITE_OK) return error->code;
    if (!rbt_buffer_reserve(out, length + 1)) return rbt_fail_nomem(error);

    rbt_json_reader reader;
    rbt_json_reader_begin(&reader, text, length, out->data + out->length);
    rbt_json_token token = rbt_json_reader_next(&reader);
    if (token == RBT_JSON_TOKEN_SCALAR) {
        rbt_fail(error, SQLITE_ERROR, "%s: must be a JSON object or array, not a single value",
                 what);
    } else {
        while (token > RBT_JSON_TOKEN_END)
            token = rbt_json_reader_next(&reader);
        if (token == RBT_JSON_TOKEN_FAILED) {
            rbt_json_reader_fail(&reader, what, error);
        } else {
            size_t run = length - reader.run_start;
            memcpy(reader.sink, text + reader.run_start, run);
            out->length = (size_t)(reader.sink - out->data) + run;
        }
    }
    rbt_json_reader_end(&reader);
    return error->code;
}
