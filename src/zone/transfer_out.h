/* The server's side of a zone transfer: AXFR (RFC 5936) and IXFR (RFC 1995), message by message.
 *
 * Neither waits for the network nor for other writers: whoever sends asks for the next message when
 * there is room for it. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "zone/journal.h"
#include "zone/zone_view.h"

struct transfer_out;

/* The whole zone as the view, which is taken over, shows it. */
_must_check_ int transfer_out_axfr(struct zone_view *view, struct transfer_out **ret_transfer);

/* What happened since `serial_from`, condensed to one difference (RFC 1995, 5): what came and went
 * in between is not told. -ENOENT when the journal does not reach back, or telling would take more
 * than `octets_max` of memory: the client needs the whole zone. */
_must_check_ int transfer_out_ixfr(struct journal *journal, const uint8_t *apex,
                                   uint32_t serial_from, uint64_t octets_max,
                                   struct transfer_out **ret_transfer, struct error *ret_error);

/* The SOA alone: the client has the present serial, or asked over UDP where no more would fit. The
 * set is copied. */
_must_check_ int transfer_out_soa(const uint8_t *apex, const struct rrset *soa,
                                  struct transfer_out **ret_transfer);

void transfer_out_free(struct transfer_out *transfer);
DEFINE_FREEP(struct transfer_out, transfer_out_free)

/* Writes the next message for the request, of which header and question, the apex, count: at most
 * `max` octets, of which `reserved` stay free for who adds OPT or TSIG. Returns its size, 0 behind
 * the last, -EMSGSIZE when a record does not fit into any message. */
int transfer_out_next(struct transfer_out *transfer, const uint8_t *request, size_t question_end,
                      uint8_t *message, size_t max, size_t reserved);

/* Whether the last message was made. */
bool transfer_out_is_done(const struct transfer_out *transfer);

struct transfer_out_report {
    uint64_t records, messages, octets;
    uint32_t serial_from, serial_to; /* of AXFR the same */
};
void transfer_out_report(const struct transfer_out *transfer,
                         struct transfer_out_report *ret_report);
