/* SPDX-License-Identifier: MIT
** What SQL costs encrypt and decrypt: the SQL functions over a table of 64-byte values, and the same
** libsodium calls in a C loop over the same values in memory.
**
**     credentials_bench [extension [values [rounds]]]      build/rustybt.so, 1000 values, 300 rounds
**
** All take turns in short rounds of one process, so that other load on the machine meets all alike; of
** each the best round counts. Prints a line for each: name, tab, microseconds of processor time a value.
** bench/credentials.py makes ratios of them, and has valgrind count the instructions of one by its name.
**
** The loop is the envelope's arithmetic (ext/crypto/envelope.h) with keys, context and time at hand and
** each message laid out for one-shot hashing: no SQL, no checks of arguments, no clock, no wiping. It
** allocates what it returns, as a function that gives SQLite a result has to.
*/
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    VALUE_SIZE = 64,
    PLAIN_SIZE = 1 + VALUE_SIZE, /* type byte and value */
    NONCE_AT = 20,
    COMMITMENT_AT = 44,
    SEALED_AT = 76,
    TAG_SIZE = 16,
    TOKEN_SIZE = SEALED_AT + PLAIN_SIZE + TAG_SIZE,
    RANDOM_SIZE = 32,
    BATCH = 64 /* values for which ext/crypto/nonce_random.c takes random bytes at once */
};

static const unsigned char context[3] = "ctx";

static unsigned char aead_key[32], nonce_key[32], header[NONCE_AT];
static int value_count;
static unsigned char (*values)[VALUE_SIZE];
static unsigned char (*tokens)[TOKEN_SIZE];
static sqlite3 *db;
static sqlite3_stmt *encrypt_statement, *decrypt_statement, *idle_statement;

static void fail(const char *what) {
    fprintf(stderr, "credentials_bench: %s\n", what);
    exit(1);
}

/* Writes u64 LE len(context) || context; gives the place behind it. */
static unsigned char *add_context(unsigned char *out) {
    static const unsigned char length[8] = {sizeof context};
    memcpy(out, length, sizeof length);
    memcpy(out + sizeof length, context, sizeof context);
    return out + sizeof length + sizeof context;
}

/* Message key, then commitment, of a token's first 44 bytes. */
static void derive(unsigned char derived[64], const unsigned char *token) {
    unsigned char message[COMMITMENT_AT + 8 + sizeof context];
    memcpy(message, token, COMMITMENT_AT);
    add_context(message + COMMITMENT_AT);
    crypto_generichash(derived, 64, message, sizeof message, aead_key, sizeof aead_key);
}

static void *allocate(size_t size) {
    void *memory = sqlite3_malloc64(size);
    if (memory == NULL) fail("out of memory");
    return memory;
}

static unsigned char *plain_encrypt(const unsigned char *value,
                                    const unsigned char random[RANDOM_SIZE]) {
    unsigned char message[RANDOM_SIZE + NONCE_AT + 8 + sizeof context + PLAIN_SIZE], derived[64];
    unsigned char *token = allocate(TOKEN_SIZE);

    memcpy(message, random, RANDOM_SIZE);
    memcpy(message + RANDOM_SIZE, header, NONCE_AT);
    unsigned char *plain = add_context(message + RANDOM_SIZE + NONCE_AT);
    plain[0] = 3;
    memcpy(plain + 1, value, VALUE_SIZE);
    memcpy(token, header, NONCE_AT);
    crypto_generichash(token + NONCE_AT, 24, message, sizeof message, nonce_key, sizeof nonce_key);
    derive(derived, token);
    memcpy(token + COMMITMENT_AT, derived + 32, 32);
    crypto_aead_xchacha20poly1305_ietf_encrypt(token + SEALED_AT, NULL, plain, PLAIN_SIZE, NULL, 0,
                                               NULL, token + NONCE_AT, derived);
    return token;
}

static unsigned char *plain_decrypt(const unsigned char *token) {
    unsigned char derived[64];
    unsigned char *plain = allocate(PLAIN_SIZE);

    derive(derived, token);
    if (crypto_verify_32(derived + 32, token + COMMITMENT_AT) != 0 ||
        crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, token + SEALED_AT,
                                                   PLAIN_SIZE + TAG_SIZE, NULL, 0, token + NONCE_AT,
                                                   derived) != 0)
        fail("a token does not open");
    return plain;
}

/* One statement over all values, which it counts. */
static void run(sqlite3_stmt *statement) {
    if (sqlite3_step(statement) != SQLITE_ROW || sqlite3_column_int(statement, 0) != value_count)
        fail(sqlite3_errmsg(db));
    sqlite3_reset(statement);
}

static void encrypt_sql(void) {
    run(encrypt_statement);
}

static void encrypt_loop(void) {
    unsigned char random[RANDOM_SIZE];
    for (int i = 0; i < value_count; i++) {
        randombytes_buf(random, sizeof random);
        sqlite3_free(plain_encrypt(values[i], random));
    }
}

static void encrypt_loop_batched(void) {
    unsigned char random[BATCH][RANDOM_SIZE];
    for (int i = 0; i < value_count; i++) {
        if (i % BATCH == 0 && getrandom(random, sizeof random, 0) != sizeof random)
            fail("no random bytes");
        sqlite3_free(plain_encrypt(values[i], random[i % BATCH]));
    }
}

static void decrypt_sql(void) {
    run(decrypt_statement);
}

static void decrypt_loop(void) {
    for (int i = 0; i < value_count; i++)
        sqlite3_free(plain_decrypt(tokens[i]));
}

/* The scan and the call of a function that does next to nothing. */
static void idle_sql(void) {
    run(idle_statement);
}

static struct {
    const char *name;
    void (*run)(void);
    double best; /* microseconds a value; 0 before the first round */
} contestants[] = {
    {"encrypt_sql", encrypt_sql, 0},
    {"encrypt_loop", encrypt_loop, 0},
    {"encrypt_loop_batched", encrypt_loop_batched, 0},
    {"decrypt_sql", decrypt_sql, 0},
    {"decrypt_loop", decrypt_loop, 0},
    {"idle_sql", idle_sql, 0},
};
enum { CONTESTANTS = sizeof contestants / sizeof contestants[0] };

static void idle_function(sqlite3_context *call, int argument_count, sqlite3_value **arguments) {
    (void)argument_count;
    sqlite3_result_int(call, sqlite3_value_bytes(arguments[0]));
}

/* Microseconds. */
static double processor_time(void) {
    struct timespec time;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) != 0) fail("no clock of processor time");
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) fail(sqlite3_errmsg(db));
    return statement;
}

static void execute(const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail(sqlite3_errmsg(db));
}

static void open_database(const char *extension) {
    char *message = NULL;
    if (setenv("RUSTYBT_ENCRYPTION_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 1) != 0)
        fail("no room in the environment");
    if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
        sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL) != SQLITE_OK)
        fail("cannot open a database");
    if (sqlite3_load_extension(db, extension, NULL, &message) != SQLITE_OK)
        fail(message ? message : "out of memory");
    if (sqlite3_create_function(db, "idle", 2, SQLITE_UTF8, NULL, idle_function, NULL, NULL) !=
        SQLITE_OK)
        fail(sqlite3_errmsg(db));
}

/* The same values in memory and in table v, their tokens in memory and in table c. */
static void make_values(void) {
    unsigned char random[RANDOM_SIZE];

    values = allocate((size_t)value_count * VALUE_SIZE);
    tokens = allocate((size_t)value_count * TOKEN_SIZE);
    execute("CREATE TABLE v(x TEXT); BEGIN");
    sqlite3_stmt *insert = prepare("INSERT INTO v VALUES(?)");
    for (int i = 0; i < value_count; i++) {
        char text[VALUE_SIZE + 1];
        snprintf(text, sizeof text, "%064d", i);
        memcpy(values[i], text, VALUE_SIZE);
        randombytes_buf(random, sizeof random);
        unsigned char *token = plain_encrypt(values[i], random);
        memcpy(tokens[i], token, TOKEN_SIZE);
        sqlite3_free(token);
        if (sqlite3_bind_text(insert, 1, text, VALUE_SIZE, SQLITE_STATIC) != SQLITE_OK ||
            sqlite3_step(insert) != SQLITE_DONE)
            fail(sqlite3_errmsg(db));
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    execute("COMMIT; CREATE TABLE c AS SELECT encrypt(x, 'ctx') AS t FROM v");
    encrypt_statement = prepare("SELECT count(encrypt(x, 'ctx')) FROM v");
    decrypt_statement = prepare("SELECT count(decrypt(t, 'ctx')) FROM c");
    idle_statement = prepare("SELECT count(idle(x, 'ctx')) FROM v");
}

int main(int argument_count, char **arguments) {
    value_count = argument_count > 2 ? atoi(arguments[2]) : 1000;
    int rounds = argument_count > 3 ? atoi(arguments[3]) : 300;
    if (value_count < 1 || value_count > 1000000 || rounds < 1)
        fail("values must be between 1 and 1000000, rounds at least 1");
    if (sodium_init() < 0) fail("libsodium cannot be initialised");
    randombytes_buf(aead_key, sizeof aead_key);
    randombytes_buf(nonce_key, sizeof nonce_key);
    open_database(argument_count > 1 ? arguments[1] : "build/rustybt.so");
    make_values();

    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < CONTESTANTS; i++) {
            double start = processor_time();
            contestants[i].run();
            double took = (processor_time() - start) / value_count;
            if (round == 0 || took < contestants[i].best) contestants[i].best = took;
        }
    }
    for (int i = 0; i < CONTESTANTS; i++)
        printf("%s\t%.4f\n", contestants[i].name, contestants[i].best);

    sqlite3_finalize(encrypt_statement);
    sqlite3_finalize(decrypt_statement);
    sqlite3_finalize(idle_statement);
    sqlite3_free(values);
    sqlite3_free(tokens);
    if (sqlite3_close(db) != SQLITE_OK) fail("the database does not close");
    return 0;
}
