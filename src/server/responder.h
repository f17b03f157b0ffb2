/* From a request's octets to a response's octets: the whole of what the server says to DNS clients.
 *
 * A responder belongs to one worker thread, which is registered with RCU and online while it calls.
 * No call allocates, blocks or takes a lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"

enum transport { TRANSPORT_UDP, TRANSPORT_TCP };

#define RESPONSE_SIZE_MAX 65535

struct responder;

/* Answers one request. Returns the response's size, 0 for none (the request is ignored). `response`
 * has room for RESPONSE_SIZE_MAX octets on TCP and for at least 4096 on UDP. `now` is in Unix
 * seconds. */
size_t responder_answer(struct responder *responder, const uint8_t *request, size_t request_size,
                        const struct sockaddr *client, enum transport transport, int64_t now,
                        uint8_t *response, size_t response_max);
