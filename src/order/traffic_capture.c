/* Packet captures: from a frame to the DNS message in it. */
#include <errno.h>
#include <pcap/pcap.h>
#include <string.h>

#include <libknot/wire.h>

#include "order/traffic_internal.h"

#define ETHERTYPE_IPV4   0x0800
#define ETHERTYPE_IPV6   0x86dd
#define ETHERTYPE_VLAN   0x8100 /* IEEE 802.1Q */
#define ETHERTYPE_QINQ   0x88a8 /* IEEE 802.1ad */
#define VLAN_TAGS_MAX    4
#define EXTENSIONS_MAX   8 /* IPv6 extension headers in front of the payload */
#define PROTOCOL_TCP     6
#define PROTOCOL_UDP     17
#define UDP_HEADER_SIZE  8
#define TCP_HEADER_SIZE  20
#define IPV6_HEADER_SIZE 40

/* What is left of a packet, from the present header on. */
struct view {
    const uint8_t *at;
    size_t size;
};

static bool skip(struct view *view, size_t size)
{
    if (view->size < size)
        return false;
    view->at += size;
    view->size -= size;
    return true;
}

/* A packet's addresses and payload. */
struct packet {
    struct address source;
    uint8_t destination[16];
    uint8_t protocol;
    struct view payload;
};

enum packet_kind { PACKET_OTHER, PACKET_WHOLE, PACKET_FRAGMENT, PACKET_TRUNCATED };

/* ---- Link layers ---- */

/* Passes VLAN tags; `ethertype` is the one in front of them. */
static bool skip_tags(struct view *view, uint16_t ethertype)
{
    for (unsigned tags = 0; ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ; tags++) {
        if (tags == VLAN_TAGS_MAX || view->size < 4)
            return false;
        ethertype = knot_wire_read_u16(view->at + 2);
        (void)skip(view, 4);
    }
    return ethertype == ETHERTYPE_IPV4 || ethertype == ETHERTYPE_IPV6;
}

/* Passes the link's header; false: no IP packet follows. */
static bool skip_link(int link_type, struct view *view)
{
    const uint8_t *frame = view->at;

    switch (link_type) {
    case DLT_EN10MB:
        return skip(view, 14) && skip_tags(view, knot_wire_read_u16(frame + 12));
    case DLT_LINUX_SLL:
        return skip(view, 16) && skip_tags(view, knot_wire_read_u16(frame + 14));
    case DLT_LINUX_SLL2:
        return skip(view, 20) && skip_tags(view, knot_wire_read_u16(frame));
    case DLT_NULL:
    case DLT_LOOP:
        return skip(view, 4);
    default:
        return true;
    }
}

static bool link_is_known(int link_type)
{
    static const int known[] = {DLT_EN10MB, DLT_LINUX_SLL, DLT_LINUX_SLL2, DLT_NULL,
                                DLT_LOOP,   DLT_RAW,       DLT_IPV4,       DLT_IPV6};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i] == link_type)
            return true;
    return false;
}

/* ---- IP ---- */

static enum packet_kind read_ipv4(struct view view, struct packet *ret_packet)
{
    if (view.size < 20)
        return PACKET_TRUNCATED;
    const uint8_t *header = view.at;
    size_t header_size = (size_t)(header[0] & 0xf) * 4;
    size_t total = knot_wire_read_u16(header + 2);
    if (total == 0)
        total = view.size; /* left to the network card to fill in */
    if (header_size < 20 || total < header_size || total > view.size)
        return PACKET_TRUNCATED;
    if ((knot_wire_read_u16(header + 6) & 0x3fff) != 0) /* more follow, or an offset */
        return PACKET_FRAGMENT;

    *ret_packet = (struct packet){.source.family = 4, .protocol = header[9]};
    memcpy(ret_packet->source.octets, header + 12, 4);
    memcpy(ret_packet->destination, header + 16, 4);
    ret_packet->payload = (struct view){header + header_size, total - header_size};
    return PACKET_WHOLE;
}

/* Passes extension headers (RFC 8200, 4) up to the payload. */
static enum packet_kind skip_extensions(struct packet *packet)
{
    struct view *view = &packet->payload;

    for (unsigned i = 0; i < EXTENSIONS_MAX; i++) {
        switch (packet->protocol) {
        case 0:  /* hop by hop */
        case 43: /* routing */
        case 60: /* destination */
            if (view->size < 8)
                return PACKET_TRUNCATED;
            packet->protocol = view->at[0];
            if (!skip(view, ((size_t)view->at[1] + 1) * 8))
                return PACKET_TRUNCATED;
            break;
        case 44: /* fragment; one that is all of its packet is none (RFC 6946) */
            if (view->size < 8)
                return PACKET_TRUNCATED;
            if ((knot_wire_read_u16(view->at + 2) & 0xfff9) != 0)
                return PACKET_FRAGMENT;
            packet->protocol = view->at[0];
            (void)skip(view, 8);
            break;
        default:
            return PACKET_WHOLE;
        }
    }
    return PACKET_OTHER;
}

static enum packet_kind read_ipv6(struct view view, struct packet *ret_packet)
{
    if (view.size < IPV6_HEADER_SIZE)
        return PACKET_TRUNCATED;
    const uint8_t *header = view.at;
    size_t payload_size = knot_wire_read_u16(header + 4);
    if (payload_size == 0)
        payload_size = view.size - IPV6_HEADER_SIZE;
    if (payload_size > view.size - IPV6_HEADER_SIZE)
        return PACKET_TRUNCATED;

    *ret_packet = (struct packet){.source.family = 6, .protocol = header[6]};
    memcpy(ret_packet->source.octets, header + 8, 16);
    memcpy(ret_packet->destination, header + 24, 16);
    ret_packet->payload = (struct view){header + IPV6_HEADER_SIZE, payload_size};
    return skip_extensions(ret_packet);
}

static enum packet_kind read_packet(int link_type, struct view view, struct packet *ret_packet)
{
    if (!skip_link(link_type, &view) || view.size == 0)
        return PACKET_OTHER;
    switch (view.at[0] >> 4) {
    case 4:
        return read_ipv4(view, ret_packet);
    case 6:
        return read_ipv6(view, ret_packet);
    default:
        return PACKET_OTHER;
    }
}

/* ---- Transports ---- */

static int take_datagram(struct traffic *traffic, const struct packet *packet)
{
    struct view view = packet->payload;

    if (view.size < UDP_HEADER_SIZE) {
        traffic->report->truncated++;
        return 0;
    }
    if (knot_wire_read_u16(view.at + 2) != traffic->port)
        return 0;
    size_t size = knot_wire_read_u16(view.at + 4);
    if (size < UDP_HEADER_SIZE || size > view.size) {
        traffic->report->truncated++;
        return 0;
    }
    return traffic_message(traffic, view.at + UDP_HEADER_SIZE, size - UDP_HEADER_SIZE,
                           &packet->source, false);
}

static int take_segment(struct traffic *traffic, struct traffic_streams *streams,
                        const struct packet *packet)
{
    const uint8_t *header = packet->payload.at;
    size_t size = packet->payload.size;

    if (size < TCP_HEADER_SIZE) {
        traffic->report->truncated++;
        return 0;
    }
    if (knot_wire_read_u16(header + 2) != traffic->port)
        return 0;
    size_t header_size = (size_t)(header[12] >> 4) * 4;
    if (header_size < TCP_HEADER_SIZE || header_size > size) {
        traffic->report->truncated++;
        return 0;
    }
    struct traffic_segment segment = {
        .client = packet->source,
        .client_port = knot_wire_read_u16(header),
        .sequence = knot_wire_read_u32(header + 4),
        .begins = (header[13] & 0x02) != 0,
        .ends = (header[13] & 0x05) != 0,
        .payload = header + header_size,
        .size = size - header_size,
    };
    memcpy(segment.server, packet->destination, sizeof(segment.server));
    return traffic_streams_take(streams, traffic, &segment);
}

int traffic_take_packet(struct traffic *traffic, struct traffic_streams *streams, int link_type,
                        const uint8_t *octets, size_t size)
{
    struct packet packet;

    traffic->report->read++;
    switch (read_packet(link_type, (struct view){octets, size}, &packet)) {
    case PACKET_OTHER:
        return 0;
    case PACKET_FRAGMENT:
        traffic->report->fragments++;
        return 0;
    case PACKET_TRUNCATED:
        traffic->report->truncated++;
        return 0;
    case PACKET_WHOLE:
        break;
    }
    if (packet.protocol == PROTOCOL_UDP)
        return take_datagram(traffic, &packet);
    if (packet.protocol == PROTOCOL_TCP)
        return take_segment(traffic, streams, &packet);
    return 0;
}

int traffic_link_check(struct traffic *traffic, const char *source, int link_type)
{
    if (link_is_known(link_type))
        return 0;
    const char *name = pcap_datalink_val_to_name(link_type);
    return error_set_at(traffic->error, -EPROTONOSUPPORT, source, 0,
                        "is a capture of link type %d (%s); Ethernet, Linux cooked and raw IP "
                        "are known",
                        link_type, name != NULL ? name : "no name");
}

static int take_all(struct traffic *traffic, const char *path, pcap_t *capture)
{
    _cleanup_(traffic_streams_freep) struct traffic_streams *streams = traffic_streams_create();
    struct pcap_pkthdr *header;
    const uint8_t *octets;
    int link_type = pcap_datalink(capture);

    if (streams == NULL)
        return error_set(traffic->error, -ENOMEM, "out of memory");
    int rc = traffic_link_check(traffic, path, link_type);
    if (rc < 0)
        return rc;
    for (;;) {
        int status = pcap_next_ex(capture, &header, &octets);
        if (status != 1) {
            traffic->report->cut_short = status == PCAP_ERROR;
            return 0;
        }
        rc = traffic_take_packet(traffic, streams, link_type, octets, header->caplen);
        if (rc < 0)
            return rc;
    }
}

int traffic_read_capture(struct traffic *traffic, const char *path, FILE *stream)
{
    char cause[PCAP_ERRBUF_SIZE];

    pcap_t *capture = pcap_fopen_offline(stream, cause);
    if (capture == NULL) {
        fclose(stream);
        return error_set_at(traffic->error, -EBADMSG, path, 0, "is no capture that can be read: %s",
                            cause);
    }
    int rc = take_all(traffic, path, capture);
    pcap_close(capture); /* closes the stream */
    return rc;
}
