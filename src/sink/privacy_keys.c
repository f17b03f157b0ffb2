/* A key file is "epoch-<number>-<addresses>-<last day>.key": 32 random octets, mode 0600. All that
 * is to be known of an epoch is in its name, so that another rotation or another sealing, newly
 * configured, begins an epoch of its own and changes nothing for those before. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file_text.h"
#include "base/folder_sync.h"
#include "sink/privacy_internal.h"

#define DAY_S 86400

static const char *const words[] = {
    [PRIVACY_DETERMINISTIC] = "deterministic",
    [PRIVACY_PREFIX] = "prefix",
};

/* ---- Names ---- */

static void name_write(const struct epoch *epoch, char *ret_name, size_t size)
{
    const time_t last = (time_t)epoch->last_day * DAY_S;
    struct tm parts;
    char day[16];
    (void)gmtime_r(&last, &parts);
    (void)strftime(day, sizeof(day), "%Y%m%d", &parts);
    (void)snprintf(ret_name, size, "epoch-%u-%s-%s.key", epoch->number, words[epoch->addresses],
                   day);
}

/* Whether the file is a key; fills what its name says. */
static bool name_read(const char *name, struct epoch *ret_epoch)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct tm parts = {0};
        unsigned number;
        int end = 0;
        char form[48];
        (void)snprintf(form, sizeof(form), "epoch-%%5u-%s-%%n", words[i]);
        if (sscanf(name, form, &number, &end) != 1 || end == 0 || number > UINT16_MAX)
            continue;
        const char *behind = strptime(name + end, "%Y%m%d", &parts);
        if (behind == NULL || strcmp(behind, ".key") != 0)
            continue;
        ret_epoch->number = (uint16_t)number;
        ret_epoch->addresses = (enum privacy_addresses)i;
        ret_epoch->last_day = (int32_t)(timegm(&parts) / DAY_S);
        return true;
    }
    return false;
}

static int path_write(const struct privacy *privacy, const struct epoch *epoch,
                      char ret_path[static PATH_MAX])
{
    char name[80];
    name_write(epoch, name, sizeof(name));
    return snprintf(ret_path, PATH_MAX, "%s/%s", privacy->folder, name) < PATH_MAX ? 0
                                                                                   : -ENAMETOOLONG;
}

/* ---- The list ---- */

static struct epoch *find(const struct privacy *privacy, uint16_t number)
{
    struct epoch *epoch = atomic_load(&privacy->first);
    while (epoch != NULL && (epoch->number != number || atomic_load(&epoch->is_over)))
        epoch = atomic_load(&epoch->next);
    return epoch;
}

/* Each use has a key of its own, derived by BLAKE2b (libsodium's crypto_kdf). */
static void derive(struct epoch_keys *keys, const uint8_t *key)
{
    static const char context[crypto_kdf_CONTEXTBYTES] = {'t', 'm', 's', '-', 's', 'i', 'n', 'k'};
    uint8_t addresses[SEAL_KEY_SIZE];
    crypto_kdf_derive_from_key(keys->ids, sizeof(keys->ids), 1, context, key);
    crypto_kdf_derive_from_key(keys->networks, sizeof(keys->networks), 2, context, key);
    crypto_kdf_derive_from_key(addresses, sizeof(addresses), 3, context, key);
    address_seal_init(&keys->addresses, addresses);
    sodium_memzero(addresses, sizeof(addresses));
}

static int add(struct privacy *privacy, const struct epoch *named, const uint8_t *key,
               struct epoch **ret_epoch)
{
    struct epoch *epoch = calloc(1, sizeof(*epoch));
    struct epoch_keys *keys = sodium_malloc(sizeof(*keys));
    if (epoch == NULL || keys == NULL) {
        free(epoch);
        sodium_free(keys);
        return -ENOMEM;
    }
    derive(keys, key);
    epoch->keys = keys;
    epoch->number = named->number;
    epoch->addresses = named->addresses;
    epoch->last_day = named->last_day;
    atomic_store(&epoch->next, atomic_load(&privacy->first));
    atomic_store(&privacy->first, epoch);
    *ret_epoch = epoch;
    return 0;
}

/* ---- Files ---- */

static int read_key(const char *path, uint8_t ret_key[static EPOCH_KEY_SIZE],
                    struct error *ret_error)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot be opened: %s", strerror(errno));
    int rc = 0;
    uint8_t octets[EPOCH_KEY_SIZE + 1];
    if (fstat(file, &status) < 0 || (status.st_mode & 077) != 0)
        rc = error_set_at(ret_error, -EPERM, path, 0,
                          "others may read this key; make it your own with 'chmod 600'");
    else if (read(file, octets, sizeof(octets)) != EPOCH_KEY_SIZE)
        rc = error_set_at(ret_error, -EBADMSG, path, 0,
                          "is no key of %d octets; put it back from a copy, or remove it and do "
                          "without what it opens",
                          EPOCH_KEY_SIZE);
    close(file);
    if (rc == 0)
        memcpy(ret_key, octets, EPOCH_KEY_SIZE);
    sodium_memzero(octets, sizeof(octets));
    return rc;
}

static int load_key(struct privacy *privacy, const struct epoch *named, struct error *ret_error)
{
    char path[PATH_MAX];
    uint8_t key[EPOCH_KEY_SIZE];
    struct epoch *epoch;
    int rc = path_write(privacy, named, path);
    if (rc < 0)
        return error_set_at(ret_error, rc, privacy->folder, 0, "is too long a path");
    rc = read_key(path, key, ret_error);
    if (rc < 0)
        return rc;
    rc = add(privacy, named, key, &epoch);
    sodium_memzero(key, sizeof(key));
    return rc < 0 ? error_set(ret_error, rc, "no memory for keys") : 0;
}

int privacy_keys_load(struct privacy *privacy, struct error *ret_error)
{
    int rc = 0;
    DIR *files = opendir(privacy->folder);
    if (files == NULL)
        return error_set_at(ret_error, -errno, privacy->folder, 0, "cannot be read: %s",
                            strerror(errno));
    for (const struct dirent *file; (file = readdir(files)) != NULL;) {
        struct epoch named;
        struct error later = {0};
        if (!name_read(file->d_name, &named) || find(privacy, named.number) != NULL)
            continue;
        /* One that is bad doesn't keep the others from being known, and destroyed in time. */
        int rc_load = load_key(privacy, &named, rc < 0 ? &later : ret_error);
        rc = rc < 0 ? rc : rc_load;
    }
    closedir(files);
    return rc;
}

int privacy_keys_make(struct privacy *privacy, uint16_t number, int32_t last_day,
                      struct epoch **ret_epoch, struct error *ret_error)
{
    const struct epoch named = {
        .number = number, .addresses = privacy->addresses, .last_day = last_day};
    char path[PATH_MAX];
    uint8_t key[EPOCH_KEY_SIZE];
    int rc = path_write(privacy, &named, path);
    if (rc < 0)
        return error_set_at(ret_error, rc, privacy->folder, 0, "is too long a path");
    crypto_kdf_keygen(key);
    rc = file_text_put(path, 0600, (const char *)key, sizeof(key), ret_error);
    if (rc == 0) {
        rc = add(privacy, &named, key, ret_epoch);
        if (rc < 0)
            (void)error_set(ret_error, rc, "no memory for keys");
    }
    sodium_memzero(key, sizeof(key));
    return rc;
}

/* ---- The end of keys ---- */

/* Overwritten first, for file systems that write in place; on others, and where a disk moves what
 * it writes, the old octets may last until their place is used again. */
static int destroy_file(const char *path)
{
    static const uint8_t zeros[EPOCH_KEY_SIZE];
    int file = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file >= 0) {
        if (pwrite(file, zeros, sizeof(zeros), 0) == sizeof(zeros))
            (void)!fdatasync(file);
        close(file);
    }
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* The order of these, and that of epoch_enter(), makes that one of both sees the other. */
static void wipe(struct epoch *epoch)
{
    atomic_store(&epoch->is_over, true);
    if (epoch->keys == NULL || atomic_load(&epoch->users) != 0)
        return;               /* the next tick tries again */
    sodium_free(epoch->keys); /* zeroes it */
    epoch->keys = NULL;
}

int privacy_keys_destroy(struct privacy *privacy, int32_t today, struct error *ret_error)
{
    struct epoch *epoch = atomic_load(&privacy->first);
    int rc_first = 0;
    for (; epoch != NULL; epoch = atomic_load(&epoch->next)) {
        char path[PATH_MAX];
        struct error later = {0};
        if (atomic_load(&epoch->is_over)) {
            wipe(epoch);
            continue;
        }
        if (epoch == atomic_load(&privacy->current) || privacy->keep_days == 0 ||
            today <= epoch->last_day + (int64_t)privacy->keep_days)
            continue;
        int rc = path_write(privacy, epoch, path);
        if (rc == 0)
            rc = destroy_file(path);
        if (rc == 0)
            rc = folder_sync(privacy->folder);
        if (rc == 0) {
            wipe(epoch);
            continue;
        }
        (void)error_set_at(rc_first < 0 ? &later : ret_error, rc, path, 0,
                           "cannot be destroyed: %s", strerror(-rc));
        rc_first = rc_first < 0 ? rc_first : rc;
    }
    return rc_first;
}

void privacy_keys_free(struct privacy *privacy)
{
    struct epoch *epoch = atomic_load(&privacy->first);
    while (epoch != NULL) {
        struct epoch *next = atomic_load(&epoch->next);
        sodium_free(epoch->keys);
        free(epoch);
        epoch = next;
    }
}
