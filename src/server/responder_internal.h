/* Shared by the responder's files; no other module includes it. */
#pragma once

#include "dns/record_reader.h"
#include "dns/request.h"
#include "front/denial.h"
#include "server/responder.h"
#include "zone/answer.h"

/* Requests that wait for the memory together: about as many as a core can have misses under way.
 * More only take room in its first cache. */
#define GROUP_MAX 16

/* Aliases that are followed in an origin's answer, as in cached_message.c. */
#define FORWARDED_CHAIN_MAX 16

/* A request that was read, and what is known of its answer. Large, but only the first lines of the
 * name are touched. */
struct prepared {
    enum request_status status;
    bool has_zone; /* asks for data of a zone that we have; the question's zone and data are set */
    struct request request;
    struct question question;
    /* Of a forwarded zone, when there is time to ask ahead; else NULL. */
    const struct cache *cache;
    const struct cache_entry *candidate; /* likely the answer; NULL: none is kept */
    struct name name;
};

struct responder {
    struct responder_options options;
    struct responder_counters counters;
    struct zone_counts *zone_counts; /* by zone.counter */
    struct zone_counts uncounted;    /* where nobody counts */
    bool is_never_direct; /* set by tests: answers go the general way, which says the same */
    struct answer answer; /* scratch of one question; large, so kept here */
    struct prepared prepared[GROUP_MAX];
    struct tsig_server tsig; /* of a signed one */

    /* Of forwarded zones. */
    const struct forward_outcome *outcome; /* what was waited for; NULL: the question is new */
    struct record_reader reader;
    uint8_t message[MESSAGE_SIZE_MAX]; /* an answer as it is kept, to be looked at */
    uint8_t rdata[2 + sizeof(((struct record_reader *)0)->rdata)]; /* with its length in front */
    bool is_full;                                                  /* a record had no room */
    struct name aliases[FORWARDED_CHAIN_MAX];
    struct denial_answer denial;
};

/* Everything about one exchange that is not the answer itself. */
struct exchange {
    const struct request *request;
    const struct answer_environment *environment;
    const struct sockaddr *client;
    enum transport transport;
    size_t limit; /* octets that the client takes */
    size_t size;  /* octets of header, question and records */
    uint16_t counts[3];
    uint16_t rcode; /* with the extended bits */
    bool authoritative, truncated, with_edns;
    bool dropped;            /* an order says that there is no answer */
    bool is_listed;          /* an order decided */
    const struct name *name; /* of the question */
    const struct zone *zone; /* that a question for data is about; NULL: none, or none of ours */
    int ede_code;
    const char *ede_text;
    uint16_t ede_text_size;
    struct judgement judgement;
    struct tsig_server *tsig; /* the response is to have one; NULL: not */
    bool is_deferred;         /* another thread answers, or nobody */
    bool tells_expire;
    uint32_t expire_s;
    /* EDNS options that belong to a forwarded answer. */
    const uint8_t *options;
    size_t options_size;
};

/* One writer, any reader: no torn values, no order. */
static inline void responder_count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/* Octets the OPT takes without the extended error, which goes in only where there is room. */
size_t responder_edns_size(const struct responder *responder, const struct exchange *exchange);

/* Whether what answer_question() said is only that the zone is forwarded. */
bool responder_is_forwarded(const struct answer *answer);

/* Answers an unsigned question for a forwarded zone behind the question at `wire`, or has it
 * answered later. False: an order is about the name; nothing was done but asking the orders. */
bool responder_forward_directly(struct responder *responder, struct exchange *exchange,
                                const struct prepared *prepared, uint8_t *wire);

/* Ask the memory for what the former will look at in the cache, when the zone is forwarded: where
 * the name is listed, and, of those with a cache then, its answer. */
void responder_forward_prefetch(const struct responder *responder, struct prepared *prepared);
void responder_forward_prefetch_answer(struct prepared *prepared);

/* The same for what comes the general way and no order is about. */
void responder_forward_generally(struct responder *responder, struct exchange *exchange,
                                 const struct prepared *prepared, struct response *response);

/* Whether the name belongs to error reports. */
static inline bool responder_is_report(const struct responder *responder, const struct name *name)
{
    const struct error_reports *reports = responder->options.error_reports;
    return reports != NULL &&
           error_agent_name_is_within(name, &error_reports_agent(reports)->suffix);
}

/* Answers a query for such a name. False: the zone that the agent lies in is not served. */
bool responder_take_report(struct responder *responder, struct exchange *exchange,
                           const struct prepared *prepared, struct response *response);

/* CHAOS class: version.bind and its kin. Returns the RCODE; on NOERROR one TXT was put. */
uint8_t responder_chaos(const struct responder *responder, const struct request *request,
                        const struct name *name, struct response *response);
