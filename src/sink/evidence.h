/* Content, kept only where an order's `evidence` clause says so, and then sealed to its public key.
 *
 * The clause is { content: true, seal-to: BASE64 } of the order file, the key an X25519 public key
 * (libsodium's crypto_box_seal). Who runs the sinkhole can't open what it keeps.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "sink/calendar.h"
#include "sink/event.h"

struct evidence;

struct evidence_options {
    const char *folder;
    char *const *orders; /* paths of order files */
    size_t order_count;
    size_t octets_max;         /* of the folder; what is beyond is not kept and counted */
    unsigned keep_days;        /* 0: for ever */
    struct calendar *calendar; /* whether the clock may be believed; NULL: always */
};

struct evidence_figures {
    uint64_t kept, dropped; /* pieces */
    uint64_t octets;        /* of the folder */
};

_must_check_ int evidence_open(const struct evidence_options *options,
                               struct evidence **ret_evidence, struct error *ret_error);
void evidence_close(struct evidence *evidence);
DEFINE_FREEP(struct evidence, evidence_close)

/* Keeps the flight's octets where the clause of event->order says so. Hands over to a thread of its
 * own; never waits. */
void evidence_take(struct evidence *evidence, const struct sink_flight *flight,
                   const struct sink_event *event);

void evidence_figures(const struct evidence *evidence, struct evidence_figures *ret_figures);
