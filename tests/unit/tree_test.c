/* SPDX-License-Identifier: MIT
** The Merkle tree against the vectors of RFC 6962 implementations and against the RFC's recursive
** definitions, and checkpoint text. */
#include "audit/checkpoint.h"
#include "audit/tree.h"
#include "base/bytes.h"
#include "tap.h"

enum { LEAVES = 70 };
static rbt_hash leaves[LEAVES];

/* MTH, PATH and PROOF word by word as RFC 6962 §2.1 defines them. */
static size_t split(size_t n) {
    size_t k = 1;
    while (k * 2 < n)
        k *= 2;
    return k;
}

static rbt_hash naive_root(size_t start, size_t n) {
    if (n == 1) return leaves[start];
    size_t k = split(n);
    rbt_hash left = naive_root(start, k);
    rbt_hash right = naive_root(start + k, n - k);
    rbt_hash node;
    rbt_node_hash(&node, &left, &right);
    return node;
}

static void naive_path(rbt_proof *proof, size_t m, size_t start, size_t n) {
    if (n == 1) return;
    size_t k = split(n);
    if (m < k) {
        naive_path(proof, m, start, k);
        proof->hashes[proof->count++] = naive_root(start + k, n - k);
    } else {
        naive_path(proof, m - k, start + k, n - k);
        proof->hashes[proof->count++] = naive_root(start, k);
    }
}

static void naive_subproof(rbt_proof *proof, size_t m, size_t start, size_t n, int whole) {
    if (m == n) {
        if (!whole) proof->hashes[proof->count++] = naive_root(start, n);
        return;
    }
    size_t k = split(n);
    if (m <= k) {
        naive_subproof(proof, m, start, k, whole);
        proof->hashes[proof->count++] = naive_root(start + k, n - k);
    } else {
        naive_subproof(proof, m - k, start + k, n - k, 0);
        proof->hashes[proof->count++] = naive_root(start, k);
    }
}

/* Only perfect nodes within the tree may be asked for. */
static int read_node(void *context, unsigned level, uint64_t index, rbt_hash *out,
                     rbt_error *error) {
    uint64_t limit = *(uint64_t *)context;
    if ((index + 1) << level > limit)
        return rbt_fail(error, SQLITE_ERROR, "node %u/%llu is not perfect", level,
                        (unsigned long long)index);
    *out = naive_root((size_t)(index << level), (size_t)1 << level);
    return SQLITE_OK;
}

static int fail_node(void *context, unsigned level, uint64_t index, rbt_hash *out,
                     rbt_error *error) {
    (void)context, (void)level, (void)index, (void)out;
    return rbt_fail(error, SQLITE_CORRUPT_VTAB, "no such node");
}

static int same_proof(const rbt_proof *a, const rbt_proof *b) {
    return a->count == b->count && memcmp(a->hashes, b->hashes, a->count * sizeof *a->hashes) == 0;
}

static const char *hex(const rbt_hash *hash) {
    static char text[65];
    rbt_hex_encode(text, hash->bytes, 32);
    return text;
}

static void check_vectors(void) {
    static const char *const inputs[8] = {"",
                                          "00",
                                          "10",
                                          "2021",
                                          "3031",
                                          "40414243",
                                          "5051525354555657",
                                          "606162636465666768696a6b6c6d6e6f"};
    rbt_frontier frontier = {0};
    rbt_hash root;
    rbt_frontier_root(&root, &frontier);
    is_text(hex(&root), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "the root of no leaves is SHA-256 of nothing");
    for (size_t i = 0; i < 8; i++) {
        uint8_t bytes[16];
        size_t length = strlen(inputs[i]) / 2;
        rbt_hash leaf;
        if (!rbt_hex_decode(bytes, length, inputs[i], 2 * length)) abort();
        rbt_leaf_hash(&leaf, bytes, length);
        rbt_frontier_append(&frontier, &leaf);
        rbt_frontier_root(&root, &frontier);
        if (i == 1)
            is_text(hex(&root), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                    "the root of 2 leaves is the published one");
        if (i == 2)
            is_text(hex(&root), "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                    "the root of 3 leaves is the published one");
        if (i == 4)
            is_text(hex(&root), "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                    "the root of 5 leaves is the published one");
        if (i == 7)
            is_text(hex(&root), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
                    "the root of 8 leaves is the published one");
    }
    is_int(rbt_frontier_count(&frontier), 1, "a tree of 8 leaves is one perfect subtree");
}

static void check_sizes(void) {
    int roots = 1, frontiers = 1, inclusions = 1, verified = 1, consistencies = 1, extended = 1;
    int forged = 0;
    rbt_frontier appended = {0};
    for (uint64_t size = 1; size <= LEAVES; size++) {
        rbt_error error = {0};
        rbt_hash root, folded, want = naive_root(0, size);
        rbt_frontier stored;
        rbt_frontier_append(&appended, &leaves[size - 1]);
        rbt_frontier_root(&folded, &appended);
        roots &= rbt_tree_root(&root, size, read_node, &size, &error) == SQLITE_OK &&
                 rbt_hash_equal(&root, &want) && rbt_hash_equal(&folded, &want);
        frontiers &= rbt_tree_frontier(&stored, size, read_node, &size, &error) == SQLITE_OK &&
                     stored.size == size &&
                     memcmp(stored.nodes, appended.nodes,
                            rbt_frontier_count(&stored) * sizeof *stored.nodes) == 0;
        for (uint64_t leaf = 0; leaf < size; leaf++) {
            rbt_proof proof, naive = {0};
            naive_path(&naive, leaf, 0, size);
            inclusions &=
                rbt_tree_inclusion(&proof, leaf, size, read_node, &size, &error) == SQLITE_OK &&
                same_proof(&proof, &naive);
            verified &= rbt_inclusion_verify(&proof, leaf, size, &leaves[leaf], &want);
            forged |= rbt_inclusion_verify(&proof, leaf ^ 1, size, &leaves[leaf], &want);
            for (size_t i = 0; i < proof.count; i++) {
                proof.hashes[i].bytes[31] ^= 1;
                forged |= rbt_inclusion_verify(&proof, leaf, size, &leaves[leaf], &want);
                proof.hashes[i].bytes[31] ^= 1;
            }
            proof.hashes[proof.count++] = want;
            forged |= rbt_inclusion_verify(&proof, leaf, size, &leaves[leaf], &want);
            proof.count -= 2;
            if (size > 1) forged |= rbt_inclusion_verify(&proof, leaf, size, &leaves[leaf], &want);
        }
        for (uint64_t old = 1; old <= size; old++) {
            rbt_proof proof, naive = {0};
            rbt_hash old_root = naive_root(0, old);
            naive_subproof(&naive, old, 0, size, 1);
            consistencies &=
                rbt_tree_consistency(&proof, old, size, read_node, &size, &error) == SQLITE_OK &&
                same_proof(&proof, &naive);
            extended &= rbt_consistency_verify(&proof, old, size, &old_root, &want);
            for (size_t i = 0; i < proof.count; i++) {
                proof.hashes[i].bytes[0] ^= 0x80;
                forged |= rbt_consistency_verify(&proof, old, size, &old_root, &want);
                proof.hashes[i].bytes[0] ^= 0x80;
            }
            if (old < size) forged |= rbt_consistency_verify(&proof, old, size, &want, &want);
            proof.hashes[proof.count++] = want;
            forged |= rbt_consistency_verify(&proof, old, size, &old_root, &want);
        }
        rbt_error_clear(&error);
    }
    ok(roots, "roots of 1 to 70 leaves equal the RFC's recursion, stored or appended");
    ok(frontiers, "a frontier read from storage equals the appended one");
    ok(inclusions, "inclusion proofs equal the RFC's PATH");
    ok(verified, "every inclusion proof verifies");
    ok(consistencies, "consistency proofs equal the RFC's PROOF");
    ok(extended, "every consistency proof verifies");
    ok(!forged, "no changed, longer, shorter or misplaced proof verifies");
}

static void check_refusals(void) {
    rbt_error error = {0};
    rbt_proof proof;
    uint64_t size = 5;
    is_int(rbt_tree_inclusion(&proof, 5, 5, read_node, &size, &error), SQLITE_ERROR,
           "a leaf beyond the tree has no inclusion proof");
    is_text(error.message, "inclusion proof: leaf 5 is not in a tree of 5", "the message says why");
    rbt_error_clear(&error);
    is_int(rbt_tree_consistency(&proof, 0, 5, read_node, &size, &error), SQLITE_ERROR,
           "an empty old tree has no consistency proof");
    rbt_error_clear(&error);
    is_int(rbt_tree_inclusion(&proof, 0, 5, fail_node, NULL, &error), SQLITE_CORRUPT_VTAB,
           "a node that cannot be read fails the proof with its own code");
    rbt_error_clear(&error);
    proof.count = 0;
    ok(!rbt_consistency_verify(&proof, 0, 5, &leaves[0], &leaves[1]),
       "an old size of 0 proves nothing");
    rbt_frontier frontier = {.size = ((uint64_t)1 << 62) - 1};
    rbt_frontier_append(&frontier, &leaves[0]);
    ok(frontier.size == (uint64_t)1 << 62 && rbt_frontier_count(&frontier) == 1,
       "a frontier of 2^62 - 1 leaves merges into one node");
}

static void check_checkpoint(void) {
    static const char text[] =
        "example.com/audit\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n";
    static const char *const bad[] = {
        "example.com/audit\n08\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
        "example.com/audit\n\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
        "example.com/audit\n99999999999999999999\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
        "example.com/audit\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyh=\n",
        "example.com/audit\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg\n",
        "example.com/audit\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=",
        "example.com/audit\n8\nXcna\n",
        "example.com/audit\n-8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
        "\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
        "",
    };
    rbt_checkpoint checkpoint;
    rbt_buffer out = {0};
    ok(rbt_checkpoint_parse(&checkpoint, text, sizeof text - 1), "a checkpoint's text parses");
    is_int(checkpoint.size, 8, "its size is 8");
    is_text(hex(&checkpoint.root),
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328", "its root is read");
    rbt_checkpoint_format(&out, &checkpoint);
    is_text(rbt_buffer_text(&out), text, "what is written again is the same text");
    rbt_buffer_free(&out);
    int accepted = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        accepted += rbt_checkpoint_parse(&checkpoint, bad[i], strlen(bad[i]));
    is_int(accepted, 0, "zeros in front, wrong base64, missing lines and signs are refused");
    static const char extended[] =
        "example.com/audit\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\nmore\n";
    ok(rbt_checkpoint_parse(&checkpoint, extended, sizeof extended - 1),
       "extension lines are passed over");
}

int main(void) {
    plan(25);
    for (size_t i = 0; i < LEAVES; i++)
        rbt_leaf_hash(&leaves[i], &i, 1);
    check_vectors();
    check_sizes();
    check_refusals();
    check_checkpoint();
    return done();
}
