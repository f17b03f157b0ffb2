/* Shared by the responder's files; no other module includes it. */
#pragma once

#include <libknot/tsig.h>

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
    knot_tsig_key_t *keys; /* one for each of options.keys */
    bool is_never_direct;  /* set by tests: answers go the general way, which says the same */
    struct answer answer;  /* scratch of one question; large, so kept here */
    struct prepared prepared[GROUP_MAX];
};

/* What signing a response needs, from checking the request. */
struct tsig_state {
    const knot_tsig_key_t *key; /* NULL: the response is not signed */
    const char *key_name;       /* as configured, when the signature is good */
    uint16_t error;             /* TSIG error: 0, BADSIG, BADKEY, BADTIME */
    knot_rrset_t *record;       /* the request's TSIG */
    void *packet;               /* owns the record */
};

int responder_tsig_load(struct responder *responder, struct error *ret_error);
void responder_tsig_clear(struct responder *responder);

/* Checks the request's TSIG (RFC 8945, 5.2). Rare, and the one place here that allocates. Returns
 * an RCODE: NOERROR, NOTAUTH with state->error set, or FORMERR. */
uint8_t responder_tsig_check(const struct responder *responder, const struct request *request,
                             struct tsig_state *ret_state);

/* Octets that the TSIG of a signed response takes; 0 when there will be none. */
size_t responder_tsig_size(const struct tsig_state *state);

/* Adds the TSIG to the response of `size` octets; returns the new size. */
size_t responder_tsig_sign(const struct tsig_state *state, uint8_t *response, size_t size,
                           size_t response_max);
void responder_tsig_release(struct tsig_state *state);

/* CHAOS class: version.bind and its kin. Returns the RCODE; on NOERROR one TXT was put. */
uint8_t responder_chaos(const struct responder *responder, const struct request *request,
                        const struct name *name, struct response *response);
