/* SPDX-License-Identifier: MIT
** The Merkle tree of RFC 6962 §2.1, and the proof checks of RFC 9162 §2.1.3.2 and §2.1.4.2. Pure;
** calls crypto/hash only.
*/
#include "tree.h"

#include "../crypto/hash.h"
#include <string.h>

void rbt_leaf_hash(rbt_hash *out, const void *leaf, size_t length) {
    rbt_sha256 hash;
    rbt_sha256_init(&hash);
    rbt_sha256_update(&hash, "\x00", 1);
    rbt_sha256_update(&hash, leaf, length);
    rbt_sha256_final(&hash, out->bytes);
}

void rbt_node_hash(rbt_hash *out, const rbt_hash *left, const rbt_hash *right) {
    uint8_t node[65];
    node[0] = 0x01;
    memcpy(node + 1, left->bytes, 32);
    memcpy(node + 33, right->bytes, 32);
    rbt_sha256_once(out->bytes, node, sizeof node);
}

bool rbt_hash_equal(const rbt_hash *a, const rbt_hash *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

unsigned rbt_frontier_count(const rbt_frontier *frontier) {
    return (unsigned)__builtin_popcountll(frontier->size);
}

bool rbt_frontier_append_noting(rbt_frontier *frontier, const rbt_hash *leaf_hash, unsigned level,
                                rbt_hash *node) {
    unsigned count = rbt_frontier_count(frontier), height = 0;
    rbt_hash carried = *leaf_hash;
    bool completed = false;
    /* Each trailing one bit of the size is a subtree as large as the one being carried. */
    for (uint64_t size = frontier->size;; size >>= 1, height++) {
        if (height == level) {
            *node = carried;
            completed = true;
        }
        if (!(size & 1)) break;
        rbt_node_hash(&carried, &frontier->nodes[--count], &carried);
    }
    frontier->nodes[count] = carried;
    frontier->size++;
    return completed;
}

void rbt_frontier_append(rbt_frontier *frontier, const rbt_hash *leaf_hash) {
    rbt_hash leaf;
    rbt_frontier_append_noting(frontier, leaf_hash, 0, &leaf);
}

void rbt_frontier_root(rbt_hash *root, const rbt_frontier *frontier) {
    unsigned count = rbt_frontier_count(frontier);
    if (count == 0) {
        rbt_sha256_once(root->bytes, "", 0);
        return;
    }
    *root = frontier->nodes[--count];
    while (count > 0)
        rbt_node_hash(root, &frontier->nodes[--count], root);
}

/* Fills nodes with the perfect subtrees of leaves start up to start + size, largest first; start is
** a multiple of a power of two that is at least size's highest bit, as all ranges of the RFC
** are. */
static int range_nodes(rbt_hash *nodes, unsigned *count, uint64_t start, uint64_t size,
                       rbt_node_reader read, void *context, rbt_error *error) {
    *count = 0;
    for (unsigned level = RBT_TREE_MAX_LEVEL + 1; level-- > 0;) {
        if (!(size >> level & 1)) continue;
        int code = read(context, level, start >> level, &nodes[(*count)++], error);
        if (code != SQLITE_OK) return code;
        start += (uint64_t)1 << level;
    }
    return SQLITE_OK;
}

/* MTH(D[start : start + size]) of RFC 6962 §2.1, size at least 1. */
static int range_root(rbt_hash *root, uint64_t start, uint64_t size, rbt_node_reader read,
                      void *context, rbt_error *error) {
    rbt_hash nodes[RBT_TREE_MAX_LEVEL + 1];
    unsigned count;
    int code = range_nodes(nodes, &count, start, size, read, context, error);
    if (code != SQLITE_OK) return code;
    *root = nodes[--count];
    while (count > 0)
        rbt_node_hash(root, &nodes[--count], root);
    return SQLITE_OK;
}

int rbt_tree_frontier(rbt_frontier *frontier, uint64_t size, rbt_node_reader read, void *context,
                      rbt_error *error) {
    unsigned count;
    frontier->size = size;
    return range_nodes(frontier->nodes, &count, 0, size, read, context, error);
}

int rbt_tree_root(rbt_hash *root, uint64_t size, rbt_node_reader read, void *context,
                  rbt_error *error) {
    if (size > 0) return range_root(root, 0, size, read, context, error);
    rbt_sha256_once(root->bytes, "", 0);
    return SQLITE_OK;
}

/* The largest power of two smaller than size, which is at least 2. */
static uint64_t split_point(uint64_t size) {
    return (uint64_t)1 << (63 - __builtin_clzll(size - 1));
}

/* The RFC's recursions list hashes from the leaf up; the loops below meet them from the root down.
 */
static void reverse(rbt_proof *proof) {
    for (size_t i = 0, j = proof->count; i + 1 < j; i++) {
        rbt_hash swapped = proof->hashes[i];
        proof->hashes[i] = proof->hashes[--j];
        proof->hashes[j] = swapped;
    }
}

int rbt_tree_inclusion(rbt_proof *proof, uint64_t leaf, uint64_t size, rbt_node_reader read,
                       void *context, rbt_error *error) {
    proof->count = 0;
    if (leaf >= size)
        return rbt_fail(error, SQLITE_ERROR, "inclusion proof: leaf %llu is not in a tree of %llu",
                        (unsigned long long)leaf, (unsigned long long)size);
    uint64_t start = 0;
    while (size > 1) {
        uint64_t left = split_point(size);
        bool goes_left = leaf - start < left;
        rbt_hash *sibling = &proof->hashes[proof->count++];
        int code = goes_left ? range_root(sibling, start + left, size - left, read, context, error)
                             : range_root(sibling, start, left, read, context, error);
        if (code != SQLITE_OK) return code;
        if (goes_left) {
            size = left;
        } else {
            start += left;
            size -= left;
        }
    }
    reverse(proof);
    return SQLITE_OK;
}

int rbt_tree_consistency(rbt_proof *proof, uint64_t old_size, uint64_t size, rbt_node_reader read,
                         void *context, rbt_error *error) {
    proof->count = 0;
    if (old_size == 0 || old_size > size)
        return rbt_fail(error, SQLITE_ERROR,
                        "consistency proof: the old size must be 1 to %llu, not %llu",
                        (unsigned long long)size, (unsigned long long)old_size);
    uint64_t start = 0;
    uint64_t old = old_size;
    while (old != size) {
        uint64_t left = split_point(size);
        rbt_hash *other = &proof->hashes[proof->count++];
        int code = old <= left ? range_root(other, start + left, size - left, read, context, error)
                               : range_root(other, start, left, read, context, error);
        if (code != SQLITE_OK) return code;
        if (old <= left) {
            size = left;
        } else {
            start += left;
            size -= left;
            old -= left;
        }
    }
    /* Only when the old tree is itself a node of the new one does its root need no stating. */
    if (start > 0) {
        int code = range_root(&proof->hashes[proof->count++], start, size, read, context, error);
        if (code != SQLITE_OK) return code;
    }
    reverse(proof);
    return SQLITE_OK;
}

bool rbt_inclusion_verify(const rbt_proof *proof, uint64_t leaf, uint64_t size,
                          const rbt_hash *leaf_hash, const rbt_hash *root) {
    if (leaf >= size) return false;
    uint64_t fn = leaf;
    uint64_t sn = size - 1;
    rbt_hash r = *leaf_hash;
    for (size_t i = 0; i < proof->count; i++) {
        if (sn == 0) return false;
        if ((fn & 1) || fn == sn) {
            rbt_node_hash(&r, &proof->hashes[i], &r);
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            rbt_node_hash(&r, &r, &proof->hashes[i]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && rbt_hash_equal(&r, root);
}

bool rbt_consistency_verify(const rbt_proof *proof, uint64_t old_size, uint64_t size,
                            const rbt_hash *old_root, const rbt_hash *root) {
    if (old_size == 0 || old_size > size) return false;
    if (old_size == size) return proof->count == 0 && rbt_hash_equal(old_root, root);

    size_t next = 0;
    rbt_hash fr;
    if ((old_size & (old_size - 1)) == 0) {
        fr = *old_root;
    } else {
        if (proof->count == 0) return false;
        fr = proof->hashes[next++];
    }
    rbt_hash sr = fr;
    uint64_t fn = old_size - 1;
    uint64_t sn = size - 1;
    while (fn & 1) {
        fn >>= 1;
        sn >>= 1;
    }
    for (; next < proof->count; next++) {
        const rbt_hash *c = &proof->hashes[next];
        if (sn == 0) return false;
        if ((fn & 1) || fn == sn) {
            rbt_node_hash(&fr, c, &fr);
            rbt_node_hash(&sr, c, &sr);
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            rbt_node_hash(&sr, &sr, c);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && rbt_hash_equal(&fr, old_root) && rbt_hash_equal(&sr, root);
}
