#include "zone/transfer_in.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <stdlib.h>
#include <string.h>

#include "zone/transfer_internal.h"

void transfer_clear(struct transfer *transfer)
{
    origin_link_close(&transfer->link);
    origin_query_clear(&transfer->query);
    record_reader_free(transfer->reader);
    zone_builder_free(transfer->builder);
}

static void record_text(const struct record *record, char *ret_text, size_t size)
{
    char owner[1025], type[32];
    if (knot_dname_to_str(owner, record->owner, sizeof(owner)) == NULL)
        snprintf(owner, sizeof(owner), "?");
    if (knot_rrtype_to_string(record->type, type, sizeof(type)) < 0)
        snprintf(type, sizeof(type), "TYPE%u", record->type);
    snprintf(ret_text, size, "%.150s %s", owner, type);
}

static _cold_ void record_refused(struct transfer *transfer, const struct record *record,
                                  const struct error *cause)
{
    char text[200];
    if (transfer->report.refused++ > 0)
        return;
    record_text(record, text, sizeof(text));
    snprintf(transfer->report.first_refused, sizeof(transfer->report.first_refused), "%s: %.190s",
             text, cause->text);
}

static int record_add(struct transfer *transfer, const struct record *record,
                      struct error *ret_error)
{
    struct error cause;
    const int rc = zone_builder_add(transfer->builder, record->owner, record->type, record->ttl_s,
                                    record->rdata, record->rdata_size, &cause);
    if (rc == -ENOMEM)
        return error_set(ret_error, rc, "out of memory after %llu records of %s",
                         (unsigned long long)transfer->records, transfer->query.zone);
    /* A zone that its origin serves is served, less what cannot be. */
    if (rc < 0)
        record_refused(transfer, record, &cause);
    return 0;
}

/* Names in any letter case: a server may compress the closing SOA against other names than the
 * opening one. */
bool transfer_soa_is_opening(const struct transfer *transfer, const struct record *record)
{
    const uint8_t *opening = transfer->soa_rdata, *closing = record->rdata;
    if (record->rdata_size != transfer->soa_rdata_size)
        return false;
    for (int name = 0; name < 2; name++) {
        if (!knot_dname_is_case_equal(opening, closing))
            return false;
        const size_t size = knot_dname_size(opening);
        opening += size;
        closing += size;
    }
    return memcmp(opening, closing, 20) == 0;
}

bool transfer_is_apex_soa(const struct transfer *transfer, const struct record *record)
{
    return record->type == KNOT_RRTYPE_SOA &&
           knot_dname_is_case_equal(record->owner, transfer->query.apex);
}

int transfer_begin(struct transfer *transfer, const struct record *record, struct error *ret_error)
{
    if (!transfer_is_apex_soa(transfer, record))
        return error_set(ret_error, -EBADMSG, "%s began the transfer of %s with no SOA of it",
                         transfer->link.text, transfer->query.zone);

    memcpy(transfer->soa_rdata, record->rdata, record->rdata_size);
    transfer->soa_rdata_size = record->rdata_size;
    transfer->is_open = true;
    return 0;
}

/* The apex SOA a second time: the end of the transfer, or of its credibility. */
static int transfer_end(struct transfer *transfer, const struct record *record,
                        struct error *ret_error)
{
    if (!transfer_soa_is_opening(transfer, record))
        return error_set(ret_error, -EBADMSG,
                         "%s changed the SOA of %s during the transfer: it will be tried again",
                         transfer->link.text, transfer->query.zone);
    transfer->is_complete = true;
    return 0;
}

int transfer_take_whole(struct transfer *transfer, const struct record *record,
                        struct error *ret_error)
{
    if (!transfer->is_open) {
        const int rc = transfer_begin(transfer, record, ret_error);
        return rc < 0 ? rc : record_add(transfer, record, ret_error);
    }
    if (transfer_is_apex_soa(transfer, record))
        return transfer_end(transfer, record, ret_error);
    if (++transfer->records > transfer->records_max)
        return error_set(ret_error, -EFBIG,
                         "%s sent more than %llu records, the most that a zone may have",
                         transfer->link.text, (unsigned long long)transfer->records_max);
    return record_add(transfer, record, ret_error);
}

/* Takes in one message. Its signature comes last and is verified last: until the whole transfer is
 * verified, what was collected is bounded and thrown away on any doubt. */
static int transfer_message(struct transfer *transfer, const uint8_t *wire, size_t size,
                            struct error *ret_error)
{
    struct origin_answer answer;
    int rc = origin_answer_open(&transfer->query, transfer->reader, wire, size,
                                transfer->report.messages == 0, &answer, ret_error);
    if (rc < 0)
        return rc;
    if (answer.is_truncated)
        return error_set(ret_error, -EBADMSG, "%s truncated a message of a transfer",
                         transfer->link.text);
    if (!transfer->is_open && answer.answer_count == 0)
        return error_set(ret_error, -EBADMSG,
                         "%s answered the transfer of %s with nothing: does it serve the zone?",
                         transfer->link.text, transfer->query.zone);

    for (uint16_t i = 0; i < answer.answer_count; i++) {
        struct record record;
        if (record_reader_next(transfer->reader, &record) < 0)
            return error_set(ret_error, -EBADMSG, "%s sent a malformed record, the %llu. of %s",
                             transfer->link.text, (unsigned long long)transfer->records + 1,
                             transfer->query.zone);
        if (record.class != KNOT_CLASS_IN)
            return error_set(ret_error, -EBADMSG, "%s sent a record of class %u in %s",
                             transfer->link.text, record.class, transfer->query.zone);
        if (transfer->is_complete)
            return error_set(ret_error, -EBADMSG, "%s sent records behind the closing SOA of %s",
                             transfer->link.text, transfer->query.zone);
        rc = transfer->take(transfer, &record, ret_error);
        if (rc < 0)
            return rc;
    }

    rc = origin_answer_close(&transfer->query, &answer, ret_error);
    if (rc < 0)
        return rc;
    /* Any message may say it; the last that does counts. */
    if (answer.expire_s != EXPIRE_UNTOLD || transfer->report.messages == 0)
        transfer->report.expire_s = answer.expire_s;
    transfer->report.messages++;
    return 0;
}

static int transfer_exchange(struct transfer *transfer, const struct transfer_source *source,
                             const uint8_t *apex, const struct origin_question *question,
                             struct error *ret_error)
{
    int rc = origin_link_open_stream(&transfer->link, source, ret_error);
    if (rc < 0)
        return rc;
    rc =
        origin_query_init(&transfer->query, source, apex, question, transfer->link.text, ret_error);
    if (rc < 0)
        return rc;
    rc = origin_link_send_stream(&transfer->link, transfer->query.wire, transfer->query.size,
                                 ret_error);
    if (rc < 0)
        return rc;

    while (!transfer->is_complete) {
        const uint8_t *wire;
        size_t size;
        rc = origin_link_receive_stream(&transfer->link, &wire, &size, ret_error);
        if (rc < 0)
            return rc;
        rc = transfer_message(transfer, wire, size, ret_error);
        if (rc < 0)
            return rc;
    }

    if (transfer->query.tsig != NULL && !tsig_client_is_complete(transfer->query.tsig))
        return error_set(ret_error, -EKEYREJECTED, "%s did not sign the end of %s",
                         transfer->link.text, transfer->query.zone);
    return 0;
}

int transfer_run(struct transfer *transfer, const struct transfer_source *source,
                 const uint8_t *apex, const struct origin_question *question,
                 struct error *ret_error)
{
    transfer->started_ms = monotonic_ms();
    transfer->records_max = source->records_max != 0 ? source->records_max : TRANSFER_RECORDS_MAX;
    transfer->reader = record_reader_create();
    if (transfer->reader == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = zone_builder_create(apex, &transfer->builder);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory");

    rc = transfer_exchange(transfer, source, apex, question, ret_error);
    if (rc < 0 && transfer->report.messages == 0 && origin_query_wants_plain(&transfer->query)) {
        const struct origin_question plain = {
            .type = question->type, .serial = question->serial, .without_edns = true};
        origin_query_clear(&transfer->query);
        origin_link_close(&transfer->link);
        rc = transfer_exchange(transfer, source, apex, &plain, ret_error);
    }
    return rc;
}

int transfer_finish(struct transfer *transfer, struct zone_data **ret_data,
                    struct transfer_report *ret_report, struct error *ret_error)
{
    struct error cause = {.code = 0};
    const int rc = zone_builder_finish(transfer->builder, ret_data, &cause);
    if (rc < 0)
        return error_set(ret_error, rc, "the zone %s of %s cannot be served: %s",
                         transfer->query.zone, transfer->link.text,
                         rc == -ENOMEM ? "out of memory" : cause.text);
    transfer_report(transfer, ret_report);
    return 0;
}

void transfer_report(const struct transfer *transfer, struct transfer_report *ret_report)
{
    *ret_report = transfer->report;
    ret_report->octets = transfer->link.received;
    ret_report->duration_ms = (unsigned)(monotonic_ms() - transfer->started_ms);
}

int transfer_axfr(const struct transfer_source *source, const uint8_t *apex,
                  struct zone_data **ret_data, struct transfer_report *ret_report,
                  struct error *ret_error)
{
    _cleanup_(transfer_clear) struct transfer transfer = {.link = {.fd = -1},
                                                          .take = transfer_take_whole};
    struct transfer_report report;

    const struct origin_question question = {.type = KNOT_RRTYPE_AXFR};
    int rc = transfer_run(&transfer, source, apex, &question, ret_error);
    if (rc < 0)
        return rc;
    rc = transfer_finish(&transfer, ret_data, &report, ret_error);
    if (rc < 0)
        return rc;
    if (ret_report != NULL)
        *ret_report = report;
    return 0;
}

bool transfer_error_is_origins(int code)
{
    switch (-code) {
    case ETIMEDOUT:
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case EPERM: /* a local firewall */
        return true;
    default:
        return false;
    }
}
