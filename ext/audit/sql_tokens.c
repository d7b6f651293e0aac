/* SPDX-License-Identifier: MIT
** See sql_tokens.h. May call base. */
#include "sql_tokens.h"

#include <string.h>

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Letters, digits, '_', '$' and every byte above 0x7F, as SQLite has it. */
static bool is_word_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' ||
           c == '$' || (c & 0x80);
}

/* Moves past white space and comments; false when a block comment is not closed. */
static bool skip_blank(rbt_tokens *tokens) {
    for (;;) {
        while (tokens->next < tokens->end && is_space(*tokens->next))
            tokens->next++;
        size_t left = (size_t)(tokens->end - tokens->next);
        if (left >= 2 && tokens->next[0] == '-' && tokens->next[1] == '-') {
            const char *newline = memchr(tokens->next, '\n', left);
            tokens->next = newline ? newline + 1 : tokens->end;
        } else if (left >= 2 && tokens->next[0] == '/' && tokens->next[1] == '*') {
            const char *p = tokens->next + 2;
            while (p + 1 < tokens->end && !(p[0] == '*' && p[1] == '/'))
                p++;
            if (p + 1 >= tokens->end) return false;
            tokens->next = p + 2;
        } else {
            return true;
        }
    }
}

/* The length of a quoted token that begins at p, its quotes included; 0 when it is not closed. */
static size_t quoted_length(const char *p, const char *end, char close) {
    for (const char *q = p + 1; q < end; q++) {
        if (*q == 0) return 0;
        if (*q != close) continue;
        if (close != ']' && q + 1 < end && q[1] == close)
            q++;
        else
            return (size_t)(q - p) + 1;
    }
    return 0;
}

/* A blob literal whole, x and quotes included: pairs of hex digits, or 0. */
static size_t blob_length(const char *p, const char *end) {
    const char *q = p + 2;
    while (q < end && is_hex_digit(*q))
        q++;
    return q < end && *q == '\'' && (q - p) % 2 == 0 ? (size_t)(q - p) + 1 : 0;
}

static size_t number_length(const char *p, const char *end) {
    const char *q = p;
    if (end - q > 2 && q[0] == '0' && (q[1] == 'x' || q[1] == 'X')) {
        for (q += 2; q < end && is_word_byte(*q); q++)
            ;
        return (size_t)(q - p);
    }
    while (q < end && is_digit(*q))
        q++;
    if (q < end && *q == '.')
        for (q++; q < end && is_digit(*q); q++)
            ;
    if (q < end && (*q == 'e' || *q == 'E')) {
        const char *exponent = q + 1;
        if (exponent < end && (*exponent == '+' || *exponent == '-')) exponent++;
        if (exponent < end && is_digit(*exponent))
            for (q = exponent; q < end && is_digit(*q); q++)
                ;
    }
    return (size_t)(q - p);
}

static size_t operator_length(const char *p, const char *end) {
    static const char *const operators[] = {"->>", "->", "||", "<<", "<=", "<>", "<", ">>", ">=",
                                            ">",   "==", "=",  "!=", "+",  "-",  "*", "/",  "%",
                                            "&",   "|",  "~",  "(",  ")",  ",",  "."};
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        size_t length = strlen(operators[i]);
        if ((size_t)(end - p) >= length && memcmp(p, operators[i], length) == 0) return length;
    }
    return 0;
}

rbt_token rbt_next_token(rbt_tokens *tokens) {
    rbt_token token = {RBT_TOKEN_ILLEGAL, tokens->next, 1};
    if (!skip_blank(tokens)) return token;
    const char *p = tokens->next, *end = tokens->end;
    token.text = p;
    if (p == end) {
        token.kind = RBT_TOKEN_END;
        token.length = 0;
        return token;
    }
    size_t length = 0;
    rbt_token_kind kind = RBT_TOKEN_ILLEGAL;
    if (*p == '\'') {
        length = quoted_length(p, end, '\'');
        kind = RBT_TOKEN_STRING;
    } else if (*p == '"' || *p == '`' || *p == '[') {
        length = quoted_length(p, end, *p == '[' ? ']' : *p);
        kind = RBT_TOKEN_IDENTIFIER;
    } else if ((*p == 'x' || *p == 'X') && p + 1 < end && p[1] == '\'') {
        length = blob_length(p, end);
        kind = RBT_TOKEN_BLOB;
    } else if (is_digit(*p) || (*p == '.' && p + 1 < end && is_digit(p[1]))) {
        length = number_length(p, end);
        kind = RBT_TOKEN_NUMBER;
        /* "1abc" is no number and no word */
        if (p + length < end && is_word_byte(p[length])) length = 0;
    } else if (*p != '$' && is_word_byte(*p)) {
        while (p + length < end && is_word_byte(p[length]))
            length++;
        kind = RBT_TOKEN_WORD;
    } else {
        length = operator_length(p, end);
        kind = RBT_TOKEN_OPERATOR;
    }
    if (length) {
        token.kind = kind;
        token.length = length;
        tokens->next = p + length;
    }
    return token;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool rbt_token_is_word(rbt_token token, const char *keyword) {
    if (token.kind != RBT_TOKEN_WORD || strlen(keyword) != token.length) return false;
    for (size_t i = 0; i < token.length; i++)
        if (lower(token.text[i]) != lower(keyword[i])) return false;
    return true;
}

bool rbt_token_is(rbt_token token, const char *op) {
    return token.kind == RBT_TOKEN_OPERATOR && strlen(op) == token.length &&
           memcmp(token.text, op, token.length) == 0;
}

void rbt_token_unquote(rbt_buffer *out, rbt_token token) {
    if (token.kind != RBT_TOKEN_IDENTIFIER && token.kind != RBT_TOKEN_STRING) {
        rbt_buffer_add(out, token.text, token.length);
        return;
    }
    char close = token.text[0] == '[' ? ']' : token.text[0];
    for (size_t i = 1; i + 1 < token.length; i++) {
        rbt_buffer_add_byte(out, (uint8_t)token.text[i]);
        if (close != ']' && token.text[i] == close) i++;
    }
}
