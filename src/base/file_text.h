/* Files read whole, with the certainty that they did not change meanwhile, and written whole or not
 * at all. */
#pragma once

#include <stddef.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"

struct file_text {
    char *octets; /* followed by one NUL that `size` does not count */
    size_t size;
};

/* Reads `path` into memory. A file that is replaced, rewritten or cut while it is read is refused
 * (-EAGAIN): a list that is half old and half new is nobody's list. Pipes are read to their end.
 * More than `size_max` octets are refused (-EFBIG). */
_must_check_ int file_text_read(const char *path, size_t size_max, struct file_text *ret_text,
                                struct error *ret_error);
void file_text_clear(struct file_text *text);

/* From here on this process refuses pipes and devices (-EINVAL), also at being opened: a server
 * must not wait for whoever writes to one. Called once, before there are threads. */
void file_text_refuse_pipes(void);

/* Whether `fd` and `path` are still the file that `before` describes: 0, or -EAGAIN with the
 * remedy. */
_must_check_ int file_unchanged(int fd, const char *path, const struct stat *before,
                                struct error *ret_error);

/* Writes a new file durably; one that exists is refused (-EEXIST). After a failure there is none.
 */
_must_check_ int file_text_create(const char *path, mode_t mode, const char *text, size_t size,
                                  struct error *ret_error);

/* Replaces the content of a file: readers see the old one or the new one, also after a power cut.
 * Its mode is kept. */
_must_check_ int file_text_replace(const char *path, const char *text, size_t size,
                                   struct error *ret_error);

/* The same for a file that may not exist yet, with the given mode in any case; fails, too, when its
 * name cannot be made durable. */
_must_check_ int file_text_put(const char *path, mode_t mode, const char *text, size_t size,
                               struct error *ret_error);
