/* SPDX-License-Identifier: MIT
** See limit_clock.h. Calls libsodium's SipHash and the system: on Linux CLOCK_BOOTTIME and
** /proc/sys/kernel/random/boot_id (random(4)), on macOS its monotonic clock, which runs on in sleep,
** and kern.bootsessionuuid.
*/
#include "limit_clock.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

#ifdef CLOCK_BOOTTIME
#define UPTIME_CLOCK CLOCK_BOOTTIME
#else
#define UPTIME_CLOCK CLOCK_MONOTONIC
#endif

rbt_limit_clock rbt_limit_clock_override;

int64_t rbt_limit_uptime_us(void) {
    if (rbt_limit_clock_override.uptime_us != 0) return rbt_limit_clock_override.uptime_us;
    struct timespec now;
    if (clock_gettime(UPTIME_CLOCK, &now) != 0)
        return 1; /* the clock exists wherever this was built */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + 1;
}

/* The boot's name as text; its length, 0 when there is none. */
static size_t read_boot_name(char name[64]) {
#ifdef __APPLE__
    size_t length = 64;
    return sysctlbyname("kern.bootsessionuuid", name, &length, NULL, 0) == 0 ? length : 0;
#else
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, name, 64);
    (void)close(file); /* nothing was written */
    return length > 0 ? (size_t)length : 0;
#endif
}

/* A process does not outlive the boot, so once is enough. */
int64_t rbt_limit_boot(void) {
    static _Atomic int64_t kept;
    static const unsigned char key[crypto_shorthash_KEYBYTES] = "rustybt boot id";
    unsigned char hash[crypto_shorthash_BYTES];
    char name[64];
    int64_t boot;

    if (rbt_limit_clock_override.uptime_us != 0) return rbt_limit_clock_override.boot;
    if (kept != 0) return kept;
    size_t length = read_boot_name(name);
    if (length == 0) return 0;
    crypto_shorthash(hash, (const unsigned char *)name, length, key);
    memcpy(&boot, hash, sizeof boot);
    kept = boot == 0 ? 1 : boot;
    return kept;
}
