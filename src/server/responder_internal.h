/* Shared by the responder's files; no other module includes it. */
#pragma once

#include "dns/request.h"
#include "server/responder.h"
#include "zone/answer.h"

struct responder {
    struct responder_options options;
    struct responder_counters counters;
    struct answer answer;    /* scratch of one question; large, so kept here */
    struct tsig_server tsig; /* of a signed one */
};

/* CHAOS class: version.bind and its kin. Returns the RCODE; on NOERROR one TXT was put. */
uint8_t responder_chaos(const struct responder *responder, const struct request *request,
                        const struct name *name, struct response *response);
