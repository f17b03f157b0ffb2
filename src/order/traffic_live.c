/* Live traffic of either source, and the packets of an interface. */
#include "order/traffic_live.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "order/traffic_live_internal.h"

/* Whole packets also where the network card joins segments. */
#define SNAPSHOT_SIZE 262144

/* Some 40,000 queries that come while we are not scheduled. */
#define KERNEL_BUFFER_SIZE (16 * 1024 * 1024)

/* How long the kernel may gather packets before it wakes us. */
#define KERNEL_WAIT_MS 50

/* Packets of one step, so that the caller is asked in between whether to go on. */
#define STEP_PACKETS_MAX 4096

struct traffic_live {
    const struct live_source *source;
    void *state;
    struct traffic traffic;
    struct traffic_report report;
};

int traffic_live_open(const struct traffic_live_options *options, struct traffic_live **ret_live,
                      struct error *ret_error)
{
    _cleanup_(traffic_live_freep) struct traffic_live *live = calloc(1, sizeof(*live));
    if (live == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    live->source = options->interface != NULL ? &live_packets : &live_events;
    live->report.form = options->interface != NULL ? TRAFFIC_CAPTURE : TRAFFIC_DNSTAP;
    live->traffic = (struct traffic){.port = options->port,
                                     .report = &live->report,
                                     .error = ret_error,
                                     .own = options->own,
                                     .own_count = options->own_count};
    int rc = live->source->open(options, &live->traffic, &live->state);
    if (rc < 0)
        return rc;
    *ret_live = TAKE(live);
    return 0;
}

void traffic_live_free(struct traffic_live *live)
{
    if (live == NULL)
        return;
    live->source->close(live->state);
    free(live);
}

int traffic_live_step(struct traffic_live *live, int timeout_ms, traffic_fn *take, void *context,
                      struct error *ret_error)
{
    live->traffic.take = take;
    live->traffic.context = context;
    live->traffic.error = ret_error;
    return live->source->step(live->state, &live->traffic, timeout_ms);
}

const struct traffic_report *traffic_live_report(const struct traffic_live *live)
{
    return &live->report;
}

/* ---- An interface ---- */

struct packets {
    pcap_t *capture;
    const char *interface;
    int link_type;
    struct traffic_streams *streams;
    struct traffic *traffic; /* during a step */
    int rc;
};

/* Requests to the port, also behind VLAN tags. IPv6 packets with extension headers are looked at
 * by the packet reader: the kernel's filter does not pass the headers. */
#define WANTED \
    "(dst port %u or (ip6 and (ip6[6] == 0 or ip6[6] == 43 or ip6[6] == 44 or ip6[6] == 60)))"

static int filter_set(struct packets *packets, uint16_t port, struct error *ret_error)
{
    char wanted[160], tagged[512];
    struct bpf_program filter;

    snprintf(wanted, sizeof(wanted), WANTED, port);
    snprintf(tagged, sizeof(tagged), "%s or (vlan and (%s or (vlan and %s)))", wanted, wanted,
             wanted);
    /* Link types without tags refuse the word. */
    if (pcap_compile(packets->capture, &filter, tagged, 1, PCAP_NETMASK_UNKNOWN) < 0 &&
        pcap_compile(packets->capture, &filter, wanted, 1, PCAP_NETMASK_UNKNOWN) < 0)
        return error_set(ret_error, -EINVAL, "the filter of the capture on %s is refused: %s",
                         packets->interface, pcap_geterr(packets->capture));
    int status = pcap_setfilter(packets->capture, &filter);
    pcap_freecode(&filter);
    return status == 0 ? 0
                       : error_set(ret_error, -EIO, "the capture on %s cannot be filtered: %s",
                                   packets->interface, pcap_geterr(packets->capture));
}

/* Why an interface cannot be captured on, with what to do about it. */
static int activate_failed(const struct packets *packets, int status, struct error *ret_error)
{
    switch (status) {
    case PCAP_ERROR_NO_SUCH_DEVICE:
        return error_set(ret_error, -ENODEV, "there is no interface '%s': ip link shows them",
                         packets->interface);
    case PCAP_ERROR_PERM_DENIED:
    case PCAP_ERROR_PROMISC_PERM_DENIED:
        return error_set(ret_error, -EPERM,
                         "capturing on %s is not permitted: run it as root or with CAP_NET_RAW",
                         packets->interface);
    case PCAP_ERROR_IFACE_NOT_UP:
        return error_set(ret_error, -ENETDOWN, "interface %s is down: ip link set %s up",
                         packets->interface, packets->interface);
    default:
        return error_set(ret_error, -EIO, "cannot capture on %s: %s", packets->interface,
                         pcap_geterr(packets->capture));
    }
}

static void packets_close(void *state)
{
    struct packets *packets = state;
    if (packets == NULL)
        return;
    if (packets->capture != NULL)
        pcap_close(packets->capture);
    traffic_streams_free(packets->streams);
    free(packets);
}

static int packets_start(struct packets *packets, const struct traffic_live_options *options,
                         struct traffic *traffic)
{
    char cause[PCAP_ERRBUF_SIZE];
    pcap_t *capture = packets->capture = pcap_create(options->interface, cause);

    packets->streams = traffic_streams_create();
    if (capture == NULL || packets->streams == NULL)
        return error_set(traffic->error, -ENOMEM, "cannot capture on %s: %s", options->interface,
                         capture == NULL ? cause : "out of memory");
    /* Promiscuous: on the mirror port of a switch the packets are for somebody else. */
    pcap_set_promisc(capture, 1);
    pcap_set_snaplen(capture, SNAPSHOT_SIZE);
    pcap_set_buffer_size(capture, KERNEL_BUFFER_SIZE);
    pcap_set_timeout(capture, KERNEL_WAIT_MS);
    int status = pcap_activate(capture);
    if (status < 0)
        return activate_failed(packets, status, traffic->error);
    packets->link_type = pcap_datalink(capture);
    int rc = traffic_link_check(traffic, options->interface, packets->link_type);
    if (rc == 0)
        rc = filter_set(packets, options->port, traffic->error);
    if (rc == 0 && pcap_setnonblock(capture, 1, cause) < 0)
        rc = error_set(traffic->error, -EIO, "cannot capture on %s: %s", options->interface, cause);
    return rc;
}

static int packets_open(const struct traffic_live_options *options, struct traffic *traffic,
                        void **ret_state)
{
    struct packets *packets = calloc(1, sizeof(*packets));
    if (packets == NULL)
        return error_set(traffic->error, -ENOMEM, "out of memory");
    packets->interface = options->interface;
    traffic->report->has_clients = true;
    int rc = packets_start(packets, options, traffic);
    if (rc < 0) {
        packets_close(packets);
        return rc;
    }
    *ret_state = packets;
    return 0;
}

static void packet_take(u_char *context, const struct pcap_pkthdr *header, const u_char *octets)
{
    struct packets *packets = (struct packets *)context;

    packets->rc = traffic_take_packet(packets->traffic, packets->streams, packets->link_type,
                                      octets, header->caplen);
    if (packets->rc < 0)
        pcap_breakloop(packets->capture);
}

static int packets_step(void *state, struct traffic *traffic, int timeout_ms)
{
    struct packets *packets = state;
    struct pollfd poller = {.fd = pcap_get_selectable_fd(packets->capture), .events = POLLIN};
    struct pcap_stat counts;

    (void)poll(&poller, 1, timeout_ms); /* a signal or an error shows below */
    packets->traffic = traffic;
    packets->rc = 0;
    int taken = pcap_dispatch(packets->capture, STEP_PACKETS_MAX, packet_take, (u_char *)packets);
    if (packets->rc < 0)
        return packets->rc;
    if (taken == PCAP_ERROR)
        return error_set(traffic->error, -EIO, "the capture on %s has ended: %s",
                         packets->interface, pcap_geterr(packets->capture));
    if (pcap_stats(packets->capture, &counts) == 0)
        traffic->report->lost = (uint64_t)counts.ps_drop + counts.ps_ifdrop;
    return 0;
}

const struct live_source live_packets = {
    .open = packets_open, .step = packets_step, .close = packets_close};
