/* Changes of hosts' records in the name server's zones, by dynamic updates (RFC 2136) with TSIG
 * (RFC 8945) to the first of `servers` that takes updates; and questions to it about hosts.
 *
 * Nothing here waits: what is submitted goes to one thread, which puts what waits for one zone
 * together into few messages, keeps several of them on their way over one TCP connection, and calls
 * back. A change of one host is whole in one message, so it happens as a whole or not at all; of
 * one host never two things are on their way at a time, and they happen in the order in which they
 * were submitted, questions included. When the server refuses a message for one of its changes, the
 * others are sent again without it: nobody fails for another's change.
 *
 * "Done" means that the server has answered, signed, that the change is made. "Not reached" means
 * that nobody knows: it may have been made. All changes are such that twice is once.
 *
 * With the server down, what waits fails after a bounded time and what comes then fails at once,
 * until the server answers again, which is tried all the time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"

struct desk_config_key;
struct dns_updater;

/* ---- What came of it ---- */

enum dns_result {
    DNS_DONE,
    DNS_REFUSED,     /* the server said no, with `rcode`; nothing was changed */
    DNS_NOT_REACHED, /* no answer, or none with the key's signature */
};

struct dns_outcome {
    enum dns_result result;
    uint8_t rcode;   /* of DNS_REFUSED; else 0 */
    const char *why; /* for a log, unless DNS_DONE; lives as long as the call */
};

/* Addresses of a host as the server has them. A name that isn't there has none. */
struct dns_addresses {
    unsigned a_count, aaaa_count; /* of all its records */
    uint8_t a[4], aaaa[16];       /* the first of each, network order; zero when there is none */
};

/* Called once for everything that was taken, in the updater's thread: be quick, don't wait. May
 * submit again. */
typedef void dns_done_fn(void *context, const struct dns_outcome *outcome);
/* `addresses` is NULL unless DNS_DONE. */
typedef void dns_told_fn(void *context, const struct dns_outcome *outcome,
                         const struct dns_addresses *addresses);

/* ---- Changes ---- */

/* Values of a record: 4 octets of an A, 16 of an AAAA, in network order; of a TXT its text without
 * length octets (of more than 255 octets it becomes several character-strings); of any other type
 * the rdata in uncompressed wire form. */
struct dns_value {
    const void *octets;
    uint16_t size;
};

/* What a record set is to be from now on; of no values: there is to be none. */
struct dns_set {
    const char *below; /* NULL: of the host itself; else a label below it: "*", "_acme-challenge" */
    uint16_t type;     /* KNOT_RRTYPE_A, ... */
    uint32_t ttl_s;
    const struct dns_value *values;
    size_t count;
};

/* Changes one host. Everything is borrowed for the call. */
struct dns_change {
    const char *zone, *host; /* domain names as text, the host at or below the zone's apex */
    /* First of all: nothing is left of the host: itself, "*" and "_acme-challenge" below it, which
     * is all that the desk ever makes of a host. */
    bool remove;
    const struct dns_set *sets;
    size_t set_count;
};

/* Bounds of one change, beyond which it is refused: what fits a message with room to spare. */
#define DNS_CHANGE_SETS_MAX   16
#define DNS_CHANGE_OCTETS_MAX 8192

/* Whether it could be submitted at all: 0, or -EINVAL. */
_must_check_ int dns_change_check(const struct dns_change *change, struct error *ret_error);

/* Submits a change. 0: `done` is or will be called. Otherwise it is not: -EAGAIN too much waits,
 * -EIO the server is down, or there is none, or the desk ends; -EINVAL a name or value that cannot
 * be; -ENOMEM. Any thread; `updater` may be NULL, as it is when no server takes updates. */
_must_check_ int dns_updater_submit(struct dns_updater *updater, const struct dns_change *change,
                                    dns_done_fn *done, void *context, struct error *ret_error);

/* Asks the server for the A and AAAA of a host itself, after all that was submitted for it before.
 * Errors and threads as of dns_updater_submit(). */
_must_check_ int dns_updater_ask(struct dns_updater *updater, const char *zone, const char *host,
                                 dns_told_fn *told, void *context, struct error *ret_error);

/* Submits a change and waits for what comes of it; `ret_rcode` is set when it was refused. 0 done;
 * -EACCES refused; -EIO not reached; or what dns_updater_submit() returns. Not in the updater's
 * thread, nor in one that serves HTTP. */
_must_check_ int dns_updater_change(struct dns_updater *updater, const struct dns_change *change,
                                    uint8_t *ret_rcode, struct error *ret_error);

/* ---- The updater ---- */

/* Zero means the default. */
struct dns_updater_options {
    const struct sockaddr *address; /* of the server */
    socklen_t address_size;
    const char *server_text;           /* for messages: "127.0.0.1@5300" */
    const struct desk_config_key *key; /* NULL: unsigned */
    unsigned waiting_max;              /* changes and questions that wait or are on their way */
    unsigned answer_ms;  /* longest time from submitting to the answer; what is later failed */
    unsigned down_ms;    /* time without an answer after which the server counts as down */
    unsigned connect_ms; /* longest time of connecting */
};

/* The options are copied; what they point to outlives the updater. Connects when there is something
 * to send. */
_must_check_ int dns_updater_start(const struct dns_updater_options *options,
                                   struct dns_updater **ret_updater, struct error *ret_error);

/* What waits or is on its way is called back as not reached. NULL is ignored. */
void dns_updater_stop(struct dns_updater *updater);

struct dns_updater_figures {
    uint64_t changes_done, changes_refused, changes_not_reached;
    uint64_t asked, told; /* questions, and those of them that were answered */
    uint64_t turned_away; /* not taken, as too much waited or the server was down */
    uint64_t messages, messages_split, answers_bad;
    uint64_t connects, downs; /* connections made; times that the server was found down */
    uint64_t answer_us;       /* sum over answered messages of the time until the answer */
    uint64_t answers;         /* how many these were */
    unsigned waiting, window; /* now */
    bool is_down;
};

/* Any thread. */
void dns_updater_figures_get(struct dns_updater *updater, struct dns_updater_figures *ret_figures);
/* The same in Prometheus' text form. NULL is fine. */
void dns_updater_metrics_write(struct dns_updater *updater, FILE *stream);
