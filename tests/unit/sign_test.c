/* SPDX-License-Identifier: MIT
** Signed notes and public keys, against vectors that golang.org/x/mod/sumdb/note accepts.
*/
#include "tap.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "crypto/sign.h"
#include <sodium.h>

#define VKEY "example.com/audit+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
#define CHECKPOINT_TEXT "example.com/audit\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n"
#define CHECKPOINT_SIGNATURE                                                                         \
    "— example.com/audit Kbh7/MMDZzUK+Vn5aeiirlU7DkzTjY8Q014NWv4lp/DhLnxVQP9jgD8Wxf7HAzHwZgfJfgl/" \
    "Sxj8AshRwfohrAwzAw0=\n"
#define CHECKPOINT CHECKPOINT_TEXT "\n" CHECKPOINT_SIGNATURE
#define SEGMENT_TEXT                                                                               \
    "rustybt-segment-v1\norigin example.com/audit\nids 0 255\n"                                    \
    "manifest RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=\n"
#define SEGMENT_SIGNATURE                                                                            \
    "— example.com/audit Kbh7/K4h7gygK5YtELiI10djvKhqbYR52h2GcCBfATVnP4GZfeymhchJGzvMq48mhd8LJSMi" \
    "SCH+JK56N7jzBX1xhAE=\n"
#define SEGMENT SEGMENT_TEXT "\n" SEGMENT_SIGNATURE

/* A line of another algorithm's key: right in form, known to nobody. */
#define FOREIGN_LINE "— other.example/key AAAAAAAA\n"

static uint8_t public_key[32], secret[64];
static rbt_verifier signer;

static int verify_text(const char *note, const rbt_verifier *verifiers, size_t count) {
    return rbt_note_verify(note, strlen(note), verifiers, count);
}

static void test_verifier(void) {
    rbt_verifier parsed;
    rbt_buffer out = {0};

    ok(rbt_verifier_make(&signer, "example.com/audit", public_key), "a verifier is made of a key");
    rbt_verifier_format(&out, &signer);
    is_text(rbt_buffer_text(&out), VKEY, "its text is the vector");
    ok(rbt_verifier_parse(&parsed, VKEY, strlen(VKEY)), "the vector is read");
    ok(strcmp(parsed.name, signer.name) == 0 && memcmp(parsed.public_key, public_key, 32) == 0 &&
           memcmp(parsed.key_id, signer.key_id, 4) == 0,
       "and says the same");
    rbt_buffer_clear(&out);
    rbt_verifier_pem(&out, public_key);
    is_text(rbt_buffer_text(&out),
            "-----BEGIN PUBLIC KEY-----\n"
            "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n"
            "-----END PUBLIC KEY-----\n",
            "as PEM it is what OpenSSL writes");
    rbt_buffer_free(&out);

    static const struct {
        const char *text, *name;
    } malformed[] = {
        {"", "nothing"},
        {"example.com/audit", "a name alone"},
        {"example.com/audit+29b87bfc", "a key without key"},
        {"example.com/audit+29b87bfc+", "a key with an empty key"},
        {"example.com/audit+29b87bfd+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
         "a key id that is not the hash"},
        {"example.com/other+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", "another name"},
        {"example.com/audit+29b87bf+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", "a short id"},
        {"+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", "no name"},
        {"example.com/audit+29b87bfc+AQOhB7_zzhC-HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
         "the urlsafe alphabet"},
        {"example.com/audit+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4=",
         "padding where none is due"},
        {"example.com/audit+29b87bfc+AgOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
         "another algorithm"},
        {"example.com/audit+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQS", "a short key"},
    };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        char name[96];
        snprintf(name, sizeof name, "no public key: %s", malformed[i].name);
        ok(!rbt_verifier_parse(&parsed, malformed[i].text, strlen(malformed[i].text)), name);
    }
}

static void test_names(void) {
    char long_name[257];
    memset(long_name, 'a', sizeof long_name);
    long_name[256] = 0;
    ok(!rbt_note_name_valid(long_name), "a name of 256 bytes is too long");
    long_name[255] = 0;
    ok(rbt_note_name_valid(long_name), "one of 255 is not");
    ok(rbt_note_name_valid("bücher.example/日本"), "names may have any letters");
    ok(!rbt_note_name_valid(""), "a name is not empty");
    ok(!rbt_note_name_valid("a b"), "a name has no space");
    ok(!rbt_note_name_valid("a+b"), "a name has no +");
    ok(!rbt_note_name_valid("a\nb"), "a name has no newline");
    ok(!rbt_note_name_valid("a\x7f"), "a name has no DEL");
    ok(!rbt_note_name_valid("a\xc2\xa0"), "a name has no no-break space");
    ok(!rbt_note_name_valid("a\xe3\x80\x80"), "a name has no ideographic space");
    ok(!rbt_note_name_valid("a\xff"), "a name is UTF-8");
    ok(!rbt_verifier_make(&(rbt_verifier){0}, "a b", public_key),
       "a verifier is not made of a wrong name");
}

static void test_list(void) {
    rbt_error error = {0};
    rbt_verifier *list;
    size_t count;

    is_int(rbt_verifiers_parse(" " VKEY ",\n" VKEY "\n", "audit_verify", &list, &count, &error),
           SQLITE_OK, "a list of public keys is read");
    is_int(count, 2, "it has two");
    rbt_free(list);
    rbt_verifiers_parse(VKEY ", x", "audit_verify", &list, &count, &error);
    is_text(error.message,
            "audit_verify: public key 2 is malformed; expected <name>+<8 hex digits>+<base64>, as "
            "audit_public_key(log, 'vkey') gives it",
            "a malformed one is named by its number");
    ok(list == NULL && count == 0, "and nothing is given out");
    rbt_error_clear(&error);
    rbt_verifiers_parse(" , ", "audit_verify", &list, &count, &error);
    is_text(error.message,
            "audit_verify: the list of public keys is empty; expected <name>+<8 hex digits>+"
            "<base64>, …",
            "an empty list is an error");
    rbt_error_clear(&error);
}

static void test_sign(void) {
    rbt_error error = {0};
    rbt_buffer out = {0};

    is_int(rbt_note_sign(&out, CHECKPOINT_TEXT, strlen(CHECKPOINT_TEXT), &signer, secret, &error),
           SQLITE_OK, "a checkpoint is signed");
    is_text(rbt_buffer_text(&out), CHECKPOINT, "it is the vector");
    rbt_buffer_clear(&out);
    is_int(rbt_note_sign(&out, SEGMENT_TEXT, strlen(SEGMENT_TEXT), &signer, secret, &error),
           SQLITE_OK, "a segment note is signed");
    is_text(rbt_buffer_text(&out), SEGMENT, "it is the vector");
    rbt_buffer_clear(&out);
    is_int(rbt_note_sign(&out, "text", 4, &signer, secret, &error), SQLITE_ERROR,
           "text without a newline at its end is not signed");
    is_text(error.message,
            "example.com/audit: only UTF-8 text without control characters that ends in a newline "
            "can be signed",
            "and the message says so");
    rbt_error_clear(&error);
    is_int(rbt_note_sign(&out, "\t\n", 2, &signer, secret, &error), SQLITE_ERROR,
           "nor is text with a tab");
    rbt_error_clear(&error);
    is_int(rbt_note_sign(&out, "\xff\n", 2, &signer, secret, &error), SQLITE_ERROR,
           "nor text that is no UTF-8");
    rbt_error_clear(&error);
    is_int(out.length, 0, "and nothing is written then");

    static const char with_empty_lines[] = "a\n\n\nb\n\n";
    rbt_note_sign(&out, with_empty_lines, strlen(with_empty_lines), &signer, secret, &error);
    size_t text_length = 0;
    const char *why = NULL;
    ok(rbt_note_split((char *)out.data, out.length, &text_length, &why) &&
           text_length == strlen(with_empty_lines),
       "empty lines in the text stay in the text");
    is_int(rbt_note_verify((char *)out.data, out.length, &signer, 1), 0, "and it verifies");
    rbt_buffer_free(&out);
}

static void test_verify(void) {
    rbt_verifier others[3], twin = signer;
    uint8_t other_key[32], other_secret[64];
    const uint8_t seed[32] = {9};

    crypto_sign_seed_keypair(other_key, other_secret, seed);
    rbt_verifier_make(&others[0], "other.example/log", other_key);
    others[1] = signer;
    others[2] = signer;
    is_int(verify_text(CHECKPOINT, &signer, 1), 0, "the checkpoint verifies");
    is_int(verify_text(SEGMENT, &signer, 1), 0, "the segment note verifies");
    is_int(verify_text(CHECKPOINT, others, 3), 1, "the index is that of the first that signed");
    is_int(verify_text(CHECKPOINT, others, 1), -1, "nobody we know signed");
    is_int(verify_text(CHECKPOINT, NULL, 0), -1, "without verifiers nothing is verified");
    is_int(verify_text(CHECKPOINT_TEXT "\n" SEGMENT_SIGNATURE, &signer, 1), -2,
           "a signature of other text makes the note invalid");
    is_int(verify_text(CHECKPOINT SEGMENT_SIGNATURE, &signer, 1), -2, "also beside a valid one");
    is_int(verify_text(CHECKPOINT_TEXT "\n" FOREIGN_LINE CHECKPOINT_SIGNATURE FOREIGN_LINE, &signer,
                       1),
           0, "lines of unknown keys are passed over");
    is_int(verify_text(CHECKPOINT_TEXT "\n— example.com/audit Kbh7/AAA\n", &signer, 1), -2,
           "a known key with a signature of another length makes the note invalid");
    /* Same name and key id, other key: 4 bytes of id can collide. */
    twin.public_key[0] ^= 1;
    const rbt_verifier collision[2] = {twin, signer};
    is_int(verify_text(CHECKPOINT, collision, 2), 1, "keys whose ids collide are both tried");

    /* The point 0…01 has small order: every message would verify under it, were it not refused. */
    uint8_t small[32] = {1};
    rbt_verifier weak;
    rbt_verifier_make(&weak, "example.com/audit", small);
    char line[256], base64[128];
    uint8_t bytes[68] = {0};
    memcpy(bytes, weak.key_id, 4);
    bytes[4] = 1;
    sodium_bin2base64(base64, sizeof base64, bytes, sizeof bytes, sodium_base64_VARIANT_ORIGINAL);
    snprintf(line, sizeof line, "any\n\n— example.com/audit %s\n", base64);
    is_int(verify_text(line, &weak, 1), -2, "a key of small order verifies nothing");

    int valid = 0;
    char changed[sizeof CHECKPOINT];
    for (size_t i = 0; i < strlen(CHECKPOINT); i++) {
        memcpy(changed, CHECKPOINT, sizeof changed);
        changed[i] ^= 1;
        valid += verify_text(changed, &signer, 1) >= 0;
    }
    is_int(valid, 0, "a note with any byte changed does not verify");
    for (size_t length = 0; length < strlen(CHECKPOINT); length++)
        valid += rbt_note_verify(CHECKPOINT, length, &signer, 1) >= 0;
    is_int(valid, 0, "a note cut anywhere does not verify");
}

static int verify_at(const char *note, uint64_t size, const rbt_verifier *verifiers, size_t count,
                     uint64_t *limit) {
    return rbt_note_verify_at(note, strlen(note), size, verifiers, count, limit);
}

static void test_limits(void) {
    uint64_t limit = 7;
    rbt_verifier limited = signer, twin = signer;
    ok(signer.max_size == UINT64_MAX, "a verifier has no limit at first");
    limited.max_size = 8;
    is_int(verify_at(CHECKPOINT, 8, &limited, 1, &limit), 0, "a signature counts up to its limit");
    is_int(limit, 0, "and then no limit is told");
    is_int(verify_at(CHECKPOINT, 9, &limited, 1, &limit), RBT_NOTE_SUPERSEDED,
           "and beyond it does not");
    is_int(limit, 8, "which is told with the limit");
    is_int(verify_at(CHECKPOINT, UINT64_MAX, &signer, 1, &limit), 0,
           "without a limit every size will do");
    const rbt_verifier both[2] = {limited, signer};
    is_int(verify_at(CHECKPOINT, 9, both, 2, &limit), 1,
           "the same key, listed again without a limit, counts");
    twin.public_key[0] ^= 1;
    const rbt_verifier collision[2] = {limited, twin};
    is_int(verify_at(CHECKPOINT, 9, collision, 2, &limit), RBT_NOTE_SUPERSEDED,
           "a key of the same id that did not sign changes nothing");
    is_int(verify_at(CHECKPOINT SEGMENT_SIGNATURE, 9, &limited, 1, &limit), -2,
           "a wrong signature makes the note invalid also beyond the limit");
    is_int(verify_text(CHECKPOINT, &limited, 1), 0, "who asks for no size gets the signer");
}

static void is_malformed(const char *note, size_t length, const char *want, const char *name) {
    size_t text_length;
    const char *why = NULL;
    bool split = rbt_note_split(note, length, &text_length, &why);
    is_text(split ? "(well formed)" : why, want, name);
}

static void test_split(void) {
    size_t text_length = 0;
    const char *why = NULL;
    ok(rbt_note_split(CHECKPOINT, strlen(CHECKPOINT), &text_length, &why), "a note is split");
    is_int(text_length, strlen(CHECKPOINT_TEXT), "its text includes the newline");

#define malformed(note, want, name) is_malformed((note), sizeof(note) - 1, (want), (name))
    malformed("", "it has no empty line between text and signatures", "nothing is no note");
    malformed("a\n" FOREIGN_LINE, "it has no empty line between text and signatures",
              "the empty line is required");
    malformed("a\n\n", "it has no signature line", "a signature line is required");
    malformed("a\n\n— x AAAAAAAA", "its last line has no newline", "so is the last newline");
    malformed("a\n\n- x AAAAAAAA\n", "a signature line is malformed", "so is the dash");
    malformed("a\n\n— x\n", "a signature line is malformed", "so are the bytes");
    malformed("a\n\n—  AAAAAAAA\n", "a signature line is malformed", "so is the name");
    malformed("a\n\n— a+b AAAAAAAA\n", "a signature line is malformed", "a name has no +");
    malformed("a\n\n— x AAAAAAA\n", "a signature line is malformed", "base64 is strict");
    malformed("a\n\n— x AAAAAA==\n", "a signature line is malformed",
              "a key id alone is too short");
    malformed("a\r\n\n" FOREIGN_LINE, "it is not UTF-8 without control characters",
              "a carriage return has no place");
    malformed("a\0\n\n" FOREIGN_LINE, "it is not UTF-8 without control characters",
              "nor has a NUL");
    malformed("\xc3\n\n" FOREIGN_LINE, "it is not UTF-8 without control characters",
              "a note is UTF-8");

    rbt_buffer many = {0};
    rbt_buffer_add_text(&many, "a\n\n");
    for (int i = 0; i < 100; i++)
        rbt_buffer_add_text(&many, FOREIGN_LINE);
    ok(rbt_note_split((char *)many.data, many.length, &text_length, &why),
       "100 signature lines are fine");
    rbt_buffer_add_text(&many, FOREIGN_LINE);
    is_malformed((char *)many.data, many.length, "it has more than 100 signature lines",
                 "101 are not");
    rbt_buffer_clear(&many);
    while (many.length <= 1 << 20)
        rbt_buffer_add_text(&many, "line\n");
    is_malformed((char *)many.data, many.length, "it is longer than 1 MiB",
                 "a note has at most 1 MiB");
    rbt_buffer_free(&many);
}

int main(void) {
    uint8_t seed[32];
    plan(86);
    if (sodium_init() < 0) return 1;
    for (int i = 0; i < 32; i++)
        seed[i] = (uint8_t)i;
    crypto_sign_seed_keypair(public_key, secret, seed);
    test_verifier();
    test_names();
    test_list();
    test_sign();
    test_verify();
    test_limits();
    test_split();
    return done();
}
