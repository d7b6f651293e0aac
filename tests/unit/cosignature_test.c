/* SPDX-License-Identifier: MIT
** Witnesses: keys and lines of cosignature/v1 (c2sp.org/tlog-cosignature), made by Python's cryptography,
** and whom a checkpoint may be believed by. */
#include "failing_memory.h"

#include "audit/checkpoint_trust.h"
#include "base/memory.h"
#include "tap.h"
#include <sodium.h>

#define LOG_VKEY "example.com/audit+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
#define WITNESS_VKEY "witness.example/w1+0ad7d35e+BIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
#define TEXT "example.com/audit\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n"
#define LOG_LINE                                                                                     \
    "— example.com/audit Kbh7/MMDZzUK+Vn5aeiirlU7DkzTjY8Q014NWv4lp/DhLnxVQP9jgD8Wxf7HAzHwZgfJfgl/" \
    "Sxj8AshRwfohrAwzAw0=\n"
/* seed 32 times 01, time 1700000000 */
#define WITNESS_LINE                                                                               \
    "— witness.example/w1 "                                                                      \
    "CtfTXgAAAABlU/EAcpnlbmVO5FG7A8XbDWntgJbNKm0vty0++mHn6i9BKTcrSkbGnTzgSMEa"                     \
    "+MPiC1bIfIhz5kwupmOgc29ZEP5xCw==\n"
/* the same over a time of 2^63, which is one too many */
#define LATE_LINE                                                                                  \
    "— witness.example/w1 "                                                                      \
    "CtfTXoAAAAAAAAAAWB+fjJ+/Ol7xunROOwJ5bejOFFvKfVQJYRqFd6aRnENj4g3ysyB9Zy2y"                     \
    "gPm18/8V7FdVDcLcpt5wro13iTmJBg==\n"
#define COSIGNED TEXT "\n" LOG_LINE WITNESS_LINE

static rbt_verifier keys[2]; /* the log's, the witness's */

static int check_note(const char *note, rbt_note_signature signatures[2]) {
    return rbt_note_check(note, strlen(note), keys, 2, signatures);
}

static void test_keys(void) {
    rbt_buffer out = {0};
    ok(rbt_verifier_parse(&keys[0], LOG_VKEY, strlen(LOG_VKEY)) &&
           keys[0].type == RBT_SIGNATURE_ED25519,
       "a log's key is of type Ed25519");
    ok(rbt_verifier_parse(&keys[1], WITNESS_VKEY, strlen(WITNESS_VKEY)) &&
           keys[1].type == RBT_SIGNATURE_COSIGNATURE,
       "a witness's key is of type cosignature");
    rbt_verifier_format(&out, &keys[1]);
    is_text(rbt_buffer_text(&out), WITNESS_VKEY, "and is written as it was read");
    rbt_buffer_free(&out);
}

static void test_lines(void) {
    rbt_note_signature s[2];
    is_int(check_note(COSIGNED, s), 0, "a cosigned checkpoint is well signed");
    ok(s[0].valid && s[0].time == 0, "by the log");
    ok(s[1].valid && s[1].time == 1700000000, "and by the witness, at the time that it says");
    ok(s[1].line_length == strlen(WITNESS_LINE) &&
           memcmp(s[1].line, WITNESS_LINE, s[1].line_length) == 0,
       "whose line is given out whole");
    is_int(check_note(TEXT "\n" LOG_LINE, s), 0, "without the witness it is well signed, too");
    ok(s[0].valid && !s[1].valid && !s[1].line, "by the log alone");
    is_int(check_note(TEXT "\n" LOG_LINE LATE_LINE, s), -2,
           "a time of 2^63 makes the note invalid");
    is_int(check_note(TEXT "\n" LOG_LINE "— witness.example/w1 CtfTXgAAAABlU/EA\n", s), -2,
           "and so does a cosignature of another length");
    is_int(check_note("other text\n\n" WITNESS_LINE, s), -2, "and one of another text");
    is_int(check_note("no note", s), -1, "what is no note is told apart");
    is_int(rbt_note_verify(COSIGNED, strlen(COSIGNED), &keys[1], 1), -1,
           "a witness is no signer of notes");
    is_int(rbt_note_verify(COSIGNED, strlen(COSIGNED), keys, 2), 0, "the log is");
    is_int(rbt_note_verify(TEXT "\n" LOG_LINE LATE_LINE, strlen(TEXT "\n" LOG_LINE LATE_LINE), keys,
                           2),
           0, "whatever a witness wrote below");
    int valid = 0;
    char changed[sizeof COSIGNED];
    size_t witness_at = strlen(TEXT "\n" LOG_LINE) + strlen("— witness.example/w1 ");
    for (size_t i = 0; i < strlen(COSIGNED); i++) {
        memcpy(changed, COSIGNED, sizeof changed);
        changed[i] ^= 1;
        valid += check_note(changed, s) == 0 && s[0].valid && s[1].valid;
    }
    is_int(valid, 0, "no byte can be changed and leave both signatures valid");
    memcpy(changed, COSIGNED, sizeof changed);
    changed[witness_at + 20] ^= 1;
    is_int(check_note(changed, s), -2, "a changed time makes the cosignature wrong");
}

static void is_judged(const char *note, const char *origin, size_t first, size_t count,
                      bool witnesses, const char *want, const char *name) {
    rbt_judged judged;
    rbt_error error = {0};
    rbt_buffer got = {0};
    if (rbt_checkpoint_judge(&judged, note, strlen(note), "it", origin, keys + first, count,
                             witnesses, &error) != SQLITE_OK)
        rbt_buffer_add_text(&got, error.message ? error.message : "no memory");
    else if (judged.kind)
        rbt_buffer_printf(&got, "%s: %s", judged.kind, rbt_buffer_text(&judged.sentence));
    else
        rbt_judged_add_witnesses(&got, &judged, keys + first, count);
    is_text(rbt_buffer_text(&got), want, name);
    rbt_buffer_free(&got);
    rbt_judged_free(&judged);
    rbt_error_clear(&error);
}

static void test_judgement(void) {
    static const char origin[] = "example.com/audit";
    is_judged(COSIGNED, origin, 0, 2, true,
              ", cosigned by witness.example/w1 at 2023-11-14T22:13:20Z",
              "log and witness: believed, and when the witness saw it");
    is_judged(COSIGNED, NULL, 0, 2, true,
              ", cosigned by witness.example/w1 at 2023-11-14T22:13:20Z",
              "also where the checkpoint names its origin itself");
    is_judged(COSIGNED, origin, 0, 1, true, "",
              "the log alone is enough where no witness is named");
    is_judged(TEXT "\n" LOG_LINE, origin, 0, 2, true,
              "checkpoint: it is not cosigned by witness witness.example/w1",
              "a witness that is named must have cosigned");
    is_judged(TEXT "\n" LOG_LINE, origin, 0, 2, false, "", "unless the caller asks for none");
    is_judged(COSIGNED, origin, 1, 1, true,
              "untrusted: none of the trusted keys to verify it by is a key of example.com/audit; "
              "add it to RUSTYBT_VERIFY_KEYS or vkeys",
              "witnesses alone vouch for no log");
    is_judged(TEXT "\n" WITNESS_LINE, origin, 0, 2, true,
              "checkpoint: no trusted key of example.com/audit signed it",
              "a cosignature without the log's signature is not enough");
    is_judged(COSIGNED, origin, 0, 0, true,
              "untrusted: there is no key to trust the signature of it by; set "
              "RUSTYBT_VERIFY_KEYS or give vkeys",
              "without any key nothing is believed");
    is_judged(COSIGNED, "example.com/other", 0, 2, true,
              "checkpoint: it is of log example.com/audit, not of example.com/other",
              "another log's is named");
    is_judged(TEXT "\n" LOG_LINE LATE_LINE, origin, 0, 2, false,
              "checkpoint: it has a wrong signature by witness.example/w1",
              "a wrong cosignature is named even where none is required");
    is_judged(TEXT, origin, 0, 2, true,
              "checkpoint: it is no signed checkpoint: it has no empty line between text and "
              "signatures",
              "what is unsigned is told apart");
    is_judged("text\n\n" LOG_LINE, origin, 0, 2, true, "checkpoint: it is no signed checkpoint",
              "what is no checkpoint, too");

    /* A key of another name is no key of this log, though it be the same key. */
    rbt_verifier log = keys[0];
    rbt_verifier_make(&keys[0], "example.com/other", log.public_key);
    is_judged(COSIGNED, origin, 0, 1, true,
              "untrusted: none of the trusted keys to verify it by is a key of example.com/audit; "
              "add it to RUSTYBT_VERIFY_KEYS or vkeys",
              "another log's key vouches for nothing");
    keys[0] = log;
}

static void test_memory(void) {
    int wrong = 0, hit = 1;
    long runs = 0;
    for (; hit; runs++) {
        rbt_judged judged;
        rbt_error error = {0};
        failing_memory_at(runs + 1);
        int code = rbt_checkpoint_judge(&judged, COSIGNED, strlen(COSIGNED), "it", NULL, keys, 2,
                                        true, &error);
        hit = failing_memory_hit;
        failing_memory_at(0);
        wrong += hit ? code != SQLITE_NOMEM : code != SQLITE_OK || judged.kind != NULL;
        rbt_judged_free(&judged);
        rbt_error_clear(&error);
    }
    ok(wrong == 0 && runs > 3, "without memory nothing is judged, and the error says so");
}

int main(void) {
    if (failing_memory_install() != SQLITE_OK || sodium_init() < 0) return 2;
    plan(32);
    test_keys();
    test_lines();
    test_judgement();
    test_memory();
    return done();
}
