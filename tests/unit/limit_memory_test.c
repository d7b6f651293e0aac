/* SPDX-License-Identifier: MIT
** Limits when memory runs out: each allocation of each statement fails in turn. The statement then says
** "out of memory" and has let nobody in, nothing leaks, and the next try works. And the memory store at
** its bound: idle keys go, those that owe stay, and nobody new is let in.
*/
#include "failing_memory.h"
#include "limit_fixture.h"

#include "base/memory.h"
#include "limit/memory_store.h"

#include <sodium.h>
#include <unistd.h>

static void survives(const char *sql) {
    int wrong = 0, finished = 0;
    long allocation = 0;

    while (!finished && allocation < 3000) {
        sqlite3 *db = open_limits();
        sqlite3_stmt *statement = NULL;
        if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
            printf("# %s\n", sqlite3_errmsg(db));
            wrong++;
        }
        failing_memory_at(++allocation);
        int code = sqlite3_step(statement);
        int hit = failing_memory_hit;
        failing_memory_at(0);
        if ((!hit && code != SQLITE_ROW) || (code != SQLITE_ROW && code != SQLITE_NOMEM)) {
            printf("# allocation %ld: %d, %s\n", allocation, code, sqlite3_errmsg(db));
            wrong++;
        }
        sqlite3_reset(statement);
        if (sqlite3_step(statement) != SQLITE_ROW) {
            printf("# after allocation %ld: %s\n", allocation, sqlite3_errmsg(db));
            wrong++;
        }
        sqlite3_finalize(statement);
        if (sqlite3_close(db) != SQLITE_OK) wrong++;
        finished = !hit;
    }
    printf("# %ld allocations\n", allocation - 1);
    ok(finished && wrong == 0, sql);
}

static int64_t number(const char *sql) {
    sqlite3 *db = open_limits();
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    else
        printf("# %s\n", sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}

/* --------------------------------------------------------------------------------------- bound */

static rbt_memory_entry *add(rbt_memory_store *store, const rbt_limit_rule *rule, int key,
                             int64_t now_us, rbt_error *error) {
    char text[16];
    int length = snprintf(text, sizeof text, "key %d", key);
    return rbt_memory_store_add(store, rule, text, (size_t)length, now_us, "test", error);
}

static void check_bound(void) {
    enum { MOST = 1 << 20, KEYS = 100000 };
    rbt_limit_rule rule = {
        .algorithm = RBT_LIMIT_BUCKET, .quota = 1, .burst = 1, .period_us = 1000000};
    rbt_memory_store *store = rbt_memory_store_new(MOST);
    rbt_error error = {0};
    int added = 0, missing = 0;

    if (rbt_limit_rule_check(&rule) != NULL) printf("# no rule\n");
    for (; added < KEYS; added++) {
        rbt_memory_entry *entry = add(store, &rule, added, 1, &error);
        if (entry == NULL) break;
        rbt_limit_advance(&rule, &entry->state, 1);
        rbt_limit_take(&rule, &entry->state, 1);
    }
    printf("# %d keys in 1 MiB\n", added);
    ok(added > 1000 && added < MOST / 64, "the memory store is bounded");
    is_text(
        error.message,
        "test: the memory for limits, 1048576 bytes, is full of keys that owe; nobody new is let "
        "in until some of them are idle",
        "full of keys that owe it lets nobody new in");
    rbt_error_clear(&error);
    for (int i = 0; i < added; i++) {
        char text[16];
        int length = snprintf(text, sizeof text, "key %d", i);
        const rbt_memory_entry *entry = rbt_memory_store_find(store, &rule, text, (size_t)length);
        missing += entry == NULL || entry->state.level == 0;
    }
    is_int(missing, 0, "and has forgotten nobody");
    ok(add(store, &rule, KEYS, 1000002, &error) != NULL, "once they are idle there is room");
    for (int i = 0; i < KEYS; i++) { /* a new key every 100 us, each of which owes for a second */
        int64_t now = 2000000 + i * INT64_C(100);
        rbt_memory_entry *entry = add(store, &rule, i, now, &error);
        if (entry == NULL) break;
        rbt_limit_advance(&rule, &entry->state, now);
        rbt_limit_take(&rule, &entry->state, 1);
    }
    ok(error.code == SQLITE_ERROR, "ten thousand that owe are too many for this bound");
    rbt_error_clear(&error);
    rbt_memory_store_free(store);

    store = rbt_memory_store_new(64 << 20);
    for (int i = 0; i < KEYS && error.code == SQLITE_OK; i++) {
        int64_t now = 1 + i * INT64_C(1000); /* a thousand owe at a time */
        rbt_memory_entry *entry = add(store, &rule, i, now, &error);
        rbt_limit_advance(&rule, &entry->state, now);
        rbt_limit_take(&rule, &entry->state, 1);
    }
    printf("# %zu of %d keys are left\n", rbt_memory_store_count(store), KEYS);
    ok(rbt_memory_store_count(store) >= 1000 && rbt_memory_store_count(store) < 10000,
       "of many keys that come and go few are kept, without any bound being met");
    rbt_memory_store_free(store);
    rbt_error_clear(&error);
}

int main(void) {
    /* two thousand times a file is made and synced: in memory, where there is such a folder */
    static char in_memory[] = "/dev/shm/rustybt-limit-XXXXXX",
                on_disk[] = "/tmp/rustybt-limit-XXXXXX";
    char *folder = mkdtemp(in_memory);
    static const char *const statements[] = {
        "SELECT rate_policy('{\"name\": \"m\", \"algorithm\": \"window\", \"quota\": 100000, "
        "\"period\": \"1 day\"}')",
        "SELECT rate_allow('m', 'k')",
        "SELECT allowed FROM rate_take('m', 'k')",
        "SELECT remaining FROM rate_peek('m', 'k')",
        "SELECT rate_refund('m', 'k') + rate_penalize('m', 'z', 1) + rate_reset('m', 'z')",
        "SELECT count(*) FROM rate_policies",
        "SELECT allowed FROM rate_take_all('[{\"policy\": \"m\", \"key\": \"a\"}, {\"policy\": "
        "\"alpaca\", \"key\": \"b\"}]')",
        "SELECT allowed FROM lease_acquire('websocket', 'k', 0.001)",
        "SELECT retry_delay(3, '{\"base\": \"1 s\", \"retry_after\": \"3\"}')",
        "SELECT rate_policy('{\"name\": \"f\", \"algorithm\": \"window\", \"quota\": 100000, "
        "\"period\": \"1 day\", \"store\": \"limits.db\"}')",
        "SELECT rate_allow('f', 'k')",
        "SELECT rate_policy('{\"name\": \"m\", \"algorithm\": \"bucket\"}')",
        "SELECT rate_policy('{\"name\": \"f\", \"algorithm\": \"bucket\"}')",
    };
    enum { COUNT = sizeof statements / sizeof statements[0] };

    plan(COUNT + 8);
    if (folder == NULL) folder = mkdtemp(on_disk);
    if (failing_memory_install() != SQLITE_OK || sodium_init() < 0 || folder == NULL ||
        chdir(folder) != 0)
        return 1;
    for (size_t i = 0; i < COUNT; i++)
        survives(statements[i]);
    is_int(number("SELECT remaining > 90000 FROM rate_peek('m', 'k')"), 1, "memory counts on");
    is_int(number("SELECT remaining > 90000 FROM rate_peek('f', 'k')"), 1, "and so does the file");
    check_bound();
    if (unlink("limits.db") != 0 || chdir("/") != 0 || rmdir(folder) != 0)
        printf("# cannot remove %s\n", folder);
    sqlite3_shutdown();
    return done();
}
