#include "desk/evidence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder_sync.h"

#define PATH_SIZE 4096
#define TEMPORARY ".XXXXXX"

struct path {
    char text[PATH_SIZE];
};

static struct path folder_path(const char *state)
{
    struct path path;
    snprintf(path.text, sizeof(path.text), "%s/evidence", state);
    return path;
}

static struct path file_path(const char *state, const char *hash)
{
    struct path path;
    snprintf(path.text, sizeof(path.text), "%s/evidence/%s", state, hash);
    return path;
}

static int fail(struct error *ret_error, const char *path, const char *what)
{
    int code = -errno;
    return error_set_at(ret_error, code, path, 0, "%s: %s", what, strerror(-code));
}

int evidence_folder_make(const char *state, struct error *ret_error)
{
    struct path folder = folder_path(state);
    if (mkdir(folder.text, 0700) < 0 && errno != EEXIST)
        return fail(ret_error, folder.text, "the folder of evidence cannot be made");
    return 0;
}

bool evidence_hash_is_valid(const char *text)
{
    return strlen(text) == EVIDENCE_HASH_SIZE - 1 &&
           strspn(text, "0123456789abcdef") == EVIDENCE_HASH_SIZE - 1;
}

static int octets_write(int fd, const char *octets, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, octets, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        octets += written;
        size -= (size_t)written;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* A name of its own until it is whole and durable: two writers of the same evidence do not meet. */
static int file_write(const char *path, const void *octets, size_t size, struct error *ret_error)
{
    char temporary[PATH_SIZE + sizeof(TEMPORARY)];
    snprintf(temporary, sizeof(temporary), "%s" TEMPORARY, path);
    int fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
    if (fd < 0)
        return fail(ret_error, path, "the evidence cannot be kept");
    int rc = octets_write(fd, octets, size);
    close(fd);
    if (rc == 0 && rename(temporary, path) < 0)
        rc = -errno;
    if (rc == 0)
        rc = folder_sync_of(path);
    if (rc < 0) {
        unlink(temporary);
        errno = -rc;
        return fail(ret_error, path, "the evidence cannot be kept");
    }
    return 0;
}

int evidence_put(const char *state, const void *octets, size_t size,
                 char ret_hash[static EVIDENCE_HASH_SIZE], struct error *ret_error)
{
    uint8_t hash[32];
    crypto_generichash(hash, sizeof(hash), octets, size, NULL, 0);
    sodium_bin2hex(ret_hash, EVIDENCE_HASH_SIZE, hash, sizeof(hash));

    /* The time of a file that is there already is renewed, so that retention, which may be looking
     * at it, finds it young. */
    struct path path = file_path(state, ret_hash);
    if (utimensat(AT_FDCWD, path.text, NULL, 0) == 0)
        return 0;
    return file_write(path.text, octets, size, ret_error);
}

int evidence_open(const char *state, const char *hash, int *ret_fd, uint64_t *ret_size,
                  struct error *ret_error)
{
    struct stat info;
    if (!evidence_hash_is_valid(hash))
        return error_set(ret_error, -ENOENT, "there is no such evidence");
    struct path path = file_path(state, hash);
    int fd = open(path.text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return error_set(ret_error, -ENOENT, "there is no such evidence");
    if (fd < 0)
        return fail(ret_error, path.text, "the evidence cannot be read");
    if (fstat(fd, &info) < 0) {
        int rc = fail(ret_error, path.text, "the evidence cannot be read");
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)info.st_size;
    return 0;
}

int evidence_remove(const char *state, const char *hash, struct error *ret_error)
{
    struct path path = file_path(state, hash);
    if (unlink(path.text) < 0 && errno != ENOENT)
        return fail(ret_error, path.text, "the evidence cannot be removed");
    return 0;
}

/* What a crash left half-written has a hash and an ending, and goes as soon as it is old. */
static int entry_visit(const char *state, const char *name, int64_t before_s,
                       evidence_visit_fn *visit, void *context, struct error *ret_error)
{
    struct stat info;
    struct path path = file_path(state, name);
    if (name[0] == '.' || stat(path.text, &info) < 0 || info.st_mtime >= before_s)
        return 0;
    return evidence_hash_is_valid(name) ? visit(name, context, ret_error)
                                        : evidence_remove(state, name, ret_error);
}

int evidence_visit(const char *state, int64_t before_s, evidence_visit_fn *visit, void *context,
                   struct error *ret_error)
{
    struct path folder = folder_path(state);
    DIR *stream = opendir(folder.text);
    if (stream == NULL)
        return fail(ret_error, folder.text, "the folder of evidence cannot be read");
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(stream)) != NULL;)
        rc = entry_visit(state, entry->d_name, before_s, visit, context, ret_error);
    closedir(stream);
    return rc;
}
