/* Mail: sending it, what comes back, and how long it is known what was sent. */
#include <gmime/gmime.h>

#include "base/log.h"
#include "desk/desk.h"
#include "desk/mail_internal.h"
#include "desk/mail_routes.h"
#include "desk/parts.h"

/* RFC 5321, 4.5.4.1: retries of at least four to five days; the MTA behind goes on by itself. */
#define RETRY_FIRST_S 30
#define RETRY_MAX_S   (2 * 3600)
#define GIVE_UP_S     (5 * 24 * 3600)

/* A bounce comes within days; what was sent is looked up when a case is disputed. */
#define KEEP_S (180 * 24 * 3600)

static int mail_start(struct desk *desk, struct error *ret_error)
{
    g_mime_init();
    if (desk->config->mail.from != NULL)
        return mailer_create(desk, &desk->mailer, ret_error);
    log_event(LOG_WARNING, "there is no section mail: mails wait until there is one");
    return 0;
}

static void mail_stop(struct desk *desk)
{
    mailer_free(desk->mailer);
    desk->mailer = NULL;
    g_mime_shutdown();
}

struct retention {
    int64_t now_s;
};

static int retention_do(struct store *store, void *context, struct error *ret_error)
{
    const struct retention *retention = context;
    /* Texts that could not be sent go with their rows, by the outbox's own rule of retention. */
    int rc = store_change(store, NULL, ret_error,
                          "UPDATE mails SET state = 'refused', status = 'given up' WHERE state = "
                          "'waiting' AND outbox NOT IN (SELECT id FROM outbox WHERE kind = $1 AND "
                          "state = 'waiting')",
                          store_text(MAIL_KIND));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error, "DELETE FROM mails WHERE created_at < $1",
                          store_integer(retention->now_s - KEEP_S));
    return rc;
}

/* What was given up is noted as such; what was sent to whom is forgotten later. */
static int mails_forget(struct desk *desk, struct store *store, int64_t now_s,
                        struct error *ret_error)
{
    struct retention retention = {.now_s = now_s};
    (void)desk;
    return store_transact(store, retention_do, &retention, ret_error);
}

static const struct outbox_kind kinds[] = {
    {MAIL_KIND, mail_deliver, RETRY_FIRST_S, RETRY_MAX_S, GIVE_UP_S},
};

static const struct job jobs[] = {
    {"mail.forget", 3600, mails_forget},
};

const struct desk_part part_mail = {
    .name = "mail",
    .routes = ROUTE_TABLE(mail_routes),
    .jobs = jobs,
    .job_count = sizeof(jobs) / sizeof(jobs[0]),
    .outbox_kinds = kinds,
    .outbox_kind_count = sizeof(kinds) / sizeof(kinds[0]),
    .start = mail_start,
    .stop = mail_stop,
};
