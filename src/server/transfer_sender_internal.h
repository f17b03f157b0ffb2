/* Shared by the files that send zones: transfer_sender.c (threads, turns), transfer_open.c (what a
 * transfer begins with) and transfer_message.c (OPT, TSIG, errors); no other includes it. */
#pragma once

#include <libknot/packet/wire.h>
#include <libknot/wire.h>
#include <stdatomic.h>
#include <urcu/wfcqueue.h>

#include "server/transfer_sender.h"
#include "zone/transfer_out.h"

/* Transfers at a time, of all zones and of one: those that run share the threads, and each holds
 * memory. */
#define RUNNING_MAX          64
#define RUNNING_PER_ZONE_MAX 32

struct transfer;

/* Something that a thread is told. */
struct event {
    struct cds_wfcq_node node;
    struct transfer *transfer;
    struct slot *slot; /* the message that left; NULL: the transfer is new */
};

/* A message on its way. */
struct slot {
    struct reply_watch watch;
    struct event event;
    bool is_sent, is_busy;
};

struct transfer {
    struct event event;
    struct transfer *next; /* in the thread's ring, or among those that wait */
    struct sender_thread *thread;
    struct slot slots[TRANSFER_MESSAGES_OUT];

    struct reply_route route;
    uint8_t question[KNOT_WIRE_HEADER_SIZE + NAME_SIZE_MAX + 4]; /* the request up to there */
    size_t question_end;
    struct name apex;
    bool is_ixfr, is_signed, has_edns, dnssec_ok, wants_expire;
    uint32_t serial; /* the client's */
    size_t datagram_max;
    struct tsig_server tsig;

    struct transfer_out *out; /* NULL: not begun */
    struct transfer_out *soa; /* of UDP: what is sent when the difference does not fit */
    uint64_t zone_octets;     /* what the zone has in memory */
    uint32_t expire_s;
    int64_t begun_ms;
    uint64_t octets; /* with OPT and TSIG */
    bool is_whole, in_ring, is_running, has_ended, has_failed;
};

struct sender_thread {
    struct transfer_sender *sender;
    struct cds_wfcq_head head;
    struct cds_wfcq_tail tail;
    int wake_fd;
    pthread_t thread;
    bool has_thread;
    struct transfer *ring_first, *ring_last; /* those that can go on */
    uint8_t message[KNOT_WIRE_MAX_PKTSIZE];
};

struct transfer_sender {
    struct transfer_sender_options options;
    atomic_bool stops;
    atomic_uint next_thread, held;

    /* Over what follows, for threads of ours alone. */
    pthread_mutex_t admission;
    struct transfer *running[RUNNING_MAX];
    struct transfer *waiting_first, *waiting_last;

    struct {
        _Atomic(uint64_t) whole, differences, current, failed, refused_full, records, messages,
            octets, running, waiting;
    } counters;
    unsigned thread_count;
    struct sender_thread threads[];
};

/* Opens the transfer's `out`. Returns 0, -ENOENT: the zone is no longer here, -ENODATA: it is not
 * served now, or -ENOMEM. */
_must_check_ int transfer_open(const struct sender_thread *thread, struct transfer *transfer);

/* Makes the thread's next message of the transfer, or one with an error in the place of the first,
 * signed as it has to be. Returns its size, -EMSGSIZE or -ENOMEM. */
_must_check_ int transfer_make_message(struct sender_thread *thread, struct transfer *transfer);
_must_check_ int transfer_make_refusal(struct sender_thread *thread, struct transfer *transfer,
                                       uint8_t rcode);

static inline bool transfer_is_datagram(const struct transfer *transfer)
{
    return transfer->route.transport == TRANSPORT_UDP;
}

/* Logs something about a transfer. */
void transfer_say(const struct sender_thread *thread, const struct transfer *transfer, int level,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));
