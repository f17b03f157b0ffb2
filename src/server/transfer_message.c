#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/rrtype/opt.h>
#include <string.h>
#include <time.h>

#include "server/transfer_sender_internal.h"

/* Octets of a message. Names can be pointed to only in the first 16 KiB (RFC 1035, 4.1.4), and the
 * work for a message is small beside that for its records: larger ones gain nothing. A record that
 * does not fit gets a message of its own size. */
#define MESSAGE_SIZE ((size_t)16 * 1024)

#define OPT_SIZE    11
#define EXPIRE_SIZE 8 /* the option with its code and length */

static size_t edns_size(const struct transfer *transfer)
{
    if (!transfer->has_edns)
        return 0;
    return OPT_SIZE + (transfer->wants_expire ? EXPIRE_SIZE : 0);
}

/* In the first message alone (RFC 5936, 2.2.5). */
static size_t put_edns(const struct sender_thread *thread, const struct transfer *transfer,
                       uint8_t *message, size_t size)
{
    if (!transfer->has_edns)
        return size;
    uint8_t *opt = message + size;
    memset(opt, 0, OPT_SIZE);
    knot_wire_write_u16(opt + 1, KNOT_RRTYPE_OPT);
    knot_wire_write_u16(opt + 3, thread->sender->options.udp_payload_max);
    knot_wire_write_u16(opt + 7, transfer->dnssec_ok ? 0x8000 : 0);
    if (transfer->wants_expire) {
        knot_wire_write_u16(opt + 9, EXPIRE_SIZE);
        knot_wire_write_u16(opt + OPT_SIZE, KNOT_EDNS_OPTION_EXPIRE);
        knot_wire_write_u16(opt + OPT_SIZE + 2, 4);
        knot_wire_write_u32(opt + OPT_SIZE + 4, transfer->expire_s);
    }
    knot_wire_set_arcount(message, 1);
    return size + edns_size(transfer);
}

/* Adds OPT and TSIG. Returns the size or a negative errno. */
static int finish_message(struct sender_thread *thread, struct transfer *transfer, size_t size)
{
    if (transfer->octets == 0)
        size = put_edns(thread, transfer, thread->message, size);
    if (transfer->is_signed) {
        const int rc = tsig_server_sign(&transfer->tsig, thread->message, &size,
                                        sizeof(thread->message), time(NULL));
        if (rc < 0)
            return rc;
    }
    return (int)size;
}

int transfer_make_message(struct sender_thread *thread, struct transfer *transfer)
{
    const size_t reserved = (transfer->octets == 0 ? edns_size(transfer) : 0) +
                            (transfer->is_signed ? tsig_server_size(&transfer->tsig) : 0);
    const size_t size_max = transfer_is_datagram(transfer) ? transfer->datagram_max : MESSAGE_SIZE;
    int size = transfer_out_next(transfer->out, transfer->question, transfer->question_end,
                                 thread->message, size_max, reserved);
    if (transfer_is_datagram(transfer) && transfer->soa != NULL &&
        (size == -EMSGSIZE || !transfer_out_is_done(transfer->out))) {
        transfer_out_free(transfer->out);
        transfer->out = TAKE(transfer->soa);
        size = transfer_out_next(transfer->out, transfer->question, transfer->question_end,
                                 thread->message, size_max, reserved);
    }
    if (size == -EMSGSIZE && !transfer_is_datagram(transfer))
        size = transfer_out_next(transfer->out, transfer->question, transfer->question_end,
                                 thread->message, sizeof(thread->message), reserved);
    return size < 0 ? size : finish_message(thread, transfer, (size_t)size);
}

/* Answers with an error in the place of a first message. */
int transfer_make_refusal(struct sender_thread *thread, struct transfer *transfer, uint8_t rcode)
{
    uint8_t *message = thread->message;
    memcpy(message, transfer->question, transfer->question_end);
    knot_wire_write_u16(message + 2,
                        0x8000 | (knot_wire_read_u16(transfer->question + 2) & 0x0100) | rcode);
    knot_wire_set_qdcount(message, 1);
    knot_wire_set_ancount(message, 0);
    knot_wire_set_nscount(message, 0);
    knot_wire_set_arcount(message, 0);
    transfer->wants_expire = false; /* there is nothing to say it of */
    return finish_message(thread, transfer, transfer->question_end);
}
