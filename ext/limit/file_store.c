/* SPDX-License-Identifier: MIT
** Transactions, policies and states of a file store. See file_store.h. Calls memory, bytes, clock,
** error, libsodium's SipHash and SQLite.
*/
#include "file_store_private.h"

#include "../base/bytes.h"
#include "../base/clock.h"
#include "../base/memory.h"
#include "limit_clock.h"

#include <sodium.h>

enum { SWEEP_EVERY = 64, SWEEP_ROWS = 128 };

/* The year 148,000: to any time before, any duration can be added. */
#define LATEST_TIME (INT64_C(1) << 62)

static const char *const statement_texts[RBT_FILE_STATEMENTS] = {
    [RBT_FILE_BEGIN] = "BEGIN IMMEDIATE",
    [RBT_FILE_COMMIT] = "COMMIT",
    [RBT_FILE_HEAD] = "SELECT boot, offset_us, fencing, checksum FROM store WHERE one = 1",
    [RBT_FILE_SET_HEAD] =
        "UPDATE store SET boot = ?1, offset_us = ?2, fencing = ?3, checksum = ?4 WHERE one = 1",
    [RBT_FILE_LAST_TIME] = "SELECT max(at_us) FROM state",
    [RBT_FILE_LOAD] =
        "SELECT p.id, p.algorithm, p.quota, p.burst, p.period_us, p.penalty_us, p.penalty_max_us,"
        " p.enforce, p.checksum, s.at_us, s.idle_at_us, s.state, s.checksum FROM policy p"
        " LEFT JOIN state s ON s.policy = p.id AND s.key = ?2 WHERE p.name = ?1",
    [RBT_FILE_SAVE] = "REPLACE INTO state VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [RBT_FILE_FORGET] = "DELETE FROM state WHERE policy = ?1 AND key = ?2",
    [RBT_FILE_SWEEP_END] = "SELECT policy, key FROM state WHERE (policy, key) > (?1, ?2)"
                           " ORDER BY policy, key LIMIT 1 OFFSET ?3",
    [RBT_FILE_SWEEP] = "DELETE FROM state WHERE (policy, key) > (?1, ?2)"
                       " AND (?3 OR (policy, key) <= (?4, ?5)) AND idle_at_us <= ?6",
    [RBT_FILE_NEXT] = "SELECT at_us, idle_at_us, state, checksum, key FROM state"
                      " WHERE policy = ?1 AND key > ?2 ORDER BY key LIMIT 1",
};

sqlite3_stmt *rbt_file_statement_of(rbt_file_store *store, rbt_file_statement which,
                                    const char *who, rbt_error *error) {
    if (error->code != SQLITE_OK) return NULL;
    sqlite3_stmt **statement = &store->statements[which];
    if (*statement == NULL &&
        sqlite3_prepare_v3(store->db, statement_texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                           statement, NULL) != SQLITE_OK)
        rbt_file_fail(store, who, error);
    return *statement;
}

/* Steps once; true when there is a row. The caller resets. */
static bool step(rbt_file_store *store, sqlite3_stmt *statement, const char *who,
                 rbt_error *error) {
    if (error->code != SQLITE_OK || statement == NULL) return false;
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) rbt_file_fail(store, who, error);
    return code == SQLITE_ROW;
}

static void reset(sqlite3_stmt *statement) {
    if (statement != NULL) sqlite3_reset(statement); /* repeats an error that was told */
}

int rbt_file_run(rbt_file_store *store, rbt_file_statement which, const char *who,
                 rbt_error *error) {
    sqlite3_stmt *statement = rbt_file_statement_of(store, which, who, error);
    step(store, statement, who, error);
    reset(statement);
    return error->code;
}

/* ------------------------------------------------------------------------------------- checksums */

/* SipHash with a fixed key: against damage, not against people. */
static int64_t checksum_of(const uint8_t *bytes, size_t length) {
    static const unsigned char key[crypto_shorthash_KEYBYTES] = "rustybt limits 1";
    unsigned char hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, bytes, length, key);
    return (int64_t)rbt_load_u64le(hash);
}

static void add_i64(rbt_buffer *out, int64_t value) {
    uint8_t bytes[8];
    rbt_store_u64le(bytes, (uint64_t)value);
    rbt_buffer_add(out, bytes, sizeof bytes);
}

static int64_t policy_checksum(rbt_file_store *store, const rbt_limit_policy *policy) {
    const rbt_limit_rule *rule = &policy->rule;
    rbt_buffer *bytes = &store->bytes;
    rbt_buffer_clear(bytes);
    add_i64(bytes, rule->algorithm);
    add_i64(bytes, rule->quota);
    add_i64(bytes, rule->burst);
    add_i64(bytes, rule->period_us);
    add_i64(bytes, rule->penalty_us);
    add_i64(bytes, rule->penalty_max_us);
    add_i64(bytes, policy->enforce);
    rbt_buffer_add_text(bytes, policy->name);
    return bytes->failed ? 0 : checksum_of(bytes->data, bytes->length);
}

int64_t rbt_file_head_checksum(const rbt_file_head *head) {
    uint8_t bytes[24];
    rbt_store_u64le(bytes, (uint64_t)head->boot);
    rbt_store_u64le(bytes + 8, (uint64_t)head->offset_us);
    rbt_store_u64le(bytes + 16, (uint64_t)head->fencing);
    return checksum_of(bytes, sizeof bytes);
}

/* Over what a row holds; the state's bytes are the last in store->bytes, from start on. */
static int64_t state_checksum(rbt_file_store *store, int64_t id, const char *key, size_t length,
                              int64_t at_us, int64_t idle_at_us) {
    rbt_buffer *bytes = &store->bytes;
    add_i64(bytes, id);
    add_i64(bytes, at_us);
    add_i64(bytes, idle_at_us);
    rbt_buffer_add(bytes, key, length);
    return bytes->failed ? 0 : checksum_of(bytes->data, bytes->length);
}

/* ------------------------------------------------------------------------------------------ time */

static int write_head(rbt_file_store *store, const char *who, rbt_error *error) {
    sqlite3_stmt *statement = rbt_file_statement_of(store, RBT_FILE_SET_HEAD, who, error);
    if (statement == NULL) return error->code;
    sqlite3_bind_int64(statement, 1, store->head.boot);
    sqlite3_bind_int64(statement, 2, store->head.offset_us);
    sqlite3_bind_int64(statement, 3, store->head.fencing);
    sqlite3_bind_int64(statement, 4, rbt_file_head_checksum(&store->head));
    step(store, statement, who, error);
    reset(statement);
    return error->code;
}

/* Another run of the machine, or time that went back: goes on from the latest time of any state, later
** only if the wall clock says so. */
static int set_time(rbt_file_store *store, int64_t boot, const char *who, rbt_error *error) {
    int64_t latest = 0;
    sqlite3_stmt *statement = rbt_file_statement_of(store, RBT_FILE_LAST_TIME, who, error);
    if (step(store, statement, who, error)) latest = sqlite3_column_int64(statement, 0);
    reset(statement);
    if (latest > LATEST_TIME) rbt_file_damaged(store, "a key's time cannot be", who, error);
    int64_t wall = rbt_clock_us();
    store->now_us = latest > wall ? latest : wall;
    store->head.boot = boot;
    store->head.offset_us = store->now_us - rbt_limit_uptime_us();
    return write_head(store, who, error);
}

static int read_time(rbt_file_store *store, const char *who, rbt_error *error) {
    int64_t boot = rbt_limit_boot();
    rbt_file_head *head = &store->head;
    sqlite3_stmt *statement = rbt_file_statement_of(store, RBT_FILE_HEAD, who, error);
    if (step(store, statement, who, error)) {
        head->boot = sqlite3_column_int64(statement, 0);
        head->offset_us = sqlite3_column_int64(statement, 1);
        head->fencing = sqlite3_column_int64(statement, 2);
        if (rbt_file_head_checksum(head) != sqlite3_column_int64(statement, 3))
            rbt_file_damaged(store, "its clock is not as it was written", who, error);
    } else {
        rbt_file_damaged(store, "its clock is missing", who, error);
    }
    reset(statement);
    if (error->code != SQLITE_OK) return error->code;
    if (head->boot != boot || boot == 0 ||
        __builtin_add_overflow(rbt_limit_uptime_us(), head->offset_us, &store->now_us) ||
        store->now_us < 0 || store->now_us > LATEST_TIME)
        return set_time(store, boot, who, error);
    return SQLITE_OK;
}

int64_t rbt_file_store_now(const rbt_file_store *store) {
    return store->now_us;
}

/* ---------------------------------------------------------------------------------- transactions */

static int set_sync(rbt_file_store *store, bool full, const char *who, rbt_error *error) {
    if (store->full_sync == full) return SQLITE_OK;
    if (sqlite3_exec(store->db, full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
                     NULL, NULL, NULL) != SQLITE_OK)
        return rbt_file_fail(store, who, error);
    store->full_sync = full;
    return SQLITE_OK;
}

int rbt_file_store_begin(rbt_file_store *store, bool durable, const char *who, rbt_error *error) {
    if (error->code != SQLITE_OK) return error->code;
    if (rbt_file_check_process(store->process, store->path, who, error) != SQLITE_OK)
        return error->code;
    int moved = 0;
    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
        moved)
        return rbt_fail(error, SQLITE_CANTOPEN,
                        "%s: store '%s' was moved or removed; rate_policy makes a new one", who,
                        store->path);
    if (set_sync(store, durable, who, error) != SQLITE_OK ||
        rbt_file_run(store, RBT_FILE_BEGIN, who, error) != SQLITE_OK)
        return error->code;
    if (read_time(store, who, error) != SQLITE_OK) rbt_file_store_rollback(store);
    return error->code;
}

int rbt_file_store_commit(rbt_file_store *store, const char *who, rbt_error *error) {
    if (rbt_file_run(store, RBT_FILE_COMMIT, who, error) != SQLITE_OK)
        rbt_file_store_rollback(store);
    return error->code;
}

void rbt_file_store_rollback(rbt_file_store *store) {
    if (sqlite3_get_autocommit(store->db)) return;
    for (int i = 0; i < RBT_FILE_STATEMENTS; i++)
        reset(store->statements[i]);
    (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL); /* else the next BEGIN tells */
}

/* -------------------------------------------------------------------------------------- policies */

static void read_policy_row(rbt_file_store *store, sqlite3_stmt *row, const char *name,
                            rbt_limit_policy *policy, const char *who, rbt_error *error) {
    rbt_limit_rule *rule = &policy->rule;
    *policy = (rbt_limit_policy){0};
    memcpy(policy->name, name, strlen(name));
    int64_t algorithm = sqlite3_column_int64(row, 1);
    rule->algorithm = algorithm == RBT_LIMIT_WINDOW  ? RBT_LIMIT_WINDOW
                      : algorithm == RBT_LIMIT_LEASE ? RBT_LIMIT_LEASE
                                                     : RBT_LIMIT_BUCKET;
    rule->quota = sqlite3_column_int64(row, 2);
    rule->burst = sqlite3_column_int64(row, 3);
    rule->period_us = sqlite3_column_int64(row, 4);
    rule->penalty_us = sqlite3_column_int64(row, 5);
    rule->penalty_max_us = sqlite3_column_int64(row, 6);
    policy->enforce = sqlite3_column_int(row, 7) != 0;
    int64_t checksum = policy_checksum(store, policy);
    if (store->bytes.failed)
        rbt_fail_nomem(error);
    else if (checksum != sqlite3_column_int64(row, 8) || rbt_limit_rule_check(rule) != NULL)
        rbt_file_damaged(store, "a policy is not as it was written", who, error);
}

/* The joined row of a policy and a key; NULL when there is no such policy. The caller resets. */
static sqlite3_stmt *find_row(rbt_file_store *store, const char *name, const char *key,
                              size_t length, const char *who, rbt_error *error) {
    sqlite3_stmt *row = rbt_file_statement_of(store, RBT_FILE_LOAD, who, error);
    if (row == NULL) return NULL;
    if (sqlite3_bind_text(row, 1, name, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_text(row, 2, key, (int)length, SQLITE_STATIC) != SQLITE_OK)
        rbt_file_fail(store, who, error);
    if (step(store, row, who, error)) return row;
    reset(row);
    return NULL;
}

int rbt_file_store_policy(rbt_file_store *store, const char *name, rbt_limit_policy *policy,
                          int64_t *id, const char *who, rbt_error *error) {
    sqlite3_stmt *row = find_row(store, name, "", 0, who, error);
    *id = row ? sqlite3_column_int64(row, 0) : 0;
    if (row) read_policy_row(store, row, name, policy, who, error);
    reset(row);
    return error->code;
}

static int write_policy(rbt_file_store *store, int64_t id, const rbt_limit_policy *policy,
                        const char *who, rbt_error *error) {
    const rbt_limit_rule *rule = &policy->rule;
    int64_t checksum = policy_checksum(store, policy);
    if (store->bytes.failed) return rbt_fail_nomem(error);
    char *sql = sqlite3_mprintf(
        "REPLACE INTO policy VALUES(nullif(%lld, 0), %Q, %d, %lld, %lld, "
        "%lld, %lld, %lld, %d, %lld)",
        (long long)id, policy->name, (int)rule->algorithm, (long long)rule->quota,
        (long long)rule->burst, (long long)rule->period_us, (long long)rule->penalty_us,
        (long long)rule->penalty_max_us, policy->enforce ? 1 : 0, (long long)checksum);
    if (sql == NULL) return rbt_fail_nomem(error);
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        rbt_file_fail(store, who, error);
    rbt_free(sql);
    return error->code;
}

/* ---------------------------------------------------------------------------------------- states */

/* The state of a row; its columns at, idle_at, state, checksum begin at first. */
static int read_state_row(rbt_file_store *store, sqlite3_stmt *row, int first, int64_t id,
                          const rbt_limit_rule *rule, const char *key, size_t length,
                          rbt_limit_state *state, const char *who, rbt_error *error) {
    int64_t at_us = sqlite3_column_int64(row, first);
    int64_t idle_at_us = sqlite3_column_int64(row, first + 1);
    const uint8_t *bytes = sqlite3_column_blob(row, first + 2);
    size_t count = (size_t)sqlite3_column_bytes(row, first + 2);
    rbt_buffer_clear(&store->bytes);
    rbt_buffer_add(&store->bytes, bytes, count);
    int64_t checksum = state_checksum(store, id, key, length, at_us, idle_at_us);
    if (store->bytes.failed) return rbt_fail_nomem(error);
    if (checksum != sqlite3_column_int64(row, first + 3))
        return rbt_file_damaged(store, "a key's state is not as it was written", who, error);
    switch (rbt_limit_state_read(rule, state, at_us, bytes, count)) {
    case RBT_LIMIT_READ_OK:
        return SQLITE_OK;
    case RBT_LIMIT_READ_NOMEM:
        return rbt_fail_nomem(error);
    case RBT_LIMIT_READ_DAMAGED:
        break;
    }
    return rbt_file_damaged(store, "a key's state cannot be", who, error);
}

int rbt_file_store_load(rbt_file_store *store, const char *name, const char *key, size_t length,
                        rbt_limit_policy *policy, int64_t *id, rbt_limit_state *state,
                        const char *who, rbt_error *error) {
    sqlite3_stmt *row = find_row(store, name, key, length, who, error);
    *id = row ? sqlite3_column_int64(row, 0) : 0;
    if (row == NULL) return error->code;
    read_policy_row(store, row, name, policy, who, error);
    if (error->code == SQLITE_OK && sqlite3_column_type(row, 11) != SQLITE_NULL)
        read_state_row(store, row, 9, *id, &policy->rule, key, length, state, who, error);
    reset(row);
    if (error->code == SQLITE_OK && state->at_us > store->now_us)
        set_time(store, rbt_limit_boot(), who, error); /* a machine restored from a snapshot */
    if (error->code == SQLITE_OK) rbt_limit_advance(&policy->rule, state, store->now_us);
    return error->code;
}

/* Forgets idle keys among the next few rows, in the order of the table. */
static void sweep_some(rbt_file_store *store, const char *who, rbt_error *error) {
    int64_t end_policy = 0;
    char end_key[RBT_LIMIT_KEY_SIZE];
    int end_length = 0;
    sqlite3_stmt *end = rbt_file_statement_of(store, RBT_FILE_SWEEP_END, who, error);
    sqlite3_stmt *sweep = rbt_file_statement_of(store, RBT_FILE_SWEEP, who, error);
    if (end == NULL || sweep == NULL) return;
    if (sqlite3_bind_int64(end, 1, store->sweep_policy) != SQLITE_OK ||
        sqlite3_bind_text(end, 2, store->sweep_key, store->sweep_length, SQLITE_STATIC) !=
            SQLITE_OK ||
        sqlite3_bind_int(end, 3, SWEEP_ROWS - 1) != SQLITE_OK)
        rbt_file_fail(store, who, error);
    bool last = !step(store, end, who, error);
    if (!last) {
        end_policy = sqlite3_column_int64(end, 0);
        const void *key = sqlite3_column_text(end, 1);
        end_length = sqlite3_column_bytes(end, 1);
        if (key == NULL || end_length > RBT_LIMIT_KEY_SIZE)
            rbt_file_damaged(store, "a key is longer than keys are", who, error);
        else
            memcpy(end_key, key, (size_t)end_length);
    }
    reset(end);
    if (error->code != SQLITE_OK) return;
    if (sqlite3_bind_int64(sweep, 1, store->sweep_policy) != SQLITE_OK ||
        sqlite3_bind_text(sweep, 2, store->sweep_key, store->sweep_length, SQLITE_STATIC) !=
            SQLITE_OK ||
        sqlite3_bind_int(sweep, 3, last) != SQLITE_OK ||
        sqlite3_bind_int64(sweep, 4, end_policy) != SQLITE_OK ||
        sqlite3_bind_text(sweep, 5, end_key, end_length, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_int64(sweep, 6, store->now_us) != SQLITE_OK)
        rbt_file_fail(store, who, error);
    step(store, sweep, who, error);
    reset(sweep);
    store->sweep_policy = last ? 0 : end_policy;
    store->sweep_length = last ? 0 : end_length;
    if (!last) memcpy(store->sweep_key, end_key, (size_t)end_length);
}

int rbt_file_store_save(rbt_file_store *store, int64_t id, const rbt_limit_rule *rule,
                        const char *key, size_t length, const rbt_limit_state *state,
                        const char *who, rbt_error *error) {
    int64_t idle_at_us = rbt_limit_idle_at(rule, state);
    bool idle = idle_at_us <= store->now_us;
    sqlite3_stmt *statement =
        rbt_file_statement_of(store, idle ? RBT_FILE_FORGET : RBT_FILE_SAVE, who, error);
    if (statement == NULL) return error->code;
    rbt_buffer *bytes = &store->bytes;
    rbt_buffer_clear(bytes);
    rbt_limit_state_write(rule, state, bytes);
    size_t count = bytes->length;
    int64_t checksum = state_checksum(store, id, key, length, state->at_us, idle_at_us);
    if (bytes->failed) return rbt_fail_nomem(error);
    if (sqlite3_bind_int64(statement, 1, id) != SQLITE_OK ||
        sqlite3_bind_text(statement, 2, key, (int)length, SQLITE_STATIC) != SQLITE_OK ||
        (!idle &&
         (sqlite3_bind_int64(statement, 3, state->at_us) != SQLITE_OK ||
          sqlite3_bind_int64(statement, 4, idle_at_us) != SQLITE_OK ||
          sqlite3_bind_blob(statement, 5, bytes->data, (int)count, SQLITE_STATIC) != SQLITE_OK ||
          sqlite3_bind_int64(statement, 6, checksum) != SQLITE_OK)))
        rbt_file_fail(store, who, error);
    step(store, statement, who, error);
    reset(statement);
    if (error->code == SQLITE_OK && ++store->saves % SWEEP_EVERY == 0)
        sweep_some(store, who, error);
    return error->code;
}

/* One state of the policy, that of the first key after this one; false when there is none. The row is
** let go before it is written again. */
static bool convert_next(rbt_file_store *store, sqlite3_stmt *row, int64_t id,
                         const rbt_limit_rule *from, const rbt_limit_rule *to,
                         char key[RBT_LIMIT_KEY_SIZE], size_t *length, const char *who,
                         rbt_error *error) {
    rbt_limit_state state = {0};
    if (sqlite3_bind_int64(row, 1, id) != SQLITE_OK ||
        sqlite3_bind_text(row, 2, key, (int)*length, SQLITE_TRANSIENT) != SQLITE_OK)
        rbt_file_fail(store, who, error);
    bool found = step(store, row, who, error);
    if (found) {
        const void *text = sqlite3_column_text(row, 4);
        *length = (size_t)sqlite3_column_bytes(row, 4);
        if (text == NULL || *length > RBT_LIMIT_KEY_SIZE)
            rbt_file_damaged(store, "a key is longer than keys are", who, error);
        else
            memcpy(key, text, *length);
    }
    if (found && error->code == SQLITE_OK)
        read_state_row(store, row, 0, id, from, key, *length, &state, who, error);
    reset(row);
    if (found && error->code == SQLITE_OK) {
        rbt_limit_advance(from, &state, store->now_us);
        if (!rbt_limit_convert(from, to, &state)) rbt_fail_nomem(error);
        rbt_file_store_save(store, id, to, key, *length, &state, who, error);
    }
    rbt_limit_state_free(&state);
    return found && error->code == SQLITE_OK;
}

static void convert_states(rbt_file_store *store, int64_t id, const rbt_limit_rule *from,
                           const rbt_limit_rule *to, const char *who, rbt_error *error) {
    sqlite3_stmt *row = rbt_file_statement_of(store, RBT_FILE_NEXT, who, error);
    char key[RBT_LIMIT_KEY_SIZE];
    size_t length = 0;
    if (row == NULL) return;
    while (convert_next(store, row, id, from, to, key, &length, who, error))
        continue;
}

int rbt_file_store_define(rbt_file_store *store, int64_t id, const rbt_limit_policy *policy,
                          const char *who, rbt_error *error) {
    rbt_limit_policy before;
    int64_t found = 0;
    if (id != 0 &&
        rbt_file_store_policy(store, policy->name, &before, &found, who, error) == SQLITE_OK &&
        !rbt_limit_rule_equal(&before.rule, &policy->rule))
        convert_states(store, id, &before.rule, &policy->rule, who, error);
    if (error->code == SQLITE_OK) write_policy(store, id, policy, who, error);
    return error->code;
}

int rbt_file_store_owing(rbt_file_store *store, int64_t id, int64_t *owing, const char *who,
                         rbt_error *error) {
    sqlite3_stmt *statement = NULL;
    char *sql = sqlite3_mprintf("SELECT count(*) FROM state WHERE policy = %lld"
                                " AND idle_at_us > %lld",
                                (long long)id, (long long)store->now_us);
    if (sql == NULL) return rbt_fail_nomem(error);
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        rbt_file_fail(store, who, error);
    rbt_free(sql);
    if (step(store, statement, who, error)) *owing = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement); /* an error was told */
    return error->code;
}

int rbt_file_store_fencing(rbt_file_store *store, int64_t *fencing, const char *who,
                           rbt_error *error) {
    if (store->head.fencing < 0 || store->head.fencing == INT64_MAX)
        return rbt_file_damaged(store, "its counter cannot be", who, error);
    *fencing = ++store->head.fencing;
    return write_head(store, who, error);
}
