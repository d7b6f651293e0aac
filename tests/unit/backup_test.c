/* SPDX-License-Identifier: MIT
** Key backups: the bytes of an independent implementation (tests/python/backup_format.py), every way to
** mistype one told apart from a wrong passphrase, newer versions, limits, and memory that runs out.
**
** A key costs a tenth of a second even at the lowest cost, so a change that leaves salt and cost alone
** is opened with the key that was derived once; one that does not is opened with another key, which
** is what Argon2id would give.
*/
#include "failing_memory.h"
#include "tap.h"

#include "base/base64.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "crypto/backup.h"
#include <sodium.h>
#include <sys/resource.h>

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define PASSPHRASE "correct horse battery staple"
#define CONTENTS                                                                                   \
    "RUSTYBT_ENCRYPTION_KEY=" KEY_B "," KEY_A "\n"                                                 \
    "RUSTYBT_SIGNING_KEY=" KEY_A "\n"
/* One pass of 64 MiB, salt and nonce 40 41 … 5f, created 1700000000. */
#define VECTOR                                                                                     \
    "UkJUBAEBAAABAAAAAAABAEBBQkNERUZHSElKS0xNTk8A8VNlAAAAAFBRUlNUVVZXWFlaW1xdXl/Vg9TfDRlHIIjbiu+S" \
    "mInO04nnyrtPcPeHQKw2vqf5cPJbTuh4I0vuiIeqI2Mc8Ixpo4K5yAA6ujsVG7QtPlqS6+2SLBIStAKp1hFF/T8ccf9L" \
    "Ji8J9eSuxNJw4VuBnVvo+yF6pkENPPpTxY3LB3MBR56aXJBgw67oUQIvtp9LOzvFZvjdcEAppjxy6gsYhTdggLW/pDFH" \
    "0fJhC3iSE0DuTOFh9wU01T1kU3har35mRw2m4FPYdRniIh2ShR2NkkyPGhi9JhPyBusb3q400KQuo8vy4OrkXx6rpKbG" \
    "p7K2EbSU7VaOQPmn9B+V"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const rbt_backup_cost cheapest = {RBT_BACKUP_PASSES_MINIMUM, RBT_BACKUP_MEMORY_KIB_MINIMUM};

enum { SIZE = sizeof VECTOR - 1, HEADER = 40, CHECK_AT = 56, SEALED_AT = 96 };
static rbt_buffer vector; /* its bytes */
static uint8_t vector_key[RBT_BACKUP_KEY_SIZE], other_key[RBT_BACKUP_KEY_SIZE];

#define IN_START                                                                                   \
    "test: the backup is mistyped or damaged within its first 86 characters: its check does not "  \
    "hold"
#define RIGHT "test: the passphrase is right, but the backup is mistyped or damaged "
#define WRONG                                                                                      \
    "test: the passphrase is wrong; the backup's check holds, so compare capitals, spaces and "    \
    "the "                                                                                         \
    "keyboard's layout"

/* --------------------------------------------------------------------------------------- helpers */

/* What opening says: the error's message, or "(opened)", or "(other)" for other contents. From
** sqlite3_malloc. With a passphrase the key is derived; without, it is the vector's where salt and cost
** are, and another elsewhere. */
static char *opening(const char *text, size_t length, const char *passphrase) {
    rbt_error error = {0};
    rbt_buffer bytes = {0}, contents = {.secret = true};
    rbt_backup_form form;
    char why[RBT_BACKUP_WHY_SIZE];

    if (passphrase) {
        rbt_backup_open(&contents, (const uint8_t *)text, length, (const uint8_t *)passphrase,
                        strlen(passphrase), "test", &error);
    } else if (rbt_backup_read(&bytes, &form, why, (const uint8_t *)text, length)) {
        bool same = memcmp(bytes.data + 8, vector.data + 8, 24) == 0; /* cost and salt */
        rbt_backup_unlock(&contents, &bytes, same ? vector_key : other_key, "test", &error);
    } else {
        rbt_fail(&error, SQLITE_ERROR, "test: the backup %s", why);
    }
    char *said = error.code != SQLITE_OK ? sqlite3_mprintf("%s", error.message)
                 : contents.length == sizeof CONTENTS - 1 &&
                         memcmp(contents.data, CONTENTS, contents.length) == 0
                     ? sqlite3_mprintf("(opened)")
                     : sqlite3_mprintf("(other)");
    rbt_error_clear(&error);
    rbt_buffer_free(&bytes);
    rbt_buffer_free(&contents);
    return said;
}

static void is_opening(const char *text, const char *passphrase, const char *want,
                       const char *name) {
    char *said = opening(text, strlen(text), passphrase);
    is_text(said, want, name);
    sqlite3_free(said);
}

/* Puts the check of the first 56 bytes in its place. */
static void put_check(uint8_t *backup) {
    uint8_t digest[32];
    crypto_generichash(digest, sizeof digest, backup, CHECK_AT, NULL, 0);
    memcpy(backup + CHECK_AT, digest, 8);
}

/* The vector's header, perhaps changed, around another sealed value: what somebody else may write. */
static void reseal(rbt_buffer *bytes, uint8_t type, const char *contents) {
    uint8_t derived[64], plain[200];
    size_t length = strlen(contents) + 1;
    plain[0] = type;
    memcpy(plain + 1, contents, length - 1);
    bytes->length = SEALED_AT;
    crypto_generichash(derived, 64, bytes->data, 64, vector_key, sizeof vector_key);
    memcpy(bytes->data + 64, derived + 32, 32);
    rbt_buffer_reserve(bytes, length + 16);
    crypto_aead_xchacha20poly1305_ietf_encrypt(bytes->data + SEALED_AT, NULL, plain, length, NULL,
                                               0, NULL, bytes->data + HEADER, derived);
    bytes->length += length + 16;
}

static rbt_buffer copy_of_vector(void) {
    rbt_buffer copy = {0};
    rbt_buffer_add(&copy, vector.data, vector.length);
    return copy;
}

static char *text_of(const rbt_buffer *bytes) {
    rbt_buffer text = {0};
    rbt_base64_encode(&text, bytes->data, bytes->length, false);
    return rbt_buffer_take(&text);
}

/* ---------------------------------------------------------------------------------------- format */

static void test_vector(void) {
    rbt_error error = {0};
    rbt_buffer text = {0}, contents = {.secret = true};
    uint8_t random[RBT_BACKUP_RANDOM_SIZE];
    rbt_backup_form form;
    char why[RBT_BACKUP_WHY_SIZE];

    rbt_keys *keys = rbt_keys_parse(KEY_B "," KEY_A, KEY_A, "test", &error);
    rbt_backup_add_contents(&contents, keys);
    is_text(rbt_buffer_text(&contents), CONTENTS,
            "the contents are the ring in its order and the signing key");
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(0x40 + i);
    rbt_backup_seal(&text, &cheapest, random, 1700000000, (const uint8_t *)PASSPHRASE,
                    strlen(PASSPHRASE), contents.data, contents.length, "test", &error);
    is_text(rbt_buffer_text(&text), VECTOR, "the backup is the independent implementation's");
    ok(rbt_backup_read(&vector, &form, why, text.data, text.length) && form.created == 1700000000 &&
           form.cost.passes == 1 && form.cost.memory_kib == 65536 && form.check_holds,
       "its form is read without the passphrase");
    rbt_backup_key(vector_key, &vector, (const uint8_t *)PASSPHRASE, strlen(PASSPHRASE), "test",
                   &error);
    memset(other_key, 7, sizeof other_key);
    is_opening(VECTOR, PASSPHRASE, "(opened)", "it opens with its passphrase");
    is_opening(VECTOR, "correct horse battery stapled", WRONG, "and with no other");

    rbt_keys *restored = rbt_backup_keys(&contents, "test", &error);
    ok(restored && rbt_keys_count(restored) == 2 &&
           memcmp(rbt_keys_at(restored, 0), rbt_keys_at(keys, 0), sizeof(rbt_ring_key)) == 0 &&
           memcmp(rbt_keys_at(restored, 1), rbt_keys_at(keys, 1), sizeof(rbt_ring_key)) == 0 &&
           !rbt_keys_signing(restored)->shared,
       "its contents are the same keys in the same order");
    rbt_keys_free(restored);
    rbt_keys_free(keys);

    keys = rbt_keys_parse(KEY_A, NULL, "test", &error);
    rbt_buffer_clear(&contents);
    rbt_backup_add_contents(&contents, keys);
    is_text(rbt_buffer_text(&contents), "RUSTYBT_ENCRYPTION_KEY=" KEY_A "\n",
            "a signing key that comes with the ring is not written");
    rbt_keys_free(keys);

    keys = rbt_keys_parse(KEY_A, KEY_B "," KEY_A, "test", &error);
    rbt_buffer_clear(&contents);
    rbt_backup_add_contents(&contents, keys);
    restored = rbt_backup_keys(&contents, "test", &error);
    ok(restored && rbt_keys_signing_count(restored) == 2 &&
           memcmp(rbt_keys_signing_at(restored, 1), rbt_keys_signing_at(keys, 1),
                  sizeof(rbt_signing_key)) == 0,
       "a signing key that hands over comes back with its successor, in their order");
    rbt_keys_free(restored);
    rbt_keys_free(keys);
    ok(error.code == SQLITE_OK, "none of this was an error");
    rbt_buffer_free(&text);
    rbt_buffer_free(&contents);
}

static void test_white_space(void) {
    rbt_buffer paper = {0};
    for (size_t i = 0; i < SIZE; i++) {
        if (i % 8 == 0) rbt_buffer_add_byte(&paper, ' ');
        if (i % 48 == 0) rbt_buffer_add_text(&paper, "\t\r\n");
        rbt_buffer_add_byte(&paper, (uint8_t)VECTOR[i]);
    }
    rbt_buffer_add_text(&paper, "\n\n");
    is_opening(rbt_buffer_text(&paper), NULL, "(opened)", "white space anywhere is passed over");
    rbt_buffer_free(&paper);
}

/* -------------------------------------------------------------------------------------- mistyped */

/* Each letter replaced by each other one: never opened, never called a wrong passphrase, and the part
** of the text that the message names is the one that was changed. */
static void test_replaced(void) {
    char text[SIZE + 1] = VECTOR;
    int opened = 0, blamed = 0, misplaced = 0;

    for (size_t i = 0; i < SIZE; i++) {
        for (const char *letter = alphabet; *letter; letter++) {
            if (VECTOR[i] == *letter) continue;
            text[i] = *letter;
            char *said = opening(text, SIZE, NULL);
            bool in_start =
                strcmp(said, IN_START) == 0 || strstr(said, "does not begin with UkJUBAEB") != NULL;
            opened += said[0] == '(';
            blamed += strcmp(said, WRONG) == 0;
            if (i < 85)
                misplaced += !in_start;
            else if (i == 85)
                misplaced += !in_start && strcmp(said, RIGHT "in its characters 86 to 128") != 0;
            else if (i < 128)
                misplaced += strcmp(said, RIGHT "in its characters 86 to 128") != 0;
            else
                misplaced += strcmp(said, RIGHT "after its first 128 characters") != 0;
            sqlite3_free(said);
        }
        text[i] = VECTOR[i];
    }
    is_int(opened, 0, "a backup with one letter replaced never opens");
    is_int(blamed, 0, "the passphrase is never blamed");
    is_int(misplaced, 0, "and the part that was mistyped is named");
}

static bool tells_damage(const char *text, size_t length) {
    char *said = opening(text, length, NULL);
    bool tells = said[0] != '(' && strcmp(said, WRONG) != 0;
    if (!tells) printf("# %s\n", said);
    sqlite3_free(said);
    return tells;
}

static void test_moved(void) {
    char text[SIZE + 2];
    int wrong[5] = {0};

    for (size_t i = 0; i < SIZE; i++) {
        memcpy(text, VECTOR, i);
        memcpy(text + i, VECTOR + i + 1, SIZE - i - 1);
        wrong[0] += !tells_damage(text, SIZE - 1);
        memcpy(text + i + 1, VECTOR + i, SIZE - i);
        text[i] = 'x';
        wrong[1] += !tells_damage(text, SIZE + 1);
        memcpy(text, VECTOR, SIZE);
        if (i + 1 < SIZE && text[i] != text[i + 1]) {
            text[i] = VECTOR[i + 1];
            text[i + 1] = VECTOR[i];
            wrong[2] += !tells_damage(text, SIZE);
        }
        memcpy(text, VECTOR, SIZE);
        text[i] = '=';
        wrong[4] += !tells_damage(text, SIZE);
        if (i < SIZE - 1) wrong[3] += !tells_damage(VECTOR, i);
    }
    is_int(wrong[0], 0, "a letter left out is told apart from a wrong passphrase");
    is_int(wrong[1], 0, "so is one too many");
    is_int(wrong[2], 0, "so are two neighbours that changed places");
    is_int(wrong[3], 0, "so is a backup cut anywhere");
    is_int(wrong[4], 0, "so is a = in the place of a letter");
}

/* What stands in the header is derived anew: these go all the way. */
static void test_derived(void) {
    static const struct {
        size_t at;
        char letter;
        const char *want, *name;
    } cases[] = {
        {25, 'z', IN_START, "with its key derived: a mistyped salt"},
        {45, 'z', IN_START, "a mistyped time"},
        {79, 'z', IN_START, "a mistyped check"},
        {100, 'z', RIGHT "in its characters 86 to 128", "a mistyped commitment"},
        {300, 'z', RIGHT "after its first 128 characters", "a mistyped ciphertext"},
    };
    char text[SIZE + 1] = VECTOR;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        text[cases[i].at] = cases[i].letter;
        is_opening(text, PASSPHRASE, cases[i].want, cases[i].name);
        text[cases[i].at] = VECTOR[cases[i].at];
    }
}

static void is_refused(const char *text, const char *want, const char *name) {
    rbt_buffer bytes = {0};
    rbt_backup_form form;
    char why[RBT_BACKUP_WHY_SIZE];
    bool read = rbt_backup_read(&bytes, &form, why, (const uint8_t *)text, strlen(text));
    is_text(read ? "(read)" : why, want, name);
    rbt_buffer_free(&bytes);
}

static void test_base64(void) {
    char text[SIZE + 1] = VECTOR;
    is_refused("",
               "is cut short or something else: it has 0 characters beside white space, "
               "expected at least 152",
               "an empty text is cut short");
    is_refused("UkJU BAEB\n",
               "is cut short or something else: it has 8 characters beside white space, expected "
               "at least 152",
               "so is the beginning of one");
    is_refused("UkJU\nBA-B", "has a character that base64 does not have: line 2, column 3",
               "a letter of the other alphabet is told with its place");
    is_refused("UkJU\n\n  BA\xc3\xa9 B",
               "has a character that base64 does not have: line 3, column 5",
               "so is one beyond ASCII");
    is_refused("UkJU BA=B", "has a = that is not at its end: line 1, column 8",
               "so is padding in the middle");
    is_refused("UkJUBAEBA===", "has more than two = at its end: line 1, column 10",
               "three = are too many");
    is_refused("UkJUBA=",
               "has 7 characters beside white space, expected a multiple of 4: one is missing or "
               "one too many",
               "a missing = is a missing letter");
    memmove(text + 50, text + 51, SIZE - 50);
    is_refused(text,
               "has 387 characters beside white space, expected a multiple of 4: one is missing or "
               "one too many, among the first 86",
               "a letter left out at the beginning is found there");
    memcpy(text, VECTOR, SIZE);
    memmove(text + 150, text + 151, SIZE - 150);
    is_refused(text,
               "has 387 characters beside white space, expected a multiple of 4: one is missing or "
               "one too many, after the first 86",
               "and one after it there");
    rbt_buffer bytes = copy_of_vector();
    bytes.length--; /* 290 bytes: the last letter has two bits to spare */
    char *shorter = text_of(&bytes);
    shorter[strlen(shorter) - 2]++;
    is_refused(shorter, "has a character that cannot stand at its end: line 1, column 387",
               "a last letter that no encoder writes is told with its place");
    sqlite3_free(shorter);
    bytes.data[0] = 'X';
    char *other = text_of(&bytes);
    is_refused(other,
               "does not begin with UkJUBAEB, as every key backup does: it is something else, "
               "or mistyped there",
               "what is no backup is called that");
    sqlite3_free(other);
    rbt_buffer_free(&bytes);
}

/* --------------------------------------------------------------------------- versions and limits */

static void with_header(size_t at, uint32_t value, size_t size, bool check, const char *want,
                        const char *name) {
    rbt_buffer bytes = copy_of_vector();
    for (size_t i = 0; i < size; i++)
        bytes.data[at + i] = (uint8_t)(value >> 8 * i);
    if (check) put_check(bytes.data);
    char *text = text_of(&bytes);
    is_refused(text, want, name);
    sqlite3_free(text);
    rbt_buffer_free(&bytes);
}

static void test_versions(void) {
#define NEWER(kind, kdf, lanes, passes, memory)                                                    \
    "was made by a newer version of rustybt: kind " #kind ", kdf " #kdf ", lanes " #lanes          \
    ", " #passes " passes, " #memory " KiB; use that version or a later one"
    static const char mistyped[] =
        "is mistyped or damaged within its first 86 characters: its check does not hold";

    with_header(3, 5, 1, true, NEWER(5, 1, 1, 1, 65536), "another kind is a newer version's");
    with_header(4, 2, 1, true, NEWER(4, 2, 1, 1, 65536), "so is another key derivation");
    with_header(5, 2, 1, true, NEWER(4, 1, 2, 1, 65536), "more lanes");
    with_header(6, 1, 1, true, NEWER(4, 1, 1, 1, 65536), "a field in use that is 0 now");
    with_header(7, 1, 1, true, NEWER(4, 1, 1, 1, 65536), "in either byte");
    with_header(8, 0, 4, true, NEWER(4, 1, 1, 0, 65536), "no pass");
    with_header(8, 65, 4, true, NEWER(4, 1, 1, 65, 65536), "more than 64 passes");
    with_header(12, 65535, 4, true, NEWER(4, 1, 1, 1, 65535), "less than 64 MiB");
    with_header(12, 4194305, 4, true, NEWER(4, 1, 1, 1, 4194305), "more than 4 GiB");
    with_header(12, UINT32_MAX, 4, true, NEWER(4, 1, 1, 1, 4294967295), "far more");
    with_header(8, 64, 4, true, "(read)", "64 passes are read");
    with_header(12, 4194304, 4, true, "(read)", "4 GiB are read");
    with_header(4, 2, 1, false, mistyped, "the same without a check that holds is damage");
    with_header(8, 65, 4, false, mistyped, "of the passes too");
    with_header(12, 4194305, 4, false, mistyped, "and of the memory");

    rbt_buffer bytes = copy_of_vector();
    reseal(&bytes, 4, CONTENTS);
    char *text = text_of(&bytes);
    is_opening(
        text, NULL,
        "test: the backup was made by a newer version of rustybt: it holds a value of type 4, "
        "expected 3; use that version or a later one",
        "a value of another type is a newer version's");
    sqlite3_free(text);

    memset(bytes.data + CHECK_AT, 0xee, 8);
    reseal(&bytes, 3, CONTENTS);
    text = text_of(&bytes);
    is_opening(text, NULL, "(opened)", "a nonce without a check opens nevertheless");
    bytes.data[20] ^= 1;
    sqlite3_free(text);
    text = text_of(&bytes);
    is_opening(text, NULL, IN_START, "and when it does not open, damage is what is known");
    sqlite3_free(text);

    /* a ciphertext that fits, below the commitment of another key */
    rbt_buffer_clear(&bytes);
    rbt_buffer_add(&bytes, vector.data, vector.length);
    memset(bytes.data + 64, 0xaa, 32);
    text = text_of(&bytes);
    is_opening(text, NULL, RIGHT "in its characters 86 to 128",
               "a ciphertext without its commitment does not open");
    bytes.data[200] ^= 1;
    memcpy(bytes.data + 64, vector.data + 64, 10);
    sqlite3_free(text);
    text = text_of(&bytes);
    is_opening(text, NULL, RIGHT "both before and after its character 128",
               "damage in two places is no wrong passphrase");
    sqlite3_free(text);
    rbt_buffer_free(&bytes);
}

/* ---------------------------------------------------------------------------------------- memory */

/* Runs one step with its nth allocation failing; false when it did not fail as it should. */
static bool fails_cleanly(int step, long allocation, bool *hit) {
    rbt_error error = {0};
    rbt_buffer out = {.secret = true}, contents = {0};
    rbt_backup_form form;
    char why[RBT_BACKUP_WHY_SIZE];
    rbt_keys *keys = NULL;
    bool nomem;

    rbt_buffer_add_text(&contents, CONTENTS);
    failing_memory_at(allocation);
    switch (step) {
    case 0:
        rbt_backup_seal(&out, &cheapest, vector_key, 0, (const uint8_t *)PASSPHRASE,
                        strlen(PASSPHRASE), contents.data, contents.length, "test", &error);
        nomem = error.code == SQLITE_NOMEM;
        break;
    case 1:
        nomem = !rbt_backup_read(&out, &form, why, (const uint8_t *)VECTOR, SIZE) && !*why;
        break;
    case 2:
        rbt_backup_unlock(&out, &vector, vector_key, "test", &error);
        nomem = error.code == SQLITE_NOMEM;
        break;
    default:
        keys = rbt_backup_keys(&contents, "test", &error);
        nomem = keys == NULL && error.code == SQLITE_NOMEM;
        break;
    }
    *hit = failing_memory_hit;
    failing_memory_at(0);
    rbt_keys_free(keys);
    rbt_error_clear(&error);
    rbt_buffer_free(&out);
    rbt_buffer_free(&contents);
    return nomem == *hit;
}

static void test_memory(void) {
    static const char *const names[] = {
        "sealing survives every failure of memory",
        "reading does",
        "unlocking does",
        "so do the keys of its contents",
    };
    for (int step = 0; step < 4; step++) {
        bool clean = true, hit = true;
        long allocation = 0;
        while (hit && allocation < 100)
            clean = fails_cleanly(step, ++allocation, &hit) && clean;
        ok(clean && !hit && allocation > 1, names[step]);
    }

#ifdef __SANITIZE_ADDRESS__
    ok(1, "Argon2id without memory # SKIP AddressSanitizer needs the address space");
    ok(1, "Argon2id without memory # SKIP AddressSanitizer needs the address space");
#else
    struct rlimit before, tight;
    getrlimit(RLIMIT_AS, &before);
    tight = before;
    tight.rlim_cur = 1024ull * 1024 * 1024;
    rbt_buffer bytes = copy_of_vector();
    rbt_store_u32le(bytes.data + 12, 2 * 1024 * 1024);
    char *damaged = text_of(&bytes);
    put_check(bytes.data);
    char *text = text_of(&bytes);
    setrlimit(RLIMIT_AS, &tight);
    char *said = opening(text, strlen(text), PASSPHRASE);
    char *said_damaged = opening(damaged, strlen(damaged), PASSPHRASE);
    setrlimit(RLIMIT_AS, &before);
    is_text(said, "test: Argon2id needs 2048 MiB of memory, which the system does not give",
            "without memory for Argon2id the error says how much it needs");
    is_text(said_damaged,
            "test: Argon2id needs 2048 MiB of memory, which the system does not give; the backup's "
            "check does not hold, so that number may be mistyped",
            "and that the number may be mistyped when the check does not hold");
    sqlite3_free(said);
    sqlite3_free(said_damaged);
    sqlite3_free(text);
    sqlite3_free(damaged);
    rbt_buffer_free(&bytes);
#endif
}

/* Any bytes at all: only that nothing goes astray, for the sanitizers to see. */
static void test_garbage(void) {
    uint64_t state = 1;
    int opened = 0;
    for (int i = 0; i < 20000; i++) {
        char text[SIZE + 1] = VECTOR;
        for (int changes = 0; changes < 1 + i % 5; changes++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            size_t at = (size_t)(state >> 33) % SIZE;
            text[at] = i % 2 ? alphabet[(state >> 20) % 64] : (char)(state >> 24);
        }
        size_t length = i % 3 ? SIZE : (size_t)(state >> 40) % SIZE;
        bool same = memcmp(text, VECTOR, SIZE) == 0;
        char *said = opening(text, length, NULL);
        opened += said[0] == '(' && !same;
        sqlite3_free(said);
    }
    is_int(opened, 0, "none of 20000 damaged backups opens");
}

int main(void) {
    if (failing_memory_install() != SQLITE_OK || !rbt_crypto_init()) return 1;
    plan(61);
    test_vector();
    test_white_space();
    test_replaced();
    test_moved();
    test_derived();
    test_base64();
    test_versions();
    test_memory();
    test_garbage();
    rbt_buffer_free(&vector);
    return done();
}
