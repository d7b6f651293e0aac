/* SPDX-License-Identifier: MIT
** What the tests of the archive share: a log whose every line follows from its id, its tree, and ways
** to write, change and check its segments in a directory of their own. */
#ifndef RBT_TEST_SEGMENT_FIXTURE_H
#define RBT_TEST_SEGMENT_FIXTURE_H

#include "archive/store.h"
#include "base/file.h"
#include "base/memory.h"
#include "tap.h"
#include <dirent.h>
#include <sodium.h>
#include <unistd.h>

enum { LEVELS = 20 };

static const rbt_segment_store *store = &rbt_archive_store;
static const char genesis[] =
    "{\"id\":0,\"recorded_at\":1700000000000000,\"rustybt_log\":1,\"log_id\":"
    "\"000102030405060708090a0b0c0d0e0f\",\"origin\":\"example.com/audit\",\"sealed\":true,"
    "\"arguments\":[]}";

static char directory[] = "/tmp/rustybt-segment-XXXXXX";
static rbt_leaf_shape shape;
static rbt_hash *levels[LEVELS]; /* every perfect node of the tree */
static rbt_verifier signer, stranger;
static uint8_t secret[64];

static rbt_error no_error;

/* ---- A log whose every line follows from its id ---- */

static inline void make_line(rbt_buffer *out, int64_t id) {
    static const char *const venues[] = {"binance", "bybit", "kraken \"pro\""};
    rbt_buffer_clear(out);
    if (id == 0) {
        rbt_buffer_add_text(out, genesis);
        return;
    }
    char order[40], data[80];
    snprintf(order, sizeof order, "order-%08lld", (long long)(id * 7919 % 1000003));
    snprintf(data, sizeof data, "{\"seq\":%lld,\"tags\":[\"a\",\"}\"]}", (long long)id);
    const char *venue = venues[id / 100000 % 3];
    rbt_value values[5] = {
        {.kind = RBT_TEXT, .data = (const uint8_t *)order, .length = strlen(order)},
        {.kind = RBT_TEXT, .data = (const uint8_t *)venue, .length = strlen(venue)},
        {.kind = id % 10 ? RBT_INTEGER : RBT_NULL, .integer = id / 10},
        {.kind = RBT_REAL, .real = (double)id / 4},
        {.kind = RBT_TEXT, .data = (const uint8_t *)data, .length = strlen(data)}};
    if (rbt_leaf_write(out, &shape, "orders", id, 1700000000000000 + id * 1000, NULL, values,
                       &no_error))
        abort();
}

static inline void make_tree(int64_t entries) {
    rbt_buffer line = {0};
    for (size_t level = 0; level < LEVELS; level++)
        levels[level] = malloc((((size_t)entries + 1) >> level) * sizeof(rbt_hash) + 1);
    for (int64_t id = 0; id <= entries; id++) {
        make_line(&line, id);
        rbt_leaf_hash(&levels[0][id], line.data, line.length);
        size_t index = (size_t)id;
        for (size_t level = 0; level + 1 < LEVELS && (index & 1); level++, index >>= 1)
            rbt_node_hash(&levels[level + 1][index >> 1], &levels[level][index - 1],
                          &levels[level][index]);
    }
    rbt_buffer_free(&line);
}

static inline int read_node(void *context, unsigned level, uint64_t index, rbt_hash *out,
                            rbt_error *error) {
    (void)context, (void)error;
    *out = levels[level][index];
    return SQLITE_OK;
}

typedef struct source {
    int64_t next, last;
    int64_t wrong_id, skip_id; /* an entry that comes changed, or not at all; 0: none */
    rbt_buffer line;
} source;

static inline int next_line(void *context, const char **line, size_t *length, rbt_error *error) {
    source *s = context;
    (void)error;
    if (s->next == s->skip_id && s->skip_id) s->next++;
    if (s->next > s->last) return SQLITE_DONE;
    make_line(&s->line, s->next);
    if (s->next == s->wrong_id && s->wrong_id) {
        char *venue = memmem(s->line.data, s->line.length, "binance", 7);
        if (!venue) abort();
        memcpy(venue, "binanze", 7);
    }
    s->next++;
    *line = (const char *)s->line.data;
    *length = s->line.length;
    return SQLITE_ROW;
}

typedef struct made {
    rbt_segment_plan plan;
    rbt_frontier before;
    rbt_proof proof;
    rbt_hash root;
    char name[100], path[200];
    rbt_segment_summary summary;
    rbt_error error;
    int code;
} made;

static inline void prepare(made *m, int64_t first, int64_t last) {
    rbt_buffer name = {0};
    store->name(&name, "orders", first, last);
    snprintf(m->name, sizeof m->name, "%s", rbt_buffer_text(&name));
    snprintf(m->path, sizeof m->path, "%s/%s", directory, m->name);
    rbt_buffer_free(&name);
    uint64_t size = (uint64_t)last + 1;
    rbt_tree_frontier(&m->before, (uint64_t)first, read_node, NULL, &no_error);
    rbt_tree_inclusion(&m->proof, 0, size, read_node, NULL, &no_error);
    rbt_tree_root(&m->root, size, read_node, NULL, &no_error);
    m->plan = (rbt_segment_plan){.who = "audit_archive",
                                 .directory = directory,
                                 .name = m->name,
                                 .log = "orders",
                                 .origin = "example.com/audit",
                                 .shape = &shape,
                                 .first_id = first,
                                 .last_id = last,
                                 .before = &m->before,
                                 .genesis = genesis,
                                 .genesis_proof = &m->proof,
                                 .level = 1,
                                 .signer = signer,
                                 .signer_secret = secret};
    for (int i = 0; i < 16; i++)
        m->plan.log_id[i] = (uint8_t)i;
}

static inline int write_from(made *m, source *s) {
    rbt_error_clear(&m->error);
    s->next = m->plan.first_id;
    if (!s->last) s->last = m->plan.last_id;
    m->code = store->write(&m->plan, &m->root, next_line, s, &m->summary, &m->error);
    rbt_buffer_free(&s->line);
    return m->code;
}

static inline void make(made *m, int64_t first, int64_t last) {
    source s = {0};
    memset(m, 0, sizeof *m);
    prepare(m, first, last);
    write_from(m, &s);
}

/* ---- Files and problems ---- */

static inline rbt_buffer slurp(const char *path) {
    rbt_buffer bytes = {0};
    if (rbt_file_read_whole("test", path, (size_t)1 << 30, &bytes, &no_error)) abort();
    return bytes;
}

static inline void spill(const char *path, const void *bytes, size_t length) {
    unlink(path);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, length, file) != length || fclose(file) != 0) abort();
}

typedef struct found {
    int64_t count;
    int64_t id;
    char kinds[200];
    char first[400];
} found;

static inline void note_problem(void *context, const char *kind, int64_t id, const char *detail) {
    found *f = context;
    size_t used = strlen(f->kinds);
    if (f->count++ == 0) {
        f->id = id;
        const char *sentence = strstr(detail, ": ");
        snprintf(f->first, sizeof f->first, "%s", sentence ? sentence + 2 : detail);
    }
    if (!strstr(f->kinds, kind))
        snprintf(f->kinds + used, sizeof f->kinds - used, "%s%s", used ? " " : "", kind);
}

static inline found check_with(const char *path, const rbt_verifier *verifier, size_t count) {
    found f = {0};
    rbt_error error = {0};
    rbt_segment_summary summary;
    int64_t problems;
    int code = store->verify(path, verifier, count, note_problem, &f, &summary, &problems, &error);
    if (code != SQLITE_OK || problems != f.count) {
        printf("# verify: %s\n", error.message);
        abort();
    }
    return f;
}

static inline found check_bytes(const void *bytes, size_t length) {
    char path[200];
    snprintf(path, sizeof path, "%s/tampered", directory);
    spill(path, bytes, length);
    return check_with(path, &signer, 1);
}

/* How many files there are whose name ends so. */
static inline int count_files(const char *end) {
    DIR *listing = opendir(directory);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(listing));) {
        size_t length = strlen(entry->d_name), end_length = strlen(end);
        count += length >= end_length && strcmp(entry->d_name + length - end_length, end) == 0;
    }
    closedir(listing);
    return count;
}

/* A directory, the signer of the vectors (seed 00 … 1f), a stranger of the same name, and the tree of a
** log of so many entries. */
static inline void begin_segments(int64_t entries) {
    static const struct {
        const char *name;
        rbt_column_type type;
    } columns[] = {{"order_id", RBT_COLUMN_TEXT},
                   {"venue", RBT_COLUMN_TEXT},
                   {"quantity", RBT_COLUMN_INTEGER},
                   {"price", RBT_COLUMN_REAL},
                   {"data", RBT_COLUMN_JSON}};
    uint8_t seed[32], public_key[32], strange_secret[64];
    if (sodium_init() < 0 || !mkdtemp(directory)) abort();
    for (size_t i = 0; i < 5; i++)
        rbt_leaf_shape_add(&shape, columns[i].name, strlen(columns[i].name), columns[i].type,
                           &no_error);
    for (int i = 0; i < 32; i++)
        seed[i] = (uint8_t)i;
    crypto_sign_seed_keypair(public_key, secret, seed);
    rbt_verifier_make(&signer, "example.com/audit", public_key);
    seed[0] = 99;
    crypto_sign_seed_keypair(public_key, strange_secret, seed);
    rbt_verifier_make(&stranger, "example.com/audit", public_key);
    make_tree(entries);
}

static inline void end_segments(void) {
    char command[100];
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    if (system(command) != 0) printf("# %s is left behind\n", directory);
    for (size_t level = 0; level < LEVELS; level++)
        free(levels[level]);
    rbt_leaf_shape_free(&shape);
}

#endif
