/* SPDX-License-Identifier: MIT
** Telling what stored values are, counting them within bounds, the blind index's known bytes; and the
** table key_usage when memory runs out.
*/
#include "failing_memory.h"

#include "log_fixture.h"

#include "audit/usage_tally.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "crypto/blind_index.h"
#include "crypto/envelope.h"
#include "crypto/fernet.h"

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

static const uint8_t id_a[] = {0xfe, 0x6b, 0x3e, 0x11, 0x5b, 0x09, 0x92, 0x39};
static const uint8_t id_lost[] = {1, 2, 3, 4, 5, 6, 7, 8};

static rbt_keys *parse(const char *ring) {
    rbt_error error = {0};
    rbt_keys *keys = rbt_keys_parse(ring, NULL, "test", &error);
    if (keys == NULL) bail(error.message);
    return keys;
}

/* Bytes that look like an envelope. */
static void fill_envelope(uint8_t *bytes, uint8_t kind, const uint8_t *id, uint64_t seconds) {
    memset(bytes, 0, RBT_ENVELOPE_OVERHEAD);
    rbt_envelope_header(bytes, kind, id, seconds);
}

/* A copy of exactly that size on the heap, so that a byte read too far is noticed. */
static rbt_usage usage_of(const void *bytes, size_t length, bool is_text, const rbt_keys *keys) {
    rbt_usage usage;
    rbt_buffer scratch = {0};
    uint8_t *copy = malloc(length ? length : 1);
    if (copy == NULL) bail("no memory");
    if (length) memcpy(copy, bytes, length);
    if (!rbt_usage_of(&usage, copy, length, is_text, keys, &scratch)) bail("no memory");
    rbt_buffer_free(&scratch);
    free(copy);
    return usage;
}

static void test_blind_index(const rbt_keys *keys) {
    uint8_t index[RBT_BLIND_INDEX_SIZE];
    char hex[2 * RBT_BLIND_INDEX_SIZE + 1];
    const char *context = "users.email", *value = "a@b.example";
    rbt_blind_index(index, rbt_keys_at(keys, 0), (const uint8_t *)context, strlen(context),
                    RBT_VALUE_TEXT, (const uint8_t *)value, strlen(value));
    rbt_hex_encode(hex, index, sizeof index);
    is_text(hex, "fe6b3e115b09923968e3029c14a61ddfdbc87d4682368a4e",
            "the blind index is the one of the vectors");
    rbt_usage usage = usage_of(index, sizeof index, false, keys);
    ok(usage.format == RBT_USAGE_BLIND_INDEX && usage.has_key && !usage.has_time,
       "it is told by the id of a ring key");
    is_bytes(usage.key_id, id_a, 8, "which it names");
    usage = usage_of(index, sizeof index, true, keys);
    is_int(usage.format, RBT_USAGE_NONE, "as TEXT it is none");
    usage = usage_of(index, sizeof index - 1, false, keys);
    is_int(usage.format, RBT_USAGE_NONE, "nor is one that is a byte short");
    rbt_keys *other = parse(KEY_B);
    usage = usage_of(index, sizeof index, false, other);
    ok(usage.format == RBT_USAGE_MAYBE_BLIND_INDEX && memcmp(usage.key_id, id_a, 8) == 0,
       "under a key outside the ring it might be one");
    rbt_keys_free(other);
}

static void test_envelopes(const rbt_keys *keys) {
    uint8_t bytes[RBT_ENVELOPE_OVERHEAD + 100];
    const rbt_usage_format formats[] = {RBT_USAGE_ENVELOPE, RBT_USAGE_SUBJECT,
                                        RBT_USAGE_SUBJECT_KEY, RBT_USAGE_NONE, RBT_USAGE_NONE};
    int wrong = 0;
    memset(bytes, 0, sizeof bytes);
    for (uint8_t kind = 1; kind <= 5; kind++) {
        fill_envelope(bytes, kind, id_lost, 1700000000);
        for (size_t length = RBT_ENVELOPE_OVERHEAD; length <= sizeof bytes; length++) {
            rbt_usage usage = usage_of(bytes, length, length % 2, keys);
            rbt_usage_format format = formats[kind - 1];
            bool named = format == RBT_USAGE_ENVELOPE || format == RBT_USAGE_SUBJECT_KEY;
            wrong += usage.format != format || usage.has_key != named ||
                     (named && memcmp(usage.key_id, id_lost, 8) != 0) ||
                     usage.has_time != (format != RBT_USAGE_NONE) ||
                     (usage.has_time && usage.time_us != 1700000000000000);
        }
    }
    is_int(wrong, 0, "kinds 1 to 3 of any length, as BLOB and TEXT, with key and time; no others");
    wrong = 0;
    fill_envelope(bytes, 1, id_a, 0);
    for (size_t length = 0; length < RBT_ENVELOPE_OVERHEAD; length++)
        wrong += length != RBT_BLIND_INDEX_SIZE &&
                 usage_of(bytes, length, false, keys).format != RBT_USAGE_NONE;
    is_int(wrong, 0, "one that is cut short is none");
    const uint64_t seconds[] = {INT64_MAX / 1000000, INT64_MAX / 1000000 + 1, UINT64_MAX};
    const int64_t times[] = {INT64_MAX / 1000000 * 1000000, INT64_MAX, INT64_MAX};
    for (int i = 0; i < 3; i++) {
        fill_envelope(bytes, 1, id_a, seconds[i]);
        wrong += usage_of(bytes, RBT_ENVELOPE_OVERHEAD, false, keys).time_us != times[i];
    }
    is_int(wrong, 0, "times beyond 64 bits of microseconds saturate");
    is_text(rbt_usage_format_name(RBT_USAGE_SUBJECT_KEY), "subject_key", "formats have names");
    is_text(rbt_usage_format_name(RBT_USAGE_MAYBE_BLIND_INDEX), NULL, "but what is none has not");
}

static void test_fernet(const rbt_keys *keys) {
    static const uint8_t iv[16], plaintext[] = "secret";
    rbt_buffer token = {0}, scratch = {0};
    const rbt_ring_key *second = rbt_keys_at(keys, 1);
    rbt_usage usage;
    if (!rbt_fernet_seal(&token, 1700000000, iv, second->fernet_sign, &second->fernet_schedule,
                         plaintext, sizeof plaintext))
        bail("no token");
    usage = usage_of(token.data, token.length, true, keys);
    ok(usage.format == RBT_USAGE_FERNET && usage.has_time && usage.time_us == 1700000000000000,
       "a Fernet token is told, and its time");
    ok(usage.has_key && memcmp(usage.key_id, second->id, 8) == 0, "and the ring key that made it");
    rbt_keys *other = parse(KEY_A);
    usage = usage_of(token.data, token.length, false, other);
    ok(usage.format == RBT_USAGE_FERNET && !usage.has_key, "a key outside the ring is not known");
    rbt_keys_free(other);
    int wrong = 0;
    for (size_t length = 0; length < token.length; length++)
        wrong += length != RBT_BLIND_INDEX_SIZE && length != token.length - 2 &&
                 usage_of(token.data, length, false, keys).format != RBT_USAGE_NONE;
    token.data[token.length / 2] = '+';
    wrong += usage_of(token.data, token.length, false, keys).format != RBT_USAGE_NONE;
    is_int(wrong, 0, "one that is cut short or in another alphabet is none");
    token.data[token.length / 2] = 'A';
    failing_memory_at(1);
    bool told = rbt_usage_of(&usage, token.data, token.length, false, keys, &scratch);
    failing_memory_at(0);
    ok(!told, "lack of memory is no answer");
    told = rbt_usage_of(&usage, token.data, token.length, false, keys, &scratch);
    ok(told && usage.format == RBT_USAGE_FERNET, "and does not last");
    rbt_buffer_free(&token);
    rbt_buffer_free(&scratch);
}

/* Hostile data: as many key ids as values. */
static void test_bounds(const rbt_keys *keys) {
    rbt_usage_tally tally = {.keys = keys};
    rbt_usage usage = {.format = RBT_USAGE_ENVELOPE, .has_key = true};
    enum { COLUMNS = 150, VALUES = 200 };
    rbt_usage_table *table = rbt_usage_add_table(&tally, "main", "t", false);
    for (uint64_t c = 0; table && c < COLUMNS; c++) {
        rbt_usage_column *column = rbt_usage_add_column(&tally, "c");
        for (uint64_t v = 0; column && v < VALUES; v++) {
            rbt_store_u64be(usage.key_id, 1 + v % 150 + 1000 * c);
            rbt_usage_add(&tally, column, &usage);
        }
    }
    ok(!tally.failed && table && table->count == COLUMNS,
       "30,000 values of 22,500 keys are counted");
    is_int(tally.foreign, RBT_USAGE_FOREIGN_TOTAL, "with as many ids as the whole may have");
    is_int(table->columns[0].count, RBT_USAGE_FOREIGN_PER_COLUMN + 1, "and as a column may have");
    rbt_usage_sort(&table->columns[0]);
    const rbt_usage_count *first = &table->columns[0].counts[0], *last = first + 100;
    ok(first->rows == 2 && first->key_id[7] == 1 && last->key == RBT_USAGE_KEY_OTHER &&
           last->rows == 50,
       "in order, the others in one count at the end");
    is_int(table->columns[COLUMNS - 1].counts[0].rows, VALUES, "which the last columns have alone");
    memcpy(usage.key_id, id_a, 8);
    rbt_usage_add(&tally, &table->columns[COLUMNS - 1], &usage);
    rbt_usage_sort(&table->columns[COLUMNS - 1]);
    ok(memcmp(table->columns[COLUMNS - 1].counts[0].key_id, id_a, 8) == 0,
       "the ring's keys are counted by name even so");
    size_t count;
    uint8_t *ids = rbt_usage_foreign_ids(&tally, &count);
    uint8_t id[8];
    rbt_store_u64be(id, 1001);
    bool found = rbt_usage_is_among(ids, count, id);
    ok(count == RBT_USAGE_FOREIGN_TOTAL && found && !rbt_usage_is_among(ids, count, id_a),
       "the foreign ids are found again, the ring's are not among them");
    rbt_free(ids);
    rbt_usage_tally_free(&tally);
}

/* Each allocation of the whole query fails in turn. */
static void test_memory(void) {
    db = open_log_database("memory.db");
    must("CREATE TABLE t(a, b); CREATE TABLE empty(a);"
         "INSERT INTO t VALUES(encrypt('x'), fernet_encrypt('x')), (blind_index('x', 'c'), 1);"
         "CREATE VIRTUAL TABLE log USING audit_log(a BLOB);"
         "INSERT INTO log(a) VALUES(encrypt('x')), (blind_index('x', 'c'))");
    sqlite3_close(db);
    setenv("RUSTYBT_ENCRYPTION_KEY", KEY_B, 1); /* so that there is a second look */
    int wrong = 0, finished = 0;
    long allocation = 0;
    while (!finished && allocation < 10000) {
        sqlite3_stmt *statement = NULL;
        db = open_log_database("memory.db");
        if (sqlite3_prepare_v2(db, "SELECT sum(rows) FROM key_usage", -1, &statement, NULL) !=
            SQLITE_OK)
            bail("no statement");
        failing_memory_at(++allocation);
        int code = sqlite3_step(statement);
        int hit = failing_memory_hit;
        failing_memory_at(0);
        if (code == SQLITE_ROW ? sqlite3_column_int(statement, 0) != 6 : code != SQLITE_NOMEM) {
            printf("# allocation %ld: %d %s\n", allocation, code, sqlite3_errmsg(db));
            wrong++;
        }
        sqlite3_finalize(statement);
        if (number("SELECT sum(rows) FROM key_usage") != 6) wrong++;
        if (sqlite3_close(db) != SQLITE_OK) wrong++;
        db = NULL;
        finished = !hit;
    }
    printf("# %ld allocations\n", allocation - 1);
    ok(finished && allocation > 100, "the query ends once nothing fails");
    is_int(wrong, 0, "without memory it says so, and never counts short");
}

int main(void) {
    plan(26);
    if (failing_memory_install() != SQLITE_OK || !rbt_crypto_init()) return 1;
    enter_folder();
    rbt_keys *keys = parse(KEY_A "," KEY_B);
    test_blind_index(keys);
    test_envelopes(keys);
    test_fernet(keys);
    test_bounds(keys);
    test_memory();
    rbt_keys_free(keys);
    leave_folder();
    return done();
}
