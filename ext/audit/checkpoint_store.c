/* SPDX-License-Identifier: MIT
** See checkpoint_store.h. May call base and audit's state and tree.
*/
#include "checkpoint_store.h"

#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../crypto/sign.h"
#include "storage.h"
#include "trust.h"

static const char checkpoint_prefix[] = "checkpoint/", consistency_prefix[] = "consistency/";
enum { KEY_SIZE = 40, SIZE_DIGITS = 20 };

static const char *key_of(char key[KEY_SIZE], const char *prefix, uint64_t size) {
    return sqlite3_snprintf(KEY_SIZE, key, "%s%020llu", prefix, (unsigned long long)size);
}

/* The size in a key of checkpoint_prefix; INT64_MAX, which no log reaches, when there is none. */
static uint64_t size_of(const char *key) {
    const char *digits = key + sizeof checkpoint_prefix - 1;
    uint64_t size;
    if (strlen(digits) != SIZE_DIGITS) return INT64_MAX;
    while (digits[0] == '0' && digits[1])
        digits++;
    return rbt_decimal_parse(&size, digits, strlen(digits)) ? size : INT64_MAX;
}

/* Keys and values from a size on; order: "" or "DESC LIMIT 1". '0' follows '/' in ASCII. */
static sqlite3_stmt *select_from(rbt_log *log, uint64_t from, const char *order, rbt_error *error) {
    char key[KEY_SIZE];
    sqlite3_stmt *rows = rbt_prepare(log->db, error, log->name,
                                     "SELECT key, value FROM \"%w\".\"%w_meta\" WHERE key >= ?1 "
                                     "AND key < 'checkpoint0' ORDER BY key %s",
                                     log->schema, log->name, order);
    if (rows)
        sqlite3_bind_text(rows, 1, key_of(key, checkpoint_prefix, from), -1, SQLITE_TRANSIENT);
    return rows;
}

int rbt_checkpoints_visit(rbt_log *log, uint64_t from, rbt_checkpoint_visitor visit, void *context,
                          rbt_error *error) {
    sqlite3_stmt *rows = select_from(log, from, "", error);
    if (!rows) return error->code;
    while (error->code == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(rows, 0);
        bool is_text = sqlite3_column_type(rows, 1) == SQLITE_TEXT;
        const char *note = is_text ? (const char *)sqlite3_column_text(rows, 1) : NULL;
        if (!key || (is_text && !note)) {
            rbt_fail_nomem(error);
            break;
        }
        visit(context, size_of(key), note, note ? (size_t)sqlite3_column_bytes(rows, 1) : 0, error);
    }
    if (sqlite3_finalize(rows) != SQLITE_OK && error->code == SQLITE_OK)
        rbt_fail_db(error, log->db, log->name);
    return error->code;
}

int rbt_checkpoint_newest(rbt_log *log, rbt_buffer *note, uint64_t *size, bool *found,
                          rbt_error *error) {
    *found = false;
    sqlite3_stmt *rows = select_from(log, 0, "DESC LIMIT 1", error);
    if (!rows) return error->code;
    if (sqlite3_step(rows) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(rows, 0);
        const char *text = (const char *)sqlite3_column_text(rows, 1);
        *found = key && text;
        if (!*found) {
            rbt_fail_nomem(error);
        } else {
            *size = size_of(key);
            rbt_buffer_add(note, text, (size_t)sqlite3_column_bytes(rows, 1));
            if (note->failed) rbt_fail_nomem(error);
        }
    }
    if (sqlite3_finalize(rows) != SQLITE_OK && error->code == SQLITE_OK)
        rbt_fail_db(error, log->db, log->name);
    return error->code;
}

int rbt_checkpoint_stored(rbt_log *log, uint64_t size, rbt_buffer *note, bool *found,
                          rbt_error *error) {
    char key[KEY_SIZE];
    return rbt_log_meta_bytes(log, key_of(key, checkpoint_prefix, size), note, found, error);
}

int rbt_checkpoint_put(rbt_log *log, uint64_t size, const char *note, size_t length,
                       rbt_error *error) {
    char key[KEY_SIZE];
    return rbt_log_meta_set_bytes(log, key_of(key, checkpoint_prefix, size), note, length, true,
                                  error);
}

/* The end of the block of 256 leaves that a tree of this size ends in. */
static uint64_t block_end(uint64_t size) {
    return (size + RBT_TILE_HASHES - 1) / RBT_TILE_HASHES * RBT_TILE_HASHES;
}

/* The kept proof of a checkpoint whose block was dropped; *found is false when there is none. */
static int read_kept(rbt_log *log, uint64_t size, rbt_proof *proof, bool *found, rbt_error *error) {
    char key[KEY_SIZE];
    rbt_buffer bytes = {0};
    rbt_log_meta_bytes(log, key_of(key, consistency_prefix, size), &bytes, found, error);
    *found = *found && error->code == SQLITE_OK && bytes.length % sizeof *proof->hashes == 0 &&
             bytes.length <= sizeof proof->hashes;
    if (*found) {
        proof->count = bytes.length / sizeof *proof->hashes;
        if (bytes.length) memcpy(proof->hashes, bytes.data, bytes.length);
    }
    rbt_buffer_free(&bytes);
    return error->code;
}

int rbt_checkpoint_extended(rbt_log *log, const rbt_checkpoint *checkpoint, bool *extended,
                            rbt_error *error) {
    rbt_hash root;
    rbt_proof kept;
    bool found = false;
    uint64_t end = block_end(checkpoint->size);
    *extended = false;
    if (end != checkpoint->size && end <= (uint64_t)log->pruned_to + 1 &&
        read_kept(log, checkpoint->size, &kept, &found, error) != SQLITE_OK)
        return error->code;
    if (found && rbt_tree_root(&root, end, rbt_log_node, log, error) == SQLITE_OK)
        *extended = rbt_consistency_verify(&kept, checkpoint->size, end, &checkpoint->root, &root);
    /* Without a kept proof, or with one that was tampered with, the segment decides. */
    if (error->code == SQLITE_OK && !*extended &&
        rbt_tree_root(&root, checkpoint->size, rbt_log_node, log, error) == SQLITE_OK)
        *extended = rbt_hash_equal(&root, &checkpoint->root);
    return error->code;
}

typedef struct keeping {
    rbt_log *log;
    uint64_t from, to;
} keeping;

/* Whether the kept proof of that tree is there and leads from its root to the log's tree. */
static int keeps_already(rbt_log *log, uint64_t size, const rbt_hash *root, bool *kept,
                         rbt_error *error) {
    rbt_proof proof;
    rbt_hash end_root;
    *kept = false;
    if (read_kept(log, size, &proof, kept, error) == SQLITE_OK && *kept &&
        rbt_tree_root(&end_root, block_end(size), rbt_log_node, log, error) == SQLITE_OK)
        *kept = rbt_consistency_verify(&proof, size, block_end(size), root, &end_root);
    return error->code;
}

static int keep_proof(const keeping *k, uint64_t size, const rbt_hash *root, rbt_error *error) {
    rbt_proof proof;
    char key[KEY_SIZE];
    bool kept = false;
    if (size <= k->from || size >= k->to || size % RBT_TILE_HASHES == 0) return error->code;
    if (keeps_already(k->log, size, root, &kept, error) != SQLITE_OK || kept ||
        rbt_tree_consistency(&proof, size, block_end(size), rbt_log_node, k->log, error) !=
            SQLITE_OK)
        return error->code;
    return rbt_log_meta_set_bytes(k->log, key_of(key, consistency_prefix, size), proof.hashes,
                                  proof.count * sizeof *proof.hashes, false, error);
}

static int keep_checkpoint(void *context, uint64_t size, const char *note, size_t length,
                           rbt_error *error) {
    rbt_checkpoint checkpoint = {0}; /* of one that cannot be read, no kept proof fits the root */
    const char *why;
    size_t text_length;
    if (note && rbt_note_split(note, length, &text_length, &why))
        rbt_checkpoint_parse(&checkpoint, note, text_length);
    return keep_proof(context, size, &checkpoint.root, error);
}

int rbt_checkpoints_keep_proofs(rbt_log *log, uint64_t from, uint64_t to, rbt_error *error) {
    keeping k = {log, from, to};
    rbt_successions notes = {0};
    if (from >= to || rbt_checkpoints_visit(log, from, keep_checkpoint, &k, error) != SQLITE_OK)
        return error->code;
    rbt_log_successions(log, &notes, error);
    for (size_t i = 0; i < notes.count && error->code == SQLITE_OK; i++)
        if (notes.notes[i].succession.size <= log->frontier.size)
            keep_proof(&k, notes.notes[i].succession.size, &notes.notes[i].succession.root, error);
    rbt_successions_free(&notes);
    return error->code;
}
