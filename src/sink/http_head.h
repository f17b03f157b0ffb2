/* The head of an HTTP/1 request (RFC 9112), as far as it decides what the page says and when. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest request line (RFC 9112, 3, asks for 8,000). */
#define REQUEST_LINE_MAX 8000

struct http_head {
    bool is_head;         /* the method: no body is sent back */
    char host[256];       /* of the target or of Host: lower case, no port, no last dot; "" */
    uint64_t body_octets; /* to wait for; 0 also where the client waits for an answer first
                             (RFC 9110, 10.1.1) and for chunks */
};

/* Whether the octets begin an HTTP/1 request: 0, -EAGAIN while its first line isn't whole, -EBADMSG
 * when they are no HTTP/1. HTTP/2's preface and HTTP/0.9 are none. */
int http_head_begins(const uint8_t *octets, size_t size);

/* The octets of the head with its last empty line; 0 while it isn't whole. Those before `from` were
 * looked at before. */
size_t http_head_size(const uint8_t *octets, size_t size, size_t from);

/* Reads what is there of a head whose first line is whole. */
void http_head_read(const uint8_t *octets, size_t size, struct http_head *ret_request);
