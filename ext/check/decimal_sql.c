/* SPDX-License-Identifier: MIT
** SQL glue of decimal_error(text[, digits, places]): NULL when all is well, else a sentence that does
** not repeat the value. Calls base.
*/
#include "decimal_sql.h"

#include "../base/sql_util.h"
#include "decimal.h"

enum { DEFAULT_DIGITS = 18, DEFAULT_PLACES = 8, MOST_DIGITS = 1000 };

/* The limit at arguments[index], an INTEGER from least to most. */
static int read_limit(int *limit, sqlite3_value *value, const char *name, int least, int most,
                      rbt_error *error) {
    if (sqlite3_value_type(value) != SQLITE_INTEGER)
        return rbt_fail(error, SQLITE_ERROR, "decimal_error: %s must be INTEGER, not %s", name,
                        rbt_type_name(sqlite3_value_type(value)));
    sqlite3_int64 number = sqlite3_value_int64(value);
    if (number < least || number > most)
        return rbt_fail(error, SQLITE_ERROR, "decimal_error: %s must be %d to %d, not %lld", name,
                        least, most, number);
    *limit = (int)number;
    return SQLITE_OK;
}

static void decimal_error_function(sqlite3_context *context, int argument_count,
                                   sqlite3_value **arguments) {
    rbt_error error = {0};
    char *message = NULL;
    int digits = DEFAULT_DIGITS, places = DEFAULT_PLACES;
    if (argument_count > 1 &&
        read_limit(&digits, arguments[1], "digits", 1, MOST_DIGITS, &error) != SQLITE_OK)
        goto cleanup;
    if (places > digits) places = digits;
    if (argument_count > 2 &&
        read_limit(&places, arguments[2], "places", 0, digits, &error) != SQLITE_OK)
        goto cleanup;

    int type = sqlite3_value_type(arguments[0]);
    if (type != SQLITE_TEXT && type != SQLITE_INTEGER) {
        message = sqlite3_mprintf("must be TEXT or INTEGER, not %s", rbt_type_name(type));
    } else {
        const char *text = (const char *)sqlite3_value_text(arguments[0]);
        if (text == NULL) {
            rbt_fail_nomem(&error);
            goto cleanup;
        }
        switch (rbt_decimal_check(text, (size_t)sqlite3_value_bytes(arguments[0]), (size_t)digits,
                                  (size_t)places)) {
        case RBT_DECIMAL_GOOD:
            return;
        case RBT_DECIMAL_FORM:
            message = sqlite3_mprintf("must be a plain decimal such as 12.5, without exponent, "
                                      "sign +, blank or separator");
            break;
        case RBT_DECIMAL_DIGITS:
            message = sqlite3_mprintf("must have at most %d digits", digits);
            break;
        case RBT_DECIMAL_PLACES:
            message = sqlite3_mprintf("must have at most %d digits after the point", places);
            break;
        case RBT_DECIMAL_WHOLE_DIGITS:
            message =
                sqlite3_mprintf("must have at most %d digits before the point", digits - places);
            break;
        }
    }
    if (message == NULL)
        rbt_fail_nomem(&error);
    else
        sqlite3_result_text(context, message, -1, sqlite3_free);

cleanup:
    if (error.code != SQLITE_OK) rbt_result_error(context, &error);
}

const rbt_function rbt_decimal_functions[] = {
    {"decimal_error", 1, 3, RBT_PURE, decimal_error_function,
     "decimal_error(text[, digits, places])", "nothing",
     "NULL for a plain decimal of at most 18 digits, 8 of them after the point, else what is wrong",
     "SELECT decimal_error('1_000')"},
    {0},
};
