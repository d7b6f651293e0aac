/* SPDX-License-Identifier: MIT
** What a connection keeps of segments (segment_cache.h). An entry is found by its path; its manifest may
** be gone while its summary stays. A segment that is open holds a reference to the entry it borrows from,
** which keeps it even when the cache has let go of it.
*/
#define XXH_INLINE_ALL
#include "segment_cache.h"

#include "../base/file.h"
#include "../base/memory.h"
#include "../crypto/hash.h"
#include <xxhash.h>

enum { BUCKETS = 4096 };

/* A file as it was when it was read. */
typedef struct identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
} identity;

typedef struct entry {
    struct entry *next; /* in its bucket */
    struct rbt_segment_cache *cache;
    size_t references; /* the cache's one and those of open segments */
    bool listed;
    identity file;
    rbt_segment head;      /* without file and decoder; readable: the manifest is there */
    size_t bytes;          /* of head; 0: it is gone */
    bool known;            /* member and verifiers are set */
    rbt_member member;     /* its path is the entry's, and set from the beginning */
    uint8_t verifiers[32]; /* a hash of those that were asked */
} entry;

struct rbt_segment_cache {
    entry *buckets[BUCKETS];
    size_t entries;
    size_t bytes;      /* of listed entries' heads */
    uint64_t sequence; /* of the pseudo-random choice */
};

/* ---- Entries ---- */

static entry **bucket_of(struct rbt_segment_cache *cache, const char *path) {
    return &cache->buckets[XXH3_64bits(path, strlen(path)) % BUCKETS];
}

static void release(void *released) {
    entry *e = released;
    if (--e->references > 0) return;
    rbt_segment_close(&e->head);
    rbt_member_free(&e->member);
    rbt_free(e);
}

static void unlist(entry **link) {
    entry *e = *link;
    *link = e->next;
    e->listed = false;
    e->cache->entries--;
    e->cache->bytes -= e->bytes;
    release(e);
}

static void free_cache(struct rbt_segment_cache *cache) {
    for (size_t i = 0; i < BUCKETS; i++)
        while (cache->buckets[i])
            unlist(&cache->buckets[i]);
    rbt_free(cache);
}

/* Begins at a random bucket: its first entry, or the next there is, which is not `spared`. With `heavy`
** only those count that still have their manifest. */
static entry **choose(struct rbt_segment_cache *cache, bool heavy, const entry *spared) {
    cache->sequence = cache->sequence * 6364136223846793005u + 1442695040888963407u; /* Knuth */
    size_t start = (size_t)(cache->sequence >> 33);
    for (size_t i = 0; i < BUCKETS; i++)
        for (entry **link = &cache->buckets[(start + i) % BUCKETS]; *link; link = &(*link)->next)
            if (*link != spared && (!heavy || (*link)->bytes > 0)) return link;
    return NULL;
}

/* Lets go of manifests, and of entries, until the limits are kept. */
static void make_room(struct rbt_segment_cache *cache, const entry *spared) {
    entry **link;
    while (cache->bytes > RBT_CACHE_MANIFESTS && (link = choose(cache, true, spared)) != NULL) {
        entry *e = *link;
        if (e->references > 1 || !e->known) {
            unlist(link);
            continue;
        }
        cache->bytes -= e->bytes;
        e->bytes = 0;
        rbt_segment_close(&e->head);
    }
    while (cache->entries > RBT_CACHE_SEGMENTS && (link = choose(cache, false, spared)) != NULL)
        unlist(link);
}

/* The link to the entry of a path, if the file has not changed; what is out of date is let go. */
static entry **find(struct rbt_segment_cache *cache, const char *path, const identity *file) {
    for (entry **link = bucket_of(cache, path); *link; link = &(*link)->next) {
        if (strcmp((*link)->member.path, path) != 0) continue;
        if (memcmp(&(*link)->file, file, sizeof *file) == 0) return link;
        unlist(link);
        return NULL;
    }
    return NULL;
}

static struct rbt_segment_cache *cache_of(rbt_connection *connection) {
    if (!connection->segment_cache) {
        connection->segment_cache = rbt_calloc(sizeof *connection->segment_cache);
        connection->free_segment_cache = free_cache;
    }
    return connection->segment_cache;
}

/* False when the file cannot be told from another: then nothing is kept of it. */
static bool identify(int file, identity *out) {
    struct stat status;
    if (rbt_files->fstat(file, &status) != 0) return false;
    memset(out, 0, sizeof *out); /* compared byte by byte */
    out->device = status.st_dev;
    out->inode = status.st_ino;
    out->size = status.st_size;
#ifdef __APPLE__
    out->modified = status.st_mtimespec;
    out->changed = status.st_ctimespec;
#else
    out->modified = status.st_mtim;
    out->changed = status.st_ctim;
#endif
    return true;
}

/* ---- Opening ---- */

/* Gives the segment what the entry has read. */
static void borrow(rbt_segment *segment, entry *e) {
    const rbt_segment *head = &e->head;
    segment->content = head->content;
    segment->manifest_text = head->manifest_text;
    segment->manifest_length = head->manifest_length;
    segment->note = head->note;
    segment->note_length = head->note_length;
    memcpy(segment->manifest_sha256, head->manifest_sha256, sizeof segment->manifest_sha256);
    segment->manifest = head->manifest;
    segment->readable = true;
    segment->entries = head->entries;
    segment->entry_count = head->entry_count;
    segment->shared = e;
    segment->release_shared = release;
    e->references++;
}

static size_t size_of(const rbt_segment *segment) {
    const rbt_manifest *manifest = &segment->manifest;
    return segment->content.capacity + manifest->document.count * sizeof *manifest->document.nodes +
           manifest->frame_count * sizeof *manifest->frames +
           segment->entry_count * sizeof *segment->entries + manifest->genesis.capacity +
           manifest->checkpoint.capacity +
           manifest->shape.count * (sizeof *manifest->shape.columns + 64) + sizeof(entry);
}

/* Moves what was just read into an entry and borrows it back. Without memory it stays where it is. */
static void keep(struct rbt_segment_cache *cache, rbt_segment *segment, const identity *file) {
    entry **link = find(cache, segment->path, file);
    entry *e = link ? *link : rbt_calloc(sizeof *e);
    if (!e) return;
    if (!link) {
        e->head.file = -1;
        e->member.path = rbt_strdup(segment->path);
        if (!e->member.path) {
            rbt_free(e);
            return;
        }
        e->cache = cache;
        e->references = 1;
        e->listed = true;
        e->file = *file;
        link = bucket_of(cache, segment->path);
        e->next = *link;
        *link = e;
        cache->entries++;
    }
    e->head = *segment;
    e->head.path = NULL;
    e->head.file = -1;
    e->head.zstd = NULL;
    e->head.compressed = (rbt_buffer){0};
    e->head.frame = (rbt_frame){0};
    e->bytes = size_of(segment);
    cache->bytes += e->bytes;
    borrow(segment, e);
    make_room(cache, e);
}

int rbt_segment_open_kept(rbt_segment *segment, rbt_connection *connection, const char *who,
                          const char *path, rbt_problems *problems, rbt_error *error) {
    struct rbt_segment_cache *cache = connection ? cache_of(connection) : NULL;
    identity file;
    int64_t problems_before = problems->count;
    if (rbt_segment_open_file(segment, who, path, error) != SQLITE_OK) return error->code;
    bool identified = cache && identify(segment->file, &file);
    entry **link = identified ? find(cache, path, &file) : NULL;
    if (link && (*link)->bytes > 0) {
        borrow(segment, *link);
        return SQLITE_OK;
    }
    if (rbt_segment_read_head(segment, problems, error) != SQLITE_OK) return error->code;
    bool intact = segment->readable && segment->entries && problems->count == problems_before;
    if (identified && intact) keep(cache, segment, &file);
    return SQLITE_OK;
}

/* ---- Trust ---- */

static void hash_verifiers(const rbt_verifier *verifiers, size_t count, uint8_t hash[32]) {
    rbt_sha256 state;
    rbt_sha256_init(&state);
    for (size_t i = 0; i < count; i++) {
        const rbt_verifier *v = &verifiers[i];
        uint64_t type = (uint64_t)v->type;
        rbt_sha256_update(&state, v->name, strlen(v->name) + 1);
        rbt_sha256_update(&state, v->public_key, sizeof v->public_key);
        rbt_sha256_update(&state, v->key_id, sizeof v->key_id);
        rbt_sha256_update(&state, &type, sizeof type);
        rbt_sha256_update(&state, &v->max_size, sizeof v->max_size);
    }
    rbt_sha256_final(&state, hash);
}

/* Remembers that the segment was found valid, and its summary. Without memory it does not. */
static void remember(entry *e, const rbt_segment *segment, const uint8_t verifiers[32]) {
    rbt_member member;
    if (!rbt_member_make(&member, segment)) {
        rbt_member_free(&member);
        return;
    }
    rbt_member_free(&e->member);
    e->member = member;
    memcpy(e->verifiers, verifiers, sizeof e->verifiers);
    e->known = true;
}

int rbt_segment_check_kept(rbt_segment *segment, const rbt_verifier *verifiers, size_t count,
                           rbt_problems *problems, rbt_error *error) {
    entry *e = segment->shared;
    uint8_t hash[32];
    if (!e) return rbt_segment_check_signature(segment, verifiers, count, problems, error);
    hash_verifiers(verifiers, count, hash);
    if (e->known && memcmp(e->verifiers, hash, sizeof hash) == 0) {
        segment->trusted = true;
        segment->signer = e->member.signer;
        return SQLITE_OK;
    }
    int64_t problems_before = problems->count;
    if (rbt_segment_check_signature(segment, verifiers, count, problems, error) == SQLITE_OK &&
        segment->trusted && problems->count == problems_before)
        remember(e, segment, hash);
    return error->code;
}

const rbt_member *rbt_segment_known(rbt_connection *connection, const char *who, const char *path,
                                    rbt_error *error) {
    struct rbt_segment_cache *cache = cache_of(connection);
    identity now;
    if (!cache) return NULL;
    int file = rbt_file_open_read(who, path, NULL, error);
    if (file < 0) return NULL;
    bool identified = identify(file, &now);
    rbt_files->close(file); /* only read: nothing can be lost */
    entry **link = identified ? find(cache, path, &now) : NULL;
    return link && (*link)->known ? &(*link)->member : NULL;
}

bool rbt_segment_known_to(const rbt_member *known, const rbt_verifier *verifiers, size_t count) {
    const entry *e = (const entry *)((const char *)known - offsetof(entry, member));
    uint8_t hash[32];
    hash_verifiers(verifiers, count, hash);
    return memcmp(e->verifiers, hash, sizeof hash) == 0;
}
