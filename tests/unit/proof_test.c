/* SPDX-License-Identifier: MIT
** Proofs at every size from 1 to 300 against a naive tree, and the text of proofs: what is written is read
** again, what is altered or made up is refused or reads as written. */
#include "audit/checkpoint.h"
#include "audit/proof.h"
#include "audit/tree.h"
#include "base/memory.h"
#include "failing_memory.h"
#include "tap.h"

enum { LEAVES = 300 };
static rbt_hash naive[LEAVES][LEAVES + 1]; /* [start][n]: MTH(D[start : start + n]), once known */
static uint8_t known[LEAVES][LEAVES + 1];

static size_t split(size_t n) {
    size_t k = 1;
    while (k * 2 < n)
        k *= 2;
    return k;
}

/* RFC 6962 §2.1, word by word. */
static const rbt_hash *naive_root(size_t start, size_t n) {
    if (!known[start][n]) {
        size_t k = split(n);
        rbt_node_hash(&naive[start][n], naive_root(start, k), naive_root(start + k, n - k));
        known[start][n] = 1;
    }
    return &naive[start][n];
}

static void naive_path(rbt_proof *proof, size_t m, size_t start, size_t n) {
    if (n == 1) return;
    size_t k = split(n);
    if (m < k) {
        naive_path(proof, m, start, k);
        proof->hashes[proof->count++] = *naive_root(start + k, n - k);
    } else {
        naive_path(proof, m - k, start + k, n - k);
        proof->hashes[proof->count++] = *naive_root(start, k);
    }
}

static void naive_subproof(rbt_proof *proof, size_t m, size_t start, size_t n, int whole) {
    if (m == n) {
        if (!whole) proof->hashes[proof->count++] = *naive_root(start, n);
        return;
    }
    size_t k = split(n);
    if (m <= k) {
        naive_subproof(proof, m, start, k, whole);
        proof->hashes[proof->count++] = *naive_root(start + k, n - k);
    } else {
        naive_subproof(proof, m - k, start + k, n - k, 0);
        proof->hashes[proof->count++] = *naive_root(start, k);
    }
}

static int read_node(void *context, unsigned level, uint64_t index, rbt_hash *out,
                     rbt_error *error) {
    uint64_t limit = *(uint64_t *)context;
    if ((index + 1) << level > limit) return rbt_fail(error, SQLITE_ERROR, "no such node");
    *out = *naive_root((size_t)(index << level), (size_t)1 << level);
    return SQLITE_OK;
}

static int same_proof(const rbt_proof *a, const rbt_proof *b) {
    return a->count == b->count && memcmp(a->hashes, b->hashes, a->count * sizeof *a->hashes) == 0;
}

static void check_every_pair(void) {
    long inclusions = 0, consistencies = 0, wrong = 0, forged = 0;
    rbt_error error = {0};
    for (uint64_t size = 1; size <= LEAVES; size++) {
        const rbt_hash *root = naive_root(0, (size_t)size);
        for (uint64_t leaf = 0; leaf < size; leaf++, inclusions++) {
            rbt_proof proof, want = {0};
            naive_path(&want, (size_t)leaf, 0, (size_t)size);
            const rbt_hash *hash = naive_root((size_t)leaf, 1);
            wrong +=
                rbt_tree_inclusion(&proof, leaf, size, read_node, &size, &error) != SQLITE_OK ||
                !same_proof(&proof, &want) || !rbt_inclusion_verify(&proof, leaf, size, hash, root);
            forged +=
                rbt_inclusion_verify(&proof, leaf + 1, size, hash, root) ||
                rbt_inclusion_verify(&proof, leaf, size, naive_root((size_t)leaf ^ 1, 1), root);
        }
        for (uint64_t old = 1; old <= size; old++, consistencies++) {
            rbt_proof proof, want = {0};
            naive_subproof(&want, (size_t)old, 0, (size_t)size, 1);
            const rbt_hash *old_root = naive_root(0, (size_t)old);
            wrong +=
                rbt_tree_consistency(&proof, old, size, read_node, &size, &error) != SQLITE_OK ||
                !same_proof(&proof, &want) ||
                !rbt_consistency_verify(&proof, old, size, old_root, root);
            if (old < size)
                forged += rbt_consistency_verify(&proof, old, size, root, root) ||
                          rbt_consistency_verify(&proof, old, size, old_root, old_root);
        }
    }
    is_int(inclusions, 45150, "every leaf of every size up to 300 was proved");
    is_int(consistencies, 45150, "and every earlier size of every size");
    is_int(wrong, 0, "each proof is the RFC's, and verifies");
    is_int(forged, 0, "none verifies for another leaf, index or root");
    rbt_error_clear(&error);
}

static const char note[] = "example.com/audit\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n"
                           "— example.com/audit AAAAAAAA\n";

static bool parse(rbt_tlog_proof *proof, const char *text, const char **why) {
    return rbt_tlog_proof_parse(proof, text, strlen(text), why);
}

/* Writes a proof of that many hashes into out. */
static const char *write_proof(rbt_buffer *out, uint64_t index, size_t hashes) {
    rbt_proof path = {.count = hashes};
    for (size_t i = 0; i < hashes; i++)
        memset(path.hashes[i].bytes, (int)i, sizeof path.hashes[i].bytes);
    rbt_buffer_clear(out);
    rbt_tlog_proof_format(out, index, &path, note, sizeof note - 1);
    return rbt_buffer_text(out);
}

static void check_text(void) {
    rbt_buffer out = {0};
    rbt_tlog_proof proof;
    const char *why;
    is_text(write_proof(&out, 7, 1),
            "c2sp.org/tlog-proof@v1\nindex 7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"
            "example.com/audit\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n"
            "— example.com/audit AAAAAAAA\n",
            "a proof has the form of c2sp.org/tlog-proof");
    int whole = 1;
    for (size_t hashes = 0; hashes <= RBT_PROOF_MAX_HASHES; hashes++)
        whole &= parse(&proof, write_proof(&out, INT64_MAX - hashes, hashes), &why) &&
                 proof.index == INT64_MAX - hashes && proof.path.count == hashes &&
                 proof.note_length == sizeof note - 1 &&
                 memcmp(proof.note, note, sizeof note - 1) == 0 &&
                 (hashes == 0 || proof.path.hashes[hashes - 1].bytes[31] == hashes - 1);
    ok(whole, "proofs of 0 to 63 hashes are read as they were written");
    ok(!parse(&proof, write_proof(&out, 0, RBT_PROOF_MAX_HASHES + 1), &why),
       "one of 64 hashes is refused");
    is_text(why, "it has more than 63 hashes", "and the reason is given");

#define FIRST "c2sp.org/tlog-proof@v1\n"
#define HASH "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    static const struct {
        const char *text, *why;
    } malformed[] = {
        {"", "its first line is not \"c2sp.org/tlog-proof@v1\""},
        {"c2sp.org/tlog-proof@v2\nindex 0\n\n", "its first line is not \"c2sp.org/tlog-proof@v1\""},
        {"c2sp.org/tlog-proof@v1", "its first line is not \"c2sp.org/tlog-proof@v1\""},
        {FIRST, "its index line is missing"},
        {FIRST "index 1", "its index line is missing"},
        {FIRST "\n", "its index line is missing"},
        {FIRST "extra AAAA\n", "its index line is missing"},
        {FIRST "extra AAAA\nextra AAAA\nindex 0\n\n", "its index line is missing"},
        {FIRST "extra AAA\nindex 0\n\n", "its extra line is not base64"},
        {FIRST "extra A===\nindex 0\n\n", "its extra line is not base64"},
        {FIRST "extra AB==\nindex 0\n\n", "its extra line is not base64"},
        {FIRST "index \n\n", "its index is not a number from 0 to 9223372036854775807"},
        {FIRST "index -1\n\n", "its index is not a number from 0 to 9223372036854775807"},
        {FIRST "index 01\n\n", "its index is not a number from 0 to 9223372036854775807"},
        {FIRST "index 1 \n\n", "its index is not a number from 0 to 9223372036854775807"},
        {FIRST "index 9223372036854775808\n\n",
         "its index is not a number from 0 to 9223372036854775807"},
        {FIRST "index 18446744073709551616\n\n",
         "its index is not a number from 0 to 9223372036854775807"},
        {FIRST "index 0\n", "it ends before its checkpoint"},
        {FIRST "index 0\n" HASH "\n", "it ends before its checkpoint"},
        {FIRST "index 0\n" HASH, "it ends before its checkpoint"},
        {FIRST "index 0\n" HASH "=\n\n", "one of its hashes is not 32 bytes in base64"},
        {FIRST "index 0\nAAAA\n\n", "one of its hashes is not 32 bytes in base64"},
        {FIRST "index 0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n\n",
         "one of its hashes is not 32 bytes in base64"},
        {FIRST "index 0\r\n\r\n", "its index is not a number from 0 to 9223372036854775807"},
    };
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        char name[80];
        snprintf(name, sizeof name, "malformed proof %d is refused, and why", (int)i + 1);
        is_text(parse(&proof, malformed[i].text, &why) ? "accepted" : why, malformed[i].why, name);
    }
    ok(parse(&proof, FIRST "extra \nindex 0\n\n", &why) && proof.note_length == 0,
       "an empty extra line and an empty checkpoint are left to others to judge");

    rbt_proof path = {.count = 2};
    rbt_buffer_clear(&out);
    rbt_add_checkpoint_format(&out, 5, &path, note, sizeof note - 1);
    is_text(rbt_buffer_text(&out),
            "old 5\n" HASH "\n" HASH "\n\nexample.com/audit\n8\n"
            "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n— example.com/audit AAAAAAAA\n",
            "a request to a witness has the form of add-checkpoint");
    rbt_buffer_free(&out);
}

/* A proof that parses must read as written. */
static bool reads_as_written(const char *text, size_t length) {
    rbt_tlog_proof proof;
    const char *why = NULL;
    rbt_buffer again = {0};
    if (!rbt_tlog_proof_parse(&proof, text, length, &why)) return why != NULL;
    rbt_tlog_proof_format(&again, proof.index, &proof.path, proof.note, proof.note_length);
    bool has_extra = length > 28 && memcmp(text + 23, "extra ", 6) == 0;
    bool same = has_extra || (again.length == length && memcmp(again.data, text, length) == 0);
    rbt_buffer_free(&again);
    return same;
}

static void check_mutations(void) {
    static const char letters[] = "\n =A/9i";
    rbt_buffer out = {0};
    uint32_t state = 1;
    long wrong = 0;
    for (int round = 0; round < 20000; round++) {
        write_proof(&out, (uint64_t)round * 7919, (size_t)round % 5);
        size_t changes = 1 + (size_t)round % 4;
        for (size_t i = 0; i < changes; i++) {
            state = state * 1664525 + 1013904223;
            size_t at = (state >> 8) % out.length;
            uint32_t kind = state % 3;
            state = state * 1664525 + 1013904223;
            if (kind == 0)
                out.data[at] = (uint8_t)letters[(state >> 8) % (sizeof letters - 1)];
            else if (kind == 1)
                out.data[at] = (uint8_t)(state >> 24);
            else
                out.length = at + 1;
        }
        /* an exact copy, so that reading past its end is seen */
        char *copy = rbt_malloc(out.length);
        memcpy(copy, out.data, out.length);
        wrong += !reads_as_written(copy, out.length);
        rbt_free(copy);
    }
    is_int(wrong, 0, "20000 altered proofs are refused, or read exactly as they are written");
    rbt_buffer_free(&out);
}

static void check_memory(void) {
    rbt_buffer out = {0};
    rbt_tlog_proof proof;
    const char *why, *text = write_proof(&out, 3, 4);
    failing_memory_at(1);
    bool read = parse(&proof, text, &why);
    bool asked = failing_memory_hit;
    failing_memory_at(0);
    ok(read && !asked, "reading a proof needs no memory");
    rbt_buffer_free(&out);
}

int main(void) {
    if (failing_memory_install() != SQLITE_OK) return 2;
    plan(36);
    for (size_t i = 0; i < LEAVES; i++) {
        char leaf[16];
        snprintf(leaf, sizeof leaf, "leaf %zu", i);
        rbt_leaf_hash(&naive[i][1], leaf, strlen(leaf));
        known[i][1] = 1;
    }
    check_every_pair();
    check_text();
    check_mutations();
    check_memory();
    return done();
}
