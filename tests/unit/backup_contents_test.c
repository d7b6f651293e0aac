/* SPDX-License-Identifier: MIT
** What goes into a key backup and comes out of it: which contents are keys, and which passphrases may
** be used.
*/
#include "tap.h"

#include "crypto/backup.h"

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
/* As long as the shortest backup, and begins like one. */
#define BACKUP                                                                                     \
    "UkJUBAEBAAABAAAAAAABAEBBQkNERUZHSElKS0xNTk8A8VNlAAAAAFBRUlNUVVZXWFlaW1xdXl/Vg9TfDRlHIIjbiu+S" \
    "mInO04nnyrtPcPeHQKw2vqf5cPJbTuh4I0vuiIeqI2Mc8Ixpo4K5yAA6ujsVG7Qt"

static void test_contents(void) {
    static const struct {
        const char *contents, *want, *name;
    } cases[] = {
        {"RUSTYBT_ENCRYPTION_KEY=" KEY_A "\n", NULL, "a ring alone is keys"},
        {"RUSTYBT_SIGNING_KEY=" KEY_A "\n", NULL, "a signing key alone is"},
        {"RUSTYBT_SIGNING_KEY=" KEY_A "\nRUSTYBT_ENCRYPTION_KEY=" KEY_A "\n", NULL,
         "so are both in another order"},
        {"RUSTYBT_ENCRYPTION_KEY=QUJD\n",
         "test: key 1 of RUSTYBT_ENCRYPTION_KEY decodes to 3 bytes, expected 32",
         "a key that is none is refused"},
        {"", "newer", "nothing is not keys"},
        {KEY_A "\n", "newer", "a line without a name is unknown"},
        {"RUSTYBT_ENCRYPTION_KEY=" KEY_A, "newer", "so is a line without an end"},
        {"RUSTYBT_ENCRYPTION_KEY=" KEY_A "\nRUSTYBT_OTHER_KEY=x\n", "newer", "another name"},
        {"RUSTYBT_ENCRYPTION_KEY=" KEY_A "\nRUSTYBT_ENCRYPTION_KEY=" KEY_A "\n", "newer",
         "the same name twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rbt_error error = {0};
        rbt_buffer contents = {0};
        const char *want = cases[i].want;
        if (want && strcmp(want, "newer") == 0)
            want = "test: the backup was made by a newer version of rustybt: it holds other than "
                   "keys in lines; use that version or a later one";
        rbt_buffer_add_text(&contents, cases[i].contents);
        rbt_keys *keys = rbt_backup_keys(&contents, "test", &error);
        if (keys)
            ok(want == NULL, cases[i].name);
        else
            is_text(error.message, want, cases[i].name);
        rbt_keys_free(keys);
        rbt_error_clear(&error);
        rbt_buffer_free(&contents);
    }
    rbt_error error = {0};
    rbt_buffer contents = {0};
    rbt_buffer_add(&contents, "RUSTYBT_ENCRYPTION_KEY=" KEY_A "\0\n",
                   sizeof "RUSTYBT_ENCRYPTION_KEY=" KEY_A "\0\n" - 1);
    ok(rbt_backup_keys(&contents, "test", &error) == NULL && error.message, "a NUL hides nothing");
    rbt_error_clear(&error);
    rbt_buffer_free(&contents);
}

static void test_passphrase(void) {
    static const char line_break[] =
        "test: the passphrase ends in a line break, as readfile() gives it; take it off with "
        "rtrim(passphrase, char(13, 10))";
    static const char control[] = "test: the passphrase has a control character at byte 5; use "
                                  "characters that can be typed";
    static const struct {
        const char *passphrase, *want, *name;
    } cases[] = {
        {"twelve bytes", NULL, "a passphrase of 12 bytes may be used"},
        {"größer als ß", NULL, "one beyond ASCII too"},
        {"eleven byte",
         "test: the passphrase is too short, expected at least 12 bytes; several "
         "words drawn by lot are best",
         "one of 11 is too short"},
        {"",
         "test: the passphrase is too short, expected at least 12 bytes; several words drawn by "
         "lot are best",
         "an empty one is"},
        {"twelve bytes\n", line_break, "a line break at its end is refused"},
        {"twelve bytes\r", line_break, "of another system too"},
        {"short\n", line_break, "which is said before its length"},
        {"tabul\tated passphrase", control, "so is a control character within"},
        {"tabul\x7f"
         "ated passphrase",
         control, "or DEL"},
        {"caf\xe9 du monde entier",
         "test: the passphrase must be valid UTF-8; use characters that "
         "can be typed",
         "and what is not UTF-8"},
        {"\n" BACKUP, "test: what was given as passphrase is a backup; the passphrase comes last",
         "a backup in the passphrase's place is recognised"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rbt_error error = {0};
        rbt_backup_passphrase_check((const uint8_t *)cases[i].passphrase,
                                    strlen(cases[i].passphrase), "test", &error);
        is_text(error.message, cases[i].want, cases[i].name);
        rbt_error_clear(&error);
    }
    rbt_error error = {0};
    rbt_backup_passphrase_check((const uint8_t *)"twelve bytes\0", 13, "test", &error);
    ok(error.message != NULL, "a NUL is a control character");
    rbt_error_clear(&error);
}

int main(void) {
    if (!rbt_crypto_init()) return 1;
    plan(22);
    test_contents();
    test_passphrase();
    return done();
}
