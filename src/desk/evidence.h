/* Evidence: octets that reporters sent, kept by their hash in files that nothing ever runs or
 * shows. A file is written and made durable before the transaction that names it; one that no row
 * names, as after a crash between the two, is removed by the job of retention. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define EVIDENCE_HASH_SIZE 65 /* BLAKE2b-256 in hex, and NUL */

/* Makes the folder below the folder of state. */
_must_check_ int evidence_folder_make(const char *state, struct error *ret_error);

/* Keeps octets; the same ones twice are one file. -ENOSPC: the disk is full. Any thread, any
 * process. */
_must_check_ int evidence_put(const char *state, const void *octets, size_t size,
                              char ret_hash[static EVIDENCE_HASH_SIZE], struct error *ret_error);

/* Whether `text` is a hash, so that it may be a part of a path. */
bool evidence_hash_is_valid(const char *text);

/* Opens for reading. -ENOENT. */
_must_check_ int evidence_open(const char *state, const char *hash, int *ret_fd, uint64_t *ret_size,
                               struct error *ret_error);

/* Removes a file unless evidence_put() has been at it since `before_s`; one that is not there is no
 * error. */
_must_check_ int evidence_remove(const char *state, const char *hash, int64_t before_s,
                                 struct error *ret_error);

/* Calls `visit` for each file that was written before `before_s`. */
typedef int evidence_visit_fn(const char *hash, void *context, struct error *ret_error);
_must_check_ int evidence_visit(const char *state, int64_t before_s, evidence_visit_fn *visit,
                                void *context, struct error *ret_error);
