/* SPDX-License-Identifier: MIT
** Reading key text from the environment, from a guarded file or from a command: the rules are in
** key_source.h. Calls secret_file, dotenv, key_command and base. The text is a secret: it lives in a
** buffer that wipes itself.
*/
#include "key_source.h"

#include "dotenv.h"
#include "key_command.h"
#include "secret_file.h"
#include <stdlib.h>

/* One way to name key text, and how to get at it from the variable's value. */
typedef int (*source_reader)(rbt_buffer *text, const char *value, rbt_key_purpose purpose,
                             const char *variable, const char *who, rbt_error *error);

static int read_environment(rbt_buffer *text, const char *value, rbt_key_purpose purpose,
                            const char *variable, const char *who, rbt_error *error);
static int read_file(rbt_buffer *text, const char *value, rbt_key_purpose purpose,
                     const char *variable, const char *who, rbt_error *error);
static int read_command(rbt_buffer *text, const char *value, rbt_key_purpose purpose,
                        const char *variable, const char *who, rbt_error *error);

static const struct {
    const char *variables[2]; /* by purpose */
    source_reader read;
} sources[] = {
    {{"RUSTYBT_ENCRYPTION_KEY", "RUSTYBT_SIGNING_KEY"}, read_environment},
    {{"RUSTYBT_ENCRYPTION_KEY_FILE", "RUSTYBT_SIGNING_KEY_FILE"}, read_file},
    {{"RUSTYBT_ENCRYPTION_KEY_COMMAND", "RUSTYBT_SIGNING_KEY_COMMAND"}, read_command},
};
enum { SOURCE_COUNT = sizeof sources / sizeof sources[0] };

const char *rbt_key_source_variable(rbt_key_purpose purpose) {
    return sources[0].variables[purpose];
}

void rbt_key_text_free(rbt_key_text *text) {
    rbt_buffer_free(&text->text);
    text->source = NULL;
}

int rbt_key_source_read(rbt_key_text *out, rbt_key_purpose purpose, const char *who,
                        rbt_error *error) {
    const char *chosen_value = NULL;
    source_reader read = NULL;

    out->source = NULL;
    out->text.secret = true;
    rbt_buffer_clear(&out->text);
    for (size_t i = 0; i < SOURCE_COUNT; i++) {
        const char *variable = sources[i].variables[purpose];
        const char *value = getenv(variable);
        if (value == NULL || *value == 0) continue;
        if (out->source != NULL)
            return rbt_fail(error, SQLITE_ERROR, "%s: both %s and %s are set; unset one of them",
                            who, out->source, variable);
        out->source = variable;
        chosen_value = value;
        read = sources[i].read;
    }
    if (out->source == NULL) return SQLITE_OK;
    int code = read(&out->text, chosen_value, purpose, out->source, who, error);
    if (code != SQLITE_OK) return code;
    if (rbt_buffer_text(&out->text) == NULL) return rbt_fail_nomem(error);
    return SQLITE_OK;
}

static int read_environment(rbt_buffer *text, const char *value, rbt_key_purpose purpose,
                            const char *variable, const char *who, rbt_error *error) {
    (void)purpose, (void)variable, (void)who;
    rbt_buffer_add_text(text, value);
    return text->failed ? rbt_fail_nomem(error) : SQLITE_OK;
}

/* Takes the key text out of a file's contents, of either form. */
static int extract(rbt_buffer *text, const rbt_secret_file *file, rbt_key_purpose purpose,
                   const char *who, rbt_error *error) {
    const char *wanted = sources[0].variables[purpose];
    const char *contents = (const char *)file->contents.data;
    size_t length = file->contents.length;
    bool found = false;

    if (length == 0)
        return rbt_fail(error, SQLITE_ERROR, "%s: %s has 0 bytes, expected 1 to %d", who,
                        file->what, RBT_SECRET_FILE_LIMIT);
    if (!rbt_dotenv_form(contents, length)) {
        rbt_buffer_add(text, contents, length);
        return text->failed ? rbt_fail_nomem(error) : SQLITE_OK;
    }
    int code = rbt_dotenv_find(text, &found, contents, length, wanted, file->what, who, error);
    if (code != SQLITE_OK) return code;
    if (!found || text->length == 0)
        return rbt_fail(error, SQLITE_ERROR, "%s: %s has no line %s=…", who, file->what, wanted);
    return SQLITE_OK;
}

static int read_file(rbt_buffer *text, const char *value, rbt_key_purpose purpose,
                     const char *variable, const char *who, rbt_error *error) {
    rbt_secret_file file;
    int code = rbt_secret_file_read(&file, value, variable, who, error);
    if (code == SQLITE_OK) code = extract(text, &file, purpose, who, error);
    rbt_secret_file_free(&file);
    return code;
}

static int read_command(rbt_buffer *text, const char *value, rbt_key_purpose purpose,
                        const char *variable, const char *who, rbt_error *error) {
    (void)purpose;
    return rbt_key_command_read(text, value, variable, who, error);
}
