/* SPDX-License-Identifier: MIT
** The Merkle tree of RFC 6962 §2.1 over SHA-256: leaf hash SHA-256(0x00 || leaf), node hash
** SHA-256(0x01 || left || right), the root of nothing SHA-256(""). Pure: no storage here.
*/
#ifndef RBT_AUDIT_TREE_H
#define RBT_AUDIT_TREE_H

#include "../base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rbt_hash {
    uint8_t bytes[32];
} rbt_hash;

enum { RBT_TREE_MAX_LEVEL = 63 };

/* The perfect subtrees that make up a tree of `size` leaves, largest first: one for each one bit. */
typedef struct rbt_frontier {
    uint64_t size;
    rbt_hash nodes[RBT_TREE_MAX_LEVEL + 1];
} rbt_frontier;

void rbt_leaf_hash(rbt_hash *out, const void *leaf, size_t length);
void rbt_node_hash(rbt_hash *out, const rbt_hash *left, const rbt_hash *right);
bool rbt_hash_equal(const rbt_hash *a, const rbt_hash *b);

unsigned rbt_frontier_count(const rbt_frontier *frontier); /* number of nodes in use */
void rbt_frontier_append(rbt_frontier *frontier, const rbt_hash *leaf_hash);
/* The same; when that completes a subtree of 2^level leaves, its node goes to *node and it returns true. */
bool rbt_frontier_append_noting(rbt_frontier *frontier, const rbt_hash *leaf_hash, unsigned level,
                                rbt_hash *node);
void rbt_frontier_root(rbt_hash *root, const rbt_frontier *frontier);

/* Gives the hash of the perfect node (level, index): the subtree of leaves index << level up to, not
** including, (index + 1) << level. Returns SQLITE_OK or the error's code. */
typedef int (*rbt_node_reader)(void *context, unsigned level, uint64_t index, rbt_hash *out,
                               rbt_error *error);

/* A list of hashes with room for any proof in a tree of up to 2^63 leaves. */
typedef struct rbt_proof {
    size_t count;
    rbt_hash hashes[130];
} rbt_proof;

/* Root of the first `size` leaves, from stored perfect nodes. */
int rbt_tree_root(rbt_hash *root, uint64_t size, rbt_node_reader read, void *context,
                  rbt_error *error);
/* The frontier of the first `size` leaves, from stored perfect nodes. */
int rbt_tree_frontier(rbt_frontier *frontier, uint64_t size, rbt_node_reader read, void *context,
                      rbt_error *error);
/* RFC 6962 §2.1.1 and §2.1.2; leaf < size, 0 < old_size <= size. */
int rbt_tree_inclusion(rbt_proof *proof, uint64_t leaf, uint64_t size, rbt_node_reader read,
                       void *context, rbt_error *error);
int rbt_tree_consistency(rbt_proof *proof, uint64_t old_size, uint64_t size, rbt_node_reader read,
                         void *context, rbt_error *error);

/* RFC 9162 §2.1.3.2 and §2.1.4.2. */
bool rbt_inclusion_verify(const rbt_proof *proof, uint64_t leaf, uint64_t size,
                          const rbt_hash *leaf_hash, const rbt_hash *root);
bool rbt_consistency_verify(const rbt_proof *proof, uint64_t old_size, uint64_t size,
                            const rbt_hash *old_root, const rbt_hash *root);

#endif
