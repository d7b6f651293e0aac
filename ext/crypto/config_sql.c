/* SPDX-License-Identifier: MIT
** config_get(name[, default]): settings, from the environment, else from the dotenv file. Calls
** secret_file, dotenv, key_source and base. Nothing is kept: every call reads anew.
**
** The dotenv file is the first of these that there is:
**   the file that RUSTYBT_ENV_FILE names (that it cannot be read is an error);
**   the file that RUSTYBT_ENCRYPTION_KEY_FILE names, if it is of dotenv form;
**   .env in the process's working directory.
*/
#include "config_sql.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../base/utf8.h"
#include "dotenv.h"
#include "key_source.h"
#include "secret_file.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const char who[] = "config_get";

static int check_name(const char *name, rbt_error *error) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    size_t length = strlen(name), first = strspn(name, letters);
    if (first == 0 || first + strspn(name + first, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstu"
                                                   "vwxyz_0123456789") !=
                          length)
        return rbt_fail(
            error, SQLITE_ERROR,
            "%s: name must be made of letters, digits and _, and not begin with a digit", who);
    if (strcmp(name, rbt_key_source_variable(RBT_PURPOSE_ENCRYPTION)) == 0 ||
        strcmp(name, rbt_key_source_variable(RBT_PURPOSE_SIGNING)) == 0)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: %s is a key, and keys are not shown; key_id() names the one in use",
                        who, name);
    return SQLITE_OK;
}

/* The variable's value, NULL when it is not set; an empty path counts as not set. */
static const char *path_of(const char *variable) {
    const char *path = getenv(variable);
    return path && *path ? path : NULL;
}

/* Reads the dotenv file, if there is one; *there tells. */
static int read_dotenv_file(rbt_secret_file *file, bool *there, rbt_error *error) {
    static const char key_file[] = "RUSTYBT_ENCRYPTION_KEY_FILE", env_file[] = "RUSTYBT_ENV_FILE";
    const char *path = path_of(env_file);

    *file = (rbt_secret_file){0};
    *there = true;
    if (path) return rbt_secret_file_read(file, path, env_file, who, error);
    path = path_of(key_file);
    if (path) {
        int code = rbt_secret_file_read(file, path, key_file, who, error);
        if (code != SQLITE_OK ||
            rbt_dotenv_form((const char *)file->contents.data, file->contents.length))
            return code;
        rbt_secret_file_free(file);
    }
    *there = access(".env", F_OK) == 0 || errno != ENOENT;
    return *there ? rbt_secret_file_read(file, ".env", NULL, who, error) : SQLITE_OK;
}

/* Sets *found, and if true appends the value. */
static int look_up(rbt_buffer *value, bool *found, const char *name, rbt_error *error) {
    const char *set = getenv(name);
    rbt_secret_file file;
    bool there;

    *found = set != NULL;
    if (set) {
        rbt_buffer_add_text(value, set);
        return value->failed ? rbt_fail_nomem(error) : SQLITE_OK;
    }
    int code = read_dotenv_file(&file, &there, error);
    if (code == SQLITE_OK && there)
        code = rbt_dotenv_find(value, found, (const char *)file.contents.data, file.contents.length,
                               name, file.what, who, error);
    rbt_secret_file_free(&file);
    return code;
}

/* The setting as TEXT; the default, else NULL, where it is not set. One that is set to nothing is the
** empty text. */
static void config_get_function(sqlite3_context *context, int argument_count,
                                sqlite3_value **arguments) {
    rbt_error error = {0};
    rbt_buffer value = {.secret = true};
    bool found = false;

    const char *name = rbt_text_argument(arguments[0], who, "name", &error);
    if (name && check_name(name, &error) == SQLITE_OK) look_up(&value, &found, name, &error);
    if (found && !rbt_utf8_valid(value.data, value.length))
        rbt_fail(&error, SQLITE_ERROR, "%s: the value of %s is not UTF-8", who, name);

    if (error.code != SQLITE_OK)
        rbt_result_error(context, &error);
    else if (found)
        rbt_result_text(context, &value);
    else if (argument_count > 1)
        sqlite3_result_value(context, arguments[1]);
    rbt_buffer_free(&value);
}

const rbt_function rbt_config_functions[] = {
    {"config_get", 1, 2, RBT_DIRECT, config_get_function, "config_get(name[, default])", "nothing",
     "a setting from the environment, else from the dotenv file; never a key",
     "SELECT config_get('LOG_LEVEL', 'INFO')"},
    {0},
};
