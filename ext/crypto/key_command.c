/* SPDX-License-Identifier: MIT
** Running the command that prints a key: the contract is in key_command.h. Calls secret_file, base
** and POSIX.
**
** The command's exit is first looked at (waitid with WNOWAIT) and reaped last: as long as it is not
** reaped its number cannot become another process's, and killing the group by it is safe.
*/
#include "key_command.h"

#include "../base/memory.h"
#include "secret_file.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <crt_externs.h> /* a dynamic library has no environ there */
#define environ (*_NSGetEnviron())
#endif

enum {
    OUTPUT_LIMIT = 64 * 1024, /* bytes */
    DEFAULT_TIMEOUT = 30,     /* seconds */
    LONGEST_TIMEOUT = 600,
    LONGEST_PAUSE = 50, /* milliseconds between two looks at the command */
    REAP_TRIES = 1000   /* milliseconds, about, that a killed command may take to end */
};
#define NO_CLOCK INT64_MAX

/* ------------------------------------------------------------------------------------- words */

static bool is_blank(char character) {
    return character == ' ' || character == '\t' || character == '\n';
}

/* Appends one word and its NUL, and moves *at behind it; NULL, or what is wrong. */
static const char *read_word(rbt_buffer *words, const char **at) {
    const char *next = *at;
    char quote = 0; /* the open quotation mark */

    for (; *next != 0 && (quote != 0 || !is_blank(*next)); next++) {
        if (quote == 0 && (*next == '\'' || *next == '"')) {
            quote = *next;
        } else if (quote != 0 && *next == quote) {
            quote = 0;
        } else if (*next == '\\' &&
                   (quote == 0 || (quote == '"' && (next[1] == '"' || next[1] == '\\')))) {
            if (*++next == 0) return "ends with a backslash; double it, or remove it";
            rbt_buffer_add_byte(words, (uint8_t)*next);
        } else {
            rbt_buffer_add_byte(words, (uint8_t)*next);
        }
    }
    if (quote != 0) return "opens a quotation that it does not close; close it";
    rbt_buffer_add_byte(words, 0);
    *at = next;
    return NULL;
}

int rbt_key_command_split(rbt_buffer *words, size_t *count, const char *command,
                          const char *variable, const char *who, rbt_error *error) {
    *count = 0;
    for (;;) {
        while (is_blank(*command))
            command++;
        if (*command == 0) break;
        const char *problem = read_word(words, &command);
        if (problem) return rbt_fail(error, SQLITE_ERROR, "%s: %s %s", who, variable, problem);
        ++*count;
    }
    if (words->failed) return rbt_fail_nomem(error);
    if (*count == 0)
        return rbt_fail(error, SQLITE_ERROR, "%s: %s holds no command, only blanks", who, variable);
    return SQLITE_OK;
}

/* ---------------------------------------------------------------------------------- spawning */

typedef struct command_run {
    const char *who, *variable; /* for messages */
    pid_t process;              /* and its group; 0: not started */
    int output;                 /* what it prints; -1: closed */
    int timeout;                /* seconds */
    int64_t deadline;           /* monotonic milliseconds */
    bool exited, killed, lost;  /* killed: by a signal; lost: how it ended cannot be known */
    int status;                 /* the exit code or the signal */
} command_run;

/* Milliseconds; where there is no such clock, all of its time has passed. */
static int64_t monotonic_ms(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return NO_CLOCK;
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fail_system(const command_run *run, const char *what, int number, rbt_error *error) {
    return rbt_fail(error, SQLITE_ERROR, "%s: cannot %s the command of %s: %s", run->who, what,
                    run->variable, strerror(number));
}

static int read_timeout(int *seconds, const char *who, rbt_error *error) {
    const char *text = getenv("RUSTYBT_KEY_COMMAND_TIMEOUT");
    size_t length = text ? strlen(text) : 0;

    *seconds = length > 0 ? 0 : DEFAULT_TIMEOUT;
    for (size_t i = 0; i < length && i < 4; i++)
        *seconds = text[i] >= '0' && text[i] <= '9' ? *seconds * 10 + (text[i] - '0')
                                                    : LONGEST_TIMEOUT + 1;
    if (*seconds < 1 || *seconds > LONGEST_TIMEOUT || length > 3)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: RUSTYBT_KEY_COMMAND_TIMEOUT is '%.20s', expected whole seconds from 1 "
                        "to %d",
                        who, text, LONGEST_TIMEOUT);
    return SQLITE_OK;
}

/* A descriptor that is none of the three the command gets; -1 and errno on failure. */
static int above_standard(int file) {
    if (file < 0 || file > STDERR_FILENO) return file;
    int moved = fcntl(file, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int number = errno;
    close(file); /* nothing was read or written */
    errno = number;
    return moved;
}

/* A pipe that no other child inherits. False and errno on failure, with nothing open. */
static bool open_pipe(int ends[2]) {
#ifdef __APPLE__
    if (pipe(ends) != 0) return false;
    for (int i = 0; i < 2; i++)
        (void)fcntl(ends[i], F_SETFD, FD_CLOEXEC); /* cannot fail on an open descriptor */
#else
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
#endif
    for (int i = 0; i < 2; i++)
        ends[i] = above_standard(ends[i]);
    /* Reading must not wait: poll does, and for no longer than the limit. */
    if (ends[0] >= 0 && ends[1] >= 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0) return true;
    int number = errno;
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0) close(ends[i]); /* nothing was read or written */
    errno = number;
    return false;
}

/* What becomes of the descriptors. An error number or 0. */
static int set_actions(posix_spawn_file_actions_t *actions, int output) {
    int number = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (number == 0) number = posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
    /* Onto itself: kept even if the host would close it on exec. A host without one passes none on. */
    if (number == 0 && fcntl(STDERR_FILENO, F_GETFD) >= 0)
        number = posix_spawn_file_actions_adddup2(actions, STDERR_FILENO, STDERR_FILENO);
    else if (number == 0)
        number = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
#if defined(__GLIBC__)
#if __GLIBC_PREREQ(2, 34)
    if (number == 0) number = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
#endif
#endif
    return number;
}

static int set_attributes(posix_spawnattr_t *attributes) {
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID;
    sigset_t every, none;

#ifdef POSIX_SPAWN_CLOEXEC_DEFAULT
    flags = (short)(flags | POSIX_SPAWN_CLOEXEC_DEFAULT);
#endif
    if (sigfillset(&every) != 0 || sigdelset(&every, SIGKILL) != 0 ||
        sigdelset(&every, SIGSTOP) != 0 || sigemptyset(&none) != 0)
        return errno;
    int number = posix_spawnattr_setsigdefault(attributes, &every);
    if (number == 0) number = posix_spawnattr_setsigmask(attributes, &none);
    if (number == 0) number = posix_spawnattr_setflags(attributes, flags);
    return number;
}

/* Starts the command with output as its standard output. An error number or 0. */
static int spawn(command_run *run, char *const *words, int output) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;

    int number = posix_spawn_file_actions_init(&actions);
    if (number != 0) return number;
    number = posix_spawnattr_init(&attributes);
    if (number == 0) {
        number = set_actions(&actions, output);
        if (number == 0) number = set_attributes(&attributes);
        if (number == 0)
            number = posix_spawnp(&run->process, words[0], &actions, &attributes, words, environ);
        if (number != 0) run->process = 0;
        (void)posix_spawnattr_destroy(&attributes); /* frees memory, if that */
    }
    (void)posix_spawn_file_actions_destroy(&actions); /* the same */
    return number;
}

/* A host that leaves its children's exit codes to nobody would let every failure pass. */
static int check_child_signal(const command_run *run, rbt_error *error) {
    struct sigaction action;
    if (sigaction(SIGCHLD, NULL, &action) != 0) return fail_system(run, "run", errno, error);
    if (action.sa_handler != SIG_IGN && (action.sa_flags & SA_NOCLDWAIT) == 0) return SQLITE_OK;
    return rbt_fail(error, SQLITE_ERROR,
                    "%s: cannot run the command of %s: this program ignores SIGCHLD, so how the "
                    "command ends could not be known; start it with SIGCHLD at its default",
                    run->who, run->variable);
}

static int start(command_run *run, char *const *words, rbt_error *error) {
    int ends[2];

    if (check_child_signal(run, error) != SQLITE_OK) return error->code;
    if (!open_pipe(ends)) return fail_system(run, "run", errno, error);
    run->output = ends[0];
    int number = spawn(run, words, ends[1]);
    close(ends[1]); /* the command's end; this process writes nothing to it */
    if (number != 0 && rbt_resembles_key(words[0]))
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: cannot run the command of %s: %s; it looks like a key and is not "
                        "shown; a key itself goes into RUSTYBT_ENCRYPTION_KEY or "
                        "RUSTYBT_SIGNING_KEY",
                        run->who, run->variable, strerror(number));
    if (number != 0)
        return rbt_fail(error, SQLITE_ERROR, "%s: cannot run '%s', the command of %s: %s", run->who,
                        words[0], run->variable, strerror(number));
    return SQLITE_OK;
}

/* --------------------------------------------------------------------------------- listening */

/* Looks whether the command ended, and leaves it to be reaped. */
static void look(command_run *run) {
    siginfo_t info;
    int code;
    do {
        memset(&info, 0, sizeof info); /* si_pid stays 0 while it runs */
        code = waitid(P_PID, (id_t)run->process, &info, WEXITED | WNOHANG | WNOWAIT);
    } while (code != 0 && errno == EINTR);
    if (code != 0) {
        run->lost = true;
    } else if (info.si_pid == run->process) {
        run->exited = true;
        run->killed = info.si_code != CLD_EXITED;
        run->status = info.si_status;
    }
}

/* Reads what is there now. */
static int read_some(command_run *run, rbt_buffer *out, rbt_error *error) {
    ssize_t count = read(run->output, out->data + out->length, OUTPUT_LIMIT + 1 - out->length);

    if (count < 0)
        return errno == EAGAIN || errno == EINTR ? SQLITE_OK
                                                 : fail_system(run, "read", errno, error);
    if (count == 0) {
        close(run->output); /* its end was read */
        run->output = -1;
    }
    out->length += (size_t)count;
    if (out->length > OUTPUT_LIMIT)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: the command of %s printed more than %d bytes, expected the key on one "
                        "line",
                        run->who, run->variable, OUTPUT_LIMIT);
    return SQLITE_OK;
}

/* The end of the command, if it was a bad one. */
static int check_end(const command_run *run, rbt_error *error) {
    if (run->lost)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: how the command of %s ended is lost: this program waits for children "
                        "that are not its own, or ignores SIGCHLD; use a key file instead",
                        run->who, run->variable);
    if (run->exited && run->killed)
        return rbt_fail(error, SQLITE_ERROR, "%s: the command of %s was killed by signal %d",
                        run->who, run->variable, run->status);
    if (run->exited && run->status != 0)
        return rbt_fail(error, SQLITE_ERROR,
                        "%s: the command of %s exited with %d, expected 0; what it said is on "
                        "standard error",
                        run->who, run->variable, run->status);
    return SQLITE_OK;
}

static int fail_late(const command_run *run, rbt_error *error) {
    const char *what = run->exited ? "ended, but something that it started kept its output open for"
                                   : "did not end within";
    return rbt_fail(error, SQLITE_ERROR,
                    "%s: the command of %s %s %d s; RUSTYBT_KEY_COMMAND_TIMEOUT gives it longer",
                    run->who, run->variable, what, run->timeout);
}

/* Reads until the output is closed and the command has ended well. */
static int listen_to(command_run *run, rbt_buffer *out, rbt_error *error) {
    int pause = 1; /* milliseconds: most commands end as soon as they closed their output */

    for (;;) {
        if (!run->exited) look(run);
        if (check_end(run, error) != SQLITE_OK) return error->code;
        if (run->exited && run->output < 0) return SQLITE_OK;
        int64_t left = run->deadline - monotonic_ms();
        if (left <= 0) return fail_late(run, error);
        if (run->output >= 0) {
            struct pollfd wait = {.fd = run->output, .events = POLLIN};
            int ready = poll(&wait, 1, left < LONGEST_PAUSE ? (int)left : LONGEST_PAUSE);
            if (ready < 0 && errno != EINTR) return fail_system(run, "read", errno, error);
            if (ready > 0 && read_some(run, out, error) != SQLITE_OK) return error->code;
        } else {
            (void)poll(NULL, 0, left < pause ? (int)left : pause); /* a short sleep, or shorter */
            pause = pause < LONGEST_PAUSE / 2 ? pause * 2 : LONGEST_PAUSE;
        }
    }
}

/* Leaves nothing behind: no descriptor, no process unless it refuses to die, and no zombie. */
static void finish(command_run *run, bool failed) {
    if (run->output >= 0) close(run->output); /* nothing more is wanted from it */
    if (run->process == 0) return;
    /* Once lost, somebody reaped it, and its number may be another's. */
    if (failed && !run->lost) (void)kill(-run->process, SIGKILL); /* or all have ended by now */
    for (int i = 0; i < REAP_TRIES; i++) {
        pid_t reaped = waitpid(run->process, NULL, WNOHANG);
        if (reaped == run->process || (reaped < 0 && errno != EINTR)) return;
        (void)poll(NULL, 0, 1); /* a short sleep, or shorter */
    }
}

/* ----------------------------------------------------------------------------------- the line */

/* Takes the end of line off, and refuses all but one line. */
static int check_line(const command_run *run, rbt_buffer *out, rbt_error *error) {
    const char *problem = NULL;

    if (out->length > 0 && out->data[out->length - 1] == '\n') {
        out->length--;
        if (out->length > 0 && out->data[out->length - 1] == '\r') out->length--;
    }
    if (out->length == 0)
        problem = "nothing";
    else if (memchr(out->data, '\n', out->length) != NULL)
        problem = "more than one line";
    else if (memchr(out->data, 0, out->length) != NULL)
        problem = "a NUL byte";
    if (problem == NULL) return SQLITE_OK;
    return rbt_fail(error, SQLITE_ERROR,
                    "%s: the command of %s printed %s, expected the key on one line", run->who,
                    run->variable, problem);
}

/* Runs the words, each ended by a NUL. */
static int run_words(rbt_buffer *out, const rbt_buffer *words, size_t count, command_run *run,
                     rbt_error *error) {
    char **list = rbt_malloc((count + 1) * sizeof *list);
    char *word = (char *)words->data;

    if (list == NULL) return rbt_fail_nomem(error);
    for (size_t i = 0; i < count; i++) {
        list[i] = word;
        word += strlen(word) + 1;
    }
    list[count] = NULL;
    /* All of it now, so that what was read never has to move. */
    int code = rbt_buffer_reserve(out, OUTPUT_LIMIT + 1) ? SQLITE_OK : rbt_fail_nomem(error);
    int64_t now = monotonic_ms();
    run->deadline = now < NO_CLOCK ? now + (int64_t)run->timeout * 1000 : 0;
    if (code == SQLITE_OK) code = start(run, list, error);
    if (code == SQLITE_OK) code = listen_to(run, out, error);
    finish(run, code != SQLITE_OK);
    if (code == SQLITE_OK) code = check_line(run, out, error);
    rbt_free(list);
    return code;
}

int rbt_key_command_read(rbt_buffer *out, const char *command, const char *variable,
                         const char *who, rbt_error *error) {
    command_run run = {.who = who, .variable = variable, .output = -1};
    rbt_buffer words = {.secret = true}; /* a command line may hold a PIN */
    size_t count;

    int code = read_timeout(&run.timeout, who, error);
    if (code == SQLITE_OK)
        code = rbt_key_command_split(&words, &count, command, variable, who, error);
    if (code == SQLITE_OK) code = run_words(out, &words, count, &run, error);
    rbt_buffer_free(&words);
    if (code != SQLITE_OK) rbt_buffer_free(out);
    return code;
}
