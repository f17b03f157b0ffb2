#include "sink/event_outbox.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "base/log.h"
#include "sink/event_outbox_internal.h"

#define MS      UINT64_C(1000000)
#define LOOK_MS 1000 /* between two savings of the place: it bounds what is sent twice */

/* Pauses between tries. They double: a server that comes back is found at once, and one that stays
 * away is not bothered much. */
#define PAUSE_MS_FIRST 100
#define PAUSE_MS_MAX   1000

/* The library's threads end at once; this is for a machine that is very busy. */
#define LIBRARY_CLOSE_MS 2000

uint64_t outbox_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

bool outbox_is_ending(struct event_outbox *outbox)
{
    pthread_mutex_lock(&outbox->mutex);
    const bool is_ending = outbox->is_ending;
    pthread_mutex_unlock(&outbox->mutex);
    return is_ending;
}

/* ---- The thread ---- */

static void look_if_due(struct event_outbox *outbox)
{
    const uint64_t now_ns = outbox_now_ns();
    if (now_ns < outbox->look_ns)
        return;
    outbox_look(outbox);
    outbox->look_ns = now_ns + LOOK_MS * MS;
}

/* Each reason is told once, until it goes well again. */
static void tell_failure(struct event_outbox *outbox, const char *server, const struct error *error)
{
    char text[sizeof(outbox->told)];
    atomic_fetch_add(&outbox->failures, 1);
    (void)snprintf(text, sizeof(text), "%s", error->text);
    if (strcmp(text, outbox->told) == 0)
        return;
    log_event(LOG_WARNING, "nats: %s: %s; events wait in their log and are sent later", server,
              text);
    memcpy(outbox->told, text, sizeof(text));
}

/* A connection is no success yet: what is sent must be taken, or there must be nothing to send. */
static void tell_success(struct event_outbox *outbox)
{
    log_event(LOG_INFO, "nats: %s: connected, events go to stream %s", outbox_server_name(outbox),
              outbox->stream);
    outbox->told[0] = '\0';
}

/* Waits for the pause to pass, but for a stop and for what is to be done meanwhile. */
static void rest(struct event_outbox *outbox)
{
    const uint64_t end_ns = outbox_now_ns() + outbox->pause_ms * MS;
    outbox->pause_ms = outbox->pause_ms * 2 < PAUSE_MS_MAX ? outbox->pause_ms * 2 : PAUSE_MS_MAX;
    while (outbox_now_ns() < end_ns && !outbox_is_ending(outbox)) {
        look_if_due(outbox);
        const uint64_t until_ns = end_ns < outbox->look_ns ? end_ns : outbox->look_ns;
        const struct timespec until = {.tv_sec = (time_t)(until_ns / (1000 * MS)),
                                       .tv_nsec = (long)(until_ns % (1000 * MS))};
        pthread_mutex_lock(&outbox->mutex);
        int rc = 0;
        while (rc == 0 && !outbox->is_ending)
            rc = pthread_cond_timedwait(&outbox->wake, &outbox->mutex, &until);
        pthread_mutex_unlock(&outbox->mutex);
    }
}

/* Sends until the connection ends, or all is to end. */
static int run_session(struct event_outbox *outbox, struct error *ret_error)
{
    const struct outbox_session *session = &outbox->session;
    bool has_told = false;
    while (!outbox_is_ending(outbox)) {
        int rc = outbox_pump(outbox, ret_error);
        if (rc < 0)
            return rc;
        if (!has_told && (session->first > 0 || session->next == 0)) {
            tell_success(outbox);
            outbox->pause_ms = PAUSE_MS_FIRST;
            has_told = true;
        }
        look_if_due(outbox);
    }
    return 0;
}

static void try_session(struct event_outbox *outbox)
{
    struct error error = {0};
    const char *server = outbox_server_name(outbox);
    int rc = outbox_connect(outbox, &error);
    if (rc == 0) {
        atomic_fetch_add(&outbox->sessions, 1);
        atomic_store(&outbox->connected, true);
        rc = run_session(outbox, &error);
        atomic_store(&outbox->connected, false);
        outbox_disconnect(outbox);
    }
    if (rc < 0)
        tell_failure(outbox, server, &error);
}

static void *outbox_thread(void *context)
{
    struct event_outbox *outbox = context;
    while (!outbox_is_ending(outbox)) {
        look_if_due(outbox);
        if (outbox_place_check(outbox) != 0)
            try_session(outbox);
        rest(outbox);
    }
    outbox_look(outbox);
    return NULL;
}

/* ---- Starting and stopping ---- */

static bool copy_options(struct event_outbox *outbox, const struct event_outbox_options *options)
{
    outbox->events = strdup(options->events);
    outbox->place_path = strdup(options->place);
    outbox->stream = strdup(options->stream);
    outbox->subject = strdup(options->subject);
    outbox->servers = calloc(options->server_count, sizeof(*outbox->servers));
    if (outbox->events == NULL || outbox->place_path == NULL || outbox->stream == NULL ||
        outbox->subject == NULL || outbox->servers == NULL)
        return false;
    for (; outbox->server_count < options->server_count; outbox->server_count++) {
        outbox->servers[outbox->server_count] = strdup(options->servers[outbox->server_count]);
        if (outbox->servers[outbox->server_count] == NULL)
            return false;
    }
    return true;
}

static void free_outbox(struct event_outbox *outbox)
{
    for (size_t i = 0; i < outbox->server_count; i++)
        free(outbox->servers[i]);
    free(outbox->servers);
    free(outbox->subject);
    free(outbox->stream);
    free(outbox->place_path);
    free(outbox->events);
    free(outbox->segments);
    natsOptions_Destroy(outbox->nats);
    (void)nats_CloseAndWait(LIBRARY_CLOSE_MS);
    free(outbox);
}

static int start_thread(struct event_outbox *outbox)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&outbox->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&outbox->mutex, NULL);
    int rc = -pthread_create(&outbox->thread, NULL, outbox_thread, outbox);
    if (rc < 0) {
        pthread_cond_destroy(&outbox->wake);
        pthread_mutex_destroy(&outbox->mutex);
    }
    return rc;
}

static int start(struct event_outbox *outbox, const struct event_outbox_options *options,
                 struct error *ret_error)
{
    if (!copy_options(outbox, options))
        return error_set(ret_error, -ENOMEM, "no memory to pass on events");
    outbox->replicas = options->replicas;
    outbox->pause_ms = PAUSE_MS_FIRST;
    int rc = outbox_place_load(outbox, ret_error);
    if (rc == 0)
        rc = outbox_nats_options(outbox, options, ret_error);
    if (rc < 0)
        return rc;
    rc = start_thread(outbox);
    return rc < 0 ? error_set(ret_error, rc, "cannot start a thread: %s", strerror(-rc)) : 0;
}

int event_outbox_start(const struct event_outbox_options *options, struct event_outbox **ret_outbox,
                       struct error *ret_error)
{
    assert(options->server_count > 0 && options->replicas > 0);
    struct event_outbox *outbox = calloc(1, sizeof(*outbox));
    if (outbox == NULL)
        return error_set(ret_error, -ENOMEM, "no memory to pass on events");
    int rc = start(outbox, options, ret_error);
    if (rc < 0) {
        free_outbox(outbox);
        return rc;
    }
    *ret_outbox = outbox;
    return 0;
}

void event_outbox_stop(struct event_outbox *outbox)
{
    if (outbox == NULL)
        return;
    pthread_mutex_lock(&outbox->mutex);
    outbox->is_ending = true;
    pthread_cond_signal(&outbox->wake);
    pthread_mutex_unlock(&outbox->mutex);
    pthread_join(outbox->thread, NULL);
    pthread_cond_destroy(&outbox->wake);
    pthread_mutex_destroy(&outbox->mutex);
    free_outbox(outbox);
}

void event_outbox_figures(const struct event_outbox *outbox,
                          struct event_outbox_figures *ret_figures)
{
    const uint64_t sessions = atomic_load(&outbox->sessions);
    *ret_figures = (struct event_outbox_figures){
        .sent = atomic_load(&outbox->sent),
        .failures = atomic_load(&outbox->failures),
        .reconnects = sessions > 0 ? sessions - 1 : 0,
        .behind = atomic_load(&outbox->behind),
        .lost = atomic_load(&outbox->lost),
        .connected = atomic_load(&outbox->connected),
    };
}
