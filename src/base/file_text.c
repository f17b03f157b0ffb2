#include "base/file_text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder_sync.h"

/* What is asked of a pipe at once; a regular file is asked for its whole size. */
#define READ_STEP 65536

/* Set once at start; see file_text_refuse_pipes(). */
static bool pipes_refused;

void file_text_refuse_pipes(void)
{
    pipes_refused = true;
}

static bool same_time(const struct timespec *one, const struct timespec *two)
{
    return one->tv_sec == two->tv_sec && one->tv_nsec == two->tv_nsec;
}

static bool same_file(const struct stat *one, const struct stat *two)
{
    return one->st_dev == two->st_dev && one->st_ino == two->st_ino &&
           one->st_size == two->st_size && same_time(&one->st_mtim, &two->st_mtim) &&
           same_time(&one->st_ctim, &two->st_ctim);
}

int file_unchanged(int fd, const char *path, const struct stat *before, struct error *ret_error)
{
    struct stat after, named;

    if (fstat(fd, &after) < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot be examined: %s", strerror(errno));
    if (!same_file(before, &after) || stat(path, &named) < 0 || !same_file(before, &named))
        return error_set_at(ret_error, -EAGAIN, path, 0,
                            "changed while it was read; write a new file and rename it into place, "
                            "then try again");
    return 0;
}

/* Grows by half, so that reading a pipe of any length copies each octet a few times at most. */
static int grow(struct file_text *text, size_t *capacity, size_t size_max)
{
    size_t larger = *capacity + *capacity / 2 + READ_STEP;
    if (larger > size_max + 1)
        larger = size_max + 1;
    char *octets = realloc(text->octets, larger + 1);
    if (octets == NULL)
        return -ENOMEM;
    text->octets = octets;
    *capacity = larger;
    return 0;
}

/* Reads until the end of the file, or until one octet more than size_max shows that it is too
 * long. */
static int read_all(int fd, size_t size_max, size_t size_hint, struct file_text *text)
{
    size_t capacity = size_hint;

    text->octets = malloc(capacity + 1);
    if (text->octets == NULL)
        return -ENOMEM;
    for (;;) {
        if (text->size == capacity) {
            int rc = capacity > size_max ? -EFBIG : grow(text, &capacity, size_max);
            if (rc < 0)
                return rc;
        }
        ssize_t got = read(fd, text->octets + text->size, capacity - text->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        text->size += (size_t)got;
    }
    text->octets[text->size] = '\0';
    return text->size > size_max ? -EFBIG : 0;
}

static int read_open(int fd, const char *path, size_t size_max, struct file_text *text,
                     struct error *ret_error)
{
    struct stat before;
    if (fstat(fd, &before) < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot be examined: %s", strerror(errno));
    if (S_ISDIR(before.st_mode))
        return error_set_at(ret_error, -EISDIR, path, 0, "is a folder; name a file");

    bool regular = S_ISREG(before.st_mode);
    if (!regular && pipes_refused)
        return error_set_at(ret_error, -EINVAL, path, 0, "is no regular file; name one");
    int rc;
    if (regular && (uint64_t)before.st_size > size_max)
        rc = -EFBIG;
    else /* One octet more than it holds, so that its end is seen without growing. */
        rc = read_all(fd, size_max, regular ? (size_t)before.st_size + 1 : READ_STEP, text);
    if (rc == -EFBIG)
        return error_set_at(ret_error, rc, path, 0, "is longer than %zu octets; split it",
                            size_max);
    if (rc < 0)
        return error_set_at(ret_error, rc, path, 0, "cannot be read: %s", strerror(-rc));
    return regular ? file_unchanged(fd, path, &before, ret_error) : 0;
}

int file_text_read(const char *path, size_t size_max, struct file_text *ret_text,
                   struct error *ret_error)
{
    struct file_text text = {0};

    /* Opening a pipe would wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | (pipes_refused ? O_NONBLOCK : 0));
    if (fd < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot be opened: %s", strerror(errno));
    int rc = read_open(fd, path, size_max, &text, ret_error);
    close(fd);
    if (rc < 0) {
        file_text_clear(&text);
        return rc;
    }
    *ret_text = text;
    return 0;
}

void file_text_clear(struct file_text *text)
{
    free(text->octets);
    *text = (struct file_text){0};
}

static int write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, text, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        text += written;
        size -= (size_t)written;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

int file_text_create(const char *path, mode_t mode, const char *text, size_t size,
                     struct error *ret_error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 && errno == EEXIST)
        return error_set_at(ret_error, -EEXIST, path, 0,
                            "exists already; move it away or choose another name");
    if (fd < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot be created: %s", strerror(errno));

    int rc = write_all(fd, text, size);
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    if (rc < 0) {
        unlink(path);
        return error_set_at(ret_error, rc, path, 0, "cannot be written: %s", strerror(-rc));
    }
    /* Some file systems cannot sync a folder; there is nothing more to be done then. */
    (void)!folder_sync_of(path);
    return 0;
}

/* Writes a file beside `path` and gives it that name. */
static int put_in_place(const char *path, mode_t mode, const char *text, size_t size,
                        struct error *ret_error)
{
    char temporary[PATH_MAX];

    if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
        return error_set_at(ret_error, -ENAMETOOLONG, path, 0, "is too long a path");
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return error_set_at(ret_error, -errno, temporary, 0, "cannot be created: %s",
                            strerror(errno));

    int rc = fchmod(fd, mode) < 0 ? -errno : write_all(fd, text, size);
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(temporary, path) < 0)
        rc = -errno;
    if (rc < 0) {
        unlink(temporary);
        return error_set_at(ret_error, rc, path, 0, "cannot be replaced: %s", strerror(-rc));
    }
    return 0;
}

int file_text_replace(const char *path, const char *text, size_t size, struct error *ret_error)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot be examined: %s", strerror(errno));
    int rc = put_in_place(path, status.st_mode & 07777, text, size, ret_error);
    if (rc < 0)
        return rc;
    /* Some file systems cannot sync a folder; there is nothing more to be done then. */
    (void)!folder_sync_of(path);
    return 0;
}

int file_text_put(const char *path, mode_t mode, const char *text, size_t size,
                  struct error *ret_error)
{
    int rc = put_in_place(path, mode, text, size, ret_error);
    if (rc < 0)
        return rc;
    rc = folder_sync_of(path);
    if (rc < 0)
        return error_set_at(ret_error, rc, path, 0, "cannot be made durable: %s", strerror(-rc));
    return 0;
}
