/* SPDX-License-Identifier: MIT
** The key ring: subkeys against vectors, what is refused and in which words, where keys come from, and
** that connections share one arena.
*/
#include "tap.h"

#include "base/base64.h"
#include "base/bytes.h"
#include "base/connection.h"
#include "base/memory.h"
#include "crypto/keys.h"
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

/* Master keys 00 01 … 1f and 20 21 … 3f. */
#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

static bool is_hex(const uint8_t *bytes, size_t length, const char *hex) {
    uint8_t want[64];
    return rbt_hex_decode(want, length, hex, strlen(hex)) && memcmp(bytes, want, length) == 0;
}

static void test_derivation(void) {
    rbt_error error = {0};
    rbt_keys *keys = rbt_keys_parse(KEY_A, NULL, "test", &error);
    const rbt_ring_key *key = rbt_keys_at(keys, 0);

    is_int(rbt_keys_count(keys), 1, "one key makes a ring of one");
    ok(is_hex(key->id, 8, "fe6b3e115b099239"), "the key id is the vector's");
    ok(is_hex(key->aead, 32, "01be3df16220b8148ee1d3f8d7b35d15caa02b07d82749f7a4c5422adc42d466"),
       "rbt_aead is the vector's");
    ok(is_hex(key->bidx, 32, "aac9830eceaf295669f6c0f182aac2b177a74d4f9facba12bc4286a36a892a6f"),
       "rbt_bidx is the vector's");
    ok(is_hex(key->subj, 32, "62982e7a216dd00337065fa6403ec92fdb0ff8e224832525ad4a608f07dd920a"),
       "rbt_subj is the vector's");
    ok(is_hex(key->nonc, 32, "1c19f958c8834434e0e941b28565a3e9d1660c7d613a6f439d171fe80a852e55"),
       "rbt_nonc is the vector's");
    ok(is_hex(key->seal, 32, "db1570e337a5d6289386d5c48dc88603716d799746936f7b6dcdb525af0d69cd"),
       "rbt_seal is the vector's");
    /* libsodium's secret key begins with the seed */
    ok(is_hex(key->sign_secret, 32,
              "0fe372e062c5c20c72b1715351dd759a95768f0bbdecb32fcf0bdfdfcb2b2c51"),
       "rbt_sign is the vector's");
    ok(is_hex(key->fernet_sign, 16, "000102030405060708090a0b0c0d0e0f") &&
           is_hex(key->fernet_encrypt, 16, "101112131415161718191a1b1c1d1e1f"),
       "the halves of the key sign and encrypt Fernet");
    const rbt_signing_key *signing = rbt_keys_signing(keys);
    ok(signing->shared && memcmp(signing->secret, key->sign_secret, 64) == 0 &&
           memcmp(signing->public_key, key->sign_public, 32) == 0,
       "without a signing key the primary's subkey signs, and says it is shared");
    is_text(rbt_keys_source(keys), "RUSTYBT_ENCRYPTION_KEY", "the source is named");
    rbt_keys_free(keys);
}

static void test_ring(void) {
    rbt_error error = {0};
    const uint8_t unknown[8] = {0};

    rbt_keys *keys = rbt_keys_parse(KEY_B "," KEY_A, KEY_A, "test", &error);
    is_int(rbt_keys_count(keys), 2, "two keys make a ring of two");
    const rbt_ring_key *second = rbt_keys_at(keys, 1);
    ok(is_hex(second->id, 8, "fe6b3e115b099239"), "in the order they are written");
    ok(rbt_keys_find(keys, second->id) == second, "a key is found by its id");
    ok(rbt_keys_find(keys, unknown) == NULL, "an unknown id is not");
    ok(rbt_keys_at(keys, 2) == NULL, "there is no third");
    const rbt_signing_key *signing = rbt_keys_signing(keys);
    ok(!signing->shared &&
           is_hex(signing->public_key, 32,
                  "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"),
       "the signing key is the one of its seed, and not shared");
    rbt_keys_free(keys);

    keys = rbt_keys_parse(NULL, KEY_A, "test", &error);
    ok(keys && rbt_keys_count(keys) == 0 && rbt_keys_signing(keys) != NULL,
       "a signing key alone makes an empty ring that signs");
    is_int(rbt_keys_signing_count(keys), 1, "with one signing key");
    rbt_keys_free(keys);

    keys = rbt_keys_parse(KEY_A, KEY_B "," KEY_A, "test", &error);
    is_int(rbt_keys_signing_count(keys), 2, "two seeds are two signing keys");
    const rbt_signing_key *old = rbt_keys_signing_at(keys, 1);
    ok(rbt_keys_signing(keys) == rbt_keys_signing_at(keys, 0) &&
           rbt_keys_signing_at(keys, 2) == NULL,
       "the first signs, and there is no third");
    ok(!old->shared && is_hex(old->secret, 32,
                              "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
       "the second is of its own seed");
    rbt_keys_free(keys);

    keys = rbt_keys_parse(KEY_B "," KEY_A, NULL, "test", &error);
    old = rbt_keys_signing_at(keys, 1);
    ok(rbt_keys_signing_count(keys) == 2 && old->shared &&
           memcmp(old->public_key, rbt_keys_at(keys, 1)->sign_public, 32) == 0 &&
           memcmp(old->secret, rbt_keys_at(keys, 1)->sign_secret, 64) == 0,
       "without a signing key the ring's subkeys sign, in the ring's order");
    rbt_keys_free(keys);

    static const char *const lenient[] = {
        " " KEY_A "\n",
        "AAECAwQFBgcICQoLDA0ODxAR\r\nEhMUFRYXGBkaGxwdHh8=",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8==",
    };
    for (size_t i = 0; i < sizeof lenient / sizeof lenient[0]; i++) {
        keys = rbt_keys_parse(lenient[i], NULL, "test", &error);
        ok(keys && is_hex(rbt_keys_at(keys, 0)->id, 8, "fe6b3e115b099239"),
           "white space and surplus padding do not change a key, as in Python");
        rbt_keys_free(keys);
    }
    keys = rbt_keys_parse("-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_8=", NULL, "test", &error);
    rbt_keys *same =
        rbt_keys_parse("+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/8=", NULL, "test", &error);
    ok(keys && same && memcmp(rbt_keys_at(keys, 0)->id, rbt_keys_at(same, 0)->id, 8) == 0,
       "both alphabets are read");
    rbt_keys_free(keys);
    rbt_keys_free(same);
    ok(error.code == SQLITE_OK, "none of this was an error");
}

static void refused(const char *ring, const char *signing, const char *want, const char *name) {
    rbt_error error = {0};
    rbt_keys *keys = rbt_keys_parse(ring, signing, "encrypt", &error);
    is_text(keys ? "(accepted)" : error.message, want, name);
    rbt_keys_free(keys);
    rbt_error_clear(&error);
}

static void test_refusals(void) {
    refused("", NULL, "encrypt: key 1 of RUSTYBT_ENCRYPTION_KEY is empty", "an empty ring");
    refused(KEY_A ",", NULL, "encrypt: key 2 of RUSTYBT_ENCRYPTION_KEY is empty",
            "a comma at the end");
    refused(KEY_A ", ," KEY_B, NULL, "encrypt: key 2 of RUSTYBT_ENCRYPTION_KEY is empty",
            "two commas");
    refused(KEY_A ",QUJD", NULL,
            "encrypt: key 2 of RUSTYBT_ENCRYPTION_KEY decodes to 3 bytes, expected 32",
            "a short key is named by its position and length");
    refused("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIj", NULL,
            "encrypt: key 1 of RUSTYBT_ENCRYPTION_KEY decodes to 36 bytes, expected 32",
            "so is a long one");
    refused(
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", NULL,
        "encrypt: key 1 of RUSTYBT_ENCRYPTION_KEY is not base64: its length or padding is wrong",
        "a key without its padding is refused, as in Python");
    refused(KEY_A "," KEY_B "," KEY_A, NULL,
            "encrypt: keys 1 and 3 of RUSTYBT_ENCRYPTION_KEY have the same id fe6b3e115b099239; "
            "remove one of them",
            "a key that is there twice");
    refused(KEY_A, "QUJD", "encrypt: RUSTYBT_SIGNING_KEY decodes to 3 bytes, expected 32",
            "a short signing key");
    refused(KEY_A, KEY_A ",QUJD",
            "encrypt: key 2 of RUSTYBT_SIGNING_KEY decodes to 3 bytes, expected 32",
            "a short signing key of several is named by its position");
    refused(KEY_A, KEY_A ",", "encrypt: key 2 of RUSTYBT_SIGNING_KEY is empty",
            "a comma behind a signing key");
    refused(KEY_A, "", "encrypt: RUSTYBT_SIGNING_KEY is empty", "an empty list of signing keys");
    refused(NULL, KEY_A "," KEY_B "," KEY_A,
            "encrypt: keys 1 and 3 of RUSTYBT_SIGNING_KEY are the same; remove one of them",
            "a signing key that is there twice");
}

static void clear_environment(void) {
    static const char *const names[] = {
        "RUSTYBT_ENCRYPTION_KEY",   "RUSTYBT_ENCRYPTION_KEY_FILE", "RUSTYBT_SIGNING_KEY",
        "RUSTYBT_SIGNING_KEY_FILE", "RUSTYBT_SIGNING_KEY_COMMAND", "RUSTYBT_ENCRYPTION_KEY_COMMAND",
        "CREDENTIALS_DIRECTORY"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
}

static void test_sharing(void) {
    rbt_error error = {0};
    rbt_connection *first = rbt_connection_new(NULL), *second = rbt_connection_new(NULL);

    clear_environment();
    const rbt_keys *none = rbt_connection_keys(first, "test", &error);
    ok(none && rbt_keys_count(none) == 0 && rbt_keys_signing(none) == NULL,
       "without any key there is an empty ring that cannot sign");
    ok(rbt_connection_ring(first, "encrypt", &error) == NULL, "which is not enough to encrypt");
    is_text(error.message,
            "encrypt: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), "
            "or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one",
            "and the message says what to do");
    rbt_error_clear(&error);
    setenv("RUSTYBT_ENCRYPTION_KEY", "", 1);
    ok(rbt_connection_keys(first, "test", &error) == none, "an empty variable is not set");

    setenv("RUSTYBT_ENCRYPTION_KEY", KEY_A, 1);
    const rbt_keys *keys = rbt_connection_ring(first, "encrypt", &error);
    ok(keys && rbt_keys_count(keys) == 1, "a key that is set later is found");
    ok(rbt_connection_ring(second, "encrypt", &error) == keys,
       "connections whose environment says the same share their keys");
    rbt_connection *third = rbt_connection_new(NULL);
    setenv("RUSTYBT_ENCRYPTION_KEY", KEY_B, 1);
    const rbt_keys *other = rbt_connection_ring(third, "encrypt", &error);
    ok(other && other != keys, "another environment gives other keys");
    ok(rbt_connection_ring(first, "encrypt", &error) == keys, "a connection keeps what it read");
    rbt_connection_release(first);
    ok(is_hex(rbt_keys_at(keys, 0)->id, 8, "fe6b3e115b099239"),
       "keys stay while one connection uses them");
    rbt_connection_release(second);
    rbt_connection_release(third);

    setenv("RUSTYBT_ENCRYPTION_KEY_FILE", "/nowhere", 1);
    first = rbt_connection_new(NULL);
    ok(rbt_connection_keys(first, "encrypt", &error) == NULL, "two sources at once are refused");
    is_text(
        error.message,
        "encrypt: both RUSTYBT_ENCRYPTION_KEY and RUSTYBT_ENCRYPTION_KEY_FILE are set; unset one "
        "of them",
        "and both are named");
    rbt_error_clear(&error);
    clear_environment();
    setenv("RUSTYBT_SIGNING_KEY_COMMAND", "true", 1);
    ok(rbt_connection_keys(first, "encrypt", &error) == NULL && error.message &&
           strstr(error.message, "the command of RUSTYBT_SIGNING_KEY_COMMAND printed nothing"),
       "a command that gives no key is an error, and not passed over");
    rbt_error_clear(&error);
    rbt_connection_release(first);
    clear_environment();
}

static char folder[] = "/tmp/rustybt-keys-XXXXXX";
static char path[64];

static void write_file(const char *contents, mode_t mode) {
    unlink(path);
    int file = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);
    if (file < 0 || write(file, contents, strlen(contents)) != (ssize_t)strlen(contents) ||
        fchmod(file, mode) != 0 || close(file) != 0)
        printf("# cannot write %s\n", path);
}

/* What a file gives: the primary's id, or the message without the path. */
static const char *file_gives(const char *contents, mode_t mode) {
    static char result[300];
    rbt_error error = {0};
    rbt_connection *connection = rbt_connection_new(NULL);
    write_file(contents, mode);
    const rbt_keys *keys = rbt_connection_ring(connection, "encrypt", &error);
    if (keys) {
        rbt_hex_encode(result, rbt_keys_at(keys, 0)->id, 8);
    } else {
        const char *message = error.message ? error.message : "(no message)";
        const char *found = strstr(message, path);
        if (found)
            snprintf(result, sizeof result, "%.*sFILE%s", (int)(found - message), message,
                     found + strlen(path));
        else
            snprintf(result, sizeof result, "%s", message);
    }
    rbt_error_clear(&error);
    rbt_connection_release(connection);
    return result;
}

static void test_files(void) {
    const char *id = "fe6b3e115b099239";
    if (mkdtemp(folder) == NULL) return;
    snprintf(path, sizeof path, "%s/keys", folder);
    setenv("RUSTYBT_ENCRYPTION_KEY_FILE", path, 1);

    is_text(file_gives(KEY_A "\n", 0600), id, "a file holds the key text");
    is_text(file_gives(KEY_A ",\n" KEY_B "\n", 0400), id, "over several lines, if it likes");
    is_text(file_gives("# keys\nOTHER=x\nRUSTYBT_ENCRYPTION_KEY=" KEY_A "\nMORE=y\n", 0600), id,
            "or is a dotenv file");
    is_text(file_gives("export RUSTYBT_ENCRYPTION_KEY = '" KEY_A "' \r\n", 0600), id,
            "with export, spaces, quotes and carriage returns");
    is_text(
        file_gives("RUSTYBT_ENCRYPTION_KEY=" KEY_B "\nRUSTYBT_ENCRYPTION_KEY=\"" KEY_A "\"", 0600),
        id, "whose last line counts");
    is_text(file_gives("OTHER=x\n", 0600),
            "encrypt: FILE, the file that RUSTYBT_ENCRYPTION_KEY_FILE names, has no line "
            "RUSTYBT_ENCRYPTION_KEY=…",
            "a dotenv file without the line is refused");
    is_text(file_gives("QUJD", 0600),
            "encrypt: key 1 of RUSTYBT_ENCRYPTION_KEY_FILE decodes to 3 bytes, expected 32",
            "a malformed key names the variable it came through");
    is_text(file_gives("", 0600),
            "encrypt: FILE, the file that RUSTYBT_ENCRYPTION_KEY_FILE names, has 0 bytes, expected "
            "1 to 65536",
            "an empty file is refused");
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    is_text(file_gives(KEY_A, 0644), id, "any mode will do in systemd's credentials directory");
    setenv("CREDENTIALS_DIRECTORY", "/tmp/rustybt-keys-elsewhere", 1);
    is_text(
        file_gives(KEY_A, 0604),
        "encrypt: FILE, the file that RUSTYBT_ENCRYPTION_KEY_FILE names, has mode 0604, expected "
        "0600; chmod 600 it",
        "a file that others can read is refused with the fix");
    unsetenv("CREDENTIALS_DIRECTORY");
    if (geteuid() == 0)
        is_text(file_gives(KEY_A, 0640), id, "root's own may be read by its group");
    else
        is_text(file_gives(KEY_A, 0640),
                "encrypt: FILE, the file that RUSTYBT_ENCRYPTION_KEY_FILE names, has mode 0640, "
                "expected 0600; chmod 600 it",
                "a file that the group can read is refused, if it is not root's");
    unlink(path);
    rbt_error error = {0};
    rbt_connection *connection = rbt_connection_new(NULL);
    ok(rbt_connection_keys(connection, "encrypt", &error) == NULL && error.code == SQLITE_CANTOPEN,
       "a missing file is an error");
    rbt_error_clear(&error);
    rbt_connection_release(connection);
    rmdir(folder);
    clear_environment();
}

int main(void) {
    plan(64);
    if (!rbt_crypto_init()) return 1;
    test_derivation();
    test_ring();
    test_refusals();
    test_sharing();
    test_files();
    return done();
}
