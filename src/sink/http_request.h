/* The head of an HTTP/1 request (RFC 9112), as far as telling requests apart needs it. */
#pragma once

#include "sink/recognition.h"

struct http_request {
    struct sink_text method, target; /* as sent; what came of the target where it isn't whole */
    struct sink_text version;        /* "HTTP/1.1"; "" where it didn't come, or is HTTP/0.9 */
    struct sink_text host;           /* the first Host, without its port */
    struct sink_text agent;          /* the first User-Agent */
    struct sink_text body;           /* what came of it; "" */
    bool strict; /* no line is before it, lines end in CR LF, the target has no spaces, fields have
                    names */
};

/* Reads the request at the front, behind an empty line if there is one. Texts point into `octets`,
 * or are "". Returns 0 when the head is whole, -EAGAIN when the octets end within it (what came is
 * filled in), -EBADMSG when it is none. Any thread; nothing is allocated. */
int http_request_read(const uint8_t *octets, size_t size, struct http_request *ret_request);
