/* SPDX-License-Identifier: MIT
** Reading dotenv text: the syntax is in dotenv.h. Calls base alone.
*/
#include "dotenv.h"

#include "../base/memory.h"

/* White space of one line; a carriage return ends lines that came from Windows. */
static bool is_blank(char character) {
    return character == ' ' || character == '\t' || character == '\r';
}

static bool is_name_character(char character) {
    return (character >= 'A' && character <= 'Z') || (character >= 'a' && character <= 'z') ||
           (character >= '0' && character <= '9') || character == '_';
}

static const char *skip_blanks(const char *at, const char *end) {
    while (at < end && is_blank(*at))
        at++;
    return at;
}

/* One line, borrowed from the text: what stands around the first =. */
typedef struct assignment {
    const char *name;
    size_t name_length;
    const char *value; /* what follows the =, blanks too */
    const char *end;   /* of the line */
} assignment;

/* False when the line is no assignment. */
static bool split_line(assignment *out, const char *line, const char *end) {
    static const char export_word[] = "export";
    size_t export_length = sizeof export_word - 1;

    line = skip_blanks(line, end);
    if ((size_t)(end - line) > export_length && memcmp(line, export_word, export_length) == 0 &&
        is_blank(line[export_length]))
        line = skip_blanks(line + export_length, end);
    out->name = line;
    while (line < end && !is_blank(*line) && *line != '=' && *line != '#')
        line++;
    out->name_length = (size_t)(line - out->name);
    line = skip_blanks(line, end);
    if (out->name_length == 0 || line == end || *line != '=') return false;
    out->value = line + 1;
    out->end = end;
    return true;
}

/* The end of the line that begins at `at`. */
static const char *line_end(const char *at, const char *stop) {
    const char *end = memchr(at, '\n', (size_t)(stop - at));
    return end ? end : stop;
}

bool rbt_dotenv_form(const char *text, size_t length) {
    if (length == 0) return false; /* then text may be NULL */
    const char *at = text, *stop = text + length;

    while (at < stop) {
        const char *end = line_end(at, stop);
        assignment line;
        const char *value = split_line(&line, at, end) ? skip_blanks(line.value, end) : end;
        if (value < end && *value != '=' && *value != ',') {
            size_t named = 0;
            while (named < line.name_length && is_name_character(line.name[named]))
                named++;
            if (named == line.name_length) return true;
        }
        at = end < stop ? end + 1 : stop;
    }
    return false;
}

/* Takes the place of a backslash and this character inside double quotes; 0 when nothing does. */
static uint8_t escaped(char character) {
    switch (character) {
    case '"':
    case '\'':
    case '\\':
        return (uint8_t)character;
    case 'a':
        return '\a';
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'v':
        return '\v';
    default:
        return 0;
    }
}

typedef enum value_problem { VALUE_GOOD, VALUE_UNCLOSED, VALUE_FOLLOWED } value_problem;

/* The value between quotation marks; at is the opening one. value NULL: looks at the form alone. */
static value_problem read_quoted(rbt_buffer *value, const char *at, const char *end) {
    char quote = *at++;

    for (; at < end && *at != quote; at++) {
        uint8_t character = (uint8_t)*at;
        if (*at == '\\' && at + 1 < end) {
            bool meant = quote == '"' || at[1] == '\'' || at[1] == '\\';
            uint8_t replacement = meant ? escaped(at[1]) : 0;
            if (replacement) {
                character = replacement;
                at++;
            }
        }
        if (value) rbt_buffer_add_byte(value, character);
    }
    if (at == end) return VALUE_UNCLOSED;
    at = skip_blanks(at + 1, end);
    return at == end || *at == '#' ? VALUE_GOOD : VALUE_FOLLOWED;
}

/* Appends a line's value, unless value is NULL: then it looks at the form alone. */
static value_problem read_value(rbt_buffer *value, const assignment *line) {
    const char *at = skip_blanks(line->value, line->end), *end = at;

    if (at < line->end && (*at == '"' || *at == '\'')) return read_quoted(value, at, line->end);
    while (end < line->end && !(*end == '#' && end > line->value && is_blank(end[-1])))
        end++;
    while (end > at && is_blank(end[-1]))
        end--;
    if (value) rbt_buffer_add(value, at, (size_t)(end - at));
    return VALUE_GOOD;
}

int rbt_dotenv_find(rbt_buffer *value, bool *found, const char *text, size_t length,
                    const char *name, const char *what, const char *who, rbt_error *error) {
    *found = false;
    if (length == 0) return SQLITE_OK; /* then text may be NULL */
    const char *at = text, *stop = text + length;
    size_t name_length = strlen(name);
    assignment last = {0};

    for (int number = 1; at < stop; number++) {
        const char *end = line_end(at, stop);
        assignment line;
        if (split_line(&line, at, end)) {
            value_problem problem = read_value(NULL, &line);
            if (problem == VALUE_UNCLOSED)
                return rbt_fail(error, SQLITE_ERROR,
                                "%s: line %d of %s opens a quotation that it does not close; "
                                "close it on that line, for values of several lines are not read",
                                who, number, what);
            if (problem == VALUE_FOLLOWED)
                return rbt_fail(error, SQLITE_ERROR,
                                "%s: line %d of %s goes on after its closing quotation mark; put "
                                "the whole value between quotation marks",
                                who, number, what);
            if (line.name_length == name_length && memcmp(line.name, name, name_length) == 0) {
                last = line;
                *found = true;
            }
        }
        at = end < stop ? end + 1 : stop;
    }
    if (*found) (void)read_value(value, &last); /* its form was found good above */
    return value->failed ? rbt_fail_nomem(error) : SQLITE_OK;
}
