/* SPDX-License-Identifier: MIT
** Key backup: the ring and the signing key under a passphrase, as text that can be printed (DESIGN
** §5). It is base64 (RFC 4648 §4, padded; white space anywhere is passed over) of
**
**   0   "RBT" 4
**   4   kdf                 u8, 1 for Argon2id 1.3 (RFC 9106)
**   5   lanes               u8, 1
**   6   0                   u16
**   8   passes              u32 LE
**   12  memory              u32 LE, KiB
**   16  salt                16
**   32  created             u64 LE, Unix seconds
**   40  nonce               24: 16 random bytes, then the check, 8 bytes of BLAKE2b-256(bytes 0-55)
**   64  commitment          32
**   96  XChaCha20-Poly1305  (message key, nonce, no AAD) of type byte 3 (TEXT) || contents, then
**                           tag 16
**
**   key = Argon2id(passphrase, salt, passes, memory, lanes), 32 bytes
**   h = BLAKE2b-512(key = key, bytes 0-63);  message key = h[0..31], commitment = h[32..63]
**
** The check is what tells a mistyped character from a wrong passphrase, and damage from a newer
** version. It is no condition for opening: a backup from elsewhere, with a nonce that is random
** throughout, opens as well. Characters as messages count them: 1 to 86 are bytes 0-63, 86 to 128
** the rest up to byte 95, and the ciphertext begins with character 129.
**
** Contents: the lines of a dotenv file, RUSTYBT_ENCRYPTION_KEY=<ring, comma-separated, in order> and,
** when there are signing keys of their own, RUSTYBT_SIGNING_KEY=<seeds, likewise>.
*/
#ifndef RBT_CRYPTO_BACKUP_H
#define RBT_CRYPTO_BACKUP_H

#include "../base/buffer.h"
#include "../base/error.h"
#include "keys.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RBT_BACKUP_RANDOM_SIZE = 32, RBT_BACKUP_KEY_SIZE = 32, RBT_BACKUP_WHY_SIZE = 200 };
enum { RBT_PASSPHRASE_MINIMUM = 12 }; /* bytes */

/* What one guess of the passphrase costs. */
typedef struct rbt_backup_cost {
    uint32_t passes;
    uint32_t memory_kib;
} rbt_backup_cost;

enum {
    RBT_BACKUP_PASSES = 8, /* written */
    RBT_BACKUP_PASSES_MINIMUM = 1,
    RBT_BACKUP_PASSES_MAXIMUM = 64, /* read */
    RBT_BACKUP_MEMORY_KIB = 256 * 1024,
    RBT_BACKUP_MEMORY_KIB_MINIMUM = 64 * 1024,
    RBT_BACKUP_MEMORY_KIB_MAXIMUM = 4 * 1024 * 1024
};

/* What a backup shows without its passphrase. */
typedef struct rbt_backup_form {
    rbt_backup_cost cost;
    uint64_t created; /* Unix seconds */
    bool check_holds;
} rbt_backup_form;

/* Appends the text of a backup of the contents, one line without its end. random is the salt and 16
** bytes of the nonce, fresh for each backup. The passphrase has passed rbt_backup_passphrase_check,
** the cost lies within what is read. Error: the memory that the cost names cannot be had. */
int rbt_backup_seal(rbt_buffer *text, const rbt_backup_cost *cost,
                    const uint8_t random[RBT_BACKUP_RANDOM_SIZE], uint64_t created_seconds,
                    const uint8_t *passphrase, size_t passphrase_length, const uint8_t *contents,
                    size_t contents_length, const char *who, rbt_error *error);

/* Appends the bytes of a backup given as text of length bytes, and says what they show. False when
** they are no backup that this version opens: why then continues "the backup …", and is empty when
** memory ran out. Cheap: derives no key. */
bool rbt_backup_read(rbt_buffer *bytes, rbt_backup_form *form, char why[RBT_BACKUP_WHY_SIZE],
                     const uint8_t *text, size_t length);

/* The key of the bytes that rbt_backup_read gave: all of the cost, a second or two by the one that is
** written. Error: the memory cannot be had. The caller wipes the key. */
int rbt_backup_key(uint8_t key[RBT_BACKUP_KEY_SIZE], const rbt_buffer *bytes,
                   const uint8_t *passphrase, size_t passphrase_length, const char *who,
                   rbt_error *error);

/* Opens the bytes that rbt_backup_read gave, and appends their contents (to a buffer that is secret).
** Opens only when commitment and ciphertext both fit the key; when they do not, the error says
** whether the passphrase is wrong or a character mistyped, and where. */
int rbt_backup_unlock(rbt_buffer *contents, const rbt_buffer *bytes,
                      const uint8_t key[RBT_BACKUP_KEY_SIZE], const char *who, rbt_error *error);

/* The three above: from text and passphrase to contents. */
int rbt_backup_open(rbt_buffer *contents, const uint8_t *text, size_t length,
                    const uint8_t *passphrase, size_t passphrase_length, const char *who,
                    rbt_error *error);

/* Whether a passphrase may be used: at least 12 bytes of UTF-8 without control characters, so that
** what is written on paper is what was used. It must not look like a backup either, which is what it
** is when arguments changed places. */
int rbt_backup_passphrase_check(const uint8_t *passphrase, size_t length, const char *who,
                                rbt_error *error);

/* Whether text, after white space, begins as every backup does and nothing else. */
bool rbt_backup_resembles(const uint8_t *text, size_t length);

/* Appends the contents for keys (to a buffer that is secret; failed tells when memory ran out). */
void rbt_backup_add_contents(rbt_buffer *contents, const rbt_keys *keys);

/* The keys that contents hold; NULL and an error when they are none, or when there is more to them
** than this version knows. Free with rbt_keys_free. */
rbt_keys *rbt_backup_keys(const rbt_buffer *contents, const char *who, rbt_error *error);

#endif
