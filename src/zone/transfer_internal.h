/* A transfer under way, whether whole (transfer_in.c) or incremental (ixfr_in.c); no other file
 * includes it. */
#pragma once

#include "zone/origin_link.h"
#include "zone/origin_query.h"
#include "zone/transfer_in.h"

/* Two names and five numbers (RFC 1035, 3.3.13). */
#define SOA_RDATA_MAX (2 * NAME_SIZE_MAX + 20)

struct transfer {
    struct origin_link link;
    struct origin_query query;
    struct record_reader *reader;
    struct zone_builder *builder;
    struct transfer_report report;
    /* Takes in one record of class IN in the answer section; sets is_complete with the last. */
    int (*take)(struct transfer *transfer, const struct record *record, struct error *ret_error);
    int64_t started_ms;
    uint64_t records, records_max;
    uint8_t soa_rdata[SOA_RDATA_MAX]; /* of the opening SOA; the closing one must equal it */
    uint16_t soa_rdata_size;
    bool is_open, is_complete;
};

/* For one that was set to zero but for `take` and link.fd, which is -1. */
void transfer_clear(struct transfer *transfer);

/* Asks the question and takes the answer in, once more without EDNS when that is what the origin
 * does not understand. Whatever happens, link.fd tells whether it was reached. */
_must_check_ int transfer_run(struct transfer *transfer, const struct transfer_source *source,
                              const uint8_t *apex, const struct origin_question *question,
                              struct error *ret_error);

/* Notes the opening SOA. */
_must_check_ int transfer_begin(struct transfer *transfer, const struct record *record,
                                struct error *ret_error);

bool transfer_is_apex_soa(const struct transfer *transfer, const struct record *record);
bool transfer_soa_is_opening(const struct transfer *transfer, const struct record *record);

/* Takes in one record of a whole zone. */
_must_check_ int transfer_take_whole(struct transfer *transfer, const struct record *record,
                                     struct error *ret_error);

/* Makes the generation of what was taken in. */
_must_check_ int transfer_finish(struct transfer *transfer, struct zone_data **ret_data,
                                 struct transfer_report *ret_report, struct error *ret_error);
void transfer_report(const struct transfer *transfer, struct transfer_report *ret_report);
