/* SPDX-License-Identifier: MIT
** Nonces across a fork and under a broken random source. Parent and children that go on from one state
** and encrypt the same value in the same second use nonces of their own. And where the random source
** repeats itself, as in a virtual machine that was restored twice, the nonce still depends on all that
** is encrypted: no two plaintexts share one, the worst that happens is one token made twice.
*/
#include "rustybt.h"

#include "tap.h"

#include "base/base64.h"
#include "base/clock.h"
#include "crypto/envelope.h"
#include "crypto/keys.h"
#include "crypto/nonce_random.h"
#include <sodium.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

enum { NONCE = 24, NONCE_AT = 20, IV_AT = 9, IV = 16, CHILDREN = 12, EACH = 20, MOST = 512 };

/* What one encryption used; of Fernet's iv, the rest is zero. */
typedef struct nonce {
    uint8_t bytes[NONCE];
} nonce;

static nonce nonces[MOST];
static int nonce_count;
static sqlite3 *db;

static int compare(const void *a, const void *b) {
    return memcmp(a, b, sizeof(nonce));
}

/* How many different ones there are; forgets them. */
static int count_different(void) {
    int different = nonce_count > 0;
    qsort(nonces, (size_t)nonce_count, sizeof nonces[0], compare);
    for (int i = 1; i < nonce_count; i++)
        different += compare(&nonces[i - 1], &nonces[i]) != 0;
    nonce_count = 0;
    return different;
}

/* Takes the nonce out of the token that an expression gives. */
static nonce nonce_of(const char *expression) {
    nonce taken = {{0}};
    char sql[256];
    sqlite3_stmt *statement = NULL;
    rbt_buffer raw = {0};
    snprintf(sql, sizeof sql, "SELECT %s", expression);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        printf("# %s\n", sqlite3_errmsg(db));
    } else {
        const uint8_t *token = sqlite3_column_blob(statement, 0);
        size_t size = (size_t)sqlite3_column_bytes(statement, 0);
        if (rbt_envelope_recognised(token, size))
            memcpy(taken.bytes, token + NONCE_AT, NONCE);
        else if (rbt_base64_decode(&raw, (const char *)token, size, true, true))
            memcpy(taken.bytes, raw.data + IV_AT, IV);
    }
    rbt_buffer_free(&raw);
    sqlite3_finalize(statement);
    return taken;
}

static void add(const char *expression) {
    if (nonce_count == MOST) abort();
    nonces[nonce_count++] = nonce_of(expression);
}

/* Children that all wait for the same moment evaluate an expression (%d in it is the child) EACH times
** and tell their nonces; so does the parent. */
static void fork_and_add(const char *format, int each) {
    int start[2], results[2], closed = 0;
    char expression[128];
    nonce one;

    if (pipe(start) != 0 || pipe(results) != 0) abort();
    fflush(stdout);
    for (int child = 0; child < CHILDREN; child++) {
        pid_t process = fork();
        if (process < 0) abort();
        if (process > 0) continue;
        char nothing;
        close(start[1]);
        snprintf(expression, sizeof expression, format, child);
        int code = read(start[0], &nothing, 1) == 0 ? 0 : 1; /* the parent closes it */
        for (int i = 0; i < each; i++) {
            one = nonce_of(expression);
            if (write(results[1], &one, sizeof one) != sizeof one) code = 1;
        }
        _exit(code);
    }
    close(start[0]);
    close(start[1]);
    close(results[1]);
    snprintf(expression, sizeof expression, format, CHILDREN);
    for (int i = 0; i < each; i++)
        add(expression);
    while (read(results[0], &one, sizeof one) == sizeof one) {
        if (nonce_count == MOST) abort();
        nonces[nonce_count++] = one;
    }
    close(results[0]);
    for (int status; wait(&status) > 0;)
        closed += status == 0;
    if (closed != CHILDREN) printf("# %d of %d children ended well\n", closed, CHILDREN);
}

static void test_fork(void) {
    enum { ALL = (CHILDREN + 1) * EACH };
    (void)nonce_of("encrypt('before')"); /* from here on there is a reserve of random bytes */
    fork_and_add("encrypt('the same', 'a/b')", EACH);
    is_int(nonce_count, ALL, "parent and children encrypt one value in one second");
    is_int(count_different(), ALL, "and no two nonces are equal");
    fork_and_add("fernet_encrypt('the same')", EACH);
    is_int(nonce_count, ALL, "the same with Fernet");
    is_int(count_different(), ALL, "and no two ivs are equal");
}

/* A random source that always gives the same. */
static const char *broken_name(void) {
    return "broken";
}

static uint32_t broken_number(void) {
    return 0x5a5a5a5a;
}

static void broken_bytes(void *const bytes, const size_t size) {
    memset(bytes, 0x5a, size);
}

static void test_broken_source(void) {
    static randombytes_implementation broken = {
        .implementation_name = broken_name, .random = broken_number, .buf = broken_bytes};
    static const char *const different[] = {
        "encrypt('a')",      "encrypt('b')",      "encrypt(x'61')",       "encrypt('')",
        "encrypt(x'')",      "encrypt(97)",       "encrypt(97.0)",        "encrypt('a', 'a')",
        "encrypt('a', 'b')", "encrypt('b', 'a')", "encrypt('aa', 'a')",   "encrypt('a', 'aa')",
        "encrypt('a' || 1)", "encrypt('a ')",     "encrypt(zeroblob(1))", "encrypt(zeroblob(2))",
    };
    enum { DIFFERENT = sizeof different / sizeof different[0] };
    static const char *const fernet[] = {"fernet_encrypt('a')", "fernet_encrypt('b')",
                                         "fernet_encrypt('')", "fernet_encrypt('ab')",
                                         "fernet_encrypt(x'00')"};
    enum { FERNET = sizeof fernet / sizeof fernet[0] };
    uint8_t reserved[32];

    randombytes_set_implementation(&broken);
    for (int i = 0; i < MOST; i++)
        rbt_nonce_random(reserved); /* uses up what the sound source gave */
    add("encrypt('a')");
    add("encrypt('a')");
    is_int(count_different(), 1, "a random source that repeats itself makes one token twice");
    for (int i = 0; i < DIFFERENT; i++)
        add(different[i]);
    is_int(count_different(), DIFFERENT, "but another value, type or context has another nonce");
    add("encrypt('a')");
    rbt_clock_override_us += 1000000;
    add("encrypt('a')");
    is_int(count_different(), 2, "another second has another nonce");
    rbt_clock_override_us -= 1000000;
    fork_and_add("encrypt('child %d')", 1);
    is_int(count_different(), CHILDREN + 1, "so have children that encrypt values of their own");

    for (int i = 0; i < FERNET; i++)
        add(fernet[i]);
    is_int(count_different(), FERNET, "Fernet has another iv for another text");
    fork_and_add("fernet_encrypt('child %d')", 1);
    is_int(count_different(), CHILDREN + 1, "also in children");

    add("encrypt('a')");
    add("fernet_encrypt('a')");
    setenv("RUSTYBT_ENCRYPTION_KEY", KEY_B, 1);
    if (sqlite3_exec(db, "SELECT key_reload()", NULL, NULL, NULL) != SQLITE_OK)
        printf("# %s\n", sqlite3_errmsg(db));
    add("encrypt('a')");
    add("fernet_encrypt('a')");
    is_int(count_different(), 4, "another key has another nonce, and another iv");
}

int main(void) {
    char *message = NULL;
    plan(4 + 7 + 1);
    setenv("RUSTYBT_ENCRYPTION_KEY", KEY_A, 1);
    rbt_clock_override_us = 1700000000000000;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
        sqlite3_rustybt_init(db, &message, NULL) != SQLITE_OK)
        return 1;
    test_fork();
    test_broken_source();
    is_int(sqlite3_close(db), SQLITE_OK, "the connection closes");
    return done();
}
