/* SPDX-License-Identifier: MIT
** Signed notes (c2sp.org/signed-note): text, an empty line, and signature lines
** "— <name> <base64(key id 4 || signature)>". Only Ed25519 keys (algorithm byte 1) sign here;
** lines of other algorithms or unknown keys are passed over.
*/
#ifndef RBT_CRYPTO_SIGN_H
#define RBT_CRYPTO_SIGN_H

#include "../base/buffer.h"
#include "../base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A public key in C2SP form: "<name>+<8 hex digits>+<base64(0x01 || public key)>". */
typedef struct rbt_verifier {
    char name[256]; /* 1 to 255 bytes, no space, control or '+' */
    uint8_t public_key[32];
    uint8_t key_id[4]; /* SHA-256(name || 0x0A || 0x01 || public key)[0..3] */
    uint64_t max_size; /* leaves up to which its signatures count; UINT64_MAX: no limit */
} rbt_verifier;

/* False when name is not 1 to 255 bytes of UTF-8 without space, control character or '+'. */
bool rbt_note_name_valid(const char *name);

/* Fills key_id from name and key, without a limit; false for an invalid name. */
bool rbt_verifier_make(rbt_verifier *verifier, const char *name, const uint8_t public_key[32]);
/* Reads a vkey; strict (base64, id must match). */
bool rbt_verifier_parse(rbt_verifier *verifier, const char *text, size_t length);
void rbt_verifier_format(rbt_buffer *out, const rbt_verifier *verifier);
/* Appends the key as "-----BEGIN PUBLIC KEY-----" (RFC 8410), ending in a newline. */
void rbt_verifier_pem(rbt_buffer *out, const uint8_t public_key[32]);

/* A list of vkeys separated by commas or white space; free verifiers with rbt_free. An empty or
** malformed list is an error that names the entry's number, after who. */
int rbt_verifiers_parse(const char *text, const char *who, rbt_verifier **verifiers, size_t *count,
                        rbt_error *error);

/* Appends text (which must end in a newline), an empty line and the signature line. */
int rbt_note_sign(rbt_buffer *out, const char *text, size_t length, const rbt_verifier *signer,
                  const uint8_t secret[64], rbt_error *error);

/* Splits a note into its text (with its last newline) and signatures; checks the form strictly (UTF-8,
** no control characters but newline, at least one signature line, at most 1 MiB). NULL and *why set
** when it is no note; rbt_note_no_memory when that could not be found out. */
extern const char rbt_note_no_memory[];
bool rbt_note_split(const char *note, size_t length, size_t *text_length, const char **why);

/* The index of the first verifier with a valid signature; -1 when none signed validly (an invalid
** signature by a known key and name makes the whole note invalid: -2, as Go's note.Open has it); -3 when memory ran out. */
int rbt_note_verify(const char *note, size_t length, const rbt_verifier *verifiers, size_t count);

/* The same for a note that speaks of a tree of `size` leaves: a signature counts only by a verifier
** whose max_size is not below. RBT_NOTE_SUPERSEDED when others alone signed validly; *limit is then the
** highest max_size among them. */
enum { RBT_NOTE_SUPERSEDED = -4 };
int rbt_note_verify_at(const char *note, size_t length, uint64_t size,
                       const rbt_verifier *verifiers, size_t count, uint64_t *limit);

#endif
