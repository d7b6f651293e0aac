/* SPDX-License-Identifier: MIT
** A reader of SQL tokens, for the arguments of USING audit_log(…). SQLite hands them over as they were
** typed, comments and all; nothing of them is pasted into SQL that we run. They are read as tokens and
** written anew (sqlite.org/lang_expr.html, tokenize.c's token classes). Pure.
*/
#ifndef RBT_AUDIT_SQL_TOKENS_H
#define RBT_AUDIT_SQL_TOKENS_H

#include "../base/buffer.h"
#include <stdbool.h>
#include <stddef.h>

typedef enum rbt_token_kind {
    RBT_TOKEN_END,        /* end of the text */
    RBT_TOKEN_WORD,       /* bare identifier or keyword */
    RBT_TOKEN_IDENTIFIER, /* "x", [x] or `x` */
    RBT_TOKEN_STRING,     /* 'x' */
    RBT_TOKEN_BLOB,       /* x'00' */
    RBT_TOKEN_NUMBER,
    RBT_TOKEN_OPERATOR, /* any operator or punctuation of one to three characters */
    RBT_TOKEN_ILLEGAL   /* a semicolon, a variable, an unclosed quote or comment, a stray byte */
} rbt_token_kind;

typedef struct rbt_token {
    rbt_token_kind kind;
    const char *text; /* into the source */
    size_t length;
} rbt_token;

typedef struct rbt_tokens {
    const char *next, *end;
} rbt_tokens;

/* The next token; white space and comments are passed over. */
rbt_token rbt_next_token(rbt_tokens *tokens);

/* True for a bare word that equals the keyword (ASCII, any case). */
bool rbt_token_is_word(rbt_token token, const char *keyword);
/* True for an operator that is exactly this text. */
bool rbt_token_is(rbt_token token, const char *op);

/* Appends the name that a WORD, IDENTIFIER or STRING token stands for, quotes removed. */
void rbt_token_unquote(rbt_buffer *out, rbt_token token);

#endif
