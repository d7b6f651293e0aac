/* SPDX-License-Identifier: MIT
** A disk that loses power. Records what a program does below one folder (io_calls.h) and builds what may be
** found there after any of its steps: bytes count from the sync of their file on, names from the sync of
** their directory on. What was not synced is gone, or, with a seed, part of it came through: each write
** whole, in part (sectors of 512 bytes) or not, and of a directory's changes the first so many.
**
** A stricter disk than ext4's, which writes a new file's name with its bytes; as POSIX allows.
*/
#ifndef RBT_TEST_DISK_MODEL_H
#define RBT_TEST_DISK_MODEL_H

#include "io_calls.h"
#include "tap.h"

#include <dirent.h>

enum { DISK_PATH = 160, DISK_NODES = 256, DISK_FILES = 256, DISK_EVENTS = 20000, SECTOR = 512 };

typedef enum disk_act {
    DISK_WRITE,
    DISK_TRUNCATE,
    DISK_SYNC,
    DISK_NAME, /* a file or directory gets this name */
    DISK_UNNAME,
    DISK_RENAME
} disk_act;

typedef struct disk_event {
    disk_act act;
    int node; /* file or directory */
    off_t offset;
    size_t length;
    char *bytes; /* of a write */
    char from[DISK_PATH], to[DISK_PATH];
} disk_event;

typedef struct disk_node {
    bool directory;
    char *safe; /* bytes, for a file */
    size_t size;
    int pending[DISK_EVENTS / 8]; /* events since its last sync */
    int pending_count;
} disk_node;

typedef struct disk_name {
    char path[DISK_PATH];
    int node;
} disk_name;

typedef struct disk_names {
    disk_name list[DISK_FILES];
    int count;
} disk_names;

static struct {
    char prefix[DISK_PATH]; /* of the folder, absolute */
    disk_event events[DISK_EVENTS];
    int event_count;
    disk_names now;
    int nodes;
    int of_file[1024]; /* node of a descriptor + 1; 0: of no interest */
    disk_names first;  /* when recording began */
    char *first_bytes[DISK_NODES];
    size_t first_size[DISK_NODES];
    bool directory[DISK_NODES];
} disk;

static inline void disk_die(const char *what) {
    printf("Bail out! disk model: %s\n", what);
    exit(2);
}

/* ---- Names ---- */

static inline int disk_find(const disk_names *names, const char *path) {
    for (int i = 0; i < names->count; i++)
        if (strcmp(names->list[i].path, path) == 0) return i;
    return -1;
}

static inline void disk_unname(disk_names *names, const char *path) {
    int i = disk_find(names, path);
    if (i >= 0) names->list[i] = names->list[--names->count];
}

static inline void disk_set_name(disk_names *names, const char *path, int node) {
    disk_unname(names, path);
    if (names->count == DISK_FILES) disk_die("too many names");
    disk_name *name = &names->list[names->count++];
    snprintf(name->path, sizeof name->path, "%s", path);
    name->node = node;
}

/* The path below the folder, "" for the folder itself; NULL when it lies elsewhere. Valid until the next
** but one. */
static inline const char *disk_path(const char *path) {
    static char paths[2][DISK_PATH];
    static int turn;
    size_t length = strlen(disk.prefix);
    if (strncmp(path, disk.prefix, length) != 0 || (path[length] != '/' && path[length] != 0))
        return NULL;
    path += length;
    while (*path == '/')
        path++;
    char *below = paths[turn = !turn];
    snprintf(below, DISK_PATH, "%s", path);
    for (size_t i = strlen(below); i > 0 && below[i - 1] == '/'; i--)
        below[i - 1] = 0;
    return below;
}

/* The node of the directory that holds the path. */
static inline int disk_parent(const char *path) {
    char parent[DISK_PATH];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    parent[slash ? slash - parent : 0] = 0;
    int i = disk_find(&disk.now, parent);
    if (i < 0) disk_die(path);
    return disk.now.list[i].node;
}

/* ---- Recording ---- */

static inline disk_event *disk_add(disk_act act, int node) {
    if (disk.event_count == DISK_EVENTS) disk_die("too many events");
    disk_event *event = &disk.events[disk.event_count++];
    *event = (disk_event){.act = act, .node = node};
    return event;
}

static inline int disk_new_node(bool directory) {
    if (disk.nodes == DISK_NODES) disk_die("too many files");
    disk.directory[disk.nodes] = directory;
    return disk.nodes++;
}

static inline void disk_opened(const char *path, int file) {
    path = disk_path(path);
    int i = path ? disk_find(&disk.now, path) : -1;
    if (file >= 1024) disk_die("a high descriptor");
    disk.of_file[file] = i < 0 ? 0 : disk.now.list[i].node + 1;
}

static inline void disk_name_node(const char *path, int node) {
    disk_event *event = disk_add(DISK_NAME, disk_parent(path));
    snprintf(event->to, sizeof event->to, "%s", path);
    event->offset = node;
    disk_set_name(&disk.now, path, node);
}

static inline void disk_created(const char *path, int file) {
    const char *below = disk_path(path);
    if (below) disk_name_node(below, disk_new_node(false));
    disk_opened(path, file);
}

static inline void disk_made_directory(const char *path) {
    path = disk_path(path);
    if (path) disk_name_node(path, disk_new_node(true));
}

static inline int disk_node_of(int file) {
    return file >= 0 && file < 1024 ? disk.of_file[file] - 1 : -1;
}

static inline void disk_written(int file, const void *bytes, size_t length, off_t offset) {
    int node = disk_node_of(file);
    if (node < 0) return;
    disk_event *event = disk_add(DISK_WRITE, node);
    event->offset = offset;
    event->length = length;
    event->bytes = malloc(length);
    if (!event->bytes) disk_die("out of memory");
    memcpy(event->bytes, bytes, length);
}

static inline void disk_truncated(int file, off_t size) {
    int node = disk_node_of(file);
    if (node >= 0) disk_add(DISK_TRUNCATE, node)->offset = size;
}

static inline void disk_synced(int file) {
    int node = disk_node_of(file);
    if (node >= 0) disk_add(DISK_SYNC, node);
}

static inline void disk_closed(int file) {
    if (file >= 0 && file < 1024) disk.of_file[file] = 0;
}

static inline void disk_unlinked(const char *path) {
    path = disk_path(path);
    if (!path) return;
    disk_event *event = disk_add(DISK_UNNAME, disk_parent(path));
    snprintf(event->from, sizeof event->from, "%s", path);
    disk_unname(&disk.now, path);
}

static inline void disk_linked(const char *from, const char *to) {
    from = disk_path(from), to = disk_path(to);
    if (from && to) disk_name_node(to, disk.now.list[disk_find(&disk.now, from)].node);
}

static inline void disk_renamed(const char *from, const char *to) {
    from = disk_path(from), to = disk_path(to);
    if (!from || !to) return;
    int node = disk.now.list[disk_find(&disk.now, from)].node;
    if (disk_parent(from) != disk_parent(to)) disk_die("a rename across directories");
    disk_event *event = disk_add(DISK_RENAME, disk_parent(from));
    snprintf(event->from, sizeof event->from, "%s", from);
    snprintf(event->to, sizeof event->to, "%s", to);
    event->offset = node;
    disk_unname(&disk.now, from);
    disk_set_name(&disk.now, to, node);
}

static const io_recorder disk_recorder = {
    .created = disk_created,
    .opened = disk_opened,
    .written = disk_written,
    .truncated = disk_truncated,
    .synced = disk_synced,
    .closed = disk_closed,
    .unlinked = disk_unlinked,
    .renamed = disk_renamed,
    .linked = disk_linked,
    .made_directory = disk_made_directory,
};

/* What lies below the folder when recording begins is safe. */
static inline void disk_take(const char *path) {
    const char *below = disk_path(path);
    DIR *directory = opendir(path);
    if (!below || !directory) disk_die(path);
    disk_set_name(&disk.now, below, disk_new_node(true));
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char child[1024];
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (stat(child, &status) != 0) disk_die(child);
        if (S_ISDIR(status.st_mode)) {
            disk_take(child);
            continue;
        }
        int node = disk_new_node(false), file = open(child, O_RDONLY);
        disk_set_name(&disk.now, disk_path(child), node);
        disk.first_size[node] = (size_t)status.st_size;
        disk.first_bytes[node] = malloc((size_t)status.st_size + 1);
        if (!disk.first_bytes[node] ||
            read(file, disk.first_bytes[node], (size_t)status.st_size) != status.st_size)
            disk_die(child);
        close(file);
    }
    closedir(directory);
}

/* The connection is to be opened after this: descriptors count from their opening on. */
static inline void disk_record(const char *folder) {
    for (int i = 0; i < disk.event_count; i++)
        free(disk.events[i].bytes);
    for (int i = 0; i < disk.nodes; i++)
        free(disk.first_bytes[i]);
    memset(&disk, 0, sizeof disk);
    if (!realpath(folder, disk.prefix)) disk_die(folder);
    disk_take(disk.prefix);
    disk.first = disk.now;
    io_begin(&(io_plan){0}, &disk_recorder);
}

/* ---- What is found afterwards ---- */

static disk_node disk_found[DISK_NODES];
static uint64_t disk_seed;

/* xorshift64* of Vigna, 2016: below `limit`. */
static inline unsigned disk_chance(unsigned limit) {
    disk_seed ^= disk_seed >> 12;
    disk_seed ^= disk_seed << 25;
    disk_seed ^= disk_seed >> 27;
    return (unsigned)((disk_seed * 2685821657736338717ULL) >> 33) % limit;
}

static inline void disk_resize(disk_node *node, size_t size) {
    node->safe = realloc(node->safe, size + 1);
    if (!node->safe) disk_die("out of memory");
    if (size > node->size) memset(node->safe + node->size, 0, size - node->size);
    node->size = size;
}

static inline void disk_put(disk_node *node, const disk_event *event, size_t from, size_t to) {
    size_t end = (size_t)event->offset + to;
    if (end > node->size) disk_resize(node, end);
    memcpy(node->safe + event->offset + from, event->bytes + from, to - from);
}

/* Applies one change to what is safe: of a file, or of a directory's names. */
static inline void disk_apply(disk_node *node, disk_names *names, const disk_event *event) {
    switch (event->act) {
    case DISK_WRITE:
        disk_put(node, event, 0, event->length);
        break;
    case DISK_TRUNCATE:
        disk_resize(node, (size_t)event->offset);
        break;
    case DISK_RENAME:
        disk_unname(names, event->from);
        disk_set_name(names, event->to, (int)event->offset);
        break;
    case DISK_NAME:
        disk_set_name(names, event->to, (int)event->offset);
        break;
    case DISK_UNNAME:
        disk_unname(names, event->from);
        break;
    case DISK_SYNC:
        break;
    }
}

/* Some of what was not synced came through all the same. */
static inline void disk_let_through(disk_node *node, disk_names *names) {
    int count = node->pending_count;
    if (node->directory) count = (int)disk_chance((unsigned)count + 1);
    for (int i = 0; i < count; i++) {
        const disk_event *event = &disk.events[node->pending[i]];
        unsigned fate = node->directory ? 0 : disk_chance(3);
        if (fate == 0) {
            disk_apply(node, names, event);
        } else if (fate == 1 && event->act == DISK_WRITE) {
            for (size_t from = 0; from < event->length; from += SECTOR) {
                size_t to = from + SECTOR < event->length ? from + SECTOR : event->length;
                if (disk_chance(2)) disk_put(node, event, from, to);
            }
        }
    }
}

/* Makes `folder` what may be found when the power failed after so many events. Seed 0: all that was not
** synced is gone. */
static inline void disk_lose_power(int events, uint64_t seed, const char *folder) {
    static disk_names names;
    names = disk.first;
    disk_seed = seed;
    for (int i = 0; i < disk.nodes; i++) {
        disk_node *node = &disk_found[i];
        node->directory = disk.directory[i];
        node->pending_count = 0;
        node->size = 0;
        disk_resize(node, disk.first_size[i]);
        if (disk.first_bytes[i]) memcpy(node->safe, disk.first_bytes[i], disk.first_size[i]);
    }
    for (int i = 0; i < events; i++) {
        disk_node *node = &disk_found[disk.events[i].node];
        if (disk.events[i].act != DISK_SYNC) {
            if (node->pending_count == DISK_EVENTS / 8) disk_die("too many changes to a file");
            node->pending[node->pending_count++] = i;
            continue;
        }
        for (int j = 0; j < node->pending_count; j++)
            disk_apply(node, &names, &disk.events[node->pending[j]]);
        node->pending_count = 0;
    }
    for (int i = 0; i < disk.nodes && seed != 0; i++)
        disk_let_through(&disk_found[i], &names);
    /* Directories first, the shorter paths before; a name below one that is gone is gone. */
    for (size_t length = 0; length < DISK_PATH; length++) {
        for (int i = 0; i < names.count; i++) {
            char path[2 * DISK_PATH];
            const disk_name *name = &names.list[i];
            const disk_node *node = &disk_found[name->node];
            if (strlen(name->path) != length || strstr(name->path, "-shm")) continue;
            snprintf(path, sizeof path, "%s/%s", folder, name->path);
            if (node->directory) {
                if (mkdir(path, 0700) != 0 && errno != ENOENT) disk_die(path);
                continue;
            }
            int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
            if (file < 0 && errno == ENOENT) continue;
            if (file < 0 || write(file, node->safe, node->size) != (ssize_t)node->size)
                disk_die(path);
            close(file);
        }
    }
}

#endif
