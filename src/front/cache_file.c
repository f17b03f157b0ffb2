/* The cache as a file: a header, and behind it the answers as they lie in memory. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/folder_sync.h"
#include "front/cache_internal.h"

#define CACHE_FILE_MAGIC      "TAMISCCH"
#define CACHE_FILE_VERSION    1
#define CACHE_FILE_BYTE_ORDER UINT32_C(0x01020304)

/* Octets that one system call moves. */
#define BUFFER_SIZE ((size_t)512 * 1024)

struct cache_file_header {
    uint8_t magic[8];
    uint32_t byte_order, version;
    uint32_t header_size, entry_header_size;
    uint64_t file_size;
    uint64_t answers;
    uint64_t body_checksum;   /* XXH3 of all that follows */
    uint64_t header_checksum; /* XXH3 of all above */
};
static_assert(sizeof(struct cache_file_header) == 56,
              "no padding, whose octets would be anybody's");

static uint64_t header_checksum(const struct cache_file_header *header)
{
    return XXH3_64bits(header, offsetof(struct cache_file_header, header_checksum));
}

static void file_close(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file);
}

static void sum_free(XXH3_state_t **sum)
{
    (void)XXH3_freeState(*sum);
}

static void octets_free(uint8_t **octets)
{
    free(*octets);
}

/* ---- Saving ---- */

struct saver {
    FILE *file;
    XXH3_state_t *sum;
    uint8_t *copies; /* the answers of one bucket */
    int64_t now;
    uint64_t size, answers;
};

/* Copies what is worth keeping of one bucket, so that nobody waits for the disk. */
static size_t copy_bucket(struct saver *saver, struct cache *cache, uint64_t bucket)
{
    struct cache_shard *shard = &cache->shards[bucket / cache->buckets_per_shard];
    const uint64_t *slots = cache->slots + bucket * BUCKET_SLOTS;
    size_t size = 0;
    pthread_mutex_lock(&shard->lock);
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        const struct cache_entry *entry = slot_entry(__atomic_load_n(&slots[i], __ATOMIC_RELAXED));
        if (entry == NULL || entry_stale_until(entry) <= saver->now)
            continue;
        struct cache_entry header = {
            .size = entry->size,
            .wanted = entry_is_wanted(entry),
        };
        memcpy(saver->copies + size, &header, ENTRY_COPY_FROM);
        memcpy(saver->copies + size + ENTRY_COPY_FROM, (const uint8_t *)entry + ENTRY_COPY_FROM,
               entry->size - ENTRY_COPY_FROM);
        size += entry->size;
        saver->answers++;
    }
    pthread_mutex_unlock(&shard->lock);
    return size;
}

static int write_octets(FILE *file, const void *octets, size_t size)
{
    if (size > 0 && fwrite(octets, size, 1, file) != 1)
        return errno != 0 ? -errno : -EIO;
    return 0;
}

/* A step that comes by every bucket before it comes by the first again. */
static uint64_t bucket_stride(uint64_t count)
{
    for (uint64_t stride = count / 2 + count / 8;; stride++) {
        uint64_t one = count, other = stride;
        while (other != 0) {
            uint64_t rest = one % other;
            one = other;
            other = rest;
        }
        if (one == 1)
            return stride;
    }
}

/* Far from one bucket to the next: a smaller cache that loads the file would else have the answers
 * of many buckets come into one, and hold the last of them only. */
static int write_body(struct saver *saver, struct cache *cache)
{
    const uint64_t stride = bucket_stride(cache->bucket_count);
    uint64_t bucket = 0;
    for (uint64_t left = cache->bucket_count; left > 0; left--) {
        bucket = (bucket + stride) % cache->bucket_count;
        size_t size = copy_bucket(saver, cache, bucket);
        XXH3_64bits_update(saver->sum, saver->copies, size);
        saver->size += size;
        int rc = write_octets(saver->file, saver->copies, size);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The header comes last: until then the file is none. */
static int write_file(struct saver *saver, struct cache *cache)
{
    struct cache_file_header header = {0};
    int rc = write_octets(saver->file, &header, sizeof(header));
    if (rc == 0)
        rc = write_body(saver, cache);
    if (rc < 0)
        return rc;
    header = (struct cache_file_header){
        .byte_order = CACHE_FILE_BYTE_ORDER,
        .version = CACHE_FILE_VERSION,
        .header_size = sizeof(header),
        .entry_header_size = sizeof(struct cache_entry),
        .file_size = sizeof(header) + saver->size,
        .answers = saver->answers,
        .body_checksum = XXH3_64bits_digest(saver->sum),
    };
    memcpy(header.magic, CACHE_FILE_MAGIC, sizeof(header.magic));
    header.header_checksum = header_checksum(&header);
    if (fseeko(saver->file, 0, SEEK_SET) < 0)
        return -errno;
    rc = write_octets(saver->file, &header, sizeof(header));
    if (rc == 0 && (fflush(saver->file) != 0 || fsync(fileno(saver->file)) < 0))
        rc = -errno;
    return rc;
}

static int save_to(struct cache *cache, const char *temporary, struct saver *saver)
{
    int descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0)
        return -errno;
    _cleanup_(file_close) FILE *file = fdopen(descriptor, "w");
    if (file == NULL) {
        close(descriptor);
        return -ENOMEM;
    }
    (void)setvbuf(file, NULL, _IOFBF, BUFFER_SIZE);
    _cleanup_(sum_free) XXH3_state_t *sum = XXH3_createState();
    _cleanup_(octets_free) uint8_t *copies = malloc(BUCKET_SLOTS * cache->entry_max);
    if (sum == NULL || copies == NULL)
        return -ENOMEM;
    XXH3_64bits_reset(sum);
    saver->file = file;
    saver->sum = sum;
    saver->copies = copies;
    return write_file(saver, cache);
}

int cache_save(struct cache *cache, const char *path, int64_t now, uint64_t *ret_answers,
               struct error *ret_error)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
        return error_set_at(ret_error, -ENAMETOOLONG, path, 0,
                            "too long a path: shorten server.state");
    struct saver saver = {.now = now};
    int rc = save_to(cache, temporary, &saver);
    if (rc == 0 && rename(temporary, path) < 0)
        rc = -errno;
    if (rc < 0)
        (void)unlink(temporary);
    else
        rc = folder_sync_of(path);
    if (rc < 0)
        return error_set_at(ret_error, rc, path, 0, "cannot be written: %s", strerror(-rc));
    *ret_answers = saver.answers;
    return 0;
}

/* ---- Loading ---- */

static int damaged(const char *path, const char *what, struct error *ret_error)
{
    return error_set_at(ret_error, -EBADMSG, path, 0,
                        "damaged: %s; remove it to start with an empty cache", what);
}

static int check_header(const struct cache_file_header *header, uint64_t file_size,
                        const char *path, struct error *ret_error)
{
    if (memcmp(header->magic, CACHE_FILE_MAGIC, sizeof(header->magic)) != 0)
        return error_set_at(ret_error, -EBADMSG, path, 0, "not a saved cache, or damaged");
    if (header->byte_order != CACHE_FILE_BYTE_ORDER)
        return error_set_at(ret_error, -ENOTSUP, path, 0,
                            "written on a machine of another byte order, or damaged");
    if (header->version != CACHE_FILE_VERSION)
        return error_set_at(ret_error, -ENOTSUP, path, 0,
                            "of version %" PRIu32 ", while this program reads version %d",
                            header->version, CACHE_FILE_VERSION);
    if (header->header_checksum != header_checksum(header))
        return damaged(path, "the checksum of its header is wrong", ret_error);
    if (header->header_size != sizeof(*header) ||
        header->entry_header_size != sizeof(struct cache_entry))
        return error_set_at(ret_error, -ENOTSUP, path, 0, "written on another kind of machine");
    if (header->file_size != file_size)
        return damaged(path, "it is not as long as it was written", ret_error);
    return 0;
}

/* All of the file is read and checked before any of it is believed. */
static int check_body(FILE *file, const struct cache_file_header *header, uint8_t *buffer,
                      const char *path, struct error *ret_error)
{
    _cleanup_(sum_free) XXH3_state_t *sum = XXH3_createState();
    if (sum == NULL)
        return error_set_at(ret_error, -ENOMEM, path, 0, "no memory to check it");
    XXH3_64bits_reset(sum);
    size_t got;
    while ((got = fread(buffer, 1, BUFFER_SIZE, file)) > 0)
        XXH3_64bits_update(sum, buffer, got);
    if (ferror(file))
        return error_set_at(ret_error, -EIO, path, 0, "cannot be read");
    if (XXH3_64bits_digest(sum) != header->body_checksum)
        return damaged(path, "its checksum is wrong", ret_error);
    return 0;
}

/* Whether the parts of an entry that was read are within it. The checksum speaks of accidents; what
 * memory depends on is looked at. */
static bool entry_is_sound(const struct cache_entry *entry, struct name *ret_name)
{
    const uint64_t places_size = entry->ttl_count * sizeof(uint16_t);
    const uint64_t used = offsetof(struct cache_entry, octets) + places_size + entry->name_size +
                          entry->body_size + entry->edns_size;
    if (used > entry->size || entry->size - used >= 8)
        return false;
    const uint16_t *places = (const uint16_t *)(const void *)entry->octets;
    for (unsigned i = 0; i < entry->ttl_count; i++) {
        if (places[i] + 4u > entry->body_size)
            return false;
    }
    return name_parse(ret_name, entry_name(entry), entry->name_size) == entry->name_size;
}

/* Reads one entry into `buffer`; returns 0, or -EBADMSG. */
static int read_entry(FILE *file, uint8_t *buffer)
{
    struct cache_entry *entry = (struct cache_entry *)(void *)buffer;
    if (fread(buffer, sizeof(*entry), 1, file) != 1 || entry->size < sizeof(*entry) ||
        entry->size > BUFFER_SIZE || entry->size % 8 != 0)
        return -EBADMSG;
    const size_t rest = entry->size - sizeof(*entry);
    return rest == 0 || fread(buffer + sizeof(*entry), rest, 1, file) == 1 ? 0 : -EBADMSG;
}

static bool load_entry(struct cache *cache, const struct cache_entry *entry,
                       const struct name *name, int64_t now)
{
    if (entry->stored_at > now || entry_stale_until(entry) <= now)
        return false;
    const struct cache_key key = {
        .name = name,
        .type = entry->type,
        .dnssec_ok = (entry->flags & ENTRY_DO) != 0,
        .checking_disabled = (entry->flags & ENTRY_CD) != 0,
    };
    struct cached_answer answer;
    cache_entry_view(entry, &answer);
    const bool wanted = atomic_load(&entry->wanted) > 0;
    if (cache_put_at(cache, &key, &answer, now, wanted))
        return true;
    /* Here is time to wait until what had to go for others is free. */
    rcu_barrier();
    return cache_put_at(cache, &key, &answer, now, wanted);
}

static int load_body(struct cache *cache, FILE *file, uint64_t answers, uint8_t *buffer,
                     int64_t now, uint64_t *ret_answers)
{
    uint64_t loaded = 0;
    for (uint64_t i = 0; i < answers; i++) {
        struct name name;
        const struct cache_entry *entry = (const struct cache_entry *)(const void *)buffer;
        if (read_entry(file, buffer) < 0 || !entry_is_sound(entry, &name))
            return -EBADMSG;
        loaded += load_entry(cache, entry, &name, now);
    }
    *ret_answers = loaded;
    return 0;
}

static int open_regular(const char *path, FILE **ret_file, uint64_t *ret_size,
                        struct error *ret_error)
{
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot be opened: %s", strerror(errno));
    FILE *file = NULL;
    int rc = 0;
    if (fstat(descriptor, &status) < 0 || !S_ISREG(status.st_mode))
        rc = error_set_at(ret_error, -EBADMSG, path, 0, "not a regular file");
    else if ((file = fdopen(descriptor, "r")) == NULL)
        rc = error_set_at(ret_error, -ENOMEM, path, 0, "no memory to read it");
    if (rc < 0) {
        close(descriptor);
        return rc;
    }
    *ret_file = file;
    *ret_size = (uint64_t)status.st_size;
    return 0;
}

int cache_load(struct cache *cache, const char *path, int64_t now, uint64_t *ret_answers,
               struct error *ret_error)
{
    _cleanup_(file_close) FILE *file = NULL;
    uint64_t file_size = 0;
    int rc = open_regular(path, &file, &file_size, ret_error);
    if (rc < 0)
        return rc;
    _cleanup_(octets_free) uint8_t *buffer = malloc(BUFFER_SIZE);
    if (buffer == NULL)
        return error_set_at(ret_error, -ENOMEM, path, 0, "no memory to read it");

    struct cache_file_header header;
    if (fread(&header, sizeof(header), 1, file) != 1)
        return damaged(path, "it is shorter than its header", ret_error);
    rc = check_header(&header, file_size, path, ret_error);
    if (rc == 0)
        rc = check_body(file, &header, buffer, path, ret_error);
    if (rc < 0)
        return rc;
    if (fseeko(file, sizeof(header), SEEK_SET) < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot be read: %s", strerror(errno));
    if (load_body(cache, file, header.answers, buffer, now, ret_answers) < 0)
        return damaged(path, "an answer in it is not whole", ret_error);
    return 0;
}
