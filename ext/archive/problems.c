/* SPDX-License-Identifier: MIT
** Problems on their way to a sink (problems.h).
*/
#include "problems.h"

#include "../base/memory.h"
#include <stdarg.h>

void rbt_problem(rbt_problems *problems, const char *kind, int64_t id, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *sentence = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    char *detail = sentence ? sqlite3_mprintf("%s: %s", problems->path, sentence) : NULL;
    problems->count++;
    bool untrusted = strcmp(kind, RBT_PROBLEM_UNTRUSTED) == 0;
    if (!detail)
        rbt_fail_nomem(problems->error);
    else if (problems->sink)
        problems->sink(problems->context, kind, id, detail);
    else
        rbt_fail(problems->error, untrusted ? SQLITE_ERROR : SQLITE_CORRUPT_VTAB, "%s: %s",
                 problems->who, detail);
    rbt_free(sentence);
    rbt_free(detail);
}

rbt_problems rbt_problems_strict(const char *who, const char *path, rbt_error *error) {
    return (rbt_problems){.path = path, .who = who, .error = error};
}
