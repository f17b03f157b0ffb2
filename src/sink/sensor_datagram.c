/* UDP: a flight for each datagram, and never an answer, so that nobody can be flooded by us. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sink/sensor_internal.h"

/* Room for what IP_RECVORIGDSTADDR and IPV6_RECVORIGDSTADDR tell. */
union control {
    struct cmsghdr header;
    uint8_t octets[CMSG_SPACE(sizeof(struct sockaddr_in6))];
};

struct datagram_batch {
    struct mmsghdr messages[DATAGRAMS_MAX];
    struct iovec places[DATAGRAMS_MAX];
    struct sockaddr_storage clients[DATAGRAMS_MAX];
    union control controls[DATAGRAMS_MAX];
    uint8_t octets[];
};

struct datagram_batch *datagram_batch_create(size_t octets_max)
{
    struct datagram_batch *batch = calloc(1, sizeof(*batch) + DATAGRAMS_MAX * octets_max);
    if (batch == NULL)
        return NULL;
    for (size_t i = 0; i < DATAGRAMS_MAX; i++) {
        batch->places[i] =
            (struct iovec){.iov_base = batch->octets + i * octets_max, .iov_len = octets_max};
        batch->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->clients[i],
            .msg_iov = &batch->places[i],
            .msg_iovlen = 1,
            .msg_control = &batch->controls[i],
        };
    }
    return batch;
}

void datagram_batch_free(struct datagram_batch *batch)
{
    free(batch);
}

/* Where it was sent to: the kernel tells, also of those that a rule has led here. */
static void destination_of(const struct sensor_socket *socket, struct msghdr *message,
                           struct sink_endpoint *ret_local)
{
    *ret_local = socket->local;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control != NULL;
         control = CMSG_NXTHDR(message, control)) {
        const bool is_ipv4 = control->cmsg_level == SOL_IP && control->cmsg_type == IP_ORIGDSTADDR;
        const bool is_ipv6 =
            control->cmsg_level == SOL_IPV6 && control->cmsg_type == IPV6_ORIGDSTADDR;
        if (is_ipv4 || is_ipv6) {
            struct sockaddr_storage address = {0};
            memcpy(&address, CMSG_DATA(control), control->cmsg_len - CMSG_LEN(0));
            endpoint_from_sockaddr(&address, ret_local);
        }
    }
}

static void hand_on(struct sensor_thread *thread, const struct sensor_socket *socket, size_t index)
{
    struct sensor *sensor = thread->sensor;
    const struct sensor_options *options = &sensor->options;
    struct datagram_batch *batch = thread->datagrams;
    struct mmsghdr *message = &batch->messages[index];
    struct sink_flight flight = {
        .at_us = thread->now_us + thread->epoch_us,
        .transport = SINK_UDP,
        .ending = SINK_DATAGRAM,
        .received = message->msg_len,
        .octets = batch->places[index].iov_base,
        .size = message->msg_len < options->octets_max ? message->msg_len : options->octets_max,
    };
    endpoint_from_sockaddr(&batch->clients[index], &flight.client);
    if (!datagram_share_take(sensor->datagrams, &flight.client.address, thread->now_us)) {
        figure_add(&thread->figures.shed_per_source, 1);
        return;
    }
    destination_of(socket, &message->msg_hdr, &flight.local);
    figure_add(&thread->figures.datagrams, 1);
    figure_add(&thread->figures.octets, flight.received);
    figure_add(&thread->figures.ended[SINK_DATAGRAM], 1);
    options->take(options->context, thread->number, &flight);
}

void datagrams_serve(struct sensor_thread *thread, const struct sensor_socket *socket)
{
    struct datagram_batch *batch = thread->datagrams;
    for (unsigned round = 0; round < DATAGRAM_ROUNDS_MAX; round++) {
        for (size_t i = 0; i < DATAGRAMS_MAX; i++) {
            batch->messages[i].msg_hdr.msg_namelen = sizeof(batch->clients[i]);
            batch->messages[i].msg_hdr.msg_controllen = sizeof(batch->controls[i]);
        }
        /* MSG_TRUNC: the length is the datagram's, also where only its beginning has room. */
        int count =
            recvmmsg(socket->fd, batch->messages, DATAGRAMS_MAX, MSG_DONTWAIT | MSG_TRUNC, NULL);
        for (int i = 0; i < count; i++)
            hand_on(thread, socket, (size_t)i);
        if (count < DATAGRAMS_MAX)
            return;
    }
}
