/* SPDX-License-Identifier: MIT
** Reading key text from the environment or from a guarded file: the rules are in key_source.h. Calls
** base alone. The text is a secret: it lives in a buffer that wipes itself.
*/
#include "key_source.h"

#include "../base/file.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_FILE_LIMIT = 64 * 1024 };

/* One way to name key text, and how to get at it from the variable's value. */
typedef int (*source_reader)(rbt_buffer *text, const char *value, rbt_key_purpose purpose,
                             const char *variable, const char *who, rbt_error *error);

static int read_environment(rbt_buffer *text, const char *value, rbt_key_purpose purpose,
                            const char *variable, const char *who, rbt_error *error);
static int read_file(rbt_buffer *text, const char *value, rbt_key_purpose purpose,
                     const char *variable, const char *who, rbt_error *error);
static int refuse_command(rbt_buffer *text, const char *value, rbt_key_purpose purpose,
                          const char *variable, const char *who, rbt_error *error);

static const struct {
    const char *variables[2]; /* by purpose */
    source_reader read;
} sources[] = {
    {{"RUSTYBT_ENCRYPTION_KEY", "RUSTYBT_SIGNING_KEY"}, read_environment},
    {{"RUSTYBT_ENCRYPTION_KEY_FILE", "RUSTYBT_SIGNING_KEY_FILE"}, read_file},
    {{"RUSTYBT_ENCRYPTION_KEY_COMMAND", "RUSTYBT_SIGNING_KEY_COMMAND"}, refuse_command},
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

static int refuse_command(rbt_buffer *text, const char *value, rbt_key_purpose purpose,
                          const char *variable, const char *who, rbt_error *error) {
    (void)text, (void)value;
    return rbt_fail(error, SQLITE_ERROR,
                    "%s: %s is not supported by this version; use %s or %s instead", who, variable,
                    sources[0].variables[purpose], sources[1].variables[purpose]);
}

/* True for files below systemd's credentials directory, whose access systemd itself restricts. Both
** paths are resolved first, so that neither ".." nor a symbolic link leads out of it. */
static bool below_credentials_directory(const char *path) {
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char resolved_directory[PATH_MAX], resolved_path[PATH_MAX];
    if (directory == NULL || *directory != '/') return false;
    if (realpath(directory, resolved_directory) == NULL || realpath(path, resolved_path) == NULL)
        return false;
    size_t length = strlen(resolved_directory);
    return length > 1 && strncmp(resolved_path, resolved_directory, length) == 0 &&
           resolved_path[length] == '/';
}

/* Who may read the file: judged by the open descriptor, so that it cannot be swapped in between. */
static int check_access(int file, const char *path, const char *variable, const char *who,
                        rbt_error *error) {
    struct stat status;
    if (rbt_files->fstat(file, &status) != 0)
        return rbt_fail(error, SQLITE_CANTOPEN, "%s: cannot examine %s, the file that %s names",
                        who, path, variable);
    unsigned mode = (unsigned)status.st_mode & 07777u;
    if (status.st_uid == geteuid() && (mode & 077u) == 0) return SQLITE_OK;
    if (status.st_uid == 0 && (mode & ~0640u) == 0) return SQLITE_OK;
    if (below_credentials_directory(path)) return SQLITE_OK;
    if (status.st_uid == geteuid())
        return rbt_fail(
            error, SQLITE_ERROR,
            "%s: %s, the file that %s names, has mode %04o, expected 0600; chmod 600 it", who, path,
            variable, mode);
    return rbt_fail(error, SQLITE_ERROR,
                    "%s: %s, the file that %s names, belongs to user %lld with mode %04o, expected "
                    "user %lld with 0600 or root with 0640; chown and chmod it",
                    who, path, variable, (long long)status.st_uid, mode, (long long)geteuid());
}

/* White space of one line. */
static bool is_blank(char character) {
    return character == ' ' || character == '\t' || character == '\r';
}

static bool is_name_character(char character) {
    return (character >= 'A' && character <= 'Z') || (character >= 'a' && character <= 'z') ||
           (character >= '0' && character <= '9') || character == '_';
}

/* Looks at one line as "[export ]NAME=value". True when it is of that form: what follows the = must
** begin with something else than = , or nothing, for so ends base64. Name and value are borrowed. */
static bool split_assignment(const char *line, const char *end, const char **name,
                             size_t *name_length, const char **value, size_t *value_length) {
    static const char export_word[] = "export";
    size_t export_length = sizeof export_word - 1;

    while (line < end && is_blank(*line))
        line++;
    if ((size_t)(end - line) > export_length && memcmp(line, export_word, export_length) == 0 &&
        is_blank(line[export_length])) {
        line += export_length;
        while (line < end && is_blank(*line))
            line++;
    }
    *name = line;
    while (line < end && is_name_character(*line))
        line++;
    *name_length = (size_t)(line - *name);
    while (line < end && is_blank(*line))
        line++;
    if (*name_length == 0 || line == end || *line != '=') return false;
    line++;
    if (line < end && (*line == '=' || *line == ',')) return false;
    while (line < end && is_blank(*line))
        line++;
    while (end > line && is_blank(end[-1]))
        end--;
    if (line == end) return false;
    if (end - line >= 2 && (*line == '"' || *line == '\'') && end[-1] == *line) {
        line++;
        end--;
    }
    *value = line;
    *value_length = (size_t)(end - line);
    return true;
}

/* Takes the key text out of a file's contents, of either form. */
static int extract(rbt_buffer *text, const rbt_buffer *contents, rbt_key_purpose purpose,
                   const char *path, const char *variable, const char *who, rbt_error *error) {
    const char *wanted = sources[0].variables[purpose];
    const char *at = (const char *)contents->data, *stop = at + contents->length;
    const char *found = NULL;
    size_t found_length = 0;
    bool dotenv = false;

    while (at < stop) {
        const char *end = memchr(at, '\n', (size_t)(stop - at));
        const char *name, *value;
        size_t name_length, value_length;
        if (end == NULL) end = stop;
        if (split_assignment(at, end, &name, &name_length, &value, &value_length)) {
            dotenv = true;
            if (name_length == strlen(wanted) && memcmp(name, wanted, name_length) == 0) {
                found = value;
                found_length = value_length;
            }
        }
        at = end < stop ? end + 1 : stop;
    }
    if (dotenv && found == NULL)
        return rbt_fail(error, SQLITE_ERROR, "%s: %s, the file that %s names, has no line %s=…",
                        who, path, variable, wanted);
    if (dotenv)
        rbt_buffer_add(text, found, found_length);
    else
        rbt_buffer_add(text, contents->data, contents->length);
    return text->failed ? rbt_fail_nomem(error) : SQLITE_OK;
}

static int read_file(rbt_buffer *text, const char *value, rbt_key_purpose purpose,
                     const char *variable, const char *who, rbt_error *error) {
    rbt_buffer contents = {.secret = true};
    int64_t size = 0;
    int code;
    int file = rbt_file_open_read(who, value, &size, error);

    if (file < 0) return error->code;
    code = check_access(file, value, variable, who, error);
    if (code != SQLITE_OK) goto cleanup;
    if (size <= 0 || size > KEY_FILE_LIMIT) {
        code = rbt_fail(error, SQLITE_ERROR,
                        "%s: %s, the file that %s names, has %lld bytes, expected 1 to %d", who,
                        value, variable, (long long)size, KEY_FILE_LIMIT);
        goto cleanup;
    }
    if (!rbt_buffer_reserve(&contents, (size_t)size)) {
        code = rbt_fail_nomem(error);
        goto cleanup;
    }
    code = rbt_file_read_exact(who, value, file, contents.data, (size_t)size, 0, error);
    if (code != SQLITE_OK) goto cleanup;
    contents.length = (size_t)size;
    if (memchr(contents.data, 0, contents.length) != NULL) {
        code = rbt_fail(error, SQLITE_ERROR, "%s: %s, the file that %s names, is not text", who,
                        value, variable);
        goto cleanup;
    }
    code = extract(text, &contents, purpose, value, variable, who, error);

cleanup:
    if (rbt_file_close(who, value, file, error) != SQLITE_OK && code == SQLITE_OK)
        code = error->code;
    rbt_buffer_free(&contents);
    return code;
}
