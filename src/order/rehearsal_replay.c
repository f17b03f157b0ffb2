/* Recorded traffic answered under an order that is not active yet.
 *
 * Each query goes through answer_question() with an overlay in front of the order's own one, which
 * notes what the query met. What counts is therefore what counts in the server, aliases included.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "order/rehearsal_internal.h"
#include "zone/answer.h"

/* As tamisd answers by default: where an answer is cut off, an alias in it may not be followed. */
#define UDP_PAYLOAD_MIN 512 /* RFC 1035, 4.1.1 */
#define UDP_PAYLOAD_MAX 1232
#define RESPONSE_MAX    65535
#define OPT_SIZE        11
#define KEEPALIVE_SIZE  6
#define MET_MAX         (CHAIN_MAX + 1)   /* a query meets each name of its chain once */
#define VISITS_MAX      ((size_t)1 << 27) /* different pairs of client and listed name: 2 GiB */
#define VISITS_FIRST    4096

/* Pairs of a client and what it asked for, each once. */
struct visits {
    uint64_t *slots; /* client << 32 | target, plus one; 0: empty */
    size_t capacity, count;
};

enum client_flag { CLIENT_TOUCHED = 1, CLIENT_UNLISTED = 2 };

struct replay {
    struct overlay overlay; /* first: what the answer path asks */
    const struct overlay *inner;
    struct rehearsal *rehearsal;
    struct answer_environment environment;
    struct answer *answer;
    uint8_t *response;

    unsigned met_count; /* by the present query */
    struct order_listing met[MET_MAX];

    struct address_table clients;
    uint8_t *client_flags;
    size_t client_flags_room;
    struct visits visits;
};

static struct overlay_hit find_and_note(const struct overlay *overlay, const struct name *name,
                                        bool is_cut_or_apex, int64_t now, unsigned worker)
{
    struct replay *replay = (struct replay *)overlay;
    struct order_listing listing;

    if (worker != OVERLAY_UNCOUNTED && replay->met_count < MET_MAX &&
        active_order_lists(replay->rehearsal->active, name, is_cut_or_apex, &listing))
        replay->met[replay->met_count++] = listing;
    return replay->inner->find(replay->inner, name, is_cut_or_apex, now, worker);
}

/* ---- Clients ---- */

static size_t visit_slot(const struct visits *visits, uint64_t value)
{
    uint8_t label[1 + sizeof(value)] = {sizeof(value)};

    memcpy(label + 1, &value, sizeof(value));
    size_t at = name_hash_child(0, label) & (visits->capacity - 1);
    while (visits->slots[at] != 0 && visits->slots[at] != value)
        at = (at + 1) & (visits->capacity - 1);
    return at;
}

static int visits_grow(struct visits *visits)
{
    size_t capacity = visits->capacity == 0 ? VISITS_FIRST : visits->capacity * 2;

    if (capacity > VISITS_MAX * 2)
        return -E2BIG;
    struct visits grown = {.slots = calloc(capacity, sizeof(uint64_t)), .capacity = capacity};
    if (grown.slots == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < visits->capacity; i++)
        if (visits->slots[i] != 0)
            grown.slots[visit_slot(&grown, visits->slots[i])] = visits->slots[i];
    free(visits->slots);
    grown.count = visits->count;
    *visits = grown;
    return 0;
}

/* Returns 1 for a pair that is new, 0 for one that was there, or a negative value. */
static int visits_add(struct visits *visits, size_t client, size_t target)
{
    uint64_t value = ((uint64_t)client << 32 | target) + 1;

    if (visits->count * 2 >= visits->capacity) {
        int rc = visits_grow(visits);
        if (rc < 0)
            return rc;
    }
    size_t at = visit_slot(visits, value);
    if (visits->slots[at] == value)
        return 0;
    visits->slots[at] = value;
    visits->count++;
    return 1;
}

/* Counts the client at what its query met. Subtrees are targets behind the names. */
static int count_visits(struct replay *replay, size_t client)
{
    struct rehearsal *rehearsal = replay->rehearsal;

    for (unsigned i = 0; i < replay->met_count; i++) {
        const struct order_listing *met = &replay->met[i];
        if (met->name != SIZE_MAX) {
            int added = visits_add(&replay->visits, client, met->name);
            if (added < 0)
                return added;
            rehearsal->names[met->name].clients += (unsigned)added;
        }
        if (met->subtree != SIZE_MAX) {
            int added =
                visits_add(&replay->visits, client, rehearsal->order->names.count + met->subtree);
            if (added < 0)
                return added;
            rehearsal->subtrees[met->subtree].clients += (unsigned)added;
        }
    }
    return 0;
}

static int count_client(struct replay *replay, const struct address *address)
{
    struct rehearsed_traffic *traffic = &replay->rehearsal->traffic;
    size_t client;

    int rc = address_table_add(&replay->clients, address, &client);
    if (rc < 0)
        return rc;
    if (client >= replay->client_flags_room) {
        size_t room = replay->clients.room;
        uint8_t *flags = realloc(replay->client_flags, room);
        if (flags == NULL)
            return -ENOMEM;
        memset(flags + replay->client_flags_room, 0, room - replay->client_flags_room);
        replay->client_flags = flags;
        replay->client_flags_room = room;
    }
    uint8_t flag = replay->met_count > 0 ? CLIENT_TOUCHED : CLIENT_UNLISTED;
    bool is_new = (replay->client_flags[client] & flag) == 0;
    traffic->clients += replay->client_flags[client] == 0;
    traffic->clients_touched += is_new && flag == CLIENT_TOUCHED;
    traffic->clients_unlisted += is_new && flag == CLIENT_UNLISTED;
    replay->client_flags[client] |= flag;
    return count_visits(replay, client);
}

/* ---- Queries ---- */

/* Octets that records may take in the answer to this query. */
static size_t records_limit(const struct traffic_query *query)
{
    const struct request *request = query->request;
    size_t limit = query->over_tcp ? RESPONSE_MAX : UDP_PAYLOAD_MIN;

    if (!query->over_tcp && request->has_edns && request->edns_payload > limit)
        limit = request->edns_payload < UDP_PAYLOAD_MAX ? request->edns_payload : UDP_PAYLOAD_MAX;
    size_t kept_back = request->has_edns ? OPT_SIZE : 0;
    if (request->has_edns && request->wants_keepalive && query->over_tcp)
        kept_back += KEEPALIVE_SIZE;
    return limit - kept_back;
}

static int take_query(void *context, const struct traffic_query *query, struct error *ret_error)
{
    struct replay *replay = context;
    struct answer *answer = replay->answer;
    struct rehearsed_traffic *traffic = &replay->rehearsal->traffic;
    const struct request *request = query->request;
    struct response response;

    answer->question = (struct question){
        .name = query->name, .type = request->qtype, .dnssec = request->dnssec_ok};
    question_find_zone(&answer->question, replay->environment.zones);
    replay->met_count = 0;
    /* Names in the answer are compressed against the question. */
    memcpy(replay->response, request->wire, request->question_end);
    response_init(&response, replay->response, request->question_end, records_limit(query),
                  query->name);
    answer_question(answer, &replay->environment, &response);
    if (answer->refused_zone) {
        traffic->outside++;
        return 0;
    }
    traffic->queries++;
    traffic->queries_touched += replay->met_count > 0;
    int rc = query->client != NULL ? count_client(replay, query->client) : 0;
    if (rc == -E2BIG)
        return error_set(
            ret_error, rc,
            "the traffic has more clients than can be counted; rehearse with a shorter "
            "capture");
    return rc < 0 ? error_set(ret_error, rc, "out of memory") : 0;
}

static void replay_clear(struct replay *replay)
{
    free(replay->answer);
    free(replay->response);
    free(replay->client_flags);
    free(replay->visits.slots);
    address_table_clear(&replay->clients);
}

int rehearsal_replay(struct rehearsal *rehearsal, const char *path, uint16_t port,
                     struct error *ret_error)
{
    struct overlay_set *set;

    int rc = overlay_set_create(&rehearsal->active, 1, &set);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory");
    struct replay replay = {
        .overlay = {.has_subtrees = overlay_set_overlay(set)->has_subtrees, .find = find_and_note},
        .inner = overlay_set_overlay(set),
        .rehearsal = rehearsal,
        .answer = calloc(1, sizeof(*replay.answer)),
        .response = malloc(RESPONSE_MAX),
    };
    replay.environment = (struct answer_environment){
        .zones = rehearsal->zones,
        .overlay = &replay.overlay,
        .now = rehearsal->order->starts, /* the order is in force then, whatever the clock says */
    };
    if (replay.answer == NULL || replay.response == NULL)
        rc = error_set(ret_error, -ENOMEM, "out of memory");
    else
        rc = traffic_read(path, port, take_query, &replay, &rehearsal->traffic.report, ret_error);
    rehearsal->traffic.hits = active_order_hits(rehearsal->active);
    rehearsal->has_traffic = rc == 0;
    replay_clear(&replay);
    overlay_set_free(set);
    return rc;
}
