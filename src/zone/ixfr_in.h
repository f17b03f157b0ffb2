/* The client's side of an incremental transfer (RFC 1995), over TCP.
 *
 * It asks an origin for what has changed since our serial and collects the differences, in bounded
 * memory. Whatever an origin gets wrong with it, the way out is a whole transfer; so an answer that
 * is of no use is an outcome here, not a failure. The differences may be condensed or in as many
 * steps as the origin likes, as long as each step leads closer to the serial that it announces.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "zone/difference.h"
#include "zone/transfer_in.h"

/* Octets of differences that are kept in memory, as many again for sorting them: over it a whole
 * transfer, which builds aside, is no dearer. */
#define IXFR_OCTETS_MAX (64ull << 20)

struct ixfr_request {
    uint32_t serial;           /* what we have */
    uint32_t serial_announced; /* what the origin said that it has; newer */
    uint64_t changes_max;      /* records that go or come */
};

enum ixfr_outcome {
    IXFR_DIFFERENCES,
    IXFR_WHOLE,   /* the origin sent the whole zone in their place (RFC 1995, 4) */
    IXFR_USELESS, /* nothing: ask for the whole zone */
};

struct ixfr_result {
    enum ixfr_outcome outcome;
    struct difference_list differences;
    struct soa soa;         /* that the differences lead to */
    struct zone_data *data; /* of IXFR_WHOLE */
    struct transfer_report report;
    struct error useless; /* why */
};

/* Frees what the result holds; fine for one set to zero. */
void ixfr_result_clear(struct ixfr_result *result);

/* Errors are those of transfer_axfr() that a whole transfer would meet as well: an origin that is
 * not there or cannot be trusted, no memory, a stop. */
_must_check_ int transfer_ixfr(const struct transfer_source *source, const uint8_t *apex,
                               const struct ixfr_request *request, struct ixfr_result *ret_result,
                               struct error *ret_error);
