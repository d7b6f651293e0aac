/* SPDX-License-Identifier: MIT
** The attacks of attacks_test.c that are not plain SQL: each is given the attacker's connection and the
** SQL of its entry in the list, and counts in `failures` what is refused to it. */
#ifndef RBT_TEST_ATTACK_ACTS_H
#define RBT_TEST_ATTACK_ACTS_H

#define SQLITE_ENABLE_SESSION
#define SQLITE_ENABLE_PREUPDATE_HOOK
#include "attack_fixture.h"

#include "audit/tree.h"
#include "base/bytes.h"

#define CHANGE_35 "UPDATE log_rows SET n = 5 WHERE id = 35"

/* ------------------------------------------------------------------ from a program, past SQL */

static void blob_write(sqlite3 *attacker, const char *table, const char *column, sqlite3_int64 row,
                       int offset) {
    sqlite3_blob *blob = NULL;
    unsigned char byte = 0;
    int code = sqlite3_blob_open(attacker, "main", table, column, row, 1, &blob);
    if (code == SQLITE_OK) code = sqlite3_blob_read(blob, &byte, 1, offset);
    byte ^= 1;
    if (code == SQLITE_OK) code = sqlite3_blob_write(blob, &byte, 1, offset);
    sqlite3_blob_close(blob);
    expect_ok(code);
}

static void blob_rows(sqlite3 *attacker, const char *text) {
    (void)text;
    blob_write(attacker, "log_rows", "a", 35, 0);
    blob_write(attacker, "log_rows", "n", 35, 0);
    blob_write(attacker, "log_rows", "recorded_at", 35, 0);
}

static void blob_meta(sqlite3 *attacker, const char *text) {
    (void)text;
    blob_write(attacker, "log_meta", "value", 1, 0);
}

static void blob_gate(sqlite3 *attacker, const char *text) {
    (void)text;
    blob_write(attacker, "log_gate", "size", 1, 0);
}

static void blob_tree(sqlite3 *attacker, const char *text) {
    (void)text;
    sqlite3_stmt *last = NULL;
    sqlite3_prepare_v2(attacker, "SELECT max(node) FROM log_tree", -1, &last, NULL);
    sqlite3_step(last);
    sqlite3_int64 node = sqlite3_column_int64(last, 0);
    sqlite3_finalize(last);
    blob_write(attacker, "log_tree", "hashes", node, 3);
}

static void blob_segments(sqlite3 *attacker, const char *text) {
    (void)text;
    blob_write(attacker, "log_segments", "root", 0, 3);
}

static void triggers_off(sqlite3 *attacker, const char *text) {
    expect_ok(sqlite3_db_config(attacker, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL));
    steps(attacker, text);
}

static void no_trigger_depth(sqlite3 *attacker, const char *text) {
    sqlite3_limit(attacker, SQLITE_LIMIT_TRIGGER_DEPTH, 0);
    steps(attacker, text);
}

static void reset_database(sqlite3 *attacker, const char *text) {
    sqlite3_db_config(attacker, SQLITE_DBCONFIG_RESET_DATABASE, 1, NULL);
    steps(attacker, text);
    sqlite3_db_config(attacker, SQLITE_DBCONFIG_RESET_DATABASE, 0, NULL);
}

static void yes(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)count, (void)values;
    sqlite3_result_int(context, 1);
}

static void own_function(sqlite3 *attacker, const char *text) {
    expect_ok(sqlite3_create_function(attacker, "rustybt_append_only", 0,
                                      SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL, yes, NULL, NULL));
    steps(attacker, text);
}

static int module_connect(sqlite3 *attacker, void *context, int argc, const char *const *argv,
                          sqlite3_vtab **out, char **message) {
    (void)context, (void)argc, (void)argv, (void)message;
    *out = sqlite3_malloc(sizeof **out);
    if (!*out) return SQLITE_NOMEM;
    memset(*out, 0, sizeof **out);
    return sqlite3_declare_vtab(attacker, "CREATE TABLE x(a)");
}

static int module_disconnect(sqlite3_vtab *table) {
    sqlite3_free(table);
    return SQLITE_OK;
}

static int module_plan(sqlite3_vtab *table, sqlite3_index_info *info) {
    (void)table, (void)info;
    return SQLITE_OK;
}

static int module_rename(sqlite3_vtab *table, const char *name) {
    (void)table, (void)name;
    return SQLITE_OK;
}

static void own_module(sqlite3 *attacker, const char *text) {
    static const sqlite3_module module = {.xCreate = module_connect,
                                          .xConnect = module_connect,
                                          .xBestIndex = module_plan,
                                          .xDisconnect = module_disconnect,
                                          .xDestroy = module_disconnect,
                                          .xRename = module_rename};
    expect_ok(sqlite3_create_module(attacker, "audit_log", &module, NULL));
    steps(attacker, text);
}

/* Takes the SELECT out of every trigger, and with it RAISE. */
static int no_raise(void *context, int action, const char *a, const char *b, const char *c,
                    const char *trigger) {
    (void)context, (void)a, (void)b, (void)c;
    return action == SQLITE_SELECT && trigger ? SQLITE_IGNORE : SQLITE_OK;
}

static void authorizer_guards(sqlite3 *attacker, const char *text) {
    sqlite3_set_authorizer(attacker, no_raise, NULL);
    steps(attacker, text);
    sqlite3_set_authorizer(attacker, NULL, NULL);
}

/* Takes from every statement on our storage its effect. */
static int no_write(void *context, int action, const char *a, const char *b, const char *c,
                    const char *trigger) {
    (void)b, (void)c, (void)trigger;
    bool writes = action == SQLITE_INSERT || action == SQLITE_UPDATE || action == SQLITE_DELETE;
    return writes && a && strcmp(a, context) == 0 ? SQLITE_IGNORE : SQLITE_OK;
}

static void authorizer_writes(sqlite3 *attacker, const char *text) {
    static char tables[][10] = {"log_rows", "log_gate", "log_meta", "log_tree"};
    for (int i = 0; i < 4; i++) {
        sqlite3_set_authorizer(attacker, no_write, tables[i]);
        steps(attacker, text);
        sqlite3_set_authorizer(attacker, NULL, NULL);
    }
}

static int roll_back(void *context) {
    (void)context;
    return 1;
}

static void commit_hook(sqlite3 *attacker, const char *text) {
    sqlite3_commit_hook(attacker, roll_back, NULL);
    steps(attacker, text);
    sqlite3_commit_hook(attacker, NULL, NULL);
}

static int on_conflict(void *context, int conflict, sqlite3_changeset_iter *iterator) {
    (void)context, (void)iterator;
    return conflict == SQLITE_CHANGESET_DATA || conflict == SQLITE_CHANGESET_CONFLICT
               ? SQLITE_CHANGESET_REPLACE
               : SQLITE_CHANGESET_ABORT;
}

/* Applies what the text does to a copy that has no triggers. */
static void changeset(sqlite3 *attacker, const char *text) {
    sqlite3 *copy = NULL;
    sqlite3_session *session = NULL;
    int length = 0;
    void *changes = NULL;
    write_file("copy.db", base);
    if (sqlite3_open("copy.db", &copy) != SQLITE_OK) bail("copy.db");
    sqlite3_db_config(copy, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    if (sqlite3session_create(copy, "main", &session) != SQLITE_OK ||
        sqlite3session_attach(session, NULL) != SQLITE_OK ||
        sqlite3_exec(copy, text, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3session_changeset(session, &length, &changes) != SQLITE_OK || length == 0)
        bail(sqlite3_errmsg(copy));
    expect_ok(sqlite3changeset_apply(attacker, length, changes, NULL, on_conflict, NULL));
    sqlite3_free(changes);
    sqlite3session_delete(session);
    sqlite3_close(copy);
}

static void back_up_over(sqlite3 *attacker, const char *path) {
    sqlite3 *source = NULL;
    if (sqlite3_open(path, &source) != SQLITE_OK) bail(path);
    sqlite3_backup *backup = sqlite3_backup_init(attacker, "main", source, "main");
    if (backup)
        expect_ok(sqlite3_backup_step(backup, -1) == SQLITE_DONE ? SQLITE_OK : SQLITE_ERROR);
    expect_ok(backup ? sqlite3_backup_finish(backup) : SQLITE_ERROR);
    sqlite3_close(source);
}

static void backup_edited(sqlite3 *attacker, const char *text) {
    (void)text;
    write_file("copy.db", base);
    sqlite3 *copy = NULL;
    if (sqlite3_open("copy.db", &copy) != SQLITE_OK) bail("copy.db");
    quietly(copy, CHANGE_35);
    sqlite3_close(copy);
    back_up_over(attacker, "copy.db");
}

static void backup_older(sqlite3 *attacker, const char *text) {
    (void)text;
    back_up_over(attacker, "older.db");
}

static bool has_dbpage(void) {
    return sqlite3_compileoption_used("ENABLE_DBPAGE_VTAB");
}

static void dbpage(sqlite3 *attacker, const char *text) {
    (void)text;
    sqlite3_stmt *pages = NULL, *write = NULL;
    step(attacker, "BEGIN");
    expect_ok(sqlite3_prepare_v2(attacker, "UPDATE sqlite_dbpage SET data = ?1 WHERE pgno = ?2", -1,
                                 &write, NULL));
    sqlite3_prepare_v2(attacker, "SELECT pgno, data FROM sqlite_dbpage", -1, &pages, NULL);
    while (write && sqlite3_step(pages) == SQLITE_ROW) {
        char page[65536];
        size_t length = (size_t)sqlite3_column_bytes(pages, 1);
        memcpy(page, sqlite3_column_blob(pages, 1), length);
        if (edit_bytes(page, length) == 0) continue;
        sqlite3_bind_blob(write, 1, page, (int)length, SQLITE_STATIC);
        sqlite3_bind_int64(write, 2, sqlite3_column_int64(pages, 0));
        sqlite3_step(write);
        expect_ok(sqlite3_reset(write));
    }
    sqlite3_finalize(pages);
    sqlite3_finalize(write);
    step(attacker, "COMMIT");
}

/* ------------------------------------------------------------------ from a program, by SQL */

/* Changes an entry and all that follows from it: tree and head, but for the seal. */
static void hash_anew(sqlite3 *attacker, const char *text) {
    rbt_hash hashes[ENTRIES + 1];
    rbt_frontier frontier = {0};
    uint8_t head[16 + sizeof frontier.nodes];
    size_t have = 0;
    quietly(attacker, text);
    sqlite3_stmt *query = NULL;
    sqlite3_prepare_v2(attacker, "SELECT hashes FROM log_tree ORDER BY node", -1, &query, NULL);
    while (sqlite3_step(query) == SQLITE_ROW) {
        size_t length = (size_t)sqlite3_column_bytes(query, 0);
        if (have + length > sizeof hashes) bail("the tree holds more than the leaves' hashes");
        memcpy((char *)hashes + have, sqlite3_column_blob(query, 0), length);
        have += length;
    }
    sqlite3_finalize(query);
    if (have != sizeof hashes) bail("the tree holds fewer hashes than leaves");
    sqlite3_prepare_v2(attacker,
                       "SELECT printf('{\"id\":%d,\"recorded_at\":%d,\"a\":\"%s\",\"n\":%d}', id, "
                       "recorded_at, a, n), (SELECT max(recorded_at) FROM log_rows) FROM log_rows "
                       "WHERE id = 35",
                       -1, &query, NULL);
    if (sqlite3_step(query) != SQLITE_ROW) bail("entry 35");
    rbt_leaf_hash(&hashes[35], sqlite3_column_text(query, 0),
                  (size_t)sqlite3_column_bytes(query, 0));
    rbt_store_u64le(head + 8, (uint64_t)sqlite3_column_int64(query, 1));
    sqlite3_finalize(query);
    for (int i = 0; i <= ENTRIES; i++)
        rbt_frontier_append(&frontier, &hashes[i]);
    rbt_store_u64le(head, frontier.size);
    size_t nodes = 32 * (size_t)rbt_frontier_count(&frontier);
    memcpy(head + 16, frontier.nodes, nodes);
    step(attacker, "DELETE FROM log_tree");
    sqlite3_prepare_v2(attacker, "INSERT INTO log_tree VALUES(0, ?)", -1, &query, NULL);
    sqlite3_bind_blob(query, 1, hashes, sizeof hashes, SQLITE_STATIC);
    sqlite3_step(query);
    expect_ok(sqlite3_finalize(query));
    sqlite3_prepare_v2(attacker, "UPDATE log_meta SET value = ? WHERE key = 'head'", -1, &query,
                       NULL);
    sqlite3_bind_blob(query, 1, head, (int)(16 + nodes), SQLITE_STATIC);
    sqlite3_step(query);
    expect_ok(sqlite3_finalize(query));
}

static void attached(sqlite3 *attacker, const char *text) {
    (void)attacker;
    sqlite3 *other = open_attacker(":memory:");
    step(other, "ATTACH 'test.db' AS v");
    steps(other, text);
    sqlite3_close(other);
}

static void shadows(sqlite3 *attacker, const char *text) {
    steps(attacker, text);
    if (way.extension) step(attacker, "INSERT INTO main.log(a, n) VALUES('mine', 1)");
}

static void old_tables(sqlite3 *attacker, const char *text) {
    step(attacker, "ATTACH 'older.db' AS older");
    quietly(attacker, text);
}

/* ------------------------------------------------------------------ with no connection at all */

static void hex_edit(sqlite3 *attacker, const char *text) {
    (void)attacker, (void)text;
    file_bytes edited = {malloc(base.length), base.length};
    if (!edited.data) bail("no memory");
    memcpy(edited.data, base.data, base.length);
    if (edit_bytes(edited.data, edited.length) != 2) bail("the text is not there twice");
    write_file("test.db", edited);
    free(edited.data);
}

static void older_file(sqlite3 *attacker, const char *text) {
    (void)attacker, (void)text;
    write_file("test.db", older);
}

/* Only who can append can fork. */
static void older_file_goes_on(sqlite3 *attacker, const char *text) {
    older_file(attacker, text);
    sqlite3 *other = open_attacker("test.db");
    for (int i = 0; i < 12; i++)
        step(other, "INSERT INTO log(a, n) VALUES('mine', 1)");
    sqlite3_close(other);
}

static void another_log(sqlite3 *attacker, const char *text) {
    (void)attacker, (void)text;
    write_file("test.db", another);
}

#endif
