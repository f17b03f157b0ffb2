#include "server/forward_outbox.h"

#include <stdlib.h>

/* Answers of one system call, as reply_send() sends them. */
#define ANSWERS_MAX 64

/* Buffers 4096 octets apart would share the same sets of a level-1 cache. */
#define BUFFER_STRIDE (FORWARD_DATAGRAM_MAX + 3 * 64)

struct forward_outbox {
    unsigned count;
    bool is_mixed; /* not all by one socket */
    struct reply replies[ANSWERS_MAX];
    struct reply_route routes[ANSWERS_MAX];
    uint8_t wires[ANSWERS_MAX][BUFFER_STRIDE];
};

struct forward_outbox *forward_outbox_create(void)
{
    struct forward_outbox *outbox = malloc(sizeof(*outbox));
    if (outbox == NULL)
        return NULL;
    outbox->count = 0;
    outbox->is_mixed = false;
    return outbox;
}

void forward_outbox_free(struct forward_outbox *outbox)
{
    free(outbox);
}

uint8_t *forward_outbox_room(struct forward_outbox *outbox)
{
    if (outbox->count == ANSWERS_MAX)
        forward_outbox_flush(outbox);
    return outbox->wires[outbox->count];
}

void forward_outbox_put(struct forward_outbox *outbox, const struct reply_route *route, size_t size)
{
    if (size == 0)
        return;
    const unsigned i = outbox->count++;
    outbox->routes[i] = *route;
    outbox->replies[i] =
        (struct reply){.route = &outbox->routes[i], .wire = outbox->wires[i], .size = size};
    outbox->is_mixed |= route->fd != outbox->routes[0].fd;
}

static int compare_sockets(const void *one, const void *other)
{
    const int a = ((const struct reply *)one)->route->fd;
    const int b = ((const struct reply *)other)->route->fd;
    return (a > b) - (a < b);
}

void forward_outbox_flush(struct forward_outbox *outbox)
{
    /* Each worker has its own sockets, and a system call takes what goes by one. */
    if (outbox->is_mixed)
        qsort(outbox->replies, outbox->count, sizeof(outbox->replies[0]), compare_sockets);
    reply_send(outbox->replies, outbox->count);
    outbox->count = 0;
    outbox->is_mixed = false;
}
