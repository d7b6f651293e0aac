/* SPDX-License-Identifier: MIT
** Decisions of a rate limit a second: rustybt's memory and file stores through SQL, and Redis with a
** GCRA script over one connection to its Unix socket.
**
**     limits_bench extension folder [redis.sock]
**
** All decide one by one, each in a statement or a command of its own: SELECT rate_allow(?1, ?2), EVALSHA
** script 1 key. Contestants take turns in rounds, so that other load on the machine meets all alike; of
** each the best round counts. Prints a line for each: name, tab, microseconds of wall time a decision.
** The Redis client is this program's own, without a library: it writes a command and reads the answer.
*/
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FEW = 1000, MANY = 1000000, ROUNDS = 7 };

static sqlite3 *db;
static sqlite3_stmt *allow;
static int redis = -1;
static char script_hash[41];

/* The generic cell rate algorithm; times in microseconds of Redis' own clock. */
static const char script[] =
    "local now = redis.call('TIME') now = now[1] * 1000000 + now[2] "
    "local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2]) "
    "local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + interval "
    "if arrival - now > interval * burst then return 0 end "
    "redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', "
    "math.ceil((arrival - now) / 1000)) "
    "return 1";

static void fail(const char *what) {
    fprintf(stderr, "limits_bench: %s\n", what);
    exit(1);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Keys in an order that no cache foresees; every one of count comes once in count numbers. */
static unsigned scattered(unsigned number, unsigned count) {
    return (unsigned)((unsigned long long)number * 7368787u % count); /* a prime */
}

/* ------------------------------------------------------------------------------------ rustybt */

static void run(const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) fail(message);
}

static void open_database(const char *extension, const char *folder) {
    char *message = NULL, sql[500];
    if (sqlite3_open(":memory:", &db) != SQLITE_OK) fail("cannot open a database");
    sqlite3_enable_load_extension(db, 1);
    if (sqlite3_load_extension(db, extension, NULL, &message) != SQLITE_OK) fail(message);
    static const char *const stores[][2] = {{"few", "memory"}, {"many", "memory"}, {"file", NULL}};
    for (int i = 0; i < 3; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/limits.db", folder);
        snprintf(sql, sizeof sql,
                 "SELECT rate_policy('{\"name\": \"%s\", \"algorithm\": \"bucket\", \"quota\": "
                 "1000000, \"period\": \"1 hour\", \"store\": \"%s\"}')",
                 stores[i][0], stores[i][1] ? stores[i][1] : path);
        run(sql);
    }
    if (sqlite3_prepare_v2(db, "SELECT rate_allow(?1, ?2)", -1, &allow, NULL) != SQLITE_OK)
        fail(sqlite3_errmsg(db));
}

static void decide(const char *policy, unsigned key) {
    char text[24];
    int length = snprintf(text, sizeof text, "user:%u", key);
    sqlite3_bind_text(allow, 1, policy, -1, SQLITE_STATIC);
    sqlite3_bind_text(allow, 2, text, length, SQLITE_STATIC);
    if (sqlite3_step(allow) != SQLITE_ROW || sqlite3_column_int(allow, 0) != 1)
        fail(sqlite3_errmsg(db));
    sqlite3_reset(allow);
}

/* -------------------------------------------------------------------------------------- Redis */

static void send_all(const char *text, size_t length) {
    while (length > 0) {
        ssize_t sent = write(redis, text, length);
        if (sent <= 0) fail("cannot write to Redis");
        text += sent;
        length -= (size_t)sent;
    }
}

/* One read: answers here are a few bytes, and Redis sends them at once. */
static size_t receive(char *answer, size_t size) {
    ssize_t got = read(redis, answer, size - 1);
    if (got <= 0) fail("Redis does not answer");
    answer[got] = 0;
    if (answer[0] == '-') fail(answer);
    return (size_t)got;
}

static void open_redis(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char command[2000], answer[100];
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    redis = socket(AF_UNIX, SOCK_STREAM, 0);
    if (redis < 0 || connect(redis, (struct sockaddr *)&address, sizeof address) != 0)
        fail("cannot connect to Redis");
    int length =
        snprintf(command, sizeof command, "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$%zu\r\n%s\r\n",
                 strlen(script), script);
    send_all(command, (size_t)length);
    if (receive(answer, sizeof answer) < 45) fail("Redis does not take the script");
    memcpy(script_hash, answer + 5, 40); /* behind "$40\r\n" */
}

static void decide_in_redis(const char *policy, unsigned key) {
    char command[300], answer[100], name[24];
    (void)policy;
    int length = snprintf(name, sizeof name, "user:%u", key);
    length = snprintf(command, sizeof command,
                      "*6\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n1\r\n$%d\r\n%s\r\n$4\r\n3600\r\n"
                      "$7\r\n1000000\r\n",
                      script_hash, length, name);
    send_all(command, (size_t)length);
    receive(answer, sizeof answer);
    if (strcmp(answer, ":1\r\n") != 0) fail("Redis refuses");
}

/* ------------------------------------------------------------------------------------- rounds */

typedef struct contestant {
    const char *name, *policy;
    void (*decide)(const char *policy, unsigned key);
    unsigned keys, decisions; /* decisions a round */
    double best_us;
    unsigned next;
} contestant;

static void take_turn(contestant *c) {
    double start = seconds();
    for (unsigned i = 0; i < c->decisions; i++)
        c->decide(c->policy, scattered(c->next++, c->keys));
    double us = (seconds() - start) / c->decisions * 1e6;
    if (c->best_us == 0 || us < c->best_us) c->best_us = us;
}

int main(int count, char **arguments) {
    static contestant contestants[] = {
        {"memory, 1000 keys", "few", decide, FEW, 300000, 0, 0},
        {"memory, 1000000 keys", "many", decide, MANY, 300000, 0, 0},
        {"file, 1000 keys", "file", decide, FEW, 20000, 0, 0},
        {"redis, 1000 keys", NULL, decide_in_redis, FEW, 20000, 0, 0},
    };
    if (count < 3) fail("limits_bench extension folder [redis.sock]");
    open_database(arguments[1], arguments[2]);
    int contestant_count = 3;
    if (count > 3) {
        open_redis(arguments[3]);
        contestant_count = 4;
    }
    for (unsigned i = 0; i < MANY; i++)
        decide("many", i);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < contestant_count; i++)
            take_turn(&contestants[i]);
    for (int i = 0; i < contestant_count; i++)
        printf("%s\t%.4f\n", contestants[i].name, contestants[i].best_us);
    sqlite3_finalize(allow);
    sqlite3_close(db);
    return 0;
}
