#include "zone/ixfr_in.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <string.h>

#include "dns/serial.h"
#include "zone/transfer_internal.h"

/* What the next record may be. */
enum ixfr_stage {
    STAGE_OPENING,  /* the SOA that it leads to */
    STAGE_SECOND,   /* tells differences from a whole zone */
    STAGE_REMOVING, /* what goes, or the SOA after which things come */
    STAGE_ADDING,   /* what comes, or the SOA of the next step, or of the end */
    STAGE_WHOLE,
};

struct ixfr {
    struct transfer transfer; /* the first: take() gets a pointer to it */
    const struct ixfr_request *request;
    struct name apex;
    enum ixfr_stage stage;
    uint32_t serial; /* that the differences so far lead to */
    struct soa soa;  /* the opening one */
    struct difference_list differences;
};

static void ixfr_clear(struct ixfr *ixfr)
{
    transfer_clear(&ixfr->transfer);
    difference_list_clear(&ixfr->differences);
}

void ixfr_result_clear(struct ixfr_result *result)
{
    difference_list_clear(&result->differences);
    zone_data_free(result->data);
    result->data = NULL;
}

static uint32_t record_serial(const struct record *record)
{
    struct soa soa;
    soa_from_record(&soa, record);
    return soa.serial;
}

/* Notes a record that goes or comes. */
static int take_difference(struct ixfr *ixfr, bool is_addition, const struct record *record,
                           struct error *ret_error)
{
    const struct transfer *transfer = &ixfr->transfer;
    const int rc =
        difference_list_add(&ixfr->differences, &ixfr->apex, is_addition, record->owner,
                            record->type, record->ttl_s, record->rdata, record->rdata_size);
    if (rc == -ENOMEM)
        return error_set(ret_error, rc, "out of memory after %zu changes of %s",
                         ixfr->differences.count, transfer->query.zone);
    if (rc < 0)
        return error_set(ret_error, -EBADMSG, "%s sent a change of %s that is %s",
                         transfer->link.text, transfer->query.zone,
                         rc == -ERANGE ? "outside of the zone" : "of a type that no zone has");
    if (ixfr->differences.count > ixfr->request->changes_max ||
        ixfr->differences.size > IXFR_OCTETS_MAX)
        return error_set(ret_error, -EFBIG, "%s sent so many changes of %s that all of it is less",
                         transfer->link.text, transfer->query.zone);
    return 0;
}

static int take_opening(struct ixfr *ixfr, const struct record *record, struct error *ret_error)
{
    struct transfer *transfer = &ixfr->transfer;
    const int rc = transfer_begin(transfer, record, ret_error);
    if (rc < 0)
        return rc;
    soa_from_record(&ixfr->soa, record);
    const uint32_t serial = ixfr->soa.serial, announced = ixfr->request->serial_announced;
    if (!serial_is_newer(serial, ixfr->request->serial) || serial_is_newer(announced, serial))
        return error_set(ret_error, -EBADMSG,
                         "%s announced serial %u of %s and sent changes to serial %u",
                         transfer->link.text, announced, transfer->query.zone, serial);
    ixfr->stage = STAGE_SECOND;
    return 0;
}

/* A step begins: the SOA that goes. */
static int take_step(struct ixfr *ixfr, const struct record *record, struct error *ret_error)
{
    if (record_serial(record) != ixfr->serial)
        return error_set(ret_error, -EBADMSG,
                         "%s sent changes of %s from serial %u on, where serial %u is",
                         ixfr->transfer.link.text, ixfr->transfer.query.zone, record_serial(record),
                         ixfr->serial);
    ixfr->stage = STAGE_REMOVING;
    return take_difference(ixfr, false, record, ret_error);
}

/* The record that tells what kind of answer this is. */
static int take_second(struct ixfr *ixfr, const struct record *record, struct error *ret_error)
{
    struct transfer *transfer = &ixfr->transfer;
    if (transfer_is_apex_soa(transfer, record) && !transfer_soa_is_opening(transfer, record))
        return take_step(ixfr, record, ret_error);

    ixfr->stage = STAGE_WHOLE;
    struct error cause;
    const int rc =
        zone_builder_add(transfer->builder, ixfr->apex.wire, KNOT_RRTYPE_SOA, ixfr->soa.ttl_s,
                         transfer->soa_rdata, transfer->soa_rdata_size, &cause);
    if (rc < 0)
        return error_set(ret_error, rc, "%s: %s", transfer->query.zone, cause.text);
    return transfer_take_whole(transfer, record, ret_error);
}

/* The SOA between what goes and what comes. A step back, on the spot or beyond the announced serial
 * would never end. */
static int take_middle(struct ixfr *ixfr, const struct record *record, struct error *ret_error)
{
    const struct transfer *transfer = &ixfr->transfer;
    const uint32_t ours = ixfr->request->serial, serial = record_serial(record);
    if (serial - ours <= ixfr->serial - ours || serial - ours > ixfr->soa.serial - ours)
        return error_set(
            ret_error, -EBADMSG, "%s sent changes of %s from serial %u to %u, on the way to %u",
            transfer->link.text, transfer->query.zone, ixfr->serial, serial, ixfr->soa.serial);
    if (serial == ixfr->soa.serial && !transfer_soa_is_opening(transfer, record))
        return error_set(ret_error, -EBADMSG, "%s sent changes of %s that lead to another SOA",
                         transfer->link.text, transfer->query.zone);
    ixfr->serial = serial;
    ixfr->stage = STAGE_ADDING;
    return take_difference(ixfr, true, record, ret_error);
}

static int take_end(struct ixfr *ixfr, const struct record *record, struct error *ret_error)
{
    struct transfer *transfer = &ixfr->transfer;
    if (!transfer_soa_is_opening(transfer, record))
        return error_set(ret_error, -EBADMSG, "%s ended the changes of %s with another SOA",
                         transfer->link.text, transfer->query.zone);
    transfer->is_complete = true;
    return 0;
}

static int ixfr_take(struct transfer *transfer, const struct record *record,
                     struct error *ret_error)
{
    struct ixfr *ixfr = (struct ixfr *)transfer;
    const bool is_soa = transfer_is_apex_soa(transfer, record);

    switch (ixfr->stage) {
    case STAGE_OPENING:
        return take_opening(ixfr, record, ret_error);
    case STAGE_SECOND:
        return take_second(ixfr, record, ret_error);
    case STAGE_REMOVING:
        return is_soa ? take_middle(ixfr, record, ret_error)
                      : take_difference(ixfr, false, record, ret_error);
    case STAGE_ADDING:
        if (!is_soa)
            return take_difference(ixfr, true, record, ret_error);
        return ixfr->serial == ixfr->soa.serial ? take_end(ixfr, record, ret_error)
                                                : take_step(ixfr, record, ret_error);
    case STAGE_WHOLE:
        break;
    }
    return transfer_take_whole(transfer, record, ret_error);
}

/* Whether a whole transfer, asked for right away, may do what this one did not. */
static bool whole_may_do(const struct ixfr *ixfr, int code)
{
    if (ixfr->transfer.link.fd < 0)
        return false; /* nobody there */
    switch (-code) {
    case ECANCELED:
    case ENOMEM:
    case EKEYREJECTED:
    case EINVAL:
        return false;
    case EBADMSG:
        return true;
    case ETIMEDOUT:
        /* A server that has only the latest version may say its SOA alone, over TCP as well, and
         * one that never heard of IXFR may say nothing at all. */
        return ixfr->stage <= STAGE_SECOND;
    default:
        return ixfr->stage != STAGE_WHOLE;
    }
}

int transfer_ixfr(const struct transfer_source *source, const uint8_t *apex,
                  const struct ixfr_request *request, struct ixfr_result *ret_result,
                  struct error *ret_error)
{
    _cleanup_(ixfr_clear) struct ixfr ixfr = {
        .transfer = {.link = {.fd = -1}, .take = ixfr_take},
        .request = request,
        .serial = request->serial,
    };
    struct ixfr_result result = {.outcome = IXFR_USELESS};

    if (name_parse(&ixfr.apex, apex, NAME_SIZE_MAX) < 0)
        return error_set(ret_error, -EINVAL, "the zone's name is malformed");
    const struct origin_question question = {.type = KNOT_RRTYPE_IXFR, .serial = request->serial};
    int rc = transfer_run(&ixfr.transfer, source, apex, &question, &result.useless);
    if (rc == 0 && ixfr.stage == STAGE_WHOLE) {
        result.outcome = IXFR_WHOLE;
        rc = transfer_finish(&ixfr.transfer, &result.data, &result.report, &result.useless);
    } else if (rc == 0) {
        result.outcome = IXFR_DIFFERENCES;
        result.differences = ixfr.differences;
        ixfr.differences = (struct difference_list){0};
        result.soa = ixfr.soa;
        transfer_report(&ixfr.transfer, &result.report);
    }
    if (rc < 0 && !whole_may_do(&ixfr, rc))
        return error_set(ret_error, rc, "%s", result.useless.text);
    if (rc < 0)
        result.outcome = IXFR_USELESS;
    *ret_result = result;
    return 0;
}
