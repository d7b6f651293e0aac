/* SPDX-License-Identifier: MIT
** What the process keeps of secrets: nothing on the stack after a call, keys in the guarded arena alone
** while they are in use, nothing of that in a core dump, and nothing anywhere once the last connection
** is closed.
**
** The dynamic linker saves the vector registers on the stack when it binds a function on its first
** call, with whatever the last memcpy left in them. The library itself is bound at once; so is this
** test, which starts itself again for that. Registers are nobody's memory: they are not looked at.
*/
#include "rustybt.h"

#include "secret_watch.h"
#include "tap.h"

#include "audit/log_seal.h"
#include "base/base64.h"
#include "base/bytes.h"
#include "crypto/backup.h"
#include "crypto/blind_index.h"
#include "crypto/envelope.h"
#include "crypto/fernet.h"
#include "crypto/sign.h"
#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[] = "/tmp/rustybt-process-XXXXXX";
static char key_path[64];
static char old_key[45], new_key[45], text[65];

/* --------------------------------------------------------------------------------- functions */

/* What the functions work with; keys stand in an arena of their own. */
static rbt_keys *keys;
static const rbt_ring_key *key;
static uint8_t nonce[24], random_bytes[32], header[20], signed_seal[RBT_SEAL_SIZE], iv[16];
static uint8_t envelope[64 + RBT_ENVELOPE_OVERHEAD], opened[128];
static rbt_buffer token, raw, backup;
static const uint8_t *const place = (const uint8_t *)"a/b";
enum { PLACE = 3, TEXT = 64, NOW = 1700000000 };

static void leave_copy(void *argument) {
    volatile uint8_t copy[32];
    (void)argument;
    for (size_t i = 0; i < sizeof copy; i++)
        copy[i] = key->seal[i];
    watch_keep((void *)copy);
}

static void make_nonce(void *argument) {
    (void)argument;
    rbt_envelope_nonce(nonce, key->nonc, random_bytes, header, place, PLACE, RBT_VALUE_TEXT,
                       (const uint8_t *)text, TEXT);
}

static void seal_envelope(void *argument) {
    (void)argument;
    rbt_envelope_seal(envelope, RBT_ENVELOPE_KIND_RING, key->id, NOW, nonce, key->aead, place,
                      PLACE, RBT_VALUE_TEXT, (const uint8_t *)text, TEXT);
}

static void open_envelope(void *length_of_place) {
    uint8_t type;
    (void)rbt_envelope_open(opened, &type, envelope, sizeof envelope, key->aead, place,
                            *(const size_t *)length_of_place);
}

static void seal_fernet(void *argument) {
    (void)argument;
    (void)rbt_fernet_seal(&token, NOW, iv, key->fernet_sign, &key->fernet_schedule,
                          (const uint8_t *)text, TEXT);
}

static void authenticate_fernet(void *argument) {
    (void)argument;
    (void)rbt_fernet_authentic(raw.data, raw.length, key->fernet_sign);
}

static void decrypt_fernet(void *argument) {
    size_t length;
    (void)argument;
    (void)rbt_fernet_decrypt(opened, &length, raw.data, raw.length, &key->fernet_schedule);
}

static void parse_keys(void *argument) {
    rbt_error error = {0};
    (void)argument;
    rbt_keys_free(rbt_keys_parse(old_key, new_key, "test", &error));
}

static void seal_log(void *argument) {
    static const rbt_frontier frontier = {0};
    (void)argument;
    rbt_seal_compute(signed_seal, key, random_bytes, &frontier);
}

static void sign_note(void *argument) {
    rbt_error error = {0};
    rbt_verifier signer;
    rbt_buffer note = {0};
    (void)argument;
    if (!rbt_verifier_make(&signer, "example.com/test", key->sign_public) ||
        rbt_note_sign(&note, "note\n", 5, &signer, key->sign_secret, &error) != SQLITE_OK)
        printf("# cannot sign\n");
    rbt_buffer_free(&note);
}

static void index_value(void *argument) {
    uint8_t index[RBT_BLIND_INDEX_SIZE];
    (void)argument;
    rbt_blind_index(index, key, place, PLACE, RBT_VALUE_TEXT, (const uint8_t *)text, TEXT);
}

/* A backup at the least cost, of a text in place of the keys; the key's text is the passphrase. */
static void make_backup(void *argument) {
    static const rbt_backup_cost cost = {RBT_BACKUP_PASSES_MINIMUM, RBT_BACKUP_MEMORY_KIB_MINIMUM};
    static const uint8_t random[RBT_BACKUP_RANDOM_SIZE];
    rbt_error error = {0};
    (void)argument;
    if (rbt_backup_seal(&backup, &cost, random, 0, (const uint8_t *)old_key, 44,
                        (const uint8_t *)text, TEXT, "test", &error) != SQLITE_OK)
        printf("# no backup\n");
}

static void open_backup(void *argument) {
    rbt_error error = {0};
    rbt_buffer contents = {.secret = true};
    (void)argument;
    if (rbt_backup_open(&contents, backup.data, backup.length, (const uint8_t *)old_key, 44, "test",
                        &error) != SQLITE_OK)
        printf("# the backup does not open\n");
    rbt_buffer_free(&contents);
}

/* The keys that the envelope's own work derives: watched from here on. */
static void watch_message_key(void) {
    crypto_generichash_state hash;
    uint8_t derived[64], subkey[32], length[8];
    crypto_generichash_init(&hash, key->aead, 32, sizeof derived);
    crypto_generichash_update(&hash, envelope, 44);
    rbt_store_u64le(length, PLACE);
    crypto_generichash_update(&hash, length, sizeof length);
    crypto_generichash_update(&hash, place, PLACE);
    crypto_generichash_final(&hash, derived, sizeof derived);
    if (memcmp(derived + 32, envelope + 44, 32) != 0) printf("# another format than expected\n");
    watch("the message key", derived, 32);
    crypto_core_hchacha20(subkey, nonce, derived, NULL);
    watch("XChaCha20's subkey", subkey, sizeof subkey);
    sodium_memzero(&hash, sizeof hash);
    sodium_memzero(derived, sizeof derived);
    sodium_memzero(subkey, sizeof subkey);
}

static void test_functions(void) {
    static const size_t right = PLACE, wrong = 1;
    rbt_error error = {0};

    keys = rbt_keys_parse(old_key, NULL, "test", &error);
    key = rbt_keys_at(keys, 0);
    ok(watch_on_stack(leave_copy, NULL, "(as it should)") == 1,
       "a copy left on the stack is found");
    ok(watch_on_stack(make_nonce, NULL, "the nonce") == 0, "making a nonce leaves nothing there");
    seal_envelope(NULL);
    watch_message_key();
    ok(watch_on_stack(seal_envelope, NULL, "sealing") == 0, "nor does sealing an envelope");
    ok(watch_on_stack(open_envelope, (void *)&right, "opening") == 0 &&
           memcmp(opened, text, TEXT) == 0,
       "nor opening one");
    ok(watch_on_stack(open_envelope, (void *)&wrong, "refusing") == 0 && opened[0] == 0,
       "nor refusing one");
    ok(watch_on_stack(seal_fernet, NULL, "Fernet") == 0, "nor making a Fernet token");
    ok(rbt_fernet_decode(&raw, token.data, token.length), "the token decodes");
    ok(watch_on_stack(authenticate_fernet, NULL, "HMAC") == 0, "checking its HMAC leaves nothing");
    ok(watch_on_stack(decrypt_fernet, NULL, "AES") == 0 && memcmp(opened, text, TEXT) == 0,
       "nor does decrypting it");
    ok(watch_on_stack(parse_keys, NULL, "parsing") == 0, "nor deriving a ring from its keys");
    ok(watch_on_stack(seal_log, NULL, "the seal") == 0, "nor sealing a log");
    ok(watch_on_stack(sign_note, NULL, "signing") == 0, "nor signing a note");
    ok(watch_on_stack(index_value, NULL, "the index") == 0, "nor making a blind index");
    ok(watch_on_stack(make_backup, NULL, "the backup") == 0, "nor making a key backup");
    ok(watch_on_stack(open_backup, NULL, "the backup") == 0, "nor opening one");
    sodium_memzero(opened, sizeof opened);
    rbt_buffer_free(&backup);
    rbt_buffer_free(&token);
    rbt_buffer_free(&raw);
    rbt_keys_free(keys);
}

/* -------------------------------------------------------------------------------- statements */

static void step(void *statement) {
    (void)sqlite3_step(statement);
}

static sqlite3 *open_database(void) {
    sqlite3 *db = NULL;
    char *message = NULL;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
        sqlite3_rustybt_init(db, &message, NULL) != SQLITE_OK)
        abort();
    return db;
}

static void test_statements(sqlite3 *db) {
    static const char *const statements[] = {
        "SELECT key_id()", /* first: it reads the keys */
        "SELECT encrypt(?1)",
        "SELECT encrypt(?1, 'a/b')",
        "SELECT fernet_encrypt(?1)",
        "CREATE TABLE k AS SELECT encrypt(?1) AS e, encrypt(?1, 'a/b') AS c, fernet_encrypt(?1) AS "
        "f",
        "SELECT decrypt(e) FROM k",
        "SELECT decrypt(c, 'a/b') FROM k",
        "SELECT decrypt(c) FROM k",
        "SELECT decrypt(f) FROM k",
        "SELECT fernet_decrypt(f, 60) FROM k",
        "SELECT blind_index(?1, 'c')",
        "CREATE TABLE s AS SELECT subject_encrypt('customer/1', ?1, 'a/b') AS s",
        "SELECT subject_encrypt('customer/1', ?1)",
        "SELECT subject_decrypt(s, 'a/b') FROM s",
        "SELECT key_reload()", /* finds a new key in front */
        "SELECT subject_rotate()",
        "SELECT key_rotate(e) FROM k",
        "SELECT key_rotate(f) FROM k",
        "CREATE VIRTUAL TABLE log USING audit_log(a TEXT)",
        "INSERT INTO log(a) VALUES('x')",
        "SELECT max(detail) FROM audit_verify('log')",
        "SELECT audit_public_key('log')",
    };
    enum { STATEMENTS = sizeof statements / sizeof statements[0], RELOAD = 14 };
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_stmt *statement = NULL;
        if (sqlite3_prepare_v2(db, statements[i], -1, &statement, NULL) != SQLITE_OK)
            printf("# %s\n", sqlite3_errmsg(db));
        if (sqlite3_bind_parameter_count(statement) > 0)
            sqlite3_bind_text(statement, 1, text, TEXT, SQLITE_STATIC);
        if (i == RELOAD) watch_write_file(key_path, new_key, ",", old_key);
        ok(watch_on_stack(step, statement, "the statement") == 0, statements[i]);
        sqlite3_finalize(statement);
    }
}

/* ----------------------------------------------------------------------------------- process */

/* The VmFlags of the mapping that holds address (proc(5)), with a space on either side; "" if unknown. */
static const char *flags_of(const void *address) {
    static char line[512];
    unsigned long from = 0, to = 0;
    int inside = 0;
    FILE *smaps = fopen("/proc/self/smaps", "re");
    while (smaps && fgets(line, sizeof line, smaps)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = (unsigned long)address >= from && (unsigned long)address < to;
        if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            line[strcspn(line, "\n")] = 0;
            strcat(line, " ");
            fclose(smaps);
            return line + 8;
        }
    }
    if (smaps) fclose(smaps);
    return "";
}

static void test_arena(void) {
    rbt_error error = {0};
    keys = rbt_keys_parse(old_key, NULL, "test", &error);
    const char *flags = flags_of(rbt_keys_at(keys, 0));
    printf("# the arena's flags:%s\n", flags);
    if (*flags == 0) {
        ok(1, "# SKIP the kernel does not tell the flags of mappings");
        ok(1, "# SKIP the kernel does not tell the flags of mappings");
    } else {
        ok(strstr(flags, " dd ") != NULL, "core dumps leave out the arena that holds the keys");
        ok(!strstr(flags, " wr ") && !strstr(flags, " lo ") == !rbt_keys_locked(keys),
           "it is read-only, and locked when key_ring says so");
    }
    rbt_keys_free(keys);
}

/* Dies with a core file in the folder "core", which the parent made. */
static void die_with_core(void) {
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    sodium_memzero(text, sizeof text);
    sodium_memzero(old_key, sizeof old_key);
    sodium_memzero(new_key, sizeof new_key);
    if (setrlimit(RLIMIT_CORE, &unlimited) != 0 || chdir(folder) != 0 || chdir("core") != 0)
        _exit(1);
    abort();
}

/* Why there will be no core file in the working directory; NULL when there should be one. */
static const char *no_core_because(void) {
    static char pattern[256];
    struct rlimit limit;
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
    if (file == NULL || !fgets(pattern, sizeof pattern, file)) *pattern = 0;
    if (file) fclose(file);
    if (*pattern == 0 || *pattern == '\n') return "the kernel writes no core files";
    if (*pattern == '|' || strchr(pattern, '/')) return "core dumps go elsewhere";
    if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_max != RLIM_INFINITY)
        return "core dumps are limited";
    return NULL;
}

/* Looks through a core file for secrets, and for the marker, which has to be there. */
static int search_core(const char *path, const char *marker, int *marked) {
    enum { CHUNK = 1 << 20, OVERLAP = 64 };
    uint8_t *chunk = calloc(1, OVERLAP + CHUNK);
    int found = 0, file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count;
    size_t before = 0, at = 0;
    while (chunk && (count = read(file, chunk + OVERLAP, CHUNK)) > 0) {
        const uint8_t *start = chunk + OVERLAP - before;
        size_t size = before + (size_t)count;
        const char *name = watch_find(start, size, &at);
        if (name) found += watch_report(name, "the core file", at);
        *marked |= memmem(start, size, marker, strlen(marker)) != NULL;
        memmove(chunk, chunk + count, OVERLAP);
        before = OVERLAP;
    }
    close(file);
    free(chunk);
    return found;
}

static void test_core(void) {
    static char marker[33];
    char path[512] = "";
    int status = 0, marked = 0;
    const char *why_not = no_core_because();

    for (size_t i = 0; i + 1 < sizeof marker; i++)
        marker[i] = (char)('a' + randombytes_uniform(26));
    if (why_not == NULL) {
        snprintf(path, sizeof path, "%s/core", folder);
        if (mkdir(path, 0700) != 0) printf("# cannot make %s\n", path);
        pid_t child = fork();
        if (child == 0) die_with_core();
        if (child < 0 || waitpid(child, &status, 0) != child || !WCOREDUMP(status))
            why_not = "the system wrote no core file";
    }
    DIR *directory = why_not ? NULL : opendir(path);
    struct dirent *entry = NULL;
    while (directory && (entry = readdir(directory)) != NULL && entry->d_name[0] == '.')
        continue;
    if (entry == NULL) {
        printf("# %s\n", why_not ? why_not : "no core file");
        ok(1, "# SKIP no core file to look into");
        ok(1, "# SKIP no core file to look into");
    } else {
        size_t length = strlen(path);
        snprintf(path + length, sizeof path - length, "/%s", entry->d_name);
        int found = search_core(path, marker, &marked);
        ok(marked, "a core file holds what ordinary memory held");
        is_int(found, 0, "but no piece of the keys that were in use");
        unlink(path);
    }
    if (directory) closedir(directory);
    snprintf(path, sizeof path, "%s/core", folder);
    rmdir(path);
}

/* Takes from this program's own memory what it looks for elsewhere. */
static void forget(void) {
    sodium_memzero(text, sizeof text);
    sodium_memzero(old_key, sizeof old_key);
    sodium_memzero(new_key, sizeof new_key);
    sodium_stackzero(65536);
}

static void test_process(void) {
    static char planted[40];
    sqlite3 *db = open_database(), *second = open_database();

    test_statements(db);
    if (sqlite3_exec(second, "SELECT key_id()", NULL, NULL, NULL) != SQLITE_OK)
        printf("# %s\n", sqlite3_errmsg(second));
    test_core();
    memcpy(planted + 5, new_key, 30);
    watch_keep(planted);
    forget();
    ok(watch_process() > 1, "a copy of a key somewhere in the process is found");
    sodium_memzero(planted, sizeof planted);
    is_int(watch_process(), 1, "keys in use stand in the arena and nowhere else");
    is_int(sqlite3_close(db), SQLITE_OK, "the first connection closes");
    is_int(watch_process(), 1, "the second still has its keys");
    is_int(sqlite3_close(second), SQLITE_OK, "the last connection closes");
    is_int(watch_process(), 0, "and no piece of a key or plaintext is left in the process");
}

int main(int count, char **arguments) {
    (void)count;
#if !defined(__linux__) || defined(__SANITIZE_ADDRESS__)
    printf("1..0 # SKIP needs Linux's /proc, and memory without the sanitizers' copies\n");
    return 0;
#endif
    if (getenv("LD_BIND_NOW") == NULL) {
        setenv("LD_BIND_NOW", "1", 1);
        execv(arguments[0], arguments);
    }
    plan(15 + 2 + 22 + 2 + 6);
    setvbuf(stdout, NULL, _IONBF, 0);
    if (!rbt_crypto_init() || mkdtemp(folder) == NULL) return 1;
    snprintf(key_path, sizeof key_path, "%s/keys", folder);
    setenv("RUSTYBT_ENCRYPTION_KEY_FILE", key_path, 1);
    watch_new_key(old_key);
    watch_new_key(new_key);
    watch_new_text("the plaintext", text, TEXT);
    watch_write_file(key_path, old_key, NULL, NULL);
    test_functions();
    test_arena();
    test_process();
    unlink(key_path);
    rmdir(folder);
    return done();
}
