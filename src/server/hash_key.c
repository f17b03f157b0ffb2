#include "server/hash_key.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_text.h"

#define KEY_SIZE (2 * sizeof(uint64_t))

int hash_key_draw(uint64_t ret_key[2])
{
    uint64_t key[2];
    if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
        return -errno;
    memcpy(ret_key, key, sizeof(key));
    return 0;
}

/* -ENOENT: there is none; -EBADMSG: it has another size. */
static int key_read(const char *path, uint64_t ret_key[2])
{
    struct file_text text = {0};
    struct error error;
    int rc = file_text_read(path, KEY_SIZE, &text, &error);
    if (rc == -EFBIG || (rc == 0 && text.size != KEY_SIZE))
        rc = -EBADMSG;
    if (rc == 0)
        memcpy(ret_key, text.octets, KEY_SIZE);
    file_text_clear(&text);
    return rc;
}

/* One that a power cut leaves half written is a damaged one at the next start. */
static int key_write(const char *state, const char *path, const uint64_t key[2])
{
    if (mkdir(state, 0750) < 0 && errno != EEXIST)
        return -errno;
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    struct error error;
    return file_text_create(path, 0600, (const char *)key, KEY_SIZE, &error);
}

int hash_key_load(const char *state, uint64_t ret_key[2], struct error *ret_error)
{
    *ret_error = (struct error){0};
    char path[PATH_MAX];
    int rc = -ENAMETOOLONG;
    if (snprintf(path, sizeof(path), "%s/hash-key", state) < (int)sizeof(path))
        rc = key_read(path, ret_key);
    if (rc == 0)
        return 0;

    const int read_rc = rc;
    rc = hash_key_draw(ret_key);
    if (rc < 0)
        return rc;
    rc = key_write(state, path, ret_key);
    if (rc < 0)
        (void)error_set_at(ret_error, rc, path, 0,
                           "the key of the name hash cannot be kept, so no snapshot of a zone will "
                           "serve at the next start: %s",
                           strerror(-rc));
    else if (read_rc != -ENOENT)
        (void)error_set_at(ret_error, read_rc, path, 0,
                           "the key of the name hash %s: a new one was drawn, and snapshots of "
                           "zones written before do not serve",
                           read_rc == -EBADMSG ? "is damaged" : "cannot be read");
    return 0;
}
