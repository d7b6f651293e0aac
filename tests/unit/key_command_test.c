/* SPDX-License-Identifier: MIT
** Keys that a command prints: how its text is split, what it finds around it, every way in which it
** fails, and that nothing of it is left behind: no process, no descriptor, no key in a message.
*/
#include "failing_memory.h"
#include "tap.h"

#include "crypto/key_command.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARIABLE "RUSTYBT_SIGNING_KEY_COMMAND"
#define LIMIT "RUSTYBT_KEY_COMMAND_TIMEOUT"
#define SAYS "encrypt: the command of " VARIABLE " "

static bool steal_children; /* stands for a host that waits for every child */

/* Takes the place of libc's in this program. */
int waitid(idtype_t type, id_t id, siginfo_t *info, int options) {
    if (steal_children) waitpid((pid_t)id, NULL, 0);
    return (int)syscall(SYS_waitid, type, id, info, options, NULL);
}

/* What a command gives: its line, or the message. */
static const char *gives(const char *command) {
    static _Thread_local char result[512];
    rbt_error error = {0};
    rbt_buffer out = {.secret = true};

    if (rbt_key_command_read(&out, command, VARIABLE, "encrypt", &error) == SQLITE_OK) {
        const char *text = rbt_buffer_text(&out);
        snprintf(result, sizeof result, "%s", text ? text : "(no text)");
    } else {
        snprintf(result, sizeof result, "%s", error.message ? error.message : "(no message)");
        if (out.data != NULL) snprintf(result, sizeof result, "(output was kept)");
    }
    rbt_buffer_free(&out);
    rbt_error_clear(&error);
    return result;
}

/* ------------------------------------------------------------------------------------- words */

/* The words of a command between [ and ], or the message. */
static const char *words_of(const char *command) {
    static char result[256];
    rbt_error error = {0};
    rbt_buffer words = {.secret = true};
    size_t count = 0, length = 0;

    result[0] = 0;
    if (rbt_key_command_split(&words, &count, command, VARIABLE, "encrypt", &error) == SQLITE_OK) {
        const char *word = (const char *)words.data;
        for (size_t i = 0; i < count; i++, word += strlen(word) + 1)
            length += (size_t)snprintf(result + length, sizeof result - length, "[%s]", word);
        if (word != (const char *)words.data + words.length) return "(bytes were left)";
    } else {
        snprintf(result, sizeof result, "%s", error.message);
    }
    rbt_buffer_free(&words);
    rbt_error_clear(&error);
    return result;
}

static void test_words(void) {
    is_text(words_of("a"), "[a]", "one word");
    is_text(words_of("  aws kms\tdecrypt \n --query Plaintext "),
            "[aws][kms][decrypt][--query][Plaintext]", "blanks separate words");
    is_text(words_of("a 'b c' \"d e\" f\\ g"), "[a][b c][d e][f g]", "three ways to write a blank");
    is_text(words_of("--pin='x y'z"), "[--pin=x yz]", "parts without a blank make one word");
    is_text(words_of("a '' \"\""), "[a][][]", "a word may be empty");
    is_text(words_of("'a\\b\"c' \"d'e\""), "[a\\b\"c][d'e]",
            "in single quotation marks all stands for itself");
    is_text(words_of("\"a\\\"b\\\\c\\d\\$\""), "[a\"b\\c\\d\\$]",
            "in double ones a backslash is special before \" and \\ alone");
    is_text(words_of("a\\'b \\\"c\\\\ \\\n"), "[a'b][\"c\\][\n]",
            "outside it takes the meaning from any character");
    is_text(words_of("echo $HOME `id` $(id) * ~ > x | y ; z & # k"),
            "[echo][$HOME][`id`][$(id)][*][~][>][x][|][y][;][z][&][#][k]",
            "nothing is expanded, redirected or joined");
    is_text(words_of("a 'b"),
            "encrypt: " VARIABLE " opens a quotation that it does not close; "
            "close it",
            "a quotation that is not closed");
    is_text(words_of("a \"b\\\""),
            "encrypt: " VARIABLE " opens a quotation that it does not "
            "close; close it",
            "nor closed by a mark behind a backslash");
    is_text(words_of("a b\\"),
            "encrypt: " VARIABLE " ends with a backslash; double it, or remove "
            "it",
            "a backslash before nothing");
    is_text(words_of(" \t\n"), "encrypt: " VARIABLE " holds no command, only blanks", "no word");
}

/* ----------------------------------------------------------------------------------- success */

static void test_lines(void) {
    is_text(gives("echo KEY"), "KEY", "a line is read, without its end");
    is_text(gives("printf KEY"), "KEY", "which it need not have");
    is_text(gives("printf 'KEY\\r\\n'"), "KEY", "or which may be that of Windows");
    is_text(gives("printf '  K E Y '"), "  K E Y ", "blanks are left to the reader of keys");
    is_text(gives("echo $HOME '*'"), "$HOME *", "no shell has a look at it");
    is_text(gives("sh -c 'exec >&-; exit 0'"), SAYS "printed nothing, expected the key on one line",
            "one that closes its output and ends");
    is_text(gives("sh -c 'echo KEY; exec >&-; sleep 0.1'"), "KEY",
            "one that closes its output before it ends");
    is_text(gives("sh -c '(sleep 0.1; echo KEY) &'"), "KEY",
            "one whose child prints the key after it has ended");
    is_text(gives("sh -c 'printf K; sleep 0.1; printf E; sleep 0.1; echo Y'"), "KEY",
            "one that prints in pieces");
    const char *longest = gives("sh -c \"head -c 65536 /dev/zero | tr '\\0' a\"");
    ok(strspn(longest, "a") == 511, "64 KiB are read");
}

/* -------------------------------------------------------------------------------- around it */

static void ignore_alarm(int signal) {
    (void)signal;
}

static void test_surroundings(void) {
    char said[16] = "";
    int inherited = open("/dev/null", O_WRONLY), saved = dup(STDERR_FILENO), ends[2];

    is_text(gives("cat"), SAYS "printed nothing, expected the key on one line",
            "its standard input is empty");
    ok(dup2(inherited, 9) == 9 && strcmp(gives("sh -c '{ echo x >&9; } 2>&- && echo open || echo "
                                               "closed'"),
                                         "closed") == 0,
       "it has no other descriptor of this program");
    close(9);
    close(inherited);
    ok(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) >= 0 &&
           strcmp(gives("sh -c 'echo why >&2; echo KEY'"), "KEY") == 0,
       "its standard error is not taken for the key");
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    ok(read(ends[0], said, sizeof said - 1) == 4 && strcmp(said, "why\n") == 0,
       "but goes where this program's goes");
    close(ends[0]);
    close(saved);

    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    signal(SIGPIPE, SIG_IGN);
    is_text(gives("sed -n 's/^SigBlk:\t//p' /proc/self/status"), "0000000000000000",
            "it blocks no signal, whatever this program does");
    /* glibc has the two signals of its own, 32 and 33, ignored in what it spawns */
    const unsigned long long standard = 0x7fffffff;
    const char *mask = gives("sed -n 's/^SigIgn:\t/0x/p' /proc/self/status");
    ok(strncmp(mask, "0x", 2) == 0 && (strtoull(mask, NULL, 16) & standard) == 0,
       "and ignores none");
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    is_text(gives("sh -c 'read pid name state parent group session rest < /proc/self/stat; "
                  "[ $pid = $group ] && [ $pid = $session ] && echo own'"),
            "own", "it has a process group and a session of its own");
    setenv("RBT_TEST_SETTING", "from the host", 1);
    is_text(gives("printenv RBT_TEST_SETTING"), "from the host", "it has the host's environment");
    unsetenv("RBT_TEST_SETTING");

    struct sigaction alarm_action = {.sa_handler = ignore_alarm}; /* no SA_RESTART: EINTR */
    const struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &alarm_action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    const char *got = gives("sh -c 'sleep 0.1; echo KEY; exec >&-; sleep 0.1'");
    setitimer(ITIMER_REAL, &never, NULL);
    is_text(got, "KEY", "signals that arrive meanwhile do not disturb");

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        close(STDERR_FILENO);
        _exit(strcmp(gives("sh -c 'echo KEY; echo said >&2'"), "KEY") == 0 ? 0 : 1);
    }
    int status = -1;
    ok(waitpid(child, &status, 0) == child && status == 0,
       "a program that closed its standard descriptors can run it too");
}

/* ---------------------------------------------------------------------------------- failures */

static char folder[] = "/tmp/rustybt-command-XXXXXX";

static void write_file(const char *path, const char *text, mode_t mode) {
    int file = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || write(file, text, strlen(text)) != (ssize_t)strlen(text) ||
        fchmod(file, mode) != 0 || close(file) != 0)
        printf("# cannot write %s\n", path);
}

static void test_failures(void) {
    is_text(gives("false"), SAYS "exited with 1, expected 0; what it said is on standard error",
            "one that fails");
    is_text(gives("sh -c 'echo SECRET; exit 77'"),
            SAYS "exited with 77, expected 0; what it said is on standard error",
            "one that fails after it printed; what it printed is not shown");
    is_text(gives("sh -c 'echo SECRET; kill -9 $$'"), SAYS "was killed by signal 9",
            "one that is killed");
    is_text(gives("true"), SAYS "printed nothing, expected the key on one line",
            "one that prints nothing");
    is_text(gives("echo"), SAYS "printed nothing, expected the key on one line",
            "one that prints an empty line");
    is_text(gives("printf 'SECRET\\nSECRET\\n'"),
            SAYS "printed more than one line, expected the key on one line",
            "one that prints two lines");
    is_text(gives("printf 'SECRET\\n\\n'"),
            SAYS "printed more than one line, expected the key on one line",
            "of which the second may be empty");
    is_text(gives("printf 'SEC\\0RET\\n'"), SAYS "printed a NUL byte, expected the key on one line",
            "one that prints a NUL");
    is_text(gives("head -c 65537 /dev/zero"),
            SAYS "printed more than 65536 bytes, expected the key on one line",
            "one that prints too much");
    is_text(gives("yes SECRET"), SAYS "printed more than 65536 bytes, expected the key on one line",
            "one that never ends to print");

    char path[64], command[128], want[256];
    is_text(gives("rustybt-no-such-command --pin 1234"),
            "encrypt: cannot run 'rustybt-no-such-command', the command of " VARIABLE
            ": No such file or directory",
            "one that is not there; its arguments are not shown");
    snprintf(path, sizeof path, "%s/script", folder);
    snprintf(want, sizeof want, "encrypt: cannot run '%s', the command of %s: Permission denied",
             path, VARIABLE);
    write_file(path, "#!/bin/sh\necho KEY\n", 0600);
    is_text(gives(path), want, "one that is not executable");
    write_file(path, "#!/bin/sh\necho KEY\n", 0700);
    is_text(gives(path), "KEY", "a script is, with its interpreter named");
    snprintf(want, sizeof want, "encrypt: cannot run '%s', the command of %s: Exec format error",
             path, VARIABLE);
    write_file(path, "echo KEY\n", 0700);
    is_text(gives(path), want, "a script that names none is not handed to a shell");
    unlink(path);
    is_text(gives("'' x"),
            "encrypt: cannot run '', the command of " VARIABLE ": No such file or directory",
            "an empty name");
    is_text(gives("'echo KEY"),
            "encrypt: " VARIABLE " opens a quotation that it does not close; close it",
            "a text that cannot be split");
    snprintf(path, sizeof path, "%s/key", folder);
    snprintf(command, sizeof command, "grep -s K %s", path); /* -s: says nothing */
    write_file(path, "KEY\n", 0600);
    is_text(gives(command), "KEY", "a file through a command");
    unlink(path);
    is_text(gives(command), SAYS "exited with 2, expected 0; what it said is on standard error",
            "which vanishes");
}

/* Whether everything that has the FIFO open for writing ends within a minute. */
static bool writers_end(int fifo) {
    struct pollfd wait = {.fd = fifo, .events = POLLIN};
    char byte;
    return poll(&wait, 1, 60000) == 1 && read(fifo, &byte, 1) == 0;
}

static void test_limit(void) {
    char path[64], command[200];
    snprintf(path, sizeof path, "%s/fifo", folder);
    if (mkfifo(path, 0600) != 0) printf("# cannot make %s\n", path);
    int fifo = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    setenv(LIMIT, "1", 1);
    snprintf(command, sizeof command, "sh -c 'exec 3>%s; sleep 3600 & echo SECRET; sleep 3600'",
             path);
    is_text(gives(command),
            SAYS "did not end within 1 s; RUSTYBT_KEY_COMMAND_TIMEOUT gives it "
                 "longer",
            "one that hangs");
    ok(writers_end(fifo), "is killed, with what it started");
    snprintf(command, sizeof command, "sh -c 'exec 3>%s; echo SECRET; sleep 3600 &'", path);
    is_text(gives(command),
            SAYS "ended, but something that it started kept its output open for 1 s; "
                 "RUSTYBT_KEY_COMMAND_TIMEOUT gives it longer",
            "one that leaves something behind which keeps its output open");
    ok(writers_end(fifo), "which is killed too");
    setenv(LIMIT, "600", 1);
    snprintf(command, sizeof command, "sh -c 'exec 3>%s; sleep 3600 & exit 3'", path);
    is_text(gives(command), SAYS "exited with 3, expected 0; what it said is on standard error",
            "one that fails is not waited for");
    ok(writers_end(fifo), "and what it left is killed");
    snprintf(command, sizeof command, "sh -c 'exec 3>%s; yes SECRET; sleep 3600'", path);
    ok(strstr(gives(command), "more than 65536 bytes") && writers_end(fifo),
       "one that prints too much is killed too");
    close(fifo);
    unlink(path);

    static const char *const wrong[] = {"0", "601", "-1", "1.5", "5s", " 5", "0x10", "00600", "x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char want[128], name[64];
        snprintf(want, sizeof want,
                 "encrypt: RUSTYBT_KEY_COMMAND_TIMEOUT is '%s', expected whole seconds from 1 to "
                 "600",
                 wrong[i]);
        snprintf(name, sizeof name, "a limit of '%s' is refused", wrong[i]);
        setenv(LIMIT, wrong[i], 1);
        is_text(gives("echo KEY"), want, name);
    }
    setenv(LIMIT, "", 1);
    is_text(gives("echo KEY"), "KEY", "an empty one is not set");
    unsetenv(LIMIT);
}

static void test_hosts(void) {
    struct sigaction action = {.sa_handler = SIG_IGN}, before;
    const char *ignored = "encrypt: cannot run the command of " VARIABLE
                          ": this program ignores SIGCHLD, so how the command ends could not be "
                          "known; start it with SIGCHLD at its default";

    sigaction(SIGCHLD, &action, &before);
    is_text(gives("echo KEY"), ignored, "a program that ignores SIGCHLD is refused");
    action = (struct sigaction){.sa_handler = ignore_alarm, .sa_flags = SA_NOCLDWAIT};
    sigaction(SIGCHLD, &action, NULL);
    is_text(gives("echo KEY"), ignored, "so is one that wants no exit codes");
    sigaction(SIGCHLD, &before, NULL);
    steal_children = true;
    is_text(gives("false"),
            "encrypt: how the command of " VARIABLE " ended is lost: this program waits for "
            "children that are not its own, or ignores SIGCHLD; use a key file instead",
            "a program that takes the exit code away gets no key");
    steal_children = false;
}

/* ----------------------------------------------------------------------- memory and threads */

static void test_memory(void) {
    int wrong = 0;
    long allocation = 0;

    for (bool hit = true; hit && allocation < 100;) {
        rbt_error error = {0};
        rbt_buffer out = {.secret = true};
        failing_memory_at(++allocation);
        int code = rbt_key_command_read(&out, "printf '%s' KEY", VARIABLE, "encrypt", &error);
        hit = failing_memory_hit;
        failing_memory_at(0);
        if (code != (hit ? SQLITE_NOMEM : SQLITE_OK) || (hit && out.data != NULL)) wrong++;
        rbt_buffer_free(&out);
        rbt_error_clear(&error);
    }
    ok(wrong == 0 && allocation > 2 && allocation < 100,
       "whichever allocation fails, the answer is out of memory, and nothing is kept");
}

static void *read_often(void *number) {
    char command[32], want[16];
    snprintf(want, sizeof want, "KEY%d", *(const int *)number);
    snprintf(command, sizeof command, "echo %s", want);
    for (int i = 0; i < 20; i++)
        if (strcmp(gives(command), want) != 0) return number;
    return NULL;
}

static void test_threads(void) {
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    int numbers[THREADS], wrong = 0;

    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, read_often, &numbers[i]) != 0) wrong++;
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        if (pthread_join(threads[i], &failed) != 0 || failed) wrong++;
    }
    is_int(wrong, 0, "each of several threads gets what its own command printed");
}

static int open_descriptors(void) {
    int count = 0;
    for (int file = 0; file < 256; file++)
        count += fcntl(file, F_GETFD) >= 0;
    return count;
}

int main(void) {
    plan(75);
    if (failing_memory_install() != SQLITE_OK || mkdtemp(folder) == NULL) return 1;
    unsetenv(LIMIT);
    int before = open_descriptors();
    test_words();
    test_lines();
    test_surroundings();
    test_failures();
    test_limit();
    test_hosts();
    test_memory();
    test_threads();
    is_int(open_descriptors(), before, "no descriptor was left open");
    ok(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "and no child was left behind");
    rmdir(folder);
    return done();
}
