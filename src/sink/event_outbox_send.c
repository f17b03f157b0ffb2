/* Sending blocks and taking acknowledgements.
 *
 * Order: each message but the first names the one before it as the last of the stream, and the
 * stream refuses it otherwise (Nats-Expected-Last-Msg-Id). Where one is not stored, those behind it
 * are therefore refused as well, and all are sent again in their order; what the stream has already
 * it drops by its id. There are two cases where each message waits for the acknowledgement of the
 * one before instead: where others send to the stream, so that the condition can't hold, and where
 * the stream has replicas. Its servers note an id before the message is agreed on, and some
 * releases then take the id of a message that was refused for a duplicate until the window has
 * passed.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/log.h"
#include "sink/event_outbox_internal.h"

#define ACKNOWLEDGE_NS UINT64_C(5000000000) /* a cluster has chosen another leader by then */
#define WAIT_MS        100                  /* for an answer, and for new blocks */

/* The headers of JetStream, and the error for a condition that doesn't hold. */
#define HEADER_ID       "Nats-Msg-Id"
#define HEADER_STREAM   "Nats-Expected-Stream"
#define HEADER_PREVIOUS "Nats-Expected-Last-Msg-Id"
#define WRONG_PREVIOUS  10070

/* ---- Sending ---- */

static void write_id(const struct event_outbox *outbox, const struct event_place *place,
                     char ret_id[static OUTBOX_ID_SIZE])
{
    (void)snprintf(ret_id, OUTBOX_ID_SIZE, "%016" PRIx64 "-%" PRIu64 "-%" PRIu64, outbox->node,
                   place->segment, place->octet);
}

static natsStatus add_headers(const struct event_outbox *outbox, const struct event_place *place,
                              natsMsg *message)
{
    const struct outbox_session *session = &outbox->session;
    char id[OUTBOX_ID_SIZE];
    write_id(outbox, place, id);
    natsStatus status = natsMsgHeader_Set(message, HEADER_ID, id);
    if (status == NATS_OK)
        status = natsMsgHeader_Set(message, HEADER_STREAM, outbox->stream);
    if (status == NATS_OK && !session->one_by_one && session->next >= session->alone_until) {
        write_id(outbox, &session->previous, id);
        status = natsMsgHeader_Set(message, HEADER_PREVIOUS, id);
    }
    return status;
}

static natsStatus publish(struct event_outbox *outbox, const struct event_place *place,
                          const uint8_t *octets, size_t size)
{
    struct outbox_session *session = &outbox->session;
    natsMsg *message = NULL;
    char reply[160];
    (void)snprintf(reply, sizeof(reply), "%s.%" PRIu64, session->inbox, session->next);
    natsStatus status =
        natsMsg_Create(&message, outbox->subject, reply, (const char *)octets, (int)size);
    if (status == NATS_OK)
        status = add_headers(outbox, place, message);
    if (status == NATS_OK)
        status = natsConnection_PublishMsg(session->connection, message);
    natsMsg_Destroy(message);
    return status;
}

static bool has_room(const struct outbox_session *session)
{
    const bool alone = session->one_by_one || session->first < session->alone_until;
    return session->next - session->first < (alone ? 1 : OUTBOX_FLIGHT_MAX);
}

static int send_blocks(struct event_outbox *outbox, struct error *ret_error)
{
    struct outbox_session *session = &outbox->session;
    while (has_room(session)) {
        const uint8_t *octets;
        size_t size;
        struct event_place place;
        int rc = event_reader_block(session->reader, &octets, &size, &place, ret_error);
        if (rc <= 0)
            return rc;
        const natsStatus status = publish(outbox, &place, octets, size);
        if (status != NATS_OK)
            return error_set(ret_error, -EAGAIN, "cannot send: %s", natsStatus_GetText(status));
        session->flight[session->next % OUTBOX_FLIGHT_MAX] =
            (struct outbox_message){.place = place, .sent_ns = outbox_now_ns()};
        session->previous = place;
        session->next++;
    }
    return 0;
}

/* Begins again behind what is acknowledged; answers to what is in flight are ignored from now on.
 */
static int send_again(struct event_outbox *outbox, struct error *ret_error)
{
    struct outbox_session *session = &outbox->session;
    session->first = session->next;
    session->alone_until = session->next + 1;
    event_reader_close(session->reader);
    session->reader = NULL;
    return event_reader_open(outbox->events, 0, 0, &outbox->place, &session->reader, ret_error);
}

/* ---- Answers ---- */

static void pass_acknowledged(struct event_outbox *outbox)
{
    struct outbox_session *session = &outbox->session;
    while (session->first < session->next) {
        const struct outbox_message *message = &session->flight[session->first % OUTBOX_FLIGHT_MAX];
        if (!message->is_acknowledged)
            break;
        outbox->place = message->place;
        session->first++;
        atomic_fetch_add(&outbox->sent, 1);
    }
}

/* Whether it is refused although all before it are acknowledged: somebody else has sent between. */
static bool is_crossed(const struct outbox_session *session, uint64_t number, json_int_t code)
{
    return code == WRONG_PREVIOUS && number == session->first && !session->one_by_one;
}

static int begin_one_by_one(struct event_outbox *outbox, struct error *ret_error)
{
    if (!outbox->has_told_senders)
        log_event(LOG_INFO,
                  "nats: stream %s has other senders, so that messages are sent one by "
                  "one to keep their order; a stream for each sender is faster",
                  outbox->stream);
    outbox->has_told_senders = true;
    outbox->session.one_by_one = true;
    return send_again(outbox, ret_error);
}

static int take_refusal(struct event_outbox *outbox, uint64_t number, const json_t *refusal,
                        struct error *ret_error)
{
    const json_int_t code = json_integer_value(json_object_get(refusal, "err_code"));
    const char *text = json_string_value(json_object_get(refusal, "description"));
    if (is_crossed(&outbox->session, number, code))
        return begin_one_by_one(outbox, ret_error);
    return error_set(ret_error, -EAGAIN, "stream %s refuses a message: %s", outbox->stream,
                     text != NULL ? text : "it does not say why");
}

/* What JetStream answers: {"stream":...,"seq":...} or {"error":{"err_code":...}}. A duplicate
 * without a sequence number is one that a cluster has heard of and not stored. */
static int read_answer(struct event_outbox *outbox, uint64_t number, const char *octets,
                       size_t size, struct error *ret_error)
{
    struct outbox_session *session = &outbox->session;
    json_t *answer = json_loadb(octets, size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *refusal = json_object_get(answer, "error");
    int rc = 0;
    if (refusal != NULL) {
        rc = take_refusal(outbox, number, refusal, ret_error);
    } else if (json_integer_value(json_object_get(answer, "seq")) > 0) {
        session->flight[number % OUTBOX_FLIGHT_MAX].is_acknowledged = true;
        pass_acknowledged(outbox);
    } else {
        rc = error_set(ret_error, -EAGAIN, "what answers to subject %s has not stored it",
                       outbox->subject);
    }
    json_decref(answer);
    return rc;
}

static int take_answer(struct event_outbox *outbox, natsMsg *message, struct error *ret_error)
{
    const struct outbox_session *session = &outbox->session;
    const char *subject = natsMsg_GetSubject(message);
    const uint64_t number = strtoull(subject + strlen(session->inbox) + 1, NULL, 10);
    if (number < session->first || number >= session->next ||
        session->flight[number % OUTBOX_FLIGHT_MAX].is_acknowledged)
        return 0;
    return read_answer(outbox, number, natsMsg_GetData(message),
                       (size_t)natsMsg_GetDataLength(message), ret_error);
}

static int take_answers(struct event_outbox *outbox, struct error *ret_error)
{
    for (int64_t wait_ms = WAIT_MS;; wait_ms = 0) {
        natsMsg *message = NULL;
        const natsStatus status =
            natsSubscription_NextMsg(&message, outbox->session.answers, wait_ms);
        if (status == NATS_TIMEOUT)
            return 0;
        if (status == NATS_NO_RESPONDERS)
            return error_set(ret_error, -EAGAIN,
                             "no stream takes subject %s now; if stream %s is there, add the "
                             "subject to it",
                             outbox->subject, outbox->stream);
        if (status != NATS_OK)
            return error_set(ret_error, -EAGAIN, "the connection has ended: %s",
                             natsStatus_GetText(status));
        int rc = take_answer(outbox, message, ret_error);
        natsMsg_Destroy(message);
        if (rc < 0)
            return rc;
    }
}

/* ---- Both ---- */

int outbox_pump(struct event_outbox *outbox, struct error *ret_error)
{
    const struct outbox_session *session = &outbox->session;
    int rc = send_blocks(outbox, ret_error);
    if (rc == 0)
        rc = take_answers(outbox, ret_error);
    if (rc < 0 || session->first == session->next)
        return rc;
    if (outbox_now_ns() - session->flight[session->first % OUTBOX_FLIGHT_MAX].sent_ns >
        ACKNOWLEDGE_NS)
        return error_set(ret_error, -EAGAIN, "no message was acknowledged in time");
    return 0;
}
