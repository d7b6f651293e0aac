/* SPDX-License-Identifier: MIT
** Succession notes (DESIGN §5): how a log's signing key hands over to the next one. A signed note
** (crypto/sign.h, c2sp.org/signed-note) of the text
**
**   rustybt-vkey-v1
**   origin <origin>
**   size <n>                 leaves of the log when the key changed, at least 1
**   root <base64>            their root
**   next <vkey>              the key that signs from here on; both vkeys are named by the origin
**   previous <vkey>          the key that counts for sizes up to n alone
**
** with two signatures, by the previous key and then by the next one. It cannot be read as a checkpoint
** or as a segment's note. Whoever trusts one of the two keys can come to trust the other by it
** (audit/trust.h): the next key's signature binds which key it accepts as its predecessor.
**
** The notes of a log stand in its <log>_meta under "successions", oldest first, as a JSON array of
** strings. They prove themselves, so it matters not who could write there. Pure; calls base and
** crypto's notes.
*/
#ifndef RBT_AUDIT_SUCCESSION_H
#define RBT_AUDIT_SUCCESSION_H

#include "../base/buffer.h"
#include "../base/error.h"
#include "../crypto/sign.h"
#include "tree.h"

#define RBT_SUCCESSIONS_KEY "successions"
#define RBT_FIRST_SIGNER_KEY "first_signer" /* 32 bytes: log_state.h's rbt_log_remember_signer */

enum {
    RBT_SUCCESSION_MAX =
        2048, /* bytes of one note: five names of 255, and what stands around them */
    RBT_SUCCESSIONS_MAX = 1024,                                             /* notes of one log */
    RBT_SUCCESSIONS_BYTES = RBT_SUCCESSIONS_MAX * (RBT_SUCCESSION_MAX + 64) /* of the JSON text */
};

typedef struct rbt_succession {
    uint64_t size;
    rbt_hash root;
    rbt_verifier next, previous; /* named by the origin, and different */
} rbt_succession;

/* Appends the note's text. */
void rbt_succession_format(rbt_buffer *out, const rbt_succession *succession);

/* Reads the note's text; strict: only what rbt_succession_format writes, of this origin. NULL, or what
** is wrong with it (rbt_note_no_memory when that could not be found out). */
const char *rbt_succession_parse(rbt_succession *succession, const char *text, size_t length,
                                 const char *origin);

/* Appends the whole note, signed with the two secrets. */
int rbt_succession_sign(rbt_buffer *out, const rbt_succession *succession,
                        const uint8_t previous_secret[64], const uint8_t next_secret[64],
                        rbt_error *error);

/* Reads a whole note: its text, and that it is signed by the previous and by the next key, in this
** order, and by nobody else. NULL, or what is wrong. */
const char *rbt_succession_read(rbt_succession *succession, const char *note, size_t length,
                                const char *origin);

/* ---- The notes of a log ---- */

typedef struct rbt_stored_succession {
    rbt_succession succession; /* valid when why is NULL */
    const char *why;           /* what is wrong with it; NULL: nothing that was looked for */
    bool checked;              /* its signatures were looked at, too */
    size_t start, length;      /* the note, in texts */
} rbt_stored_succession;

typedef struct rbt_successions {
    char origin[256];
    rbt_stored_succession *notes;
    size_t count;
    rbt_buffer texts;
    rbt_buffer stored; /* the value that was read */
    const char *why;   /* NULL, or why the stored value cannot be read: count is 0 then */
} rbt_successions;

/* Reads the stored value into *list, which starts as {0}; length 0: none is stored. Free it in any case.
** What is malformed is kept, with its reason; an error means that memory ran out. Signatures are not
** looked at yet. */
int rbt_successions_read(rbt_successions *list, const char *json, size_t length, const char *origin,
                         rbt_error *error);
void rbt_successions_free(rbt_successions *list);

/* Whether note i is well-formed and signed by both its keys; looks at the signatures on the first call.
** False with the error set when memory ran out. */
bool rbt_successions_valid(rbt_successions *list, size_t i, rbt_error *error);

/* Adds a note at the end. */
int rbt_successions_add(rbt_successions *list, const char *note, size_t length, rbt_error *error);

/* Appends the value to store. */
void rbt_successions_write(rbt_buffer *out, const rbt_successions *list);

/* What keeps the notes from being one history: a note that is not valid, one that does not continue the
** note before it, a key that comes back. NULL when nothing does, else the reason, with *at the note.
** rbt_note_no_memory when memory ran out. */
const char *rbt_successions_flaw(rbt_successions *list, size_t *at, rbt_error *error);

/* The size up to which a key's signatures count by the valid notes that it signed as the previous key;
** UINT64_MAX when there is none. */
uint64_t rbt_successions_limit(rbt_successions *list, const uint8_t public_key[32],
                               rbt_error *error);

#endif
