/* SPDX-License-Identifier: MIT
** Looking for secrets where none should be: in freed memory, on the stack, anywhere in the process, in a
** file. The test's own list of what to look for holds every secret masked, in pieces of 8 bytes, so
** that a find means a copy that somebody else left; a piece is enough, for part of a key is a leak,
** too. Secrets must be random, or pieces of them would be found by chance.
**
** On Linux alone: watch_process, and watch_on_stack's guarantee that nothing else touches the stack. */
#ifndef RBT_TEST_SECRET_WATCH_H
#define RBT_TEST_SECRET_WATCH_H

#include "base/memory.h"
#include "crypto/keys.h"
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

enum { WATCH_PIECE = 8, WATCH_LIMIT = 1024, WATCH_STACK = 1 << 20, WATCH_GAP = 1 << 14 };

static struct {
    const char *name;
    uint64_t masked;
} watch_pieces[WATCH_LIMIT];
static size_t watch_count;
static uint64_t watch_mask;
static uint8_t watch_filter[1 << 16]; /* by a piece's first two bytes */
static _Alignas(4096) uint8_t watch_stack[WATCH_STACK];

/* To the compiler, memory is read and written here: it may leave out nothing before. */
static inline void watch_keep(void *memory) {
    __asm__ __volatile__("" : : "r"(memory) : "memory");
}

static inline uint64_t watch_load(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Looks for this secret from now on; bytes is not kept. A secret below 8 bytes is not watched. */
static inline void watch(const char *name, const void *bytes, size_t length) {
    const uint8_t *from = bytes;
    while (watch_mask == 0)
        randombytes_buf(&watch_mask, sizeof watch_mask);
    for (size_t at = 0; length >= WATCH_PIECE && at < length; at += WATCH_PIECE) {
        if (at + WATCH_PIECE > length) at = length - WATCH_PIECE;
        if (watch_count == WATCH_LIMIT) abort();
        watch_pieces[watch_count].name = name;
        watch_pieces[watch_count++].masked = watch_load(from + at) ^ watch_mask;
        watch_filter[from[at] | from[at + 1] << 8] = 1;
    }
}

/* The name of the first watched secret of which memory holds a piece, and where it begins; NULL when
** there is none. */
static inline const char *watch_find(const void *memory, size_t size, size_t *offset) {
    const uint8_t *bytes = memory;
    for (size_t at = 0; at + WATCH_PIECE <= size; at++) {
        if (!watch_filter[bytes[at] | bytes[at + 1] << 8]) continue;
        for (size_t i = 0; i < watch_count; i++) {
            if ((watch_load(bytes + at) ^ watch_mask) != watch_pieces[i].masked) continue;
            if (offset) *offset = at;
            return watch_pieces[i].name;
        }
    }
    return NULL;
}

/* Everything that a ring key's bytes become. */
static inline void watch_ring_key(const rbt_ring_key *key) {
    uint8_t pad[sizeof key->fernet_sign];
    watch("a Fernet signing key", key->fernet_sign, sizeof key->fernet_sign);
    watch("a Fernet encryption key", key->fernet_encrypt, sizeof key->fernet_encrypt);
    watch("AES round keys", &key->fernet_schedule, sizeof key->fernet_schedule);
    watch("subkey rbt_aead", key->aead, sizeof key->aead);
    watch("subkey rbt_bidx", key->bidx, sizeof key->bidx);
    watch("subkey rbt_subj", key->subj, sizeof key->subj);
    watch("subkey rbt_nonc", key->nonc, sizeof key->nonc);
    watch("subkey rbt_seal", key->seal, sizeof key->seal);
    watch("the seed rbt_sign", key->sign_secret, 32);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] = key->fernet_sign[i] ^ 0x36; /* RFC 2104 */
    watch("HMAC's inner key", pad, sizeof pad);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] = key->fernet_sign[i] ^ 0x5c;
    watch("HMAC's outer key", pad, sizeof pad);
    sodium_memzero(pad, sizeof pad);
}

/* A fresh key's text (44 characters and a NUL), watched in every form that it takes. */
static inline void watch_new_key(char text[45]) {
    uint8_t master[32];
    rbt_error error = {0};
    randombytes_buf(master, sizeof master);
    sodium_bin2base64(text, 45, master, sizeof master, sodium_base64_VARIANT_URLSAFE);
    sodium_memzero(master, sizeof master);
    watch("a key's text", text, 43);
    rbt_keys *keys = rbt_keys_parse(text, text, "test", &error);
    if (keys == NULL) abort();
    watch_ring_key(rbt_keys_at(keys, 0));
    watch("an Ed25519 seed", rbt_keys_signing(keys)->secret, 32);
    rbt_keys_free(keys);
}

/* A fresh plaintext of length characters and a NUL. */
static inline void watch_new_text(const char *name, char *text, size_t length) {
    randombytes_buf(text, length);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)('0' + (unsigned char)text[i] % 75);
    text[length] = 0;
    watch(name, text, length);
}

/* Writes a file of mode 0600 from up to three texts, joined; nothing of them is buffered. */
static inline void watch_write_file(const char *path, const char *first, const char *second,
                                    const char *third) {
    const char *const texts[] = {first, second, third};
    int file = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    for (int i = 0; i < 3; i++) {
        size_t length = texts[i] ? strlen(texts[i]) : 0;
        if (file < 0 || write(file, texts[i], length) != (ssize_t)length) abort();
    }
    close(file);
}

/* Prints where a secret was found; gives 1. */
static inline int watch_report(const char *name, const char *where, size_t offset) {
    printf("# a piece of %s in %s, at byte %zu\n", name, where, offset);
    return 1;
}

typedef struct watch_call {
    void (*call)(void *);
    void *argument;
} watch_call;

static inline void *watch_thread(void *started) {
    const watch_call *call = started;
    volatile uint8_t gap[WATCH_GAP];
    /* what runs when the thread ends must not tread on what the call left */
    watch_keep((void *)gap);
    call->call(call->argument);
    watch_keep((void *)gap);
    return NULL;
}

/* Runs call(argument) on a stack of its own and counts the secrets that are left on it (0 or 1). */
static inline int watch_on_stack(void (*call)(void *), void *argument, const char *what) {
    watch_call started = {call, argument};
    pthread_attr_t attributes;
    pthread_t thread;
    size_t offset = 0;

    memset(watch_stack, 0, sizeof watch_stack);
    if (pthread_attr_init(&attributes) != 0 ||
        pthread_attr_setstack(&attributes, watch_stack, sizeof watch_stack) != 0 ||
        pthread_create(&thread, &attributes, watch_thread, &started) != 0 ||
        pthread_join(thread, NULL) != 0)
        abort();
    pthread_attr_destroy(&attributes);
    const char *name = watch_find(watch_stack, sizeof watch_stack, &offset);
    return name ? watch_report(name, what, sizeof watch_stack - offset) : 0;
}

/* Counts the mappings of this process that hold a secret: all that are readable and either writable or
** of no file. -1 where the system does not tell. */
static inline int watch_process(void) {
    static char maps[1 << 18];
    size_t length = 0;
    ssize_t count;
    int found = 0, file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

    if (file < 0) return -1;
    while ((count = read(file, maps + length, sizeof maps - 1 - length)) > 0)
        length += (size_t)count;
    close(file);
    maps[length] = 0;
    for (char *line = maps, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        unsigned long from, to;
        char access[5];
        int name_at = 0;
        *end = 0;
        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %n", &from, &to, access, &name_at) != 3)
            return -1;
        const char *name = line + name_at;
        if (access[0] != 'r' || (access[1] != 'w' && *name == '/')) continue;
        if (strncmp(name, "[v", 2) == 0) continue; /* vvar, vsyscall: the kernel's */
        size_t offset = 0;
        const char *secret = watch_find((const void *)from, to - from, &offset);
        if (secret) found += watch_report(secret, *name ? name : "unnamed memory", offset);
    }
    return found;
}

#endif
