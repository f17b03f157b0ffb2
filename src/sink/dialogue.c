#include "sink/dialogue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sink/dialogue_setting.h"
#include "sink/http_head.h"
#include "sink/http_page.h"
#include "sink/ja4.h"

/* Octets of a first flight: the longest hello, in records as short as clients make them. */
#define FIRST_FLIGHT_MAX (HELLO_SIZE_MAX + 4096)

/* Octets on the wire within TLS beyond those of plain text: the handshake, and what records add. */
#define TLS_WIRE_EXTRA ((size_t)32 * 1024)

/* Octets by which it is known whether TLS begins: a record's head and the message's type. */
#define DECIDED_SIZE 6

/* Plain text read at a time. */
#define READ_SIZE 4096

enum mode {
    MODE_UNDECIDED, /* too few octets came to tell TLS */
    MODE_HELLO,     /* a ClientHello isn't whole yet */
    MODE_PLAIN,     /* octets are kept as they come */
    MODE_TLS,       /* the handshake, then plain text within it */
};

enum http {
    HTTP_UNDECIDED, /* the first line isn't whole */
    HTTP_HEAD,      /* an HTTP/1 request began */
    HTTP_BODY,      /* its head is whole */
    HTTP_NEVER,     /* something else: nothing is ever sent */
};

struct dialogue_session {
    struct dialogue_tls tls;
    struct client_hello hello;
    size_t wire_octets;
};

struct dialogue {
    const struct dialogue_setting *setting;
    struct dialogue_session *session; /* NULL outside of TLS */
    struct octet_buffer octets;       /* as on the wire; once a handshake is done, the plain text */
    struct octet_buffer output;
    size_t sent;    /* of the output */
    size_t scanned; /* octets in which the head's end was looked for */
    size_t wanted;  /* octets of head and body */
    struct sink_endpoint local;
    struct handshake_share *share; /* NULL: handshakes as many as come */
    struct in6_addr client;        /* for it */
    uint8_t mode, http, ending;
    bool has_ended, has_ending, is_established;
};

struct dialogue *dialogue_create(const struct dialogue_setting *setting,
                                 const struct sink_endpoint *local)
{
    struct dialogue *dialogue = calloc(1, sizeof(*dialogue));
    if (dialogue == NULL)
        return NULL;
    dialogue->setting = setting;
    dialogue->local = *local;
    return dialogue;
}

void dialogue_limit(struct dialogue *dialogue, struct handshake_share *share,
                    const struct in6_addr *client)
{
    dialogue->share = share;
    dialogue->client = *client;
}

static void session_free(struct dialogue_session *session)
{
    if (session == NULL)
        return;
    dialogue_tls_clear(&session->tls);
    free(session);
}

void dialogue_free(struct dialogue *dialogue)
{
    if (dialogue == NULL)
        return;
    session_free(dialogue->session);
    octet_buffer_clear(&dialogue->octets);
    octet_buffer_clear(&dialogue->output);
    free(dialogue);
}

static void end_as(struct dialogue *dialogue, enum sink_ending ending)
{
    dialogue->has_ended = true;
    if (dialogue->has_ending)
        return;
    dialogue->has_ending = true;
    dialogue->ending = (uint8_t)ending;
}

/* ---- HTTP ---- */

static int page_send(struct dialogue *dialogue, const struct http_head *request)
{
    const struct dialogue_setting *setting = dialogue->setting;
    struct dialogue_session *session = dialogue->session;
    struct dialogue_order order = {0};
    _cleanup_(octet_buffer_clear) struct octet_buffer page = {0};
    const char *host = request->host;

    if (host[0] == '\0' && session != NULL)
        host = session->hello.server_name;
    setting->order(setting->context, host, &dialogue->local, &order);
    if (session == NULL)
        return http_page_write(setting->operator_name, setting->contact, &order, !request->is_head,
                               &dialogue->output);
    int rc =
        http_page_write(setting->operator_name, setting->contact, &order, !request->is_head, &page);
    return rc < 0 ? rc : dialogue_tls_end(&session->tls, page.octets, page.size);
}

/* A head that is longer than what is read gets the page, too: it is a browser's with its cookies
 * rather than a bot's. */
static int answer(struct dialogue *dialogue, enum sink_ending ending)
{
    struct http_head request;
    http_head_read(dialogue->octets.octets, dialogue->octets.size, &request);
    end_as(dialogue, ending);
    return page_send(dialogue, &request);
}

static void head_look(struct dialogue *dialogue)
{
    const struct octet_buffer *octets = &dialogue->octets;
    struct http_head request;

    size_t head = http_head_size(octets->octets, octets->size, dialogue->scanned);
    dialogue->scanned = octets->size;
    if (head == 0)
        return;
    http_head_read(octets->octets, head, &request);
    size_t room = dialogue->setting->octets_max - head;
    dialogue->wanted = head + (request.body_octets < room ? (size_t)request.body_octets : room);
    dialogue->http = HTTP_BODY;
}

/* Looks at the plain text after more of it came. */
static int plain_look(struct dialogue *dialogue)
{
    const struct octet_buffer *octets = &dialogue->octets;
    bool is_full = octets->size >= dialogue->setting->octets_max;

    if (dialogue->http == HTTP_UNDECIDED) {
        int rc = http_head_begins(octets->octets, octets->size);
        if (rc != -EAGAIN)
            dialogue->http = rc == 0 ? HTTP_HEAD : HTTP_NEVER;
    }
    if (dialogue->http == HTTP_HEAD)
        head_look(dialogue);
    if (dialogue->http == HTTP_BODY && octets->size >= dialogue->wanted)
        return answer(dialogue, SINK_ANSWERED);
    if (!is_full)
        return 0;
    if (dialogue->http == HTTP_HEAD)
        return answer(dialogue, SINK_FULL);
    end_as(dialogue, SINK_FULL);
    return 0;
}

/* ---- What comes ---- */

/* Keeps what fits; the rest is of no use. */
static int keep(struct dialogue *dialogue, const uint8_t *octets, size_t size, size_t size_max)
{
    size_t room = dialogue->octets.size < size_max ? size_max - dialogue->octets.size : 0;
    return octet_buffer_add(&dialogue->octets, octets, size < room ? size : room);
}

static int plain_take(struct dialogue *dialogue, const uint8_t *octets, size_t size)
{
    int rc = keep(dialogue, octets, size, dialogue->setting->octets_max);
    return rc < 0 || dialogue->has_ended ? rc : plain_look(dialogue);
}

/* The handshake is done: what was kept of it gives way to what comes within. */
static void plain_begin(struct dialogue *dialogue)
{
    dialogue->is_established = true;
    dialogue->http = HTTP_UNDECIDED;
    dialogue->scanned = 0;
    octet_buffer_clear(&dialogue->octets);
}

static int records_take(struct dialogue *dialogue, const uint8_t *octets, size_t size)
{
    struct dialogue_session *session = dialogue->session;
    uint8_t plain[READ_SIZE];

    session->wire_octets += size;
    int rc = dialogue_tls_take(&session->tls, octets, size);
    if (rc < 0)
        return rc;
    for (;;) {
        ssize_t count = dialogue_tls_read(&session->tls, plain, sizeof(plain));
        if (session->tls.is_established && !dialogue->is_established)
            plain_begin(dialogue);
        if (count == -EAGAIN)
            break;
        if (count < 0)
            return (int)count;
        rc = plain_take(dialogue, plain, (size_t)count);
        if (rc < 0 || dialogue->has_ended)
            return rc;
    }
    if (session->wire_octets >= dialogue->setting->octets_max + TLS_WIRE_EXTRA)
        end_as(dialogue, SINK_FULL);
    return 0;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* What a handshake costs is its client's, also where it never ends. */
static int tls_take(struct dialogue *dialogue, const uint8_t *octets, size_t size)
{
    if (dialogue->share == NULL || dialogue->is_established)
        return records_take(dialogue, octets, size);
    const int64_t begun_us = now_us();
    int rc = records_take(dialogue, octets, size);
    handshake_share_spend(dialogue->share, &dialogue->client, begun_us, now_us() - begun_us);
    return rc;
}

static int session_begin(struct dialogue *dialogue, const struct client_hello *hello)
{
    struct dialogue_session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return -ENOMEM;
    dialogue->session = session;
    session->hello = *hello;
    dialogue->mode = MODE_TLS;
    if (dialogue->share != NULL &&
        !handshake_share_has_room(dialogue->share, &dialogue->client, now_us())) {
        end_as(dialogue, SINK_SHED);
        return 0;
    }
    return dialogue_tls_init(&session->tls, &dialogue->setting->tls, &dialogue->output);
}

/* Cuts what was kept for a hello down to what is kept of anything. */
static int plain_after_all(struct dialogue *dialogue)
{
    dialogue->mode = MODE_PLAIN;
    if (dialogue->octets.size > dialogue->setting->octets_max)
        dialogue->octets.size = dialogue->setting->octets_max;
    return plain_look(dialogue);
}

/* Hands on what is kept, and what there was no room for. */
static int session_take(struct dialogue *dialogue, const struct client_hello *hello,
                        const uint8_t *rest, size_t rest_size)
{
    int rc = session_begin(dialogue, hello);
    if (rc == 0 && !dialogue->has_ended)
        rc = tls_take(dialogue, dialogue->octets.octets, dialogue->octets.size);
    return rc < 0 || rest_size == 0 || dialogue->has_ended ? rc
                                                           : tls_take(dialogue, rest, rest_size);
}

/* A session is only made for a hello that is whole: who sends none gets no octet and costs no more
 * than what came. */
static int hello_take(struct dialogue *dialogue, const uint8_t *octets, size_t size)
{
    const struct octet_buffer *kept = &dialogue->octets;
    size_t octets_max = dialogue->setting->octets_max;
    size_t before = kept->size;
    struct client_hello hello;

    int rc =
        keep(dialogue, octets, size, octets_max > FIRST_FLIGHT_MAX ? octets_max : FIRST_FLIGHT_MAX);
    if (rc < 0)
        return rc;
    if (dialogue->mode == MODE_UNDECIDED && kept->size < DECIDED_SIZE)
        return plain_look(dialogue);
    dialogue->mode = MODE_HELLO;
    if (!client_hello_begins(kept->octets, kept->size))
        return plain_after_all(dialogue);
    rc = client_hello_read(kept->octets, kept->size, &hello);
    if (rc == -EAGAIN && kept->size < FIRST_FLIGHT_MAX)
        return 0;
    if (rc < 0)
        return plain_after_all(dialogue);
    size_t added = kept->size - before;
    return session_take(dialogue, &hello, octets + added, size - added);
}

static enum dialogue_state state(const struct dialogue *dialogue)
{
    if (dialogue->output.size > dialogue->sent)
        return DIALOGUE_WRITES;
    return dialogue->has_ended ? DIALOGUE_ENDS : DIALOGUE_READS;
}

enum dialogue_state dialogue_take(struct dialogue *dialogue, const uint8_t *octets, size_t size)
{
    int rc;
    if (dialogue->mode == MODE_PLAIN)
        rc = plain_take(dialogue, octets, size);
    else if (dialogue->mode != MODE_TLS)
        rc = hello_take(dialogue, octets, size);
    else
        rc = dialogue->has_ended ? 0 : tls_take(dialogue, octets, size);
    if (rc < 0)
        dialogue->has_ended = true;
    return state(dialogue);
}

const uint8_t *dialogue_output(const struct dialogue *dialogue, size_t *ret_size)
{
    *ret_size = dialogue->output.size - dialogue->sent;
    return *ret_size > 0 ? dialogue->output.octets + dialogue->sent : NULL;
}

enum dialogue_state dialogue_sent(struct dialogue *dialogue, size_t size)
{
    dialogue->sent += size;
    if (dialogue->sent == dialogue->output.size) {
        octet_buffer_clear(&dialogue->output);
        dialogue->sent = 0;
    }
    return state(dialogue);
}

void dialogue_describe(const struct dialogue *dialogue, struct sink_flight *flight)
{
    const struct octet_buffer *octets = &dialogue->octets;
    size_t size_max = dialogue->setting->octets_max;

    flight->octets = octets->octets;
    flight->size = octets->size < size_max ? octets->size : size_max;
    flight->hello = dialogue->session != NULL ? &dialogue->session->hello : NULL;
    flight->in_tls = dialogue->is_established;
    if (dialogue->has_ending)
        flight->ending = (enum sink_ending)dialogue->ending;
}

size_t dialogue_memory(const struct dialogue *dialogue)
{
    size_t session = dialogue->session != NULL
                         ? sizeof(*dialogue->session) + dialogue_tls_memory(&dialogue->session->tls)
                         : 0;
    return sizeof(*dialogue) + dialogue->octets.capacity + dialogue->output.capacity + session;
}
