/* Answers that a forwarding thread has made for clients of UDP, held back so that many go by one
 * system call. One a thread. */
#pragma once

#include "base/cleanup.h"
#include "server/reply.h"

/* As for udp_payload_max: no datagram is larger. */
#define FORWARD_DATAGRAM_MAX 4096

struct forward_outbox;

struct forward_outbox *forward_outbox_create(void); /* NULL: no memory */
void forward_outbox_free(struct forward_outbox *outbox);

/* Where the next answer is written to: FORWARD_DATAGRAM_MAX octets. */
uint8_t *forward_outbox_room(struct forward_outbox *outbox);

/* Takes the answer that was written there, 0 octets for none. The route is copied. */
void forward_outbox_put(struct forward_outbox *outbox, const struct reply_route *route,
                        size_t size);

/* Sends all. */
void forward_outbox_flush(struct forward_outbox *outbox);
