/* The SOA query of transfer_in.h: UDP first, TCP when UDP does not do, without EDNS where that does
 * not do; TLS and nothing else where it is wanted. */
#include "zone/transfer_in.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>

#include "zone/origin_link.h"
#include "zone/origin_query.h"

/* Datagrams get lost: each is waited for this long, twice as long each time. */
#define UDP_TRIES       2
#define UDP_WAIT_MIN_MS 1000

/* An answer has no more than we said that we take; what is longer is no honest one and gets cut. */
#define UDP_ANSWER_MAX 4096

/* What is asked for, by whichever way. */
struct soa_exchange {
    const struct transfer_source *source;
    const uint8_t *apex;
    struct record_reader *reader;
    struct origin_question question;
    struct soa soa; /* the answer */
    uint32_t expire_s;
};

/* Returns 0, or 1 when the answer was truncated. */
static int soa_read(struct soa_exchange *exchange, struct origin_query *query, const uint8_t *wire,
                    size_t size, struct error *ret_error)
{
    struct record_reader *reader = exchange->reader;
    struct origin_answer answer;
    int rc = origin_answer_open(query, reader, wire, size, true, &answer, ret_error);
    if (rc < 0)
        return rc;
    if (answer.is_truncated)
        return 1;

    bool found = false;
    for (uint16_t i = 0; i < answer.answer_count; i++) {
        struct record record;
        if (record_reader_next(reader, &record) < 0)
            return error_set(ret_error, -EBADMSG, "%s sent a malformed record", query->origin);
        if (record.type == KNOT_RRTYPE_SOA && record.class == KNOT_CLASS_IN && !found &&
            knot_dname_is_case_equal(record.owner, query->apex)) {
            soa_from_record(&exchange->soa, &record);
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
    exchange->expire_s = answer.expire_s;
    return 0;
}

static int soa_over_udp(struct soa_exchange *exchange, struct origin_link *link, unsigned wait_ms,
                        struct error *ret_error)
{
    _cleanup_(origin_query_clear) struct origin_query query = {.tsig = NULL};
    uint8_t wire[UDP_ANSWER_MAX];
    size_t size;

    int rc = origin_query_init(&query, exchange->source, exchange->apex, &exchange->question,
                               link->text, ret_error);
    if (rc < 0)
        return rc;
    rc = origin_link_send_datagram(link, query.wire, query.size, ret_error);
    if (rc < 0)
        return rc;
    const int64_t until_ms = monotonic_ms() + wait_ms;
    do {
        rc = origin_link_receive_datagram(link, until_ms, wire, sizeof(wire), &size, ret_error);
        if (rc < 0)
            return rc;
    } while (!origin_query_is_answer(&query, wire, size));
    rc = soa_read(exchange, &query, wire, size, ret_error);
    if (rc < 0 && origin_query_wants_plain(&query))
        exchange->question.without_edns = true;
    return rc;
}

static int soa_over_stream(struct soa_exchange *exchange, struct error *ret_error)
{
    _cleanup_(origin_link_close) struct origin_link link = {.fd = -1};
    _cleanup_(origin_query_clear) struct origin_query query = {.tsig = NULL};
    const uint8_t *wire;
    size_t size;

    int rc = origin_link_open_stream(&link, exchange->source, ret_error);
    if (rc < 0)
        return rc;
    rc = origin_query_init(&query, exchange->source, exchange->apex, &exchange->question, link.text,
                           ret_error);
    if (rc < 0)
        return rc;
    rc = origin_link_send_stream(&link, query.wire, query.size, ret_error);
    if (rc < 0)
        return rc;
    rc = origin_link_receive_stream(&link, &wire, &size, ret_error);
    if (rc < 0)
        return rc;
    rc = soa_read(exchange, &query, wire, size, ret_error);
    if (rc < 0 && origin_query_wants_plain(&query))
        exchange->question.without_edns = true;
    return rc <= 0 ? rc
                   : error_set(ret_error, -EBADMSG, "%s truncated an answer over a connection",
                               query.origin);
}

/* One way after the other, with EDNS or without. */
static int soa_ask(struct soa_exchange *exchange, struct error *ret_error)
{
    _cleanup_(origin_link_close) struct origin_link link = {.fd = -1};

    /* The name of the zone is as private as its content (RFC 9103). */
    if (exchange->source->tls != NULL)
        return soa_over_stream(exchange, ret_error);

    int rc = origin_link_open_datagram(&link, exchange->source, ret_error);
    if (rc < 0)
        return rc;
    unsigned wait_ms =
        link.idle_timeout_ms < UDP_WAIT_MIN_MS ? link.idle_timeout_ms : UDP_WAIT_MIN_MS;
    for (int tries = 0; tries < UDP_TRIES; tries++, wait_ms *= 2) {
        rc = soa_over_udp(exchange, &link, wait_ms, ret_error);
        if (rc != -ETIMEDOUT)
            break;
    }

    /* A path that swallows datagrams may still let a connection through. */
    if (rc == 1 || rc == -ETIMEDOUT || rc == -ECONNREFUSED)
        rc = soa_over_stream(exchange, ret_error);
    return rc;
}

int transfer_soa(const struct transfer_source *source, const uint8_t *apex, struct soa *ret_soa,
                 uint32_t *ret_expire_s, struct error *ret_error)
{
    _cleanup_(record_reader_freep) struct record_reader *reader = record_reader_create();
    if (reader == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");

    struct soa_exchange exchange = {
        .source = source, .apex = apex, .reader = reader, .question = {.type = KNOT_RRTYPE_SOA}};
    int rc = soa_ask(&exchange, ret_error);
    if (rc < 0 && exchange.question.without_edns)
        rc = soa_ask(&exchange, ret_error);
    if (rc < 0)
        return rc;
    *ret_soa = exchange.soa;
    *ret_expire_s = exchange.expire_s;
    return 0;
}
