/* Shared by the responder's files; no other module includes it. */
#pragma once

#include "dns/request.h"
#include "server/responder.h"
#include "zone/answer.h"

/* Requests that wait for the memory together: about as many as a core can have misses under way.
 * More only take room in its first cache. */
#define GROUP_MAX 16

/* A request that was read, and what is known of its answer. Large, but only the first lines of the
 * name are touched. */
struct prepared {
    enum request_status status;
    bool has_zone; /* asks for data of a zone that we have; the question's zone and data are set */
    struct request request;
    struct question question;
    struct name name;
};

struct responder {
    struct responder_options options;
    struct responder_counters counters;
    bool is_never_direct; /* set by tests: answers go the general way, which says the same */
    struct answer answer; /* scratch of one question; large, so kept here */
    struct prepared prepared[GROUP_MAX];
    struct tsig_server tsig; /* of a signed one */
};

/* CHAOS class: version.bind and its kin. Returns the RCODE; on NOERROR one TXT was put. */
uint8_t responder_chaos(const struct responder *responder, const struct request *request,
                        const struct name *name, struct response *response);
