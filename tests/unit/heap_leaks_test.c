/* SPDX-License-Identifier: MIT
** Freed memory holds no secret: every block that is given back, to SQLite's allocator or to the C
** library's, is looked through, while statements encrypt, decrypt and rotate and keys are read, also when
** any one allocation of them fails. SQLite's lookaside memory is off, so that no block is missed.
**
** What SQLite copies for itself is not ours and not looked at here: the arguments of its own functions
** (upper(decrypt(t))), sorters, materialised tables, parameters bound with SQLITE_TRANSIENT.
*/
#include "rustybt.h"

#include "secret_watch.h"
#include "tap.h"

#include "crypto/backup.h"
#include "crypto/subject.h"
#include <malloc.h>
#include <sys/stat.h>

static sqlite3_mem_methods real_memory;
static long countdown; /* the allocation that fails, from 1; 0 for none */
static int failed_once;
static int leaks; /* blocks given back with a secret in them */
static const char *leaked;

static void inspect(const void *memory, size_t size) {
    const char *name = memory && size ? watch_find(memory, size, NULL) : NULL;
    if (name == NULL) return;
    leaks++;
    leaked = name;
}

static int fails_now(void) {
    if (countdown == 0 || --countdown > 0) return 0;
    failed_once = 1;
    return 1;
}

static void *watched_malloc(int size) {
    return fails_now() ? NULL : real_memory.xMalloc(size);
}

static void watched_free(void *memory) {
    if (memory) inspect(memory, (size_t)real_memory.xSize(memory));
    real_memory.xFree(memory);
}

/* It may move the block and leave the old one as it was: a secret must never come here. */
static void *watched_realloc(void *memory, int size) {
    if (memory) inspect(memory, (size_t)real_memory.xSize(memory));
    return fails_now() ? NULL : real_memory.xRealloc(memory, size);
}

/* The C library's own, in front of which the program's definitions stand. */
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
enum { WATCHES_LIBC = 1 };
void __libc_free(void *memory);
void *__libc_realloc(void *memory, size_t size);

__attribute__((visibility("default"))) void free(void *memory) {
    inspect(memory, malloc_usable_size(memory));
    __libc_free(memory);
}

__attribute__((visibility("default"))) void *realloc(void *memory, size_t size) {
    inspect(memory, malloc_usable_size(memory));
    return __libc_realloc(memory, size);
}
#else
enum { WATCHES_LIBC = 0 };
#endif

static char folder[] = "/tmp/rustybt-heap-XXXXXX";
static char key_path[64], signing_path[64];
static char old_key[45], new_key[45], signing_key[45];
static char text[65], bytes[65];

/* Runs code and says whether nothing leaked meanwhile. */
static int leaked_nothing(void) {
    int clean = leaks == 0;
    if (!clean) printf("# %d blocks were given back with a secret in them: %s\n", leaks, leaked);
    leaks = 0;
    return clean;
}

static void test_controls(void) {
    char *block = sqlite3_malloc(200);
    memcpy(block + 100, text + 3, 20);
    sqlite3_free(block);
    ok(leaks > 0, "a secret in a block that SQLite's allocator gets back is found");
    leaks = 0;
    block = sqlite3_malloc(200);
    memcpy(block, text, 20);
    block = sqlite3_realloc(block, 100000);
    ok(leaks > 0, "so is one in a block that grows");
    rbt_secret_free(block);
    leaks = 0;
    block = sqlite3_malloc(200);
    memcpy(block + 100, text + 3, 20);
    rbt_secret_free(block);
    ok(leaks == 0, "a block that was wiped is clean");
    if (!WATCHES_LIBC) {
        ok(1, "# SKIP the sanitizers watch the C library's memory");
        return;
    }
    block = malloc(200);
    memcpy(block + 100, text + 3, 20);
    watch_keep(block);
    free(block);
    ok(leaks > 0, "a secret in a block that the C library gets back is found");
    leaks = 0;
}

static sqlite3 *open_database(void) {
    sqlite3 *db = NULL;
    char *message = NULL;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
        sqlite3_rustybt_init(db, &message, NULL) != SQLITE_OK)
        abort();
    return db;
}

/* Binds what the statement asks for, without a copy. */
static void bind(sqlite3_stmt *statement) {
    int count = sqlite3_bind_parameter_count(statement);
    if (count > 0) sqlite3_bind_text(statement, 1, text, 64, SQLITE_STATIC);
    if (count > 1) sqlite3_bind_blob(statement, 2, bytes, 64, SQLITE_STATIC);
}

/* Steps to the end and reads every column in its own type. */
static int read_all(sqlite3_stmt *statement) {
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            if (sqlite3_column_type(statement, i) == SQLITE_TEXT)
                (void)sqlite3_column_text(statement, i);
            else
                (void)sqlite3_column_blob(statement, i);
        }
    }
    return code;
}

/* A statement, once as it is and once for each allocation that it makes, which fails. */
static void keeps_clean(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    int code = SQLITE_OK, clean = 1;
    long allocation = 0;

    do {
        if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
            printf("# %s\n", sqlite3_errmsg(db));
        bind(statement);
        failed_once = 0;
        countdown = allocation;
        code = read_all(statement);
        countdown = 0;
        if (allocation == 0 && code != SQLITE_DONE) printf("# %s\n", sqlite3_errmsg(db));
        clean &= code == SQLITE_DONE || (allocation > 0 && code == SQLITE_NOMEM);
        sqlite3_finalize(statement);
        clean &= leaked_nothing();
    } while (clean && allocation++ < 1000 && (failed_once || allocation == 1));
    ok(clean, sql);
}

/* The subject's key was made out of sight: taken from where it is stored, to be watched. */
static void watch_subject_key(sqlite3 *db) {
    sqlite3_stmt *statement = NULL;
    rbt_error error = {0};
    rbt_subject_key subject;
    rbt_keys *keys = rbt_keys_parse(old_key, NULL, "test", &error);
    sqlite3_prepare_v2(db, "SELECT sid, wrapped FROM rustybt_subject_keys", -1, &statement, NULL);
    if (sqlite3_step(statement) != SQLITE_ROW) abort();
    memcpy(subject.sid, sqlite3_column_blob(statement, 0), sizeof subject.sid);
    if (!rbt_subject_unwrap(&subject, rbt_keys_at(keys, 0), sqlite3_column_blob(statement, 1),
                            RBT_WRAPPED_SUBJECT_SIZE))
        abort();
    watch("a subject's key", subject.key, sizeof subject.key);
    sodium_memzero(&subject, sizeof subject);
    sqlite3_finalize(statement);
    rbt_keys_free(keys);
}

static void test_statements(void) {
    static const char *const statements[] = {
        "SELECT encrypt(?1), encrypt(?2), encrypt(?1, 'a/b')",
        "SELECT decrypt(e) FROM k",
        "SELECT decrypt(b) FROM k",
        "SELECT decrypt(c, 'a/b'), decrypt(e) = ?1, length(decrypt(b)) FROM k",
        "SELECT fernet_encrypt(?1), fernet_encrypt(?2)",
        "SELECT fernet_decrypt(f), fernet_decrypt(f, 60), decrypt(f), decrypt(g) FROM k",
        "SELECT blind_index(?1, 'c'), blind_index(?2, 'c', key_id()) FROM k",
        "SELECT key_rotate(e), key_rotate(c, 'a/b'), key_rotate(f), key_rotate(g) FROM k",
        "SELECT encrypt(decrypt(f), 'a/b'), encrypt(decrypt(b)) FROM k",
        "SELECT subject_encrypt('customer/1', ?1), subject_encrypt('customer/1', ?2, 'c')",
        "SELECT subject_decrypt(s) FROM k WHERE s IS NOT NULL",
        "INSERT INTO k(e) SELECT encrypt(?1) UNION ALL SELECT encrypt(?2)",
        "DELETE FROM k WHERE c IS NULL",
        "INSERT INTO log(a) VALUES('x')",
        "SELECT level, kind FROM audit_verify('log')",
        "SELECT audit_public_key('log')",
        "SELECT key_reload(), key_id()",
    };
    enum { STATEMENTS = sizeof statements / sizeof statements[0] };
    sqlite3 *db = open_database();
    sqlite3_stmt *statement = NULL;

    watch_write_file(key_path, old_key, NULL, NULL);
    if (sqlite3_exec(db, "CREATE VIRTUAL TABLE log USING audit_log(a TEXT)", NULL, NULL, NULL) !=
            SQLITE_OK ||
        sqlite3_prepare_v2(db,
                           "CREATE TABLE k AS SELECT encrypt(?1) AS e, encrypt(?2) AS b, "
                           "encrypt(?1, 'a/b') AS c, fernet_encrypt(?1) AS f, "
                           "CAST(fernet_encrypt(?1) AS TEXT) AS g, "
                           "subject_encrypt('customer/1', ?1) AS s",
                           -1, &statement, NULL) != SQLITE_OK)
        printf("# %s\n", sqlite3_errmsg(db));
    bind(statement);
    is_int(read_all(statement), SQLITE_DONE, "tokens are made");
    sqlite3_finalize(statement);
    watch_subject_key(db);
    watch_write_file(key_path, new_key, ",", old_key);
    if (sqlite3_exec(db, "SELECT key_reload()", NULL, NULL, NULL) != SQLITE_OK)
        printf("# %s\n", sqlite3_errmsg(db));
    ok(leaked_nothing(), "and nothing leaks");
    for (size_t i = 0; i < STATEMENTS; i++)
        keeps_clean(db, statements[i]);
    is_int(sqlite3_close(db), SQLITE_OK, "the connection closes");
    ok(leaked_nothing(), "and nothing leaks");
}

/* A new key is a secret from the moment that it is shown. */
static void test_keygen(void) {
    sqlite3 *db = open_database();
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(db, "SELECT keygen(), keygen('signing')", -1, &statement, NULL);
    is_int(sqlite3_step(statement), SQLITE_ROW, "keygen gives keys");
    watch("a new key", sqlite3_column_text(statement, 0), 43);
    watch("a new signing key", sqlite3_column_text(statement, 1), 43);
    sqlite3_finalize(statement);
    ok(leaked_nothing(), "which are wiped after use");
    sqlite3_close(db);
}

/* Argon2id is slow by intent: once, at the least cost that a backup may have. */
static void test_backup(void) {
    static const rbt_backup_cost cost = {RBT_BACKUP_PASSES_MINIMUM, RBT_BACKUP_MEMORY_KIB_MINIMUM};
    static const uint8_t random[RBT_BACKUP_RANDOM_SIZE];
    rbt_error error = {0};
    rbt_buffer contents = {.secret = true}, backup = {0};
    sqlite3 *db = open_database();
    sqlite3_stmt *statement = NULL;
    rbt_keys *keys = rbt_keys_parse(new_key, signing_key, "test", &error);

    rbt_backup_add_contents(&contents, keys);
    is_int(rbt_backup_seal(&backup, &cost, random, 0, (const uint8_t *)text, 64, contents.data,
                           contents.length, "test", &error),
           SQLITE_OK, "a backup is made");
    rbt_buffer_free(&contents);
    rbt_keys_free(keys);
    ok(leaked_nothing(), "and nothing leaks");
    sqlite3_prepare_v2(db, "SELECT key_restore(?2, ?1)", -1, &statement, NULL);
    sqlite3_bind_text(statement, 1, text, 64, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, (char *)backup.data, (int)backup.length, SQLITE_STATIC);
    is_int(read_all(statement), SQLITE_DONE, "it gives back the keys");
    sqlite3_reset(statement);
    ok(leaked_nothing(), "and nothing leaks");
    sqlite3_bind_text(statement, 1, text, 63, SQLITE_STATIC);
    is_int(read_all(statement), SQLITE_ERROR, "another passphrase does not open it");
    sqlite3_finalize(statement);
    ok(leaked_nothing(), "and nothing leaks");
    sqlite3_close(db);
    rbt_buffer_free(&backup);
}

/* Reads keys from a file of the given contents; the first allocation to fail moves on by one. */
static int read_keys(int want) {
    int code, clean = 1;
    long allocation = 0;
    do {
        sqlite3 *db = open_database();
        sqlite3_stmt *statement = NULL;
        sqlite3_prepare_v2(db, "SELECT key_id()", -1, &statement, NULL);
        failed_once = 0;
        countdown = allocation;
        code = read_all(statement);
        countdown = 0;
        clean &= allocation == 0 ? code == want : code == want || code == SQLITE_NOMEM;
        sqlite3_finalize(statement);
        clean &= sqlite3_close(db) == SQLITE_OK && leaked_nothing();
    } while (clean && allocation++ < 1000 && (failed_once || allocation == 1));
    return clean;
}

static void test_key_files(void) {
    char short_key[45], command[80];

    watch_write_file(key_path, new_key, ",", old_key);
    ok(read_keys(SQLITE_DONE), "a key file");
    watch_write_file(key_path, "# keys\nRUSTYBT_ENCRYPTION_KEY=\"", new_key, "\"\n");
    ok(read_keys(SQLITE_DONE), "a dotenv file");
    watch_write_file(signing_path, signing_key, NULL, NULL);
    setenv("RUSTYBT_SIGNING_KEY_FILE", signing_path, 1);
    ok(read_keys(SQLITE_DONE), "a signing key of its own");
    memcpy(short_key, new_key, sizeof short_key);
    short_key[30] = 0;
    watch_write_file(signing_path, short_key, NULL, NULL);
    ok(read_keys(SQLITE_ERROR), "a signing key that was cut short");
    unsetenv("RUSTYBT_SIGNING_KEY_FILE");
    watch_write_file(key_path, old_key, ",", short_key);
    ok(read_keys(SQLITE_ERROR), "a key that was cut short");
    watch_write_file(key_path, old_key, ",", old_key);
    ok(read_keys(SQLITE_ERROR), "the same key twice");
    watch_write_file(key_path, "OTHER=", old_key, "\n");
    ok(read_keys(SQLITE_ERROR), "a dotenv file without our line");
    if (chmod(key_path, 0644) != 0) printf("# cannot chmod\n");
    ok(read_keys(SQLITE_ERROR), "a key file that others may read");

    snprintf(command, sizeof command, "cat %s", key_path);
    unsetenv("RUSTYBT_ENCRYPTION_KEY_FILE");
    setenv("RUSTYBT_ENCRYPTION_KEY_COMMAND", command, 1);
    watch_write_file(key_path, new_key, ",", old_key);
    ok(read_keys(SQLITE_DONE), "a key that a command prints");
    watch_write_file(key_path, new_key, "\n", old_key);
    ok(read_keys(SQLITE_ERROR), "a command that prints two lines");
    unsetenv("RUSTYBT_ENCRYPTION_KEY_COMMAND");
}

int main(void) {
    plan(4 + 2 + 17 + 2 + 2 + 6 + 10);
    setvbuf(stdout, NULL, _IONBF, 0); /* a buffer that is given back is no concern of this test */
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) != SQLITE_OK) return 1;
    sqlite3_mem_methods watched = real_memory;
    watched.xMalloc = watched_malloc;
    watched.xFree = watched_free;
    watched.xRealloc = watched_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &watched) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK || !rbt_crypto_init() ||
        mkdtemp(folder) == NULL)
        return 1;
    watch_new_key(old_key);
    watch_new_key(new_key);
    watch_new_key(signing_key);
    watch_new_text("the text", text, 64);
    watch_new_text("the bytes", bytes, 64);
    leaks = 0;
    snprintf(key_path, sizeof key_path, "%s/keys", folder);
    snprintf(signing_path, sizeof signing_path, "%s/signing", folder);
    setenv("RUSTYBT_ENCRYPTION_KEY_FILE", key_path, 1);
    test_controls();
    test_statements();
    test_keygen();
    test_backup();
    test_key_files();
    unlink(key_path);
    unlink(signing_path);
    rmdir(folder);
    return done();
}
