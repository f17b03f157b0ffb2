/* What the files of the mail part share: private to mail*.c and part_mail.c. */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/account.h"
#include "desk/ids.h"
#include "desk/outbox.h"
#include "desk/principal.h"

#define MAIL_KIND "mail"

/* A mail's id: a name, a dot, and a secret by which the receiver shows that it got it. */
#define MAIL_ID_SIZE (ID_SIZE + SECRET_TEXT_SIZE)

/* Bits of what an address or an id may have: nothing that means something in a header. */
bool mail_id_is_valid(const char *text);

/* The form in which addresses are written, compared and kept: lower case, the domain in A-labels.
 * -EINVAL: cannot be written to. */
_must_check_ int mail_address(const char *text, char ret_address[static EMAIL_SIZE_MAX + 1],
                              struct error *ret_error);

/* Marks what became of a mail, and when. In a transaction or alone. */
_must_check_ int mail_state_set(struct store *store, int64_t now_s, const char *id,
                                const char *state, const char *status, struct error *ret_error);

/* An address gets nothing any more (`topic` "") or nothing on a topic. What is suppressed already
 * stays as it was. */
struct mail_suppression {
    const char *address, *topic, *reason, *status, *mail;
};
_must_check_ int mail_suppress(struct store *store, int64_t now_s,
                               const struct mail_suppression *suppression, struct error *ret_error);

/* ---- SMTP (mail_send.c) ---- */

struct mailer;

_must_check_ int mailer_create(struct desk *desk, struct mailer **ret_mailer,
                               struct error *ret_error);
void mailer_free(struct mailer *mailer);

/* The delivery of the outbox's kind "mail" (mail_deliver.c). */
outbox_deliver_fn mail_deliver;

/* What the other side said. */
struct mail_outcome {
    int code;            /* of its last reply; 0: there was none */
    bool is_refused;     /* for good: the address or the mail itself */
    bool is_bad_address; /* RFC 3463: 5.1.x: there is no such address */
    char status[200];    /* the reply, or what went wrong before there was one */
};

/* Hands one mail to the MTA. 0: it has it; -EAGAIN: later; -ECANCELED: refused for good. One
 * thread.
 */
_must_check_ int mailer_send(struct mailer *mailer, const char *to, const char *octets, size_t size,
                             struct mail_outcome *ret_outcome);
