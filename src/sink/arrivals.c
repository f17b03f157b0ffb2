#include "sink/arrivals.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "dns/record_reader.h"
#include "order/dnstap.pb-c.h"
#include "order/dnstap_listener.h"
#include "order/name_text.h"
#include "sink/listed_names.h"
#include "sink/recent_answers.h"

/* How soon the thread sees that it is to end. */
#define STEP_MS 200

/* The last second of the year 9999: microseconds of any time before have room, and no clock tells
 * one behind it. */
#define SECONDS_MAX UINT64_C(253402300799)

struct arrivals {
    struct listed_names *names;
    struct recent_answers *answers;
    struct dnstap_listener *listener; /* NULL: nobody tells of answers */
    struct record_reader *reader;     /* the thread's */
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    atomic_uint_fast64_t taken, listed;
};

/* ---- Answers ---- */

static struct in6_addr address_of(const uint8_t *octets, size_t size)
{
    struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(address.s6_addr + 16 - size, octets, size);
    return address;
}

/* Keeps each address that the response gives for a listed name. Aliases lead from the question's
 * name to the listed one, so that it is the owner of the address that counts. */
static bool response_take(struct arrivals *arrivals, const uint8_t *wire, size_t size,
                          const struct in6_addr *resolver, int64_t at_us)
{
    struct record_reader *reader = arrivals->reader;
    uint8_t name[NAME_SIZE_MAX];
    uint16_t type, class;
    bool is_listed = false;

    if (size < MESSAGE_HEADER_SIZE || knot_wire_get_qdcount(wire) != 1)
        return false;
    record_reader_init(reader, wire, size);
    if (record_reader_question(reader, name, &type, &class) < 0)
        return false;
    for (unsigned left = knot_wire_get_ancount(wire); left > 0; left--) {
        struct record record;
        if (record_reader_next(reader, &record) < 0)
            break;
        const bool is_address = (record.type == KNOT_RRTYPE_A && record.rdata_size == 4) ||
                                (record.type == KNOT_RRTYPE_AAAA && record.rdata_size == 16);
        if (!is_address)
            continue;
        name_fold(name, record.owner, record.owner_size);
        if (listed_names_find(arrivals->names, name) == NULL)
            continue;
        const struct in6_addr local = address_of(record.rdata, record.rdata_size);
        recent_answers_put(arrivals->answers, name, resolver, &local, at_us);
        is_listed = true;
    }
    return is_listed;
}

static int event_take(void *context, const uint8_t *octets, size_t size)
{
    struct arrivals *arrivals = context;
    Dnstap__Dnstap *event = dnstap__dnstap__unpack(NULL, size, octets);
    const Dnstap__Message *message = event != NULL ? event->message : NULL;

    if (message != NULL &&
        (message->type == DNSTAP__MESSAGE__TYPE__AUTH_RESPONSE ||
         message->type == DNSTAP__MESSAGE__TYPE__CLIENT_RESPONSE) &&
        message->has_response_message && message->has_query_address &&
        (message->query_address.len == 4 || message->query_address.len == 16) &&
        message->has_response_time_sec && message->response_time_sec <= SECONDS_MAX) {
        const struct in6_addr resolver =
            address_of(message->query_address.data, message->query_address.len);
        const int64_t at_us =
            (int64_t)message->response_time_sec * 1000000 +
            (message->has_response_time_nsec ? message->response_time_nsec : 0) / 1000;
        atomic_fetch_add(&arrivals->taken, 1);
        if (response_take(arrivals, message->response_message.data, message->response_message.len,
                          &resolver, at_us))
            atomic_fetch_add(&arrivals->listed, 1);
    }
    if (event != NULL)
        dnstap__dnstap__free_unpacked(event, NULL);
    return 0;
}

static void *arrivals_run(void *context)
{
    struct arrivals *arrivals = context;
    while (!atomic_load(&arrivals->stopping))
        if (dnstap_listener_step(arrivals->listener, STEP_MS, event_take, arrivals) < 0)
            break; /* event_take() never says so */
    return NULL;
}

/* ---- Beginning and end ---- */

static int listener_open(const char *path, struct dnstap_listener **ret_listener,
                         struct error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(ret_error, -ENAMETOOLONG,
                         "the socket's path %s is too long: choose one below /run", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int rc = dnstap_listener_open((const struct sockaddr *)&address, sizeof(address), path,
                                  ret_listener, ret_error);
    /* A name server is another user, of our group; whoever connects may say what brought a client.
     */
    if (rc == 0 && chmod(path, 0660) < 0) {
        rc = error_set(ret_error, -errno, "the mode of the socket %s cannot be set: %s", path,
                       strerror(errno));
        dnstap_listener_close(*ret_listener);
        *ret_listener = NULL;
    }
    return rc;
}

int arrivals_create(const struct arrivals_options *options, struct arrivals **ret_arrivals,
                    struct error *ret_error)
{
    _cleanup_(arrivals_freep) struct arrivals *arrivals = calloc(1, sizeof(*arrivals));
    if (arrivals == NULL ||
        (arrivals->answers = recent_answers_create(options->window_s)) == NULL ||
        (arrivals->reader = record_reader_create()) == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the names of orders");
    int rc = listed_names_load(options->orders, options->order_count, &arrivals->names, ret_error);
    if (rc == 0 && options->answers != NULL)
        rc = listener_open(options->answers, &arrivals->listener, ret_error);
    if (rc < 0)
        return rc;
    *ret_arrivals = TAKE(arrivals);
    return 0;
}

int arrivals_start(struct arrivals *arrivals, struct error *ret_error)
{
    if (arrivals->listener == NULL)
        return 0;
    int rc = pthread_create(&arrivals->thread, NULL, arrivals_run, arrivals);
    if (rc != 0)
        return error_set(ret_error, -rc, "no thread for the answers of name servers");
    arrivals->started = true;
    return 0;
}

void arrivals_free(struct arrivals *arrivals)
{
    if (arrivals == NULL)
        return;
    atomic_store(&arrivals->stopping, true);
    if (arrivals->started)
        pthread_join(arrivals->thread, NULL);
    dnstap_listener_close(arrivals->listener);
    listed_names_free(arrivals->names);
    recent_answers_free(arrivals->answers);
    record_reader_free(arrivals->reader);
    free(arrivals);
}

void arrivals_figures(const struct arrivals *arrivals, uint64_t *ret_answers, uint64_t *ret_listed)
{
    *ret_answers = atomic_load(&arrivals->taken);
    *ret_listed = atomic_load(&arrivals->listed);
}

/* ---- Finding ---- */

/* The order that lists a name as a client writes it. */
static const struct order *order_of_text(const struct arrivals *arrivals, const char *text,
                                         size_t size, uint8_t *ret_wire)
{
    struct name_fault fault;
    size_t wire_size;
    if (size == 0 || name_text_parse(text, size, ret_wire, &wire_size, &fault) < 0)
        return NULL;
    return listed_names_find(arrivals->names, ret_wire);
}

/* The order and the name, in wire form, which is as sure as what is returned. */
static enum sink_name_source find(struct arrivals *arrivals, const struct sink_flight *flight,
                                  const struct sink_text *host, uint8_t *ret_wire,
                                  const struct order **ret_order)
{
    const char *sni = flight->hello != NULL ? flight->hello->server_name : "";
    const struct in6_addr *local = &flight->local.address;

    *ret_order = order_of_text(arrivals, (const char *)host->octets, host->size, ret_wire);
    if (*ret_order != NULL)
        return SINK_NAME_HOST;
    *ret_order = order_of_text(arrivals, sni, strlen(sni), ret_wire);
    if (*ret_order != NULL)
        return SINK_NAME_SNI;
    if (recent_answers_near(arrivals->answers, &flight->client.address, local, flight->at_us,
                            ret_wire)) {
        *ret_order = listed_names_find(arrivals->names, ret_wire);
        return SINK_NAME_ANSWER;
    }
    if (recent_answers_only(arrivals->answers, local, flight->at_us, ret_wire)) {
        *ret_order = listed_names_find(arrivals->names, ret_wire);
        return SINK_NAME_WINDOW;
    }
    *ret_order = listed_names_at(arrivals->names, local);
    const uint8_t *only = *ret_order != NULL ? listed_names_only(*ret_order) : NULL;
    if (only == NULL)
        return SINK_NAME_NONE;
    memcpy(ret_wire, only, name_wire_size(only));
    return SINK_NAME_ADDRESS;
}

void arrivals_find(struct arrivals *arrivals, const struct sink_flight *flight,
                   const struct sink_recognition *recognition, struct sink_event *event)
{
    uint8_t wire[NAME_SIZE_MAX];
    char text[NAME_TEXT_MAX];
    const struct order *order;

    event->name[0] = event->order[0] = '\0';
    event->name_source = (uint8_t)find(arrivals, flight, &recognition->host, wire, &order);
    if (order != NULL)
        snprintf(event->order, sizeof(event->order), "%s", order->id);
    if (event->name_source == SINK_NAME_NONE)
        return;
    const size_t size = name_text_write(wire, text);
    if (size < sizeof(event->name))
        memcpy(event->name, text, size + 1);
}

void arrivals_order(void *context, const char *host, const struct sink_endpoint *local,
                    struct dialogue_order *ret_order)
{
    const struct arrivals *arrivals = context;
    uint8_t wire[NAME_SIZE_MAX];

    const struct order *order = order_of_text(arrivals, host, strlen(host), wire);
    if (order == NULL)
        order = listed_names_at(arrivals->names, &local->address);
    *ret_order = (struct dialogue_order){0};
    if (order != NULL)
        *ret_order = (struct dialogue_order){
            .id = order->id, .authority = order->authority, .notice = order->notice};
}
