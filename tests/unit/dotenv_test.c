/* SPDX-License-Identifier: MIT
** Dotenv text: what each form of a line gives, what is refused, and which text is a key and not of
** dotenv form at all. tests/python/dotenv_test.py compares with python-dotenv.
*/
#include "tap.h"

#include "base/error.h"
#include "crypto/dotenv.h"

/* The value of A, "(none)", or the message. */
static const char *value_in(const char *text) {
    static char result[256];
    rbt_error error = {0};
    rbt_buffer value = {.secret = true};
    bool found = true;
    /* a copy that ends where its memory ends, so that a sanitizer sees a step beyond */
    size_t length = strlen(text);
    char *copy = malloc(length ? length : 1);
    if (copy == NULL) return "(no memory)";
    memcpy(copy, text, length);

    if (rbt_dotenv_find(&value, &found, length ? copy : NULL, length, "A", ".env", "test",
                        &error) != SQLITE_OK)
        snprintf(result, sizeof result, "%s", error.message);
    else
        snprintf(result, sizeof result, "%s", found ? rbt_buffer_text(&value) : "(none)");
    free(copy);
    rbt_buffer_free(&value);
    rbt_error_clear(&error);
    return result;
}

#define UNCLOSED                                                                                   \
    " of .env opens a quotation that it does not close; close it on that line, for values of "     \
    "several lines are not read"
#define FOLLOWED                                                                                   \
    " of .env goes on after its closing quotation mark; put the whole value between quotation "    \
    "marks"

static const struct {
    const char *text, *value, *name;
} lines[] = {
    {"", "(none)", "nothing"},
    {"A=x", "x", "a line without its end"},
    {"A=x\n", "x", "a line"},
    {"A=x\r\n", "x", "a line from Windows"},
    {" \tA\t = \t x y \t\n", "x y", "blanks around each part"},
    {"export A=x", "x", "export"},
    {"export\tA=x", "x", "export and a tab"},
    {"export=1\nexportA=2\nA", "(none)", "export as a name, or as its beginning"},
    {"A=1\nB=2\nA=3\n", "3", "the last line counts"},
    {"A=1\nA=\n", "", "also when it is empty"},
    {"A=1\nA\nA 2\nA: 3\n", "1", "lines without = are passed over"},
    {"# A=1\n\n  #A=2\n", "(none)", "comments and blank lines"},
    {"AB=1\nBA=2\na=3\n", "(none)", "other names"},
    {"A=x=y=\n", "x=y=", "a value with ="},
    {"A=x #y", "x", "a comment after a blank"},
    {"A=x\t#y", "x", "or a tab"},
    {"A=x#y", "x#y", "a # without a blank before it"},
    {"A=#y", "#y", "nor at the beginning"},
    {"A= # y", "", "a comment alone"},
    {"A=x 'y' \"z", "x 'y' \"z", "quotation marks inside"},
    {"A=a\\nb ${B} `c`", "a\\nb ${B} `c`", "nothing is expanded"},
    {"A=''", "", "an empty quotation"},
    {"A=' x #y ' # z", " x #y ", "a quotation with a comment behind it"},
    {"A=\"x\"#y", "x", "even without a blank"},
    {"A='a\\nb\\\\c\\'d\"e'", "a\\nb\\c'd\"e", "escapes in single marks"},
    {"A=\"a\\nb\\\\c\\\"d'e\\'f\"", "a\nb\\c\"d'e'f", "escapes in double marks"},
    {"A=\"\\a\\b\\f\\r\\t\\v\\x\\0\"", "\a\b\f\r\t\v\\x\\0", "all of them, and what is none"},
    {"A=\"x\\\\\"", "x\\", "a backslash before the mark"},
    {"A=\"x", "test: line 1" UNCLOSED, "an open quotation"},
    {"A='x\\'", "test: line 1" UNCLOSED, "one whose mark is escaped"},
    {"A=\"", "test: line 1" UNCLOSED, "a mark alone"},
    {"A=\"x\\", "test: line 1" UNCLOSED, "a backslash at the end"},
    {"\n#\nB=\"one\ntwo\"\nA=1\n", "test: line 3" UNCLOSED, "a value of several lines elsewhere"},
    {"A=1\nB-C='x\n", "test: line 2" UNCLOSED, "under whatever name"},
    {"A=\"x\" y", "test: line 1" FOLLOWED, "text after a quotation"},
    {"A='x'y'z'", "test: line 1" FOLLOWED, "or another one"},
};

static const struct {
    const char *text;
    bool dotenv;
    const char *name;
} forms[] = {
    {"A=x", true, "an assignment"},
    {"# key\nexport A = 'x'\n", true, "with all that belongs to it"},
    {"A=\nB=\n", false, "names without a value"},
    {"", false, "nothing"},
    {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", false, "a key"},
    {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8==\n", false, "with surplus padding"},
    {"AAECAwQF=,\nAAECAwQG=, AAECAwQH=", false, "several keys"},
    {"AAEC-_wQF= ", false, "a key of the urlsafe alphabet"},
    {"A.B=x\nA-B=x", false, "names that are none"},
};

int main(void) {
    enum { LINES = sizeof lines / sizeof lines[0], FORMS = sizeof forms / sizeof forms[0] };
    plan(LINES + FORMS);
    for (size_t i = 0; i < LINES; i++)
        is_text(value_in(lines[i].text), lines[i].value, lines[i].name);
    for (size_t i = 0; i < FORMS; i++) {
        size_t length = strlen(forms[i].text);
        is_int(rbt_dotenv_form(length ? forms[i].text : NULL, length), forms[i].dotenv,
               forms[i].name);
    }
    return done();
}
