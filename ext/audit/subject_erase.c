/* SPDX-License-Identifier: MIT
** See subject_erase.h. May call base, crypto and audit.
**
** Where old bytes of a row could outlive it, and what is done about each:
**
**   the page itself     overwritten in place, then secure_delete, which also zeroes freed cells and pages
**   the WAL             wal_checkpoint(TRUNCATE)
**   a kept journal      journal_size_limit=0 empties it at COMMIT (journal_mode=PERSIST, exclusive mode)
**   anything else       old copies from when others rewrote pages without secure_delete: searched for
**
** After the COMMIT nothing is an error any more: the subject is forgotten, and the report says how far.
*/
#include "subject_erase.h"

#include "../base/bytes.h"
#include "../base/clock.h"
#include "../base/memory.h"
#include "../base/sql_util.h"
#include "../base/transaction.h"
#include "events.h"
#include "subject_hold.h"
#include "subject_search.h"

/* What the caller's connection was set to. */
typedef struct settings {
    int64_t secure_delete, journal_limit;
} settings;

static int read_pragma(sqlite3 *db, const char *sql, int64_t *value, const char *who,
                       rbt_error *error) {
    sqlite3_stmt *query = rbt_prepare(db, error, who, "%s", sql);
    if (query && sqlite3_step(query) == SQLITE_ROW) *value = sqlite3_column_int64(query, 0);
    if (sqlite3_finalize(query) != SQLITE_OK) rbt_fail_db(error, db, who);
    return error->code;
}

enum { UNKNOWN = -2 }; /* journal_size_limit is -1 for none */

static int set_up(sqlite3 *db, settings *before, const char *who, rbt_error *error) {
    *before = (settings){-1, UNKNOWN};
    if (rbt_secure_delete_on(db, &before->secure_delete, who, error) != SQLITE_OK)
        return error->code;
    read_pragma(db, "PRAGMA main.journal_size_limit", &before->journal_limit, who, error);
    return rbt_execute(db, error, who, "PRAGMA main.journal_size_limit = 0");
}

static void restore(sqlite3 *db, const settings *before) {
    rbt_error ignored = {0}; /* what stays set costs time, and no safety */
    rbt_secure_delete_restore(db, before->secure_delete);
    if (before->journal_limit != UNKNOWN)
        rbt_execute(db, &ignored, "subject_forget", "PRAGMA main.journal_size_limit = %lld",
                    (long long)before->journal_limit);
    rbt_error_clear(&ignored);
}

/* Refuses when a hold stands on any of the rows. */
static int check_holds(rbt_connection *connection, const rbt_subject_rows *rows, const char *who,
                       rbt_error *error) {
    rbt_holds holds = {0};
    rbt_subject_holds_read(connection, &holds, who, error);
    for (size_t i = 0; i < holds.count && error->code == SQLITE_OK; i++) {
        for (size_t k = 0; k < rows->count; k++) {
            const rbt_hold *hold = &holds.items[i];
            char since[RBT_TIME_TEXT_SIZE];
            if (memcmp(hold->sid, rows->rows[k].key.sid, RBT_SUBJECT_ID_SIZE) != 0) continue;
            rbt_time_to_text(since, hold->since_us);
            rbt_fail(error, SQLITE_ERROR,
                     "%s: hold %lld of %s keeps the subject: %s; subject_release(%lld, reason) "
                     "ends the hold",
                     who, (long long)hold->id, since, hold->reason, (long long)hold->id);
        }
    }
    rbt_holds_free(&holds);
    return error->code;
}

/* Appends the event; *entry: OUT, its number. */
static int record(rbt_connection *connection, const rbt_subject_row *row, int64_t *entry,
                  const char *who, rbt_error *error) {
    rbt_buffer detail = {0};
    rbt_buffer_add_text(&detail, "{\"sid\":\"");
    rbt_buffer_add_hex(&detail, row->key.sid, RBT_SUBJECT_ID_SIZE);
    rbt_buffer_add_text(&detail, "\"}");
    if (rbt_events_add(connection, "main", "subject_forget", RBT_SUBJECT_TABLE, &detail, who,
                       error) == SQLITE_OK)
        *entry = sqlite3_last_insert_rowid(connection->db);
    rbt_buffer_free(&detail);
    return error->code;
}

/* One transaction: find, ask for holds, destroy, record. */
static int destroy(rbt_connection *connection, rbt_subject_name subject, rbt_subject_rows *found,
                   int64_t *entry, const char *who, rbt_error *error) {
    rbt_transaction own = {0};
    if (rbt_transaction_begin_durable(&own, connection->db, "main", who, error) != SQLITE_OK)
        return error->code;
    if (rbt_subject_find(connection, subject, found, who, error) == SQLITE_OK && found->count == 0)
        rbt_fail(error, SQLITE_ERROR,
                 "%s: the subject has no key here: it was forgotten before, or nothing was "
                 "encrypted for it under this name",
                 who);
    if (error->code == SQLITE_OK) check_holds(connection, found, who, error);
    if (error->code == SQLITE_OK) rbt_events_prepare(connection, "main", who, error);
    for (size_t i = 0; i < found->count && error->code == SQLITE_OK; i++)
        if (rbt_subject_destroy(connection, &found->rows[i], rbt_clock_us(), who, error) ==
            SQLITE_OK)
            record(connection, &found->rows[i], entry, who, error);
    return rbt_transaction_end(&own, who, error);
}

/* Empties the WAL; false when a reader or another checkpoint keeps it. In other modes there is none. */
static bool empty_wal(sqlite3 *db, bool *is_wal) {
    int frames = -1, done = -1;
    int code = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, &frames, &done);
    *is_wal = frames >= 0 || code != SQLITE_OK;
    return code == SQLITE_OK;
}

static void add_places(rbt_buffer *report, const rbt_traces *traces) {
    const char *join = "";
    if (traces->database_page >= 0) {
        rbt_buffer_printf(report, "in page %lld of the database file",
                          (long long)traces->database_page);
        join = " and ";
    }
    if (traces->wal_byte >= 0) {
        rbt_buffer_printf(report, "%sin the WAL, at byte %lld", join, (long long)traces->wal_byte);
        join = " and ";
    }
    if (traces->journal_byte >= 0)
        rbt_buffer_printf(report, "%sin the rollback journal, at byte %lld", join,
                          (long long)traces->journal_byte);
}

/* What was found, and what to do. */
static void add_findings(rbt_buffer *report, const rbt_traces *traces, bool is_wal, bool emptied) {
    bool found = traces->database_page >= 0 || traces->wal_byte >= 0 || traces->journal_byte >= 0;
    if (!traces->has_file) {
        rbt_buffer_add_text(report, "; its key is gone; the database has no file");
    } else if (!found && emptied) {
        rbt_buffer_printf(report,
                          "; its key is gone from the database file, its free pages and "
                          "its %s; backups and replicas made before still hold it",
                          is_wal ? "WAL" : "journal");
    } else {
        rbt_buffer_add_text(report, found ? ", but its key still stands "
                                          : "; no trace of its key was found");
        add_places(report, traces);
        if (!emptied)
            rbt_buffer_add_text(report, "; the WAL is in use: when its readers have ended, run "
                                        "PRAGMA wal_checkpoint(TRUNCATE)");
        else if (traces->database_page >= 0)
            rbt_buffer_printf(report,
                              "; an old copy of the row is there: run VACUUM%s; if "
                              "key_usage shows a subject_key in another table, delete it first",
                              is_wal ? ", then PRAGMA wal_checkpoint(TRUNCATE)" : "");
        else if (traces->wal_byte >= 0)
            rbt_buffer_add_text(report, "; run PRAGMA wal_checkpoint(TRUNCATE)");
        else
            rbt_buffer_add_text(report, "; run PRAGMA journal_mode = TRUNCATE, then PRAGMA "
                                        "journal_mode = DELETE");
    }
}

/* Looks whether the key is gone, and says so. */
static void look(rbt_connection *connection, const rbt_subject_rows *rows, bool is_wal,
                 bool emptied, rbt_buffer *report, const char *who) {
    rbt_destroyed_keys destroyed = {.count = rows->count};
    rbt_destroyed_key *items = rbt_calloc(rows->count * sizeof *items);
    rbt_error error = {0};
    rbt_traces traces;
    if (items == NULL) rbt_fail_nomem(&error);
    destroyed.keys = rbt_connection_ring(connection, who, &error);
    if (error.code == SQLITE_OK) {
        rbt_keys_retain(destroyed.keys);
        for (size_t i = 0; i < rows->count; i++) {
            memcpy(items[i].sid, rows->rows[i].key.sid, sizeof items[i].sid);
            memcpy(items[i].wrapped, rows->rows[i].wrapped, sizeof items[i].wrapped);
        }
        destroyed.items = items;
        if (rbt_subject_search(connection->db, &destroyed, &traces, who, &error) == SQLITE_OK)
            add_findings(report, &traces, is_wal, emptied);
        rbt_keys_free((rbt_keys *)destroyed.keys);
    }
    if (error.code != SQLITE_OK)
        rbt_buffer_printf(report,
                          ", but it is not known whether its key is gone from the files: %s",
                          error.message ? error.message : "out of memory");
    rbt_error_clear(&error);
    rbt_free(items);
}

int rbt_subject_forget(rbt_connection *connection, rbt_subject_name subject, rbt_buffer *report,
                       const char *who, rbt_error *error) {
    rbt_subject_rows found = {0};
    settings before;
    int64_t entry = 0;
    if (set_up(connection->db, &before, who, error) == SQLITE_OK &&
        destroy(connection, subject, &found, &entry, who, error) == SQLITE_OK) {
        bool is_wal, emptied = empty_wal(connection->db, &is_wal);
        rbt_buffer_add_text(report, "subject ");
        for (size_t i = 0; i < found.count; i++) {
            if (i > 0) rbt_buffer_add_text(report, " and ");
            rbt_buffer_add_hex(report, found.rows[i].key.sid, RBT_SUBJECT_ID_SIZE);
        }
        rbt_buffer_printf(report, " is forgotten (entry %lld of " RBT_EVENTS_LOG ")",
                          (long long)entry);
        look(connection, &found, is_wal, emptied, report, who);
    }
    rbt_subject_rows_free(&found);
    restore(connection->db, &before);
    return error->code;
}
