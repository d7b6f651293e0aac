/* SPDX-License-Identifier: MIT
** Signed notes (c2sp.org/signed-note): text, an empty line, and signature lines
** "— <name> <base64(key id 4 || signature)>". Only Ed25519 keys (algorithm byte 1) sign here; a
** witness's cosignature/v1 (byte 4, c2sp.org/tlog-cosignature) is verified as well. Lines of other
** algorithms or unknown keys are passed over.
*/
#ifndef RBT_CRYPTO_SIGN_H
#define RBT_CRYPTO_SIGN_H

#include "../base/buffer.h"
#include "../base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The algorithm byte of a key (c2sp.org/signed-note, Signature types). */
typedef enum rbt_signature_type {
    RBT_SIGNATURE_ED25519 = 1,    /* over the note's text */
    RBT_SIGNATURE_COSIGNATURE = 4 /* a witness's, over a time and a checkpoint's text */
} rbt_signature_type;

/* A public key in C2SP form: "<name>+<8 hex digits>+<base64(algorithm || public key)>". */
typedef struct rbt_verifier {
    char name[256]; /* 1 to 255 bytes, no space, control or '+' */
    uint8_t public_key[32];
    uint8_t key_id[4]; /* SHA-256(name || 0x0A || algorithm || public key)[0..3] */
    rbt_signature_type type;
    uint64_t max_size; /* leaves up to which its signatures count; UINT64_MAX: no limit */
} rbt_verifier;

/* False when name is not 1 to 255 bytes of UTF-8 without space, control character or '+'. */
bool rbt_note_name_valid(const char *name);

/* Fills key_id from name and key, of type Ed25519, without a limit; false for an invalid name. */
bool rbt_verifier_make(rbt_verifier *verifier, const char *name, const uint8_t public_key[32]);
/* Reads a vkey of either type; strict (base64, id must match). */
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

/* The index of the first verifier of type Ed25519 with a valid signature (witnesses are passed over);
** -1 when none signed validly (an invalid signature by a known key and name makes the whole note
** invalid: -2, as Go's note.Open has it); -3 when memory ran out. */
int rbt_note_verify(const char *note, size_t length, const rbt_verifier *verifiers, size_t count);

/* The same for a note that speaks of a tree of `size` leaves: a signature counts only by a verifier
** whose max_size is not below. RBT_NOTE_SUPERSEDED when others alone signed validly; *limit is then the
** highest max_size among them. */
enum { RBT_NOTE_SUPERSEDED = -4 };
int rbt_note_verify_at(const char *note, size_t length, uint64_t size,
                       const rbt_verifier *verifiers, size_t count, uint64_t *limit);
/* What a note says by one verifier. */
typedef struct rbt_note_signature {
    bool valid;
    uint64_t time;    /* of a cosignature, when it was made: Unix seconds; else 0 */
    const char *line; /* its line within the note, newline included; NULL when there is none */
    size_t line_length;
} rbt_note_signature;

/* Checks the lines of every verifier, of both types: signatures[i] (OUT, count of them) tells of
** verifiers[i], and line is set also where the signature is wrong. 0; or -1 (no note), -2 (a known
** key's signature is wrong), -3 (no memory): then nothing may be believed. */
int rbt_note_check(const char *note, size_t length, const rbt_verifier *verifiers, size_t count,
                   rbt_note_signature *signatures);

#endif
