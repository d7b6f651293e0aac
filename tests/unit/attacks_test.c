/* SPDX-License-Identifier: MIT
** Every attack on a log that README's table lists, in every way of connecting that it lists, and the
** outcome that it promises: the table is read from README.md and must list just the attacks below.
** A cell says `refused`, `no effect` or `detected: <kind>`; attack_fixture.h says what each means.
** ATTACK_TABLE=file takes the table from another file. */
#include "attack_acts.h"

#define APPEND "INSERT INTO log(a, n) VALUES('mine', 1)"
#define ROW(id) "INSERT INTO log_rows(id, recorded_at, a, n) VALUES(" id ", 9, 'x', 1)"
#define REPLACE_35 "INSERT OR REPLACE INTO log_rows(id, recorded_at, a, n) VALUES(35, 9, 'x', 1)"
#define OPEN_GATE "UPDATE log_gate SET size = 0 WHERE id = 1"
#define SHUT_GATE "UPDATE log_gate SET size = 9223372036854775807 WHERE id = 1"
#define VANISH(schema, event)                                                                      \
    "CREATE " schema " TRIGGER x BEFORE " event " BEGIN SELECT RAISE(IGNORE); END"

typedef struct attack {
    const char
        *name; /* the first cell of its row, which others may share, without quotes of code */
    const char *steps; /* NULL: act does it all */
    void (*act)(sqlite3 *attacker, const char *steps);
    bool past; /* only a checkpoint kept outside tells */
} attack;

/* ------------------------------------------------------------------ the list */

#define META(key, value) "UPDATE log_meta SET value = " value " WHERE key = '" key "'"
#define SCHEMA(change) "PRAGMA writable_schema = ON\n" change "\nPRAGMA writable_schema = RESET"

static const attack attacks[] = {
    {"UPDATE log, also OR IGNORE, OR REPLACE", "UPDATE log SET n = 5 WHERE id = 35", NULL, false},
    {"UPDATE log, also OR IGNORE, OR REPLACE", "UPDATE OR IGNORE log SET n = 5 WHERE id = 35", NULL,
     false},
    {"UPDATE log, also OR IGNORE, OR REPLACE", "UPDATE OR REPLACE log SET id = 34 WHERE id = 35",
     NULL, false},
    {"DELETE FROM log", "DELETE FROM log WHERE id = 35\nDELETE FROM log", NULL, false},
    {"INSERT OR REPLACE INTO log, an upsert",
     "PRAGMA recursive_triggers = OFF\nINSERT OR REPLACE INTO log(id, a, n) VALUES(35, 'x', 1)",
     NULL, false},
    {"INSERT OR REPLACE INTO log, an upsert",
     "INSERT INTO log(a, n) VALUES('x', 1) ON CONFLICT(id) DO UPDATE SET n = excluded.n", NULL,
     false},
    {"DROP TABLE log, ALTER TABLE log", "DROP TABLE log", NULL, false},
    {"DROP TABLE log, ALTER TABLE log",
     "ALTER TABLE log RENAME TO diary\nALTER TABLE log ADD COLUMN x", NULL, false},
    {"audit_discard, which is recorded, and DROP TABLE log",
     "SELECT audit_discard('log', 'a reason')\nDROP TABLE log", NULL, false},
    {"UPDATE log_rows, also OR IGNORE, OR REPLACE", CHANGE_35 "\nUPDATE log_rows SET n = 5", NULL,
     false},
    {"UPDATE log_rows, also OR IGNORE, OR REPLACE",
     "UPDATE OR IGNORE log_rows SET n = 5 WHERE id = 35", NULL, false},
    {"UPDATE log_rows, also OR IGNORE, OR REPLACE",
     "UPDATE OR REPLACE log_rows SET id = 34 WHERE id = 35", NULL, false},
    {"DELETE FROM log_rows", "DELETE FROM log_rows WHERE id = 35\nDELETE FROM log_rows", NULL,
     false},
    {"INSERT INTO log_rows, also OR REPLACE, an upsert, beside an append",
     ROW("41") "\n" ROW("5") "\n" ROW("-1"), NULL, false},
    {"INSERT INTO log_rows, also OR REPLACE, an upsert, beside an append",
     "BEGIN\n" APPEND "\n" ROW("42") "\n" ROW("43") "\nCOMMIT", NULL, false},
    {"INSERT INTO log_rows, also OR REPLACE, an upsert, beside an append",
     "PRAGMA recursive_triggers = OFF\n" REPLACE_35 "\nPRAGMA recursive_triggers = ON\n" REPLACE_35
     "\nPRAGMA recursive_triggers = OFF\nBEGIN\n" APPEND "\n" REPLACE_35 "\nCOMMIT",
     NULL, false},
    {"INSERT INTO log_rows, also OR REPLACE, an upsert, beside an append",
     ROW("35") " ON CONFLICT(id) DO UPDATE SET n = excluded.n", NULL, false},
    {"INSERT, UPDATE, DELETE on log_gate",
     OPEN_GATE "\nDELETE FROM log_gate\nINSERT INTO log_gate VALUES(3, 0)\nINSERT OR REPLACE INTO "
               "log_gate VALUES(1, 0)\nBEGIN\n" APPEND "\n" OPEN_GATE "\nCOMMIT",
     NULL, false},
    {"DROP TRIGGER, DROP INDEX on the storage", "DROP TRIGGER log_rows_update", NULL, false},
    {"triggers dropped, entries changed, triggers put back", CHANGE_35, quietly, false},
    {"triggers dropped, entries deleted, triggers put back", "DELETE FROM log_rows WHERE id = 35",
     quietly, false},
    {"triggers dropped, entries deleted, triggers put back", "DELETE FROM log_rows WHERE id > 35",
     quietly, false},
    {"triggers dropped, a row inserted, triggers put back", ROW("41"), quietly, false},
    {"triggers dropped, entries swapped, triggers put back",
     "UPDATE log_rows SET id = -1 WHERE id = 35\nUPDATE log_rows SET id = 35 WHERE id = 36\nUPDATE "
     "log_rows SET id = 36 WHERE id = -1",
     quietly, false},
    {"triggers dropped, an entry changed, all hashed anew without the key", CHANGE_35, hash_anew,
     false},
    {"DROP TRIGGER, DROP INDEX on the storage", "DROP INDEX log_rows_guard", NULL, false},
    {"CREATE INDEX, CREATE TRIGGER on the storage", "CREATE UNIQUE INDEX x ON log_rows(n)", NULL,
     false},
    {"DROP TABLE on the storage", "DROP TABLE log_rows", NULL, false},
    {"DROP TABLE on the storage", "DROP TABLE log_gate", NULL, false},
    {"DROP TABLE on the storage", "DROP TABLE log_tree", NULL, false},
    {"DROP TABLE on the storage", "DROP TABLE log_segments", NULL, false},
    {"DROP TABLE on the storage", "DROP TABLE log_meta", NULL, false},
    {"ALTER TABLE on the storage, a view in a table's place", "ALTER TABLE log_rows ADD COLUMN x",
     NULL, false},
    {"ALTER TABLE on the storage, a view in a table's place", "ALTER TABLE log_rows RENAME TO x",
     NULL, false},
    {"ALTER TABLE on the storage, a view in a table's place",
     "ALTER TABLE log_rows RENAME TO x\nCREATE VIEW log_rows AS SELECT * FROM x WHERE id <> 35",
     NULL, false},
    {"writable_schema: triggers changed or deleted",
     SCHEMA("DELETE FROM sqlite_schema WHERE type = 'trigger'"), NULL, false},
    {"writable_schema: triggers changed or deleted",
     SCHEMA("UPDATE sqlite_schema SET sql = replace(sql, 'BEGIN', 'WHEN 0 BEGIN') WHERE name = "
            "'log_rows_update'"),
     NULL, false},
    {"writable_schema: the declaration changed",
     SCHEMA("UPDATE sqlite_schema SET sql = replace(sql, 'n < 1000', 'n < 9000') WHERE name = "
            "'log'"),
     NULL, false},
    {"writable_schema: a table's root page changed",
     SCHEMA("UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = "
            "'log_tree') WHERE name = 'log_rows'"),
     NULL, false},
    {"writable_schema: the log deleted, or a view in its place",
     SCHEMA("UPDATE sqlite_schema SET type = 'view', rootpage = 0, sql = 'CREATE VIEW log AS "
            "SELECT * FROM log_rows' WHERE name = 'log'"),
     NULL, false},
    {"writable_schema: the log deleted, or a view in its place",
     SCHEMA("DELETE FROM sqlite_schema WHERE name = 'log'"), NULL, false},
    {"writable_schema: the log and its storage deleted",
     SCHEMA("DELETE FROM sqlite_schema WHERE name LIKE 'log%' OR tbl_name LIKE 'log%'"), NULL,
     false},
    {"TEMP triggers with RAISE(IGNORE) on the storage, and an append",
     VANISH("TEMP", "INSERT ON main.log_rows") "\n" APPEND, NULL, false},
    {"TEMP triggers with RAISE(IGNORE) on the storage, and an append",
     VANISH("TEMP", "UPDATE ON main.log_gate") "\n" APPEND "\nDROP TRIGGER x\n" VANISH(
         "TEMP", "INSERT ON main.log_meta") "\n" APPEND
                                            "\nDROP TRIGGER x\n" VANISH(
                                                "TEMP", "INSERT ON main.log_tree") "\n" APPEND,
     NULL, false},
    {"TEMP triggers on the storage that write beside an append",
     "CREATE TEMP TRIGGER x AFTER INSERT ON main.log_rows BEGIN UPDATE log_rows SET n = 5 WHERE id "
     "= NEW.id; END\n" APPEND,
     NULL, false},
    {"TEMP triggers on the storage that write beside an append",
     "CREATE TEMP TRIGGER x AFTER INSERT ON main.log_rows WHEN NEW.id < 99 BEGIN INSERT INTO "
     "log_rows(id, recorded_at, a, n) VALUES(NEW.id + 99, 9, 'x', 1); END\n" APPEND,
     NULL, false},
    {"TEMP triggers on the storage that write beside an append",
     "CREATE TEMP TRIGGER x AFTER INSERT ON main.log_rows BEGIN UPDATE log_gate SET size = 99 "
     "WHERE "
     "id = 2; DELETE FROM log_rows WHERE id = 35; UPDATE log_gate SET size = -1 WHERE id = 2; "
     "END\n" APPEND,
     NULL, false},
    {"TEMP triggers on the storage that write beside an append",
     "CREATE TEMP TRIGGER x AFTER UPDATE ON main.log_gate WHEN NEW.id = 1 BEGIN UPDATE log_gate "
     "SET "
     "size = 99 WHERE id = 2; DELETE FROM log_rows WHERE id = 35; UPDATE log_gate SET size = -1 "
     "WHERE id = 2; END\nBEGIN\n" APPEND "\nCOMMIT",
     NULL, false},
    {"TEMP triggers on the storage that write beside an append",
     "CREATE TEMP TRIGGER x AFTER UPDATE ON main.log_gate WHEN NEW.id = 1 AND NEW.size > 99 BEGIN "
     "UPDATE log_gate SET size = 99 WHERE id = 2; DELETE FROM log_rows WHERE id = 35; UPDATE "
     "log_gate SET size = -1 WHERE id = 2; END\n" APPEND "\nBEGIN\n" APPEND "\nCOMMIT",
     NULL, false},
    {"TEMP triggers with RAISE(IGNORE) on the storage, and an append",
     "CREATE TEMP TRIGGER x BEFORE UPDATE ON main.log_gate WHEN NEW.size > 99 BEGIN SELECT "
     "RAISE(IGNORE); END\n" APPEND "\nBEGIN\n" APPEND "\nCOMMIT",
     NULL, false},
    {"CREATE INDEX, CREATE TRIGGER on the storage", VANISH("", "INSERT ON log_rows") "\n" APPEND,
     NULL, false},
    {"TEMP tables and views named like the log and its storage",
     "CREATE TEMP TABLE log_rows(id, recorded_at, a, n)\nCREATE TEMP TABLE log_gate(id, size)\n"
     "CREATE TEMP TABLE log_tree(node, hashes)\nCREATE TEMP TABLE log_segments(first_id)\nCREATE "
     "TEMP VIEW log_meta AS SELECT 'head' AS key, x'00' AS value\nCREATE TEMP VIEW log AS SELECT 1 "
     "AS id",
     shadows, false},
    {"sqlite3_blob_write on log_rows, log_gate, log_meta", NULL, blob_rows, false},
    {"sqlite3_blob_write on log_rows, log_gate, log_meta", NULL, blob_meta, false},
    {"sqlite3_blob_write on log_rows, log_gate, log_meta", NULL, blob_gate, false},
    {"sqlite3_blob_write on log_tree", NULL, blob_tree, false},
    {"sqlite3_blob_write on log_segments", NULL, blob_segments, false},
    {"SQLITE_DBCONFIG_ENABLE_TRIGGER off, UPDATE", CHANGE_35, triggers_off, false},
    {"SQLITE_DBCONFIG_ENABLE_TRIGGER off, DELETE", "DELETE FROM log_rows WHERE id = 35",
     triggers_off, false},
    {"SQLITE_DBCONFIG_ENABLE_TRIGGER off, INSERT", ROW("41"), triggers_off, false},
    {"SQLITE_DBCONFIG_ENABLE_TRIGGER off, the gate opened", OPEN_GATE, triggers_off, false},
    {"SQLITE_LIMIT_TRIGGER_DEPTH 0", CHANGE_35 "\nDELETE FROM log_rows\n" ROW("41") "\n" APPEND,
     no_trigger_depth, false},
    {"SQLITE_DBCONFIG_RESET_DATABASE and VACUUM", "VACUUM", reset_database, false},
    {"ignore_check_constraints, and an entry that a CHECK forbids",
     "PRAGMA ignore_check_constraints = ON\nINSERT INTO log(a, n) VALUES('mine', 5000)", NULL,
     false},
    {"a function rustybt_append_only() of the program's own, INSERT",
     OPEN_GATE "\n" ROW("41") "\n" SHUT_GATE, own_function, false},
    {"a function rustybt_append_only() of the program's own, REPLACE",
     OPEN_GATE "\n" REPLACE_35 "\n" SHUT_GATE, own_function, false},
    {"a function rustybt_append_only() of the program's own, DELETE",
     "UPDATE log_gate SET size = 99 WHERE id = 2\nDELETE FROM log_rows WHERE id = 35\nUPDATE "
     "log_gate SET size = -1 WHERE id = 2",
     own_function, false},
    {"a function rustybt_append_only() of the program's own, the gate left open", OPEN_GATE,
     own_function, false},
    {"a module audit_log of the program's own, DROP or RENAME", "DROP TABLE log", own_module,
     false},
    {"a module audit_log of the program's own, DROP or RENAME", "ALTER TABLE log RENAME TO diary",
     own_module, false},
    {"an authorizer that takes RAISE out of the triggers, UPDATE", CHANGE_35, authorizer_guards,
     false},
    {"an authorizer that takes RAISE out of the triggers, DELETE",
     "DELETE FROM log_rows WHERE id = 35", authorizer_guards, false},
    {"an authorizer that takes RAISE out of the triggers, INSERT", ROW("41"), authorizer_guards,
     false},
    {"an authorizer or a commit hook that makes an append vanish", APPEND, authorizer_writes,
     false},
    {"an authorizer or a commit hook that makes an append vanish", APPEND, commit_hook, false},
    {"ATTACH, and UPDATE, DELETE, INSERT on the storage",
     "UPDATE v.log_rows SET n = 5\nDELETE FROM v.log_rows\nINSERT INTO v.log_rows(id, recorded_at, "
     "a, n) VALUES(41, 9, 'x', 1)\nUPDATE v.log_gate SET size = 0",
     attached, false},
    {"ATTACH, a trigger dropped, UPDATE",
     "DROP TRIGGER v.log_rows_update\nUPDATE v.log_rows SET n = 5", attached, false},
    {"ATTACH, a TEMP trigger with RAISE(IGNORE), and an append",
     "CREATE TEMP TRIGGER x BEFORE INSERT ON v.log_rows BEGIN SELECT RAISE(IGNORE); END\nINSERT "
     "INTO v.log(a, n) VALUES('mine', 1)",
     attached, false},
    {"a changeset for log_rows or log_gate", CHANGE_35, changeset, false},
    {"a changeset for log_rows or log_gate", "DELETE FROM log_rows WHERE id = 35", changeset,
     false},
    {"a changeset for log_rows or log_gate", ROW("41"), changeset, false},
    {"a changeset for log_rows or log_gate", OPEN_GATE, changeset, false},
    {"a changeset for log_meta", META("head", "zeroblob(48)"), changeset, false},
    {"sqlite3_backup of an edited copy over the file", NULL, backup_edited, false},
    {"sqlite3_backup of an older copy over the file †", NULL, backup_older, true},
    {"sqlite_dbpage", NULL, dbpage, false},
    {"log_meta: head or seal changed",
     META("head", "substr(value, 1, 47) || iif(substr(value, 48, 1) = x'ff', x'fe', x'ff') || "
                  "substr(value, 49)"),
     NULL, false},
    {"log_meta: head or seal changed", "DELETE FROM log_meta WHERE key = 'seal'", NULL, false},
    {"log_meta: head or seal changed",
     META("seal", "substr(value, 1, 39) || iif(substr(value, 40) = x'00', x'01', x'00')"), NULL,
     false},
    {"log_meta: the genesis changed",
     META("genesis", "replace(value, 'recorded_at\":1', 'recorded_at\":2')"), NULL, false},
    {"log_meta: pruned_to or archived_to raised", META("pruned_to", "30"), NULL, false},
    {"log_meta: pruned_to lowered", META("pruned_to", "10"), NULL, false},
    {"log_meta: pruned_to or archived_to raised", META("archived_to", "30"), NULL, false},
    {"log_meta emptied", "DELETE FROM log_meta", NULL, false},
    {"log_tree changed or emptied",
     "UPDATE log_tree SET hashes = zeroblob(length(hashes)) WHERE node = (SELECT max(node) FROM "
     "log_tree)",
     NULL, false},
    {"log_tree changed or emptied", "DELETE FROM log_tree", NULL, false},
    {"log_segments: a record changed, deleted or invented",
     "UPDATE log_segments SET rows = rows - 1", NULL, false},
    {"log_segments: a record changed, deleted or invented",
     "UPDATE log_segments SET file = '../x.jsonl.zst'", NULL, false},
    {"log_segments: a record changed, deleted or invented", "DELETE FROM log_segments", NULL,
     false},
    {"log_segments: a record changed, deleted or invented",
     "INSERT INTO log_segments SELECT 21, 30, directory, file, 10, 1, 1, root, manifest_sha256, 1, "
     "1, 'published' FROM log_segments",
     NULL, false},
    {"a hold's record (in rustybt_events) changed or deleted",
     "UPDATE rustybt_events_rows SET detail = '{}'\nDELETE FROM rustybt_events_rows WHERE action = "
     "'subject_hold'",
     NULL, false},
    {"a hold's record deleted after its triggers were dropped",
     "DELETE FROM rustybt_events_rows WHERE action = 'subject_hold'", quietly, false},
    {"bytes of the file changed (hex editor)", NULL, hex_edit, false},
    {"an older copy of the file †", NULL, older_file, true},
    {"an older copy of the file, appended to where rustybt is loaded †", NULL, older_file_goes_on,
     true},
    {"another database in its place, sealed with the same key †", NULL, another_log, true},
    {"all of the log's tables put back to an earlier state †",
     "DELETE FROM log_rows WHERE id > 30\nDELETE FROM log_meta\nINSERT INTO log_meta SELECT * FROM "
     "older.log_meta\nDELETE FROM log_tree\nINSERT INTO log_tree SELECT * FROM older.log_tree",
     old_tables, true},
};

enum { ATTACKS = sizeof attacks / sizeof *attacks };

/* ------------------------------------------------------------------ against the table */

static const char heading[] =
    "| attack | without rustybt | with it | without, DEFENSIVE | with it, DEFENSIVE |";

/* The outcomes that the table promises of an attack; NULL where it has no row. */
static char (*promised(const char *table, const char *name))[64] {
    static char cells[WAYS + 1][64];
    char plain[256];
    for (const char *line = table; line && *line == '|'; line = strchr(line, '\n') + 1) {
        const char *at = line + 1;
        for (int i = 0; i <= WAYS; i++) {
            size_t used = 0;
            char *cell = i ? cells[i - 1] : plain;
            size_t size = i ? sizeof cells[0] : sizeof plain;
            for (; *at != '|' && *at != '\n' && *at; at++)
                if (*at != '`' && used < size - 1) cell[used++] = *at;
            while (used && cell[used - 1] == ' ')
                used--;
            cell[used] = 0;
            memmove(cell, cell + strspn(cell, " "), strlen(cell + strspn(cell, " ")) + 1);
            if (*at == '|') at++;
        }
        if (strcmp(plain, name) == 0) return cells;
    }
    return NULL;
}

/* "detected: kind" is kept when the kind is among those reported. */
static bool keeps(const char *promise, const char *outcome) {
    static const char detected[] = "detected: ";
    size_t prefix = sizeof detected - 1;
    if (strncmp(promise, detected, prefix) != 0) return strcmp(promise, outcome) == 0;
    if (strncmp(outcome, detected, prefix) != 0) return false;
    char kinds[10000], kind[128];
    snprintf(kinds, sizeof kinds, ",%s,", outcome + prefix);
    snprintf(kind, sizeof kind, ",%s,", promise + prefix);
    return strstr(kinds, kind) != NULL;
}

static void run_attack(const attack *a, char *outcome, size_t size) {
    write_file("test.db", base);
    unlink("test.db-journal");
    failures = pending = added = 0;
    sqlite3 *attacker = open_attacker("test.db");
    if (a->act)
        a->act(attacker, a->steps);
    else
        steps(attacker, a->steps);
    if (!sqlite3_get_autocommit(attacker)) step(attacker, "COMMIT");
    if (sqlite3_close(attacker) != SQLITE_OK) bail("the attacker's connection does not close");
    if (a->past) { /* only a checkpoint is to tell */
        judge(outcome, size, false);
        if (strncmp(outcome, "detected", 8) == 0) {
            char found[10000];
            snprintf(found, sizeof found, "%s", outcome);
            snprintf(outcome, size, "without the checkpoint, %.1000s", found);
            return;
        }
    }
    judge(outcome, size, a->past);
}

static void test_attack(const attack *a, const char *table) {
    char(*promise)[64] = promised(table, a->name);
    char name[512];
    bool good = true;
    snprintf(name, sizeof name, "%s: each way of connecting has the outcome of the table%s",
             a->name,
             a->act == dbpage && !has_dbpage() ? " # SKIP this SQLite has no sqlite_dbpage" : "");
    for (int i = 0; i < WAYS; i++) {
        char outcome[10000];
        way = ways[i];
        run_attack(a, outcome, sizeof outcome);
        if (a->act == dbpage && !has_dbpage()) continue;
        if (promise && keeps(promise[i], outcome)) continue;
        good = false;
        printf("# %s %s%s: %s, not %s\n", a->name, way.extension ? "with" : "without",
               way.defensive ? ", DEFENSIVE" : "", outcome, promise ? promise[i] : "(no row)");
    }
    ok(good, name);
}

static int distinct_names(void) {
    int count = 0;
    for (int i = 0; i < ATTACKS; i++) {
        int k = 0;
        while (strcmp(attacks[k].name, attacks[i].name) != 0)
            k++;
        count += k == i;
    }
    return count;
}

int main(void) {
    const char *path = getenv("ATTACK_TABLE");
    file_bytes readme = read_file(path ? path : "README.md");
    readme.data = realloc(readme.data, readme.length + 1);
    if (!readme.data) bail("no memory");
    readme.data[readme.length] = 0;
    plan(ATTACKS + 2);
    const char *table = strstr(readme.data, heading);
    ok(table != NULL, "README has the table of attacks");
    int rows = -2; /* the heading, and the line below it */
    for (const char *line = table; line && *line == '|'; line = strchr(line, '\n') + 1)
        rows++;
    is_int(rows, distinct_names(), "with a row for each kind of attack, and no other");
    enter_folder();
    make_base();
    for (int i = 0; i < ATTACKS; i++)
        test_attack(&attacks[i], table);
    leave_folder();
    free(base.data);
    free(older.data);
    free(another.data);
    free(readme.data);
    return done();
}
