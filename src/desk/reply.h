/* What a request is answered with. A handler gets an empty one and fills it once; the last filling
 * stands. The functions return 0 or -ENOMEM, so that a handler ends with `return reply_json(...)`.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

/* More headers than any handler sets, beside those that every answer has. */
#define REPLY_HEADERS_MAX 8

struct reply_header {
    char *name, *value;
};

struct reply {
    unsigned status;  /* HTTP's; 0: not filled yet */
    const char *type; /* a constant; NULL: no body */
    char *body;       /* owned unless body_is_constant */
    size_t size;
    bool body_is_constant;
    int fd; /* a file to send in place of the body, owned; -1: none */
    struct reply_header headers[REPLY_HEADERS_MAX];
    size_t header_count;
    bool is_secret; /* set by a handler: never kept for a repeated Idempotency-Key */
};

#define REPLY_EMPTY ((struct reply){.fd = -1})

/* What a handler returns when pending_finish() will answer. */
#define HANDLER_PENDING 1

/* Takes `json`, also on failure. NULL is out of memory. */
_must_check_ int reply_json(struct reply *reply, unsigned status, json_t *json);

/* {"items": items, "next": next}; takes `items`. `next` NULL: the last page. */
_must_check_ int reply_list(struct reply *reply, json_t *items, const char *next);

/* Copies `octets`. `type` is a constant. */
_must_check_ int reply_octets(struct reply *reply, unsigned status, const char *type,
                              const void *octets, size_t size);
/* Takes `octets` of malloc(). */
_must_check_ int reply_buffer(struct reply *reply, unsigned status, const char *type, char *octets,
                              size_t size);
/* A text that lives as long as the program. */
_must_check_ int reply_constant(struct reply *reply, unsigned status, const char *type,
                                const char *text);
/* Sends a file of `size` octets; takes `fd`, also on failure. */
_must_check_ int reply_file(struct reply *reply, unsigned status, const char *type, int fd,
                            uint64_t size);
/* No body, as of 204. Never fails. */
int reply_status(struct reply *reply, unsigned status);

/* A problem (RFC 9457). `kind` is a word for programs, the end of its type's URI; `remedy` and
 * `pointer` (a JSON pointer, RFC 6901, into what was sent) may be NULL. */
_must_check_ int reply_problem(struct reply *reply, unsigned status, const char *kind,
                               const char *remedy, const char *pointer, const char *detail, ...)
    __attribute__((format(printf, 6, 7)));

/* The problem for an error of a handler: -EINVAL 400, -EACCES 403, -ENOENT 404, -EEXIST 409,
 * -EMSGSIZE 413, -EDQUOT 429, -EAGAIN, -EIO, -ENOSPC and -ENOMEM 503 with Retry-After, else 500.
 * What is not the client's doing is logged, and the client learns no more than the status. The
 * text's part behind the first ": " is the remedy; a `file` that begins with '/' or '#' is the JSON
 * pointer. */
_must_check_ int reply_error(struct reply *reply, int code, const struct error *error);

/* Copies both; a value with a control character is refused (-EINVAL). */
_must_check_ int reply_header_add(struct reply *reply, const char *name, const char *value);

void reply_clear(struct reply *reply);
