/* Recorded traffic: the DNS requests of a packet capture, of dnstap events, or of a list of
 * queries.
 *
 * A capture is what libpcap reads (pcap, pcapng) of Ethernet, Linux cooked or raw IP packets, with
 * or without VLAN tags. Requests over UDP are whole datagrams; streams are put together in order of
 * their sequence numbers. Nothing in a capture is trusted, and memory is bounded whatever it holds.
 *
 * dnstap events are read from Frame Streams: the queries that came to a server (AUTH_QUERY,
 * CLIENT_QUERY), not what it asked others or answered.
 *
 * A list is one query a line, "name type", as dnsperf takes it; ';' and '#' begin comment lines.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "dns/request.h"
#include "order/address_table.h"

#define TRAFFIC_PORT_DEFAULT 53

struct traffic_query {
    const struct request *request; /* one that asks for zone data: request_asks_data() */
    const struct name *name;
    const struct address *client; /* who asked; NULL: not told, as by a list */
    bool over_tcp;
};

/* Takes one query; all pointers are valid during the call. A negative value stops the reading. */
typedef int traffic_fn(void *context, const struct traffic_query *query, struct error *ret_error);

enum traffic_form { TRAFFIC_LIST, TRAFFIC_CAPTURE, TRAFFIC_DNSTAP };

/* "list", "capture" or "dnstap". */
const char *traffic_form_word(enum traffic_form form);

struct traffic_report {
    enum traffic_form form;
    bool has_clients;        /* it tells who asked */
    bool cut_short;          /* it ends inside a packet or event: what came before counts */
    uint64_t read;           /* packets, events or lines */
    uint64_t queries;        /* handed out */
    uint64_t others;         /* requests for something else: transfers, updates, chaos, ... */
    uint64_t malformed;      /* messages that are no well-formed request; of a list: lines */
    uint64_t malformed_line; /* of a list: the first of them; 0: none */
    uint64_t fragments;      /* packets left out: only a part of a datagram */
    uint64_t truncated;      /* packets left out: not captured whole, or with impossible sizes */
    uint64_t gaps;           /* places in streams where octets are missing */
    uint64_t own;            /* of live traffic: requests of clients that are ourselves */
    uint64_t lost;           /* of live traffic: packets that the kernel had no room for */
};

/* Reads `path`; in a capture, packets to `port` are requests. The report is set on success. Returns
 * 0, what `take` returned, or a negative errno with a text. */
_must_check_ int traffic_read(const char *path, uint16_t port, traffic_fn *take, void *context,
                              struct traffic_report *ret_report, struct error *ret_error);
