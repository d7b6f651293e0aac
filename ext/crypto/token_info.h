/* SPDX-License-Identifier: MIT
** What a token shows from outside, without any key: format, time, key id, and what is wrong with its
** form. The one place where a person finds out why a token does not open. */
#ifndef RBT_CRYPTO_TOKEN_INFO_H
#define RBT_CRYPTO_TOKEN_INFO_H

#include "../base/buffer.h"

/* Appends a JSON object about a token, TEXT or BLOB alike. format is always there:
**
**   {"format":"envelope","kind":1,"key_id":"…16 hex digits","created":"2023-11-14T22:13:20Z",
**    "created_seconds":1700000000,"size":100,"value_size":7}
**   {"format":"fernet","version":128,"created":…,"created_seconds":…,"size":100,
**    "value_size_max":15}
**   {"format":"fernet","size":99,"error":"cut short: …"}
**   {"format":"envelope","kind":4,"created":…,"created_seconds":…,"passes":8,"memory_kib":262144,
**    "check":true,"size":244}
**   {"format":"unknown","size":5,"error":"…"}
**
** kind: 1 ring key, 2 subject key (key_id is the subject's), 3 wrapped subject key, 4 key backup (the
** last has neither key_id nor value_size; of its base64 text, passes and memory_kib say what a guess
** of the passphrase costs, and check whether the first 86 characters are undamaged: see backup.h).
** Sizes are bytes, size that of the token as given. No "error" does not mean that it is authentic:
** that takes the key. */
void rbt_token_info(rbt_buffer *json, const uint8_t *token, size_t length);

#endif
