/* The SOA query of transfer_in.h: UDP first, TCP when UDP does not do; TLS and nothing else where
 * it is wanted. */
#include "zone/transfer_in.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>

#include "zone/origin_link.h"
#include "zone/origin_query.h"

/* Datagrams get lost: each is waited for this long, twice as long each time. */
#define UDP_TRIES       2
#define UDP_WAIT_MIN_MS 1000

/* Without EDNS an answer has no more; what is longer is no honest answer and gets cut. */
#define UDP_ANSWER_MAX 4096

/* Returns 0, or 1 when the answer was truncated. */
static int soa_read(struct origin_query *query, struct record_reader *reader, const uint8_t *wire,
                    size_t size, struct soa *ret_soa, struct error *ret_error)
{
    struct origin_answer answer;
    int rc = origin_answer_open(query, reader, wire, size, true, &answer, ret_error);
    if (rc < 0)
        return rc;
    if (answer.is_truncated)
        return 1;

    struct soa soa;
    bool found = false;
    for (uint16_t i = 0; i < answer.answer_count; i++) {
        struct record record;
        if (record_reader_next(reader, &record) < 0)
            return error_set(ret_error, -EBADMSG, "%s sent a malformed record", query->origin);
        if (record.type == KNOT_RRTYPE_SOA && record.class == KNOT_CLASS_IN && !found &&
            knot_dname_is_case_equal(record.owner, query->apex)) {
            soa_from_record(&soa, &record);
            found = true;
        }
    }
    rc = origin_answer_close(query, &answer, ret_error);
    if (rc < 0)
        return rc;
    if (!found)
        return error_set(ret_error, -EBADMSG, "%s has no SOA of %s: does it serve the zone?",
                         query->origin, query->zone);
    if (!answer.is_authoritative)
        return error_set(ret_error, -EBADMSG,
                         "%s is not authoritative for %s: name a server that is", query->origin,
                         query->zone);
    *ret_soa = soa;
    return 0;
}

static int soa_over_udp(struct origin_link *link, struct origin_query *query,
                        struct record_reader *reader, unsigned wait_ms, struct soa *ret_soa,
                        struct error *ret_error)
{
    uint8_t wire[UDP_ANSWER_MAX];
    size_t size;

    int rc = origin_link_send_datagram(link, query->wire, query->size, ret_error);
    if (rc < 0)
        return rc;
    const int64_t until_ms = monotonic_ms() + wait_ms;
    do {
        rc = origin_link_receive_datagram(link, until_ms, wire, sizeof(wire), &size, ret_error);
        if (rc < 0)
            return rc;
    } while (!origin_query_is_answer(query, wire, size));
    return soa_read(query, reader, wire, size, ret_soa, ret_error);
}

static int soa_over_stream(const struct transfer_source *source, const uint8_t *apex,
                           struct record_reader *reader, struct soa *ret_soa,
                           struct error *ret_error)
{
    _cleanup_(origin_link_close) struct origin_link link = {.fd = -1};
    _cleanup_(origin_query_clear) struct origin_query query = {.tsig = NULL};
    const uint8_t *wire;
    size_t size;

    int rc = origin_link_open_stream(&link, source, ret_error);
    if (rc < 0)
        return rc;
    rc = origin_query_init(&query, source, apex, KNOT_RRTYPE_SOA, link.text, ret_error);
    if (rc < 0)
        return rc;
    rc = origin_link_send_stream(&link, query.wire, query.size, ret_error);
    if (rc < 0)
        return rc;
    rc = origin_link_receive_stream(&link, &wire, &size, ret_error);
    if (rc < 0)
        return rc;
    rc = soa_read(&query, reader, wire, size, ret_soa, ret_error);
    return rc <= 0 ? rc
                   : error_set(ret_error, -EBADMSG, "%s truncated an answer over a connection",
                               query.origin);
}

int transfer_soa(const struct transfer_source *source, const uint8_t *apex, struct soa *ret_soa,
                 struct error *ret_error)
{
    _cleanup_(origin_link_close) struct origin_link link = {.fd = -1};
    _cleanup_(record_reader_freep) struct record_reader *reader = record_reader_create();
    if (reader == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");

    /* The name of the zone is as private as its content (RFC 9103). */
    if (source->tls != NULL)
        return soa_over_stream(source, apex, reader, ret_soa, ret_error);

    int rc = origin_link_open_datagram(&link, source, ret_error);
    if (rc < 0)
        return rc;
    unsigned wait_ms =
        link.idle_timeout_ms < UDP_WAIT_MIN_MS ? link.idle_timeout_ms : UDP_WAIT_MIN_MS;
    for (int tries = 0; tries < UDP_TRIES; tries++, wait_ms *= 2) {
        _cleanup_(origin_query_clear) struct origin_query query = {.tsig = NULL};
        rc = origin_query_init(&query, source, apex, KNOT_RRTYPE_SOA, link.text, ret_error);
        if (rc < 0)
            return rc;
        rc = soa_over_udp(&link, &query, reader, wait_ms, ret_soa, ret_error);
        if (rc != -ETIMEDOUT)
            break;
    }

    /* A path that swallows datagrams may still let a connection through. */
    if (rc == 1 || rc == -ETIMEDOUT || rc == -ECONNREFUSED)
        rc = soa_over_stream(source, apex, reader, ret_soa, ret_error);
    return rc;
}
