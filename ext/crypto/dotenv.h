/* SPDX-License-Identifier: MIT
** Dotenv text: lines of NAME=value, read as Python's python-dotenv reads them (its common subset; a
** test compares the two). Exactly this is read:
**
**   [export ]NAME=value   blanks (space, tab, carriage return) may stand before and after each part;
**                         when a name is there several times, the last line counts
**   value                 ends with the line, or at a # with a blank before it: a comment
**   'value'               up to the next ': \' and \\ stand for ' and \, all else for itself
**   "value"               up to the next ": \" \' \\ \a \b \f \n \r \t \v are C's characters, another
**                         backslash stands for itself
**   NAME=                 the empty text
**
** After a closing quotation mark only blanks and a comment may follow. Blank lines, lines that begin
** with # and lines that are no assignment are passed over. Nothing is expanded: ${OTHER} stands for
** itself. Values of several lines are not read: a quotation that its line does not close is an error.
**
** Pure: calls base alone.
*/
#ifndef RBT_CRYPTO_DOTENV_H
#define RBT_CRYPTO_DOTENV_H

#include "../base/buffer.h"
#include "../base/error.h"

/* True when some line is an assignment that cannot be the text of a key: the name is made of letters,
** digits and _, and the value is there and begins with neither = nor a comma (base64 ends with = or
** ==, and a comma separates keys). */
bool rbt_dotenv_form(const char *text, size_t length);

/* Sets *found, and if true appends the value of name to value. what names the text and who begins the
** message ("<who>: line 3 of <what> …"): a line with a malformed quotation is an error, whatever its
** name. Lines are counted from 1. */
int rbt_dotenv_find(rbt_buffer *value, bool *found, const char *text, size_t length,
                    const char *name, const char *what, const char *who, rbt_error *error);

#endif
