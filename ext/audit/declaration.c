/* SPDX-License-Identifier: MIT
** See declaration.h. May call base, and the tokens and leaf of audit.
*/
#include "declaration.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../base/utf8.h"
#include "../crypto/sign.h"
#include "sql_tokens.h"

/* One argument being read. */
typedef struct reader {
    const char *log;
    const char *argument;
    rbt_tokens tokens;
    rbt_token token; /* the one in hand */
    rbt_error *error;
} reader;

static void advance(reader *r) {
    r->token = rbt_next_token(&r->tokens);
}

static int refuse(reader *r, const char *what) {
    return rbt_fail(r->error, SQLITE_ERROR, "%s: %s in \"%s\"", r->log, what, r->argument);
}

/* Appends a token behind a space; refuses what may not stand in an expression. */
static int add_token(reader *r, rbt_buffer *out) {
    if (r->token.kind == RBT_TOKEN_ILLEGAL)
        return refuse(r, "a semicolon, a parameter or an unclosed quote");
    if (out->length) rbt_buffer_add_byte(out, ' ');
    rbt_buffer_add(out, r->token.text, r->token.length);
    return SQLITE_OK;
}

/* Reads "( … )" with the parenthesis in hand; gives what stands between, rebuilt from its tokens. */
static char *read_parenthesised(reader *r) {
    rbt_buffer out = {0};
    int depth = 1;
    if (!rbt_token_is(r->token, "(")) {
        refuse(r, "expected \"(\"");
        return NULL;
    }
    for (;;) {
        advance(r);
        if (r->token.kind == RBT_TOKEN_END) {
            refuse(r, "a \"(\" without its \")\"");
            break;
        }
        if (rbt_token_is(r->token, "(")) depth++;
        if (rbt_token_is(r->token, ")") && --depth == 0) {
            advance(r);
            if (out.length == 0 && !out.failed) {
                refuse(r, "nothing between parentheses");
                break;
            }
            char *text = rbt_buffer_take(&out);
            if (!text) rbt_fail_nomem(r->error);
            return text;
        }
        if (add_token(r, &out) != SQLITE_OK) break;
    }
    rbt_buffer_free(&out);
    return NULL;
}

static bool is_name(rbt_token token) {
    return token.kind == RBT_TOKEN_WORD || token.kind == RBT_TOKEN_IDENTIFIER;
}

/* The name in hand, unquoted; moves on. */
static char *read_name(reader *r, const char *what) {
    rbt_buffer out = {0};
    if (!is_name(r->token)) {
        refuse(r, what);
        return NULL;
    }
    rbt_token_unquote(&out, r->token);
    advance(r);
    if (out.length == 0 && !out.failed) {
        rbt_buffer_free(&out);
        refuse(r, "an empty name");
        return NULL;
    }
    char *name = rbt_buffer_take(&out);
    if (!name) rbt_fail_nomem(r->error);
    return name;
}

static bool is_one_of(rbt_token token, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (rbt_token_is_word(token, words[i])) return true;
    return false;
}

/* What reads a table or may call a function of anybody's. */
static bool is_forbidden(rbt_token token, rbt_token next) {
    static const char *const forbidden[] = {"SELECT", "VALUES", "WITH", "MATCH", "REGEXP"};
    return is_one_of(token, forbidden, sizeof forbidden / sizeof *forbidden) ||
           (rbt_token_is_word(token, "IN") && !rbt_token_is(next, "("));
}

static bool is_foreign_call(rbt_token token, rbt_token next) {
    static const char *const before_parenthesis[] = {
        "abs",       "and",        "between",      "case",      "cast",       "char",
        "coalesce",  "date",       "datetime",     "else",      "format",     "glob",
        "hex",       "ifnull",     "iif",          "in",        "instr",      "is",
        "json",      "json_array", "json_extract", "json_type", "json_valid", "json_object",
        "julianday", "length",     "like",         "lower",     "ltrim",      "max",
        "min",       "not",        "nullif",       "or",        "printf",     "quote",
        "random",    "randomblob", "replace",      "round",     "rtrim",      "sign",
        "strftime",  "substr",     "substring",    "then",      "time",       "trim",
        "typeof",    "unicode",    "unixepoch",    "upper",     "when",       "zeroblob"};
    return is_name(token) && rbt_token_is(next, "(") &&
           !is_one_of(token, before_parenthesis,
                      sizeof before_parenthesis / sizeof *before_parenthesis);
}

/* A DEFAULT runs as a statement of ours, not as SQLite's own part of a schema, so SQLite would not keep
** it from functions that are DIRECTONLY: a hostile file could decrypt or write files with it. It may
** call what computes, and nothing else; nor read tables. */
static int check_default(reader *r, const char *expression) {
    rbt_tokens tokens = {expression, expression + strlen(expression)};
    rbt_token token = rbt_next_token(&tokens);
    while (token.kind != RBT_TOKEN_END && r->error->code == SQLITE_OK) {
        rbt_token next = rbt_next_token(&tokens);
        if (is_forbidden(token, next))
            refuse(r, "DEFAULT must be computed from literals, without reading a table");
        else if (is_foreign_call(token, next))
            rbt_fail(r->error, SQLITE_ERROR,
                     "%s: DEFAULT may call SQLite's own functions that compute, not %.*s in \"%s\"",
                     r->log, (int)token.length, token.text, r->argument);
        token = next;
    }
    return r->error->code;
}

bool rbt_expression_computes(const char *expression) {
    rbt_tokens tokens = {expression, expression + strlen(expression)};
    rbt_token token = rbt_next_token(&tokens);
    while (token.kind != RBT_TOKEN_END) {
        rbt_token next = rbt_next_token(&tokens);
        if (is_forbidden(token, next) || is_foreign_call(token, next)) return false;
        token = next;
    }
    return true;
}

/* DEFAULT: a literal, a signed number, a bare word such as CURRENT_TIMESTAMP, or (expression). */
static char *read_default(reader *r) {
    rbt_buffer out = {0};
    if (rbt_token_is(r->token, "(")) {
        char *inner = read_parenthesised(r);
        if (!inner) return NULL;
        if (check_default(r, inner) == SQLITE_OK) rbt_buffer_printf(&out, "( %s )", inner);
        rbt_free(inner);
        if (r->error->code != SQLITE_OK) goto failed;
    } else {
        bool is_signed = rbt_token_is(r->token, "+") || rbt_token_is(r->token, "-");
        if (is_signed) {
            if (add_token(r, &out) != SQLITE_OK) goto failed;
            advance(r);
        }
        bool literal =
            r->token.kind == RBT_TOKEN_NUMBER ||
            (!is_signed && (r->token.kind == RBT_TOKEN_STRING || r->token.kind == RBT_TOKEN_BLOB ||
                            r->token.kind == RBT_TOKEN_WORD));
        if (!literal) {
            refuse(r, "expected a literal or a parenthesised expression after DEFAULT");
            goto failed;
        }
        if (add_token(r, &out) != SQLITE_OK) goto failed;
        advance(r);
    }
    char *text = rbt_buffer_take(&out);
    if (!text) rbt_fail_nomem(r->error);
    return text;
failed:
    rbt_buffer_free(&out);
    return NULL;
}

/* REFERENCES table(column), optionally DEFERRABLE INITIALLY DEFERRED, which it is in any case: an
** immediate one would make SQLite keep a statement journal for every append. */
static char *read_references(reader *r) {
    rbt_buffer out = {0};
    char *table = read_name(r, "expected a table's name after REFERENCES");
    char *column = NULL;
    if (!table) return NULL;
    rbt_add_identifier(&out, table);
    rbt_free(table);
    if (rbt_token_is(r->token, "(")) {
        advance(r);
        column = read_name(r, "expected a column's name after REFERENCES table(");
        if (!column) goto failed;
        rbt_buffer_add_byte(&out, '(');
        rbt_add_identifier(&out, column);
        rbt_buffer_add_byte(&out, ')');
        rbt_free(column);
        if (!rbt_token_is(r->token, ")")) {
            refuse(r, "expected \")\" after the referenced column");
            goto failed;
        }
        advance(r);
    }
    if (rbt_token_is_word(r->token, "DEFERRABLE")) {
        advance(r);
        if (!rbt_token_is_word(r->token, "INITIALLY")) goto malformed;
        advance(r);
        if (!rbt_token_is_word(r->token, "DEFERRED")) goto malformed;
        advance(r);
    }
    char *text = rbt_buffer_take(&out);
    if (!text) rbt_fail_nomem(r->error);
    return text;
malformed:
    refuse(r, "expected DEFERRABLE INITIALLY DEFERRED after REFERENCES");
failed:
    rbt_buffer_free(&out);
    return NULL;
}

/* SINCE id: a decimal number as rbt_buffer_add_i64 writes it, not below that of the column before. */
static int read_since(reader *r, const rbt_leaf_shape *shape) {
    int64_t since = 0, before = shape->count > 1 ? shape->columns[shape->count - 2].since : 0;
    bool fits = r->token.kind == RBT_TOKEN_NUMBER && r->token.length <= 18;
    for (size_t i = 0; i < r->token.length && fits; i++) {
        fits = r->token.text[i] >= '0' + (i == 0) && r->token.text[i] <= '9';
        since = since * 10 + (r->token.text[i] - '0');
    }
    if (!fits) return refuse(r, "expected an entry's id after SINCE");
    if (since < before) return refuse(r, "SINCE falls below that of the column before");
    shape->columns[shape->count - 1].since = since;
    advance(r);
    return SQLITE_OK;
}

static int read_column_constraints(reader *r, rbt_log_column *column, const rbt_leaf_shape *shape) {
    while (r->token.kind != RBT_TOKEN_END) {
        if (rbt_token_is_word(r->token, "NOT")) {
            advance(r);
            if (!rbt_token_is_word(r->token, "NULL")) return refuse(r, "expected NULL after NOT");
            advance(r);
            column->not_null = true;
        } else if (rbt_token_is_word(r->token, "CHECK")) {
            if (column->check) return refuse(r, "a second CHECK (join them with AND)");
            advance(r);
            if (!(column->check = read_parenthesised(r))) return r->error->code;
        } else if (rbt_token_is_word(r->token, "DEFAULT")) {
            if (column->fallback) return refuse(r, "a second DEFAULT");
            advance(r);
            if (!(column->fallback = read_default(r))) return r->error->code;
        } else if (rbt_token_is_word(r->token, "REFERENCES")) {
            if (column->references) return refuse(r, "a second REFERENCES");
            advance(r);
            if (!(column->references = read_references(r))) return r->error->code;
        } else if (rbt_token_is_word(r->token, "SINCE")) {
            if (shape->columns[shape->count - 1].since) return refuse(r, "a second SINCE");
            advance(r);
            if (read_since(r, shape) != SQLITE_OK) return r->error->code;
        } else if (rbt_token_is_word(r->token, "UNIQUE") ||
                   rbt_token_is_word(r->token, "PRIMARY")) {
            return refuse(r, "a log's key is its id; use INDEX(column) to look entries up: "
                             "UNIQUE or PRIMARY KEY");
        } else if (r->token.kind == RBT_TOKEN_ILLEGAL) {
            return refuse(r, "a semicolon, a parameter or an unclosed quote");
        } else {
            return refuse(r, "expected NOT NULL, CHECK, DEFAULT or REFERENCES");
        }
    }
    int64_t since = shape->columns[shape->count - 1].since;
    if (since && column->not_null)
        return refuse(r, "a column that older entries lack cannot be NOT NULL; leave that out");
    if (!since && shape->count > 1 && shape->columns[shape->count - 2].since)
        return refuse(r, "expected SINCE, which the column before has,");
    return SQLITE_OK;
}

static int column_index(const rbt_declaration *d, const char *name) {
    for (size_t i = 0; i < d->shape.count; i++)
        if (sqlite3_stricmp(d->shape.columns[i].name, name) == 0) return (int)i;
    return -2;
}

static int read_column(reader *r, rbt_declaration *d) {
    rbt_column_type type;
    char *name = read_name(r, "expected a column, INDEX(…), CHECK(…) or option=value");
    if (!name) return r->error->code;
    if (sqlite3_stricmp(name, "id") == 0 || sqlite3_stricmp(name, "recorded_at") == 0 ||
        sqlite3_stricmp(name, "tier") == 0 || sqlite3_stricmp(name, "salt") == 0) {
        rbt_fail(r->error, SQLITE_ERROR, "%s: the log has its own column \"%s\"", r->log, name);
    } else if (!rbt_utf8_valid((const uint8_t *)name, strlen(name))) {
        refuse(r, "a name that is not UTF-8");
    } else if (column_index(d, name) >= 0) {
        rbt_fail(r->error, SQLITE_ERROR, "%s: column \"%s\" is declared twice", r->log, name);
    } else if (d->shape.count >= RBT_LOG_MAX_COLUMNS) {
        rbt_fail(r->error, SQLITE_ERROR, "%s: more than %d columns", r->log, RBT_LOG_MAX_COLUMNS);
    } else if (r->token.kind != RBT_TOKEN_WORD ||
               !rbt_column_type_parse(&type, r->token.text, r->token.length)) {
        rbt_fail(r->error, SQLITE_ERROR,
                 "%s: expected TEXT, INTEGER, REAL, BLOB or JSON as the type of column \"%s\"",
                 r->log, name);
    } else {
        size_t count = d->shape.count;
        advance(r);
        rbt_log_column *columns = rbt_realloc(d->columns, (count + 1) * sizeof *columns);
        if (!columns) {
            rbt_fail_nomem(r->error);
        } else {
            d->columns = columns;
            memset(&columns[count], 0, sizeof *columns);
            if (rbt_leaf_shape_add(&d->shape, name, strlen(name), type, r->error) == SQLITE_OK)
                read_column_constraints(r, &columns[count], &d->shape);
        }
    }
    rbt_free(name);
    return r->error->code;
}

/* INDEX(column, …), once all columns are known. */
static int read_index(reader *r, rbt_declaration *d) {
    rbt_log_index *indexes = rbt_realloc(d->indexes, (d->index_count + 1) * sizeof *indexes);
    if (!indexes) return rbt_fail_nomem(r->error);
    d->indexes = indexes;
    rbt_log_index *index = &indexes[d->index_count++];
    memset(index, 0, sizeof *index);
    advance(r);
    if (!rbt_token_is(r->token, "(")) return refuse(r, "expected \"(\" after INDEX");
    do {
        advance(r);
        char *name = read_name(r, "expected a column's name");
        if (!name) return r->error->code;
        int column = sqlite3_stricmp(name, "recorded_at") == 0 ? -1 : column_index(d, name);
        if (column == -2)
            rbt_fail(r->error, SQLITE_ERROR, "%s: INDEX names column \"%s\", which is not declared",
                     r->log, name);
        rbt_free(name);
        int *columns = rbt_realloc(index->columns, (index->count + 1) * sizeof *columns);
        if (!columns) return rbt_fail_nomem(r->error);
        index->columns = columns;
        index->columns[index->count++] = column;
        if (r->error->code != SQLITE_OK) return r->error->code;
    } while (rbt_token_is(r->token, ","));
    if (!rbt_token_is(r->token, ")")) return refuse(r, "expected \",\" or \")\"");
    advance(r);
    if (r->token.kind != RBT_TOKEN_END) return refuse(r, "expected nothing after INDEX(…)");
    if (index->columns[0] >= 0) d->shape.columns[index->columns[0]].indexed = true;
    return SQLITE_OK;
}

static int read_check(reader *r, rbt_declaration *d) {
    char **checks = rbt_realloc(d->checks, (d->check_count + 1) * sizeof *checks);
    if (!checks) return rbt_fail_nomem(r->error);
    d->checks = checks;
    advance(r);
    char *check = read_parenthesised(r);
    if (!check) return r->error->code;
    checks[d->check_count++] = check;
    if (r->token.kind != RBT_TOKEN_END) return refuse(r, "expected nothing after CHECK(…)");
    return SQLITE_OK;
}

static int read_boolean(reader *r, const char *option, const char *value, bool *result) {
    if (sqlite3_stricmp(value, "yes") == 0 || sqlite3_stricmp(value, "on") == 0)
        *result = true;
    else if (sqlite3_stricmp(value, "no") == 0 || sqlite3_stricmp(value, "off") == 0)
        *result = false;
    else
        return rbt_fail(r->error, SQLITE_ERROR, "%s: %s must be yes or no, not \"%s\"", r->log,
                        option, value);
    return SQLITE_OK;
}

static int read_duration(reader *r, const char *option, char **text, rbt_duration *duration,
                         char **value) {
    if (!rbt_duration_parse(duration, *value, strlen(*value)))
        return rbt_fail(r->error, SQLITE_ERROR,
                        "%s: %s must be a duration like '90 days' or '7 years', not \"%s\"", r->log,
                        option, *value);
    *text = *value;
    *value = NULL;
    return SQLITE_OK;
}

static int apply_option(reader *r, rbt_declaration *d, const char *option, char **value) {
    if (sqlite3_stricmp(option, "origin") == 0) {
        if (!rbt_note_name_valid(*value))
            return rbt_fail(r->error, SQLITE_ERROR,
                            "%s: origin must be 1 to 255 bytes without space, control character or "
                            "\"+\"",
                            r->log);
        d->origin = *value;
        *value = NULL;
    } else if (sqlite3_stricmp(option, "archive") == 0) {
        if (**value == 0)
            return rbt_fail(r->error, SQLITE_ERROR, "%s: archive must name a directory", r->log);
        d->archive = *value;
        *value = NULL;
    } else if (sqlite3_stricmp(option, "archive_after") == 0) {
        return read_duration(r, option, &d->archive_after, &d->archive_after_duration, value);
    } else if (sqlite3_stricmp(option, "retain") == 0) {
        return read_duration(r, option, &d->retain, &d->retain_duration, value);
    } else if (sqlite3_stricmp(option, "seal") == 0) {
        return read_boolean(r, "seal", *value, &d->sealed);
    } else if (sqlite3_stricmp(option, "salt") == 0) {
        return read_boolean(r, "salt", *value, &d->shape.salted);
    } else if (sqlite3_stricmp(option, "reads") == 0) {
        if (sqlite3_stricmp(*value, "all") != 0 && sqlite3_stricmp(*value, "hot") != 0)
            return rbt_fail(r->error, SQLITE_ERROR, "%s: reads must be all or hot, not \"%s\"",
                            r->log, *value);
        d->reads_cold = sqlite3_stricmp(*value, "all") == 0;
    } else if (sqlite3_stricmp(option, "secrets") == 0) {
        /* Accepting what this version cannot keep would be a false promise in the genesis. */
        if (sqlite3_stricmp(*value, "allow") != 0)
            return rbt_fail(r->error, SQLITE_ERROR,
                            "%s: secrets=\"%s\" needs the secret scanner, which this version does "
                            "not have; use secrets=allow",
                            r->log, *value);
    } else {
        return rbt_fail(r->error, SQLITE_ERROR,
                        "%s: unknown option \"%s\"; options are origin, archive, archive_after, "
                        "retain, secrets, seal, reads and salt",
                        r->log, option);
    }
    return SQLITE_OK;
}

/* option=value, with the option's name and "=" already seen; seen[] remembers names. */
static int read_option(reader *r, rbt_declaration *d, rbt_buffer *seen) {
    char *option = read_name(r, "expected an option");
    rbt_buffer value = {0};
    char *text = NULL;
    if (!option) return r->error->code;
    rbt_buffer mark = {0};
    rbt_buffer_printf(&mark, "=%s=", option);
    for (size_t i = 0; i < mark.length; i++)
        if (mark.data[i] >= 'A' && mark.data[i] <= 'Z') mark.data[i] = (uint8_t)(mark.data[i] + 32);
    char *known = rbt_buffer_text(seen), *wanted = rbt_buffer_text(&mark);
    if (!known || !wanted) {
        rbt_fail_nomem(r->error);
    } else if (strstr(known, wanted)) {
        rbt_fail(r->error, SQLITE_ERROR, "%s: option \"%s\" is given twice", r->log, option);
    } else {
        rbt_buffer_add(seen, mark.data, mark.length);
        advance(r); /* past "=" */
        bool single = is_name(r->token) || r->token.kind == RBT_TOKEN_STRING ||
                      r->token.kind == RBT_TOKEN_NUMBER;
        if (single) rbt_token_unquote(&value, r->token);
        advance(r);
        if (!single || r->token.kind != RBT_TOKEN_END)
            rbt_fail(r->error, SQLITE_ERROR,
                     "%s: expected one word or one quoted text as the value of \"%s\"", r->log,
                     option);
        else if (!(text = rbt_buffer_take(&value)))
            rbt_fail_nomem(r->error);
        else if (!rbt_utf8_valid((const uint8_t *)text, strlen(text)))
            refuse(r, "a value that is not UTF-8");
        else
            apply_option(r, d, option, &text);
    }
    rbt_buffer_free(&value);
    rbt_buffer_free(&mark);
    rbt_free(text);
    rbt_free(option);
    return r->error->code;
}

static bool is_option(reader *r) {
    rbt_tokens ahead = r->tokens;
    return is_name(r->token) && rbt_token_is(rbt_next_token(&ahead), "=");
}

static bool starts_with(reader *r, const char *keyword) {
    rbt_tokens ahead = r->tokens;
    return rbt_token_is_word(r->token, keyword) && rbt_token_is(rbt_next_token(&ahead), "(");
}

rbt_declaration *rbt_declaration_parse(const char *log, int argument_count,
                                       const char *const *arguments, rbt_error *error) {
    rbt_buffer seen = {0};
    rbt_declaration *d = rbt_calloc(sizeof *d);
    if (!d) {
        rbt_fail_nomem(error);
        return NULL;
    }
    d->sealed = d->reads_cold = true;
    d->arguments = rbt_calloc((size_t)(argument_count > 0 ? argument_count : 1) * sizeof(char *));
    if (!d->arguments) rbt_fail_nomem(error);
    for (int i = 0; i < argument_count && error->code == SQLITE_OK; i++) {
        d->arguments[i] = rbt_strdup(arguments[i]);
        if (!d->arguments[i]) rbt_fail_nomem(error);
        if (!rbt_utf8_valid((const uint8_t *)arguments[i], strlen(arguments[i])))
            rbt_fail(error, SQLITE_ERROR, "%s: an argument is not UTF-8", log);
        d->argument_count = i + 1;
    }
    /* Columns and options first: an INDEX may stand before its columns. */
    for (int pass = 0; pass < 2 && error->code == SQLITE_OK; pass++) {
        for (int i = 0; i < argument_count && error->code == SQLITE_OK; i++) {
            reader r = {
                log, arguments[i], {arguments[i], arguments[i] + strlen(arguments[i])}, {0}, error};
            advance(&r);
            if (r.token.kind == RBT_TOKEN_END && argument_count == 1) continue;
            bool index = starts_with(&r, "INDEX"), check = starts_with(&r, "CHECK");
            if (pass == 1 && index)
                read_index(&r, d);
            else if (pass == 1 && check)
                read_check(&r, d);
            else if (pass == 0 && !index && !check && is_option(&r))
                read_option(&r, d, &seen);
            else if (pass == 0 && !index && !check)
                read_column(&r, d);
        }
    }
    if (error->code == SQLITE_OK && d->shape.count == 0)
        rbt_fail(error, SQLITE_ERROR, "%s: a log needs at least one column, such as event JSON",
                 log);
    if (seen.failed) rbt_fail_nomem(error);
    rbt_buffer_free(&seen);
    if (error->code != SQLITE_OK) {
        rbt_declaration_free(d);
        return NULL;
    }
    return d;
}

void rbt_declaration_free(rbt_declaration *d) {
    if (!d) return;
    for (int i = 0; i < d->argument_count; i++)
        rbt_free(d->arguments[i]);
    rbt_free(d->arguments);
    for (size_t i = 0; i < d->shape.count; i++) {
        rbt_free(d->columns[i].check);
        rbt_free(d->columns[i].fallback);
        rbt_free(d->columns[i].references);
    }
    rbt_free(d->columns);
    rbt_leaf_shape_free(&d->shape);
    for (size_t i = 0; i < d->index_count; i++)
        rbt_free(d->indexes[i].columns);
    rbt_free(d->indexes);
    for (size_t i = 0; i < d->check_count; i++)
        rbt_free(d->checks[i]);
    rbt_free(d->checks);
    rbt_free(d->origin);
    rbt_free(d->archive);
    rbt_free(d->archive_after);
    rbt_free(d->retain);
    rbt_free(d);
}

void rbt_declaration_vtab(rbt_buffer *out, const rbt_declaration *d) {
    rbt_buffer_add_text(out, "CREATE TABLE x(id INTEGER, recorded_at INTEGER");
    for (size_t i = 0; i < d->shape.count; i++) {
        const rbt_leaf_column *column = &d->shape.columns[i];
        rbt_buffer_add_text(out, ", ");
        rbt_add_identifier(out, column->name);
        /* "JSON" would have NUMERIC affinity. */
        rbt_buffer_printf(out, " %s",
                          column->type == RBT_COLUMN_JSON ? "TEXT"
                                                          : rbt_column_type_name(column->type));
        if (d->columns[i].not_null) rbt_buffer_add_text(out, " NOT NULL");
    }
    rbt_buffer_add_text(out, ", tier TEXT HIDDEN)");
}

bool rbt_declaration_equal(const rbt_declaration *a, int argument_count,
                           const char *const *arguments) {
    if (a->argument_count != argument_count) return false;
    for (int i = 0; i < argument_count; i++)
        if (strcmp(a->arguments[i], arguments[i]) != 0) return false;
    return true;
}

bool rbt_declares_log(const char *sql) {
    static const char *const opening[] = {"CREATE", "VIRTUAL", "TABLE"};
    rbt_tokens tokens = {sql, sql ? sql + strlen(sql) : NULL};
    if (!sql) return false;
    for (int i = 0; i < 3; i++)
        if (!rbt_token_is_word(rbt_next_token(&tokens), opening[i])) return false;
    rbt_next_token(&tokens); /* the name; sqlite_schema has neither IF NOT EXISTS nor a schema */
    if (!rbt_token_is_word(rbt_next_token(&tokens), "USING")) return false;
    rbt_token module = rbt_next_token(&tokens);
    if (module.kind == RBT_TOKEN_IDENTIFIER || module.kind == RBT_TOKEN_STRING) {
        module.text++; /* compared between its quotes, so that no lack of memory can hide a log */
        module.length -= 2;
        module.kind = RBT_TOKEN_WORD;
    }
    return rbt_token_is_word(module, "audit_log");
}
