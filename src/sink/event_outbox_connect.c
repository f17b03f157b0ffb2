/* Getting to a server and its stream. Each session is one connection: the library's own
 * reconnecting would send again what it buffered, in an order and number that nobody here knows. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "sink/event_outbox_internal.h"
#include "sink/segment.h"

/* What a message has beside its block: the headers with ids and the stream's name. */
#define HEADERS_SIZE_MAX 1024

/* A client that got no answer in this time finds out that its server is gone. */
#define PING_MS 10000

/* How long the stream remembers ids. Only what was in flight when a connection ended is sent again,
 * so that an hour bridges the usual outage; after a longer one up to OUTBOX_FLIGHT_MAX messages may
 * be there twice. */
#define DUPLICATES_NS (INT64_C(3600) * 1000000000)

/* The library's texts begin with a place in its source: "(conn.c:123): cause". */
static int set_nats_error(struct error *ret_error, natsStatus status, const char *what)
{
    const char *detail = nats_GetLastError(NULL);
    const char *cause = detail != NULL ? strstr(detail, "): ") : NULL;
    return error_set(ret_error, -EAGAIN, "%s: %s", what,
                     cause != NULL ? cause + 3 : natsStatus_GetText(status));
}

/* ---- Options ---- */

static int check_file(const char *path, const char *what, struct error *ret_error)
{
    if (path == NULL || access(path, R_OK) == 0)
        return 0;
    return error_set_at(ret_error, -errno, path, 0, "%s for NATS cannot be read: %s", what,
                        strerror(errno));
}

static natsStatus set_options(natsOptions *nats, const struct event_outbox_options *options)
{
    natsStatus status = natsOptions_SetAllowReconnect(nats, false);
    if (status == NATS_OK)
        status = natsOptions_SetTimeout(nats, OUTBOX_STEP_MS);
    if (status == NATS_OK)
        status = natsOptions_SetWriteDeadline(nats, OUTBOX_STEP_MS);
    if (status == NATS_OK)
        status = natsOptions_SetPingInterval(nats, PING_MS);
    if (status == NATS_OK)
        status = natsOptions_SetName(nats, "tamis-sink");
    if (status == NATS_OK && options->credentials != NULL)
        status = natsOptions_SetUserCredentialsFromFiles(nats, options->credentials, NULL);
    if (status == NATS_OK && options->ca_file != NULL)
        status = natsOptions_SetSecure(nats, true);
    return status;
}

/* Names of streams go into subjects as one token; a subject to publish to has no wildcards. */
static int check_names(const struct event_outbox_options *options, struct error *ret_error)
{
    if (options->stream[0] == '\0' || strpbrk(options->stream, ". \t\r\n*>/\\") != NULL)
        return error_set(ret_error, -EINVAL,
                         "'%s' is no name of a stream: write letters, digits, '-' and '_'",
                         options->stream);
    const char *subject = options->subject;
    const size_t size = strlen(subject);
    if (size == 0 || strpbrk(subject, " \t\r\n*>") != NULL || strstr(subject, "..") != NULL ||
        subject[0] == '.' || subject[0] == '$' || subject[size - 1] == '.')
        return error_set(ret_error, -EINVAL,
                         "'%s' is no subject to publish to: write words with dots between, "
                         "without '*' and '>'",
                         subject);
    if (strlen(options->stream) + size > HEADERS_SIZE_MAX / 2)
        return error_set(ret_error, -EINVAL, "the names of stream and subject are too long");
    return 0;
}

int outbox_nats_options(struct event_outbox *outbox, const struct event_outbox_options *options,
                        struct error *ret_error)
{
    int rc = check_names(options, ret_error);
    if (rc == 0)
        rc = check_file(options->credentials, "the credentials", ret_error);
    if (rc == 0)
        rc = check_file(options->ca_file, "the authority", ret_error);
    if (rc < 0)
        return rc;
    natsStatus status = natsOptions_Create(&outbox->nats);
    if (status == NATS_OK)
        status = set_options(outbox->nats, options);
    if (status != NATS_OK)
        return error_set(ret_error, -ENOMEM, "cannot prepare for NATS: %s",
                         natsStatus_GetText(status));
    outbox->has_ca = options->ca_file != NULL;
    if (outbox->has_ca &&
        natsOptions_LoadCATrustedCertificates(outbox->nats, options->ca_file) != NATS_OK)
        return error_set_at(ret_error, -EINVAL, options->ca_file, 0,
                            "has no certificate of an authority in PEM form");
    return 0;
}

/* ---- The server ---- */

const char *outbox_server_name(const struct event_outbox *outbox)
{
    const char *url = outbox->servers[outbox->server];
    const char *scheme = strstr(url, "://");
    const char *host = scheme != NULL ? scheme + 3 : url;
    const char *user = strrchr(host, '@');
    return user != NULL ? user + 1 : host;
}

/* The library checks the name in a certificate only where it is told which. */
static natsStatus expect_host(struct event_outbox *outbox)
{
    char host[256];
    const char *name = outbox_server_name(outbox);
    const bool is_bracketed = name[0] == '[';
    name += is_bracketed;
    const size_t size = strcspn(name, is_bracketed ? "]" : ":/");
    if (snprintf(host, sizeof(host), "%.*s", (int)size, name) >= (int)sizeof(host))
        return NATS_INVALID_ARG;
    return natsOptions_SetExpectedHostname(outbox->nats, host);
}

static natsStatus open_connection(struct event_outbox *outbox)
{
    natsStatus status = natsOptions_SetURL(outbox->nats, outbox->servers[outbox->server]);
    if (status == NATS_OK && outbox->has_ca)
        status = expect_host(outbox);
    if (status == NATS_OK)
        status = natsConnection_Connect(&outbox->session.connection, outbox->nats);
    return status;
}

static natsStatus subscribe_answers(struct outbox_session *session)
{
    char subject[128];
    natsStatus status = natsInbox_Create(&session->inbox);
    if (status != NATS_OK)
        return status;
    (void)snprintf(subject, sizeof(subject), "%s.*", session->inbox);
    return natsConnection_SubscribeSync(&session->answers, session->connection, subject);
}

/* A server that can't take the largest block is not used at all, rather than being stuck at one of
 * them some day. */
static int check_room(int64_t octets_max, const char *whose, const char *remedy,
                      struct error *ret_error)
{
    const int64_t needed = BLOCK_SIZE_MAX + HEADERS_SIZE_MAX;
    if (octets_max >= needed)
        return 0;
    return error_set(ret_error, -EAGAIN,
                     "%s takes messages of %" PRId64 " octets at most, and ours may have %" PRId64
                     ": raise %s",
                     whose, octets_max, needed, remedy);
}

/* ---- The stream ---- */

static int make_stream(struct event_outbox *outbox, jsCtx *context, struct error *ret_error)
{
    jsStreamConfig config;
    const char *subjects[] = {outbox->subject};
    jsErrCode code = 0;
    jsStreamConfig_Init(&config);
    config.Name = outbox->stream;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    config.Replicas = outbox->replicas;
    config.Duplicates = DUPLICATES_NS;
    const natsStatus status = js_AddStream(NULL, context, &config, NULL, &code);
    if (status != NATS_OK)
        return set_nats_error(ret_error, status, "the stream cannot be made");
    outbox->session.one_by_one = outbox->replicas > 1;
    log_event(LOG_INFO, "nats: stream %s is made, with %u replicas, for subject %s", outbox->stream,
              outbox->replicas, outbox->subject);
    return 0;
}

/* A stream that is there is its owner's: what differs is told, and left. */
static int check_stream(struct event_outbox *outbox, const jsStreamConfig *config,
                        struct error *ret_error)
{
    if (config->MaxMsgSize > 0) {
        int rc = check_room(config->MaxMsgSize, "the stream", "its max_msg_size", ret_error);
        if (rc < 0)
            return rc;
    }
    outbox->session.one_by_one = config->Replicas > 1;
    if (outbox->has_told_settings)
        return 0;
    outbox->has_told_settings = true;
    if (config->Storage != js_FileStorage)
        log_event(LOG_WARNING,
                  "nats: stream %s is kept in memory: a restart of NATS loses events "
                  "that it has acknowledged",
                  outbox->stream);
    if (config->Replicas != outbox->replicas)
        log_event(LOG_WARNING,
                  "nats: stream %s has %" PRId64 " replicas, not %u; it is left as it is",
                  outbox->stream, config->Replicas, outbox->replicas);
    if (config->Duplicates < DUPLICATES_NS)
        log_event(LOG_WARNING,
                  "nats: stream %s finds duplicates for %" PRId64 " s only; after a "
                  "longer outage some messages may be there twice",
                  outbox->stream, config->Duplicates / 1000000000);
    return 0;
}

static int find_stream(struct event_outbox *outbox, jsCtx *context, struct error *ret_error)
{
    jsStreamInfo *info = NULL;
    jsErrCode code = 0;
    const natsStatus status = js_GetStreamInfo(&info, context, outbox->stream, NULL, &code);
    if (status == NATS_NOT_FOUND && code == JSStreamNotFoundErr)
        return make_stream(outbox, context, ret_error);
    if (status != NATS_OK)
        return set_nats_error(ret_error, status, "JetStream cannot be asked for the stream");
    int rc = check_stream(outbox, info->Config, ret_error);
    jsStreamInfo_Destroy(info);
    return rc;
}

static int use_stream(struct event_outbox *outbox, struct error *ret_error)
{
    jsCtx *context = NULL;
    jsOptions options;
    jsOptions_Init(&options);
    options.Wait = OUTBOX_STEP_MS;
    const natsStatus status =
        natsConnection_JetStream(&context, outbox->session.connection, &options);
    if (status != NATS_OK)
        return set_nats_error(ret_error, status, "cannot use JetStream");
    int rc = find_stream(outbox, context, ret_error);
    jsCtx_Destroy(context);
    return rc;
}

/* ---- Sessions ---- */

static int open_session(struct event_outbox *outbox, struct error *ret_error)
{
    struct outbox_session *session = &outbox->session;
    natsStatus status = open_connection(outbox);
    if (status != NATS_OK)
        return set_nats_error(ret_error, status, "cannot connect");
    int rc = check_room(natsConnection_GetMaxPayload(session->connection), "the server",
                        "its max_payload", ret_error);
    if (rc == 0)
        rc = use_stream(outbox, ret_error);
    if (rc < 0)
        return rc;
    status = subscribe_answers(session);
    if (status != NATS_OK)
        return set_nats_error(ret_error, status, "cannot subscribe to answers");
    return event_reader_open(outbox->events, 0, 0, &outbox->place, &session->reader, ret_error);
}

int outbox_connect(struct event_outbox *outbox, struct error *ret_error)
{
    assert(outbox->session.connection == NULL);
    outbox->session = (struct outbox_session){.alone_until = 1};
    int rc = open_session(outbox, ret_error);
    if (rc < 0)
        outbox_disconnect(outbox);
    return rc;
}

void outbox_disconnect(struct event_outbox *outbox)
{
    struct outbox_session *session = &outbox->session;
    event_reader_close(session->reader);
    natsSubscription_Destroy(session->answers);
    natsInbox_Destroy(session->inbox);
    natsConnection_Destroy(session->connection);
    *session = (struct outbox_session){0};
    outbox->server = (outbox->server + 1) % outbox->server_count;
}
